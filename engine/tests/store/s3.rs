//! S3: `endpoint::s3` against SeaweedFS, and against Ceph's gateway where that could be had.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};

use migration_engine::endpoint::s3;
use migration_engine::endpoint::s3::checksum;
use migration_engine::endpoint::s3::errors::S3;
use migration_engine::endpoint::store::verbs::{
    Ask, Condition, Copying, From, Object, Part, Put, Store, Upload, Whole,
};
use migration_engine::error::{Kind, Result};
use migration_engine::model::digest::Algorithm;
use migration_engine::model::location::Location;
use migration_engine::model::secret::SecretSource;
use migration_engine::model::store::StoreOptions;
use migration_engine::model::version::Version;
use migration_engine::remote::call::{Request, Side, Verb};
use migration_engine::remote::client::{Answer, Client};
use migration_engine::remote::origin::Origin;
use migration_engine::remote::sign::sigv4::{Keys, SigV4};
use migration_engine::remote::sign::source::Fixed;
use migration_engine::remote::ties::Ties;
use serde_json::json;

use crate::session::{Place, Session};

/// Least bytes of a part that is not the last.
const PART: usize = 5 << 20;

#[derive(Clone, Copy, PartialEq)]
enum Server {
    /// Keeps keys as a tree of files.
    Seaweed,
    /// Ceph's gateway: flat keys.
    Rgw,
}

impl Server {
    fn variable(self, name: &str) -> String {
        let prefix = if self == Self::Seaweed { "TEST_S3" } else { "TEST_RGW" };
        let name = format!("{prefix}_{name}");
        std::env::var(&name).unwrap_or_else(|_| {
            panic!("{name} is not set: run scripts/services.sh up, and eval what its env prints")
        })
    }

    fn options(self) -> StoreOptions {
        StoreOptions {
            endpoint: Some(self.variable("ENDPOINT")),
            region: Some(self.variable("REGION")),
            ..StoreOptions::default()
        }
    }

    /// A new bucket.
    fn bucket(self) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let nonce = migration_engine::platform::host::nonce();
        let name = format!("s3-{nonce:x}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let (id, secret) = (self.variable("ACCESS_KEY"), self.variable("SECRET_KEY").into());
        let keys = Fixed::new(Keys { id, secret, token: None });
        let signer = Arc::new(SigV4::new(keys, "s3", &self.variable("REGION")));
        let client = Client::new(signer, Arc::new(S3), Ties::default());
        let origin = Origin::parse(&self.variable("ENDPOINT")).unwrap().0;
        let request = Request::new(Verb::Control, "PUT", &origin, format!("/{name}"));
        client.fetch(&request, 1 << 20).unwrap();
        name
    }

    fn open_as(self, who: &str, bucket: &str, side: Side, options: StoreOptions) -> Arc<dyn Store> {
        let prefix = if self == Self::Seaweed { "TEST_S3" } else { "TEST_RGW" };
        let secret = |kind: &str| SecretSource::Env(format!("{prefix}_{who}{kind}"));
        self.open_by(secret("ACCESS_KEY"), secret("SECRET_KEY"), bucket, side, options)
    }

    fn open_by(
        self,
        id: SecretSource,
        secret: SecretSource,
        bucket: &str,
        side: Side,
        options: StoreOptions,
    ) -> Arc<dyn Store> {
        let mut location = Location::parse(
            format!("s3://{bucket}").as_bytes(),
            vec![("access_key_id".to_owned(), id), ("secret_access_key".to_owned(), secret)],
        )
        .unwrap();
        location.store = Arc::new(options);
        s3::open(&location, side, &Ties::default()).unwrap().0
    }

    /// A new bucket, opened as a destination.
    fn store(self) -> Arc<dyn Store> {
        self.open_as("", &self.bucket(), Side::Destination, self.options())
    }
}

