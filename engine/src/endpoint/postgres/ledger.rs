//! The ledger in a database: opened, read, forgotten; and what became of a commit.

use std::time::{Duration, Instant};

use crate::endpoint::postgres::dialect::{Postgres, literal};
use crate::endpoint::postgres::error::{Done, Fault};
use crate::endpoint::postgres::session::Session;
use crate::endpoint::postgres::sink::Sink;
use crate::endpoint::rows::{LedgerJob, OpenedLedger, SpanReceipt};
use crate::endpoint::sql::dialect::Dialect as _;
use crate::endpoint::sql::ledger::{JOBS, LedgerSql, receipt};
use crate::error::{EngineError, Kind, Result};
use crate::limits::DATABASE_PROBE_MS;
use crate::model::catalog::TableName;
use crate::remote::call::Side;

/// Type of names in it: compared byte by byte.
const TEXT: &str = "varchar(128) COLLATE \"C\"";
/// Keeps two from making it at once.
const MAKING: &str = "SELECT pg_catalog.pg_advisory_xact_lock(5783294210017)";
/// Statements that are sent at once.
const AT_ONCE: usize = 200;
/// Wait between two tries to ask about a commit.
const AGAIN: Duration = Duration::from_millis(250);

fn sql(dialect: &Postgres) -> LedgerSql<'_, Postgres> {
    LedgerSql(dialect)
}

/// Runs one transaction.
fn within<T>(sink: &Sink, doing: &str, run: impl FnOnce(&mut Session) -> Done<T>) -> Result<T> {
    let mut session = sink.session()?;
    let all = || -> Done<T> {
        session.run("BEGIN ISOLATION LEVEL READ COMMITTED")?;
        let found = run(&mut session)?;
        session.run("COMMIT")?;
        Ok(found)
    };
    all().map_err(|fault| fault.error(Side::Destination, doing))
}

/// Opens the ledger and raises the job's epoch.
pub(super) fn open(sink: &Sink, job: &str) -> Result<OpenedLedger> {
    let ledger = sql(&sink.dialect);
    within(sink, "failed to open the ledger", |session| {
        session.query(MAKING)?;
        let schema = &sink.dialect.schema;
        let known =
            format!("SELECT FROM pg_catalog.pg_namespace WHERE nspname = {}", literal(schema));
        if session.query(&known)?.is_empty() {
            session.run(&format!("CREATE SCHEMA {}", sink.dialect.quote(schema)?))?;
        }
        if !is_there(session, &sink.dialect)? {
            for statement in ledger.create(TEXT, "text")? {
                session.run(&statement)?;
            }
        }
        let [update, insert] = ledger.raise(job)?;
        if session.run(&update)? == "UPDATE 0" {
            session.run(&insert)?;
        }
        let epoch = session.query(&ledger.epoch(job)?)?;
        let epoch = epoch.first().and_then(|row| row.number(0)).unwrap_or(0);
        let mut receipts = Vec::new();
        for row in session.query(&ledger.read(job)?)? {
            receipts.push(receipt(row.get(0).unwrap_or_default())?);
        }
        Ok(OpenedLedger { job: LedgerJob { job: job.to_owned(), epoch }, receipts })
    })
}

fn is_there(session: &mut Session, dialect: &Postgres) -> Done<bool> {
    let name = TableName { schema: String::new(), name: JOBS.to_owned() };
    let name = literal(&dialect.quote_table(&name)?);
    let rows = session.query(&format!("SELECT pg_catalog.to_regclass({name}) IS NOT NULL"))?;
    Ok(rows.first().is_some_and(|row| row.is(0)))
}

/// Refuses where another attempt has taken the job over.
fn fence(sink: &Sink, session: &mut Session, job: &LedgerJob) -> Done<()> {
    match session.query(&sql(&sink.dialect).fence(job)?)?.is_empty() {
        false => Ok(()),
        true => Err(lost().into()),
    }
}

/// The error of an attempt that another one has followed.
pub(super) fn lost() -> EngineError {
    EngineError::new(Kind::LeaseLost, "another attempt at this job writes to the database")
}

