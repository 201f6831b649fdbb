//! The statements that a directory understands, and joining pieces into a table's file.

use std::fs::File;
use std::io::Write as _;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::endpoint::flat::ledger::Names;
use crate::endpoint::flat::store::Store;
use crate::endpoint::rows::Statements;
use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::{Table, TableName};
use crate::platform::dir;

/// A statement, as text for a review and for whoever runs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Statement {
    /// Makes sure that the table has no file yet.
    Create {
        /// The schema.
        schema: String,
        /// The table.
        table: String,
        /// Its columns.
        columns: Vec<String>,
    },
    /// Removes the table's file.
    Remove {
        /// The schema.
        schema: String,
        /// The table.
        table: String,
    },
    /// Joins what was written and gives it the file's name.
    Publish {
        /// The schema.
        schema: String,
        /// The table.
        table: String,
        /// Its columns.
        columns: Vec<String>,
    },
}

/// The statements for a table.
///
/// # Errors
/// `NameRefused` for a name that no file can have.
pub fn statements(store: &Store, table: &Table) -> Result<Statements> {
    store.file_name(&table.name)?;
    let (schema, name) = (table.name.schema.clone(), table.name.name.clone());
    let columns = table.columns.iter().filter(|column| column.generated.is_none());
    let columns: Vec<String> = columns.map(|column| column.name.clone()).collect();
    let create =
        Statement::Create { schema: schema.clone(), table: name.clone(), columns: columns.clone() };
    let remove = removal(&table.name)?;
    let indexes =
        table.indexes.iter().map(|index| format!("index {}: a file has none", index.name));
    Ok(Statements {
        create: vec![text(&create)?],
        finish: vec![text(&Statement::Publish { schema, table: name, columns })?],
        drop: vec![remove.clone()],
        clear: vec![remove],
        left: indexes.collect(),
        ..Statements::default()
    })
}

/// The statement that removes a table's file.
///
/// # Errors
/// None that a name can cause.
pub fn removal(table: &TableName) -> Result<String> {
    let (schema, table) = (table.schema.clone(), table.name.clone());
    text(&Statement::Remove { schema, table })
}

fn text(statement: &Statement) -> Result<String> {
    let text = serde_json::to_string(statement);
    text.map_err(|error| EngineError::new(Kind::Internal, format!("a statement: {error}")))
}

/// Runs a statement for a job.
///
/// # Errors
/// `DestinationExists` where a file stands in the way; those of the system.
pub fn run(store: &Store, names: Option<&Names>, statement: &str) -> Result<()> {
    let unknown =
        |_| EngineError::new(Kind::Unsupported, "a directory of files knows no such statement");
    match serde_json::from_str(statement).map_err(unknown)? {
        Statement::Create { schema, table, .. } => {
            let name = store.file_name(&TableName { schema, name: table })?;
            match store.dir.facts(&name) {
                Err(Errno::NOENT) => Ok(()),
                Ok(_) => Err(Store::failed("the table has a file", &name, Errno::EXIST)),
                Err(errno) => Err(Store::failed("failed to look at a file", &name, errno)),
            }
        }
        Statement::Remove { schema, table } => {
            store.remove(&store.file_name(&TableName { schema, name: table })?)
        }
        Statement::Publish { schema, table, columns } => {
            let closed = || EngineError::new(Kind::Internal, "no ledger is open");
            publish(store, names.ok_or_else(closed)?, &TableName { schema, name: table }, &columns)
        }
    }
}

/// Joins the pieces that have receipts. A file of the same job's is as good as done.
fn publish(store: &Store, names: &Names, table: &TableName, columns: &[String]) -> Result<()> {
    let (to, prefix) = (store.file_name(table)?, names.table(table));
    let done = format!("{prefix}done");
    let failed = |errno| Store::failed("failed to publish the table's file", &to, errno);
    if let Ok(there) = store.dir.facts(&to) {
        let own = format!("{} {}", there.identity.ino, there.size);
        let finished = store.small(&done)?.is_some_and(|text| text == own);
        return if finished { Ok(()) } else { Err(failed(Errno::EXIST)) };
    }
    let temporary = Store::temporary(&prefix);
    let whole = store.dir.open_record(temporary.as_bytes(), Some(0o666)).map_err(failed)?;
    let mut whole = File::from(whole);
    let failed_io =
        |error: &std::io::Error| Store::failed_io("failed to join a table's file", &to, error);
    whole.write_all(&store.form.header(columns)).map_err(|error| failed_io(&error))?;
    for name in store.names(&prefix)? {
        let Some(piece) = name.strip_suffix(".receipt") else { continue };
        let piece = store.dir.open_file(format!("{piece}.part").as_bytes()).map_err(failed)?;
        std::io::copy(&mut File::from(piece), &mut whole).map_err(|error| failed_io(&error))?;
    }
    whole.sync_all().map_err(|error| failed_io(&error))?;
    let facts = dir::facts(&whole).map_err(failed)?;
    store.put_small(&prefix, &done, &format!("{} {}", facts.identity.ino, facts.size))?;
    store.dir.publish_new(temporary.as_bytes(), &to).map_err(failed)?;
    store.sync()
}
