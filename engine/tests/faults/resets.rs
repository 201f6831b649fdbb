//! The connection breaks at every byte of a small exchange: the object is whole or absent, and the
//! job ends well.

use migration_fixtures::store::{Action, Dialect, Rule};
use serde_json::json;

use crate::bench::{Bench, DIALECTS, bytes};

const CONTENT: usize = 40;
const WORKERS: usize = 6;

/// Runs `one` for every place; each worker has an engine and a server of its own.
fn everywhere(
    dialect: Dialect,
    places: &[u64],
    one: impl Fn(&mut Bench, u64) + Copy + Send + Sync,
) {
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            scope.spawn(move || {
                let mut bench = Bench::new(dialect);
                bench.write("f", &bytes(CONTENT, 5));
                bench.put("source", &bytes(CONTENT, 5));
                for at in places.iter().skip(worker).step_by(WORKERS) {
                    one(&mut bench, *at);
                }
            });
        }
    });
}

/// Bytes of request and answer of an operation about a key, once it went well.
fn lengths(bench: &Bench, operation: &str, key: &str) -> (u64, u64) {
    let all = bench.server.log().of(operation);
    // Google's service learns from the body what is put.
    let named = |name: &str| name == key || name.is_empty();
    let entry = all.into_iter().find(|entry| named(&entry.key)).unwrap();
    (entry.bytes_in, entry.bytes_out)
}

fn upload(bench: &mut Bench, key: &str, action: Action) {
    bench.server.log().clear();
    bench.server.script().set([bench.of_put(key).times(1).then(action.clone())]);
    let result = bench.copy(&json!("f"), &bench.at(key), &json!({}));
    assert_eq!(result["status"], "ok", "{:?} {action:?} {result}", bench.dialect);
    assert!(bench.object(key).unwrap() == bytes(CONTENT, 5), "{action:?}");
    assert_eq!(bench.done(bench.names.put, key), 1, "{action:?}");
}

/// Every byte, or about every seventh where an answer is long.
fn places(until: u64) -> Vec<u64> {
    let step = if until > 500 { 7 } else { 1 };
    let dense = |at: &u64| *at < 16 || until - *at <= 16 || at.is_multiple_of(step);
    (0..until).filter(dense).collect()
}

fn uploads(dialect: Dialect) {
    let mut bench = Bench::new(dialect);
    bench.write("f", &bytes(CONTENT, 5));
    bench.up("f", "f");
    let (request, answer) = lengths(&bench, bench.names.put, "f");
    // The head is read as one; behind the content a multipart body has the end of its frame.
    let first = request - CONTENT as u64 - if dialect == Dialect::Gcs { 100 } else { 4 };
    let inside: Vec<u64> = (first..request).collect();
    let inside = if inside.len() > 100 { inside.into_iter().step_by(7).collect() } else { inside };
    everywhere(dialect, &inside, |bench, at| {
        upload(bench, &format!("request-{at}"), Action::ResetRequest { at });
    });
    everywhere(dialect, &places(answer), |bench, at| {
        upload(bench, &format!("answer-{at}"), Action::ResetAnswer { at });
    });
}

fn downloads(dialect: Dialect) {
    let mut bench = Bench::new(dialect);
    bench.put("source", &bytes(CONTENT, 5));
    let result = bench.copy(&bench.at("source"), &json!("copy"), &json!({}));
    assert_eq!(result["status"], "ok", "{result}");
    let (_, answer) = lengths(&bench, bench.names.get, "source");
    everywhere(dialect, &places(answer), |bench, at| {
        let rule = Rule::of(bench.names.get).times(1).then(Action::ResetAnswer { at });
        bench.server.script().set([rule]);
        let name = format!("copy-{at}");
        let result = bench.copy(&bench.at("source"), &json!(name), &json!({}));
        assert_eq!(result["status"], "ok", "{:?} at {at}: {result}", bench.dialect);
        assert!(bench.file(&name).unwrap() == bytes(CONTENT, 5), "{at}");
    });
}

#[test]
fn uploads_to_s3() {
    uploads(Dialect::S3);
}

#[test]
fn uploads_to_gcs() {
    uploads(Dialect::Gcs);
}

#[test]
fn uploads_to_azure() {
    uploads(Dialect::Azure);
}

#[test]
fn downloads_from_s3() {
    downloads(Dialect::S3);
}

#[test]
fn downloads_from_gcs() {
    downloads(Dialect::Gcs);
}

#[test]
fn downloads_from_azure() {
    downloads(Dialect::Azure);
}

/// In the middle of large parts and ranges, both ways.
#[test]
fn large_ones_go_on_where_they_broke_off() {
    use crate::bench::{PART, PARTS};
    for dialect in DIALECTS {
        let mut bench = Bench::new(dialect);
        let all = bytes(PARTS, 6);
        bench.write("f", &all);
        for (from, at) in [(1, 1_000_000), (2, PART as u64 / 2)] {
            bench.rule(bench.of_part("f").from(from).times(1).then(Action::ResetRequest { at }));
        }
        let result = bench.copy(&json!("f"), &bench.in_parts("f"), &json!({}));
        assert_eq!(result["status"], "ok", "{dialect:?} {result}");
        assert!(bench.object("f").unwrap() == all, "{dialect:?}");
        for (from, at) in [(1, 3_000_000), (2, 700_001), (3, 2)] {
            let rule = Rule::of(bench.names.get).from(from).times(1);
            bench.rule(rule.then(Action::ResetAnswer { at }));
        }
        let result = bench.copy(&bench.at("f"), &json!("back"), &json!({}));
        assert_eq!(result["status"], "ok", "{dialect:?} {result}");
        assert!(bench.file("back").unwrap() == all, "{dialect:?}");
    }
}
