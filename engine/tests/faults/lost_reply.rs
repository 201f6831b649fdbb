//! A write was carried out and its reply lost: sent again, it must not stumble over itself, nor take
//! another's object for its own.

use migration_fixtures::store::{Action, Dialect, Rule};
use serde_json::json;

use crate::bench::{Bench, DIALECTS, PARTS, bytes, code, lose};

const BEGIN: &str = "CreateMultipartUpload";

#[test]
fn a_put_whose_reply_is_lost_ends_well_once() {
    for dialect in DIALECTS {
        for action in [lose(), Action::LoseAnswer { reset: false }, Action::ResetAnswer { at: 9 }] {
            let mut bench = Bench::new(dialect);
            bench.write("f", b"content");
            bench.rule(bench.of_put("f").times(1).then(action));
            bench.up("f", "f");
            assert_eq!(bench.object("f").unwrap(), b"content");
            assert_eq!(bench.done(bench.names.put, "f"), 1, "{dialect:?}");
        }
    }
}

#[test]
fn a_replacement_whose_reply_is_lost_ends_well_once() {
    for dialect in DIALECTS {
        let mut bench = Bench::new(dialect);
        bench.put("f", b"old");
        bench.write("f", b"content");
        bench.rule(bench.of_put("f").times(1).then(lose()));
        let result = bench.copy(&json!("f"), &bench.at("f"), &json!({"on_exists": "replace"}));
        assert_eq!(result["status"], "ok", "{dialect:?} {result}");
        assert_eq!(bench.object("f").unwrap(), b"content");
        assert_eq!(bench.done(bench.names.put, "f"), 1, "{dialect:?}");
    }
}

#[test]
fn a_completion_whose_reply_is_lost_ends_well_once() {
    for dialect in DIALECTS {
        let mut bench = Bench::new(dialect);
        let all = bytes(PARTS, 1);
        bench.write("f", &all);
        bench.rule(Rule::of(bench.names.complete).key("f").times(1).then(lose()));
        let result = bench.copy(&json!("f"), &bench.in_parts("f"), &json!({}));
        assert_eq!(result["status"], "ok", "{dialect:?} {result}");
        assert!(bench.object("f").unwrap() == all, "{dialect:?}");
        assert_eq!(bench.done(bench.names.complete, "f"), 1, "{dialect:?}");
        assert!(bench.is_clean(), "{dialect:?}");
    }
}

/// Of the job's own object, and of the one that finds out what the store heeds: the second attempt
/// knows nothing of the first one's upload but its key.
#[test]
fn a_beginning_whose_reply_is_lost_leaves_no_second_upload() {
    for rule in [Rule::of(BEGIN).key("f"), Rule::of(BEGIN).prefix(".mig-")] {
        let mut bench = Bench::new(Dialect::S3);
        let all = bytes(PARTS, 3);
        bench.write("f", &all);
        bench.rule(rule.times(1).then(lose()));
        let result = bench.copy(&json!("f"), &bench.in_parts("f"), &json!({}));
        assert_eq!(result["status"], "ok", "{result}");
        assert!(bench.object("f").unwrap() == all);
        let lost = bench.server.log().of(BEGIN).iter().filter(|entry| entry.scripted).count();
        assert_eq!(lost, 1);
        assert!(bench.is_clean(), "{:?}", bench.server.pending());
    }
}

#[test]
fn a_part_whose_reply_is_lost_is_in_the_object_once() {
    for dialect in DIALECTS {
        let mut bench = Bench::new(dialect);
        let all = bytes(PARTS, 2);
        bench.write("f", &all);
        bench.rule(bench.of_part("f").times(2).then(lose()));
        let result = bench.copy(&json!("f"), &bench.in_parts("f"), &json!({}));
        assert_eq!(result["status"], "ok", "{dialect:?} {result}");
        assert!(bench.object("f").unwrap() == all, "{dialect:?}");
    }
}

/// Between the two attempts somebody else puts something there: that is what stays.
#[test]
fn what_another_put_meanwhile_is_not_taken_for_ones_own() {
    for dialect in DIALECTS {
        for (on_exists, wanted) in [("fail", "DST_EXISTS"), ("replace", "DST_CHANGED")] {
            let mut bench = Bench::new(dialect);
            if on_exists == "replace" {
                bench.put("f", b"old");
            }
            bench.write("f", b"content");
            let mut failed = Action::status(500, "InternalError");
            if let Action::Status { retry_after, .. } = &mut failed {
                *retry_after = Some(2);
            }
            bench.rule(bench.of_put("f").times(1).then(failed));
            let dst = bench.at("f");
            bench.session.send(&json!({"op": "copy", "id": "c", "src": "f", "dst": dst,
                "on_exists": on_exists}));
            while bench.server.log().entries().iter().all(|entry| !entry.scripted) {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            bench.put("f", b"another's");
            let result = bench.session.result("c");
            assert_eq!(code(&result), wanted, "{dialect:?} {result}");
            assert_eq!(bench.object("f").unwrap(), b"another's", "{dialect:?}");
        }
    }
}

#[test]
fn a_removal_whose_reply_is_lost_ends_well() {
    for dialect in DIALECTS {
        let mut bench = Bench::new(dialect);
        for key in ["t/a", "t/b", "t/c"] {
            bench.put(key, b"x");
        }
        bench.write("t/a", b"x");
        bench.rule(Rule::of(bench.names.remove).prefix("t/").times(1).then(lose()));
        let fields =
            json!({"on_exists": "replace", "delete": true, "max_delete": {"percent": 100}});
        let result = bench.copy(&json!("t"), &bench.at("t"), &fields);
        assert_eq!(result["status"], "ok", "{dialect:?} {result}");
        assert_eq!(bench.server.objects().keys("bucket"), ["t/a"], "{dialect:?}");
    }
}

/// Google's service may take the compose and answer in a way that nobody understands.
#[test]
fn an_answer_that_is_not_understood_is_looked_into_as_a_lost_one() {
    let raw = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}";
    for dialect in [Dialect::Gcs, Dialect::S3] {
        for parts in [false, true] {
            let mut bench = Bench::new(dialect);
            bench.write("f", &bytes(if parts { PARTS } else { 9 }, 3));
            let complete = Rule::of(bench.names.complete).key("f");
            let operation = if parts { complete } else { bench.of_put("f") };
            let raw = Action::Raw { text: raw.to_owned() };
            bench.rule(operation.times(1).then(raw));
            let result = bench.copy(&json!("f"), &bench.in_parts("f"), &json!({}));
            let stands = bench.object("f").is_some();
            assert_eq!((stands, &result["status"]), (true, &json!("ok")), "{dialect:?} {result}");
        }
    }
}
