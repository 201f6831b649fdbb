//! A job ends before its upload does: cancelled, failed, refused at the end. Nothing is left that
//! costs money. Azure gives up by itself; there nothing may be but blocks without an object.

use migration_engine::endpoint::store::verbs::Condition;
use migration_engine::endpoint::{Sweep, s3};
use migration_engine::model::item::Timestamp;
use migration_engine::model::leftover::{Owner, Root};
use migration_engine::platform::clock;
use migration_engine::remote::call::Side;
use migration_engine::remote::ties::Ties;
use migration_fixtures::store::{Action, Dialect, Rule};
use serde_json::json;

use crate::bench::{Bench, DIALECTS, PART, PARTS, bytes, code, nonce};
use crate::session::Session;

fn nothing_left(bench: &Bench) {
    let keys = bench.server.objects().keys("bucket");
    assert!(keys.iter().all(|key| !key.starts_with('.')), "{:?} {keys:?}", bench.dialect);
    if bench.dialect != Dialect::Azure {
        assert!(bench.is_clean(), "{:?} {:?}", bench.dialect, bench.server.pending());
    }
}

#[test]
fn a_cancelled_job_gives_its_uploads_up() {
    for dialect in DIALECTS {
        let mut bench = Bench::new(dialect);
        bench.write("f", &bytes(3 * PARTS, 17));
        bench.rule(bench.of_part("f").from(2).then(Action::DelayAnswer { ms: 60_000 }));
        let dst = bench.in_parts("f");
        bench.session.send(&json!({"op": "copy", "id": "c", "src": "f", "dst": dst}));
        // One part was taken, others are on their way.
        while bench.done(bench.names.part, "f") == 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        bench.session.send(&json!({"op": "cancel", "id": "k", "target": "c"}));
        let result = bench.session.result("c");
        assert_eq!(result["status"], "cancelled", "{dialect:?} {result}");
        assert!(bench.object("f").is_none(), "{dialect:?}");
        nothing_left(&bench);
    }
}

#[test]
fn a_failed_job_gives_its_uploads_up() {
    for dialect in DIALECTS {
        let mut bench = Bench::new(dialect);
        bench.write("f", &bytes(3 * PARTS, 17));
        bench.rule(bench.of_part("f").from(3).then(Action::status(403, "AccessDenied")));
        let result = bench.copy(&json!("f"), &bench.in_parts("f"), &json!({}));
        assert_eq!(code(&result), "DST_PERMISSION", "{dialect:?} {result}");
        assert!(bench.object("f").is_none(), "{dialect:?}");
        nothing_left(&bench);
    }
}

/// The name was taken while the parts were sent.
#[test]
fn an_upload_that_is_refused_at_its_end_is_given_up() {
    for dialect in DIALECTS {
        let mut bench = Bench::new(dialect);
        bench.write("f", &bytes(PARTS, 17));
        let taken = Action::Mutate { text: "another's".to_owned() };
        bench.rule(Rule::of(bench.names.complete).key("f").times(1).then(taken));
        let result = bench.copy(&json!("f"), &bench.in_parts("f"), &json!({}));
        assert_eq!(code(&result), "DST_EXISTS", "{dialect:?} {result}");
        assert_eq!(bench.object("f").unwrap(), b"another's", "{dialect:?}");
        nothing_left(&bench);
    }
}

/// The source went away after some parts.
#[test]
fn an_upload_of_a_source_that_fails_is_given_up() {
    for dialect in DIALECTS {
        let mut bench = Bench::new(dialect);
        bench.put("source", &bytes(4 * PARTS, 17));
        let gone = Action::Vanish {};
        bench.rule(Rule::of(bench.names.get).key("source").from(3).times(1).then(gone));
        let mut far = bench.in_parts("f");
        let server = migration_fixtures::store::Options::new(dialect);
        let server = migration_fixtures::store::Server::start(server).unwrap();
        far["endpoint"] = json!(server.url());
        let result = bench.copy(&bench.at("source"), &far, &json!({}));
        assert_eq!(result["status"], "failed", "{dialect:?} {result}");
        assert!(server.objects().keys("bucket").is_empty(), "{dialect:?}");
        let pending = server.pending();
        assert!(pending.is_empty() || dialect == Dialect::Azure, "{dialect:?} {pending:?}");
    }
}

/// What cannot be given up is told and stays in the job's record, for a clean-up that may.
#[test]
fn an_upload_that_cannot_be_given_up_is_told_and_found_again() {
    let mut bench = Bench::new(Dialect::S3);
    bench.write("f", &bytes(3 * PARTS, 17));
    // With the first one, what was begun to find out what the store heeds stays too.
    for (operation, from, left) in [(bench.names.part, 3, 3), (bench.names.complete, 1, 1)] {
        let denied = Action::status(403, "AccessDenied");
        bench.rule(Rule::of(operation).key("f").from(from).then(denied));
        let denied = Action::status(403, "AccessDenied");
        bench.rule(Rule::of("AbortMultipartUpload").then(denied));
        let result = bench.copy(&json!("f"), &bench.in_parts("f"), &json!({}));
        assert_eq!(code(&result), "DST_PERMISSION", "{result}");
        assert_eq!(bench.server.pending().len(), left);
        let told = bench.session.seen.iter().rev().find(|line| line["type"] == "warning").unwrap();
        assert_eq!(
            (&told["code"], &told["at"]["path"]),
            (&json!("DELETE_PERMISSION"), &json!("f"))
        );
        bench.server.script().clear();
        let cleaned = bench.session.call(&json!({"op": "cleanup", "id": operation}));
        assert_eq!(cleaned["data"]["removed"], left, "{cleaned}");
        assert!(bench.is_clean());
    }
}

