//! A listing fails on some page: what was not told is not taken for what is not there, and nothing
//! is deleted.

use migration_fixtures::store::{Action, Dialect, Hostile, Options, Rule};
use serde_json::{Value, json};

use crate::bench::{Bench, DIALECTS};

const FILES: usize = 10;

fn bench(dialect: Dialect) -> Bench {
    let bench = Bench::with(Options::new(dialect).page(3), &[]);
    for file in 0..FILES {
        bench.write(&format!("t/{file}"), b"content");
        bench.put(&format!("t/{file}"), b"content");
    }
    bench
}

/// Ways in which a page fails for good, and at once.
fn failures(dialect: Dialect) -> Vec<Action> {
    let word = match dialect {
        Dialect::S3 => "AccessDenied",
        Dialect::Gcs => "forbidden",
        Dialect::Azure => "AuthorizationPermissionMismatch",
    };
    let mut all = vec![Action::status(403, word), Action::status(404, "NoSuchKey")];
    if dialect != Dialect::S3 {
        // S3 asks again for what it does not understand, with all its patience.
        let form = Hostile::Truncated;
        all.push(Action::Hostile { form, status: None });
        all.push(Action::Hostile { form: Hostile::Empty, status: None });
    }
    all
}

fn mirror() -> Value {
    json!({"on_exists": "update", "delete": true, "max_delete": {"percent": 100}})
}

fn halted(result: &Value) -> bool {
    let text = result.to_string();
    result["status"] != "ok" && (text.contains("DELETE_HALTED") || result["status"] == "failed")
}

#[test]
fn nothing_is_deleted_where_the_source_was_not_told_whole() {
    for dialect in DIALECTS {
        for action in failures(dialect) {
            for page in 1..=4 {
                let mut bench = bench(dialect);
                bench.write("t/only here", b"kept");
                bench.rule(Rule::of(bench.names.list).page(page).then(action.clone()));
                let result = bench.copy(&bench.at("t"), &json!("t"), &mirror());
                assert!(halted(&result), "{dialect:?} {action:?} {page}: {result}");
                assert_eq!(bench.file("t/only here").unwrap(), b"kept");
                for file in 0..FILES {
                    assert!(bench.file(&format!("t/{file}")).is_some(), "{dialect:?} {page}");
                }
            }
        }
    }
}

#[test]
fn nothing_is_deleted_where_the_destination_was_not_told_whole() {
    for dialect in DIALECTS {
        for action in failures(dialect) {
            for page in 1..=4 {
                let mut bench = bench(dialect);
                bench.put("t/only there", b"kept");
                bench.rule(Rule::of(bench.names.list).page(page).then(action.clone()));
                let result = bench.copy(&json!("t"), &bench.at("t"), &mirror());
                assert!(halted(&result), "{dialect:?} {action:?} {page}: {result}");
                let removed = bench.server.log().of(bench.names.remove);
                let own = |key: &str| key.contains(".mig-");
                assert!(removed.iter().all(|entry| own(&entry.key)), "{dialect:?} {page}");
                assert_eq!(bench.object("t/only there").unwrap(), b"kept");
            }
        }
    }
}

/// With all pages told, the same job does delete: the tests above see the guard, not an accident.
#[test]
fn with_all_pages_it_is_deleted() {
    for dialect in DIALECTS {
        let mut bench = bench(dialect);
        bench.put("t/only there", b"gone");
        let result = bench.copy(&json!("t"), &bench.at("t"), &mirror());
        assert_eq!(result["status"], "ok", "{dialect:?} {result}");
        assert!(bench.object("t/only there").is_none());
        bench.write("t/only here", b"gone");
        let result = bench.copy(&bench.at("t"), &json!("t"), &mirror());
        assert_eq!(result["status"], "ok", "{dialect:?} {result}");
        assert!(bench.file("t/only here").is_none());
    }
}
