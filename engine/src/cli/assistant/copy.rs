//! `copy --source S --destination D`.

use migration_protocol::event::{Metrics, Outcome};
use serde_json::{Value, json};

use crate::cli::assistant::arguments::Ends;
use crate::cli::assistant::collect;
use crate::cli::assistant::envelope::{Answer, error_of, mebibytes_per_s};
use crate::cli::assistant::tree_digest::TreeDigest;
use crate::cli::context::Context;
use crate::cli::draft::Draft;

/// The copy, with its digest: the file's own, or for a directory that of its manifest.
#[must_use]
pub fn run(context: &Context, ends: &Ends) -> Answer {
    let command = over("copy", ends).with("checksum", "sha256");
    let (outcome, tree) = collect::run_one(context, command.finish());
    let Some(outcome) = outcome else {
        return not_begun();
    };
    let metrics = outcome.metrics.clone().unwrap_or_default();
    let error = error_of(&outcome);
    let data = json!({
        "bytes_copied": metrics.bytes,
        "duration_ms": metrics.elapsed_ms,
        "checksum": checksum(&outcome, tree),
        "transfer_rate_mbps": rate(&metrics),
        "success": error.is_none(),
    });
    answer(data, error)
}

/// A command between two ends that replaces what stands there.
pub fn over(op: &str, ends: &Ends) -> Draft {
    let draft = Draft::new(op).place("src", &ends.source).place("dst", &ends.destination);
    draft.with("on_exists", "replace")
}

fn checksum(outcome: &Outcome, tree: TreeDigest) -> String {
    let data = outcome.data.as_ref();
    let own = data.and_then(|data| data.pointer("/digests/sha256")).and_then(Value::as_str);
    let is_tree = data.is_some_and(|data| data.get("kind") == Some(&json!("directory")));
    match own {
        Some(hex) => hex.to_owned(),
        None if is_tree => tree.finish(),
        None => String::new(),
    }
}

/// The answer with this data, and this error where there is one.
pub fn answer(data: Value, error: Option<String>) -> Answer {
    match error {
        None => Answer::ok(data),
        Some(error) => Answer::failed(data, error),
    }
}

/// The answer where no session could be had.
pub fn not_begun() -> Answer {
    Answer::failed(json!({ "success": false }), "the engine could not begin; see its log")
}

/// A job's rate, over its whole time.
pub fn rate(metrics: &Metrics) -> f64 {
    mebibytes_per_s(metrics.bytes, metrics.elapsed_ms)
}
