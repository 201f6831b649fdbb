//! Web servers: nginx for what is usual, canned answers for what others do.

use std::path::Path;
use std::sync::Arc;

use migration_engine::endpoint::http;
use migration_engine::endpoint::store::verbs::{Ask, Store};
use migration_engine::error::{Kind, Result};
use migration_engine::model::digest::Algorithm;
use migration_engine::model::location::Location;
use migration_engine::model::secret::SecretSource;
use migration_engine::model::store::StoreOptions;
use migration_engine::remote::call::Side;
use migration_engine::remote::ties::Ties;

use crate::canned::{Asked, Canned, answer};
use crate::{bytes, content, server};

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn open_with(url: &str, auth: Vec<(String, SecretSource)>) -> (Arc<dyn Store>, String) {
    let location = Location::parse(url.as_bytes(), auth).unwrap();
    http::open(&location, Side::Source, &Ties::default()).unwrap()
}

fn open(url: &str) -> (Arc<dyn Store>, String) {
    open_with(url, Vec::new())
}

fn kind<T>(result: Result<T>) -> Option<Kind> {
    result.err().map(|error| error.kind())
}

fn is_range(asked: &Asked) -> bool {
    asked.header("range").is_some()
}

#[test]
fn files_of_nginx_are_read_by_ranges_and_bound_to_their_tags() {
    let (endpoint, root) = (server("TEST_HTTP_ENDPOINT"), server("TEST_HTTP_ROOT"));
    let name = format!("dialect {}.bin", std::process::id());
    let (path, all) = (Path::new(&root).join(&name), bytes(300_000));
    std::fs::write(&path, &all).unwrap();
    let (store, key) = open(&format!("{endpoint}/{name}?a=b"));
    let object = store.look(&key).unwrap().unwrap();
    assert_eq!((object.size, object.sizeless, object.rangeless), (300_000, false, false));
    assert!(object.version.as_str().starts_with('"') && object.modified.0 > 0);
    assert_eq!(content(store.read(&key, object.version, None).unwrap()), all);
    for range in [0..1, 299_999..300_000, 1_000..200_000, 0..300_000] {
        let part = store.read(&key, object.version, Some(range.clone())).unwrap();
        assert_eq!(content(part), all[range.start as usize..range.end as usize]);
    }
    std::fs::write(&path, b"another").unwrap();
    let changed = store.read(&key, object.version, Some(0..10));
    assert_eq!(kind(changed), Some(Kind::SourceChanged));
    std::fs::write(&path, b"").unwrap();
    let empty = store.look(&key).unwrap().unwrap();
    assert_eq!((empty.size, empty.sizeless), (0, false));
    std::fs::remove_file(&path).unwrap();
    assert!(store.look(&key).unwrap().is_none());
    assert_eq!(kind(store.read(&key, object.version, None)), Some(Kind::SourceNotFound));
}

#[test]
fn nothing_is_listed() {
    let (store, _) = open("http://127.0.0.1:9/");
    let ask = Ask { prefix: "", folded: true, next: None, most: 10 };
    assert_eq!(kind(store.list(&ask)), Some(Kind::Unsupported));
    assert_eq!(kind(store.remove("a", Default::default())), Some(Kind::Unsupported));
}

#[test]
fn where_head_is_refused_the_first_byte_tells() {
    for status in [403, 405, 501] {
        let server = Canned::start(move |asked| match asked.method.as_str() {
            "HEAD" => answer(status, &[], ""),
            _ => answer(206, &[("content-range", "bytes 0-0/77"), ("etag", "\"t\"")], "x"),
        });
        let (store, key) = open(&format!("{}/f?sig=a/b", server.url));
        let object = store.look(&key).unwrap().unwrap();
        assert_eq!((object.size, object.rangeless), (77, false), "{status}");
        assert_eq!(object.version.as_str(), "\"t\"");
        let asked = server.asked();
        assert_eq!(
            (asked[1].target.as_str(), asked[1].header("range")),
            ("/f?sig=a/b", Some("bytes=0-0"))
        );
        assert!(asked.iter().all(|a| a.header("accept-encoding") == Some("identity")));
    }
}

