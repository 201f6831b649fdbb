//! One source of settings.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::cli::arguments::Globals;
use crate::cli::settings::options::Options;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// Some options, and where they came from.
#[derive(Clone, Debug)]
pub struct Layer {
    /// What it says.
    pub options: Options,
    /// Where all of it came from, but for the exceptions.
    pub origin: Origin,
    /// Options that came from elsewhere.
    pub exceptions: BTreeMap<String, Origin>,
}

impl Layer {
    /// A layer with one origin.
    #[must_use]
    pub fn new(options: Options, origin: Origin) -> Self {
        Self { options, origin, exceptions: BTreeMap::new() }
    }

    /// Where this option came from.
    #[must_use]
    pub fn origin(&self, option: &str) -> Origin {
        self.exceptions.get(option).unwrap_or(&self.origin).clone()
    }

    /// The flags of every verb, which clap also takes from the environment.
    #[must_use]
    pub fn of_flags(globals: &Globals, matches: &ArgMatches) -> Self {
        let options = Options {
            allow_secret_command: is_given("allow_secret_command", matches)
                .then_some(globals.allow_secret_command),
            jobs: globals.jobs,
            log: globals.log.clone(),
            memory_cap: globals.memory_cap,
            on_eof: None,
            progress: globals.progress.clone(),
            progress_ms: globals.progress_ms,
            state_dir: globals.state_dir.clone(),
            defaults: serde_json::Map::new(),
        };
        let mut layer = Self::new(options, Origin::Default);
        for option in [
            "allow_secret_command",
            "jobs",
            "log",
            "memory_cap",
            "progress",
            "progress_ms",
            "state_dir",
        ] {
            layer.exceptions.insert(option.to_owned(), origin_of(option, matches));
        }
        layer
    }
}

/// Whether a switch was given at all: off in the environment is not the same as absent.
fn is_given(option: &str, matches: &ArgMatches) -> bool {
    matches.value_source(option).is_some_and(|source| source != ValueSource::DefaultValue)
}

fn origin_of(option: &str, matches: &ArgMatches) -> Origin {
    match matches.value_source(option) {
        Some(ValueSource::EnvVariable) => Origin::Environment(variable(option)),
        _ => Origin::Flag(format!("--{}", option.replace('_', "-"))),
    }
}

/// The environment variable of an option.
#[must_use]
pub fn variable(option: &str) -> String {
    format!("MIGRATION_ENGINE_{}", option.to_ascii_uppercase())
}
