//! Keys, indexes, foreign keys and checks of all tables.

use std::collections::HashMap;

use crate::endpoint::postgres::catalog::{OURS, TABLES, named};
use crate::endpoint::postgres::dialect::Postgres;
use crate::endpoint::postgres::error::Done;
use crate::endpoint::postgres::row::Row;
use crate::endpoint::postgres::session::Session;
use crate::model::catalog::{Action, Check, ForeignKey, Index, IndexColumn, Key};

/// What hangs on one table.
#[derive(Debug, Default)]
pub(super) struct Keys {
    pub(super) primary: Option<Key>,
    pub(super) indexes: Vec<Index>,
    pub(super) foreign: Vec<ForeignKey>,
    pub(super) checks: Vec<Check>,
}

/// Version from which NULLs may count as equal in an index.
const NULLS_NOT_DISTINCT: u32 = 150_000;

/// Reads those of all tables, by the tables' numbers.
pub(super) fn read(session: &mut Session, dialect: &Postgres) -> Done<HashMap<u32, Keys>> {
    let mut found: HashMap<u32, Keys> = HashMap::new();
    for row in session.query(&constraints_sql())? {
        let Some(table) = row.number(0) else { continue };
        let keys = found.entry(table).or_default();
        match row.get(1) {
            Some("p") => keys.primary = Some(Key { name: row.text(2), columns: row.list(3) }),
            Some("c") => {
                keys.checks.push(Check { name: row.text(2), expression: row.text(10) });
            }
            Some("x") => keys.indexes.push(exclusion(&row)),
            Some("f") => keys.foreign.push(ForeignKey {
                name: row.text(2),
                columns: row.list(3),
                to: named(dialect, row.text(4), row.text(5)),
                to_columns: row.list(6),
                on_update: action(row.get(7)),
                on_delete: action(row.get(8)),
                deferred: row.is(9),
            }),
            _ => {}
        }
    }
    let is_new = session.version >= NULLS_NOT_DISTINCT;
    for row in session.query(&indexes_sql(is_new))? {
        let Some(table) = row.number(0) else { continue };
        found.entry(table).or_default().indexes.push(index(&row));
    }
    Ok(found)
}

fn names(numbers: &str, table: &str) -> String {
    format!(
        "(SELECT json_agg(a.attname ORDER BY k.place)::text FROM unnest({numbers}) \
         WITH ORDINALITY k(number, place) JOIN pg_catalog.pg_attribute a \
         ON a.attrelid = {table} AND a.attnum = k.number)"
    )
}

fn constraints_sql() -> String {
    format!(
        "SELECT o.conrelid, o.contype, o.conname, {}, tn.nspname, t.relname, {}, \
         o.confupdtype, o.confdeltype, o.condeferrable AND o.condeferred, \
         CASE o.contype WHEN 'c' THEN pg_catalog.pg_get_expr(o.conbin, o.conrelid) \
         WHEN 'x' THEN 'ALTER TABLE ' || pg_catalog.quote_ident(n.nspname) || '.' \
         || pg_catalog.quote_ident(c.relname) || ' ADD CONSTRAINT ' \
         || pg_catalog.quote_ident(o.conname) || ' ' || pg_catalog.pg_get_constraintdef(o.oid) END \
         FROM pg_catalog.pg_constraint o JOIN pg_catalog.pg_class c ON c.oid = o.conrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_catalog.pg_class t ON t.oid = o.confrelid \
         LEFT JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace \
         WHERE o.contype IN ('p', 'c', 'f', 'x') AND o.conparentid = 0 AND {OURS} AND {TABLES} \
         ORDER BY o.conrelid, o.conname COLLATE \"C\"",
        names("o.conkey", "o.conrelid"),
        names("o.confkey", "o.confrelid"),
    )
}

/// An index's columns are told one by one as JSON: name, text, whether it goes down, whether it is
/// all usual.
fn indexes_sql(is_new: bool) -> String {
    let nulls = if is_new { "i.indnullsnotdistinct" } else { "false" };
    format!(
        "SELECT i.indrelid, x.relname, i.indisunique, {nulls}, m.amname, \
         pg_catalog.pg_get_expr(i.indpred, i.indrelid), pg_catalog.pg_get_indexdef(i.indexrelid), \
         i.indnatts > i.indnkeyatts, (SELECT json_agg(json_build_array(a.attname, \
         pg_catalog.pg_get_indexdef(i.indexrelid, k.place::int, true), \
         (i.indoption[k.place - 1] & 1) = 1, \
         p.opcdefault AND i.indoption[k.place - 1] IN (0, 3) \
         AND i.indcollation[k.place - 1] = coalesce(a.attcollation, i.indcollation[k.place - 1])) \
         ORDER BY k.place)::text \
         FROM generate_series(1, i.indnkeyatts) k(place) \
         JOIN pg_catalog.pg_opclass p ON p.oid = i.indclass[k.place - 1] \
         LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid \
         AND a.attnum = i.indkey[k.place - 1] AND a.attnum > 0) \
         FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid \
         JOIN pg_catalog.pg_am m ON m.oid = x.relam \
         JOIN pg_catalog.pg_class c ON c.oid = i.indrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE NOT i.indisprimary AND NOT i.indisexclusion AND i.indisvalid AND {OURS} AND {TABLES} \
         ORDER BY i.indrelid, x.relname COLLATE \"C\""
    )
}

fn index(row: &Row) -> Index {
    type Told = (Option<String>, String, bool, bool);
    let told: Vec<Told> =
        row.get(8).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let column = |(name, text, descending, usual): Told| match name {
        Some(name) if usual => IndexColumn { name, descending, ..IndexColumn::default() },
        // Another order, collation or class of operators: no other engine has its like.
        _ => IndexColumn { expression: text, descending, ..IndexColumn::default() },
    };
    let method = match (row.text(4).as_str(), row.is(7)) {
        ("btree", false) => String::new(),
        ("btree", true) => "btree include".to_owned(),
        (other, _) => other.to_owned(),
    };
    Index {
        name: row.text(1),
        columns: told.into_iter().map(column).collect(),
        unique: row.is(2),
        nulls_not_distinct: row.is(3),
        method,
        predicate: row.text(5),
        definition: row.text(6),
    }
}

fn exclusion(row: &Row) -> Index {
    let columns =
        row.list(3).into_iter().map(|name| IndexColumn { name, ..IndexColumn::default() });
    Index {
        name: row.text(2),
        columns: columns.collect(),
        method: "exclusion".to_owned(),
        definition: row.text(10),
        ..Index::default()
    }
}

fn action(code: Option<&str>) -> Action {
    match code {
        Some("r") => Action::Restrict,
        Some("c") => Action::Cascade,
        Some("n") => Action::SetNull,
        Some("d") => Action::SetDefault,
        _ => Action::NoAction,
    }
}
