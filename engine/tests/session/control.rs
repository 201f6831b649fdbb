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

/// An id may be used again while something still remembers its first use.
#[test]
fn a_reused_id_is_nobody_elses_dependent() {
    let place = Place::new();
    let mut session = Session::start(&place, &["--jobs", "2"]);
    session.call(&json!({"op": "inspect", "id": "a", "src": "nothing"}));
    session.send(&json!({"op": "monitor", "id": "b", "interval_ms": 200, "count": 3}));
    let skipped =
        session.call(&json!({"op": "inspect", "id": "c", "src": "x", "after": ["a", "b"]}));
    assert_eq!(skipped["status"], "skipped");
    session.send(&json!({"op": "monitor", "id": "d", "interval_ms": 200, "count": 6}));
    session.send(&json!({"op": "inspect", "id": "c", "src": ".", "after": ["d"]}));
    assert_eq!(session.result("b")["status"], "ok");
    let (code, seen) = session.end();
    let at = |id: &str| seen.iter().rposition(|l| l["type"] == "result" && l["id"] == id).unwrap();
    assert!(at("c") > at("d"), "it ran before what it waits for");
    assert_eq!((seen[at("c")]["status"].as_str(), code), (Some("ok"), 4));
}

#[test]
fn a_cancelled_command_leaves_no_turn_to_its_successor() {
    let place = Place::new();
    let mut session = Session::start(&place, &["--jobs", "1"]);
    session.send(&json!({"op": "monitor", "id": "m", "interval_ms": 200, "count": 3}));
    session.send(&json!({"op": "inspect", "id": "c", "src": "."}));
    session.send(&json!({"op": "cancel", "id": "k", "target": "c"}));
    session.send(&json!({"op": "monitor", "id": "z", "interval_ms": 200, "count": 2}));
    session.send(&json!({"op": "inspect", "id": "c", "src": ".", "after": ["z"]}));
    let (_, seen) = session.end();
    let at = |id: &str| seen.iter().rposition(|l| l["type"] == "result" && l["id"] == id).unwrap();
    assert!(at("c") > at("z"));
}

#[test]
fn a_waiting_batch_starts_nothing_when_it_is_cancelled() {
    let place = Place::new();
    std::fs::write(place.path("a"), "x").unwrap();
    let mut session = Session::start(&place, &["--jobs", "4"]);
    session.send(&json!({"op": "monitor", "id": "m", "interval_ms": 200, "count": 4}));
    let items: Vec<_> =
        (0..4).map(|n| json!({"op": "copy", "src": "a", "dst": format!("o{n}")})).collect();
    for id in ["b1", "b2"] {
        session.send(&json!({"op": "batch", "id": id, "after": ["m"], "items": items}));
    }
    session.send(&json!({"op": "cancel", "id": "k1", "target": "b1/0"}));
    session.send(&json!({"op": "cancel", "id": "k2", "target": "b2"}));
    assert_eq!(session.result("b2")["status"], "cancelled");
    assert!(
        !session.seen.iter().any(|l| l["type"] == "state" && l["id"] != "m"),
        "{:?}",
        session.seen
    );
    let batch = session.result("b1");
    assert_eq!(
        batch["data"],
        json!({"ok": 3, "partial": 0, "failed": 0, "cancelled": 1, "skipped": 0})
    );
    assert!(!place.path("o0").exists() && place.path("o1").exists());
}

#[test]
fn a_draining_session_still_listens() {
    let place = Place::new();
    let mut session = Session::start(&place, &[]);
    session.send(&json!({"op": "monitor", "id": "m", "interval_ms": 200}));
    session.until(|line| line["type"] == "sample");
    session.send(&json!({"op": "shutdown", "id": "z1"}));
    session.send(&json!({"op": "inspect", "id": "late", "src": "."}));
    assert_eq!(session.result("late")["error"]["code"], "SHUTTING_DOWN");
    assert_eq!(session.call(&json!({"op": "ping", "id": "p"}))["status"], "ok");
    assert_eq!(
        session.call(&json!({"op": "shutdown", "id": "z2", "mode": "cancel"}))["status"],
        "ok"
    );
    let (_, seen) = session.end();
    assert_eq!(seen.last().unwrap()["id"], "z1");
}

#[test]
fn queued_jobs_that_are_paused_take_no_thread_and_keep_their_turn() {
    let place = Place::new();
    let mut session = Session::start(&place, &["--jobs", "1"]);
    session.send(&json!({"op": "monitor", "id": "m", "interval_ms": 200, "count": 2}));
    for n in 0..100 {
        session.send(
            &json!({"op": "inspect", "id": format!("c{n}"), "src": ".", "labels": {"g": "x"}}),
        );
    }
    session.call(&json!({"op": "pause", "id": "p", "target": {"label": {"g": "x"}}}));
    session.result("m");
    let listed = session.call(&json!({"op": "jobs", "id": "j"}));
    assert!(listed["data"]["cursor"].is_string());
    let states = listed["data"]["jobs"].as_array().unwrap();
    assert!(states.iter().all(|job| job["state"] == "queued"), "{listed}");
    session.call(&json!({"op": "resume", "id": "r", "target": {"label": {"g": "x"}}}));
    let (code, seen) = session.end();
    assert_eq!(code, 0);
    assert_eq!(seen.iter().filter(|l| l["type"] == "result" && l["op"] == "inspect").count(), 100);
}
