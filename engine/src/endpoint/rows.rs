//! What a database endpoint promises: the row lane's only traits.
//!
//! # Contract
//! - Calls block and run on worker threads. A session is used by one thread at a time.
//! - A source never modifies anything: its sessions are read-only where the engine knows that.
//! - All readers of one [`Snapshot`] see the same instant. A snapshot that is lost is an error, never
//!   replaced by another one in silence.
//! - Ranges of [`Snapshot::split`] cover a table exactly, by the engine's own order.
//! - A value that a [`Cell`](crate::model::rows::Cell) cannot hold is never changed in silence: its
//!   `misfit` says what happens.
//! - A sink's rows and the ledger's row of their span are committed by one transaction
//!   ([`SpanWriter::commit`]): whoever finds the row finds the span's rows, and nobody else does.
//! - Identifiers are quoted by one path per dialect; values are parameters, or go through the
//!   engine's bulk protocol; nothing of a row ever becomes SQL text unescaped.
//! - Errors of single rows are [`WriteFault::Row`]; everything else ends the span.

use std::time::Duration;

use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::{Catalog, Engine, Table, TableName};
use crate::model::kind::ColumnType;
use crate::model::rows::{Cell, Range, Read, Rows, Span, Tally};

/// A database that is read.
pub trait TableSource: Send + Sync {
    /// The engine.
    fn engine(&self) -> Engine;

    /// Everything in it. The engine's own schemas are left out.
    ///
    /// # Errors
    /// Connecting, rights, an engine too old.
    fn catalog(&self) -> Result<Catalog>;

    /// One instant of the database, for up to `readers` readers at once.
    ///
    /// # Errors
    /// As [`TableSource::catalog`]; `SnapshotRefused` where one instant cannot be had.
    fn snapshot(&self, readers: usize) -> Result<Box<dyn Snapshot>>;
}

/// One instant of a database. It lasts until it is dropped.
pub trait Snapshot: Send + Sync {
    /// What tells this instant: an LSN, a GTID set, a data version. Empty where the engine has none.
    fn identity(&self) -> String;

    /// Readers that may be open at once: fewer than asked for where the engine or its rights refuse
    /// more.
    fn readers(&self) -> usize;

    /// Makes sure that a filter is one expression: it stands in brackets beside other conditions, and
    /// must not close them. [`filter_check`] is the statement to prepare.
    ///
    /// # Errors
    /// The engine's own about what it does not understand.
    fn check(&self, table: &TableName, filter: &str) -> Result<()>;

    /// Cuts a table into ranges of about `rows` rows each, the same for the same content. A table
    /// that cannot be cut is one [`Range::Whole`].
    ///
    /// # Errors
    /// Those of the engine.
    fn split(&self, table: &Table, filter: &str, rows: u64) -> Result<Vec<Range>>;

    /// Counts the values that a target cannot hold. Where it is not a server that looks into them, no
    /// value is longer than `bytes_max`.
    ///
    /// # Errors
    /// Those of the engine; `RowTooLarge`.
    fn census(
        &self,
        table: &Table,
        filter: &str,
        questions: &[Question],
        bytes_max: usize,
    ) -> Result<Vec<Finding>>;

    /// Rows in a table.
    ///
    /// # Errors
    /// Those of the engine.
    fn count(&self, table: &TableName, filter: &str) -> Result<u64>;

    /// A reader, which is a session of its own within the instant.
    ///
    /// # Errors
    /// `SnapshotLost` where the instant is gone.
    fn reader(&self) -> Result<Box<dyn SpanReader + '_>>;
}

/// A statement that an engine understands only with a filter that is one expression: what closes the
/// brackets that it stands in elsewhere closes none here. `from` is quoted.
#[must_use]
pub fn filter_check(from: &str, filter: &str) -> String {
    format!("SELECT CASE WHEN {filter}\n THEN 1 END FROM {from} LIMIT 0")
}

/// What a census asks of a column.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The column.
    pub column: String,
    /// What is counted.
    pub class: LossClass,
}

