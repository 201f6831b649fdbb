//! Counters of a job, cheap enough for every chunk; nothing here knows how they are shown.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::{ACTIVE_BYTES_MIN, ACTIVE_SHOWN};

/// What worker time is spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// Opening and reading sources.
    SourceRead,
    /// Digests.
    Hash,
    /// Compression and decompression.
    Compress,
    /// Waiting for limits.
    Throttle,
    /// Creating, writing and publishing destinations.
    DestinationWrite,
    /// Waiting for the device to hold it.
    Sync,
}

/// Number of [`Spent`] variants.
const SPENT: usize = 6;

/// A job's counters. All totals only grow.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes of content handled, those of items that fail later included.
    pub bytes_done: AtomicU64,
    /// Bytes found by the survey.
    pub bytes_total: AtomicU64,
    /// Items found by the survey.
    pub items_total: AtomicU64,
    /// Bytes of items done.
    pub bytes_ok: AtomicU64,
    /// Items done.
    pub items_ok: AtomicU64,
    /// Items failed.
    pub items_failed: AtomicU64,
    /// Items left alone by rule.
    pub items_skipped: AtomicU64,
    /// Bytes of items left alone by rule.
    pub bytes_skipped: AtomicU64,
    /// Items written where nothing stood.
    pub items_new: AtomicU64,
    /// Rows committed.
    pub rows: AtomicU64,
    /// Rows rejected.
    pub rows_rejected: AtomicU64,
    /// Attempts repeated.
    pub retries: AtomicU64,
    /// Whether rows wait for the replicas of their target.
    pub lagging: AtomicBool,
    /// Whether totals are final.
    pub surveyed: AtomicBool,
    /// Bytes in `bytes_done` that will be handled again, after a source changed.
    pub bytes_redone: AtomicU64,
    spent_ns: [AtomicU64; SPENT],
    phase: Mutex<&'static str>,
    active: Mutex<BTreeMap<u64, Arc<Active>>>,
    next_active: AtomicU64,
}

/// An item in hand.
#[derive(Debug)]
pub struct Active {
    /// Its name.
    pub path: Vec<u8>,
    /// Its size.
    pub bytes_total: u64,
    /// Bytes done.
    pub bytes_done: AtomicU64,
}

/// An entry in the list of items in hand; dropping it takes the item off.
#[derive(Debug)]
pub struct Shown<'a> {
    key: u64,
    active: Arc<Active>,
    progress: &'a Progress,
}

impl Shown<'_> {
    /// Counts bytes of this item.
    pub fn add(&self, bytes: u64) {
        self.active.bytes_done.fetch_add(bytes, Relaxed);
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.progress.active.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// Counts bytes or items; the value is only ever read for show and for the final result, which is
/// built after the workers were joined.
pub fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Relaxed);
}

impl Progress {
    /// Adds worker time to a cause.
    pub fn spend(&self, on: Spent, time: Duration) {
        if let Some(slot) = self.spent_ns.get(on as usize) {
            slot.fetch_add(time.as_nanos() as u64, Relaxed);
        }
    }

    /// Runs `work` and adds its time to a cause.
    pub fn timed<T>(&self, on: Spent, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let out = work();
        self.spend(on, start.elapsed());
        out
    }

    /// Worker time spent on a cause so far.
    #[must_use]
    pub fn spent(&self, on: Spent) -> Duration {
        let nanos = self.spent_ns.get(on as usize).map_or(0, |slot| slot.load(Relaxed));
        Duration::from_nanos(nanos)
    }

    /// Names what the job is doing now.
    pub fn set_phase(&self, phase: &'static str) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    /// What the job is doing now.
    #[must_use]
    pub fn phase(&self) -> &'static str {
        let phase = *self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        if phase.is_empty() { "survey" } else { phase }
    }

    /// Puts a large item on the list of those in hand.
    #[must_use]
    pub fn show(&self, path: &[u8], bytes: u64) -> Option<Shown<'_>> {
        if bytes < ACTIVE_BYTES_MIN {
            return None;
        }
        let key = self.next_active.fetch_add(1, Relaxed);
        let active = Arc::new(Active {
            path: path.to_vec(),
            bytes_total: bytes,
            bytes_done: AtomicU64::new(0),
        });
        let mut list = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        list.insert(key, Arc::clone(&active));
        Some(Shown { key, active, progress: self })
    }

    /// Some of the items in hand, longest in hand first.
    #[must_use]
    pub fn active(&self) -> Vec<Arc<Active>> {
        let list = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        list.values().take(ACTIVE_SHOWN).cloned().collect()
    }

    /// Items ended, whichever way.
    #[must_use]
    pub fn items_done(&self) -> u64 {
        self.items_ok.load(Relaxed)
            + self.items_failed.load(Relaxed)
            + self.items_skipped.load(Relaxed)
    }
}
