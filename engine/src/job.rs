//! One running command: everything it may touch, and everything it may say.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{EngineError, Kind, Result};
use crate::journal::attempt::Attempt;
use crate::journal::begun::Notes;
use crate::journal::keyed::Ledger;
use crate::journal::report::Report;
use crate::journal::state::StateDir;
use crate::limits::FAILURES_SHOWN;
use crate::model::digest::Digest;
use crate::model::leftover::Root;
use crate::model::loss::{Loss, What};
use crate::model::secret::{Secret, SecretSource};
use crate::progress::{Progress, Shown, Spent, add};
use crate::remote::settings::Patience;
use crate::remote::ties::Ties;
use crate::resource::budget::{Budget, Permit};
use crate::resource::cancel::{Leash, Switch};
use crate::resource::rates::Rates;
use crate::resource::workers::Workers;

/// What all jobs of the process share.
#[derive(Clone, Debug)]
pub struct Engine {
    /// Memory in flight.
    pub budget: Budget,
    /// Worker threads.
    pub workers: Workers,
    /// The whole engine's rates.
    pub rates: Arc<Rates>,
    /// Where jobs leave what outlives them; `None` where it cannot be used.
    pub state: Option<StateDir>,
    /// Whether secrets may come from a program.
    pub allow_secret_command: bool,
    /// Figures over all jobs.
    pub totals: Arc<Totals>,
}

/// Figures over all jobs of the process: those that ended, and those that run.
#[derive(Debug, Default)]
pub struct Totals(Mutex<TotalsState>);

#[derive(Debug, Default)]
struct TotalsState {
    ended_bytes: u64,
    ended_errors: u64,
    running: Vec<Arc<Progress>>,
}

impl Totals {
    fn read<T>(&self, read: impl FnOnce(&mut TotalsState) -> T) -> T {
        read(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A job begins.
    pub fn begin(&self, progress: &Arc<Progress>) {
        self.read(|state| state.running.push(Arc::clone(progress)));
    }

    /// A job ended.
    pub fn end(&self, progress: &Arc<Progress>) {
        self.read(|state| {
            state.running.retain(|other| !Arc::ptr_eq(other, progress));
            state.ended_bytes += progress.bytes_done.load(Ordering::Relaxed);
            state.ended_errors += progress.items_failed.load(Ordering::Relaxed);
        });
    }

    /// Bytes handled since the engine began.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.read(|state| {
            let running = state.running.iter().map(|p| p.bytes_done.load(Ordering::Relaxed));
            state.ended_bytes + running.sum::<u64>()
        })
    }

    /// Items failed since the engine began.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.read(|state| {
            let running = state.running.iter().map(|p| p.items_failed.load(Ordering::Relaxed));
            state.ended_errors + running.sum::<u64>()
        })
    }

    /// Jobs running now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.read(|state| state.running.len())
    }
}

