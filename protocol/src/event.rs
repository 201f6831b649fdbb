//! What the engine says: one type per line, each with the fields a host may rely on.
//!
//! Every line also carries `seq`, strictly increasing per process, and `ts`, RFC 3339 in UTC with
//! milliseconds; the writer adds both. What is unknown is `null`; what does not apply is absent.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fault::{At, Code, Fault};
use crate::message::{Id, JobState, Status};
use crate::vocabulary::BytePath;

/// Failures, differences and digests listed in a result; the rest is in its `report`.
pub const SAMPLE_MAX: usize = 20;
/// Bytes that one list in a result may take.
pub const SAMPLE_MAX_BYTES: usize = 8 << 10;

/// A line of output.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The first line.
    #[schemars(title = "HelloEvent")]
    Hello(Hello),
    /// A job was taken.
    #[schemars(title = "AcceptedEvent")]
    Accepted(Accepted),
    /// A job began, was paused, or goes on.
    #[schemars(title = "StateEvent")]
    State(State),
    /// Where a job stands; only the newest is kept for a slow reader.
    #[schemars(title = "ProgressEvent")]
    Progress(Progress),
    /// Something a person should look at; the job goes on.
    #[schemars(title = "WarningEvent")]
    Warning(Warning),
    /// From here on this much survives.
    #[schemars(title = "CheckpointEvent")]
    Checkpoint(Checkpoint),
    /// One item ended.
    #[schemars(title = "ItemEvent")]
    Item(Item),
    /// A measurement of `monitor`.
    #[schemars(title = "SampleEvent")]
    Sample(Sample),
    /// A line of the log.
    #[schemars(title = "LogEvent")]
    Log(Log),
    /// A command ended: exactly one per command, and its last line.
    #[schemars(title = "ResultEvent")]
    Result(Box<Outcome>),
    /// A line of input that is no command.
    #[schemars(title = "ErrorEvent")]
    Error(SessionError),
}

/// The engine introduces itself.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Hello {
    /// Newest protocol spoken.
    pub protocol: u32,
    /// Oldest protocol spoken.
    pub protocol_min: u32,
    /// Names this process in logs and temporary files.
    pub session: String,
    /// Process id.
    pub pid: u32,
    /// Who answers.
    pub engine: EngineInfo,
    /// `native` or `python`.
    pub backend: String,
    /// What can be relied on beyond the ops.
    pub features: Vec<String>,
    /// Bounds of this session.
    pub limits: SessionLimits,
    /// Every op that is built.
    pub ops: Vec<String>,
}

/// The engine's name and version.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EngineInfo {
    /// `migration-engine`.
    pub name: String,
    /// Semantic version.
    pub version: String,
}

/// Bounds of a session.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SessionLimits {
    /// Longest line accepted, bytes.
    pub line_in: u64,
    /// Longest line written, bytes.
    pub line_out: u64,
    /// Unfinished commands above which input is not read.
    pub outstanding: u64,
    /// Memory for data in flight, bytes.
    pub memory_cap: u64,
}

/// A job was taken.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    /// The command.
    pub id: Id,
    /// Unique across restarts.
    pub job: String,
    /// The line of input it came in, counted from 1.
    pub line: u64,
    /// Always `queued`.
    pub state: JobState,
    /// Jobs ahead of it.
    pub queue_position: u64,
}

/// A job's new state.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct State {
    /// The command.
    pub id: Id,
    /// What it does now.
    pub state: JobState,
}

/// Where a job stands.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// The command.
    pub id: Id,
    /// `survey`, `transfer`, `verify`, `sync`, …
    pub phase: String,
    /// Bytes of content handled.
    pub bytes_done: u64,
    /// Bytes to handle; null while unknown.
    pub bytes_total: Option<u64>,
    /// Whether the totals may still grow.
    pub total_is_estimate: bool,
    /// Items ended, failed and skipped ones included.
    pub items_done: u64,
    /// Items found.
    pub items_total: Option<u64>,
    /// Rate over the last seconds.
    pub bytes_per_s: u64,
    /// Rate since the job began.
    pub bytes_per_s_avg: u64,
    /// Seconds left; null while it cannot be told.
    pub eta_s: Option<f64>,
    /// Milliseconds since the job began.
    pub elapsed_ms: u64,
    /// Attempts repeated.
    pub retries: u64,
    /// Items failed.
    pub errors: u64,
    /// What holds the rate down on purpose; null when nothing does.
    pub throttled: Option<Throttled>,
    /// Requests to services; absent for a job that made none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub network: Option<Network>,
    /// Items in hand, a few of them.
    pub active: Vec<Active>,
}

/// Requests to services.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Network {
    /// Sent so far, repetitions included.
    pub requests: u64,
    /// On their way now.
    pub in_flight: u64,
    /// How many may be on their way at once, as the service asked last answers.
    pub allowed: u64,
    /// Answers that asked for patience.
    pub slowed: u64,
}

/// A limit at work.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Throttled {
    /// `bytes_per_s`, `ops_per_s`, `rows_per_s`, `replica_lag` or `pause`.
    pub by: String,
    /// Share of the workers' time spent waiting for it, 0 to 1.
    pub ratio: f64,
    /// The byte limit in force.
    pub bytes_per_s_limit: Option<u64>,
}

/// An item in hand.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Active {
    /// Its name.
    #[serde(flatten)]
    pub path: BytePath,
    /// Bytes done.
    pub bytes_done: u64,
    /// Its size.
    pub bytes_total: Option<u64>,
}

