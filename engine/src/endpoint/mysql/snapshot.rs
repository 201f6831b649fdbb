//! One instant over several sessions.
//!
//! The server has no way to share a snapshot, so all sessions begin theirs while nobody can write:
//! under `FLUSH TABLES WITH READ LOCK`, or under `LOCK TABLES` where the account may not do that. Where
//! it may do neither, there is one session. The lock lasts for as long as the sessions take to begin,
//! all of them connected before. A session that is lost cannot be begun anew within the instant, so
//! that there are more than are needed from the beginning.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::endpoint::rows::{Finding, Question, Snapshot, SpanReader, filter_check};
use crate::endpoint::sql::dialect::Dialect as _;
use crate::endpoint::sql::turn;
use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::{Table, TableName};
use crate::model::rows::Range;
use crate::remote::ties::Ties;

use super::catalog::own_name;
use super::config::Config;
use super::dialect::Mysql;
use super::error::Asked;
use super::facts::Facts;
use super::reader::Reader;
use super::session::{Role, Session};
use super::{census, split};

/// One session more than are needed for each so many readers.
const READERS_A_SPARE: usize = 4;
const BEGIN: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";

/// One instant.
pub(super) struct Instant {
    pub config: Arc<Config>,
    pub ties: Ties,
    identity: String,
    readers: usize,
    /// Sessions at rest.
    pool: Mutex<Vec<Session>>,
    /// The session for everything but reading spans; none where there is but one.
    control: Mutex<Option<Session>>,
}

impl Instant {
    /// Begins an instant.
    ///
    /// # Errors
    /// Those of connecting; `SnapshotRefused`.
    pub(super) fn open(config: &Arc<Config>, ties: &Ties, readers: usize) -> Result<Self> {
        let mut locker = Session::open(config, ties, Role::Define)?;
        let mut sessions = connect(config, ties, 1 + readers + readers.div_ceil(READERS_A_SPARE))?;
        // Whoever writes meanwhile waits behind it.
        locker.wait_for_locks(ties.patience.turn())?;
        let how = match turn::take(ties, || lock(&mut locker))? {
            Some(how) => how,
            None => {
                sessions.truncate(1);
                "the account may lock no tables: one reader"
            }
        };
        for session in &mut sessions {
            session.run(BEGIN).map_err(|fault| refused(fault.error))?;
        }
        let mut identity = position(&mut locker);
        locker.run("UNLOCK TABLES")?;
        identity.push(how.to_owned());
        identity.extend(outside(&mut locker)?);
        let (readers, control) = match sessions.len() {
            0 | 1 => (1, None),
            count => (readers.min(count - 1), sessions.pop()),
        };
        Ok(Self {
            config: Arc::clone(config),
            ties: ties.clone(),
            identity: identity.join("; "),
            readers,
            pool: Mutex::new(sessions),
            control: Mutex::new(control),
        })
    }

    fn pool(&self) -> MutexGuard<'_, Vec<Session>> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes back a session that a reader is done with.
    pub(super) fn give_back(&self, mut session: Session) {
        if session.is_open() && !session.is_lost() {
            self.interrupt(&mut session);
        }
        if !session.is_lost() && !session.is_open() {
            self.pool().push(session);
        }
    }

    /// Ends a result early, so that the session and its instant stay of use.
    pub(super) fn interrupt(&self, session: &mut Session) {
        if let Ok(mut other) = Session::open(&self.config, &self.ties, Role::Read) {
            let _ = other.run(&format!("KILL QUERY {}", session.server.id));
        }
        while session.is_open() && matches!(session.row(usize::MAX), Ok(Some(_))) {}
    }

    /// Works with a session that is no reader's.
    fn with<T>(&self, work: impl FnOnce(&mut Session) -> Result<T>) -> Result<T> {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let own = control.take().filter(|session| !session.is_lost() && !session.is_open());
        let held = own.is_some() || self.readers > 1;
        let spare = own.or_else(|| self.pool().pop());
        let Some(mut session) = spare else {
            let message = "the snapshot's only session is at work";
            return Err(EngineError::new(Kind::SnapshotRefused, message));
        };
        let worked = work(&mut session);
        if held {
            *control = Some(session);
        } else {
            self.give_back(session);
        }
        worked
    }
}

/// Connects as many sessions as the server lets in, two at least.
fn connect(config: &Config, ties: &Ties, count: usize) -> Result<Vec<Session>> {
    let mut sessions = Vec::with_capacity(count);
    for _ in 0..count {
        match Session::open(config, ties, Role::Read) {
            Ok(session) => sessions.push(session),
            Err(fault) if matches!(fault.number, 1040 | 1203 | 1226) && !sessions.is_empty() => {
                break;
            }
            Err(fault) => return Err(fault.error),
        }
    }
    Ok(sessions)
}

