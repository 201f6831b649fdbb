//! Primary keys, indexes and foreign keys.

use crate::endpoint::sql::dialect::Dialect as _;
use crate::error::Result;
use crate::model::catalog::{Action, ForeignKey, Index, IndexColumn, Key, TableName};

use super::catalog::{Tables, own_name};
use super::dialect::Mysql;
use super::session::Session;

/// Adds primary keys and indexes to tables.
///
/// # Errors
/// Those of the server.
pub(super) fn indexes(session: &mut Session, tables: &mut Tables) -> Result<()> {
    let expression = if session.server.maria { "NULL" } else { "EXPRESSION" };
    let lines = session.lines(&format!(
        "SELECT TABLE_NAME, INDEX_NAME, NON_UNIQUE, INDEX_TYPE, COLUMN_NAME, COLLATION, SUB_PART, \
         {expression} FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() \
         ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX"
    ))?;
    for line in lines {
        let part = |at: usize| line.get(at).and_then(Option::as_deref);
        let text = |at: usize| part(at).unwrap_or_default().to_owned();
        let Some(table) = tables.get_mut(&text(0)) else { continue };
        let name = text(1);
        if name == "PRIMARY" {
            table.primary_key.get_or_insert_with(Key::default).columns.push(text(4));
            continue;
        }
        if table.indexes.last().is_none_or(|index| index.name != name) {
            let method = text(3);
            let method = if method == "BTREE" { String::new() } else { method };
            let unique = text(2) == "0";
            table.indexes.push(Index { name, unique, method, ..Index::default() });
        }
        let column = IndexColumn {
            name: text(4),
            expression: text(7),
            descending: text(5) == "D",
            prefix: part(6).and_then(|length| length.parse().ok()),
        };
        if let Some(index) = table.indexes.last_mut() {
            index.columns.push(column);
        }
    }
    for table in tables.values_mut() {
        for index in &mut table.indexes {
            index.definition = definition(&table.name, index)?;
        }
    }
    Ok(())
}

/// The statement that makes an index.
///
/// # Errors
/// `NameRefused`.
pub(super) fn definition(table: &TableName, index: &Index) -> Result<String> {
    let (front, columns) = words(index)?;
    let (name, table) = (Mysql::NAMES.quote(&index.name)?, Mysql::NAMES.quote_table(table)?);
    Ok(format!("CREATE {front}INDEX {name} ON {table} {columns}"))
}

/// The same as a part of a statement that changes the table; empty for what InnoDB makes one at a
/// time.
///
/// # Errors
/// `NameRefused`.
pub(super) fn clause(index: &Index) -> Result<String> {
    if matches!(index.method.as_str(), "SPATIAL" | "FULLTEXT") {
        return Ok(String::new());
    }
    let (front, columns) = words(index)?;
    Ok(format!("ADD {front}INDEX {} {columns}", Mysql::NAMES.quote(&index.name)?))
}

/// The kind of an index, and its columns.
fn words(index: &Index) -> Result<(&'static str, String)> {
    let dialect = Mysql::NAMES;
    let mut parts = Vec::new();
    // R-trees and words have no prefix, though the catalogue shows one for shapes.
    let whole = matches!(index.method.as_str(), "SPATIAL" | "FULLTEXT");
    for column in &index.columns {
        let mut part = if column.name.is_empty() {
            format!("({})", column.expression.replace("\\'", "'"))
        } else {
            dialect.quote(&column.name)?
        };
        if let Some(prefix) = column.prefix.filter(|_| !whole) {
            part.push_str(&format!("({prefix})"));
        }
        if column.descending {
            part.push_str(" DESC");
        }
        parts.push(part);
    }
    let (front, behind) = match index.method.as_str() {
        "FULLTEXT" => ("FULLTEXT ", ""),
        "SPATIAL" => ("SPATIAL ", ""),
        "HASH" if index.unique => ("UNIQUE ", " USING HASH"),
        "HASH" => ("", " USING HASH"),
        _ if index.unique => ("UNIQUE ", ""),
        _ => ("", ""),
    };
    Ok((front, format!("({}){behind}", parts.join(", "))))
}

/// Adds foreign keys to tables.
///
/// # Errors
/// Those of the server.
pub(super) fn foreign(session: &mut Session, tables: &mut Tables) -> Result<()> {
    let lines = session.lines(
        "SELECT k.TABLE_NAME, k.CONSTRAINT_NAME, k.COLUMN_NAME, k.REFERENCED_TABLE_SCHEMA, \
         k.REFERENCED_TABLE_NAME, k.REFERENCED_COLUMN_NAME, r.UPDATE_RULE, r.DELETE_RULE, \
         DATABASE() FROM information_schema.KEY_COLUMN_USAGE k \
         JOIN information_schema.REFERENTIAL_CONSTRAINTS r \
         ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME \
         AND r.TABLE_NAME = k.TABLE_NAME WHERE k.TABLE_SCHEMA = DATABASE() \
         AND k.REFERENCED_TABLE_NAME IS NOT NULL \
         ORDER BY k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION",
    )?;
    for line in lines {
        let text = |at: usize| line.get(at).cloned().flatten().unwrap_or_default();
        let Some(table) = tables.get_mut(&text(0)) else { continue };
        let name = text(1);
        if table.foreign_keys.last().is_none_or(|key| key.name != name) {
            let schema = if text(3) == text(8) { String::new() } else { text(3) };
            table.foreign_keys.push(ForeignKey {
                name,
                columns: Vec::new(),
                to: TableName { schema, ..own_name(&text(4)) },
                to_columns: Vec::new(),
                on_update: action(&text(6)),
                on_delete: action(&text(7)),
                deferred: false,
            });
        }
        if let Some(key) = table.foreign_keys.last_mut() {
            key.columns.push(text(2));
            key.to_columns.push(text(5));
        }
    }
    Ok(())
}

fn action(text: &str) -> Action {
    match text {
        "RESTRICT" => Action::Restrict,
        "CASCADE" => Action::Cascade,
        "SET NULL" => Action::SetNull,
        "SET DEFAULT" => Action::SetDefault,
        _ => Action::NoAction,
    }
}
