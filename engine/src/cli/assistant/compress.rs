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

/// A method as the assistant names it, and the forms it means for a file and for a directory.
struct Method {
    name: &'static str,
    file: &'static str,
    directory: &'static str,
}

const fn method(name: &'static str, file: &'static str, directory: &'static str) -> Method {
    Method { name, file, directory }
}

const GZIP: Method = method("gzip", "gzip", "tar_gzip");
const ZSTD: Method = method("zstd", "zstd", "tar_zstd");

/// Extensions of methods that are not gzip, longest first.
const METHODS: [(&[u8], Method); 5] = [
    (b".tar.gz", method("tar.gz", "tar_gzip", "tar_gzip")),
    (b".tar.zst", method("tar.zst", "tar_zstd", "tar_zstd")),
    (b".tar", method("tar", "tar", "tar")),
    (b".zstd", ZSTD),
    (b".zst", ZSTD),
];

/// Compresses a file, or makes an archive of a directory.
#[must_use]
pub fn run(context: &Context, ends: &Ends) -> Answer {
    let method = of_destination(&ends.destination);
    let is_directory = operator::open_dir(ends.source.as_bytes()).is_ok();
    let format = if is_directory { method.directory } else { method.file };
    let command = over("compress", ends).with("format", format).finish();
    let (outcome, _) = collect::run_one(context, command);
    let Some(outcome) = outcome else {
        return not_begun();
    };
    let figure = |name: &str| {
        outcome.data.as_ref().and_then(|data| data.get(name)).cloned().unwrap_or(json!(0))
    };
    let elapsed = outcome.metrics.as_ref().map_or(0, |metrics| metrics.elapsed_ms);
    let error = error_of(&outcome);
    let sizes = [figure("original_bytes"), figure("stored_bytes"), figure("ratio")];
    answer(shape(sizes, elapsed, method.name, error.is_none()), error)
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

fn of_destination(destination: &OsStr) -> &'static Method {
    let name = destination.as_bytes().to_ascii_lowercase();
    let found = METHODS.iter().find(|(extension, _)| name.ends_with(extension));
    found.map_or(&GZIP, |(_, method)| method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_tells_the_method() {
        let of = |name: &str| of_destination(OsStr::new(name)).name;
        assert_eq!([of("a.gz"), of("a.gzip"), of("a.bin"), of("zst")], ["gzip"; 4]);
        assert_eq!([of("a.zst"), of("A.ZSTD")], ["zstd"; 2]);
        assert_eq!([of("a.tar"), of("a.tar.gz"), of("a.tar.zst")], ["tar", "tar.gz", "tar.zst"]);
    }
}
