//! Runs commands in a session, as lines of the protocol or as text for people.

use std::sync::Arc;

use migration_protocol::message::{EventKind, OnEof};
use serde_json::{Map, Value};

use crate::cli::context::Context;
use crate::cli::view::{Listing, View};
use crate::serve::exit;
use crate::serve::session::{self, Input};
use crate::serve::writer::Writer;
use crate::settings::Settings;

/// Runs one command. Returns the exit code.
#[must_use]
pub fn run_one(context: &Context, command: Map<String, Value>, listing: Listing) -> u8 {
    run(context, Input::Commands(vec![command]), listing)
}

/// Runs what the input names. Returns the exit code.
#[must_use]
pub fn run(context: &Context, input: Input, listing: Listing) -> u8 {
    let mut settings = context.resolved.settings.clone();
    if listing.shows_items() {
        settings.events.push(EventKind::Item);
    }
    if context.json {
        return as_lines(context, settings, input);
    }
    let view = Arc::new(View::new(context, listing));
    if !view.shows_progress() {
        settings.events.retain(|kind| *kind != EventKind::Progress);
    }
    session::run(settings, input, view)
}

/// Runs what the input names, with the very lines that hosts get. Returns the exit code.
#[must_use]
pub fn as_lines(context: &Context, settings: Settings, input: Input) -> u8 {
    match Writer::stdout() {
        Ok(writer) => session::run(settings, input, writer),
        Err(error) => {
            context.screen.note(&format!("error: failed to take over standard output: {error}"));
            exit::OUTPUT_LOST
        }
    }
}

/// The meaning of a flag whose values clap has checked.
#[must_use]
pub fn on_eof(flag: Option<&str>) -> Option<OnEof> {
    flag.and_then(|text| serde_json::from_value(text.into()).ok())
}
