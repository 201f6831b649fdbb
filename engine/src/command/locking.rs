//! `lock` and `lock_timeout`: whether a command holds the lease on its destination.

use std::time::Duration;

use migration_protocol::vocabulary::{Lock, Millis};

use crate::endpoint::contract::ObjectSink;
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::limits::LOCK_TIMEOUT_MS;
use crate::model::item::ItemKind;
use crate::pipeline::copy;
use crate::pipeline::lease::{Lease, Timings, Wish};
use crate::platform::host;

/// What a command says about the lease.
#[derive(Clone, Copy, Debug)]
pub struct Locking {
    lock: Lock,
    /// Whether the command says so itself, and does not only imply it.
    asked: bool,
    patience: Duration,
}

impl Locking {
    /// From its fields; where they say nothing, `implied` holds.
    ///
    /// # Errors
    /// `InvalidField` for a time-out that nothing waits for.
    pub fn new(lock: Option<Lock>, timeout: Option<Millis>, implied: Lock) -> Result<Self> {
        let chosen = lock.unwrap_or(implied);
        if timeout.is_some() && chosen != Lock::Wait {
            let message = "only lock wait has a time-out";
            return Err(EngineError::new(Kind::InvalidField, message).field("lock_timeout"));
        }
        let patience = Duration::from_millis(timeout.map_or(LOCK_TIMEOUT_MS, |time| time.0));
        Ok(Self { lock: chosen, asked: lock.is_some(), patience })
    }

    /// Takes the lease on the sink's root, where it is wanted.
    ///
    /// # Errors
    /// `Locked`, `Cancelled`, `Unsupported` where the sink has no leases, `InvalidField` where
    /// the copy is no directory.
    pub fn take(&self, job: &Job, sink: &dyn ObjectSink, kind: ItemKind) -> Result<Option<Lease>> {
        if self.lock == Lock::None || (kind != ItemKind::Directory && !self.asked) {
            return Ok(None);
        }
        if kind != ItemKind::Directory {
            let message = "a lease is held on a directory, and the source is none";
            return Err(EngineError::new(Kind::InvalidField, message)
                .field("lock")
                .hint("leave lock out: one item is published in one step"));
        }
        if !sink.caps().leases {
            let message = "the destination has no leases";
            return Err(EngineError::new(Kind::Unsupported, message).field("lock"));
        }
        let cell = sink.lease(&copy::root(job, sink)?)?;
        job.progress.set_phase("lock");
        let wish = Wish {
            job: &job.name,
            holder: host::myself(),
            timings: Timings::default(),
            patience: (self.lock == Lock::Wait).then_some(self.patience),
            switch: &job.switch,
        };
        wish.take(cell).map(Some)
    }
}
