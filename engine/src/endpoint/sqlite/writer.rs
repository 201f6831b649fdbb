//! Writes spans, each by one transaction.

use arrow_array::RecordBatch;
use rusqlite::Connection;
use rusqlite::types::ToSqlOutput;

use crate::endpoint::rows::{LedgerJob, Meets, SpanReceipt, SpanWriter, Write, WriteFault};
use crate::endpoint::sql::dialect::Dialect;
use crate::endpoint::sqlite::dialect::Sqlite;
use crate::endpoint::sqlite::encode;
use crate::endpoint::sqlite::gate::{Gate, Pass};
use crate::endpoint::sqlite::ledger::{self, SQL};
use crate::endpoint::sqlite::session::Place;
use crate::error::{EngineError, Kind, Result};
use crate::model::rows::Rows;

const SAVEPOINT: &str = "SAVEPOINT migration_engine";
const RELEASE: &str = "RELEASE migration_engine";
const BACK: &str = "ROLLBACK TO migration_engine";

/// A writer.
pub struct Writer {
    place: Place,
    gate: Gate,
    job: LedgerJob,
    session: Connection,
    /// What is being written, while a transaction is open.
    open: Option<Open>,
}

struct Open {
    write: Write,
    insert: String,
    /// Whether a row may be left as it is: one that is there, and that is nothing but its key.
    may_leave: bool,
    has_savepoint: bool,
    _pass: Pass,
}

impl Writer {
    /// A writer by a session of its own.
    ///
    /// # Errors
    /// Those of opening.
    pub fn open(place: Place, gate: Gate, job: LedgerJob) -> Result<Self> {
        let session = place.open()?;
        Ok(Self { place, gate, job, session, open: None })
    }

    fn say(&self, sql: &str) -> Result<(), WriteFault> {
        ledger::run(&self.place, &self.session, sql).map_err(fault)
    }

    fn opened(&mut self) -> Result<&mut Open, WriteFault> {
        let closed = || EngineError::new(Kind::Internal, "no span was begun");
        self.open.as_mut().ok_or_else(|| WriteFault::Job(closed()))
    }

    fn insert(&self, open: &Open, batch: &RecordBatch) -> Result<(), WriteFault> {
        let failed = |error: rusqlite::Error| {
            let error = self.place.error("the database refused a row", &error);
            fault(error.at(open.write.table.shown()))
        };
        let mut statement = self.session.prepare_cached(&open.insert).map_err(failed)?;
        let columns = open.write.cells.iter().zip(batch.columns());
        let columns = columns.map(|(cell, array)| encode::column(&cell.kind, array));
        let columns: Vec<_> = columns.collect::<Result<_>>().map_err(WriteFault::Job)?;
        let mut scratch = String::new();
        for row in 0..batch.num_rows() {
            for (at, column) in columns.iter().enumerate() {
                let Some(value) = column.value(row, &mut scratch) else {
                    return Err(WriteFault::Row(no_place(&open.write, at)));
                };
                let value = ToSqlOutput::Borrowed(value);
                statement.raw_bind_parameter(at + 1, value).map_err(failed)?;
            }
            // A trigger of the table's may have it that nothing is done, and no error told.
            if statement.raw_execute().map_err(failed)? != 1 && !open.may_leave {
                let message = "the table took no row, by a rule of its own";
                let error = EngineError::new(Kind::RowRefused, message);
                return Err(WriteFault::Row(error.at(open.write.table.shown())));
            }
        }
        Ok(())
    }

    /// Ends the transaction without a trace.
    fn end(&mut self) {
        if self.open.take().is_some() {
            // One that the library ended by itself is gone already.
            let _ = self.session.execute_batch("ROLLBACK");
        }
    }

    /// Whether the span is in the ledger, by a session that knows nothing of the commit.
    fn probe(&self, receipt: &SpanReceipt) -> Result<bool> {
        ledger::has(&self.place, &self.place.open()?, &self.job, receipt)
    }
}

fn no_place(write: &Write, at: usize) -> EngineError {
    let name = write.cells.get(at).map_or("", |cell| cell.name.as_str());
    let message = format!("SQLite has no place for a value of {name}");
    EngineError::new(Kind::ValueRefused, message).at(write.table.shown())
}

