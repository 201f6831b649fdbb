//! Rates hold, and change while work is under way.

use std::time::{Duration, Instant};

use migration_fixtures::large_file;
use serde_json::json;

use crate::session::{Place, Session};

#[test]
fn a_limit_holds_and_a_changed_one_is_obeyed_while_running() {
    let place = Place::new();
    large_file(&place.path("big"), 12 << 20, 9).unwrap();
    let mut session = Session::start(&place, &["--progress-ms", "100"]);
    let start = Instant::now();
    session.send(&json!({"op": "copy", "id": "c", "src": "big", "dst": "copy", "limits": {"bytes_per_s": "4MB"}}));
    let slow = session
        .until(|line| line["type"] == "progress" && line["elapsed_ms"].as_u64() > Some(1200));
    assert!(slow["bytes_per_s_avg"].as_u64() < Some(6_000_000), "{slow}");
    assert_eq!(slow["throttled"]["by"], "bytes_per_s", "{slow}");
    assert_eq!(slow["throttled"]["bytes_per_s_limit"], 4_000_000);
    let answer =
        session.call(&json!({"op": "limits", "id": "l", "target": "c", "bytes_per_s": "8MB"}));
    assert_eq!(answer["data"]["bytes_per_s"], 8_000_000);
    let result = session.result("c");
    assert_eq!(result["status"], "ok");
    // 12 MiB at no more than 8 MB/s, of which the first second at 4 MB/s.
    assert!(start.elapsed() > Duration::from_millis(1600), "{:?}", start.elapsed());
    assert!(result["metrics"]["throttled_ms"].as_u64() > Some(500), "{result}");
}

#[test]
fn the_whole_engine_has_a_limit_of_its_own() {
    let place = Place::new();
    large_file(&place.path("big"), 3 << 20, 9).unwrap();
    let mut session = Session::start(&place, &[]);
    session.call(&json!({"op": "limits", "id": "l", "bytes_per_s": "4MB"}));
    let start = Instant::now();
    for n in 0..3 {
        session.send(
            &json!({"op": "copy", "id": format!("c{n}"), "src": "big", "dst": format!("o{n}")}),
        );
    }
    for n in 0..3 {
        let id = format!("c{n}");
        if !session.seen.iter().any(|l| l["type"] == "result" && l["id"] == *id) {
            session.result(&id);
        }
    }
    assert!(start.elapsed() > Duration::from_millis(1700), "{:?}", start.elapsed());
}
