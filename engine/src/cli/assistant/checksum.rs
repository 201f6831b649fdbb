//! `checksum --files F...`: a command for each file, so that each has its own answer.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use migration_protocol::event::Outcome;
use migration_protocol::message::Id;
use serde_json::{Map, Value, json};

use crate::cli::assistant::collect;
use crate::cli::assistant::envelope::{Answer, error_of};
use crate::cli::context::Context;
use crate::cli::draft::Draft;
use crate::platform::operator;

/// The digests that the assistant knows, all of one read.
const ALGORITHMS: [&str; 3] = ["md5", "sha1", "sha256"];

/// The files' digests in the order given. A file that cannot be read has an `error` of its own and
/// does not make the operation fail.
#[must_use]
pub fn run(context: &Context, files: &[OsString]) -> Answer {
    let readable = files.iter().enumerate().filter(|(_, file)| !is_directory(file));
    let commands = readable.map(|(index, file)| command(index, file)).collect();
    let (outcomes, _) = collect::run(context, commands);
    let mut by_id: HashMap<Id, Outcome> =
        outcomes.into_iter().map(|outcome| (outcome.id.clone(), outcome)).collect();
    let results: Vec<Value> = files
        .iter()
        .enumerate()
        .map(|(index, file)| entry(file, by_id.remove(&Id::Number(index as u64)).as_ref()))
        .collect();
    let fine = results.iter().all(|result| result.get("error").is_none());
    Answer::ok(json!({ "results": results, "success": fine }))
}

fn is_directory(file: &OsStr) -> bool {
    operator::open_dir(file.as_bytes()).is_ok() && !file.is_empty()
}

fn command(index: usize, file: &OsStr) -> Map<String, Value> {
    let draft = Draft::new("checksum").with("id", index).place("src", file);
    draft.with("algorithm", ALGORITHMS.to_vec()).finish()
}

fn entry(file: &OsStr, outcome: Option<&Outcome>) -> Value {
    let listed = outcome.and_then(|outcome| outcome.data.as_ref()?.pointer("/digests/0"));
    let mut entry = json!({ "file": file.to_string_lossy() });
    for algorithm in ALGORITHMS {
        let hex = listed.and_then(|one| one.get("digests")?.get(algorithm)).cloned();
        entry[algorithm] = hex.unwrap_or(json!(""));
    }
    entry["size"] = listed.and_then(|one| one.get("bytes")).cloned().unwrap_or(json!(0));
    let error = match outcome {
        None if is_directory(file) => Some("it is a directory".to_owned()),
        None => Some("it was not read".to_owned()),
        Some(outcome) => error_of(outcome),
    };
    if let Some(error) = error {
        entry["error"] = json!(migration_protocol::fault::printable(&error));
    }
    entry
}
