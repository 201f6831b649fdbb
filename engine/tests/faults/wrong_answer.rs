//! An answer tells another checksum or another version than the true one: nobody calls that well.

use migration_fixtures::store::{Action, Rule};
use serde_json::json;

use crate::bench::{Bench, DIALECTS, PARTS, bytes, code};

#[test]
fn a_store_that_tells_another_checksum_of_what_it_took_is_not_believed() {
    for dialect in DIALECTS {
        for size in [1000, PARTS] {
            let mut bench = Bench::new(dialect);
            bench.write("first", b"so that the store's way is known");
            bench.up("first", "first");
            bench.write("f", &bytes(size, 13));
            let small = size < PARTS;
            let rule = if small { bench.of_put("f") } else { bench.of_part("f") };
            bench.rule(rule.then(Action::WrongChecksum {}));
            let result = bench.copy(&json!("f"), &bench.in_parts("f"), &json!({}));
            assert_eq!(result["status"], "failed", "{dialect:?} {size} {result}");
            let told = ["VERIFY_MISMATCH", "DST_WRITE"].contains(&code(&result));
            assert!(told, "{dialect:?} {size} {result}");
        }
    }
}

#[test]
fn content_that_is_not_what_its_checksum_says_is_not_kept() {
    for dialect in DIALECTS {
        let mut bench = Bench::new(dialect);
        bench.put("f", &bytes(1000, 14));
        bench.rule(Rule::of(bench.names.get).then(Action::WrongChecksum {}));
        let result = bench.copy(&bench.at("f"), &json!("f"), &bench.checked());
        assert_eq!(code(&result), "VERIFY_MISMATCH", "{dialect:?} {result}");
        assert!(bench.file("f").is_none() && bench.place.leftovers().is_empty());
    }
}

/// A small one is read again, whatever it is called then; a large one is given up.
#[test]
fn content_of_another_version_than_asked_for_is_not_mixed() {
    for dialect in DIALECTS {
        for size in [1000, PARTS] {
            let mut bench = Bench::new(dialect);
            let all = bytes(size, 14);
            bench.put("f", &all);
            bench.rule(Rule::of(bench.names.get).then(Action::StaleEtag { etag: None }));
            let result = bench.copy(&bench.at("f"), &json!("f"), &json!({}));
            let told = ["SRC_CHANGED", "REMOTE_ANSWER"].contains(&code(&result));
            match bench.file("f") {
                Some(file) => assert!(file == all && size < PARTS, "{dialect:?} {size} {result}"),
                None => assert!(told, "{dialect:?} {size} {result}"),
            }
            assert!(bench.place.leftovers().is_empty());
        }
    }
}
