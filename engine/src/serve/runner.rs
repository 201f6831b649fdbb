//! Runs jobs on threads of their own, and makes a result of what came of each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};
use migration_protocol::event::{self, Event as Line, ItemStatus, Outcome};
use migration_protocol::fault::{At, Fault};
use migration_protocol::message::{EventKind, Id, Status};
use migration_protocol::vocabulary::BytePath;
use serde_json::{Map, Value, json};

use crate::command::{self, Answer, Work};
use crate::error::{EngineError, Kind, Result};
use crate::job::{Ended, Job, Listener, Started};
use crate::journal::keyed::{self, Opened};
use crate::limits::JOB_STACK_BYTES;
use crate::pipeline::leftovers::Earlier;
use crate::platform::process;
use crate::serve::dispatch::Event;
use crate::serve::output::Output;
use crate::wire;

/// A job to be run.
pub struct Order {
    /// The command's id.
    pub id: Id,
    /// Its op.
    pub op: String,
    /// The job.
    pub job: Arc<Job>,
    /// What is done.
    pub task: Task,
}

/// What a job does.
pub enum Task {
    /// A command, with its op and fields where a key makes them matter.
    Command(Box<dyn Work>, Option<Value>),
    /// The stored command of a key, or of an earlier job.
    Resume(Stored),
}

/// Which stored command.
pub enum Stored {
    /// That of a key.
    Key(String),
    /// That which a job of this name ran.
    Job(String),
}

/// Threads that run orders.
pub struct Runners {
    orders: Sender<Order>,
    inbox: Receiver<Order>,
    events: Sender<Event>,
    threads: usize,
}

impl Runners {
    /// No threads yet.
    #[must_use]
    pub fn new(events: Sender<Event>) -> Self {
        let (orders, inbox) = crossbeam_channel::unbounded();
        Self { orders, inbox, events, threads: 0 }
    }

    /// Runs an order; `running` others are at work, so a thread more may be needed.
    pub fn start(&mut self, order: Order, running: usize) {
        if self.threads <= running {
            let (inbox, events) = (self.inbox.clone(), self.events.clone());
            let name = format!("job-{}", self.threads);
            let work = move || {
                for order in inbox {
                    let outcome = Box::new(run(order));
                    if events.send(Event::Done(outcome)).is_err() {
                        break;
                    }
                }
            };
            let thread = std::thread::Builder::new().name(name).stack_size(JOB_STACK_BYTES);
            if thread.spawn(work).is_ok() {
                self.threads += 1;
            }
        }
        let _ = self.orders.send(order);
    }
}

fn run(order: Order) -> Outcome {
    let started = Started { at: Instant::now(), cpu: process::cpu_time() };
    let Order { id, op, job, task } = order;
    job.engine.totals.begin(&job.progress);
    job.listener.log("began");
    let done = catch_unwind(AssertUnwindSafe(|| execute(&id, &op, &job, task, started)));
    let outcome = done.unwrap_or_else(|_| {
        let error = EngineError::new(Kind::Internal, "the engine failed on this command");
        outcome(&id, &op, &job, started, Err(error))
    });
    job.engine.totals.end(&job.progress);
    let status = serde_json::to_value(outcome.status).unwrap_or_default();
    job.listener.log(&format!("ended: {}", status.as_str().unwrap_or_default()));
    outcome
}

fn execute(id: &Id, op: &str, job: &Job, task: Task, started: Started) -> Outcome {
    let replay_or_work = match task {
        Task::Command(work, None) => Ok(Ok((work, op.to_owned(), Earlier::default()))),
        Task::Command(work, Some(command)) => keyed_command(job, work, op, &command),
        Task::Resume(stored) => resume(job, stored),
    };
    match replay_or_work {
        Err(error) => outcome(id, op, job, started, Err(error)),
        Ok(Err(replayed)) => Outcome { id: id.clone(), replayed: Some(true), ..*replayed },
        Ok(Ok((work, op, earlier))) => {
            let outcome = outcome(id, &op, job, started, work.run(job));
            // After a failure the next attempt may go on with what is kept.
            if matches!(outcome.status, Status::Ok | Status::Partial)
                && let Err(error) = earlier.end(job)
            {
                job.warn(&error);
            }
            if let (Status::Ok, Some(ledger)) = (outcome.status, job.ledger()) {
                let stored = serde_json::to_value(&outcome).unwrap_or_default();
                if let Err(error) = ledger.finish(stored) {
                    job.warn(&error);
                }
            }
            outcome
        }
    }
}

