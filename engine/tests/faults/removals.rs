//! Names that a mirror removes from a bucket, bound to what was listed: many by one request where the
//! store compares versions there, else each by its own, several at once.

use migration_fixtures::store::{Action, Dialect, Draft, Entry, Options, Rule};
use serde_json::{Value, json};

use crate::bench::{Bench, DIALECTS, code, lose};

const EXTRAS: usize = 40;

/// Each name goes by a request of its own.
fn bench(options: Options) -> Bench {
    filled(Options { refuses_batches: true, ..options })
}

fn filled(options: Options) -> Bench {
    let bench = Bench::with(options, &[]);
    for extra in 0..EXTRAS {
        bench.put(&format!("t/extra/{}/{extra}", extra % 3), format!("{extra}").as_bytes());
    }
    bench.write("t/new", b"new");
    bench
}

fn mirror(bench: &mut Bench, max_delete: &Value) -> Value {
    let fields = json!({"on_exists": "update", "delete": true, "max_delete": max_delete});
    bench.copy(&json!("t"), &bench.at("t"), &fields)
}

/// Requests about names that are to go.
fn about_extras(bench: &Bench, operation: &str) -> Vec<Entry> {
    let entries = bench.server.log().of(operation);
    entries.into_iter().filter(|entry| entry.key.starts_with("t/extra/")).collect()
}

fn extras(bench: &Bench) -> usize {
    let keys = bench.server.objects().keys("bucket");
    keys.iter().filter(|key| key.starts_with("t/extra/")).count()
}

/// The removal of one extra.
fn of_removal(bench: &Bench, key: &str) -> Draft {
    Rule::of(bench.names.remove).key(key)
}

fn is_bound(entry: &Entry) -> bool {
    let by_query = entry.query.iter().any(|(name, _)| name == "ifGenerationMatch");
    by_query || entry.headers.contains_key("if-match")
}

#[test]
fn what_a_store_removes_by_version_is_not_looked_at() {
    for dialect in DIALECTS {
        let mut bench = bench(Options::new(dialect));
        let result = mirror(&mut bench, &json!({"count": EXTRAS}));
        assert_eq!((&result["status"], extras(&bench)), (&json!("ok"), 0), "{dialect:?} {result}");
        assert_eq!(result["data"]["deleted"], EXTRAS, "{dialect:?} {result}");
        let removals = about_extras(&bench, bench.names.remove);
        assert_eq!(removals.len(), EXTRAS, "{dialect:?}");
        assert!(removals.iter().all(is_bound), "{dialect:?} {removals:?}");
        assert!(about_extras(&bench, bench.names.look).is_empty(), "{dialect:?}");
    }
}

/// A store of which nobody knows whether it heeds conditions of removals, since nothing was written
/// to it: one look each, right before.
#[test]
fn what_a_store_may_not_compare_is_looked_at_once() {
    let mut bench = bench(Options::new(Dialect::S3));
    bench.put("t/new", b"new");
    let fields = json!({"on_exists": "skip", "delete": true, "max_delete": {}, "lock": "none"});
    let result = bench.copy(&json!("t"), &bench.at("t"), &fields);
    assert_eq!((&result["status"], extras(&bench)), (&json!("ok"), 0), "{result}");
    assert_eq!(about_extras(&bench, bench.names.remove).len(), EXTRAS);
    assert_eq!(about_extras(&bench, bench.names.look).len(), EXTRAS);
}

#[test]
fn removals_do_not_wait_for_each_other() {
    for dialect in DIALECTS {
        let mut bench = bench(Options::new(dialect));
        bench.rule(of_removal(&bench, "t/extra/0/0").then(Action::Delay { ms: 1500 }));
        let result = mirror(&mut bench, &json!({}));
        assert_eq!((&result["status"], extras(&bench)), (&json!("ok"), 0), "{dialect:?} {result}");
        let removals = about_extras(&bench, bench.names.remove);
        assert_ne!(removals[0].key, "t/extra/0/0", "{dialect:?}");
    }
}

