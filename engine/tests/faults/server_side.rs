//! A service copies between its buckets by itself; where it declines, the bytes go through the
//! process, and the copy is as whole.

use migration_engine::endpoint::store::verbs::{Condition, Put};
use migration_engine::remote::call::Side;
use migration_engine::remote::ties::Ties;
use migration_fixtures::store::{Action, Dialect, Options, Rule};
use serde_json::{Value, json};

use crate::bench::{Bench, DIALECTS, PARTS, bytes, code, nonce, secret};
use crate::session::Session;

const NAMES: [&str; 3] = ["a", "deep/b", "empty"];

fn bench(options: Options) -> Bench {
    let buckets = vec!["bucket".to_owned(), "other".to_owned()];
    let bench = Bench::with(Options { buckets, ..options }, &[]);
    for (name, size) in NAMES.into_iter().zip([PARTS, 100, 0]) {
        bench.put(&format!("tree/{name}"), &bytes(size, 31));
    }
    bench
}

/// The other bucket, reached as the first one is.
fn other(bench: &Bench, key: &str) -> Value {
    let mut at = bench.in_parts(key);
    at["url"] = json!(at["url"].as_str().unwrap().replace("//bucket/", "//other/"));
    at
}

fn copied(bench: &mut Bench, dst: &Value) -> Value {
    let src = bench.at("tree/");
    // By the digest that the service itself holds.
    let fields = match bench.dialect {
        Dialect::Gcs => json!({"checksum": "crc32c"}),
        _ => bench.servable(),
    };
    let result = bench.copy(&src, dst, &fields);
    assert_eq!(result["status"], "ok", "{:?} {result}", bench.dialect);
    for (name, size) in NAMES.into_iter().zip([PARTS, 100, 0]) {
        let object = bench.server.objects().get("other", &format!("new/{name}")).unwrap();
        assert!(object.content.to_vec() == bytes(size, 31), "{:?} {name}", bench.dialect);
    }
    assert!(bench.server.pending().is_empty(), "{:?}", bench.server.pending());
    result
}

/// Requests for content of what is copied.
fn reads(bench: &Bench) -> usize {
    let reads = bench.server.log().of(bench.names.get);
    reads.iter().filter(|entry| entry.key.starts_with("tree/")).count()
}

#[test]
fn from_bucket_to_bucket_no_content_passes_here() {
    for dialect in DIALECTS {
        let mut bench = bench(Options::new(dialect));
        let dst = other(&bench, "new");
        let result = copied(&mut bench, &dst);
        assert_eq!(result["data"]["offload"], json!({"server_copy": 3}), "{dialect:?}");
        assert_eq!(reads(&bench), 0, "{dialect:?}");
    }
}

#[test]
fn what_the_service_declines_is_read_and_written() {
    for (dialect, operations) in [
        (Dialect::S3, &["CopyObject", "UploadPartCopy"][..]),
        (Dialect::Gcs, &["RewriteObject"]),
        (Dialect::Azure, &["CopyBlob"]),
    ] {
        let mut bench = bench(Options::new(dialect));
        for operation in operations {
            bench.rule(Rule::of(operation).then(Action::status(403, "AccessDenied")));
        }
        let dst = other(&bench, "new");
        let result = copied(&mut bench, &dst);
        assert!(reads(&bench) >= 2, "{dialect:?} {result}");
        assert!(result["data"]["offload"].get("server_copy").is_none(), "{dialect:?} {result}");
    }
}

/// What it cannot copy under the conditions that were asked for, or with a customer's key.
#[test]
fn what_the_service_cannot_copy_is_read_and_written() {
    let mut bench = bench(Options { ignores_conditions: true, ..Options::new(Dialect::S3) });
    let mut dst = other(&bench, "new");
    let result = bench.copy(&bench.at("tree/"), &dst, &json!({}));
    assert_eq!(code(&result), "NO_ATOMIC_NOREPLACE", "{result}");
    dst["allow_racy"] = json!(true);
    copied(&mut bench, &dst);

    let mut bench = self::bench(Options::new(Dialect::S3));
    secret(&bench.place, ".customer", &"k".repeat(32));
    let mut dst = other(&bench, "new");
    dst["auth"]["sse_customer_key"] = json!({"file": bench.place.path(".customer")});
    copied(&mut bench, &dst);
}

