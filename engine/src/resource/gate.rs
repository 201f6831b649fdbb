//! A door that lets as many through at once as the tuner says.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{EngineError, Result};
use crate::resource::cancel::Switch;
use crate::resource::tuner::Tuner;

/// Length of a round: long enough for a rate that means something, short enough to follow.
const ROUND: Duration = Duration::from_millis(200);
/// Longest single wait, so that a stopped job is seen soon.
const WAIT: Duration = Duration::from_millis(50);

#[derive(Debug)]
struct State {
    tuner: Tuner,
    inside: usize,
    /// What was done in this round, in any unit, and when it began.
    done: u64,
    since: Instant,
}

/// Bounds how many work at once, and learns from what they do.
#[derive(Debug)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

/// A place inside; dropping it leaves.
#[must_use = "the place is given up as soon as this is dropped"]
#[derive(Debug)]
pub struct Slot<'a>(&'a Gate);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.lock().inside -= 1;
        self.0.changed.notify_one();
    }
}

impl Gate {
    /// A gate for `first` at once, and up to `most` where that moves more.
    #[must_use]
    pub fn new(first: usize, most: usize) -> Self {
        let tuner = Tuner::new(first, most);
        let state = State { tuner, inside: 0, done: 0, since: Instant::now() };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place; `None` once `over` says that nothing is left to do.
    ///
    /// # Errors
    /// `Cancelled` when the job is stopped meanwhile.
    pub fn enter(&self, switch: &Switch, over: impl Fn() -> bool) -> Result<Option<Slot<'_>>> {
        let mut state = self.lock();
        while state.inside >= state.tuner.now() {
            if over() {
                return Ok(None);
            }
            if switch.is_cancelled() {
                return Err(EngineError::cancelled());
            }
            let waited = self.changed.wait_timeout(state, WAIT);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.inside += 1;
        Ok(Some(Slot(self)))
    }

    /// Tells what was done by one inside, in any unit that grows with the work.
    pub fn did(&self, amount: u64) {
        let mut state = self.lock();
        state.done += amount;
        let length = state.since.elapsed();
        if length < ROUND {
            return;
        }
        let goodput = state.done as f64 / length.as_secs_f64();
        state.done = 0;
        state.since = Instant::now();
        let before = state.tuner.now();
        if state.tuner.observe(goodput) > before {
            drop(state);
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn no_more_are_inside_than_the_number_in_force() {
        let (gate, switch) = (Gate::new(2, 3), Switch::default());
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let slot = gate.enter(&switch, || false).unwrap();
                        most.fetch_max(1 + inside.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        gate.did(1);
                        drop(slot);
                    }
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 3);
    }

    #[test]
    fn those_waiting_are_let_go() {
        let (gate, switch) = (Gate::new(1, 1), Switch::default());
        let _inside = gate.enter(&switch, || false).unwrap().unwrap();
        assert!(gate.enter(&switch, || true).unwrap().is_none());
        switch.cancel();
        assert!(gate.enter(&switch, || false).is_err());
    }
}