/// What an error means for the span.
fn fault(error: EngineError) -> WriteFault {
    match error.kind() {
        Kind::RowRefused | Kind::RowTooLarge => WriteFault::Row(error),
        Kind::Locked => WriteFault::Span(error),
        _ => WriteFault::Job(error),
    }
}

/// The insert of a row, and whether it may leave one as it is. A table that stands may say for itself
/// what comes of a key that is there, such as `ON CONFLICT IGNORE`: `OR ABORT` overrules it.
fn statement(write: &Write) -> Result<(String, bool)> {
    let table = Sqlite.quote(&write.table.name)?;
    let names = Sqlite.quote_all(write.cells.iter().map(|cell| cell.name.as_str()))?;
    let marks = vec!["?"; write.cells.len()].join(", ");
    let insert = format!("INSERT OR ABORT INTO {table} ({names}) VALUES ({marks})");
    if write.meets == Meets::Insert || write.key.is_empty() {
        return Ok((insert, false));
    }
    let key = Sqlite.quote_all(write.key.iter().map(String::as_str))?;
    let others = write.cells.iter().filter(|cell| !write.key.contains(&cell.name));
    let sets =
        others.map(|cell| Sqlite.quote(&cell.name).map(|name| format!("{name} = excluded.{name}")));
    let sets: Vec<String> = sets.collect::<Result<_>>()?;
    Ok(match sets.is_empty() {
        true => (format!("{insert} ON CONFLICT ({key}) DO NOTHING"), true),
        false => (format!("{insert} ON CONFLICT ({key}) DO UPDATE SET {}", sets.join(", ")), false),
    })
}

impl SpanWriter for Writer {
    fn begin(&mut self, write: &Write) -> Result<(), WriteFault> {
        self.end();
        let (insert, may_leave) = statement(write).map_err(WriteFault::Job)?;
        let pass = self.gate.pass(&self.place.ties).map_err(WriteFault::Job)?;
        // Within a transaction it cannot be said any more.
        let keys = if write.own { "OFF" } else { "ON" };
        self.say(&format!("PRAGMA foreign_keys = {keys}"))?;
        self.say("BEGIN IMMEDIATE")?;
        let (write, has_savepoint) = (write.clone(), false);
        self.open = Some(Open { write, insert, may_leave, has_savepoint, _pass: pass });
        Ok(())
    }

    fn write(&mut self, rows: &Rows) -> Result<(), WriteFault> {
        self.opened()?;
        let Rows::Batch(batch) = rows else {
            let message = "rows of another engine's own form";
            return Err(WriteFault::Job(EngineError::new(Kind::Internal, message)));
        };
        match &self.open {
            Some(open) => self.insert(open, batch),
            None => Ok(()),
        }
    }

    fn savepoint(&mut self) -> Result<(), WriteFault> {
        self.settle()?;
        self.say(SAVEPOINT)?;
        self.opened()?.has_savepoint = true;
        Ok(())
    }

    fn settle(&mut self) -> Result<(), WriteFault> {
        if std::mem::take(&mut self.opened()?.has_savepoint) {
            self.say(RELEASE)?;
        }
        Ok(())
    }

    fn back(&mut self) -> Result<(), WriteFault> {
        if std::mem::take(&mut self.opened()?.has_savepoint) {
            self.say(BACK)?;
            self.say(RELEASE)?;
        }
        Ok(())
    }

    fn commit(&mut self, receipt: &SpanReceipt) -> Result<(), WriteFault> {
        self.settle()?;
        ledger::fence(&self.place, &self.session, &self.job).map_err(WriteFault::Job)?;
        self.say(&SQL.record(&self.job, receipt).map_err(WriteFault::Job)?)?;
        let committed = self.say("COMMIT");
        let Err(failed) = committed else {
            self.open = None;
            return Ok(());
        };
        // Whether it was done is what the file says once the transaction is given up.
        self.end();
        match self.probe(receipt) {
            Ok(true) => Ok(()),
            _ => Err(failed),
        }
    }

    fn abandon(&mut self) {
        self.end();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}
