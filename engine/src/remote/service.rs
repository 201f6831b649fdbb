//! What is known of a service, whoever asks it: its breaker, and rate and slots of each verb.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::model::item::Timestamp;
use crate::platform::clock;
use crate::remote::breaker::Breaker;
use crate::remote::call::Verb;
use crate::remote::pace::Pace;
use crate::remote::slots::Slots;

/// How far a clock must be off to be believed, nanoseconds.
const SKEW_LEAST_NS: i64 = 2_000_000_000;

/// One service.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) breaker: Breaker,
    /// How far its clock is ahead of ours, nanoseconds; 0 until it complained.
    skew: AtomicI64,
    ways: [Way; 6],
}

/// Requests of one verb to one service.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) pace: Pace,
    pub(super) slots: Arc<Slots>,
}

impl Way {
    fn new() -> Self {
        Self { pace: Pace::new(), slots: Arc::new(Slots::new()) }
    }
}

impl Service {
    pub(super) fn new() -> Self {
        let ways = std::array::from_fn(|_| Way::new());
        Self { breaker: Breaker::new(), skew: AtomicI64::new(0), ways }
    }

    pub(super) fn way(&self, verb: Verb) -> &Way {
        let [read, write, look, list, remove, control] = &self.ways;
        match verb {
            Verb::Read => read,
            Verb::Write => write,
            Verb::Look => look,
            Verb::List => list,
            Verb::Remove => remove,
            Verb::Control => control,
        }
    }

    /// The time by the service's clock.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp(clock::now().0 + i128::from(self.skew.load(Ordering::Relaxed)))
    }

    /// Learns from a `Date` how far its clock is off. Whether that is news.
    pub(super) fn learn(&self, date: Option<&str>) -> bool {
        let Some(theirs) = date.and_then(http_date) else { return false };
        let skew = i64::try_from(theirs.0 - clock::now().0).unwrap_or(0);
        let known = self.skew.load(Ordering::Relaxed);
        let news = skew.saturating_sub(known).saturating_abs() >= SKEW_LEAST_NS;
        if news {
            self.skew.store(skew, Ordering::Relaxed);
        }
        news
    }
}

/// A date as HTTP writes it (RFC 9110, 5.6.7, the one form that may be sent).
pub(super) fn http_date(text: &str) -> Option<Timestamp> {
    let parser = jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true);
    parser.parse_timestamp(text).ok().map(|time| Timestamp(time.as_nanosecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read() {
        let time = http_date("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(time, Some(Timestamp(784_111_777_000_000_000)));
        assert_eq!(http_date("now"), None);
    }
}