/// What is to be run, with its op and its earlier attempts; or the result that a key already has.
type WorkOrReplay = std::result::Result<(Box<dyn Work>, String, Earlier), Box<Outcome>>;

fn keyed_command(
    job: &Job,
    work: Box<dyn Work>,
    op: &str,
    command: &Value,
) -> Result<WorkOrReplay> {
    let key = job.key().unwrap_or_default();
    let Some(state) = &job.engine.state else {
        let message = "a key needs a state directory";
        return Err(EngineError::new(Kind::StateDir, message));
    };
    match keyed::open(&state.keys(), key, command, &job.name)? {
        Opened::Run(ledger) => {
            job.set_ledger(ledger);
            let earlier = Earlier::hold(job)?;
            Ok(Ok((work, op.to_owned(), earlier)))
        }
        Opened::Done(result) => match serde_json::from_value(result) {
            Ok(outcome) => Ok(Err(Box::new(outcome))),
            Err(_) => {
                let message = "the stored result of the key cannot be read";
                Err(EngineError::new(Kind::JournalCorrupt, message))
            }
        },
    }
}

fn resume(job: &Job, stored: Stored) -> Result<WorkOrReplay> {
    let unknown = || EngineError::new(Kind::UnknownJob, "nothing is stored to go on with");
    let Some(state) = &job.engine.state else {
        return Err(unknown());
    };
    let key = match stored {
        Stored::Key(key) => key,
        Stored::Job(job) => keyed::key_of_job(&state.keys(), &job)?.ok_or_else(unknown)?,
    };
    let command = keyed::stored(&state.keys(), &key)?.ok_or_else(unknown)?;
    let op = command.get("op").and_then(Value::as_str).unwrap_or_default().to_owned();
    let fields: Map<String, Value> =
        command.get("fields").and_then(Value::as_object).cloned().unwrap_or_default();
    let found = command::find(&op).ok_or_else(unknown)?;
    let prepared = (found.prepare)(fields)
        .map_err(|fault| EngineError::new(Kind::InvalidField, fault.message))?;
    command::fields::apply_limits(job, &prepared.limits);
    job.set_key(&key);
    keyed_command(job, prepared.work, &op, &command)
}

/// The stored form of a command: what must be equal for a key to be the same.
#[must_use]
pub fn stored_form(op: &str, fields: &Map<String, Value>) -> Value {
    json!({ "op": op, "fields": fields })
}

/// The result of a job.
fn outcome(id: &Id, op: &str, job: &Job, started: Started, ended: Result<Answer>) -> Outcome {
    let failures = job.failures.finish();
    let (answer, error) = match ended {
        Ok(answer) => (answer, None),
        Err(error) => (Answer::default(), Some(error)),
    };
    let (status, error) = judge(job, &answer, error, &failures.first, failures.total);
    let failed = failures.first.iter().map(wire::failure);
    let listed = wire::sample(failed);
    Outcome {
        id: id.clone(),
        op: op.to_owned(),
        status,
        backend: "native".to_owned(),
        job: Some(job.name.clone()),
        error,
        data: answer.data,
        metrics: Some(wire::metrics(job, started)),
        verify: answer.verify,
        failures: listed,
        failures_total: Some(failures.total),
        warnings_total: Some(job.warnings()),
        report: failures.report.map(|path| BytePath::new(&path)),
        resume: if status == Status::Ok { None } else { job.token() },
        replayed: None,
        advice: answer.advice,
    }
}

fn judge(
    job: &Job,
    answer: &Answer,
    error: Option<EngineError>,
    failures: &[EngineError],
    failed: u64,
) -> (Status, Option<Fault>) {
    if let Some(error) = error {
        let cancelled = error.kind() == Kind::Cancelled;
        let status = if cancelled { Status::Cancelled } else { Status::Failed };
        return (status, Some(wire::fault(&error)));
    }
    let progress = &job.progress;
    let planned = progress.items_total.load(Ordering::Relaxed);
    let surveyed = progress.surveyed.load(Ordering::Acquire);
    if surveyed && planned != progress.items_done() {
        let message = format!("{planned} items were planned, {} ended", progress.items_done());
        let error = EngineError::new(Kind::Accounting, message);
        return (Status::Failed, Some(wire::fault(&error)));
    }
    let Some(first) = failures.first() else {
        return (Status::Ok, None);
    };
    let ended = progress.items_done().max(failed);
    let none_done = failed >= ended;
    let status = if answer.strict || none_done { Status::Failed } else { Status::Partial };
    let mut fault = wire::fault(first);
    if ended > 1 {
        let message = format!("{failed} of {ended} items failed; the first: {}", fault.message);
        fault.message = migration_protocol::fault::printable(&message);
    }
    (status, Some(fault))
}

