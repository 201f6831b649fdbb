//! `decompress SRC DST`.

use clap::Args;
use migration_protocol::vocabulary::{OnExists, Size};
use serde_json::{Map, Value};

use crate::cli::arguments::{JobArgs, PairArgs, SelectionArgs};
use crate::cli::choices;
use crate::cli::draft::Draft;
use crate::command::forms::Format;

/// The flags of `decompress`.
#[derive(Clone, Debug, Args)]
pub struct DecompressArgs {
    #[command(flatten)]
    pair: PairArgs,
    /// The compressed form [default: by the first bytes of SRC, then by its name]
    #[arg(long, value_parser = choices::of::<Format>())]
    format: Option<String>,
    #[command(flatten)]
    selection: SelectionArgs,
    /// Threads, 1 to 64 [default: one for each core]
    #[arg(long, value_name = "N")]
    threads: Option<u64>,
    /// What happens to what stands at the destination
    #[arg(long, env = "MIGRATION_ENGINE_ON_EXISTS", value_parser = choices::of::<OnExists>())]
    on_exists: Option<String>,
    /// Plain bytes at most [default: 1 TiB]
    #[arg(long, value_name = "SIZE")]
    max_bytes: Option<Size>,
    /// Plain bytes for each stored one at most, once 1 MiB was decoded [default: 1000]
    #[arg(long, value_name = "N")]
    max_ratio: Option<u64>,
    #[command(flatten)]
    job: JobArgs,
}

impl DecompressArgs {
    /// The command.
    #[must_use]
    pub fn command(self) -> Map<String, Value> {
        Draft::new("decompress")
            .place("src", &self.pair.src)
            .place("dst", &self.pair.dst)
            .maybe("format", self.format)
            .selection(self.selection)
            .maybe("threads", self.threads)
            .maybe("on_exists", self.on_exists)
            .maybe("max_bytes", self.max_bytes.map(|size| size.0))
            .maybe("max_ratio", self.max_ratio)
            .job(self.job)
            .finish()
    }
}
