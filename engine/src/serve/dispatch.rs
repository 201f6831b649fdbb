//! The loop: one event at a time, one owner of the job table. Never waits for a job or a reader.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use migration_protocol::event::{Accepted, Event as Out, Outcome, SessionError, State};
use migration_protocol::fault::{Code, Fault, printable};
use migration_protocol::message::{
    EventKind, Id, JobState, OnEof, Request, ResumeParams, Status, Target,
};
use serde_json::{Map, Value};

use crate::command::{self, Command, Prepared, fields};
use crate::job::{Engine, Job};
use crate::limits::FINISHED_REMEMBERED;
use crate::platform::clock;
use crate::serve::admission::Admission;
use crate::serve::batch::Batches;
use crate::serve::ending::Ending;
use crate::serve::names::Names;
use crate::serve::output::Output;
use crate::serve::pace::Pace;
use crate::serve::runner::{JobListener, Order, Runners, Stored, Task, Wanted, stored_form};
use crate::serve::{control, exit};
use crate::settings::Settings;

/// Least time between two looks at the timetables of rates.
const TICK: Duration = Duration::from_millis(250);

/// Everything that happens to a session.
pub enum Event {
    /// A line of input, with its number.
    Line(u64, Line),
    /// No more input.
    EndOfInput,
    /// The input's other end is closed, though lines of it are not read yet.
    HungUp,
    /// The input is the engine's own output.
    Echo,
    /// A job ended.
    Done(Box<Outcome>),
    /// A signal.
    Signal(i32),
    /// The parent to be watched is gone.
    ParentGone,
}

/// A line of input that must be answered.
pub enum Line {
    /// A command.
    Request(Box<Request>),
    /// Not quite a command, with an id to answer to.
    Refused(Id, Fault),
    /// No command at all.
    Broken(Fault),
}

impl Line {
    /// The line of a parsed object.
    #[must_use]
    pub fn of(map: Map<String, Value>) -> Self {
        match Request::split(map) {
            Ok(request) => Self::Request(Box::new(request)),
            Err(bad) => match bad.id {
                Some(id) => Self::Refused(id, *bad.fault),
                None => Self::Broken(*bad.fault),
            },
        }
    }
}

/// A command that is accepted and not ended.
pub(super) struct Entry {
    pub(super) op: String,
    pub(super) job: Arc<Job>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) state: JobState,
    pub(super) task: Option<Task>,
    /// Its place in `arrivals`.
    arrival: u64,
    /// Dependencies that have not ended.
    waits: usize,
    /// Paused when its turn came: it waits for `resume`, not for a slot.
    held: bool,
    after_status: Vec<Status>,
    pub(super) started: Option<Instant>,
    pace: Pace,
    reason: Option<String>,
}

/// The session's state.
pub struct Dispatch {
    pub(super) settings: Settings,
    pub(super) engine: Engine,
    pub(super) output: Arc<dyn Output>,
    pub(super) admission: Arc<Admission>,
    pub(super) wanted: Arc<Wanted>,
    pub(super) defaults: Map<String, Value>,
    pub(super) on_eof: OnEof,
    pub(super) progress_every: Duration,
    pub(super) jobs_max: usize,
    pub(super) table: HashMap<Id, Entry>,
    /// Commands that are not ended, in the order they came.
    pub(super) arrivals: BTreeMap<u64, Id>,
    pub(super) batches: Batches,
    pub(super) ending: Ending,
    pub(super) exit: u8,
    /// Commands whose turn has come, each with its job: an id may be used again, a job's name never.
    ready: VecDeque<(Id, String)>,
    /// For each command that is waited for, those that wait, with their jobs.
    dependents: HashMap<Id, Vec<(Id, String)>>,
    next_arrival: u64,
    finished: HashMap<Id, Status>,
    finished_order: VecDeque<Id>,
    runners: Runners,
    /// Jobs on a thread, paused ones included.
    at_work: usize,
    /// Of these, the paused ones: they hold no slot.
    paused: usize,
    /// When the rates' timetables were looked at last.
    ticked: Option<Instant>,
    names: Names,
    field_names: HashMap<&'static str, Vec<String>>,
}

