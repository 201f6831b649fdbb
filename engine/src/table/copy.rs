//! Copies tables: the target's tables first, then spans by several workers, then indexes, constraints
//! and statistics.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::endpoint::rows::{
    LedgerJob, Meets, OpenedLedger, Snapshot, SpanReceipt, TableSink, Write,
};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::model::catalog::TableName;
use crate::model::rows::{Range, Read, Span, Tally};
use crate::table::choice::{Choices, Mode};
use crate::table::digest::Summer;
use crate::table::finish::{Finish, is_open};
use crate::table::lag::Lag;
use crate::table::mapping::TablePlan;
use crate::table::rejects::Rejects;
use crate::table::resume;
use crate::table::retry::Retry;
use crate::table::span::{Copier, Sessions, Task};

/// Share of the job's memory that one row may take, and one batch: rows stand in memory as read, as
/// arrays and as written.
const ROW_SHARE: u64 = 8;

/// Everything that a copy works on.
pub struct Copy<'a> {
    /// The job.
    pub job: &'a Job,
    /// What was chosen.
    pub choices: &'a Choices,
    /// Where rows come from.
    pub snapshot: &'a dyn Snapshot,
    /// Where they go.
    pub sink: &'a dyn TableSink,
    /// The tables, the largest first.
    pub plans: &'a [TablePlan],
    /// Where rejected rows go.
    pub rejects: &'a Rejects,
    /// Rows that are taken again; all rows without.
    pub retry: Option<&'a Retry>,
    /// How far replicas may be behind.
    pub lag: Option<&'a Lag<'a>>,
    /// Tables that were made in this attempt.
    pub made: &'a Mutex<Vec<TableName>>,
}

/// A table on its way.
pub struct Table<'a> {
    /// Its plan.
    pub plan: &'a TablePlan,
    /// What is read of it.
    pub read: Read,
    /// What is written.
    pub write: Write,
    /// All its spans.
    pub spans: Vec<Span>,
    /// Whether the job made it, in this attempt or an earlier one.
    pub is_own: bool,
    /// Whether it was gone that an earlier attempt had filled: nothing of it is kept.
    pub was_gone: bool,
}

/// What became of a table.
#[derive(Clone, Debug, Default)]
pub struct Copied {
    /// What was written.
    pub tally: Tally,
    /// Rows rejected.
    pub rejected: u64,
    /// Spans in all.
    pub spans: usize,
    /// Those whose digests are of rows in the engine's own form.
    pub native: usize,
    /// Spans that an earlier attempt had committed and that stand.
    pub kept: usize,
    /// Spans that an earlier attempt had committed and whose rows changed since.
    pub redone: usize,
}

impl<'a> Copy<'a> {
    /// Copies everything that the ledger does not have.
    ///
    /// # Errors
    /// Those of both sides. What is committed stays, and the ledger knows it.
    pub fn run(&self, ledger: &OpenedLedger) -> Result<Vec<Copied>> {
        let job = &ledger.job;
        let mut tables = Vec::with_capacity(self.plans.len());
        self.job.progress.set_phase("prepare");
        if self.choices.mode == Mode::Replace {
            self.drop_standing(&ledger.receipts)?;
        }
        for plan in self.plans {
            self.job.pass()?;
            tables.push(self.prepare(job, plan, &ledger.receipts)?);
        }
        let mut copied: Vec<Copied> = tables
            .iter()
            .map(|table| Copied { spans: table.spans.len(), ..Copied::default() })
            .collect();
        let mut done: HashSet<(usize, u32)> = HashSet::new();
        for (index, table) in tables.iter().enumerate() {
            for receipt in resume::committed(self, job, table, &tables, &ledger.receipts)? {
                if let Some(copied) = copied.get_mut(index) {
                    count(copied, &receipt);
                    copied.kept += 1;
                    done.insert((index, receipt.span.number));
                }
            }
            if let Some(copied) = copied.get_mut(index) {
                let earlier = ledger
                    .receipts
                    .iter()
                    .filter(|r| !r.planned && r.table == table.write.table)
                    .count();
                copied.redone = earlier.saturating_sub(copied.kept);
            }
        }
        if !ledger.receipts.is_empty() {
            let rows = copied.iter().map(|copied| copied.rejected).sum();
            self.rejects.resume(rows, |table, span| {
                let index = tables.iter().position(|of| of.write.table.shown() == table);
                index.is_some_and(|index| done.contains(&(index, span)))
            })?;
        }
        self.job.progress.set_phase("copy");
        self.spans(job, &tables, &done, &mut copied)?;
        self.job.progress.set_phase("index");
        let own = tables.iter().zip(&copied).filter(|(table, _)| table.is_own);
        Finish {
            job: self.job,
            sink: self.sink,
            lag: self.lag,
            workers: self.workers(),
            tables: own.map(|(table, copied)| (table.plan, copied.tally.rows)).collect(),
            changed: copied.iter().any(|copied| copied.redone > 0),
        }
        .run()?;
        Ok(copied)
    }

