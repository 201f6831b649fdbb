//! `tables`: copies tables from one database to another, exactly once, and says what was proven.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use migration_protocol::event::Verified;
use migration_protocol::fault::Fault;
use migration_protocol::vocabulary::{BytePath, LimitSpec, LocationSpec, object};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::command::table_forms::{self, Certificate};
use crate::command::{Answer, Command, Planned, Prepared, Work, fields};
use crate::endpoint;
use crate::endpoint::rows::{OpenedLedger, Snapshot, TableSink, TableSource};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::journal::keyed::Ledger;
use crate::limits::{
    BATCH_ROWS, DATABASE_LOCK_MAX_S, DATABASE_LOCK_S, DATABASE_STATEMENT_MAX_S, PARALLEL_SPANS,
    REPLICAS_LAG_MAX_S, SPAN_ROWS,
};
use crate::model::catalog::{Catalog, TableName};
use crate::model::kind::ColumnType;
use crate::model::location::Location;
use crate::model::selection::Selection;
use crate::progress::add;
use crate::resource::cancel::Switch;
use crate::table::cast;
use crate::table::census::{self, Loss};
use crate::table::choice::{CLASS_NAMES, Choices, Mode, Policies, Policy, RowVerify};
use crate::table::copy::{self, Copied, Copy};
use crate::table::lag::Lag;
use crate::table::leftover;
use crate::table::mapping::{Mapping, TablePlan};
use crate::table::mask::Mask;
use crate::table::readback::{self, Proof};
use crate::table::rejects::Rejects;
use crate::table::retry::{self, Retry};
use crate::wire;

/// Longest wait for a target that is asked to remove what is half made.
const CLEARING: Duration = Duration::from_secs(20);

/// How rows meet a table that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TableMode {
    /// No table may be there.
    #[default]
    Create,
    /// Rows are added; a key that is there is an error of its row.
    Append,
    /// What is there is dropped first.
    Replace,
    /// A row whose primary key is there replaces that row.
    Merge,
}

/// What becomes of values that the target cannot hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LossPolicy {
    /// The command ends before it writes anything.
    #[default]
    Fail,
    /// They become NULL, and are counted.
    Null,
    /// They become the nearest value that can be held, and are counted.
    Clamp,
    /// Their column becomes text.
    Text,
    /// Their rows are rejected.
    Reject,
}

/// How a copy of tables is proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TableVerify {
    /// Rows are counted and digested as they are read, and the target says how many it took.
    #[default]
    Stream,
    /// Besides, every row is read back from the target, and the digests compared.
    Readback,
}

/// Rows that may be rejected, and where they go.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RejectSpec {
    /// Most rows. Default: 0, so that the first one ends the command.
    pub limit: u64,
    /// A file of JSON Lines that they are added to. Default: one in the state directory.
    pub file: Option<String>,
}

/// How the values of a column are hidden; it becomes text.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MaskSpec {
    /// Each becomes `***`.
    Redact,
    /// Each becomes its BLAKE3 in hex: equal values stay equal.
    Hash,
    /// Each becomes this text.
    Constant(String),
}

