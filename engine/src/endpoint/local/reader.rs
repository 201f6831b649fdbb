//! Reading one local file at any offset.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use crate::endpoint::contract::Reader;
use crate::error::Result;
use crate::model::choice::Carry;
use crate::model::extended::Extended;
use crate::model::item::Attributes;
use crate::platform::dir::{self, Facts};
use crate::platform::hold::Hold;

use super::{error, xattrs};

/// An open local file.
#[derive(Debug)]
pub struct LocalReader {
    file: OwnedFd,
    facts: Facts,
}

impl LocalReader {
    /// A file just opened, and what it was then.
    pub fn new(file: OwnedFd, facts: Facts) -> Self {
        Self { file, facts }
    }
}

impl Reader for LocalReader {
    fn facts(&self) -> (u64, Attributes) {
        (self.facts.size, self.facts.attributes)
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

    fn unchanged(&self) -> Result<bool> {
        let now = dir::facts(&self.file).map_err(|errno| error::source("stat", errno))?;
        Ok(now.size == self.facts.size
            && now.identity == self.facts.identity
            && now.attributes.mtime == self.facts.attributes.mtime)
    }
}
