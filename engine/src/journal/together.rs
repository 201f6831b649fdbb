//! What many threads want written is written by one of them, for all that came meanwhile: a sync
//! for each of them would be their only speed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::error::{EngineError, Result};

/// Gathers work of threads that wait for it.
#[derive(Debug)]
pub struct Together<T> {
    /// What is to be written next, and which round that will be.
    waiting: Mutex<(Vec<T>, u64)>,
    /// Rounds that are over, and errors of those that failed.
    over: Mutex<(u64, BTreeMap<u64, EngineError>)>,
}

impl<T> Default for Together<T> {
    fn default() -> Self {
        Self { waiting: Mutex::new((Vec::new(), 0)), over: Mutex::default() }
    }
}

impl<T> Together<T> {
    /// Has `item` worked on, by this thread or another one, and waits for it.
    ///
    /// # Errors
    /// What came of the round that it was in.
    pub fn run(&self, item: T, work: impl FnOnce(Vec<T>) -> Result<()>) -> Result<()> {
        let round = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.0.push(item);
            waiting.1
        };
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        if over.0 <= round {
            let items = {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                waiting.1 += 1;
                std::mem::take(&mut waiting.0)
            };
            if let Err(error) = work(items) {
                over.1.insert(round, error);
            }
            over.0 = round + 1;
        }
        over.1.get(&round).map_or(Ok(()), |error| Err(error.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn everything_is_worked_on_once_and_rounds_are_shared() {
        let (together, done, rounds) =
            (Together::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (together, done, rounds) = (&together, &done, &rounds);
                scope.spawn(move || {
                    for n in 0..50 {
                        together
                            .run(thread * 50 + n, |items| {
                                rounds.fetch_add(1, Ordering::Relaxed);
                                done.fetch_add(items.len(), Ordering::Relaxed);
                                std::thread::sleep(std::time::Duration::from_micros(200));
                                Ok(())
                            })
                            .unwrap();
                    }
                });
            }
        });
        assert_eq!(done.into_inner(), 400);
        assert!(rounds.into_inner() < 400, "no round held more than one");
    }

    #[test]
    fn an_error_is_told_to_all_of_its_round() {
        let together = Together::default();
        let fail = |_| Err(EngineError::new(Kind::StateDir, "full"));
        assert!(together.run(1, fail).is_err());
        assert!(together.run(2, |_: Vec<i32>| Ok(())).is_ok());
    }
}