/// The fields of `tables`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TablesParams {
    /// The database that is read.
    pub src: LocationSpec,
    /// The database that is written.
    pub dst: LocationSpec,
    /// Globs of tables, by name or by `schema.name`. Default: every table.
    #[serde(default)]
    pub include: Vec<String>,
    /// Globs of tables that are left out. Default: none.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// How rows meet a table that is there. Default: create.
    #[serde(default)]
    pub mode: TableMode,
    /// The columns of a table, by its name. Default: every column.
    #[serde(default)]
    pub columns: BTreeMap<String, Vec<String>>,
    /// New names at the target: of a table by its name, of a column by `table.column`. Default:
    /// none.
    #[serde(default)]
    pub rename: BTreeMap<String, String>,
    /// Columns whose values are hidden, by `table.column`: `redact`, `hash`, or a constant text. NULL
    /// stays NULL. Default: none.
    #[serde(default)]
    pub mask: BTreeMap<String, MaskSpec>,
    /// Columns that become another type, by `table.column`: `text`, `text(n)`, `smallint`, `integer`,
    /// `bigint`, `decimal`, `decimal(p,s)`, `double`, `date`, `timestamp`, `boolean`, `json`, `bytes`.
    /// Values that are none of that type have their `policy`. Default: none.
    #[serde(default)]
    pub cast: BTreeMap<String, String>,
    /// Conditions on the rows of a table, by its name, in the source's SQL; run by a read-only
    /// session. Default: every row.
    #[serde(default, rename = "where")]
    pub filters: BTreeMap<String, String>,
    /// What becomes of values that the target cannot hold: by the name of a kind of loss, or
    /// `default`. Default: fail.
    #[serde(default)]
    pub policy: BTreeMap<String, LossPolicy>,
    /// Rows that may be rejected. Default: none.
    #[serde(default, deserialize_with = "object")]
    pub rejects: RejectSpec,
    /// A file of rejected rows: those of its rows are copied, by their keys, and nothing else; it is
    /// left with the rows that are still rejected, of which there may be as many as it had. With the
    /// mode append or merge. Default: none.
    #[serde(default)]
    pub retry_rejects: Option<String>,
    /// Rows of a span, which is copied by one transaction, about. Default: 250,000.
    #[serde(default)]
    pub span_rows: Option<u64>,
    /// Rows of a batch at most. Default: 10,000.
    #[serde(default)]
    pub batch_rows: Option<usize>,
    /// Spans in hand at once. Default: 4.
    #[serde(default)]
    pub parallel_spans: Option<usize>,
    /// How long a lock that others hold is waited for, seconds, on either side. Default: 60.
    #[serde(default)]
    pub lock_timeout_s: Option<u64>,
    /// How long one statement may take at a server, seconds: those that load rows and build indexes
    /// too. Default: as long as it takes, whatever the server's own default is.
    #[serde(default)]
    pub statement_timeout_s: Option<u64>,
    /// How far the replicas of the target may be behind it, seconds: rows wait while one is farther.
    /// PostgreSQL alone knows its replicas. Default: they are not asked for.
    #[serde(default)]
    pub replica_lag_s: Option<u64>,
    /// Whether indexes, foreign keys and checks are made. Default: true.
    #[serde(default = "yes")]
    pub indexes: bool,
    /// How the copy is proven. Default: stream.
    #[serde(default)]
    pub verify: TableVerify,
    /// Rates of this command. Default: none.
    #[serde(default, deserialize_with = "object")]
    pub limits: LimitSpec,
}

fn yes() -> bool {
    true
}

/// The registry's entry.
pub const COMMAND: Command = Command {
    op: "tables",
    about: "Copy tables from one database to another",
    schema: || schemars::schema_for!(TablesParams),
    prepare,
};

fn prepare(map: Map<String, Value>) -> Result<Prepared, Fault> {
    let params: TablesParams = fields::read(map)?;
    fields::check_limits(&params.limits)?;
    let work = tables(&params).map_err(|error: EngineError| wire::fault(&error))?;
    Ok(Prepared { limits: params.limits, work: Box::new(work) })
}

fn tables(params: &TablesParams) -> Result<Tables> {
    let src = wire::location(&params.src, "src")?;
    let dst = wire::location(&params.dst, "dst")?;
    endpoint::database(&src).map_err(|error| error.field("src"))?;
    endpoint::database(&dst).map_err(|error| error.field("dst"))?;
    let retried = retried(params)?;
    let (lock, statement) = patience(params)?;
    Ok(Tables { src, dst, choices: choices(params)?, retried, lock, statement })
}

/// The file whose rows are taken again.
fn retried(params: &TablesParams) -> Result<Option<Vec<u8>>> {
    let Some(file) = &params.retry_rejects else { return Ok(None) };
    let refused = |field: &str, message: &str, hint: &str| {
        Err(EngineError::new(Kind::InvalidField, message).field(field).hint(hint))
    };
    if !matches!(params.mode, TableMode::Append | TableMode::Merge) {
        let message = "rows are taken again into tables that stand";
        return refused("mode", message, "choose \"mode\": append or merge");
    }
    if params.rejects.file.is_some() {
        let message = "the file of retry_rejects takes the rows that stay rejected";
        return refused("rejects.file", message, "leave rejects.file out");
    }
    Ok(Some(file.as_bytes().to_vec()))
}

