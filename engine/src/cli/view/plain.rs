//! Progress as lines, for logs.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use migration_protocol::event::Progress;
use migration_protocol::message::Id;

use crate::cli::screen::Screen;
use crate::cli::view::progress::figures;
use crate::cli::view::words;

/// Time between two lines of a job.
const INTERVAL: Duration = Duration::from_secs(10);

/// When each job was last spoken of.
#[derive(Default)]
pub struct Plain(Mutex<HashMap<Id, Instant>>);

impl Plain {
    /// Prints a line where the last one is old enough; the first comes after one interval.
    pub fn update(&self, screen: &Screen, progress: &Progress) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let began = || Instant::now() - Duration::from_millis(progress.elapsed_ms);
        let at = last.entry(progress.id.clone()).or_insert_with(began);
        if at.elapsed() < INTERVAL {
            return;
        }
        *at = Instant::now();
        drop(last);
        let done = words::bytes(progress.bytes_done);
        let bytes = match progress.bytes_total {
            Some(total) => format!("{done} of {}", words::bytes(total)),
            None => done,
        };
        let (id, phase) = (&progress.id, &progress.phase);
        screen.note(&format!("{id}: {phase}: {bytes}, {}", figures(progress)));
    }

    /// Forgets a job.
    pub fn end(&self, id: &Id) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}
