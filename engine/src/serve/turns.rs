//! Whose turn it is: jobs wait for others, are launched, held and cancelled.

use std::sync::Arc;
use std::time::Instant;

use migration_protocol::event::{Accepted, Event as Out, State};
use migration_protocol::fault::{Code, Fault};
use migration_protocol::message::{EventKind, Id, JobState, Status};

use crate::serve::dispatch::{Dispatch, Entry, dependency_outcome};
use crate::serve::requests::bare;
use crate::serve::runner::Order;

impl Dispatch {
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

    pub(super) fn admit(&mut self, id: Id, mut entry: Entry, after: &[Id]) {
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
    pub(super) fn begin(&mut self, id: Id) {
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

    pub(super) fn cancel_all(&mut self, reason: &str) {
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
