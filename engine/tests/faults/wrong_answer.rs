//! An answer tells another checksum or another version than the true one: nobody calls that well.

use migration_fixtures::store::{Action, Dialect, Rule};
use serde_json::json;

use crate::bench::{Bench, Canned, DIALECTS, PARTS, SUMMING, bytes, code};

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
    for dialect in SUMMING {
        let mut bench = Bench::new(dialect);
        bench.put("f", &bytes(1000, 14));
        bench.rule(Rule::of(bench.names.get).then(Action::WrongChecksum {}));
        let result = bench.copy(&bench.at("f"), &json!("f"), &json!({}));
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

/// The MD5 of a blob is a property that anybody may set: it says nothing of what stands there.
#[test]
fn what_somebody_said_of_a_blob_is_no_digest_of_it() {
    for size in [1000, PARTS] {
        let mut bench = Bench::new(Dialect::Azure);
        bench.put("f", &bytes(size, 14));
        let said = Action::SetHeader {
            name: if size == PARTS { "x-ms-blob-content-md5" } else { "content-md5" }.to_owned(),
            value: "Pz8543xut4RVSbb2g52Mww==".to_owned(),
        };
        bench.rule(Rule::of(bench.names.get).then(said.clone()));
        bench.rule(Rule::of(bench.names.look).then(said));
        let result = bench.copy(&bench.at("f"), &json!("f"), &json!({"checksum": "md5"}));
        assert_eq!(result["status"], "ok", "{size} {result}");
        assert!(bench.file("f").unwrap() == bytes(size, 14));
    }
}

/// An object that was committed stands there, whatever became of the look at it.
#[test]
fn a_committed_object_that_cannot_be_looked_at_is_told_as_such() {
    let mut bench = Bench::new(Dialect::Azure);
    bench.write("f", &bytes(PARTS, 15));
    let denied = Action::status(403, "AuthorizationPermissionMismatch");
    bench.rule(Rule::of("GetBlockList").key("f").then(denied));
    let result = bench.copy(&json!("f"), &bench.in_parts("f"), &json!({}));
    assert_eq!((&result["status"], &result["warnings_total"]), (&json!("ok"), &json!(1)));
    assert!(bench.object("f").unwrap() == bytes(PARTS, 15));
    let told = bench.session.seen.iter().rev().find(|line| line["type"] == "warning").unwrap();
    assert_eq!(told["at"]["path"], json!("f"), "{told}");
}

/// Google's service turns back what it stores compressed, and tells the digest of what it stores.
#[test]
fn a_digest_of_what_is_stored_is_none_of_what_is_sent() {
    let mut bench = Bench::new(Dialect::Gcs);
    let served = Canned::start(|head| {
        let body = if head.starts_with("HEAD") { "" } else { "content" };
        format!(
            "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 7\r\nConnection: close\r\n\
             Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n\
             x-goog-stored-content-encoding: gzip\r\n\
             x-goog-hash: crc32c=AAAAAA==\r\nx-goog-hash: md5=XrY7u+Ae7tCTyyK7j1rNww==\r\n\r\n{body}"
        )
    });
    let src = json!(format!("http://127.0.0.1:{}/f", served.port));
    for checksum in ["crc64nvme", "crc32c", "md5"] {
        let result = bench.copy(&src, &json!(checksum), &json!({"checksum": checksum}));
        assert_eq!(result["status"], "ok", "{checksum} {result}");
        assert_eq!(bench.file(checksum).unwrap(), b"content");
    }
}
