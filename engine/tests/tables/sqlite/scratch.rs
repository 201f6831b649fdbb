//! A file of its own for each test, and what the tests ask of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use migration_engine::endpoint;
use migration_engine::endpoint::rows::{
    Meets, Snapshot, SpanReceipt, TableSink, TableSource, Write,
};
use migration_engine::model::catalog::{Table, TableName};
use migration_engine::model::kind::ColumnType;
use migration_engine::model::location::Location;
use migration_engine::model::rows::{Cell, Misfit, Range, Read, Rows, Span, Tally};
use migration_engine::remote::ties::Ties;
use rusqlite::Connection;
use tempfile::TempDir;

pub struct Place {
    pub _dir: TempDir,
    pub path: PathBuf,
}

impl Place {
    pub fn new(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        Self { _dir: dir, path }
    }

    pub fn with(sql: &str) -> Self {
        let place = Self::new("database");
        place.session().execute_batch(sql).unwrap();
        place
    }

    pub fn session(&self) -> Connection {
        Connection::open(&self.path).unwrap()
    }

    pub fn source(&self) -> Box<dyn TableSource> {
        source(&self.path).unwrap()
    }

    pub fn sink(&self) -> Box<dyn TableSink> {
        let location = location(&self.path);
        (endpoint::database(&location).unwrap().sink)(&location, &Ties::default()).unwrap()
    }

    pub fn table(&self, name: &str) -> Table {
        let catalog = self.source().catalog().unwrap();
        catalog.tables.into_iter().find(|table| table.name.name == name).unwrap()
    }
}

pub fn location(path: &Path) -> Location {
    Location::parse(format!("sqlite://{}", path.display()).as_bytes(), Vec::new()).unwrap()
}

pub fn source(path: &Path) -> migration_engine::error::Result<Box<dyn TableSource>> {
    let location = location(path);
    (endpoint::database(&location)?.source)(&location, &Ties::default())
}

pub fn named(name: &str) -> TableName {
    TableName { schema: String::new(), name: name.to_owned() }
}

pub fn cell(name: &str, kind: ColumnType, misfit: Misfit) -> Cell {
    Cell { name: name.to_owned(), kind, misfit }
}

pub fn read(table: &str, cells: Vec<Cell>) -> Read {
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
pub fn read_all(table: &Table) -> Read {
    let cells = table.columns.iter().filter(|column| column.generated.is_none());
    let cells = cells.map(|column| cell(&column.name, column.kind.clone(), Misfit::Fail));
    read(&table.name.name, cells.collect())
}

pub fn batches(snapshot: &dyn Snapshot, read: &Read, range: &Range) -> Vec<RecordBatch> {
    let mut reader = snapshot.reader().unwrap();
    reader.begin(read, range).unwrap();
    let mut all = Vec::new();
    while let Some(Rows::Batch(batch)) = reader.next(false).unwrap() {
        all.push(batch);
    }
    all
}

pub fn integers(batches: &[RecordBatch], column: usize) -> Vec<i64> {
    let values =
        |batch: &RecordBatch| batch.column(column).as_primitive::<Int64Type>().values().to_vec();
    batches.iter().flat_map(values).collect()
}

pub fn receipt(table: &str, number: u32, rows: u64) -> SpanReceipt {
    SpanReceipt {
        table: named(table),
        span: Span { number, range: Range::Whole },
        written: Tally { rows, ..Tally::default() },
        ..SpanReceipt::default()
    }
}

pub fn write_of(table: &Table, meets: Meets) -> Write {
    Write {
        table: table.name.clone(),
        cells: read_all(table).cells,
        key: table.primary_key.as_ref().map_or_else(Vec::new, |key| key.columns.clone()),
        meets,
        overrides_identity: false,
        own: true,
    }
}

/// Copies a table of one file to another, through everything that a copy uses.
pub fn copy(from: &Place, to: &Place, name: &str) {
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
pub fn dump(place: &Place, name: &str) -> Vec<String> {
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

pub fn two_rows() -> (Place, Table, RecordBatch) {
    let place = Place::with("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);");
    let table = place.table("t");
    let ids = arrow_array::Int64Array::from(vec![1, 2]);
    let texts = arrow_array::StringArray::from(vec!["a", "b"]);
    let batch =
        RecordBatch::try_from_iter([("id", Arc::new(ids) as _), ("v", Arc::new(texts) as _)])
            .unwrap();
    (place, table, batch)
}

pub fn count(place: &Place, sql: &str) -> i64 {
    place.session().query_row(sql, [], |row| row.get(0)).unwrap()
}
