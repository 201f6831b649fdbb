//! Tables and columns of a database, from `information_schema`.

use std::collections::HashMap;

use crate::endpoint::sql::ledger;
use crate::error::Result;
use crate::model::catalog::{Catalog, Column, Engine, Generated, Identity, Table, TableName};
use crate::model::kind::ColumnType;

use super::extras;
use super::keys;
use super::session::{Line, Session};
use super::{types, value};

/// Everything in the session's database.
///
/// # Errors
/// Those of the server.
pub(super) fn catalog(session: &mut Session, database: &str) -> Result<Catalog> {
    session.run("SET SESSION character_set_results = utf8mb4")?;
    let read = read(session, database);
    session.run("SET SESSION character_set_results = NULL")?;
    read
}

fn read(session: &mut Session, database: &str) -> Result<Catalog> {
    let maria = session.server.maria;
    let mut tables = tables(session)?;
    let checks = extras::checks(session)?;
    columns(session, maria, &mut tables, &checks)?;
    for (table, check) in checks {
        if let Some(table) = tables.get_mut(&table)
            && !is_json_check(table, &check.expression)
        {
            table.checks.push(check);
        }
    }
    keys::indexes(session, &mut tables)?;
    keys::foreign(session, &mut tables)?;
    let others = extras::others(session)?;
    let uuid = if maria { "@@hostname" } else { "@@server_uuid" };
    let place = session.value(&format!("SELECT CONCAT_WS('/', {uuid}, @@server_id, @@port)"))?;
    let mut tables: Vec<Table> = tables.into_values().collect();
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Catalog {
        schema: String::new(),
        engine: Engine::Mysql,
        version: session.server.version.clone(),
        identity: format!("{}/{database}", place.unwrap_or_default()),
        tables,
        others,
    })
}

/// Tables by name.
pub(super) type Tables = HashMap<String, Table>;

fn tables(session: &mut Session) -> Result<Tables> {
    let lines = session.lines(
        "SELECT TABLE_NAME, TABLE_COMMENT, TABLE_ROWS, DATA_LENGTH + INDEX_LENGTH, CREATE_OPTIONS, \
         IF(e.TRANSACTIONS = 'YES', NULL, t.ENGINE) \
         FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e USING (ENGINE) \
         WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')",
    )?;
    let table = |line: Line| {
        let mut parts = line.into_iter();
        let mut next = || parts.next().flatten();
        let name = next()?;
        let table = Table {
            name: own_name(&name),
            comment: next().unwrap_or_default(),
            rows_estimate: next().and_then(|rows| rows.parse().ok()),
            bytes: next().and_then(|bytes| bytes.parse().ok()),
            partitioned: next().is_some_and(|options| options.contains("partitioned")),
            untransacted: next(),
            ..Table::default()
        };
        (!ledger::is_ours(&name)).then_some((name, table))
    };
    Ok(lines.into_iter().filter_map(table).collect())
}

/// A name in the one database there is.
pub(super) fn own_name(name: &str) -> TableName {
    TableName { schema: String::new(), name: name.to_owned() }
}

fn columns(
    session: &mut Session,
    maria: bool,
    tables: &mut Tables,
    checks: &[(String, crate::model::catalog::Check)],
) -> Result<()> {
    let next: HashMap<String, i128> = session
        .lines(
            "SELECT TABLE_NAME, AUTO_INCREMENT FROM information_schema.TABLES \
             WHERE TABLE_SCHEMA = DATABASE() AND AUTO_INCREMENT IS NOT NULL",
        )?
        .into_iter()
        .filter_map(|line| {
            let mut parts = line.into_iter().flatten();
            Some((parts.next()?, parts.next()?.parse().ok()?))
        })
        .collect();
    let lines = session.lines(
        "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, \
         EXTRA, COLUMN_COMMENT, GENERATION_EXPRESSION \
         FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() \
         ORDER BY TABLE_NAME, ORDINAL_POSITION",
    )?;
    for line in &lines {
        let name = line.first().cloned().flatten().unwrap_or_default();
        let Some(table) = tables.get_mut(&name) else { continue };
        let mut column = column(line, maria, next.get(&name).copied());
        let json = format!("json_valid(`{}`)", column.name);
        let is_json = |(of, check): &(String, crate::model::catalog::Check)| {
            *of == name && check.expression == json
        };
        if column.kind == ColumnType::Text(None) && checks.iter().any(is_json) {
            column.kind = ColumnType::Json;
        }
        table.columns.push(column);
    }
    Ok(())
}

fn column(line: &Line, maria: bool, next: Option<i128>) -> Column {
    let part = |at: usize| line.get(at).and_then(Option::as_deref);
    let text = |at: usize| part(at).unwrap_or_default();
    let (declared, extra) = (text(3), text(6));
    let kind = types::kind(text(2), declared);
    let expression = text(8);
    let generated = (!expression.is_empty()).then(|| Generated {
        expression: expression.replace("\\'", "'"),
        stored: extra.contains("STORED") || extra.contains("PERSISTENT"),
    });
    let counted = extra.to_ascii_lowercase().contains("auto_increment");
    let default = if generated.is_some() || counted {
        None
    } else {
        value::default(maria, &kind, part(5), extra)
    };
    Column {
        name: text(1).to_owned(),
        kind,
        declared: declared.to_owned(),
        nullable: text(4) == "YES",
        default,
        identity: counted.then_some(Identity { always: false, next, step: 1 }),
        generated,
        comment: text(7).to_owned(),
    }
}

/// Whether a check is the one that MariaDB makes for a column of type JSON.
fn is_json_check(table: &Table, expression: &str) -> bool {
    let json = |column: &Column| {
        column.kind == ColumnType::Json && expression == format!("json_valid(`{}`)", column.name)
    };
    table.columns.iter().any(json)
}
