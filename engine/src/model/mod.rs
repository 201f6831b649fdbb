//! The nouns: what everything else talks about. No I/O, no clock, no threads.

pub mod digest;
pub mod item;
pub mod location;
pub mod path;
pub mod secret;
pub mod selection;
