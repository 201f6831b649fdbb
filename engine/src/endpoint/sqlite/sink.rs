//! The database as a sink.

use rusqlite::Connection;

use crate::endpoint::rows::{
    Home, LedgerJob, NameRules, OpenedLedger, SpanReceipt, SpanWriter, Statements, TableSink,
    TableSource,
};
use crate::endpoint::sqlite::dialect::NAME_BYTES_MAX;
use crate::endpoint::sqlite::error::Side;
use crate::endpoint::sqlite::gate::Gate;
use crate::endpoint::sqlite::ledger::{self, SQL};
use crate::endpoint::sqlite::session::Place;
use crate::endpoint::sqlite::source::Source;
use crate::endpoint::sqlite::writer::Writer;
use crate::endpoint::sqlite::{catalog, plan, removal, types};
use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::{Catalog, Engine, Table, TableName};
use crate::model::kind::ColumnType;
use crate::model::location::Location;
use crate::model::rows::Range;
use crate::remote::ties::Ties;

/// A database that is written.
#[derive(Clone, Debug)]
pub struct Sink {
    place: Place,
    gate: Gate,
}

/// Opens a sink. The file is made when something is written into it first.
///
/// # Errors
/// Those of the location and of opening.
pub fn open(location: &Location, ties: &Ties) -> Result<Box<dyn TableSink>> {
    let place = Place::of(location, ties, Side::Sink)?;
    let failed = |error| place.error("failed to read the database", &error);
    place
        .look()?
        .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
        .map_err(failed)?;
    Ok(Box::new(Sink { place, gate: Gate::default() }))
}

impl Sink {
    /// Does something that writes, while nobody else of this process does.
    fn alone<T>(&self, body: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let _pass = self.gate.pass(&self.place.ties)?;
        body(&self.place.open()?)
    }

    fn run(&self, session: &Connection, statement: &str) -> Result<()> {
        if statement.starts_with(plan::FOREIGN_KEY_CHECK) {
            return self.check(session, statement);
        }
        ledger::run(&self.place, session, statement)
    }

    /// Each answer is a row that points nowhere.
    fn check(&self, session: &Connection, statement: &str) -> Result<()> {
        let failed = |error| self.place.error("failed to check foreign keys", &error);
        let mut statement = session.prepare(statement).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        let Some(row) = rows.next().map_err(failed)? else { return Ok(()) };
        let table: String = row.get(0).map_err(failed)?;
        let rowid: Option<i64> = row.get(1).map_err(failed)?;
        let parent: String = row.get(2).map_err(failed)?;
        let which = rowid.map_or(String::new(), |rowid| format!(" (rowid {rowid})"));
        let message = format!("a row{which} points to no row of {parent}");
        Err(EngineError::new(Kind::RowRefused, message).at(table))
    }
}

impl TableSink for Sink {
    fn engine(&self) -> Engine {
        Engine::Sqlite
    }

    fn catalog(&self) -> Result<Catalog> {
        let failed = |error| self.place.error("failed to read the catalogue", &error);
        catalog::read(&self.place.look()?, self.place.shown()).map_err(failed)
    }

    fn home(&self, kind: &ColumnType) -> Home {
        types::home(kind)
    }

    fn names(&self) -> NameRules {
        NameRules {
            most: NAME_BYTES_MAX,
            bytes: true,
            folds_case: true,
            folds_tables: true,
            schemas: false,
            indexes_share: true,
            plain: false,
            file_most: None,
            own: "sqlite_",
        }
    }

    fn statements(&self, table: &Table) -> Result<Statements> {
        plan::statements(table)
    }

    fn execute(&self, statements: &[String]) -> Result<()> {
        self.alone(|session| {
            ledger::transaction(&self.place, session, || {
                statements.iter().try_for_each(|sql| self.run(session, sql))
            })
        })
    }

    fn builders(&self) -> usize {
        1
    }

    fn open_ledger(&self, job: &str) -> Result<OpenedLedger> {
        self.alone(|session| ledger::open(&self.place, session, job))
    }

    fn note(&self, job: &LedgerJob, receipts: &[SpanReceipt]) -> Result<()> {
        self.alone(|session| {
            ledger::transaction(&self.place, session, || {
                ledger::fence(&self.place, session, job)?;
                receipts.iter().try_for_each(|receipt| {
                    ledger::run(&self.place, session, &SQL.record(job, receipt)?)
                })
            })
        })
    }

    fn unplan(&self, job: &LedgerJob, planned: &[SpanReceipt]) -> Result<()> {
        let Some(first) = planned.first() else { return Ok(()) };
        self.alone(|session| {
            ledger::transaction(&self.place, session, || {
                ledger::fence(&self.place, session, job)?;
                ledger::run(&self.place, session, &SQL.unplan(job, &first.table)?)
            })
        })
    }

    fn removal(&self, table: &Table, range: &Range) -> Result<String> {
        removal::statement(table, range)
    }

    fn forget(
        &self,
        job: &LedgerJob,
        spans: &[(TableName, u32)],
        statements: &[String],
    ) -> Result<()> {
        self.alone(|session| {
            ledger::transaction(&self.place, session, || {
                ledger::fence(&self.place, session, job)?;
                for (table, span) in spans {
                    ledger::run(&self.place, session, &SQL.forget(job, table, *span)?)?;
                }
                statements.iter().try_for_each(|sql| self.run(session, sql))
            })
        })
    }

    fn close_ledger(&self, job: &str) -> Result<()> {
        let failed = |error| self.place.error("failed to close the ledger", &error);
        self.alone(|session| {
            ledger::transaction(&self.place, session, || {
                for statement in SQL.create("TEXT", "TEXT")?.iter().chain(&SQL.close(job)?) {
                    ledger::run(&self.place, session, statement)?;
                }
                let left: i64 =
                    session.query_row(&SQL.count()?, [], |row| row.get(0)).map_err(failed)?;
                if left == 0 {
                    SQL.drop()?
                        .iter()
                        .try_for_each(|sql| ledger::run(&self.place, session, sql))?;
                }
                Ok(())
            })
        })
    }

    fn writer(&self, job: &LedgerJob) -> Result<Box<dyn SpanWriter + '_>> {
        Ok(Box::new(Writer::open(self.place.clone(), self.gate.clone(), job.clone())?))
    }

    fn as_source(&self) -> Result<Box<dyn TableSource>> {
        Ok(Box::new(Source::new(self.place.on(Side::Source))?))
    }
}
