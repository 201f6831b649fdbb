//! Google Cloud Storage: the emulator for what is usual, the strict fixture for what the emulator
//! lets pass and for faults, canned answers for what neither says.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use migration_engine::endpoint::gcs;
use migration_engine::endpoint::store::verbs::{
    Ask, Condition, From, Object, Part, Put, Store, Upload, Whole,
};
use migration_engine::error::{Kind, Result};
use migration_engine::model::digest::Algorithm;
use migration_engine::model::location::Location;
use migration_engine::model::store::StoreOptions;
use migration_engine::model::version::Version;
use migration_engine::remote::call::Side;
use migration_engine::remote::ties::Ties;
use migration_fixtures::store::{Action, Dialect, Hostile, Options, Rule, Server};

use crate::canned::{Canned, answer};
use crate::{bytes, content, server};

fn open(endpoint: &str, bucket: &str, side: Side) -> Arc<dyn Store> {
    let mut location = Location::parse(format!("gs://{bucket}").as_bytes(), Vec::new()).unwrap();
    location.store = Arc::new(StoreOptions {
        endpoint: Some(endpoint.to_owned()),
        anonymous: true,
        ..StoreOptions::default()
    });
    gcs::open(&location, side, &Ties::default()).unwrap().0
}

/// A new bucket of the emulator.
fn emulated() -> (String, String) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let endpoint = server("TEST_GCS_ENDPOINT");
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("dialect-{}-{n}", std::process::id());
    let host = endpoint.strip_prefix("http://").unwrap();
    let body = format!(r#"{{"name":"{name}"}}"#);
    let mut socket = TcpStream::connect(host).unwrap();
    let request = format!(
        "POST /storage/v1/b?project=p HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    (endpoint, name)
}

fn strict() -> Server {
    Server::start(Options { token: None, ..Options::new(Dialect::Gcs) }).unwrap()
}

fn of(server: &Server) -> Arc<dyn Store> {
    open(&server.url(), "bucket", Side::Destination)
}

fn put(condition: Condition, nonce: u64) -> Put {
    let metadata = [("mtime", "1.5".to_owned()), ("mig-write", format!("{nonce:016x}"))];
    Put {
        condition,
        metadata: metadata.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        content_type: Some("text/plain".into()),
        fields: Vec::new(),
        digest: None,
    }
}

fn kind<T>(result: Result<T>) -> Option<Kind> {
    result.err().map(|error| error.kind())
}

fn keys(store: &dyn Store, prefix: &str, folded: bool, most: usize) -> Vec<String> {
    let (mut keys, mut next) = (Vec::new(), None::<String>);
    loop {
        let page = store.list(&Ask { prefix, folded, next: next.as_deref(), most }).unwrap();
        keys.extend(page.objects.into_iter().map(|object| object.key));
        keys.extend(page.prefixes);
        next = page.next;
        if next.is_none() {
            return keys;
        }
    }
}

/// What any server must do.
fn usual(store: &dyn Store) {
    let key = "folder/a b+%/\u{e9}?#";
    for count in [0, 1, 100_000] {
        let all = bytes(count);
        let version = store.put(key, &all, &put(Condition::Any, count as u64)).unwrap();
        let object = store.look(key).unwrap().unwrap();
        assert_eq!((object.size, object.version), (count as u64, version));
        assert!(object.metadata.unwrap().contains(&("mtime".to_owned(), "1.5".to_owned())));
        assert_eq!(object.digests[0].algorithm, Algorithm::Crc32c);
        assert_ne!(object.modified.0, 0);
        let opened = store.read(key, version, None).unwrap();
        assert_eq!((opened.object.size, opened.object.version), (count as u64, version));
        assert_eq!(content(opened), all);
    }
    let all = bytes(100_000);
    let version = store.look(key).unwrap().unwrap().version;
    for range in [0..1, 0..100_000, 99_999..100_000, 7..50_000] {
        let part = store.read(key, version, Some(range.clone())).unwrap();
        assert_eq!(part.object.size, 100_000);
        assert_eq!(content(part), all[range.start as usize..range.end as usize]);
    }
    assert_eq!(kind(store.read("none", version, None)), Some(Kind::DestinationWrite));
    assert!(store.look("none").unwrap().is_none());
    let again = put(Condition::Absent, 7);
    assert_eq!(kind(store.put(key, b"x", &again)), Some(Kind::DestinationExists));
    let other = Condition::Is(Version::new("17").unwrap());
    assert_eq!(kind(store.put(key, b"x", &put(other, 8))), Some(Kind::DestinationChanged));
    assert!(store.put(key, b"x", &put(Condition::Is(version), 9)).is_ok());
    assert!(store.put("new", b"x", &put(Condition::Absent, 10)).is_ok());
    let now = store.look(key).unwrap().unwrap().version;
    assert!(store.remove(key, now).unwrap());
    assert!(!store.remove(key, now).unwrap());
    assert!(store.look(key).unwrap().is_none());
}

fn listings(store: &dyn Store) {
    let names = ["l/a", "l/b/1", "l/b/2", "l/c", "l/d/x/y", "l-"];
    for name in names {
        store.put(name, b"1", &put(Condition::Any, 1)).unwrap();
    }
    let beneath: BTreeSet<String> = names[..5].iter().map(|name| (*name).to_owned()).collect();
    for most in [1, 2, 1000] {
        assert_eq!(BTreeSet::from_iter(keys(store, "l/", false, most)), beneath, "{most}");
    }
    let folded = BTreeSet::from_iter(keys(store, "l/", true, 2));
    let wanted = ["l/a", "l/b/", "l/c", "l/d/"].map(str::to_owned);
    assert_eq!(folded, BTreeSet::from(wanted));
    assert!(keys(store, "none/", false, 10).is_empty());
}

/// Sends parts of 1000 bytes, the last one shorter, in no order.
fn upload(store: &dyn Store, key: &str, all: &[u8], put: &Put) -> (Upload, Vec<Part>) {
    let upload = store.begin(key, put).unwrap();
    let chunks: Vec<&[u8]> = all.chunks(1000).collect();
    let send = |(index, chunk): (usize, &&[u8])| {
        let value = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, chunk);
        let digest = Whole { algorithm: Algorithm::Crc32c, value };
        let offset = index as u64 * 1000;
        store.put_part(&upload, index as u32, offset, chunk, Some(digest)).unwrap()
    };
    let mut parts: Vec<Part> = chunks.iter().enumerate().rev().map(send).collect();
    parts.sort_by_key(|part| part.index);
    (upload, parts)
}

