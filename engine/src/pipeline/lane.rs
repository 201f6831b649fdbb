//! Blocks worked on by several threads and given on in order.
//!
//! Slots, each with its buffers, go round: the leading thread fills one, a worker works on it, the
//! leading thread takes the outcome in order and fills the slot again. So what is in flight is
//! bounded by the slots, and nobody waits for a buffer while holding one.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crossbeam_channel::{Receiver, Sender};

use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::resource::budget::Permit;

/// What is done with slots.
pub trait Line: Sync {
    /// A block on its way.
    type Slot: Send;
    /// A worker's own.
    type Hand;

    /// Equips a worker.
    ///
    /// # Errors
    /// Ends the line.
    fn hand(&self) -> Result<Self::Hand>;

    /// Works on a slot, on a worker's thread.
    ///
    /// # Errors
    /// Ends the line.
    fn work(&self, hand: &mut Self::Hand, slot: &mut Self::Slot) -> Result<()>;
}

/// The leading thread's end.
pub struct Lane<'a, S> {
    tasks: Sender<(u64, S)>,
    done: Receiver<(u64, Result<S>)>,
    free: Vec<S>,
    ready: BTreeMap<u64, S>,
    sent: u64,
    taken: u64,
    take: &'a mut dyn FnMut(&mut S) -> Result<()>,
}

impl<S> Lane<'_, S> {
    /// A free slot. Waits for one, giving on what is ready meanwhile.
    ///
    /// # Errors
    /// Those of the workers and of what takes the outcomes.
    pub fn slot(&mut self) -> Result<S> {
        while let Ok(done) = self.done.try_recv() {
            self.ended(done)?;
        }
        loop {
            if let Some(slot) = self.free.pop() {
                return Ok(slot);
            }
            self.wait()?;
        }
    }

    /// Hands a filled slot to the workers.
    ///
    /// # Errors
    /// `Internal` when there are none.
    pub fn send(&mut self, slot: S) -> Result<()> {
        self.tasks.send((self.sent, slot)).map_err(|_| gone())?;
        self.sent += 1;
        Ok(())
    }

    /// Puts back a slot that is not needed.
    pub fn put_back(&mut self, slot: S) {
        self.free.push(slot);
    }

    /// Waits until everything sent was given on.
    ///
    /// # Errors
    /// As [`Lane::slot`].
    pub fn drain(&mut self) -> Result<()> {
        while self.taken < self.sent {
            self.wait()?;
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<()> {
        let done = self.done.recv().map_err(|_| gone())?;
        self.ended(done)
    }

    fn ended(&mut self, (number, slot): (u64, Result<S>)) -> Result<()> {
        self.ready.insert(number, slot?);
        while let Some(mut slot) = self.ready.remove(&self.taken) {
            (self.take)(&mut slot)?;
            self.taken += 1;
            self.free.push(slot);
        }
        Ok(())
    }
}

fn gone() -> EngineError {
    EngineError::new(Kind::Internal, "the workers of this command are gone")
}

/// Runs `lead` on this thread, which fills slots, and up to `threads` workers. `take` is given
/// every slot sent, in order, on this thread. What is sent is given on before this returns `Ok`.
///
/// # Errors
/// The first error of anybody.
pub fn run<L: Line, T>(
    job: &Job,
    threads: usize,
    slots: Vec<L::Slot>,
    line: &L,
    take: &mut dyn FnMut(&mut L::Slot) -> Result<()>,
    lead: impl FnOnce(&mut Lane<'_, L::Slot>) -> Result<T>,
) -> Result<T> {
    let (tasks, waiting) = crossbeam_channel::bounded(slots.len());
    let (answers, done) = crossbeam_channel::bounded(slots.len());
    let work = || work(line, &waiting, &answers);
    let mut lane =
        Lane { tasks, done, free: slots, ready: BTreeMap::new(), sent: 0, taken: 0, take };
    // The lane is dropped with its lead, at which the workers end.
    job.engine.workers.run(threads, work, move || {
        let led = lead(&mut lane)?;
        lane.drain()?;
        Ok(led)
    })?
}

fn work<L: Line>(
    line: &L,
    waiting: &Receiver<(u64, L::Slot)>,
    answers: &Sender<(u64, Result<L::Slot>)>,
) {
    let mut hand = line.hand();
    for (number, mut slot) in waiting {
        let worked = match &mut hand {
            Ok(hand) => catch_unwind(AssertUnwindSafe(|| line.work(hand, &mut slot)))
                .unwrap_or_else(|_| Err(EngineError::new(Kind::Internal, "a worker failed"))),
            Err(error) => Err(error.clone()),
        };
        if answers.send((number, worked.map(|()| slot))).is_err() {
            return;
        }
    }
}

/// How many threads and slots a command gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seats {
    /// Threads.
    pub threads: usize,
    /// Slots: one for each thread, and those being filled and given on.
    pub slots: usize,
    /// Bytes of a block, smaller than wished where memory is short.
    pub block_bytes: usize,
}

/// Slots beyond one for each thread.
const SPARE_SLOTS: usize = 2;

impl Seats {
    /// As many of `threads` as memory allows: `slot` tells the bytes of a slot with blocks of so
    /// many bytes, `hand` are those of a worker. `None` where not even one fits.
    #[must_use]
    pub fn fit(
        total: u64,
        threads: usize,
        block_bytes: usize,
        block_bytes_min: usize,
        slot: impl Fn(usize) -> u64,
        hand: u64,
    ) -> Option<Self> {
        let mut block_bytes = block_bytes;
        loop {
            let fits = |threads: usize| {
                let seats = Self { threads, slots: threads + SPARE_SLOTS, block_bytes };
                (seats.bytes(&slot, hand) <= total / 4 * 3).then_some(seats)
            };
            if let Some(seats) = (1..=threads.max(1)).rev().find_map(fits) {
                return Some(seats);
            }
            if block_bytes / 2 < block_bytes_min {
                return None;
            }
            block_bytes /= 2;
        }
    }

    /// Bytes of memory they take.
    pub fn bytes(&self, slot: impl Fn(usize) -> u64, hand: u64) -> u64 {
        self.slots as u64 * slot(self.block_bytes) + self.threads as u64 * hand
    }

    /// Takes that memory.
    ///
    /// # Errors
    /// `Memory`, `Cancelled`.
    pub fn take(&self, job: &Job, slot: impl Fn(usize) -> u64, hand: u64) -> Result<Permit> {
        job.take_memory(self.bytes(slot, hand))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_shrink_with_memory() {
        let slot = |block: usize| 2 * block as u64;
        let fit = |total| Seats::fit(total, 4, 1 << 20, 256 << 10, slot, 1 << 20);
        let of = |total: u64| fit(total << 20).map(|seats| (seats.threads, seats.block_bytes));
        assert_eq!(of(100), Some((4, 1 << 20)));
        assert_eq!(of(14), Some((2, 1 << 20)));
        assert_eq!(of(8), Some((2, 512 << 10)));
        assert_eq!(of(1), None);
    }
}