/// How long locks and statements are waited for.
fn patience(params: &TablesParams) -> Result<(Duration, Option<Duration>)> {
    let lock_s = params.lock_timeout_s.unwrap_or(DATABASE_LOCK_S);
    let lock_s = within("lock_timeout_s", lock_s, DATABASE_LOCK_MAX_S)?;
    let statement = params.statement_timeout_s;
    let statement = statement.map(|s| within("statement_timeout_s", s, DATABASE_STATEMENT_MAX_S));
    let statement = statement.transpose()?.map(Duration::from_secs);
    Ok((Duration::from_secs(lock_s), statement))
}

fn within(field: &str, value: u64, most: u64) -> Result<u64> {
    if (1..=most).contains(&value) {
        return Ok(value);
    }
    let message = format!("must be from 1 to {most}");
    Err(EngineError::new(Kind::InvalidField, message).field(field))
}

fn choices(params: &TablesParams) -> Result<Choices> {
    let span_rows = within("span_rows", params.span_rows.unwrap_or(SPAN_ROWS), u64::MAX >> 1)?;
    let batch_rows = params.batch_rows.unwrap_or(BATCH_ROWS) as u64;
    let batch_rows = within("batch_rows", batch_rows, 1 << 20)?;
    let parallel = params.parallel_spans.unwrap_or(PARALLEL_SPANS.0) as u64;
    let parallel = within("parallel_spans", parallel, PARALLEL_SPANS.1 as u64)?;
    let replica_lag = params.replica_lag_s;
    let replica_lag = replica_lag.map(|s| within("replica_lag_s", s, REPLICAS_LAG_MAX_S));
    Ok(Choices {
        selection: Selection::new(&params.include, &params.exclude)?,
        mode: match params.mode {
            TableMode::Create => Mode::Create,
            TableMode::Append => Mode::Append,
            TableMode::Replace => Mode::Replace,
            TableMode::Merge => Mode::Merge,
        },
        columns: params.columns.clone(),
        filters: params.filters.clone(),
        rename: params.rename.clone(),
        masks: params.mask.iter().map(|(name, mask)| (name.clone(), masked(mask))).collect(),
        casts: casts(params)?,
        policies: policies(&params.policy)?,
        indexes: params.indexes,
        verify: match params.verify {
            TableVerify::Stream => RowVerify::Stream,
            TableVerify::Readback => RowVerify::Readback,
        },
        reject_limit: params.rejects.limit,
        reject_file: params.rejects.file.as_ref().map(|file| file.as_bytes().to_vec()),
        replica_lag: replica_lag.transpose()?.map(Duration::from_secs),
        span_rows,
        batch_rows: usize::try_from(batch_rows).unwrap_or(BATCH_ROWS),
        parallel: usize::try_from(parallel).unwrap_or(PARALLEL_SPANS.0),
    })
}

fn masked(mask: &MaskSpec) -> Mask {
    match mask {
        MaskSpec::Redact => Mask::Redact,
        MaskSpec::Hash => Mask::Hash,
        MaskSpec::Constant(text) => Mask::Constant(text.clone()),
    }
}

fn casts(params: &TablesParams) -> Result<BTreeMap<String, ColumnType>> {
    let cast = |(name, kind): (&String, &String)| {
        let at = |error: EngineError| error.field(format!("cast.{name}"));
        if params.mask.contains_key(name) {
            let message = "a column that is masked is not cast";
            return Err(at(EngineError::new(Kind::InvalidField, message)));
        }
        Ok((name.clone(), cast::kind(kind).map_err(at)?))
    };
    params.cast.iter().map(cast).collect()
}

fn policies(named: &BTreeMap<String, LossPolicy>) -> Result<Policies> {
    let mut policies = Policies::default();
    for (name, policy) in named {
        let policy = match policy {
            LossPolicy::Fail => Policy::Fail,
            LossPolicy::Null => Policy::Null,
            LossPolicy::Clamp => Policy::Clamp,
            LossPolicy::Text => Policy::Text,
            LossPolicy::Reject => Policy::Reject,
        };
        if name == "default" {
            policies.default = policy;
        } else if CLASS_NAMES.contains(&name.as_str()) {
            policies.by_class.insert(name.clone(), policy);
        } else {
            let message = "no kind of loss has this name";
            return Err(EngineError::new(Kind::InvalidField, message)
                .field(format!("policy.{name}"))
                .hint(format!("kinds of loss: default, {}", CLASS_NAMES.join(", "))));
        }
    }
    Ok(policies)
}

