//! A byte is another one when the store takes it: its checksum refuses it, and it is sent again.
//! What the store spoils afterwards, reading back finds.

use migration_fixtures::store::Action;
use serde_json::json;

use crate::bench::{Bench, DIALECTS, PARTS, bytes, code};

#[test]
fn what_arrives_damaged_is_sent_again() {
    for dialect in DIALECTS {
        let mut bench = Bench::new(dialect);
        let (small, large) = (bytes(1000, 9), bytes(PARTS, 10));
        bench.write("small", &small);
        bench.write("large", &large);
        // A byte of the content, also where it lies between the frames of a multipart body.
        let damage = Action::CorruptRequest { at: 900 };
        bench.rule(bench.of_put("small").times(1).then(damage));
        bench.up("small", "small");
        assert!(bench.object("small").unwrap() == small);
        assert_eq!(bench.server.log().of(bench.names.put).iter().filter(|e| e.scripted).count(), 1);
        let damage = Action::CorruptRequest { at: 3_000_000 };
        bench.rule(bench.of_part("large").times(2).then(damage));
        let result = bench.copy(&json!("large"), &bench.in_parts("large"), &json!({}));
        assert_eq!(result["status"], "ok", "{dialect:?} {result}");
        assert!(bench.object("large").unwrap() == large, "{dialect:?}");
        let retries = result["metrics"]["retries"].as_u64().unwrap();
        assert!(retries >= 2, "{dialect:?}: {retries}");
    }
}

#[test]
fn what_the_store_spoils_is_found_by_reading_back() {
    for dialect in DIALECTS {
        let mut bench = Bench::new(dialect);
        bench.write("f", &bytes(1000, 11));
        let spoil = Action::StoreWrong { at: 500 };
        bench.rule(bench.of_put("f").then(spoil));
        let result = bench.copy(&json!("f"), &bench.at("f"), &json!({"verify": "readback"}));
        assert_eq!(code(&result), "VERIFY_MISMATCH", "{dialect:?} {result}");
        assert_eq!(bench.session.end().0, 4);
    }
}
