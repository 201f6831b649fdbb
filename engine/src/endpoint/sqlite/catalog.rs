//! Everything in a database.

use rusqlite::{Connection, Row};

use crate::endpoint::sql::dialect::Dialect;
use crate::endpoint::sql::ledger;
use crate::endpoint::sqlite::ddl::{self, Parts};
use crate::endpoint::sqlite::dialect::Sqlite;
use crate::endpoint::sqlite::types;
use crate::model::catalog::{
    Action, Catalog, Check, Column, DefaultValue, Engine, ForeignKey, Generated, Identity, Index,
    IndexColumn, Key, Other, Table, TableName,
};
use crate::model::kind::ColumnType;

/// Reads it. `identity`: what tells this file from every other.
///
/// # Errors
/// Those of the library.
pub fn read(session: &Connection, identity: String) -> rusqlite::Result<Catalog> {
    let mut tables = Vec::new();
    for (name, strict) in table_names(session)? {
        if !ledger::is_ours(&name) {
            tables.push(table(session, &name, strict)?);
        }
    }
    Ok(Catalog {
        schema: String::new(),
        engine: Engine::Sqlite,
        version: format!("SQLite {}", rusqlite::version()),
        identity,
        tables,
        others: others(session)?,
    })
}

/// A name: one that is not UTF-8 is no name that could be written.
fn text(row: &Row<'_>, at: usize) -> rusqlite::Result<String> {
    Ok(row.get::<_, Option<String>>(at)?.unwrap_or_default())
}

fn all<T>(
    session: &Connection,
    sql: &str,
    name: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let mut statement = session.prepare_cached(sql)?;
    statement.query_map([name], read)?.collect()
}

fn table_names(session: &Connection) -> rusqlite::Result<Vec<(String, bool)>> {
    let sql = "SELECT name, strict FROM pragma_table_list WHERE schema = ?1 AND type = 'table' \
               AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    all(session, sql, "main", |row| Ok((text(row, 0)?, row.get(1)?)))
}

fn others(session: &Connection) -> rusqlite::Result<Vec<Other>> {
    let sql = "SELECT type, name, sql FROM sqlite_schema WHERE type IN ('view', 'trigger') \
               OR (type = ?1 AND sql LIKE 'CREATE VIRTUAL%') ORDER BY name";
    let mut found = all(session, sql, "table", |row| {
        let what = match text(row, 0)?.as_str() {
            "view" => "view",
            "trigger" => "trigger",
            _ => "virtual table",
        };
        Ok(Other { what, name: named(&text(row, 1)?), definition: text(row, 2)? })
    })?;
    let sql = "SELECT name, sql FROM sqlite_schema WHERE type = ?1 AND sql LIKE '%collate%'";
    for (name, sql) in all(session, sql, "table", |row| Ok((text(row, 0)?, text(row, 1)?)))? {
        let collations = ddl::collations(&sql);
        found.extend(collations.into_iter().map(|collation| Other {
            what: "collation",
            name: named(&name),
            definition: format!("COLLATE {collation}"),
        }));
    }
    Ok(found)
}

fn named(name: &str) -> TableName {
    TableName { schema: String::new(), name: name.to_owned() }
}

fn table(session: &Connection, name: &str, strict: bool) -> rusqlite::Result<Table> {
    let sql = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    let statement = all(session, sql, name, |row| text(row, 0))?.pop().unwrap_or_default();
    let parts = ddl::parts(&statement);
    let mut found = columns(session, name, strict, &parts)?;
    found.sort_by_key(|found| found.key);
    let keys = found.iter().filter(|found| found.key > 0);
    let key: Vec<String> = keys.map(|found| found.column.name.clone()).collect();
    found.sort_by_key(|found| found.place);
    let mut columns: Vec<Column> = found.into_iter().map(|found| found.column).collect();
    let first = columns.iter().find(|column| key.first() == Some(&column.name));
    let alias = is_rowid(session, name, &key, first.map(|column| column.declared.as_str()))?;
    if let Some(column) = columns.iter_mut().find(|column| alias && key.contains(&column.name)) {
        column.nullable = false;
        column.identity =
            Some(Identity { always: false, next: next(session, name, &column.name)?, step: 1 });
    }
    let checks = parts.checks.iter().enumerate().map(|(at, (own, expression))| Check {
        name: if own.is_empty() { format!("{name}_check{}", at + 1) } else { own.clone() },
        expression: expression.clone(),
    });
    Ok(Table {
        name: named(name),
        columns,
        primary_key: (!key.is_empty()).then(|| Key { name: String::new(), columns: key }),
        indexes: indexes(session, name)?,
        foreign_keys: foreign_keys(session, name)?,
        checks: checks.collect(),
        rows_estimate: estimate(session, name)?,
        ..Table::default()
    })
}