struct Tables {
    src: Location,
    dst: Location,
    choices: Choices,
    /// A file whose rows are taken again.
    retried: Option<Vec<u8>>,
    /// How long a lock of others is waited for.
    lock: Duration,
    /// How long a statement may take.
    statement: Option<Duration>,
}

/// Both sides, open.
struct Sides {
    source: Box<dyn TableSource>,
    sink: Box<dyn TableSink>,
    here: Catalog,
    there: Catalog,
}

/// The parts of an answer that a job's record holds before the job is over.
#[derive(Deserialize, Serialize)]
struct Settled {
    data: Value,
    verify: Verified,
}

/// What will be done, with what would be lost.
struct Ready {
    plans: Vec<TablePlan>,
    losses: Vec<Loss>,
    retry: Option<Retry>,
}

impl Tables {
    fn open(&self, job: &Job) -> Result<Sides> {
        job.progress.set_phase("survey");
        job.set_subject(self.src.name());
        let at = |field: &'static str| move |error: EngineError| error.field(field);
        let ties = job.patient(self.lock, self.statement);
        let source = (endpoint::database(&self.src)?.source)(&self.src, &ties);
        let source = source.map_err(at("src"))?;
        let sink = (endpoint::database(&self.dst)?.sink)(&self.dst, &ties);
        let sink = sink.map_err(at("dst"))?;
        if self.choices.replica_lag.is_some() {
            drop(sink.replicas().map_err(at("replica_lag_s"))?);
        }
        let here = source.catalog().map_err(at("src"))?;
        let there = sink.catalog().map_err(at("dst"))?;
        Ok(Sides { source, sink, here, there })
    }

    fn prepare(&self, job: &Job, sides: &Sides, snapshot: &dyn Snapshot) -> Result<Ready> {
        let retry = self.retried.as_deref().map(|file| Retry::read(file, sides.here.engine));
        let retry = retry.transpose()?;
        let map = |as_text: &HashSet<(String, String)>| {
            let (source, there) = (&sides.here, &sides.there);
            let (sink, choices) = (&*sides.sink, &self.choices);
            let plans = Mapping { source, sink, there, choices, as_text }.plan()?;
            retry.as_ref().map_or(Ok(plans.clone()), |retry| retry.only(plans))
        };
        let mut plans = map(&HashSet::new())?;
        apart(&plans, sides)?;
        for plan in plans.iter().filter(|plan| !plan.filter.is_empty()) {
            let (table, filter) = (&plan.source.name, &plan.filter);
            snapshot
                .check(table, filter)
                .map_err(|error| error.at(table.shown()).field("where"))?;
        }
        job.progress.set_phase("census");
        let losses = census::take(job, snapshot, &plans, &self.choices)?;
        let as_text = census::as_text(&losses);
        if !as_text.is_empty() {
            plans = map(&as_text)?;
        }
        census::apply(&losses, &mut plans);
        Ok(Ready { plans, losses, retry })
    }

