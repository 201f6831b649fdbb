//! A store carries a dead attempt's request out while the next attempt is already at that name: what
//! came is known by its number, and is neither taken for somebody else's nor for what is there now.

use std::time::Duration;

use migration_fixtures::store::{Action, Dialect, Rule};
use serde_json::{Value, json};

use crate::bench::{Bench, DIALECTS, PARTS, bytes, code};
use crate::session::Session;

/// How long the store waits with the dead attempt's request, and with the next one's: long beside
/// the start of an engine.
const LATE_MS: u64 = 2000;
const LATER_MS: u64 = 3000;

/// Sends the command, kills the engine when the rule's first request has come, and sends it again.
/// `between` happens in the meantime.
fn overtake(
    bench: &mut Bench,
    rule: impl Fn(&Bench) -> Rule,
    command: &Value,
    between: impl FnOnce(&Bench),
) -> Value {
    let late = rule(bench);
    bench.rule(Rule { action: Action::Delay { ms: LATE_MS }, to: Some(1), ..late.clone() });
    let later = Action::Delay { ms: LATER_MS };
    bench.rule(Rule { action: later, from: 2, to: Some(2), ..late });
    bench.session.send(command);
    while bench.server.script().rules().iter().all(|(_, seen)| *seen == 0) {
        std::thread::sleep(Duration::from_millis(2));
    }
    let next = Session::start(&bench.place, &[]);
    std::mem::replace(&mut bench.session, next).kill();
    between(bench);
    bench.session.call(command)
}

fn of_put(bench: &Bench) -> Rule {
    bench.of_put("d/f").then(Action::Delay { ms: 0 })
}

#[test]
fn what_a_dead_attempt_sent_is_no_strangers() {
    for (dialect, before) in DIALECTS.into_iter().flat_map(|d| [(d, false), (d, true)]) {
        let mut bench = Bench::new(dialect);
        bench.write("src/f", b"content");
        if before {
            bench.put("d/f", b"old");
        }
        let command = json!({"op": "copy", "id": "c", "key": "k", "src": "src", "dst": bench.at("d"),
            "on_exists": "replace"});
        let result = overtake(&mut bench, of_put, &command, |_| {});
        assert_eq!(result["status"], "ok", "{dialect:?} {before} {result}");
        assert_eq!(bench.object("d/f").unwrap(), b"content");
        assert_eq!(result["metrics"]["items_ok"], 1, "{dialect:?} {result}");
        assert!(bench.is_clean(), "{dialect:?}");
    }
}

/// The dead attempt sent what the source held then; it changed since.
#[test]
fn what_a_dead_attempt_sent_is_not_taken_for_what_is_there_now() {
    for dialect in DIALECTS {
        let mut bench = Bench::new(dialect);
        bench.write("src/f", b"content");
        let command =
            json!({"op": "copy", "id": "c", "key": "k", "src": "src", "dst": bench.at("d")});
        let change = |bench: &Bench| bench.write("src/f", b"changed");
        let result = overtake(&mut bench, of_put, &command, change);
        assert_eq!(result["status"], "ok", "{dialect:?} {result}");
        assert_eq!(bench.object("d/f").unwrap(), b"changed");
    }
}

#[test]
fn a_completion_that_a_dead_attempt_asked_for_is_no_strangers() {
    for dialect in DIALECTS {
        let mut bench = Bench::new(dialect);
        let all = bytes(PARTS, 31);
        bench.write("f", &all);
        let dst = bench.in_parts("f");
        let command = json!({"op": "copy", "id": "c", "key": "k", "src": "f", "dst": dst});
        let of_complete =
            |bench: &Bench| Rule::of(bench.names.complete).key("f").then(Action::Delay { ms: 0 });
        let result = overtake(&mut bench, of_complete, &command, |_| {});
        assert_eq!(result["status"], "ok", "{dialect:?} {result}");
        assert!(bench.object("f").unwrap() == all, "{dialect:?}");
        assert!(bench.is_clean(), "{dialect:?} {:?}", bench.server.objects().keys("bucket"));
    }
}

