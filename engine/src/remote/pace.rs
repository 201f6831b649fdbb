//! Requests each second of one verb to one service, as the service's own refusals allow.
//!
//! There is no rate until a service asks for patience. Then it is 0.7 of what got through in the
//! last second, and grows again: slowly at first, since the bound is near, faster after a while.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::{REMOTE_PACE_LEAST, REMOTE_PACE_MOST, REMOTE_STEP_MS};
use crate::remote::call::{Class, Failure};
use crate::remote::tally::Tally;
use crate::resource::cancel::Switch;

/// What is left of the rate that got through.
const CUT: f64 = 0.7;
/// Share of refusals that is borne without another cut.
const BORNE: f64 = 0.1;
/// Growth each second, and that after [`CALM`].
const GROWTH: (f64, f64) = (1.05, 1.3);
const CALM: Duration = Duration::from_secs(15);
/// Requests kept at most, in seconds of the rate.
const BURST_S: f64 = 0.1;

#[derive(Debug)]
struct State {
    rate: Option<f64>,
    tokens: f64,
    filled: Instant,
    /// The last time that the rate was cut.
    cut: Instant,
    /// Nobody may go before, since the service said so.
    until: Instant,
    answers: Tally,
}

/// The pace of one verb.
#[derive(Debug)]
pub(super) struct Pace(Mutex<State>);

impl Pace {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let answers = Tally::new(10, Duration::from_millis(100));
        Self(Mutex::new(State {
            rate: None,
            tokens: 0.0,
            filled: now,
            cut: now,
            until: now,
            answers,
        }))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn of one request.
    ///
    /// # Errors
    /// `Throttled` when it does not come before the deadline, `Cancelled`.
    pub(super) fn take(&self, switch: &Switch, deadline: Instant) -> Result<(), Failure> {
        loop {
            let now = Instant::now();
            let Some(wait) = self.state().draw(now) else { return Ok(()) };
            if now + wait > deadline {
                return Err(Failure::of(Class::Throttled, "no turn came in time"));
            }
            let wait = wait.min(Duration::from_millis(REMOTE_STEP_MS));
            switch.sleep(wait).map_err(|_| Failure::cancelled())?;
        }
    }

    /// A request got through.
    pub(super) fn passed(&self) {
        self.state().answers.add(Instant::now(), true);
    }

    /// A request that was sent at `sent` was asked for patience, for so long where that was said.
    pub(super) fn refused(&self, sent: Instant, wait: Option<Duration>) {
        self.state().refused(Instant::now(), sent, wait);
    }
}

impl State {
    /// Draws one request; else how long to wait.
    fn draw(&mut self, now: Instant) -> Option<Duration> {
        let early = self.until.saturating_duration_since(now);
        if !early.is_zero() {
            return Some(early);
        }
        let rate = self.rate?;
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = now;
        let calm = now.saturating_duration_since(self.cut) > CALM;
        let growth: f64 = if calm { GROWTH.1 } else { GROWTH.0 };
        let rate = rate * growth.powf(passed.min(1.0));
        self.rate = (rate < REMOTE_PACE_MOST).then_some(rate);
        self.tokens = (self.tokens + passed * rate).min((rate * BURST_S).max(1.0));
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return None;
        }
        Some(Duration::from_secs_f64(((1.0 - self.tokens) / rate).max(0.001)))
    }

    fn refused(&mut self, now: Instant, sent: Instant, wait: Option<Duration>) {
        self.answers.add(now, false);
        if let Some(wait) = wait {
            self.until = self.until.max(now + wait);
        }
        let (good, bad) = self.answers.sum(now);
        // Those that were on their way when the rate was cut say nothing of the new one.
        let known = self.rate.is_some() && sent <= self.cut;
        if known || f64::from(bad) <= BORNE * f64::from(good + bad) {
            return;
        }
        let span = self.answers.reach(now).as_secs_f64().max(0.1);
        let through = (f64::from(good) / span * CUT).max(REMOTE_PACE_LEAST);
        self.rate = Some(self.rate.map_or(through, |rate| through.min(rate)));
        (self.tokens, self.filled, self.cut) = (0.0, now, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A service that lets `per_s` through and refuses the rest; requests sent and let through.
    fn storm(per_s: f64, seconds: u32) -> (u32, u32) {
        let pace = Pace::new();
        let start = Instant::now();
        let (mut sent, mut through, mut bucket) = (0, 0, per_s);
        for tick in 0..seconds * 1000 {
            let now = start + Duration::from_millis(u64::from(tick));
            bucket = (bucket + per_s / 1000.0).min(per_s);
            // Eight at once at most, each of which takes a millisecond.
            for _ in 0..8 {
                if pace.state().draw(now).is_some() {
                    break;
                }
                sent += 1;
                if bucket >= 1.0 {
                    bucket -= 1.0;
                    through += 1;
                    pace.state().answers.add(now, true);
                } else {
                    pace.state().refused(now, now, None);
                }
            }
        }
        (sent, through)
    }

    #[test]
    fn under_a_storm_a_tenth_of_the_requests_is_refused_at_most() {
        for per_s in [10.0, 50.0, 300.0, 1000.0] {
            let (sent, through) = storm(per_s, 60);
            let most = f64::from(through) * 1.1 + 8.0;
            assert!(f64::from(sent) <= most, "{per_s}/s: {sent} sent, {through} through");
            let least = per_s * 60.0 * 0.6;
            assert!(f64::from(through) >= least, "{per_s}/s: {through} through");
        }
    }

    #[test]
    fn nobody_goes_before_the_time_that_was_asked_for() {
        let (pace, switch) = (Pace::new(), Switch::default());
        let now = Instant::now();
        pace.refused(now, Some(Duration::from_secs(60)));
        let late = pace.take(&switch, now + Duration::from_secs(1)).unwrap_err();
        assert_eq!(late.class, Class::Throttled);
        switch.cancel();
        let late = pace.take(&switch, now + Duration::from_secs(100)).unwrap_err();
        assert_eq!(late.class, Class::Cancelled);
    }
}
