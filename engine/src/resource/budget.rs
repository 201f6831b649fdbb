//! Memory in flight: one weighted, first-come first-served semaphore in bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{EngineError, Kind, Result};
use crate::resource::cancel::Switch;

#[derive(Debug)]
struct State {
    free: u64,
    next_ticket: u64,
    waiting: VecDeque<u64>,
}

/// The process's memory for data. Clones share it.
#[derive(Clone, Debug)]
pub struct Budget {
    total: u64,
    shared: Arc<(Mutex<State>, Condvar)>,
}

/// Bytes taken from a [`Budget`]; dropping it gives them back.
#[must_use = "the bytes go back as soon as this is dropped"]
#[derive(Debug)]
pub struct Permit {
    bytes: u64,
    budget: Budget,
}

impl Budget {
    /// A budget of this many bytes.
    #[must_use]
    pub fn new(total: u64) -> Self {
        let state = State { free: total, next_ticket: 0, waiting: VecDeque::new() };
        Self { total, shared: Arc::new((Mutex::new(state), Condvar::new())) }
    }

    /// All of it, in bytes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Takes `bytes` at once, waiting in turn. Whoever needs several buffers takes them in one
    /// call: nobody waits while holding, so nobody waits for ever.
    ///
    /// # Errors
    /// `Memory` when the budget can never hold them, `Cancelled` when the job is stopped meanwhile.
    pub fn take(&self, bytes: u64, switch: &Switch) -> Result<Permit> {
        if bytes > self.total {
            let message =
                format!("{bytes} bytes are needed at once, the cap leaves {}", self.total);
            return Err(EngineError::new(Kind::Memory, message));
        }
        let (lock, changed) = &*self.shared;
        let mut state = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.push_back(ticket);
        while state.waiting.front() != Some(&ticket) || state.free < bytes {
            if switch.is_cancelled() {
                state.waiting.retain(|other| *other != ticket);
                changed.notify_all();
                return Err(EngineError::cancelled());
            }
            let wait = changed.wait_timeout(state, Duration::from_millis(50));
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.waiting.pop_front();
        state.free -= bytes;
        changed.notify_all();
        Ok(Permit { bytes, budget: self.clone() })
    }
}

impl Budget {
    /// Takes `bytes` if they are free now and nobody waits; for those who hold some already and so
    /// must not wait.
    pub fn try_take(&self, bytes: u64) -> Option<Permit> {
        let mut state = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.free < bytes || !state.waiting.is_empty() {
            return None;
        }
        state.free -= bytes;
        Some(Permit { bytes, budget: self.clone() })
    }
}

impl Budget {
    /// Takes `bytes` if they are free now, ahead of those who wait: for those who cannot finish,
    /// and give back what they hold, without.
    pub fn take_ahead(&self, bytes: u64) -> Option<Permit> {
        let mut state = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.free = state.free.checked_sub(bytes)?;
        Some(Permit { bytes, budget: self.clone() })
    }
}

impl Permit {
    /// Cuts the permit in two, the first of at most `bytes`.
    pub fn split(mut self, bytes: u64) -> (Permit, Permit) {
        let first = bytes.min(self.bytes);
        self.bytes -= first;
        (Permit { bytes: first, budget: self.budget.clone() }, self)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let (lock, changed) = &*self.budget.shared;
        lock.lock().unwrap_or_else(PoisonError::into_inner).free += self.bytes;
        changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn never_more_than_the_total_is_out() {
        let (budget, switch) = (Budget::new(10), Switch::default());
        let (out, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for worker in 0..8u64 {
                let (budget, switch, out, most) = (&budget, &switch, &out, &most);
                scope.spawn(move || {
                    for round in 0..200 {
                        let bytes = 1 + (worker + round) % 10;
                        let permit = budget.take(bytes, switch).unwrap();
                        most.fetch_max(
                            out.fetch_add(bytes, Ordering::SeqCst) + bytes,
                            Ordering::SeqCst,
                        );
                        out.fetch_sub(bytes, Ordering::SeqCst);
                        drop(permit);
                    }
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 10);
    }

    #[test]
    fn what_can_never_fit_is_refused_and_a_cancel_frees_the_queue() {
        let (budget, switch) = (Budget::new(10), Switch::default());
        assert_eq!(budget.take(11, &switch).unwrap_err().kind(), Kind::Memory);
        let all = budget.take(10, &switch).unwrap();
        std::thread::scope(|scope| {
            let stopped = Switch::default();
            let waiting = scope.spawn({
                let (budget, stopped) = (budget.clone(), stopped.clone());
                move || budget.take(10, &stopped).map(drop)
            });
            stopped.cancel();
            assert_eq!(waiting.join().unwrap().unwrap_err().kind(), Kind::Cancelled);
        });
        drop(all);
        assert!(budget.take(10, &switch).is_ok());
    }
}
