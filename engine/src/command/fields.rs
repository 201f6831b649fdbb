//! From a map of fields to a command's own struct, with errors that name the field.

use migration_protocol::fault::{Code, Fault, without_values};
use migration_protocol::message::{Change, ENVELOPE_FIELDS};
use migration_protocol::timetable::Slot;
use migration_protocol::vocabulary::LimitSpec;
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::limits::{PARALLEL_REMOTE, PARALLEL_REMOTE_CHUNKS, THREADS_MAX, TIMETABLE_ENTRIES_MAX};
use crate::platform::clock;
use crate::resource::rates::RateChange;
use crate::resource::timetable::{self, Bounds, Timetable};

/// Reads a command's fields.
///
/// # Errors
/// `UNKNOWN_FIELD` with the nearest known name, `MISSING_FIELD`, `INVALID_FIELD`.
pub fn read<P: DeserializeOwned + JsonSchema>(fields: Map<String, Value>) -> Result<P, Fault> {
    let names: Vec<String> = fields.keys().cloned().collect();
    match serde_path_to_error::deserialize(Value::Object(fields)) {
        Ok(params) => Ok(params),
        Err(error) => Err(explain(&schemars::schema_for!(P), &names, &error)),
    }
}

fn explain(
    schema: &Schema,
    names: &[String],
    error: &serde_path_to_error::Error<serde_json::Error>,
) -> Fault {
    let known = properties(schema);
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        return unknown_field(unknown, &known);
    }
    let required = schema.get("required").and_then(Value::as_array);
    let missing = required.into_iter().flatten().filter_map(Value::as_str);
    if let Some(field) = missing.into_iter().find(|field| !names.iter().any(|name| name == field)) {
        return Fault::new(Code::MissingField, format!("the field {field} is missing"))
            .at_field(field);
    }
    // Dotted throughout: `include.0`, not `include[0]`.
    let path = error.path().to_string().replace('[', ".").replace(']', "");
    let fault = Fault::new(Code::InvalidField, without_values(&error.inner().to_string()));
    if path == "." { fault } else { fault.at_field(path) }
}

/// The fault of a field that is not known, with the nearest one that is.
#[must_use]
pub fn unknown_field(unknown: &str, known: &[String]) -> Fault {
    let envelope = ENVELOPE_FIELDS.iter().map(|name| (*name).to_owned());
    let all: Vec<String> = known.iter().cloned().chain(envelope).collect();
    let fault = Fault::new(Code::UnknownField, format!("the field {unknown} is not known"))
        .at_field(unknown)
        .detail("known", known.to_vec());
    match nearest(unknown, all.iter().map(String::as_str)) {
        Some(near) => fault.hint(format!("did you mean {near}?")),
        None => fault,
    }
}

/// The candidate that `word` is most likely a misspelling of.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.map(|near| (strsim::jaro_winkler(word, near), near));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.8).then_some(best.1)
}

/// The names of an object schema's fields.
#[must_use]
pub fn properties(schema: &Schema) -> Vec<String> {
    let fields = schema.get("properties").and_then(Value::as_object);
    fields.map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
}

/// Sets a job's own rates.
pub fn apply_limits(job: &Job, limits: &LimitSpec) {
    let change = RateChange {
        bytes: Some(limits.bytes_per_s.map(|size| size.0)),
        ops: Some(limits.ops_per_s),
        rows: Some(limits.rows_per_s),
        timetable: Some(timetable(&limits.timetable)),
    };
    job.rates.change(change, clock::minute_of_week());
}

/// The timetable of these entries.
#[must_use]
pub fn timetable(slots: &[Slot]) -> Timetable {
    Timetable::new(slots.iter().map(|slot| {
        let days = slot.days.iter().flatten().map(|day| *day as u16).collect();
        let bytes = bound(&slot.bytes_per_s, |size| size.0);
        let (ops, rows) = (bound(&slot.ops_per_s, |n| *n), bound(&slot.rows_per_s, |n| *n));
        (slot.at.0, days, Bounds { bytes, ops, rows })
    }))
}

