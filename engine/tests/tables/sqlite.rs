//! SQLite: what its files may hold, read and written, against files that the library's own SQL made.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use migration_engine::endpoint;
use migration_engine::endpoint::rows::{
    LedgerJob, LossClass, Meets, Question, Snapshot, SpanReceipt, TableSink, TableSource, Write,
    WriteFault,
};
use migration_engine::error::Kind;
use migration_engine::model::catalog::{Column, DefaultValue, Identity, Key, Table, TableName};
use migration_engine::model::kind::ColumnType;
use migration_engine::model::location::Location;
use migration_engine::model::rows::{Cell, Misfit, Range, Read, Rows, Span, Tally};
use migration_engine::remote::ties::Ties;
use rusqlite::Connection;
use tempfile::TempDir;

struct Place {
    _dir: TempDir,
    path: PathBuf,
}

impl Place {
    fn new(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        Self { _dir: dir, path }
    }

    fn with(sql: &str) -> Self {
        let place = Self::new("database");
        place.session().execute_batch(sql).unwrap();
        place
    }

    fn session(&self) -> Connection {
        Connection::open(&self.path).unwrap()
    }

    fn source(&self) -> Box<dyn TableSource> {
        source(&self.path).unwrap()
    }

    fn sink(&self) -> Box<dyn TableSink> {
        let location = location(&self.path);
        (endpoint::database(&location).unwrap().sink)(&location, &Ties::default()).unwrap()
    }

    fn table(&self, name: &str) -> Table {
        let catalog = self.source().catalog().unwrap();
        catalog.tables.into_iter().find(|table| table.name.name == name).unwrap()
    }
}

fn location(path: &Path) -> Location {
    Location::parse(format!("sqlite://{}", path.display()).as_bytes(), Vec::new()).unwrap()
}

fn source(path: &Path) -> migration_engine::error::Result<Box<dyn TableSource>> {
    let location = location(path);
    (endpoint::database(&location)?.source)(&location, &Ties::default())
}

fn named(name: &str) -> TableName {
    TableName { schema: String::new(), name: name.to_owned() }
}

fn cell(name: &str, kind: ColumnType, misfit: Misfit) -> Cell {
    Cell { name: name.to_owned(), kind, misfit }
}

fn read(table: &str, cells: Vec<Cell>) -> Read {
    Read {
        table: named(table),
        cells,
        filter: String::new(),
        batch_rows: 1000,
        batch_bytes: 1 << 20,
        row_bytes_max: 8 << 20,
    }
}

/// Every cell of a table as its own kind.
fn read_all(table: &Table) -> Read {
    let cells = table.columns.iter().filter(|column| column.generated.is_none());
    let cells = cells.map(|column| cell(&column.name, column.kind.clone(), Misfit::Fail));
    read(&table.name.name, cells.collect())
}

fn batches(snapshot: &dyn Snapshot, read: &Read, range: &Range) -> Vec<RecordBatch> {
    let mut reader = snapshot.reader().unwrap();
    reader.begin(read, range).unwrap();
    let mut all = Vec::new();
    while let Some(Rows::Batch(batch)) = reader.next(false).unwrap() {
        all.push(batch);
    }
    all
}

fn integers(batches: &[RecordBatch], column: usize) -> Vec<i64> {
    let values =
        |batch: &RecordBatch| batch.column(column).as_primitive::<Int64Type>().values().to_vec();
    batches.iter().flat_map(values).collect()
}

fn receipt(table: &str, number: u32, rows: u64) -> SpanReceipt {
    SpanReceipt {
        table: named(table),
        span: Span { number, range: Range::Whole },
        written: Tally { rows, ..Tally::default() },
        ..SpanReceipt::default()
    }
}

fn write_of(table: &Table, meets: Meets) -> Write {
    Write {
        table: table.name.clone(),
        cells: read_all(table).cells,
        key: table.primary_key.as_ref().map_or_else(Vec::new, |key| key.columns.clone()),
        meets,
        overrides_identity: false,
    }
}

