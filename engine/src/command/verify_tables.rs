//! What `verify` does where locations are databases.

use std::collections::{BTreeMap, HashSet};

use migration_protocol::event::Verified;
use serde_json::{Value, json};

use crate::command::{Answer, Planned, Work};
use crate::endpoint;
use crate::endpoint::rows::Snapshot;
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::limits::{
    BATCH_COPIES, BATCH_ROWS, BATCH_ROWS_BYTES, COMPARED_ROWS, PARALLEL_SPANS, SPAN_ROWS,
};
use crate::model::catalog::{Catalog, Table};
use crate::model::location::Location;
use crate::model::rows::{Cell, Read};
use crate::model::selection::Selection;
use crate::progress::add;
use crate::table::choice::{Choices, Mode, Policies, RowVerify};
use crate::table::compare::{self, Difference, Side};
use crate::table::mapping::{Mapping, TablePlan};
use crate::wire;

/// Bytes of a list of tables.
const LIST_BYTES: usize = 16 << 10;

/// Compares the tables of two databases, row by row.
pub struct VerifyTables {
    /// The one side.
    pub src: Location,
    /// The other side.
    pub dst: Location,
    /// Which tables.
    pub selection: Selection,
    /// Whether rows are only counted.
    pub counts_only: bool,
}

/// What is compared, with both instants.
struct Comparing<'a> {
    job: &'a Job,
    source: &'a dyn Snapshot,
    target: &'a dyn Snapshot,
    there: &'a Catalog,
    counts_only: bool,
}

/// How a table came out.
enum Outcome {
    Same(u64),
    Differs { rows: (u64, u64), found: Vec<Difference> },
    Missing,
}

impl VerifyTables {
    fn choices(&self) -> Choices {
        Choices {
            selection: self.selection.clone(),
            mode: Mode::Create,
            columns: BTreeMap::new(),
            filters: BTreeMap::new(),
            rename: BTreeMap::new(),
            masks: BTreeMap::new(),
            casts: BTreeMap::new(),
            policies: Policies::default(),
            indexes: false,
            verify: RowVerify::Stream,
            reject_limit: 0,
            reject_file: None,
            replica_lag: None,
            span_rows: SPAN_ROWS,
            batch_rows: BATCH_ROWS,
            parallel: PARALLEL_SPANS.0,
        }
    }
}

impl Work for VerifyTables {
    fn run(self: Box<Self>, job: &Job) -> Result<Answer> {
        job.progress.set_phase("verify");
        job.set_subject(self.src.name());
        let source = (endpoint::database(&self.src)?.source)(&self.src, &job.ties)?;
        let sink = (endpoint::database(&self.dst)?.sink)(&self.dst, &job.ties)?;
        let (here, there) = (source.catalog()?, sink.catalog()?);
        let (choices, as_text) = (self.choices(), HashSet::new());
        let mapping = Mapping {
            source: &here,
            sink: &*sink,
            there: &there,
            choices: &choices,
            as_text: &as_text,
        };
        let plans = mapping.plan()?;
        add(&job.progress.items_total, plans.len() as u64);
        job.progress.surveyed.store(true, std::sync::atomic::Ordering::Release);
        let bytes = BATCH_ROWS_BYTES as u64 * BATCH_COPIES * PARALLEL_SPANS.0 as u64;
        let _memory = job.take_memory(bytes.min(job.engine.budget.total()))?;
        let target = sink.as_source()?;
        let (one, other) = (source.snapshot(PARALLEL_SPANS.0)?, target.snapshot(PARALLEL_SPANS.0)?);
        let (source, target) = (&*one, &*other);
        let counts_only = self.counts_only;
        let comparing = Comparing { job, source, target, there: &there, counts_only };
        let mut told = Vec::new();
        let (mut matched, mut mismatched, mut missing) = (0u64, 0u64, 0u64);
        for plan in &plans {
            let outcome = comparing.table(plan)?;
            match &outcome {
                Outcome::Same(_) => matched += 1,
                Outcome::Differs { .. } => mismatched += 1,
                Outcome::Missing => missing += 1,
            }
            told.push(comparing.tell(plan, outcome));
        }
        let data = json!({
            "matched": matched, "mismatched": mismatched, "missing": missing, "extra": 0,
            "level": if self.counts_only { "count" } else { "rows" },
            "tables": wire::sample_up_to(told, 1000, LIST_BYTES),
        });
        let verify = Verified {
            level: if self.counts_only { "size" } else { "compare" }.to_owned(),
            items: matched,
            mismatches: mismatched + missing,
            ..Verified::default()
        };
        Ok(Answer { data: Some(data), verify: Some(verify), strict: true, advice: Vec::new() })
    }

