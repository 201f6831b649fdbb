//! 200, and an error behind it: it is the error that counts.

use migration_fixtures::store::{Action, Dialect, Rule};
use serde_json::json;

use crate::bench::{Bench, PARTS, bytes, code};

fn ok_error(code: &str, carried_out: bool, spaces: u32) -> Action {
    Action::OkError { code: code.to_owned(), carried_out, spaces, ms: 1 }
}

#[test]
fn a_completion_that_failed_under_200_is_asked_for_again() {
    for code in ["InternalError", "SlowDown"] {
        for carried_out in [false, true] {
            let mut bench = Bench::new(Dialect::S3);
            let all = bytes(PARTS, 12);
            bench.write("f", &all);
            let failed = ok_error(code, carried_out, 300);
            bench.rule(Rule::of("CompleteMultipartUpload").key("f").times(1).then(failed));
            let result = bench.copy(&json!("f"), &bench.in_parts("f"), &json!({}));
            assert_eq!(result["status"], "ok", "{code} {carried_out} {result}");
            assert!(bench.object("f").unwrap() == all);
            assert!(bench.is_clean());
        }
    }
}

#[test]
fn a_completion_that_is_refused_under_200_is_refused() {
    let mut bench = Bench::new(Dialect::S3);
    bench.write("f", &bytes(PARTS, 12));
    let refused = ok_error("AccessDenied", false, 0);
    bench.rule(Rule::of("CompleteMultipartUpload").key("f").then(refused));
    let result = bench.copy(&json!("f"), &bench.in_parts("f"), &json!({}));
    assert_eq!(code(&result), "DST_PERMISSION", "{result}");
    assert!(bench.object("f").is_none() && bench.is_clean());
}

#[test]
fn spaces_before_the_true_answer_do_no_harm() {
    let mut bench = Bench::new(Dialect::S3);
    bench.write("f", &bytes(PARTS, 12));
    let spaces = Action::Spaces { count: 400, ms: 1 };
    bench.rule(Rule::of("CompleteMultipartUpload").key("f").then(spaces));
    let result = bench.copy(&json!("f"), &bench.in_parts("f"), &json!({}));
    assert_eq!(result["status"], "ok", "{result}");
    assert_eq!(bench.done("CompleteMultipartUpload", "f"), 1);
}

#[test]
fn a_copy_that_failed_under_200_is_made_again() {
    for carried_out in [false, true] {
        let mut bench = Bench::new(Dialect::S3);
        bench.put("source", b"content");
        let failed = ok_error("InternalError", carried_out, 10);
        bench.rule(Rule::of("CopyObject").key("f").times(1).then(failed));
        let result = bench.copy(&bench.at("source"), &bench.at("f"), &json!({}));
        assert_eq!(result["status"], "ok", "{carried_out} {result}");
        assert_eq!(bench.object("f").unwrap(), b"content");
        assert!(bench.server.log().count("CopyObject") > 0);
    }
}
