//! One instant for several sessions.
//!
//! A read transaction of SQLite's sees what was committed when it began. To begin several within one
//! instant, a session beside them asks for its data version (it changes with every commit of anybody
//! else's) before the first begins and after the last did: the same answer twice means that nobody
//! committed in between. Otherwise all begin anew. So nothing is locked and nothing written.
//!
//! Outside of WAL mode a reader keeps a commit from ending, and a commit that waits keeps readers from
//! beginning: a session that waited while another one reads would wait for itself. So none of them
//! waits; where one meets a lock, all end, and begin anew.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::ffi::ErrorCode;
use rusqlite::limits::Limit;

use crate::endpoint::rows::{Finding, Question, Snapshot, SpanReader, filter_check};
use crate::endpoint::sql::dialect::Dialect;
use crate::endpoint::sqlite::dialect::Sqlite;
use crate::endpoint::sqlite::reader::Reader;
use crate::endpoint::sqlite::session::Place;
use crate::endpoint::sqlite::{census, split};
use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::{Table, TableName};
use crate::model::rows::Range;

/// Time between two attempts at one instant.
const PAUSE: Duration = Duration::from_millis(5);

/// An instant.
#[derive(Debug)]
pub struct Instant {
    place: Place,
    readers: usize,
    /// Sessions that nobody uses, each in its read transaction; one more than there are readers.
    idle: Mutex<Vec<Connection>>,
}

impl Instant {
    /// Opens one.
    ///
    /// # Errors
    /// `SnapshotRefused` where others commit all the time, `Locked` where they keep it locked; those
    /// of opening.
    pub fn open(place: &Place, readers: usize) -> Result<Self> {
        let guard = place.open()?;
        let mut sessions: Vec<Connection> =
            (0..=readers).map(|_| place.open()).collect::<Result<_>>()?;
        let failed = |error: &rusqlite::Error| place.error("failed to begin the snapshot", error);
        for session in sessions.iter().chain([&guard]) {
            session.busy_timeout(Duration::ZERO).map_err(|error| failed(&error))?;
        }
        let since = std::time::Instant::now();
        loop {
            let met = begin(&guard, &sessions);
            match &met {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) if is_busy(error) => {}
                Err(error) => return Err(failed(error)),
            }
            for session in sessions.iter().filter(|session| !session.is_autocommit()) {
                session.execute_batch("ROLLBACK").map_err(|error| failed(&error))?;
            }
            if since.elapsed() >= place.ties.patience.lock {
                return Err(met.map_or_else(|error| failed(&error), |_| restless()));
            }
            place.ties.switch.sleep(PAUSE)?;
        }
        for session in &mut sessions {
            place.hook(session).map_err(|error| failed(&error))?;
        }
        Ok(Self { place: place.clone(), readers, idle: Mutex::new(sessions) })
    }

    fn take(&self) -> Result<Connection> {
        let session = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        session.ok_or_else(|| {
            EngineError::new(Kind::Internal, "more readers than the snapshot was opened for")
        })
    }

    /// As many sessions as there are readers, or those that are left.
    fn take_all(&self) -> Result<Vec<Connection>> {
        let mut sessions = vec![self.take()?];
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let more = self.readers.saturating_sub(1).min(idle.len());
        sessions.extend(idle.drain(..more));
        Ok(sessions)
    }

    /// Takes a session back.
    pub fn give(&self, session: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }

    fn with<T>(&self, use_it: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let session = self.take()?;
        let answer = use_it(&session);
        self.give(session);
        answer
    }
}

/// Begins all; whether nobody committed meanwhile.
fn begin(guard: &Connection, sessions: &[Connection]) -> rusqlite::Result<bool> {
    let before = version(guard)?;
    for session in sessions {
        // Reading anything begins the transaction in the file.
        session.execute_batch("BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1")?;
    }
    Ok(version(guard)? == before)
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn restless() -> EngineError {
    let message = "others commit without a pause: no two readers see the same instant";
    EngineError::new(Kind::SnapshotRefused, message)
        .hint("read with one reader, or while less is written")
}

fn version(session: &Connection) -> rusqlite::Result<i64> {
    session.query_row("PRAGMA data_version", [], |row| row.get(0))
}

impl Snapshot for Instant {
    /// Nothing tells one instant of a file from another.
    fn identity(&self) -> String {
        String::new()
    }

    fn readers(&self) -> usize {
        self.readers
    }

    fn check(&self, table: &TableName, filter: &str) -> Result<()> {
        let failed = |error| self.place.error("failed to read the filter", &error);
        let sql = filter_check(&Sqlite.quote(&table.name)?, filter);
        self.with(|session| session.prepare(&sql).map(|_| ()).map_err(failed))
    }

    fn split(&self, table: &Table, filter: &str, rows: u64) -> Result<Vec<Range>> {
        self.with(|session| split::cut(session, &self.place, &table.name.name, filter, rows))
    }

    fn census(
        &self,
        table: &Table,
        filter: &str,
        questions: &[Question],
        bytes_max: usize,
    ) -> Result<Vec<Finding>> {
        let mut sessions = self.take_all()?;
        // What is longer is not brought into memory.
        let most = i32::try_from(bytes_max).unwrap_or(i32::MAX);
        let limited = sessions
            .iter()
            .try_for_each(|session| session.set_limit(Limit::SQLITE_LIMIT_LENGTH, most).map(drop));
        limited.map_err(|error| self.place.error("failed to bound values", &error))?;
        let found = census::take(&mut sessions, &self.place, table, filter, questions);
        sessions.into_iter().for_each(|session| self.give(session));
        found
    }

    fn count(&self, table: &TableName, filter: &str) -> Result<u64> {
        let failed = |error| self.place.error("failed to count rows", &error);
        let (condition, _) = split::condition(&Range::Whole, filter)?;
        let sql = format!("SELECT count(*) FROM {}{condition}", Sqlite.quote(&table.name)?);
        self.with(|session| {
            let count: i64 = session.query_row(&sql, [], |row| row.get(0)).map_err(failed)?;
            Ok(u64::try_from(count).unwrap_or(0))
        })
    }

    fn reader(&self) -> Result<Box<dyn SpanReader + '_>> {
        Ok(Box::new(Reader::new(self, self.place.clone(), self.take()?)?))
    }
}
