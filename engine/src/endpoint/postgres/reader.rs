//! Reads spans by binary `COPY`: into arrays, or handed on as the frames they are.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema};

use crate::endpoint::postgres::columns::{self, Known, Shape};
use crate::endpoint::postgres::decode::{Bad, Column};
use crate::endpoint::postgres::dialect::literal;
use crate::endpoint::postgres::error::{Done, garbled};
use crate::endpoint::postgres::native::{self, Bounds, Next, TRAILER, Values};
use crate::endpoint::postgres::project::{self, Asked};
use crate::endpoint::postgres::session::{Copied, Session};
use crate::endpoint::postgres::snapshot::Instant;
use crate::endpoint::postgres::wire::{HEAD, message};
use crate::endpoint::rows::{Misfits, Reject, SpanReader};
use crate::endpoint::sql::dialect::Dialect as _;
use crate::endpoint::sql::range;
use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::{Engine, TableName};
use crate::model::rows::{Misfit, Native, Range, Read, Rows};
use crate::remote::call::Side;

/// A reader: a session within the instant.
pub(super) struct Reader<'a> {
    instant: &'a Instant,
    /// Absent after a failure, until the next span.
    session: Option<Session>,
    /// The columns of the table that was read last.
    known: Option<(TableName, Shape, Vec<Known>)>,
    span: Option<Open>,
    misfits: Misfits,
}

/// A span that is being read.
struct Open {
    read: Read,
    schema: Arc<Schema>,
    columns: Vec<Column>,
    /// The statement that gives rows for arrays, and the one for frames that are handed on as they
    /// are, where that can be.
    copies: (String, Option<String>),
    /// Whether frames are handed on, once it is begun.
    native: Option<bool>,
    /// Whether a row may be left out for a value of it.
    rejects: bool,
    /// The first row, which came with the header.
    first: Option<Vec<u8>>,
    /// Rows that came.
    came: u64,
    /// Whether all came.
    done: bool,
    /// Whether the trailer came.
    trailer: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(instant: &'a Instant) -> Result<Self> {
        let session = Some(instant.session()?);
        Ok(Self { instant, session, known: None, span: None, misfits: Misfits::default() })
    }

    fn open(&mut self, read: &Read, range: &Range) -> Done<Open> {
        let instant = self.instant;
        let session = match &mut self.session {
            Some(session) => session,
            none => none.insert(instant.session()?),
        };
        if self.known.as_ref().is_none_or(|(name, ..)| *name != read.table) {
            let (shape, known) = columns::of_table(session, &instant.dialect, &read.table)?;
            self.known = Some((read.table.clone(), shape, known));
        }
        let Some((_, shape, known)) = &self.known else { return Err(garbled("no columns")) };
        let (mut asked, mut native) = (Vec::new(), true);
        for cell in &read.cells {
            let column = columns::find(known, &read.table, &cell.name)?;
            native &= column.base.travels() && project::is_own(column, &cell.kind);
            asked.push((column, project::ask(column, cell)?));
        }
        let from = source_of(instant, &read.table, *shape, range)?;
        let condition = condition(instant, known, range, &read.filter)?;
        let copy = |native: bool| -> Result<String> {
            let list = list(instant, &asked, native)?;
            Ok(format!("COPY (SELECT {list} FROM {from}{condition}) TO STDOUT (FORMAT binary)"))
        };
        let copies = (copy(false)?, if native { Some(copy(true)?) } else { None });
        Ok(Open::new(read, &asked, copies))
    }
}

/// What stands behind FROM.
fn source_of(instant: &Instant, table: &TableName, shape: Shape, range: &Range) -> Result<String> {
    match range {
        Range::Pages { child, .. } => Ok(format!("ONLY {}", instant.dialect.quote_table(child)?)),
        _ => instant.from(table, shape.partitioned),
    }
}

fn condition(instant: &Instant, known: &[Known], range: &Range, filter: &str) -> Result<String> {
    // The line's end closes a comment in the filter.
    let filter = if filter.is_empty() { String::new() } else { format!("{filter}\n") };
    let condition = match range {
        Range::Whole if filter.is_empty() => String::new(),
        Range::Whole => format!("({filter})"),
        Range::Keys { column, from, to } => {
            let ends = (from.as_deref(), to.as_deref());
            let nullable = known.iter().any(|known| known.name == *column && known.nullable);
            match ends {
                // A column that is never NULL is compared alone, so that its index serves.
                (None, Some(to)) if !nullable => {
                    let name = instant.dialect.quote(column)?;
                    let rest = if filter.is_empty() { filter } else { format!(" AND ({filter})") };
                    format!("{name} < {}{rest}", literal(to))
                }
                _ => range::condition(&instant.dialect, column, ends, &filter, literal)?,
            }
        }
        Range::Rows { columns, keys } => {
            let literal = |_: &str, value: &str| Ok(literal(value));
            range::listed(&instant.dialect, columns, keys, &filter, literal)?
        }
        Range::Pages { from, to, .. } => {
            let mut parts = Vec::new();
            if *from > 0 {
                parts.push(format!("ctid >= '({from},0)'"));
            }
            if let Some(to) = to {
                parts.push(format!("ctid < '({to},0)'"));
            }
            if !filter.is_empty() {
                parts.push(format!("({filter})"));
            }
            parts.join(" AND ")
        }
    };
    Ok(if condition.is_empty() { condition } else { format!(" WHERE {condition}") })
}

