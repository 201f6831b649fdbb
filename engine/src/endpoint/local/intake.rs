//! Writing one local file under its temporary name.

use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use crate::endpoint::contract::{Intake, Shape, Staged, Target};
use crate::error::{EngineError, Kind, Result};
use crate::model::found::Mark;
use crate::model::item::{Attributes, Handle, ItemKind};
use crate::platform::hold::Hold;
use crate::platform::{dir, filesystem, process};

use super::attributes::{Dress, mark};
use super::error;
use super::place::LocalPlace;

/// Size above which blocks are reserved before writing, which keeps a file in one piece, bytes.
const RESERVE_BYTES_MIN: u64 = 1 << 20;
/// Size from which the device is set to work while the rest is still written, bytes. Measured: 1
/// GiB with its sync took 0.38 s so, 0.72 s with one sync at the end.
const BEHIND_BYTES_MIN: u64 = 8 << 20;
/// Most bytes that the storage copies in one call: between two calls a job can be stopped.
const OFFLOAD_BYTES_MAX: u64 = 64 << 20;
/// Zeros written at once where a hole cannot be made, bytes.
const ZEROS_BYTES: usize = 64 << 10;
/// What reads past the page cache must be aligned to, bytes.
const DIRECT_ALIGN: u64 = 4096;

/// A file being written.
#[derive(Debug)]
pub struct LocalIntake {
    place: Arc<LocalPlace>,
    /// None for a file that has no name at all yet.
    temp: Option<Vec<u8>>,
    file: OwnedFd,
    /// The mode it was made with, where nothing came from its directory.
    plain: Option<u32>,
    /// Whether the device is set to work on every write.
    behind: bool,
    /// The same file opened past the page cache, once that is asked for; none where that cannot be.
    direct: OnceLock<Option<OwnedFd>>,
}

impl LocalIntake {
    /// A file under this temporary name, or without any, and what is known of it.
    pub fn new(place: Arc<LocalPlace>, temp: Option<&[u8]>, file: OwnedFd, shape: Shape) -> Self {
        let behind = shape.durable && shape.bytes >= BEHIND_BYTES_MIN;
        let plain = (temp.is_none() && !place.inherits()).then(|| shape.mode & !process::umask());
        let temp = temp.map(<[u8]>::to_vec);
        Self { place, temp, file, plain, behind, direct: OnceLock::new() }
    }

    /// Makes it the hole that a sparse file is at first.
    ///
    /// # Errors
    /// `DestinationNoSpace`, `DestinationWrite`.
    pub fn lay_out(&self, shape: Shape) -> Result<()> {
        if !shape.sparse {
            return Ok(());
        }
        let cut = rustix::fs::ftruncate(&self.file, shape.bytes);
        cut.map_err(|errno| error::destination("ftruncate", errno))
    }

    /// Writes zeros over what the filesystem cannot make a hole.
    fn zero(&self, offset: u64, length: u64) -> Result<()> {
        let zeros = [0; ZEROS_BYTES];
        let end = offset + length;
        for at in (offset..end).step_by(ZEROS_BYTES) {
            let count = ((end - at) as usize).min(ZEROS_BYTES);
            self.write_at(at, zeros.get(..count).unwrap_or_default())?;
        }
        Ok(())
    }

    /// The file past the page cache.
    fn direct(&self) -> Option<&OwnedFd> {
        let open = || self.place.dir.open_direct(self.temp.as_deref()?).ok();
        self.direct.get_or_init(open).as_ref()
    }

    /// Forgets what the page cache holds of a range, so that reads come from the device.
    fn forget(&self, offset: u64, length: usize) -> Result<()> {
        let length = NonZeroU64::new(length as u64);
        rustix::fs::fadvise(&self.file, offset, length, rustix::fs::Advice::DontNeed)
            .map_err(|errno| error::write("fadvise", errno).offset(offset))
    }
}

/// A file or link that is complete under its temporary name.
#[derive(Debug)]
pub struct Written {
    /// Where.
    pub place: Arc<LocalPlace>,
    /// Under which temporary name; none for an open file that has no name yet.
    pub temp: Option<Vec<u8>>,
    /// Open for its sync; what is never opened has none.
    pub file: Option<OwnedFd>,
    /// Whether it is one more name of something written under another one.
    pub is_again: bool,
}