fn begun(store: &dyn Store, prefix: &str) -> Vec<Upload> {
    let mut found = Vec::new();
    let mut each = |begun: migration_engine::endpoint::store::verbs::Begun| {
        found.push(begun.upload);
        Ok(())
    };
    store.uploads(prefix, &mut each).unwrap();
    found
}

/// More parts than one compose takes, resumed by what the store tells, and given up.
fn parts(store: &dyn Store) {
    let (all, put_40) = (bytes(39_500), put(Condition::Absent, 0xfeed_0000_0000_0001));
    let (first, sent) = upload(store, "p/q/object", &all, &put_40);
    assert_eq!(store.parts(&first).unwrap().unwrap(), sent);
    assert_eq!(store.put_part(&first, 39, 39_000, &all[39_000..], None).unwrap().size, 500);
    let (second, _) = upload(store, "p/other", b"some", &put(Condition::Absent, 2));
    let mut found = begun(store, "p/");
    found.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(found, [second.clone(), first.clone()]);
    assert_eq!(begun(store, "p/q/ob"), std::slice::from_ref(&first));
    assert!(begun(store, "p/q/x").is_empty());
    let listed = store.parts(&first).unwrap().unwrap();
    let version = store.complete(&first, &listed, &put_40).unwrap();
    let object = store.look("p/q/object").unwrap().unwrap();
    assert_eq!((object.size, object.version), (39_500, version));
    assert!(object.metadata.unwrap().contains(&("mtime".to_owned(), "1.5".to_owned())));
    assert_eq!(content(store.read("p/q/object", version, None).unwrap()), all);
    store.abandon(&second).unwrap();
    store.abandon(&second).unwrap();
    assert_eq!(keys(store, "p/", false, 1000), ["p/q/object"]);
}

