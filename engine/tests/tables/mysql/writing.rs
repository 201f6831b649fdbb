//! Spans: nothing taken otherwise than it was sent, all of a span or nothing.

use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch, StringArray};
use migration_engine::endpoint::rows::{Meets, WriteFault};
use migration_engine::error::Kind;
use migration_engine::model::kind::ColumnType;
use migration_engine::model::rows::{Cell, Range, Rows, Span, Tally};

use super::scratch::{Scratch, batch, begun, cell, named, receipt, writing};

fn both() -> [Cell; 2] {
    [cell("a", ColumnType::Int(64)), cell("v", ColumnType::Text(None))]
}

fn rows(values: &[(i64, &str)]) -> RecordBatch {
    let (a, v): (Vec<i64>, Vec<&str>) = values.iter().copied().unzip();
    batch(&both(), vec![Arc::new(Int64Array::from(a)), Arc::new(StringArray::from(v))])
}

const TABLE: &str = "CREATE TABLE t (a bigint PRIMARY KEY, v varchar(3) NOT NULL, UNIQUE (v)) \
    CHARACTER SET utf8mb4";

#[test]
fn what_a_load_would_cut_or_leave_out_is_refused_and_undone() {
    for scratch in Scratch::each() {
        scratch.run(&[TABLE]);
        let sink = scratch.sink();
        let job = sink.open_ledger("job").unwrap().job;
        let mut writer = begun(sink.as_ref(), &job, &writing("t", &both(), &["a"], Meets::Insert));
        writer.write(&Rows::Batch(rows(&[(1, "one")]))).unwrap();
        for odd in [&[(2, "two"), (3, "four")][..], &[(4, "x"), (1, "y")], &[(5, "z"), (6, "one")]]
        {
            writer.savepoint().unwrap();
            let fault = writer.write(&Rows::Batch(rows(odd))).unwrap_err();
            let WriteFault::Row(error) = fault else { panic!("{fault:?}") };
            assert_eq!(error.kind(), Kind::RowRefused, "{error}");
            writer.back().unwrap();
        }
        writer.write(&Rows::Batch(rows(&[(7, "")]))).unwrap();
        writer.settle().unwrap();
        writer.commit(&receipt("t", 0)).unwrap();
        assert_eq!(scratch.count("t", ""), 2);
        assert_eq!(scratch.count("t", "a IN (1, 7)"), 2);
        // Refused rows that nobody went back from are never committed.
        writer.begin(&writing("t", &both(), &["a"], Meets::Insert)).unwrap();
        writer.write(&Rows::Batch(rows(&[(8, "8"), (1, "9")]))).unwrap_err();
        assert!(matches!(writer.commit(&receipt("t", 1)), Err(WriteFault::Span(_))));
        writer.abandon();
        assert_eq!(scratch.count("t", ""), 2);
    }
}

