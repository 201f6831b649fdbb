//! Reads spans: rows of the text protocol, each value taken from the packet into its column.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema, SchemaRef};

use crate::endpoint::rows::{Misfits, Reject, SpanReader};
use crate::endpoint::sql::dialect::Dialect as _;
use crate::endpoint::sql::range::{condition, listed};
use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::TableName;
use crate::model::rows::{Cell, Misfit, Range, Read, Rows};

use super::column::Grow;
use super::cut::Cut;
use super::decode;
use super::dialect::Mysql;
use super::error::Fault;
use super::facts::Facts;
use super::session::Session;
use super::snapshot::Instant;
use super::split::end_literal;

/// A session of an instant that reads spans.
pub(super) struct Reader<'a> {
    instant: &'a Instant,
    session: Option<Session>,
    facts: Option<(TableName, Facts)>,
    span: Option<Reading>,
    misfits: Misfits,
}

/// A span that is being read.
struct Reading {
    read: Read,
    schema: SchemaRef,
    columns: Vec<Box<dyn Grow>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(instant: &'a Instant, session: Session) -> Self {
        let session = Some(session);
        Self { instant, session, facts: None, span: None, misfits: Misfits::default() }
    }

    fn statement(&mut self, read: &Read, range: &Range) -> Result<String> {
        let session = self.session.as_mut().ok_or_else(lost)?;
        if self.facts.as_ref().is_none_or(|(table, _)| *table != read.table) {
            self.facts = Some((read.table.clone(), Facts::of(session, &read.table)?));
        }
        let Some((_, facts)) = &self.facts else { return Err(lost()) };
        let dialect = Mysql::NAMES;
        let mut asked = Vec::new();
        let mut columns = Vec::new();
        for cell in &read.cells {
            let own = facts.column(&cell.name)?;
            asked.push(decode::projection(own)?);
            columns.push(decode::column(own, cell));
        }
        if asked.is_empty() {
            asked.push("NULL".to_owned());
        }
        let (only, index) = only(&dialect, facts, range, &read.filter)?;
        let field = |cell: &Cell| Field::new(&cell.name, cell.kind.arrow(), true);
        let schema = Schema::new(read.cells.iter().map(field).collect::<Vec<_>>());
        self.span = Some(Reading { read: read.clone(), schema: Arc::new(schema), columns });
        let from = dialect.quote_table(&read.table)?;
        Ok(format!("SELECT {} FROM {from}{index}{only}", asked.join(", ")))
    }
}

/// The condition of a range, and the index that serves it.
fn only(
    dialect: &Mysql,
    facts: &Facts,
    range: &Range,
    filter: &str,
) -> Result<(String, &'static str)> {
    let (column, from, to) = match range {
        Range::Whole if filter.is_empty() => return Ok((String::new(), "")),
        Range::Whole => return Ok((format!(" WHERE ({filter})"), "")),
        Range::Keys { column, from, to } => (column, from, to),
        Range::Rows { columns, keys } => {
            let literal = |column: &str, value: &str| {
                end_literal(facts.column(column)?, value).ok_or_else(|| no_end(column))
            };
            return Ok((
                format!(" WHERE {}", listed(dialect, columns, keys, filter, literal)?),
                "",
            ));
        }
        Range::Pages { .. } => {
            return Err(EngineError::new(Kind::Unsupported, "MySQL has no pages to read by"));
        }
    };
    let own = facts.column(column)?;
    for end in [from, to].into_iter().flatten() {
        if end_literal(own, end).is_none() {
            return Err(no_end(column));
        }
    }
    let literal = |end: &str| end_literal(own, end).unwrap_or_default();
    let made = condition(dialect, column, (from.as_deref(), to.as_deref()), filter, literal)?;
    let index = if facts.first_key == *column { " FORCE INDEX (PRIMARY)" } else { "" };
    Ok(if made.is_empty() { (made, "") } else { (format!(" WHERE {made}"), index) })
}

fn no_end(column: &str) -> EngineError {
    let message = format!("an end of a range is no value of {column}");
    EngineError::new(Kind::InvalidField, message)
}