struct Found {
    place: i64,
    /// The place in the primary key, from 1.
    key: i64,
    column: Column,
}

fn columns(
    session: &Connection,
    table: &str,
    strict: bool,
    parts: &Parts,
) -> rusqlite::Result<Vec<Found>> {
    let sql =
        "SELECT cid, name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?1)";
    all(session, sql, table, |row| {
        let (name, declared) = (text(row, 1)?, text(row, 2)?);
        let hidden: i64 = row.get(6)?;
        let expression =
            parts.generated.iter().find(|(column, _)| column.eq_ignore_ascii_case(&name));
        let generated = (hidden > 1).then(|| Generated {
            expression: expression.map_or(String::new(), |(_, text)| text.clone()),
            stored: hidden == 3,
        });
        let kind = match strict {
            true if declared.eq_ignore_ascii_case("ANY") => ColumnType::Any,
            _ => types::kind(&declared),
        };
        let column = Column {
            kind,
            declared,
            nullable: !row.get::<_, bool>(3)?,
            default: row.get::<_, Option<String>>(4)?.and_then(|text| default(&text)),
            identity: None,
            generated,
            comment: String::new(),
            name,
        };
        Ok(Found { place: row.get(0)?, key: row.get(5)?, column })
    })
}

/// What a default's text says.
fn default(text: &str) -> Option<DefaultValue> {
    let inner = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
    let inner = inner.filter(|inner| !inner.replace("''", "").contains('\''));
    if let Some(inner) = inner {
        return Some(DefaultValue::Text(inner.replace("''", "'")));
    }
    let number = text.trim_start_matches(['+', '-']);
    let digits = number.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let plain = digits && text.parse::<f64>().is_ok();
    match text.to_ascii_uppercase().as_str() {
        "NULL" => None,
        "TRUE" => Some(DefaultValue::Bool(true)),
        "FALSE" => Some(DefaultValue::Bool(false)),
        "CURRENT_TIMESTAMP" => Some(DefaultValue::Now(0)),
        "CURRENT_DATE" => Some(DefaultValue::Today),
        _ if plain => Some(DefaultValue::Number(text.to_owned())),
        _ => Some(DefaultValue::Expression(text.to_owned())),
    }
}

/// Whether the key is the rowid itself: one column declared `INTEGER`, of a table that has rowids, and
/// no index made for it.
///
/// # Errors
/// Those of the library.
pub fn is_rowid(
    session: &Connection,
    table: &str,
    key: &[String],
    declared: Option<&str>,
) -> rusqlite::Result<bool> {
    let integer = declared.is_some_and(|declared| declared.eq_ignore_ascii_case("INTEGER"));
    if key.len() != 1 || !integer {
        return Ok(false);
    }
    let sql = "SELECT 1 FROM pragma_index_list(?1) WHERE origin = 'pk'";
    Ok(all(session, sql, table, |_| Ok(()))?.is_empty() && !without_rowid(session, table)?)
}

/// Whether a table has no rowids.
///
/// # Errors
/// Those of the library.
pub fn without_rowid(session: &Connection, table: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE";
    Ok(all(session, sql, table, |row| row.get(0))?.pop().unwrap_or(false))
}

/// The number that comes next: behind the greatest there ever was where the table remembers it, else
/// behind the greatest there is.
fn next(session: &Connection, table: &str, column: &str) -> rusqlite::Result<Option<i128>> {
    let (Ok(from), Ok(column)) = (Sqlite.quote(table), Sqlite.quote(column)) else {
        return Ok(None);
    };
    let most: Option<i64> =
        session.query_row(&format!("SELECT max({column}) FROM {from}"), [], |row| row.get(0))?;
    let remembers = "SELECT 1 FROM sqlite_schema WHERE name = ?1";
    let kept = match all(session, remembers, "sqlite_sequence", |_| Ok(()))?.is_empty() {
        true => None,
        false => {
            let sql = "SELECT seq FROM sqlite_sequence WHERE name = ?1";
            all(session, sql, table, |row| row.get::<_, i64>(0))?.pop()
        }
    };
    Ok(most.max(kept).map(|last| i128::from(last) + 1))
}