/// The emulator does not know conditions of composes.
fn conditions_of_parts(store: &dyn Store) {
    let all = bytes(39_500);
    let (third, sent) = upload(store, "p/q/object", &all, &put(Condition::Absent, 3));
    let again = store.complete(&third, &sent, &put(Condition::Absent, 3));
    assert_eq!(kind(again), Some(Kind::DestinationExists));
    store.abandon(&third).unwrap();
    assert_eq!(keys(store, "p/", false, 1000), ["p/q/object"]);
}

fn copies(from: &Arc<dyn Store>, to: &dyn Store) {
    let all = bytes(10_000);
    let version = from.put("from", &all, &put(Condition::Any, 1)).unwrap();
    let object = from.look("from").unwrap().unwrap();
    let from = From { store: Arc::clone(from), object };
    let copied = to.copy(&from, "c/to", &put(Condition::Absent, 4)).unwrap().unwrap();
    assert_eq!(copied.digests, from.object.digests);
    assert_eq!(content(to.read("c/to", copied.version, None).unwrap()), all);
    let again = to.copy(&from, "c/to", &put(Condition::Absent, 5));
    assert_eq!(kind(again), Some(Kind::DestinationExists));
    from.store.put("from", b"other", &put(Condition::Is(version), 6)).unwrap();
    let stale = to.copy(&from, "c/stale", &put(Condition::Absent, 7));
    assert_eq!(kind(stale), Some(Kind::SourceChanged));
}

#[test]
fn the_emulator_does_what_is_usual() {
    let (endpoint, name) = emulated();
    let store = open(&endpoint, &name, Side::Destination);
    usual(&*store);
    listings(&*store);
    parts(&*store);
}

#[test]
fn the_strict_server_does_what_is_usual() {
    let server = Server::start(Options {
        token: None,
        rewrite_bytes: Some(3_000),
        buckets: vec!["bucket".to_owned(), "other".to_owned()],
        ..Options::new(Dialect::Gcs).page(3)
    });
    let server = server.unwrap();
    let store = of(&server);
    usual(&*store);
    listings(&*store);
    parts(&*store);
    conditions_of_parts(&*store);
    copies(&store, &*open(&server.url(), "other", Side::Destination));
    copies(&store, &*store);
    // Four steps for a copy; three for one whose condition is judged with the last.
    let steps = server.log().of("RewriteObject").iter().filter(|e| e.status == 200).count();
    assert_eq!(steps, 2 * (4 + 3));
}

#[test]
fn another_service_copies_nothing() {
    let (one, two) = (strict(), strict());
    let (from, to) = (of(&one), of(&two));
    let from = From { store: from, object: Object::default() };
    assert!(to.copy(&from, "x", &put(Condition::Any, 1)).unwrap().is_none());
    assert_eq!(two.log().entries().len(), 0);
}

#[test]
fn only_the_version_that_was_seen_is_removed_or_read() {
    let server = strict();
    let store = open(&server.url(), "bucket", Side::Source);
    let old = store.put("k", b"old", &put(Condition::Any, 1)).unwrap();
    let new = store.put("k", b"new", &put(Condition::Is(old), 2)).unwrap();
    assert!(!store.remove("k", old).unwrap());
    assert_eq!(kind(store.read("k", old, None)), Some(Kind::SourceChanged));
    assert_eq!(content(store.read("k", Version::default(), None).unwrap()), b"new");
    server.script().add(Rule::of("GetObject").times(1).then(Action::Mutate { text: "x".into() }));
    assert_eq!(kind(store.read("k", new, Some(0..1))), Some(Kind::SourceChanged));
    assert_eq!(kind(store.read("none", new, None)), Some(Kind::SourceNotFound));
}

