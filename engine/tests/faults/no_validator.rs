//! A web server tells nothing that one state of a file is told from another by: it is read by one
//! request, from its beginning each time, and no two states are mixed.

use std::sync::atomic::{AtomicUsize, Ordering};

use migration_fixtures::store::Dialect;
use serde_json::json;

use crate::bench::{Bench, Canned, text};

const SIZE: usize = 18 << 20;

/// The first bytes of content come of one state, and all later ones of another: of the same size,
/// or of another one.
fn changing(old: String, new: String, validator: &'static str) -> Canned {
    let contents = AtomicUsize::new(0);
    Canned::start(move |head| {
        let looks = head.starts_with("HEAD");
        let first = contents.load(Ordering::SeqCst) == 0;
        let all = if first { &old } else { &new };
        let size = all.len();
        let fields = format!("{validator}Accept-Ranges: bytes\r\nConnection: close\r\n");
        if looks {
            return format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {size}\r\n\r\n");
        }
        contents.fetch_add(1, Ordering::SeqCst);
        let range = head.lines().find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("range: bytes=").map(str::to_owned)
        });
        if let Some(range) = range {
            let (from, to) = range.trim().split_once('-').unwrap();
            let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
            let to = to.min(size - 1);
            let part = all.get(from..=to).unwrap_or_default();
            let length = part.len();
            return format!(
                "HTTP/1.1 206 Partial Content\r\n{fields}Content-Length: {length}\r\n\
                 Content-Range: bytes {from}-{to}/{size}\r\n\r\n{part}"
            );
        }
        // The first answer breaks off.
        let sent = if first { &all[..size / 2] } else { all };
        format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {size}\r\n\r\n{sent}")
    })
}

#[test]
fn no_two_states_are_mixed() {
    let date = "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n";
    // A date that a server keeps tells no states apart but by the length of the whole.
    for (size, validator) in
        [(SIZE, ""), (SIZE, "ETag: W/\"a\"\r\n"), (1000, ""), (SIZE + 5, ""), (SIZE + 5, date)]
    {
        let mut bench = Bench::new(Dialect::S3);
        let new = text(size, 2);
        let server = changing(text(size.min(SIZE), 1), new.clone(), validator);
        let url = json!(format!("http://127.0.0.1:{}/f", server.port));
        let fields = json!({"chunk_bytes": "4MiB", "parallel_chunks": 3, "key": "k"});
        let result = bench.copy(&url, &json!("f"), &fields);
        assert_eq!(result["status"], "ok", "{size} {validator} {result}");
        assert!(bench.file("f").unwrap() == new.as_bytes(), "{size} {validator}");
    }
}