/// `None`: leave it; `Some(None)`: lift it; `Some(Some(n))`: set it.
pub fn bound<T>(change: &Change<T>, number: impl FnOnce(&T) -> u64) -> timetable::Change {
    match change {
        Change::Keep => None,
        Change::Lift => Some(None),
        Change::Set(value) => Some(Some(number(value))),
    }
}

/// Checks rates: 0 would never move anything, and is not "no limit" either.
///
/// # Errors
/// `INVALID_FIELD`.
pub fn check_limits(limits: &LimitSpec) -> Result<(), Fault> {
    let bytes = limits.bytes_per_s.map(|size| size.0);
    for (name, rate) in
        [("bytes_per_s", bytes), ("ops_per_s", limits.ops_per_s), ("rows_per_s", limits.rows_per_s)]
    {
        check_rate(rate, || format!("limits.{name}"))?;
    }
    check_timetable(&limits.timetable, "limits.timetable")
}

/// Checks the entries of the timetable in this field.
///
/// # Errors
/// `INVALID_FIELD`.
pub fn check_timetable(slots: &[Slot], field: &str) -> Result<(), Fault> {
    let invalid =
        |message: &str, field: String| Err(Fault::new(Code::InvalidField, message).at_field(field));
    if slots.len() > TIMETABLE_ENTRIES_MAX {
        let message = format!("at most {TIMETABLE_ENTRIES_MAX} entries");
        return invalid(&message, field.to_owned());
    }
    for (index, slot) in slots.iter().enumerate() {
        if slot.days.as_ref().is_some_and(Vec::is_empty) {
            return invalid("an entry of no day never begins", format!("{field}.{index}.days"));
        }
        let bytes = bound(&slot.bytes_per_s, |size| size.0).flatten();
        check_rate(bytes, || format!("{field}.{index}.bytes_per_s"))?;
        let ops = bound(&slot.ops_per_s, |ops| *ops).flatten();
        check_rate(ops, || format!("{field}.{index}.ops_per_s"))?;
        let rows = bound(&slot.rows_per_s, |rows| *rows).flatten();
        check_rate(rows, || format!("{field}.{index}.rows_per_s"))?;
    }
    Ok(())
}

/// Checks a rate.
///
/// # Errors
/// `INVALID_FIELD` for 0.
pub fn check_rate(rate: Option<u64>, field: impl FnOnce() -> String) -> Result<(), Fault> {
    match rate {
        Some(0) => Err(Fault::new(Code::InvalidField, "0 would never move anything")
            .at_field(field())
            .hint("leave the limit out to lift it, or give null where it is changed")),
        _ => Ok(()),
    }
}

/// Checks that a number lies in its range.
///
/// # Errors
/// `InvalidField`.
pub fn in_range(field: &str, value: u64, least: u64, most: u64) -> Result<u64> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(EngineError::new(Kind::InvalidField, format!("must lie between {least} and {most}"))
        .field(field))
}

/// Threads that compute: as asked, or one for each core.
///
/// # Errors
/// `InvalidField`.
pub fn threads(asked: Option<u64>) -> Result<usize> {
    let cores = crate::platform::process::cores() as u64;
    let threads = asked.unwrap_or_else(|| cores.clamp(1, THREADS_MAX));
    in_range("threads", threads, 1, THREADS_MAX).map(|threads| threads as usize)
}

/// Files in hand at once where the command does not say: enough to keep a device's queue filled
/// while some threads compute digests.
#[must_use]
pub fn default_parallel_files(remote: bool) -> usize {
    if remote {
        return PARALLEL_REMOTE;
    }
    (crate::platform::process::cores() * 2).clamp(4, 32)
}

/// Parts of one large file in hand at once at most, unless the command says: as many as help are
/// found while it runs.
#[must_use]
pub fn default_parallel_chunks(remote: bool) -> usize {
    if remote {
        return PARALLEL_REMOTE_CHUNKS;
    }
    (crate::platform::process::cores() * 2).clamp(4, 16)
}
