//! The record of a lease as a file in the destination's root.
//!
//! Who changes the record holds its lock alone; who commits, or renews, holds it with others. So a
//! lease changes hands only between two commits, however long a holder was stopped within one.
//! The record is written in place: a rename would leave the lock on a file without a name.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::endpoint::contract::{Held, LeaseCell};
use crate::error::Result;
use crate::model::lease::LEASE_BYTES;
use crate::model::path::LEASE_NAME;
use crate::platform::dir;

use super::attributes::usual_mode;
use super::error;
use super::place::LocalPlace;

/// How often a lock that is held for a moment is asked for again, and how long apart.
const ATTEMPTS: u32 = 1000;
const PAUSE: Duration = Duration::from_millis(2);

/// A lease file.
#[derive(Debug)]
pub struct LocalLease {
    place: Arc<LocalPlace>,
    /// Keeps this process's own reads from meeting half a renewal.
    writing: Mutex<()>,
}

impl LocalLease {
    /// The lease of this directory.
    pub fn new(place: Arc<LocalPlace>) -> Self {
        Self { place, writing: Mutex::default() }
    }

    fn open(&self, create: bool) -> Result<Option<OwnedFd>> {
        let mode = create.then(|| usual_mode(0o666));
        match self.place.dir.open_record(LEASE_NAME, mode) {
            Ok(file) => Ok(Some(file)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(error::destination("open", errno).at(LEASE_NAME)),
        }
    }

    /// Whether the file still has the name: its holder removes it, and then another takes it.
    fn is_named(&self, file: &OwnedFd) -> bool {
        match (dir::facts(file), self.place.dir.facts(LEASE_NAME)) {
            (Ok(own), Ok(named)) => {
                (own.identity.dev, own.identity.ino) == (named.identity.dev, named.identity.ino)
            }
            _ => false,
        }
    }

    /// The file, locked with others; `None` where there is none, or where somebody who changes it
    /// does not come to an end.
    fn shared(&self) -> Result<Option<OwnedFd>> {
        for _ in 0..ATTEMPTS {
            let Some(file) = self.open(false)? else {
                return Ok(None);
            };
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
                Ok(()) if self.is_named(&file) => return Ok(Some(file)),
                Ok(()) => {}
                Err(Errno::WOULDBLOCK | Errno::INTR) => std::thread::sleep(PAUSE),
                Err(errno) => return Err(error::write("flock", errno).at(LEASE_NAME)),
            }
        }
        Ok(None)
    }

    fn bytes(&self, file: &OwnedFd) -> Result<Option<Vec<u8>>> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut bytes, mut done) = (vec![0; LEASE_BYTES], 0);
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match rustix::io::pread(file, rest, done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(error::write("pread", errno).at(LEASE_NAME)),
            }
        }
        bytes.truncate(done);
        Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }

    fn write(&self, file: &OwnedFd, bytes: &[u8]) -> Result<()> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            match rustix::io::pwrite(file, rest, done as u64) {
                Ok(0) => return Err(error::destination("pwrite", Errno::NOSPC).at(LEASE_NAME)),
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(error::write("pwrite", errno).at(LEASE_NAME)),
            }
        }
        Ok(())
    }
}

impl LeaseCell for LocalLease {
    fn read(&self) -> Result<Option<Vec<u8>>> {
        self.open(false)?.map_or(Ok(None), |file| self.bytes(&file))
    }

    fn swap(&self, expected: Option<&[u8]>, new: Option<&[u8]>) -> Result<bool> {
        let Some(file) = self.open(expected.is_none() && new.is_some())? else {
            return Ok(expected.is_none());
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK | Errno::INTR) => return Ok(false),
            Err(errno) => return Err(error::write("flock", errno).at(LEASE_NAME)),
        }
        if !self.is_named(&file) || self.bytes(&file)?.as_deref() != expected {
            return Ok(false);
        }
        match new {
            Some(new) => self.write(&file, new).inspect_err(|_| {
                if expected.is_none() {
                    // It was made just now, and says nothing.
                    let _ = self.place.dir.remove_own(LEASE_NAME);
                }
            })?,
            None => {
                let removed = self.place.dir.remove_own(LEASE_NAME);
                removed.map_err(|errno| error::destination("unlink", errno).at(LEASE_NAME))?;
            }
        }
        Ok(true)
    }

    fn renew(&self, expected: &[u8], new: &[u8]) -> Result<bool> {
        let Some(file) = self.shared()? else {
            return Ok(false);
        };
        if self.bytes(&file)?.as_deref() != Some(expected) {
            return Ok(false);
        }
        self.write(&file, new)?;
        Ok(true)
    }

    fn hold(&self, ours: &dyn Fn(&[u8]) -> bool) -> Result<Option<Held>> {
        let Some(file) = self.shared()? else {
            return Ok(None);
        };
        let bytes = self.bytes(&file)?;
        Ok(bytes.filter(|bytes| ours(bytes)).map(|_| Box::new(file) as Held))
    }
}
