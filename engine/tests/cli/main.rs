//! The face for people: every verb, exit codes, settings.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests arrange files by path and stop at the first surprise"
)]

#[path = "../binary/mod.rs"]
mod binary;
mod doctor;
mod faces;
mod interrupt;
mod jobs;
mod listing;
mod settings;

use binary::{Place, Ran};
use serde_json::Value;

const HELLO_SHA256: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

/// A place with a small tree in `in`.
fn with_tree() -> Place {
    let place = Place::new();
    place.write("in/a.txt", "hello\n");
    place.write("in/sub/b.bin", vec![7; 100_000]);
    place
}

/// The last line of a session.
fn last(ran: &Ran) -> Value {
    ran.lines().pop().unwrap()
}