/// Keeps everybody from writing; how, or `None` where the account may not.
fn lock(session: &mut Session) -> Result<Option<&'static str>> {
    if granted(session.run("FLUSH TABLES WITH READ LOCK"))? {
        return Ok(Some("sessions begun under one global lock"));
    }
    let tables = session.lines(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() \
         AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')",
    )?;
    let names = tables.into_iter().flatten().flatten();
    let locked = |name: String| Ok(format!("{} READ", Mysql::NAMES.quote_table(&own_name(&name))?));
    let locked: Vec<String> = names.map(locked).collect::<Result<_>>()?;
    let statement = format!("LOCK TABLES {}", locked.join(", "));
    if !locked.is_empty() && granted(session.run(&statement))? {
        return Ok(Some("sessions begun under locks of all tables"));
    }
    Ok(None)
}

/// Whether a lock was given; an error where it is not the account's rights that stand against it.
fn granted<T>(asked: Asked<T>) -> Result<bool> {
    match asked {
        Ok(_) => Ok(true),
        Err(fault) if fault.error.kind() == Kind::DatabasePermission => Ok(false),
        Err(fault) => Err(refused(fault.error)),
    }
}

fn refused(error: EngineError) -> EngineError {
    if error.kind() != Kind::Deadlock && error.kind() != Kind::DatabaseRefused {
        return error;
    }
    EngineError::new(Kind::SnapshotRefused, "the server gives no snapshot over several sessions")
        .because(error.to_string(), None)
        .hint("a statement that runs long, or a transaction left open, keeps tables from being locked")
}

/// Where the server's log stands, as far as the account may know.
fn position(session: &mut Session) -> Vec<String> {
    let (gtid, logs) = if session.server.maria {
        ("SELECT @@global.gtid_binlog_pos", ["SHOW MASTER STATUS", "SHOW BINLOG STATUS"])
    } else {
        ("SELECT @@global.gtid_executed", ["SHOW BINARY LOG STATUS", "SHOW MASTER STATUS"])
    };
    let mut known = Vec::new();
    if let Ok(Some(gtid)) = session.value(gtid)
        && !gtid.is_empty()
    {
        known.push(format!("gtid {}", gtid.replace('\n', "")));
    }
    for show in logs {
        if let Ok(lines) = session.lines(show) {
            let line = lines.into_iter().next().unwrap_or_default();
            let mut parts = line.into_iter().flatten();
            if let (Some(file), Some(at)) = (parts.next(), parts.next()) {
                known.push(format!("binlog {file}:{at}"));
            }
            break;
        }
    }
    known
}

/// Tables whose engine knows no snapshots.
fn outside(session: &mut Session) -> Result<Option<String>> {
    let names = session.lines(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() \
         AND TABLE_TYPE = 'BASE TABLE' AND ENGINE NOT IN \
         (SELECT ENGINE FROM information_schema.ENGINES WHERE TRANSACTIONS = 'YES') ORDER BY 1",
    )?;
    let names: Vec<String> = names.into_iter().flatten().flatten().collect();
    let told = format!("without snapshots: {}", names.join(", "));
    Ok((!names.is_empty()).then_some(told))
}

impl Snapshot for Instant {
    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn readers(&self) -> usize {
        self.readers
    }

    fn check(&self, table: &TableName, filter: &str) -> Result<()> {
        let sql = filter_check(&Mysql::NAMES.quote_table(table)?, filter);
        self.with(|session| Ok(session.lines(&sql).map(|_| ())?))
            .map_err(|error| error.at(table.shown()))
    }

    fn split(&self, table: &Table, filter: &str, rows: u64) -> Result<Vec<Range>> {
        let Some(first) = table.primary_key.as_ref().and_then(|key| key.columns.first()) else {
            return Ok(vec![Range::Whole]);
        };
        self.with(|session| {
            let facts = Facts::of(session, &table.name)?;
            split::split(session, table, facts.column(first)?, filter, rows)
        })
        .map_err(|error| error.at(table.name.shown()))
    }

    fn census(
        &self,
        table: &Table,
        filter: &str,
        questions: &[Question],
        _: usize,
    ) -> Result<Vec<Finding>> {
        self.with(|session| census::census(session, table, filter, questions))
            .map_err(|error| error.at(table.name.shown()))
    }

    fn count(&self, table: &TableName, filter: &str) -> Result<u64> {
        let name = Mysql::NAMES.quote_table(table)?;
        let only = if filter.is_empty() { String::new() } else { format!(" WHERE ({filter})") };
        let counted =
            self.with(|session| Ok(session.value(&format!("SELECT COUNT(*) FROM {name}{only}"))?));
        let counted = counted.map_err(|error| error.at(table.shown()))?;
        counted.and_then(|count| count.parse().ok()).ok_or_else(|| {
            EngineError::new(Kind::RemoteAnswer, "a count is no number").at(table.shown())
        })
    }

    fn reader(&self) -> Result<Box<dyn SpanReader + '_>> {
        let session = self.pool().pop().ok_or_else(|| {
            let message = "no session of the snapshot is left";
            EngineError::new(Kind::SnapshotLost, message)
        })?;
        Ok(Box::new(Reader::new(self, session)))
    }
}
