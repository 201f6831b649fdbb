//! Writes spans by `COPY`, each by one transaction with its row of the ledger.

use crate::endpoint::postgres::columns::{self, Known};
use crate::endpoint::postgres::encode::{self, Going, To};
use crate::endpoint::postgres::error::{Done, Fault, garbled};
use crate::endpoint::postgres::ledger;
use crate::endpoint::postgres::native::{HEADER, TRAILER};
use crate::endpoint::postgres::session::Session;
use crate::endpoint::postgres::sink::Sink;
use crate::endpoint::postgres::text;
use crate::endpoint::postgres::wire::{HEAD, message};
use crate::endpoint::rows::{LedgerJob, Meets, SpanReceipt, SpanWriter, Write, WriteFault};
use crate::endpoint::sql::dialect::Dialect as _;
use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::{Engine, TableName};
use crate::model::rows::{Native, Rows};

const DOING: &str = "failed to write the table";
/// A constraint that waits for the end says what is wrong too late to tell the row.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET CONSTRAINTS ALL IMMEDIATE";
/// Bytes of rows that are sent as one message.
const MESSAGE_BYTES: usize = 256 << 10;
/// Longest message that is sent: the server takes less than 1 GiB.
const MESSAGE_BYTES_MAX: usize = 256 << 20;
/// Where rows wait that replace others.
const STAGE: &str = "pg_temp.mig_stage";

/// How rows travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Binary,
    Text,
}

/// A writer: a session of its own.
pub(super) struct Writer<'a> {
    sink: &'a Sink,
    job: LedgerJob,
    /// Absent after a failure, until the next span.
    session: Option<Session>,
    /// The columns of the table that was written last.
    known: Option<(TableName, Vec<Known>)>,
    span: Option<Open>,
    /// Bytes on their way, kept for their memory.
    buffer: Vec<u8>,
}

/// A span that is being written.
struct Open {
    write: Write,
    /// The table, quoted.
    table: String,
    /// Its columns that are written, quoted.
    columns: String,
    /// How each cell goes to its column.
    to: Vec<To>,
    /// Whether each column takes frames of its cell's kind.
    takes_frames: bool,
    /// The `COPY` under way.
    copying: Option<Mode>,
    /// Rows sent by it.
    sent: u64,
    /// Whether rows wait to be merged.
    staged: bool,
    savepoint: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(sink: &'a Sink, job: &LedgerJob) -> Result<Self> {
        let session = Some(sink.session()?);
        let (job, buffer) = (job.clone(), Vec::new());
        Ok(Self { sink, job, session, known: None, span: None, buffer })
    }

    /// Runs a step of the span; what ends the session is noticed.
    fn step<T>(
        &mut self,
        run: impl FnOnce(&mut Open, &mut Session, &mut Vec<u8>) -> Done<T>,
    ) -> Result<T, WriteFault> {
        let Self { session: Some(session), span: Some(span), buffer, .. } = self else {
            let message = "no span is being written";
            return Err(WriteFault::Span(EngineError::new(Kind::RemoteUnavailable, message)));
        };
        run(span, session, buffer).map_err(|fault| {
            if fault.ends_session() {
                self.session = None;
            }
            fault.written(DOING)
        })
    }

    fn open(&mut self, write: &Write) -> Done<Open> {
        let sink = self.sink;
        let session = match &mut self.session {
            Some(session) => session,
            none => none.insert(sink.session()?),
        };
        session.run(BEGIN)?;
        if self.known.as_ref().is_none_or(|(name, _)| *name != write.table) {
            let (_, known) = columns::of_table(session, &sink.dialect, &write.table)?;
            self.known = Some((write.table.clone(), known));
        }
        let known = self.known.as_ref().map(|(_, known)| known.as_slice()).unwrap_or_default();
        let (mut to, mut takes_frames) = (Vec::new(), true);
        for cell in &write.cells {
            let column = columns::find(known, &write.table, &cell.name)?;
            takes_frames &= encode::takes_frames(&cell.kind, column);
            to.push(encode::to(cell, column));
        }
        let dialect = &sink.dialect;
        let table = dialect.quote_table(&write.table)?;
        let columns = dialect.quote_all(write.cells.iter().map(|cell| cell.name.as_str()))?;
        let staged = write.meets == Meets::Merge;
        if staged {
            session.run(&format!(
                "CREATE TEMPORARY TABLE {STAGE} ON COMMIT DROP AS \
                 SELECT {columns} FROM {table} WITH NO DATA"
            ))?;
        }
        let (write, copying, savepoint) = (write.clone(), None, false);
        Ok(Open { write, table, columns, to, takes_frames, copying, sent: 0, staged, savepoint })
    }

