//! `inspect SRC`.

use std::ffi::OsString;

use clap::Args;
use serde_json::{Map, Value};

use crate::cli::arguments::{JobArgs, SelectionArgs};
use crate::cli::draft::Draft;

/// The flags of `inspect`.
#[derive(Clone, Debug, Args)]
pub struct InspectArgs {
    /// What is looked at
    src: OsString,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    job: JobArgs,
}

impl InspectArgs {
    /// The command.
    #[must_use]
    pub fn command(self) -> Map<String, Value> {
        Draft::new("inspect")
            .place("src", &self.src)
            .selection(self.selection)
            .job(self.job)
            .finish()
    }
}
