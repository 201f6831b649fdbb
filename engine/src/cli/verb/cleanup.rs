//! `cleanup [PLACE...]`.

use std::ffi::OsString;

use clap::Args;
use serde_json::{Map, Value};

use crate::cli::draft::{Draft, location};

/// The flags of `cleanup`.
#[derive(Clone, Debug, Args)]
pub struct CleanupArgs {
    /// Also search these directories for temporary files that no running engine owns
    #[arg(value_name = "PLACE")]
    places: Vec<OsString>,
    /// Only the job of this name or checkpoint token
    #[arg(long, value_name = "JOB")]
    target: Option<String>,
    /// Only the jobs of this key
    #[arg(long)]
    key: Option<String>,
    /// Also forget the stored result of the key
    #[arg(long, requires = "key")]
    forget: bool,
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
}

impl CleanupArgs {
    /// The command.
    #[must_use]
    pub fn command(self) -> Map<String, Value> {
        let places: Vec<Value> = self.places.iter().map(|place| location(place)).collect();
        Draft::new("cleanup")
            .list("locations", places)
            .maybe("target", self.target)
            .maybe("key", self.key)
            .switch("forget", self.forget)
            .switch("dry_run", self.dry_run)
            .finish()
    }
}