/// Where only the end of an upload holds a condition, a copy is one of parts: it is recorded before
/// it begins, and what a kill leaves of it is found.
#[test]
fn a_copy_by_parts_is_found_after_a_kill() {
    let unbound = || Options { copies_unbound: true, ..Options::new(Dialect::S3) };
    let mut whole = bench(unbound());
    let dst = other(&whole, "new");
    let result = copied(&mut whole, &dst);
    // No part is empty.
    assert_eq!(result["data"]["offload"], json!({"server_copy": 2}), "{result}");
    assert_eq!(reads(&whole), 1);
    // The store compares the whole with what it holds of the source.
    let sum = "x-amz-checksum-crc64nvme";
    let ends = whole.server.log().of("CompleteMultipartUpload");
    let ends: Vec<_> = ends
        .iter()
        .filter(|entry| entry.key.starts_with("new/") && !entry.key.contains(".mig-"))
        .collect();
    assert!(ends.len() == 2 && ends.iter().all(|entry| entry.headers.contains_key(sum)));

    let mut bench = bench(unbound());
    let slow = Action::DelayAnswer { ms: 60_000 };
    bench.rule(Rule::of("UploadPartCopy").key("new").then(slow));
    let dst = other(&bench, "new");
    bench.session.send(&json!({"op": "copy", "id": "c", "src": bench.at("tree/a"), "dst": dst}));
    while bench.server.pending().iter().all(|pending| pending.key != "new") {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let next = Session::start(&bench.place, &[]);
    std::mem::replace(&mut bench.session, next).kill();
    let cleaned = bench.session.call(&json!({"op": "cleanup", "id": "u"}));
    assert_eq!(cleaned["data"]["removed"], 1, "{cleaned}");
    assert!(bench.server.pending().is_empty(), "{:?}", bench.server.pending());
}

const MEANING: [(&str, &str); 4] = [
    ("cache-control", "max-age=7"),
    ("content-disposition", "attachment; filename=\"f\""),
    ("content-encoding", "gzip"),
    ("content-language", "de"),
];

/// How content is meant goes with it, whether it passes here or not.
#[test]
fn what_content_is_meant_for_goes_with_it() {
    for dialect in DIALECTS {
        for served in [true, false] {
            let mut bench = bench(Options::new(dialect));
            let fields = MEANING.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
            let store = bench.store(Side::Destination, &Ties::default());
            let written = Put { fields, ..nonce(9, Condition::Absent) };
            store.put("meant", b"some", &written).unwrap();
            let digest = match (dialect, served) {
                (_, false) => "sha256",
                (Dialect::Gcs, _) => "crc32c",
                (Dialect::Azure, _) => "none",
                (Dialect::S3, _) => "crc64nvme",
            };
            let (src, dst) = (bench.at("meant"), other(&bench, "meant"));
            let result = bench.copy(&src, &dst, &json!({"checksum": digest}));
            assert_eq!(result["status"], "ok", "{dialect:?} {result}");
            let by_server = result["data"]["offload"].get("server_copy").is_some();
            assert_eq!(by_server, served, "{dialect:?} {result}");
            let there = bench.elsewhere("other").look("meant").unwrap().unwrap();
            let told: Vec<_> = there.fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            assert_eq!(told, MEANING, "{dialect:?} {served}");
        }
    }
}

/// Tags go with a copy that the store makes; what passes here loses them, and says so.
#[test]
fn tags_are_carried_or_told_as_lost() {
    let mut bench = bench(Options::new(Dialect::S3));
    bench.write("f", b"some");
    let mut tagged = bench.at("tagged");
    tagged["tags"] = json!({"team": "a"});
    let result = bench.copy(&json!("f"), &tagged, &json!({}));
    assert_eq!(result["status"], "ok", "{result}");
    let src = bench.at("tagged");
    for (key, digest, lost) in [("served", "crc64nvme", 0), ("read", "sha256", 1)] {
        let dst = other(&bench, key);
        let result = bench.copy(&src, &dst, &json!({"checksum": digest}));
        assert_eq!((&result["status"], &result["warnings_total"]), (&json!("ok"), &json!(lost)));
        let tags = bench.server.objects().get("other", key).unwrap().tags.len();
        assert_eq!(tags + lost, 1, "{result}");
    }
}

/// A copy of Azure that is begun and then fails has taken the old object's place already: what is
/// replaced is copied at once, or read and written.
#[test]
fn what_is_replaced_stays_until_its_copy_is_whole() {
    for refused in [false, true] {
        let mut bench = bench(Options { copy_polls: 1, ..Options::new(Dialect::Azure) });
        bench.server.objects().put("other", "new", b"old".to_vec());
        if refused {
            let failed = Action::SetHeader {
                name: "x-ms-copy-status".to_owned(),
                value: "failed".to_owned(),
            };
            bench.rule(Rule::of("GetBlobProperties").key("new").then(failed));
            let denied = Action::status(403, "CannotVerifyCopySource");
            bench.rule(Rule::of("CopyBlobFromUrl").then(denied));
        }
        let (src, dst) = (bench.at("tree/a"), other(&bench, "new"));
        let fields = json!({"checksum": "none", "on_exists": "replace"});
        let result = bench.copy(&src, &dst, &fields);
        assert_eq!(result["status"], "ok", "{refused} {result}");
        let object = bench.server.objects().get("other", "new").unwrap();
        assert!(object.content.to_vec() == bytes(PARTS, 31), "{refused}");
        assert_eq!(bench.server.log().count("CopyBlob"), 0, "{refused}");
        assert_eq!(reads(&bench) == 0, !refused);
    }
}

/// An object that is replaced while the store copies it is read again, as any other one.
#[test]
fn what_changes_while_it_is_copied_is_copied_anew() {
    for (copies_unbound, operation) in [(false, "CopyObject"), (true, "UploadPartCopy")] {
        let mut bench = bench(Options { copies_unbound, ..Options::new(Dialect::S3) });
        let slow = Action::Delay { ms: 1500 };
        bench.rule(Rule::of(operation).key("new").times(1).then(slow));
        let (src, dst) = (bench.at("tree/a"), other(&bench, "new"));
        bench.session.send(&json!({"op": "copy", "id": "c", "src": src, "dst": dst}));
        // Looked at as what is named, and as what is to be copied.
        let looks = |bench: &Bench| bench.done(bench.names.look, "tree/a");
        while looks(&bench) < 2 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
        let new = bytes(PARTS + 1, 32);
        bench.put("tree/a", &new);
        let result = bench.session.result("c");
        assert_eq!(result["status"], "ok", "{operation} {result}");
        let object = bench.server.objects().get("other", "new").unwrap();
        assert!(object.content.to_vec() == new, "{operation}");
        assert!(bench.server.pending().is_empty(), "{operation} {:?}", bench.server.pending());
    }
}

/// What was to be replaced is gone, and not the source.
#[test]
fn a_copy_over_what_vanished_takes_the_free_name() {
    let mut bench = bench(Options::new(Dialect::S3));
    bench.server.objects().put("other", "new", b"old".to_vec());
    bench.rule(Rule::of("CopyObject").key("new").times(1).then(Action::Vanish {}));
    let (src, dst) = (bench.at("tree/a"), other(&bench, "new"));
    let result = bench.copy(&src, &dst, &json!({"on_exists": "replace"}));
    assert_eq!(result["status"], "ok", "{result}");
    let object = bench.server.objects().get("other", "new").unwrap();
    assert!(object.content.to_vec() == bytes(PARTS, 31));
}

/// Parts that the store copies take no memory here: they are long, and go several at once.
#[test]
fn parts_that_the_store_copies_are_few_and_go_at_once() {
    let mut bench = bench(Options { copies_unbound: true, ..Options::new(Dialect::S3) });
    let (src, mut dst) = (bench.at("tree/a"), other(&bench, "new"));
    let slow = Action::Delay { ms: 1000 };
    bench.rule(Rule::of("UploadPartCopy").key("new").part(1).then(slow));
    let result = bench.copy(&src, &dst, &json!({"parallel_chunks": 3}));
    assert_eq!(result["data"]["offload"], json!({"server_copy": 1}), "{result}");
    let copied = |bench: &Bench, key: &str| -> Vec<_> {
        let all = bench.server.log().of("UploadPartCopy").into_iter();
        all.filter(|entry| entry.key == key).map(|entry| entry.part).collect()
    };
    // They are logged as they end.
    assert_eq!(copied(&bench, "new").len(), 3);
    assert_eq!(copied(&bench, "new").last(), Some(&Some(1)), "{:?}", copied(&bench, "new"));

    dst["url"] = other(&bench, "few")["url"].clone();
    dst.as_object_mut().unwrap().remove("part_bytes");
    let result = bench.copy(&src, &dst, &json!({}));
    assert_eq!(result["data"]["offload"], json!({"server_copy": 1}), "{result}");
    assert_eq!(copied(&bench, "few").len(), 1);
}
