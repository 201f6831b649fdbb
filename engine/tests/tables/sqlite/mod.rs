//! SQLite: what its files may hold, read and written, against files that the library's own SQL made.

mod catalogue;
mod census;
mod ledger;
mod reading;
mod scratch;
mod values;
mod writing;