macro_rules! on_servers {
    ($($name:ident),* $(,)?) => {
        mod seaweed {
            $(#[test]
            fn $name() {
                super::$name(super::Server::Seaweed);
            })*
        }
        mod rgw {
            $(#[test]
            fn $name() {
                if std::env::var("TEST_RGW_ENDPOINT").is_ok() {
                    super::$name(super::Server::Rgw);
                }
            })*
        }
    };
}

on_servers!(
    objects_are_put_looked_at_and_read,
    ranges_are_pinned_to_a_version,
    conditions_hold,
    backslashes_are_kept_or_refused,
    one_of_sixteen_racers_wins,
    metadata_goes_round,
    damage_is_refused,
    uploads_are_completed_from_their_parts,
    uploads_heed_conditions_and_are_recognised_when_completed_before,
    uploads_are_listed_and_given_up,
    many_parts_are_listed_in_pages,
    the_store_copies_by_itself,
    listings_have_pages_and_folds,
    odd_keys_come_back_as_they_are,
    removals_are_bound_to_versions,
    refusals_are_told_apart,
    rights_that_are_missing_are_named,
    customer_keys_encrypt,
    options_reach_the_object,
);

fn put(condition: Condition) -> Put {
    let write = migration_engine::platform::host::nonce();
    let metadata = vec![("mig-write".to_owned(), format!("{write:016x}"))];
    Put { condition, metadata, content_type: None, fields: Vec::new(), digest: None }
}

fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let word =
        |n: u64| (n ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).to_le_bytes();
    (0..length as u64 / 8 + 1).flat_map(word).take(length).collect()
}

