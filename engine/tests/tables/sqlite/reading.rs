//! Snapshots, ranges and rows of a source.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::RecordBatch;
use migration_engine::error::Kind;
use migration_engine::model::kind::ColumnType;
use migration_engine::model::rows::{Misfit, Range, Read, Rows};

use super::scratch::{Place, batches, cell, integers, named, read, read_all, source};

#[test]
fn ranges_cover_every_row_once() {
    let place = Place::with(
        "CREATE TABLE a (id INTEGER PRIMARY KEY, v TEXT);
         INSERT INTO a (id) VALUES (-9223372036854775808), (9223372036854775807), (0);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
           INSERT INTO a SELECT i * i * 1000, 'x' FROM n;
         CREATE TABLE b (k TEXT, n INTEGER, PRIMARY KEY (k, n)) WITHOUT ROWID;
         INSERT INTO b SELECT 'k' || (id % 7), id FROM a;
         CREATE TABLE c (k TEXT PRIMARY KEY);
         INSERT INTO c SELECT id FROM a; INSERT INTO c VALUES (NULL);
         CREATE TABLE d (rowid TEXT, _rowid_ TEXT, oid TEXT);
         INSERT INTO d SELECT id, 1, 2 FROM a;
         CREATE TABLE e (k BLOB PRIMARY KEY, n) WITHOUT ROWID;
         INSERT INTO e SELECT CASE id % 3 WHEN 0 THEN id WHEN 1 THEN CAST(id AS TEXT) ELSE zeroblob(id % 50 + 1) || id END, id FROM a WHERE id > 0;
         CREATE TABLE empty (id INTEGER PRIMARY KEY);",
    );
    let session = place.session();
    let source = place.source();
    let snapshot = source.snapshot(1).unwrap();
    for (name, ranges_least) in [("a", 10), ("b", 5), ("c", 10), ("d", 1), ("e", 10), ("empty", 1)]
    {
        let table = place.table(name);
        let ranges = snapshot.split(&table, "", 250).unwrap();
        assert!(ranges.len() >= ranges_least, "{name}: {}", ranges.len());
        assert_eq!(ranges, snapshot.split(&table, "", 250).unwrap());
        let cells = vec![cell(&table.columns.last().unwrap().name, ColumnType::Any, Misfit::Fail)];
        let mut rows = 0;
        for range in &ranges {
            let got = batches(&*snapshot, &read(name, cells.clone()), range);
            rows += got.iter().map(RecordBatch::num_rows).sum::<usize>();
        }
        let wanted: i64 = session
            .query_row(&format!("SELECT count(*) FROM {name}"), [], |row| row.get(0))
            .unwrap();
        assert_eq!(rows as i64, wanted, "{name}");
        assert_eq!(snapshot.count(&table.name, "").unwrap() as i64, wanted);
    }
    let table = place.table("a");
    let some = snapshot.split(&table, "id > 0 -- and no more", 1000).unwrap();
    assert_eq!(some.len(), 6);
    assert_eq!(snapshot.count(&table.name, "id > 0 -- and").unwrap(), 5001);
}

#[test]
fn all_readers_see_one_instant_while_others_commit() {
    for mode in ["wal", "delete"] {
        let place = Place::with(&format!(
            "PRAGMA journal_mode = {mode}; CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER); \
             INSERT INTO t VALUES (1, 0), (2, 0);"
        ));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // Also where an assertion fails: the scope waits for its threads.
            let _stops = Stops(&stop);
            scope.spawn(|| {
                let session = place.session();
                // It never gives way: who waits for it with one reader begun waits for itself.
                session.busy_timeout(std::time::Duration::from_secs(3600)).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    std::thread::sleep(std::time::Duration::from_millis(2));
                    session
                        .execute_batch("BEGIN IMMEDIATE; UPDATE t SET v = v + 1; COMMIT")
                        .unwrap();
                }
            });
            let table = place.table("t");
            for _ in 0..20 {
                let snapshot = place.source().snapshot(4).unwrap();
                let mut seen = Vec::new();
                for _ in 0..4 {
                    seen.extend(integers(
                        &batches(&*snapshot, &read_all(&table), &Range::Whole),
                        1,
                    ));
                }
                let mut held: Vec<_> = (0..4).map(|_| snapshot.reader().unwrap()).collect();
                for reader in &mut held {
                    reader.begin(&read_all(&table), &Range::Whole).unwrap();
                    let Some(Rows::Batch(batch)) = reader.next(false).unwrap() else { panic!() };
                    seen.extend(integers(&[batch], 1));
                }
                assert_eq!(seen.iter().filter(|v| **v == seen[0]).count(), 16, "{mode}: {seen:?}");
            }
        });
    }
}

struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_source_is_never_written() {
    let place = Place::with("CREATE TABLE t (a); INSERT INTO t VALUES (1);");
    let before = std::fs::read(&place.path).unwrap();
    let source = place.source();
    source.catalog().unwrap();
    let snapshot = source.snapshot(2).unwrap();
    let failing = Read { filter: "a = 1) ; DELETE FROM t; --".to_owned(), ..read("t", Vec::new()) };
    let mut reader = snapshot.reader().unwrap();
    reader.begin(&failing, &Range::Whole).unwrap();
    let _ = reader.next(false);
    drop(reader);
    assert_eq!(snapshot.count(&named("t"), "").unwrap(), 1);
    drop(snapshot);
    assert_eq!(std::fs::read(&place.path).unwrap(), before);
    assert!(source_fails(Path::new("/nowhere/at/all")) == Kind::DatabaseNotFound);
    let other = Place::new("text");
    std::fs::write(&other.path, "this is no database, however long it is".repeat(100)).unwrap();
    assert!(source_fails(&other.path) == Kind::DatabaseNotFound);
    assert!(!Path::new("/nowhere").exists());
}

#[test]
fn a_reader_that_is_left_gives_its_session_back() {
    let place = Place::with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
           INSERT INTO t SELECT i FROM n;",
    );
    let snapshot = place.source().snapshot(1).unwrap();
    let mut reading = read_all(&place.table("t"));
    reading.batch_rows = 10;
    for _ in 0..5 {
        let mut reader = snapshot.reader().unwrap();
        reader.begin(&reading, &Range::Whole).unwrap();
        reader.next(false).unwrap();
        reader.begin(&reading, &Range::Whole).unwrap();
        assert_eq!(reader.next(false).unwrap().unwrap().count(), 10);
    }
    assert_eq!(integers(&batches(&*snapshot, &reading, &Range::Whole), 0).len(), 20000);
}

#[test]
fn a_row_beyond_memory_is_refused_and_a_long_one_travels_alone() {
    let place = Place::with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB);
         INSERT INTO t (v) VALUES (zeroblob(10)), (zeroblob(3000000)), (zeroblob(10)), (zeroblob(40000000));",
    );
    let snapshot = place.source().snapshot(1).unwrap();
    let table = place.table("t");
    let mut reader = snapshot.reader().unwrap();
    reader.begin(&read_all(&table), &Range::Whole).unwrap();
    let mut sizes = Vec::new();
    let error = loop {
        match reader.next(false) {
            Ok(Some(rows)) => sizes.push(rows.count()),
            Ok(None) => panic!("the long row was read"),
            Err(error) => break error,
        }
    };
    assert_eq!((sizes, error.kind()), (vec![1, 1], Kind::RowTooLarge));
}

fn source_fails(path: &Path) -> Kind {
    source(path).err().unwrap().kind()
}
