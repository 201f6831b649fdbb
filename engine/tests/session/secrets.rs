//! A canary secret never appears: not in lines, logs, state, or the account of a panic.

use std::io::Read as _;
use std::process::Stdio;

use serde_json::json;

use crate::session::{Place, Session};

const CANARY: &str = "canary-7f3a9c-hunter2";

fn variable(name: &str) -> String {
    let missing = |_| panic!("{name} is not set: eval \"$(scripts/services.sh env)\"");
    std::env::var(name).unwrap_or_else(missing)
}

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

/// A URL that was signed is as good as a password: its query is sent, and told to nobody else.
#[test]
fn a_signature_in_a_url_never_comes_out() {
    let place = Place::new();
    let name = format!("signed-{}", std::process::id());
    let served = std::path::Path::new(&variable("TEST_HTTP_ROOT")).join(&name);
    std::fs::write(&served, "content").unwrap();
    let mut session =
        Session::start_with(&place, &["--log", "debug"], |command| command.stderr(Stdio::piped()));
    let mut stderr = session.child.stderr.take().unwrap();
    let signed = |endpoint: &str, name: &str| {
        format!("{endpoint}/{name}?X-Amz-Signature={CANARY}&then=a/{CANARY}#{CANARY}")
    };
    let plain = variable("TEST_HTTP_ENDPOINT");
    let (good, absent) = (signed(&plain, &name), signed(&plain, "absent"));
    let (untrusted, nobody) =
        (signed(&variable("TEST_HTTPS_ENDPOINT"), &name), signed("http://127.0.0.1:9", &name));
    let broken = signed("http://a:b:c", &name);
    session.call(&json!({"op": "hello", "id": "hello", "events": ["item", "log", "warning"]}));
    session.call(&json!({"op": "copy", "id": "got", "src": good, "dst": "into/"}));
    let mut ids = 0..;
    let mut call = |mut command: serde_json::Value| {
        command["id"] = json!(format!("c{}", ids.next().unwrap()));
        session.call(&command)
    };
    for url in [&good, &absent, &untrusted, &broken] {
        call(json!({"op": "copy", "src": url, "dst": "to", "on_exists": "update"}));
        call(json!({"op": "copy", "src": url, "dst": "planned", "dry_run": true}));
        call(json!({"op": "copy", "src": "into", "dst": url}));
        call(json!({"op": "checksum", "src": [url, url], "manifest": "sums.jsonl"}));
        call(json!({"op": "verify", "src": url, "dst": "into"}));
        call(json!({"op": "verify", "src": "into", "dst": url}));
        call(json!({"op": "inspect", "src": url}));
        call(json!({"op": "plan", "command": {"op": "copy", "src": url, "dst": "planned"}}));
        call(json!({"op": "compress", "src": url, "dst": "packed.gz", "on_exists": "replace"}));
        call(json!({"op": "decompress", "src": url, "dst": "unpacked", "format": "gzip"}));
        call(json!({"op": "cleanup", "locations": [url]}));
    }
    call(json!({"op": "checksum", "src": good, "manifest": "SUMS"}));
    // Tried again for long: enough is seen of it while it goes on, and when it is cancelled.
    session.send(&json!({"op": "copy", "id": "slow", "src": nobody, "dst": "never"}));
    session.call(&json!({"op": "jobs", "id": "jobs"}));
    session.call(&json!({"op": "cancel", "id": "cancel", "target": "slow"}));
    session.result("slow");
    std::fs::remove_file(&served).unwrap();
    assert!(place.path("into").join(&name).exists() && place.path("packed.gz").exists());
    let (_, seen) = session.end();
    let mut log = String::new();
    stderr.read_to_string(&mut log).unwrap();
    for event in &seen {
        assert!(!event.to_string().contains(CANARY), "{event}");
    }
    assert!(!log.contains(CANARY), "{log}");
    for root in [place.state(), place.path(".")] {
        for bytes in files_below(&root) {
            assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
        }
    }
}