impl Dispatch {
    /// A session that has said nothing yet.
    #[must_use]
    pub fn new(
        settings: Settings,
        engine: Engine,
        output: Arc<dyn Output>,
        admission: Arc<Admission>,
        events: Sender<Event>,
    ) -> Self {
        let wanted = Arc::new(Wanted::default());
        wanted.set(&settings.events);
        Self {
            on_eof: settings.on_eof,
            progress_every: Duration::from_millis(settings.progress_ms),
            jobs_max: settings.jobs,
            defaults: settings.defaults.clone(),
            settings,
            engine,
            output,
            admission,
            wanted,
            table: HashMap::new(),
            arrivals: BTreeMap::new(),
            batches: Batches::default(),
            ending: Ending::default(),
            exit: exit::OK,
            ready: VecDeque::new(),
            dependents: HashMap::new(),
            next_arrival: 0,
            finished: HashMap::new(),
            finished_order: VecDeque::new(),
            runners: Runners::new(events),
            at_work: 0,
            paused: 0,
            ticked: None,
            names: Names::new(),
            field_names: HashMap::new(),
        }
    }

    /// Says hello: the first line.
    pub fn hello(&self) {
        self.output.send(Out::Hello(control::hello_line(self)));
    }

    /// Handles events until the session ends. Returns the exit code.
    pub fn run(&mut self, inbox: &Receiver<Event>) -> u8 {
        while !self.ending.is_over(self.table.is_empty()) {
            match inbox.recv_timeout(self.patience()) {
                Ok(event) => self.handle(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.ending.input_ended(),
            }
            self.tick();
        }
        if let Some(id) = self.ending.shutdown.take() {
            self.answer(id, "shutdown", Ok(Value::Null));
        }
        self.output.finish();
        self.ending.code(self.output.is_lost()).unwrap_or(self.exit)
    }

    /// How long to wait for an event: until the next progress, or the next look at the ending.
    fn patience(&self) -> Duration {
        let busy = self.at_work > self.paused;
        let progress =
            if busy { self.progress_every.min(TICK * 2) } else { Duration::from_secs(1) };
        if self.ending.has_begun() { progress.min(Duration::from_millis(50)) } else { progress }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Line(number, line) => self.line(number, line),
            Event::Done(outcome) => self.done(*outcome),
            Event::EndOfInput => {
                self.ending.input_ended();
                if self.on_eof == OnEof::Cancel {
                    self.cancel_all("the input ended");
                }
            }
            Event::HungUp if self.on_eof == OnEof::Cancel => {
                self.ending.input_ended();
                self.cancel_all("the input ended");
            }
            Event::HungUp => {}
            Event::Echo => {
                tracing::error!("the input is the engine's own output; stopping");
                self.exit = exit::worse(self.exit, exit::USAGE);
                self.ending.input_ended();
            }
            Event::Signal(signal) => {
                self.ending.signal(signal);
                self.cancel_all("a signal");
            }
            Event::ParentGone => {
                self.ending.host_gone();
                self.cancel_all("the host is gone");
            }
        }
    }

    /// Puts the rates of this minute in force.
    fn tick_rates(&mut self) {
        if self.ticked.is_some_and(|ticked| ticked.elapsed() < TICK) {
            return;
        }
        self.ticked = Some(Instant::now());
        let minute = clock::minute_of_week();
        self.engine.rates.tick(minute);
        self.table.values().for_each(|entry| entry.job.rates.tick(minute));
    }

    fn tick(&mut self) {
        self.tick_rates();
        if self.output.is_lost() && self.ending.host_gone() {
            self.cancel_all("nobody reads the output");
        }
        if self.ending.drain_is_over() {
            self.cancel_all("the grace time is over");
        }
        if self.wanted.has(EventKind::Progress) {
            self.progress();
        }
    }

