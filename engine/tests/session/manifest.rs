//! Manifests last as long as what they list, and list all that stands.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::session::{Place, Session, read};

/// Runs one command under `strace`. Returns the calls with what their handles stand for.
fn traced(place: &Place, command: &Value) -> String {
    let log = place.path("calls");
    let mut child = Command::new("strace")
        .args(["-f", "-y", "-s", "200", "-e", "trace=fsync,rename,renameat,renameat2", "-o"])
        .arg(&log)
        .arg(env!("CARGO_BIN_EXE_migration-engine"))
        .args(["serve", "--state-dir"])
        .arg(place.state())
        .current_dir(place.dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("strace is not installed: {error}"));
    child.stdin.take().unwrap().write_all(format!("{command}\n").as_bytes()).unwrap();
    let out = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(out.contains("\"status\":\"ok\""), "{out}");
    std::fs::read_to_string(log).unwrap()
}

#[test]
fn the_name_of_a_manifest_is_synced_and_those_of_directories_made_for_it() {
    let place = Place::new();
    std::fs::write(place.path("a"), "content").unwrap();
    let command = json!({"op": "checksum", "id": "k", "src": "a", "manifest": "made/for/SUMS"});
    let calls = traced(&place, &command);
    let calls: Vec<&str> = calls.lines().collect();
    let at = |call: &str, end: &str| {
        calls.iter().position(|line| line.contains(call) && line.contains(end))
    };
    let named = at("rename", "made/for/SUMS").unwrap();
    let synced = |name: &str| at("fsync(", &format!("{}>", place.path(name).display()));
    assert!(synced("made/for").unwrap() > named, "{calls:#?}");
    assert!(synced("made").is_some(), "{calls:#?}");
    let own = format!("{}>", place.dir.path().display());
    assert!(at("fsync(", &own).is_some(), "{calls:#?}");
}

fn write_at(path: &Path, content: &[u8], seconds: u64) {
    std::fs::write(path, content).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

/// The lines of a manifest by name.
fn lines(place: &Place, name: &str) -> BTreeMap<String, Value> {
    let text = String::from_utf8(read(&place.path(name))).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| (line["path"].as_str().unwrap().to_owned(), line)).collect()
}

/// Updates `dst` with a manifest of what stands there after; `check` reads it against `dst`.
fn update(place: &Place, more: &Value, manifest: &str, matched: u64) -> Value {
    let mut command = json!({"op": "copy", "id": "c", "src": "src", "dst": "dst",
        "on_exists": "update", "preserve": ["mode", "times", "specials", "hard_links"],
        "manifest": manifest});
    for (name, value) in more.as_object().unwrap() {
        command[name] = value.clone();
    }
    let mut session = Session::start(place, &[]);
    let done = session.call(&command);
    assert_eq!(done["status"], "ok", "{done}");
    let check = json!({"op": "checksum", "id": "k", "src": "dst", "check": manifest});
    let checked = session.call(&check);
    assert_eq!(checked["data"]["check"]["matched"], matched, "{checked}");
    assert_eq!(checked["data"]["check"]["mismatched"], 0, "{checked}");
    done["metrics"].clone()
}

#[test]
fn the_manifest_of_an_update_lists_what_stood_there_as_it_stands() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("src/d")).unwrap();
    for (name, at) in [("d/changes", 1000), ("d/stays", 2000), ("sneaky", 3000)] {
        write_at(&place.path("src").join(name), name.as_bytes(), at);
    }
    std::fs::hard_link(place.path("src/d/stays"), place.path("src/d/twin")).unwrap();
    std::os::unix::fs::symlink("d/stays", place.path("src/link")).unwrap();
    assert!(Command::new("mkfifo").arg(place.path("src/fifo")).status().unwrap().success());
    update(&place, &json!({}), "first.jsonl", 6);
    let first = lines(&place, "first.jsonl");
    assert_eq!(first.len(), 6, "{first:?}");
    for (round, compare) in ["time", "digest"].iter().enumerate() {
        let changed = format!("changed {round}");
        write_at(&place.path("src/d/changes"), changed.as_bytes(), 9000 + round as u64);
        // Of the source's size and time, with other content.
        write_at(&place.path("dst/sneaky"), b"SNEAKY", 3000);
        let metrics = update(&place, &json!({"compare": compare}), "again.jsonl", 6);
        let sneaky = if *compare == "time" { 0 } else { 6 };
        assert_eq!(metrics["bytes"], changed.len() + sneaky, "{metrics}");
        let again = lines(&place, "again.jsonl");
        for name in ["d/stays", "d/twin", "link", "fifo"] {
            assert_eq!(again[name], first[name], "{name}");
        }
        assert_eq!(again["sneaky"] == first["sneaky"], *compare == "digest");
        assert_eq!(again.len(), 6, "{again:?}");
    }
}

#[test]
fn compressed_files_that_stand_are_listed_by_their_plain_content() {
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    write_at(&place.path("src/a"), &b"some text ".repeat(9999), 1000);
    let copy = json!({"op": "copy", "id": "c", "src": "src", "dst": "dst", "compress": "zstd",
        "on_exists": "update", "manifest": "m.jsonl"});
    let mut session = Session::start(&place, &[]);
    let done = session.call(&copy);
    let first = lines(&place, "m.jsonl");
    let again = session.call(&copy);
    assert_eq!(done["metrics"]["items_ok"], 1, "{done}");
    assert_eq!(again["metrics"]["items_skipped"], 1, "{again}");
    assert_eq!(lines(&place, "m.jsonl"), first);
}

#[test]
fn what_a_copy_skips_is_not_listed_and_what_an_update_finds_equal_is() {
    let place = Place::new();
    for side in ["src", "dst"] {
        std::fs::create_dir(place.path(side)).unwrap();
        write_at(&place.path(side).join("a"), b"same", 1000);
    }
    let copy = |rule: &str| {
        json!({"op": "copy", "id": "c", "src": "src", "dst": "dst", "on_exists": rule,
            "manifest": "m.jsonl"})
    };
    let mut session = Session::start(&place, &[]);
    assert_eq!(session.call(&copy("skip"))["metrics"]["items_skipped"], 1);
    assert!(lines(&place, "m.jsonl").is_empty());
    assert_eq!(session.call(&copy("update"))["metrics"]["items_skipped"], 1);
    assert_eq!(lines(&place, "m.jsonl")["a"]["bytes"], 4);
}
