//! Ops that are answered at once, in the order of the lines, ahead of all queued work.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use migration_protocol::event::{EngineInfo, Hello, SessionLimits};
use migration_protocol::fault::{Code, Fault, printable};
use migration_protocol::message::{
    CancelParams, Change, HelloParams, Id, JobState, JobsParams, LimitsParams, PauseParams,
    PingParams, Request, ResumeParams, ShutdownMode, ShutdownParams, Target,
};
use migration_protocol::{
    LINE_IN_MAX_BYTES, LINE_OUT_MAX_BYTES, OUTSTANDING_MAX, VERSION, VERSION_MIN,
};
use schemars::{Schema, schema_for};
use serde_json::{Map, Value, json};

use crate::command::{self, fields};
use crate::limits::JOBS_RUNNING_MAX;
use crate::platform::clock;
use crate::resource::rates::{RateChange, Rates};
use crate::serve::dispatch::{Dispatch, Entry};
use crate::wire;

/// A control op of the registry.
pub struct Control {
    /// Its name.
    pub op: &'static str,
    /// The schema of its fields.
    pub schema: fn() -> Schema,
    run: Answer,
}

/// Answers a control op at once: its data, or why it is refused.
type Answer = fn(&mut Dispatch, &Id, Map<String, Value>) -> Result<Value, Fault>;

/// Every control op, in alphabetical order. `resume` is one where it has a `target`.
pub static CONTROLS: &[Control] = &[
    Control { op: "cancel", schema: || schema_for!(CancelParams), run: cancel },
    Control { op: "hello", schema: || schema_for!(HelloParams), run: hello },
    Control { op: "jobs", schema: || schema_for!(JobsParams), run: jobs },
    Control { op: "limits", schema: || schema_for!(LimitsParams), run: limits },
    Control { op: "pause", schema: || schema_for!(PauseParams), run: pause },
    Control { op: "ping", schema: || schema_for!(PingParams), run: ping },
    Control { op: "resume", schema: || schema_for!(ResumeParams), run: resume },
    Control { op: "shutdown", schema: || schema_for!(ShutdownParams), run: shutdown },
];

/// What can be relied on beyond the ops.
pub const FEATURES: [&str; 9] =
    ["after", "batch", "cancel", "checkpoint", "key", "labels", "limits", "path_b64", "pause"];

/// Most jobs of one page.
const PAGE: usize = 50;
/// Least time between progress events, milliseconds.
const PROGRESS_MS_MIN: u64 = 50;

/// Every op that is built, sorted.
#[must_use]
pub fn ops() -> Vec<&'static str> {
    let commands = command::COMMANDS.iter().map(|command| command.op);
    let controls = CONTROLS.iter().map(|control| control.op);
    let mut ops: Vec<_> = commands.chain(controls).chain(["batch"]).collect();
    ops.sort_unstable();
    ops
}

/// The fault of an op that is not known.
#[must_use]
pub fn unknown_op(op: &str) -> Fault {
    let shown = printable(op);
    let fault = Fault::new(Code::UnknownOp, format!("the op {shown} is not known")).at_field("op");
    match fields::nearest(op, ops().into_iter()) {
        Some(near) => fault.hint(format!("did you mean {near}?")),
        None => fault,
    }
}

/// Whether a request is answered here.
#[must_use]
pub fn is_control(request: &Request) -> bool {
    let op = request.envelope.op.as_str();
    match op {
        "resume" => request.envelope.key.is_none() && !request.fields.contains_key("token"),
        _ => CONTROLS.iter().any(|control| control.op == op),
    }
}

/// Answers a control op.
pub(super) fn handle(dispatch: &mut Dispatch, id: Id, request: Request) {
    let op = request.envelope.op.as_str();
    let Some(control) = CONTROLS.iter().find(|control| control.op == op) else {
        return dispatch.refuse(id, op, unknown_op(op));
    };
    let ordered = !request.envelope.after.is_empty() || request.envelope.key.is_some();
    if ordered {
        let message = "a control op is answered at once: it has neither after nor key";
        let fault = Fault::new(Code::InvalidField, message);
        return dispatch.refuse(id, op, fault.at_field("after"));
    }
    match (control.run)(dispatch, &id, request.fields) {
        // The first shutdown is answered last of all.
        Ok(_) if dispatch.ending.shutdown.as_ref() == Some(&id) => {}
        Ok(data) => dispatch.answer(id, op, Ok(data)),
        Err(fault) => dispatch.refuse(id, op, fault),
    }
}

