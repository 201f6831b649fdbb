//! Stop, hold and go on: what every wait of a job listens to.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{EngineError, Result};

#[derive(Debug, Default)]
struct State {
    cancelled: bool,
    paused: bool,
}

/// A job's switch, shared by its workers. Cancelling is final; pausing is not.
#[derive(Clone, Debug, Default)]
pub struct Switch {
    shared: Arc<(Mutex<State>, Condvar)>,
    /// Read without the lock on the data path: true when anything at all was asked.
    asked: Arc<std::sync::atomic::AtomicBool>,
}

impl Switch {
    /// Stops the job at its next chunk.
    pub fn cancel(&self) {
        self.change(|state| state.cancelled = true);
    }

    /// Holds the job before its next chunk.
    pub fn pause(&self) {
        self.change(|state| state.paused = true);
    }

    /// Lets a held job go on.
    pub fn resume(&self) {
        self.change(|state| state.paused = false);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let asked = state.cancelled || state.paused;
        self.asked.store(asked, std::sync::atomic::Ordering::Release);
        self.shared.1.notify_all();
    }

    /// Whether the job was asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.asked() && self.read(|state| state.cancelled)
    }

    /// Whether the job is held.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.asked() && self.read(|state| state.paused && !state.cancelled)
    }

    fn asked(&self) -> bool {
        self.asked.load(std::sync::atomic::Ordering::Acquire)
    }

    fn read(&self, read: impl FnOnce(&State) -> bool) -> bool {
        read(&self.shared.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits while held. Returns how long it waited.
    ///
    /// # Errors
    /// `Cancelled` once the job was asked to stop.
    pub fn pass(&self) -> Result<Duration> {
        if !self.asked() {
            return Ok(Duration::ZERO);
        }
        let start = std::time::Instant::now();
        let mut state = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        while state.paused && !state.cancelled {
            state = self.shared.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.cancelled { Err(EngineError::cancelled()) } else { Ok(start.elapsed()) }
    }

    /// Sleeps, at most `time`, shorter when the switch is touched.
    ///
    /// # Errors
    /// `Cancelled` once the job was asked to stop.
    pub fn sleep(&self, time: Duration) -> Result<()> {
        let state = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.cancelled {
            return Err(EngineError::cancelled());
        }
        let (state, _) =
            self.shared.1.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner);
        if state.cancelled { Err(EngineError::cancelled()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_cancel_wakes_the_paused_and_the_sleeping() {
        let switch = Switch::default();
        assert!(switch.pass().is_ok());
        switch.pause();
        std::thread::scope(|scope| {
            let paused = scope.spawn(|| switch.pass());
            let sleeping = scope.spawn(|| while switch.sleep(Duration::from_secs(600)).is_ok() {});
            switch.cancel();
            assert_eq!(paused.join().unwrap().unwrap_err().kind(), Kind::Cancelled);
            sleeping.join().unwrap();
        });
        switch.resume();
        assert!(switch.is_cancelled() && !switch.is_paused());
    }
}
