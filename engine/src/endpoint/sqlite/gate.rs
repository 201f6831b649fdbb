//! One writer at a time: a file takes no more, and whoever waits here waits for no lock of it.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{EngineError, Result};
use crate::remote::ties::Ties;

/// Time between two looks at the job's switch.
const LOOK: Duration = Duration::from_millis(100);

/// A gate that one passes at a time. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    shared: Arc<(Mutex<bool>, Condvar)>,
}

/// The right of way, until it is dropped.
#[derive(Debug)]
pub struct Pass(Gate);

impl Gate {
    /// Waits for the right of way.
    ///
    /// # Errors
    /// `Cancelled` with the job.
    pub fn pass(&self, ties: &Ties) -> Result<Pass> {
        let (taken, freed) = &*self.shared;
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken {
            if ties.switch.is_cancelled() {
                return Err(EngineError::cancelled());
            }
            let waited = freed.wait_timeout(taken, LOOK);
            taken = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *taken = true;
        Ok(Pass(self.clone()))
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let (taken, freed) = &*self.0.shared;
        *taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        freed.notify_one();
    }
}
