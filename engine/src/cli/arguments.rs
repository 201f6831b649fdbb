//! The command line: the verbs, and the flags that all of them share.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{BoolishValueParser, PossibleValuesParser, ValueParser};
use clap::{ArgAction, Args, Parser, Subcommand};
use migration_protocol::vocabulary::{Millis, Size};

use crate::cli::settings::options::{LOG_LEVELS, PROGRESS_STYLES};
use crate::cli::verb::{
    checksum, cleanup, completions, compress, config, copy, decompress, doctor, explain, inspect,
    monitor, plan, run, schema, serve, verify,
};
use crate::settings::Settings;

/// Moves files and trees, verified in the same pass.
///
/// With a pipe or file on standard input and no command, it serves: JSON lines in, JSON lines out.
#[derive(Debug, Parser)]
#[command(name = "migration-engine", version, max_term_width = 100)]
pub struct Cli {
    /// Flags of every verb.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// The flags that every verb takes.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Flags of every command")]
pub struct Globals {
    /// Write the JSON lines of the protocol instead of text
    #[arg(long, global = true, env = "MIGRATION_ENGINE_JSON", value_parser = boolish())]
    pub json: bool,
    /// How progress is shown on standard error
    #[arg(long, global = true, env = "MIGRATION_ENGINE_PROGRESS",
          value_parser = PossibleValuesParser::new(PROGRESS_STYLES))]
    pub progress: Option<String>,
    /// Least time between two progress events, such as 500 or 2s
    #[arg(long, global = true, env = "MIGRATION_ENGINE_PROGRESS_MS", value_name = "TIME")]
    pub progress_ms: Option<Millis>,
    /// Print errors only
    #[arg(short, long, global = true, env = "MIGRATION_ENGINE_QUIET", value_parser = boolish())]
    pub quiet: bool,
    /// Where keys, reports and records of running jobs are kept
    #[arg(
        long,
        global = true,
        env = "MIGRATION_ENGINE_STATE_DIR",
        value_name = "DIR",
        allow_hyphen_values = true
    )]
    pub state_dir: Option<PathBuf>,
    /// Memory of the process, such as 256MiB
    #[arg(long, global = true, env = "MIGRATION_ENGINE_MEMORY_CAP", value_name = "SIZE")]
    pub memory_cap: Option<Size>,
    /// Jobs running at once
    #[arg(long, global = true, env = "MIGRATION_ENGINE_JOBS", value_name = "N")]
    pub jobs: Option<usize>,
    /// Read this configuration file and no other
    #[arg(long, global = true, env = "MIGRATION_ENGINE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What is logged to standard error
    #[arg(long, global = true, env = "MIGRATION_ENGINE_LOG", value_name = "LEVEL",
          value_parser = PossibleValuesParser::new(LOG_LEVELS))]
    pub log: Option<String>,
    /// Let commands take secrets from the output of programs
    #[arg(long, global = true, env = "MIGRATION_ENGINE_ALLOW_SECRET_COMMAND",
          value_parser = boolish())]
    pub allow_secret_command: bool,
}

fn boolish() -> ValueParser {
    BoolishValueParser::new().into()
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Say what this build can do
    Capabilities,
    /// Digest files and trees, write or check a manifest
    Checksum(checksum::ChecksumArgs),
    /// Remove what dead jobs left behind
    Cleanup(cleanup::CleanupArgs),
    /// Write a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Compress a file, or make an archive of a directory
    Compress(compress::CompressArgs),
    /// Show the settings in force
    #[command(subcommand)]
    Config(config::ConfigVerb),
    /// Copy a file or tree, verified in the same pass
    Copy(copy::CopyArgs),
    /// Decompress a file, or restore an archive
    Decompress(decompress::DecompressArgs),
    /// Check this machine, the state directory and the configuration
    Doctor(doctor::DoctorArgs),
    /// Explain an error code
    Explain(explain::ExplainArgs),
    /// Count what is there: kinds, sizes, names
    Inspect(inspect::InspectArgs),
    /// Measure this machine and this process
    Monitor(monitor::MonitorArgs),
    /// Say what a command would do, and touch nothing
    Plan(plan::PlanArgs),
    /// Run the commands of a file, one JSON object per line
    Run(run::RunArgs),
    /// Print the JSON Schema of the protocol
    Schema(schema::SchemaArgs),
    /// Serve the protocol on standard input and output
    Serve(serve::ServeArgs),
    /// Compare two files or trees, reading both
    Verify(verify::VerifyArgs),
    /// Print the version
    Version,
}

/// Which items are taken.
#[derive(Clone, Debug, Default, Args)]
pub struct SelectionArgs {
    /// Take only what this glob matches (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// Leave out what this glob matches (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
}

/// What every job takes.
#[derive(Clone, Debug, Default, Args)]
pub struct JobArgs {
    /// Read at most this much each second, such as 50MB
    #[arg(long, value_name = "SIZE", env = "MIGRATION_ENGINE_BYTES_PER_S")]
    pub bytes_per_s: Option<Size>,
    /// Begin at most this many items each second
    #[arg(long, value_name = "N", env = "MIGRATION_ENGINE_OPS_PER_S")]
    pub ops_per_s: Option<u64>,
    /// Make the command idempotent: run again under the same key, it goes on or answers as before
    #[arg(long)]
    pub key: Option<String>,
}

/// Rates of all commands of a session together.
#[derive(Clone, Debug, Default, Args)]
pub struct RateArgs {
    /// Read at most this much each second over all commands, such as 50MB
    #[arg(long, value_name = "SIZE", env = "MIGRATION_ENGINE_BYTES_PER_S", value_parser = rate)]
    pub bytes_per_s: Option<Size>,
    /// Begin at most this many items each second over all commands
    #[arg(long, value_name = "N", env = "MIGRATION_ENGINE_OPS_PER_S",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub ops_per_s: Option<u64>,
}

impl RateArgs {
    /// Puts them into the session's settings.
    pub fn set(&self, settings: &mut Settings) {
        settings.bytes_per_s = self.bytes_per_s.map(|size| size.0);
        settings.ops_per_s = self.ops_per_s;
    }
}

fn rate(text: &str) -> Result<Size, String> {
    match text.parse()? {
        Size(0) => Err("0 would never move anything".to_owned()),
        size => Ok(size),
    }
}

/// A source and a destination, as people write them.
#[derive(Clone, Debug, Args)]
pub struct PairArgs {
    /// Where from
    pub src: OsString,
    /// Where to: the copy itself, or with a slash at its end the directory it goes into
    pub dst: OsString,
}

/// The files of a copy in hand at once.
#[derive(Clone, Debug, Default, Args)]
pub struct ParallelArgs {
    /// Files in hand at once, 1 to 256
    #[arg(long, value_name = "N", env = "MIGRATION_ENGINE_PARALLEL_FILES",
          action = ArgAction::Set)]
    pub parallel_files: Option<u64>,
}
