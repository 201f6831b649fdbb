//! A URL that is signed is a secret: a keyed job goes on under another signature, and writes none of
//! them down.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use migration_fixtures::store::Dialect;
use serde_json::json;

use crate::bench::{Bench, Canned, code};

/// Whether some file beneath a directory holds this text.
fn holds(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return holds(&path, text);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

#[test]
fn a_signature_is_not_written_down_and_another_one_does() {
    let there: Arc<AtomicBool> = Arc::default();
    let is_there = Arc::clone(&there);
    let server = Canned::start(move |_| match is_there.load(Ordering::SeqCst) {
        true => "content".to_owned(),
        false => {
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()
        }
    });
    let mut bench = Bench::new(Dialect::S3);
    let url = |version: u32, signature: &str| {
        json!(format!(
            "http://127.0.0.1:{}/some/f?versionId={version}&X-Amz-Date={signature}1\
             &X-Amz-Signature={signature}",
            server.port
        ))
    };
    let key = json!({"key": "k"});
    let result = bench.copy(&url(1, "c0ffee0001"), &json!("f"), &key);
    assert_eq!(code(&result), "SRC_NOT_FOUND", "{result}");
    let state = bench.place.state();
    // The rest of the URL is there, so that this finds what it looks for.
    assert!(holds(&state, "/some/f?"));
    assert!(!holds(&state, "c0ffee"));

    let result = bench.session.call(&json!({"op": "resume", "id": "r", "key": "k"}));
    assert_eq!(code(&result), "RESUME_REFUSED", "{result}");
    let result = bench.copy(&url(2, "c0ffee0002"), &json!("f"), &key);
    assert_eq!(code(&result), "KEY_CONFLICT", "{result}");
    there.store(true, Ordering::SeqCst);
    let result = bench.copy(&url(1, "c0ffee0003"), &json!("f"), &key);
    assert_eq!(result["status"], "ok", "{result}");
    assert_eq!(bench.file("f").unwrap(), b"content");
    assert!(!holds(&state, "c0ffee"));
}