/// One object made of a tree is not made twice by one attempt: the next one replaces it.
#[test]
fn an_archive_that_a_dead_attempt_sent_is_replaced_by_the_next_attempt() {
    for dialect in DIALECTS {
        let mut bench = Bench::new(dialect);
        bench.write("src/f", b"content");
        let mut dst = bench.at("a.tar.gz");
        dst["part_bytes"] = json!("8MiB");
        let command = json!({"op": "compress", "id": "c", "key": "k", "src": "src", "dst": dst});
        let of_put = |bench: &Bench| bench.of_put("a.tar.gz").then(Action::Delay { ms: 0 });
        let result = overtake(&mut bench, of_put, &command, |_| {});
        assert_eq!(code(&result), "DST_EXISTS", "{dialect:?} {result}");
        let hint = result["error"]["hint"].as_str().unwrap();
        assert!(hint.contains("sent again, replaces it"), "{dialect:?} {hint}");
        let mut again = command.clone();
        again["id"] = json!("again");
        let result = bench.session.call(&again);
        assert_eq!(result["status"], "ok", "{dialect:?} {result}");
        assert_eq!(result["data"]["items"], 1, "{dialect:?} {result}");
        assert!(bench.object("a.tar.gz").is_some() && bench.is_clean(), "{dialect:?}");
    }
}

/// What somebody else wrote in the meantime stays, by whatever rule.
#[test]
fn what_a_stranger_wrote_meanwhile_stays() {
    let rules = [("fail", "DST_EXISTS"), ("replace", "DST_EXISTS"), ("skip", "none")];
    for (dialect, (rule, told)) in DIALECTS.into_iter().flat_map(|d| rules.map(|rule| (d, rule))) {
        let (mut bench, command) = stranger(dialect, rule, None);
        bench.put("d/f", b"theirs");
        let result = bench.session.result("c");
        let code = result["failures"][0]["code"].as_str().unwrap_or(code(&result));
        assert_eq!(code, told, "{dialect:?} {rule} {command} {result}");
        assert_eq!(bench.object("d/f").unwrap(), b"theirs", "{dialect:?} {rule}");
    }
}

/// The same where something stood there, which was judged.
#[test]
fn what_a_stranger_wrote_over_it_meanwhile_stays() {
    for (dialect, rule) in DIALECTS.into_iter().flat_map(|d| [(d, "replace"), (d, "update")]) {
        let (mut bench, command) = stranger(dialect, rule, Some(b"judged"));
        bench.put("d/f", b"theirs");
        let result = bench.session.result("c");
        let code = result["failures"][0]["code"].as_str().unwrap_or(code(&result));
        assert_eq!(code, "DST_CHANGED", "{dialect:?} {rule} {command} {result}");
        assert_eq!(bench.object("d/f").unwrap(), b"theirs", "{dialect:?} {rule}");
    }
}

/// A second attempt whose request waits in the store; the first one's was refused.
fn stranger(dialect: Dialect, rule: &str, before: Option<&[u8]>) -> (Bench, Value) {
    let mut bench = Bench::new(dialect);
    bench.write("src/f", b"content");
    if let Some(before) = before {
        bench.put("d/f", before);
    }
    let command = json!({"op": "copy", "id": "c", "key": "k", "src": "src", "dst": bench.at("d"),
        "on_exists": rule});
    bench.rule(bench.of_put("d/f").times(1).then(Action::Throttle { retry_after: Some(60) }));
    bench.rule(bench.of_put("d/f").from(2).then(Action::Delay { ms: LATE_MS }));
    bench.session.send(&command);
    let asked = |bench: &Bench, times| {
        while bench.server.script().rules().iter().all(|(_, seen)| *seen < times) {
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    asked(&bench, 1);
    let next = Session::start(&bench.place, &[]);
    std::mem::replace(&mut bench.session, next).kill();
    bench.session.send(&command);
    asked(&bench, 2);
    (bench, command)
}
