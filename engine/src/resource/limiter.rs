//! Rates: a token bucket that may be changed while it is waited for.
//!
//! A crate's fixed-quota limiter does not serve here: a limit changes during a wait and must hold
//! within a second, and waits must end with the job.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::resource::cancel::Switch;

/// Longest single wait, so that a changed limit is seen soon.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// Tokens kept at most, in seconds of the rate.
const BURST_S: f64 = 0.1;

#[derive(Debug)]
struct State {
    per_s: Option<u64>,
    /// Tokens at `filled`; negative while taken ahead.
    tokens: f64,
    filled: Instant,
}

/// Bounds how many tokens (bytes, calls) pass each second.
#[derive(Debug)]
pub struct Limiter(Mutex<State>);

impl Default for Limiter {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Limiter {
    /// A limiter of this rate; `None` lets everything pass.
    #[must_use]
    pub fn new(per_s: Option<u64>) -> Self {
        Self(Mutex::new(State { per_s, tokens: 0.0, filled: Instant::now() }))
    }

    /// Sets or lifts the rate, for those waiting now too.
    pub fn set(&self, per_s: Option<u64>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State { per_s, tokens: 0.0, filled: Instant::now() };
    }

    /// The rate in force.
    #[must_use]
    pub fn rate(&self) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).per_s
    }

    /// Takes `count` tokens, waiting for them. Returns how long it waited.
    ///
    /// More than a burst may be taken at once: the debt is waited off, so a chunk larger than a
    /// second's worth does not hang.
    ///
    /// # Errors
    /// `Cancelled` when the job is stopped meanwhile.
    pub fn take(&self, count: u64, switch: &Switch) -> Result<Duration> {
        let start = Instant::now();
        let mut due = count as f64;
        loop {
            let wait = match self.draw(&mut due) {
                None => return Ok(start.elapsed()),
                Some(wait) => wait,
            };
            switch.sleep(wait.min(WAIT_MAX))?;
        }
    }

    /// Draws what is there; `None` when `due` is met or no limit holds, else the time to wait.
    fn draw(&self, due: &mut f64) -> Option<Duration> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = state.per_s? as f64;
        let now = Instant::now();
        let earned = now.duration_since(state.filled).as_secs_f64() * rate;
        state.tokens = (state.tokens + earned).min(rate * BURST_S + *due);
        state.filled = now;
        let drawn = state.tokens.min(*due).max(0.0);
        state.tokens -= drawn;
        *due -= drawn;
        (*due > 0.5).then(|| Duration::from_secs_f64((*due / rate).max(0.001)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_holds_over_time_and_across_threads() {
        let (limiter, switch) = (Limiter::new(Some(100_000)), Switch::default());
        let start = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    (0..10).for_each(|_| {
                        limiter.take(1500, &switch).unwrap();
                    })
                });
            }
        });
        let per_s = 60_000.0 / start.elapsed().as_secs_f64();
        assert!(per_s <= 125_000.0, "{per_s}");
    }

    #[test]
    fn a_lifted_limit_frees_those_waiting() {
        let (limiter, switch) = (Limiter::new(Some(1)), Switch::default());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| limiter.take(1_000_000, &switch));
            limiter.set(None);
            assert!(waiting.join().unwrap().is_ok());
        });
    }
}