/// Values that cannot be carried as they are.
#[derive(Clone, Debug, PartialEq)]
pub enum LossClass {
    /// Dates and times that no calendar has: `0000-00-00`, `2024-02-31`.
    ImpossibleDate,
    /// Infinite dates and times.
    InfiniteDate,
    /// Dates and times before the first or from the last: `YYYY-MM-DD`.
    DateOutside {
        /// The first that fits.
        first: &'static str,
        /// The first behind those that fit.
        end: &'static str,
    },
    /// Times beyond 24 hours, or below zero.
    TimeOutside,
    /// NaN and infinities.
    NotFinite,
    /// Integers outside of these, both included.
    IntegerOutside {
        /// The least that fits.
        least: i128,
        /// The greatest that fits.
        most: i128,
    },
    /// Decimals with more digits in front of the point than this, or behind it.
    DecimalOutside {
        /// Digits in front of the point.
        whole: u32,
        /// Digits behind it.
        scale: u32,
    },
    /// Text with a NUL in it.
    Nul,
    /// Text that is not in the character set it claims, or not UTF-8.
    NotText,
    /// Text or bytes longer than this: characters of text, bytes of bytes.
    Longer(u64),
    /// Values that are not of the column's declared type, as SQLite lets them be.
    NotDeclared(ColumnType),
    /// Anything but 0 and 1 in a column that becomes a boolean.
    NotBoolean,
    /// Text that is not valid JSON.
    NotJson,
    /// Values that are none of the type that their column is cast to.
    NotCast,
}

/// An answer of the census.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The question.
    pub question: Question,
    /// Rows that have such a value.
    pub rows: u64,
    /// The first of their keys, by the key's order: each the key's values as text, joined by commas.
    pub samples: Vec<String>,
}

/// Reads spans, one after the other.
pub trait SpanReader: Send {
    /// Begins a span. Rows of an earlier one that were not read are dropped.
    ///
    /// # Errors
    /// Those of the engine; `SnapshotLost`.
    fn begin(&mut self, read: &Read, range: &Range) -> Result<()>;

    /// The next rows; `None` when the span is at its end. `native`: the caller takes
    /// [`Rows::Native`] of this engine.
    ///
    /// # Errors
    /// Those of the engine; `ValueRefused` for a value that its cell cannot hold.
    fn next(&mut self, native: bool) -> Result<Option<Rows>>;

    /// Values changed by a [`Misfit`](crate::model::rows::Misfit) since [`SpanReader::begin`], and
    /// rows rejected with what was wrong.
    fn misfits(&mut self) -> Misfits;
}

/// What a reader could not carry as it was.
#[derive(Clone, Debug, Default)]
pub struct Misfits {
    /// Values that became NULL or were clamped.
    pub changed: u64,
    /// Rows that were left out.
    pub rejected: Vec<Reject>,
}

/// A row that is not written.
#[derive(Clone, Debug)]
pub struct Reject {
    /// Its cells as text, by name; `None` for NULL.
    pub row: Vec<(String, Option<Vec<u8>>)>,
    /// The column that was wrong, where one was.
    pub column: String,
    /// Why.
    pub error: EngineError,
}

/// A database that is written.
pub trait TableSink: Send + Sync {
    /// The engine.
    fn engine(&self) -> Engine;

    /// Everything in it.
    ///
    /// # Errors
    /// As [`TableSource::catalog`].
    fn catalog(&self) -> Result<Catalog>;

    /// How a column of this kind is kept, and what of it cannot be. For every kind there is an
    /// answer: text at worst.
    fn home(&self, kind: &ColumnType) -> Home;

    /// What the names of things may be.
    fn names(&self) -> NameRules;

    /// The statements that make a table and what hangs on it, for a review and for
    /// [`TableSink::execute`]. Its columns' `kind` is what travels; `declared` is of the source.
    ///
    /// # Errors
    /// `Unsupported` for what this engine has no statement for.
    fn statements(&self, table: &Table) -> Result<Statements>;

    /// Runs statements by one session, in order, all or none of them where the engine can. `SET`s of
    /// one stay for the next.
    ///
    /// # Errors
    /// Those of the engine.
    fn execute(&self, statements: &[String]) -> Result<()>;

    /// How many may run statements at once.
    fn builders(&self) -> usize {
        usize::MAX
    }

    /// The job's ledger in this database: made where it is not there. The epoch is raised: writers of
    /// an earlier attempt that still live commit nothing any more.
    ///
    /// # Errors
    /// Those of the engine.
    fn open_ledger(&self, job: &str) -> Result<OpenedLedger>;

    /// Adds receipts to the ledger: those of spans that are planned, before the first is written.
    ///
    /// # Errors
    /// Those of the engine; `LeaseLost` where another attempt has raised the epoch.
    fn note(&self, job: &LedgerJob, receipts: &[SpanReceipt]) -> Result<()>;

    /// Takes back what was noted as planned of one table, which could not be made.
    ///
    /// # Errors
    /// As [`TableSink::note`].
    fn unplan(&self, job: &LedgerJob, planned: &[SpanReceipt]) -> Result<()>;

