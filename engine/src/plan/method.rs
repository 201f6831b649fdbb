//! How a command moves its bytes, told in plans and results.

use crate::limits::PART_BYTES;
use crate::model::item::ItemKind;

/// A way to move what a source has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// One stream.
    Direct,
    /// Parts of one large file, several at once.
    Chunked,
    /// A directory's files in batches, several at once; large ones by parts.
    Batches,
}

impl Method {
    /// The way for a source of this kind and size.
    #[must_use]
    pub fn of(kind: ItemKind, size: u64, parallel_chunks: usize) -> Self {
        match kind {
            ItemKind::Directory => Self::Batches,
            ItemKind::File if is_large(size) && parallel_chunks > 1 => Self::Chunked,
            _ => Self::Direct,
        }
    }

    /// The word for it on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Chunked => "chunked",
            Self::Batches => "batches",
        }
    }
}

/// Whether a file is worth more than one thread and a record of its parts: with fewer than two
/// parts there is nothing to share out.
#[must_use]
pub fn is_large(size: u64) -> bool {
    size >= 2 * PART_BYTES
}
