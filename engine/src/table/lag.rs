//! Rows wait while the replicas of their target are too far behind.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::endpoint::rows::{Replicas, TableSink};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::limits::{REPLICAS_LOOK_MS, REPLICAS_WAIT_MS};
use crate::progress::Spent;

/// A bound on how far replicas are behind.
pub struct Lag<'a> {
    sink: &'a dyn TableSink,
    most: Duration,
    state: Mutex<State>,
}

struct State {
    watch: Option<Box<dyn Replicas>>,
    looked: Option<Instant>,
    behind: Duration,
    told: bool,
}

impl<'a> Lag<'a> {
    /// A bound.
    ///
    /// # Errors
    /// As [`TableSink::replicas`].
    pub fn new(sink: &'a dyn TableSink, most: Duration) -> Result<Self> {
        let watch = Some(sink.replicas()?);
        let state = State { watch, looked: None, behind: Duration::ZERO, told: false };
        Ok(Self { sink, most, state: Mutex::new(state) })
    }

    /// Waits until the replicas are near enough.
    ///
    /// # Errors
    /// `Cancelled`; those of the target.
    pub fn pass(&self, job: &Job) -> Result<()> {
        let since = Instant::now();
        let mut waited = false;
        while self.is_far(job)? {
            waited = true;
            job.progress.lagging.store(true, Ordering::Relaxed);
            job.switch.sleep(Duration::from_millis(REPLICAS_WAIT_MS))?;
        }
        if waited {
            job.progress.lagging.store(false, Ordering::Relaxed);
            job.progress.spend(Spent::Throttle, since.elapsed());
        }
        Ok(())
    }

    /// Whether they are too far; asked anew once the last answer is old.
    fn is_far(&self, job: &Job) -> Result<bool> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let look = Duration::from_millis(REPLICAS_LOOK_MS);
        if state.looked.is_none_or(|looked| looked.elapsed() >= look) {
            state.behind = self.look(&mut state)?;
            state.looked = Some(Instant::now());
        }
        let far = state.behind > self.most;
        if far && !state.told {
            state.told = true;
            let message = format!(
                "the replicas of the target are {} s behind: rows wait for them",
                state.behind.as_secs()
            );
            job.warn(&EngineError::new(Kind::Throttled, message));
        }
        Ok(far)
    }

    /// One session that is lost is made up for.
    fn look(&self, state: &mut State) -> Result<Duration> {
        if let Some(watch) = &mut state.watch
            && let Ok(behind) = watch.behind()
        {
            return Ok(behind);
        }
        state.watch.insert(self.sink.replicas()?).behind()
    }
}
