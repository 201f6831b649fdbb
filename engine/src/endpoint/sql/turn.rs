//! Locks of tables that others use: waited for in short turns, so that nobody waits long behind us.

use std::time::{Duration, Instant};

use crate::error::{Kind, Result};
use crate::limits::DATABASE_LOCK_PAUSE_MS;
use crate::remote::ties::Ties;

/// Does something that ends as `Locked`, with nothing done, where a lock is not had within a turn
/// (`Patience::turn`); again and again until the patience is over.
///
/// # Errors
/// Those of `run`; `Cancelled`.
pub fn take<T>(ties: &Ties, mut run: impl FnMut() -> Result<T>) -> Result<T> {
    let since = Instant::now();
    loop {
        match run() {
            Err(error) if error.kind() == Kind::Locked && since.elapsed() < ties.patience.lock => {
                ties.switch.sleep(Duration::from_millis(DATABASE_LOCK_PAUSE_MS))?;
            }
            ended => return ended,
        }
    }
}
