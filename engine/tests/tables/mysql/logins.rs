//! Who may do what, and what they are told otherwise.

use std::sync::Arc;

use arrow_array::Int64Array;
use migration_engine::endpoint::rows::{Meets, WriteFault};
use migration_engine::error::Kind;
use migration_engine::model::kind::ColumnType;
use migration_engine::model::location::Location;
use migration_engine::model::rows::{Range, Rows};
use migration_engine::model::secret::SecretSource;

use super::scratch::{Scratch, batch, cell, opened, read, reading, writing};

/// An account with a password, which is in a file.
fn account(scratch: &Scratch, user: &str, password: &str) -> (Location, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), password).unwrap();
    let mut location = scratch.account(user);
    let path = file.path().as_os_str().as_encoded_bytes().to_vec();
    location.auth.push(("password".to_owned(), SecretSource::File(path)));
    (location, file)
}

fn kind(location: &Location) -> Option<Kind> {
    opened(location, |d, l, t| (d.source)(l, t)).err().map(|error| error.kind())
}

#[test]
fn wrong_logins_and_databases_have_their_own_codes() {
    let scratch = Scratch::new();
    let user = format!("u{}", &scratch.name[9..]);
    scratch.server(&[
        &format!("CREATE USER {user}@'%' IDENTIFIED BY 'pässword'"),
        &format!("GRANT SELECT ON {}.* TO {user}@'%'", scratch.name),
    ]);
    let (right, _a) = account(&scratch, &user, "pässword");
    let (wrong, _b) = account(&scratch, &user, "password");
    assert_eq!(kind(&right), None);
    assert_eq!(kind(&wrong), Some(Kind::CredentialsRefused));
    assert_eq!(kind(&scratch.location("no_such_database")), Some(Kind::DatabaseNotFound));
    let mut other = right.clone();
    let path = String::from_utf8(other.path.clone()).unwrap();
    other.path = path.replace(&scratch.name, "mysql").into_bytes();
    assert_eq!(kind(&other), Some(Kind::DatabasePermission));
    scratch.run(&["CREATE TABLE t (a bigint)"]);
    let sink = opened(&right, |d, l, t| (d.sink)(l, t)).unwrap();
    let denied = sink.execute(&["CREATE TABLE x (a int)".to_owned()]).unwrap_err();
    assert_eq!(denied.kind(), Kind::DatabasePermission);
    scratch.server(&[&format!("DROP USER {user}@'%'")]);
}

#[test]
fn locks_fall_back_to_what_the_account_may_do() {
    let scratch = Scratch::new();
    scratch.run(&["CREATE TABLE t (a bigint PRIMARY KEY)", "INSERT INTO t VALUES (1)"]);
    let user = format!("u{}", &scratch.name[9..]);
    scratch.server(&[
        &format!("CREATE USER {user}@'%'"),
        &format!("GRANT SELECT ON {}.* TO {user}@'%'", scratch.name),
    ]);
    let location = scratch.account(&user);
    let open = || opened(&location, |d, l, t| (d.source)(l, t)).unwrap().snapshot(3).unwrap();
    let single = open();
    assert_eq!(single.readers(), 1);
    assert!(single.identity().contains("one reader"), "{}", single.identity());
    let cells = [cell("a", ColumnType::Int(64))];
    let rows = read(single.as_ref(), &reading("t", &cells), &Range::Whole).unwrap();
    assert_eq!(rows[0].num_rows(), 1);
    assert_eq!(single.count(&super::scratch::named("t"), "").unwrap(), 1);
    drop(single);
    scratch.server(&[&format!("GRANT LOCK TABLES ON {}.* TO {user}@'%'", scratch.name)]);
    let several = open();
    assert_eq!(several.readers(), 3);
    assert!(several.identity().contains("locks of all tables"), "{}", several.identity());
    drop(several);
    scratch.server(&[&format!("DROP USER {user}@'%'")]);
}

#[test]
fn what_is_not_there_is_said() {
    let scratch = Scratch::new();
    scratch.run(&["CREATE TABLE t (a bigint)"]);
    let cells = [cell("a", ColumnType::Int(64))];
    let snapshot = scratch.source().snapshot(1).unwrap();
    let missing = read(snapshot.as_ref(), &reading("u", &cells), &Range::Whole).unwrap_err();
    assert_eq!(missing.kind(), Kind::TableNotFound);
    let cells = [cell("b", ColumnType::Int(64))];
    let missing = read(snapshot.as_ref(), &reading("t", &cells), &Range::Whole).unwrap_err();
    assert_eq!(missing.kind(), Kind::SchemaMismatch);
    let mut filtered = reading("t", &[cell("a", ColumnType::Int(64))]);
    filtered.filter = "a = ; DROP TABLE t".to_owned();
    let refused = read(snapshot.as_ref(), &filtered, &Range::Whole).unwrap_err();
    assert_eq!(refused.kind(), Kind::DatabaseRefused);
    assert_eq!(scratch.count("t", ""), 0);
}

#[test]
fn a_lock_that_is_held_ends_a_span_and_not_the_job() {
    let scratch = Scratch::new();
    scratch.run(&["CREATE TABLE t (a bigint PRIMARY KEY)", "INSERT INTO t VALUES (1)"]);
    let sink = scratch.sink();
    let job = sink.open_ledger("job").unwrap().job;
    let cells = [cell("a", ColumnType::Int(64))];
    let write = writing("t", &cells, &["a"], Meets::Insert);
    let one =
        |value: i64| Rows::Batch(batch(&cells, vec![Arc::new(Int64Array::from(vec![value]))]));
    let mut first = sink.writer(&job).unwrap();
    let mut second = sink.writer(&job).unwrap();
    first.begin(&write).unwrap();
    second.begin(&write).unwrap();
    first.write(&one(10)).unwrap();
    second.write(&one(20)).unwrap();
    let crossed = std::thread::scope(|scope| {
        let held = scope.spawn(|| first.write(&one(20)));
        std::thread::sleep(std::time::Duration::from_millis(300));
        let other = second.write(&one(10));
        [held.join().unwrap(), other]
    });
    let spans = crossed.iter().filter(|write| matches!(write, Err(WriteFault::Span(_))));
    assert!(spans.count() >= 1, "{crossed:?}");
}
