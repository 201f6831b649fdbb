//! SQLite's SQL.

use crate::endpoint::sql::dialect::Dialect;
use crate::endpoint::sqlite::types;
use crate::model::catalog::{Column, DefaultValue, Table};
use crate::model::kind::ColumnType;

/// The dialect.
#[derive(Clone, Copy, Debug)]
pub struct Sqlite;

impl Dialect for Sqlite {
    fn quote_mark(&self) -> char {
        '"'
    }

    /// No length is too long but that of a statement.
    fn name_most(&self) -> (usize, bool) {
        (NAME_BYTES_MAX, true)
    }

    fn literal(&self, text: &str) -> String {
        // A NUL would end the statement.
        match text.contains('\0') {
            false => format!("'{}'", text.replace('\'', "''")),
            true => {
                let digits: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
                format!("(CAST(x'{digits}' AS TEXT))")
            }
        }
    }

    fn declared(&self, kind: &ColumnType) -> String {
        types::declared(kind)
    }

    /// Only a key of one integer is counted up ([`super::plan`] sees to it).
    fn identity(&self, _: &Column) -> String {
        " PRIMARY KEY AUTOINCREMENT".to_owned()
    }

    fn default(&self, kind: &ColumnType, value: &DefaultValue) -> Option<String> {
        Some(match value {
            DefaultValue::Text(text) => self.literal(text),
            // As a number it would lose what its text keeps.
            DefaultValue::Number(digits) if matches!(kind, ColumnType::Decimal(_)) => {
                self.literal(digits)
            }
            DefaultValue::Number(digits) => digits.clone(),
            DefaultValue::Bool(yes) => i32::from(*yes).to_string(),
            DefaultValue::Now(0) => "CURRENT_TIMESTAMP".to_owned(),
            DefaultValue::Now(_) => "(strftime('%Y-%m-%d %H:%M:%f', 'now'))".to_owned(),
            DefaultValue::Today => "CURRENT_DATE".to_owned(),
            DefaultValue::Expression(text) => format!("({text})"),
        })
    }

    fn table_tail(&self, _: &Table) -> String {
        String::new()
    }

    /// A transaction that writes locks the whole file.
    fn share_lock(&self) -> &'static str {
        ""
    }

    fn home_schema(&self) -> &'static str {
        ""
    }

    fn adds_constraints(&self) -> bool {
        false
    }
}

/// Longest name that is made: nothing sets a bound but the length of a statement.
pub const NAME_BYTES_MAX: usize = 1 << 16;
