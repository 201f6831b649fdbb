//! Columns as a server knows them.

use crate::endpoint::postgres::dialect::{Postgres, literal};
use crate::endpoint::postgres::error::Done;
use crate::endpoint::postgres::row::Row;
use crate::endpoint::postgres::session::Session;
use crate::endpoint::postgres::types::{self, Base, Types};
use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::TableName;

/// A column.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// The number of its table.
    pub(super) table: u32,
    /// Its number in the table.
    pub(super) number: i32,
    /// Its name.
    pub(super) name: String,
    /// Its type with modifier, domains as such.
    pub(super) declared: String,
    /// Its type below all domains.
    pub(super) base: Base,
    /// Whether it may be NULL.
    pub(super) nullable: bool,
    /// `a`, `d` or nothing.
    pub(super) identity: String,
    /// Whether it is made of others.
    pub(super) generated: bool,
    /// Its default or the expression it is made of; empty for none.
    pub(super) expression: String,
    /// What people wrote about it.
    pub(super) comment: String,
}

/// Columns of tables; the condition is about `c`, a row of `pg_class`.
const COLUMNS: &str = "SELECT a.attrelid, a.attnum, a.attname, \
    pg_catalog.format_type(a.atttypid, a.atttypmod), a.atttypid, a.atttypmod, \
    pg_catalog.format_type(a.atttypid, a.atttypmod), t.typtype, t.typelem, t.typsend::oid <> 0, \
    a.attnotnull OR (t.typtype = 'd' AND t.typnotnull), a.attidentity, a.attgenerated, \
    pg_catalog.pg_get_expr(d.adbin, d.adrelid), pg_catalog.col_description(a.attrelid, a.attnum) \
    FROM pg_catalog.pg_attribute a \
    JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
    WHERE a.attnum > 0 AND NOT a.attisdropped AND ";

/// The columns of the tables that fulfil a condition, by table and place.
pub(super) fn read(session: &mut Session, types: &Types, condition: &str) -> Done<Vec<Known>> {
    let sql = format!("{COLUMNS}{condition} ORDER BY a.attrelid, a.attnum");
    Ok(session.query(&sql)?.iter().map(|row| known(row, types)).collect())
}

fn known(row: &Row, types: &Types) -> Known {
    Known {
        table: row.number(0).unwrap_or(0),
        number: row.number(1).unwrap_or(0),
        name: row.text(2),
        declared: row.text(3),
        base: types.below(types::base(row, 4)),
        nullable: !row.is(10),
        identity: row.text(11),
        generated: !row.text(12).is_empty(),
        expression: row.text(13),
        comment: row.text(14),
    }
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Its number.
    pub(super) number: u32,
    /// Whether it is made of partitions.
    pub(super) partitioned: bool,
}

/// Looks a name up.
///
/// # Errors
/// `TableNotFound`.
pub(super) fn shape(session: &mut Session, dialect: &Postgres, name: &TableName) -> Done<Shape> {
    let schema = if name.schema.is_empty() { &dialect.schema } else { &name.schema };
    let sql = format!(
        "SELECT c.oid, c.relkind FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = {} AND c.relname = {} AND c.relkind IN ('r', 'p', 'v', 'm', 'f')",
        literal(schema),
        literal(&name.name)
    );
    let rows = session.query(&sql)?;
    let found = rows.first().and_then(|row| {
        Some(Shape { number: row.number(0)?, partitioned: row.get(1) == Some("p") })
    });
    found.ok_or_else(|| {
        let message = format!("there is no table {}", name.shown());
        EngineError::new(Kind::TableNotFound, message).into()
    })
}

/// The columns of one table.
///
/// # Errors
/// `TableNotFound`.
pub(super) fn of_table(
    session: &mut Session,
    dialect: &Postgres,
    name: &TableName,
) -> Done<(Shape, Vec<Known>)> {
    let shape = shape(session, dialect, name)?;
    let types = Types::read(session)?;
    let known = read(session, &types, &format!("c.oid = {}", shape.number))?;
    Ok((shape, known))
}

/// The column of a name.
///
/// # Errors
/// `SchemaMismatch`.
pub(super) fn find<'a>(known: &'a [Known], table: &TableName, name: &str) -> Result<&'a Known> {
    known.iter().find(|column| column.name == name).ok_or_else(|| {
        let message = format!("the table {} has no column {name}", table.shown());
        EngineError::new(Kind::SchemaMismatch, message)
    })
}
