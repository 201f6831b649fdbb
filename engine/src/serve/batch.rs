//! `batch`: several commands under one id, with one result after all of theirs.

use std::collections::{HashMap, VecDeque};

use migration_protocol::event::Outcome;
use migration_protocol::fault::{Code, Fault};
use migration_protocol::message::{BatchMode, BatchParams, Envelope, Id, OnError, Request, Status};
use serde_json::{Map, Value, json};

use crate::command::{Prepared, fields};
use crate::serve::dispatch::Dispatch;
use crate::serve::requests::bare;
use crate::serve::runner::Task;

/// Batches whose items are not all ended.
#[derive(Default)]
pub struct Batches {
    open: HashMap<Id, Batch>,
    /// The batch of each item that is not ended.
    parents: HashMap<Id, Id>,
}

struct Batch {
    waiting: VecDeque<Id>,
    running: usize,
    left: usize,
    /// Whether its own dependencies have ended.
    begun: bool,
    at_once: usize,
    on_error: OnError,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    ok: u64,
    partial: u64,
    failed: u64,
    cancelled: u64,
    skipped: u64,
}

impl Counts {
    fn add(&mut self, status: Status) {
        *match status {
            Status::Ok => &mut self.ok,
            Status::Partial => &mut self.partial,
            Status::Failed => &mut self.failed,
            Status::Cancelled => &mut self.cancelled,
            Status::Skipped => &mut self.skipped,
        } += 1;
    }

    fn status(&self) -> Status {
        let others = self.partial + self.failed + self.cancelled + self.skipped;
        match (self.ok, self.partial, others) {
            (_, _, 0) => Status::Ok,
            (0, 0, _) if self.cancelled == others => Status::Cancelled,
            (0, 0, _) => Status::Failed,
            _ => Status::Partial,
        }
    }
}

impl Batches {
    /// Whether this is a batch that is not ended.
    #[must_use]
    pub fn contains(&self, id: &Id) -> bool {
        self.open.contains_key(id)
    }

    /// Items of this batch that are not ended; none for what is no batch.
    pub fn items(&self, id: &Id) -> Vec<Id> {
        if !self.contains(id) {
            return Vec::new();
        }
        let own = self.parents.iter().filter(|(_, parent)| *parent == id);
        own.map(|(item, _)| item.clone()).collect()
    }
}

/// Takes a batch: every item is checked before any is accepted.
pub(super) fn request(
    dispatch: &mut Dispatch,
    line: u64,
    id: Id,
    envelope: &Envelope,
    map: Map<String, Value>,
) {
    let checked = fields::read::<BatchParams>(map).and_then(|params| {
        let items = check(dispatch, &id, envelope, &params)?;
        Ok((params, items))
    });
    match checked {
        Ok((params, items)) => open(dispatch, line, id, envelope, &params, items),
        Err(fault) => dispatch.refuse(id, "batch", fault),
    }
}

type Item = (Id, Envelope, Prepared);

fn check(
    dispatch: &mut Dispatch,
    id: &Id,
    envelope: &Envelope,
    params: &BatchParams,
) -> Result<Vec<Item>, Fault> {
    let invalid = |field: &str, message: &str| {
        Err(Fault::new(Code::InvalidField, message.to_owned()).at_field(field))
    };
    if params.items.is_empty() {
        return invalid("items", "the list is empty");
    }
    if params.max_parallel == Some(0) {
        return invalid("max_parallel", "0 would never run anything");
    }
    if envelope.key.is_some() {
        return invalid("key", "a batch has no key; give its commands theirs, without a batch");
    }
    let items = params.items.iter().enumerate().map(|(index, item)| {
        let child = id.child(index);
        if dispatch.table.contains_key(&child) {
            return Err(Fault::new(Code::DuplicateId, format!("the id {child} is in use")));
        }
        let request = Request::split(item.clone()).map_err(|bad| *bad.fault)?;
        let own = request.envelope;
        if own.id.is_some() || !own.after.is_empty() || own.key.is_some() {
            let message = "an item of a batch has neither id, after nor key";
            return Err(Fault::new(Code::InvalidField, message));
        }
        let (prepared, _) = dispatch.prepare(&own.op, request.fields)?;
        let labels = envelope.labels.clone().into_iter().chain(own.labels).collect();
        Ok((child, Envelope { op: own.op, labels, ..Envelope::default() }, prepared))
    });
    let items = items.enumerate().map(|(index, item)| item.map_err(|fault| within(index, fault)));
    items.collect()
}

/// A fault of an item: its field lies within `items`.
fn within(index: usize, fault: Fault) -> Fault {
    let inner = fault.at.as_ref().and_then(|at| at.field.clone());
    let field = inner.map_or(format!("items.{index}"), |field| format!("items.{index}.{field}"));
    fault.at_field(field)
}

