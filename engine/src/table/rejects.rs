//! Rows that were not written, as JSON Lines: durable before the ledger passes them.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use crate::endpoint::rows::Reject;
use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::TableName;
use crate::platform::operator;

/// The file of a job's rejected rows, made with the first one.
#[derive(Debug)]
pub struct Rejects {
    path: PathBuf,
    limit: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    file: Option<File>,
    rows: u64,
    /// Spans whose rows are in the file: a span may be tried again.
    spans: HashSet<(TableName, u32)>,
}

impl Rejects {
    /// A file that takes up to `limit` rows. `before`: rows that earlier attempts rejected.
    #[must_use]
    pub fn new(path: PathBuf, limit: u64, before: u64) -> Self {
        Self { path, limit, state: Mutex::new(State { rows: before, ..State::default() }) }
    }

    /// Rows rejected so far, those of earlier attempts included.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).rows
    }

    /// Where they are; `None` while there is none.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        (self.rows() > 0).then_some(self.path.as_path())
    }

    /// Adds a span's rejected rows; they are on the device when this returns. `key`: the columns of
    /// the table's key.
    ///
    /// # Errors
    /// `RejectLimit` with the first row's own error in its words; `DestinationWrite` where the file
    /// cannot be written.
    pub fn add(&self, table: &TableName, span: u32, key: &[String], rows: &[Reject]) -> Result<()> {
        let Some(first) = rows.first() else { return Ok(()) };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.spans.contains(&(table.clone(), span)) {
            return Ok(());
        }
        if state.rows + rows.len() as u64 > self.limit {
            return Err(self.too_many(table, key, first));
        }
        let mut lines = Vec::new();
        for row in rows {
            let line = line(table, span, key, row);
            serde_json::to_writer(&mut lines, &line).map_err(|error| self.failed(&error.into()))?;
            lines.push(b'\n');
        }
        let file = match &mut state.file {
            Some(file) => file,
            none => none
                .insert(operator::append_private(&self.path).map_err(|error| self.failed(&error))?),
        };
        file.write_all(&lines).and_then(|()| file.sync_data()).map_err(|e| self.failed(&e))?;
        state.rows += rows.len() as u64;
        state.spans.insert((table.clone(), span));
        Ok(())
    }

    fn too_many(&self, table: &TableName, key: &[String], first: &Reject) -> EngineError {
        let parts = first.error.parts();
        let kind = if self.limit == 0 { parts.kind } else { Kind::RejectLimit };
        let which = shown_key(key, first);
        let message = match self.limit {
            0 => format!("{} in the row {which}", first.error),
            limit => format!("more than {limit} rows were rejected; one more is {which}"),
        };
        let mut error = EngineError::new(kind, message).at(table.shown());
        if !first.column.is_empty() {
            error = error.field(first.column.clone());
        }
        match (&parts.hint, self.limit) {
            (Some(hint), _) => error.hint(hint.clone()),
            (None, 0) => {
                error.hint("mend the row, or allow rejects with \"rejects\":{\"limit\":N}")
            }
            _ => error,
        }
    }

    fn failed(&self, error: &std::io::Error) -> EngineError {
        let path = self.path.clone().into_os_string().into_encoded_bytes();
        EngineError::new(Kind::DestinationWrite, "failed to write the file of rejected rows")
            .at(path)
            .because("write", error.raw_os_error())
    }
}

fn shown_key(key: &[String], reject: &Reject) -> String {
    let of = |name: &String| {
        let value = reject.row.iter().find(|(column, _)| column == name);
        let text = value.and_then(|(_, value)| value.as_deref()).map(String::from_utf8_lossy);
        format!("{name}={}", text.as_deref().unwrap_or("NULL"))
    };
    let all: Vec<String> = key.iter().map(of).collect();
    if all.is_empty() { "without a key".to_owned() } else { all.join(", ") }
}

fn line(table: &TableName, span: u32, key: &[String], reject: &Reject) -> Value {
    let parts = reject.error.parts();
    let value = |value: &Option<Vec<u8>>| match value {
        None => Value::Null,
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => json!({ "b64": BASE64.encode(bytes) }),
        },
    };
    let row: Map<String, Value> =
        reject.row.iter().map(|(name, cell)| (name.clone(), value(cell))).collect();
    let keys: Map<String, Value> = row
        .iter()
        .filter(|(name, _)| key.contains(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    json!({
        "table": table.shown(),
        "span": span,
        "key": keys,
        "column": reject.column,
        "reason": parts.message,
        "cause": parts.cause.as_ref().map(|(cause, _)| cause),
        "row": row,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reject(id: &str) -> Reject {
        Reject {
            row: vec![
                ("id".to_owned(), Some(id.as_bytes().to_vec())),
                ("raw".to_owned(), Some(vec![0xff])),
                ("none".to_owned(), None),
            ],
            column: "raw".to_owned(),
            error: EngineError::new(Kind::RowRefused, "no"),
        }
    }

    #[test]
    fn rows_are_kept_exactly_and_counted_over_attempts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.jsonl");
        let table = TableName { schema: "s".to_owned(), name: "t".to_owned() };
        let key = ["id".to_owned()];
        let rejects = Rejects::new(path.clone(), 3, 1);
        rejects.add(&table, 4, &key, &[reject("1"), reject("2")]).unwrap();
        let error = rejects.add(&table, 5, &key, &[reject("3")]).unwrap_err();
        assert_eq!((error.kind(), rejects.rows()), (Kind::RejectLimit, 3));
        let text = String::from_utf8(operator::read_small(&path, 1 << 20).unwrap()).unwrap();
        let line: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert_eq!(line["key"], json!({ "id": "2" }));
        assert_eq!(line["row"], json!({ "id": "2", "raw": { "b64": "/w==" }, "none": null }));
        let none = Rejects::new(path, 0, 0).add(&table, 0, &key, &[reject("9")]).unwrap_err();
        assert!(none.kind() == Kind::RowRefused && none.to_string().contains("id=9"));
    }
}