/// Copies a table of one file to another, through everything that a copy uses.
fn copy(from: &Place, to: &Place, name: &str) {
    let table = from.table(name);
    let sink = to.sink();
    let mut made = table.clone();
    for column in &mut made.columns {
        column.kind = sink.home(&column.kind).kind;
    }
    let statements = sink.statements(&made).unwrap();
    sink.execute(&statements.create).unwrap();
    let opened = sink.open_ledger("copy").unwrap();
    let snapshot = from.source().snapshot(1).unwrap();
    let mut writer = sink.writer(&opened.job).unwrap();
    writer.begin(&write_of(&made, Meets::Insert)).unwrap();
    for batch in batches(&*snapshot, &read_all(&table), &Range::Whole) {
        writer.write(&Rows::Batch(batch)).unwrap();
    }
    writer.commit(&receipt(name, 0, 0)).unwrap();
    drop(writer);
    for more in statements.indexes.iter().chain(&statements.constraints) {
        sink.execute(std::slice::from_ref(&more.sql)).unwrap();
    }
    sink.execute(&statements.finish).unwrap();
    sink.close_ledger("copy").unwrap();
}

/// Everything of a table, with its classes, as the library's own SQL shows it.
fn dump(place: &Place, name: &str) -> Vec<String> {
    let session = place.session();
    let names: Vec<String> = place.table(name).columns.iter().map(|c| c.name.clone()).collect();
    let shown: Vec<String> = names
        .iter()
        .map(|name| {
            format!(
                "typeof(\"{name}\") || ':' || quote(\"{name}\")",
                name = name.replace('"', "\"\"")
            )
        })
        .collect();
    let sql =
        format!("SELECT {} FROM \"{}\"", shown.join(" || ' ' || "), name.replace('"', "\"\""));
    let mut statement = session.prepare(&sql).unwrap();
    let mut rows: Vec<String> =
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    rows.sort();
    rows
}

#[test]
fn columns_without_a_type_hold_every_class_exactly() {
    let from = Place::with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v);
         INSERT INTO t (v) VALUES (NULL), (0), (9223372036854775807), (-9223372036854775808), (1.5),
           (-0.0), (9e999), (-9e999), (5e-324), (1.7976931348623157e308), (''), ('12'), ('a' || char(0) || 'b'),
           ('grün \u{1f600}'), (x''), (x'00ff'), ('1.10');",
    );
    let to = Place::new("copy");
    copy(&from, &to, "t");
    assert_eq!(dump(&from, "t"), dump(&to, "t"));
    assert_eq!(to.table("t").columns[1].kind, ColumnType::Any);
}

