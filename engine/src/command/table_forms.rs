//! What `tables` says: its plan before, its certificate after.

use std::collections::BTreeMap;

use migration_protocol::vocabulary::BytePath;
use serde_json::{Value, json};

use crate::model::catalog::Catalog;
use crate::table::census::Loss;
use crate::table::choice::{Mode, class_name};
use crate::table::copy::Copied;
use crate::table::digest;
use crate::table::mapping::TablePlan;
use crate::table::readback::Proof;
use crate::table::retry::Retry;
use crate::wire;

/// Bytes of the plan's list of tables, of its statements, and of its losses.
const LIST_BYTES: usize = 8 << 10;
/// Entries of such a list.
const LIST_ENTRIES: usize = 1000;
/// Characters shown of the statement of what is not carried.
const ABOUT_CHARS: usize = 60;
/// Keys shown for a loss.
const SAMPLES: usize = 5;

/// What a certificate is made of.
pub struct Certificate<'a> {
    /// The source.
    pub source: &'a Catalog,
    /// The target, as it was before.
    pub target: &'a Catalog,
    /// The instant that was read.
    pub snapshot: String,
    /// How rows met those that were there.
    pub mode: Mode,
    /// The tables.
    pub plans: &'a [TablePlan],
    /// What was found.
    pub losses: &'a [Loss],
    /// What became of each table.
    pub copied: &'a [Copied],
    /// How far each is proven.
    pub proofs: &'a [Proof],
    /// The file of rejected rows.
    pub rejects: Option<BytePath>,
}

/// The certificate of a copy.
#[must_use]
pub fn certificate(made: &Certificate<'_>) -> Value {
    let tables =
        made.plans.iter().zip(made.copied).zip(made.proofs).map(|((plan, copied), proof)| {
            json!({
                "table": plan.source.name.shown(),
                "target": plan.target.name.shown(),
                "rows": copied.tally.rows,
                "rejected": copied.rejected,
                "changed": copied.tally.changed,
                "digest": format!("{:032x}", copied.tally.digest),
                "algorithm": digest::name(plan.native),
                "spans": copied.spans,
                "spans_kept": copied.kept,
                "spans_redone": copied.redone,
                "proof": proof.name(),
            })
        });
    let rows: u64 = made.copied.iter().map(|copied| copied.tally.rows).sum();
    let rejected: u64 = made.copied.iter().map(|copied| copied.rejected).sum();
    let mut data = json!({
        "plan": plan_digest(made.plans),
        "mode": made.mode.name(),
        "source": side(made.source),
        "target": side(made.target),
        "snapshot": made.snapshot,
        "tables_total": made.plans.len(),
        "rows": rows,
        "rejected": rejected,
        "tables": wire::sample_up_to(tables, LIST_ENTRIES, LIST_BYTES),
        "losses": losses(made.losses),
        "not_carried": not_carried(made.source),
        "notes": notes(made.plans, made.source),
    });
    if let Some(path) = &made.rejects {
        data["rejects"] = json!(path);
    }
    data
}

/// What became of the lines of a file whose rows were taken again.
#[must_use]
pub fn retried(retry: &Retry) -> Value {
    let counts = retry.counts();
    json!({
        "lines": retry.lines(),
        "taken": counts.taken,
        "missing": counts.missing,
        "left": counts.left,
    })
}

