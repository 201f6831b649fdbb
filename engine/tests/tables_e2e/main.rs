//! Whole copies of databases by the real binary, judged by SQL that the engine did not write: every
//! engine to every other. The servers are those of `scripts/services.sh`.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    missing_docs,
    reason = "tests make and judge what they use, with a part of the session's harness"
)]

mod cases;
mod casts;
mod db;
mod finish;
mod large;
mod left;
mod losses;
mod manners;
mod modes;
mod names;
mod others;
mod policies;
mod refused;
mod rejects;
mod resume;
#[path = "../session/session.rs"]
mod session;
mod standing;
mod throttle;
mod tpch;
mod values;

use serde_json::{Value, json};

use db::Db;
use session::{Place, Session};

/// A scratch directory, in memory where there is such a place: what is judged here is no disk.
fn place() -> Place {
    match tempfile::tempdir_in("/dev/shm") {
        Ok(dir) => Place { dir },
        Err(_) => Place::new(),
    }
}

/// Sends one command to an engine of its own. Returns its result and the exit status.
fn run(place: &Place, command: &Value) -> (Value, i32) {
    let mut session = Session::start(place, &[]);
    let result = session.call(command);
    let (status, _) = session.end();
    (result, status)
}

/// A copy of all tables, with these fields too.
fn tables(place: &Place, from: &Db, to: &Db, fields: &Value) -> (Value, i32) {
    let mut command = json!({"op": "tables", "id": "t", "src": from.url(), "dst": to.url()});
    for (name, value) in fields.as_object().unwrap() {
        command[name] = value.clone();
    }
    run(place, &command)
}

/// A copy that must end well.
fn copied(place: &Place, from: &Db, to: &Db, fields: &Value) -> Value {
    let (result, status) = tables(place, from, to, fields);
    assert_eq!((&result["status"], status), (&json!("ok"), 0), "{from} to {to}: {result:#}");
    assert_eq!(to.ledgers(), 0, "{to}: a ledger is left");
    result
}

/// A copy that must be refused with this code and exit status, with nothing left of it.
fn refused(place: &Place, from: &Db, to: &Db, fields: &Value, code: &str, exit: i32) -> Value {
    let before = to.tables();
    let (result, status) = tables(place, from, to, fields);
    assert_eq!(
        (&result["error"]["code"], status),
        (&json!(code), exit),
        "{from} to {to}: {result:#}"
    );
    assert_eq!((to.tables(), to.ledgers()), (before, 0), "{from} to {to}");
    result
}

/// Whether `verify` finds two databases the same, by every row.
fn same(place: &Place, one: &Db, other: &Db) {
    let command = json!({"op": "verify", "id": "v", "src": one.url(), "dst": other.url()});
    let (result, status) = run(place, &command);
    assert_eq!((&result["status"], status), (&json!("ok"), 0), "{one} and {other}: {result:#}");
}

/// What `inspect` says of a database's tables, in order of their names, without sizes.
fn schema(place: &Place, db: &Db) -> Vec<Value> {
    let (result, _) = run(place, &json!({"op": "inspect", "id": "i", "src": db.url()}));
    assert_eq!(result["status"], "ok", "{db}: {result:#}");
    let mut tables = result["data"]["tables"].as_array().unwrap().clone();
    for table in &mut tables {
        let table = table.as_object_mut().unwrap();
        table.remove("rows_estimate");
        table.remove("bytes");
    }
    tables.sort_by_key(|table| table["table"].as_str().unwrap().to_owned());
    tables
}
