//! The exit code: the worst thing that happened.

use migration_protocol::event::Outcome;
use migration_protocol::message::Status;

/// All done.
pub const OK: u8 = 0;
/// A defect of the engine.
pub const INTERNAL: u8 = 1;
/// A command or line was refused and nothing of it touched.
pub const USAGE: u8 = 2;
/// Some of it was not done.
pub const PARTIAL: u8 = 3;
/// Not done; doing it again unchanged is of no use.
pub const FAILED: u8 = 4;
/// The reader of standard output is gone (EX_IOERR).
pub const OUTPUT_LOST: u8 = 74;
/// Not done; doing it again later may be of use (EX_TEMPFAIL).
pub const RETRY_LATER: u8 = 75;

/// From harmless to worst.
const ORDER: [u8; 6] = [OK, PARTIAL, RETRY_LATER, FAILED, USAGE, INTERNAL];

/// The worse of two codes.
#[must_use]
pub fn worse(a: u8, b: u8) -> u8 {
    let rank = |code: u8| ORDER.iter().position(|other| *other == code).unwrap_or(ORDER.len());
    if rank(b) > rank(a) { b } else { a }
}

/// The code that a job's result stands for.
#[must_use]
pub fn of(outcome: &Outcome) -> u8 {
    match outcome.status {
        Status::Ok => OK,
        Status::Skipped | Status::Partial | Status::Cancelled => PARTIAL,
        Status::Failed => match &outcome.error {
            Some(error) if error.class == migration_protocol::fault::Class::Internal => INTERNAL,
            Some(error) if error.retryable => RETRY_LATER,
            _ => FAILED,
        },
    }
}
