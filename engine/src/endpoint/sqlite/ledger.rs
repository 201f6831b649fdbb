//! The ledger's statements over a session.

use rusqlite::{Connection, OptionalExtension};

use crate::endpoint::rows::{LedgerJob, OpenedLedger, SpanReceipt};
use crate::endpoint::sql::ledger::{self, LedgerSql};
use crate::endpoint::sqlite::dialect::Sqlite;
use crate::endpoint::sqlite::session::Place;
use crate::error::{EngineError, Kind, Result};

/// The statements.
pub const SQL: LedgerSql<'static, Sqlite> = LedgerSql(&Sqlite);

/// A session within which everything is one transaction that locks the file at its beginning.
pub fn transaction<T>(
    place: &Place,
    session: &Connection,
    body: impl FnOnce() -> Result<T>,
) -> Result<T> {
    run(place, session, "BEGIN IMMEDIATE")?;
    match body().and_then(|value| run(place, session, "COMMIT").map(|()| value)) {
        Ok(value) => Ok(value),
        Err(error) => {
            // A transaction that the library ended by itself is gone already.
            let _ = session.execute_batch("ROLLBACK");
            Err(error)
        }
    }
}

/// Runs statements.
///
/// # Errors
/// Those of the library.
pub fn run(place: &Place, session: &Connection, sql: &str) -> Result<()> {
    let failed = |error| place.error("the database refused a statement", &error);
    session.execute_batch(sql).map_err(failed)
}

/// Opens the ledger for a job: its epoch rises.
///
/// # Errors
/// Those of the library.
pub fn open(place: &Place, session: &Connection, job: &str) -> Result<OpenedLedger> {
    let failed = |error| place.error("failed to open the ledger", &error);
    transaction(place, session, || {
        for statement in SQL.create("TEXT", "TEXT")? {
            run(place, session, &statement)?;
        }
        let [raise, begin] = SQL.raise(job)?;
        if session.execute(&raise, []).map_err(failed)? == 0 {
            run(place, session, &begin)?;
        }
        let epoch = session.query_row(&SQL.epoch(job)?, [], |row| row.get(0)).map_err(failed)?;
        let mut statement = session.prepare(&SQL.read(job)?).map_err(failed)?;
        let texts = statement.query_map([], |row| row.get::<_, String>(0)).map_err(failed)?;
        let receipts = texts.map(|text| ledger::receipt(&text.map_err(failed)?));
        let receipts = receipts.collect::<Result<_>>()?;
        Ok(OpenedLedger { job: LedgerJob { job: job.to_owned(), epoch }, receipts })
    })
}

/// Makes sure that no other attempt took over. Within a transaction that writes, nobody can after it.
///
/// # Errors
/// `LeaseLost` where one did.
pub fn fence(place: &Place, session: &Connection, job: &LedgerJob) -> Result<()> {
    let failed = |error| place.error("failed to read the ledger", &error);
    let held = session.query_row(&SQL.fence(job)?, [], |_| Ok(())).optional();
    match held.map_err(failed)? {
        Some(()) => Ok(()),
        None => Err(EngineError::new(Kind::LeaseLost, "another attempt of the job took over")),
    }
}

/// Whether a span is recorded as written.
///
/// # Errors
/// Those of the library.
pub fn has(
    place: &Place,
    session: &Connection,
    job: &LedgerJob,
    receipt: &SpanReceipt,
) -> Result<bool> {
    let failed = |error| place.error("failed to read the ledger", &error);
    let found = session.query_row(&SQL.find(job, receipt)?, [], |_| Ok(())).optional();
    found.map(|found| found.is_some()).map_err(failed)
}