fn drain(mut body: Answer) -> Vec<u8> {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        match body.read(&mut buffer).unwrap() {
            0 => return bytes,
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

fn read(store: &dyn Store, key: &str, range: Option<Range<u64>>) -> Vec<u8> {
    drain(store.read(key, Version::default(), range).unwrap().body)
}

fn look(store: &dyn Store, key: &str) -> Object {
    store.look(key).unwrap().unwrap()
}

fn kind<T>(result: Result<T>) -> Kind {
    match result {
        Ok(_) => panic!("nothing failed"),
        Err(error) => error.kind(),
    }
}

fn crc(object: &Object) -> Option<String> {
    let digest = object.digests.iter().find(|d| d.algorithm == Algorithm::Crc64Nvme);
    digest.map(|digest| digest.hex.clone())
}

fn listed(
    store: &dyn Store,
    prefix: &str,
    folded: bool,
    most: usize,
) -> (Vec<String>, Vec<String>) {
    let (mut keys, mut prefixes, mut next) = (Vec::new(), Vec::new(), None::<String>);
    loop {
        let page = store.list(&Ask { prefix, folded, next: next.as_deref(), most }).unwrap();
        assert!(page.objects.len() + page.prefixes.len() <= most);
        keys.extend(page.objects.into_iter().map(|object| object.key));
        prefixes.extend(page.prefixes);
        match page.next {
            Some(more) => next = Some(more),
            None => return (keys, prefixes),
        }
    }
}

fn objects_are_put_looked_at_and_read(server: Server) {
    let store = server.store();
    assert!(store.look("none").unwrap().is_none());
    for length in [0, 1, 100_000, 3 << 20] {
        let bytes = pattern(length, 1);
        let key = format!("a/{length}");
        let version = store.put(&key, &bytes, &put(Condition::Absent)).unwrap();
        let object = look(&*store, &key);
        assert_eq!((object.size, object.version), (length as u64, version));
        assert_eq!(crc(&object), Some(checksum::digest(checksum::of(&bytes)).hex), "{length}");
        let opened = store.read(&key, version, None).unwrap();
        assert_eq!(opened.object.size, length as u64);
        assert_eq!(crc(&opened.object), crc(&object));
        assert!(drain(opened.body) == bytes);
    }
    assert!(store.rules().checks_whole && store.rules().creates_only);
}

fn ranges_are_pinned_to_a_version(server: Server) {
    let store = server.store();
    let bytes = pattern(1000, 2);
    let version = store.put("k", &bytes, &put(Condition::Absent)).unwrap();
    for range in [0..1, 0..1000, 999..1000, 10..20] {
        let (from, to) = (range.start as usize, range.end as usize);
        assert_eq!(read(&*store, "k", Some(range)), &bytes[from..to]);
    }
    let opened = store.read("k", version, Some(990..2000)).unwrap();
    assert_eq!(opened.object.size, 1000);
    assert_eq!(drain(opened.body), &bytes[990..]);
    let source = Side::Source;
    let bucket = store.identity().rsplit('/').next().unwrap();
    let reader = server.open_as("", bucket, source, server.options());
    assert_eq!(kind(reader.read("k", version, Some(1000..1001))), Kind::SourceChanged);
    store.put("k", &pattern(1000, 3), &put(Condition::Is(version))).unwrap();
    assert_eq!(kind(reader.read("k", version, Some(0..10))), Kind::SourceChanged);
    assert_eq!(kind(reader.read("none", version, Some(0..10))), Kind::SourceNotFound);
}

fn conditions_hold(server: Server) {
    let store = server.store();
    let first = store.put("k", b"1", &put(Condition::Absent)).unwrap();
    assert_eq!(kind(store.put("k", b"2", &put(Condition::Absent))), Kind::DestinationExists);
    let second = store.put("k", b"22", &put(Condition::Is(first))).unwrap();
    assert_eq!(kind(store.put("k", b"3", &put(Condition::Is(first)))), Kind::DestinationChanged);
    assert_eq!(kind(store.put("n", b"3", &put(Condition::Is(first)))), Kind::DestinationChanged);
    assert_eq!(look(&*store, "k").version, second);
    assert_eq!(read(&*store, "k", None), b"22");
    let (keys, _) = listed(&*store, "", false, 1000);
    assert_eq!(keys, ["k"], "a probe was left behind");
}

fn one_of_sixteen_racers_wins(server: Server) {
    let store = server.store();
    for round in 0..5 {
        let (barrier, key) = (Barrier::new(16), format!("race/{round}"));
        let race = |n: u64| {
            barrier.wait();
            store.put(&key, &pattern(1000, n), &put(Condition::Absent))
        };
        let results: Vec<_> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..16).map(|n| scope.spawn(move || race(n))).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        let won: Vec<usize> = (0..16).filter(|n| results[*n].is_ok()).collect();
        assert_eq!(won.len(), 1, "{results:?}");
        assert_eq!(read(&*store, &key, None), pattern(1000, won[0] as u64));
    }
}

/// SeaweedFS takes them for slashes: an object would stand under another key, or replace its own.
fn backslashes_are_kept_or_refused(server: Server) {
    let store = server.store();
    let absent = put(Condition::Absent);
    let refused = |result: Result<()>| result.err().map(|error| error.kind());
    let expected = (server == Server::Seaweed).then_some(Kind::NameRefused);
    let version = store.put("dir/a/b", b"plain", &absent).unwrap();
    // Before anything is known of the store: what is found is another object.
    assert_eq!(refused(store.look("dir/a\\b").map(drop)), expected);
    let odd = ["\\begin", "dir/a\\b", "dir/end\\"];
    for key in odd {
        assert_eq!(refused(store.put(key, b"odd", &absent).map(drop)), expected, "{key}");
        let begun = store.begin(&format!("{key}2"), &absent);
        let ended = begun.and_then(|upload| store.abandon(&upload));
        assert_eq!(refused(ended), expected, "{key}");
    }
    let ask = Ask { prefix: "", folded: false, next: None, most: 10 };
    let keys = store.list(&ask).unwrap().objects.into_iter().map(|object| object.key);
    let held = if server == Server::Seaweed { &[][..] } else { &odd };
    assert_eq!(
        keys.collect::<BTreeSet<_>>(),
        held.iter().chain(&["dir/a/b"]).map(|key| (*key).to_owned()).collect()
    );
    assert_eq!(look(&*store, "dir/a/b").version, version);
}

fn metadata_goes_round(server: Server) {
    let store = server.store();
    let mut written = put(Condition::Absent);
    for (name, value) in [("mtime", "1445412480.123456789"), ("mode", "100644"), ("uid", "0")] {
        written.metadata.push((name.to_owned(), value.to_owned()));
    }
    store.put("k", b"x", &written).unwrap();
    let there: BTreeMap<_, _> = look(&*store, "k").metadata.unwrap().into_iter().collect();
    for (name, value) in &written.metadata {
        assert_eq!(there.get(name), Some(value));
    }
    written.metadata.push(("a".to_owned(), "é".to_owned()));
    assert_eq!(kind(store.put("l", b"x", &written)), Kind::StoreRefused);
}

fn damage_is_refused(server: Server) {
    let store = server.store();
    let wrong = Whole { algorithm: Algorithm::Crc64Nvme, value: 1 };
    let damaged = Put { digest: Some(wrong), ..put(Condition::Absent) };
    assert!(store.put("k", b"123456789", &damaged).is_err());
    assert!(store.look("k").unwrap().is_none());
    let crc32c = Whole { algorithm: Algorithm::Crc32c, value: 0xe306_9283 };
    store.put("c", b"123456789", &Put { digest: Some(crc32c), ..put(Condition::Any) }).unwrap();
    let upload = store.begin("k", &put(Condition::Absent)).unwrap();
    assert!(store.put_part(&upload, 0, 0, b"123456789", Some(wrong)).is_err());
    let part = store.put_part(&upload, 0, 0, b"123456789", None).unwrap();
    let completed = store.complete(&upload, &[part], &damaged);
    assert_eq!(kind(completed), Kind::VerifyMismatch);
    // Ceph tells the checksum of what it made, and made it all the same.
    assert_eq!(store.look("k").unwrap().is_some(), server == Server::Rgw);
    store.abandon(&upload).unwrap();
}

fn send_parts(store: &dyn Store, upload: &Upload, bytes: &[u8]) -> Vec<Part> {
    let send = |(n, part): (usize, &[u8])| {
        store.put_part(upload, n as u32, (n * PART) as u64, part, None).unwrap()
    };
    // Backwards: the order of arrival is no order of parts.
    let mut parts: Vec<Part> =
        bytes.chunks(PART).enumerate().collect::<Vec<_>>().into_iter().rev().map(send).collect();
    parts.reverse();
    parts
}

fn uploads_are_completed_from_their_parts(server: Server) {
    let store = server.store();
    for length in [1, PART, 2 * PART, 2 * PART + 12_345] {
        let bytes = pattern(length, 4);
        let key = format!("big/{length}");
        let written = put(Condition::Absent);
        let upload = store.begin(&key, &written).unwrap();
        let parts = send_parts(&*store, &upload, &bytes);
        let known = store.parts(&upload).unwrap().unwrap();
        let shown = |parts: &[Part]| {
            parts.iter().map(|part| (part.index, part.size, part.tag.clone())).collect::<Vec<_>>()
        };
        assert_eq!(shown(&known), shown(&parts));
        let whole = Put { digest: Some(checksum::of(&bytes)), ..written };
        let version = store.complete(&upload, &parts, &whole).unwrap();
        let object = look(&*store, &key);
        assert_eq!((object.size, object.version), (length as u64, version));
        let whole = Some(checksum::digest(checksum::of(&bytes)).hex);
        // Ceph gives what one part makes a checksum of another kind.
        assert_eq!(crc(&object), whole.filter(|_| server != Server::Rgw || length > PART));
        assert!(read(&*store, &key, None) == bytes);
        assert!(store.parts(&upload).unwrap().is_none());
    }
}

fn uploads_heed_conditions_and_are_recognised_when_completed_before(server: Server) {
    let store = server.store();
    let written = put(Condition::Absent);
    let upload = store.begin("k", &written).unwrap();
    let parts = send_parts(&*store, &upload, b"first");
    let late = put(Condition::Absent);
    let second = store.begin("k", &late).unwrap();
    let late_parts = send_parts(&*store, &second, b"second");
    let version = store.complete(&upload, &parts, &written).unwrap();
    assert_eq!(store.complete(&upload, &parts, &written).unwrap(), version);
    assert_eq!(kind(store.complete(&second, &late_parts, &late)), Kind::DestinationExists);
    store.abandon(&second).unwrap();
    assert_eq!(read(&*store, "k", None), b"first");
    let replacing = put(Condition::Is(version));
    let third = store.begin("k", &replacing).unwrap();
    let parts = send_parts(&*store, &third, b"third");
    store.complete(&third, &parts, &replacing).unwrap();
    let replacing = put(Condition::Is(version));
    let fourth = store.begin("k", &replacing).unwrap();
    let parts = send_parts(&*store, &fourth, b"fourth");
    assert_eq!(kind(store.complete(&fourth, &parts, &replacing)), Kind::DestinationChanged);
    store.abandon(&fourth).unwrap();
    assert_eq!(read(&*store, "k", None), b"third");
    assert_eq!(listed(&*store, "", false, 1000).0, ["k"], "a probe was left behind");
}

fn uploads_are_listed_and_given_up(server: Server) {
    let store = server.store();
    let mut expected = BTreeSet::new();
    for key in ["a/1", "a/b c+d", "a/é", "b/1"] {
        let upload = store.begin(key, &put(Condition::Any)).unwrap();
        expected.insert((key.to_owned(), upload.id));
    }
    let uploads = |prefix: &str| {
        let mut found = BTreeSet::new();
        store
            .uploads(prefix, &mut |begun| {
                assert!(begun.begun.seconds() > 1_700_000_000);
                found.insert((begun.upload.key, begun.upload.id));
                Ok(())
            })
            .unwrap();
        found
    };
    assert_eq!(uploads(""), expected);
    let begins = |(key, _): &&(String, String)| key.starts_with("a/");
    assert_eq!(uploads("a/"), expected.iter().filter(begins).cloned().collect());
    for (key, id) in expected {
        let upload = Upload { key, id };
        store.abandon(&upload).unwrap();
        store.abandon(&upload).unwrap();
        assert!(store.parts(&upload).unwrap().is_none());
    }
    assert!(uploads("").is_empty());
}

fn many_parts_are_listed_in_pages(server: Server) {
    let store = server.store();
    let upload = store.begin("k", &put(Condition::Any)).unwrap();
    for index in 0..1005 {
        store.put_part(&upload, index, index.into(), b"1", None).unwrap();
    }
    let parts = store.parts(&upload).unwrap().unwrap();
    assert!(parts.iter().map(|part| part.index).eq(0..1005));
    store.abandon(&upload).unwrap();
}

fn the_store_copies_by_itself(server: Server) {
    let store = server.store();
    let other = server.store();
    let bytes = pattern(PART + 1000, 5);
    store.put("from/k é+", &bytes, &put(Condition::Absent)).unwrap();
    let object = look(&*store, "from/k é+");
    let from = From { store: store.clone(), object: object.clone() };
    for to in [&store, &other] {
        let mut written = put(Condition::Absent);
        written.metadata.push(("mode".to_owned(), "100600".to_owned()));
        let Some(copied) = to.copy(&from, "to", &written).unwrap() else {
            // Its condition holds only at the end of an upload.
            let how = to.copying(&from, "to", &written.condition).unwrap();
            assert!(server == Server::Rgw && how == Copying::Parts);
            continue;
        };
        let there = look(&**to, "to");
        assert_eq!((there.version, there.size), (copied.version, bytes.len() as u64));
        assert_eq!(crc(&there), crc(&object).filter(|_| server != Server::Rgw));
        let user = there.metadata.unwrap();
        assert!(user.contains(&("mode".to_owned(), "100600".to_owned())));
        assert!(read(&**to, "to", None) == bytes);
        let again = to.copy(&from, "to", &put(Condition::Absent));
        assert_eq!(kind(again), Kind::DestinationExists);
    }
    let stale = Object { version: Version::new("\"stale\"").unwrap(), ..object };
    let stale = From { object: stale, ..from.clone() };
    if store.copying(&from, "to2", &Condition::Absent).unwrap() == Copying::Whole {
        assert_eq!(kind(store.copy(&stale, "to2", &put(Condition::Absent))), Kind::SourceChanged);
    }
    let written = put(Condition::Absent);
    let upload = store.begin("parts", &written).unwrap();
    assert_eq!(kind(store.copy_part(&upload, 0, &stale, 0..10)), Kind::SourceChanged);
    let parts = [0..PART as u64, PART as u64..PART as u64 + 1000].into_iter().enumerate();
    let parts: Vec<Part> = parts
        .map(|(n, range)| store.copy_part(&upload, n as u32, &from, range).unwrap().unwrap())
        .collect();
    store.complete(&upload, &parts, &written).unwrap();
    assert!(read(&*store, "parts", None) == bytes);
}

fn listings_have_pages_and_folds(server: Server) {
    let store = server.store();
    let keys = ["a-b", "a.txt", "a/x", "a/y/z", "a0", "b/1", "b/2", "c"];
    for key in keys {
        store.put(key, key.as_bytes(), &put(Condition::Any)).unwrap();
    }
    for most in [1, 2, 3, 1000] {
        let (mut all, prefixes) = listed(&*store, "", false, most);
        // A store that keeps a tree lists "a/x" before "a-b".
        all.sort();
        assert_eq!((all, prefixes.len()), (keys.map(str::to_owned).to_vec(), 0), "{most}");
        let (mut files, mut folds) = listed(&*store, "", true, most);
        files.sort();
        folds.sort();
        assert_eq!(
            (files, folds),
            (to_owned(&["a-b", "a.txt", "a0", "c"]), to_owned(&["a/", "b/"]))
        );
        assert_eq!(listed(&*store, "a/", true, most), (to_owned(&["a/x"]), to_owned(&["a/y/"])));
        assert_eq!(listed(&*store, "none", true, most).0.len(), 0);
    }
    let page = store.list(&Ask { prefix: "c", folded: false, next: None, most: 10 }).unwrap();
    let object = look(&*store, "c");
    let entry = &page.objects[0];
    assert_eq!((entry.version, entry.size), (object.version, object.size));
    assert_eq!(entry.modified, object.modified);
}

fn to_owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn odd_keys_come_back_as_they_are(server: Server) {
    let store = server.store();
    let mut keys = vec![
        "blank in it",
        "plus+",
        "percent%41",
        "é\u{301}ü",
        "q?a=b&c#d",
        "<&>\"'",
        "ctl\u{1}",
        "\u{1f600}",
        "~-_.!*'()",
        "colon:semi;",
        "new\nline",
        "dir/",
    ];
    if server == Server::Rgw {
        // What a tree of files cannot hold.
        keys.extend(["back\\slash", "a//b", "/lead", "a/../b", "a/./b", "file", "file/below"]);
    }
    for key in &keys {
        let bytes: &[u8] = if key.ends_with('/') { b"" } else { key.as_bytes() };
        store.put(key, bytes, &put(Condition::Absent)).unwrap();
        assert_eq!(read(&*store, key, None), bytes, "{key}");
    }
    let found: BTreeSet<String> = listed(&*store, "", false, 4).0.into_iter().collect();
    assert_eq!(found, keys.iter().map(|key| (*key).to_owned()).collect());
    for key in &keys {
        let version = look(&*store, key).version;
        assert!(store.remove(key, version).unwrap(), "{key}");
    }
    assert!(listed(&*store, "", false, 1000).0.is_empty());
}

fn removals_are_bound_to_versions(server: Server) {
    let store = server.store();
    for probed in [false, true] {
        let first = store.put("k", b"1", &put(Condition::Any)).unwrap();
        let second = store.put("k", b"2", &put(Condition::Any)).unwrap();
        assert!(!store.remove("k", first).unwrap());
        assert_eq!(read(&*store, "k", None), b"2");
        assert!(store.remove("k", second).unwrap());
        // Ceph says of what is gone already that it removed it.
        assert_eq!(store.remove("k", second).unwrap(), probed && server == Server::Rgw);
        assert!(!probed || store.rules().removes_only);
        if !probed {
            store.put("other", b"", &put(Condition::Absent)).unwrap();
        }
    }
}

fn refusals_are_told_apart(server: Server) {
    let bucket = server.bucket();
    let good = |name: &str| {
        let prefix = if server == Server::Seaweed { "TEST_S3" } else { "TEST_RGW" };
        SecretSource::Env(format!("{prefix}_{name}"))
    };
    // A variable of the environment that holds no key.
    let bad = || good("REGION");
    let open =
        |id, secret, bucket: &str, side| server.open_by(id, secret, bucket, side, server.options());
    for (id, secret) in [(bad(), good("SECRET_KEY")), (good("ACCESS_KEY"), bad())] {
        let store = open(id, secret, &bucket, Side::Source);
        assert_eq!(kind(store.look("k")), Kind::CredentialsRefused);
        assert_eq!(kind(store.read("k", Version::default(), None)), Kind::CredentialsRefused);
        let ask = Ask { prefix: "", folded: false, next: None, most: 1 };
        assert_eq!(kind(store.list(&ask)), Kind::CredentialsRefused);
    }
    for side in [Side::Source, Side::Destination] {
        let store = open(good("ACCESS_KEY"), good("SECRET_KEY"), "no-such-bucket-here", side);
        assert_eq!(kind(store.look("k")), Kind::BucketNotFound);
        let ask = Ask { prefix: "", folded: false, next: None, most: 1 };
        assert_eq!(kind(store.list(&ask)), Kind::BucketNotFound);
        assert_eq!(kind(store.put("k", b"", &put(Condition::Absent))), Kind::BucketNotFound);
        assert_eq!(kind(store.begin("k", &put(Condition::Any))), Kind::BucketNotFound);
        assert_eq!(kind(store.uploads("", &mut |_| Ok(()))), Kind::BucketNotFound);
    }
}

fn rights_that_are_missing_are_named(server: Server) {
    let bucket = server.bucket();
    let owner = server.open_as("", &bucket, Side::Destination, server.options());
    let version = owner.put("k", b"1", &put(Condition::Absent)).unwrap();
    let reader = server.open_as("READONLY_", &bucket, Side::Destination, server.options());
    assert_eq!(read(&*reader, "k", None), b"1");
    assert_eq!(kind(reader.put("n", b"", &put(Condition::Any))), Kind::DestinationPermission);
    assert_eq!(kind(reader.begin("n", &put(Condition::Any))), Kind::DestinationPermission);
    assert_eq!(kind(reader.remove("k", version)), Kind::DeletePermission);
    let blind = server.open_as("NOLIST_", &bucket, Side::Source, server.options());
    let ask = Ask { prefix: "", folded: true, next: None, most: 1 };
    assert_eq!(kind(blind.list(&ask)), Kind::ListPermission);
    assert_eq!(read(&*blind, "k", None), b"1");
}

fn customer_keys_encrypt(server: Server) {
    let bucket = server.bucket();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, &[b'k'; 32]).unwrap();
    let prefix = if server == Server::Seaweed { "TEST_S3" } else { "TEST_RGW" };
    let secret = |kind: &str| SecretSource::Env(format!("{prefix}_{kind}"));
    let path = file.path().as_os_str().as_encoded_bytes().to_vec();
    let mut location = Location::parse(
        format!("s3://{bucket}").as_bytes(),
        vec![
            ("access_key_id".to_owned(), secret("ACCESS_KEY")),
            ("secret_access_key".to_owned(), secret("SECRET_KEY")),
            ("sse_customer_key".to_owned(), SecretSource::File(path)),
        ],
    )
    .unwrap();
    location.store = Arc::new(server.options());
    let store = s3::open(&location, Side::Destination, &Ties::default()).unwrap().0;
    store.put("k", b"secret", &put(Condition::Absent)).unwrap();
    assert_eq!(read(&*store, "k", Some(1..3)), b"ec");
    assert_eq!(look(&*store, "k").size, 6);
    let written = put(Condition::Absent);
    let upload = store.begin("parts", &written).unwrap();
    let bytes = pattern(PART + 10, 6);
    let parts = send_parts(&*store, &upload, &bytes);
    store.complete(&upload, &parts, &written).unwrap();
    assert!(read(&*store, "parts", None) == bytes);
    let without = server.open_as("", &bucket, Side::Source, server.options());
    assert!(without.read("k", Version::default(), None).is_err());
}