    fn progress(&mut self) {
        let running = |state| matches!(state, JobState::Running | JobState::Paused);
        let jobs = self
            .table
            .iter_mut()
            .filter(|(id, entry)| running(entry.state) && !self.batches.contains(id));
        for (id, entry) in jobs {
            if let Some(started) = entry.started
                && let Some(progress) =
                    entry.pace.look(id, &entry.job, started, self.progress_every)
            {
                self.output.send(Out::Progress(progress));
            }
        }
    }

    fn line(&mut self, number: u64, line: Line) {
        match line {
            Line::Request(request) => self.request(number, *request),
            Line::Refused(id, fault) if self.table.contains_key(&id) => self.broken(number, fault),
            Line::Refused(id, fault) => self.refuse(id, "", fault),
            Line::Broken(fault) => self.broken(number, fault),
        }
    }

    fn broken(&mut self, line: u64, error: Fault) {
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

    fn request(&mut self, line: u64, request: Request) {
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

    fn job_request(&mut self, line: u64, id: Id, request: Request) {
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

    fn fill_defaults(&mut self, command: &Command, fields: &mut Map<String, Value>) {
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

    fn knows(&self, id: &Id) -> bool {
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

    /// Accepts a job; it runs once its dependencies and a slot let it.
    pub(super) fn accept(&mut self, line: u64, id: Id, entry: Entry, after: &[Id]) {
        self.say_accepted(line, &id, &entry);
        self.admit(id, entry, after);
    }

    /// Accepts a batch and its items, which begin with it.
    pub(super) fn accept_batch(
        &mut self,
        line: u64,
        id: Id,
        batch: Entry,
        items: Vec<(Id, Entry)>,
        after: &[Id],
    ) {
        self.say_accepted(line, &id, &batch);
        for (item, entry) in &items {
            self.say_accepted(line, item, entry);
        }
        for (item, entry) in items {
            self.enter(item, entry);
        }
        self.admit(id, batch, after);
    }

    fn admit(&mut self, id: Id, mut entry: Entry, after: &[Id]) {
        let mut blocked = false;
        for dependency in after {
            match self.finished.get(dependency) {
                Some(status) => blocked |= !entry.after_status.contains(status),
                None => {
                    entry.waits += 1;
                    let waiting = (id.clone(), entry.job.name.clone());
                    self.dependents.entry(dependency.clone()).or_default().push(waiting);
                }
            }
        }
        let free = entry.waits == 0;
        self.enter(id.clone(), entry);
        if blocked {
            self.end(dependency_outcome(&id));
        } else if free {
            self.begin(id);
        }
        self.launch();
    }

    /// A command's dependencies have ended.
    fn begin(&mut self, id: Id) {
        if !crate::serve::batch::begin(self, &id) {
            self.make_ready(id);
        }
    }

    pub(super) fn say_accepted(&self, line: u64, id: &Id, entry: &Entry) {
        self.output.send(Out::Accepted(Accepted {
            id: id.clone(),
            job: entry.job.name.clone(),
            line,
            state: JobState::Queued,
            queue_position: self.ready.len() as u64,
        }));
    }

    /// Puts a job into the table.
    pub(super) fn enter(&mut self, id: Id, mut entry: Entry) {
        entry.arrival = self.next_arrival;
        self.next_arrival += 1;
        self.arrivals.insert(entry.arrival, id.clone());
        self.table.insert(id, entry);
    }

    /// A batch runs from here on, though no thread of its own does.
    pub(super) fn begin_batch(&mut self, id: &Id) {
        if let Some(entry) = self.table.get_mut(id) {
            entry.started = Some(Instant::now());
            entry.state = JobState::Running;
            self.say_state(id.clone(), JobState::Running);
        }
    }

    /// Makes a job ready to run as soon as a slot is free.
    pub(super) fn make_ready(&mut self, id: Id) {
        if let Some(entry) = self.table.get(&id) {
            self.ready.push_back((id, entry.job.name.clone()));
        }
    }

    /// Starts what is ready, as far as slots are free.
    pub(super) fn launch(&mut self) {
        while self.at_work - self.paused < self.jobs_max {
            let Some((id, name)) = self.ready.pop_front() else {
                return;
            };
            let Some(entry) = self.table.get_mut(&id).filter(|entry| entry.job.name == name) else {
                continue;
            };
            if entry.job.switch.is_paused() {
                entry.held = true;
                continue;
            }
            let Some(task) = entry.task.take() else {
                continue;
            };
            entry.started = Some(Instant::now());
            entry.state = JobState::Running;
            let job = Arc::clone(&entry.job);
            let order = Order { id: id.clone(), op: entry.op.clone(), job, task };
            self.say_state(id, JobState::Running);
            self.runners.start(order, self.at_work);
            self.at_work += 1;
        }
    }

    pub(super) fn say_state(&self, id: Id, state: JobState) {
        if self.wanted.has(EventKind::State) {
            self.output.send(Out::State(State { id, state }));
        }
    }

    fn done(&mut self, outcome: Outcome) {
        self.at_work -= 1;
        if self.table.get(&outcome.id).is_some_and(|entry| entry.state == JobState::Paused) {
            self.paused -= 1;
        }
        self.end(outcome);
    }

    /// Ends a command, and whatever its end decides.
    pub(super) fn end(&mut self, outcome: Outcome) {
        let mut ended = VecDeque::from([outcome]);
        while let Some(mut outcome) = ended.pop_front() {
            let Some(entry) = self.table.remove(&outcome.id) else {
                continue;
            };
            if let (Status::Cancelled, Some(reason), Some(error)) =
                (outcome.status, &entry.reason, &mut outcome.error)
            {
                error.message = printable(&format!("cancelled: {reason}"));
            }
            if outcome.op.is_empty() {
                outcome.op.clone_from(&entry.op);
            }
            outcome.job.get_or_insert_with(|| entry.job.name.clone());
            self.arrivals.remove(&entry.arrival);
            drop(entry);
            let (id, status) = (outcome.id.clone(), outcome.status);
            if outcome.op != "batch" {
                self.exit = exit::worse(self.exit, exit::of(&outcome));
            }
            self.remember(&id, status);
            self.output.send(Out::Result(Box::new(outcome)));
            ended.extend(self.free_dependents(&id, status));
            ended.extend(crate::serve::batch::item_ended(self, &id, status));
        }
        self.launch();
    }

    fn remember(&mut self, id: &Id, status: Status) {
        if self.finished.insert(id.clone(), status).is_none() {
            self.finished_order.push_back(id.clone());
        }
        while self.finished_order.len() > FINISHED_REMEMBERED {
            if let Some(oldest) = self.finished_order.pop_front() {
                self.finished.remove(&oldest);
            }
        }
    }

    /// How a command that ended, as far as it is remembered, ended.
    pub(super) fn finished_status(&self, id: &Id) -> Option<Status> {
        self.finished.get(id).copied()
    }

    /// Tells those that waited for `id`. Returns the results of those that will never run.
    fn free_dependents(&mut self, id: &Id, status: Status) -> Vec<Outcome> {
        let mut skipped = Vec::new();
        for (dependent, job) in self.dependents.remove(id).unwrap_or_default() {
            let entry = self.table.get_mut(&dependent).filter(|entry| entry.job.name == job);
            let Some(entry) = entry else {
                continue;
            };
            if !entry.after_status.contains(&status) {
                skipped.push(dependency_outcome(&dependent));
                continue;
            }
            entry.waits -= 1;
            if entry.waits == 0 {
                self.begin(dependent);
            }
        }
        skipped
    }

    /// The commands that a target means, oldest first.
    pub(super) fn select(&self, target: &Target) -> Vec<Id> {
        let matches = |id: &Id, entry: &Entry| match target {
            Target::Id(wanted) => {
                id == wanted || matches!(wanted, Id::Text(name) if *name == entry.job.name)
            }
            Target::Label(wanted) => {
                wanted.label.iter().all(|(name, value)| entry.labels.get(name) == Some(value))
            }
        };
        let all = self.arrivals.values().filter_map(|id| Some((id, self.table.get(id)?)));
        all.filter(|(id, entry)| matches(id, entry)).map(|(id, _)| id.clone()).collect()
    }

    /// The same commands, each batch followed by its items: what holds a batch holds them.
    pub(super) fn with_items(&self, ids: &[Id]) -> Vec<Id> {
        let mut all = Vec::with_capacity(ids.len());
        for id in ids {
            all.push(id.clone());
            all.extend(self.batches.items(id));
        }
        all
    }

    /// Asks a command to stop. One that does not run yet ends at once.
    pub(super) fn cancel(&mut self, id: &Id, reason: Option<&str>) {
        let Some(entry) = self.table.get_mut(id) else {
            return;
        };
        entry.reason = entry.reason.take().or(reason.map(str::to_owned));
        entry.job.switch.cancel();
        if entry.state == JobState::Paused {
            self.paused -= 1;
        }
        let started = entry.started.is_some();
        if self.batches.contains(id) {
            if let Some(entry) = self.table.get_mut(id).filter(|_| started) {
                entry.state = JobState::Cancelling;
                self.say_state(id.clone(), JobState::Cancelling);
            }
            return crate::serve::batch::cancel(self, id, reason);
        }
        if started {
            let changed = self.table.get_mut(id).is_some_and(|entry| {
                std::mem::replace(&mut entry.state, JobState::Cancelling) != JobState::Cancelling
            });
            if changed {
                self.say_state(id.clone(), JobState::Cancelling);
            }
            return;
        }
        let fault = Fault::new(Code::Cancelled, "cancelled");
        self.end(bare(id.clone(), "", Status::Cancelled, None, Some(fault)));
    }

    fn cancel_all(&mut self, reason: &str) {
        let all: Vec<Id> = self.arrivals.values().cloned().collect();
        all.iter().for_each(|id| self.cancel(id, Some(reason)));
    }

    /// Holds a job, or lets it go on. A held job gives its slot back.
    pub(super) fn hold(&mut self, id: &Id, hold: bool) {
        let Some(entry) = self.table.get_mut(id) else {
            return;
        };
        if hold {
            entry.job.switch.pause();
        } else {
            entry.job.switch.resume();
            if std::mem::take(&mut entry.held) {
                self.make_ready(id.clone());
                return self.launch();
            }
        }
        let (from, to) = match hold {
            true => (JobState::Running, JobState::Paused),
            false => (JobState::Paused, JobState::Running),
        };
        if entry.state == from && !self.batches.contains(id) {
            entry.state = to;
            if hold {
                self.paused += 1;
            } else {
                self.paused -= 1;
            }
            self.say_state(id.clone(), to);
            self.launch();
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

fn dependency_outcome(id: &Id) -> Outcome {
    let fault = Fault::new(Code::Dependency, "a command named in after did not end as needed");
    bare(id.clone(), "", Status::Skipped, None, Some(fault))
}

fn stored_command(fields: Map<String, Value>, key: Option<&str>) -> Result<Stored, Fault> {
    let params: ResumeParams = fields::read(fields)?;
    match (params.token, key) {
        (Some(token), None) => Ok(Stored::Job(command::cleanup::job_of_token(&token).to_owned())),
        (None, Some(key)) => Ok(Stored::Key(key.to_owned())),
        _ => Err(Fault::new(Code::InvalidField, "give one of target, token and key")),
    }
}
