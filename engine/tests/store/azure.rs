//! Azure Blob Storage: `endpoint::azure` against Azurite.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{SystemTime, UNIX_EPOCH};

use migration_engine::endpoint::azure;
use migration_engine::endpoint::store::verbs::{
    Ask, Begun, Condition, From, Object, Part, Put, Store, Upload, Whole,
};
use migration_engine::error::Kind;
use migration_engine::model::digest::{Algorithm, Hasher};
use migration_engine::model::location::Location;
use migration_engine::model::secret::SecretSource;
use migration_engine::model::store::StoreOptions;
use migration_engine::model::version::Version;
use migration_engine::remote::call::{Class, Refusal, Request, Side, Verb};
use migration_engine::remote::client::{Answer, Client};
use migration_engine::remote::dialect::Dialect;
use migration_engine::remote::headers::Headers;
use migration_engine::remote::origin::Origin;
use migration_engine::remote::sign::shared_key::{AccountKey, SharedKey};
use migration_engine::remote::sign::source::Fixed;
use migration_engine::remote::ties::Ties;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: start the servers with scripts/services.sh up, and eval its env")
    })
}

fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
    started.wrapping_mul(1000) + NEXT.fetch_add(1, Ordering::Relaxed) % 1000
}

/// Says what the service said, for requests of the tests' own.
struct Plain;

impl Dialect for Plain {
    fn refusal(&self, status: u16, _headers: &Headers, body: &[u8]) -> Refusal {
        let message = String::from_utf8_lossy(body).into_owned();
        Refusal { class: Class::Invalid, code: status.to_string(), message }
    }
}

/// Sends a request of a test's own, such as no verb makes.
fn send(method: &'static str, path: &str, query: &[(&str, &str)], body: &[u8]) -> Answer {
    let endpoint = variable("TEST_AZURE_ENDPOINT");
    let (origin, account) = Origin::parse(&endpoint).unwrap();
    let key = AccountKey::new(&variable("TEST_AZURE_ACCOUNT"), &variable("TEST_AZURE_KEY"));
    let signer = Arc::new(SharedKey::new(Fixed::new(key.unwrap())));
    let client = Client::new(signer, Arc::new(Plain), Ties::default());
    let mut request = Request::new(Verb::Control, method, &origin, format!("{account}/{path}"));
    for (name, value) in query {
        request = request.query(name, *value);
    }
    client.fetch(&request.body(body), 1 << 20).unwrap().0
}

fn options() -> StoreOptions {
    StoreOptions {
        endpoint: Some(variable("TEST_AZURE_ENDPOINT")),
        account: Some(variable("TEST_AZURE_ACCOUNT")),
        ..StoreOptions::default()
    }
}

fn open_with(
    container: &str,
    options: StoreOptions,
    key: SecretSource,
    side: Side,
) -> Arc<dyn Store> {
    let location = Location {
        scheme: "az".to_owned(),
        path: container.as_bytes().to_vec(),
        auth: vec![("account_key".to_owned(), key)],
        store: Arc::new(options),
    };
    let (store, rest) = azure::open(&location, side, &Ties::default()).unwrap();
    assert_eq!(rest, "");
    store
}

fn open(container: &str, options: StoreOptions, side: Side) -> Arc<dyn Store> {
    let key = SecretSource::Env("TEST_AZURE_KEY".to_owned());
    open_with(container, options, key, side)
}

/// A new container, by its name and as a destination.
fn container() -> (String, Arc<dyn Store>) {
    let name = format!("t{}", number());
    send("PUT", &name, &[("restype", "container")], b"");
    let store = open(&name, options(), Side::Destination);
    (name, store)
}