#[test]
fn servers_without_ranges_are_told_apart() {
    let server = Canned::start(|asked| match asked.method.as_str() {
        "HEAD" => answer(200, &[("content-length", "5"), ("last-modified", DATE)], ""),
        _ => answer(200, &[("last-modified", DATE)], "bytes"),
    });
    let (store, key) = open(&format!("{}/f", server.url));
    let object = store.look(&key).unwrap().unwrap();
    assert_eq!((object.size, object.sizeless, object.rangeless), (5, false, true));
    assert_eq!(content(store.read(&key, object.version, None).unwrap()), b"bytes");
    assert_eq!(server.asked().last().unwrap().header("if-unmodified-since"), Some(DATE));
    // The whole is the range from 0 to its end, and no other one.
    assert_eq!(content(store.read(&key, object.version, Some(0..5)).unwrap()), b"bytes");
    assert_eq!(kind(store.read(&key, object.version, Some(1..5))), Some(Kind::RemoteAnswer));
    assert_eq!(kind(store.read(&key, object.version, Some(0..4))), Some(Kind::RemoteAnswer));
}

/// Ranges that nothing binds to one state may be of several.
#[test]
fn without_a_strong_version_nothing_is_read_by_ranges() {
    for (tag, version) in [(None, ""), (Some(("etag", "W/\"a\"")), "W/\"a\"")] {
        let server = Canned::start(move |asked| {
            let mut fields = vec![("accept-ranges", "bytes")];
            fields.extend(tag);
            match (asked.method.as_str(), asked.header("range")) {
                ("HEAD", _) => answer(200, &[&fields[..], &[("content-length", "5")]].concat(), ""),
                (_, Some(_)) => {
                    answer(206, &[&fields[..], &[("content-range", "bytes 0-0/5")]].concat(), "b")
                }
                _ => answer(200, &[("etag", "W/\"b\"")], "bytes"),
            }
        });
        let (store, key) = open(&format!("{}/f", server.url));
        let object = store.look(&key).unwrap().unwrap();
        assert_eq!((object.size, object.rangeless), (5, true));
        assert_eq!(object.version.as_str(), version);
        let opened = store.read(&key, object.version, None);
        assert!(server.asked().iter().all(|asked| asked.header("if-match").is_none()));
        match tag {
            // Found out by what is answered.
            Some(_) => assert_eq!(kind(opened), Some(Kind::SourceChanged)),
            None => assert_eq!(content(opened.unwrap()), b"bytes"),
        }
    }
}

#[test]
fn a_stream_of_unknown_length_has_no_size() {
    let server = Canned::start(|asked| match asked.method.as_str() {
        "HEAD" => answer(200, &[("transfer-encoding", "chunked")], ""),
        _ => answer(200, &[("transfer-encoding", "chunked")], "5\r\nbytes\r\n0\r\n\r\n"),
    });
    let (store, key) = open(&format!("{}/f", server.url));
    let object = store.look(&key).unwrap().unwrap();
    assert_eq!((object.size, object.sizeless, object.rangeless), (0, true, true));
    assert_eq!(content(store.read(&key, object.version, None).unwrap()), b"bytes");
}

/// Servers that pass over conditions and ranges are found out by what they answer.
#[test]
fn answers_of_another_version_or_range_are_refused() {
    let read = |fields: &[(&'static str, &'static str)], status: u16| {
        let fields = fields.to_vec();
        let server = Canned::start(move |asked| match is_range(asked) {
            true => answer(status, &fields, "xyz"),
            false => answer(
                200,
                &[("accept-ranges", "bytes"), ("content-length", "9"), ("etag", "\"a\"")],
                "",
            ),
        });
        let (store, key) = open(&format!("{}/f", server.url));
        let object = store.look(&key).unwrap().unwrap();
        let opened = store.read(&key, object.version, Some(3..6));
        assert_eq!(server.asked()[1].header("if-match"), Some("\"a\""));
        opened.map(content)
    };
    let part = ("content-range", "bytes 3-5/9");
    assert_eq!(read(&[part, ("etag", "\"a\"")], 206).unwrap(), b"xyz");
    assert_eq!(kind(read(&[part, ("etag", "\"b\"")], 206)), Some(Kind::SourceChanged));
    assert_eq!(kind(read(&[part], 206)), Some(Kind::SourceChanged));
    assert_eq!(kind(read(&[], 412)), Some(Kind::SourceChanged));
    assert_eq!(kind(read(&[("content-range", "bytes */2")], 416)), Some(Kind::SourceChanged));
    for range in ["bytes 0-2/9", "bytes 3-4/9", "bytes 3-6/9", "3-5/9"] {
        let answered = read(&[("content-range", range), ("etag", "\"a\"")], 206);
        assert_eq!(kind(answered), Some(Kind::RemoteAnswer), "{range}");
    }
    assert_eq!(kind(read(&[("content-encoding", "gzip"), part], 206)), Some(Kind::RemoteAnswer));
}

