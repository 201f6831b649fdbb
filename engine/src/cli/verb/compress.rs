//! `compress SRC DST`.

use clap::Args;
use migration_protocol::vocabulary::OnExists;
use serde_json::{Map, Value};

use crate::cli::arguments::{JobArgs, PairArgs, SelectionArgs};
use crate::cli::choices;
use crate::cli::draft::Draft;
use crate::command::compress::Check;
use crate::command::forms::Format;

/// The flags of `compress`.
#[derive(Clone, Debug, Args)]
pub struct CompressArgs {
    #[command(flatten)]
    pair: PairArgs,
    /// The compressed form [default: by the ending of DST; gzip for a file, tar_zstd for a
    /// directory]
    #[arg(long, value_parser = choices::of::<Format>())]
    format: Option<String>,
    /// Fast to small: gzip 1 to 9, zstd 1 to 19, lz4 1, brotli 0 to 11 [default: 6, 3, 1, 5]
    #[arg(long, value_name = "N")]
    level: Option<u64>,
    /// Threads, 1 to 64 [default: one for each core]
    #[arg(long, value_name = "N")]
    threads: Option<u64>,
    /// What happens to what stands at the destination
    #[arg(long, env = "MIGRATION_ENGINE_ON_EXISTS", value_parser = choices::of::<OnExists>())]
    on_exists: Option<String>,
    /// Whether what was written is decoded and compared before it gets its name [default: none]
    #[arg(long, value_parser = choices::of::<Check>())]
    verify: Option<String>,
    #[command(flatten)]
    selection: SelectionArgs,
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
            .maybe("threads", self.threads)
            .maybe("on_exists", self.on_exists)
            .maybe("verify", self.verify)
            .selection(self.selection)
            .job(self.job)
            .finish()
    }
}
