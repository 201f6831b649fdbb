//! A directory of files as a sink.

use std::sync::{Mutex, PoisonError};

use crate::endpoint::flat::escape::Form;
use crate::endpoint::flat::ledger::{self, Names};
use crate::endpoint::flat::publish;
use crate::endpoint::flat::store::Store;
use crate::endpoint::flat::writer::Writer;
use crate::endpoint::rows::{
    Home, LedgerJob, NameRules, OpenedLedger, SpanReceipt, SpanWriter, Statements, TableSink,
    TableSource,
};
use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::{Catalog, Engine, Table, TableName};
use crate::model::kind::ColumnType;
use crate::model::location::Location;
use crate::model::rows::Range;
use crate::platform::operator;
use crate::remote::ties::Ties;

/// Longest name of a table: each of its bytes may become three, and an ending follows.
const TABLE_BYTES_MAX: usize = 80;

/// A directory that is written.
#[derive(Debug)]
pub struct Sink {
    store: Store,
    shown: String,
    /// The job whose ledger was opened last.
    job: Mutex<Option<Names>>,
}

/// The error of reading such a directory.
#[must_use]
pub fn only_written() -> EngineError {
    EngineError::new(Kind::Unsupported, "csv and jsonl locations are only written")
}

/// Opens a directory, which is made where it is not there.
///
/// # Errors
/// `InvalidField` for a location that names no directory; those of the system.
pub fn open(location: &Location, _: &Ties, form: Form) -> Result<Box<dyn TableSink>> {
    if location.path.is_empty() || location.path.contains(&b'?') || !location.auth.is_empty() {
        let message = "the location names a directory and nothing else: csv://relative/path/";
        return Err(EngineError::new(Kind::InvalidField, message));
    }
    operator::make_dirs(&location.path, 0o777).map_err(|error| {
        Store::failed_io("failed to make the directory", &location.path, &error)
    })?;
    let dir = operator::open_dir(&location.path)
        .map_err(|errno| Store::failed("failed to open the directory", &location.path, errno))?;
    let shown = String::from_utf8_lossy(&operator::absolute(&location.path)).into_owned();
    Ok(Box::new(Sink { store: Store { dir, form }, shown, job: Mutex::new(None) }))
}

impl Sink {
    fn run(&self, statement: &str) -> Result<()> {
        let names = self.job.lock().unwrap_or_else(PoisonError::into_inner).clone();
        publish::run(&self.store, names.as_ref(), statement)
    }
}

impl TableSink for Sink {
    fn engine(&self) -> Engine {
        Engine::Files
    }

    /// The tables that have a file; what is in it is not looked at.
    fn catalog(&self) -> Result<Catalog> {
        let names = self.store.names("")?;
        let tables = names.iter().filter_map(|name| self.store.table_of(name.as_bytes()));
        let tables = tables.map(|name| Table { name, ..Table::default() });
        Ok(Catalog {
            schema: String::new(),
            engine: Engine::Files,
            version: "files".to_owned(),
            identity: self.shown.clone(),
            tables: tables.collect(),
            others: Vec::new(),
        })
    }

    /// Every value has an exact text.
    fn home(&self, kind: &ColumnType) -> Home {
        Home { declared: "text".to_owned(), kind: kind.clone(), losses: Vec::new(), note: "" }
    }

    fn names(&self) -> NameRules {
        NameRules {
            most: TABLE_BYTES_MAX,
            bytes: true,
            folds_case: false,
            folds_tables: false,
            schemas: true,
            indexes_share: false,
            plain: false,
            file_most: None,
            own: "",
        }
    }

    fn statements(&self, table: &Table) -> Result<Statements> {
        publish::statements(&self.store, table)
    }

    fn execute(&self, statements: &[String]) -> Result<()> {
        statements.iter().try_for_each(|statement| self.run(statement))
    }

    fn open_ledger(&self, job: &str) -> Result<OpenedLedger> {
        let mut locked = ledger::lock(&self.store, job)?;
        let opened = locked.open(&self.store, job)?;
        *self.job.lock().unwrap_or_else(PoisonError::into_inner) = Some(locked.names.clone());
        Ok(opened)
    }

    fn note(&self, job: &LedgerJob, receipts: &[SpanReceipt]) -> Result<()> {
        if let Some(other) = receipts.iter().find(|receipt| receipt.planned && !receipt.makes) {
            let message = "a file is made whole: nothing is added to one that stands";
            return Err(EngineError::new(Kind::Unsupported, message)
                .at(other.table.shown())
                .hint("use the mode create or replace"));
        }
        let mut locked = ledger::lock(&self.store, &job.job)?;
        locked.fence(job)?;
        receipts.iter().try_for_each(|receipt| locked.record(&self.store, receipt))?;
        self.store.sync()
    }

    fn unplan(&self, job: &LedgerJob, planned: &[SpanReceipt]) -> Result<()> {
        let mut locked = ledger::lock(&self.store, &job.job)?;
        locked.fence(job)?;
        for receipt in planned {
            let record = locked.names.record(&receipt.table, receipt.span.number, true);
            self.store.remove(record.as_bytes())?;
        }
        self.store.sync()
    }

    /// The rows of a span are its piece, which is forgotten with its record; a file that was joined
    /// of it is joined again.
    fn removal(&self, table: &Table, _: &Range) -> Result<String> {
        publish::removal(&table.name)
    }

    /// The record goes first: a piece without one does not count.
    fn forget(
        &self,
        job: &LedgerJob,
        spans: &[(TableName, u32)],
        statements: &[String],
    ) -> Result<()> {
        let mut locked = ledger::lock(&self.store, &job.job)?;
        locked.fence(job)?;
        for (table, span) in spans {
            self.store.remove(locked.names.record(table, *span, false).as_bytes())?;
        }
        self.store.sync()?;
        for (table, span) in spans {
            self.store.remove(locked.names.piece(table, *span).as_bytes())?;
        }
        self.execute(statements)
    }

    fn close_ledger(&self, job: &str) -> Result<()> {
        ledger::lock(&self.store, job)?.close(&self.store)
    }

    fn writer(&self, job: &LedgerJob) -> Result<Box<dyn SpanWriter + '_>> {
        Ok(Box::new(Writer::new(&self.store, job.clone())))
    }

    fn as_source(&self) -> Result<Box<dyn TableSource>> {
        Err(only_written())
    }
}
