//! Ranges of a table by the first column of its primary key, in the order of the server.

use crate::endpoint::sql::dialect::Dialect as _;
use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::Table;
use crate::model::kind::ColumnType;
use crate::model::rows::Range;

use super::dialect::Mysql;
use super::escape::{hex, literal};
use super::facts::Own;
use super::session::Session;

/// Ranges of one table at most.
const RANGES_MAX: usize = 100_000;

/// The end of a range as a literal; `None` for a type whose order this does not keep, or an end that
/// is none of its type. Ends come from a plan, which may have been changed by anybody.
pub(super) fn end_literal(own: &Own, end: &str) -> Option<String> {
    use ColumnType::{Date, Decimal, Duration, Int, Timestamp, TimestampTz, Unsigned, Uuid, Year};
    let of_bytes = |introducer: &str, bytes: &[u8]| {
        let mut out = introducer.as_bytes().to_vec();
        hex(bytes, &mut out);
        String::from_utf8(out).ok()
    };
    match &own.kind {
        ColumnType::Bool | Int(_) | Unsigned(_) | Decimal(_) | Year => {
            let digits = end.strip_prefix('-').unwrap_or(end);
            let plain = |c: char| c.is_ascii_digit() || c == '.';
            (digits.starts_with(|c: char| c.is_ascii_digit()) && digits.chars().all(plain))
                .then(|| end.to_owned())
        }
        ColumnType::Char(_) | ColumnType::Text(_) => of_bytes("_utf8mb4 ", end.as_bytes()),
        ColumnType::FixedBytes(_) | ColumnType::Bytes(_) => {
            let is_hex = end.len().is_multiple_of(2) && end.bytes().all(|b| b.is_ascii_hexdigit());
            is_hex.then(|| format!("X'{end}'"))
        }
        Date | Timestamp | TimestampTz | Duration | Uuid => Some(literal(end)),
        _ => None,
    }
}

/// What gives an end's text.
fn end_text(own: &Own, name: &str) -> String {
    match own.kind {
        ColumnType::FixedBytes(_) | ColumnType::Bytes(_) => format!("HEX({name})"),
        ColumnType::Char(_) | ColumnType::Text(_) => format!("CONVERT({name} USING utf8mb4)"),
        _ => name.to_owned(),
    }
}

/// Walks along the key, `rows` rows at a time.
///
/// # Errors
/// Those of the server.
pub(super) fn split(
    session: &mut Session,
    table: &Table,
    own: &Own,
    filter: &str,
    rows: u64,
) -> Result<Vec<Range>> {
    if end_literal(own, "0").or_else(|| end_literal(own, "00")).is_none() {
        return Ok(vec![Range::Whole]);
    }
    let dialect = Mysql::NAMES;
    let (name, from) = (dialect.quote(&own.name)?, dialect.quote_table(&table.name)?);
    let text = end_text(own, &name);
    let filter = if filter.is_empty() { String::new() } else { format!(" AND ({filter})") };
    let mut ends: Vec<String> = Vec::new();
    while ends.len() < RANGES_MAX {
        let last = ends.last().map(|end| end_literal(own, end).ok_or_else(|| odd(end)));
        let last = last.transpose()?;
        let (greater, above) = match &last {
            Some(last) => (format!("{name} > {last}"), format!("{name} >= {last}")),
            None => ("TRUE".to_owned(), "TRUE".to_owned()),
        };
        let index = format!("{from} FORCE INDEX (PRIMARY)");
        let far = session.lines(&format!(
            "SELECT {text}, {greater} FROM {index} WHERE {above}{filter} ORDER BY {name} \
             LIMIT 1 OFFSET {rows}",
            rows = rows.max(1)
        ))?;
        let Some(line) = far.into_iter().next() else { break };
        let mut parts = line.into_iter();
        let end = parts.next().flatten();
        let next = match parts.next().flatten().as_deref() {
            // More than `rows` rows with one value: the next value ends them. The first range too
            // may begin with such a run, whose value would be an empty range's end: that is harmless.
            Some("0") => session.value(&format!(
                "SELECT {text} FROM {index} WHERE {greater}{filter} ORDER BY {name} LIMIT 1"
            ))?,
            _ => end,
        };
        match next {
            Some(next) => ends.push(next),
            None => break,
        }
    }
    Ok(ranges(&own.name, ends))
}

fn odd(end: &str) -> EngineError {
    EngineError::new(Kind::Internal, format!("a key has no literal: {end}"))
}

fn ranges(column: &str, ends: Vec<String>) -> Vec<Range> {
    if ends.is_empty() {
        return vec![Range::Whole];
    }
    let mut from = None;
    let mut ranges = Vec::with_capacity(ends.len() + 1);
    for end in ends.into_iter().map(Some).chain([None]) {
        ranges.push(Range::Keys { column: column.to_owned(), from, to: end.clone() });
        from = end;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(kind: ColumnType) -> Own {
        let (name, base) = ("k".to_owned(), String::new());
        Own { name, base, kind, charset: None, nullable: false, fraction: None }
    }

    #[test]
    fn ends_are_values_and_never_statements() {
        let of = |kind, end: &str| end_literal(&own(kind), end);
        assert_eq!(of(ColumnType::Int(64), "-5").as_deref(), Some("-5"));
        assert_eq!(of(ColumnType::Int(64), "0 OR 1=1"), None);
        assert_eq!(of(ColumnType::Bytes(None), "00ff").as_deref(), Some("X'00ff'"));
        assert_eq!(of(ColumnType::Bytes(None), "00' OR '"), None);
        assert_eq!(of(ColumnType::Text(None), "é'").as_deref(), Some("_utf8mb4 X'C3A927'"));
        assert_eq!(of(ColumnType::Date, "1' OR '1").as_deref(), Some(r"'1\' OR \'1'"));
        assert_eq!(of(ColumnType::Enum(Vec::new()), "a"), None);
    }

    #[test]
    fn ranges_are_open_at_both_ends_and_meet() {
        let made = ranges("k", vec!["3".to_owned(), "7".to_owned()]);
        let range = |from: Option<&str>, to: Option<&str>| Range::Keys {
            column: "k".to_owned(),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
        };
        let expected =
            [range(None, Some("3")), range(Some("3"), Some("7")), range(Some("7"), None)];
        assert_eq!(made, expected);
        assert_eq!(ranges("k", Vec::new()), [Range::Whole]);
    }
}
