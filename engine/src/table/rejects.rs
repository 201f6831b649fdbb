//! Rows that were not written, as JSON Lines: durable before the ledger passes them.

use std::collections::HashMap;
use std::io::{self, BufRead, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::endpoint::rows::{Reject, Write as SpanWrite};
use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::TableName;
use crate::model::rows::Cell;
use crate::platform::operator;

/// The file of a job's rejected rows, made with the first one. Others may add to it as well.
#[derive(Debug)]
pub struct Rejects {
    path: PathBuf,
    /// The job's name in the ledger, which is in each of its lines.
    job: String,
    limit: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rows: u64,
    /// Spans whose rows are in the file, with how many and a digest of their lines: a span may be tried
    /// again.
    spans: HashMap<(TableName, u32), (u64, blake3::Hash)>,
}

/// What of a line tells whose it is.
#[derive(Deserialize)]
struct Whose {
    job: String,
    table: String,
    span: u32,
}

impl Rejects {
    /// A file that takes up to `limit` rows of the job that the ledger knows by this name.
    #[must_use]
    pub fn new(path: PathBuf, job: &str, limit: u64) -> Self {
        Self { path, job: job.to_owned(), limit, state: Mutex::default() }
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

    /// Goes on after an earlier attempt, whose spans that stand rejected `rows`. Lines of its other
    /// spans go: those are copied anew, or were never committed. `stands` is asked by the table as it
    /// is shown and the span.
    ///
    /// # Errors
    /// `DestinationWrite` where the file cannot be written.
    pub fn resume(&self, rows: u64, stands: impl Fn(&str, u32) -> bool) -> Result<()> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).rows = rows;
        self.without(|whose| whose.job == self.job && !stands(&whose.table, whose.span))
    }

    /// Takes lines out of the file, and the end of one that was cut.
    fn without(&self, goes: impl Fn(&Whose) -> bool) -> Result<()> {
        let edit = |from: &mut dyn BufRead, to: &mut dyn Write| {
            let (mut line, mut changed) = (Vec::new(), false);
            while from.read_until(b'\n', &mut line)? > 0 {
                let is_gone = match serde_json::from_slice::<Whose>(&line) {
                    Ok(whose) => goes(&whose),
                    Err(_) => !line.ends_with(b"\n"),
                };
                changed |= is_gone;
                if !is_gone {
                    to.write_all(&line)?;
                }
                line.clear();
            }
            Ok(changed)
        };
        operator::rewrite(&self.path, edit).map_err(|error| self.failed(&error))
    }

    /// Adds a span's rejected rows; they are on the device when this returns. `read`: the columns as
    /// they are at the source, in the order in which they are written.
    ///
    /// # Errors
    /// `RejectLimit` with the first row's own error in its words; `DestinationWrite` where the file
    /// cannot be written.
    pub fn add(&self, to: &SpanRows<'_>, rows: &[Reject]) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (to.write.table.clone(), to.span);
        let earlier = state.spans.get(&name).copied();
        let Some(first) = rows.first() else {
            return match earlier {
                None => Ok(()),
                Some(_) => self.forget(&mut state, &name),
            };
        };
        let key = to.key();
        let before = state.rows - earlier.map_or(0, |(rows, _)| rows);
        if before + rows.len() as u64 > self.limit {
            return Err(self.too_many(&to.write.table, &key, first));
        }
        let mut lines = Vec::new();
        for row in rows {
            let line = self.line(&to.write.table, to.span, &key, row);
            serde_json::to_writer(&mut lines, &line).map_err(|error| self.failed(&error.into()))?;
            lines.push(b'\n');
        }
        let digest = blake3::hash(&lines);
        match earlier {
            Some((_, held)) if held == digest => return Ok(()),
            // Another attempt at the span met another target.
            Some(_) => self.forget(&mut state, &name)?,
            None => {}
        }
        append(&self.path, &lines).map_err(|error| self.failed(&error))?;
        state.rows += rows.len() as u64;
        state.spans.insert(name, (rows.len() as u64, digest));
        Ok(())
    }

    /// Whether so many rows of one span are more than any may be.
    #[must_use]
    pub fn is_beyond(&self, rows: usize) -> bool {
        rows as u64 > self.limit
    }

    fn forget(&self, state: &mut State, (table, span): &(TableName, u32)) -> Result<()> {
        let (shown, span) = (table.shown(), *span);
        self.without(|w| w.job == self.job && w.table == shown && w.span == span)?;
        let held = state.spans.remove(&(table.clone(), span));
        state.rows -= held.map_or(0, |(rows, _)| rows);
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

    fn line(&self, table: &TableName, span: u32, key: &[String], reject: &Reject) -> Value {
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
            "job": self.job,
            "table": table.shown(),
            "span": span,
            "key": keys,
            "column": reject.column,
            "reason": parts.message,
            "cause": parts.cause.as_ref().map(|(cause, _)| cause),
            "row": row,
        })
    }

    fn failed(&self, error: &std::io::Error) -> EngineError {
        let path = self.path.clone().into_os_string().into_encoded_bytes();
        EngineError::new(Kind::DestinationWrite, "failed to write the file of rejected rows")
            .at(path)
            .because("write", error.raw_os_error())
    }
}

