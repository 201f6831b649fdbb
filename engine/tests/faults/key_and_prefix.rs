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

/// Keys are literal: a slash at the end of what is named ends it, and no more than that.
#[test]
fn a_slash_more_is_a_part_without_bytes() {
    for dialect in DIALECTS {
        let mut bench = bench(dialect);
        bench.put("t//c", b"behind two");
        let result = bench.copy(&bench.at("t//"), &json!("t"), &json!({}));
        assert_eq!(result["status"], "ok", "{dialect:?} {result}");
        assert_eq!((result["metrics"]["items_ok"].as_u64(), bench.file("t/a")), (Some(1), None));
        assert_eq!(bench.file("t/c").unwrap(), b"behind two", "{dialect:?}");
    }
}

/// A name that no escape wrote has no key: it would be that of another name.
#[test]
fn no_two_names_become_one_key() {
    let mut bench = bench(migration_fixtures::store::Dialect::S3);
    for name in ["n/A", "n/%41", "n/a%2Fb", "n/%+f", "n/%25"] {
        bench.write(name, name.as_bytes());
    }
    let mut dst = bench.at("n");
    dst["keys"] = json!("escape");
    let result = bench.copy(&json!("n"), &dst, &json!({}));
    assert_eq!((&result["status"], code(&result)), (&json!("partial"), "NAME_REFUSED"), "{result}");
    assert_eq!(bench.object("n/A").unwrap(), b"n/A");
    assert_eq!(bench.object("n/%").unwrap(), b"n/%25");
    assert_eq!(result["metrics"]["items_ok"], 2, "{result}");
}