    /// The statement that removes the rows of a range, to copy it anew.
    ///
    /// # Errors
    /// `Unsupported` for a range that this engine cannot tell apart.
    fn removal(&self, table: &Table, range: &Range) -> Result<String>;

    /// Forgets receipts of spans, within one transaction with whatever `statements` do.
    ///
    /// # Errors
    /// Those of the engine.
    fn forget(&self, job: &LedgerJob, spans: &[SpanName], statements: &[String]) -> Result<()>;

    /// Removes the job's rows of the ledger, and the ledger once it is empty.
    ///
    /// # Errors
    /// Those of the engine.
    fn close_ledger(&self, job: &str) -> Result<()>;

    /// A writer, which is a session of its own.
    ///
    /// # Errors
    /// Those of connecting.
    fn writer(&self, job: &LedgerJob) -> Result<Box<dyn SpanWriter + '_>>;

    /// What watches how far the replicas of this database are behind it, by a session of its own.
    ///
    /// # Errors
    /// `Unsupported` where the engine does not know; `DatabasePermission` where the account may not;
    /// those of connecting.
    fn replicas(&self) -> Result<Box<dyn Replicas>> {
        let message = format!("{} does not tell how far its replicas are", self.engine().name());
        Err(EngineError::new(Kind::Unsupported, message).hint(
            "only PostgreSQL knows its replicas; limits.rows_per_s bounds the load elsewhere",
        ))
    }

    /// This database as a source, to read back what was written.
    ///
    /// # Errors
    /// Those of connecting.
    fn as_source(&self) -> Result<Box<dyn TableSource>>;
}

/// Watches the replicas of a database.
pub trait Replicas: Send {
    /// How long the one that is farthest behind has not carried out what the database committed; zero
    /// without replicas.
    ///
    /// # Errors
    /// As [`TableSink::replicas`].
    fn behind(&mut self) -> Result<Duration>;
}

/// How a column is kept at a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Home {
    /// The type as the target's engine writes it.
    pub declared: String,
    /// As what values travel to it and are read back from it: the kind that was asked about where
    /// the target has such a type, text otherwise.
    pub kind: ColumnType,
    /// What it cannot hold.
    pub losses: Vec<LossClass>,
    /// What a person should know, such as "the order of keys is not kept"; empty for nothing.
    pub note: &'static str,
}

/// What names may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameRules {
    /// Longest name.
    pub most: usize,
    /// Whether that counts bytes; characters otherwise.
    pub bytes: bool,
    /// Whether names that differ by case alone are one name.
    pub folds_case: bool,
    /// Whether tables that stand are found by names that differ by case alone.
    pub folds_tables: bool,
    /// Whether there are schemas.
    pub schemas: bool,
    /// Whether names of indexes are unique in a schema; in a table otherwise.
    pub indexes_share: bool,
    /// Whether names end in no white space and hold no character beyond the basic plane, and no
    /// index is called `PRIMARY`.
    pub plain: bool,
    /// Longest name of a table, bytes, where it is that of a file: one that is neither an ASCII
    /// letter, a digit nor `_` takes five.
    pub file_most: Option<usize>,
    /// How the names of tables and indexes begin that only the engine gives, in small letters; empty
    /// for none.
    pub own: &'static str,
}

impl NameRules {
    /// The rules for names of columns and constraints.
    #[must_use]
    pub fn of_parts(self) -> Self {
        Self { file_most: None, own: "", ..self }
    }
}

/// A statement that makes a thing of a name: on resume, what is there is not made again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The thing's name.
    pub name: String,
    /// The statement.
    pub sql: String,
    /// What removes it, where it must be made again to be looked at again; empty for others.
    pub drop: String,
    /// The same as a part of [`Statements::alter`]; empty where it must be made alone.
    pub clause: String,
}

/// The statements for a table, in the order in which they are run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statements {
    /// The table with its primary key, before rows.
    pub create: Vec<String>,
    /// Indexes, after rows: each may run beside others.
    pub indexes: Vec<Named>,
    /// Foreign keys and checks, after all indexes of all tables.
    pub constraints: Vec<Named>,
    /// How a statement begins that makes several of these in one pass over the rows, by their
    /// clauses; empty where each takes its own pass anyway.
    pub alter: String,
    /// Identities set past the greatest value, comments, statistics: last.
    pub finish: Vec<String>,
    /// What removes the table.
    pub drop: Vec<String>,
    /// What empties the table.
    pub clear: Vec<String>,
    /// What lets rows go that others point to, in the transaction that removes them. The constraints
    /// are made, or looked at, again at the end.
    pub loosen: Vec<String>,
    /// What could not be said, with why: `index t_x: …`.
    pub left: Vec<String>,
}

