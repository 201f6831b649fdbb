//! Who may come in, by which proof, and what the server's refusals are called.

use std::cell::RefCell;
use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

use migration_engine::endpoint::rows::WriteFault;
use migration_engine::error::{EngineError, Kind};
use migration_engine::model::location::Location;
use migration_engine::model::secret::SecretSource;
use migration_engine::model::store::StoreOptions;

use super::scratch::{
    Scratch, cells, location, named, open_sink, open_source, psql, reading, receipt, server,
    writing,
};

/// A user of the server, removed in the end, and the files of passwords.
struct User(String, RefCell<Vec<tempfile::NamedTempFile>>);

impl User {
    fn new(role: &str, encryption: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mig_u_{role}_{}_{number}", std::process::id());
        let sql = format!(
            "SET password_encryption = '{encryption}'; DROP ROLE IF EXISTS {name}; \
             CREATE ROLE {name} LOGIN PASSWORD 'pass''wörd'; GRANT {role} TO {name}"
        );
        psql(&format!("{}/postgres", server()), &sql);
        Self(name, RefCell::default())
    }

    fn at(&self, database: &str, password: Option<&str>) -> Location {
        let host = server().rsplit_once('@').unwrap().1.to_owned();
        let url = format!("postgres://{}@{host}/{database}", self.0);
        let auth = password.map(|password| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(password.as_bytes()).unwrap();
            let bytes = file.path().as_os_str().as_encoded_bytes().to_vec();
            self.1.borrow_mut().push(file);
            ("password".to_owned(), SecretSource::File(bytes))
        });
        Location::parse(url.as_bytes(), auth.into_iter().collect()).unwrap()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        drop(
            std::process::Command::new("psql")
                .args([
                    "-XAtq",
                    &format!("{}/postgres", server()),
                    "-c",
                    &format!("DROP OWNED BY {0}; DROP ROLE {0}", self.0),
                ])
                .output(),
        );
    }
}

fn refused(location: &Location) -> EngineError {
    match open_source(location) {
        Ok(_) => panic!("was let in"),
        Err(error) => error,
    }
}

#[test]
fn passwords_are_proven_and_wrong_ones_refused() {
    for (role, encryption) in [("scram", "scram-sha-256"), ("md5", "md5")] {
        let user = User::new(role, encryption);
        let good = user.at("postgres", Some("pass'wörd\n"));
        assert!(open_source(&good).is_ok(), "{role}");
        let error = refused(&user.at("postgres", Some("hunter2")));
        assert_eq!(error.kind(), Kind::CredentialsRefused, "{role}");
        assert!(!error.to_string().contains("hunter2"));
        let error = refused(&user.at("postgres", None));
        assert_eq!(error.kind(), Kind::CredentialsMissing, "{role}");
    }
}

#[test]
fn certificates_are_checked() {
    let user = User::new("tls", "scram-sha-256");
    let ca = std::env::var("TEST_PG_CA").expect("no TEST_PG_CA in the environment");
    let mut trusted = user.at("postgres", Some("pass'wörd"));
    let plain = refused(&trusted);
    assert_eq!(plain.kind(), Kind::CredentialsRefused, "{plain}");
    trusted.store =
        std::sync::Arc::new(StoreOptions { tls_ca: Some(ca), ..StoreOptions::default() });
    assert!(open_source(&trusted).is_ok());
    // Another authority's word counts for nothing.
    let other = rcgen::generate_simple_self_signed(vec!["x".to_owned()]).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(other.cert.pem().as_bytes()).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    trusted.store =
        std::sync::Arc::new(StoreOptions { tls_ca: Some(path), ..StoreOptions::default() });
    assert_eq!(refused(&trusted).kind(), Kind::TlsRefused);
}

#[test]
fn what_is_not_there_or_not_allowed_has_its_own_code() {
    let no_database = location(&format!("{}/no_such_database", server()));
    assert_eq!(refused(&no_database).kind(), Kind::DatabaseNotFound);
    let nobody = location("postgres://postgres@127.0.0.1:1/postgres");
    assert_eq!(refused(&nobody).kind(), Kind::RemoteUnavailable);

    let scratch = Scratch::with("CREATE TABLE t (id integer PRIMARY KEY)");
    let user = User::new("scram", "scram-sha-256");
    let url = user.at(&scratch.name, Some("pass'wörd"));
    let table = scratch.table("t");
    let source = open_source(&url).unwrap();
    let snapshot = source.snapshot(1).unwrap();
    let mut reader = snapshot.reader().unwrap();
    reader.begin(&reading(&table.name, cells(&table)), &Default::default()).unwrap();
    assert_eq!(reader.next(true).unwrap_err().kind(), Kind::DatabasePermission);
    reader.begin(&reading(&named("no"), cells(&table)), &Default::default()).map_or_else(
        |error| assert_eq!(error.kind(), Kind::TableNotFound),
        |()| panic!("there is no such table"),
    );

    scratch.sql(&format!("GRANT CREATE, USAGE ON SCHEMA public TO {}", user.0));
    let sink = open_sink(&url).unwrap();
    let job = sink.open_ledger("job").unwrap().job;
    let mut writer = sink.writer(&job).unwrap();
    writer.begin(&writing(&named("t"), cells(&table))).unwrap();
    let fault = writer.commit(&receipt(&named("t"), 0, 0));
    assert!(fault.is_ok());
    let rows = migration_engine::model::rows::Rows::Native(migration_engine::model::rows::Native {
        engine: migration_engine::model::catalog::Engine::Postgres,
        bytes: b"d\0\0\0\x0e\0\x01\0\0\0\x04\0\0\0\x01".to_vec(),
        rows: 1,
    });
    writer.begin(&writing(&named("t"), cells(&table))).unwrap();
    match writer.write(&rows).and_then(|()| writer.settle()) {
        Err(WriteFault::Job(error)) => assert_eq!(error.kind(), Kind::DatabasePermission),
        other => panic!("{other:?}"),
    }
    drop(writer);
    scratch.sql(&format!("ALTER ROLE {} SET default_transaction_read_only = on", user.0));
    let error = open_sink(&url).unwrap().open_ledger("job").unwrap_err();
    assert_eq!(error.kind(), Kind::DestinationReadOnly);
}

#[test]
fn rows_that_a_policy_would_hide_are_refused() {
    let scratch =
        Scratch::with("CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1), (2)");
    let user = User::new("scram", "scram-sha-256");
    scratch.sql(&format!(
        "GRANT SELECT ON t TO {}; ALTER TABLE t ENABLE ROW LEVEL SECURITY; \
         CREATE POLICY p ON t USING (id = 1)",
        user.0
    ));
    let source = open_source(&user.at(&scratch.name, Some("pass'wörd"))).unwrap();
    let table = scratch.table("t");
    let snapshot = source.snapshot(1).unwrap();
    assert_eq!(snapshot.count(&table.name, "").unwrap_err().kind(), Kind::DatabasePermission);
    let mut reader = snapshot.reader().unwrap();
    reader.begin(&reading(&table.name, cells(&table)), &Default::default()).unwrap();
    assert_eq!(reader.next(true).unwrap_err().kind(), Kind::DatabasePermission);
}
