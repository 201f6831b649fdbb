//! Accounts of Azure with a hierarchical namespace have directories of their own, which their heads
//! and listings tell beside blobs without content.

use migration_engine::endpoint::store::verbs::{Condition, Put};
use migration_engine::remote::call::Side;
use migration_engine::remote::ties::Ties;
use migration_fixtures::store::Dialect;
use serde_json::json;

use crate::bench::{Bench, nonce};

/// A container with `t/a/x`, and its directories.
fn bench() -> Bench {
    let bench = Bench::new(Dialect::Azure);
    let store = bench.store(Side::Destination, &Ties::default());
    let metadata = vec![("hdi_isfolder".to_owned(), "true".to_owned())];
    for key in ["t", "t/a"] {
        let folder = Put { metadata: metadata.clone(), ..nonce(1, Condition::Absent) };
        store.put(key, b"", &folder).unwrap();
    }
    bench.put("t/a/x", b"content");
    bench
}

#[test]
fn a_directory_is_copied_as_a_tree() {
    let mut bench = bench();
    let result = bench.copy(&bench.at("t"), &json!("t"), &json!({}));
    assert_eq!(result["status"], "ok", "{result}");
    assert_eq!(bench.file("t/a/x").unwrap(), b"content");
}

#[test]
fn what_a_directory_does_not_have_is_removed_from_its_copy() {
    let mut bench = bench();
    bench.write("t/a/extra", b"gone");
    let fields = json!({"on_exists": "update", "delete": true, "max_delete": {"percent": 100}});
    let result = bench.copy(&bench.at("t/"), &json!("t"), &fields);
    assert_eq!(result["status"], "ok", "{result}");
    assert!(bench.file("t/a/extra").is_none(), "{result}");
    assert_eq!(bench.file("t/a/x").unwrap(), b"content");
}

#[test]
fn names_go_into_a_directory_that_stands_there() {
    let mut bench = bench();
    bench.write("t/a/new", b"new");
    let result = bench.copy(&json!("t"), &bench.at("t"), &json!({}));
    assert_eq!(result["status"], "ok", "{result}");
    assert_eq!(bench.object("t/a/new").unwrap(), b"new");
}
