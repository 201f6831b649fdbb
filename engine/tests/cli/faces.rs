//! Sessions from files and pipes, usage errors, and the verbs that describe.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::binary::{Place, Ran};
use crate::with_tree;

#[test]
fn run_takes_a_file_or_a_pipe() {
    let place = with_tree();
    let commands =
        "{\"op\":\"ping\",\"id\":1}\n\n{\"op\":\"checksum\",\"id\":\"k\",\"src\":\"in\"}\n";
    place.write("cmds", commands);
    let ran = place.run(["run", "cmds"]);
    assert_eq!((ran.code, ran.text().contains("k checksum: ok")), (0, true), "{ran:?}");
    let mut command = place.command(["run", "-", "--json"]);
    command.stdin(std::fs::File::open(place.path("cmds")).unwrap());
    let lines = Ran::of(&mut command).lines();
    assert_eq!(lines.iter().filter(|line| line["type"] == "result").count(), 2);
    let ran = place.run(["run", "absent"]);
    assert_eq!((ran.code, ran.err.contains("error[SRC_NOT_FOUND]")), (2, true));
    place.write("bad", format!("nonsense\n{commands}"));
    let ran = place.run(["run", "bad"]);
    assert_eq!((ran.code, ran.err.contains("line 1:\nerror[PARSE]")), (2, true), "{}", ran.err);
}

#[test]
fn a_pipe_without_a_verb_is_served() {
    let place = with_tree();
    for arguments in [&[][..], &["serve", "--on-eof", "finish"]] {
        let mut child =
            place.command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"{\"op\":\"ping\",\"id\":7}\n").unwrap();
        let out = child.wait_with_output().unwrap();
        let lines = Ran { code: 0, out: out.stdout, err: String::new() }.lines();
        assert_eq!((&lines[0]["type"], &lines[1]["id"]), (&json!("hello"), &json!(7)));
        assert!(out.status.success());
    }
}

#[test]
fn usage_errors_exit_with_2_and_touch_nothing() {
    let place = with_tree();
    let bad: [&[&str]; 6] = [
        &["copy", "in"],
        &["bogus"],
        &["copy", "in", "out", "--on-exists", "maybe"],
        &["copy", "in", "out", "--memory-cap", "1"],
        &["copy", "in", "out", "--jobs", "x"],
        &["checksum", "in", "--check", "x", "--algorithm", "md5"],
    ];
    for arguments in bad {
        let ran = place.run(arguments);
        assert_eq!((ran.code, ran.out.len()), (2, 0), "{ran:?}");
        assert!(!ran.err.is_empty());
    }
    assert!(!place.path("out").exists());
    let help = place.run(["--help"]);
    assert_eq!((help.code, help.text().contains("Usage:")), (0, true));
    let refused = place.run(["copy", "in", "out", "--include", "["]);
    assert_eq!((refused.code, refused.err.contains("error[INVALID_FIELD]")), (2, true));
}

#[test]
fn explain_knows_every_code() {
    let place = Place::new();
    let list = place.run(["explain", "--list", "--json"]).lines();
    assert!(list.len() > 30 && list.iter().all(|entry| entry["explanation"].is_string()));
    for entry in [&list[0], &list[list.len() - 1]] {
        let code = entry["code"].as_str().unwrap();
        assert!(place.run(["explain", code]).text().starts_with(code));
        assert_eq!(place.run(["explain", &entry["n"].to_string(), "--json"]).object(), *entry);
    }
    let ran = place.run(["explain", "DST_EXIST"]);
    assert_eq!((ran.code, ran.err.contains("did you mean DST_EXISTS?")), (2, true));
}

#[test]
fn schema_capabilities_version_completions() {
    let place = Place::new();
    for kind in ["commands", "events", "errors", "ops"] {
        let ran = place.run(["schema", "--kind", kind]);
        assert!(serde_json::from_slice::<Value>(&ran.out).is_ok(), "{kind}");
    }
    assert_eq!(place.run(["schema", "--write", "made/v1"]).code, 0);
    assert!(place.path("made/v1/commands.json").exists());
    let can = place.run(["capabilities", "--json"]).object();
    let ops: Vec<Value> = serde_json::from_slice(&place.read("made/v1/ops.json")).unwrap();
    let built: Vec<_> = ops.iter().map(|op| op["op"].clone()).collect();
    assert_eq!(can["ops"], json!(built));
    assert!(place.run(["capabilities"]).text().contains("ops "));
    assert_eq!(place.run(["version", "--json"]).object()["protocol"], 1);
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.run(["completions", shell]).text().contains("migration-engine"));
    }
}
