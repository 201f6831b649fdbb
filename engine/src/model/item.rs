//! The unit of naming: a file, link, directory or special file, as its source described it.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::model::path::ItemPath;
use crate::model::version::Version;

/// What kind of thing an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// Bytes.
    File,
    /// A name for other items.
    Directory,
    /// A text that names something else.
    Symlink,
    /// Fifo, socket or device: never opened.
    Special,
}

impl ItemKind {
    /// The word for it on the wire and in manifests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::Special => "special",
        }
    }
}

/// Which special file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A device read and written by characters, with its number.
    Characters(u64),
    /// A device read and written by blocks, with its number.
    Blocks(u64),
}

/// A point in time, nanoseconds since 1970; before it negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i128);

impl Timestamp {
    /// From seconds and nanoseconds as `stat` gives them.
    #[must_use]
    pub fn new(seconds: i64, nanos: u32) -> Self {
        Self(i128::from(seconds) * 1_000_000_000 + i128::from(nanos))
    }

    /// Whole seconds, rounded down.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000_000) as i64
    }

    /// Nanoseconds within the second.
    #[must_use]
    pub fn nanos(self) -> u32 {
        self.0.rem_euclid(1_000_000_000) as u32
    }
}

/// What tells one state of a source item from another: equal before and after reading, or the
/// bytes read belong to no single state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Device.
    pub dev: u64,
    /// Inode.
    pub ino: u64,
    /// Last change of content or metadata.
    pub ctime: Timestamp,
    /// When the inode was made; 0 where the filesystem does not tell. A reused inode number has
    /// another one.
    pub born: Timestamp,
    /// The store's own name for this state of an object.
    pub version: Version,
}

/// What is carried over beside content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits, the special three included.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last modification.
    pub mtime: Timestamp,
    /// Last access.
    pub atime: Timestamp,
    /// Names of this inode.
    pub links: u64,
    /// Bytes of storage it takes; fewer than its size where it has holes.
    pub allocated: u64,
}

/// What an endpoint keeps with an item for itself: a directory handle, a key, a version.
#[derive(Clone, Default)]
pub struct Handle(Option<Arc<dyn Any + Send + Sync>>);

impl Handle {
    /// A handle around an endpoint's own value.
    pub fn new<T: Any + Send + Sync>(value: Arc<T>) -> Self {
        Self(Some(value))
    }

    /// The endpoint's value; `None` when this handle is another endpoint's.
    #[must_use]
    pub fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.0.clone().and_then(|value| value.downcast::<T>().ok())
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Handle" } else { "no handle" })
    }
}

/// One item of a source.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its name beneath the root; the root itself for a source that is one file.
    pub path: ItemPath,
    /// What it is.
    pub kind: ItemKind,
    /// Bytes of content; 0 for what has none.
    pub size: u64,
    /// Mode, owner, times.
    pub attributes: Attributes,
    /// Which state of it was seen.
    pub identity: Identity,
    /// The text of a symbolic link.
    pub link: Option<Vec<u8>>,
    /// Which special file it is; `None` for one of a kind that has no name.
    pub special: Option<Special>,
    /// The endpoint's own.
    pub handle: Handle,
}
