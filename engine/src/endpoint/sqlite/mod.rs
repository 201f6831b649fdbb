//! SQLite, by its own library: `sqlite://relative/path`, `sqlite:///absolute/path`.
//!
//! A source is opened for reading only, and nothing of it is locked or written. Two things follow
//! from that. A database in WAL mode has a file `-shm` beside it that every reader maps: it must be
//! there, or its directory writable. And a database whose last writer was killed may need to be rolled
//! back by a writer first. While a snapshot of a database that is not in WAL mode lasts, its writers
//! wait.
//!
//! Columns hold values of any class, whatever their type says. [`types`] tells what a declared type
//! stands for; the reader looks at the class of each value and refuses what is something else.

pub mod catalog;
pub mod census;
pub mod column;
pub mod ddl;
pub mod decode;
pub mod dialect;
pub mod encode;
pub mod error;
pub mod gate;
pub mod ledger;
pub mod plan;
pub mod reader;
pub mod removal;
pub mod session;
pub mod sink;
pub mod snapshot;
pub mod source;
pub mod split;
pub mod tokens;
pub mod types;
pub mod writer;

use crate::endpoint::Database;

/// The registry's entry.
pub const DATABASE: Database =
    Database { schemes: &["sqlite"], options: &[], source: source::open, sink: sink::open };