    /// Drops the tables that are replaced, each after those that point to it. What an earlier attempt
    /// made stays.
    fn drop_standing(&self, receipts: &[SpanReceipt]) -> Result<()> {
        let begun = |plan: &TablePlan| {
            receipts.iter().any(|receipt| receipt.planned && receipt.table == plan.target.name)
        };
        let mut left: Vec<&TablePlan> =
            self.plans.iter().filter(|plan| plan.stands && !begun(plan)).collect();
        if left.is_empty() {
            return Ok(());
        }
        let there = self.sink.catalog()?;
        let points = |from: &TablePlan, to: &TablePlan| {
            let table = there.tables.iter().find(|table| table.name == from.target.name);
            table.is_some_and(|table| table.foreign_keys.iter().any(|k| k.to == to.target.name))
        };
        let mut drops = Vec::new();
        while !left.is_empty() {
            let is_free = |plan: &&TablePlan| {
                left.iter()
                    .all(|other| other.target.name == plan.target.name || !points(other, plan))
            };
            // In a circle any is as good; the engine says what keeps it.
            let at = left.iter().position(is_free).unwrap_or_default();
            drops.extend_from_slice(&left.remove(at).statements.drop);
        }
        self.job.pass()?;
        self.sink.execute(&drops)
    }

    /// Makes the table where it is this job's to make, and settles its spans.
    fn prepare(
        &self,
        job: &LedgerJob,
        plan: &'a TablePlan,
        receipts: &[SpanReceipt],
    ) -> Result<Table<'a>> {
        let read = self.read(plan);
        let mut spans: Vec<Span> = receipts
            .iter()
            .filter(|receipt| receipt.planned && receipt.table == plan.target.name)
            .map(|receipt| receipt.span.clone())
            .collect();
        spans.sort_by_key(|span| span.number);
        let makes = !plan.stands || self.choices.mode == Mode::Replace;
        let made = |receipt: &SpanReceipt| receipt.makes && receipt.table == plan.target.name;
        let is_own = makes || receipts.iter().any(made);
        let write = self.write(plan, is_own);
        if spans.is_empty() {
            spans = self.split(plan)?;
            let planned = planned(plan, &spans, makes);
            self.sink.note(job, &planned)?;
            if makes {
                self.make(plan).inspect_err(|error| {
                    // Somebody else's table may stand there: the next attempt must not take it for
                    // its own. Where only the answer was lost, it may be this job's.
                    if !is_open(error.kind()) && self.sink.unplan(job, &planned).is_err() {
                        tracing::warn!(table = plan.target.name.shown(), "it stays planned");
                    }
                })?;
            }
            return Ok(Table { plan, read, write, spans, is_own, was_gone: false });
        }
        if let Some(retry) = self.retry {
            retry.planned(plan, &spans)?;
        } else {
            self.join_new_partitions(job, plan, receipts, &mut spans)?;
        }
        let was_gone = !plan.stands;
        if was_gone {
            let done: Vec<(TableName, u32)> = of_table(receipts, &plan.target.name)
                .map(|receipt| (receipt.table.clone(), receipt.span.number))
                .collect();
            if !done.is_empty() {
                let message =
                    "the table was gone that an earlier attempt had made: it is made anew";
                let warning = EngineError::new(Kind::DestinationChanged, message);
                self.job.warn(&warning.at(plan.target.name.shown()));
                self.sink.forget(job, &done, &[])?;
            }
            self.make(plan)?;
        }
        Ok(Table { plan, read, write, spans, is_own, was_gone })
    }

    /// A table that is read by the pages of its partitions may have others by now.
    fn join_new_partitions(
        &self,
        job: &LedgerJob,
        plan: &TablePlan,
        receipts: &[SpanReceipt],
        spans: &mut Vec<Span>,
    ) -> Result<()> {
        let child = |span: &Span| match &span.range {
            Range::Pages { child, .. } => Some(child.clone()),
            _ => None,
        };
        let known: HashSet<TableName> = spans.iter().filter_map(child).collect();
        if known.is_empty() || !plan.source.partitioned {
            return Ok(());
        }
        let now = self.split(plan)?;
        let standing: HashSet<TableName> = now.iter().filter_map(child).collect();
        if let Some(gone) = known.difference(&standing).min() {
            let message = format!("the partition {} is gone that was read before", gone.shown());
            return Err(EngineError::new(Kind::ResumeRefused, message)
                .at(plan.source.name.shown())
                .hint("remove what was copied, and send the command under another key"));
        }
        let makes = receipts.iter().any(|of| of.makes && of.table == plan.target.name);
        let next = spans.iter().map(|span| span.number + 1).max().unwrap_or(0);
        let is_new = |span: &Span| child(span).is_some_and(|child| !known.contains(&child));
        let added: Vec<Span> = now
            .into_iter()
            .filter(is_new)
            .zip(next..)
            .map(|(span, number)| Span { number, ..span })
            .collect();
        let planned = planned(plan, &added, makes);
        if !planned.is_empty() {
            self.sink.note(job, &planned)?;
            spans.extend(added);
        }
        Ok(())
    }

    fn make(&self, plan: &TablePlan) -> Result<()> {
        self.sink.execute(&plan.statements.create)?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.push(plan.target.name.clone());
        Ok(())
    }

    fn split(&self, plan: &TablePlan) -> Result<Vec<Span>> {
        let ranges = match self.retry {
            Some(retry) => retry.ranges(self, plan)?,
            None => self.snapshot.split(&plan.source, &plan.filter, self.choices.span_rows)?,
        };
        let ranges =
            if ranges.is_empty() && self.retry.is_none() { vec![Range::Whole] } else { ranges };
        let numbered = ranges.into_iter().zip(0u32..);
        Ok(numbered.map(|(range, number)| Span { number, range }).collect())
    }

    /// What is read of a table.
    #[must_use]
    pub fn read(&self, plan: &TablePlan) -> Read {
        let memory = self.job.engine.budget.total() / self.workers().max(1) as u64 / ROW_SHARE;
        let row_bytes_max = usize::try_from(memory).unwrap_or(usize::MAX);
        // A bound on rows is kept by waiting after each batch: not for long.
        let most = self.job.rows_per_s().and_then(|most| usize::try_from(most).ok());
        let batch_rows = self.choices.batch_rows.min(most.unwrap_or(usize::MAX)).max(1);
        Read {
            table: plan.source.name.clone(),
            cells: plan.read.clone(),
            filter: plan.filter.clone(),
            batch_rows,
            batch_bytes: crate::limits::BATCH_ROWS_BYTES.min(row_bytes_max),
            row_bytes_max,
        }
    }

    fn write(&self, plan: &TablePlan, own: bool) -> Write {
        let key = plan.target.primary_key.as_ref();
        let identity = |name: &str| {
            plan.target.column(name).and_then(|column| column.identity.as_ref()).is_some()
        };
        Write {
            table: plan.target.name.clone(),
            cells: plan.write.clone(),
            key: key.map(|key| key.columns.clone()).unwrap_or_default(),
            meets: if self.choices.mode == Mode::Merge { Meets::Merge } else { Meets::Insert },
            overrides_identity: plan.write.iter().any(|cell| identity(&cell.name)),
            own,
        }
    }

    fn workers(&self) -> usize {
        self.choices.parallel.min(self.snapshot.readers()).max(1)
    }

    fn spans(
        &self,
        job: &LedgerJob,
        tables: &[Table<'_>],
        done: &HashSet<(usize, u32)>,
        copied: &mut [Copied],
    ) -> Result<()> {
        let mut queue: VecDeque<(usize, &Span)> = VecDeque::new();
        let mut open: HashMap<usize, usize> = HashMap::new();
        for (index, table) in tables.iter().enumerate() {
            for span in table.spans.iter().filter(|span| !done.contains(&(index, span.number))) {
                queue.push_back((index, span));
                *open.entry(index).or_default() += 1;
            }
        }
        let idle: Vec<usize> = (0..tables.len()).filter(|i| !open.contains_key(i)).collect();
        let board = Board { queue, open, bytes: HashMap::new(), failed: None };
        let shared = Shared { board: Mutex::new(board), copied: Mutex::new(copied) };
        for index in idle {
            self.table_done(tables, index, &shared);
        }
        self.job.engine.workers.run(self.workers(), || self.work(job, tables, &shared), || ())?;
        let board = shared.board.into_inner().unwrap_or_else(PoisonError::into_inner);
        board.failed.map_or(Ok(()), Err)
    }

    /// A worker: its sessions, and one span after the other until none is left or one failed.
    fn work(&self, job: &LedgerJob, tables: &[Table<'_>], shared: &Shared<'_, '_>) {
        let fail = |error: EngineError| {
            let mut board = shared.board();
            board.queue.clear();
            board.failed.get_or_insert(error);
        };
        let reader = match self.snapshot.reader() {
            Ok(reader) => reader,
            Err(error) => return fail(error),
        };
        let permit = match tables.first() {
            None => return,
            Some(table) => {
                let bytes = table.read.batch_bytes as u64 * crate::limits::BATCH_COPIES;
                self.job.take_memory(bytes.min(self.job.engine.budget.total()))
            }
        };
        if let Err(error) = permit {
            return fail(error);
        }
        let mut sessions = Sessions { reader, writer: None, summer: Summer::default(), bytes: 0 };
        let Self { job: own, sink, rejects, lag, .. } = *self;
        let copier = Copier { job: own, sink, ledger: job, rejects, lag };
        loop {
            let Some((index, span)) = shared.board().queue.pop_front() else { return };
            let Some(table) = tables.get(index) else { return };
            let plan = table.plan;
            let (read, write) = (&table.read, &table.write);
            let task = Task {
                read,
                write,
                masks: &plan.masks,
                fits: &plan.fits,
                casts: &plan.casts,
                native: plan.native,
            };
            match copier.copy(&mut sessions, task, span) {
                Ok(receipt) => {
                    if let Some(copied) = shared.copied().get_mut(index) {
                        count(copied, &receipt);
                    }
                    self.span_done(tables, index, sessions.bytes, shared);
                }
                Err(error) => {
                    return fail(error.at(table.plan.source.name.shown()));
                }
            }
        }
    }

    fn span_done(&self, tables: &[Table<'_>], index: usize, bytes: u64, shared: &Shared<'_, '_>) {
        let left = {
            let mut board = shared.board();
            *board.bytes.entry(index).or_default() += bytes;
            let open = board.open.entry(index).or_default();
            *open = open.saturating_sub(1);
            *open
        };
        if left == 0 {
            self.table_done(tables, index, shared);
        }
        self.job.checkpoint(true);
    }

    fn table_done(&self, tables: &[Table<'_>], index: usize, shared: &Shared<'_, '_>) {
        let Some(table) = tables.get(index) else { return };
        let bytes = shared.board().bytes.get(&index).copied().unwrap_or_default();
        self.job.done(table.plan.source.name.shown().as_bytes(), bytes, &[]);
    }
}

/// The receipts of spans that are to be copied.
fn planned(plan: &TablePlan, spans: &[Span], makes: bool) -> Vec<SpanReceipt> {
    let receipt = |span: &Span| SpanReceipt {
        table: plan.target.name.clone(),
        span: span.clone(),
        planned: true,
        makes,
        ..SpanReceipt::default()
    };
    spans.iter().map(receipt).collect()
}

/// What the ledger has of a table.
pub fn of_table<'r>(
    receipts: &'r [SpanReceipt],
    table: &'r TableName,
) -> impl Iterator<Item = &'r SpanReceipt> {
    receipts.iter().filter(move |receipt| receipt.table == *table && !receipt.planned)
}

fn count(copied: &mut Copied, receipt: &SpanReceipt) {
    copied.tally.rows += receipt.written.rows;
    copied.tally.changed += receipt.written.changed;
    copied.tally.digest = copied.tally.digest.wrapping_add(receipt.written.digest);
    copied.rejected += receipt.rejected;
    copied.native += usize::from(receipt.native);
}

struct Board<'a> {
    queue: VecDeque<(usize, &'a Span)>,
    /// Spans that are not done, by table.
    open: HashMap<usize, usize>,
    /// Bytes copied, by table.
    bytes: HashMap<usize, u64>,
    failed: Option<EngineError>,
}

struct Shared<'a, 'c> {
    board: Mutex<Board<'a>>,
    copied: Mutex<&'c mut [Copied]>,
}

impl<'a, 'c> Shared<'a, 'c> {
    fn board(&self) -> std::sync::MutexGuard<'_, Board<'a>> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn copied(&self) -> std::sync::MutexGuard<'_, &'c mut [Copied]> {
        self.copied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a job from copying a table that it cannot copy.
///
/// # Errors
/// `DestinationExists` where mode `create` meets a table that this job did not make.
pub fn check_free(plans: &[TablePlan], mode: Mode, receipts: &[SpanReceipt]) -> Result<()> {
    let ours = |plan: &TablePlan| {
        receipts.iter().any(|receipt| receipt.planned && receipt.table == plan.target.name)
    };
    match plans.iter().find(|plan| mode == Mode::Create && plan.stands && !ours(plan)) {
        None => Ok(()),
        Some(plan) => {
            let message = "a table of this name stands at the target";
            Err(EngineError::new(Kind::DestinationExists, message)
                .at(plan.target.name.shown())
                .hint("choose \"mode\": append, replace or merge"))
        }
    }
}
