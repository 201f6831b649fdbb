//! Reads spans: a thread of its own steps through the statement and fills batches, so that one is
//! ready while the last is written.

use std::sync::Arc;
use std::thread::JoinHandle;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema};
use crossbeam_channel::{Receiver, Sender, bounded};
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, InterruptHandle, Row};

use crate::endpoint::rows::{Misfits, Reject, SpanReader};
use crate::endpoint::sql::dialect::Dialect;
use crate::endpoint::sqlite::column::Column;
use crate::endpoint::sqlite::dialect::Sqlite;
use crate::endpoint::sqlite::session::Place;
use crate::endpoint::sqlite::snapshot::Instant;
use crate::endpoint::sqlite::{decode, split};
use crate::error::{EngineError, Kind, Result};
use crate::model::rows::{Misfit, Range, Read, Rows};

/// A reader within an instant.
pub struct Reader<'a> {
    instant: &'a Instant,
    spans: Option<Sender<Span>>,
    batches: Receiver<Result<Batch>>,
    misfits: Misfits,
    interrupt: InterruptHandle,
    thread: Option<JoinHandle<Connection>>,
}

/// A span to read, and where its batches go.
struct Span {
    read: Read,
    range: Range,
    to: Sender<Result<Batch>>,
}

/// A batch with what could not be carried on its way. One without rows is the last.
struct Batch {
    rows: Option<RecordBatch>,
    misfits: Misfits,
}

impl<'a> Reader<'a> {
    /// A reader by this session.
    ///
    /// # Errors
    /// `Handles` where no thread is to be had.
    pub fn new(instant: &'a Instant, place: Place, session: Connection) -> Result<Self> {
        let (spans, wanted) = bounded::<Span>(1);
        let interrupt = session.get_interrupt_handle();
        let run = move || {
            for span in wanted {
                // Whoever asked for the span may want none of it any more.
                if let Err(error) = (Scan { session: &session, place: &place, span: &span }).run() {
                    let _ = span.to.send(Err(error));
                }
            }
            session
        };
        let thread = std::thread::Builder::new().name("sqlite-reader".to_owned()).spawn(run);
        let thread = thread.map_err(|error| {
            EngineError::new(Kind::Handles, "failed to begin a thread")
                .because(error.to_string(), error.raw_os_error())
        })?;
        let (_, batches) = bounded(0);
        let misfits = Misfits::default();
        Ok(Self { instant, spans: Some(spans), batches, misfits, interrupt, thread: Some(thread) })
    }
}

impl SpanReader for Reader<'_> {
    fn begin(&mut self, read: &Read, range: &Range) -> Result<()> {
        let (to, batches) = bounded(1);
        // The thread leaves an earlier span when its batches reach nobody.
        self.batches = batches;
        self.misfits = Misfits::default();
        let span = Span { read: read.clone(), range: range.clone(), to };
        let sent = self.spans.as_ref().is_some_and(|spans| spans.send(span).is_ok());
        if sent { Ok(()) } else { Err(gone()) }
    }

    fn next(&mut self, _: bool) -> Result<Option<Rows>> {
        let batch = self.batches.recv().map_err(|_| gone())??;
        self.misfits.changed += batch.misfits.changed;
        self.misfits.rejected.extend(batch.misfits.rejected);
        Ok(batch.rows.map(Rows::Batch))
    }

    fn misfits(&mut self) -> Misfits {
        let rejected = std::mem::take(&mut self.misfits.rejected);
        Misfits { changed: self.misfits.changed, rejected }
    }
}

fn gone() -> EngineError {
    EngineError::new(Kind::SnapshotLost, "the session that reads is gone")
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let (_, nobody) = bounded(0);
        self.batches = nobody;
        self.spans = None;
        self.interrupt.interrupt();
        if let Some(session) = self.thread.take().and_then(|thread| thread.join().ok()) {
            self.instant.give(session);
        }
    }
}

/// One span being read.
struct Scan<'a> {
    session: &'a Connection,
    place: &'a Place,
    span: &'a Span,
}

/// A batch being filled.
struct Filling {
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
    misfits: Misfits,
}

