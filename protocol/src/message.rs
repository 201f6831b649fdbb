//! What a host says: the envelope every command shares, and the control ops.
//!
//! A command's own fields live beside its `run`, in the engine; the schema joins both.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::fault::{Code, Fault, without_values};
use crate::timetable::Slot;
use crate::vocabulary::{LocationSpec, OneOrMany, Size, object};

/// Longest id, label, key or reason, in bytes.
pub const NAME_MAX_BYTES: usize = 128;

/// Most labels of a command.
pub const LABELS_MAX: usize = 16;

/// A command's id: a string of at most 128 bytes, or an integer up to 2^53 - 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Id {
    /// An integer id.
    #[schemars(title = "IntegerId")]
    Number(u64),
    /// A text id.
    #[schemars(title = "TextId")]
    Text(String),
}

impl Id {
    /// The id of the `index`-th item of this batch.
    #[must_use]
    pub fn child(&self, index: usize) -> Id {
        Id::Text(format!("{self}/{index}"))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Id::Number(n) => write!(f, "{n}"),
            Id::Text(text) => f.write_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;
        impl serde::de::Visitor<'_> for Seen {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string of 1 to 128 bytes or an integer from 0 to 2^53 - 1")
            }

            fn visit_u64<E: serde::de::Error>(self, v: u64) -> Result<Id, E> {
                if v > crate::INTEGER_MAX {
                    return Err(E::invalid_value(serde::de::Unexpected::Unsigned(v), &self));
                }
                Ok(Id::Number(v))
            }

            fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<Id, E> {
                if v.is_empty() || v.len() > NAME_MAX_BYTES {
                    return Err(E::invalid_length(v.len(), &self));
                }
                Ok(Id::Text(v.to_owned()))
            }
        }
        deserializer.deserialize_any(Seen)
    }
}

/// How a command ended.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything asked was done and verified at the level asked.
    Ok,
    /// Not run: a dependency ended otherwise.
    Skipped,
    /// Some items failed; every other one is done.
    Partial,
    /// Stopped on request; nothing half-made is left.
    Cancelled,
    /// Not done.
    Failed,
}

/// The fields that every command may carry.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// What to do; see `ops` of hello.
    pub op: String,
    /// Unique among unfinished commands. Default: `auto-N`, N being the line number.
    #[serde(default)]
    pub id: Option<Id>,
    /// Ids of earlier commands that must end first.
    #[serde(default)]
    pub after: Vec<Id>,
    /// The statuses of them that let this one run. Default: `["ok"]`.
    #[serde(default)]
    pub after_status: Option<Vec<Status>>,
    /// Names to select jobs by, in `cancel`, `pause`, `resume`, `limits` and `jobs`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Makes the command idempotent in this state directory: done, it answers the stored result
    /// with `replayed:true`; unfinished, it goes on where it stopped.
    #[serde(default)]
    pub key: Option<String>,
}

/// Names of the envelope's fields.
pub const ENVELOPE_FIELDS: [&str; 6] = ["op", "id", "after", "after_status", "labels", "key"];

/// One line of input, cut into envelope and the op's own fields.
#[derive(Clone, Debug)]
pub struct Request {
    /// What all commands share.
    pub envelope: Envelope,
    /// The op's own fields, not yet checked.
    pub fields: Map<String, Value>,
}

/// A line that is an object and no command, with the id to answer to where it has one.
#[derive(Debug)]
pub struct BadRequest {
    /// The id, where it could be read.
    pub id: Option<Id>,
    /// Why.
    pub fault: Box<Fault>,
}

impl Request {
    /// Splits a parsed line. `_meta` and `x_…` fields are dropped: they are the host's own.
    ///
    /// # Errors
    /// `MISSING_FIELD` or `INVALID_FIELD` about a field of the envelope.
    pub fn split(mut line: Map<String, Value>) -> Result<Self, BadRequest> {
        let id = line.get("id").and_then(|value| Id::deserialize(value).ok());
        line.retain(|name, _| name != "_meta" && !name.starts_with("x_"));
        let mut envelope = Map::new();
        for name in ENVELOPE_FIELDS {
            if let Some(value) = line.remove(name) {
                envelope.insert(name.to_owned(), value);
            }
        }
        match read_envelope(envelope) {
            Ok(envelope) => Ok(Self { envelope, fields: line }),
            Err(fault) => Err(BadRequest { id, fault: Box::new(fault) }),
        }
    }
}

