//! `checksum PATH...`.

use std::ffi::OsString;

use clap::Args;
use migration_protocol::vocabulary::Algorithm;
use serde_json::{Map, Value};

use crate::cli::arguments::{JobArgs, ParallelArgs, SelectionArgs};
use crate::cli::choices;
use crate::cli::draft::{Draft, location};
use crate::cli::view::Listing;

/// The flags of `checksum`.
#[derive(Clone, Debug, Args)]
pub struct ChecksumArgs {
    /// Files and directories
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<OsString>,
    /// The digests, all taken in one read (comma-separated) [default: sha256]
    #[arg(long, value_delimiter = ',', value_parser = choices::of::<Algorithm>())]
    algorithm: Vec<String>,
    /// Also write the list to this file; JSON Lines where it ends in .jsonl
    #[arg(long, value_name = "FILE")]
    manifest: Option<OsString>,
    /// Compare with this list instead of printing one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["algorithm", "manifest"])]
    check: Option<OsString>,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    parallel: ParallelArgs,
    #[command(flatten)]
    job: JobArgs,
}

impl ChecksumArgs {
    /// The command.
    #[must_use]
    pub fn command(self) -> Map<String, Value> {
        let places: Vec<Value> = self.paths.iter().map(|path| location(path)).collect();
        Draft::new("checksum")
            .list("src", places)
            .list("algorithm", self.algorithm)
            .maybe_place("manifest", self.manifest.as_ref())
            .maybe_place("check", self.check.as_ref())
            .selection(self.selection)
            .maybe("parallel_files", self.parallel.parallel_files)
            .job(self.job)
            .finish()
    }

    /// What is printed of each file.
    #[must_use]
    pub fn listing(&self) -> Listing {
        match (&self.check, self.algorithm.len()) {
            (Some(_), _) => Listing::Verdicts,
            (None, 0 | 1) => Listing::Sums,
            (None, _) => Listing::Columns,
        }
    }
}
