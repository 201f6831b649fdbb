//! `compress SRC DST`.

use clap::Args;
use migration_protocol::vocabulary::OnExists;
use serde_json::{Map, Value};

use crate::cli::arguments::{JobArgs, PairArgs};
use crate::cli::choices;
use crate::cli::draft::Draft;
use crate::command::compress::Format;

/// The flags of `compress`.
#[derive(Clone, Debug, Args)]
pub struct CompressArgs {
    #[command(flatten)]
    pair: PairArgs,
    /// The compressed form [default: gzip]
    #[arg(long, value_parser = choices::of::<Format>())]
    format: Option<String>,
    /// 1, fastest, to 9, smallest [default: 6]
    #[arg(long, value_name = "N")]
    level: Option<u64>,
    /// What happens to what stands at the destination
    #[arg(long, env = "MIGRATION_ENGINE_ON_EXISTS", value_parser = choices::of::<OnExists>())]
    on_exists: Option<String>,
    #[command(flatten)]
    job: JobArgs,
}

impl CompressArgs {
    /// The command.
    #[must_use]
    pub fn command(self) -> Map<String, Value> {
        Draft::new("compress")
            .place("src", &self.pair.src)
            .place("dst", &self.pair.dst)
            .maybe("format", self.format)
            .maybe("level", self.level)
            .maybe("on_exists", self.on_exists)
            .job(self.job)
            .finish()
    }
}
