//! Stop, hold and go on: what every wait of a job listens to.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{EngineError, Result};

/// Longest sleep of work on a leash, which nobody wakes.
const STEP: Duration = Duration::from_millis(50);

thread_local! {
    /// The leash of what this thread does now.
    static HELD: RefCell<Option<Leash>> = const { RefCell::new(None) };
}

/// Lets go of one thread's work while its job goes on: what that work asks of a [`Switch`] is
/// answered as if the job had been cancelled.
#[derive(Clone, Debug, Default)]
pub struct Leash(Arc<Held>);

#[derive(Debug, Default)]
struct Held {
    cut: AtomicBool,
    /// How long the work rested, and since when it does.
    rest: Mutex<(Duration, Option<Instant>)>,
}

impl Held {
    fn rest(&self) -> std::sync::MutexGuard<'_, (Duration, Option<Instant>)> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leash {
    /// Lets go.
    pub fn cut(&self) {
        self.0.cut.store(true, Ordering::Release);
    }

    /// Waits, for a pause to end or for a turn: that time is none that the work itself takes.
    pub fn rest<T>(wait: impl FnOnce() -> T) -> T {
        let Some(leash) = HELD.with_borrow(Option::clone) else {
            return wait();
        };
        // A rest within another one is of it.
        if leash.0.rest().1.is_some() {
            return wait();
        }
        leash.0.rest().1 = Some(Instant::now());
        let waited = wait();
        let mut rest = leash.0.rest();
        let since = rest.1.take();
        rest.0 += since.map_or(Duration::ZERO, |since| since.elapsed());
        drop(rest);
        waited
    }

    /// How long the work rested so far.
    #[must_use]
    pub fn rested(&self) -> Duration {
        let (rested, since) = *self.0.rest();
        rested + since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Works on this leash, on this thread.
    pub fn hold<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = HELD.replace(Some(self.clone()));
        let done = work();
        HELD.set(before);
        done
    }

    /// Whether this thread works on a leash, and whether that was cut.
    fn state() -> Option<bool> {
        HELD.with_borrow(|held| held.as_ref().map(|leash| leash.0.cut.load(Ordering::Acquire)))
    }

    fn is_cut() -> bool {
        Self::state() == Some(true)
    }
}

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
    asked: Arc<AtomicBool>,
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
        self.asked.store(asked, Ordering::Release);
        self.shared.1.notify_all();
    }

    /// Whether the job was asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        Leash::is_cut() || (self.asked() && self.read(|state| state.cancelled))
    }

    /// Whether the job is held.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.asked() && self.read(|state| state.paused && !state.cancelled)
    }

    fn asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    fn read(&self, read: impl FnOnce(&State) -> bool) -> bool {
        read(&self.shared.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits while held. Returns how long it waited.
    ///
    /// # Errors
    /// `Cancelled` once the job was asked to stop.
    pub fn pass(&self) -> Result<Duration> {
        if Leash::is_cut() {
            return Err(EngineError::cancelled());
        }
        if !self.asked() {
            return Ok(Duration::ZERO);
        }
        let start = Instant::now();
        let mut state = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.paused && !state.cancelled {
            let held = |state: &mut State| state.paused && !state.cancelled;
            state = Leash::rest(|| self.shared.1.wait_while(state, held))
                .unwrap_or_else(PoisonError::into_inner);
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
        let time = if Leash::state().is_some() { time.min(STEP) } else { time };
        let (state, _) =
            self.shared.1.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner);
        if state.cancelled || Leash::is_cut() { Err(EngineError::cancelled()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_leash_tells_rest_from_work() {
        let (switch, leash) = (Switch::default(), Leash::default());
        let time = Duration::from_millis(60);
        switch.pause();
        std::thread::scope(|scope| {
            let paused = scope.spawn(|| leash.hold(|| switch.pass()));
            while leash.rested().is_zero() {
                std::thread::yield_now();
            }
            std::thread::sleep(time);
            assert!(leash.rested() >= time);
            switch.resume();
            paused.join().unwrap().unwrap();
        });
        let before = leash.rested();
        leash.hold(|| std::thread::sleep(time));
        assert_eq!(leash.rested(), before);
        let begun = Instant::now();
        leash.hold(|| Leash::rest(|| Leash::rest(|| std::thread::sleep(time))));
        let rested = leash.rested() - before;
        assert!(rested >= time && rested <= begun.elapsed());
    }

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

    #[test]
    fn work_is_let_go_on_its_own_thread_alone() {
        let (switch, leash) = (Switch::default(), Leash::default());
        std::thread::scope(|scope| {
            let held = scope.spawn(|| leash.hold(|| while switch.sleep(STEP * 1000).is_ok() {}));
            leash.cut();
            held.join().unwrap();
        });
        assert!(leash.hold(|| switch.is_cancelled() && switch.pass().is_err()));
        assert!(!switch.is_cancelled() && switch.pass().is_ok());
    }
}
