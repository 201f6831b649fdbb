//! What stands at a destination.

use crate::model::item::{ItemKind, Special, Timestamp};
use crate::model::version::Version;

/// What stands at a destination name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its kind.
    pub kind: ItemKind,
    /// Its size.
    pub size: u64,
    /// Its modification time.
    pub mtime: Timestamp,
    /// What identifies this very thing (device and inode, or a version).
    pub mark: Mark,
    /// The text of a link.
    pub link: Option<Vec<u8>>,
    /// Whether it stands there under other names too that differ in case: the directory folds them.
    pub folded: bool,
    /// Which special file it is.
    pub special: Option<Special>,
}

/// Identifies one destination item, from before its publication until somebody replaces it, so
/// that a resumed job knows its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Device; 0 where that means nothing.
    pub dev: u64,
    /// Inode; of an object the number that its writer left with it.
    pub ino: u64,
    /// When it was made: inode numbers are used again at once.
    pub born: Timestamp,
    /// Its size as published: what was written to since is no longer this.
    pub size: u64,
    /// Its modification time as published.
    pub mtime: Timestamp,
    /// The store's own name for this state of an object. Not known before it is published, and so
    /// no part of what is recorded.
    pub version: Version,
}

impl Mark {
    /// Whether this is the same thing, whatever was written to it since.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (self.dev, self.ino, self.born) == (other.dev, other.ino, other.born)
    }

    /// The same as it is recorded: without the device where the time of birth tells it from others,
    /// since a device may have another number after the next start of the machine.
    #[must_use]
    pub fn lasting(self) -> Self {
        Self { dev: lasting_device(self.dev, self.born), ..self }
    }
}

/// A device's number as it is recorded beside an inode that was made at `born`.
#[must_use]
pub fn lasting_device(dev: u64, born: Timestamp) -> u64 {
    if born == Timestamp::default() { dev } else { 0 }
}
