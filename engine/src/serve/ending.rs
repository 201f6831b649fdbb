//! How a session ends: by its input, a signal, a shutdown, or the loss of its host.

use std::time::{Duration, Instant};

use migration_protocol::message::Id;

use crate::serve::exit;

/// Longest wait for jobs to stop after a signal: clean-up of what is in flight.
const SIGNAL_GRACE: Duration = Duration::from_secs(10);
/// Longest wait for jobs to stop once the host is gone.
const HOST_GRACE: Duration = Duration::from_millis(1500);

/// What is known about the session's end.
#[derive(Debug, Default)]
pub struct Ending {
    input_ended: bool,
    signal: Option<i32>,
    host_gone: bool,
    /// When waiting for jobs ends.
    deadline: Option<Instant>,
    /// The shutdown to be answered last.
    pub shutdown: Option<Id>,
    /// When a draining shutdown turns into a cancelling one.
    drain_until: Option<Instant>,
}

impl Ending {
    /// No more input.
    pub fn input_ended(&mut self) {
        self.input_ended = true;
    }

    /// A signal came.
    pub fn signal(&mut self, signal: i32) {
        self.signal.get_or_insert(signal);
        self.deadline.get_or_insert(Instant::now() + SIGNAL_GRACE);
    }

    /// The host is gone. Whether that is news.
    pub fn host_gone(&mut self) -> bool {
        self.deadline.get_or_insert(Instant::now() + HOST_GRACE);
        !std::mem::replace(&mut self.host_gone, true)
    }

    /// A shutdown was asked for; `grace` bounds its drain.
    /// True for the first one, which is answered last; another one may only shorten the drain.
    pub fn shut_down(&mut self, id: Id, grace: Option<Duration>) -> bool {
        let until = grace.map(|grace| Instant::now() + grace);
        self.drain_until = match (self.drain_until, until) {
            (Some(before), Some(until)) => Some(before.min(until)),
            (before, until) => before.or(until),
        };
        let first = self.shutdown.is_none();
        self.shutdown.get_or_insert(id);
        first
    }

    /// Whether the drain's time just ran out.
    pub fn drain_is_over(&mut self) -> bool {
        let over = self.drain_until.is_some_and(|until| Instant::now() >= until);
        if over {
            self.drain_until = None;
        }
        over
    }

    /// Whether the session is on its way to its end.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.signal.is_some() || self.host_gone || self.shutdown.is_some()
    }

    /// Whether commands are refused.
    #[must_use]
    pub fn takes_no_more(&self) -> bool {
        self.has_begun()
    }

    /// Whether the session is over, given that no job is left or some are.
    #[must_use]
    pub fn is_over(&self, no_jobs: bool) -> bool {
        let late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        late || (no_jobs && (self.input_ended || self.has_begun()))
    }

    /// The exit code that the ending itself asks for.
    #[must_use]
    pub fn code(&self, output_lost: bool) -> Option<u8> {
        match self.signal {
            Some(signal) => Some(128 + signal as u8),
            None => (self.host_gone || output_lost).then_some(exit::OUTPUT_LOST),
        }
    }
}