#[test]
fn a_ledger_row_stands_for_its_rows_and_an_old_epoch_commits_nothing() {
    for scratch in Scratch::each() {
        scratch.run(&[TABLE]);
        let sink = scratch.sink();
        let opened = sink.open_ledger("job").unwrap();
        assert!(opened.receipts.is_empty() && opened.job.epoch == 1);
        let write = writing("t", &both(), &["a"], Meets::Insert);
        let keys = Range::Keys { column: "a".to_owned(), from: None, to: Some("'9'".to_owned()) };
        let mut told = receipt("t", 7);
        told.span = Span { number: 7, range: keys };
        told.written = Tally { rows: 1, changed: 0, digest: u128::MAX };
        let mut old = begun(sink.as_ref(), &opened.job, &write);
        old.write(&Rows::Batch(rows(&[(1, "one")]))).unwrap();
        old.commit(&told).unwrap();
        old.begin(&write).unwrap();
        old.write(&Rows::Batch(rows(&[(2, "two")]))).unwrap();
        let again = sink.open_ledger("job").unwrap();
        assert_eq!((again.job.epoch, again.receipts.as_slice()), (2, &[told.clone()][..]));
        let Err(WriteFault::Job(lost)) = old.commit(&receipt("t", 8)) else { panic!("committed") };
        assert_eq!(lost.kind(), Kind::LeaseLost);
        old.abandon();
        assert_eq!(scratch.count("t", ""), 1);
        let clear = ["DELETE FROM t".to_owned()];
        let late = sink.forget(&opened.job, &[], &clear).unwrap_err();
        assert_eq!((late.kind(), scratch.count("t", "")), (Kind::LeaseLost, 1));
        sink.forget(&again.job, &[(named("t"), 7)], &clear).unwrap();
        assert!(sink.open_ledger("job").unwrap().receipts.is_empty());
        assert_eq!(scratch.count("t", ""), 0);
        assert_eq!(scratch.source().catalog().unwrap().tables.len(), 1);
        sink.close_ledger("job").unwrap();
        sink.close_ledger("job").unwrap();
        assert_eq!(
            scratch.count(
                "t",
                "EXISTS (SELECT 1 FROM information_schema.TABLES \
            WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME LIKE 'mig\\_ledger%')"
            ),
            0
        );
    }
}

#[test]
fn a_merge_replaces_by_the_primary_key_alone() {
    for scratch in Scratch::each() {
        scratch.run(&[TABLE, "INSERT INTO t VALUES (1, 'old'), (2, 'two')"]);
        let sink = scratch.sink();
        let job = sink.open_ledger("job").unwrap().job;
        let mut writer = begun(sink.as_ref(), &job, &writing("t", &both(), &["a"], Meets::Merge));
        writer.write(&Rows::Batch(rows(&[(1, "new"), (3, "x")]))).unwrap();
        writer.write(&Rows::Batch(rows(&[(3, "y")]))).unwrap();
        writer.savepoint().unwrap();
        // `two` belongs to another key: no row of that key may change.
        let fault = writer.write(&Rows::Batch(rows(&[(4, "two")]))).unwrap_err();
        assert!(matches!(fault, WriteFault::Row(_)), "{fault:?}");
        writer.back().unwrap();
        writer.commit(&receipt("t", 0)).unwrap();
        assert_eq!(scratch.count("t", "(a, v) IN ((1, 'new'), (2, 'two'), (3, 'y'))"), 3);
        assert_eq!(scratch.count("t", ""), 3);
    }
}

#[test]
fn a_row_beyond_the_servers_packet_is_refused_where_it_goes_by_insert() {
    let scratch = Scratch::new();
    scratch.run(&["CREATE TABLE t (a bigint, v longtext)"]);
    let sink = scratch.sink();
    let job = sink.open_ledger("job").unwrap().job;
    scratch.server(&["SET GLOBAL local_infile = 0"]);
    let writer = sink.writer(&job);
    scratch.server(&["SET GLOBAL local_infile = 1"]);
    let mut writer = writer.unwrap();
    writer.begin(&writing("t", &both(), &[], Meets::Insert)).unwrap();
    let long = "x".repeat(70 << 20);
    let fault = writer.write(&Rows::Batch(rows(&[(1, long.as_str())]))).unwrap_err();
    let WriteFault::Row(error) = fault else { panic!("{fault:?}") };
    assert_eq!(error.kind(), Kind::RowTooLarge);
}

/// A table may change its storage engine between the plan and the rows.
#[test]
fn a_table_without_transactions_is_not_written() {
    for scratch in Scratch::each() {
        scratch.run(&[TABLE, "ALTER TABLE t ENGINE = MyISAM"]);
        let sink = scratch.sink();
        let job = sink.open_ledger("job").unwrap().job;
        let mut writer = sink.writer(&job).unwrap();
        let fault = writer.begin(&writing("t", &both(), &["a"], Meets::Insert)).unwrap_err();
        let WriteFault::Job(error) = fault else { panic!("{fault:?}") };
        assert_eq!(error.kind(), Kind::SchemaMismatch, "{error}");
    }
}
