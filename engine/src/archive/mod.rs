//! Archives: trees written as tar, and tar read as a source of items.
//!
//! The header code is our own. It is small, works by position, so that members can be read in any
//! order, and keeps names as bytes; a library that also extracts would bring paths of its own to
//! the filesystem. Nothing here touches a filesystem: bytes come from a
//! [`Reader`](crate::endpoint::contract::Reader) and go where the caller puts them.
//!
//! An archive within zstd has an index: where each member lies, and its digest, in skippable
//! frames that other programs pass over. With it, single members are restored by reading only the
//! frames they lie in, and by several threads.

mod digested;
mod frames;
mod header;
mod index;
mod member;
mod names;
mod plain;
mod scan;
mod source;
mod stream;
mod walk;

pub use header::{encode, end_of_archive, padding};
pub use index::{IndexWriter, KIND as INDEX_KIND, footer, wrap};
pub use member::{Entry, Kind, Member};
pub use source::{ArchiveSource, Opening};
