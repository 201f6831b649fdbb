//! How an entry is held while its metadata is read or set: open, or by name in its open directory
//! where opening it is not possible or not safe. Links are never followed.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::model::item::{Attributes, ItemKind};
use crate::platform::dir::{self, Dir, Facts};

/// An entry whose metadata is meant.
#[derive(Clone, Copy, Debug)]
pub enum Hold<'a> {
    /// An open file or directory.
    Open(BorrowedFd<'a>),
    /// The entry of this name in an open directory: a link, fifo, socket or device.
    Entry(&'a Dir, &'a [u8]),
}

impl<'a> Hold<'a> {
    /// An open file or directory.
    pub fn open(fd: &'a impl AsFd) -> Self {
        Self::Open(fd.as_fd())
    }

    /// What it is.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn facts(&self) -> Result<Facts, Errno> {
        match self {
            Self::Open(fd) => dir::facts(fd),
            Self::Entry(dir, name) => dir.facts(name),
        }
    }

    /// Sets owner and group.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn set_owner(&self, attributes: &Attributes) -> Result<(), Errno> {
        self.chown(Some(fs::Uid::from_raw(attributes.uid)), attributes)
    }

    /// Sets the group alone.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn set_group(&self, attributes: &Attributes) -> Result<(), Errno> {
        self.chown(None, attributes)
    }

    fn chown(&self, owner: Option<fs::Uid>, attributes: &Attributes) -> Result<(), Errno> {
        let group = Some(fs::Gid::from_raw(attributes.gid));
        match self {
            Self::Open(fd) => fs::fchown(fd, owner, group),
            Self::Entry(dir, name) => {
                fs::chownat(dir, *name, owner, group, AtFlags::SYMLINK_NOFOLLOW)
            }
        }
    }

    /// Sets the permission bits. By name this is for special files only: a link has none.
    ///
    /// # Errors
    /// Whatever the system says; `LOOP` when the name is another kind of thing now.
    pub fn set_mode(&self, bits: u32) -> Result<(), Errno> {
        let mode = Mode::from_raw_mode(bits);
        match self {
            Self::Open(fd) => fs::fchmod(fd, mode),
            Self::Entry(dir, name) => {
                // Held without being opened, so that what is looked at is what is changed.
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let held = fs::openat(dir, *name, flags, Mode::empty())?;
                if dir::facts(&held)?.kind != ItemKind::Special {
                    return Err(Errno::LOOP);
                }
                let path = format!("/proc/self/fd/{}", held.as_raw_fd());
                fs::chmodat(fs::CWD, path, mode, AtFlags::empty())
            }
        }
    }

    /// Sets times of access and modification.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn set_times(&self, attributes: &Attributes) -> Result<(), Errno> {
        let times = dir::timestamps(attributes);
        match self {
            Self::Open(fd) => fs::futimens(fd, &times),
            Self::Entry(dir, name) => fs::utimensat(dir, *name, &times, AtFlags::SYMLINK_NOFOLLOW),
        }
    }
}
