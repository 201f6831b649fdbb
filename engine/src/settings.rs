//! What the process was started with, resolved once: flags over environment over files.

use std::path::PathBuf;

use migration_protocol::message::{EventKind, OnEof};
use serde_json::{Map, Value};

use crate::limits::{JOBS_RUNNING, MEMORY_CAP_BYTES};

/// The settings of a session.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Memory of the process, bytes.
    pub memory_cap_bytes: u64,
    /// Jobs running at once.
    pub jobs: usize,
    /// Bytes read each second over all jobs; `None` for no bound.
    pub bytes_per_s: Option<u64>,
    /// Items begun each second over all jobs; `None` for no bound.
    pub ops_per_s: Option<u64>,
    /// Where jobs leave what outlives them; `None` for the default place.
    pub state_dir: Option<PathBuf>,
    /// What end of input means, until a `hello` says otherwise.
    pub on_eof: OnEof,
    /// The process whose end ends this one.
    pub parent_pid: Option<u32>,
    /// Least time between two progress events of a job, milliseconds.
    pub progress_ms: u64,
    /// Kinds of events sent, until a `hello` says otherwise.
    pub events: Vec<EventKind>,
    /// Values for fields that commands leave out; a `hello`'s own come before these.
    pub defaults: Map<String, Value>,
    /// Whether secrets may come from a program.
    pub allow_secret_command: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            memory_cap_bytes: MEMORY_CAP_BYTES,
            jobs: JOBS_RUNNING,
            bytes_per_s: None,
            ops_per_s: None,
            state_dir: None,
            on_eof: OnEof::Finish,
            parent_pid: None,
            progress_ms: 500,
            events: EventKind::DEFAULT.to_vec(),
            defaults: Map::new(),
            allow_secret_command: false,
        }
    }
}

impl Settings {
    /// The state directory: the one given, else `migration-engine` in the XDG state directory.
    #[must_use]
    pub fn state_path(&self) -> Option<PathBuf> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        self.state_dir.clone().or_else(|| {
            let base = set("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
            let home = || set("HOME").map(|home| PathBuf::from(home).join(".local/state"));
            base.or_else(home).map(|base| base.join("migration-engine"))
        })
    }
}
