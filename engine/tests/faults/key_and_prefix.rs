//! A key is an object and what other keys begin with: both are copied, again too, and who names the
//! one is told of the others.

use migration_fixtures::store::Options;
use serde_json::json;

use crate::bench::{Bench, DIALECTS, code};

fn bench(dialect: migration_fixtures::store::Dialect) -> Bench {
    let buckets = vec!["bucket".to_owned(), "other".to_owned()];
    let bench = Bench::with(Options { buckets, ..Options::new(dialect) }, &[]);
    bench.put("t/a", b"object");
    bench.put("t/a/b", b"beneath");
    bench
}

#[test]
fn both_are_copied_again_and_again() {
    for dialect in DIALECTS {
        let mut bench = bench(dialect);
        let mut dst = bench.at("new");
        dst["url"] = json!(dst["url"].as_str().unwrap().replace("//bucket/", "//other/"));
        for on_exists in ["fail", "update", "replace"] {
            let src = bench.at("t/");
            let result = bench.copy(&src, &dst, &json!({"on_exists": on_exists}));
            assert_eq!(result["status"], "ok", "{dialect:?} {on_exists} {result}");
        }
        for (key, content) in [("new/a", &b"object"[..]), ("new/a/b", b"beneath")] {
            assert_eq!(bench.server.objects().get("other", key).unwrap().content.to_vec(), content);
        }
        // A directory is one thing, and needs the name for itself.
        bench.write("tree/a/b", b"new");
        let result = bench.copy(&json!("tree"), &bench.at("t"), &json!({"on_exists": "replace"}));
        assert_eq!(code(&result), "DST_TYPE", "{dialect:?} {result}");
    }
}

#[test]
fn whoever_names_the_one_is_told_of_the_others() {
    for dialect in DIALECTS {
        let mut bench = bench(dialect);
        let src = bench.at("t/a");
        let result = bench.copy(&src, &json!("f"), &json!({}));
        assert_eq!((&result["status"], &result["warnings_total"]), (&json!("ok"), &json!(1)));
        assert_eq!(bench.file("f").unwrap(), b"object");
        let told = bench.session.seen.iter().find(|line| line["type"] == "warning").unwrap();
        assert_eq!(told["code"], "INVALID_FIELD", "{told}");
        let src = bench.at("t/a/b");
        let result = bench.copy(&src, &json!("g"), &json!({}));
        assert_eq!(result["warnings_total"], 0, "{result}");
    }
}