    /// The job's name in the target's ledger: with a key the same in every attempt.
    fn ledger_name(&self, job: &Job) -> String {
        let file = self.retried.as_deref().map(crate::platform::operator::absolute);
        // Rows that are taken again from one file go on where an earlier attempt at it ended.
        let key = match (job.key(), &file) {
            (Some(key), _) => key.as_bytes(),
            (None, Some(file)) => file,
            (None, None) => return format!("job-{}", job.name),
        };
        let mut hasher = blake3::Hasher::new();
        for part in [key, &self.src.shown(), &self.dst.shown()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.finalize().to_hex().to_string()
    }

    /// The file of rejected rows: with a key the same in every attempt.
    fn rejects(&self, job: &Job, ledger: &OpenedLedger, retry: Option<&Retry>) -> Result<Rejects> {
        if let (Some(retry), Some(file)) = (retry, &self.retried) {
            if ledger.receipts.is_empty() {
                retry::clear(file)?;
            }
            let limit = self.choices.reject_limit.max(retry.lines());
            return Ok(Rejects::new(retry.side().to_path_buf(), &ledger.job.job, limit));
        }
        let name = if job.key().is_some() { &ledger.job.job } else { &job.name };
        let path = match (&self.choices.reject_file, &job.engine.state) {
            (Some(file), _) => crate::platform::operator::path(file).to_path_buf(),
            (None, Some(state)) => state.rejects_path(name),
            (None, None) if self.choices.reject_limit == 0 => std::path::PathBuf::new(),
            (None, None) => {
                let message = "without a state directory, rejected rows have nowhere to go";
                return Err(EngineError::new(Kind::StateDir, message).field("rejects.file"));
            }
        };
        Ok(Rejects::new(path, &ledger.job.job, self.choices.reject_limit))
    }

    fn copy(
        &self,
        job: &Job,
        sides: &Sides,
        snapshot: &dyn Snapshot,
        prepared: &Ready,
    ) -> Result<(Vec<Copied>, Vec<Proof>, Rejects)> {
        let name = self.ledger_name(job);
        let ledger = sides.sink.open_ledger(&name)?;
        let made = Mutex::new(Vec::new());
        let closed = |error: EngineError| {
            let made = made.lock().unwrap_or_else(PoisonError::into_inner);
            // With a key, and for a file of rejected rows, the next attempt goes on with the ledger.
            if job.key().is_some() || self.retried.is_some() {
                return error;
            }
            // What the first error was is what is told.
            match self.clear(job, &name, prepared, &made) {
                Ok(None) => error,
                Ok(Some((rows, table))) => with_rows_left(error, rows, &table),
                Err(_) => {
                    tracing::warn!(ledger = name, "what the job made could not be removed");
                    error
                }
            }
        };
        let run = || {
            copy::check_free(&prepared.plans, self.choices.mode, &ledger.receipts)?;
            let retry = prepared.retry.as_ref();
            let rejects = self.rejects(job, &ledger, retry)?;
            let lag = self.choices.replica_lag.map(|most| Lag::new(&*sides.sink, most));
            let lag = lag.transpose()?;
            let copy = Copy {
                job,
                choices: &self.choices,
                snapshot,
                sink: &*sides.sink,
                plans: &prepared.plans,
                rejects: &rejects,
                retry,
                lag: lag.as_ref(),
                made: &made,
            };
            let copied = copy.run(&ledger)?;
            let proofs = readback::prove(&copy, &copied)?;
            retry.map_or(Ok(()), |retry| retry.finish())?;
            Ok((copied, proofs, rejects))
        };
        run().map_err(closed)
    }

    /// What an earlier attempt ended with, where only its ledger may be left: without the ledger,
    /// nothing in the target says any more that its rows are this job's.
    fn settled(&self, job: &Job) -> Result<Option<Answer>> {
        let noted = job.ledger().map(Ledger::settled).transpose()?.flatten();
        let Some(noted) = noted else { return Ok(None) };
        let unread = |_| EngineError::new(Kind::JournalCorrupt, "the noted result cannot be read");
        let Settled { data, verify } = serde_json::from_value(noted).map_err(unread)?;
        let ties = job.patient(self.lock, self.statement);
        let sink = (endpoint::database(&self.dst)?.sink)(&self.dst, &ties);
        sink.map_err(|error| error.field("dst"))?.close_ledger(&self.ledger_name(job))?;
        self.retried.as_deref().map_or(Ok(()), retry::clear)?;
        Ok(Some(Answer { data: Some(data), verify: Some(verify), ..Answer::default() }))
    }

    /// Ends the job: its result is noted before its ledger goes.
    fn settle(&self, job: &Job, sink: &dyn TableSink, settled: Settled) -> Result<Answer> {
        if let Some(ledger) = job.ledger() {
            ledger.settle(serde_json::to_value(&settled).unwrap_or_default())?;
        }
        sink.close_ledger(&self.ledger_name(job))?;
        self.retried.as_deref().map_or(Ok(()), retry::clear)?;
        let Settled { data, verify } = settled;
        Ok(Answer { data: Some(data), verify: Some(verify), ..Answer::default() })
    }

    /// Removes what is half made, also where the job was cancelled; not for long, since whatever
    /// ended the job may last.
    fn clear(
        &self,
        job: &Job,
        ledger: &str,
        prepared: &Ready,
        made: &[TableName],
    ) -> Result<Option<(u64, TableName)>> {
        let mut ties = job.patient(self.lock.min(CLEARING), self.statement);
        ties.switch = Switch::default();
        ties.tries.total = ties.tries.total.min(CLEARING);
        let sink = (endpoint::database(&self.dst)?.sink)(&self.dst, &ties)?;
        leftover::remove(&*sink, ledger, &prepared.plans, made)
    }
}

/// An error of a job that added rows to tables which stood before: sent again, it would add them twice.
fn with_rows_left(error: EngineError, rows: u64, table: &TableName) -> EngineError {
    let left = format!(
        "{rows} rows that were committed stay, in {} first; with a key, the next attempt goes on there",
        table.shown()
    );
    let hint = error.parts().hint.as_ref().map_or_else(String::new, |hint| format!("{hint}; "));
    error.hint(format!("{hint}{left}"))
}

/// No table that is read may be one that is written.
fn apart(plans: &[TablePlan], sides: &Sides) -> Result<()> {
    if sides.here.identity != sides.there.identity || sides.here.identity.is_empty() {
        return Ok(());
    }
    let folds = sides.sink.names().folds_tables;
    let is_one = |one: &TableName, other: &TableName| {
        one == other || (folds && one.shown().eq_ignore_ascii_case(&other.shown()))
    };
    let written =
        |plan: &&TablePlan| plans.iter().any(|other| is_one(&plan.source.name, &other.target.name));
    match plans.iter().find(written) {
        None => Ok(()),
        Some(plan) => {
            let message = "the table is read, and would be written by the same command";
            Err(EngineError::new(Kind::Overlap, message).at(plan.source.name.shown()))
        }
    }
}

impl Work for Tables {
    fn run(self: Box<Self>, job: &Job) -> Result<Answer> {
        if let Some(answer) = self.settled(job)? {
            return Ok(answer);
        }
        let sides = self.open(job)?;
        let snapshot = sides.source.snapshot(self.choices.parallel)?;
        let prepared = self.prepare(job, &sides, &*snapshot)?;
        census::check(&prepared.losses)?;
        add(&job.progress.items_total, prepared.plans.len() as u64);
        job.progress.surveyed.store(true, std::sync::atomic::Ordering::Release);
        let (copied, proofs, rejects) = self.copy(job, &sides, &*snapshot, &prepared)?;
        let proven = proofs.iter().all(|proof| *proof == Proof::ReadBack);
        let level = if proven && !proofs.is_empty() { "readback" } else { "stream" };
        let certificate = Certificate {
            source: &sides.here,
            target: &sides.there,
            snapshot: snapshot.identity(),
            mode: self.choices.mode,
            plans: &prepared.plans,
            losses: &prepared.losses,
            copied: &copied,
            proofs: &proofs,
            rejects: match &self.retried {
                Some(file) => Some(BytePath::new(file)),
                None => rejects.path().map(|p| BytePath::new(p.as_os_str().as_encoded_bytes())),
            },
        };
        let mut data = table_forms::certificate(&certificate);
        if let Some(retry) = &prepared.retry {
            data["retried"] = table_forms::retried(retry);
        }
        let verify = Verified {
            level: level.into(),
            algorithm: Some("xxh3-128".to_owned()),
            items: copied.len() as u64,
            bytes: job.progress.bytes_ok.load(std::sync::atomic::Ordering::Relaxed),
            mismatches: 0,
        };
        self.settle(job, &*sides.sink, Settled { data, verify })
    }

    fn plan(self: Box<Self>, job: &Job) -> Result<Planned> {
        let sides = self.open(job)?;
        let snapshot = sides.source.snapshot(1)?;
        let prepared = self.prepare(job, &sides, &*snapshot)?;
        Ok(Planned {
            data: table_forms::plan(
                &sides.here,
                &prepared.plans,
                &prepared.losses,
                self.choices.mode,
            ),
        })
    }
}
