//! The output of a session that people read.
//!
//! Unlike the writer for hosts it waits for its reader: a listing in a pipe may be slow, and must
//! be whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use migration_protocol::event::{Event, Outcome, SessionError, State, Warning};
use migration_protocol::fault::printable;
use migration_protocol::message::JobState;

use crate::cli::context::Context;
use crate::cli::screen::{Colour, Screen};
use crate::cli::view::item::{self, Listing};
use crate::cli::view::progress::Gauge;
use crate::cli::view::{fault, summary, words};
use crate::serve::output::Output;

/// Shows events as text.
pub struct View {
    screen: Arc<Screen>,
    gauge: Gauge,
    listing: Listing,
    quiet: bool,
    answered: AtomicU64,
}

impl View {
    /// A view that lists these items.
    #[must_use]
    pub fn new(context: &Context, listing: Listing) -> Self {
        let style = if context.quiet { "none" } else { context.resolved.progress.as_str() };
        Self {
            screen: Arc::clone(&context.screen),
            gauge: Gauge::new(style, &context.screen),
            listing,
            quiet: context.quiet,
            answered: AtomicU64::new(0),
        }
    }

    /// Whether progress is shown at all.
    #[must_use]
    pub fn shows_progress(&self) -> bool {
        !matches!(self.gauge, Gauge::Off)
    }

    fn state(&self, state: &State) {
        if state.state == JobState::Cancelling && !self.quiet {
            self.screen.note("cancelling; interrupt again to stop at once");
        }
    }

    fn warning(&self, warning: &Warning) {
        let word = format!("warning[{}]", warning.code.name());
        let word = self.screen.paint_err(Colour::Yellow, &word);
        let path = warning.at.as_ref().and_then(|at| at.path.as_ref());
        let place = path.map_or_else(String::new, |path| format!("{}: ", words::name(path)));
        self.screen.note(&format!("{word}: {place}{}", printable(&warning.message)));
    }

    fn result(&self, outcome: &Outcome) {
        if let Some(error) = &outcome.error {
            fault::print(&self.screen, error);
        }
        if !self.listing.shows_items() {
            summary::failures(outcome).iter().for_each(|line| self.screen.note(line));
        }
        if self.quiet || self.listing.is_items_only() {
            return;
        }
        if self.listing == Listing::Commands {
            self.screen.line(summary::title(outcome));
        }
        summary::lines(outcome).iter().for_each(|line| self.screen.line(line));
        outcome.advice.iter().for_each(|advice| self.screen.note(&format!("advice: {advice}")));
    }

    fn bad_line(&self, error: &SessionError) {
        self.screen.note(&format!("line {}:", error.line));
        fault::print(&self.screen, &error.error);
    }

    fn show(&self, event: &Event) {
        match event {
            Event::State(state) => self.state(state),
            Event::Warning(warning) => self.warning(warning),
            Event::Item(item) => item::print(&self.screen, self.listing, item),
            Event::Sample(sample) => summary::sample(sample).iter().for_each(|line| {
                self.screen.line(line);
            }),
            Event::Log(log) => self.screen.note(&printable(&log.message)),
            Event::Result(outcome) => self.result(outcome),
            Event::Error(error) => self.bad_line(error),
            Event::Hello(_) | Event::Accepted(_) | Event::Checkpoint(_) | Event::Progress(_) => {}
        }
    }
}

impl Output for View {
    fn send(&self, event: Event) {
        if let Event::Result(outcome) = &event {
            self.gauge.end(&outcome.id);
        }
        match &event {
            Event::Progress(progress) => self.gauge.update(&self.screen, progress),
            other => self.gauge.aside(|| self.show(other)),
        }
        if matches!(event, Event::Result(_) | Event::Error(_)) {
            self.screen.flush();
            self.answered.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn finish(&self) {
        self.screen.flush();
    }

    fn answered(&self) -> u64 {
        self.answered.load(Ordering::Acquire)
    }

    fn is_lost(&self) -> bool {
        self.screen.is_lost()
    }
}
