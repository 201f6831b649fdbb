//! One part of many falls asleep on its connection: it is asked for a second time, and nobody waits
//! for the first.

use std::time::{Duration, Instant};

use migration_fixtures::store::{Action, Dialect, Rule};
use serde_json::{Value, json};

use crate::bench::{Bench, DIALECTS, PART, bytes};

/// Longer than any test waits, however busy the machine.
const ASLEEP: Action = Action::Delay { ms: 100_000 };
const SOON: Duration = Duration::from_secs(80);
/// Parts that may always be asked for twice.
const ALWAYS: usize = 4;

fn sleeps(bench: &Bench, operation: &str, from: u64, times: u64) {
    bench.rule(Rule::of(operation).key("f").from(from).times(times).then(ASLEEP));
}

/// What must hold of a copy of so many bytes that met a sleeper.
fn ended(result: &Value, size: usize, begun: Instant) {
    assert_eq!(result["status"], "ok", "{result}");
    assert_eq!(result["metrics"]["bytes"], size, "{result}");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[test]
fn a_part_that_sleeps_on_its_way_up_is_sent_again() {
    for dialect in [Dialect::S3, Dialect::Azure] {
        for digest in [json!({}), json!({"checksum": "sha256"})] {
            let mut bench = Bench::new(dialect);
            let parts = 8;
            let all = bytes(parts * PART, 31);
            bench.write("f", &all);
            bench.rule(bench.of_part("f").from(5).times(1).then(ASLEEP));
            let begun = Instant::now();
            let result = bench.copy(&json!("f"), &bench.in_parts("f"), &digest);
            ended(&result, all.len(), begun);
            assert!(bench.object("f").unwrap() == all, "{dialect:?} {digest}");
            let sent = bench.done(bench.names.part, "f");
            assert_eq!(sent, parts, "{dialect:?} {digest}");
            assert!(bench.is_clean());
        }
    }
}

#[test]
fn a_part_that_sleeps_on_its_way_down_is_asked_for_again() {
    for dialect in DIALECTS {
        let mut bench = Bench::new(dialect);
        let all = bytes(48 << 20, 32);
        bench.put("f", &all);
        sleeps(&bench, bench.names.get, 4, 1);
        let begun = Instant::now();
        let result = bench.copy(&bench.at("f"), &json!("f"), &json!({}));
        ended(&result, all.len(), begun);
        assert!(bench.file("f").unwrap() == all, "{dialect:?}");
        let asked = bench.server.log().count(bench.names.get) as usize;
        assert!(asked <= 6 + ALWAYS, "{dialect:?} {asked}");
    }
}

/// Its fellows wait for their turn behind it.
#[test]
fn a_sleeper_does_not_hold_up_a_digest_that_goes_in_order() {
    let mut bench = Bench::new(Dialect::S3);
    let all = bytes(48 << 20, 35);
    bench.put("f", &all);
    sleeps(&bench, "GetObject", 4, 1);
    let begun = Instant::now();
    let result = bench.copy(&bench.at("f"), &json!("f"), &json!({"checksum": "sha256"}));
    ended(&result, all.len(), begun);
    assert!(bench.file("f").unwrap() == all);
}

#[test]
fn a_few_parts_alone_are_asked_for_twice() {
    let mut bench = Bench::new(Dialect::S3);
    let parts = 14;
    bench.put("f", &bytes(parts * (8 << 20), 33));
    // More of them than may go twice: what is left is waited for.
    let asleep = Action::Delay { ms: 9_000 };
    bench.rule(Rule::of("GetObject").key("f").from(7).times(8).then(asleep));
    let result = bench.copy(&bench.at("f"), &json!("f"), &json!({"parallel_chunks": 16}));
    assert_eq!(result["status"], "ok", "{result}");
    let asked = bench.server.log().count("GetObject") as usize;
    assert!(asked > parts && asked <= parts + parts / 10 + ALWAYS, "{asked}");
}

#[test]
fn where_the_service_asks_for_patience_nothing_is_asked_for_twice() {
    let mut bench = Bench::new(Dialect::S3);
    let all = bytes(48 << 20, 34);
    bench.put("f", &all);
    let busy = Action::Throttle { retry_after: Some(5) };
    bench.rule(Rule::of("GetObject").key("f").from(5).times(1).then(busy));
    let result = bench.copy(&bench.at("f"), &json!("f"), &json!({}));
    assert_eq!(result["status"], "ok", "{result}");
    assert_eq!(bench.server.log().count("GetObject"), 6 + 1);
}

/// A pause is not the connection's doing.
#[test]
fn a_pause_makes_nothing_late() {
    let mut bench = Bench::new(Dialect::S3);
    let all = bytes(48 << 20, 36);
    bench.put("f", &all);
    let slow = Action::SlowBody { bytes_per_second: 2 << 20 };
    bench.rule(Rule::of("GetObject").key("f").from(5).times(1).then(slow));
    let (src, dst) = (bench.at("f"), json!("f"));
    bench
        .session
        .send(&json!({"op": "copy", "id": "c", "src": src, "dst": dst, "parallel_chunks": 2}));
    while bench.server.script().rules()[0].1 < 5 {
        std::thread::sleep(Duration::from_millis(2));
    }
    bench.session.call(&json!({"op": "pause", "id": "p", "target": "c"}));
    std::thread::sleep(Duration::from_secs(3));
    bench.session.call(&json!({"op": "resume", "id": "r", "target": "c"}));
    let result = bench.session.result("c");
    assert_eq!(result["status"], "ok", "{result}");
    assert!(bench.file("f").unwrap() == all);
    assert_eq!(bench.server.log().count("GetObject"), 6);
}
