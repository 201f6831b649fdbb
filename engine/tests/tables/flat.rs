//! Directories of CSV and JSON Lines: what files hold, and what an interrupted job leaves.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray, UInt64Array,
};
use migration_engine::endpoint;
use migration_engine::endpoint::rows::{Meets, SpanReceipt, TableSink, Write, WriteFault};
use migration_engine::error::Kind;
use migration_engine::model::catalog::{Column, Table, TableName};
use migration_engine::model::kind::ColumnType;
use migration_engine::model::location::Location;
use migration_engine::model::rows::{Cell, Misfit, Range, Rows, Span, Tally};
use migration_engine::remote::ties::Ties;

fn sink(scheme: &str, dir: &Path) -> Box<dyn TableSink> {
    let url = format!("{scheme}://{}/", dir.display());
    let location = Location::parse(url.as_bytes(), Vec::new()).unwrap();
    (endpoint::database(&location).unwrap().sink)(&location, &Ties::default()).unwrap()
}

fn kinds() -> Vec<(&'static str, ColumnType, ArrayRef)> {
    vec![
        ("id", ColumnType::Int(64), Arc::new(Int64Array::from(vec![i64::MIN, 2]))),
        ("u", ColumnType::Unsigned(64), Arc::new(UInt64Array::from(vec![u64::MAX, 0]))),
        ("b", ColumnType::Bool, Arc::new(BooleanArray::from(vec![true, false]))),
        ("f", ColumnType::Float64, Arc::new(Float64Array::from(vec![f64::NAN, -0.0]))),
        ("d", ColumnType::Decimal(None), Arc::new(StringArray::from(vec!["1.10", "-0.01"]))),
        ("t", ColumnType::Text(None), Arc::new(StringArray::from(vec![Some(""), None]))),
        ("q", ColumnType::Text(None), Arc::new(StringArray::from(vec!["a\"b,\r\n\u{0}c", " é"]))),
        ("x", ColumnType::Bytes(None), Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..], b""]))),
        ("day", ColumnType::Date, Arc::new(Date32Array::from(vec![i32::MAX, -719_529]))),
        ("at", ColumnType::Timestamp, Arc::new(TimestampMicrosecondArray::from(vec![1, -1]))),
    ]
}

fn table(name: &str) -> Table {
    let column = |(name, kind, _): (&str, ColumnType, ArrayRef)| Column {
        name: name.to_owned(),
        kind,
        declared: String::new(),
        nullable: true,
        default: None,
        identity: None,
        generated: None,
        comment: String::new(),
    };
    Table {
        name: TableName { schema: String::new(), name: name.to_owned() },
        columns: kinds().into_iter().map(column).collect(),
        ..Table::default()
    }
}

fn write_of(table: &Table) -> Write {
    let cell = |column: &Column| Cell {
        name: column.name.clone(),
        kind: column.kind.clone(),
        misfit: Misfit::Fail,
    };
    Write {
        table: table.name.clone(),
        cells: table.columns.iter().map(cell).collect(),
        key: Vec::new(),
        meets: Meets::Insert,
        overrides_identity: false,
        own: true,
    }
}

fn batch() -> Rows {
    let columns = kinds().into_iter().map(|(name, _, array)| (name, array, true));
    Rows::Batch(RecordBatch::try_from_iter_with_nullable(columns).unwrap())
}

fn receipt(table: &Table, number: u32) -> SpanReceipt {
    SpanReceipt {
        table: table.name.clone(),
        span: Span { number, range: Range::Whole },
        written: Tally { rows: 2, ..Tally::default() },
        ..SpanReceipt::default()
    }
}

