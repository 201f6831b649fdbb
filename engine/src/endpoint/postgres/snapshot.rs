//! One instant of a database: a session holds it open, all others join it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::endpoint::postgres::config::Config;
use crate::endpoint::postgres::dialect::{Postgres, literal};
use crate::endpoint::postgres::error::{Done, Fault};
use crate::endpoint::postgres::reader::Reader;
use crate::endpoint::postgres::session::Session;
use crate::endpoint::postgres::{census, columns, source, split};
use crate::endpoint::rows::{Finding, Question, Snapshot, SpanReader, filter_check};
use crate::endpoint::sql::dialect::Dialect as _;
use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::{Table, TableName};
use crate::model::rows::Range;
use crate::remote::call::Side;

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// The log's place, beside the snapshot's own name. A standby has none of its own.
const PLACE: &str = "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() \
    THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END";
/// Connections that the server still has.
const FREE: &str = "SELECT current_setting('max_connections')::int \
    - current_setting('superuser_reserved_connections')::int \
    - (SELECT count(*)::int FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend')";

/// An instant. It lasts as long as the session that exported it.
#[derive(Debug)]
pub(super) struct Instant {
    pub(super) config: Arc<Config>,
    pub(super) dialect: Postgres,
    /// Runs nothing more: an error would end the instant.
    _exporter: Mutex<Session>,
    snapshot: String,
    identity: String,
    readers: usize,
    /// Sessions within the instant that are not in use.
    idle: Mutex<Vec<Session>>,
}

impl Instant {
    /// Takes the instant that is now.
    ///
    /// # Errors
    /// Those of connecting; `SnapshotRefused`.
    pub(super) fn new(config: &Arc<Config>, readers: usize) -> Result<Self> {
        let mut session =
            Session::open(config, true).map_err(|fault| source::unreached(fault, Side::Source))?;
        // Who may not ask for the place has a snapshot all the same.
        let place = session.query(PLACE).ok();
        let place = place.and_then(|rows| rows.first().map(|row| row.text(0)));
        let free = session.query(FREE).ok();
        let free = free.and_then(|rows| rows.first().and_then(|row| row.number::<usize>(0)));
        let mut export = || -> Done<String> {
            session.run(BEGIN)?;
            let rows = session.query("SELECT pg_catalog.pg_export_snapshot()")?;
            Ok(rows.first().map(|row| row.text(0)).unwrap_or_default())
        };
        let snapshot = export().map_err(|fault| match fault {
            Fault::Sql(error) => EngineError::new(
                Kind::SnapshotRefused,
                "the server gives no snapshot that several sessions can share",
            )
            .because(format!("SQLSTATE {}: {}", error.state, error.message), None),
            other => other.error(Side::Source, "failed to take a snapshot"),
        })?;
        let identity = match place.filter(|place| !place.is_empty()) {
            Some(place) => format!("{snapshot} {place}"),
            None => snapshot.clone(),
        };
        let readers = readers.min(free.unwrap_or(readers)).max(1);
        let dialect = Postgres { schema: config.schema.clone() };
        let (config, idle) = (Arc::clone(config), Mutex::default());
        let _exporter = Mutex::new(session);
        Ok(Self { config, dialect, _exporter, snapshot, identity, readers, idle })
    }

    /// A session within the instant.
    ///
    /// # Errors
    /// `SnapshotLost`; those of connecting.
    pub(super) fn session(&self) -> Result<Session> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(session) = idle {
            return Ok(session);
        }
        let mut session = Session::open(&self.config, true)
            .map_err(|fault| source::unreached(fault, Side::Source))?;
        let mut join = || -> Done<()> {
            session.run(BEGIN)?;
            session.run(&format!("SET TRANSACTION SNAPSHOT {}", literal(&self.snapshot)))?;
            Ok(())
        };
        join().map_err(|fault| match fault.state() {
            "" => fault.error(Side::Source, "failed to join the snapshot"),
            _ => fault_lost(fault),
        })?;
        Ok(session)
    }

    /// Runs something by a session of the instant, which is kept if nothing went wrong.
    pub(super) fn with<T>(
        &self,
        doing: &str,
        run: impl FnOnce(&mut Session) -> Done<T>,
    ) -> Result<T> {
        let mut session = self.session()?;
        let done = run(&mut session).map_err(|fault| fault.error(Side::Source, doing))?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        Ok(done)
    }

    /// A table as it stands in a query: its own rows, and those of its partitions.
    pub(super) fn from(&self, name: &TableName, partitioned: bool) -> Result<String> {
        let only = if partitioned { "" } else { "ONLY " };
        Ok(format!("{only}{}", self.dialect.quote_table(name)?))
    }
}

fn fault_lost(fault: Fault) -> EngineError {
    let error = fault.error(Side::Source, "the snapshot is gone");
    let cause = error.parts().cause.clone();
    let lost = EngineError::new(Kind::SnapshotLost, "the snapshot is gone");
    match cause {
        Some((cause, errno)) => lost.because(cause, errno),
        None => lost,
    }
}

/// A filter as a part of a condition. The line's end closes a comment in it.
pub(super) fn filtered(filter: &str) -> String {
    if filter.is_empty() { String::new() } else { format!(" WHERE ({filter}\n)") }
}

impl Snapshot for Instant {
    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn readers(&self) -> usize {
        self.readers
    }

    fn check(&self, table: &TableName, filter: &str) -> Result<()> {
        let from = self.from(table, true)?;
        self.with("failed to read the filter", |session| {
            session.parse(&filter_check(&from, filter))
        })
    }

    fn split(&self, table: &Table, filter: &str, rows: u64) -> Result<Vec<Range>> {
        split::split(self, table, filter, rows)
    }

    fn census(
        &self,
        table: &Table,
        filter: &str,
        questions: &[Question],
        _: usize,
    ) -> Result<Vec<Finding>> {
        census::census(self, table, filter, questions)
    }

    fn count(&self, table: &TableName, filter: &str) -> Result<u64> {
        self.with("failed to count the rows", |session| {
            let partitioned = columns::shape(session, &self.dialect, table)?.partitioned;
            let from = self.from(table, partitioned)?;
            let rows =
                session.query(&format!("SELECT count(*) FROM {from}{}", filtered(filter)))?;
            Ok(rows.first().and_then(|row| row.number(0)).unwrap_or(0))
        })
    }

    fn reader(&self) -> Result<Box<dyn SpanReader + '_>> {
        Ok(Box::new(Reader::new(self)?))
    }
}