fn list(instant: &Instant, asked: &[(&Known, Asked)], native: bool) -> Result<String> {
    let one = |(column, asked): &(&Known, Asked)| -> Result<String> {
        let cast = if native { "" } else { asked.cast };
        Ok(format!("{}{cast}", instant.dialect.quote(&column.name)?))
    };
    Ok(asked.iter().map(one).collect::<Result<Vec<_>>>()?.join(", "))
}

impl Open {
    fn new(read: &Read, asked: &[(&Known, Asked)], copies: (String, Option<String>)) -> Self {
        let field =
            |cell: &crate::model::rows::Cell| Field::new(&cell.name, cell.kind.arrow(), true);
        let schema = Arc::new(Schema::new(read.cells.iter().map(field).collect::<Vec<_>>()));
        let columns = read
            .cells
            .iter()
            .zip(asked)
            .map(|(cell, (_, asked))| Column::new(&cell.kind, asked.form))
            .collect();
        let rejects = read.cells.iter().any(|cell| cell.misfit == Misfit::Reject);
        let read = read.clone();
        let (first, native) = (None, None);
        let (came, done, trailer) = (0, false, false);
        Self { read, schema, columns, copies, native, rejects, first, came, done, trailer }
    }

    /// Begins to read, and takes the header with whatever came along.
    fn start(&mut self, session: &mut Session, native: bool) -> Done<bool> {
        if let Some(native) = self.native {
            return Ok(native);
        }
        let copy = match (&self.copies, native) {
            ((_, Some(copy)), true) => copy,
            ((copy, _), _) => copy,
        };
        session.copy_out(copy)?;
        let most = self.read.row_bytes_max.saturating_add(native::HEADER.len());
        loop {
            session.wire().hold(HEAD, most)?;
            if session.wire().held().first() == Some(&b'd') {
                break;
            }
            self.other(session)?;
        }
        let (_, payload) = session.wire().next(most)?;
        let first = native::after_header(payload)?;
        self.trailer = first == TRAILER;
        self.first = (!self.trailer && !first.is_empty()).then(|| first.to_vec());
        let native = native && self.copies.1.is_some();
        self.native = Some(native);
        Ok(native)
    }

    fn values(&self) -> u16 {
        u16::try_from(self.read.cells.len()).unwrap_or(u16::MAX)
    }

    fn row_bytes(&self) -> usize {
        self.read.row_bytes_max
    }

    /// Frames as they are.
    fn frames(&mut self, session: &mut Session) -> Done<Native> {
        let mut bytes = Vec::new();
        let mut rows = 0;
        if let Some(first) = self.first.take() {
            Values::of(&first, self.values())?;
            bytes = message(b'd', &[&first]);
            rows = 1;
        }
        while !self.trailer && rows < self.read.batch_rows.max(1) {
            if rows > 0 && bytes.len() >= self.read.batch_bytes {
                break;
            }
            let bounds = Bounds {
                rows: self.read.batch_rows.max(1) - rows,
                bytes: self.read.batch_bytes.saturating_sub(bytes.len()).max(1),
                row_bytes: self.row_bytes(),
            };
            let wire = session.wire();
            let walked = native::walk(wire.held(), self.values(), bounds)?;
            bytes.extend_from_slice(wire.held().get(..walked.bytes).unwrap_or_default());
            wire.take(walked.bytes);
            rows += walked.rows;
            match walked.next {
                Next::Full => {}
                Next::Needs(count) => wire.hold(count, self.row_bytes())?,
                Next::Trailer => {
                    wire.next(TRAILER.len())?;
                    self.trailer = true;
                }
                Next::Other => self.other(session)?,
            }
        }
        self.came += rows as u64;
        Ok(Native { engine: Engine::Postgres, bytes, rows })
    }

    /// A message among the frames that is none: only what a server may say at any time.
    fn other(&mut self, session: &mut Session) -> Done<()> {
        match session.copied()? {
            Copied::More => Ok(()),
            Copied::End(_) => Err(garbled("rows that end without a trailer")),
        }
    }

    /// The end, once the trailer came.
    fn end(&mut self, session: &mut Session) -> Done<()> {
        loop {
            if let Copied::End(count) = session.copied()? {
                self.done = true;
                if count == self.came {
                    return Ok(());
                }
                return Err(garbled("the server counted other rows than it sent"));
            }
        }
    }