impl Scan<'_> {
    fn failed(&self, error: &rusqlite::Error) -> EngineError {
        self.place.error("failed to read rows", error).at(self.span.read.table.shown())
    }

    fn run(&self) -> Result<()> {
        let read = &self.span.read;
        // The library makes no value longer than this, whatever the file says.
        let most = i32::try_from(read.row_bytes_max).unwrap_or(i32::MAX).max(1 << 20);
        self.session
            .set_limit(Limit::SQLITE_LIMIT_LENGTH, most)
            .map_err(|error| self.failed(&error))?;
        let order =
            split::order(self.session, &read.table.name).map_err(|error| self.failed(&error))?;
        let own = read.cells.iter().map(|cell| cell.name.as_str());
        // The key stands behind the cells, for whoever must be told which row it was.
        let names = own.chain(order.columns.iter().map(String::as_str));
        let names: Vec<String> = names.map(|name| Sqlite.quote(name)).collect::<Result<_>>()?;
        let names = if names.is_empty() { "NULL".to_owned() } else { names.join(", ") };
        let (condition, ends) = split::condition(&self.span.range, &read.filter)?;
        let from = Sqlite.quote(&read.table.name)?;
        let sql = format!("SELECT {names} FROM {from}{condition}");
        let mut statement = self.session.prepare(&sql).map_err(|error| self.failed(&error))?;
        let ends = rusqlite::params_from_iter(ends);
        let mut rows = statement.query(ends).map_err(|error| self.failed(&error))?;
        let kinds = read.cells.iter().map(|cell| Column::new(&cell.kind));
        let misfits = Misfits::default();
        let mut filling = Filling { columns: kinds.collect(), rows: 0, bytes: 0, misfits };
        while let Some(row) = rows.next().map_err(|error| self.failed(&error))? {
            let values = self.values(row)?;
            let bytes = self.bytes(row, &values)?;
            if filling.rows > 0 && filling.bytes.saturating_add(bytes) > read.batch_bytes {
                self.send(&mut filling)?;
            }
            if self.push(row, &values, &mut filling)? {
                filling.rows += 1;
                filling.bytes += bytes;
            }
            if filling.rows >= read.batch_rows {
                self.send(&mut filling)?;
            }
        }
        if filling.rows > 0 {
            self.send(&mut filling)?;
        }
        self.post(Batch { rows: None, misfits: filling.misfits })
    }

    fn values<'r>(&self, row: &'r Row<'_>) -> Result<Vec<ValueRef<'r>>> {
        let cells = 0..self.span.read.cells.len();
        let values: rusqlite::Result<_> = cells.map(|at| row.get_ref(at)).collect();
        values.map_err(|error| self.failed(&error))
    }

    /// Bytes of a row as it travels.
    fn bytes(&self, row: &Row<'_>, values: &[ValueRef<'_>]) -> Result<usize> {
        let read = &self.span.read;
        let lengths = values.iter().map(|value| match value {
            ValueRef::Text(value) | ValueRef::Blob(value) => value.len() + 8,
            _ => 8,
        });
        let bytes: usize = lengths.sum();
        if bytes > read.row_bytes_max {
            let message = format!("the row {} is {bytes} bytes long", self.key(row));
            return Err(EngineError::new(Kind::RowTooLarge, message).at(read.table.shown()));
        }
        Ok(bytes)
    }

    /// Adds a row; false where it is rejected.
    fn push(&self, row: &Row<'_>, values: &[ValueRef<'_>], filling: &mut Filling) -> Result<bool> {
        let cells = &self.span.read.cells;
        let mut scratch = String::new();
        for (at, (cell, value)) in cells.iter().zip(values).enumerate() {
            let judged = cell.misfit == Misfit::Reject && !matches!(value, ValueRef::Null);
            if judged && !decode::holds(&cell.kind, *value, &mut scratch) {
                filling.misfits.rejected.push(self.reject(row, at, values));
                return Ok(false);
            }
        }
        let columns = cells.iter().zip(&mut filling.columns).zip(values);
        for (at, ((cell, column), value)) in columns.enumerate() {
            if column.push(*value).is_ok() {
                continue;
            }
            match cell.misfit {
                Misfit::Null => column.push_null(),
                Misfit::Clamp => {
                    column.push_nearest(*value).map_err(|_| self.refused(row, at, *value))?;
                }
                Misfit::Fail | Misfit::Reject => return Err(self.refused(row, at, *value)),
            }
            filling.misfits.changed += 1;
        }
        Ok(true)
    }

    fn reject(&self, row: &Row<'_>, at: usize, values: &[ValueRef<'_>]) -> Reject {
        let cells = &self.span.read.cells;
        let shown = cells.iter().zip(values);
        let column = cells.get(at).map_or(String::new(), |cell| cell.name.clone());
        let value = values.get(at).copied().unwrap_or(ValueRef::Null);
        Reject {
            row: shown.map(|(cell, value)| (cell.name.clone(), decode::shown(*value))).collect(),
            column,
            error: self.refused(row, at, value),
        }
    }

    fn refused(&self, row: &Row<'_>, at: usize, value: ValueRef<'_>) -> EngineError {
        let read = &self.span.read;
        let (class, key) = (decode::class(value), self.key(row));
        let message = match read.cells.get(at) {
            Some(cell) => {
                format!("{} holds {class} in the row {key}: no {}", cell.name, cell.kind.shown())
            }
            None => "a value is refused".to_owned(),
        };
        EngineError::new(Kind::ValueRefused, message).at(read.table.shown())
    }

    /// The key of a row, for people.
    fn key(&self, row: &Row<'_>) -> String {
        let mut parts = Vec::new();
        let mut at = self.span.read.cells.len();
        while let Ok(value) = row.get_ref(at) {
            let text = decode::shown(value).unwrap_or_else(|| b"NULL".to_vec());
            parts.push(String::from_utf8_lossy(&text).chars().take(100).collect::<String>());
            at += 1;
        }
        if parts.is_empty() { "(no key)".to_owned() } else { parts.join(",") }
    }

    fn send(&self, filling: &mut Filling) -> Result<()> {
        self.place.ties.switch.pass()?;
        let arrays: Vec<_> = filling.columns.iter_mut().map(Column::take).collect();
        let field =
            |cell: &crate::model::rows::Cell| Field::new(&cell.name, cell.kind.arrow(), true);
        let schema = Schema::new(self.span.read.cells.iter().map(field).collect::<Vec<_>>());
        let options = RecordBatchOptions::new().with_row_count(Some(filling.rows));
        let rows = RecordBatch::try_new_with_options(Arc::new(schema), arrays, &options)
            .map_err(|error| EngineError::new(Kind::Internal, error.to_string()))?;
        (filling.rows, filling.bytes) = (0, 0);
        let misfits = std::mem::take(&mut filling.misfits);
        self.post(Batch { rows: Some(rows), misfits })
    }

    fn post(&self, batch: Batch) -> Result<()> {
        self.span.to.send(Ok(batch)).map_err(|_| gone())
    }
}