    fn plan(self: Box<Self>, job: &Job) -> Result<Planned> {
        let source = (endpoint::database(&self.src)?.source)(&self.src, &job.ties)?;
        let catalog = source.catalog()?;
        let tables = catalog.tables.iter().filter(|table| takes(&self.selection, table));
        let (count, rows) = tables.fold((0u64, 0u64), |(count, rows), table| {
            (count + 1, rows + table.rows_estimate.unwrap_or(0))
        });
        let data = json!({
            "op": "verify", "method": "compare", "why": "reads both databases, writes nothing",
            "items": count, "rows_estimate": rows,
        });
        Ok(Planned { data })
    }
}

fn takes(selection: &Selection, table: &Table) -> bool {
    selection.takes_named(&[&table.name.shown(), &table.name.name])
}

impl Comparing<'_> {
    fn table(&self, plan: &TablePlan) -> Result<Outcome> {
        let Some(there) = self.there.tables.iter().find(|table| table.name == plan.target.name)
        else {
            return Ok(Outcome::Missing);
        };
        if plan.write.iter().any(|cell| there.column(&cell.name).is_none()) {
            return Ok(Outcome::Differs { rows: (0, 0), found: Vec::new() });
        }
        if self.counts_only {
            let rows =
                (self.source.count(&plan.source.name, "")?, self.target.count(&there.name, "")?);
            return Ok(match rows {
                (one, other) if one == other => Outcome::Same(one),
                rows => Outcome::Differs { rows, found: Vec::new() },
            });
        }
        let (left, right) = (self.read(&plan.source, &plan.read), self.read(there, &plan.write));
        let one = Side { snapshot: self.source, table: &plan.source, read: &left };
        let other = Side { snapshot: self.target, table: there, read: &right };
        let tally = |side| compare::tally(self.job, side, false, PARALLEL_SPANS.0, SPAN_ROWS);
        let (a, b) = (tally(one)?, tally(other)?);
        if (a.rows, a.digest) == (b.rows, b.digest) {
            return Ok(Outcome::Same(a.rows));
        }
        let found = compare::differences(self.job, one, other, COMPARED_ROWS)?;
        Ok(Outcome::Differs { rows: (a.rows, b.rows), found })
    }

    fn read(&self, table: &Table, cells: &[Cell]) -> Read {
        let share = self.job.engine.budget.total() / (PARALLEL_SPANS.0 as u64 * 8);
        let row_bytes_max = usize::try_from(share).unwrap_or(usize::MAX);
        Read {
            table: table.name.clone(),
            cells: cells.to_vec(),
            filter: String::new(),
            batch_rows: BATCH_ROWS,
            batch_bytes: BATCH_ROWS_BYTES.min(row_bytes_max),
            row_bytes_max,
        }
    }

    fn tell(&self, plan: &TablePlan, outcome: Outcome) -> Value {
        let name = plan.source.name.shown();
        let fail = |message: String| {
            self.job.fail(name.as_bytes(), EngineError::new(Kind::VerifyMismatch, message));
        };
        match outcome {
            Outcome::Same(rows) => {
                self.job.done(name.as_bytes(), 0, &[]);
                json!({ "table": name, "same": true, "rows": rows })
            }
            Outcome::Missing => {
                fail("the other database has no such table".to_owned());
                json!({ "table": name, "same": false, "missing": true })
            }
            Outcome::Differs { rows, found } => {
                fail(format!("the rows differ: {} here, {} there", rows.0, rows.1));
                let found = found.iter().map(|difference| {
                    json!({
                        "key": difference.key,
                        "what": difference.what.name(),
                        "columns": difference.columns,
                    })
                });
                json!({
                    "table": name, "same": false, "rows": rows.0, "rows_there": rows.1,
                    "differences": found.collect::<Vec<_>>(),
                })
            }
        }
    }
}
