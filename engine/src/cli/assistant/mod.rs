//! The assistant's face: one operation, one JSON object on standard output.
//!
//! The same commands as on the wire, run by the same session; `envelope` is the one place that
//! knows the object's shape, `collect` keeps what the session says.

mod arguments;
mod checksum;
pub mod collect;
mod compress;
mod copy;
mod envelope;
mod monitor;
mod run;
mod transfer;
mod tree_digest;

pub use run::{is_meant, monitor, run, version};
