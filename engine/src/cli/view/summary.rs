//! What a command did, in a few lines.

use migration_protocol::event::{Metrics, Outcome, Sample, Verified};
use migration_protocol::fault::printable;
use migration_protocol::message::Status;
use migration_protocol::vocabulary::BytePath;
use serde_json::Value;

use crate::cli::view::{fault, words};

/// The lines of a result.
#[must_use]
pub fn lines(outcome: &Outcome) -> Vec<String> {
    let mut lines = match (&outcome.data, &outcome.metrics) {
        (Some(data), metrics) => of_data(outcome, data, metrics.as_ref()),
        (None, Some(metrics)) if outcome.status != Status::Ok && metrics.items_ok > 0 => {
            vec![done("done before that", metrics)]
        }
        _ => Vec::new(),
    };
    let verify = outcome.verify.as_ref().filter(|verify| verify.items + verify.mismatches > 0);
    lines.extend(verify.map(verified));
    lines.extend(
        outcome
            .report
            .as_ref()
            .map(|report| format!("every failed item is listed in {}", words::name(report))),
    );
    if outcome.replayed == Some(true) {
        lines.push("done earlier under this key; nothing was done now".to_owned());
    }
    if let (Some(token), true) = (&outcome.resume, outcome.status != Status::Ok) {
        lines.push(format!("goes on with the same key, or with {token}"));
    }
    lines
}

/// Which command a result is of, and how it ended.
#[must_use]
pub fn title(outcome: &Outcome) -> String {
    let status = match outcome.status {
        Status::Ok => "ok",
        Status::Skipped => "skipped",
        Status::Partial => "partial",
        Status::Cancelled => "cancelled",
        Status::Failed => "failed",
    };
    format!("{} {}: {status}", printable(&outcome.id.to_string()), printable(&outcome.op))
}

