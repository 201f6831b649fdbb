//! The wire of migration-engine: one JSON object per line, in both directions.
//!
//! Everything here is plain data and pure functions. Invariant: this crate does no I/O, starts no
//! thread and knows no type of the engine, so all of it is tested with bytes. The normative text is
//! `PROTOCOL.md` beside this crate; `schema/v1/` is generated from these structs.

pub mod event;
pub mod fault;
pub mod frame;
pub mod message;
pub mod store;
pub mod timetable;
pub mod vocabulary;

/// The protocol this crate speaks. Raised only when an old host would misread a line.
pub const VERSION: u32 = 1;
/// The oldest protocol a host may ask for.
pub const VERSION_MIN: u32 = 1;
/// Longest line accepted, in bytes, newline not counted.
pub const LINE_IN_MAX_BYTES: usize = 1 << 20;
/// Longest line written, in bytes, newline included. Half of what asyncio's reader accepts.
pub const LINE_OUT_MAX_BYTES: usize = 32 << 10;
/// Deepest nesting accepted in a line.
pub const DEPTH_MAX: usize = 64;
/// Commands accepted and not yet answered; above it the engine stops reading its input.
pub const OUTSTANDING_MAX: usize = 1024;
/// Largest integer that every JSON reader keeps exactly (2^53 - 1).
pub const INTEGER_MAX: u64 = (1 << 53) - 1;
