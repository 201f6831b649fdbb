//! Rows on their way into a file, beside other writers.

use std::sync::Arc;

use arrow_array::RecordBatch;
use migration_engine::endpoint;
use migration_engine::endpoint::rows::{Meets, WriteFault};
use migration_engine::error::Kind;
use migration_engine::model::rows::{Range, Rows};
use migration_engine::remote::ties::Ties;

use super::scratch::{Place, count, location, receipt, two_rows, write_of};

#[test]
fn a_refused_row_is_isolated_by_savepoints() {
    let (place, table, batch) = two_rows();
    place.session().execute_batch("INSERT INTO t VALUES (2, 'there')").unwrap();
    let sink = place.sink();
    let job = sink.open_ledger("job").unwrap().job;
    let mut writer = sink.writer(&job).unwrap();
    writer.begin(&write_of(&table, Meets::Insert)).unwrap();
    writer.savepoint().unwrap();
    match writer.write(&Rows::Batch(batch.clone())) {
        Err(WriteFault::Row(error)) => assert_eq!(error.kind(), Kind::RowRefused),
        other => panic!("{other:?}"),
    }
    writer.back().unwrap();
    for row in 0..2 {
        writer.savepoint().unwrap();
        let one = Rows::Batch(batch.slice(row, 1));
        match writer.write(&one).and_then(|()| writer.settle()) {
            Ok(()) => assert_eq!(row, 0),
            Err(WriteFault::Row(_)) => {
                writer.back().unwrap();
                assert_eq!(row, 1);
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    writer.commit(&receipt("t", 0, 1)).unwrap();
    assert_eq!(count(&place, "SELECT count(*) FROM t WHERE v IN ('a', 'there')"), 2);
    writer.begin(&write_of(&table, Meets::Merge)).unwrap();
    writer.write(&Rows::Batch(batch)).unwrap();
    writer.commit(&receipt("t", 1, 2)).unwrap();
    assert_eq!(count(&place, "SELECT count(*) FROM t WHERE v IN ('a', 'b')"), 2);
}

#[test]
fn writers_take_turns_and_lose_nothing() {
    let (place, table, _) = two_rows();
    let sink = place.sink();
    let job = sink.open_ledger("job").unwrap().job;
    std::thread::scope(|scope| {
        for worker in 0..4_i64 {
            let (sink, job, table) = (&sink, &job, &table);
            scope.spawn(move || {
                let mut writer = sink.writer(job).unwrap();
                for span in 0..10_i64 {
                    let first = (worker * 10 + span) * 100;
                    let ids = arrow_array::Int64Array::from_iter_values(first..first + 100);
                    let texts = arrow_array::StringArray::new_null(100);
                    let columns = [("id", Arc::new(ids) as _), ("v", Arc::new(texts) as _)];
                    let batch =
                        RecordBatch::try_from_iter_with_nullable(columns.map(
                            |(name, array): (&str, arrow_array::ArrayRef)| (name, array, true),
                        ));
                    writer.begin(&write_of(table, Meets::Insert)).unwrap();
                    writer.write(&Rows::Batch(batch.unwrap())).unwrap();
                    writer.commit(&receipt("t", (worker * 10 + span) as u32, 100)).unwrap();
                }
            });
        }
    });
    assert_eq!(count(&place, "SELECT count(DISTINCT id) FROM t"), 4000);
    assert_eq!(sink.open_ledger("job").unwrap().receipts.len(), 40);
}

#[test]
fn the_lock_of_another_writer_ends_with_the_job() {
    let (place, table, _) = two_rows();
    let location = location(&place.path);
    let ties = Ties::default();
    let sink = (endpoint::database(&location).unwrap().sink)(&location, &ties).unwrap();
    let job = sink.open_ledger("job").unwrap().job;
    let other = place.session();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut writer = sink.writer(&job).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(300));
            ties.switch.cancel();
        });
        match writer.begin(&write_of(&table, Meets::Insert)) {
            Err(WriteFault::Job(error)) => assert_eq!(error.kind(), Kind::Cancelled),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn rows_that_point_nowhere_are_found() {
    let place = Place::with(
        "PRAGMA foreign_keys = OFF; CREATE TABLE p (id INTEGER PRIMARY KEY);
         CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p (id)); INSERT INTO c VALUES (7, 1);",
    );
    let sink = place.sink();
    let statements = sink.statements(&place.table("c")).unwrap();
    let check = [statements.constraints[0].sql.clone()];
    let error = sink.execute(&check).unwrap_err();
    assert_eq!(error.kind(), Kind::RowRefused);
    assert!(error.to_string().contains("rowid 7"), "{error}");
    place.session().execute_batch("INSERT INTO p VALUES (1)").unwrap();
    sink.execute(&check).unwrap();
}

#[test]
fn ranges_of_days_are_removed_by_the_order_of_time() {
    let days = [
        "-infinity",
        "-000043-03-15",
        "0000-01-01",
        "2024-02-29",
        "9999-12-31",
        "+012345-01-01",
        "infinity",
    ];
    for (from, to, left) in [
        (None, Some("2024-02-29"), 4),
        (Some("2024-02-29"), Some("2024-03-01"), 6),
        (Some("2024-02-29"), None, 3),
        (Some("0000-01-01"), Some("9999-12-31"), 5),
    ] {
        let place = Place::with("CREATE TABLE t (d DATE PRIMARY KEY, i INTEGER);");
        for day in days {
            place.session().execute("INSERT INTO t (d) VALUES (?1)", [day]).unwrap();
        }
        let (from, to) = (from.map(str::to_owned), to.map(str::to_owned));
        let range = Range::Keys { column: "d".to_owned(), from, to };
        let sink = place.sink();
        sink.execute(&[sink.removal(&place.table("t"), &range).unwrap()]).unwrap();
        assert_eq!(count(&place, "SELECT count(*) FROM t"), left, "{range:?}");
    }
    let place = Place::with("CREATE TABLE t (d DATE PRIMARY KEY, i INTEGER, s TEXT);");
    let (sink, table) = (place.sink(), place.table("t"));
    for (column, end) in
        [("d", "-000043-03-15"), ("d", "x"), ("i", "1; DROP TABLE t"), ("s", "a"), ("no", "1")]
    {
        let range = Range::Keys { column: column.to_owned(), from: Some(end.to_owned()), to: None };
        assert_eq!(sink.removal(&table, &range).unwrap_err().kind(), Kind::Unsupported);
    }
}