/// The first line of a session.
pub(super) fn hello_line(dispatch: &Dispatch) -> Hello {
    Hello {
        protocol: VERSION,
        protocol_min: VERSION_MIN,
        session: crate::serve::names::Names::new().make(),
        pid: std::process::id(),
        engine: EngineInfo {
            name: "migration-engine".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        backend: "native".to_owned(),
        features: FEATURES.map(str::to_owned).to_vec(),
        limits: SessionLimits {
            line_in: LINE_IN_MAX_BYTES as u64,
            line_out: LINE_OUT_MAX_BYTES as u64,
            outstanding: OUTSTANDING_MAX as u64,
            memory_cap: dispatch.settings.memory_cap_bytes,
        },
        ops: ops().into_iter().map(str::to_owned).collect(),
    }
}

fn hello(dispatch: &mut Dispatch, _: &Id, map: Map<String, Value>) -> Result<Value, Fault> {
    let params: HelloParams = fields::read(map)?;
    let spoken = VERSION_MIN..=VERSION;
    if !params.protocol.is_empty() && !params.protocol.iter().any(|asked| spoken.contains(asked)) {
        let fault = Fault::new(Code::ProtocolVersion, "no protocol asked for is spoken here");
        return Err(fault
            .detail("requested", params.protocol)
            .detail("supported", spoken.collect::<Vec<_>>()));
    }
    let missing = params.require.iter().find(|name| !FEATURES.contains(&name.as_str()));
    if let Some(name) = missing {
        let message = format!("the feature {} is required and not offered", printable(name));
        return Err(Fault::new(Code::FeatureMissing, message).at_field("require"));
    }
    if params.progress_ms.is_some_and(|every| every < PROGRESS_MS_MIN) {
        let fault = Fault::new(Code::InvalidField, "at least 50 milliseconds");
        return Err(fault.at_field("progress_ms"));
    }
    check_defaults(&params.defaults)?;
    if let Some(client) = &params.client {
        tracing::info!("client {} {}", printable(&client.name), printable(&client.version));
    }
    if let Some(every) = params.progress_ms {
        dispatch.progress_every = Duration::from_millis(every);
    }
    if let Some(events) = &params.events {
        dispatch.wanted.set(events);
    }
    dispatch.on_eof = params.on_eof.unwrap_or(dispatch.on_eof);
    dispatch.defaults.extend(params.defaults);
    let present = params.optional.into_iter().filter(|name| FEATURES.contains(&name.as_str()));
    Ok(json!({ "protocol": VERSION, "optional": present.collect::<Vec<_>>() }))
}

/// A default that no command knows is a misspelling.
///
/// # Errors
/// `UNKNOWN_FIELD`.
pub fn check_defaults(defaults: &Map<String, Value>) -> Result<(), Fault> {
    if defaults.is_empty() {
        return Ok(());
    }
    let all = command::COMMANDS.iter().flat_map(|c| fields::properties(&(c.schema)()));
    let known: Vec<String> = all.collect();
    match defaults.keys().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) => {
            let fault = fields::unknown_field(name, &known);
            Err(fault.at_field(format!("defaults.{name}")))
        }
    }
}

fn ping(_: &mut Dispatch, _: &Id, map: Map<String, Value>) -> Result<Value, Fault> {
    fields::read::<PingParams>(map).map(|_| Value::Null)
}

/// What `cancel`, `pause` and `resume` answer: the jobs meant, and where each is now.
fn touched(dispatch: &Dispatch, target: &Target, ids: &[Id]) -> Value {
    let mut list: Vec<Value> = ids
        .iter()
        .take(PAGE)
        .map(|id| match dispatch.table.get(id) {
            Some(entry) => json!({ "id": id, "job": entry.job.name, "state": entry.state }),
            None => json!({ "id": id, "job": null, "state": JobState::Finished }),
        })
        .collect();
    if let (true, Target::Id(id)) = (ids.is_empty(), target)
        && dispatch.finished_status(id).is_some()
    {
        list.push(json!({ "id": id, "job": null, "state": JobState::Finished }));
    }
    json!({ "jobs": list, "jobs_total": ids.len().max(list.len()) })
}

fn cancel(dispatch: &mut Dispatch, _: &Id, map: Map<String, Value>) -> Result<Value, Fault> {
    let params: CancelParams = fields::read(map)?;
    let ids = dispatch.select(&params.target);
    for id in &ids {
        dispatch.cancel(id, params.reason.as_deref());
    }
    Ok(touched(dispatch, &params.target, &ids))
}

fn pause(dispatch: &mut Dispatch, _: &Id, map: Map<String, Value>) -> Result<Value, Fault> {
    let params: PauseParams = fields::read(map)?;
    hold(dispatch, &params.target, true)
}

fn resume(dispatch: &mut Dispatch, _: &Id, map: Map<String, Value>) -> Result<Value, Fault> {
    let params: ResumeParams = fields::read(map)?;
    match params.target {
        Some(target) => hold(dispatch, &target, false),
        None => {
            let fault = Fault::new(Code::MissingField, "give a target, a token or a key");
            Err(fault.at_field("target"))
        }
    }
}

fn hold(dispatch: &mut Dispatch, target: &Target, hold: bool) -> Result<Value, Fault> {
    let ids = dispatch.select(target);
    for id in &dispatch.with_items(&ids) {
        dispatch.hold(id, hold);
    }
    Ok(touched(dispatch, target, &ids))
}

