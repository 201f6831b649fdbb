//! Everything in a database.

use std::collections::HashMap;

use crate::endpoint::postgres::columns::{self, Known};
use crate::endpoint::postgres::config::Config;
use crate::endpoint::postgres::dialect::{Postgres, literal};
use crate::endpoint::postgres::error::Done;
use crate::endpoint::postgres::keys::{self, Keys};
use crate::endpoint::postgres::session::Session;
use crate::endpoint::postgres::types::Types;
use crate::endpoint::postgres::{default, others};
use crate::endpoint::sql::dialect::Dialect as _;
use crate::endpoint::sql::ledger;
use crate::model::catalog::{
    Catalog, Column, DefaultValue, Engine, Generated, Identity, Table, TableName,
};

/// What is the user's: neither the server's own, nor a temporary thing, nor an extension's. `c` is a
/// row of `pg_class`, `n` one of `pg_namespace`.
pub(super) const OURS: &str = "n.nspname NOT IN ('pg_catalog', 'information_schema') \
    AND n.nspname !~ '^pg_(toast|temp)' AND c.relpersistence <> 't' \
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend x WHERE x.classid = 'pg_catalog.pg_class'::regclass \
    AND x.objid = c.oid AND x.deptype = 'e')";
/// Tables of rows: partitions are parts of theirs.
pub(super) const TABLES: &str = "c.relkind IN ('r', 'p') AND NOT c.relispartition";
/// Sequences that are asked at once where they stand.
const SEQUENCES_AT_ONCE: usize = 200;

/// Reads all, as of one instant.
pub(super) fn read(session: &mut Session, config: &Config) -> Done<Catalog> {
    let identity = identity(session, config);
    session.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    let dialect = Postgres { schema: config.schema.clone() };
    let types = Types::read(session)?;
    let condition = format!("{OURS} AND {TABLES}");
    let known = columns::read(session, &types, &condition)?;
    let mut keys = keys::read(session, &dialect)?;
    let counters = counters(session, &dialect)?;
    let mut by_table: HashMap<u32, Vec<Column>> = HashMap::new();
    for known in known {
        let identity = counters.get(&(known.table, known.number));
        by_table.entry(known.table).or_default().push(column(known, identity));
    }
    let mut tables = Vec::new();
    for row in session.query(&tables_sql())? {
        let number: u32 = row.number(0).unwrap_or(0);
        let name = named(&dialect, row.text(1), row.text(2));
        if ledger::is_ours(&name.name) {
            continue;
        }
        let Keys { primary, indexes, foreign, checks } = keys.remove(&number).unwrap_or_default();
        tables.push(Table {
            name,
            columns: by_table.remove(&number).unwrap_or_default(),
            primary_key: primary,
            indexes,
            foreign_keys: foreign,
            checks,
            comment: row.text(4),
            rows_estimate: row.number::<f64>(5).filter(|n| *n >= 0.0).map(|n| n as u64),
            bytes: row.number(6),
            partitioned: row.get(3) == Some("p"),
            untransacted: None,
        });
    }
    let others = others::read(session, &dialect)?;
    session.run("COMMIT")?;
    let version = format!("PostgreSQL {}", session.version_text);
    let schema = dialect.schema.clone();
    Ok(Catalog { engine: Engine::Postgres, version, identity, schema, tables, others })
}

/// A name, its schema left out where it is the default one.
pub(super) fn named(dialect: &Postgres, schema: String, name: String) -> TableName {
    let schema = if schema == dialect.schema { String::new() } else { schema };
    TableName { schema, name }
}

/// The cluster's number and the database's name.
fn identity(session: &mut Session, config: &Config) -> String {
    // Who may not ask has the place alone.
    let rows = session.query("SELECT system_identifier FROM pg_catalog.pg_control_system()").ok();
    let cluster = rows.and_then(|rows| rows.first().map(|row| row.text(0)));
    let cluster = cluster.unwrap_or_else(|| format!("{}:{}", config.host, config.port));
    format!("{cluster}/{}", config.database)
}

