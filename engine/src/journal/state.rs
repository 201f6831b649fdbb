//! The state directory: private, owned by this user, one folder for each kind of record.

use std::path::{Path, PathBuf};

use crate::error::{EngineError, Kind, Result};
use crate::journal::attempt::Attempt;
use crate::journal::report::Report;
use crate::model::leftover::Root;
use crate::platform::operator;

/// A usable state directory. Clones name the same one.
#[derive(Clone, Debug)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// Opens the directory, making it where it is absent.
    ///
    /// # Errors
    /// `StateDir` when it cannot be made, or belongs to somebody else.
    pub fn open(path: &Path) -> Result<Self> {
        for folder in ["attempts", "keys", "reports"] {
            let folder = path.join(folder);
            operator::make_dirs(folder.as_os_str().as_encoded_bytes(), 0o700)
                .map_err(|error| unusable(path, "mkdir", &error))?;
        }
        let dir = operator::open_dir(path.as_os_str().as_encoded_bytes())
            .and_then(|dir| dir.own_facts())
            .map_err(|errno| unusable(path, "open", &errno.into()))?;
        let own = rustix::process::geteuid().as_raw();
        if dir.attributes.uid != own {
            let message = format!("the state directory belongs to user {}", dir.attributes.uid);
            return Err(EngineError::new(Kind::StateDir, message));
        }
        Ok(Self(path.to_owned()))
    }

    /// Where attempts are recorded.
    #[must_use]
    pub fn attempts(&self) -> PathBuf {
        self.0.join("attempts")
    }

    /// Where the Python server records its sessions.
    #[must_use]
    pub fn python_sessions(&self) -> PathBuf {
        self.0.join("python").join("sessions")
    }

    /// Where keyed commands are recorded.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// The report of a job; its file is made once it is needed.
    #[must_use]
    pub fn report(&self, job: &str) -> Report {
        Report::new(self.0.join("reports").join(format!("{job}.jsonl")))
    }

    /// Where rejected rows of a job go, unless its command says.
    #[must_use]
    pub fn rejects_path(&self, job: &str) -> PathBuf {
        self.0.join("reports").join(format!("{job}-rejects.jsonl"))
    }

    /// A file without a name, in the state directory or, where there is none, where temporary files
    /// go.
    ///
    /// # Errors
    /// `StateDir` when it cannot be made.
    pub fn nameless(state: Option<&Self>) -> Result<std::fs::File> {
        let dir = state.map_or_else(std::env::temp_dir, |state| state.0.clone());
        operator::nameless(&dir).map_err(|error| unusable(&dir, "open", &error))
    }

    /// Records that a job writes beneath these roots.
    ///
    /// # Errors
    /// `StateDir` when the record cannot be written.
    pub fn begin_attempt(&self, job: &str, roots: &[Root]) -> Result<Attempt> {
        Attempt::begin(&self.attempts(), job, roots)
    }
}

/// An error about the state directory.
pub fn unusable(path: &Path, call: &'static str, error: &std::io::Error) -> EngineError {
    let message = format!("the state directory {} cannot be used", path.display());
    EngineError::new(Kind::StateDir, message).because(call, error.raw_os_error())
}

/// Takes the lock of an open record; false when another process, or another job, holds it.
///
/// # Errors
/// Whatever the system says.
pub fn lock(file: &std::fs::File) -> std::io::Result<bool> {
    match rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Takes the lock of a record just made: whoever holds it now only looks whether it is held.
///
/// # Errors
/// Whatever the system says.
pub fn lock_own(file: &std::fs::File) -> std::io::Result<()> {
    Ok(rustix::fs::flock(file, rustix::fs::FlockOperation::LockExclusive)?)
}
