//! The options of the process: the keys of a configuration file.

use std::path::PathBuf;

use migration_protocol::message::OnEof;
use migration_protocol::vocabulary::{Millis, Size};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Levels of the log, quietest first.
pub const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// How progress may be shown.
pub const PROGRESS_STYLES: [&str; 3] = ["auto", "plain", "none"];

/// What one file, or the command line, says. What it leaves out is asked elsewhere.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct Options {
    /// Whether secrets may come from programs. Default: false.
    pub allow_secret_command: Option<bool>,
    /// Jobs running at once. Default: 4.
    pub jobs: Option<usize>,
    /// What is logged to standard error. Default: warn.
    pub log: Option<String>,
    /// Memory of the process. Default: 256 MiB.
    pub memory_cap: Option<Size>,
    /// What end of input means for unfinished work. Default: finish.
    pub on_eof: Option<OnEof>,
    /// How progress is shown: auto, plain or none. Default: auto.
    pub progress: Option<String>,
    /// Least time between two progress events. Default: 500 ms.
    pub progress_ms: Option<Millis>,
    /// Where keys, reports and records are kept. Default: the XDG state directory.
    pub state_dir: Option<PathBuf>,
    /// Values for fields that commands leave out. Default: none.
    #[serde(default)]
    pub defaults: Map<String, Value>,
}
