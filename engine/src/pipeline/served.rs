//! The parts of a file that its destination copies by itself, several at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::endpoint::contract::Intake;
use crate::error::Result;
use crate::job::Job;
use crate::model::item::Handle;

/// Has the destination copy `size` bytes of `from`, a part each time, up to `at_once` of them at a
/// time; false where it cannot, and then some of them may have been copied.
///
/// # Errors
/// The first failure; those under way are waited for.
pub fn copy_parts(
    job: &Job,
    intake: &dyn Intake,
    from: &Handle,
    size: u64,
    at_once: usize,
) -> Result<bool> {
    let Some(part_bytes) = intake.part_bytes().filter(|_| size > 0) else {
        return Ok(false);
    };
    let (next, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let outcome = Mutex::new(Ok(true));
    let work = || {
        while !over.load(Ordering::Acquire) {
            let start = next.fetch_add(part_bytes, Ordering::Relaxed);
            if start >= size {
                return;
            }
            let length = part_bytes.min(size - start);
            let copied = job.pass().and_then(|()| intake.offload(from, start, length));
            let ended = match copied {
                Ok(Some(done)) if done == length => continue,
                Ok(_) => Ok(false),
                Err(error) => Err(error),
            };
            over.store(true, Ordering::Release);
            let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
            if outcome.is_ok() {
                *outcome = ended;
            }
            return;
        }
    };
    let others = size.div_ceil(part_bytes).min(at_once as u64).saturating_sub(1);
    std::thread::scope(|scope| {
        for index in 0..others {
            // Fewer do as well, where the system gives no more.
            let builder = std::thread::Builder::new().name(format!("part-{index}"));
            if builder.spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    outcome.into_inner().unwrap_or_else(PoisonError::into_inner)
}
