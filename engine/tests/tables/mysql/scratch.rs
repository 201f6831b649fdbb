//! A database of one test, and short ways to what tests do with it.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema};
use migration_engine::endpoint::rows::{
    LedgerJob, Meets, Snapshot, SpanReceipt, SpanWriter, TableSink, TableSource, Write,
};
use migration_engine::endpoint::{Database, database};
use migration_engine::model::catalog::{Table, TableName};
use migration_engine::model::kind::ColumnType;
use migration_engine::model::location::Location;
use migration_engine::model::rows::{Cell, Misfit, Range, Read, Rows, Span};
use migration_engine::remote::ties::Ties;

/// A database with a name of its own, removed at the end.
pub struct Scratch {
    base: String,
    pub name: String,
}

impl Scratch {
    pub fn new() -> Self {
        Self::at(&server("TEST_MARIA_URL"))
    }

    /// On every server there is: MariaDB, and MySQL where one runs.
    pub fn each() -> Vec<Self> {
        let mysql = std::env::var("TEST_MYSQL_URL").ok();
        std::iter::once(server("TEST_MARIA_URL")).chain(mysql).map(|url| Self::at(&url)).collect()
    }

    fn at(base: &str) -> Self {
        let mut bytes = [0u8; 8];
        std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom").unwrap(), &mut bytes)
            .unwrap();
        let name = format!("mig_test_{:016x}", u64::from_le_bytes(bytes));
        let scratch = Self { base: base.trim_end_matches('/').to_owned(), name };
        scratch.server(&[&format!("CREATE DATABASE {}", scratch.name)]);
        scratch
    }

    /// Statements outside of the database.
    pub fn server(&self, statements: &[&str]) {
        let sink = opened(&self.location("mysql"), |d, l, t| (d.sink)(l, t)).unwrap();
        sink.execute(&statements.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()).unwrap();
    }

    pub fn location(&self, database: &str) -> Location {
        Location::parse(format!("{}/{database}", self.base).as_bytes(), Vec::new()).unwrap()
    }

    /// The database by another account.
    pub fn account(&self, user: &str) -> Location {
        let (_, address) = self.base.rsplit_once('@').unwrap();
        let url = format!("mysql://{user}@{address}/{}", self.name);
        Location::parse(url.as_bytes(), Vec::new()).unwrap()
    }

    pub fn source(&self) -> Box<dyn TableSource> {
        opened(&self.location(&self.name), |d, l, t| (d.source)(l, t)).unwrap()
    }

    pub fn sink(&self) -> Box<dyn TableSink> {
        opened(&self.location(&self.name), |d, l, t| (d.sink)(l, t)).unwrap()
    }

    pub fn run(&self, statements: &[&str]) {
        let all: Vec<String> = statements.iter().map(|s| (*s).to_owned()).collect();
        self.sink().execute(&all).unwrap_or_else(|error| panic!("{error}: {statements:?}"));
    }

    pub fn table(&self, name: &str) -> Table {
        let catalog = self.source().catalog().unwrap();
        catalog.tables.into_iter().find(|table| table.name.name == name).unwrap()
    }

    /// Rows of a table that meet a condition, as the server counts them.
    pub fn count(&self, table: &str, filter: &str) -> u64 {
        self.source().snapshot(1).unwrap().count(&named(table), filter).unwrap()
    }

    /// A whole table.
    pub fn read(&self, table: &str, cells: &[Cell]) -> RecordBatch {
        let snapshot = self.source().snapshot(1).unwrap();
        let batches = read(snapshot.as_ref(), &reading(table, cells), &Range::Whole).unwrap();
        arrow_concat(&batches)
    }

    /// Writes batches as one span, and commits it.
    pub fn write(&self, write: &Write, batches: &[RecordBatch]) -> u64 {
        let sink = self.sink();
        let job = sink.open_ledger("job").unwrap().job;
        let mut writer = sink.writer(&job).unwrap();
        writer.begin(write).unwrap();
        for batch in batches {
            writer.write(&Rows::Batch(batch.clone())).unwrap();
        }
        writer.commit(&receipt(&write.table.name, 0)).unwrap();
        batches.iter().map(|batch| batch.num_rows() as u64).sum()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.server(&[&format!("DROP DATABASE {}", self.name)]);
        }
    }
}

fn server(name: &str) -> String {
    let hint = "start the servers with scripts/services.sh up, and eval what its env prints";
    std::env::var(name).unwrap_or_else(|_| panic!("no {name} in the environment: {hint}"))
}

pub fn opened<T>(
    location: &Location,
    open: impl FnOnce(&Database, &Location, &Ties) -> migration_engine::error::Result<T>,
) -> migration_engine::error::Result<T> {
    open(database(location).unwrap(), location, &Ties::default())
}

pub fn named(name: &str) -> TableName {
    TableName { schema: String::new(), name: name.to_owned() }
}

pub fn cell(name: &str, kind: ColumnType) -> Cell {
    Cell { name: name.to_owned(), kind, misfit: Misfit::Fail }
}

pub fn cells(table: &Table) -> Vec<Cell> {
    table.columns.iter().map(|column| cell(&column.name, column.kind.clone())).collect()
}

pub fn reading(table: &str, cells: &[Cell]) -> Read {
    Read {
        table: named(table),
        cells: cells.to_vec(),
        filter: String::new(),
        batch_rows: 1000,
        batch_bytes: 1 << 20,
        row_bytes_max: 128 << 20,
    }
}

pub fn writing(table: &str, cells: &[Cell], key: &[&str], meets: Meets) -> Write {
    Write {
        table: named(table),
        cells: cells.to_vec(),
        key: key.iter().map(|k| (*k).to_owned()).collect(),
        meets,
        overrides_identity: false,
        own: true,
    }
}

pub fn read(
    snapshot: &dyn Snapshot,
    read: &Read,
    range: &Range,
) -> migration_engine::error::Result<Vec<RecordBatch>> {
    let mut reader = snapshot.reader()?;
    reader.begin(read, range)?;
    let mut batches = Vec::new();
    while let Some(rows) = reader.next(false)? {
        let Rows::Batch(batch) = rows else { panic!("no batch") };
        batches.push(batch);
    }
    Ok(batches)
}

pub fn receipt(table: &str, number: u32) -> SpanReceipt {
    let span = Span { number, range: Range::Whole };
    SpanReceipt { table: named(table), span, ..SpanReceipt::default() }
}

/// One batch of columns.
pub fn batch(cells: &[Cell], columns: Vec<ArrayRef>) -> RecordBatch {
    let field = |cell: &Cell| Field::new(&cell.name, cell.kind.arrow(), true);
    let schema = Schema::new(cells.iter().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

/// Tests read little: what they compare is one batch.
fn arrow_concat(batches: &[RecordBatch]) -> RecordBatch {
    assert_eq!(batches.len(), 1, "a test's table is one batch");
    batches[0].clone()
}

/// Takes a job over, and begins a span.
pub fn begun<'a>(
    sink: &'a dyn TableSink,
    job: &LedgerJob,
    write: &Write,
) -> Box<dyn SpanWriter + 'a> {
    let mut writer = sink.writer(job).unwrap();
    writer.begin(write).unwrap();
    writer
}
