//! Parts of a table, and the statement that reads one.

use rusqlite::Connection;
use rusqlite::types::{Value, ValueRef};

use crate::endpoint::sql::dialect::Dialect;
use crate::endpoint::sql::range::listed;
use crate::endpoint::sqlite::catalog;
use crate::endpoint::sqlite::dialect::Sqlite;
use crate::endpoint::sqlite::session::Place;
use crate::error::{EngineError, Kind, Result};
use crate::model::rows::Range;

/// How the rows of a table are told apart and ordered by its own tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The columns of the key: one that is the rowid, or the primary key of a table without rowids;
    /// none where the table's columns hide the rowid.
    pub columns: Vec<String>,
}

/// The order of a table.
///
/// # Errors
/// Those of the library.
pub fn order(session: &Connection, table: &str) -> rusqlite::Result<Order> {
    let sql = "SELECT name, pk, type FROM pragma_table_xinfo(?1) ORDER BY pk";
    let mut statement = session.prepare_cached(sql)?;
    let columns: Vec<(String, i64, String)> = statement
        .query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let keys = columns.iter().filter(|(_, key, _)| *key > 0);
    let keys: Vec<String> = keys.map(|(name, ..)| name.clone()).collect();
    if catalog::without_rowid(session, table)? {
        return Ok(Order { columns: keys });
    }
    let declared =
        columns.iter().find(|(_, key, _)| *key == 1).map(|(.., declared)| declared.as_str());
    if catalog::is_rowid(session, table, &keys, declared)? {
        return Ok(Order { columns: keys });
    }
    let hidden = |name: &&str| columns.iter().any(|(own, ..)| own.eq_ignore_ascii_case(name));
    let name = ["rowid", "_rowid_", "oid"].into_iter().find(|name| !hidden(name));
    Ok(Order { columns: name.map(str::to_owned).into_iter().collect() })
}

/// An end of a range as text: digits for an integer, else the class and the value.
#[must_use]
pub fn end_text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(value) => Some(value.to_string()),
        ValueRef::Real(value) => Some(format!("r{:016x}", value.to_bits())),
        ValueRef::Text(text) => Some(format!("'{}", std::str::from_utf8(text).ok()?)),
        ValueRef::Blob(bytes) => {
            let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
            Some(std::iter::once("x".to_owned()).chain(digits).collect())
        }
    }
}

/// The value of [`end_text`].
#[must_use]
pub fn end_value(text: &str) -> Option<Value> {
    if let Some(text) = text.strip_prefix('\'') {
        return Some(Value::Text(text.to_owned()));
    }
    if let Some(digits) = text.strip_prefix('r') {
        return u64::from_str_radix(digits, 16).ok().map(|bits| Value::Real(f64::from_bits(bits)));
    }
    if let Some(digits) = text.strip_prefix('x') {
        let pairs = digits
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        return pairs.collect::<Option<Vec<u8>>>().map(Value::Blob);
    }
    text.parse().ok().map(Value::Integer)
}

/// The condition of a range and a filter, with the ends that are bound to it in order; empty for every
/// row. No key that a range is about is ever NULL.
///
/// # Errors
/// `Unsupported` for a range that is not of SQLite's.
pub fn condition(range: &Range, filter: &str) -> Result<(String, Vec<Value>)> {
    let (mut parts, mut ends) = (Vec::new(), Vec::new());
    match range {
        Range::Whole => {}
        Range::Keys { column, from, to } => {
            let column = Sqlite.quote(column)?;
            for (end, sign) in [(from, ">="), (to, "<")] {
                let Some(end) = end else { continue };
                let Some(end) = end_value(end) else { return Err(foreign()) };
                ends.push(end);
                parts.push(format!("{column} {sign} ?{}", ends.len()));
            }
        }
        Range::Rows { columns, keys } => {
            let bound = |_: &str, value: &str| {
                ends.push(end_value(value).ok_or_else(foreign)?);
                Ok(format!("?{}", ends.len()))
            };
            parts.push(listed(&Sqlite, columns, keys, "", bound)?);
        }
        Range::Pages { .. } => return Err(foreign()),
    }
    if !filter.is_empty() {
        // A comment at its end must not reach further.
        parts.push(format!("({filter}\n)"));
    }
    let all =
        if parts.is_empty() { String::new() } else { format!(" WHERE {}", parts.join(" AND ")) };
    Ok((all, ends))
}

fn foreign() -> EngineError {
    EngineError::new(Kind::Unsupported, "the range is not one of SQLite's")
}

/// Cuts a table: every `rows`-th key of its tree begins a range.
///
/// # Errors
/// Those of the library; names that cannot be quoted.
pub fn cut(
    session: &Connection,
    place: &Place,
    table: &str,
    filter: &str,
    rows: u64,
) -> Result<Vec<Range>> {
    let failed = |error| place.error("failed to cut the table into ranges", &error);
    let order = order(session, table).map_err(failed)?;
    let Some(column) = order.columns.first() else { return Ok(vec![Range::Whole]) };
    let (name, from) = (Sqlite.quote(column)?, Sqlite.quote(table)?);
    let (condition, _) = condition(&Range::Whole, filter)?;
    let sql = format!("SELECT {name} FROM {from}{condition} ORDER BY {name}");
    ends(session, &sql, rows.max(1)).map_err(failed).map(|ends| ranges(column, ends))
}

fn ends(session: &Connection, sql: &str, rows: u64) -> rusqlite::Result<Vec<String>> {
    let mut statement = session.prepare(sql)?;
    let mut found = statement.query([])?;
    let mut ends: Vec<String> = Vec::new();
    let mut since = 0;
    while let Some(row) = found.next()? {
        // Rows that share the first column of a key stay together.
        if since >= rows
            && let Some(end) = end_text(row.get_ref(0)?)
            && ends.last() != Some(&end)
        {
            ends.push(end);
            since = 0;
        }
        since += 1;
    }
    Ok(ends)
}

fn ranges(column: &str, ends: Vec<String>) -> Vec<Range> {
    if ends.is_empty() {
        return vec![Range::Whole];
    }
    let froms = std::iter::once(None).chain(ends.iter().cloned().map(Some));
    let tos = ends.iter().cloned().map(Some).chain(std::iter::once(None));
    let range = |(from, to)| Range::Keys { column: column.to_owned(), from, to };
    froms.zip(tos).map(range).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ends_come_back(integer: i64, real: f64, text in "\\PC*", bytes: Vec<u8>) {
            for value in [Value::Integer(integer), Value::Real(real), Value::Text(text), Value::Blob(bytes)] {
                let end = end_text(ValueRef::from(&value)).unwrap();
                match (end_value(&end).unwrap(), value) {
                    (Value::Real(a), Value::Real(b)) => prop_assert_eq!(a.to_bits(), b.to_bits()),
                    (a, b) => prop_assert_eq!(a, b),
                }
            }
        }
    }
}
