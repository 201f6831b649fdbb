//! `endpoint::azure` against a strict server that fails as it is told.

use std::sync::Arc;

use migration_engine::endpoint::azure;
use migration_engine::endpoint::store::verbs::{Ask, Condition, Put, Store};
use migration_engine::error::Kind;
use migration_engine::model::location::Location;
use migration_engine::model::secret::SecretSource;
use migration_engine::model::store::StoreOptions;
use migration_engine::model::version::Version;
use migration_engine::remote::call::Side;
use migration_engine::remote::ties::Ties;
use migration_fixtures::store::{Action, Dialect, Options, Rule, Server};

use crate::{bytes, content};

fn open(side: Side) -> (Server, Arc<dyn Store>) {
    let server = Server::start(Options::new(Dialect::Azure)).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, &server.options().account_key).unwrap();
    let key = SecretSource::File(file.path().as_os_str().as_encoded_bytes().to_vec());
    let location = Location {
        scheme: "az".to_owned(),
        path: b"bucket".to_vec(),
        auth: vec![("account_key".to_owned(), key)],
        store: Arc::new(StoreOptions {
            endpoint: Some(server.url()),
            account: Some(server.options().account.clone()),
            ..StoreOptions::default()
        }),
    };
    let (store, _) = azure::open(&location, side, &Ties::default()).unwrap();
    // The key is read with the first request.
    assert!(store.look("none").unwrap().is_none());
    (server, store)
}

fn put(condition: Condition, nonce: &str) -> Put {
    let metadata = vec![("mig-write".to_owned(), nonce.to_owned())];
    Put { condition, metadata, content_type: None, fields: Vec::new(), digest: None }
}

#[test]
fn a_write_whose_answer_was_lost_is_known_by_its_nonce() {
    let (server, store) = open(Side::Destination);
    server.script().add(Rule::of("PutBlob").times(1).then(Action::LoseAnswer { reset: true }));
    let write = put(Condition::Absent, "0000000000000001");
    let version = store.put("k", b"first", &write).unwrap();
    assert_eq!(store.look("k").unwrap().unwrap().version, version);
    server.script().add(Rule::of("PutBlob").times(1).then(Action::LoseAnswer { reset: true }));
    let next = store.put("k", b"second", &put(Condition::Is(version), "0000000000000002"));
    assert_eq!(content(store.read("k", next.unwrap(), None).unwrap()), b"second");
    let taken = store.put("k", b"x", &put(Condition::Absent, "0000000000000003"));
    assert_eq!(taken.unwrap_err().kind(), Kind::DestinationExists);
}

#[test]
fn a_commit_whose_answer_was_lost_is_known_by_its_nonce_and_looked_through() {
    let (server, store) = open(Side::Destination);
    let all = bytes(300_000);
    for condition in [Condition::Absent, Condition::Any] {
        let write = put(condition, "0000000000000001");
        let upload = store.begin("k", &write).unwrap();
        let send = |(index, part): (usize, &[u8])| {
            store.put_part(&upload, index as u32, 0, part, None).unwrap()
        };
        let parts: Vec<_> = all.chunks(100_000).enumerate().map(send).collect();
        let lost = Action::LoseAnswer { reset: true };
        server.script().add(Rule::of("PutBlockList").times(1).then(lost));
        let version = store.complete(&upload, &parts, &write).unwrap();
        assert!(content(store.read("k", version, None).unwrap()) == all);
    }
}

#[test]
fn blocks_that_arrive_damaged_are_sent_again() {
    let (server, store) = open(Side::Destination);
    let write = put(Condition::Absent, "0000000000000001");
    let upload = store.begin("k", &write).unwrap();
    // The first one is checked by MD5, the second one by CRC-64/NVME.
    for index in 0..2 {
        let damage = Action::CorruptRequest { at: 17 };
        server.script().add(Rule::of("PutBlock").times(1).then(damage));
        store.put_part(&upload, index, 0, &bytes(1000), None).unwrap();
    }
    let parts = store.parts(&upload).unwrap().unwrap();
    assert_eq!((parts.len(), server.log().count("PutBlock")), (2, 4));
    let version = store.complete(&upload, &parts, &write).unwrap();
    let twice = [bytes(1000), bytes(1000)].concat();
    assert!(content(store.read("k", version, None).unwrap()) == twice);
}

#[test]
fn the_strict_server_is_answered_with_the_right_codes() {
    let (server, store) = open(Side::Source);
    let gone = Action::status(404, "ContainerNotFound");
    server.script().add(Rule::of("ListBlobs").times(1).then(gone));
    let ask = Ask { prefix: "", folded: false, next: None, most: 10 };
    assert_eq!(store.list(&ask).unwrap_err().kind(), Kind::BucketNotFound);
    for (code, kind) in [
        ("AuthorizationPermissionMismatch", Kind::ListPermission),
        ("AuthenticationFailed", Kind::CredentialsRefused),
    ] {
        server.script().add(Rule::of("ListBlobs").times(1).then(Action::status(403, code)));
        assert_eq!(store.list(&ask).unwrap_err().kind(), kind);
    }
    let archived = Action::status(409, "BlobArchived");
    server.script().add(Rule::of("GetBlob").times(1).then(archived));
    let read = store.read("k", Version::default(), None);
    assert_eq!(read.map(|_| ()).unwrap_err().kind(), Kind::ObjectArchived);
}