/// Content whose every byte depends on where it stands.
fn content(bytes: usize, seed: u64) -> Vec<u8> {
    let word = |at: u64| (at ^ seed << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    (0..bytes as u64).map(|at| (word(at / 8) >> (at % 8 * 8)) as u8).collect()
}

fn crc64(bytes: &[u8]) -> Whole {
    let mut hasher = Hasher::new(Algorithm::Crc64Nvme);
    hasher.update(bytes);
    let value = u64::from_str_radix(&hasher.finish().hex, 16).unwrap();
    Whole { algorithm: Algorithm::Crc64Nvme, value }
}

fn put(condition: Condition) -> Put {
    let metadata = vec![("mig-write".to_owned(), format!("{:016x}", number()))];
    Put { condition, metadata, content_type: None, fields: Vec::new(), digest: None }
}

fn read(store: &dyn Store, key: &str, version: Version, range: Option<Range<u64>>) -> Vec<u8> {
    let mut opened = store.read(key, version, range).unwrap();
    let (mut all, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        match opened.body.read(&mut buffer).unwrap() {
            0 => return all,
            count => all.extend_from_slice(&buffer[..count]),
        }
    }
}

fn look(store: &dyn Store, key: &str) -> Object {
    store.look(key).unwrap().unwrap()
}

fn kind<T>(result: migration_engine::error::Result<T>) -> Kind {
    result.map(|_| ()).unwrap_err().kind()
}

#[test]
fn whole_objects_are_put_looked_at_read_and_removed_by_version() {
    let (_, store) = container();
    let bytes = content(300_001, 1);
    let mut first = put(Condition::Absent);
    first.digest = Some(crc64(&bytes));
    let version = store.put("a/b", &bytes, &first).unwrap();
    let found = look(&*store, "a/b");
    assert_eq!((found.size, found.version, found.archived), (300_001, version, false));
    assert_eq!(found.metadata.as_ref(), Some(&first.metadata));
    assert!(found.digests.is_empty(), "its MD5 is what anybody says");
    assert_eq!(read(&*store, "a/b", version, None), bytes);
    for range in [0..1, 0..300_001, 7..4096, 300_000..300_001, 299_000..400_000, 5..5] {
        let part = read(&*store, "a/b", version, Some(range.clone()));
        let end = (range.end as usize).min(bytes.len());
        assert!(part == bytes[range.start as usize..end], "{range:?}");
    }
    let source = store.read("a/b", version, Some(3..9)).unwrap().object;
    assert_eq!((source.size, source.version), (300_001, version));

    assert_eq!(kind(store.put("a/b", b"x", &put(Condition::Absent))), Kind::DestinationExists);
    let other = Version::new("\"0x1\"").unwrap();
    assert_eq!(kind(store.put("a/b", b"x", &put(Condition::Is(other)))), Kind::DestinationChanged);
    assert_eq!(kind(store.put("no", b"x", &put(Condition::Is(other)))), Kind::DestinationChanged);
    let next = store.put("a/b", b"second", &put(Condition::Is(version))).unwrap();
    assert_ne!(next, version);
    let reads = open_source(&store);
    assert_eq!(kind(reads.read("a/b", version, None)), Kind::SourceChanged);
    assert_eq!(kind(reads.read("a/b", version, Some(0..2))), Kind::SourceChanged);
    assert_eq!(kind(reads.read("none", Version::default(), None)), Kind::SourceNotFound);
    assert_eq!(kind(reads.read("a/b", next, Some(6..9))), Kind::SourceChanged);
    assert_eq!(read(&*store, "a/b", Version::default(), None), b"second");

    assert!(!store.remove("a/b", version).unwrap());
    assert!(store.remove("a/b", next).unwrap());
    assert!(!store.remove("a/b", next).unwrap());
    assert!(store.look("a/b").unwrap().is_none());
}

/// The same container as a source.
fn open_source(store: &Arc<dyn Store>) -> Arc<dyn Store> {
    let name = store.identity().rsplit('/').next().unwrap();
    open(name, options(), Side::Source)
}

#[test]
fn empty_objects_and_a_reply_that_was_lost() {
    let (_, store) = container();
    let write = put(Condition::Absent);
    let version = store.put("empty", b"", &write).unwrap();
    assert_eq!(look(&*store, "empty").size, 0);
    assert_eq!(read(&*store, "empty", version, None), b"");
    assert_eq!(read(&*store, "empty", version, Some(0..0)), b"");
    // The same write again, as when its first answer did not come back.
    assert_eq!(store.put("empty", b"", &write).unwrap(), version);
    assert_eq!(kind(store.put("empty", b"", &put(Condition::Absent))), Kind::DestinationExists);
}

fn race(condition: &(dyn Fn() -> Condition + Sync), lost: Kind, store: &Arc<dyn Store>) {
    let start = Barrier::new(16);
    let results: Vec<_> = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..16_u8)
            .map(|racer| {
                let (start, store) = (&start, store.clone());
                scope.spawn(move || {
                    start.wait();
                    store.put("prize", &[racer; 1000], &put(condition()))
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    let won: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(look(&**store, "prize").version, *won[0]);
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        assert_eq!(error.kind(), lost);
    }
}

#[test]
fn of_sixteen_racers_one_wins() {
    let (_, store) = container();
    race(&|| Condition::Absent, Kind::DestinationExists, &store);
    let standing = look(&*store, "prize").version;
    race(&|| Condition::Is(standing), Kind::DestinationChanged, &store);
}

fn part(store: &dyn Store, upload: &Upload, index: u32, bytes: &[u8]) -> Part {
    store.put_part(upload, index, 0, bytes, Some(crc64(bytes))).unwrap()
}

#[test]
fn blocks_in_any_order_make_the_content_and_those_of_others_never_do() {
    let (name, store) = container();
    let bytes = content(3 * 65_536 + 17, 2);
    let chunks: Vec<&[u8]> = bytes.chunks(65_536).collect();
    let write = put(Condition::Absent);
    let ours = store.begin("big", &write).unwrap();
    let theirs = store.begin("big", &put(Condition::Absent)).unwrap();
    assert_ne!(ours, theirs);
    assert!(store.parts(&ours).unwrap().is_none());
    let mut parts = Vec::new();
    for index in [2, 0, 3, 1] {
        part(&*store, &theirs, index, &content(65_536, 9));
        parts.push(part(&*store, &ours, index, chunks[index as usize]));
    }
    // The same again is as good as once.
    part(&*store, &ours, 0, chunks[0]);
    // A block of somebody else who happens to name it as long as we do.
    let foreign = "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4";
    assert_eq!(foreign.len(), parts[0].tag.len());
    send("PUT", &format!("{name}/big"), &[("comp", "block"), ("blockid", foreign)], b"foreign");

    parts.sort_by_key(|part| part.index);
    assert_eq!(store.parts(&ours).unwrap().unwrap(), parts);
    assert!(store.look("big").unwrap().is_none(), "nothing stands there yet");
    let mut write = write;
    write.digest = Some(crc64(&bytes));
    let version = store.complete(&ours, &parts, &write).unwrap();
    let found = look(&*store, "big");
    assert_eq!((found.size, found.version), (bytes.len() as u64, version));
    assert_eq!(found.metadata.as_ref(), Some(&write.metadata));
    assert!(read(&*store, "big", version, None) == bytes);
    // The answer was lost: blocks are gone, the object is this very upload's.
    assert_eq!(store.complete(&ours, &parts, &write).unwrap(), version);
    assert!(store.parts(&ours).unwrap().is_none());
    // The other one's blocks went when this was committed.
    let lost = store.complete(&theirs, &[], &put(Condition::Absent));
    assert_eq!(kind(lost), Kind::DestinationExists);
    store.abandon(&theirs).unwrap();
}

#[test]
fn an_upload_replaces_only_what_was_seen() {
    let (_, store) = container();
    let old = store.put("k", b"old", &put(Condition::Absent)).unwrap();
    let upload = store.begin("k", &put(Condition::Is(old))).unwrap();
    let parts = [part(&*store, &upload, 0, b"new")];
    let other = Version::new("\"0x1\"").unwrap();
    let refused = store.complete(&upload, &parts, &put(Condition::Is(other)));
    assert_eq!(kind(refused), Kind::DestinationChanged);
    assert_eq!(read(&*store, "k", old, None), b"old");
    let new = store.complete(&upload, &parts, &put(Condition::Is(old))).unwrap();
    assert_eq!(read(&*store, "k", new, None), b"new");
    // Blocks that are gone while nothing changed.
    let late = store.complete(&upload, &parts, &put(Condition::Is(new)));
    assert_eq!(kind(late), Kind::DestinationWrite);
    assert_eq!(read(&*store, "k", new, None), b"new");
}

#[test]
fn a_wrong_checksum_is_refused_and_leaves_nothing() {
    let (_, store) = container();
    let upload = store.begin("k", &put(Condition::Absent)).unwrap();
    let wrong = crc64(b"other bytes");
    let sent = store.put_part(&upload, 0, 0, b"these bytes", Some(wrong));
    assert_eq!(kind(sent), Kind::DestinationWrite);
    assert!(store.parts(&upload).unwrap().is_none());
    let mut write = put(Condition::Absent);
    write.digest = Some(wrong);
    assert_eq!(kind(store.put("k", b"these bytes", &write)), Kind::DestinationWrite);
    let parts = [part(&*store, &upload, 0, b"these "), part(&*store, &upload, 1, b"bytes")];
    assert_eq!(kind(store.complete(&upload, &parts, &write)), Kind::VerifyMismatch);
    assert!(store.look("k").unwrap().is_none());
}

#[test]
fn the_server_checks_what_is_sent_to_it() {
    let (name, _) = container();
    let endpoint = variable("TEST_AZURE_ENDPOINT");
    let (origin, account) = Origin::parse(&endpoint).unwrap();
    let key = AccountKey::new(&variable("TEST_AZURE_ACCOUNT"), &variable("TEST_AZURE_KEY"));
    let signer = Arc::new(SharedKey::new(Fixed::new(key.unwrap())));
    let client = Client::new(signer, Arc::new(Plain), Ties::default());
    let block = |field: &str, value: &str| {
        let path = format!("{account}/{name}/k");
        let request = Request::new(Verb::Write, "PUT", &origin, path).query("comp", "block");
        let request = request.query("blockid", "QQ==").header(field, value);
        client.fetch(&request.body(b"Hello Azure!"), 1 << 20).map(|(answer, _)| answer)
    };
    assert!(block("content-md5", "Pz8543xut4RVSbb2g52Mww==").is_ok());
    assert!(block("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==").is_err());
    assert!(block("x-ms-content-crc64", "AAAAAAAAAAA=").is_err());
    // Azurite knows no CRC, right or wrong: hence MD5 until a store says what it computed.
    match block("x-ms-content-crc64", "DtjZpL9/o8c=") {
        Ok(answer) => {
            assert_eq!(answer.headers.get("x-ms-content-crc64"), Some("DtjZpL9/o8c="));
        }
        Err(failure) => assert!(failure.message.contains("not supported")),
    }
}

#[test]
fn wrong_keys_and_missing_containers_have_their_own_codes() {
    let (name, store) = container();
    store.put("k", b"x", &put(Condition::Absent)).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "d3Jvbmcga2V5").unwrap();
    let wrong = SecretSource::File(file.path().as_os_str().as_encoded_bytes().to_vec());
    let stranger = open_with(&name, options(), wrong, Side::Source);
    let ask = Ask { prefix: "", folded: false, next: None, most: 10 };
    assert_eq!(kind(stranger.list(&ask)), Kind::CredentialsRefused);
    assert_eq!(kind(stranger.read("k", Version::default(), None)), Kind::CredentialsRefused);
    // Azurite's code for it is that of missing rights, and an answer to HEAD has no words beside.
    let looked = kind(stranger.look("k"));
    assert!(matches!(looked, Kind::CredentialsRefused | Kind::SourcePermission), "{looked:?}");
    let nowhere = open("no-such-container", options(), Side::Destination);
    assert_eq!(kind(nowhere.list(&ask)), Kind::BucketNotFound);
    assert_eq!(kind(nowhere.look("k")), Kind::BucketNotFound);
    assert_eq!(kind(nowhere.put("k", b"", &put(Condition::Absent))), Kind::BucketNotFound);
    assert_eq!(kind(nowhere.remove("k", Version::default())), Kind::BucketNotFound);
    let upload = nowhere.begin("k", &put(Condition::Absent)).unwrap();
    assert_eq!(kind(nowhere.put_part(&upload, 0, 0, b"x", None)), Kind::BucketNotFound);
    assert_eq!(kind(nowhere.parts(&upload)), Kind::BucketNotFound);
}

fn list(store: &dyn Store, prefix: &str, folded: bool, most: usize) -> (Vec<Object>, Vec<String>) {
    let (mut objects, mut prefixes, mut next) = (Vec::new(), Vec::new(), None);
    loop {
        let ask = Ask { prefix, folded, next: next.as_deref(), most };
        let page = store.list(&ask).unwrap();
        assert!(page.objects.len() + page.prefixes.len() <= most);
        objects.extend(page.objects);
        prefixes.extend(page.prefixes);
        next = page.next;
        if next.is_none() {
            return (objects, prefixes);
        }
    }
}

#[test]
fn listings_go_on_page_by_page_and_fold_at_slashes() {
    let (_, store) = container();
    let mut keys: Vec<String> = (0..25).map(|n| format!("d/{:02}/f", n % 5 + n)).collect();
    keys.extend(["d".to_owned(), "d.x".to_owned(), "e".to_owned()]);
    let mut versions = BTreeMap::new();
    for key in &keys {
        versions.insert(key.clone(), store.put(key, key.as_bytes(), &put(Condition::Any)).unwrap());
    }
    let (found, none) = list(&*store, "", false, 7);
    let listed: BTreeMap<_, _> = found.iter().map(|o| (o.key.clone(), o.version)).collect();
    assert_eq!((listed, found.len(), none.len()), (versions.clone(), versions.len(), 0));
    let one = found.iter().find(|object| object.key == "e").unwrap();
    let seen = look(&*store, "e");
    assert_eq!((one.size, one.modified, &one.metadata), (1, seen.modified, &seen.metadata));
    assert_eq!(one.digests, seen.digests);
    let (found, prefixes) = list(&*store, "d", true, 2);
    let keys: Vec<_> = found.iter().map(|object| object.key.as_str()).collect();
    assert_eq!((keys, prefixes), (vec!["d", "d.x"], vec!["d/".to_owned()]));
    let (found, prefixes) = list(&*store, "d/", true, 3);
    assert_eq!((found.len(), prefixes.len()), (0, versions.len() - 3));
    assert_eq!(list(&*store, "nothing", false, 10).0.len(), 0);
}

#[test]
fn odd_names_come_back_as_they_were() {
    let (_, store) = container();
    let keys = [
        "a b",
        " lead",
        "trail ",
        "é/ü",
        "a+b",
        "a%20b",
        "a%2Fb",
        "a&b<c>\"d'",
        "a#b?c=d&e",
        "日本/語",
        "a//b",
        "a/",
        "~!@$^*()_-=[]{}|;:,.",
        "x.",
        "👍",
        "a\u{301}",
        "%",
        "..a/b..",
    ];
    for key in keys {
        let version = store.put(key, key.as_bytes(), &put(Condition::Absent)).unwrap();
        assert_eq!(read(&*store, key, version, None), key.as_bytes(), "{key}");
    }
    let (found, _) = list(&*store, "", false, 4);
    let mut listed: Vec<_> = found.iter().map(|object| object.key.as_str()).collect();
    let mut wanted = keys.to_vec();
    listed.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(listed, wanted);
    for key in keys {
        assert_eq!(list(&*store, key, false, 10).0[0].key, key);
        assert!(store.remove(key, look(&*store, key).version).unwrap());
    }
    for key in ["", "a/../b", ".", "a\\b", &"x".repeat(1025)] {
        assert_eq!(kind(store.put(key, b"", &put(Condition::Absent))), Kind::NameRefused);
    }
    let long = "é".repeat(1024);
    store.put(&long, b"x", &put(Condition::Absent)).unwrap();
    assert_eq!(look(&*store, &long).size, 1);
}

#[test]
fn what_the_location_says_of_objects_is_written() {
    let (name, _) = container();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let written = StoreOptions {
        storage_class: Some("Cool".into()),
        content_type: Some("text/x-test".into()),
        content_encoding: Some("gzip".into()),
        cache_control: Some("no-cache".into()),
        metadata: [pair("Team-Name", "blue"), pair("mode", "0")].into(),
        tags: [pair("a b", "c+d")].into(),
        ..options()
    };
    let store = open(&name, written, Side::Destination);
    let mut write = put(Condition::Absent);
    write.metadata.extend([pair("mode", "100644"), pair("mtime", "1700000000.123456789")]);
    write.content_type = Some("text/plain".into());
    store.put("whole", b"x", &write).unwrap();
    let upload = store.begin("parts", &write).unwrap();
    let parts = [part(&*store, &upload, 0, b"x")];
    store.complete(&upload, &parts, &write).unwrap();
    for key in ["whole", "parts"] {
        let metadata: BTreeMap<_, _> = look(&*store, key).metadata.unwrap().into_iter().collect();
        let mut wanted: BTreeMap<_, _> = write.metadata.iter().cloned().collect();
        wanted.insert("team_name".to_owned(), "blue".to_owned());
        assert_eq!(metadata, wanted);
        let head = send("HEAD", &format!("{name}/{key}"), &[], b"").headers;
        for (field, value) in [
            ("content-type", "text/x-test"),
            ("content-encoding", "gzip"),
            ("cache-control", "no-cache"),
            ("x-ms-access-tier", "Cool"),
            ("x-ms-tag-count", "1"),
        ] {
            assert_eq!(head.get(field), Some(value), "{key} {field}");
        }
    }
}

#[test]
fn uploads_that_were_begun_are_found_by_their_keys() {
    let (name, store) = container();
    let mut wanted = Vec::new();
    for key in ["p/a", "p/a", "p/b", "q/c"] {
        let upload = store.begin(key, &put(Condition::Absent)).unwrap();
        part(&*store, &upload, 0, b"x");
        wanted.push(upload);
    }
    store.put("p/empty", b"", &put(Condition::Absent)).unwrap();
    store.put("p/full", b"x", &put(Condition::Absent)).unwrap();
    send("PUT", &format!("{name}/p/d"), &[("comp", "block"), ("blockid", "QQ==")], b"foreign");
    let found = |prefix: &str| {
        let mut found = Vec::new();
        let mut each = |begun: Begun| {
            found.push((begun.upload.key, begun.upload.id));
            Ok(())
        };
        store.uploads(prefix, &mut each).unwrap();
        found.sort();
        found
    };
    let mut expected: Vec<_> = wanted.iter().map(|u| (u.key.clone(), u.id.clone())).collect();
    expected.sort();
    assert_eq!(found(""), expected);
    assert_eq!(found("p/"), expected[..3]);
    assert_eq!(list(&*store, "", false, 10).0.len(), 2, "what is not committed is not listed");
}

#[test]
fn objects_are_copied_inside_their_account() {
    let (_, store) = container();
    let (_, second) = container();
    let bytes = content(100_000, 3);
    store.put("from", &bytes, &put(Condition::Absent)).unwrap();
    let from = From { store: store.clone(), object: look(&*store, "from") };
    for target in [&store, &second] {
        let write = put(Condition::Absent);
        let copied = target.copy(&from, "to", &write).unwrap().unwrap();
        assert_eq!((copied.size, copied.metadata.as_ref()), (100_000, Some(&write.metadata)));
        assert!(read(&**target, "to", copied.version, None) == bytes);
        // The same once more, as after a lost answer; then another one's.
        let again = target.copy(&from, "to", &write).unwrap().unwrap();
        assert_eq!(again.version, copied.version);
        let refused = target.copy(&from, "to", &put(Condition::Absent));
        assert_eq!(kind(refused), Kind::DestinationExists);
        let next = target.copy(&from, "to", &put(Condition::Is(copied.version))).unwrap().unwrap();
        assert_ne!(next.version, copied.version);
        let refused = target.copy(&from, "to", &put(Condition::Is(copied.version)));
        assert_eq!(kind(refused), Kind::DestinationChanged);
    }
    let seen = From { store: store.clone(), object: look(&*store, "from") };
    store.put("from", b"other", &put(Condition::Any)).unwrap();
    assert_eq!(kind(store.copy(&seen, "late", &put(Condition::Absent))), Kind::SourceChanged);
    store.remove("from", Version::default()).unwrap();
    assert_eq!(kind(store.copy(&seen, "late", &put(Condition::Absent))), Kind::SourceChanged);
    assert!(store.look("late").unwrap().is_none());
}