/// Something a person should look at.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Warning {
    /// The command.
    pub id: Id,
    /// What it is about.
    pub code: Code,
    /// What happened.
    pub message: String,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub at: Option<At>,
    /// Events of this kind dropped before this one because the reader was slow.
    pub dropped_before: u64,
}

/// From here on this much survives.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Checkpoint {
    /// The command.
    pub id: Id,
    /// Counts the job's checkpoints.
    pub n: u64,
    /// Whether it survives a loss of power, not only of the process.
    pub durable: bool,
    /// Items that will not be done again.
    pub items_done: u64,
    /// Their bytes.
    pub bytes_done: u64,
    /// What `resume` takes.
    pub token: String,
}

/// How an item ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ItemStatus {
    /// Done.
    Ok,
    /// Left alone, by the rule asked for.
    Skipped,
    /// Not done.
    Failed,
    /// Removed from the destination, since the source does not have it.
    Deleted,
}

/// One item ended.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Item {
    /// The command.
    pub id: Id,
    /// Its name, relative to the source.
    #[serde(flatten)]
    pub path: BytePath,
    /// How.
    pub status: ItemStatus,
    /// Its size.
    pub bytes: u64,
    /// Digests in hex, by algorithm.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub digests: BTreeMap<String, String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<Fault>,
    /// Events of this kind dropped before this one because the reader was slow.
    pub dropped_before: u64,
}

/// A measurement of `monitor`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// The command.
    pub id: Id,
    /// The figures.
    pub metrics: Value,
    /// Thresholds crossed by them.
    pub alerts: Vec<Alert>,
    /// Events of this kind dropped before this one because the reader was slow.
    pub dropped_before: u64,
}

/// A crossed threshold.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// What was measured.
    pub metric: String,
    /// The figure.
    pub value: f64,
    /// The bound it crossed.
    pub threshold: f64,
}

/// A line of the log.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Log {
    /// The command.
    pub id: Id,
    /// `error`, `warn`, `info` or `debug`.
    pub level: String,
    /// The room it comes from.
    pub target: String,
    /// What it says.
    pub message: String,
    /// Events of this kind dropped before this one because the reader was slow.
    pub dropped_before: u64,
}

/// A line of input that is no command.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SessionError {
    /// The line, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub error: Fault,
}

/// How a command ended.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// The command.
    pub id: Id,
    /// Its op.
    pub op: String,
    /// How.
    pub status: Status,
    /// `native` or `python`.
    pub backend: String,
    /// The job, where it was one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub job: Option<String>,
    /// Why it did not end with `ok`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<Fault>,
    /// What the op answers; its shape is the op's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub data: Option<Value>,
    /// What was measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub metrics: Option<Metrics>,
    /// What was proven about the content.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verify: Option<Verified>,
    /// The first failed items.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub failures: Vec<Failure>,
    /// How many failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failures_total: Option<u64>,
    /// Warnings raised, those not sent included.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub warnings_total: Option<u64>,
    /// A JSON Lines file that names every failure, where the list above is cut.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub report: Option<BytePath>,
    /// What `resume` takes to go on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resume: Option<String>,
    /// True where the key's stored result is given again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub replayed: Option<bool>,
    /// What would make it faster or safer.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub advice: Vec<String>,
}

/// One failed item.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// Which.
    pub at: BytePath,
    /// Why.
    pub code: Code,
    /// In words.
    pub message: String,
}

/// What was proven about the content. The strength is never rounded up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verified {
    /// `none`, `size`, `stream` (the very bytes written were digested), `readback` (read again from
    /// the device), or `compare` (both sides read by `verify`).
    pub level: String,
    /// The digest; null where none was taken.
    pub algorithm: Option<String>,
    /// Items it holds for.
    pub items: u64,
    /// Bytes it holds for.
    pub bytes: u64,
    /// Items found different.
    pub mismatches: u64,
}

/// What a job cost and moved. Process-wide figures say so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metrics {
    /// Bytes of content.
    pub bytes: u64,
    /// Bytes that crossed a network.
    pub bytes_wire: u64,
    /// Items done.
    pub items_ok: u64,
    /// Items failed.
    pub items_failed: u64,
    /// Items left alone by rule.
    pub items_skipped: u64,
    /// Rows done.
    pub rows: u64,
    /// Rows rejected.
    pub rows_rejected: u64,
    /// Milliseconds from start to result, queueing not counted.
    pub elapsed_ms: u64,
    /// Bytes over elapsed time.
    pub bytes_per_s_avg: u64,
    /// CPU time of the process while the job ran, all its jobs together.
    pub cpu_ms: u64,
    /// Greatest resident memory of the process so far.
    pub peak_rss_bytes: u64,
    /// Attempts repeated.
    pub retries: u64,
    /// Worker time spent waiting for limits.
    pub throttled_ms: u64,
    /// Requests sent to services, repetitions included; absent where there were none.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub requests: u64,
    /// Questions to services that a cache answered; absent where none did.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub cache_hits: u64,
    /// Questions to services that no cache could answer; absent where there were none.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub cache_misses: u64,
    /// Where the workers' time went.
    pub bottleneck: Bottleneck,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Worker time by cause, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bottleneck {
    /// Opening and reading sources.
    pub source_read_ms: u64,
    /// Digests.
    pub hash_ms: u64,
    /// Compression and decompression.
    pub compress_ms: u64,
    /// Waiting for a network.
    pub network_ms: u64,
    /// Waiting for limits.
    pub throttle_ms: u64,
    /// Creating, writing and publishing destinations.
    pub destination_write_ms: u64,
    /// Waiting for the device to hold it.
    pub sync_ms: u64,
}
