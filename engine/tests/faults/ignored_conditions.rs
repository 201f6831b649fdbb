//! A store that passes over conditions in silence: it is found out before anything is lost.

use migration_fixtures::store::{Action, Dialect, Options, Rule};
use serde_json::json;

use crate::bench::{Bench, PARTS, bytes, code};

fn bench() -> Bench {
    Bench::with(Options { ignores_conditions: true, ..Options::new(Dialect::S3) }, &[])
}

#[test]
fn nothing_is_written_where_nobody_can_tell_what_is_replaced() {
    for size in [10, PARTS] {
        for on_exists in ["fail", "replace"] {
            let mut bench = bench();
            bench.write("f", &bytes(size, 22));
            if on_exists == "replace" {
                bench.put("f", b"old");
            }
            let fields = json!({"on_exists": on_exists});
            let result = bench.copy(&json!("f"), &bench.in_parts("f"), &fields);
            assert_eq!(code(&result), "NO_ATOMIC_NOREPLACE", "{size} {on_exists} {result}");
            assert!(result["error"]["hint"].as_str().unwrap().contains("allow_racy"), "{result}");
            let old = (on_exists == "replace").then(|| b"old".to_vec());
            assert_eq!(bench.object("f"), old);
            assert!(bench.is_clean(), "{:?}", bench.server.pending());
            let keys = bench.server.objects().keys("bucket");
            assert!(keys.iter().all(|key| key == "f"), "{keys:?}");
        }
    }
}

#[test]
fn with_leave_it_is_looked_first_and_written_then() {
    for size in [10, PARTS] {
        let mut bench = bench();
        bench.write("f", &bytes(size, 23));
        let mut dst = bench.in_parts("f");
        dst["allow_racy"] = json!(true);
        let result = bench.copy(&json!("f"), &dst, &json!({}));
        assert_eq!(result["status"], "ok", "{size} {result}");
        assert!(bench.object("f").unwrap() == bytes(size, 23));
        let result = bench.copy(&json!("f"), &dst, &json!({}));
        assert_eq!(code(&result), "DST_EXISTS", "{size} {result}");
        bench.write("f", b"new");
        let result = bench.copy(&json!("f"), &dst, &json!({"on_exists": "replace"}));
        assert_eq!(result["status"], "ok", "{size} {result}");
        assert_eq!(bench.object("f").unwrap(), b"new");
        assert!(bench.is_clean());
    }
}

/// What another writer puts there while parts are sent, or between two looks, is seen by the look
/// right before the end.
#[test]
fn with_leave_what_others_put_there_meanwhile_is_not_replaced() {
    for on_exists in ["fail", "replace"] {
        for size in [10, PARTS] {
            let mut bench = bench();
            let mut dst = bench.in_parts("known");
            dst["allow_racy"] = json!(true);
            // From now on the store is known to heed nothing.
            bench.write("f", &bytes(PARTS, 1));
            let result = bench.copy(&json!("f"), &dst, &json!({}));
            assert_eq!(result["status"], "ok", "{result}");

            bench.write("f", &bytes(size, 23));
            if on_exists == "replace" {
                bench.put("k", b"old");
            }
            let theirs = Action::Mutate { text: "another's".to_owned() };
            let rule = match size {
                PARTS => Rule::of(bench.names.part).key("k"),
                // What is replaced is looked at before, to be told from what comes there.
                _ if on_exists == "replace" => Rule::of(bench.names.look).key("k").from(2),
                _ => Rule::of(bench.names.look).key("k"),
            };
            bench.rule(rule.times(1).then(theirs));
            dst["url"] = bench.at("k")["url"].clone();
            let result = bench.copy(&json!("f"), &dst, &json!({"on_exists": on_exists}));
            let wanted = if on_exists == "replace" { "DST_CHANGED" } else { "DST_EXISTS" };
            assert_eq!(code(&result), wanted, "{size} {result}");
            assert_eq!(bench.object("k").unwrap(), b"another's", "{size}");
            assert!(bench.is_clean(), "{:?}", bench.server.pending());
        }
    }
}
