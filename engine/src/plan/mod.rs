//! What will be done, as data: no I/O, no clock, no threads.

pub mod conflict;
pub mod digest;
pub mod extra;
pub mod method;