/// The failed items that a result names.
#[must_use]
pub fn failures(outcome: &Outcome) -> Vec<String> {
    let named = outcome.failures.iter();
    let mut lines: Vec<String> =
        named.map(|failure| fault::short(failure.code, &failure.at, &failure.message)).collect();
    let more = outcome.failures_total.unwrap_or(0).saturating_sub(lines.len() as u64);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

/// The lines of a measurement.
#[must_use]
pub fn sample(sample: &Sample) -> Vec<String> {
    let mut lines = vec![one_line(&sample.metrics)];
    lines.extend(sample.alerts.iter().map(|alert| {
        let metric = printable(&alert.metric);
        format!("  alert: {metric} is {:.1}, the bound is {:.1}", alert.value, alert.threshold)
    }));
    lines
}

fn of_data(outcome: &Outcome, data: &Value, metrics: Option<&Metrics>) -> Vec<String> {
    match outcome.op.as_str() {
        "copy" if data.get("new").is_none() => copy(data, metrics),
        "copy" | "plan" => plan(data),
        "checksum" => checksum(data),
        "verify" => counts("compared", data, &["matched", "mismatched", "missing", "extra"]),
        "inspect" => inspect(data),
        "compress" => compress(data),
        "decompress" => decompress(data),
        "monitor" => monitor(data),
        "cleanup" => counts("cleaned up", data, &["jobs", "removed"]),
        "batch" => counts("batch", data, &["ok", "partial", "failed", "cancelled", "skipped"]),
        _ => vec![data.to_string()],
    }
}

fn done(verb: &str, metrics: &Metrics) -> String {
    let mut text = format!(
        "{verb}: {}, {} in {} ({}/s)",
        words::count(metrics.items_ok, "item"),
        words::bytes(metrics.bytes),
        words::time(metrics.elapsed_ms),
        words::bytes(metrics.bytes_per_s_avg),
    );
    for (count, word) in [(metrics.items_skipped, "skipped"), (metrics.items_failed, "failed")] {
        if count > 0 {
            text.push_str(&format!(", {count} {word}"));
        }
    }
    text
}

fn copy(data: &Value, metrics: Option<&Metrics>) -> Vec<String> {
    let mut lines: Vec<String> =
        metrics.map(|metrics| done("copied", metrics)).into_iter().collect();
    lines.extend(place(data, "dst").map(|dst| format!("to {dst}")));
    if data.get("deleted").is_some() {
        let names = words::count(figure(data, "deleted"), "name");
        lines.push(format!("deleted there, since the source does not have it: {names}"));
    }
    if metrics.is_some_and(|metrics| metrics.items_ok == 0) {
        return lines;
    }
    for (algorithm, hex) in data.get("digests").and_then(Value::as_object).into_iter().flatten() {
        lines.push(format!("{algorithm} {}", hex.as_str().unwrap_or_default()));
    }
    lines.push(match text(data, "durability") {
        "power_loss" => "durability: survives a loss of power".to_owned(),
        _ => "durability: survives the end of the process, not a loss of power".to_owned(),
    });
    lines.extend(place(data, "manifest").map(|manifest| format!("listed in {manifest}")));
    lines
}

fn verified(verified: &Verified) -> String {
    let how = match verified.level.as_str() {
        "stream" => "the bytes written were digested as they passed",
        "readback" => "read again from the device and compared",
        "compare" => "read and compared",
        "size" => "sizes only",
        _ => "not at all",
    };
    let algorithm =
        verified.algorithm.as_ref().map_or_else(String::new, |name| format!(", {name}"));
    let items = words::count(verified.items, "item");
    let mismatches = words::count(verified.mismatches, "mismatch");
    format!("verified: {how}{algorithm}; {items}, {mismatches}")
}

fn plan(data: &Value) -> Vec<String> {
    let mut lines = vec![format!(
        "plan: {} {}, {} in {}",
        text(data, "op"),
        words::count(figure(data, "items"), "item"),
        words::bytes(figure(data, "bytes")),
        words::count(figure(data, "directories"), "directory"),
    )];
    lines.push(format!("method: {} ({})", text(data, "method"), text(data, "why")));
    if data.get("new").is_some() {
        lines.extend(counts("items", data, &["new", "replace", "skip", "conflict"]));
    }
    if data.get("delete").is_some() {
        let names = words::count(figure(data, "delete"), "name");
        let refused = text(data, "delete_refused");
        let refused =
            if refused.is_empty() { String::new() } else { format!(", refused: {refused}") };
        lines.push(format!("to be deleted: {names}{refused}"));
    }
    for loss in data.get("losses").and_then(Value::as_array).into_iter().flatten() {
        let what = text(loss, "what").replace('_', " ");
        lines.push(format!("loss: {what}, {}", words::count(figure(loss, "items"), "item")));
    }
    lines
}

fn checksum(data: &Value) -> Vec<String> {
    match data.get("check") {
        Some(check) => counts("checked", check, &["matched", "mismatched", "missing"]),
        None => counts("digested", data, &["digests_total"]),
    }
}

fn inspect(data: &Value) -> Vec<String> {
    let mut lines = vec![format!(
        "{}: {} in {}",
        text(data, "kind"),
        words::bytes(figure(data, "bytes")),
        words::count(figure(data, "files"), "file"),
    )];
    let others = [
        ("directories", "directory"),
        ("symlinks", "link"),
        ("specials", "special file"),
        ("unreadable", "unreadable item"),
        ("not_utf8", "non-UTF-8 name"),
    ];
    for (name, noun) in others {
        let found = figure(data, name);
        lines.extend((found > 0).then(|| words::count(found, noun)));
    }
    for file in data.get("largest").and_then(Value::as_array).into_iter().flatten() {
        let path = path_of(file).unwrap_or_default();
        lines.push(format!("{:>12}  {path}", words::bytes(figure(file, "bytes"))));
    }
    lines
}

fn compress(data: &Value) -> Vec<String> {
    let dst = place(data, "dst").unwrap_or_default();
    let Some(ratio) = data.get("ratio").and_then(Value::as_f64) else {
        return vec![format!("left alone: {dst} is there")];
    };
    let (original, stored) = (figure(data, "original_bytes"), figure(data, "stored_bytes"));
    let (original, stored) = (words::bytes(original), words::bytes(stored));
    vec![format!("compressed {original} to {stored} ({:.1} %) as {dst}", ratio * 100.0)]
}

fn decompress(data: &Value) -> Vec<String> {
    let dst = place(data, "dst").unwrap_or_default();
    if data.get("original_bytes").is_none() {
        return vec![format!("left alone: {dst} is there")];
    }
    let (original, stored) = (figure(data, "original_bytes"), figure(data, "stored_bytes"));
    let (original, stored) = (words::bytes(original), words::bytes(stored));
    vec![format!("decompressed {stored} to {original} as {dst}")]
}

fn monitor(data: &Value) -> Vec<String> {
    if data.get("samples").is_some() {
        return counts("measured", data, &["samples"]);
    }
    let mut lines = vec![one_line(data)];
    for disk in data.get("disk").and_then(Value::as_array).into_iter().flatten() {
        let (mount, free) = (text(disk, "mountpoint"), words::bytes(figure(disk, "free")));
        let total = words::bytes(figure(disk, "total"));
        lines.push(format!("disk {}: {free} of {total} free", printable(mount)));
    }
    lines
}

fn one_line(metrics: &Value) -> String {
    let at = |pointer: &str| metrics.pointer(pointer);
    let float = |pointer: &str| at(pointer).and_then(Value::as_f64).unwrap_or(0.0);
    let size = |pointer: &str| words::bytes(at(pointer).and_then(Value::as_u64).unwrap_or(0));
    let cores = at("/cpu/usage_percent").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let cpu = cores.iter().filter_map(Value::as_f64).sum::<f64>() / cores.len().max(1) as f64;
    format!(
        "{}  cpu {cpu:.0} % of {}  memory {:.0} % of {}  engine {} at {}/s",
        text(metrics, "timestamp"),
        words::count(cores.len() as u64, "core"),
        float("/memory/used_percent"),
        size("/memory/total"),
        size("/engine/rss_bytes"),
        size("/engine/bytes_per_s"),
    )
}

fn counts(title: &str, data: &Value, names: &[&str]) -> Vec<String> {
    let figures = names.iter().map(|name| {
        let word = name.strip_suffix("_total").unwrap_or(name).replace('_', " ");
        format!("{} {word}", figure(data, name))
    });
    vec![format!("{title}: {}", figures.collect::<Vec<_>>().join(", "))]
}

fn figure(data: &Value, name: &str) -> u64 {
    data.get(name).and_then(Value::as_u64).unwrap_or(0)
}

fn text<'a>(data: &'a Value, name: &str) -> &'a str {
    data.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn place(data: &Value, name: &str) -> Option<String> {
    data.get(name).and_then(path_of)
}

fn path_of(value: &Value) -> Option<String> {
    let path: BytePath = serde_json::from_value(value.clone()).ok()?;
    Some(words::name(&path))
}
