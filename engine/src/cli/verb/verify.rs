//! `verify SRC DST`.

use clap::Args;
use serde_json::{Map, Value};

use crate::cli::arguments::{JobArgs, PairArgs, SelectionArgs};
use crate::cli::choices;
use crate::cli::draft::Draft;
use crate::command::verify::CompareLevel;

/// The flags of `verify`.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    pair: PairArgs,
    /// How far the two are compared
    #[arg(long, value_parser = choices::of::<CompareLevel>())]
    level: Option<String>,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    job: JobArgs,
}

impl VerifyArgs {
    /// The command.
    #[must_use]
    pub fn command(self) -> Map<String, Value> {
        Draft::new("verify")
            .place("src", &self.pair.src)
            .place("dst", &self.pair.dst)
            .maybe("level", self.level)
            .selection(self.selection)
            .job(self.job)
            .finish()
    }
}