fn indexes(session: &Connection, table: &str) -> rusqlite::Result<Vec<Index>> {
    let sql = "SELECT l.name, l.\"unique\", l.origin, l.partial, s.sql FROM pragma_index_list(?1) l \
               LEFT JOIN sqlite_schema s ON s.type = 'index' AND s.name = l.name \
               WHERE l.origin <> 'pk' ORDER BY l.seq DESC";
    let heads = all(session, sql, table, |row| {
        let (name, unique): (String, bool) = (text(row, 0)?, row.get(1)?);
        Ok((name, unique, text(row, 2)?, row.get::<_, bool>(3)?, text(row, 4)?))
    })?;
    let mut made = Vec::new();
    for (name, unique, origin, partial, definition) in heads {
        let columns = index_columns(session, &name)?;
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        // The library's own names of constraints cannot be given by anybody else.
        let shown = match origin.as_str() {
            "u" => format!("{table}_{}_key", names.join("_")),
            _ => name,
        };
        let predicate = if partial { ddl::predicate(&definition) } else { String::new() };
        made.push(Index {
            name: shown,
            columns,
            unique,
            predicate,
            definition,
            ..Index::default()
        });
    }
    Ok(made)
}

fn index_columns(session: &Connection, index: &str) -> rusqlite::Result<Vec<IndexColumn>> {
    let sql = "SELECT cid, name, \"desc\" FROM pragma_index_xinfo(?1) WHERE key = 1 ORDER BY seqno";
    all(session, sql, index, |row| {
        let is_expression = row.get::<_, i64>(0)? < 0;
        Ok(IndexColumn {
            name: if is_expression { String::new() } else { text(row, 1)? },
            // The words are in the index's own statement.
            expression: if is_expression { "expression".to_owned() } else { String::new() },
            descending: row.get(2)?,
            prefix: None,
        })
    })
}

fn foreign_keys(session: &Connection, table: &str) -> rusqlite::Result<Vec<ForeignKey>> {
    let sql = "SELECT id, \"table\", \"from\", \"to\", on_update, on_delete \
               FROM pragma_foreign_key_list(?1) ORDER BY id DESC, seq";
    let mut keys: Vec<(i64, ForeignKey)> = Vec::new();
    for (id, to, from, to_column, update, delete) in all(session, sql, table, |row| {
        Ok((row.get(0)?, text(row, 1)?, text(row, 2)?, text(row, 3)?, text(row, 4)?, text(row, 5)?))
    })? {
        if keys.last().is_none_or(|(last, _)| *last != id) {
            let key = ForeignKey {
                name: format!("{table}_fkey{}", keys.len() + 1),
                columns: Vec::new(),
                to: named(&to),
                to_columns: Vec::new(),
                on_update: action(&update),
                on_delete: action(&delete),
                deferred: false,
            };
            keys.push((id, key));
        }
        if let Some((_, key)) = keys.last_mut() {
            key.columns.push(from);
            // Without names it is the primary key there.
            key.to_columns.extend((!to_column.is_empty()).then_some(to_column));
        }
    }
    Ok(keys.into_iter().map(|(_, key)| key).collect())
}

fn action(word: &str) -> Action {
    match word {
        "CASCADE" => Action::Cascade,
        "SET NULL" => Action::SetNull,
        "SET DEFAULT" => Action::SetDefault,
        "RESTRICT" => Action::Restrict,
        _ => Action::NoAction,
    }
}

/// What `ANALYZE` counted, or the width of the rowids.
fn estimate(session: &Connection, table: &str) -> rusqlite::Result<Option<u64>> {
    let has =
        all(session, "SELECT 1 FROM sqlite_schema WHERE name = ?1", "sqlite_stat1", |_| Ok(()))?;
    if !has.is_empty() {
        let sql = "SELECT stat FROM sqlite_stat1 WHERE tbl = ?1";
        let counted = all(session, sql, table, |row| text(row, 0))?;
        let first = |stat: &String| stat.split(' ').next().and_then(|rows| rows.parse().ok());
        if let Some(rows) = counted.iter().find_map(first) {
            return Ok(Some(rows));
        }
    }
    let (Ok(from), false) = (Sqlite.quote(table), without_rowid(session, table)?) else {
        return Ok(None);
    };
    // A table whose columns hide the rowid has no estimate.
    let width =
        format!("SELECT (SELECT max(rowid) FROM {from}) - (SELECT min(rowid) FROM {from}) + 1");
    let width = session.query_row(&width, [], |row| row.get::<_, Option<i64>>(0));
    Ok(width.ok().map(|width| width.and_then(|width| u64::try_from(width).ok()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_understood() {
        for (text, wanted) in [
            ("NULL", None),
            ("'it''s'", Some(DefaultValue::Text("it's".to_owned()))),
            ("-1.50", Some(DefaultValue::Number("-1.50".to_owned()))),
            ("true", Some(DefaultValue::Bool(true))),
            ("current_timestamp", Some(DefaultValue::Now(0))),
            ("'a' || 'b'", Some(DefaultValue::Expression("'a' || 'b'".to_owned()))),
            ("x'00'", Some(DefaultValue::Expression("x'00'".to_owned()))),
            ("inf", Some(DefaultValue::Expression("inf".to_owned()))),
        ] {
            assert_eq!(default(text), wanted, "{text}");
        }
    }
}
