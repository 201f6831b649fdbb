//! What differs from one SQL to the next.

use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::{Column, DefaultValue, Table, TableName};
use crate::model::kind::ColumnType;

/// A dialect of SQL. Every name and every text of a statement goes through it.
pub trait Dialect {
    /// The character around names: doubled inside one.
    fn quote_mark(&self) -> char;

    /// Longest name, and whether that counts bytes.
    fn name_most(&self) -> (usize, bool);

    /// A text as a literal.
    fn literal(&self, text: &str) -> String;

    /// The type of a column that holds values of this kind.
    fn declared(&self, kind: &ColumnType) -> String;

    /// What follows a column's type when the engine counts it up; empty where the type or the key
    /// says it.
    fn identity(&self, column: &Column) -> String;

    /// A default for a column of this kind; `None` where the dialect has no words for it.
    fn default(&self, kind: &ColumnType, value: &DefaultValue) -> Option<String>;

    /// What stands behind the closing bracket of a table: its engine, character set.
    fn table_tail(&self, table: &Table) -> String;

    /// What stands at the end of a column's line: its comment, where comments are written there.
    fn column_tail(&self, _column: &Column) -> String {
        String::new()
    }

    /// What locks a row for reading until the transaction ends; empty where writing locks all.
    fn share_lock(&self) -> &'static str;

    /// The schema of names that say none; empty where there are no schemas.
    fn home_schema(&self) -> &str;

    /// Whether a foreign key may be added to a table that is there. Otherwise it stands in the
    /// table's own statement.
    fn adds_constraints(&self) -> bool;

    /// What a foreign key is called where it is dropped.
    fn foreign_key_word(&self) -> &'static str {
        "CONSTRAINT"
    }

    /// A name, quoted.
    ///
    /// # Errors
    /// `NameRefused` for an empty name, one with a NUL, one too long: an engine would cut it.
    fn quote(&self, name: &str) -> Result<String> {
        let (most, bytes) = self.name_most();
        let length = if bytes { name.len() } else { name.chars().count() };
        if name.is_empty() || name.contains('\0') || length > most {
            let message = "the database takes no such name";
            return Err(EngineError::new(Kind::NameRefused, message).at(name));
        }
        let mark = self.quote_mark();
        let inside = name.replace(mark, &format!("{mark}{mark}"));
        Ok(format!("{mark}{inside}{mark}"))
    }

    /// Names, quoted, with commas between.
    ///
    /// # Errors
    /// As [`Dialect::quote`].
    fn quote_all<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<String>
    where
        Self: Sized,
    {
        let quoted: Vec<String> =
            names.into_iter().map(|name| self.quote(name)).collect::<Result<_>>()?;
        Ok(quoted.join(", "))
    }

    /// A table's name with its schema, quoted.
    ///
    /// # Errors
    /// As [`Dialect::quote`].
    fn quote_table(&self, name: &TableName) -> Result<String> {
        let schema = if name.schema.is_empty() { self.home_schema() } else { &name.schema };
        if schema.is_empty() {
            return self.quote(&name.name);
        }
        Ok(format!("{}.{}", self.quote(schema)?, self.quote(&name.name)?))
    }
}
