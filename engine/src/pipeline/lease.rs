//! A lease on a destination: one job commits there at a time.
//!
//! The holder renews its record on a thread of its own and stops committing long before anybody
//! may break it. Who breaks it saw the same record stand unchanged for its whole time to live, on
//! a clock of its own, or knows the process to be dead; nobody compares times of day. Every commit
//! looks at the record under the lock that a change of hands needs, so that a holder that was
//! stopped and goes on commits nothing more.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::endpoint::contract::{Held, LeaseCell};
use crate::error::{EngineError, Kind, Result};
use crate::limits::{
    LEASE_RENEW_MS, LEASE_STOP_MS, LEASE_TTL_MS, LEASE_WAIT_LEAST_MS, LEASE_WAIT_MOST_MS,
};
use crate::model::lease::{Holder, LeaseRecord};
use crate::platform::host;
use crate::resource::cancel::Switch;

/// How often somebody else's change of the record is waited for, and how long apart.
const CONTENDED_ATTEMPTS: u32 = 200;
const CONTENDED_PAUSE: Duration = Duration::from_millis(5);

/// When a lease is renewed, given up and broken.
#[derive(Clone, Copy, Debug)]
pub struct Timings {
    /// How long others must see a record unchanged before they break it.
    pub ttl: Duration,
    /// Time between renewals.
    pub renew_every: Duration,
    /// Time after the beginning of the last good renewal when its holder commits no more.
    pub stop_after: Duration,
    /// Least and greatest time between two looks at a lease that is waited for.
    pub wait: (Duration, Duration),
}

impl Default for Timings {
    fn default() -> Self {
        let millis = Duration::from_millis;
        Self {
            ttl: millis(LEASE_TTL_MS),
            renew_every: millis(LEASE_RENEW_MS),
            stop_after: millis(LEASE_STOP_MS),
            wait: (millis(LEASE_WAIT_LEAST_MS), millis(LEASE_WAIT_MOST_MS)),
        }
    }
}

/// A lease that is held. Dropping it gives it back.
pub struct Lease {
    shared: Arc<Shared>,
    renewer: Option<JoinHandle<()>>,
}

struct Shared {
    cell: Box<dyn LeaseCell>,
    record: Mutex<LeaseRecord>,
    timings: Timings,
    /// When the last good renewal began, nanoseconds since boot.
    renewed_ns: AtomicU64,
    lost: AtomicBool,
    ended: (Mutex<bool>, Condvar),
}

/// A wish for a lease.
pub struct Wish<'a> {
    /// The job.
    pub job: &'a str,
    /// Its process.
    pub holder: Holder,
    /// When it is renewed, given up and broken.
    pub timings: Timings,
    /// How long a lease that is held is waited for; `None` for not at all.
    pub patience: Option<Duration>,
    /// Ends the wait.
    pub switch: &'a Switch,
}

impl Wish<'_> {
    /// Takes the lease.
    ///
    /// # Errors
    /// `Locked` when another holds it, `Cancelled`, and what keeps the record from being read or
    /// written.
    pub fn take(&self, cell: Box<dyn LeaseCell>) -> Result<Lease> {
        let begun = Instant::now();
        let mut seen: Option<(Vec<u8>, Instant)> = None;
        let mut wait = self.timings.wait.0;
        let mut contended = 0;
        loop {
            let start = host::boottime();
            let there = cell.read()?;
            if seen.as_ref().map(|(bytes, _)| bytes) != there.as_ref() {
                seen = there.clone().map(|bytes| (bytes, Instant::now()));
            }
            let held = there.as_deref().and_then(LeaseRecord::decode);
            if self.is_free(held.as_ref(), seen.as_ref()) {
                let record = self.record(held.as_ref().map_or(1, |held| held.epoch + 1));
                if cell.swap(there.as_deref(), Some(&record.encode()))? {
                    return Lease::begin(cell, record, self.timings, start);
                }
                contended += 1;
                if contended < CONTENDED_ATTEMPTS {
                    self.switch.sleep(CONTENDED_PAUSE)?;
                    continue;
                }
            }
            let left =
                self.patience.map_or(Duration::ZERO, |all| all.saturating_sub(begun.elapsed()));
            if left.is_zero() {
                return Err(locked(held.as_ref()));
            }
            wait = self.jitter(wait);
            pause(self.switch, wait.min(left))?;
        }
    }

    /// Whether nobody holds it, or whoever did may be taken for dead.
    fn is_free(&self, held: Option<&LeaseRecord>, seen: Option<&(Vec<u8>, Instant)>) -> bool {
        let Some((_, since)) = seen else {
            return true;
        };
        let ttl = held.map_or(self.timings.ttl, |held| {
            Duration::from_millis(held.ttl_ms).max(self.timings.ttl)
        });
        since.elapsed() >= ttl || held.is_some_and(|held| host::is_dead(&held.holder))
    }

    fn record(&self, epoch: u64) -> LeaseRecord {
        LeaseRecord {
            job: self.job.to_owned(),
            nonce: format!("{:016x}{:016x}", host::nonce(), host::nonce()),
            epoch,
            holder: self.holder.clone(),
            renewed_seq: 0,
            ttl_ms: self.timings.ttl.as_millis() as u64,
        }
    }

    /// The next wait: between the least one and three times the last (decorrelated jitter).
    fn jitter(&self, last: Duration) -> Duration {
        let (least, most) = self.timings.wait;
        let span = (last * 3).saturating_sub(least).as_nanos().max(1) as u64;
        (least + Duration::from_nanos(host::nonce() % span)).min(most)
    }
}

