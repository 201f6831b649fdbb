//! What a store refuses: each cause has its own code, a hint and an exit status.

use migration_fixtures::store::{Action, Dialect, Key, Options, Rule};
use serde_json::{Value, json};

use crate::bench::{Bench, DIALECTS, code};

/// What is done to a bucket.
#[derive(Clone, Copy, Debug)]
enum Doing {
    Tree,
    Read,
    Write,
    Delete,
}

fn run(bench: &mut Bench, doing: Doing) -> Value {
    for name in ["t/a", "t/b"] {
        bench.put(name, b"content");
        bench.write(name, b"content");
    }
    bench.put("t/only there", b"content");
    match doing {
        Doing::Tree => bench.copy(&bench.at("t"), &json!("copy"), &json!({})),
        Doing::Read => bench.copy(&bench.at("t/a"), &json!("copy"), &json!({})),
        Doing::Write => bench.copy(&json!("t/a"), &bench.at("new"), &json!({})),
        Doing::Delete => {
            let fields = json!({"on_exists": "update", "delete": true,
                "max_delete": {"percent": 100}});
            bench.copy(&json!("t"), &bench.at("t"), &fields)
        }
    }
}

/// The code of a result, or that of its only failure.
fn told(result: &Value) -> String {
    let failures = result["failures"].as_array().cloned().unwrap_or_default();
    let of_item = failures.first().and_then(|failure| failure["code"].as_str());
    of_item.unwrap_or(code(result)).to_owned()
}

struct Case {
    doing: Doing,
    status: u16,
    /// The words of S3, Google and Azure; empty where there is none.
    words: [&'static str; 3],
    code: &'static str,
    exit: i32,
}

const fn case(
    doing: Doing,
    status: u16,
    words: [&'static str; 3],
    code: &'static str,
    exit: i32,
) -> Case {
    Case { doing, status, words, code, exit }
}

const DENIED: [&str; 3] = ["AccessDenied", "forbidden", "AuthorizationPermissionMismatch"];

const CASES: [Case; 9] = [
    case(Doing::Tree, 403, DENIED, "LIST_PERMISSION", 4),
    case(Doing::Read, 403, DENIED, "SRC_PERMISSION", 4),
    case(Doing::Write, 403, DENIED, "DST_PERMISSION", 4),
    case(Doing::Delete, 403, DENIED, "DELETE_PERMISSION", 3),
    case(
        Doing::Write,
        403,
        ["QuotaExceeded", "quotaExceeded", "AccountCapacityExceeded"],
        "DST_NO_SPACE",
        75,
    ),
    case(Doing::Write, 507, ["", "", ""], "DST_NO_SPACE", 75),
    case(Doing::Write, 403, ["", "", "WriteOperationNotSupportedOnSecondary"], "DST_READ_ONLY", 4),
    case(Doing::Read, 403, ["InvalidObjectState", "", ""], "OBJECT_ARCHIVED", 4),
    case(Doing::Read, 409, ["", "", "BlobArchived"], "OBJECT_ARCHIVED", 4),
];

#[test]
fn each_cause_has_its_code_its_hint_and_its_exit() {
    for (at, dialect) in DIALECTS.into_iter().enumerate() {
        for case in &CASES {
            let word = case.words[at];
            if word.is_empty() && case.status != 507 {
                continue;
            }
            let mut bench = Bench::new(dialect);
            let operation = match case.doing {
                Doing::Tree => bench.names.list,
                Doing::Read => bench.names.get,
                Doing::Write => bench.names.put,
                Doing::Delete => bench.names.remove,
            };
            let rule = Rule::of(operation).then(Action::status(case.status, word));
            bench.server.script().set([rule]);
            let result = run(&mut bench, case.doing);
            let shown = format!("{dialect:?} {:?} {word}: {result}", case.doing);
            assert_eq!(told(&result), case.code, "{shown}");
            let hint = result["error"]["hint"].as_str().unwrap_or_default();
            assert!(!hint.is_empty() || result["status"] == "partial", "{shown}");
            assert_eq!(bench.session.end().0, case.exit, "{shown}");
        }
    }
}

#[test]
fn a_bucket_that_is_not_there_is_told() {
    for dialect in DIALECTS {
        for (doing, reads) in [(Doing::Tree, true), (Doing::Write, false)] {
            let mut bench = Bench::new(dialect);
            bench.write("f", b"content");
            let mut at = bench.at("t");
            at["url"] = json!(at["url"].as_str().unwrap().replace("bucket", "nowhere"));
            let (src, dst) = if reads { (at, json!("copy")) } else { (json!("f"), at) };
            let result = bench.copy(&src, &dst, &json!({}));
            assert_eq!(code(&result), "BUCKET_NOT_FOUND", "{dialect:?} {doing:?} {result}");
            assert!(!result["error"]["hint"].as_str().unwrap().is_empty());
            assert_eq!(bench.session.end().0, 4);
        }
    }
}

#[test]
fn a_key_that_may_only_read_reads() {
    let mut options = Options::new(Dialect::S3);
    let key: &mut Key = &mut options.keys[0];
    key.read_only = true;
    let mut bench = Bench::with(options, &[]);
    let result = run(&mut bench, Doing::Write);
    assert_eq!(told(&result), "DST_PERMISSION", "{result}");
    assert!(bench.object("new").is_none());
    let result = run(&mut bench, Doing::Tree);
    assert_eq!(result["status"], "ok", "{result}");
    assert_eq!(bench.session.end().0, 4);
}

#[test]
fn another_region_is_learned() {
    let options = Options { region: "eu-west-1".to_owned(), ..Options::new(Dialect::S3) };
    let mut bench = Bench::with(options, &[]);
    let result = run(&mut bench, Doing::Write);
    assert_eq!(result["status"], "ok", "{result}");
    let refused = bench.server.log().entries().iter().filter(|e| e.status == 400).count();
    assert_eq!(refused, 1);
}

#[test]
fn another_region_that_nobody_names_is_told() {
    let mut bench = Bench::new(Dialect::S3);
    bench.rule(Rule::any().then(Action::status(301, "PermanentRedirect")));
    let result = run(&mut bench, Doing::Write);
    assert_eq!(told(&result), "REGION_WRONG", "{result}");
    assert!(!result["error"]["hint"].as_str().unwrap().is_empty());
    assert_eq!(bench.session.end().0, 4);
}
