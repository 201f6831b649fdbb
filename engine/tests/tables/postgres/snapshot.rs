//! One instant for all readers, and what ends it.

use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use migration_engine::error::Kind;

use super::scratch::{Scratch, batches, cells, psql, reading};

#[test]
fn all_readers_see_one_instant_while_rows_move() {
    let scratch = Scratch::with(
        "CREATE TABLE t (id integer PRIMARY KEY, v bigint NOT NULL); \
         INSERT INTO t SELECT i, 100 FROM generate_series(1, 1000) i",
    );
    let table = scratch.table("t");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                scratch.sql(
                    "BEGIN; UPDATE t SET v = v - 1 WHERE id % 2 = 0; \
                     UPDATE t SET v = v + 1 WHERE id % 2 = 1; \
                     DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (1, 100); COMMIT",
                );
            }
        });
        let run = || {
            for _ in 0..3 {
                let snapshot = scratch.source().snapshot(4).unwrap();
                let ranges = snapshot.split(&table, "", 100).unwrap();
                let read = reading(&table.name, cells(&table));
                let sum = |range| {
                    let mut reader = snapshot.reader().unwrap();
                    reader.begin(&read, range).unwrap();
                    let mut sum = (0, 0);
                    while let Some(rows) = reader.next(false).unwrap() {
                        let migration_engine::model::rows::Rows::Batch(batch) = rows else {
                            panic!("frames")
                        };
                        let v = batch.column(1).as_primitive::<Int64Type>();
                        sum.0 += v.len();
                        sum.1 += v.iter().flatten().sum::<i64>();
                    }
                    sum
                };
                let parts: Vec<_> = ranges.iter().map(sum).collect();
                let rows: usize = parts.iter().map(|part| part.0).sum();
                let seen: i64 = parts.iter().map(|part| part.1).sum();
                let first = snapshot.count(&table.name, "").unwrap();
                assert_eq!((rows as u64, rows), (first, 1000));
                let again: i64 = ranges.iter().map(|range| sum(range).1).sum();
                assert_eq!(seen, again);
            }
        };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        stop.store(true, Ordering::Relaxed);
        result.unwrap();
    });
}

#[test]
fn a_snapshot_whose_session_ended_is_lost() {
    let scratch =
        Scratch::with("CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1)");
    let table = scratch.table("t");
    let snapshot = scratch.source().snapshot(2).unwrap();
    let identity = snapshot.identity();
    assert!(identity.contains(' ') && identity.contains('/'), "{identity}");
    assert_eq!(snapshot.readers(), 2);
    assert_eq!(batches(snapshot.as_ref(), &reading(&table.name, cells(&table))).len(), 1);
    psql(
        &format!("{}/postgres", super::scratch::server()),
        &format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' \
             AND query LIKE '%pg_export_snapshot%'",
            scratch.name
        ),
    );
    let mut lost = None;
    for _ in 0..100 {
        match snapshot.reader() {
            Err(error) => lost = Some(error.kind()),
            Ok(_) => std::thread::sleep(std::time::Duration::from_millis(50)),
        }
        if lost.is_some() {
            break;
        }
    }
    assert_eq!(lost, Some(Kind::SnapshotLost));
}

#[test]
fn a_reader_goes_on_after_a_span_that_was_given_up_or_failed() {
    let scratch = Scratch::with(
        "CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 300000)",
    );
    let table = scratch.table("t");
    let snapshot = scratch.source().snapshot(1).unwrap();
    let mut read = reading(&table.name, cells(&table));
    let mut reader = snapshot.reader().unwrap();
    reader.begin(&read, &Default::default()).unwrap();
    assert!(reader.next(true).unwrap().is_some());
    read.filter = "10 / (id - 200000) > 0".to_owned();
    reader.begin(&read, &Default::default()).unwrap();
    let failed = loop {
        match reader.next(false) {
            Ok(Some(_)) => {}
            Ok(None) => panic!("no failure"),
            Err(error) => break error,
        }
    };
    assert_eq!(failed.kind(), Kind::ValueRefused);
    read.filter = "no such column".to_owned();
    assert_eq!(
        reader
            .begin(&read, &Default::default())
            .map(|()| reader.next(false))
            .unwrap()
            .unwrap_err()
            .kind(),
        Kind::DatabaseRefused
    );
    read.filter = "id <= 7".to_owned();
    reader.begin(&read, &Default::default()).unwrap();
    assert_eq!(reader.next(true).unwrap().unwrap().count(), 7);
    assert!(reader.next(true).unwrap().is_none());
}

#[test]
fn a_source_session_modifies_nothing() {
    let scratch = Scratch::with(
        "CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1); \
         CREATE FUNCTION f() RETURNS boolean LANGUAGE plpgsql AS \
         'BEGIN DELETE FROM public.t; RETURN true; END'",
    );
    let table = scratch.table("t");
    let snapshot = scratch.source().snapshot(1).unwrap();
    for filter in ["public.f()", "true); DELETE FROM public.t; SELECT (true"] {
        let mut read = reading(&table.name, cells(&table));
        read.filter = filter.to_owned();
        let mut reader = snapshot.reader().unwrap();
        reader.begin(&read, &Default::default()).unwrap();
        assert!(reader.next(false).is_err(), "{filter}");
    }
    assert_eq!(scratch.sql("SELECT count(*) FROM t"), "1");
}
