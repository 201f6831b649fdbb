//! An answer ends before its length: what is missing is asked for again, from the same version.

use migration_fixtures::store::{Action, Rule};
use serde_json::json;

use crate::bench::{Bench, DIALECTS, PARTS, bytes, code};

#[test]
fn what_is_missing_is_asked_for_again() {
    for dialect in DIALECTS {
        for (size, at) in [(40, 0), (40, 1), (40, 39), (PARTS, 5_000_000)] {
            let mut bench = Bench::new(dialect);
            let all = bytes(size, 7);
            bench.put("f", &all);
            bench.rule(Rule::of(bench.names.get).times(2).then(Action::Truncate { at }));
            let result = bench.copy(&bench.at("f"), &json!("f"), &json!({}));
            assert_eq!(result["status"], "ok", "{dialect:?} {at} {result}");
            assert!(bench.file("f").unwrap() == all, "{dialect:?} {at}");
        }
    }
}

#[test]
fn answers_that_never_hold_anything_are_given_up() {
    for dialect in DIALECTS {
        let mut bench = Bench::new(dialect);
        bench.put("f", b"content");
        bench.write("f", b"old");
        bench.rule(Rule::of(bench.names.get).then(Action::Truncate { at: 0 }));
        let result = bench.copy(&bench.at("f"), &json!("f"), &json!({"on_exists": "replace"}));
        assert_eq!(code(&result), "REMOTE_UNAVAILABLE", "{dialect:?} {result}");
        assert_eq!(bench.file("f").unwrap(), b"old");
        assert!(bench.place.leftovers().is_empty());
        assert_eq!(bench.session.end().0, 75);
    }
}