impl Written {
    /// Something complete under this temporary name.
    pub fn new(place: Arc<LocalPlace>, temp: &[u8], file: Option<OwnedFd>) -> Self {
        Self { place, temp: Some(temp.to_vec()), file, is_again: false }
    }

    /// Removes it, as far as that goes: what stays is found by its name.
    pub fn remove(&self) {
        if let Some(temp) = &self.temp {
            let _ = self.place.dir.remove(temp);
        }
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
        // Sets the device to work on what is dirty; only clean pages would be dropped.
        if self.behind {
            let _ = self.forget(offset, bytes.len());
        }
        Ok(())
    }

    fn share(&self, from: &Handle) -> Result<bool> {
        let Some(source) = from.get::<OwnedFd>() else {
            return Ok(false);
        };
        match rustix::fs::ioctl_ficlone(&self.file, &*source) {
            Ok(()) => Ok(true),
            Err(errno @ (Errno::NOSPC | Errno::DQUOT)) => Err(error::write("ioctl", errno)),
            Err(_) => Ok(false),
        }
    }

    fn clear(&self, offset: u64, length: u64) -> Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&self.file, flags, offset, length) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => self.zero(offset, length),
            Err(errno) => Err(error::write("fallocate", errno).offset(offset)),
        }
    }

    fn reserve(&self, bytes: u64) -> Result<()> {
        if bytes < RESERVE_BYTES_MIN {
            return Ok(());
        }
        match rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, bytes) {
            Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => {
                Err(error::destination("fallocate", errno))
            }
            // A filesystem that cannot reserve is no error.
            _ => Ok(()),
        }
    }

    fn offload(&self, from: &Handle, offset: u64, length: u64) -> Result<Option<u64>> {
        let Some(source) = from.get::<OwnedFd>().filter(filesystem::copies_itself) else {
            return Ok(None);
        };
        let (mut from, mut to) = (offset, offset);
        let length = length.min(OFFLOAD_BYTES_MAX) as usize;
        let copy = rustix::fs::copy_file_range(
            &*source,
            Some(&mut from),
            &self.file,
            Some(&mut to),
            length,
        );
        match copy {
            // Some filesystems answer 0 for what they could not copy: reading tells.
            Ok(0) => Ok(None),
            Ok(count) => Ok(Some(count as u64)),
            Err(Errno::INTR) => Ok(Some(0)),
            Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => {
                Err(error::write("copy_file_range", errno).offset(offset))
            }
            Err(_) => Ok(None),
        }
    }

    fn mark(&self) -> Result<Mark> {
        dir::facts(&self.file).map(|facts| mark(&facts)).map_err(|e| error::write("stat", e))
    }

    fn sync(&self) -> Result<()> {
        rustix::fs::fdatasync(&self.file).map_err(|errno| error::write("fdatasync", errno))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8], device: bool) -> Result<usize> {
        let aligned = [offset, buffer.len() as u64, buffer.as_ptr().addr() as u64];
        let aligned = aligned.iter().all(|value| value % DIRECT_ALIGN == 0);
        let file = match self.direct().filter(|_| device && aligned) {
            Some(direct) => direct,
            None if device => {
                self.forget(offset, buffer.len())?;
                &self.file
            }
            None => &self.file,
        };
        loop {
            match rustix::io::pread(file, &mut *buffer, offset) {
                Err(Errno::INTR) => {}
                other => return other.map_err(|e| error::write("pread", e).offset(offset)),
            }
        }
    }

    fn seal(
        self: Box<Self>,
        size: u64,
        attributes: &Attributes,
        target: &Target,
    ) -> Result<Staged> {
        let (carry, extended) = (target.carry, &target.extended);
        let (kind, plain) = (ItemKind::File, self.plain);
        let dress = Dress { attributes, extended, carry, kind, plain };
        let sealed = dress.put_on(Hold::open(&self.file)).and_then(|(facts, lost)| {
            if facts.size == size {
                return Ok((facts, lost));
            }
            let message = format!("{} bytes stand where {size} were written", facts.size);
            Err(EngineError::new(Kind::VerifyMismatch, message))
        });
        match sealed {
            Ok((facts, lost)) => {
                let (place, temp, file) = (self.place, self.temp, Some(self.file));
                let inner = Box::new(Written { place, temp, file, is_again: false });
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
        if let Some(temp) = &self.temp {
            let _ = self.place.dir.remove(temp);
        }
    }
}