fn limits(dispatch: &mut Dispatch, _: &Id, map: Map<String, Value>) -> Result<Value, Fault> {
    let params: LimitsParams = fields::read(map)?;
    let change = rate_change(&params)?;
    if let Some(jobs) = params.jobs {
        if params.target.is_some() {
            let fault = Fault::new(Code::InvalidField, "jobs holds for the whole engine only");
            return Err(fault.at_field("jobs"));
        }
        if jobs == 0 || jobs as usize > JOBS_RUNNING_MAX {
            let message = format!("must lie between 1 and {JOBS_RUNNING_MAX}");
            return Err(Fault::new(Code::InvalidField, message).at_field("jobs"));
        }
        dispatch.jobs_max = jobs as usize;
    }
    let minute = clock::minute_of_week();
    let Some(target) = &params.target else {
        dispatch.engine.rates.change(change, minute);
        dispatch.launch();
        return Ok(in_force(dispatch, &dispatch.engine.rates));
    };
    let ids = dispatch.with_items(&dispatch.select(target));
    let jobs = ids.iter().filter_map(|id| dispatch.table.get(id)).map(|entry| &entry.job.rates);
    jobs.clone().for_each(|rates| rates.change(change.clone(), minute));
    let first = jobs.into_iter().next();
    Ok(first
        .map_or_else(|| in_force(dispatch, &Rates::default()), |rates| in_force(dispatch, rates)))
}

/// What is changed, checked.
fn rate_change(params: &LimitsParams) -> Result<RateChange, Fault> {
    let bytes = fields::bound(&params.bytes_per_s, |size| size.0);
    fields::check_rate(bytes.flatten(), || "bytes_per_s".to_owned())?;
    let ops = fields::bound(&params.ops_per_s, |ops| *ops);
    fields::check_rate(ops.flatten(), || "ops_per_s".to_owned())?;
    let rows = fields::bound(&params.rows_per_s, |rows| *rows);
    fields::check_rate(rows.flatten(), || "rows_per_s".to_owned())?;
    let slots = match &params.timetable {
        Change::Keep => None,
        Change::Lift => Some(&[][..]),
        Change::Set(slots) => Some(slots.as_slice()),
    };
    fields::check_timetable(slots.unwrap_or_default(), "timetable")?;
    Ok(RateChange { bytes, ops, rows, timetable: slots.map(fields::timetable) })
}

fn in_force(dispatch: &Dispatch, rates: &Rates) -> Value {
    json!({
        "bytes_per_s": rates.bytes.rate(),
        "ops_per_s": rates.ops.rate(),
        "rows_per_s": rates.rows.rate(),
        "jobs": dispatch.jobs_max,
    })
}

fn jobs(dispatch: &mut Dispatch, _: &Id, map: Map<String, Value>) -> Result<Value, Fault> {
    let params: JobsParams = fields::read(map)?;
    let limit = params.limit.unwrap_or(PAGE as u32) as usize;
    if limit == 0 || limit > 100 {
        let fault = Fault::new(Code::InvalidField, "must lie between 1 and 100");
        return Err(fault.at_field("limit"));
    }
    let skip = match params.cursor.as_deref().map(str::parse::<usize>) {
        None => 0,
        Some(Ok(skip)) => skip,
        Some(Err(_)) => {
            let fault = Fault::new(Code::InvalidField, "no cursor of an earlier answer");
            return Err(fault.at_field("cursor"));
        }
    };
    let ids = match &params.target {
        Some(target) => dispatch.select(target),
        None => dispatch.arrivals.values().cloned().collect(),
    };
    let entries = ids.iter().filter_map(|id| Some((id, dispatch.table.get(id)?)));
    let wanted = entries.filter(|(_, entry)| match &params.state {
        Some(states) => states.contains(&entry.state),
        None => true,
    });
    let rest: Vec<Value> = wanted.skip(skip).map(|(id, entry)| describe(id, entry)).collect();
    let page = wire::sample_up_to(rest.iter().take(limit).cloned(), limit, LINE_OUT_MAX_BYTES / 2);
    let cursor = (rest.len() > page.len()).then(|| (skip + page.len()).to_string());
    Ok(json!({ "jobs": page, "cursor": cursor }))
}

fn describe(id: &Id, entry: &Entry) -> Value {
    let progress = &entry.job.progress;
    json!({
        "id": id,
        "job": entry.job.name,
        "op": entry.op,
        "state": entry.state,
        "labels": entry.labels,
        "key": entry.job.key(),
        "bytes_done": progress.bytes_done.load(Relaxed),
        "bytes_total": progress.bytes_total.load(Relaxed),
        "items_done": progress.items_done(),
        "elapsed_ms": entry.started.map(|started| started.elapsed().as_millis() as u64),
    })
}

fn shutdown(dispatch: &mut Dispatch, id: &Id, map: Map<String, Value>) -> Result<Value, Fault> {
    let params: ShutdownParams = fields::read(map)?;
    let grace = match params.mode {
        ShutdownMode::Drain => params.grace_ms.map(Duration::from_millis),
        ShutdownMode::Cancel => Some(Duration::ZERO),
    };
    dispatch.ending.shut_down(id.clone(), grace);
    Ok(Value::Null)
}
