//! An object is replaced while it is read in ranges: it is read again from its beginning, and two
//! versions are never mixed.

use migration_fixtures::store::{Action, Dialect, Rule};
use serde_json::{Value, json};

use crate::bench::{Bench, DIALECTS, code, text};

const SIZE: usize = 18 << 20;

fn ranges() -> Value {
    json!({"chunk_bytes": "4MiB", "parallel_chunks": 3})
}

#[test]
fn one_version_is_read_from_its_beginning_to_its_end() {
    for dialect in DIALECTS {
        for from in [2, 3] {
            let mut bench = Bench::new(dialect);
            bench.put("f", text(SIZE, 1).as_bytes());
            let new = text(SIZE, 2);
            let replaced = Action::Mutate { text: new.clone() };
            bench.rule(Rule::of(bench.names.get).from(from).times(1).then(replaced));
            let result = bench.copy(&bench.at("f"), &json!("f"), &ranges());
            assert_eq!(result["status"], "ok", "{dialect:?} {from} {result}");
            assert!(bench.file("f").unwrap() == new.as_bytes(), "{dialect:?} {from}");
            assert!(bench.server.log().count(bench.names.get) > from, "{dialect:?} {from}");
        }
    }
}

#[test]
fn an_object_that_is_replaced_all_the_time_is_given_up() {
    for dialect in DIALECTS {
        let mut bench = Bench::new(dialect);
        bench.put("f", text(SIZE, 1).as_bytes());
        bench.write("f", b"old");
        for (from, seed) in [(1, 2), (2, 3)] {
            let replaced = Action::Mutate { text: text(SIZE, seed) };
            bench.rule(Rule::of(bench.names.get).from(from).every(2).then(replaced));
        }
        let mut fields = ranges();
        fields["on_exists"] = json!("replace");
        let result = bench.copy(&bench.at("f"), &json!("f"), &fields);
        assert_eq!(code(&result), "SRC_CHANGED", "{dialect:?} {result}");
        assert_eq!(bench.file("f").unwrap(), b"old");
        assert!(bench.place.leftovers().is_empty());
    }
}

/// What is read is put into a bucket at once: no mix there either, and no upload left.
#[test]
fn from_one_bucket_to_another_one_version_is_carried() {
    let mut bench = Bench::new(Dialect::S3);
    let mut other = bench.in_parts("f");
    let far = migration_fixtures::store::Options::new(Dialect::S3);
    let far = migration_fixtures::store::Server::start(far).unwrap();
    other["endpoint"] = json!(far.url());
    bench.put("f", text(SIZE, 1).as_bytes());
    let new = text(SIZE, 2);
    let replaced = Action::Mutate { text: new.clone() };
    bench.rule(Rule::of(bench.names.get).from(3).times(1).then(replaced));
    let result = bench.copy(&bench.at("f"), &other, &ranges());
    assert_eq!(result["status"], "ok", "{result}");
    assert!(far.objects().get("bucket", "f").unwrap().content.to_vec() == new.as_bytes());
    assert!(far.pending().is_empty(), "{:?}", far.pending());
}

#[test]
fn an_object_that_is_removed_meanwhile_is_not_half_kept() {
    for dialect in DIALECTS {
        let mut bench = Bench::new(dialect);
        bench.put("f", text(SIZE, 1).as_bytes());
        bench.rule(Rule::of(bench.names.get).from(3).times(1).then(Action::Vanish {}));
        let result = bench.copy(&bench.at("f"), &json!("f"), &ranges());
        let told = ["SRC_NOT_FOUND", "SRC_CHANGED"].contains(&code(&result));
        assert!(told, "{dialect:?} {result}");
        assert!(bench.file("f").is_none() && bench.place.leftovers().is_empty());
    }
}