fn options_reach_the_object(server: Server) {
    let mut options = server.options();
    options.cache_control = Some("max-age=7".to_owned());
    options.content_type = Some("text/x-test".to_owned());
    options.content_encoding = Some("gzip".to_owned());
    options.storage_class = Some("STANDARD".to_owned());
    options.acl = Some("private".to_owned());
    options.tags.insert("team é".to_owned(), "a&b".to_owned());
    options.metadata.insert("origin".to_owned(), "tape 7".to_owned());
    let store = server.open_as("", &server.bucket(), Side::Destination, options);
    let written = put(Condition::Absent);
    store.put("k", b"x", &written).unwrap();
    let upload = store.begin("parts", &written).unwrap();
    let parts = send_parts(&*store, &upload, b"y");
    store.complete(&upload, &parts, &written).unwrap();
    for key in ["k", "parts"] {
        let opened = store.read(key, Version::default(), None).unwrap();
        let field = |name| opened.body.headers.get(name).unwrap_or_default().to_owned();
        assert_eq!(field("cache-control"), "max-age=7");
        assert_eq!(field("content-type"), "text/x-test");
        assert_eq!(field("content-encoding"), "gzip");
        assert_eq!(field("x-amz-meta-origin"), "tape 7");
        assert_eq!(field("x-amz-tagging-count"), "1", "{key}");
    }
}

