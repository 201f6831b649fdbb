//! What becomes of a line: a refusal, an answer at once, or a job.

use std::sync::Arc;

use migration_protocol::event::{Event as Out, Outcome, SessionError};
use migration_protocol::fault::{Code, Fault, printable};
use migration_protocol::message::{Id, JobState, Request, ResumeParams, Status};
use serde_json::{Map, Value};

use crate::command::{self, Command, Prepared, fields};
use crate::job::Job;
use crate::serve::dispatch::{Dispatch, Entry, Line};
use crate::serve::pace::Pace;
use crate::serve::runner::{JobListener, Stored, Task, stored_form};
use crate::serve::{control, exit};

impl Dispatch {
    pub(super) fn line(&mut self, number: u64, line: Line) {
        match line {
            Line::Request(request) => self.request(number, *request),
            Line::Refused(id, fault) if self.table.contains_key(&id) => self.broken(number, fault),
            Line::Refused(id, fault) => self.refuse(id, "", fault),
            Line::Broken(fault) => self.broken(number, fault),
        }
    }

    pub(super) fn broken(&mut self, line: u64, error: Fault) {
        self.exit = exit::worse(self.exit, exit::USAGE);
        self.output.send(Out::Error(SessionError { line, error }));
    }

    /// Answers a command that is not taken.
    pub(super) fn refuse(&mut self, id: Id, op: &str, fault: Fault) {
        self.exit = exit::worse(self.exit, exit::USAGE);
        self.remember(&id, Status::Failed);
        self.answer(id, op, Err(fault));
    }

    /// Answers a command at once.
    pub(super) fn answer(&self, id: Id, op: &str, outcome: Result<Value, Fault>) {
        let (status, data, error) = match outcome {
            Ok(data) => (Status::Ok, Some(data).filter(|data| !data.is_null()), None),
            Err(fault) => (Status::Failed, None, Some(fault)),
        };
        let outcome = bare(id, op, status, data, error);
        self.output.send(Out::Result(Box::new(outcome)));
    }

    pub(super) fn request(&mut self, line: u64, request: Request) {
        let id = request.envelope.id.clone().unwrap_or_else(|| Id::Text(format!("auto-{line}")));
        if self.table.contains_key(&id) {
            let message = format!("the id {} is in use", printable(&id.to_string()));
            return self.broken(line, Fault::new(Code::DuplicateId, message));
        }
        if control::is_control(&request) {
            return control::handle(self, id, request);
        }
        if self.ending.takes_no_more() {
            let fault = Fault::new(Code::ShuttingDown, "the engine is shutting down");
            return self.refuse(id, &printable(&request.envelope.op), fault);
        }
        self.job_request(line, id, request);
    }

    pub(super) fn job_request(&mut self, line: u64, id: Id, request: Request) {
        let Request { envelope, fields } = request;
        let op = envelope.op.clone();
        let unknown = envelope.after.iter().find(|after| !self.knows(after));
        if let Some(after) = unknown {
            let message =
                format!("after names {}, which is not known", printable(&after.to_string()));
            let fault = Fault::new(Code::UnknownJob, message).at_field("after");
            return self.refuse(id, &printable(&op), fault);
        }
        let accept = |dispatch: &mut Self, task: Task, prepared_limits| {
            let entry = dispatch.entry(&id, &op, Some(task), &envelope);
            if let Some(limits) = prepared_limits {
                fields::apply_limits(&entry.job, &limits);
            }
            dispatch.accept(line, id.clone(), entry, &envelope.after);
        };
        let key = envelope.key.as_deref();
        match op.as_str() {
            "batch" => crate::serve::batch::request(self, line, id, &envelope, fields),
            "resume" => match stored_command(fields, key) {
                Ok(stored) => accept(self, Task::Resume(stored), None),
                Err(fault) => self.refuse(id, &op, fault),
            },
            _ => match self.prepare(&op, fields) {
                Ok((prepared, fields)) => {
                    // A cleanup's key says whose leftovers are meant; it stores no result.
                    let stored = key.filter(|_| op != "cleanup").map(|_| stored_form(&op, &fields));
                    accept(self, Task::Command(prepared.work, stored), Some(prepared.limits));
                }
                Err(fault) => self.refuse(id, &printable(&op), fault),
            },
        }
    }

    /// Checks a command's fields, the session's defaults filled in.
    pub(super) fn prepare(
        &mut self,
        op: &str,
        mut fields: Map<String, Value>,
    ) -> Result<(Prepared, Map<String, Value>), Fault> {
        let Some(command) = command::find(op) else {
            return Err(control::unknown_op(op));
        };
        self.fill_defaults(command, &mut fields);
        if let ("plan", Some(Value::Object(inner))) = (op, fields.get_mut("command"))
            && let Some(planned) = inner.get("op").and_then(Value::as_str).and_then(command::find)
        {
            self.fill_defaults(planned, inner);
        }
        (command.prepare)(fields.clone()).map(|prepared| (prepared, fields))
    }

    pub(super) fn fill_defaults(&mut self, command: &Command, fields: &mut Map<String, Value>) {
        if self.defaults.is_empty() {
            return;
        }
        let names = self
            .field_names
            .entry(command.op)
            .or_insert_with(|| fields::properties(&(command.schema)()));
        for (name, value) in &self.defaults {
            if names.contains(name) && !fields.contains_key(name) {
                fields.insert(name.clone(), value.clone());
            }
        }
    }

    pub(super) fn knows(&self, id: &Id) -> bool {
        self.table.contains_key(id) || self.finished.contains_key(id)
    }

    /// A new job of this command.
    pub(super) fn entry(
        &mut self,
        id: &Id,
        op: &str,
        task: Option<Task>,
        envelope: &migration_protocol::message::Envelope,
    ) -> Entry {
        let name = self.names.make();
        let listener = JobListener {
            id: id.clone(),
            job: name.clone(),
            wanted: Arc::clone(&self.wanted),
            output: Arc::clone(&self.output),
        };
        let job = Job::new(name, self.engine.clone(), Arc::new(listener));
        if let Some(key) = &envelope.key {
            job.set_key(key);
        }
        Entry {
            op: op.to_owned(),
            job: Arc::new(job),
            labels: envelope.labels.clone(),
            state: JobState::Queued,
            task,
            arrival: 0,
            waits: 0,
            held: false,
            after_status: envelope.after_status.clone().unwrap_or_else(|| vec![Status::Ok]),
            started: None,
            pace: Pace::default(),
            reason: None,
        }
    }
}

/// A result without metrics.
pub(super) fn bare(
    id: Id,
    op: &str,
    status: Status,
    data: Option<Value>,
    error: Option<Fault>,
) -> Outcome {
    Outcome {
        id,
        op: op.to_owned(),
        status,
        backend: "native".to_owned(),
        job: None,
        error,
        data,
        metrics: None,
        verify: None,
        failures: Vec::new(),
        failures_total: None,
        warnings_total: None,
        report: None,
        resume: None,
        replayed: None,
        advice: Vec::new(),
    }
}

fn stored_command(fields: Map<String, Value>, key: Option<&str>) -> Result<Stored, Fault> {
    let params: ResumeParams = fields::read(fields)?;
    match (params.token, key) {
        (Some(token), None) => Ok(Stored::Job(command::cleanup::job_of_token(&token).to_owned())),
        (None, Some(key)) => Ok(Stored::Key(key.to_owned())),
        _ => Err(Fault::new(Code::InvalidField, "give one of target, token and key")),
    }
}