/// A look on the way to the end fails: the upload is given up there too.
#[test]
fn an_upload_whose_end_cannot_be_judged_is_given_up() {
    let mut bench = Bench::new(Dialect::S3);
    bench.write("f", &bytes(PARTS, 17));
    bench.put("f", b"old");
    let changed = Action::Mutate { text: "another's".to_owned() };
    bench.rule(Rule::of(bench.names.complete).key("f").times(1).then(changed));
    let denied = Action::status(403, "AccessDenied");
    bench.rule(Rule::of(bench.names.look).key("f").from(2).then(denied.clone()));
    bench.rule(Rule::of(bench.names.get).key("f").then(denied));
    let fields = json!({"on_exists": "replace"});
    let result = bench.copy(&json!("f"), &bench.in_parts("f"), &fields);
    assert_eq!(result["status"], "failed", "{result}");
    nothing_left(&bench);
}

/// Somebody else begins an upload of the same key: a clean-up leaves it alone, whatever a dead job
/// was about to begin there.
#[test]
fn uploads_of_others_stay() {
    let mut bench = Bench::new(Dialect::S3);
    bench.write("f", &bytes(3 * PARTS, 17));
    bench.rule(bench.of_part("f").from(2).then(Action::DelayAnswer { ms: 60_000 }));
    let dst = bench.in_parts("f");
    bench.session.send(&json!({"op": "copy", "id": "c", "src": "f", "dst": dst}));
    while bench.done(bench.names.part, "f") == 0 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let others = bench.store(Side::Destination, &Ties::default());
    let theirs = others.begin("f", &nonce(5, Condition::Absent)).unwrap();
    let next = Session::start(&bench.place, &[]);
    std::mem::replace(&mut bench.session, next).kill();
    let cleaned = bench.session.call(&json!({"op": "cleanup", "id": "u"}));
    assert_eq!(cleaned["data"]["removed"], 1, "{cleaned}");
    let left = bench.server.pending();
    assert!(left.len() == 1 && left[0].id == theirs.id, "{left:?}");

    // A kill before the name was recorded: what is there by then may be the job's, what was there
    // long before it began is not.
    let intent = format!("{}\0{:016x}\0f\0", others.identity(), 7).into_bytes();
    let root = Root { location: bench.location("bucket/f"), tree: false };
    let sweep = |since: Timestamp, until: Timestamp| {
        let (owner, ties) = (Owner::Job("00000000".to_owned()), Ties::default());
        let (begun, pass) = (std::slice::from_ref(&intent), &|| Ok(()));
        let (root, owner, ties) = (&root, &owner, &ties);
        let swept = Sweep { root, owner, dry_run: false, begun, since, until, ties, pass };
        (s3::SCHEME.sweep)(&swept).unwrap().removed
    };
    let hour = 3_600_000_000_000;
    let (before, now, after) = (clock::now().0 - hour, clock::now().0, clock::now().0 + hour);
    assert_eq!(sweep(Timestamp(after), Timestamp(after)), 0);
    // Nor what was begun long after the job said anything.
    assert_eq!(sweep(Timestamp(before - hour), Timestamp(before)), 0);
    assert_eq!(sweep(Timestamp(before), Timestamp(now)), 1);
    assert!(bench.is_clean());
}

/// A keyed job that ends while its upload is completed leaves the parts to its next attempt.
#[test]
fn parts_of_a_key_outlive_a_cancel_at_the_end() {
    let mut bench = Bench::new(Dialect::S3);
    let all = bytes(6 * PARTS, 19);
    bench.write("f", &all);
    let mut busy = Action::status(503, "SlowDown");
    if let Action::Status { retry_after, .. } = &mut busy {
        *retry_after = Some(60);
    }
    bench.rule(Rule::of(bench.names.complete).key("f").then(busy));
    let copy = json!({"op": "copy", "id": "c", "key": "k", "src": "f", "dst": bench.in_parts("f")});
    bench.session.send(&copy);
    while !bench.server.log().of(bench.names.complete).iter().any(|entry| entry.key == "f") {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    bench.session.send(&json!({"op": "cancel", "id": "x", "target": "c"}));
    let result = bench.session.result("c");
    assert_eq!(result["status"], "cancelled", "{result}");
    assert_eq!(bench.server.pending().len(), 1);
    bench.server.script().clear();
    let result = bench.session.call(&copy);
    assert_eq!(result["status"], "ok", "{result}");
    assert!(bench.object("f").unwrap() == all && bench.is_clean());
    assert_eq!(bench.done(bench.names.part, "f"), all.len().div_ceil(PART));
}