/// A job in a ledger, at its epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerJob {
    /// The job's name in the ledger: the same for every attempt.
    pub job: String,
    /// The number of the attempt.
    pub epoch: i64,
}

/// A ledger as it was found.
#[derive(Clone, Debug, Default)]
pub struct OpenedLedger {
    /// The job, at its new epoch.
    pub job: LedgerJob,
    /// What earlier attempts committed.
    pub receipts: Vec<SpanReceipt>,
}

/// A span by its table and number.
pub type SpanName = (TableName, u32);

/// Proof that a span's rows are committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanReceipt {
    /// The table, by its name at the target.
    pub table: TableName,
    /// The span.
    pub span: Span,
    /// What was written.
    pub written: Tally,
    /// Rows that were rejected.
    pub rejected: u64,
    /// Sum of the digests of the rows that were rejected.
    pub refused: u128,
    /// Whether the digests are of rows in the engine's own form.
    pub native: bool,
    /// Whether this only says what the span is: nothing of it was written yet.
    pub planned: bool,
    /// Of a span that is planned: whether its table is one that the job makes.
    pub makes: bool,
}

/// How rows meet those that are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Meets {
    /// A row whose key is there is an error of that row.
    #[default]
    Insert,
    /// A row whose primary key is there replaces that row's columns.
    Merge,
}

/// Why no rows are written into a table whose storage engine keeps no transactions: those of a span
/// that is given up would stay, and come twice with the next attempt.
#[must_use]
pub fn untransacted(table: &TableName, engine: &str) -> EngineError {
    let message = format!("the table at the target is of {engine}, which keeps no transactions");
    EngineError::new(Kind::SchemaMismatch, message)
        .at(table.shown())
        .hint("ALTER TABLE … ENGINE = InnoDB makes it one that does")
}

/// What is written into a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// The table.
    pub table: TableName,
    /// Its columns, in the order of the batches.
    pub cells: Vec<Cell>,
    /// The columns of its primary key; empty where it has none.
    pub key: Vec<String>,
    /// How rows meet those that are there.
    pub meets: Meets,
    /// Whether one of the cells is an identity that must be overridden.
    pub overrides_identity: bool,
    /// Whether the job makes the table: its foreign keys are made, or looked at, after the rows. Those
    /// of a table that stood before are kept by each row.
    pub own: bool,
}

/// Why rows were not written.
#[derive(Clone, Debug)]
pub enum WriteFault {
    /// A row, or one of several: the transaction can go on from its last savepoint.
    Row(EngineError),
    /// The span's transaction is lost; the span may be written again by a new one.
    Span(EngineError),
    /// The job cannot go on.
    Job(EngineError),
}

impl WriteFault {
    /// What went wrong.
    #[must_use]
    pub fn into_error(self) -> EngineError {
        match self {
            Self::Row(error) | Self::Span(error) | Self::Job(error) => error,
        }
    }
}

/// Writes spans, one after the other, each by one transaction.
///
/// `begin`, any number of `write`s, `commit`. With rows that may be refused: `savepoint`, `write`s,
/// `settle`, and on [`WriteFault::Row`] `back` to the savepoint.
pub trait SpanWriter: Send {
    /// Begins a transaction.
    ///
    /// # Errors
    /// [`WriteFault::Span`] or [`WriteFault::Job`].
    fn begin(&mut self, write: &Write) -> Result<(), WriteFault>;

    /// Writes rows. They may wait in the session until [`SpanWriter::settle`].
    ///
    /// # Errors
    /// [`WriteFault`].
    fn write(&mut self, rows: &Rows) -> Result<(), WriteFault>;

    /// A place to go back to.
    ///
    /// # Errors
    /// [`WriteFault`].
    fn savepoint(&mut self) -> Result<(), WriteFault>;

    /// Ends what was written since the savepoint: the engine has taken every row of it when this
    /// returns.
    ///
    /// # Errors
    /// [`WriteFault::Row`] where it refused one.
    fn settle(&mut self) -> Result<(), WriteFault>;

    /// Undoes what was written since the savepoint.
    ///
    /// # Errors
    /// [`WriteFault`].
    fn back(&mut self) -> Result<(), WriteFault>;

    /// Settles, records the receipt under the job's epoch and commits, all in one. When the answer
    /// of the commit is lost, asks the ledger by a new session.
    ///
    /// # Errors
    /// [`WriteFault::Job`] with `LeaseLost` where another attempt has raised the epoch.
    fn commit(&mut self, receipt: &SpanReceipt) -> Result<(), WriteFault>;

    /// Gives the transaction up.
    fn abandon(&mut self);
}
