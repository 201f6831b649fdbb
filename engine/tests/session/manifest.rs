//! Manifests last as long as what they list, and list all that stands.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::session::Place;

/// Runs one command under `strace`. Returns the calls with what their handles stand for.
fn traced(place: &Place, command: &Value) -> Option<String> {
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
        .ok()?;
    child.stdin.take().unwrap().write_all(format!("{command}\n").as_bytes()).unwrap();
    let out = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(out.contains("\"status\":\"ok\""), "{out}");
    Some(std::fs::read_to_string(log).unwrap())
}

#[test]
fn the_name_of_a_manifest_is_synced_and_those_of_directories_made_for_it() {
    let place = Place::new();
    std::fs::write(place.path("a"), "content").unwrap();
    let command = json!({"op": "checksum", "id": "k", "src": "a", "manifest": "made/for/SUMS"});
    let Some(calls) = traced(&place, &command) else {
        return; // Nobody watches system calls here.
    };
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
