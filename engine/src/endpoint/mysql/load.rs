//! `LOAD DATA LOCAL INFILE`, from memory.
//!
//! With `LOCAL` the server turns errors of rows into warnings, in strict mode too, and leaves rows out.
//! So every count of its answer must be what was sent, and any warning at all is a refusal.

use arrow_array::RecordBatch;

use crate::endpoint::rows::WriteFault;
use crate::endpoint::sql::dialect::Dialect as _;
use crate::error::{EngineError, Kind, Result};

use super::dialect::Mysql;
use super::encode::{Field, Form, Values};
use super::error::Fault;
use super::session::{Done, FILE, Session};

/// Bytes of one packet of rows.
const PACKET: usize = 1 << 20;

/// The statement that loads into a table, quoted already.
///
/// # Errors
/// `NameRefused`.
pub(super) fn statement(table: &str, fields: &[Field]) -> Result<String> {
    let dialect = Mysql::NAMES;
    let (mut into, mut set) = (Vec::new(), Vec::new());
    for (at, field) in fields.iter().enumerate() {
        let name = dialect.quote(&field.own.name)?;
        if field.converted {
            into.push(format!("@v{at}"));
            set.push(format!("{name} = CONVERT(@v{at} USING utf8mb4)"));
        } else {
            into.push(name);
        }
    }
    let set = if set.is_empty() { String::new() } else { format!(" SET {}", set.join(", ")) };
    Ok(format!(
        "LOAD DATA LOCAL INFILE '{FILE}' INTO TABLE {table} CHARACTER SET binary \
         FIELDS TERMINATED BY '\\t' ESCAPED BY '\\\\' LINES TERMINATED BY '\\n' ({}){set}",
        into.join(", ")
    ))
}

/// Refusals of any load at all: it was switched off, here or there.
const OFF: [u16; 3] = [1148, 3948, 4166];

/// Loads a batch. `Ok(false)` where the server takes no loads any more; nothing was loaded then.
///
/// # Errors
/// `WriteFault::Row` where the server took anything otherwise than it was sent.
pub(super) fn load(
    session: &mut Session,
    statement: &str,
    fields: &[Field],
    batch: &RecordBatch,
) -> Result<bool, WriteFault> {
    let values = columns(batch)?;
    let (mut row, mut refused) = (0, None);
    let done = session.load(statement, &mut |out| {
        while row < batch.num_rows() && refused.is_none() && out.len() < PACKET {
            let at = out.len();
            if let Err(error) = line(fields, &values, row, out) {
                out.truncate(at);
                refused = Some(error);
            }
            row += 1;
        }
    });
    let done = match done {
        Ok(done) => done,
        Err(fault) if OFF.contains(&fault.number) => return Ok(false),
        Err(fault) => return Err(fault.writing()),
    };
    if let Some(error) = refused {
        return Err(WriteFault::Row(error));
    }
    let rows = batch.num_rows() as u64;
    let counts: Vec<u64> =
        done.info.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    if done.warnings == 0 && done.affected == rows && counts == [rows, 0, 0, 0] {
        return Ok(true);
    }
    Err(surprise(session, &done, rows))
}

fn line(fields: &[Field], values: &[Values<'_>], row: usize, out: &mut Vec<u8>) -> Result<()> {
    let mut end = None;
    for (field, values) in fields.iter().zip(values) {
        out.extend(end);
        field.put(values, row, Form::Field, out).map_err(|why| refused(field, row, why))?;
        end = Some(b'\t');
    }
    out.push(b'\n');
    Ok(())
}

/// The columns of a batch.
///
/// # Errors
/// `WriteFault::Job` for an array that no kind travels in.
pub(super) fn columns(batch: &RecordBatch) -> Result<Vec<Values<'_>>, WriteFault> {
    let columns = batch.columns().iter().map(|array| Values::of(array.as_ref()));
    columns.collect::<Result<_>>().map_err(WriteFault::Job)
}

/// A row that this side does not send.
pub(super) fn refused(field: &Field, row: usize, why: &str) -> EngineError {
    let message = format!("{} of row {} of a batch {why}", field.own.name, row + 1);
    EngineError::new(Kind::RowRefused, message)
}

/// What the server did otherwise than it was told, in its own words.
pub(super) fn surprise(session: &mut Session, done: &Done, rows: u64) -> WriteFault {
    let warnings = match session.warnings() {
        Ok(warnings) => warnings,
        Err(fault) => return fault.writing(),
    };
    let message = match warnings.into_iter().next() {
        Some((number, text)) => Fault::refused(number, text.as_bytes()).error.to_string(),
        None => format!("{} of {rows} rows were taken: {}", done.affected, done.info),
    };
    WriteFault::Row(EngineError::new(Kind::RowRefused, message))
}