/// Sleeps the whole time: a switch that is touched wakes its sleepers early.
fn pause(switch: &Switch, time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        switch.sleep(left)?;
    }
}

fn locked(held: Option<&LeaseRecord>) -> EngineError {
    let message = match held {
        Some(held) => format!(
            "the destination is leased by job {} (process {} on {}, epoch {})",
            held.job, held.holder.pid, held.holder.host, held.epoch
        ),
        None => "the lease on the destination is being changed by others".to_owned(),
    };
    EngineError::new(Kind::Locked, message).hint(
        "wait for the other command, or send lock:\"wait\", which also outlasts a holder that died \
         on another machine",
    )
}

fn lost(why: &str) -> EngineError {
    EngineError::new(Kind::LeaseLost, format!("the lease on the destination was lost: {why}"))
}

impl Lease {
    fn begin(
        cell: Box<dyn LeaseCell>,
        record: LeaseRecord,
        timings: Timings,
        start: Duration,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            cell,
            record: Mutex::new(record),
            timings,
            renewed_ns: AtomicU64::new(start.as_nanos() as u64),
            lost: AtomicBool::new(false),
            ended: (Mutex::new(false), Condvar::new()),
        });
        let mut lease = Self { shared: Arc::clone(&shared), renewer: None };
        let spawned =
            std::thread::Builder::new().name("lease".to_owned()).spawn(move || shared.renew());
        lease.renewer = Some(spawned.map_err(|error| {
            EngineError::new(Kind::Handles, "failed to start a thread")
                .because("clone", error.raw_os_error())
        })?);
        Ok(lease)
    }

    /// The number of this hold.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.shared.record.lock().unwrap_or_else(PoisonError::into_inner).epoch
    }

    /// Asked before each commit; until the answer is dropped, the lease cannot change hands.
    ///
    /// # Errors
    /// `LeaseLost` when it did, or when it was not renewed in time.
    pub fn commit(&self) -> Result<Held> {
        self.shared.commit()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        *self.shared.ended.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.ended.1.notify_all();
        if let Some(renewer) = self.renewer.take() {
            let _ = renewer.join();
        }
        self.shared.give_back();
    }
}

impl Shared {
    fn commit(&self) -> Result<Held> {
        if self.lost.load(Ordering::Acquire) {
            return Err(lost("it is another's now"));
        }
        if self.since_renewal() > self.timings.stop_after {
            return Err(lost("it was not renewed in time"));
        }
        let own = self.record.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match self.cell.hold(&|bytes| own.is_hold_of(bytes))? {
            Some(held) => Ok(held),
            None => {
                self.lost.store(true, Ordering::Release);
                Err(lost("it is another's now"))
            }
        }
    }

    fn since_renewal(&self) -> Duration {
        let renewed = Duration::from_nanos(self.renewed_ns.load(Ordering::Acquire));
        host::boottime().saturating_sub(renewed)
    }

    /// Renews until the end, or until it is lost.
    fn renew(&self) {
        while !self.rest() && !self.lost.load(Ordering::Acquire) {
            let start = host::boottime();
            let old = self.record.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let new = LeaseRecord { renewed_seq: old.renewed_seq + 1, ..old.clone() };
            match self.cell.renew(&old.encode(), &new.encode()) {
                Ok(true) => {
                    *self.record.lock().unwrap_or_else(PoisonError::into_inner) = new;
                    self.renewed_ns.store(start.as_nanos() as u64, Ordering::Release);
                }
                Ok(false) => self.lost.store(true, Ordering::Release),
                // Tried again: until the time to stop has come it is still held.
                Err(_) => {}
            }
        }
    }

    /// Waits for the next renewal; true at the end.
    fn rest(&self) -> bool {
        let ended = self.ended.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait =
            self.ended.1.wait_timeout_while(ended, self.timings.renew_every, |ended| !*ended);
        *wait.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Frees the lease, unless it is another's by now. Best effort: a record that stays is that of
    /// a dead process soon.
    fn give_back(&self) {
        let own = self.record.lock().unwrap_or_else(PoisonError::into_inner).encode();
        for _ in 0..CONTENDED_ATTEMPTS {
            match self.cell.read() {
                Ok(bytes) if bytes.as_ref() != Some(&own) => return,
                Ok(_) if matches!(self.cell.swap(Some(&own), None), Ok(true)) => return,
                // Somebody looks at it, or the system was short of something for a moment.
                _ => std::thread::sleep(CONTENDED_PAUSE),
            }
        }
    }
}
