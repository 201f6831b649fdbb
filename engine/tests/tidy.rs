//! The shape of the tree, held: who may use whom, how long files and functions are, what is banned.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "tests make and judge the files they use"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Lines of code beyond which a file must be split.
const FILE_LINES_MAX: usize = 800;
/// Lines beyond which a function must be split.
const FUNCTION_LINES_MAX: usize = 70;

/// What each room may use of the crate, itself aside. `ARCHITECTURE.md` says why.
const LAYERS: &[(&str, &[&str])] = &[
    ("archive", &["codec", "endpoint", "error", "journal", "limits", "model"]),
    ("cli", &["*"]),
    ("codec", &["error", "limits", "model"]),
    (
        "command",
        &[
            "archive", "codec", "endpoint", "error", "job", "journal", "limits", "model",
            "pipeline", "plan", "platform", "progress", "resource", "table", "wire",
        ],
    ),
    ("endpoint", &["error", "limits", "model", "platform", "remote"]),
    ("error", &[]),
    ("job", &["error", "journal", "limits", "model", "platform", "progress", "remote", "resource"]),
    ("journal", &["error", "limits", "model", "platform"]),
    ("limits", &[]),
    ("model", &["error", "limits"]),
    (
        "pipeline",
        &[
            "archive", "codec", "endpoint", "error", "job", "journal", "limits", "model", "plan",
            "platform", "progress", "resource",
        ],
    ),
    ("plan", &["error", "limits", "model"]),
    ("platform", &["error", "limits", "model"]),
    ("progress", &["limits"]),
    ("remote", &["error", "limits", "model", "platform", "resource"]),
    ("resource", &["error", "limits"]),
    (
        "serve",
        &[
            "command", "error", "job", "journal", "limits", "pipeline", "platform", "progress",
            "resource", "settings", "wire",
        ],
    ),
    ("settings", &["limits"]),
    ("table", &["endpoint", "error", "job", "limits", "model", "platform", "progress"]),
    ("wire", &["error", "job", "model", "platform", "progress"]),
];

/// Rooms that may name the protocol.
const SPEAKS_PROTOCOL: [&str; 5] = ["cli", "command", "serve", "settings", "wire"];
/// Rooms of the engine that may name an endpoint beyond its contract: its registry is one line.
const NAMES_ENDPOINTS: [&str; 1] = ["endpoint/mod.rs"];
/// Words that stand for work not done, or for another place.
const BANNED: [&str; 7] =
    ["TODO", "FIXME", "XXX", "todo!(", "unimplemented!(", "#[ignore", "dbg!("];

struct Source {
    /// Path beneath `engine/src`.
    name: String,
    /// Code without tests, comments and blank lines.
    code: Vec<String>,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            all.push(path);
        }
    }
    all.sort();
    all
}

fn sources() -> Vec<Source> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let body = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
        let code = body.lines().filter(is_code).map(str::to_owned).collect();
        let name = path.strip_prefix(&base).unwrap().to_str().unwrap().to_owned();
        Source { name, code, text }
    };
    files(&base, "rs").into_iter().map(read).collect()
}

fn room(name: &str) -> &str {
    name.split('/').next().unwrap().trim_end_matches(".rs")
}

/// The rooms that a line names by `crate::room` or `use crate::{room…}`.
fn used(line: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        let heads: Vec<&str> = match rest.strip_prefix('{') {
            Some(list) => list.split(&[',', '}'][..]).map(str::trim).collect(),
            None => vec![rest],
        };
        for head in heads {
            let word: String =
                head.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.insert(word);
        }
    }
    found
}

