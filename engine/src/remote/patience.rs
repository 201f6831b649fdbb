//! Waits of a socket that see a cancel and end in time.
//!
//! Sockets give up each call after [`REMOTE_STEP_MS`](crate::limits::REMOTE_STEP_MS); what is
//! counted here is the time spent in such calls, never that of a caller who is slow to take.

use std::io;
use std::time::{Duration, Instant};

use crate::remote::call::{Class, Failure};
use crate::remote::settings::Waits;
use crate::resource::cancel::Switch;

/// The patience of one exchange.
#[derive(Debug)]
pub(super) struct Patience {
    switch: Switch,
    pub(super) waits: Waits,
    /// Whether bytes are content, which must come at a least speed; what is not content has a
    /// bound over the whole.
    content: bool,
    bytes: u64,
    spent: Duration,
}

impl Patience {
    pub(super) fn new(switch: &Switch, waits: Waits, content: bool) -> Self {
        Self { switch: switch.clone(), waits, content, bytes: 0, spent: Duration::ZERO }
    }

    /// Begins another phase: what was counted is forgotten.
    pub(super) fn anew(&mut self) {
        self.bytes = 0;
        self.spent = Duration::ZERO;
    }

    /// Calls until something comes of it, for at most `limit`.
    pub(super) fn call(
        &mut self,
        limit: Duration,
        doing: &str,
        mut call: impl FnMut() -> io::Result<usize>,
    ) -> Result<usize, Failure> {
        let start = Instant::now();
        loop {
            if self.switch.is_cancelled() {
                return Err(Failure::cancelled());
            }
            match call() {
                Ok(count) => return Ok(count),
                Err(error) if is_wait(&error) => {}
                Err(error) => return Err(Failure::io(&error, doing)),
            }
            if start.elapsed() >= limit {
                return Err(Failure::of(Class::Timeout, format!("{doing}: nothing came in time")));
            }
        }
    }

    /// As [`Patience::call`] for bytes on their way, which must not come too slowly either.
    pub(super) fn flow(
        &mut self,
        doing: &str,
        call: impl FnMut() -> io::Result<usize>,
    ) -> Result<usize, Failure> {
        let start = Instant::now();
        let count = self.call(self.waits.silence, doing, call)?;
        self.spent += start.elapsed();
        self.bytes += count as u64;
        let Waits { slow, slow_bytes_per_s, whole, .. } = self.waits;
        if self.content && self.spent >= slow {
            if (self.bytes as f64) < slow_bytes_per_s as f64 * self.spent.as_secs_f64() {
                return Err(Failure::of(Class::Timeout, format!("{doing}: too slow")));
            }
            self.anew();
        }
        if !self.content && self.spent >= whole {
            return Err(Failure::of(Class::Timeout, format!("{doing}: took too long")));
        }
        Ok(count)
    }
}

/// Whether a call only gave up for now.
pub(super) fn is_wait(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}
