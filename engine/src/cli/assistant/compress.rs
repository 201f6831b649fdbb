//! `compress --source S --destination D`: the method is told by the destination's extension.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use serde_json::{Value, json};

use crate::cli::assistant::arguments::Ends;
use crate::cli::assistant::collect;
use crate::cli::assistant::copy::{answer, not_begun, over};
use crate::cli::assistant::envelope::{Answer, error_of};
use crate::cli::context::Context;
use crate::platform::operator;

/// Extensions of methods that are not gzip, longest first.
const METHODS: [(&[u8], &str); 5] = [
    (b".tar.gz", "tar.gz"),
    (b".tar.zst", "tar.zst"),
    (b".tar", "tar"),
    (b".zstd", "zstd"),
    (b".zst", "zstd"),
];

/// Compresses one file.
#[must_use]
pub fn run(context: &Context, ends: &Ends) -> Answer {
    let method = method(&ends.destination);
    if method != "gzip" {
        return refused(method, &format!("the method {method} is not built in this version"));
    }
    if operator::open_dir(ends.source.as_bytes()).is_ok() {
        return refused(method, "archives of directories are not built in this version");
    }
    let (outcome, _) = collect::run_one(context, over("compress", ends).finish());
    let Some(outcome) = outcome else {
        return not_begun();
    };
    let figure = |name: &str| {
        outcome.data.as_ref().and_then(|data| data.get(name)).cloned().unwrap_or(json!(0))
    };
    let elapsed = outcome.metrics.as_ref().map_or(0, |metrics| metrics.elapsed_ms);
    let error = error_of(&outcome);
    let sizes = [figure("original_bytes"), figure("stored_bytes"), figure("ratio")];
    answer(shape(sizes, elapsed, method, error.is_none()), error)
}

fn shape([original, stored, ratio]: [Value; 3], elapsed: u64, method: &str, ok: bool) -> Value {
    json!({
        "original_size": original,
        "compressed_size": stored,
        "compression_ratio": ratio,
        "duration_ms": elapsed,
        "method": method,
        "success": ok,
    })
}

fn refused(method: &str, why: &str) -> Answer {
    let none = [json!(0), json!(0), json!(0.0)];
    Answer::failed(shape(none, 0, method, false), format!("{why}; give a destination in .gz"))
}

fn method(destination: &OsStr) -> &'static str {
    let name = destination.as_bytes().to_ascii_lowercase();
    let found = METHODS.iter().find(|(extension, _)| name.ends_with(extension));
    found.map_or("gzip", |(_, method)| method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_tells_the_method() {
        let of = |name: &str| method(OsStr::new(name));
        assert_eq!([of("a.gz"), of("a.gzip"), of("a.bin"), of("zst")], ["gzip"; 4]);
        assert_eq!([of("a.zst"), of("A.ZSTD")], ["zstd"; 2]);
        assert_eq!([of("a.tar"), of("a.tar.gz"), of("a.tar.zst")], ["tar", "tar.gz", "tar.zst"]);
    }
}