fn read_envelope(fields: Map<String, Value>) -> Result<Envelope, Fault> {
    if !fields.contains_key("op") {
        return Err(Fault::new(Code::MissingField, "the command has no op").at_field("op"));
    }
    if fields.get("id").is_some_and(Value::is_null) {
        let message = "null is no id; leave the field out to be given one";
        return Err(Fault::new(Code::InvalidField, message).at_field("id"));
    }
    for (name, value) in &fields {
        let probe = Map::from_iter([
            ("op".to_owned(), Value::String(String::new())),
            (name.clone(), value.clone()),
        ]);
        if let Err(error) = Envelope::deserialize(Value::Object(probe)) {
            return Err(
                Fault::new(Code::InvalidField, without_values(&error.to_string())).at_field(name)
            );
        }
    }
    let envelope = Envelope::deserialize(Value::Object(fields))
        .map_err(|error| Fault::new(Code::InvalidField, without_values(&error.to_string())))?;
    let too_long = |text: &String| text.is_empty() || text.len() > NAME_MAX_BYTES;
    let bad = |field: &str| {
        let message = format!("must have 1 to {NAME_MAX_BYTES} bytes");
        Err(Fault::new(Code::InvalidField, message).at_field(field))
    };
    if envelope.key.as_ref().is_some_and(too_long) {
        return bad("key");
    }
    if envelope.labels.len() > LABELS_MAX {
        let message = format!("at most {LABELS_MAX} labels");
        return Err(Fault::new(Code::InvalidField, message).at_field("labels"));
    }
    if envelope.labels.iter().any(|(name, value)| too_long(name) || too_long(value)) {
        return bad("labels");
    }
    Ok(envelope)
}

/// Which jobs a control op means: an id, or every job with a label.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelSelector {
    /// Every one of these labels must match.
    pub label: BTreeMap<String, String>,
}

/// Which jobs a control op means.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum Target {
    /// The command with this id, or the job of this name.
    #[schemars(title = "TargetId")]
    Id(Id),
    /// Every job with these labels.
    #[schemars(title = "TargetLabel")]
    Label(LabelSelector),
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if value.is_object() {
            LabelSelector::deserialize(value).map(Target::Label)
        } else {
            Id::deserialize(value).map(Target::Id)
        }
        .map_err(serde::de::Error::custom)
    }
}

/// What end of input means for work that is not done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnEof {
    /// Finish it, then exit: for pipelines.
    #[default]
    Finish,
    /// Cancel it, then exit: for hosts.
    Cancel,
}

/// Kinds of events a host may choose among; `accepted`, `result` and `error` always come.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Where a job stands.
    Progress,
    /// A change of a job's state: running, paused.
    State,
    /// What a person should look at.
    Warning,
    /// What survives from here on.
    Checkpoint,
    /// Each item's end. Off by default.
    Item,
    /// A measurement or a crossed threshold of `monitor`.
    Sample,
    /// What the engine would print to its log. Off by default.
    Log,
}

impl EventKind {
    /// What a host gets without asking.
    pub const DEFAULT: [EventKind; 5] =
        [Self::Progress, Self::State, Self::Warning, Self::Checkpoint, Self::Sample];
}

/// `hello`: the host introduces itself and sets the session's defaults. Optional.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HelloParams {
    /// Protocol versions the host speaks.
    #[serde(default)]
    pub protocol: Vec<u32>,
    /// Who is asking; only logged.
    #[serde(default, deserialize_with = "client_info")]
    pub client: Option<ClientInfo>,
    /// Feature names without which the host cannot work; a missing one fails this hello.
    #[serde(default)]
    pub require: Vec<String>,
    /// Feature names it would use; the result lists those present.
    #[serde(default)]
    pub optional: Vec<String>,
    /// Least time between two progress events of a job. Default 500, least 50.
    #[serde(default)]
    pub progress_ms: Option<u64>,
    /// Kinds of events wanted. Default: progress, state, warning, checkpoint, sample.
    #[serde(default)]
    pub events: Option<Vec<EventKind>>,
    /// What end of input means. Default: finish.
    #[serde(default)]
    pub on_eof: Option<OnEof>,
    /// Values for fields that later commands leave out, by field name.
    #[serde(default)]
    pub defaults: Map<String, Value>,
}

fn client_info<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ClientInfo>, D::Error> {
    object(deserializer).map(Some)
}

/// The host's name and version.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientInfo {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// How hard a cancel is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelMode {
    /// What is in flight is dropped at the next chunk; partial files are removed.
    #[default]
    Graceful,
}

/// `cancel`: stops jobs; each still answers with its own result.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelParams {
    /// Which.
    pub target: Target,
    /// How.
    #[serde(default)]
    pub mode: CancelMode,
    /// Why; echoed in the cancelled job's error.
    #[serde(default)]
    pub reason: Option<String>,
}

/// `pause`: holds jobs before their next chunk.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseParams {
    /// Which.
    pub target: Target,
}

/// `resume`: lets a paused job go on, or runs an unfinished keyed command again.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeParams {
    /// A paused job.
    #[serde(default)]
    pub target: Option<Target>,
    /// The token of a checkpoint or of a result's `resume`.
    #[serde(default)]
    pub token: Option<String>,
}

/// A change of one bound: absent leaves it, `null` lifts it, a number sets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// Not named.
    #[default]
    Keep,
    /// Lifted.
    Lift,
    /// Set.
    Set(T),
}

impl<T> Change<T> {
    /// Whether it leaves the bound as it is.
    #[must_use]
    pub fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }
}

impl<T: Serialize> Serialize for Change<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Keep | Self::Lift => serializer.serialize_none(),
            Self::Set(value) => value.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<T>::deserialize(deserializer)?.map_or(Change::Lift, Change::Set))
    }
}

