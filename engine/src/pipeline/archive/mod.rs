//! A tree packed to an archive: members read one after the other, blocks of them compressed by
//! several threads, written in order.
//!
//! A member whose source changes while it is read is taken back and read again. Small ones are
//! still in memory then; for a large one the archive is written again from where it began.

mod archiver;
mod blocks;
mod members;

pub use archiver::{Archiver, Outcome};
