//! Threads for blocking I/O: bounded over all jobs, lent for the length of one phase.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{EngineError, Kind, Result};

/// The process's worker slots. Clones share them.
#[derive(Clone, Debug)]
pub struct Workers {
    free: Arc<AtomicUsize>,
}

/// Slots lent; dropping them gives them back.
struct Lent {
    count: usize,
    free: Arc<AtomicUsize>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.free.fetch_add(self.count, Ordering::AcqRel);
    }
}

impl Workers {
    /// This many slots.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self { free: Arc::new(AtomicUsize::new(slots)) }
    }

    fn lend(&self, want: usize) -> Lent {
        let mut free = self.free.load(Ordering::Acquire);
        loop {
            let count = want.min(free);
            let left = free - count;
            match self.free.compare_exchange_weak(free, left, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Lent { count, free: Arc::clone(&self.free) },
                Err(now) => free = now,
            }
        }
    }

    /// Runs `lead` on this thread and `work` on up to `want` others, at least one, until all are
    /// done. Fewer run when other jobs hold the slots; each `work` must take whatever it finds.
    ///
    /// # Errors
    /// `Handles` when the system gives not even one thread; `lead` did not run then.
    pub fn run<T>(
        &self,
        want: usize,
        work: impl Fn() + Sync,
        lead: impl FnOnce() -> T,
    ) -> Result<T> {
        let lent = self.lend(want);
        std::thread::scope(|scope| {
            for index in 0..lent.count.max(1) {
                let builder = std::thread::Builder::new().name(format!("worker-{index}"));
                match builder.spawn_scoped(scope, &work) {
                    Ok(_) => {}
                    Err(_) if index > 0 => break,
                    Err(error) => {
                        return Err(EngineError::new(Kind::Handles, "failed to start a thread")
                            .because("clone", error.raw_os_error()));
                    }
                }
            }
            Ok(lead())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_shared_and_come_back() {
        let workers = Workers::new(3);
        let ran = AtomicUsize::new(0);
        let count = || {
            ran.fetch_add(1, Ordering::SeqCst);
        };
        workers.run(2, count, || workers.run(2, count, || ()).unwrap()).unwrap();
        assert_eq!(ran.swap(0, Ordering::SeqCst), 3);
        workers.run(9, count, || ()).unwrap();
        assert_eq!(ran.load(Ordering::SeqCst), 3);
    }
}
