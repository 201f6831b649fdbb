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

    /// Why it was chosen, with the figures it was chosen by: so many items of so many bytes, so
    /// many large files among them that go by parts, and so many files that are compressed or
    /// decompressed on their way.
    ///
    /// Measured on two cores and a local ext4: 1 GiB by two threads takes 0.6 of the time of one;
    /// below two parts there is nothing to share out. A worker that takes a directory's files in
    /// batches of `BATCH_ITEMS` spends no measurable time on the queue.
    #[must_use]
    pub fn why(self, items: u64, bytes: u64, large: u64, coded: u64) -> String {
        let why = self.why_uncoded(items, bytes, large);
        match (self, coded) {
            (_, 0) => why,
            (Self::Batches, _) => {
                format!("{why}; {coded} are compressed or decompressed, each by one thread")
            }
            _ => format!(
                "one item of {bytes} bytes: it is compressed or decompressed on its way, by one \
                 thread"
            ),
        }
    }

    fn why_uncoded(self, items: u64, bytes: u64, large: u64) -> String {
        let least = (2 * PART_BYTES) >> 20;
        let part = PART_BYTES >> 20;
        match self {
            Self::Direct => format!(
                "one item of {bytes} bytes: below {least} MiB, or with one part at a time, a single \
                 stream is as fast"
            ),
            Self::Chunked => format!(
                "one file of {bytes} bytes: from {least} MiB on, parts of {part} MiB go at once"
            ),
            Self::Batches => format!(
                "a directory of {items} items, {} bytes each on average: files go in batches, \
                 several at once; {large} of them are large and go by parts of {part} MiB",
                bytes.checked_div(items).unwrap_or_default()
            ),
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