/// A job from bucket to bucket of one service: nothing of what is copied passes here.
#[test]
fn a_job_between_buckets_reads_no_content() {
    let (from, to) = (Server::Seaweed.bucket(), Server::Seaweed.bucket());
    let store = Server::Seaweed.open_as("", &from, Side::Source, Server::Seaweed.options());
    for (key, seed) in [("tree/a", 7), ("tree/deep/b", 8)] {
        let content = pattern(PART, seed);
        let digest = Whole {
            algorithm: Algorithm::Crc64Nvme,
            value: crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &content),
        };
        let written = Put { digest: Some(digest), ..put(Condition::Absent) };
        store.put(key, &content, &written).unwrap();
    }
    let at = |bucket: &str, prefix: &str| {
        let options = Server::Seaweed.options();
        json!({
            "url": format!("s3://{bucket}/{prefix}"),
            "endpoint": options.endpoint,
            "region": options.region,
            "auth": {
                "access_key_id": {"env": "TEST_S3_ACCESS_KEY"},
                "secret_access_key": {"env": "TEST_S3_SECRET_KEY"},
            },
        })
    };
    let place = Place::new();
    let mut session = Session::start(&place, &[]);
    let copy = json!({"op": "copy", "id": "c", "src": at(&from, "tree"), "dst": at(&to, "new")});
    let result = session.call(&copy);
    assert_eq!(result["status"], "ok", "{result}");
    assert_eq!(result["data"]["offload"], json!({"server_copy": 2}), "{result}");
    let wire = result["metrics"]["bytes_wire"].as_u64().unwrap();
    assert!(wire < PART as u64 / 10, "{result}");
    for (key, seed) in [("new/a", 7), ("new/deep/b", 8)] {
        let there = Server::Seaweed.open_as("", &to, Side::Source, Server::Seaweed.options());
        assert!(read(&*there, key, None) == pattern(PART, seed));
    }
}