/// The object is there although no answer said so: it is known by its nonce, and is no conflict.
#[test]
fn a_write_whose_answer_was_lost_is_found() {
    for operation in ["InsertMultipart", "ComposeObject"] {
        let server = strict();
        let store = of(&server);
        let own = put(Condition::Absent, 0xabcd);
        let sent = (operation == "ComposeObject").then(|| upload(&*store, "k", b"some", &own));
        let lost = Action::LoseAnswer { reset: true };
        server.script().add(Rule::of(operation).times(1).then(lost));
        let version = match &sent {
            Some((upload, parts)) => store.complete(upload, parts, &own).unwrap(),
            None => store.put("k", b"some", &own).unwrap(),
        };
        assert_eq!(store.look("k").unwrap().unwrap().version, version, "{operation}");
        assert_eq!(server.objects().keys("bucket"), ["k"], "{operation}");
        let other = store.put("k", b"some", &put(Condition::Absent, 0xabce));
        assert_eq!(kind(other), Some(Kind::DestinationExists));
    }
}

#[test]
fn an_upload_that_was_completed_before_its_process_died_is_complete() {
    let server = strict();
    let store = of(&server);
    let (all, own) = (bytes(35_000), put(Condition::Absent, 0xdead));
    let (upload, parts) = upload(&*store, "k", &all, &own);
    let version = store.complete(&upload, &parts, &own).unwrap();
    assert_eq!(store.complete(&upload, &parts, &own).unwrap(), version);
    assert_eq!(server.objects().keys("bucket"), ["k"]);
}

/// What the store holds is compared with what was sent, and is not left behind.
#[test]
fn content_that_was_stored_wrong_is_removed() {
    let server = strict();
    let store = of(&server);
    let wrong = || Action::WrongChecksum {};
    server.script().add(Rule::of("InsertMultipart").times(1).then(wrong()));
    let stored = store.put("k", b"some", &put(Condition::Absent, 1));
    assert_eq!(kind(stored), Some(Kind::VerifyMismatch));
    assert!(server.objects().keys("bucket").is_empty());
    let own = put(Condition::Absent, 2);
    let (upload, parts) = upload(&*store, "k", &bytes(5_000), &own);
    let mut swapped = parts.clone();
    swapped[1].digest = parts[2].digest;
    assert_eq!(kind(store.complete(&upload, &swapped, &own)), Some(Kind::VerifyMismatch));
    assert!(!server.objects().keys("bucket").contains(&"k".to_owned()));
    let whole = Whole { algorithm: Algorithm::Crc32c, value: 1 };
    let claimed = Put { digest: Some(whole), ..own.clone() };
    assert_eq!(kind(store.complete(&upload, &parts, &claimed)), Some(Kind::VerifyMismatch));
    assert!(store.complete(&upload, &parts, &own).is_ok());
}

/// The service compares the checksum that comes with the bytes.
#[test]
fn content_that_was_damaged_on_its_way_is_refused() {
    let server = strict();
    let store = of(&server);
    let value = u64::from(0x1234_5678u32);
    let digest = Some(Whole { algorithm: Algorithm::Crc32c, value });
    let sent = store.put("k", b"some", &Put { digest, ..put(Condition::Absent, 1) });
    assert!(sent.is_err());
    assert!(server.objects().keys("bucket").is_empty());
}

