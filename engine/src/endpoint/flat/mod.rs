//! Directories of files, one for each table: `csv://dir/` and `jsonl://dir/`. They are written only.
//!
//! **CSV** is that of RFC 4180: a line of names, then one record a row, all ended by CR LF, UTF-8. A
//! field with a quote, a comma, a line's end or a space at either end of it stands in quotes. NULL is
//! the empty field without quotes, the empty text is `""`. Bytes are `\x` and hex digits.
//!
//! **JSON Lines** has one object a row. Numbers that travel as numbers are numbers, with all their
//! digits; decimals, JSON and everything else are strings with their exact text; bytes are base64.
//! NaN and infinities are the strings `NaN`, `Infinity`, `-Infinity`.
//!
//! Values of [`Any`](crate::model::kind::ColumnType::Any) bear their class in front: `i:`, `r:`, `t:`,
//! `b:`.
//!
//! A span is written into a piece of its own, hidden by its name `.mig-…part`. A piece counts once the
//! receipt beside it has its name too; both are put there under the lock of the job's ledger, a file
//! that holds the epoch. When all spans are there they are joined, in order, and the whole file gets
//! its name at once.

pub mod cell;
pub mod escape;
pub mod ledger;
pub mod publish;
pub mod sink;
pub mod store;
pub mod writer;

use crate::endpoint::Database;
use crate::endpoint::flat::escape::Form;

/// The registry's entry of CSV.
pub const CSV: Database = Database {
    schemes: &["csv"],
    options: &[],
    source: |_, _| Err(sink::only_written()),
    sink: |location, ties| sink::open(location, ties, Form::Csv),
};

/// The registry's entry of JSON Lines.
pub const JSON_LINES: Database = Database {
    schemes: &["jsonl"],
    options: &[],
    source: |_, _| Err(sink::only_written()),
    sink: |location, ties| sink::open(location, ties, Form::JsonLines),
};