/// Kinds of events that are wanted, changed by `hello` while jobs run.
#[derive(Debug, Default)]
pub struct Wanted(AtomicU32);

impl Wanted {
    /// Wants these kinds, and no others.
    pub fn set(&self, kinds: &[EventKind]) {
        let bits = kinds.iter().fold(0, |bits, kind| bits | 1 << (*kind as u32));
        self.0.store(bits, Ordering::Release);
    }

    /// Whether a kind is wanted.
    #[must_use]
    pub fn has(&self, kind: EventKind) -> bool {
        self.0.load(Ordering::Acquire) & (1 << (kind as u32)) != 0
    }
}

/// Turns what a job says into events.
pub struct JobListener {
    /// The command's id.
    pub id: Id,
    /// The job's name.
    pub job: String,
    /// What the host wants.
    pub wanted: Arc<Wanted>,
    /// Where events go.
    pub output: Arc<dyn Output>,
}

impl Listener for JobListener {
    fn warning(&self, warning: &EngineError) {
        if !self.wanted.has(EventKind::Warning) {
            return;
        }
        let fault = wire::fault(warning);
        self.output.send(Line::Warning(event::Warning {
            id: self.id.clone(),
            code: fault.code,
            message: fault.message,
            at: fault.at.map(|at| *at).filter(|at| *at != At::default()),
            dropped_before: 0,
        }));
    }

    fn item(&self, path: &[u8], bytes: u64, ended: Ended<'_>) {
        if !self.wanted.has(EventKind::Item) {
            return;
        }
        let (status, digests, error) = match ended {
            Ended::Ok(digests) => (ItemStatus::Ok, digests, None),
            Ended::Skipped => (ItemStatus::Skipped, &[][..], None),
            Ended::Deleted => (ItemStatus::Deleted, &[][..], None),
            Ended::Failed(error) => (ItemStatus::Failed, &[][..], Some(wire::fault(error))),
        };
        self.output.send(Line::Item(event::Item {
            id: self.id.clone(),
            path: BytePath::new(path),
            status,
            bytes,
            digests: digests
                .iter()
                .map(|d| (d.algorithm.name().to_owned(), d.hex.clone()))
                .collect(),
            error,
            dropped_before: 0,
        }));
    }

    fn checkpoint(&self, n: u64, durable: bool, items: u64, bytes: u64) {
        if !self.wanted.has(EventKind::Checkpoint) {
            return;
        }
        self.output.send(Line::Checkpoint(event::Checkpoint {
            id: self.id.clone(),
            n,
            durable,
            items_done: items,
            bytes_done: bytes,
            token: format!("ck:{}:{n}", self.job),
        }));
    }

    fn log(&self, message: &str) {
        if !self.wanted.has(EventKind::Log) {
            return;
        }
        self.output.send(Line::Log(event::Log {
            id: self.id.clone(),
            level: "info".to_owned(),
            target: "job".to_owned(),
            message: message.to_owned(),
            dropped_before: 0,
        }));
    }

    fn report_line(&self, failure: &EngineError) -> Vec<u8> {
        serde_json::to_vec(&wire::failure(failure)).unwrap_or_default()
    }

    fn sample(&self, metrics: &Value, alerts: &[(String, f64, f64)]) {
        if !self.wanted.has(EventKind::Sample) {
            return;
        }
        let alerts = alerts.iter().map(|(metric, value, threshold)| event::Alert {
            metric: metric.clone(),
            value: *value,
            threshold: *threshold,
        });
        self.output.send(Line::Sample(event::Sample {
            id: self.id.clone(),
            metrics: metrics.clone(),
            alerts: alerts.collect(),
            dropped_before: 0,
        }));
    }
}