    /// Rows as arrays.
    fn batch(&mut self, session: &mut Session, misfits: &mut Misfits) -> Done<RecordBatch> {
        let (mut rows, mut bytes) = (0, 0);
        if let Some(first) = self.first.take() {
            bytes += first.len();
            rows += usize::from(self.row(&first, misfits)?);
        }
        while !self.trailer && rows < self.read.batch_rows.max(1) && bytes < self.read.batch_bytes {
            let wire = session.wire();
            wire.hold(HEAD, self.row_bytes())?;
            if wire.held().first() != Some(&b'd') {
                self.other(session)?;
                continue;
            }
            let (_, payload) = wire.next(self.read.row_bytes_max)?;
            if payload == TRAILER {
                self.trailer = true;
                break;
            }
            bytes += payload.len();
            rows += usize::from(self.row(payload, misfits)?);
        }
        let arrays = self.columns.iter_mut().map(Column::finish).collect();
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
            .map_err(|error| EngineError::new(Kind::Internal, format!("a batch: {error}")).into())
    }

    /// Adds one row; `false` where it is rejected.
    fn row(&mut self, payload: &[u8], misfits: &mut Misfits) -> Done<bool> {
        self.came += 1;
        if self.rejects && self.is_rejected(payload, misfits)? {
            return Ok(false);
        }
        let mut values = Values::of(payload, self.values())?;
        for (column, cell) in self.columns.iter_mut().zip(&self.read.cells) {
            let value = values.next()?.ok_or_else(|| garbled("a row that is cut"))?;
            let Some(value) = value else {
                column.null();
                continue;
            };
            let why = match column.put(value) {
                Ok(()) => continue,
                Err(Bad::Garbled) => return Err(garbled("a value that is none of its type")),
                Err(Bad::Unfit(why)) => why,
            };
            match cell.misfit {
                Misfit::Clamp if column.clamp(value) => {}
                Misfit::Null => column.null(),
                _ => return Err(refusal(&cell.name, why).into()),
            }
            misfits.changed += 1;
        }
        match values.next()? {
            None => Ok(true),
            Some(_) => Err(garbled("a row with too many values")),
        }
    }

    /// Whether a value of a row is one for which the row is left out.
    fn is_rejected(&mut self, payload: &[u8], misfits: &mut Misfits) -> Done<bool> {
        let mut values = Values::of(payload, self.values())?;
        let mut found = None;
        let mut row = Vec::with_capacity(self.read.cells.len());
        for (column, cell) in self.columns.iter_mut().zip(&self.read.cells) {
            let value = values.next()?.ok_or_else(|| garbled("a row that is cut"))?;
            row.push((cell.name.clone(), value.map(|value| column.told(value))));
            if let (Some(value), Misfit::Reject, None) = (value, cell.misfit, &found)
                && let Err(Bad::Unfit(why)) = column.check(value)
            {
                found = Some((cell.name.clone(), why));
            }
        }
        let Some((column, why)) = found else { return Ok(false) };
        let error = refusal(&column, why);
        misfits.rejected.push(Reject { row, column, error });
        Ok(true)
    }
}

fn refusal(column: &str, why: &str) -> EngineError {
    EngineError::new(Kind::ValueRefused, format!("the column {column} holds {why}"))
}

impl SpanReader for Reader<'_> {
    fn begin(&mut self, read: &Read, range: &Range) -> Result<()> {
        // What is left of an unfinished span would have to be read to its end.
        if self.span.take().is_some_and(|span| !span.done) {
            self.session = None;
        }
        self.misfits = Misfits::default();
        match self.open(read, range) {
            Ok(span) => {
                self.span = Some(span);
                Ok(())
            }
            Err(fault) => {
                self.session = None;
                Err(fault.error(Side::Source, "failed to read the table").at(read.table.shown()))
            }
        }
    }

    fn next(&mut self, native: bool) -> Result<Option<Rows>> {
        let Self { session: Some(session), span: Some(span), misfits, .. } = self else {
            return Err(EngineError::new(Kind::Internal, "no span is being read"));
        };
        let mut next = || -> Done<Option<Rows>> {
            loop {
                if span.done {
                    return Ok(None);
                }
                let rows = match span.start(session, native)? {
                    true if !native => {
                        let message = "frames were begun, and arrays are asked for";
                        return Err(EngineError::new(Kind::Internal, message).into());
                    }
                    true => Rows::Native(span.frames(session)?),
                    false => Rows::Batch(span.batch(session, misfits)?),
                };
                if span.trailer && span.first.is_none() {
                    span.end(session)?;
                }
                if rows.count() > 0 {
                    return Ok(Some(rows));
                }
            }
        };
        let fault = match next() {
            Ok(rows) => return Ok(rows),
            Err(fault) => fault,
        };
        let table = span.read.table.shown();
        (self.session, self.span) = (None, None);
        Err(fault.error(Side::Source, "failed to read the table").at(table))
    }

    fn misfits(&mut self) -> Misfits {
        std::mem::take(&mut self.misfits)
    }
}
