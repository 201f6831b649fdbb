//! Extended attributes of held entries. What is held by name is reached through `/proc/self/fd`:
//! the system has no such calls by directory handle that older kernels know.

use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{self, XattrFlags};
use rustix::io::Errno;

use crate::platform::dir::Dir;
use crate::platform::hold::Hold;

/// Bytes of a first try; longer lists and values are rare.
const FIRST_BYTES: usize = 512;
/// Longest list or value that Linux hands out, bytes.
const LONGEST_BYTES: usize = 64 << 10;

/// The path of an entry for calls that do not follow links.
fn path_of(dir: &Dir, name: &[u8]) -> Vec<u8> {
    let head = format!("/proc/self/fd/{}/", dir.as_fd().as_raw_fd());
    [head.as_bytes(), name].concat()
}

impl Hold<'_> {
    /// Calls `each` with the name of every attribute that this user may see.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn each_name(&self, mut each: impl FnMut(&[u8])) -> Result<(), Errno> {
        let mut short = [0; FIRST_BYTES];
        let mut long;
        let names = match self.list(&mut short) {
            Err(Errno::RANGE) => {
                long = vec![0; LONGEST_BYTES];
                let count = self.list(&mut long)?;
                long.get(..count)
            }
            other => short.get(..other?),
        };
        let names = names.unwrap_or_default().split(|b| *b == 0);
        names.filter(|name| !name.is_empty()).for_each(&mut each);
        Ok(())
    }

    fn list(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::Open(fd) => fs::flistxattr(fd, buffer),
            Self::Entry(dir, entry) => fs::llistxattr(path_of(dir, entry), buffer),
        }
    }

    /// The value of an attribute.
    ///
    /// # Errors
    /// `NODATA` when there is none, and whatever the system says.
    pub fn get(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        let mut value = vec![0; FIRST_BYTES];
        let count = match self.read(name, &mut value) {
            Err(Errno::RANGE) => {
                value.resize(LONGEST_BYTES, 0);
                self.read(name, &mut value)?
            }
            other => other?,
        };
        value.truncate(count);
        value.shrink_to_fit();
        Ok(value)
    }

    fn read(&self, name: &[u8], buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::Open(fd) => fs::fgetxattr(fd, name, buffer),
            Self::Entry(dir, entry) => fs::lgetxattr(path_of(dir, entry), name, buffer),
        }
    }

    /// Whether there is an attribute of this name; false where there are none at all.
    #[must_use]
    pub fn has(&self, name: &[u8]) -> bool {
        match self {
            Self::Open(fd) => fs::fgetxattr_query(fd, name).is_ok(),
            Self::Entry(dir, entry) => fs::lgetxattr_query(path_of(dir, entry), name).is_ok(),
        }
    }

    /// Sets an attribute.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn set(&self, name: &[u8], value: &[u8]) -> Result<(), Errno> {
        match self {
            Self::Open(fd) => fs::fsetxattr(fd, name, value, XattrFlags::empty()),
            Self::Entry(dir, entry) => {
                fs::lsetxattr(path_of(dir, entry), name, value, XattrFlags::empty())
            }
        }
    }

    /// Removes an attribute.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn remove(&self, name: &[u8]) -> Result<(), Errno> {
        match self {
            Self::Open(fd) => fs::fremovexattr(fd, name),
            Self::Entry(dir, entry) => fs::lremovexattr(path_of(dir, entry), name),
        }
    }
}
