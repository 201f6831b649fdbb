//! The endpoint contract on top of an object store's verbs: what is the same for every store.
//!
//! A dialect implements [`verbs::Store`]; everything else of an endpoint is here.

pub mod bucket;
mod clock_text;
mod content_type;
mod intake;
mod lease;
mod leftovers;
mod listing;
mod metadata;
mod names;
mod parts;
mod reader;
mod sink;
mod source;
mod token;
pub mod turns;
pub mod verbs;
mod walk;

pub use bucket::{Bucket, named};
