//! Races the engine against its peers: same data, same run, same state of the page cache,
//! interleaved order, medians. Prints Markdown.

#![allow(
    clippy::disallowed_methods,
    reason = "the engine's rule about paths; this crate only touches what it made itself"
)]

mod cache;
mod machine;
mod measure;
mod race;
mod suite;
mod table;
mod tool;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::cache::Cache;
use crate::suite::Setting;
use crate::suite::tables::Engine;
use crate::tool::Tools;

/// Races migration-engine against its peers and prints Markdown tables.
#[derive(Parser)]
struct Arguments {
    /// What to measure, one after the other; all when none is named.
    suites: Vec<Suite>,
    /// Runs of each contender; the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Drop the page cache before each run (root only) instead of reading the source first.
    #[arg(long)]
    cold: bool,
    /// Share of the full size of the data and counts: 0.1 for a quick look.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Where the data is made; its file system is what is measured. Default: TMPDIR.
    #[arg(long)]
    scratch: Option<PathBuf>,
    /// The engine's binary. Default: the one beside this program.
    #[arg(long, env = "MIGRATION_ENGINE_BIN")]
    engine: Option<PathBuf>,
    /// Where peers are looked for before PATH. Default: where scripts/peers.sh puts them.
    #[arg(long, env = "MIGRATION_ENGINE_PEERS")]
    peers: Option<PathBuf>,
    #[command(flatten)]
    s3: suite::s3::Sizes,
    #[command(flatten)]
    rows: suite::tables::Sizes,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Suite {
    Files,
    SmallFiles,
    HashTree,
    Compress,
    Serve,
    Hello,
    S3Small,
    S3Medium,
    S3Large,
    S3List,
    TablesPgPg,
    TablesMysqlPg,
    TablesSqlitePg,
    TablesPgMysql,
    TablesMysqlMysql,
}

fn main() -> io::Result<ExitCode> {
    let arguments = Arguments::parse();
    let parent = arguments.scratch.unwrap_or_else(std::env::temp_dir);
    let scratch = tempfile::Builder::new().prefix("migration-benches-").tempdir_in(parent)?;
    let setting = Setting {
        tools: Tools::find(arguments.engine, arguments.peers),
        scratch: scratch.path().to_path_buf(),
        runs: arguments.runs,
        cache: if arguments.cold { Cache::Cold } else { Cache::Warm },
        scale: arguments.scale,
        s3: arguments.s3,
        rows: arguments.rows,
    };
    let suites = match arguments.suites.as_slice() {
        [] => Suite::value_variants(),
        named => named,
    };
    let mut out = io::stdout().lock();
    write!(out, "{}", machine::describe(&setting)?)?;
    let mut sound = true;
    for suite in suites {
        let report = match suite {
            Suite::Files => suite::files::run(&setting)?,
            Suite::SmallFiles => suite::small_files::run(&setting)?,
            Suite::HashTree => suite::hash_tree::run(&setting)?,
            Suite::Compress => suite::compress::run(&setting)?,
            Suite::Serve => suite::serve::run(&setting)?,
            Suite::Hello => suite::hello::run(&setting)?,
            Suite::S3Small => suite::s3::small(&setting)?,
            Suite::S3Medium => suite::s3::medium(&setting)?,
            Suite::S3Large => suite::s3::large(&setting)?,
            Suite::S3List => suite::s3::list(&setting)?,
            Suite::TablesPgPg => suite::tables::run(&setting, Engine::Postgres, Engine::Postgres)?,
            Suite::TablesMysqlPg => suite::tables::run(&setting, Engine::Maria, Engine::Postgres)?,
            Suite::TablesSqlitePg => {
                suite::tables::run(&setting, Engine::Sqlite, Engine::Postgres)?
            }
            Suite::TablesPgMysql => suite::tables::run(&setting, Engine::Postgres, Engine::Maria)?,
            Suite::TablesMysqlMysql => suite::tables::run(&setting, Engine::Maria, Engine::Maria)?,
        };
        write!(out, "\n{}", report.markdown)?;
        out.flush()?;
        sound &= report.sound;
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
