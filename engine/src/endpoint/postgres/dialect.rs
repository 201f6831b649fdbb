//! PostgreSQL's SQL: how names and texts are written.

use crate::endpoint::postgres::home;
use crate::endpoint::sql::dialect::Dialect;
use crate::model::catalog::{Column, DefaultValue, Table};
use crate::model::kind::ColumnType;

/// Longest name, bytes (`NAMEDATALEN` less its NUL).
pub(super) const NAME_BYTES_MAX: usize = 63;

/// The dialect, with the schema of names that say none.
#[derive(Clone, Debug)]
pub(super) struct Postgres {
    pub(super) schema: String,
}

/// A text as a literal: sessions are pinned to `standard_conforming_strings`.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl Dialect for Postgres {
    fn quote_mark(&self) -> char {
        '"'
    }

    fn name_most(&self) -> (usize, bool) {
        (NAME_BYTES_MAX, true)
    }

    fn literal(&self, text: &str) -> String {
        literal(text)
    }

    fn declared(&self, kind: &ColumnType) -> String {
        home::declared(kind)
    }

    fn identity(&self, column: &Column) -> String {
        let Some(identity) = &column.identity else { return String::new() };
        let when = if identity.always { "ALWAYS" } else { "BY DEFAULT" };
        let step = match identity.step {
            0 | 1 => String::new(),
            step => format!(" (INCREMENT BY {step})"),
        };
        format!(" GENERATED {when} AS IDENTITY{step}")
    }

    fn default(&self, kind: &ColumnType, value: &DefaultValue) -> Option<String> {
        let is_bool = *kind == ColumnType::Bool;
        Some(match value {
            DefaultValue::Text(text) if text.contains('\0') => return None,
            DefaultValue::Text(text) => literal(text),
            DefaultValue::Number(number) if is_bool => match number.as_str() {
                "0" => "false".to_owned(),
                "1" => "true".to_owned(),
                _ => return None,
            },
            DefaultValue::Number(number) => literal(number),
            DefaultValue::Bool(value) if is_bool => value.to_string(),
            DefaultValue::Bool(value) => literal(if *value { "1" } else { "0" }),
            DefaultValue::Now(digits) => format!("CURRENT_TIMESTAMP({})", digits.min(&6)),
            DefaultValue::Today => "CURRENT_DATE".to_owned(),
            DefaultValue::Expression(text) => text.clone(),
        })
    }

    fn table_tail(&self, _table: &Table) -> String {
        String::new()
    }

    fn share_lock(&self) -> &'static str {
        " FOR SHARE"
    }

    fn home_schema(&self) -> &str {
        &self.schema
    }

    fn adds_constraints(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::catalog::TableName;

    #[test]
    fn names_and_texts_cannot_break_out() {
        let dialect = Postgres { schema: "public".to_owned() };
        let name = TableName { schema: String::new(), name: "a\"; DROP".to_owned() };
        assert_eq!(dialect.quote_table(&name).unwrap(), "\"public\".\"a\"\"; DROP\"");
        assert_eq!(dialect.literal("a'b\\"), "'a''b\\'");
        assert!(dialect.quote(&"x".repeat(64)).is_err());
        assert!(dialect.quote("a\0").is_err());
    }
}
