//! The commands that run as jobs. One file each: its fields, its answer, its `run`; one line each
//! in the table below.

pub mod checksum;
pub mod cleanup;
pub mod compress;
pub mod copy;
pub mod decompress;
pub mod fields;
pub mod forecast;
pub mod forms;
pub mod inspect;
pub mod inspect_tables;
pub mod locking;
pub mod lost;
pub mod mirror;
pub mod monitor;
pub mod plan;
pub mod table_forms;
pub mod tables;
pub mod verify;
pub mod verify_tables;

use migration_protocol::event::Verified;
use migration_protocol::fault::Fault;
use migration_protocol::vocabulary::LimitSpec;
use schemars::Schema;
use serde_json::{Map, Value};

use crate::error::Result;
use crate::job::Job;

/// A command of the registry.
pub struct Command {
    /// Its op.
    pub op: &'static str,
    /// One line about it, for help.
    pub about: &'static str,
    /// The schema of its own fields.
    pub schema: fn() -> Schema,
    /// Checks its fields; nothing is touched yet.
    pub prepare: fn(Map<String, Value>) -> Result<Prepared, Fault>,
}

/// Every job op that is built, in alphabetical order. `batch` and `resume` are made of these, in
/// `serve`.
pub static COMMANDS: &[Command] = &[
    checksum::COMMAND,
    cleanup::COMMAND,
    compress::COMMAND,
    copy::COMMAND,
    decompress::COMMAND,
    inspect::COMMAND,
    monitor::COMMAND,
    plan::COMMAND,
    tables::COMMAND,
    verify::COMMAND,
];

/// The command of this op.
#[must_use]
pub fn find(op: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.op == op)
}

/// A command whose fields are in order.
pub struct Prepared {
    /// Its own rates.
    pub limits: LimitSpec,
    /// What it does.
    pub work: Box<dyn Work>,
}

/// What a command does, on a thread of its own.
pub trait Work: Send {
    /// Does it. Items that failed by themselves are reported to the job.
    ///
    /// # Errors
    /// What kept it from being done at all.
    fn run(self: Box<Self>, job: &Job) -> Result<Answer>;

    /// For `plan`: what it would do. Touches nothing.
    ///
    /// # Errors
    /// What keeps that from being told.
    fn plan(self: Box<Self>, job: &Job) -> Result<Planned>;
}

/// What a command would do.
#[derive(Debug)]
pub struct Planned {
    /// As `plan` answers it.
    pub data: Value,
}

/// What a command answers.
#[derive(Debug, Default)]
pub struct Answer {
    /// Its own part of the result.
    pub data: Option<Value>,
    /// What was proven about content.
    pub verify: Option<Verified>,
    /// Whether one failed item makes the whole command `failed`: comparisons.
    pub strict: bool,
    /// Recommendations.
    pub advice: Vec<String>,
}
