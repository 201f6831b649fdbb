//! A canary secret never appears: not in lines, logs, state, or the account of a panic.

use std::io::Read as _;
use std::process::Stdio;

use serde_json::json;

use crate::session::{Place, Session};

const CANARY: &str = "canary-7f3a9c-hunter2";

fn files_below(dir: &std::path::Path) -> Vec<Vec<u8>> {
    let mut open = vec![dir.to_owned()];
    let mut all = Vec::new();
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { open.push(path) } else { all.push(std::fs::read(path).unwrap()) }
        }
    }
    all
}

#[test]
fn a_secret_in_the_environment_never_comes_out() {
    let place = Place::new();
    std::fs::write(place.path("a"), "x").unwrap();
    let secret_file = place.path("secret");
    std::fs::write(&secret_file, CANARY).unwrap();
    let mut session = Session::start_with(&place, &["--log", "debug"], |command| {
        command.env("CANARY", CANARY).env("AWS_SECRET_ACCESS_KEY", CANARY).stderr(Stdio::piped())
    });
    let mut stderr = session.child.stderr.take().unwrap();
    let auth = json!({"secret": {"env": "CANARY"}, "key": {"file": secret_file.to_str().unwrap()}});
    let lines = [
        json!({"op": "copy", "id": "1", "src": {"url": "s3://bucket/key", "auth": auth}, "dst": "b"}),
        json!({"op": "copy", "id": "2", "src": {"url": "file:///nowhere", "auth": auth}, "dst": "b", "key": "k"}),
        json!({"op": "copy", "id": "3", "src": format!("s3://user:{CANARY}@bucket/key"), "dst": "b"}),
        json!({"op": "plan", "id": "4", "command": {"op": "copy", "src": {"url": "a", "auth": auth}, "dst": "b"}}),
        json!({"op": "copy", "id": "5", "src": {"url": "a", "auth": {"secret": CANARY}}, "dst": "b"}),
        json!({"op": "monitor", "id": "6"}),
        json!({"op": "copy", "id": "7", "src": "a", "dst": "b", "key": "k7"}),
    ];
    for line in &lines {
        session.call(line);
    }
    session.send_bytes(format!("{{\"op\":\"ping\",\"password\":{CANARY}}}").as_bytes());
    session.send_bytes(
        format!("{{\"op\":\"ping\",\"id\":\"8\",\"password\":\"{CANARY}\"}}").as_bytes(),
    );
    session.result("8");
    let (_, seen) = session.end();
    let mut log = String::new();
    stderr.read_to_string(&mut log).unwrap();
    let output: String = seen.iter().map(ToString::to_string).collect();
    assert!(!output.contains(CANARY), "{output}");
    assert!(!log.contains(CANARY), "{log}");
    for bytes in files_below(&place.state()) {
        assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
    }
}
