//! How many commands are in hand: what bounds the input when answers are not read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use migration_protocol::OUTSTANDING_MAX;

use crate::serve::output::Output;

/// Longest wait between two looks at the answers.
const WAIT_MAX: Duration = Duration::from_millis(20);

/// Counts lines taken against answers written.
pub struct Admission {
    taken: AtomicU64,
    output: Arc<dyn Output>,
}

impl Admission {
    /// Nothing taken yet.
    #[must_use]
    pub fn new(output: Arc<dyn Output>) -> Self {
        Self { taken: AtomicU64::new(0), output }
    }

    /// Counts lines that will be answered.
    pub fn take(&self, lines: u64) {
        self.taken.fetch_add(lines, Ordering::AcqRel);
    }

    fn outstanding(&self) -> u64 {
        self.taken.load(Ordering::Acquire).saturating_sub(self.output.answered())
    }

    /// Waits until one more line may be read. Calls `idle` now and then while waiting; it ends the
    /// wait by returning false.
    pub fn wait(&self, mut idle: impl FnMut() -> bool) -> bool {
        let mut pause = Duration::from_micros(50);
        while self.outstanding() >= OUTSTANDING_MAX as u64 {
            if self.output.is_lost() || !idle() {
                return false;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(WAIT_MAX);
        }
        true
    }
}
