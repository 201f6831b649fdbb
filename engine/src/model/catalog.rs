//! What a database holds, in words that no engine owns: tables, columns, keys. Every engine reads its
//! catalogue into these, and makes its own statements of them.

use crate::model::kind::ColumnType;

/// Which database engine something is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
    /// SQLite.
    Sqlite,
    /// A directory of files, one for each table.
    Files,
}

impl Engine {
    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Sqlite => "sqlite",
            Self::Files => "files",
        }
    }
}

/// Everything that was found in one database.
#[derive(Clone, Debug)]
pub struct Catalog {
    /// The engine.
    pub engine: Engine,
    /// The server's own word for itself, such as "PostgreSQL 15.18" or "10.11.19-MariaDB".
    pub version: String,
    /// What tells this database from every other: of use in a certificate.
    pub identity: String,
    /// The schema of tables whose name says none; empty where there are no schemas.
    pub schema: String,
    /// Its tables, by name.
    pub tables: Vec<Table>,
    /// What is not a table.
    pub others: Vec<Other>,
}

/// The name of a table: the schema is empty where the engine knows none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The schema, where that is not the engine's default one.
    pub schema: String,
    /// The name in it.
    pub name: String,
}

impl TableName {
    /// As it is shown and matched by globs: `schema.name`, or the name alone.
    #[must_use]
    pub fn shown(&self) -> String {
        if self.schema.is_empty() {
            self.name.clone()
        } else {
            format!("{}.{}", self.schema, self.name)
        }
    }
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Its name.
    pub name: TableName,
    /// Its columns, in their order.
    pub columns: Vec<Column>,
    /// The primary key.
    pub primary_key: Option<Key>,
    /// Indexes beside the primary key's, those of unique constraints among them.
    pub indexes: Vec<Index>,
    /// Foreign keys.
    pub foreign_keys: Vec<ForeignKey>,
    /// Check constraints.
    pub checks: Vec<Check>,
    /// What people wrote about it; empty for nothing.
    pub comment: String,
    /// Rows as the engine guesses them.
    pub rows_estimate: Option<u64>,
    /// Bytes it takes, as the engine says.
    pub bytes: Option<u64>,
    /// Whether it is made of partitions; they are read as one.
    pub partitioned: bool,
    /// The storage engine of its rows, where that keeps no transactions: what is written there stays,
    /// though the transaction was given up.
    pub untransacted: Option<String>,
}

impl Table {
    /// The column of this name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub kind: ColumnType,
    /// The type as the engine writes it, such as `character varying(20)`.
    pub declared: String,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// What it is where a row does not say.
    pub default: Option<DefaultValue>,
    /// Whether the engine counts it up by itself.
    pub identity: Option<Identity>,
    /// The expression it is made of; such a column is not written.
    pub generated: Option<Generated>,
    /// What people wrote about it; empty for nothing.
    pub comment: String,
}

/// What a column is where a row does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefaultValue {
    /// A text.
    Text(String),
    /// A number, as it is written.
    Number(String),
    /// True or false.
    Bool(bool),
    /// Now, to this many digits of a second.
    Now(u8),
    /// Today.
    Today,
    /// Anything else, in the words of its own engine.
    Expression(String),
}

/// How an engine counts a column up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Whether values of one's own are refused unless overridden.
    pub always: bool,
    /// The number that comes next; `None` where the engine does not say.
    pub next: Option<i128>,
    /// The step.
    pub step: i64,
}

/// A column made of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Its expression, in the words of its own engine.
    pub expression: String,
    /// Whether it is stored.
    pub stored: bool,
}

/// A key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key {
    /// Its constraint's name; empty where it has none.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<String>,
}

/// An index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// Its columns, in order; an expression has none of its own.
    pub columns: Vec<IndexColumn>,
    /// Whether it holds each value once.
    pub unique: bool,
    /// Whether NULLs count as equal in it.
    pub nulls_not_distinct: bool,
    /// The way it works where that is not the usual tree: `gin`, `FULLTEXT`, …
    pub method: String,
    /// Its condition, in the words of its own engine; empty for none.
    pub predicate: String,
    /// Its whole statement, in the words of its own engine.
    pub definition: String,
}

/// A column of an index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexColumn {
    /// The column's name; empty where it is an expression.
    pub name: String,
    /// The expression, in the words of its own engine; empty where it is a column.
    pub expression: String,
    /// Whether it goes down.
    pub descending: bool,
    /// How many characters of it count.
    pub prefix: Option<u32>,
}

/// A foreign key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignKey {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// The table it points to.
    pub to: TableName,
    /// The columns there.
    pub to_columns: Vec<String>,
    /// What happens when the row it points to changes.
    pub on_update: Action,
    /// What happens when the row it points to goes.
    pub on_delete: Action,
    /// Whether it is looked at only when a transaction ends.
    pub deferred: bool,
}

/// What a foreign key does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Nothing; the change fails at the end of the statement.
    #[default]
    NoAction,
    /// The change fails at once.
    Restrict,
    /// The row goes or changes along.
    Cascade,
    /// The columns become NULL.
    SetNull,
    /// The columns become their defaults.
    SetDefault,
}

impl Action {
    /// As SQL writes it.
    #[must_use]
    pub fn sql(self) -> &'static str {
        match self {
            Self::NoAction => "NO ACTION",
            Self::Restrict => "RESTRICT",
            Self::Cascade => "CASCADE",
            Self::SetNull => "SET NULL",
            Self::SetDefault => "SET DEFAULT",
        }
    }
}

/// A check constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// Its expression, in the words of its own engine.
    pub expression: String,
}

/// Something that is not a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// What: `view`, `trigger`, `function`, `sequence`, …
    pub what: &'static str,
    /// Its name.
    pub name: TableName,
    /// Its statement, in the words of its own engine.
    pub definition: String,
}