#[test]
fn a_page_that_is_none_is_no_end() {
    let server = Server::start(Options { token: None, ..Options::new(Dialect::Gcs).page(2) });
    let server = server.unwrap();
    let store = of(&server);
    for n in 0..5 {
        server.objects().put("bucket", &format!("k{n}"), b"x".to_vec());
    }
    for form in [Hostile::Page, Hostile::Empty, Hostile::Truncated, Hostile::Deep, Hostile::NotUtf8]
    {
        server.script().clear();
        let action = Action::Hostile { form, status: None };
        server.script().add(Rule::of("ListObjects").page(2).then(action));
        let ask = Ask { prefix: "", folded: false, next: None, most: 1000 };
        let first = store.list(&ask).unwrap();
        let second = store.list(&Ask { next: first.next.as_deref(), ..ask });
        assert_eq!(kind(second), Some(Kind::RemoteAnswer), "{form:?}");
    }
    let missing = open(&server.url(), "missing", Side::Source);
    let ask = Ask { prefix: "", folded: false, next: None, most: 1000 };
    assert_eq!(kind(missing.list(&ask)), Some(Kind::BucketNotFound));
    assert_eq!(kind(missing.look("k")), Some(Kind::BucketNotFound));
}

/// What is stored as gzip comes as gzip, and nothing else is taken for it.
#[test]
fn coded_objects_are_not_decoded_on_their_way() {
    let fields = |stored: &'static str, sent: &'static str| {
        let server = Canned::start(move |_| {
            let fields = [
                ("x-goog-generation", "5"),
                ("x-goog-stored-content-encoding", stored),
                ("content-encoding", sent),
            ];
            answer(200, &fields, "bytes")
        });
        let store = open(&server.url, "bucket", Side::Source);
        let read = store.read("k", Version::new("5").unwrap(), None);
        assert_eq!(server.asked()[0].header("accept-encoding"), Some("gzip"));
        read.map(content)
    };
    assert_eq!(fields("gzip", "gzip").unwrap(), b"bytes");
    assert_eq!(kind(fields("gzip", "identity")), Some(Kind::RemoteAnswer));
    assert_eq!(kind(fields("identity", "gzip")), Some(Kind::RemoteAnswer));
}

#[test]
fn what_a_location_says_is_sent() {
    let server = strict();
    let mut location = Location::parse(b"gs://bucket/dir/", Vec::new()).unwrap();
    let text = |text: &str| Some(text.to_owned());
    location.store = Arc::new(StoreOptions {
        endpoint: Some(server.url()),
        anonymous: true,
        storage_class: text("NEARLINE"),
        content_type: text("application/x-own"),
        content_encoding: text("gzip"),
        cache_control: text("no-store"),
        acl: text("private"),
        sse_key_id: text("projects/p/key"),
        metadata: [("team".to_owned(), "x".to_owned())].into(),
        ..StoreOptions::default()
    });
    let (store, key) = gcs::open(&location, Side::Destination, &Ties::default()).unwrap();
    assert_eq!(key, "dir");
    store.put("k", b"some", &put(Condition::Absent, 1)).unwrap();
    let own = put(Condition::Absent, 2);
    let (upload, parts) = upload(&*store, "c", b"some", &own);
    store.complete(&upload, &parts, &own).unwrap();
    for key in ["k", "c"] {
        let object = server.objects().get("bucket", key).unwrap();
        assert_eq!(object.class, "NEARLINE");
        assert_eq!(object.headers["content-type"], "application/x-own");
        assert_eq!(object.headers["content-encoding"], "gzip");
        assert_eq!(object.headers["cache-control"], "no-store");
        assert_eq!(
            (object.metadata["team"].as_str(), object.metadata["mtime"].as_str()),
            ("x", "1.5")
        );
    }
    let asked = |operation: &str| server.log().of(operation)[0].query.clone();
    let has = |query: &[(String, String)], name: &str| query.iter().any(|(known, _)| known == name);
    assert!(has(&asked("InsertMultipart"), "predefinedAcl"));
    assert!(has(&asked("ComposeObject"), "destinationPredefinedAcl"));
    assert!(has(&asked("ComposeObject"), "kmsKeyName"));
}