#[test]
fn rooms_use_only_what_they_may() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|s| s.name != "lib.rs" && s.name != "main.rs") {
        let own = room(&source.name);
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == own) else {
            panic!("{} has no line in the table of layers", source.name);
        };
        for line in &source.code {
            for other in used(line) {
                let known = LAYERS.iter().any(|(name, _)| *name == other);
                if known
                    && other != own
                    && !allowed.contains(&"*")
                    && !allowed.contains(&other.as_str())
                {
                    wrong.push(format!("{}: {}", source.name, line.trim()));
                }
            }
            if line.contains("migration_protocol") && !SPEAKS_PROTOCOL.contains(&own) {
                wrong.push(format!("{}: names the protocol: {}", source.name, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn concrete_endpoints_are_named_by_their_registry_alone() {
    let mut wrong = Vec::new();
    for source in sources() {
        let inside = source.name.starts_with("endpoint/");
        if NAMES_ENDPOINTS.contains(&source.name.as_str())
            || (inside && !source.name.starts_with("endpoint/contract"))
        {
            continue;
        }
        for line in &source.code {
            if line.contains("endpoint::local") || line.contains("endpoint::memory") {
                wrong.push(format!("{}: {}", source.name, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn endpoints_do_not_use_each_other_and_commands_share_only_what_is_shared() {
    let mut wrong = Vec::new();
    for source in sources() {
        let other = match source.name.as_str() {
            name if name.starts_with("endpoint/local/") => "endpoint::memory",
            "endpoint/memory.rs" => "endpoint::local",
            _ => continue,
        };
        wrong.extend(source.code.iter().filter(|line| line.contains(other)).cloned());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_and_functions_stay_readable() {
    let mut long = Vec::new();
    for source in sources() {
        if source.code.len() > FILE_LINES_MAX {
            long.push(format!("{}: {} lines of code", source.name, source.code.len()));
        }
        let mut begun: Option<(usize, usize, &str)> = None;
        for (number, line) in source.code.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let head = line.trim_start();
            let is_head = ["fn ", "pub fn ", "pub(super) fn ", "const fn "]
                .iter()
                .any(|h| head.starts_with(h));
            if is_head && begun.is_none() && !line.trim_end().ends_with(';') {
                begun = Some((number, indent, head));
            } else if let Some((start, at, name)) = begun
                && indent == at
                && head.starts_with('}')
            {
                if number - start > FUNCTION_LINES_MAX {
                    long.push(format!("{}: {name} has {} lines", source.name, number - start));
                }
                begun = None;
            }
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn a_door_holds_no_logic() {
    for source in sources().iter().filter(|s| s.name.ends_with("/mod.rs")) {
        let bodies = source
            .code
            .iter()
            .filter(|line| line.trim_start().starts_with("fn ") && !line.ends_with(';'))
            .count();
        assert_eq!(bodies, 0, "{} has private functions: name a file for them", source.name);
    }
}

#[test]
fn no_unfinished_work_and_no_place_of_one_machine() {
    let mut found = Vec::new();
    let dirs = ["engine", "protocol", "fixtures", "benches", "scripts"];
    let all = dirs.iter().flat_map(|dir| {
        ["rs", "py", "sh", "md", "toml"].iter().flat_map(move |e| files(&root().join(dir), e))
    });
    for path in all.filter(|path| !path.ends_with("tidy.rs")) {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        for word in BANNED {
            if text.contains(word) {
                found.push(format!("{}: {word}", path.display()));
            }
        }
        for place in ["/home/", "/root/"] {
            if text.contains(place) {
                found.push(format!("{}: {place}", path.display()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// Path-based calls have one home, printing two; each says so at its head.
#[test]
fn exceptions_to_the_lints_have_one_home_each() {
    let expects: Vec<_> = sources()
        .iter()
        .filter(|s| {
            s.text.contains("expect(clippy::disallowed_methods")
                || s.text.contains("allow(clippy::disallowed_methods")
        })
        .map(|s| s.name.clone())
        .collect();
    assert_eq!(expects, ["platform/operator.rs"]);
    for source in sources() {
        for line in &source.code {
            assert!(!line.contains("println!("), "{}: {line}", source.name);
        }
    }
}
