//! Leaves a service alone while it fails: one request tries it, the others wait for its answer.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::{
    REMOTE_BREAKER_CELLS, REMOTE_BREAKER_LEAST, REMOTE_BREAKER_ROW, REMOTE_STEP_MS,
};
use crate::remote::call::{Class, Failure};
use crate::remote::tally::Tally;
use crate::resource::cancel::Switch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Closed,
    /// Nobody goes before this time.
    Open(Instant),
    /// One is trying.
    Tried,
}

#[derive(Debug)]
struct State {
    door: Door,
    row: u32,
    answers: Tally,
}

/// The breaker of one service.
#[derive(Debug)]
pub(super) struct Breaker(Mutex<State>);

/// Leave for one attempt. Dropped without word, it says nothing of the service.
#[derive(Debug)]
pub(super) struct Leave<'a> {
    breaker: &'a Breaker,
    tries: bool,
}

impl Breaker {
    pub(super) fn new() -> Self {
        let answers = Tally::new(REMOTE_BREAKER_CELLS, Duration::from_secs(1));
        Self(Mutex::new(State { door: Door::Closed, row: 0, answers }))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the service may be asked.
    ///
    /// # Errors
    /// `Unreachable` when that is not before the deadline, `Cancelled`.
    pub(super) fn pass(&self, switch: &Switch, deadline: Instant) -> Result<Leave<'_>, Failure> {
        loop {
            let now = Instant::now();
            {
                let mut state = self.state();
                match state.door {
                    Door::Closed => return Ok(Leave { breaker: self, tries: false }),
                    Door::Open(until) if until <= now => {
                        state.door = Door::Tried;
                        return Ok(Leave { breaker: self, tries: true });
                    }
                    _ => {}
                }
            }
            if now >= deadline {
                return Err(Failure::of(Class::Unreachable, "the service goes on failing"));
            }
            let step = Duration::from_millis(REMOTE_STEP_MS).min(deadline - now);
            switch.sleep(step).map_err(|_| Failure::cancelled())?;
        }
    }
}

impl Leave<'_> {
    /// The service answered.
    pub(super) fn good(mut self) {
        self.tries = false;
        let mut state = self.breaker.state();
        state.answers.add(Instant::now(), true);
        state.row = 0;
        if state.door == Door::Tried {
            state.door = Door::Closed;
            state.answers.clear();
        }
    }

    /// It failed; it is left alone for `rest` where that was too often.
    pub(super) fn bad(mut self, rest: Duration) {
        let tried = std::mem::take(&mut self.tries);
        let now = Instant::now();
        let mut state = self.breaker.state();
        state.answers.add(now, false);
        state.row += 1;
        let (good, bad) = state.answers.sum(now);
        let half = good + bad >= REMOTE_BREAKER_LEAST && bad >= good;
        let opens = state.door == Door::Closed && (state.row >= REMOTE_BREAKER_ROW || half);
        if tried || opens {
            state.door = Door::Open(now + rest);
        }
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if self.tries {
            self.breaker.state().door = Door::Open(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_millis(30);

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn fail(breaker: &Breaker, times: u32) {
        for _ in 0..times {
            breaker.pass(&Switch::default(), soon()).unwrap().bad(REST);
        }
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_one_good_answer_closes_it() {
        let (breaker, switch) = (Breaker::new(), Switch::default());
        fail(&breaker, 4);
        breaker.pass(&switch, soon()).unwrap().good();
        fail(&breaker, 5);
        let refused = breaker.pass(&switch, Instant::now()).unwrap_err();
        assert_eq!(refused.class, Class::Unreachable);
        let first = breaker.pass(&switch, soon()).unwrap();
        assert!(breaker.pass(&switch, Instant::now()).is_err(), "one tries at a time");
        drop(first);
        let second = breaker.pass(&switch, soon()).unwrap();
        second.bad(REST);
        assert!(breaker.pass(&switch, Instant::now()).is_err());
        breaker.pass(&switch, soon()).unwrap().good();
        assert!(breaker.pass(&switch, Instant::now()).is_ok());
    }

    #[test]
    fn half_of_many_open_it_too() {
        let (breaker, switch) = (Breaker::new(), Switch::default());
        for _ in 0..10 {
            breaker.pass(&switch, soon()).unwrap().good();
            breaker.pass(&switch, soon()).unwrap().bad(REST);
        }
        assert!(breaker.pass(&switch, Instant::now()).is_err());
    }

    #[test]
    fn those_waiting_are_cancelled() {
        let (breaker, switch) = (Breaker::new(), Switch::default());
        for _ in 0..5 {
            breaker.pass(&switch, soon()).unwrap().bad(Duration::from_secs(600));
        }
        let late = Instant::now() + Duration::from_secs(600);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| breaker.pass(&switch, late).map(drop));
            switch.cancel();
            assert_eq!(waiting.join().unwrap().unwrap_err().class, Class::Cancelled);
        });
    }
}
