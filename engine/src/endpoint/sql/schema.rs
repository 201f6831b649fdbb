//! Statements that make tables and what hangs on them.

use crate::endpoint::rows::{Named, Statements};
use crate::endpoint::sql::dialect::Dialect;
use crate::error::Result;
use crate::model::catalog::{
    Check, Column, DefaultValue, ForeignKey, Index, IndexColumn, Key, Table,
};

/// The statements for a table that every dialect has alike. What is in an engine's own words
/// (expressions, checks, odd indexes) is written as it is: whoever plans a copy to another engine
/// leaves it out before. What follows the rows and differs
/// (identities, statistics, comments) each adds itself.
///
/// # Errors
/// As [`Dialect::quote`].
pub fn statements(dialect: &impl Dialect, table: &Table) -> Result<Statements> {
    let mut made = Statements::default();
    made.create.push(create_table(dialect, table, &mut made.left)?);
    for index in &table.indexes {
        match create_index(dialect, table, index)? {
            Some(sql) => {
                made.indexes.push(Named { name: index.name.clone(), sql, ..Named::default() })
            }
            None => {
                let why = format!("the index {} is not carried: {}", index.name, odd(index));
                made.left.push(why);
            }
        }
    }
    if dialect.adds_constraints() {
        for key in &table.foreign_keys {
            let constraint = foreign_key(dialect, key)?;
            let table = dialect.quote_table(&table.name)?;
            let sql = format!("ALTER TABLE {table} ADD {constraint}");
            let (what, name) = (dialect.foreign_key_word(), dialect.quote(&key.name)?);
            let drop = format!("ALTER TABLE {table} DROP {what} {name}");
            let name = key.name.clone();
            made.constraints.push(Named { name, sql, drop, ..Named::default() });
        }
    }
    if dialect.adds_constraints() {
        for check in &table.checks {
            let table = dialect.quote_table(&table.name)?;
            let sql = format!("ALTER TABLE {table} ADD {}", check_line(dialect, check)?);
            let name = check.name.clone();
            made.constraints.push(Named { name, sql, ..Named::default() });
        }
    }
    let name = dialect.quote_table(&table.name)?;
    made.drop.push(format!("DROP TABLE IF EXISTS {name}"));
    made.clear.push(format!("DELETE FROM {name}"));
    Ok(made)
}

fn create_table(dialect: &impl Dialect, table: &Table, left: &mut Vec<String>) -> Result<String> {
    let mut lines = Vec::new();
    for column in &table.columns {
        let line = column_line(dialect, column, left)?;
        lines.push(line + &dialect.column_tail(column));
    }
    if let Some(key) = &table.primary_key {
        lines.push(format!("PRIMARY KEY ({})", columns(dialect, key)?));
    }
    if !dialect.adds_constraints() {
        for key in &table.foreign_keys {
            lines.push(foreign_key(dialect, key)?);
        }
        for check in &table.checks {
            lines.push(check_line(dialect, check)?);
        }
    }
    let (name, tail) = (dialect.quote_table(&table.name)?, dialect.table_tail(table));
    Ok(format!("CREATE TABLE {name} (\n  {}\n){tail}", lines.join(",\n  ")))
}

fn column_line(dialect: &impl Dialect, column: &Column, left: &mut Vec<String>) -> Result<String> {
    let mut line = format!("{} {}", dialect.quote(&column.name)?, dialect.declared(&column.kind));
    if !column.nullable {
        line.push_str(" NOT NULL");
    }
    if column.identity.is_some() {
        line.push_str(&dialect.identity(column));
        return Ok(line);
    }
    if let Some(generated) = &column.generated {
        let stored = if generated.stored { "STORED" } else { "VIRTUAL" };
        line.push_str(&format!(" GENERATED ALWAYS AS ({}) {stored}", generated.expression));
        return Ok(line);
    }
    match column.default.as_ref().map(|value| (value, dialect.default(&column.kind, value))) {
        None => {}
        Some((_, Some(text))) => line.push_str(&format!(" DEFAULT {text}")),
        Some((DefaultValue::Expression(text), None)) => {
            left.push(format!("default of {}: {text}", column.name));
        }
        Some((value, None)) => left.push(format!("default of {}: {value:?}", column.name)),
    }
    Ok(line)
}

/// An index. One that holds what other engines have no words for is made by its own statement;
/// `None` where that is not at hand, since it came from another engine.
///
/// # Errors
/// As [`Dialect::quote`].
fn create_index(dialect: &impl Dialect, table: &Table, index: &Index) -> Result<Option<String>> {
    let odd = !index.predicate.is_empty()
        || !index.method.is_empty()
        || index.nulls_not_distinct
        || index.columns.is_empty()
        || index.columns.iter().any(|c| c.name.is_empty() || c.prefix.is_some());
    if odd {
        let own = (!index.definition.is_empty()).then(|| index.definition.clone());
        return Ok(own);
    }
    let mut parts = Vec::new();
    for column in &index.columns {
        let down = if column.descending { " DESC" } else { "" };
        parts.push(format!("{}{down}", dialect.quote(&column.name)?));
    }
    let unique = if index.unique { "UNIQUE " } else { "" };
    let (name, table) = (dialect.quote(&index.name)?, dialect.quote_table(&table.name)?);
    Ok(Some(format!("CREATE {unique}INDEX {name} ON {table} ({})", parts.join(", "))))
}

/// What other engines have no words for in an index.
fn odd(index: &Index) -> String {
    let of = |column: &IndexColumn| column.name.is_empty();
    if !index.predicate.is_empty() {
        format!("it has a condition: {}", index.predicate)
    } else if index.columns.iter().any(of) {
        "it is of an expression".to_owned()
    } else if !index.method.is_empty() {
        format!("it works by {}", index.method)
    } else {
        "it is of an unusual kind".to_owned()
    }
}

fn check_line(dialect: &impl Dialect, check: &Check) -> Result<String> {
    let name = dialect.quote(&check.name)?;
    Ok(format!("CONSTRAINT {name} CHECK ({})", check.expression))
}

fn foreign_key(dialect: &impl Dialect, key: &ForeignKey) -> Result<String> {
    let own = dialect.quote_all(key.columns.iter().map(String::as_str))?;
    let there = dialect.quote_all(key.to_columns.iter().map(String::as_str))?;
    let (to, name) = (dialect.quote_table(&key.to)?, dialect.quote(&key.name)?);
    let to_columns = if there.is_empty() { String::new() } else { format!(" ({there})") };
    let (update, delete) = (key.on_update.sql(), key.on_delete.sql());
    let deferred = if key.deferred { " DEFERRABLE INITIALLY DEFERRED" } else { "" };
    Ok(format!(
        "CONSTRAINT {name} FOREIGN KEY ({own}) REFERENCES {to}{to_columns} \
         ON UPDATE {update} ON DELETE {delete}{deferred}"
    ))
}

fn columns(dialect: &impl Dialect, key: &Key) -> Result<String> {
    dialect.quote_all(key.columns.iter().map(String::as_str))
}