fn names(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Writes a table of one span, and gives back what its file holds.
fn written(scheme: &str, name: &str) -> (String, String) {
    let dir = tempfile::tempdir().unwrap();
    let sink = sink(scheme, dir.path());
    let table = table(name);
    let statements = sink.statements(&table).unwrap();
    sink.execute(&statements.create).unwrap();
    let job = sink.open_ledger("job").unwrap().job;
    let mut writer = sink.writer(&job).unwrap();
    writer.begin(&write_of(&table)).unwrap();
    writer.write(&batch()).unwrap();
    writer.commit(&receipt(&table, 0)).unwrap();
    drop(writer);
    sink.execute(&statements.finish).unwrap();
    sink.close_ledger("job").unwrap();
    let names = names(dir.path());
    assert_eq!(names.len(), 1, "{names:?}");
    let text = std::fs::read_to_string(dir.path().join(&names[0])).unwrap();
    (names[0].clone(), text)
}

#[test]
fn csv_is_that_of_rfc_4180() {
    let (name, text) = written("csv", "a/b%");
    assert_eq!(name, "a%2fb%25.csv");
    let first = "-9223372036854775808,18446744073709551615,true,NaN,1.10,\"\",\"a\"\"b,\r\n\u{0}c\",\
                 \\x00ff,infinity,1970-01-01 00:00:00.000001";
    let second = "2,0,false,-0.0,-0.01,,\" é\",\\x,-000001-12-31,1969-12-31 23:59:59.999999";
    assert_eq!(text, format!("id,u,b,f,d,t,q,x,day,at\r\n{first}\r\n{second}\r\n"));
}

#[test]
fn json_lines_keep_every_digit() {
    let (name, text) = written("jsonl", ".t");
    assert_eq!(name, "%2et.jsonl");
    let mut lines = text.lines();
    let first = "{\"id\":-9223372036854775808,\"u\":18446744073709551615,\"b\":true,\"f\":\"NaN\",\
                 \"d\":\"1.10\",\"t\":\"\",\"q\":\"a\\\"b,\\r\\n\\u0000c\",\"x\":\"AP8=\",\
                 \"day\":\"infinity\",\"at\":\"1970-01-01 00:00:00.000001\"}";
    assert_eq!(lines.next(), Some(first));
    let second: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert_eq!((&second["t"], &second["f"]), (&serde_json::Value::Null, &serde_json::json!(-0.0)));
}

#[test]
fn pieces_are_joined_in_order_and_only_those_that_were_committed() {
    let dir = tempfile::tempdir().unwrap();
    let table = table("t");
    let first = sink("csv", dir.path());
    let statements = first.statements(&table).unwrap();
    let old = first.open_ledger("job").unwrap().job;
    let mut writer = first.writer(&old).unwrap();
    writer.begin(&write_of(&table)).unwrap();
    writer.savepoint().unwrap();
    writer.write(&batch()).unwrap();
    writer.back().unwrap();
    writer.commit(&receipt(&table, 10)).unwrap();
    writer.begin(&write_of(&table)).unwrap();
    writer.write(&batch()).unwrap();
    writer.commit(&receipt(&table, 2)).unwrap();
    writer.begin(&write_of(&table)).unwrap();
    writer.write(&batch()).unwrap();
    // The next attempt finds what was committed, and the earlier one commits nothing any more.
    let second = sink("csv", dir.path());
    let opened = second.open_ledger("job").unwrap();
    assert_eq!(opened.receipts, [receipt(&table, 2), receipt(&table, 10)]);
    match writer.commit(&receipt(&table, 0)) {
        Err(WriteFault::Job(error)) => assert_eq!(error.kind(), Kind::LeaseLost),
        other => panic!("{other:?}"),
    }
    drop(writer);
    second.forget(&opened.job, &[(table.name.clone(), 2)], &[]).unwrap();
    let mut writer = second.writer(&opened.job).unwrap();
    writer.begin(&write_of(&table)).unwrap();
    writer.write(&batch()).unwrap();
    writer.write(&batch()).unwrap();
    writer.commit(&receipt(&table, 3)).unwrap();
    drop(writer);
    second.execute(&statements.finish).unwrap();
    // A second time it is done already; another job's file is in the way.
    second.execute(&statements.finish).unwrap();
    let text = std::fs::read_to_string(dir.path().join("t.csv")).unwrap();
    assert_eq!(text.matches("infinity").count(), 2);
    second.close_ledger("job").unwrap();
    assert_eq!(names(dir.path()), ["t.csv"]);
    assert_eq!(second.catalog().unwrap().tables[0].name, table.name);
    second.open_ledger("other").unwrap();
    for blocked in [&statements.create, &statements.finish] {
        assert_eq!(second.execute(blocked).unwrap_err().kind(), Kind::DestinationExists);
    }
    second.execute(&statements.drop).unwrap();
    second.execute(&statements.create).unwrap();
}

#[test]
fn every_array_is_checked_before_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let sink = sink("csv", dir.path());
    let job = sink.open_ledger("job").unwrap().job;
    let mut writer = sink.writer(&job).unwrap();
    let mut write = write_of(&table("t"));
    write.cells[0].kind = ColumnType::Uuid;
    writer.begin(&write).unwrap();
    match writer.write(&batch()) {
        Err(WriteFault::Job(error)) => assert_eq!(error.kind(), Kind::Internal),
        other => panic!("{other:?}"),
    }
    let Rows::Batch(rows) = batch() else { return };
    assert_eq!(rows.column(5).null_count(), 1);
    assert!(writer.begin(&Write { meets: Meets::Merge, ..write }).is_err());
}
