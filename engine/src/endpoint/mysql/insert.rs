//! `INSERT` of several rows, for servers that take no loads.

use arrow_array::RecordBatch;

use crate::endpoint::rows::WriteFault;
use crate::endpoint::sql::dialect::Dialect as _;
use crate::error::{EngineError, Kind, Result};

use super::dialect::Mysql;
use super::encode::{Field, Form, Values};
use super::error::Fault;
use super::load::{columns, refused, surprise};
use super::session::Session;

/// Bytes of a statement after which it is sent.
const STATEMENT: usize = 1 << 20;

/// The beginning of the statement that inserts into a table, quoted already.
///
/// # Errors
/// `NameRefused`.
pub(super) fn statement(table: &str, fields: &[Field]) -> Result<String> {
    let names = fields.iter().map(|field| field.own.name.as_str());
    Ok(format!("INSERT INTO {table} ({}) VALUES ", Mysql::NAMES.quote_all(names)?))
}

/// Inserts a batch by statements of at most `packet` bytes.
///
/// # Errors
/// `WriteFault::Row` where the server refused a row or changed one.
pub(super) fn insert(
    session: &mut Session,
    head: &str,
    fields: &[Field],
    batch: &RecordBatch,
    packet: usize,
) -> Result<(), WriteFault> {
    let values = columns(batch)?;
    let (mut sql, mut rows) = (head.as_bytes().to_vec(), 0u64);
    let most = STATEMENT.min(packet);
    for row in 0..batch.num_rows() {
        let at = sql.len();
        line(fields, &values, row, rows > 0, &mut sql).map_err(WriteFault::Row)?;
        if sql.len() > most && rows > 0 {
            let last = sql.split_off(at);
            send(session, &sql, rows)?;
            sql.truncate(head.len());
            sql.extend_from_slice(last.strip_prefix(b",").unwrap_or(&last));
            rows = 0;
        }
        if sql.len() >= packet {
            let message = format!("row {} of a batch takes {} bytes", row + 1, sql.len());
            let error = EngineError::new(Kind::RowTooLarge, message);
            return Err(WriteFault::Row(error.hint("max_allowed_packet of the server is less")));
        }
        rows += 1;
    }
    if rows > 0 { send(session, &sql, rows) } else { Ok(()) }
}

fn line(
    fields: &[Field],
    values: &[Values<'_>],
    row: usize,
    follows: bool,
    out: &mut Vec<u8>,
) -> Result<()> {
    out.extend_from_slice(if follows { b",(" } else { b"(" });
    let mut comma = None;
    for (field, values) in fields.iter().zip(values) {
        out.extend(comma);
        field.put(values, row, Form::Literal, out).map_err(|why| refused(field, row, why))?;
        comma = Some(b',');
    }
    out.push(b')');
    Ok(())
}

fn send(session: &mut Session, sql: &[u8], rows: u64) -> Result<(), WriteFault> {
    let done = session.run_bytes(sql).map_err(Fault::writing)?;
    if done.warnings == 0 && done.affected == rows {
        return Ok(());
    }
    Err(surprise(session, &done, rows))
}