impl<T: JsonSchema> JsonSchema for Change<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Change_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<Option<T>>()
    }
}

/// `limits`: changes bounds of running work, answered with those in force.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsParams {
    /// Which jobs. Default: the whole engine.
    #[serde(default)]
    pub target: Option<Target>,
    /// Bytes read from sources each second.
    #[serde(default)]
    pub bytes_per_s: Change<Size>,
    /// Items begun each second.
    #[serde(default)]
    pub ops_per_s: Change<u64>,
    /// Rows of tables copied each second.
    #[serde(default)]
    pub rows_per_s: Change<u64>,
    /// Bounds by the time of the week; null lifts all of them.
    #[serde(default)]
    pub timetable: Change<Vec<Slot>>,
    /// Jobs running at once; the whole engine only.
    #[serde(default)]
    pub jobs: Option<u32>,
}

/// What a job is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waiting for a slot or a dependency.
    Queued,
    /// At work.
    Running,
    /// Held by `pause`.
    Paused,
    /// Asked to stop, not yet stopped.
    Cancelling,
    /// Ended.
    Finished,
}

/// `jobs`: lists them, oldest first.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobsParams {
    /// Only these. Default: all but finished.
    #[serde(default)]
    pub state: Option<Vec<JobState>>,
    /// Only these.
    #[serde(default)]
    pub target: Option<Target>,
    /// At most this many, 1 to 100. Default 50.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Where the last page ended.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// `ping`: answers at once.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PingParams {}

/// How `shutdown` treats unfinished work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShutdownMode {
    /// Let it finish within the grace time, then cancel it.
    #[default]
    Drain,
    /// Cancel it now.
    Cancel,
}

/// `shutdown`: takes no more commands, ends the work, exits.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShutdownParams {
    /// Finish or cancel.
    #[serde(default)]
    pub mode: ShutdownMode,
    /// Longest wait before cancelling, in milliseconds. Default: no bound.
    #[serde(default)]
    pub grace_ms: Option<u64>,
}

/// How the items of a batch run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchMode {
    /// Together, up to `max_parallel`.
    #[default]
    Parallel,
    /// One after the other.
    Sequence,
}

/// What a failed item means for the rest of its batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The rest still runs.
    #[default]
    Continue,
    /// What has not begun is skipped.
    Stop,
}

/// `batch`: several commands, each with its own result under `ID/INDEX`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchParams {
    /// Together or in turn. Default: parallel.
    #[serde(default)]
    pub mode: BatchMode,
    /// At most this many at once. Default: as many as the engine runs.
    #[serde(default)]
    pub max_parallel: Option<u32>,
    /// Default: continue.
    #[serde(default)]
    pub on_error: OnError,
    /// The commands: any job op, with neither id nor after.
    pub items: Vec<Map<String, Value>>,
}

/// `cleanup`: removes what dead jobs left behind.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CleanupParams {
    /// The job of this name or token. Default: every dead job of the state directory.
    #[serde(default)]
    pub target: Option<String>,
    /// Also search these places for temporary files of jobs that no running engine owns.
    #[serde(default)]
    pub locations: Option<OneOrMany<LocationSpec>>,
    /// Also forget the stored result of the envelope's key.
    #[serde(default)]
    pub forget: bool,
    /// Only say what would go.
    #[serde(default)]
    pub dry_run: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Result<Request, BadRequest> {
        Request::split(crate::frame::parse(text.as_bytes()).unwrap().unwrap())
    }

    #[test]
    fn envelope_and_fields_part() {
        let request = split(r#"{"op":"copy","id":7,"src":"a","x_trace":1,"_meta":{}}"#).unwrap();
        assert_eq!(request.envelope.id, Some(Id::Number(7)));
        assert_eq!(request.fields.keys().collect::<Vec<_>>(), ["src"]);
    }

    #[test]
    fn a_bad_envelope_names_its_field_and_keeps_the_id() {
        let bad = split(r#"{"op":"copy","id":"c1","after":"c0"}"#).unwrap_err();
        assert_eq!(bad.id, Some(Id::Text("c1".into())));
        assert_eq!(bad.fault.at.clone().unwrap().field.as_deref(), Some("after"));
        for line in
            [r#"{"id":1}"#, r#"{"op":7}"#, r#"{"op":"x","id":null}"#, r#"{"op":"x","key":""}"#]
        {
            assert!(split(line).is_err(), "{line}");
        }
        for id in ["9007199254740992", "-1", "1.5", "\"\"", "[]", "true"] {
            let bad = split(&format!(r#"{{"op":"x","id":{id}}}"#)).unwrap_err();
            assert_eq!(bad.fault.at.clone().unwrap().field.as_deref(), Some("id"), "{id}");
        }
    }

    #[test]
    fn limits_tell_absent_from_null() {
        let read = |text: &str| serde_json::from_str::<LimitsParams>(text).unwrap().bytes_per_s;
        assert_eq!(read("{}"), Change::Keep);
        assert_eq!(read(r#"{"bytes_per_s":null}"#), Change::Lift);
        assert_eq!(read(r#"{"bytes_per_s":"1MB"}"#), Change::Set(Size(1_000_000)));
    }
}
