//! The statement that removes the rows of a range, whoever chose its ends.

use crate::endpoint::sql::dialect::Dialect;
use crate::endpoint::sqlite::dialect::Sqlite;
use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::Table;
use crate::model::forms;
use crate::model::kind::ColumnType;
use crate::model::rows::Range;

/// The statement.
///
/// # Errors
/// `Unsupported` for a range whose ends have another order here.
pub fn statement(table: &Table, range: &Range) -> Result<String> {
    let rows = Sqlite.quote(&table.name.name)?;
    let unsupported = || {
        EngineError::new(Kind::Unsupported, "SQLite cannot tell the rows of this range apart")
            .at(table.name.shown())
    };
    let (column, from, to) = match range {
        Range::Whole => return Ok(format!("DELETE FROM {rows}")),
        Range::Keys { column, from, to } => (column, from, to),
        Range::Pages { .. } | Range::Rows { .. } => return Err(unsupported()),
    };
    let kind = table.column(column).map(|column| &column.kind).ok_or_else(unsupported)?;
    let name = Sqlite.quote(column)?;
    let mut parts = Vec::new();
    if let Some(from) = from {
        parts.push(bound(kind, &name, ">=", from).ok_or_else(unsupported)?);
    }
    if let Some(to) = to {
        parts.push(bound(kind, &name, "<", to).ok_or_else(unsupported)?);
    }
    let null = if from.is_none() { format!(" OR {name} IS NULL") } else { String::new() };
    let all = if parts.is_empty() { "1".to_owned() } else { parts.join(" AND ") };
    Ok(format!("DELETE FROM {rows} WHERE ({all}){null}"))
}

/// The condition for values on one side of an end.
fn bound(kind: &ColumnType, name: &str, sign: &str, end: &str) -> Option<String> {
    let mut text = String::new();
    match kind {
        ColumnType::Int(_) | ColumnType::Unsigned(_) | ColumnType::Year => {
            let end: i64 = end.parse().ok()?;
            return Some(format!("{name} {sign} {end}"));
        }
        ColumnType::Date => forms::write_date(&mut text, forms::read_date(end)?),
        ColumnType::Timestamp => {
            forms::write_timestamp(&mut text, forms::read_timestamp(end, false)?, "");
        }
        ColumnType::TimestampTz => {
            forms::write_timestamp(&mut text, forms::read_timestamp(end, true)?, "+00:00");
        }
        _ => return None,
    }
    // Text of years of four digits sorts as time does. What begins with another character lies on
    // one side of all of it: `-` before, `+` and `infinity` behind.
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let beyond = if sign == "<" { "-" } else { "+i" };
    let end = Sqlite.literal(&text);
    Some(format!("({name} GLOB '[0-9]*' AND {name} {sign} {end} OR {name} GLOB '[{beyond}]*')"))
}