fn lost() -> EngineError {
    EngineError::new(Kind::SnapshotLost, "the reader's session is lost")
}

impl SpanReader for Reader<'_> {
    fn begin(&mut self, read: &Read, range: &Range) -> Result<()> {
        let session = self.session.as_mut().ok_or_else(lost)?;
        if session.is_open() {
            self.instant.interrupt(session);
        }
        if session.is_lost() {
            return Err(lost());
        }
        self.misfits = Misfits::default();
        let begun = self.statement(read, range).and_then(|statement| {
            let session = self.session.as_mut().ok_or_else(lost)?;
            Ok(session.begin(&statement)?)
        });
        begun.map_err(|error| error.at(read.table.shown()))
    }

    fn next(&mut self, _native: bool) -> Result<Option<Rows>> {
        let Some(span) = self.span.as_mut() else { return Ok(None) };
        let session = self.session.as_mut().ok_or_else(lost)?;
        let (span_rows, span_bytes) = (span.read.batch_rows.max(1), span.read.batch_bytes);
        let (mut rows, mut bytes) = (0, 0);
        let full = |rows, bytes| rows >= span_rows || (rows > 0 && bytes >= span_bytes);
        while session.is_open() && !full(rows, bytes) {
            let row = match session.row(span.read.row_bytes_max) {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(Fault { error, .. }) => return Err(error.at(span.read.table.shown())),
            };
            bytes += row.len();
            if span.take(row, &mut self.misfits)? {
                rows += 1;
            }
        }
        if rows == 0 {
            return Ok(None);
        }
        span.batch().map(|batch| Some(Rows::Batch(batch)))
    }

    fn misfits(&mut self) -> Misfits {
        std::mem::take(&mut self.misfits)
    }
}

impl Reading {
    /// Takes a row; `false` where it is rejected.
    #[inline]
    fn take(&mut self, row: &[u8], misfits: &mut Misfits) -> Result<bool> {
        if row.len() > self.read.row_bytes_max {
            let message = format!("a row takes {} bytes", row.len());
            return Err(self.error(Kind::RowTooLarge, message));
        }
        let mut cut = Cut(row);
        let mut at = 0;
        for column in &mut self.columns {
            match cut.cell() {
                Some(Some(value)) => match column.take(value) {
                    Ok(changed) => misfits.changed += u64::from(changed),
                    Err(why) => return self.refuse(row, at, why, misfits),
                },
                Some(None) => column.null(),
                None => return Err(self.error(Kind::RemoteAnswer, "a row is cut".to_owned())),
            }
            at += 1;
        }
        if !cut.0.is_empty() && at > 0 {
            return Err(self.error(Kind::RemoteAnswer, "a row has too many values".to_owned()));
        }
        Ok(true)
    }

    #[cold]
    fn refuse(&mut self, row: &[u8], at: usize, why: &str, misfits: &mut Misfits) -> Result<bool> {
        let Some(cell) = self.read.cells.get(at) else { return Ok(false) };
        let error = self.error(Kind::ValueRefused, format!("{} {why}", cell.name));
        if cell.misfit != Misfit::Reject {
            return Err(error);
        }
        for column in self.columns.iter_mut().take(at) {
            column.pop();
        }
        let mut cut = Cut(row);
        let value = |cell: &Cell| Some((cell.name.clone(), cut.cell()?.map(<[u8]>::to_vec)));
        let row = self.read.cells.iter().map_while(value).collect();
        misfits.rejected.push(Reject { row, column: cell.name.clone(), error });
        Ok(false)
    }

    fn error(&self, kind: Kind, message: String) -> EngineError {
        EngineError::new(kind, message).at(self.read.table.shown())
    }

    fn batch(&mut self) -> Result<RecordBatch> {
        let arrays = self.columns.iter_mut().map(|column| column.finish());
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        RecordBatch::try_new(Arc::clone(&self.schema), arrays)
            .map_err(|error| self.error(Kind::Internal, format!("a batch: {error}")))
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.instant.give_back(session);
        }
    }
}
