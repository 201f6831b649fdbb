//! `copy SRC DST`.

use std::ffi::OsString;

use clap::Args;
use migration_protocol::vocabulary::{
    Checksum, Durability, OnExists, Preserve, Size, Symlinks, VerifyLevel,
};
use serde_json::{Map, Value};

use crate::cli::arguments::{JobArgs, PairArgs, ParallelArgs, SelectionArgs};
use crate::cli::choices;
use crate::cli::draft::Draft;
use crate::cli::mirror::MirrorArgs;

/// The flags of `copy`.
#[derive(Clone, Debug, Args)]
pub struct CopyArgs {
    #[command(flatten)]
    pair: PairArgs,
    #[command(flatten)]
    options: CopyOptions,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// How a copy is made; `plan` takes the same.
#[derive(Clone, Debug, Args)]
pub struct CopyOptions {
    #[command(flatten)]
    selection: SelectionArgs,
    /// What happens to what stands at the destination
    #[arg(long, env = "MIGRATION_ENGINE_ON_EXISTS", value_parser = choices::of::<OnExists>())]
    on_exists: Option<String>,
    /// The digest taken in the same pass
    #[arg(long, env = "MIGRATION_ENGINE_CHECKSUM", value_parser = choices::of::<Checksum>())]
    checksum: Option<String>,
    /// How far the copy is verified
    #[arg(long, env = "MIGRATION_ENGINE_VERIFY", value_parser = choices::of::<VerifyLevel>())]
    verify: Option<String>,
    /// What beyond content is carried over (comma-separated)
    #[arg(long, env = "MIGRATION_ENGINE_PRESERVE", value_delimiter = ',',
          value_parser = choices::of::<Preserve>())]
    preserve: Vec<String>,
    /// What is done with symbolic links
    #[arg(long, env = "MIGRATION_ENGINE_SYMLINKS", value_parser = choices::of::<Symlinks>())]
    symlinks: Option<String>,
    /// What the copy survives
    #[arg(long, env = "MIGRATION_ENGINE_DURABILITY", value_parser = choices::of::<Durability>())]
    durability: Option<String>,
    /// Write a JSON Lines list of what was copied
    #[arg(long, value_name = "FILE")]
    manifest: Option<OsString>,
    /// Bytes read at once, 64KiB to 64MiB
    #[arg(long, value_name = "SIZE", env = "MIGRATION_ENGINE_CHUNK_BYTES")]
    chunk_bytes: Option<Size>,
    #[command(flatten)]
    mirror: MirrorArgs,
    #[command(flatten)]
    parallel: ParallelArgs,
    #[command(flatten)]
    job: JobArgs,
}

impl CopyArgs {
    /// The command.
    #[must_use]
    pub fn command(self) -> Map<String, Value> {
        self.options.draft(&self.pair).switch("dry_run", self.dry_run).finish()
    }
}

impl CopyOptions {
    /// The command with these options.
    #[must_use]
    pub fn draft(self, pair: &PairArgs) -> Draft {
        self.mirror
            .add(Draft::new("copy"))
            .place("src", &pair.src)
            .place("dst", &pair.dst)
            .selection(self.selection)
            .maybe("on_exists", self.on_exists)
            .maybe("checksum", self.checksum)
            .maybe("verify", self.verify)
            .list("preserve", self.preserve)
            .maybe("symlinks", self.symlinks)
            .maybe("durability", self.durability)
            .maybe_place("manifest", self.manifest.as_ref())
            .maybe("chunk_bytes", self.chunk_bytes.map(|size| size.0))
            .maybe("parallel_files", self.parallel.parallel_files)
            .job(self.job)
    }
}
