//! SQL as MySQL and MariaDB speak it.

use crate::endpoint::sql::dialect::Dialect;
use crate::model::catalog::{Column, DefaultValue, Table};
use crate::model::kind::ColumnType;

use super::escape::literal;
use super::home::home;
use super::login::Server;

/// The dialect of a server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mysql {
    /// Whether it is MariaDB.
    pub maria: bool,
    /// Whether it has a type for UUIDs.
    pub uuid: bool,
}

impl Mysql {
    /// For names and texts, which both families write alike.
    pub(super) const NAMES: Self = Self { maria: false, uuid: false };

    /// That of this server.
    pub(super) fn of(server: &Server) -> Self {
        let uuid = server.maria && server.is_at_least((10, 7), (u32::MAX, 0));
        Self { maria: server.maria, uuid }
    }

    /// The collation of tables that are made: byte by byte, spaces at the end included.
    pub(super) fn collation(self) -> &'static str {
        if self.maria { "utf8mb4_nopad_bin" } else { "utf8mb4_0900_bin" }
    }
}

impl Dialect for Mysql {
    fn quote_mark(&self) -> char {
        '`'
    }

    fn name_most(&self) -> (usize, bool) {
        (64, false)
    }

    fn literal(&self, text: &str) -> String {
        literal(text)
    }

    fn declared(&self, kind: &ColumnType) -> String {
        home(self, kind).declared
    }

    fn identity(&self, _column: &Column) -> String {
        " AUTO_INCREMENT".to_owned()
    }

    fn default(&self, kind: &ColumnType, value: &DefaultValue) -> Option<String> {
        let stamped = matches!(kind, ColumnType::Timestamp | ColumnType::TimestampTz);
        let made = match value {
            DefaultValue::Expression(text) => return Some(text.clone()),
            DefaultValue::Now(_) if stamped => return Some("CURRENT_TIMESTAMP(6)".to_owned()),
            DefaultValue::Now(_) | DefaultValue::Today if *kind == ColumnType::Date => {
                return Some("(CURRENT_DATE)".to_owned());
            }
            DefaultValue::Now(_) | DefaultValue::Today => return None,
            DefaultValue::Bool(value) => u8::from(*value).to_string(),
            DefaultValue::Number(text) if text.parse::<f64>().is_ok_and(f64::is_finite) => {
                text.clone()
            }
            DefaultValue::Number(_) => return None,
            DefaultValue::Text(text) => match kind {
                ColumnType::Bits(_) if text.bytes().all(|b| matches!(b, b'0' | b'1')) => {
                    format!("b'{text}'")
                }
                _ => literal(text),
            },
        };
        // MySQL takes a default for long text only as an expression, MariaDB any way.
        let long = ["longtext", "longblob", "json"].contains(&self.declared(kind).as_str());
        Some(if long { format!("({made})") } else { made })
    }

    fn table_tail(&self, table: &Table) -> String {
        let comment = match table.comment.as_str() {
            "" => String::new(),
            text => format!(" COMMENT={}", literal(text)),
        };
        let collation = self.collation();
        format!(" ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE {collation}{comment}")
    }

    fn column_tail(&self, column: &Column) -> String {
        match column.comment.as_str() {
            "" => String::new(),
            text => format!(" COMMENT {}", literal(text)),
        }
    }

    fn share_lock(&self) -> &'static str {
        " LOCK IN SHARE MODE"
    }

    fn home_schema(&self) -> &str {
        ""
    }

    fn adds_constraints(&self) -> bool {
        true
    }

    fn foreign_key_word(&self) -> &'static str {
        "FOREIGN KEY"
    }
}
