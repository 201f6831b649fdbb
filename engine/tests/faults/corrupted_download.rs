//! A byte of an object is another one when it arrives: read again or refused, never kept.

use migration_fixtures::store::{Action, Rule};
use serde_json::json;

use crate::bench::{Bench, PARTS, SUMMING, bytes};

#[test]
fn wrong_bytes_are_never_kept() {
    for dialect in SUMMING {
        for (size, at, times) in [(40, 0, 1), (40, 39, 99), (PARTS, 7_777_777, 99)] {
            let mut bench = Bench::new(dialect);
            let all = bytes(size, 8);
            bench.put("f", &all);
            bench.rule(Rule::of(bench.names.get).times(times).then(Action::Corrupt { at }));
            let result = bench.copy(&bench.at("f"), &json!("f"), &json!({}));
            match bench.file("f") {
                Some(file) => assert!(file == all, "{dialect:?} {size}: {result}"),
                None => assert_eq!(
                    result["error"]["code"], "VERIFY_MISMATCH",
                    "{dialect:?} {size}: {result}"
                ),
            }
            assert_eq!(bench.place.leftovers().len(), 0);
        }
    }
}
