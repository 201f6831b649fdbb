//! A database of a test's own, and short ways through it.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow_array::RecordBatch;
use migration_engine::endpoint::rows::{
    LedgerJob, Meets, Snapshot, SpanReceipt, SpanWriter, TableSink, TableSource, Write,
};
use migration_engine::endpoint::{Database, database};
use migration_engine::error::Result;
use migration_engine::model::catalog::{Table, TableName};
use migration_engine::model::location::Location;
use migration_engine::model::rows::{Cell, Misfit, Range, Read, Rows, Span, Tally};
use migration_engine::remote::ties::Ties;

/// The server of the tests: its URL up to the database's name.
pub fn server() -> String {
    let hint = "start the servers with scripts/services.sh up, and eval what its env prints";
    let url = std::env::var("TEST_PG_URL").unwrap_or_else(|_| panic!("no TEST_PG_URL: {hint}"));
    url.rsplit_once('/').unwrap().0.to_owned()
}

/// Runs SQL by `psql`; its lines.
pub fn psql(url: &str, sql: &str) -> String {
    let output = Command::new("psql")
        .args(["-XAtq", "-v", "ON_ERROR_STOP=1", url, "-c", sql])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{sql}: {error}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

pub fn location(url: &str) -> Location {
    Location::parse(url.as_bytes(), Vec::new()).unwrap()
}

fn scheme(location: &Location) -> &'static Database {
    database(location).unwrap()
}

pub fn open_source(location: &Location) -> Result<Box<dyn TableSource>> {
    (scheme(location).source)(location, &Ties::default())
}

pub fn open_sink(location: &Location) -> Result<Box<dyn TableSink>> {
    (scheme(location).sink)(location, &Ties::default())
}

/// A database, removed in the end.
pub struct Scratch {
    pub name: String,
    pub url: String,
}

impl Scratch {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mig_{}_{number}", std::process::id());
        psql(&format!("{}/postgres", server()), &format!("CREATE DATABASE {name}"));
        let url = format!("{}/{name}", server());
        Self { name, url }
    }

    /// With these statements run.
    pub fn with(sql: &str) -> Self {
        let scratch = Self::new();
        scratch.sql(sql);
        scratch
    }

    pub fn sql(&self, sql: &str) -> String {
        psql(&self.url, sql)
    }

    pub fn source(&self) -> Box<dyn TableSource> {
        open_source(&location(&self.url)).unwrap()
    }

    pub fn sink(&self) -> Box<dyn TableSink> {
        open_sink(&location(&self.url)).unwrap()
    }

    pub fn table(&self, name: &str) -> Table {
        let catalog = self.source().catalog().unwrap();
        let found = catalog.tables.into_iter().find(|table| table.name.name == name);
        found.unwrap_or_else(|| panic!("no table {name}"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let url = format!("{}/postgres", server());
        drop(Command::new("psql").args(["-XAtq", &url, "-c", &sql]).output());
    }
}

pub fn named(name: &str) -> TableName {
    TableName { schema: String::new(), name: name.to_owned() }
}

/// The columns of a table, as they are.
pub fn cells(table: &Table) -> Vec<Cell> {
    let written = table.columns.iter().filter(|column| column.generated.is_none());
    written
        .map(|column| Cell {
            name: column.name.clone(),
            kind: column.kind.clone(),
            misfit: Misfit::Fail,
        })
        .collect()
}

pub fn reading(table: &TableName, cells: Vec<Cell>) -> Read {
    Read {
        table: table.clone(),
        cells,
        filter: String::new(),
        batch_rows: 1000,
        batch_bytes: 1 << 20,
        row_bytes_max: 64 << 20,
    }
}

pub fn writing(table: &TableName, cells: Vec<Cell>) -> Write {
    Write {
        table: table.clone(),
        cells,
        key: Vec::new(),
        meets: Meets::Insert,
        overrides_identity: false,
        own: true,
    }
}

/// All rows of a range.
pub fn all(snapshot: &dyn Snapshot, read: &Read, range: &Range, native: bool) -> Vec<Rows> {
    let mut reader = snapshot.reader().unwrap();
    reader.begin(read, range).unwrap();
    let mut rows = Vec::new();
    while let Some(some) = reader.next(native).unwrap() {
        assert_eq!(matches!(some, Rows::Native(_)), native);
        rows.push(some);
    }
    assert!(reader.next(native).unwrap().is_none());
    rows
}

/// All rows of a table, as one batch after the other.
pub fn batches(snapshot: &dyn Snapshot, read: &Read) -> Vec<RecordBatch> {
    all(snapshot, read, &Range::Whole, false)
        .into_iter()
        .map(|rows| match rows {
            Rows::Batch(batch) => batch,
            Rows::Native(_) => panic!("frames"),
        })
        .collect()
}

/// How many rows these are.
pub fn count(rows: &[Rows]) -> usize {
    rows.iter().map(Rows::count).sum()
}

pub fn receipt(table: &TableName, number: u32, rows: u64) -> SpanReceipt {
    SpanReceipt {
        table: table.clone(),
        span: Span { number, range: Range::Whole },
        written: Tally { rows, changed: 0, digest: u128::from(rows) << 70 },
        rejected: 0,
        ..SpanReceipt::default()
    }
}

/// Writes rows as one span.
pub fn write_all(sink: &dyn TableSink, write: &Write, rows: &[Rows]) -> LedgerJob {
    let job = sink.open_ledger("job").unwrap().job;
    let mut writer = sink.writer(&job).unwrap();
    write_span(writer.as_mut(), write, rows, 0);
    job
}

pub fn write_span(writer: &mut dyn SpanWriter, write: &Write, rows: &[Rows], number: u32) {
    writer.begin(write).unwrap();
    rows.iter().for_each(|rows| writer.write(rows).unwrap());
    writer.commit(&receipt(&write.table, number, count(rows) as u64)).unwrap();
}
