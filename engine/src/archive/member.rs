//! One member of an archive.

use crate::model::item::Timestamp;

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes.
    File,
    /// A directory.
    Directory,
    /// A link with this text.
    Symlink(Vec<u8>),
    /// One more name of the member of this name, which came before.
    Hard(Vec<u8>),
    /// A named pipe.
    Fifo,
    /// A device of characters, with its number.
    Characters(u64),
    /// A device of blocks, with its number.
    Blocks(u64),
}

/// A member as its header describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, without a slash at its end; empty for the root.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Bytes of content.
    pub size: u64,
    /// Permission bits, the special three included.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last modification.
    pub mtime: Timestamp,
}

/// A member with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its header.
    pub entry: Entry,
    /// Where its content begins in the tar.
    pub data: u64,
    /// The CRC-64/NVME of its content, where it is known.
    pub crc: Option<u64>,
    /// Names of it in the archive, as far as they are known.
    pub links: u64,
    /// Why it is not restored.
    pub refused: Option<&'static str>,
}
