//! Receipts of a large file's parts: what a killed job need not do again.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::endpoint::contract::Intake;
use crate::error::Result;
use crate::job::Job;
use crate::journal::keyed::Ledger;
use crate::journal::partial::{Begun, PartReceipt, Parts};
use crate::progress::Spent;

/// Time between two commits of receipts: each is a sync of the file and one of the journal, and a
/// kill costs at most the work since.
const COMMIT_EVERY: Duration = Duration::from_millis(1000);

/// The receipts of one file.
pub struct Receipts<'a> {
    /// Those of earlier attempts, by part.
    pub earlier: Parts,
    /// Whether the file is one of an earlier attempt.
    pub adopted: bool,
    ledger: &'a Ledger,
    path: &'a [u8],
    begun: Begun,
    /// Whether data is made durable before its receipt.
    durable: bool,
    state: Mutex<State>,
}

struct State {
    committed: HashSet<u64>,
    last: Instant,
}

impl<'a> Receipts<'a> {
    /// The receipts of the file that `begun` describes; `earlier` are those of the attempt that
    /// began it, where it is not new.
    #[must_use]
    pub fn new(
        ledger: &'a Ledger,
        path: &'a [u8],
        begun: Begun,
        earlier: Option<Parts>,
        durable: bool,
    ) -> Self {
        let adopted = earlier.is_some();
        let earlier = earlier.unwrap_or_default();
        let committed = earlier.iter().map(|(index, _)| *index).collect();
        let state = Mutex::new(State { committed, last: Instant::now() });
        Self { earlier, adopted, ledger, path, begun, durable, state }
    }

    /// Whether it is time to commit.
    #[must_use]
    pub fn are_due(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.last.elapsed() >= COMMIT_EVERY
    }

    /// Those of `done` that are not committed yet.
    #[must_use]
    pub fn fresh(&self, done: impl Iterator<Item = (u64, PartReceipt)>) -> Parts {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        done.filter(|(index, _)| !state.committed.contains(index)).collect()
    }

    /// Commits receipts, their data first.
    ///
    /// # Errors
    /// `DestinationWrite`, `StateDir`.
    pub fn commit(
        &self,
        job: &Job,
        intake: &dyn Intake,
        fresh: &[(u64, PartReceipt)],
    ) -> Result<()> {
        let commit = || {
            if self.durable {
                intake.sync()?;
            }
            self.ledger.commit_parts(self.path, &self.begun, fresh)
        };
        job.progress.timed(Spent::Sync, commit)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.committed.extend(fresh.iter().map(|(index, _)| *index));
        state.last = Instant::now();
        Ok(())
    }
}
