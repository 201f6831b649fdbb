//! How many requests of one verb are on their way to one service at once.
//!
//! More as long as all slots are used and answers come as fast as before; fewer when they come
//! slower or ask for patience. A slot is held from the request's first byte to the answer's last.
//! Whoever holds one gets another without waiting, so that nobody waits for a slot while others
//! wait for his; and where nothing ends for long, whoever waits is let through.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use crate::limits::{REMOTE_SLOTS, REMOTE_SLOTS_PATIENCE_MS};
use crate::remote::call::{Class, Failure};
use crate::resource::cancel::Switch;

/// Weight of a round in the mean of all.
const ALPHA: f64 = 0.4;
/// Deviations above the mean that are slow.
const SCALE: f64 = 2.5;
/// Least time above the mean that is slow, seconds: less is the machine's own noise.
const NOISE_S: f64 = 0.005;
/// Least length of a round.
const ROUND: Duration = Duration::from_millis(20);
const SLOWER: f64 = 0.9;
const REFUSED: f64 = 0.7;

/// Slots that each thread holds, of all services.
static HELD: Mutex<Option<HashMap<ThreadId, usize>>> = Mutex::new(None);

fn held(change: impl FnOnce(&mut HashMap<ThreadId, usize>)) {
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    change(held.get_or_insert_with(HashMap::new));
}

fn hold(thread: ThreadId) {
    held(|held| *held.entry(thread).or_default() += 1);
}

fn leave(thread: ThreadId) {
    held(|held| {
        if let Some(count) = held.get_mut(&thread) {
            *count -= 1;
            if *count == 0 {
                held.remove(&thread);
            }
        }
    });
}

#[derive(Debug)]
struct State {
    allowed: f64,
    inside: usize,
    /// Mean and variance of a round's time, seconds.
    usual: Option<(f64, f64)>,
    begun: Instant,
    sum: f64,
    count: u32,
    /// Whether all slots were used in this round, and whether it was cut.
    full: bool,
    cut: bool,
    /// The last time that a slot came free.
    moved: Instant,
}

/// The slots of one verb.
#[derive(Debug)]
pub(super) struct Slots {
    state: Mutex<State>,
    changed: Condvar,
}

/// A slot held.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    thread: ThreadId,
}

impl Slots {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let state = State {
            allowed: REMOTE_SLOTS.0,
            inside: 0,
            usual: None,
            begun: now,
            sum: 0.0,
            count: 0,
            full: false,
            cut: false,
            moved: now,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a slot, waiting for one.
    ///
    /// # Errors
    /// `Timeout` when none came free before the deadline, `Cancelled`.
    pub(super) fn take(
        self: &Arc<Self>,
        switch: &Switch,
        deadline: Instant,
    ) -> Result<Slot, Failure> {
        let thread = std::thread::current().id();
        let mut ahead = false;
        held(|held| ahead = held.contains_key(&thread));
        let mut state = self.state();
        let begun = Instant::now();
        let patience = Duration::from_millis(REMOTE_SLOTS_PATIENCE_MS);
        while !ahead && state.inside >= state.allowed as usize {
            if switch.is_cancelled() {
                return Err(Failure::cancelled());
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(Failure::of(Class::Timeout, "no request ended in time"));
            }
            if now.saturating_duration_since(state.moved.max(begun)) >= patience {
                state.moved = now;
                break;
            }
            let waited = self.changed.wait_timeout(state, Duration::from_millis(50));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.inside += 1;
        state.full |= state.inside >= state.allowed as usize;
        hold(thread);
        Ok(Slot { slots: Arc::clone(self), thread })
    }

    /// Slots in force.
    pub(super) fn allowed(&self) -> u64 {
        self.state().allowed as u64
    }

    /// An answer came after so many seconds.
    pub(super) fn came(&self, seconds: f64) {
        let mut state = self.state();
        state.came(Instant::now(), seconds);
        drop(state);
        self.changed.notify_one();
    }

    /// The service asked for patience.
    pub(super) fn refused(&self) {
        let mut state = self.state();
        if !state.cut {
            state.cut = true;
            state.allowed = (state.allowed * REFUSED).max(1.0);
        }
        // A round of refusals alone ends as well.
        if state.begun.elapsed() >= ROUND.max(state.round()) {
            state.anew(Instant::now());
        }
    }
}

impl State {
    fn round(&self) -> Duration {
        Duration::from_secs_f64(self.usual.map_or(0.0, |(mean, _)| mean.clamp(0.0, 60.0)))
    }

