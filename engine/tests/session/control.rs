//! Dependencies, batches, listings, and the answers of control ops.

use serde_json::json;

use crate::session::{Place, Session};

#[test]
fn commands_wait_for_those_they_name() {
    let place = Place::new();
    std::fs::write(place.path("a"), "x").unwrap();
    let mut session = Session::start(&place, &[]);
    session.send(&json!({"op": "copy", "id": "1", "src": "a", "dst": "b"}));
    session.send(&json!({"op": "copy", "id": "2", "src": "b", "dst": "c", "after": ["1"]}));
    session.send(&json!({"op": "copy", "id": "3", "src": "nothing", "dst": "d", "after": ["2"]}));
    session.send(&json!({"op": "copy", "id": "4", "src": "c", "dst": "e", "after": ["3"]}));
    session.send(&json!({"op": "copy", "id": "5", "src": "c", "dst": "f", "after": ["3", "4"], "after_status": ["failed", "skipped"]}));
    let (code, seen) = session.end();
    let status = |id: &str| {
        seen.iter().find(|l| l["type"] == "result" && l["id"] == id).unwrap()["status"].clone()
    };
    assert_eq!(["1", "2", "3", "4", "5"].map(status), ["ok", "ok", "failed", "skipped", "ok"]);
    assert_eq!(code, 4);
}

/// A chain of dependencies longer than any stack is deep.
#[test]
fn a_long_chain_of_dependencies_is_walked_without_recursion() {
    let place = Place::new();
    let mut session = Session::start(&place, &["--jobs", "1"]);
    session.send(&json!({"op": "monitor", "id": "c0", "interval_ms": 200, "count": 2}));
    for n in 1..900 {
        session.send(&json!({"op": "inspect", "id": format!("c{n}"), "src": "x", "after": [format!("c{}", n - 1)], "after_status": ["failed"]}));
    }
    let (_, seen) = session.end();
    let skipped = seen.iter().filter(|l| l["type"] == "result" && l["status"] == "skipped").count();
    assert_eq!(skipped, 899);
}

#[test]
fn an_id_in_use_is_refused_and_the_first_command_goes_on() {
    let place = Place::new();
    let mut session = Session::start(&place, &[]);
    session.send(&json!({"op": "monitor", "id": "m", "interval_ms": 200, "count": 3}));
    session.send(&json!({"op": "ping", "id": "m"}));
    let error = session.until(|line| line["type"] == "error");
    assert_eq!((&error["error"]["code"], &error["line"]), (&json!("DUPLICATE_ID"), &json!(2)));
    assert_eq!(session.result("m")["data"]["samples"], 3);
}

#[test]
fn a_batch_answers_for_each_item_and_then_for_itself() {
    let place = Place::new();
    std::fs::write(place.path("a"), "x").unwrap();
    let mut session = Session::start(&place, &[]);
    let items = json!([
        {"op": "copy", "src": "a", "dst": "b"}, {"op": "copy", "src": "missing", "dst": "c"},
        {"op": "copy", "src": "a", "dst": "d"},
    ]);
    let result = session.call(
        &json!({"op": "batch", "id": "b", "mode": "sequence", "on_error": "stop", "items": items}),
    );
    assert_eq!(
        result["data"],
        json!({"ok": 1, "partial": 0, "failed": 1, "cancelled": 0, "skipped": 1})
    );
    assert_eq!(result["status"], "partial");
    let order: Vec<_> =
        session.seen.iter().filter(|l| l["type"] == "result").map(|l| l["id"].clone()).collect();
    assert_eq!(order, ["b/0", "b/1", "b/2", "b"]);
    let all = session.call(&json!({"op": "batch", "id": "n", "max_parallel": 2, "items": vec![json!({"op": "inspect", "src": "a"}); 50]}));
    assert_eq!((&all["status"], &all["data"]["ok"]), (&json!("ok"), &json!(50)));
    session.end();
}

#[test]
fn a_thousand_batches_do_not_stop_the_input() {
    let place = Place::new();
    std::fs::write(place.path("a"), "x").unwrap();
    let mut session = Session::start(&place, &[]);
    for n in 0..300 {
        session.send(&json!({"op": "batch", "id": n.to_string(), "items": vec![json!({"op": "inspect", "src": "a"}); 20]}));
    }
    let (code, seen) = session.end();
    assert_eq!(code, 0);
    assert_eq!(seen.iter().filter(|l| l["type"] == "result").count(), 300 * 21);
}

#[test]
fn the_first_words_of_a_host_set_the_session() {
    let place = Place::new();
    std::fs::write(place.path("a"), "x").unwrap();
    let mut session = Session::start(&place, &[]);
    let hello = session.call(&json!({"op": "hello", "id": "h", "protocol": [1], "require": ["cancel"],
        "optional": ["pause", "telepathy"], "events": ["item"], "defaults": {"checksum": "sha256"}}));
    assert_eq!(hello["data"], json!({"protocol": 1, "optional": ["pause"]}));
    let copy = session.call(&json!({"op": "copy", "id": "c", "src": "a", "dst": "b"}));
    assert_eq!(copy["verify"]["algorithm"], "sha256");
    let own =
        session.call(&json!({"op": "copy", "id": "d", "src": "a", "dst": "e", "checksum": "md5"}));
    assert_eq!(own["verify"]["algorithm"], "md5");
    let misspelt =
        session.call(&json!({"op": "hello", "id": "m", "defaults": {"checksums": "md5"}}));
    assert_eq!(misspelt["error"]["code"], "UNKNOWN_FIELD");
    let (_, seen) = session.end();
    assert!(!seen.iter().any(|line| line["type"] == "state"));
    assert_eq!(seen.iter().filter(|line| line["type"] == "item").count(), 2);
}

#[test]
fn alerts_are_raised_by_the_figures_that_cross_them() {
    let place = Place::new();
    let mut session = Session::start(&place, &[]);
    session.send(&json!({"op": "monitor", "id": "m", "interval_ms": 200, "count": 2,
        "alerts": {"memory_percent_above": 0, "bytes_per_s_below": 1, "errors_above": 1_000_000, "cpu_percent_above": 101}}));
    let sample = session.until(|line| line["type"] == "sample");
    let names: Vec<_> =
        sample["alerts"].as_array().unwrap().iter().map(|a| a["metric"].clone()).collect();
    assert_eq!(names, ["memory_percent", "bytes_per_s"]);
    assert_eq!(session.result("m")["status"], "ok");
}
