//! Units of a large file that take much longer than their fellows: done a second time by somebody
//! else, so that one connection that fell asleep does not hold up all the rest.
//!
//! Whichever attempt has all bytes first takes the unit, and the other one is let go. An attempt
//! writes to a file only while nobody else took its unit: bytes of two attempts never mix there. A
//! part that a store takes may be sent twice where that is as good as once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{EngineError, Result};
use crate::job::Job;
use crate::limits::{HEDGE_AFTER_MS, HEDGE_FELLOWS, HEDGE_TIMES};
use crate::resource::cancel::Leash;

/// Which attempt at a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    First,
    Second,
}

/// A unit on its way.
pub(super) struct Flight {
    pub(super) unit: u64,
    begun: Instant,
    /// Answers that had asked for patience when it began.
    slowed: u64,
    taken: Mutex<Option<Attempt>>,
    leashes: [Leash; 2],
    hedged: AtomicBool,
    /// Whether an earlier run wrote it.
    stood: AtomicBool,
    /// Bytes that the first attempt told of.
    counted: AtomicU64,
}

impl Flight {
    fn new(unit: u64, slowed: u64) -> Self {
        let (taken, leashes) = (Mutex::default(), Default::default());
        let (hedged, stood) = (AtomicBool::new(false), AtomicBool::new(false));
        let counted = AtomicU64::new(0);
        Self { unit, begun: Instant::now(), slowed, taken, leashes, hedged, stood, counted }
    }

    fn taken(&self) -> MutexGuard<'_, Option<Attempt>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leash(&self, attempt: Attempt) -> &Leash {
        let [first, second] = &self.leashes;
        if attempt == Attempt::First { first } else { second }
    }

    /// How long it takes, without pauses and waits for a turn.
    fn took(&self) -> Duration {
        self.begun.elapsed().saturating_sub(self.leash(Attempt::First).rested())
    }

    /// Tells that an earlier run wrote it.
    pub(super) fn stood(&self) {
        self.stood.store(true, Ordering::Relaxed);
    }

    /// Whether its time says something of its fellows: not that of one that was hedged, nor of one
    /// that stood, of which nothing was sent.
    fn tells(&self) -> bool {
        !self.hedged.load(Ordering::Relaxed) && !self.stood.load(Ordering::Relaxed)
    }

    /// Does the work of an attempt, which ends as cancelled once the other one took the unit.
    pub(super) fn on<T>(&self, attempt: Attempt, work: impl FnOnce() -> T) -> T {
        self.leash(attempt).hold(work)
    }

    /// Takes the unit for an attempt. Whether it is its own.
    pub(super) fn take(&self, attempt: Attempt) -> bool {
        let mut taken = self.taken();
        if taken.is_none() {
            let other = if attempt == Attempt::First { Attempt::Second } else { Attempt::First };
            self.leash(other).cut();
        }
        *taken.get_or_insert(attempt) == attempt
    }

    /// Whether the other attempt took the unit.
    pub(super) fn is_lost(&self, attempt: Attempt) -> bool {
        self.taken().is_some_and(|taken| taken != attempt)
    }

    /// Writes so many bytes for the first attempt, unless the unit was taken from it.
    ///
    /// # Errors
    /// Those of `write`; `Cancelled` when it was taken.
    pub(super) fn write(&self, bytes: u64, write: impl FnOnce() -> Result<()>) -> Result<()> {
        let taken = self.taken();
        if *taken == Some(Attempt::Second) {
            return Err(EngineError::cancelled());
        }
        write()?;
        self.counted.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Bytes that the first attempt told of before the unit was taken from it.
    pub(super) fn counted(&self) -> u64 {
        self.counted.load(Ordering::Relaxed)
    }
}

/// The units of one file that are on their way.
pub(super) struct Flights<'a> {
    job: &'a Job,
    state: Mutex<State>,
    watched: AtomicBool,
}

#[derive(Default)]
struct State {
    open: BTreeMap<u64, Arc<Flight>>,
    /// How long those took that ended last.
    took: VecDeque<Duration>,
}

