//! The statements for a table.

use crate::endpoint::rows::{Named, Statements};
use crate::endpoint::sql::dialect::Dialect;
use crate::endpoint::sql::schema;
use crate::endpoint::sqlite::dialect::Sqlite;
use crate::error::Result;
use crate::model::catalog::{Column, Identity, Table};
use crate::model::kind::ColumnType;

/// What looks for rows that point nowhere; an answer is an error.
pub const FOREIGN_KEY_CHECK: &str = "PRAGMA foreign_key_check";

/// The statements for a table. Foreign keys and checks stand in the table's own statement: they cannot
/// be added later. Rows are written without looking at foreign keys, which are checked afterwards.
///
/// # Errors
/// As [`Dialect::quote`].
pub fn statements(table: &Table) -> Result<Statements> {
    let mut left = Vec::new();
    let (table, counted) = prepared(table, &mut left);
    let mut made = schema::statements(&Sqlite, &table)?;
    made.left.extend(left);
    let name = Sqlite.quote(&table.name.name)?;
    if !table.foreign_keys.is_empty() {
        // No constraint has this name, so it is looked at in every attempt.
        let sql = format!("{FOREIGN_KEY_CHECK}({name})");
        made.constraints.push(Named { sql, ..Named::default() });
    }
    if let Some(next) = counted.and_then(|identity| identity.next) {
        let (text, last) = (Sqlite.literal(&table.name.name), next.saturating_sub(1));
        made.finish.push(format!(
            "INSERT INTO sqlite_sequence (name, seq) SELECT {text}, 0 \
             WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = {text})"
        ));
        made.finish.push(format!(
            "UPDATE sqlite_sequence SET seq = {last} WHERE name = {text} AND seq < {last}"
        ));
    }
    made.finish.push(format!("ANALYZE {name}"));
    Ok(made)
}

/// The table as SQLite can have it, and the identity that it keeps: the one of a key that is one
/// integer. That key then stands at the column, and its type is `INTEGER`.
fn prepared(table: &Table, left: &mut Vec<String>) -> (Table, Option<Identity>) {
    let mut table = table.clone();
    let mut counted = None;
    let key = table.primary_key.clone().unwrap_or_default();
    for column in table.columns.iter_mut().filter(|column| column.identity.is_some()) {
        if key.columns == [column.name.clone()] && is_integer(column) && counted.is_none() {
            counted = column.identity.clone();
            column.kind = ColumnType::Int(64);
        } else {
            column.identity = None;
            left.push(format!(
                "identity of {}: only a key of one integer is counted up",
                column.name
            ));
        }
    }
    if counted.is_some() {
        table.primary_key = None;
    }
    (table, counted)
}

fn is_integer(column: &Column) -> bool {
    matches!(column.kind, ColumnType::Int(_) | ColumnType::Unsigned(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::catalog::{Key, TableName};

    #[test]
    fn a_counted_key_stands_at_its_column() {
        let identity = Some(Identity { always: true, next: Some(8), step: 1 });
        let column = |name: &str, identity| Column {
            name: name.to_owned(),
            kind: ColumnType::Int(32),
            declared: String::new(),
            nullable: false,
            default: None,
            identity,
            generated: None,
            comment: String::new(),
        };
        let table = Table {
            name: TableName { schema: String::new(), name: "o'\"k".to_owned() },
            columns: vec![column("id", identity.clone()), column("n", identity)],
            primary_key: Some(Key { name: String::new(), columns: vec!["id".to_owned()] }),
            ..Table::default()
        };
        let made = statements(&table).unwrap();
        let wanted = "CREATE TABLE \"o'\"\"k\" (\n  \"id\" INTEGER NOT NULL PRIMARY KEY \
             AUTOINCREMENT,\n  \"n\" INT4 NOT NULL\n)";
        assert_eq!(made.create, [wanted]);
        assert!(
            made.finish.iter().any(|finish| finish.contains("SET seq = 7 WHERE name = 'o''\"k'"))
        );
        assert_eq!(made.left.len(), 1);
    }
}
