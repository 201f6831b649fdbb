//! Rows that replace those of the same key.
//!
//! They are loaded into a temporary table first, then change the rows that are there, then become rows
//! where none was. `ON DUPLICATE KEY UPDATE` would do it by one statement, but changes the row of
//! another key where a second unique index collides; here that is the error that it is.

use crate::endpoint::rows::Write;
use crate::endpoint::sql::dialect::Dialect as _;
use crate::error::{EngineError, Kind, Result};

use super::dialect::Mysql;

/// The temporary table of a session.
const STAGE: &str = "`mig_stage`";

/// The statements of a merge.
#[derive(Debug)]
pub(super) struct Merge {
    /// The temporary table, quoted.
    pub stage: &'static str,
    /// Makes it, before a transaction: these are the statements that commit what is open.
    pub make: [String; 2],
    /// Empties it.
    pub empty: String,
    /// Take its rows over.
    pub apply: Vec<String>,
}

impl Merge {
    /// The statements for a table.
    ///
    /// # Errors
    /// `SchemaMismatch` for a table without a key; `NameRefused`.
    pub(super) fn of(write: &Write) -> Result<Self> {
        if write.key.is_empty() {
            let message = "rows are merged by a primary key, and the table has none";
            return Err(EngineError::new(Kind::SchemaMismatch, message).at(write.table.shown()));
        }
        let dialect = Mysql::NAMES;
        let table = dialect.quote_table(&write.table)?;
        let (mut all, mut from, mut changed) = (Vec::new(), Vec::new(), Vec::new());
        for cell in &write.cells {
            let name = dialect.quote(&cell.name)?;
            if !write.key.contains(&cell.name) {
                changed.push(format!("t.{name} = s.{name}"));
            }
            from.push(format!("s.{name}"));
            all.push(name);
        }
        let mut same = Vec::new();
        for column in &write.key {
            let name = dialect.quote(column)?;
            same.push(format!("t.{name} = s.{name}"));
        }
        let (same, first) =
            (same.join(" AND "), dialect.quote(write.key.first().map_or("", |k| k))?);
        let mut apply = Vec::new();
        if !changed.is_empty() {
            let changed = changed.join(", ");
            apply.push(format!("UPDATE {table} t JOIN {STAGE} s ON {same} SET {changed}"));
        }
        apply.push(format!(
            "INSERT INTO {table} ({}) SELECT {} FROM {STAGE} s LEFT JOIN {table} t ON {same} \
             WHERE t.{first} IS NULL",
            all.join(", "),
            from.join(", ")
        ));
        Ok(Self {
            stage: STAGE,
            make: [
                format!("DROP TEMPORARY TABLE IF EXISTS {STAGE}"),
                format!("CREATE TEMPORARY TABLE {STAGE} LIKE {table}"),
            ],
            empty: format!("DELETE FROM {STAGE}"),
            apply,
        })
    }
}