#[test]
fn every_class_in_every_declared_type_is_carried_or_refused_with_its_key() {
    let kinds = [
        "INTEGER",
        "INT4",
        "REAL",
        "FLOAT4",
        "TEXT",
        "VARCHAR(3)",
        "BLOB",
        "NUMERIC",
        "DECIMAL(5,2)",
        "BOOLEAN",
        "DATE",
        "DATETIME",
        "TIMESTAMPTZ",
        "TIME",
        "DURATION",
        "JSON",
        "UUID",
        "YEAR",
        "",
    ];
    let values = [
        "1",
        "-1",
        "4294967296",
        "1.5",
        "'abc'",
        "'abcd'",
        "'2024-02-29'",
        "'2024-02-30'",
        "'2024-02-29 10:00:00'",
        "'2024-02-29T10:00:00Z'",
        "'10:00:00'",
        "'-838:59:59'",
        "x'00'",
        "CAST(x'ff' AS TEXT)",
        "'{\"a\": 1}'",
        "'00112233-4455-6677-8899-aabbccddeeff'",
        "1234.56",
    ];
    let mut sql = String::new();
    for (at, kind) in kinds.iter().enumerate() {
        sql += &format!("CREATE TABLE t{at} (id INTEGER PRIMARY KEY, v {kind});");
        for value in values {
            sql += &format!("INSERT INTO t{at} (v) VALUES ({value});");
        }
    }
    let place = Place::with(&sql);
    let snapshot = place.source().snapshot(1).unwrap();
    for (at, declared) in kinds.iter().enumerate() {
        let table = place.table(&format!("t{at}"));
        let kind = table.columns[1].kind.clone();
        let class = LossClass::NotDeclared(kind.clone());
        let question = Question { column: "v".to_owned(), class };
        let finding = snapshot.census(&table, "", &[question]).unwrap().remove(0);
        let refused = finding.rows;
        let reading = |misfit| {
            let cells = vec![
                cell("id", ColumnType::Int(64), Misfit::Fail),
                cell("v", kind.clone(), misfit),
            ];
            read(&table.name.name, cells)
        };
        let mut reader = snapshot.reader().unwrap();
        reader.begin(&reading(Misfit::Reject), &Range::Whole).unwrap();
        let mut kept = 0;
        while let Some(rows) = reader.next(false).unwrap() {
            kept += rows.count() as u64;
        }
        let rejected = reader.misfits().rejected;
        let keys: Vec<String> = rejected
            .iter()
            .map(|reject| String::from_utf8(reject.row[0].1.clone().unwrap()).unwrap())
            .collect();
        // JSON is only looked into by the census.
        if *declared != "JSON" {
            assert_eq!(
                (kept + refused, refused),
                (values.len() as u64, keys.len() as u64),
                "{declared}"
            );
            assert_eq!(
                keys.iter().take(10).cloned().collect::<Vec<_>>(),
                finding.samples,
                "{declared}"
            );
        }
        reader.begin(&reading(Misfit::Null), &Range::Whole).unwrap();
        let mut nulls = 0;
        while let Some(Rows::Batch(batch)) = reader.next(false).unwrap() {
            nulls += batch.column(1).null_count() as u64;
        }
        assert_eq!((nulls, reader.misfits().changed), (keys.len() as u64, keys.len() as u64));
        reader.begin(&reading(Misfit::Fail), &Range::Whole).unwrap();
        let failed = loop {
            match reader.next(false) {
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        match keys.first() {
            None => assert!(failed.is_none()),
            Some(key) => {
                let failed = failed.unwrap();
                assert_eq!(failed.kind(), Kind::ValueRefused);
                assert!(failed.to_string().contains(&format!("in the row {key}:")), "{failed}");
            }
        }
    }
}

#[test]
fn floats_keep_every_bit() {
    let place = Place::new("floats");
    let sink = place.sink();
    let column = |name: &str, kind: ColumnType| Column {
        name: name.to_owned(),
        kind,
        declared: String::new(),
        nullable: true,
        default: None,
        identity: None,
        generated: None,
        comment: String::new(),
    };
    let table = Table {
        name: named("f"),
        columns: vec![column("v", ColumnType::Float64)],
        ..Table::default()
    };
    sink.execute(&sink.statements(&table).unwrap().create).unwrap();
    let floats = [
        0.0,
        -0.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MIN_POSITIVE / 4.0,
        0.1,
        1e300,
        3.0,
    ];
    let array = arrow_array::Float64Array::from(floats.to_vec());
    let batch = RecordBatch::try_from_iter([("v", Arc::new(array) as _)]).unwrap();
    let job = sink.open_ledger("j").unwrap().job;
    let mut writer = sink.writer(&job).unwrap();
    writer.begin(&write_of(&table, Meets::Insert)).unwrap();
    writer.write(&Rows::Batch(batch)).unwrap();
    writer.commit(&receipt("f", 0, 9)).unwrap();
    drop(writer);
    let snapshot = sink.as_source().unwrap().snapshot(1).unwrap();
    let table = place.table("f");
    assert_eq!(table.columns[0].kind, ColumnType::Float64);
    let back = batches(&*snapshot, &read_all(&table), &Range::Whole);
    let back: Vec<u64> = back[0]
        .column(0)
        .as_primitive::<Float64Type>()
        .values()
        .iter()
        .map(|v| v.to_bits())
        .collect();
    assert_eq!(back, floats.map(f64::to_bits));
}

#[test]
fn decimals_are_never_binary() {
    let from = Place::with(
        "CREATE TABLE d (id INTEGER PRIMARY KEY, v DECIMAL_TEXT(20,2), w DECIMAL_TEXT);
         INSERT INTO d (v, w) VALUES ('19.99', '1.10'), ('123456789012345678.90', 'NaN'),
           ('-0.01', '123456789012345678901234567890.123456789');",
    );
    let to = Place::new("copy");
    copy(&from, &to, "d");
    assert_eq!(dump(&from, "d"), dump(&to, "d"));
    let session = to.session();
    let classes: i64 = session
        .query_row(
            "SELECT count(*) FROM d WHERE typeof(v) = 'text' AND typeof(w) = 'text'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(classes, 3);
    let place = Place::with(
        "CREATE TABLE d (id INTEGER PRIMARY KEY, v DECIMAL(10,2)); INSERT INTO d (v) VALUES (19.99), (5), (19.9);",
    );
    let snapshot = place.source().snapshot(1).unwrap();
    let back = batches(&*snapshot, &read_all(&place.table("d")), &Range::Whole);
    let texts: Vec<&str> = back[0].column(1).as_string::<i32>().iter().flatten().collect();
    assert_eq!(texts, ["19.99", "5.00", "19.90"]);
}

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
                session.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    std::thread::sleep(std::time::Duration::from_millis(2));
                    session
                        .execute_batch("BEGIN IMMEDIATE; UPDATE t SET v = v + 1; COMMIT")
                        .unwrap_or_default();
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

fn source_fails(path: &Path) -> Kind {
    source(path).err().unwrap().kind()
}

#[test]
fn hostile_names_stay_names() {
    let names =
        ["a\"b", "'; DROP TABLE x; --", "select", " ", "\u{1f600}", "a`b]c", "ROWID", "%s\\"];
    let mut sql = String::new();
    for name in names {
        let quoted = name.replace('"', "\"\"");
        sql += &format!(
            "CREATE TABLE \"{quoted}\" (\"{quoted}\" INTEGER PRIMARY KEY, \"x{quoted}\" TEXT DEFAULT '{}'); \
             INSERT INTO \"{quoted}\" VALUES (1, 'v'), (2, NULL); \
             CREATE INDEX \"i{quoted}\" ON \"{quoted}\" (\"x{quoted}\" DESC);",
            name.replace('\'', "''")
        );
    }
    let (from, to) = (Place::with(&sql), Place::new("a name?".trim_end_matches('?')));
    for name in names {
        copy(&from, &to, name);
        assert_eq!(dump(&from, name), dump(&to, name), "{name}");
        assert_eq!(from.table(name).indexes[0].columns, to.table(name).indexes[0].columns);
        assert_eq!(from.table(name).columns[1].default, to.table(name).columns[1].default);
    }
    assert_eq!(to.source().catalog().unwrap().tables.len(), names.len());
}

#[test]
fn the_catalogue_knows_everything() {
    let place = Place::with(
        "CREATE TABLE p (a INT, b TEXT COLLATE NOCASE, PRIMARY KEY (b, a)) WITHOUT ROWID;
         CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, n INTEGER NOT NULL DEFAULT -5 CHECK (n <> 0),
           d DECIMAL(8,3) DEFAULT 1.10, s TEXT UNIQUE DEFAULT 'it''s', g INTEGER AS (n * 2) STORED,
           pa INT, pb TEXT, at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
           CONSTRAINT big CHECK (n < 100), FOREIGN KEY (pb, pa) REFERENCES p (b, a) ON DELETE CASCADE);
         CREATE TABLE strict_one (a ANY, b INT) STRICT;
         CREATE UNIQUE INDEX part ON t (n) WHERE n > 5;
         CREATE INDEX expr ON t (lower(s));
         CREATE VIEW w AS SELECT 1;
         CREATE TRIGGER tr AFTER INSERT ON t BEGIN SELECT 1; END;
         INSERT INTO t (id, n) VALUES (41, 1); DELETE FROM t;",
    );
    let t = place.table("t");
    let kinds: Vec<_> = t.columns.iter().map(|column| column.kind.clone()).collect();
    assert_eq!(
        kinds[0..3],
        [ColumnType::Int(64), ColumnType::Int(64), ColumnType::Decimal(Some((8, 3)))]
    );
    assert_eq!(t.columns[0].identity, Some(Identity { always: false, next: Some(42), step: 1 }));
    assert_eq!(t.columns[1].default, Some(DefaultValue::Number("-5".to_owned())));
    assert_eq!(t.columns[3].default, Some(DefaultValue::Text("it's".to_owned())));
    assert_eq!(t.columns[4].generated.as_ref().unwrap().expression, "n * 2");
    assert_eq!(t.columns[7].default, Some(DefaultValue::Now(0)));
    let checks: Vec<_> =
        t.checks.iter().map(|c| (c.name.as_str(), c.expression.as_str())).collect();
    assert_eq!(checks, [("t_check1", "n <> 0"), ("big", "n < 100")]);
    assert_eq!(t.primary_key, Some(Key { name: String::new(), columns: vec!["id".to_owned()] }));
    let names: Vec<_> = t.indexes.iter().map(|index| (index.name.as_str(), index.unique)).collect();
    assert_eq!(names, [("t_s_key", true), ("part", true), ("expr", false)]);
    assert_eq!(t.indexes[1].predicate, "n > 5");
    assert_eq!(
        (t.foreign_keys[0].columns.len(), t.foreign_keys[0].to_columns[0].as_str()),
        (2, "b")
    );
    let p = place.table("p");
    assert_eq!(p.primary_key.unwrap().columns, ["b", "a"]);
    assert!(p.columns.iter().all(|column| !column.nullable && column.identity.is_none()));
    assert_eq!(place.table("strict_one").columns[0].kind, ColumnType::Any);
    let others = place.source().catalog().unwrap().others;
    assert_eq!(others.iter().map(|other| other.what).collect::<Vec<_>>(), ["trigger", "view"]);

    let to = Place::new("copy");
    place.session().execute_batch("DROP TRIGGER tr").unwrap();
    copy(&place, &to, "p");
    copy(&place, &to, "t");
    let copied = to.table("t");
    assert_eq!(
        (copied.checks, copied.columns[0].identity.clone()),
        (t.checks, t.columns[0].identity.clone())
    );
    assert_eq!(copied.columns[4].generated, t.columns[4].generated);
    assert_eq!(copied.indexes.len(), 3);
    assert_eq!(copied.foreign_keys, t.foreign_keys);
}

fn two_rows() -> (Place, Table, RecordBatch) {
    let place = Place::with("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);");
    let table = place.table("t");
    let ids = arrow_array::Int64Array::from(vec![1, 2]);
    let texts = arrow_array::StringArray::from(vec!["a", "b"]);
    let batch =
        RecordBatch::try_from_iter([("id", Arc::new(ids) as _), ("v", Arc::new(texts) as _)])
            .unwrap();
    (place, table, batch)
}

fn count(place: &Place, sql: &str) -> i64 {
    place.session().query_row(sql, [], |row| row.get(0)).unwrap()
}

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

#[test]
fn a_job_that_is_fenced_off_notes_nothing() {
    let (place, ..) = two_rows();
    let sink = place.sink();
    let old = LedgerJob { epoch: 0, ..sink.open_ledger("job").unwrap().job };
    assert_eq!(sink.note(&old, &[receipt("t", 0, 0)]).unwrap_err().kind(), Kind::LeaseLost);
}
