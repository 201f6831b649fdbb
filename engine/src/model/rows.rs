//! The nouns of rows on their way: which columns of which table as what, which range of it, and the
//! rows themselves.

use arrow_array::RecordBatch;

use crate::model::catalog::{Engine, TableName};
use crate::model::kind::ColumnType;

/// A column as it is read or written: both sides of a copy, and whoever reads the copy back, agree
/// on `kind`, whatever their own types are.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// The column's name on this side.
    pub name: String,
    /// As what its values travel.
    pub kind: ColumnType,
    /// What happens to a value that `kind` cannot hold.
    pub misfit: Misfit,
}

/// What becomes of a value that cannot be carried as it is.
///
/// In the order of what counts where one column has several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Misfit {
    /// The job ends.
    #[default]
    Fail,
    /// It becomes NULL, and is counted.
    Null,
    /// It becomes the nearest value that can be held, and is counted.
    Clamp,
    /// Its row is rejected.
    Reject,
}

/// What of a table is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    /// The table.
    pub table: TableName,
    /// Its columns, in the order of the batch.
    pub cells: Vec<Cell>,
    /// A condition in the words of the engine that reads; empty for every row.
    pub filter: String,
    /// Rows of one batch at most.
    pub batch_rows: usize,
    /// Bytes of one batch after which it is full. A row is never cut: one longer than this travels
    /// alone.
    pub batch_bytes: usize,
    /// Bytes of one row at most; a longer one is `RowTooLarge`.
    pub row_bytes_max: usize,
}

/// A part of a table: unit of retry and resume. Ranges of one table cover every row there is and
/// every row there may be, once each: the first is open below, the last above.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Range {
    /// All of it.
    #[default]
    Whole,
    /// `from <= column < to` by the order of the engine that reads, which is also the one that chose
    /// the ends. NULL is in the first.
    Keys {
        /// The column, which is the first of a key.
        column: String,
        /// The least value, as the engine's own text; `None` for open.
        from: Option<String>,
        /// The value behind the last; `None` for open.
        to: Option<String>,
    },
    /// Pages of a PostgreSQL heap: `from <= page < to`. Only within one snapshot.
    Pages {
        /// The child table whose pages they are: inherited and partitioned tables have several.
        child: TableName,
        /// The first page.
        from: u64,
        /// The page behind the last; `None` for open.
        to: Option<u64>,
    },
    /// The rows that have one of these keys: no range of a split.
    Rows {
        /// The columns of the key.
        columns: Vec<String>,
        /// A value for each of them, as the ends of [`Range::Keys`] are told.
        keys: Vec<Vec<String>>,
    },
}

/// A span of a table: a range with its number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Its number, from 0.
    pub number: u32,
    /// What it covers.
    pub range: Range,
}

/// Rows in memory.
#[derive(Clone, Debug)]
pub enum Rows {
    /// As arrays, one for each [`Cell`].
    Batch(RecordBatch),
    /// As one engine writes and reads them itself: nothing is decoded on the way.
    Native(Native),
}

impl Rows {
    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Batch(batch) => batch.num_rows(),
            Self::Native(native) => native.rows,
        }
    }

    /// Bytes they take in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Batch(batch) => batch.get_array_memory_size(),
            Self::Native(native) => native.bytes.len(),
        }
    }
}

/// Rows in an engine's own form.
#[derive(Clone, Debug)]
pub struct Native {
    /// Whose form.
    pub engine: Engine,
    /// Whole rows, in the form that [`NATIVE_POSTGRES`] and its like describe.
    pub bytes: Vec<u8>,
    /// How many.
    pub rows: usize,
}

/// PostgreSQL's form: `CopyData` messages of binary `COPY`, as they are on the wire both ways, one row
/// each, without the signature and the trailer.
pub const NATIVE_POSTGRES: &str = "postgres-copy-binary";

/// What was read of a span, or written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows.
    pub rows: u64,
    /// Values that became NULL or were clamped.
    pub changed: u64,
    /// Sum of the rows' digests ([`crate::table::digest`]).
    pub digest: u128,
}
