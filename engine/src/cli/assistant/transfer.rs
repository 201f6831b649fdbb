//! `transfer --source S --destination D --method M`.

use serde_json::json;

use crate::cli::assistant::arguments::Ends;
use crate::cli::assistant::collect;
use crate::cli::assistant::copy::{answer, not_begun, over, rate};
use crate::cli::assistant::envelope::{Answer, error_of};
use crate::cli::context::Context;
use crate::cli::draft::Draft;

/// A copy of many files at once, of parts of one file at once, or of one file of a web server.
#[must_use]
pub fn run(context: &Context, ends: &Ends, method: &str) -> Answer {
    let schemes: &[&str] = match method {
        "concurrent" | "chunked" => return copy(context, ends, method),
        "http" => &["http://", "https://"],
        // Who names TLS gets nothing without.
        "https" => &["https://"],
        _ => return refused(method, "is not known; use http, https, concurrent or chunked"),
    };
    let source = ends.source.as_encoded_bytes();
    let is = |scheme: &&str| {
        source.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme.as_bytes()))
    };
    match schemes.iter().any(is) {
        true => copy(context, ends, method),
        false => {
            refused(method, &format!("takes a source that begins with {}", schemes.join(" or ")))
        }
    }
}

fn refused(method: &str, why: &str) -> Answer {
    let error = format!("the method {method} {why}");
    let data = json!({
        "bytes_transferred": 0,
        "duration_ms": 0,
        "transfer_rate_mbps": 0.0,
        "method": method,
        "success": false,
        "error": error,
    });
    Answer::failed(data, error)
}

/// `concurrent` has many files in hand and one part of each, `chunked` one file and many parts. One
/// file of a web server is copied in as many ranges at once as are worth it.
fn command(ends: &Ends, method: &str) -> Draft {
    let draft = over("copy", ends);
    match method {
        "concurrent" => draft.with("parallel_chunks", 1),
        "chunked" => draft.with("parallel_files", 1),
        _ => draft,
    }
}

fn copy(context: &Context, ends: &Ends, method: &str) -> Answer {
    let (outcome, _) = collect::run_one(context, command(ends, method).finish());
    let Some(outcome) = outcome else {
        return not_begun();
    };
    let metrics = outcome.metrics.clone().unwrap_or_default();
    let error = error_of(&outcome);
    let data = json!({
        "bytes_transferred": metrics.bytes,
        "duration_ms": metrics.elapsed_ms,
        "transfer_rate_mbps": rate(&metrics),
        "method": method,
        "success": error.is_none(),
        "error": error.as_deref().unwrap_or_default(),
    });
    answer(data, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_method_has_many_files_in_hand_and_the_other_many_parts_of_one() {
        let ends = Ends { source: "a".into(), destination: "b".into() };
        let bounds = |method| {
            let command = command(&ends, method).finish();
            ["parallel_files", "parallel_chunks"].map(|name| command.get(name).cloned())
        };
        assert_eq!(bounds("concurrent"), [None, Some(json!(1))]);
        assert_eq!(bounds("chunked"), [Some(json!(1)), None]);
        assert_eq!(bounds("https"), [None, None]);
    }
}
