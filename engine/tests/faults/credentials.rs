//! Credentials that end, and clocks that differ: mended once where that can be, else told.

use std::sync::atomic::{AtomicU64, Ordering};

use migration_fixtures::store::{Action, Dialect, Key, Options, Rule};
use serde_json::{Value, json};

use crate::bench::{Bench, Canned, DIALECTS, code, secret};

fn keyed(access: &str, expired: bool) -> Key {
    Key {
        access: access.to_owned(),
        secret: "secret".to_owned(),
        token: Some(format!("token of {access}").replace(' ', "-")),
        expired,
        read_only: false,
    }
}

/// Keys that are young are not renewed, lest all threads do it: the job lasts longer than that.
#[test]
fn a_token_that_ended_is_renewed_where_new_ones_are_had() {
    let asked = AtomicU64::new(0);
    let service = Canned::start(move |_| {
        let access = if asked.fetch_add(1, Ordering::SeqCst) == 0 { "OLD" } else { "NEW" };
        json!({"AccessKeyId": access, "SecretAccessKey": "secret",
            "Token": format!("token-of-{access}"), "Expiration": "2099-01-01T00:00:00Z"})
        .to_string()
    });
    let keys = vec![keyed("OLD", false), keyed("NEW", false)];
    let url = format!("http://127.0.0.1:{}/keys", service.port);
    let mut bench = Bench::in_environment(
        Options { keys, ..Options::new(Dialect::S3) },
        &[],
        &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)],
    );
    bench.write("f", b"content");
    // The first one finds out what the store can do.
    bench.rule(Rule::of("PutObject").times(1).then(Action::Delay { ms: 10_500 }));
    let ended = Action::status(400, "ExpiredToken");
    bench.rule(Rule::of("PutObject").key("f").times(1).then(ended));
    let mut dst = bench.at("f");
    dst.as_object_mut().unwrap().remove("auth");
    let result = bench.copy(&json!("f"), &dst, &json!({}));
    assert_eq!(result["status"], "ok", "{result}");
    assert_eq!(bench.object("f").unwrap(), b"content");
    assert_eq!(service.heads().len(), 2);
    let refused = bench.server.log().entries().iter().filter(|e| e.status == 400).count();
    assert_eq!(refused, 1);
}

#[test]
fn a_token_that_ended_and_cannot_be_renewed_is_told() {
    for (dialect, options) in [
        (Dialect::S3, Options { keys: vec![keyed("OLD", true)], ..Options::new(Dialect::S3) }),
        (Dialect::Gcs, Options::new(Dialect::Gcs)),
    ] {
        let mut bench = Bench::with(options, &[]);
        bench.server.expire_tokens(true);
        bench.write("f", b"content");
        let result = bench.copy(&json!("f"), &bench.at("f"), &json!({}));
        assert_eq!(code(&result), "CREDENTIALS_EXPIRED", "{dialect:?} {result}");
        assert!(!result["error"]["hint"].as_str().unwrap().is_empty());
        assert_eq!(bench.session.end().0, 4);
    }
}

#[test]
fn a_key_that_is_wrong_is_told_and_not_sent_again_and_again() {
    for (dialect, file, text) in [
        (Dialect::S3, ".secret", "wrong"),
        (Dialect::S3, ".id", "NOBODY"),
        (Dialect::Azure, ".account", "d3Jvbmc="),
    ] {
        let mut bench = Bench::new(dialect);
        secret(&bench.place, file, text);
        bench.put("f", b"content");
        let result = bench.copy(&bench.at("f"), &json!("f"), &json!({}));
        assert_eq!(code(&result), "CREDENTIALS_REFUSED", "{dialect:?} {result}");
        assert!(bench.server.log().entries().len() <= 2, "{dialect:?}");
        assert!(!result.to_string().contains(text) || text == "NOBODY", "{result}");
        assert_eq!(bench.session.end().0, 4);
    }
}

fn skew(seconds: i64) -> Action {
    Action::ClockSkew { seconds }
}

#[test]
fn another_clock_is_learned_once() {
    for dialect in [Dialect::S3, Dialect::Azure] {
        for seconds in [3600, -7200] {
            let mut bench = Bench::new(dialect);
            for file in ["t/a", "t/b", "t/c"] {
                bench.write(file, b"content");
            }
            bench.rule(Rule::any().then(skew(seconds)));
            let fields = json!({"parallel_files": 1});
            let result = bench.copy(&json!("t"), &bench.at("t"), &fields);
            assert_eq!(result["status"], "ok", "{dialect:?} {result}");
            let entries = bench.server.log().entries();
            let refused = entries.iter().filter(|entry| entry.status == 403).count();
            assert_eq!(refused, 1, "{dialect:?}");
        }
    }
}

#[test]
fn a_clock_that_cannot_be_learned_is_told() {
    for dialect in [Dialect::S3, Dialect::Azure] {
        let mut bench = Bench::new(dialect);
        bench.write("f", b"content");
        // It jumps to and fro.
        bench.rule(Rule::any().every(2).then(skew(3600)));
        bench.rule(Rule::any().from(2).every(2).then(skew(-7200)));
        let result: Value = bench.copy(&json!("f"), &bench.at("f"), &json!({}));
        assert_eq!(code(&result), "CLOCK_SKEW", "{dialect:?} {result}");
        assert!(!result["error"]["hint"].as_str().unwrap().is_empty());
        assert_eq!(bench.session.end().0, 4);
    }
    // Nothing is signed with a time there.
    assert!(DIALECTS.contains(&Dialect::Gcs));
}