fn tables_sql() -> String {
    let leaves = "FROM pg_catalog.pg_partition_tree(c.oid) p \
        JOIN pg_catalog.pg_class l ON l.oid = p.relid WHERE p.isleaf";
    format!(
        "SELECT c.oid, n.nspname, c.relname, c.relkind, \
         pg_catalog.obj_description(c.oid, 'pg_class'), \
         CASE c.relkind WHEN 'p' THEN (SELECT sum(greatest(l.reltuples, 0)) {leaves}) \
         ELSE c.reltuples END, \
         CASE c.relkind WHEN 'p' THEN (SELECT sum({}) {leaves}) \
         ELSE {} END \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE {OURS} AND {TABLES} ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"",
        size("l.oid"),
        size("c.oid")
    )
}

/// Bytes of a table; none of one that somebody holds for himself, since telling them takes its lock.
fn size(number: &str) -> String {
    format!(
        "CASE WHEN {number} <> ALL (ARRAY(SELECT k.relation FROM pg_catalog.pg_locks k \
         WHERE k.relation IS NOT NULL AND k.mode = 'AccessExclusiveLock')) \
         THEN pg_catalog.pg_total_relation_size({number}) END"
    )
}

fn column(known: Known, counter: Option<&Counter>) -> Column {
    let kind = known.base.kind();
    let generated =
        known.generated.then(|| Generated { expression: known.expression.clone(), stored: true });
    let counts = !known.identity.is_empty() || known.expression.starts_with("nextval(");
    let identity = counter.filter(|_| counts && generated.is_none()).map(|counter| Identity {
        always: known.identity == "a",
        next: counter.next,
        step: counter.step,
    });
    let default = match (&generated, &identity) {
        (None, None) => default::read(&known.expression, &kind),
        _ => None,
    };
    let default = default.filter(|value| *value != DefaultValue::Expression(String::new()));
    Column {
        name: known.name,
        kind,
        declared: known.declared,
        nullable: known.nullable,
        default,
        identity,
        generated,
        comment: known.comment,
    }
}

/// The sequence of a column.
struct Counter {
    name: TableName,
    next: Option<i128>,
    step: i64,
}

/// Sequences that belong to columns, by table and column.
fn counters(session: &mut Session, dialect: &Postgres) -> Done<HashMap<(u32, i32), Counter>> {
    let sql = format!(
        "SELECT d.refobjid, d.refobjsubid, n.nspname, c.relname, s.seqincrement, \
         pg_catalog.has_sequence_privilege(c.oid, 'SELECT') \
         FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::regclass \
         AND d.objid = c.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass \
         AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i') WHERE {OURS}"
    );
    let mut found = HashMap::new();
    let mut asked = Vec::new();
    for row in session.query(&sql)? {
        let (Some(table), Some(column)) = (row.number(0), row.number(1)) else { continue };
        let name = TableName { schema: row.text(2), name: row.text(3) };
        if row.is(5) {
            asked.push((table, column));
        }
        let step = row.number(4).unwrap_or(1);
        found.insert((table, column), Counter { name, next: None, step });
    }
    for some in asked.chunks(SEQUENCES_AT_ONCE) {
        let mut parts = Vec::new();
        for (at, key) in some.iter().enumerate() {
            let Some(counter) = found.get(key) else { continue };
            let sequence = dialect.quote_table(&counter.name)?;
            let next = "CASE WHEN is_called THEN last_value::numeric + ";
            let step = literal(&counter.step.to_string());
            parts.push(format!(
                "SELECT {at}, {next}{step}::bigint ELSE last_value END FROM {sequence}"
            ));
        }
        for row in session.query(&parts.join(" UNION ALL "))? {
            let counter = row
                .number::<usize>(0)
                .and_then(|at| some.get(at))
                .and_then(|key| found.get_mut(key));
            if let Some(counter) = counter {
                counter.next = row.number(1);
            }
        }
    }
    Ok(found)
}