    /// What became of a commit whose answer was lost.
    fn probe(&mut self, receipt: &SpanReceipt, lost: EngineError) -> Result<(), WriteFault> {
        match ledger::probe(self.sink, &self.job, receipt) {
            Ok(Some(found)) if found.written == receipt.written => Ok(()),
            Ok(Some(_)) => Err(WriteFault::Job(EngineError::new(
                Kind::DestinationChanged,
                "the ledger tells of this span what this attempt did not write",
            ))),
            Ok(None) => Err(WriteFault::Span(lost)),
            Err(error) if error.kind() == Kind::Cancelled => Err(WriteFault::Job(error)),
            // The ledger's key keeps what may still be committed from being written twice.
            Err(error) => Err(WriteFault::Span(error)),
        }
    }
}

impl Open {
    fn start(&mut self, session: &mut Session, mode: Mode) -> Done<()> {
        if self.copying == Some(mode) {
            return Ok(());
        }
        self.end(session)?;
        let into = if self.staged { STAGE } else { &self.table };
        let format = if mode == Mode::Binary { " (FORMAT binary)" } else { "" };
        session.copy_in(&format!("COPY {into} ({}) FROM STDIN{format}", self.columns))?;
        self.copying = Some(mode);
        self.sent = 0;
        if mode == Mode::Binary {
            self.send(session, &message(b'd', &[&HEADER]))?;
        }
        Ok(())
    }

    /// Sends bytes of the `COPY`; it is over where that fails.
    fn send(&mut self, session: &mut Session, bytes: &[u8]) -> Done<()> {
        session.send(bytes).inspect_err(|_| self.copying = None)
    }

    fn frames(&mut self, session: &mut Session, native: &Native) -> Done<()> {
        if native.engine != Engine::Postgres || !self.takes_frames {
            let message = "the target's columns are not those that the rows were read from";
            return Err(EngineError::new(Kind::SchemaMismatch, message).into());
        }
        self.start(session, Mode::Binary)?;
        self.send(session, &native.bytes)?;
        self.sent += native.rows as u64;
        Ok(())
    }

    fn batch(
        &mut self,
        session: &mut Session,
        batch: &arrow_array::RecordBatch,
        buffer: &mut Vec<u8>,
    ) -> Done<()> {
        let is_binary = self.to.iter().all(|to| to.form.is_some());
        let mode = if is_binary { Mode::Binary } else { Mode::Text };
        self.start(session, mode)?;
        let (cells, to) = (self.write.cells.clone(), self.to.clone());
        let columns = Going::all(batch, &cells, &to)?;
        let mut scratch = String::new();
        begin_message(buffer);
        for row in 0..batch.num_rows() {
            match mode {
                Mode::Binary => encode::row(&columns, row, buffer)?,
                Mode::Text => text::row(&columns, row, &mut scratch, buffer)?,
            }
            if buffer.len() >= MESSAGE_BYTES {
                self.send_rows(session, buffer)?;
            }
        }
        self.send_rows(session, buffer)?;
        self.sent += batch.num_rows() as u64;
        Ok(())
    }

    /// Sends what is in the buffer behind the place for a head. Messages need not end with rows.
    fn send_rows(&mut self, session: &mut Session, buffer: &mut Vec<u8>) -> Done<()> {
        let length = buffer.len().saturating_sub(HEAD);
        if length > MESSAGE_BYTES_MAX {
            for part in buffer.get(HEAD..).unwrap_or_default().chunks(MESSAGE_BYTES_MAX) {
                self.send(session, &message(b'd', &[part]))?;
            }
        } else if length > 0 {
            if let Some(place) = buffer.get_mut(1..HEAD) {
                place.copy_from_slice(&(length as u32 + 4).to_be_bytes());
            }
            self.send(session, buffer)?;
        }
        begin_message(buffer);
        Ok(())
    }

    /// Ends the `COPY` under way.
    fn end(&mut self, session: &mut Session) -> Done<()> {
        match self.copying {
            None => return Ok(()),
            Some(Mode::Binary) => self.send(session, &message(b'd', &[&TRAILER]))?,
            Some(Mode::Text) => {}
        }
        self.copying = None;
        if session.copy_done()? != self.sent {
            return Err(garbled("the server took another number of rows"));
        }
        Ok(())
    }

    /// Ends the `COPY`, and puts rows that wait into their place.
    fn settle(&mut self, session: &mut Session) -> Done<()> {
        self.end(session)?;
        if !self.staged {
            return Ok(());
        }
        session.run(&self.merge()?)?;
        session.run(&format!("TRUNCATE {STAGE}"))?;
        Ok(())
    }