/// The plan of a copy.
#[must_use]
pub fn plan(source: &Catalog, plans: &[TablePlan], found: &[Loss], mode: Mode) -> Value {
    let statements = plans.iter().flat_map(|plan| {
        let drop =
            if plan.stands && mode == Mode::Replace { &plan.statements.drop[..] } else { &[] };
        let kept = plan.stands && matches!(mode, Mode::Append | Mode::Merge);
        let create = if kept { &[] } else { &plan.statements.create[..] };
        let later = plan.statements.indexes.iter().chain(&plan.statements.constraints);
        let later = later.filter(move |_| !kept).map(|named| named.sql.as_str());
        drop.iter().chain(create).map(String::as_str).chain(later)
    });
    json!({
        "op": "tables",
        "method": if plans.iter().all(|plan| plan.native) { "native" } else { "arrays" },
        "why": "rows travel in the engine's own form where both sides have the same types",
        "mode": mode.name(),
        "digest": plan_digest(plans),
        "items": plans.len(),
        "rows_estimate": plans.iter().filter_map(|plan| plan.source.rows_estimate).sum::<u64>(),
        "bytes": plans.iter().filter_map(|plan| plan.source.bytes).sum::<u64>(),
        "tables": wire::sample_up_to(plans.iter().map(table), LIST_ENTRIES, LIST_BYTES),
        "statements": wire::sample_up_to(statements, LIST_ENTRIES, LIST_BYTES),
        "losses": losses(found),
        "not_carried": not_carried(source),
        "notes": notes(plans, source),
    })
}

/// A digest over everything that is planned: equal plans do the same.
#[must_use]
pub fn plan_digest(plans: &[TablePlan]) -> String {
    let mut hasher = blake3::Hasher::new();
    for plan in plans {
        hasher.update(format!("{:?}{:?}{:?}", plan.read, plan.write, plan.statements).as_bytes());
        hasher.update(plan.filter.as_bytes());
        hasher.update(format!("{:?}{:?}{:?}", plan.masks, plan.fits, plan.casts).as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

fn side(catalog: &Catalog) -> Value {
    json!({ "engine": catalog.engine.name(), "version": catalog.version })
}

fn table(plan: &TablePlan) -> Value {
    let columns = plan.read.iter().zip(&plan.write).map(|(read, write)| {
        let from = plan.source.column(&read.name).map_or("", |column| column.declared.as_str());
        let to = plan.target.column(&write.name).map_or("", |column| column.declared.as_str());
        json!([write.name, from, write.kind.shown(), to])
    });
    json!({
        "table": plan.source.name.shown(),
        "target": plan.target.name.shown(),
        "stands": plan.stands,
        "rows_estimate": plan.source.rows_estimate,
        "way": if plan.native { "native" } else { "arrays" },
        "columns": columns.collect::<Vec<_>>(),
        "renamed": plan.renamed,
    })
}

fn losses(losses: &[Loss]) -> Vec<Value> {
    let told = losses.iter().map(|loss| {
        let finding = &loss.finding;
        json!({
            "table": loss.table,
            "column": finding.question.column,
            "class": class_name(&finding.question.class),
            "rows": finding.rows,
            "keys": finding.samples.iter().take(SAMPLES).collect::<Vec<_>>(),
            "policy": loss.policy.name(),
        })
    });
    wire::sample_up_to(told, LIST_ENTRIES, LIST_BYTES)
}

/// Everything of the source that is no table of rows, counted by what it is.
fn not_carried(source: &Catalog) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for other in &source.others {
        *counts.entry(other.what).or_default() += 1;
    }
    counts
}

fn with_article(what: &str) -> String {
    let article = if what.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
    format!("{article} {what}")
}

fn notes(plans: &[TablePlan], source: &Catalog) -> Vec<Value> {
    let others = source.others.iter().map(|other| {
        let about: String = other.definition.chars().take(ABOUT_CHARS).collect();
        let about = about.split_whitespace().collect::<Vec<_>>().join(" ");
        let colon = if about.is_empty() { "" } else { ": " };
        let note = format!("{} is not carried{colon}{about}", with_article(other.what));
        json!({ "table": other.name.shown(), "note": note })
    });
    let all = plans.iter().flat_map(|plan| {
        let table = plan.source.name.shown();
        plan.notes.iter().map(move |(column, text)| {
            let mut note = json!({ "table": table, "note": text });
            if !column.is_empty() {
                note["column"] = column.as_str().into();
            }
            note
        })
    });
    wire::sample_up_to(all.chain(others), LIST_ENTRIES, LIST_BYTES / 2)
}