fn open(
    dispatch: &mut Dispatch,
    line: u64,
    id: Id,
    envelope: &Envelope,
    params: &BatchParams,
    items: Vec<Item>,
) {
    let at_once = match params.mode {
        BatchMode::Sequence => 1,
        BatchMode::Parallel => params.max_parallel.map_or(usize::MAX, |most| most as usize),
    };
    dispatch.admission.take(items.len() as u64);
    let parent = dispatch.entry(&id, "batch", None, envelope);
    let children: Vec<_> = items
        .into_iter()
        .map(|(child, own, prepared)| {
            let task = Task::Command(prepared.work, None);
            let entry = dispatch.entry(&child, &own.op, Some(task), &own);
            fields::apply_limits(&entry.job, &prepared.limits);
            (child, entry)
        })
        .collect();
    let batch = Batch {
        waiting: children.iter().map(|(child, _)| child.clone()).collect(),
        running: 0,
        left: children.len(),
        begun: false,
        at_once,
        on_error: params.on_error,
        counts: Counts::default(),
    };
    dispatch.batches.open.insert(id.clone(), batch);
    for (child, _) in &children {
        dispatch.batches.parents.insert(child.clone(), id.clone());
    }
    dispatch.accept_batch(line, id, parent, children, &envelope.after);
}

/// Begins a batch whose dependencies have ended. False when this is no batch.
pub(super) fn begin(dispatch: &mut Dispatch, id: &Id) -> bool {
    if !dispatch.batches.contains(id) {
        return false;
    }
    if let Some(batch) = dispatch.batches.open.get_mut(id) {
        batch.begun = true;
    }
    dispatch.begin_batch(id);
    refill(dispatch, id);
    true
}

/// Makes as many items ready as may run at once.
fn refill(dispatch: &mut Dispatch, id: &Id) {
    while let Some(batch) = dispatch.batches.open.get_mut(id) {
        if !batch.begun || batch.running >= batch.at_once {
            return;
        }
        let Some(child) = batch.waiting.pop_front() else {
            return;
        };
        batch.running += 1;
        dispatch.make_ready(child);
    }
}

/// Counts an item that ended. Returns the results that follow from it: of items that will not run,
/// or of the batch.
pub(super) fn item_ended(dispatch: &mut Dispatch, item: &Id, status: Status) -> Vec<Outcome> {
    let Some(id) = dispatch.batches.parents.remove(item) else {
        return never_begun(dispatch, item);
    };
    let Some(batch) = dispatch.batches.open.get_mut(&id) else {
        return Vec::new();
    };
    batch.counts.add(status);
    batch.left -= 1;
    let waited = batch.waiting.iter().position(|other| other == item);
    match waited {
        Some(at) => drop(batch.waiting.remove(at)),
        None => batch.running = batch.running.saturating_sub(1),
    }
    if batch.left == 0 {
        return dispatch
            .batches
            .open
            .remove(&id)
            .map(|batch| result(&id, &batch))
            .into_iter()
            .collect();
    }
    if batch.on_error == OnError::Stop && status != Status::Ok {
        let rest: Vec<Id> = batch.waiting.iter().cloned().collect();
        return rest.iter().map(skipped).collect();
    }
    refill(dispatch, &id);
    Vec::new()
}

/// A batch that ended before it began takes its items along.
fn never_begun(dispatch: &mut Dispatch, id: &Id) -> Vec<Outcome> {
    let Some(batch) = dispatch.batches.open.remove(id) else {
        return Vec::new();
    };
    for child in &batch.waiting {
        dispatch.batches.parents.remove(child);
    }
    batch.waiting.iter().map(skipped).collect()
}

fn skipped(id: &Id) -> Outcome {
    let fault = Fault::new(Code::Dependency, "the batch did not come to this item");
    bare(id.clone(), "", Status::Skipped, None, Some(fault))
}

fn result(id: &Id, batch: &Batch) -> Outcome {
    let counts = &batch.counts;
    let data = json!({
        "ok": counts.ok, "partial": counts.partial, "failed": counts.failed,
        "cancelled": counts.cancelled, "skipped": counts.skipped,
    });
    let status = counts.status();
    let fault = match status {
        Status::Ok => None,
        Status::Cancelled => Some(Fault::new(Code::Cancelled, "cancelled")),
        _ => Some(Fault::new(Code::Dependency, "not every item of the batch ended with ok")),
    };
    bare(id.clone(), "batch", status, Some(data), fault)
}

/// Cancels a batch: every item, and with the last of them the batch.
pub(super) fn cancel(dispatch: &mut Dispatch, id: &Id, reason: Option<&str>) {
    let items = dispatch.batches.items(id);
    if let Some(batch) = dispatch.batches.open.get_mut(id) {
        batch.on_error = OnError::Continue;
        batch.begun = false;
    }
    for item in items {
        dispatch.cancel(&item, reason);
    }
}