    fn merge(&self) -> Done<String> {
        let Write { key, cells, overrides_identity, .. } = &self.write;
        if key.is_empty() {
            let message = "rows are merged by a primary key, and the table has none";
            return Err(EngineError::new(Kind::SchemaMismatch, message).into());
        }
        let dialect = crate::endpoint::postgres::dialect::Postgres { schema: String::new() };
        let names = dialect.quote_all(key.iter().map(String::as_str))?;
        let mut sets = Vec::new();
        for cell in cells.iter().filter(|cell| !key.contains(&cell.name)) {
            let name = dialect.quote(&cell.name)?;
            sets.push(format!("{name} = EXCLUDED.{name}"));
        }
        let does = match sets.is_empty() {
            true => "NOTHING".to_owned(),
            false => format!("UPDATE SET {}", sets.join(", ")),
        };
        let overriding = if *overrides_identity { " OVERRIDING SYSTEM VALUE" } else { "" };
        let (table, columns) = (&self.table, &self.columns);
        Ok(format!(
            "INSERT INTO {table} ({columns}){overriding} SELECT {columns} FROM {STAGE} \
             ON CONFLICT ({names}) DO {does}"
        ))
    }

    /// Gives the `COPY` under way up.
    fn give_up(&mut self, session: &mut Session) -> Done<()> {
        match self.copying.take() {
            Some(_) => session.copy_fail(),
            None => Ok(()),
        }
    }
}

/// Empties a buffer but for the place of a message's head.
fn begin_message(buffer: &mut Vec<u8>) {
    buffer.clear();
    if buffer.capacity() > MESSAGE_BYTES_MAX {
        buffer.shrink_to(MESSAGE_BYTES);
    }
    buffer.extend_from_slice(&[b'd', 0, 0, 0, 0]);
}

impl SpanWriter for Writer<'_> {
    fn begin(&mut self, write: &Write) -> Result<(), WriteFault> {
        self.abandon();
        match self.open(write) {
            Ok(span) => {
                self.span = Some(span);
                Ok(())
            }
            Err(fault) => {
                self.session = None;
                Err(match fault.written(DOING) {
                    WriteFault::Row(error) => WriteFault::Job(error),
                    other => other,
                })
            }
        }
    }

    fn write(&mut self, rows: &Rows) -> Result<(), WriteFault> {
        self.step(|span, session, buffer| match rows {
            Rows::Native(native) => span.frames(session, native),
            Rows::Batch(batch) => span.batch(session, batch, buffer),
        })
    }

    fn savepoint(&mut self) -> Result<(), WriteFault> {
        self.step(|span, session, _| {
            span.settle(session)?;
            let release = if span.savepoint { "RELEASE SAVEPOINT here; " } else { "" };
            session.run(&format!("{release}SAVEPOINT here"))?;
            span.savepoint = true;
            Ok(())
        })
    }

    fn settle(&mut self) -> Result<(), WriteFault> {
        self.step(|span, session, _| span.settle(session))
    }

    fn back(&mut self) -> Result<(), WriteFault> {
        self.step(|span, session, _| {
            if !span.savepoint {
                return Err(EngineError::new(Kind::Internal, "there is no savepoint").into());
            }
            span.give_up(session)?;
            session.run("ROLLBACK TO SAVEPOINT here")?;
            Ok(())
        })
    }

    fn commit(&mut self, receipt: &SpanReceipt) -> Result<(), WriteFault> {
        let (sink, job) = (self.sink, self.job.clone());
        self.step(|span, session, _| span.settle(session))?;
        let recorded = {
            let Some(session) = &mut self.session else {
                let message = "no span is being written";
                return Err(WriteFault::Span(EngineError::new(Kind::RemoteUnavailable, message)));
            };
            ledger::record(sink, session, &job, receipt)
        };
        if let Err(fault) = recorded {
            let is_there = fault.state() == "23505";
            let error = fault.written("failed to write the ledger").into_error();
            self.abandon();
            return match (is_there, error.kind()) {
                // An earlier attempt at this span was committed after all.
                (true, _) => self.probe(receipt, error),
                (_, Kind::RemoteUnavailable | Kind::RemoteTimeout | Kind::Deadlock) => {
                    Err(WriteFault::Span(error))
                }
                _ => Err(WriteFault::Job(error)),
            };
        }
        self.span = None;
        let Some(session) = &mut self.session else { return Ok(()) };
        match session.run("COMMIT") {
            Ok(tag) if tag == "COMMIT" => Ok(()),
            Ok(_) => {
                let message = "the server undid the transaction in place of committing it";
                Err(WriteFault::Span(EngineError::new(Kind::RemoteUnavailable, message)))
            }
            Err(fault) if fault.ends_session() => {
                self.session = None;
                let lost = fault.written("the answer of a commit was lost").into_error();
                if lost.kind() == Kind::Cancelled {
                    return Err(WriteFault::Job(lost));
                }
                self.probe(receipt, lost)
            }
            Err(fault) => Err(fault.written("the server refused the transaction at its end")),
        }
    }

    fn abandon(&mut self) {
        let span = self.span.take();
        let Some(session) = &mut self.session else { return };
        let roll_back = || -> Done<()> {
            if let Some(mut span) = span {
                span.give_up(session)?;
                session.run("ROLLBACK")?;
            }
            Ok(())
        };
        let undone: Done<()> = roll_back();
        if undone.is_err_and(|fault| !matches!(fault, Fault::Engine(_))) {
            self.session = None;
        }
    }
}