/// A span whose rows are added.
pub struct SpanRows<'a> {
    /// What is written.
    pub write: &'a SpanWrite,
    /// The same columns as they are read.
    pub read: &'a [Cell],
    /// The span's number.
    pub span: u32,
}

impl SpanRows<'_> {
    /// The columns of the key, by their names at the source.
    fn key(&self) -> Vec<String> {
        let both = self.read.iter().zip(&self.write.cells);
        let key = both.filter(|(_, write)| self.write.key.contains(&write.name));
        key.map(|(read, _)| read.name.clone()).collect()
    }
}

/// Adds lines to a file; they are on the device when this returns. The line that a writer left when it
/// died is ended first.
fn append(path: &Path, lines: &[u8]) -> io::Result<()> {
    let mut file = operator::append_held(path)?;
    let mut last = [b'\n'];
    let is_new = file.seek(SeekFrom::End(-1)).is_err();
    if !is_new && file.read(&mut last)? > 0 && last != *b"\n" {
        file.write_all(b"\n")?;
    }
    file.write_all(lines)?;
    file.sync_data()?;
    match path.parent().filter(|_| is_new) {
        None => Ok(()),
        Some(dir) => operator::sync_dir(dir),
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

    fn write(schema: &str) -> SpanWrite {
        let cell = |name: &str| Cell {
            name: name.to_owned(),
            kind: crate::model::kind::ColumnType::Any,
            misfit: Default::default(),
        };
        SpanWrite {
            table: TableName { schema: schema.to_owned(), name: "t".to_owned() },
            cells: ["nr", "raw", "none"].map(cell).to_vec(),
            key: vec!["nr".to_owned()],
            meets: Default::default(),
            overrides_identity: false,
            own: true,
        }
    }

    fn add(rejects: &Rejects, span: u32, ids: &[&str]) -> Result<()> {
        let write = write("s");
        let mut read = write.cells.clone();
        read[0].name = "id".to_owned();
        let rows: Vec<Reject> = ids.iter().map(|id| reject(id)).collect();
        rejects.add(&SpanRows { write: &write, read: &read, span }, &rows)
    }

    fn lines(path: &Path) -> Vec<(String, u64, String)> {
        let text = String::from_utf8(operator::read_small(path, 1 << 20).unwrap()).unwrap();
        let line = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&line["job"]), line["span"].as_u64().unwrap(), text(&line["key"]["id"]))
        };
        text.lines().map(line).collect()
    }

    fn told(all: &[(&str, u64, &str)]) -> Vec<(String, u64, String)> {
        all.iter().map(|(job, span, id)| ((*job).to_owned(), *span, (*id).to_owned())).collect()
    }

    #[test]
    fn rows_are_kept_exactly_and_counted_over_attempts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.jsonl");
        let rejects = Rejects::new(path.clone(), "j", 3);
        rejects.resume(1, |_, _| true).unwrap();
        add(&rejects, 4, &["1", "2"]).unwrap();
        let error = add(&rejects, 5, &["3"]).unwrap_err();
        assert_eq!((error.kind(), rejects.rows()), (Kind::RejectLimit, 3));
        let text = String::from_utf8(operator::read_small(&path, 1 << 20).unwrap()).unwrap();
        let line: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert_eq!((&line["key"], &line["job"]), (&json!({ "id": "2" }), &json!("j")));
        assert_eq!(line["row"], json!({ "id": "2", "raw": { "b64": "/w==" }, "none": null }));
        let none = add(&Rejects::new(path, "j", 0), 0, &["9"]).unwrap_err();
        assert!(none.kind() == Kind::RowRefused && none.to_string().contains("id=9"));
    }

    #[test]
    fn lines_of_spans_that_are_copied_anew_go_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.jsonl");
        for job in ["j", "other"] {
            let rejects = Rejects::new(path.clone(), job, 9);
            add(&rejects, 1, &["1"]).unwrap();
            add(&rejects, 2, &["2"]).unwrap();
        }
        // A writer that died left half a line.
        let mut file = operator::append_private(&path).unwrap();
        file.write_all(b"{\"job\":\"j\",\"ta").unwrap();
        let again = Rejects::new(path.clone(), "j", 9);
        again.resume(1, |table, span| table == "s.t" && span == 2).unwrap();
        let others = [("other", 1, "1"), ("other", 2, "2")];
        assert_eq!(lines(&path), told(&[&[("j", 2, "2")][..], &others].concat()));
        // The same span, once more and with other rows.
        for ids in [&["3", "4"][..], &["3", "4"], &["5"]] {
            add(&again, 1, ids).unwrap();
        }
        let wanted = [&[("j", 2, "2")][..], &others, &[("j", 1, "5")]].concat();
        assert_eq!((lines(&path), again.rows()), (told(&wanted), 2));
        add(&again, 1, &[]).unwrap();
        assert_eq!((lines(&path).len(), again.rows()), (3, 1));
        assert!(!operator::stands(dir.path().join("r.jsonl.part").as_os_str().as_encoded_bytes()));
    }
}
