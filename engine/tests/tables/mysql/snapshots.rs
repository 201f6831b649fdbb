//! One instant over several sessions, while others write.

use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use migration_engine::model::kind::ColumnType;
use migration_engine::model::rows::Range;

use super::scratch::{Scratch, cell, named, read, reading};

/// Money moves between two tables all the time; no instant sees a sum other than the first.
#[test]
fn all_readers_see_one_instant_while_others_write() {
    for scratch in Scratch::each() {
        scratch.run(&[
            "CREATE TABLE a (k bigint PRIMARY KEY, v bigint)",
            "CREATE TABLE b (k bigint PRIMARY KEY, v bigint)",
            "INSERT INTO a VALUES (1, 1000)",
            "INSERT INTO b VALUES (1, 0)",
        ]);
        let end = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut moves = vec!["SELECT 1".to_owned()];
                for _ in 0..20 {
                    moves.push("START TRANSACTION".to_owned());
                    moves.push("UPDATE a SET v = v - 1".to_owned());
                    moves.push("UPDATE b SET v = v + 1".to_owned());
                    moves.push("COMMIT".to_owned());
                }
                let sink = scratch.sink();
                while !end.load(Ordering::Relaxed) {
                    sink.execute(&moves).unwrap();
                }
            });
            let cells = [cell("v", ColumnType::Int(64))];
            for _ in 0..5 {
                let snapshot = scratch.source().snapshot(4).unwrap();
                assert_eq!(snapshot.readers(), 4);
                assert!(snapshot.identity().contains("global lock"), "{}", snapshot.identity());
                let value = |table: &str| {
                    let rows = read(snapshot.as_ref(), &reading(table, &cells), &Range::Whole);
                    rows.unwrap()[0].column(0).as_primitive::<Int64Type>().value(0)
                };
                let held: Vec<_> = (0..3).map(|_| snapshot.reader().unwrap()).collect();
                let first = (value("a"), value("b"));
                drop(held);
                for _ in 0..6 {
                    assert_eq!((value("a"), value("b")), first);
                }
                assert_eq!(first.0 + first.1, 1000);
                assert_eq!(snapshot.count(&named("a"), &format!("v = {}", first.0)).unwrap(), 1);
            }
            end.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn a_source_cannot_write() {
    let scratch = Scratch::new();
    scratch.run(&[
        "CREATE TABLE t (a bigint)",
        "CREATE FUNCTION f() RETURNS int DETERMINISTIC MODIFIES SQL DATA \
        BEGIN INSERT INTO t VALUES (1); RETURN 1; END",
    ]);
    let snapshot = scratch.source().snapshot(1).unwrap();
    assert!(snapshot.count(&named("t"), "").is_ok());
    scratch.run(&["INSERT INTO t VALUES (1)"]);
    let snapshot = scratch.source().snapshot(1).unwrap();
    let refused = snapshot.count(&named("t"), "f() = 1").unwrap_err();
    assert!(refused.to_string().contains("READ ONLY"), "{refused}");
}
