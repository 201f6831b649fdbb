//! Reading one local file at any offset.

use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use crate::endpoint::contract::Reader;
use crate::error::Result;
use crate::model::choice::Carry;
use crate::model::extended::Extended;
use crate::model::item::{Attributes, Handle, Identity};
use crate::platform::dir::{self, Facts};
use crate::platform::filesystem;
use crate::platform::hold::Hold;

use super::{error, xattrs};

/// An open local file.
#[derive(Debug)]
pub struct LocalReader {
    file: Arc<OwnedFd>,
    facts: Facts,
}

impl LocalReader {
    /// A file just opened, and what it was then.
    pub fn new(file: OwnedFd, facts: Facts) -> Self {
        Self { file: Arc::new(file), facts }
    }

    /// Whether there may be holes: as `cp` does, they are believed only where storage is missing.
    fn may_have_holes(&self) -> bool {
        self.facts.attributes.allocated < self.facts.size && filesystem::tells_holes(&self.file)
    }
}

impl Reader for LocalReader {
    fn facts(&self) -> (u64, Attributes) {
        (self.facts.size, self.facts.attributes)
    }

    fn identity(&self) -> Identity {
        self.facts.identity
    }

    fn extended(&self, carry: Carry) -> Result<Extended> {
        xattrs::read(Hold::open(&self.file), carry)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match rustix::io::pread(self.file.as_fd(), &mut *buffer, offset) {
                Err(Errno::INTR) => {}
                other => {
                    return other.map_err(|errno| error::source("pread", errno).offset(offset));
                }
            }
        }
    }

    fn data(&self, offset: u64) -> Result<Option<Range<u64>>> {
        let size = self.facts.size;
        if !self.may_have_holes() {
            return Ok((offset < size).then_some(offset..size));
        }
        let start = match rustix::fs::seek(self.file.as_fd(), SeekFrom::Data(offset)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return Ok(None),
            Err(Errno::INVAL | Errno::OPNOTSUPP) => {
                return Ok((offset < size).then_some(offset..size));
            }
            Err(errno) => return Err(error::source("lseek", errno).offset(offset)),
        };
        let end = rustix::fs::seek(self.file.as_fd(), SeekFrom::Hole(start));
        Ok(Some(start..end.unwrap_or(size)))
    }

    fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.file))
    }

    fn unchanged(&self) -> Result<bool> {
        let now = dir::facts(&self.file).map_err(|errno| error::source("stat", errno))?;
        Ok(now.size == self.facts.size
            && now.identity == self.facts.identity
            && now.attributes.mtime == self.facts.attributes.mtime)
    }
}