/// Adds receipts.
pub(super) fn note(sink: &Sink, job: &LedgerJob, receipts: &[SpanReceipt]) -> Result<()> {
    let ledger = sql(&sink.dialect);
    within(sink, "failed to write the ledger", |session| {
        fence(sink, session, job)?;
        for some in receipts.chunks(AT_ONCE) {
            let mut statements = Vec::new();
            for receipt in some {
                statements.push(format!(
                    "{} ON CONFLICT (job, table_id, span) DO UPDATE SET about = EXCLUDED.about",
                    ledger.record(job, receipt)?
                ));
            }
            session.run(&statements.join("; "))?;
        }
        Ok(())
    })
}

/// Forgets spans with whatever else is done.
pub(super) fn forget(
    sink: &Sink,
    job: &LedgerJob,
    spans: &[(TableName, u32)],
    statements: &[String],
) -> Result<()> {
    within(sink, "failed to write the ledger", |session| {
        fence(sink, session, job)?;
        for statement in statements {
            session.run(statement)?;
        }
        for some in spans.chunks(AT_ONCE) {
            let mut statements = Vec::new();
            for (table, span) in some {
                statements.push(sql(&sink.dialect).forget(job, table, *span)?);
            }
            session.run(&statements.join("; "))?;
        }
        Ok(())
    })
}

/// Takes back what is planned of a table.
pub(super) fn unplan(sink: &Sink, job: &LedgerJob, planned: &[SpanReceipt]) -> Result<()> {
    let Some(first) = planned.first() else { return Ok(()) };
    within(sink, "failed to write the ledger", |session| {
        fence(sink, session, job)?;
        session.run(&sql(&sink.dialect).unplan(job, &first.table)?)?;
        Ok(())
    })
}

/// Forgets a job, and removes the ledger once no job is left.
pub(super) fn close(sink: &Sink, job: &str) -> Result<()> {
    let ledger = sql(&sink.dialect);
    within(sink, "failed to close the ledger", |session| {
        session.query(MAKING)?;
        if !is_there(session, &sink.dialect)? {
            return Ok(());
        }
        for statement in ledger.close(job)? {
            session.run(&statement)?;
        }
        let left = session.query(&ledger.count()?)?;
        if left.first().and_then(|row| row.number::<u64>(0)) == Some(0) {
            for statement in ledger.drop()? {
                session.run(&statement)?;
            }
        }
        Ok(())
    })
}

/// What the ledger says of a span, once no earlier commit of this job is under way any more: the
/// job's row is held shared by every transaction that has recorded a span.
fn ask(sink: &Sink, job: &LedgerJob, receipt_of: &SpanReceipt) -> Result<Option<SpanReceipt>> {
    let ledger = sql(&sink.dialect);
    within(sink, "failed to ask what became of a commit", |session| {
        session.run(&format!("SET LOCAL lock_timeout = {DATABASE_PROBE_MS}"))?;
        session.query(&format!("{} FOR UPDATE", ledger.epoch(&job.job)?))?;
        let rows = session.query(&ledger.find(job, receipt_of)?)?;
        let found = rows.first().map(|row| receipt(row.get(0).unwrap_or_default()));
        Ok(found.transpose()?)
    })
}

/// As [`ask`], again and again while the server cannot be reached.
pub(super) fn probe(
    sink: &Sink,
    job: &LedgerJob,
    receipt: &SpanReceipt,
) -> Result<Option<SpanReceipt>> {
    let start = Instant::now();
    loop {
        let error = match ask(sink, job, receipt) {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        let passes = matches!(error.kind(), Kind::RemoteUnavailable | Kind::RemoteTimeout);
        if !passes || start.elapsed() >= Duration::from_millis(DATABASE_PROBE_MS) {
            return Err(error);
        }
        std::thread::sleep(AGAIN);
    }
}

/// Records a span within the transaction that wrote it, under the job's epoch.
pub(super) fn record(
    sink: &Sink,
    session: &mut Session,
    job: &LedgerJob,
    receipt: &SpanReceipt,
) -> Done<()> {
    let ledger = sql(&sink.dialect);
    session.ask(&format!("{}; {}", ledger.fence(job)?, ledger.record(job, receipt)?))?;
    let (rows, _) = session.answer()?;
    if rows.is_empty() { Err(Fault::Engine(lost())) } else { Ok(()) }
}