/// Replaced between the listing and its removal, by others.
#[test]
fn what_was_replaced_since_it_was_listed_stays() {
    for dialect in DIALECTS {
        let mut bench = bench(Options::new(dialect));
        bench.rule(of_removal(&bench, "t/extra/0/0").times(1).then(Action::Delay { ms: 2000 }));
        let (id, dst) = ("r", bench.at("t"));
        bench.session.send(&json!({"op": "copy", "id": id, "src": "t", "dst": dst,
            "on_exists": "update", "delete": true, "max_delete": {}}));
        while about_extras(&bench, bench.names.remove).is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        bench.put("t/extra/0/0", b"another's");
        let result = bench.session.result(id);
        assert_eq!(result["status"], "ok", "{dialect:?} {result}");
        assert_eq!(result["data"]["deleted"], EXTRAS - 1, "{dialect:?} {result}");
        assert_eq!(bench.object("t/extra/0/0").unwrap(), b"another's", "{dialect:?}");
    }
}

#[test]
fn one_more_than_is_allowed_and_nothing_is_removed() {
    for dialect in DIALECTS {
        let mut bench = bench(Options::new(dialect));
        let result = mirror(&mut bench, &json!({"count": EXTRAS - 1}));
        assert_eq!(code(&result), "DELETE_LIMIT", "{dialect:?} {result}");
        assert_eq!((extras(&bench), about_extras(&bench, bench.names.remove).len()), (EXTRAS, 0));
    }
}

/// A refusal concerns its own name; the others go.
#[test]
fn a_removal_that_fails_keeps_no_other() {
    for dialect in DIALECTS {
        let mut bench = bench(Options::new(dialect));
        let word = match dialect {
            Dialect::S3 => "AccessDenied",
            Dialect::Gcs => "forbidden",
            Dialect::Azure => "AuthorizationPermissionMismatch",
        };
        bench.rule(of_removal(&bench, "t/extra/1/1").then(Action::status(403, word)));
        let result = mirror(&mut bench, &json!({}));
        assert_eq!(extras(&bench), 1, "{dialect:?} {result}");
        assert_eq!(code(&result), "DELETE_PERMISSION", "{dialect:?} {result}");
    }
}

/// Requests that remove names of the tree, however many each.
fn removals(bench: &Bench) -> (usize, usize) {
    let batches = bench.server.log().of("DeleteObjects");
    // One found out whether versions are compared.
    (batches.len().saturating_sub(1), about_extras(bench, "DeleteObject").len())
}

#[test]
fn a_store_that_compares_versions_removes_many_by_one_request() {
    let mut bench = filled(Options::new(Dialect::S3));
    bench.put("t/extra/0/an\u{1}odd", b"not for XML");
    let result = mirror(&mut bench, &json!({"count": EXTRAS + 1}));
    assert_eq!((&result["status"], extras(&bench)), (&json!("ok"), 0), "{result}");
    assert_eq!(result["data"]["deleted"], EXTRAS + 1, "{result}");
    assert_eq!(removals(&bench), (1, 1));
    assert!(bench.is_clean());
}

#[test]
fn a_store_that_passes_over_versions_of_many_is_found_out() {
    let options = Options { batches_unbound: true, ..Options::new(Dialect::S3) };
    let mut bench = filled(options);
    let result = mirror(&mut bench, &json!({}));
    assert_eq!((&result["status"], extras(&bench)), (&json!("ok"), 0), "{result}");
    assert_eq!(removals(&bench), (0, EXTRAS));
    assert!(about_extras(&bench, "DeleteObject").iter().all(is_bound));
}

