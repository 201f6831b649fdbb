//! Cuts a table into ranges: by the first column of its key, whose order and equality are the
//! server's own; by pages of its heap where there is no such key.

use crate::endpoint::postgres::dialect::literal;
use crate::endpoint::postgres::error::Done;
use crate::endpoint::postgres::session::Session;
use crate::endpoint::postgres::snapshot::{Instant, filtered};
use crate::endpoint::sql::dialect::Dialect as _;
use crate::error::Result;
use crate::model::catalog::{Table, TableName};
use crate::model::kind::ColumnType;
use crate::model::rows::Range;

/// Version from which a range of pages is read without reading the others.
const TID_RANGES: u32 = 140_000;
/// Pages whose rows are counted to tell how many a page holds.
const SAMPLE_PAGES: u64 = 64;
/// Ranges of a table at most.
const RANGES_MAX: usize = 1 << 20;

/// Cuts a table.
///
/// # Errors
/// Those of the server.
pub(super) fn split(
    instant: &Instant,
    table: &Table,
    filter: &str,
    rows: u64,
) -> Result<Vec<Range>> {
    let rows = rows.max(1);
    instant.with("failed to split the table", |session| match key(table) {
        Some(column) => by_key(instant, session, table, column, filter, rows),
        None => by_pages(instant, session, table, rows),
    })
}

/// The first column of the key, if its values can be told by their texts.
fn key(table: &Table) -> Option<&str> {
    let name = table.primary_key.as_ref()?.columns.first()?;
    let column = table.column(name)?;
    (!matches!(column.kind, ColumnType::Other(_))).then_some(name)
}

fn by_key(
    instant: &Instant,
    session: &mut Session,
    table: &Table,
    column: &str,
    filter: &str,
    rows: u64,
) -> Done<Vec<Range>> {
    let name = instant.dialect.quote(column)?;
    let from = instant.from(&table.name, table.partitioned)?;
    let filter = filtered(filter);
    let and = if filter.is_empty() { " WHERE" } else { " AND" };
    let least = format!("SELECT {name} FROM {from}{filter} ORDER BY 1 LIMIT 1");
    let Some(mut last) = session.query(&least)?.first().map(|row| literal(&row.text(0))) else {
        return Ok(vec![Range::Whole]);
    };
    let mut ends: Vec<String> = Vec::new();
    while ends.len() < RANGES_MAX {
        let walk = format!(
            "SELECT {name}, {name} = {last} FROM {from}{filter}{and} {name} >= {last} \
             ORDER BY 1 OFFSET {rows} LIMIT 1"
        );
        let found = session.query(&walk)?;
        let Some(row) = found.first() else { break };
        // Where more rows than a range has share a value, the next one begins behind them.
        let next = if row.is(1) {
            let jump = format!(
                "SELECT {name} FROM {from}{filter}{and} {name} > {last} ORDER BY 1 LIMIT 1"
            );
            session.query(&jump)?.first().map(|row| row.text(0))
        } else {
            Some(row.text(0))
        };
        match next {
            Some(next) => {
                last = literal(&next);
                ends.push(next);
            }
            None => break,
        }
    }
    Ok(between(column, ends))
}

/// The ranges between these ends.
fn between(column: &str, ends: Vec<String>) -> Vec<Range> {
    if ends.is_empty() {
        return vec![Range::Whole];
    }
    let mut ranges = Vec::with_capacity(ends.len() + 1);
    let mut from = None;
    for to in ends.into_iter().map(Some).chain([None]) {
        ranges.push(Range::Keys { column: column.to_owned(), from, to: to.clone() });
        from = to;
    }
    ranges
}

fn by_pages(
    instant: &Instant,
    session: &mut Session,
    table: &Table,
    rows: u64,
) -> Done<Vec<Range>> {
    if !table.partitioned {
        let ranges = pages(instant, session, &table.name, rows)?;
        return Ok(if ranges.len() == 1 { vec![Range::Whole] } else { ranges });
    }
    let root = literal(&instant.dialect.quote_table(&table.name)?);
    let leaves = session.query(&format!(
        "SELECT n.nspname, c.relname, c.relkind FROM pg_catalog.pg_partition_tree({root}) p \
         JOIN pg_catalog.pg_class c ON c.oid = p.relid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE p.isleaf ORDER BY 1, 2"
    ))?;
    let mut ranges = Vec::new();
    for leaf in leaves {
        let child = TableName { schema: leaf.text(0), name: leaf.text(1) };
        match leaf.get(2) {
            Some("r") => ranges.extend(pages(instant, session, &child, rows)?),
            // Tables of other servers have no pages here.
            _ => ranges.push(Range::Pages { child, from: 0, to: None }),
        }
    }
    Ok(if ranges.is_empty() { vec![Range::Whole] } else { ranges })
}

/// Ranges of a heap's pages. The last is open, whatever the table grows to.
fn pages(
    instant: &Instant,
    session: &mut Session,
    child: &TableName,
    rows: u64,
) -> Done<Vec<Range>> {
    let whole = vec![Range::Pages { child: child.clone(), from: 0, to: None }];
    if session.version < TID_RANGES {
        return Ok(whole);
    }
    let name = instant.dialect.quote_table(child)?;
    let size = format!(
        "SELECT pg_catalog.pg_relation_size({}) / current_setting('block_size')::bigint",
        literal(&name)
    );
    let count: u64 = session.query(&size)?.first().and_then(|row| row.number(0)).unwrap_or(0);
    let sample = count.min(SAMPLE_PAGES);
    if sample == 0 {
        return Ok(whole);
    }
    let counting = format!("SELECT count(*) FROM ONLY {name} WHERE ctid < '({sample},0)'");
    let seen: u64 = session.query(&counting)?.first().and_then(|row| row.number(0)).unwrap_or(0);
    let step = (u128::from(rows) * u128::from(sample) / u128::from(seen.max(1))).max(1);
    let step = u64::try_from(step).unwrap_or(u64::MAX);
    let mut ranges = Vec::new();
    let mut from = 0_u64;
    while let Some(to) = from.checked_add(step).filter(|to| *to < count)
        && ranges.len() < RANGES_MAX
    {
        ranges.push(Range::Pages { child: child.clone(), from, to: Some(to) });
        from = to;
    }
    ranges.push(Range::Pages { child: child.clone(), from, to: None });
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_and_are_open_at_both_ends() {
        assert_eq!(between("k", Vec::new()), [Range::Whole]);
        let key = |from: Option<&str>, to: Option<&str>| Range::Keys {
            column: "k".to_owned(),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
        };
        let ranges = between("k", vec!["1".to_owned(), "5".to_owned()]);
        let joined = [key(None, Some("1")), key(Some("1"), Some("5")), key(Some("5"), None)];
        assert_eq!(ranges, joined);
    }
}
