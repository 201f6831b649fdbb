//! Pages of a listing that hold nothing and go on: what comes behind them is there, and what it is
//! compared with stays.

use migration_fixtures::store::{Action, Dialect, Options, Rule};
use serde_json::{Value, json};

use crate::bench::{Bench, DIALECTS};

fn mirror() -> Value {
    json!({"on_exists": "update", "delete": true, "max_delete": {"percent": 100}})
}

/// A bucket, and a tree with the same and a name more.
fn bench(options: Options) -> Bench {
    let bench = Bench::with(options, &[]);
    for key in ["t/a/x", "t/a/y", "t/b"] {
        bench.put(key, b"content");
    }
    bench.write("t/a/extra", b"gone");
    bench
}

#[test]
fn a_prefix_is_not_absent_because_its_first_page_is_empty() {
    for dialect in DIALECTS {
        let mut bench = bench(Options { empty_pages: true, ..Options::new(dialect) });
        let result = bench.copy(&bench.at("t"), &json!("t"), &mirror());
        assert_eq!(result["status"], "ok", "{dialect:?} {result}");
        for name in ["t/a/x", "t/a/y", "t/b"] {
            assert_eq!(bench.file(name).as_deref(), Some(&b"content"[..]), "{dialect:?} {name}");
        }
        assert_eq!((&result["data"]["deleted"], bench.file("t/a/extra")), (&json!(1), None));
    }
}

/// A store that denies a prefix, and has what is beneath: nothing goes that was not asked for by
/// itself.
#[test]
fn beneath_an_absent_prefix_each_name_is_asked_for() {
    for dialect in DIALECTS {
        let mut bench = bench(Options::new(dialect));
        let none = match dialect {
            Dialect::S3 => "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>",
            Dialect::Gcs => "{\"kind\":\"storage#objects\"}",
            Dialect::Azure => {
                "<EnumerationResults><Blobs></Blobs><NextMarker/></EnumerationResults>"
            }
        };
        let length = none.len();
        let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{none}");
        bench.rule(Rule::of(bench.names.list).key("t/a/").then(Action::Raw { text }));
        let result = bench.copy(&bench.at("t"), &json!("t"), &mirror());
        assert_eq!(result["status"], "ok", "{dialect:?} {result}");
        for name in ["t/a/x", "t/a/y"] {
            assert_eq!(bench.file(name).as_deref(), Some(&b"content"[..]), "{dialect:?} {name}");
        }
        assert_eq!(bench.file("t/a/extra"), None, "{dialect:?}");
    }
}
