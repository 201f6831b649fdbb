//! Ways in which copy programs lost data, each made to happen against the real binary. One file for
//! each cause; `scripts/campaign/README.md` says which other test covers the rest.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    missing_docs,
    reason = "tests make and judge the files they use, with a part of the session's harness"
)]

mod equal_size;
mod holes;
mod little_memory;
mod long_file;
mod longer_target;
mod moving_source;
mod old_content;
mod same_file;
mod sizeless;
mod twins;

#[path = "../session/session.rs"]
mod session;

use serde_json::{Value, json};

use session::{Place, Session};

/// Every way in which the content of a file may be carried over.
fn methods() -> Vec<Value> {
    vec![
        json!({}),
        json!({"checksum": "none", "verify": "none"}),
        json!({"verify": "readback", "durability": "crash"}),
        json!({"chunk_bytes": "64KiB", "parallel_files": 1}),
        json!({"checksum": "none", "parallel_chunks": 4}),
        json!({"preserve": []}),
    ]
}

/// A copy of `src` to `dst` with these fields too.
fn copy(session: &mut Session, src: &str, dst: &str, fields: &Value) -> Value {
    let id = format!("c{}", session.seen.len());
    let mut command = json!({"op": "copy", "id": id, "src": src, "dst": dst});
    for (name, value) in fields.as_object().unwrap() {
        command[name] = value.clone();
    }
    session.call(&command)
}

/// Runs a program that must end well.
fn run(place: &Place, program: &str, arguments: &[&str]) {
    let ran = std::process::Command::new(program)
        .args(arguments)
        .current_dir(place.dir.path())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{program} {arguments:?}: {ran:?}");
}