#[test]
fn digests_in_fields_are_kept() {
    let server = Canned::start(|_| {
        let fields = [
            ("accept-ranges", "bytes"),
            ("content-length", "11"),
            ("etag", "\"5eb63bbbe01eeed093cb22bb8f5acdc3\""),
            ("repr-digest", "sha-256=:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=:"),
        ];
        answer(200, &fields, "")
    });
    let (store, key) = open(&format!("{}/f", server.url));
    let digests = store.look(&key).unwrap().unwrap().digests;
    assert_eq!(digests.iter().map(|d| d.algorithm).collect::<Vec<_>>(), [Algorithm::Sha256]);
}

/// Another host gets no credentials, and its answer counts.
#[test]
fn redirections_are_followed_without_credentials() {
    let fields = [("accept-ranges", "bytes"), ("content-length", "7"), ("etag", "\"a\"")];
    let there = Canned::start(move |_| answer(200, &fields, ""));
    let place = format!("{}/there?sig=s%2F", there.url);
    let here = Canned::start(move |asked| match asked.target.as_str() {
        "/f" => answer(302, &[("location", "/g")], ""),
        "/g" => answer(307, &[("location", &place)], ""),
        _ => answer(302, &[("location", "/loop")], ""),
    });
    let mut secret = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut secret, b"t0k").unwrap();
    let source = SecretSource::File(secret.path().as_os_str().as_encoded_bytes().to_vec());
    let (store, key) = open_with(&format!("{}/f", here.url), vec![("bearer".to_owned(), source)]);
    assert_eq!(store.look(&key).unwrap().unwrap().size, 7);
    for asked in here.asked() {
        assert_eq!(asked.header("authorization"), Some("Bearer t0k"));
    }
    assert_eq!((here.asked().len(), there.asked().len()), (2, 1));
    assert_eq!(there.asked()[0].target, "/there?sig=s%2F");
    assert_eq!(there.asked()[0].header("authorization"), None);
    let endless = store.look("loop").unwrap_err();
    assert_eq!(endless.kind(), Kind::RedirectRefused);
    assert!(here.asked().len() < 20);
}

#[test]
fn tls_is_checked_against_the_location_s_own_authority() {
    let (root, ca) = (server("TEST_HTTP_ROOT"), server("TEST_HTTPS_CA"));
    let name = format!("tls-{}", std::process::id());
    std::fs::write(Path::new(&root).join(&name), b"some").unwrap();
    let look = |endpoint: &str, tls_ca: Option<&str>| {
        let url = format!("{}/{name}", server(endpoint));
        let mut location = Location::parse(url.as_bytes(), Vec::new()).unwrap();
        let tls_ca = tls_ca.map(str::to_owned);
        location.store = Arc::new(StoreOptions { tls_ca, ..StoreOptions::default() });
        let (store, key) = http::open(&location, Side::Source, &Ties::default()).unwrap();
        store.look(&key)
    };
    assert_eq!(look("TEST_HTTPS_ENDPOINT", Some(&ca)).unwrap().unwrap().size, 4);
    assert_eq!(kind(look("TEST_HTTPS_ENDPOINT", None)), Some(Kind::TlsRefused));
    let elsewhere = look("TEST_HTTPS_WRONG_NAME_ENDPOINT", Some(&ca));
    assert_eq!(kind(elsewhere), Some(Kind::TlsRefused));
    std::fs::remove_file(Path::new(&root).join(&name)).unwrap();
}