    fn anew(&mut self, now: Instant) {
        (self.begun, self.sum, self.count) = (now, 0.0, 0);
        (self.full, self.cut) = (self.inside >= self.allowed as usize, false);
    }

    fn came(&mut self, now: Instant, seconds: f64) {
        self.sum += seconds;
        self.count += 1;
        if now.saturating_duration_since(self.begun) < ROUND.max(self.round()) {
            return;
        }
        let mean = self.sum / f64::from(self.count);
        let Some((usual, variance)) = self.usual else {
            self.usual = Some((mean, 0.0));
            return self.anew(now);
        };
        let slow = mean > usual + (variance.sqrt() * SCALE).max(NOISE_S);
        if slow {
            self.allowed = (self.allowed * SLOWER).max(1.0);
        } else if self.full && !self.cut {
            self.allowed = (self.allowed + 1.0).min(REMOTE_SLOTS.1);
        }
        let off = mean - usual;
        self.usual = Some((usual + ALPHA * off, (1.0 - ALPHA) * (variance + ALPHA * off * off)));
        self.anew(now);
    }
}

impl Slot {
    /// The thread that asks now is the one that holds it.
    pub(super) fn mine(&mut self) {
        let thread = std::thread::current().id();
        if thread != self.thread {
            leave(self.thread);
            hold(thread);
            self.thread = thread;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        leave(self.thread);
        let mut state = self.slots.state();
        state.inside -= 1;
        state.moved = Instant::now();
        drop(state);
        self.slots.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn rounds(state: &mut State, seconds: f64, count: u32) {
        for _ in 0..count {
            let now = state.begun + Duration::from_secs_f64(seconds.max(0.1));
            state.full = true;
            state.came(now, seconds);
        }
    }

    #[test]
    fn more_at_once_while_answers_are_fast_fewer_when_they_slow_down() {
        let slots = Slots::new();
        let mut state = slots.state();
        rounds(&mut state, 0.05, 20);
        assert!((state.allowed - 27.0).abs() < 0.1, "{}", state.allowed);
        rounds(&mut state, 0.05, 100);
        assert!((state.allowed - 64.0).abs() < 0.1);
        rounds(&mut state, 0.5, 1);
        assert!((state.allowed - 57.6).abs() < 0.1);
    }

    #[test]
    fn a_refusal_cuts_once_a_round() {
        let slots = Slots::new();
        slots.came(0.01);
        for _ in 0..5 {
            slots.state().begun = Instant::now();
            slots.refused();
        }
        assert_eq!(slots.allowed(), 5);
    }

    #[test]
    fn who_holds_a_slot_gets_another_and_nobody_else() {
        let (slots, switch) = (Arc::new(Slots::new()), Switch::default());
        slots.state().allowed = 1.0;
        let first = slots.take(&switch, late()).unwrap();
        let second = slots.take(&switch, Instant::now()).unwrap();
        let other = || slots.take(&switch, Instant::now()).map(drop);
        std::thread::scope(|scope| {
            assert!(scope.spawn(other).join().unwrap().is_err());
        });
        drop(second);
        // Handed on, it counts for the thread that has it.
        std::thread::scope(|scope| {
            let takes = || {
                let mut first = first;
                first.mine();
                let more = slots.take(&switch, Instant::now()).is_ok();
                drop(first);
                more
            };
            assert!(scope.spawn(takes).join().unwrap());
        });
        assert_eq!(slots.state().inside, 0);
        assert!(other().is_ok());
    }
}
