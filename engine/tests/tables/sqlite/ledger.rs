//! What a job notes in its target, and who may still do so.

use migration_engine::endpoint::rows::{LedgerJob, Meets, SpanReceipt, WriteFault};
use migration_engine::error::Kind;
use migration_engine::model::rows::{Range, Rows};

use super::scratch::{count, named, receipt, two_rows, write_of};

#[test]
fn what_is_not_committed_leaves_nothing_and_what_is_has_its_receipt() {
    let (place, table, batch) = two_rows();
    let sink = place.sink();
    let job = sink.open_ledger("job").unwrap().job;
    let mut writer = sink.writer(&job).unwrap();
    writer.begin(&write_of(&table, Meets::Insert)).unwrap();
    writer.write(&Rows::Batch(batch.clone())).unwrap();
    drop(writer);
    assert_eq!(count(&place, "SELECT count(*) FROM t"), 0);
    sink.note(&job, &[SpanReceipt { planned: true, ..receipt("t", 0, 0) }]).unwrap();
    let mut writer = sink.writer(&job).unwrap();
    writer.begin(&write_of(&table, Meets::Insert)).unwrap();
    writer.write(&Rows::Batch(batch)).unwrap();
    writer.commit(&receipt("t", 0, 2)).unwrap();
    drop(writer);
    let again = sink.open_ledger("job").unwrap();
    assert_eq!(again.job.epoch, job.epoch + 1);
    let receipts: Vec<_> = again.receipts.iter().filter(|receipt| !receipt.planned).collect();
    assert_eq!((again.receipts.len(), receipts), (2, vec![&receipt("t", 0, 2)]));
    let removal = sink.removal(&table, &Range::Whole).unwrap();
    assert_eq!(sink.forget(&job, &[], &[]).unwrap_err().kind(), Kind::LeaseLost);
    sink.forget(&again.job, &[(named("t"), 0)], &[removal]).unwrap();
    assert_eq!(count(&place, "SELECT count(*) FROM t"), 0);
    assert!(sink.open_ledger("job").unwrap().receipts.iter().all(|receipt| receipt.planned));
    assert_eq!(sink.catalog().unwrap().tables.len(), 1);
    sink.open_ledger("other").unwrap();
    sink.close_ledger("job").unwrap();
    assert_eq!(
        count(&place, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'mig\\_%' ESCAPE '\\'"),
        2
    );
    sink.close_ledger("other").unwrap();
    assert_eq!(
        count(&place, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'mig\\_%' ESCAPE '\\'"),
        0
    );
}

#[test]
fn an_earlier_attempt_commits_nothing_any_more() {
    let (place, table, batch) = two_rows();
    let sink = place.sink();
    let old = sink.open_ledger("job").unwrap().job;
    let mut writer = sink.writer(&old).unwrap();
    writer.begin(&write_of(&table, Meets::Insert)).unwrap();
    writer.abandon();
    place.sink().open_ledger("job").unwrap();
    writer.begin(&write_of(&table, Meets::Insert)).unwrap();
    writer.write(&Rows::Batch(batch)).unwrap();
    match writer.commit(&receipt("t", 0, 2)) {
        Err(WriteFault::Job(error)) => assert_eq!(error.kind(), Kind::LeaseLost),
        other => panic!("{other:?}"),
    }
    drop(writer);
    assert_eq!(count(&place, "SELECT count(*) FROM t"), 0);
}

#[test]
fn a_job_that_is_fenced_off_notes_nothing() {
    let (place, ..) = two_rows();
    let sink = place.sink();
    let old = LedgerJob { epoch: 0, ..sink.open_ledger("job").unwrap().job };
    assert_eq!(sink.note(&old, &[receipt("t", 0, 0)]).unwrap_err().kind(), Kind::LeaseLost);
}
