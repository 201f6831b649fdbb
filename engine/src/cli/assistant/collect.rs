//! Keeps what a session says, for one answer at its end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use migration_protocol::event::{Event, Outcome};
use migration_protocol::message::EventKind;
use serde_json::{Map, Value};

use crate::cli::assistant::tree_digest::TreeDigest;
use crate::cli::context::Context;
use crate::serve::output::Output;
use crate::serve::session::{self, Input};

/// An output that keeps events that answer something.
#[derive(Debug, Default)]
pub struct Collector {
    events: Mutex<Vec<Event>>,
    tree: Mutex<TreeDigest>,
    answered: AtomicU64,
}

impl Collector {
    /// What was kept so far.
    #[must_use]
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take_tree(&self) -> TreeDigest {
        std::mem::take(&mut *self.tree.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Output for Collector {
    fn send(&self, event: Event) {
        match event {
            Event::Item(item) => {
                self.tree.lock().unwrap_or_else(PoisonError::into_inner).add(&item);
            }
            Event::Hello(_) | Event::Result(_) | Event::Error(_) => {
                let answers = u64::from(!matches!(event, Event::Hello(_)));
                self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
                self.answered.fetch_add(answers, Ordering::AcqRel);
            }
            _ => {}
        }
    }

    fn finish(&self) {}

    fn answered(&self) -> u64 {
        self.answered.load(Ordering::Acquire)
    }

    fn is_lost(&self) -> bool {
        false
    }
}

/// Runs commands quietly. Returns their results, in the order of their ends, and what items said.
#[must_use]
pub fn run(context: &Context, commands: Vec<Map<String, Value>>) -> (Vec<Outcome>, TreeDigest) {
    let collector = Arc::new(Collector::default());
    let output: Arc<dyn Output> = collector.clone();
    let mut settings = context.resolved.settings.clone();
    settings.events = vec![EventKind::Item];
    session::run(settings, Input::Commands(commands), output);
    let outcomes = collector.take().into_iter().filter_map(|event| match event {
        Event::Result(outcome) => Some(*outcome),
        _ => None,
    });
    (outcomes.collect(), collector.take_tree())
}

/// Runs one command quietly; `None` where the session could not even begin.
#[must_use]
pub fn run_one(context: &Context, command: Map<String, Value>) -> (Option<Outcome>, TreeDigest) {
    let (outcomes, tree) = run(context, vec![command]);
    (outcomes.into_iter().next(), tree)
}
