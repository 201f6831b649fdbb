//! The face for people, and the assistant's.
//!
//! `start` picks the face and the verb; a verb turns its flags into a command of the protocol; the
//! same session as for hosts runs it; `view` shows its events. `assistant` answers one JSON object
//! instead. Invariant: only `screen` prints, and no verb does what a command could do.

mod arguments;
mod assistant;
mod choices;
mod context;
mod doctor;
mod draft;
mod logging;
mod mirror;
pub mod schema;
mod screen;
mod session;
mod settings;
mod start;
mod verb;
mod view;

pub use logging::report_panics;
pub use start::run;
