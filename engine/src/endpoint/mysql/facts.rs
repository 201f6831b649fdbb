//! What a reader or a writer must know of a table beside its cells: the columns' own types and
//! character sets, and the first column of the primary key.

use crate::endpoint::rows::untransacted;
use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::TableName;
use crate::model::kind::ColumnType;

use super::escape::literal;
use super::session::{Line, Session};
use super::types;

/// A column as its server knows it.
#[derive(Clone, Debug)]
pub(super) struct Own {
    pub name: String,
    /// `DATA_TYPE`, such as `varchar`.
    pub base: String,
    pub kind: ColumnType,
    /// The character set of text.
    pub charset: Option<String>,
    pub nullable: bool,
    /// Digits of a second that are kept, of types with a time.
    pub fraction: Option<u8>,
}

/// A table's columns.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub columns: Vec<Own>,
    /// The first column of the primary key; empty where there is none.
    pub first_key: String,
}

impl Facts {
    /// Asks for the columns of a table.
    ///
    /// # Errors
    /// `TableNotFound`; those of the server.
    pub(super) fn of(session: &mut Session, table: &TableName) -> Result<Self> {
        let name = literal(&table.name);
        let lines = session.lines(&format!(
            "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_SET_NAME, IS_NULLABLE, \
             DATETIME_PRECISION \
             FROM information_schema.COLUMNS \
             WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = {name} ORDER BY ORDINAL_POSITION"
        ))?;
        if lines.is_empty() {
            let error = EngineError::new(Kind::TableNotFound, "the table is not there");
            return Err(error.at(table.shown()));
        }
        let first_key = session.value(&format!(
            "SELECT COLUMN_NAME FROM information_schema.STATISTICS \
             WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = {name} AND INDEX_NAME = 'PRIMARY' \
             AND SEQ_IN_INDEX = 1"
        ))?;
        let columns = lines.iter().map(own).collect();
        Ok(Self { columns, first_key: first_key.unwrap_or_default() })
    }

    /// A column by its name.
    ///
    /// # Errors
    /// `SchemaMismatch` where there is none.
    pub(super) fn column(&self, name: &str) -> Result<&Own> {
        self.columns.iter().find(|column| column.name == name).ok_or_else(|| {
            EngineError::new(Kind::SchemaMismatch, format!("the table has no column {name}"))
        })
    }
}

/// Makes sure that what is written into a table can be taken back.
///
/// # Errors
/// `SchemaMismatch` where its storage engine keeps no transactions; those of the server.
pub(super) fn check_transactions(session: &mut Session, table: &TableName) -> Result<()> {
    let name = literal(&table.name);
    let engine = session.value(&format!(
        "SELECT IF(e.TRANSACTIONS = 'YES', NULL, t.ENGINE) \
         FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e USING (ENGINE) \
         WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = {name}"
    ))?;
    engine.map_or(Ok(()), |engine| Err(untransacted(table, &engine)))
}

fn own(line: &Line) -> Own {
    let text = |at: usize| line.get(at).cloned().flatten().unwrap_or_default();
    let (base, declared) = (text(1), text(2));
    Own {
        name: text(0),
        kind: types::kind(&base, &declared),
        base,
        charset: line.get(3).cloned().flatten(),
        nullable: text(4) == "YES",
        fraction: text(5).parse().ok(),
    }
}
