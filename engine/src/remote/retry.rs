//! The one layer that repeats: which failures, how often, how soon.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::limits::{REMOTE_REDIRECTS_MAX, REMOTE_RETRY_AFTER_MS};
use crate::remote::answer::Answer;
use crate::remote::call::{Class, Failure, Repeat, Request};
use crate::remote::client::Client;
use crate::remote::exchange::{self, Came, Exchange, Fate, Lost, count_time};
use crate::remote::redirect;
use crate::remote::settings::Tries;

/// All attempts at one request.
pub(super) struct Course<'a> {
    client: &'a Client,
    request: &'a Request<'a>,
    deadline: Instant,
    count: u32,
    /// The last wait between two attempts.
    wait: Duration,
    /// Whether an attempt was lost that may have been carried out.
    unsure: bool,
    renewed: bool,
    learned: bool,
    asked: Duration,
}

impl<'a> Course<'a> {
    pub(super) fn new(client: &'a Client, request: &'a Request<'a>) -> Self {
        Self {
            client,
            request,
            deadline: Instant::now() + client.settings.tries.total,
            count: 0,
            wait: client.settings.tries.first,
            unsure: false,
            renewed: false,
            learned: false,
            asked: Duration::ZERO,
        }
    }

    /// Tries until `finish` has made something of an answer.
    pub(super) fn run<T>(
        mut self,
        mut finish: impl FnMut(Answer) -> Result<T, Box<Lost>>,
    ) -> Result<T, Failure> {
        loop {
            self.client.ties.switch.pass().map_err(|_| self.told(Failure::cancelled()))?;
            self.count += 1;
            let sent = Instant::now();
            let tried = self.attempt().and_then(|mut answer| {
                answer.doubtful |= self.unsure;
                finish(answer).inspect_err(|lost| {
                    // A success that turned out to be a refusal; others were seen as such.
                    if lost.asks_patience() {
                        exchange::slowed(self.client, self.request, sent, None);
                    }
                })
            });
            match tried {
                Ok(done) => {
                    self.client.transport.budget.give();
                    return Ok(done);
                }
                Err(lost) => self.again(*lost)?,
            }
            self.client.ties.meter.retries.fetch_add(1, Relaxed);
        }
    }

    /// One attempt, redirects followed.
    fn attempt(&self) -> Result<Answer, Box<Lost>> {
        let (client, deadline) = (self.client, self.deadline);
        let first = Exchange { client, request: self.request, signs: true, deadline };
        let mut came = first.run()?;
        let mut at: Option<Request<'static>> = None;
        let mut signs = true;
        for _ in 0..REMOTE_REDIRECTS_MAX {
            let (origin, path) = match came {
                Came::Answer(answer) => return Ok(*answer),
                Came::Elsewhere(origin, path) => (origin, path),
            };
            let from = at.as_ref().unwrap_or(self.request);
            // Whoever was sent on to another place asks there as anybody would, and wherever that
            // place sends him.
            signs &= origin == from.origin;
            let next = redirect::request(from, origin, path);
            came = Exchange { client, request: &next, signs, deadline }.run()?;
            at = Some(next);
        }
        match came {
            Came::Answer(answer) => Ok(*answer),
            Came::Elsewhere(..) => {
                let failure = Failure::of(Class::Redirect, "too many redirects in a row");
                Err(Box::new(Lost::undone(failure)))
            }
        }
    }

    /// Whether to try again, after the wait that is due; else the failure.
    fn again(&mut self, lost: Lost) -> Result<(), Failure> {
        self.unsure |= lost.is_open();
        let safe = match self.request.repeat {
            Repeat::Freely => true,
            Repeat::Never => lost.fate == Fate::Undone || lost.asks_patience(),
        };
        let Lost { failure, clock, .. } = lost;
        // Once each: what mends the next attempt needs no wait.
        if failure.class == Class::Expired && !self.renewed && self.client.signer.renew() {
            self.renewed = true;
            return Ok(());
        }
        if clock && !self.learned {
            self.learned = true;
            return Ok(());
        }
        let tries = self.client.settings.tries;
        let may = failure.class.passes() && safe;
        if !may || self.count >= tries.count || !self.client.transport.budget.take(failure.class) {
            return Err(self.told(failure));
        }
        let wait = self.next_wait(&tries, failure.retry_after);
        if Instant::now() + wait >= self.deadline {
            return Err(self.told(failure));
        }
        self.sleep(wait).map_err(|failure| self.told(failure))
    }

    fn told(&self, failure: Failure) -> Failure {
        let reads = matches!(self.request.method, "GET" | "HEAD");
        Failure { unsure: self.unsure && !reads, ..failure }
    }

    /// Decorrelated jitter, or what the service asks for; the latter moves the deadline.
    fn next_wait(&mut self, tries: &Tries, asked: Option<Duration>) -> Duration {
        let most = (self.wait * 3).min(tries.longest).max(tries.first);
        self.wait = tries.first + (most - tries.first).mul_f64(random());
        let Some(asked) = asked else { return self.wait };
        let left = Duration::from_millis(REMOTE_RETRY_AFTER_MS).saturating_sub(self.asked);
        self.asked += asked.min(left);
        self.deadline += asked.min(left);
        self.wait.max(asked)
    }

    fn sleep(&self, time: Duration) -> Result<(), Failure> {
        let start = Instant::now();
        while let Some(left) = time.checked_sub(start.elapsed())
            && !left.is_zero()
        {
            self.client.ties.switch.sleep(left).map_err(|_| Failure::cancelled())?;
        }
        count_time(&self.client.ties.meter.throttled_ns, start.elapsed());
        Ok(())
    }
}

/// A number from 0 to 1, other for each call: the standard library's own random keys.
fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish();
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// What a `Retry-After` asks for, bounded: seconds, or a date.
pub(super) fn after(text: &str) -> Option<Duration> {
    let asked = match text.trim().parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => exchange::until(text.trim())?,
    };
    Some(asked.min(Duration::from_millis(REMOTE_RETRY_AFTER_MS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_that_are_asked_for_are_read_and_bounded() {
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("999999999999"), Some(Duration::from_secs(300)));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(after("Tue, 06 Nov 2195 08:49:37 GMT"), Some(Duration::from_secs(300)));
        assert_eq!(after("-1"), None);
        assert_eq!(after("soon"), None);
    }

    #[test]
    fn chance_is_spread() {
        let some: Vec<f64> = (0..200).map(|_| random()).collect();
        assert!(some.iter().all(|value| (0.0..1.0).contains(value)));
        assert!(some.iter().any(|value| *value < 0.2) && some.iter().any(|value| *value > 0.8));
    }
}
