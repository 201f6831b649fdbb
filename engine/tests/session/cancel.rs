//! Cancel, pause, limits: answered at once, obeyed soon, nothing half-made left.

use std::time::{Duration, Instant};

use migration_fixtures::large_file;
use serde_json::json;

use crate::session::{Place, Session};

/// A file that takes longer to copy than any test waits, at the rate the tests set.
const SLOW: &str = "20MB";

#[test]
fn a_cancelled_copy_leaves_nothing_and_says_so() {
    let place = Place::new();
    large_file(&place.path("big"), 256 << 20, 3).unwrap();
    let mut session = Session::start(&place, &[]);
    session.send(&json!({"op": "hello", "id": "h", "progress_ms": 50}));
    session.send(&json!({"op": "copy", "id": "c", "src": "big", "dst": "out/copy", "limits": {"bytes_per_s": SLOW}}));
    session.until(|line| line["type"] == "progress" && line["bytes_done"].as_u64() > Some(0));
    let asked = Instant::now();
    session.send(&json!({"op": "cancel", "id": "k", "target": "c", "reason": "enough"}));
    let answer = session.result("k");
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert_eq!(answer["data"]["jobs"][0]["state"], "cancelling");
    let result = session.result("c");
    assert_eq!(result["status"], "cancelled", "{result}");
    assert_eq!(result["error"]["message"], "cancelled: enough");
    assert!(!place.path("out/copy").exists());
    assert_eq!(place.leftovers().len(), 0);
    let again = session.call(&json!({"op": "cancel", "id": "k2", "target": "c"}));
    assert_eq!(
        (&again["status"], &again["data"]["jobs"][0]["state"]),
        (&json!("ok"), &json!("finished"))
    );
    let nobody = session.call(&json!({"op": "cancel", "id": "k3", "target": "nobody"}));
    assert_eq!((&nobody["status"], &nobody["data"]["jobs"]), (&json!("ok"), &json!([])));
    assert_eq!(session.end().0, 3);
}

/// Cancelled at many moments, a tree is at every name whole or absent.
#[test]
fn names_are_whole_or_absent_at_any_moment() {
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    for n in 0..40u64 {
        large_file(&place.path(&format!("src/f{n}")), 1 << 20, n).unwrap();
    }
    let mut session = Session::start(&place, &["--progress-ms", "50"]);
    for round in 0..8u64 {
        let (id, dst) = (format!("c{round}"), format!("dst{round}"));
        session.send(&json!({"op": "copy", "id": id, "src": "src", "dst": dst, "limits": {"bytes_per_s": "40MB"}}));
        std::thread::sleep(Duration::from_millis(60 * round));
        session.send(&json!({"op": "cancel", "target": id}));
        session.result(&id);
        assert_eq!(place.leftovers().len(), 0);
        for entry in std::fs::read_dir(place.path(&dst)).into_iter().flatten() {
            let copy = entry.unwrap().path();
            let source = place.path("src").join(copy.file_name().unwrap());
            assert_eq!(std::fs::read(copy).unwrap(), std::fs::read(source).unwrap());
        }
    }
}

#[test]
fn a_paused_job_stands_still_and_gives_its_slot_away() {
    let place = Place::new();
    large_file(&place.path("big"), 8 << 20, 3).unwrap();
    let mut session = Session::start(&place, &["--jobs", "1", "--progress-ms", "50"]);
    session.send(&json!({"op": "copy", "id": "c", "src": "big", "dst": "copy", "limits": {"bytes_per_s": "4MB"}}));
    session.until(|line| line["type"] == "state" && line["state"] == "running");
    let paused = session.call(&json!({"op": "pause", "id": "p", "target": "c"}));
    assert_eq!(paused["data"]["jobs"][0]["state"], "paused");
    let other = session.call(&json!({"op": "inspect", "id": "other", "src": "big"}));
    assert_eq!(other["status"], "ok");
    session.call(&json!({"op": "limits", "id": "l", "target": "c", "bytes_per_s": null}));
    let held =
        session.until(|line| line["type"] == "progress" && line["throttled"]["by"] == "pause");
    assert!(held["bytes_done"].as_u64() < Some(8 << 20));
    session.call(&json!({"op": "resume", "id": "r", "target": "c"}));
    assert_eq!(session.result("c")["status"], "ok");
}

#[test]
fn a_queued_job_and_a_labelled_group_are_cancelled_at_once() {
    let place = Place::new();
    large_file(&place.path("big"), 64 << 20, 3).unwrap();
    let mut session = Session::start(&place, &["--jobs", "1"]);
    for n in 0..5 {
        session.send(
            &json!({"op": "copy", "id": format!("c{n}"), "src": "big", "dst": format!("o{n}"),
            "labels": {"group": if n < 3 { "a" } else { "b" }}, "limits": {"bytes_per_s": "1MB"}}),
        );
    }
    session.send(&json!({"op": "cancel", "id": "k", "target": {"label": {"group": "a"}}}));
    for id in ["c0", "c1", "c2"] {
        let ended = session.seen.iter().find(|l| l["type"] == "result" && l["id"] == id).cloned();
        let ended = ended.unwrap_or_else(|| session.result(id));
        assert_eq!(ended["status"], "cancelled");
    }
    let left = session.call(&json!({"op": "jobs", "id": "j"}));
    assert_eq!(left["data"]["jobs"].as_array().unwrap().len(), 2, "{left}");
    session.send(&json!({"op": "shutdown", "id": "z", "mode": "cancel"}));
    let (_, seen) = session.end();
    assert_eq!(seen.last().unwrap()["id"], "z");
}
