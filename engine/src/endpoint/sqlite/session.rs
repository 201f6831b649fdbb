//! Opening the file: flags, and what every session says first.

use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::endpoint::sqlite::error::{Side, convert};
use crate::error::{EngineError, Kind, Result};
use crate::model::location::Location;
use crate::platform::operator;
use crate::remote::ties::Ties;

/// Instructions of the library's machine between two looks at the job's switch.
const STEPS_BETWEEN_LOOKS: i32 = 100_000;
/// Longest wait between two attempts at a lock.
const BUSY_LONGEST: Duration = Duration::from_millis(100);
/// Pages that a session keeps in memory, KiB.
const CACHE_KIB: i32 = 8 << 10;

/// Opens sessions of one file.
#[derive(Clone, Debug)]
pub struct Place {
    /// The absolute path: one that begins with `/` is neither a URI nor `:memory:`.
    path: Vec<u8>,
    /// The job.
    pub ties: Ties,
    /// What the sessions do.
    pub side: Side,
}

impl Place {
    /// The place of a location.
    ///
    /// # Errors
    /// `InvalidField` for a path with parameters, and for secrets: there is nothing to log in to.
    pub fn of(location: &Location, ties: &Ties, side: Side) -> Result<Self> {
        let invalid = |why: &str| Err(EngineError::new(Kind::InvalidField, why));
        if location.path.is_empty() || location.path.ends_with(b"/") {
            return invalid("a sqlite location names a file: sqlite://relative/path");
        }
        if location.path.contains(&b'?') {
            return invalid("sqlite locations take no parameters");
        }
        if !location.auth.is_empty() {
            return invalid("sqlite locations take no auth");
        }
        Ok(Self { path: operator::absolute(&location.path), ties: ties.clone(), side })
    }

    /// The same file on the other side.
    #[must_use]
    pub fn on(&self, side: Side) -> Self {
        Self { side, ..self.clone() }
    }

    /// The path for people.
    #[must_use]
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }

    /// An error of the library's as one of the engine's.
    #[must_use]
    pub fn error(&self, doing: &str, error: &rusqlite::Error) -> EngineError {
        if self.ties.switch.is_cancelled() {
            return EngineError::cancelled();
        }
        convert(self.side, doing, error)
    }

    /// Opens a session.
    ///
    /// # Errors
    /// `DatabaseNotFound`, rights; `Locked` where others keep it so for too long.
    pub fn open(&self) -> Result<Connection> {
        self.opened().map_err(|error| self.error("failed to open the database", &error))
    }

    /// Opens a session that looks at what is there: an empty database where no file stands, which
    /// is not made.
    ///
    /// # Errors
    /// As [`Place::open`].
    pub fn look(&self) -> Result<Connection> {
        if self.side == Side::Source || operator::stands(&self.path) {
            return self.open();
        }
        Connection::open_in_memory()
            .map_err(|error| self.error("failed to open the database", &error))
    }

    fn opened(&self) -> rusqlite::Result<Connection> {
        let flags = match self.side {
            Side::Source => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Side::Sink => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        };
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut session = Connection::open_with_flags(operator::path(&self.path), flags)?;
        self.hook(&mut session)?;
        // Text in double quotes is a name and nothing else; what a schema holds is not trusted.
        for (setting, on) in [
            (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
            (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
            (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
            (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
            (DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, self.side == Side::Source),
        ] {
            session.set_db_config(setting, on)?;
        }
        session.pragma_update(None, "cell_size_check", true)?;
        session.pragma_update(None, "mmap_size", 0)?;
        session.pragma_update(None, "cache_size", -CACHE_KIB)?;
        // Rows come in any order; what points nowhere is looked for at the end. Of tables that stood
        // before, a writer has it looked at.
        session.pragma_update(None, "foreign_keys", false)?;
        match self.side {
            Side::Source => session.pragma_update(None, "query_only", true)?,
            Side::Sink => session.pragma_update(None, "synchronous", "FULL")?,
        }
        Ok(session)
    }

    /// Waits for locks, and long statements, end with the job.
    pub fn hook(&self, session: &mut Connection) -> rusqlite::Result<()> {
        let (switch, most) = (self.ties.switch.clone(), self.ties.patience.lock);
        let mut since = Instant::now();
        let busy = move |times: i32| {
            if times == 0 {
                since = Instant::now();
            }
            let wait = Duration::from_millis(1 << times.clamp(0, 7)).min(BUSY_LONGEST);
            since.elapsed() < most && switch.sleep(wait).is_ok()
        };
        session.busy_handler(Some(busy))?;
        let switch = self.ties.switch.clone();
        session.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || switch.is_cancelled()))
    }
}
