//! What ties an endpoint's requests to the job they are made for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::EngineError;
use crate::limits::HEDGE_SHARE;
use crate::model::leftover::Over;
use crate::remote::settings::{Patience, Tries, Waits};
use crate::resource::cancel::Switch;

/// What a job lends to the endpoints that it opens. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Ties {
    /// The job's name, which is in the names of its temporary things; empty where there is no job.
    pub job: Arc<str>,
    /// Stops and holds requests with the job.
    pub switch: Switch,
    /// What they cost.
    pub meter: Arc<Meter>,
    /// What they could not clear away.
    pub left: Arc<Left>,
    /// What they began and is over.
    pub over: Arc<Over>,
    /// Memory for data in flight, bytes; 0 where that is not known.
    pub memory_bytes: u64,
    /// Whether secrets may come from a program.
    pub allow_secret_command: bool,
    /// How long its requests wait.
    pub waits: Waits,
    /// How often they are repeated.
    pub tries: Tries,
    /// How long its databases may take.
    pub patience: Patience,
}

/// What the requests of a job cost. All only grow, but `in_flight` and `allowed`.
#[derive(Debug, Default)]
pub struct Meter {
    /// Requests sent, repetitions included.
    pub requests: AtomicU64,
    /// Those that were repetitions.
    pub retries: AtomicU64,
    /// Bytes of heads and bodies sent.
    pub bytes_sent: AtomicU64,
    /// Bytes of heads and bodies received.
    pub bytes_received: AtomicU64,
    /// Time waited for rates, retries and free slots, nanoseconds.
    pub throttled_ns: AtomicU64,
    /// Time from the request's first byte to the answer's head, nanoseconds.
    pub waited_ns: AtomicU64,
    /// Answers that asked for patience: 429, 503 and the like.
    pub slowed: AtomicU64,
    /// Requests on their way now.
    pub in_flight: AtomicU64,
    /// Requests that may be on their way at once to the endpoint asked last.
    pub allowed: AtomicU64,
    /// Answers taken from a cache.
    pub cache_hits: AtomicU64,
    /// Answers that no cache had.
    pub cache_misses: AtomicU64,
    /// Parts that were asked for a second time while the first was on its way.
    pub hedged: AtomicU64,
}

impl Meter {
    /// Whether one more part may be asked for a second time; it counts as asked for then.
    pub fn may_hedge(&self) -> bool {
        let (always, requests) = HEDGE_SHARE;
        let most = always + self.requests.load(Ordering::Relaxed) / requests;
        let more = |hedged: u64| (hedged < most).then_some(hedged + 1);
        self.hedged.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

/// What a job began in a service and did not clear away: its record must outlive it.
#[derive(Debug, Default)]
pub struct Left(Mutex<LeftState>);

#[derive(Debug, Default)]
struct LeftState {
    stays: bool,
    why: Vec<EngineError>,
}

impl Left {
    /// Failures that are kept to be told.
    const TOLD_MAX: usize = 16;

    /// Something stays for the next attempt.
    pub fn keep(&self) {
        self.state().stays = true;
    }

    /// Something stays that could not be cleared away, for this reason.
    pub fn add(&self, why: EngineError) {
        let mut state = self.state();
        state.stays = true;
        if state.why.len() < Self::TOLD_MAX {
            state.why.push(why);
        }
    }

    /// Nothing stays that should not, but something could not be seen to be well, for this reason.
    pub fn doubt(&self, why: EngineError) {
        let mut state = self.state();
        if state.why.len() < Self::TOLD_MAX {
            state.why.push(why);
        }
    }

    /// Whether anything stays, and the first reasons that are to be told.
    pub fn take(&self) -> (bool, Vec<EngineError>) {
        let LeftState { stays, why } = std::mem::take(&mut *self.state());
        (stays, why)
    }

    fn state(&self) -> MutexGuard<'_, LeftState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_small_share_of_all_requests_goes_twice() {
        let meter = Meter::default();
        let hedged = || (0..100).filter(|_| meter.may_hedge()).count();
        assert_eq!(hedged(), 4);
        meter.requests.store(1000, Ordering::Relaxed);
        assert_eq!(hedged(), 50);
    }
}