#[test]
fn of_many_those_that_are_others_by_now_stay_and_one_that_is_refused_is_told() {
    let kept = vec!["t/extra/1/1".to_owned()];
    let mut bench = filled(Options { kept, ..Options::new(Dialect::S3) });
    // The first batch finds out what the store heeds.
    bench.rule(Rule::of("DeleteObjects").from(2).times(1).then(Action::Delay { ms: 4000 }));
    let (id, dst) = ("r", bench.at("t"));
    bench.session.send(&json!({"op": "copy", "id": id, "src": "t", "dst": dst,
        "on_exists": "update", "delete": true, "max_delete": {}}));
    while bench.server.log().of("DeleteObjects").is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    // The listing was over by then; the removal waits.
    std::thread::sleep(std::time::Duration::from_secs(1));
    bench.put("t/extra/0/0", b"another's");
    let result = bench.session.result(id);
    assert_eq!(code(&result), "DELETE_PERMISSION", "{result}");
    assert_eq!(result["data"]["deleted"], EXTRAS - 2, "{result}");
    assert_eq!(bench.object("t/extra/0/0").unwrap(), b"another's");
    assert_eq!((extras(&bench), removals(&bench)), (2, (1, 0)));
}

#[test]
fn many_are_removed_again_when_the_answer_was_lost_or_the_store_is_busy() {
    for fault in [lose(), Action::Throttle { retry_after: None }, Action::status(503, "SlowDown")] {
        let mut bench = filled(Options::new(Dialect::S3));
        bench.rule(Rule::of("DeleteObjects").from(2).times(1).then(fault.clone()));
        let result = mirror(&mut bench, &json!({}));
        assert_eq!((&result["status"], extras(&bench)), (&json!("ok"), 0), "{fault:?} {result}");
        assert_eq!(result["data"]["deleted"], EXTRAS, "{fault:?} {result}");
        assert_eq!(removals(&bench), (2, 0), "{fault:?}");
    }
}

/// A success that says nothing, or an error in place of what came of each.
#[test]
fn an_answer_that_is_none_removes_nothing_by_its_word() {
    for action in [
        Action::OkError { code: "InternalError".to_owned(), carried_out: false, spaces: 0, ms: 0 },
        Action::Raw {
            text: "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<DeleteResult/>".to_owned(),
        },
    ] {
        let mut bench = filled(Options::new(Dialect::S3));
        bench.rule(Rule::of("DeleteObjects").from(2).times(1).then(action.clone()));
        let result = mirror(&mut bench, &json!({}));
        assert_eq!((&result["status"], extras(&bench)), (&json!("ok"), 0), "{action:?} {result}");
        assert_eq!(result["data"]["deleted"], EXTRAS, "{action:?} {result}");
    }
}

#[test]
fn a_thousand_removals_cost_a_handful_of_requests() {
    let mut bench = Bench::new(Dialect::S3);
    for extra in 0..1000 {
        bench.put(&format!("t/extra/{extra}"), b"x");
    }
    bench.write("t/new", b"new");
    let result = mirror(&mut bench, &json!({"count": 1000}));
    assert_eq!((&result["status"], extras(&bench)), (&json!("ok"), 0), "{result}");
    assert_eq!((removals(&bench), &result["data"]["deleted"]), ((1, 0), &json!(1000)));
    // What is copied, listed, looked at and found out is in it.
    let requests = result["metrics"]["requests"].as_u64().unwrap();
    assert!(requests <= 40, "{requests}");
}

/// An answer is lost before the removal is carried out, and another object takes the name: when it is
/// asked for again, that one stands, and is not told as removed.
#[test]
fn what_stands_after_a_lost_answer_is_not_told_as_removed() {
    for dialect in DIALECTS {
        let mut bench = bench(Options::new(dialect));
        let key = "t/extra/0/0";
        bench.rule(of_removal(&bench, key).times(1).then(Action::ResetRequest { at: 1 }));
        let theirs = Action::Mutate { text: "another's".to_owned() };
        bench.rule(of_removal(&bench, key).from(2).times(1).then(theirs));
        let result = mirror(&mut bench, &json!({}));
        assert_eq!(bench.object(key).unwrap(), b"another's", "{dialect:?}");
        assert_eq!(result["data"]["deleted"], EXTRAS - 1, "{dialect:?} {result}");
    }
}
