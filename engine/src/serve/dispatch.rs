//! The loop: one event at a time, one owner of the job table. Never waits for a job or a reader.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use migration_protocol::event::{Event as Out, Outcome};
use migration_protocol::fault::{Code, Fault, printable};
use migration_protocol::message::{EventKind, Id, JobState, OnEof, Request, Status, Target};
use serde_json::{Map, Value};

use crate::job::{Engine, Job};
use crate::limits::FINISHED_REMEMBERED;
use crate::platform::clock;
use crate::serve::admission::Admission;
use crate::serve::batch::Batches;
use crate::serve::ending::Ending;
use crate::serve::names::Names;
use crate::serve::output::Output;
use crate::serve::pace::Pace;
use crate::serve::requests::bare;
use crate::serve::runner::{Runners, Task, Wanted};
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
    pub(super) arrival: u64,
    /// Dependencies that have not ended.
    pub(super) waits: usize,
    /// Paused when its turn came: it waits for `resume`, not for a slot.
    pub(super) held: bool,
    pub(super) after_status: Vec<Status>,
    pub(super) started: Option<Instant>,
    pub(super) pace: Pace,
    pub(super) reason: Option<String>,
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
    pub(super) ready: VecDeque<(Id, String)>,
    /// For each command that is waited for, those that wait, with their jobs.
    pub(super) dependents: HashMap<Id, Vec<(Id, String)>>,
    pub(super) next_arrival: u64,
    pub(super) finished: HashMap<Id, Status>,
    pub(super) finished_order: VecDeque<Id>,
    pub(super) runners: Runners,
    /// Jobs on a thread, paused ones included.
    pub(super) at_work: usize,
    /// Of these, the paused ones: they hold no slot.
    pub(super) paused: usize,
    /// When the rates' timetables were looked at last.
    pub(super) ticked: Option<Instant>,
    pub(super) names: Names,
    pub(super) field_names: HashMap<&'static str, Vec<String>>,
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

    pub(super) fn remember(&mut self, id: &Id, status: Status) {
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
}

pub(super) fn dependency_outcome(id: &Id) -> Outcome {
    let fault = Fault::new(Code::Dependency, "a command named in after did not end as needed");
    bare(id.clone(), "", Status::Skipped, None, Some(fault))
}
