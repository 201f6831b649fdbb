//! Events of a session as text: results on standard output, everything else on standard error.

mod bars;
pub mod fault;
mod item;
mod output;
mod plain;
mod progress;
mod summary;
pub mod words;

pub use item::Listing;
pub use output::View;
