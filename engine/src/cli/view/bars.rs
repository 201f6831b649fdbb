//! Progress as bars on standard error.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use migration_protocol::event::Progress;
use migration_protocol::message::Id;

use crate::cli::view::progress::figures;

/// A bar for each running job.
#[derive(Default)]
pub struct Bars {
    all: MultiProgress,
    by_id: Mutex<HashMap<Id, ProgressBar>>,
}

impl Bars {
    /// Moves a job's bar.
    pub fn update(&self, progress: &Progress) {
        let bar = {
            let mut bars = self.by_id.lock().unwrap_or_else(PoisonError::into_inner);
            bars.entry(progress.id.clone()).or_insert_with(|| self.begin(&progress.id)).clone()
        };
        bar.set_length(progress.bytes_total.unwrap_or(0));
        bar.set_position(progress.bytes_done);
        bar.set_message(format!("{}: {}", progress.phase, figures(progress)));
    }

    fn begin(&self, id: &Id) -> ProgressBar {
        let template = "{prefix} [{bar:24}] {binary_bytes}/{binary_total_bytes} {msg}";
        let style = ProgressStyle::with_template(template);
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ");
        self.all.add(ProgressBar::new(0).with_style(style).with_prefix(id.to_string()))
    }

    /// Takes a job's bar away.
    pub fn end(&self, id: &Id) {
        let bar = self.by_id.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
    }

    /// Prints something above the bars.
    pub fn aside(&self, print: impl FnOnce()) {
        self.all.suspend(print);
    }
}
