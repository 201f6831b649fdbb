//! The job's ledger in the directory: a file with the epoch, whose lock is held by whoever changes
//! what counts, and a record for each span.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::OwnedFd;

use rustix::fs::FlockOperation;

use crate::endpoint::flat::store::Store;
use crate::endpoint::rows::{LedgerJob, OpenedLedger, SpanReceipt};
use crate::endpoint::sql::ledger::{receipt, told};
use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::TableName;

/// Names of a job's files.
#[derive(Clone, Debug)]
pub struct Names {
    /// What all begin with.
    pub prefix: String,
}

impl Names {
    /// The names of a job.
    #[must_use]
    pub fn of(job: &str) -> Self {
        let digest = blake3::hash(job.as_bytes()).to_hex();
        Self { prefix: format!(".mig-{}-", digest.get(..8).unwrap_or_default()) }
    }

    /// What the files of a table begin with.
    #[must_use]
    pub fn table(&self, table: &TableName) -> String {
        let digest = blake3::hash(table.shown().as_bytes()).to_hex();
        format!("{}{}-", self.prefix, digest.get(..16).unwrap_or_default())
    }

    /// The piece of a span.
    #[must_use]
    pub fn piece(&self, table: &TableName, span: u32) -> String {
        format!("{}{span:08}.part", self.table(table))
    }

    /// The record of a span.
    #[must_use]
    pub fn record(&self, table: &TableName, span: u32, planned: bool) -> String {
        let ending = if planned { "planned" } else { "receipt" };
        format!("{}{span:08}.{ending}", self.table(table))
    }

    fn ledger(&self) -> String {
        format!("{}ledger", self.prefix)
    }
}

/// The ledger, locked until it is dropped.
#[derive(Debug)]
pub struct Locked {
    file: File,
    /// The names of its job.
    pub names: Names,
}

/// Locks the ledger of a job; it is made where it is not there.
///
/// # Errors
/// Those of the system.
pub fn lock(store: &Store, job: &str) -> Result<Locked> {
    let names = Names::of(job);
    let name = names.ledger();
    let failed = |errno| Store::failed("failed to lock the ledger", name.as_bytes(), errno);
    let file: OwnedFd = store.dir.open_record(name.as_bytes(), Some(0o600)).map_err(failed)?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive).map_err(failed)?;
    Ok(Locked { file: File::from(file), names })
}

impl Locked {
    fn epoch(&mut self) -> Result<i64> {
        let mut text = String::new();
        let read =
            self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.read_to_string(&mut text));
        read.map_err(|error| self.failed(&error))?;
        // An empty one was made just now.
        Ok(text.trim().parse().unwrap_or(0))
    }

    fn failed(&self, error: &std::io::Error) -> EngineError {
        Store::failed_io("failed to use the ledger", self.names.ledger().as_bytes(), error)
    }

    /// Makes sure that no other attempt took over.
    ///
    /// # Errors
    /// `LeaseLost` where one did.
    pub fn fence(&mut self, job: &LedgerJob) -> Result<()> {
        if self.epoch()? == job.epoch {
            return Ok(());
        }
        Err(EngineError::new(Kind::LeaseLost, "another attempt of the job took over"))
    }

    /// Raises the epoch, and reads what is recorded.
    ///
    /// # Errors
    /// Those of the system; `JournalCorrupt`.
    pub fn open(&mut self, store: &Store, job: &str) -> Result<OpenedLedger> {
        let epoch = self.epoch()? + 1;
        // Always as long, so that a cut leaves the one number or the other.
        let written = self
            .file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.write_all(format!("{epoch:020}\n").as_bytes()))
            .and_then(|()| self.file.sync_all());
        written.map_err(|error| self.failed(&error))?;
        store.sync()?;
        let mut receipts = Vec::new();
        for name in store.names(&self.names.prefix)? {
            if name.ends_with(".receipt") || name.ends_with(".planned") {
                receipts.extend(store.small(&name)?.map(|text| receipt(&text)).transpose()?);
            }
        }
        Ok(OpenedLedger { job: LedgerJob { job: job.to_owned(), epoch }, receipts })
    }

    /// Records a span.
    ///
    /// # Errors
    /// Those of the system.
    pub fn record(&self, store: &Store, receipt: &SpanReceipt) -> Result<()> {
        let name = self.names.record(&receipt.table, receipt.span.number, receipt.planned);
        store.put_small(&self.names.table(&receipt.table), &name, &told(receipt)?)
    }

    /// Removes everything of the job's, the ledger last.
    ///
    /// # Errors
    /// Those of the system.
    pub fn close(self, store: &Store) -> Result<()> {
        let ledger = self.names.ledger();
        for name in store.names(&self.names.prefix)?.iter().filter(|name| **name != ledger) {
            store.remove(name.as_bytes())?;
        }
        store.remove(ledger.as_bytes())?;
        store.sync()
    }
}