/// How an item ended.
#[derive(Debug)]
pub enum Ended<'a> {
    /// Done, with the digests taken.
    Ok(&'a [Digest]),
    /// Left alone by rule.
    Skipped,
    /// Not done.
    Failed(&'a EngineError),
    /// Removed from the destination: the source does not have it.
    Deleted,
}

/// Who listens to a job. Every call is cheap and never waits for a reader.
pub trait Listener: Send + Sync {
    /// Something a person should look at.
    fn warning(&self, warning: &EngineError);
    /// An item ended.
    fn item(&self, path: &[u8], bytes: u64, ended: Ended<'_>);
    /// So much will not be done again.
    fn checkpoint(&self, n: u64, durable: bool, items: u64, bytes: u64);
    /// A line for the log.
    fn log(&self, message: &str);
    /// A failed item as a line of the report, without its end.
    fn report_line(&self, failure: &EngineError) -> Vec<u8>;
    /// A measurement, with the thresholds it crossed: metric, value, threshold.
    fn sample(&self, metrics: &serde_json::Value, alerts: &[(String, f64, f64)]);
}

/// One running command.
pub struct Job {
    /// Unique name, 16 hex digits; the first 8 tag its temporary files.
    pub name: String,
    /// Stop, hold, go on.
    pub switch: Switch,
    /// What its requests to services are tied to, and what they cost.
    pub ties: Ties,
    /// Counters.
    pub progress: Arc<Progress>,
    /// This job's own rates.
    pub rates: Arc<Rates>,
    /// What all jobs share.
    pub engine: Engine,
    /// Who listens.
    pub listener: Arc<dyn Listener>,
    /// Failed items.
    pub failures: Failures,
    /// Metadata that the destination could not hold.
    pub losses: Losses,
    /// Digests of the item done last: the answer of a job about one file.
    pub last_digests: LastDigests,
    subject: OnceLock<Vec<u8>>,
    key: OnceLock<String>,
    ledger: OnceLock<Ledger>,
    /// Whether a large file stays for the next attempt.
    keeps_parts: AtomicBool,
    /// Adds to the record of what this job leaves behind.
    notes: Mutex<Option<Notes>>,
    warnings: AtomicU64,
    temps: AtomicU64,
    checkpoints: AtomicU64,
}

impl Job {
    /// A job that has not begun.
    #[must_use]
    pub fn new(name: String, engine: Engine, listener: Arc<dyn Listener>) -> Self {
        let report = engine.state.as_ref().map(|state| state.report(&name));
        let allow_secret_command = engine.allow_secret_command;
        let memory_bytes = engine.budget.total();
        let job = name.as_str().into();
        let ties = Ties { job, allow_secret_command, memory_bytes, ..Ties::default() };
        Self {
            name,
            subject: OnceLock::new(),
            key: OnceLock::new(),
            switch: ties.switch.clone(),
            ties,
            progress: Arc::default(),
            rates: Arc::default(),
            engine,
            listener,
            ledger: OnceLock::new(),
            keeps_parts: AtomicBool::new(false),
            notes: Mutex::default(),
            failures: Failures::new(report),
            losses: Losses::default(),
            last_digests: LastDigests::default(),
            warnings: AtomicU64::new(0),
            temps: AtomicU64::new(0),
            checkpoints: AtomicU64::new(0),
        }
    }

    /// Names the source: an item that is the source itself goes by this name.
    pub fn set_subject(&self, name: &[u8]) {
        self.subject.get_or_init(|| name.to_vec());
    }

    /// The name of an item as it is told.
    #[must_use]
    pub fn named<'a>(&'a self, path: &'a [u8]) -> &'a [u8] {
        match self.subject.get() {
            Some(subject) if path.is_empty() => subject,
            _ => path,
        }
    }

    /// Puts a large item on the list of those in hand.
    #[must_use]
    pub fn show(&self, path: &[u8], bytes: u64) -> Option<Shown<'_>> {
        self.progress.show(self.named(path), bytes)
    }

    /// The command's key.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.get().map(String::as_str)
    }

    /// Gives the job its key; a second one is ignored.
    pub fn set_key(&self, key: &str) {
        self.key.get_or_init(|| key.to_owned());
    }

    /// What a keyed command did in earlier attempts, and does now.
    #[must_use]
    pub fn ledger(&self) -> Option<&Ledger> {
        self.ledger.get()
    }

    /// Gives the job its ledger; a second one is ignored.
    pub fn set_ledger(&self, ledger: Ledger) {
        self.ledger.get_or_init(|| ledger);
    }

    /// Waits while paused.
    ///
    /// # Errors
    /// `Cancelled` once the job was asked to stop.
    pub fn pass(&self) -> Result<()> {
        let held = self.switch.pass()?;
        if !held.is_zero() {
            self.progress.spend(Spent::Throttle, held);
        }
        Ok(())
    }

    /// Waits until `bytes` more may be read.
    ///
    /// # Errors
    /// `Cancelled` once the job was asked to stop.
    pub fn take_bytes(&self, bytes: u64) -> Result<()> {
        self.pass()?;
        let wait = || -> Result<_> {
            let all = self.engine.rates.bytes.take(bytes, &self.switch)?;
            Ok(all + self.rates.bytes.take(bytes, &self.switch)?)
        };
        let waited = Leash::rest(wait)?;
        self.progress.spend(Spent::Throttle, waited);
        Ok(())
    }

    /// What ties databases to the job that are waited for so long.
    #[must_use]
    pub fn patient(&self, lock: Duration, statement: Option<Duration>) -> Ties {
        Ties { patience: Patience { lock, statement }, ..self.ties.clone() }
    }

    /// Waits until `rows` more may be copied.
    ///
    /// # Errors
    /// `Cancelled` once the job was asked to stop.
    pub fn take_rows(&self, rows: u64) -> Result<()> {
        let waited = self.engine.rates.rows.take(rows, &self.switch)?
            + self.rates.rows.take(rows, &self.switch)?;
        self.progress.spend(Spent::Throttle, waited);
        Ok(())
    }

    /// The least of the bounds on rows each second.
    #[must_use]
    pub fn rows_per_s(&self) -> Option<u64> {
        [&self.engine.rates, &self.rates].iter().filter_map(|rates| rates.rows.rate()).min()
    }

    /// Waits until one more item may begin.
    ///
    /// # Errors
    /// `Cancelled` once the job was asked to stop.
    pub fn take_op(&self) -> Result<()> {
        self.pass()?;
        let waited =
            self.engine.rates.ops.take(1, &self.switch)? + self.rates.ops.take(1, &self.switch)?;
        self.progress.spend(Spent::Throttle, waited);
        Ok(())
    }

    /// Takes memory for data, waiting in turn.
    ///
    /// # Errors
    /// `Memory` when the cap can never hold it, `Cancelled` once the job was asked to stop.
    pub fn take_memory(&self, bytes: u64) -> Result<Permit> {
        self.engine.budget.take(bytes, &self.switch)
    }

    /// A number for the next temporary name.
    #[must_use]
    pub fn next_temp(&self) -> u64 {
        self.temps.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes that a large file stays under its temporary name for the next attempt.
    pub fn keep_parts(&self) {
        self.keeps_parts.store(true, Ordering::Release);
    }

    /// Forgets the record of an attempt that is over, unless it left something for the next one,
    /// or could not clear something away: `cleanup` finds it by the record then.
    pub fn end_attempt(&self, attempt: Option<Attempt>) {
        let (stays, why) = self.ties.left.take();
        if stays {
            self.keep_parts();
        }
        why.iter().for_each(|why| self.warn(why));
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(attempt) = attempt.filter(|_| !self.keeps_parts.load(Ordering::Acquire)) {
            attempt.end();
        }
    }

    /// Records where temporary files of this job will stand, so that `cleanup` finds them after a
    /// kill. Without a state directory the job goes on and says so.
    ///
    /// # Errors
    /// `StateDir` when the record cannot be written.
    pub fn begin_attempt(&self, roots: &[Root]) -> Result<Option<Attempt>> {
        match &self.engine.state {
            Some(state) => {
                let attempt = state.begin_attempt(&self.name, roots)?;
                let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
                *notes = Some(attempt.notes(Arc::clone(&self.ties.over)));
                Ok(Some(attempt))
            }
            None => {
                let warning = EngineError::new(
                    Kind::StateDir,
                    "no state directory: after a crash, temporary files are found by name only",
                );
                self.warn(&warning);
                Ok(None)
            }
        }
    }

    /// Where things begun that bear no temporary name are recorded, so that `cleanup` finds them
    /// after a kill; `None` without a state directory.
    #[must_use]
    pub fn notes(&self) -> Option<Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells the host something that does not stop the job.
    pub fn warn(&self, warning: &EngineError) {
        self.warnings.fetch_add(1, Ordering::Relaxed);
        self.listener.warning(warning);
    }

    /// Tells the host something about an item that does not stop it.
    pub fn warn_about(&self, warning: EngineError, path: &[u8]) {
        self.warn(&warning.at(self.named(path)));
    }

    /// Counts what an item lost that is done; the first loss of each kind is told.
    pub fn lose(&self, path: &[u8], losses: &[Loss]) {
        for loss in losses.iter().filter(|loss| self.losses.add(loss.what)) {
            let message = format!("the destination does not hold {}", loss.what.described());
            let warning = EngineError::new(Kind::MetadataLost, message);
            self.warn_about(warning.because(loss.call, loss.errno), path);
        }
    }

    /// Warnings raised so far.
    #[must_use]
    pub fn warnings(&self) -> u64 {
        self.warnings.load(Ordering::Relaxed)
    }

    /// Counts an item as done.
    pub fn done(&self, path: &[u8], bytes: u64, digests: &[Digest]) {
        add(&self.progress.items_ok, 1);
        add(&self.progress.bytes_ok, bytes);
        if path.is_empty() {
            self.last_digests.set(digests);
        }
        self.listener.item(self.named(path), bytes, Ended::Ok(digests));
    }

    /// Counts an item as left alone by rule.
    pub fn skip(&self, path: &[u8], bytes: u64) {
        add(&self.progress.items_skipped, 1);
        add(&self.progress.bytes_skipped, bytes);
        self.listener.item(self.named(path), bytes, Ended::Skipped);
    }

    /// Tells of a name removed from the destination.
    pub fn deleted(&self, path: &[u8]) {
        self.listener.item(path, 0, Ended::Deleted);
    }

    /// Counts an item as failed; the rest goes on.
    pub fn fail(&self, path: &[u8], error: EngineError) {
        add(&self.progress.items_failed, 1);
        let path = self.named(path);
        let error = error.at(path);
        self.listener.item(path, 0, Ended::Failed(&error));
        self.failures.add(error, |error| self.listener.report_line(error));
    }

    /// Tells the host how much will not be done again.
    pub fn checkpoint(&self, durable: bool) {
        let n = self.checkpoints.fetch_add(1, Ordering::Relaxed) + 1;
        let progress = &self.progress;
        let items = progress.items_ok.load(Ordering::Relaxed);
        self.listener.checkpoint(n, durable, items, progress.bytes_ok.load(Ordering::Relaxed));
    }

    /// What `resume` takes; `None` for a job without a key.
    #[must_use]
    pub fn token(&self) -> Option<String> {
        let n = self.checkpoints.load(Ordering::Relaxed);
        self.ledger().is_some().then(|| format!("ck:{}:{n}", self.name))
    }

    /// Reads a secret.
    ///
    /// # Errors
    /// `SecretUnresolved`; the message names the reference, never the value.
    pub fn secret(&self, source: &SecretSource) -> Result<Secret> {
        crate::platform::secret::read(source, self.engine.allow_secret_command)
    }
}

/// Items that lost metadata, counted by its kind.
#[derive(Debug, Default)]
pub struct Losses([AtomicU64; What::ALL.len()]);

impl Losses {
    /// Counts an item; true for the first one of its kind.
    fn add(&self, what: What) -> bool {
        let counters = What::ALL.iter().zip(&self.0);
        let mut own = counters.filter(|(other, _)| **other == what);
        own.next().is_some_and(|(_, items)| items.fetch_add(1, Ordering::Relaxed) == 0)
    }

    /// The kinds that were lost, each with the number of items that lost it.
    pub fn all(&self) -> impl Iterator<Item = (What, u64)> {
        let counters = What::ALL.iter().zip(&self.0);
        let counted = counters.map(|(what, items)| (*what, items.load(Ordering::Relaxed)));
        counted.filter(|(_, items)| *items > 0)
    }
}

/// Failed items: the first ones in memory, all of them in a report once they are many.
pub struct Failures(Mutex<Collected>);

struct Collected {
    first: Vec<EngineError>,
    total: u64,
    report: Option<Report>,
}

/// What a result says about failed items.
#[derive(Debug, Default)]
pub struct FailureList {
    /// The first ones.
    pub first: Vec<EngineError>,
    /// How many there are.
    pub total: u64,
    /// The file that names all of them.
    pub report: Option<Vec<u8>>,
}

impl Failures {
    fn new(report: Option<Report>) -> Self {
        Self(Mutex::new(Collected { first: Vec::new(), total: 0, report }))
    }

    fn add(&self, error: EngineError, line: impl FnOnce(&EngineError) -> Vec<u8>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.total += 1;
        if all.first.len() < FAILURES_SHOWN {
            all.first.push(error.clone());
        }
        if let Some(report) = &mut all.report {
            report.add(line(&error));
        }
    }

    /// How many items failed.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).total
    }

    /// The list for the result; the report is kept when the list does not hold all.
    #[must_use]
    pub fn finish(&self) -> FailureList {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut first = std::mem::take(&mut all.first);
        first.sort_by(|a, b| a.parts().path.cmp(&b.parts().path));
        let report =
            all.report.take().and_then(|report| report.finish(all.total > first.len() as u64));
        FailureList { first, total: all.total, report }
    }
}

/// Digests of a source that is one item, kept for the job's answer.
#[derive(Clone, Debug, Default)]
pub struct LastDigests(Arc<Mutex<Vec<Digest>>>);

impl LastDigests {
    fn set(&self, digests: &[Digest]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = digests.to_vec();
    }

    /// The digests, by algorithm.
    #[must_use]
    pub fn take(&self) -> serde_json::Value {
        let digests = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        digests.into_iter().map(|d| (d.algorithm.name().to_owned(), d.hex)).collect()
    }
}

/// When a job began, on the clocks its metrics need.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    /// Monotonic.
    pub at: Instant,
    /// CPU time of the process then.
    pub cpu: std::time::Duration,
}