impl<'a> Flights<'a> {
    pub(super) fn new(job: &'a Job) -> Self {
        let (state, watched) = (Mutex::default(), AtomicBool::new(false));
        Self { job, state, watched }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers of the job that asked for patience.
    fn slowed(&self) -> u64 {
        self.job.ties.meter.slowed.load(Ordering::Relaxed)
    }

    pub(super) fn begin(&self, unit: u64) -> Arc<Flight> {
        let flight = Arc::new(Flight::new(unit, self.slowed()));
        self.state().open.insert(unit, Arc::clone(&flight));
        flight
    }

    /// The unit has its bytes, or will never have them.
    pub(super) fn end(&self, flight: &Flight) {
        let mut state = self.state();
        if state.open.remove(&flight.unit).is_some() && flight.tells() {
            if state.took.len() >= HEDGE_FELLOWS.1 {
                state.took.pop_front();
            }
            state.took.push_back(flight.took());
        }
    }

    /// Whether units are on their way.
    pub(super) fn any(&self) -> bool {
        !self.state().open.is_empty()
    }

    /// Whether nobody else watches over those that are left.
    pub(super) fn watch(&self) -> bool {
        !self.watched.swap(true, Ordering::Relaxed)
    }

    pub(super) fn unwatch(&self) {
        self.watched.store(false, Ordering::Relaxed);
    }

    /// A unit that takes so long that it should be done a second time: this one where one is named.
    /// Told once of each, within the share of all requests that may go so; never while the service
    /// asks for patience, since slow is what all are then.
    pub(super) fn late(&self, unit: Option<u64>) -> Option<Arc<Flight>> {
        let state = self.state();
        let limit = patience(&state.took)?;
        let slowed = self.slowed();
        let is_late = |flight: &Flight| {
            flight.took() > limit
                && flight.slowed == slowed
                && !flight.hedged.load(Ordering::Relaxed)
        };
        let flight = match unit {
            Some(unit) => state.open.get(&unit).filter(|flight| is_late(flight))?,
            None => state.open.values().find(|flight| is_late(flight))?,
        };
        (self.job.ties.meter.may_hedge() && !flight.hedged.swap(true, Ordering::Relaxed))
            .then(|| Arc::clone(flight))
    }
}

/// How long a unit may take where its fellows took so long; `None` where they are too few to tell.
fn patience(took: &VecDeque<Duration>) -> Option<Duration> {
    let mut took: Vec<Duration> = took.iter().copied().collect();
    took.sort_unstable();
    let median = took.get(took.len() / 2).filter(|_| took.len() >= HEDGE_FELLOWS.0)?;
    Some((*median * HEDGE_TIMES).max(Duration::from_millis(HEDGE_AFTER_MS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_taken_once_and_the_other_attempt_let_go() {
        let flight = Flight::new(7, 0);
        flight.write(5, || Ok(())).unwrap();
        assert!(flight.take(Attempt::Second) && flight.take(Attempt::Second));
        assert!(!flight.take(Attempt::First) && flight.is_lost(Attempt::First));
        assert!(flight.write(5, || panic!("written")).is_err());
        assert_eq!(flight.counted(), 5);
        let switch = crate::resource::cancel::Switch::default();
        assert!(flight.on(Attempt::First, || switch.is_cancelled()));
        assert!(!flight.on(Attempt::Second, || switch.is_cancelled()));
    }

    #[test]
    fn units_that_stood_or_were_hedged_tell_nothing_of_their_fellows() {
        let [sent, stood, hedged] = [Flight::new(0, 0), Flight::new(1, 0), Flight::new(2, 0)];
        stood.stood();
        hedged.hedged.store(true, Ordering::Relaxed);
        assert_eq!([&sent, &stood, &hedged].map(Flight::tells), [true, false, false]);
    }

    #[test]
    fn late_is_what_takes_several_times_as_long_as_most() {
        let took = |ms: &[u64]| ms.iter().map(|ms| Duration::from_millis(*ms)).collect();
        assert_eq!(patience(&took(&[1, 1])), None);
        let least = Duration::from_millis(HEDGE_AFTER_MS);
        assert_eq!(patience(&took(&[1, 2, 90_000])), Some(least));
        assert_eq!(patience(&took(&[90_000, 1, 2000])), Some(Duration::from_millis(6000)));
    }
}
