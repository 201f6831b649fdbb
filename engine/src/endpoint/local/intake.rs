//! Writing one local file under its temporary name.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;

use crate::endpoint::contract::{Intake, Staged, Target};
use crate::error::{EngineError, Kind, Result};
use crate::model::item::{Attributes, ItemKind};
use crate::platform::hold::Hold;

use super::attributes::{Dress, mark};
use super::error;
use super::place::LocalPlace;

/// A file being written.
#[derive(Debug)]
pub struct LocalIntake {
    place: Arc<LocalPlace>,
    temp: Vec<u8>,
    file: OwnedFd,
}

impl LocalIntake {
    /// A file just made under this temporary name.
    pub fn new(place: Arc<LocalPlace>, temp: &[u8], file: OwnedFd) -> Self {
        Self { place, temp: temp.to_vec(), file }
    }

    /// Reserves blocks for a file of `size` bytes, which keeps it in one piece on the device. A
    /// filesystem that cannot is no error; one without room is told now.
    ///
    /// # Errors
    /// `DestinationNoSpace`.
    pub fn reserve(&self, size: u64) -> Result<()> {
        let flags = rustix::fs::FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&self.file, flags, 0, size) {
            Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => {
                Err(error::destination("fallocate", errno))
            }
            _ => Ok(()),
        }
    }
}

/// A file or link that is complete under its temporary name.
#[derive(Debug)]
pub struct Written {
    /// Where.
    pub place: Arc<LocalPlace>,
    /// Under which temporary name.
    pub temp: Vec<u8>,
    /// Open for its sync; links have none.
    pub file: Option<OwnedFd>,
}

impl Written {
    /// Something complete under this temporary name.
    pub fn new(place: Arc<LocalPlace>, temp: &[u8], file: Option<OwnedFd>) -> Self {
        Self { place, temp: temp.to_vec(), file }
    }

    /// Removes it, as far as that goes: what stays is found by its name.
    pub fn remove(&self) {
        let _ = self.place.dir.remove(&self.temp);
    }
}

impl Intake for LocalIntake {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut done = 0usize;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            let at = offset + done as u64;
            match rustix::io::pwrite(&self.file, rest, at) {
                Ok(0) => {
                    let message = "the destination takes no more bytes";
                    return Err(EngineError::new(Kind::DestinationWrite, message).offset(at));
                }
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(error::write("pwrite", errno).offset(at)),
            }
        }
        Ok(())
    }

    fn read_back(&self, size: u64, each: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        rustix::fs::fdatasync(&self.file).map_err(|errno| error::write("fdatasync", errno))?;
        let advice = rustix::fs::Advice::DontNeed;
        rustix::fs::fadvise(&self.file, 0, None, advice)
            .map_err(|errno| error::write("fadvise", errno))?;
        let mut buffer = vec![0; 1 << 20];
        let mut offset = 0;
        while offset < size {
            match rustix::io::pread(&self.file, &mut buffer, offset) {
                Ok(0) => {
                    let message = "the written file is shorter than what was written";
                    return Err(EngineError::new(Kind::VerifyMismatch, message).offset(offset));
                }
                Ok(count) => {
                    each(buffer.get(..count).unwrap_or_default())?;
                    offset += count as u64;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(error::write("pread", errno).offset(offset)),
            }
        }
        Ok(())
    }

    fn seal(
        self: Box<Self>,
        size: u64,
        attributes: &Attributes,
        target: &Target,
    ) -> Result<Staged> {
        let (carry, extended) = (target.carry, &target.extended);
        let dress = Dress { attributes, extended, carry, kind: ItemKind::File };
        let sealed = dress.put_on(Hold::open(&self.file)).and_then(|(facts, lost)| {
            if facts.size == size {
                return Ok((facts, lost));
            }
            let message = format!("{} bytes stand where {size} were written", facts.size);
            Err(EngineError::new(Kind::VerifyMismatch, message))
        });
        match sealed {
            Ok((facts, lost)) => {
                let written = Written { place: self.place, temp: self.temp, file: Some(self.file) };
                let inner = Box::new(written);
                Ok(Staged {
                    name: target.name.clone(),
                    consent: target.consent,
                    mark: mark(&facts),
                    lost,
                    inner,
                })
            }
            Err(error) => {
                self.abort();
                Err(error)
            }
        }
    }

    fn abort(self: Box<Self>) {
        let _ = self.place.dir.remove(&self.temp);
    }
}
