//! A service sends the client on to another host: no credentials go there. What leads from https to
//! http is in the tests of the transport (`tests/remote/tls.rs`).

use migration_fixtures::store::{Action, Rule};
use serde_json::json;

use crate::bench::{Bench, Canned, DIALECTS, code, secret};

const WORDS: [&str; 8] = [
    "authorization",
    "security-token",
    "x-amz-signature",
    "sig=",
    "cookie",
    "fixture-token",
    "canary",
    "customer-key",
];

fn innocent(other: &Canned) {
    for head in other.heads() {
        let head = head.to_lowercase();
        assert!(WORDS.iter().all(|word| !head.contains(word)), "{head}");
    }
}

#[test]
fn a_store_that_names_another_host_gets_nothing_sent_there() {
    for dialect in DIALECTS {
        for status in [301, 302, 307, 308] {
            let mut bench = Bench::new(dialect);
            bench.put("f", b"content");
            bench.write("g", b"content");
            let other = Canned::start(|_| "stolen".to_owned());
            let location = format!("http://127.0.0.1:{}{{path}}", other.port);
            bench.rule(Rule::any().then(Action::Redirect { status, location }));
            let down = bench.copy(&bench.at("f"), &json!("f"), &json!({}));
            let up = bench.copy(&json!("g"), &bench.at("g"), &json!({}));
            assert_eq!(down["status"], "failed", "{dialect:?} {down}");
            assert_eq!(up["status"], "failed", "{dialect:?} {up}");
            let told = ["REDIRECT_REFUSED", "REGION_WRONG"].contains(&code(&down));
            assert!(told, "{dialect:?} {status} {down}");
            assert!(bench.file("f").is_none());
            innocent(&other);
        }
    }
}

#[test]
fn a_web_server_may_send_on_but_not_the_password() {
    for names in [&["bearer"][..], &["user", "password"]] {
        let mut bench = Bench::new(migration_fixtures::store::Dialect::S3);
        secret(&bench.place, ".canary", "canary");
        let other = Canned::start(|_| "content".to_owned());
        let there = format!("http://127.0.0.1:{}/there", other.port);
        let first = Canned::start(move |_| {
            let fields = "Content-Length: 0\r\nConnection: close";
            format!("HTTP/1.1 302 Found\r\nLocation: {there}\r\n{fields}\r\n\r\n")
        });
        let file = bench.place.path(".canary");
        let secrets = names.iter().map(|name| (*name, json!({"file": file.to_str().unwrap()})));
        let auth: std::collections::BTreeMap<_, _> = secrets.collect();
        let src = json!({"url": format!("http://127.0.0.1:{}/f", first.port), "auth": auth});
        let result = bench.copy(&src, &json!("f"), &json!({}));
        assert_eq!(result["status"], "ok", "{result}");
        assert_eq!(bench.file("f").unwrap(), b"content");
        assert!(first.heads().iter().all(|head| head.to_lowercase().contains("authorization")));
        assert!(!first.heads().is_empty() && !other.heads().is_empty());
        innocent(&other);
    }
}
