//! What is made once the rows are there: indexes, constraints, identities, statistics.
//!
//! Each kind for all tables before the next one begins. Several workers build, the largest first, so
//! that none is left to be waited for; what an earlier attempt made stands.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::endpoint::rows::{Named, TableSink};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::limits::{BUILT_TOGETHER_MAX, BUILT_TOGETHER_ROWS};
use crate::model::catalog::{Catalog, Table};
use crate::table::lag::Lag;
use crate::table::mapping::TablePlan;

/// What there is to be made, and of what.
pub(super) struct Finish<'a> {
    pub(super) job: &'a Job,
    pub(super) sink: &'a dyn TableSink,
    pub(super) lag: Option<&'a Lag<'a>>,
    /// Statements at once, at most.
    pub(super) workers: usize,
    /// The tables that the job made, with their rows.
    pub(super) tables: Vec<(&'a TablePlan, u64)>,
    /// Whether rows were written beside constraints that an earlier attempt made.
    pub(super) changed: bool,
}

/// Statements that are run one after the other, by one worker.
struct Build<'a> {
    plan: &'a TablePlan,
    rows: u64,
    /// What is made; what a single statement makes of them stands in their place.
    named: Vec<&'a Named>,
}

impl Finish<'_> {
    /// Makes everything.
    ///
    /// # Errors
    /// Those of the server. What was made stays, and the next attempt goes on behind it.
    pub(super) fn run(&self) -> Result<()> {
        let there = self.sink.catalog()?;
        self.all(self.indexes(&there), |build| self.build(build))?;
        for (plan, _) in &self.tables {
            self.constraints(plan, standing(&there, plan))?;
        }
        let last = self.tables.iter();
        let last = last.map(|&(plan, rows)| Build { plan, rows, named: Vec::new() }).collect();
        self.all(last, |build| self.sink.execute(&build.plan.statements.finish))
    }

    /// The indexes that are not there: those of a small table together, those of a large one apart
    /// where the engine reads its rows for each of them anyway.
    fn indexes(&self, there: &Catalog) -> Vec<Build<'_>> {
        let mut builds = Vec::new();
        for (plan, rows) in &self.tables {
            let (plan, rows) = (*plan, *rows);
            let table = standing(there, plan);
            let has = |name: &str| {
                table.is_some_and(|table| table.indexes.iter().any(|index| index.name == name))
            };
            let all: Vec<&Named> =
                plan.statements.indexes.iter().filter(|index| !has(&index.name)).collect();
            let together = rows < BUILT_TOGETHER_ROWS || !plan.statements.alter.is_empty();
            let most = if together { BUILT_TOGETHER_MAX } else { 1 };
            builds.extend(all.chunks(most).map(|named| Build {
                plan,
                rows,
                named: named.to_vec(),
            }));
        }
        builds
    }

    /// Has every build done by several workers, the largest first. The first failure ends them.
    fn all<'b>(
        &self,
        mut builds: Vec<Build<'b>>,
        run: impl Fn(&Build<'b>) -> Result<()> + Sync,
    ) -> Result<()> {
        builds.sort_by_key(|build| std::cmp::Reverse(build.rows));
        let workers = self.workers.min(self.sink.builders()).min(builds.len());
        let queue = Mutex::new((VecDeque::from(builds), None));
        let work = || {
            loop {
                let Some(build) = locked(&queue).0.pop_front() else { return };
                let pass = || {
                    self.job.pass()?;
                    self.lag.map_or(Ok(()), |lag| lag.pass(self.job))?;
                    run(&build)
                };
                if let Err(error) = pass() {
                    let mut queue = locked(&queue);
                    queue.0.clear();
                    queue.1.get_or_insert(error);
                }
            }
        };
        match workers {
            0 | 1 => work(),
            _ => self.job.engine.workers.run(workers - 1, work, work)?,
        }
        let (_, failed) = queue.into_inner().unwrap_or_else(PoisonError::into_inner);
        failed.map_or(Ok(()), Err)
    }

    /// Makes things of one table together; one after the other where that fails, so that those are
    /// made that can be, and what failed is told by its name.
    fn build(&self, build: &Build<'_>) -> Result<()> {
        for (statements, named) in groups(&build.plan.statements.alter, &build.named) {
            self.job.pass()?;
            let made = self.sink.execute(&statements);
            if !made.as_ref().is_err_and(|error| !is_open(error.kind())) {
                made?;
                continue;
            }
            for of in named {
                let made = self.sink.execute(std::slice::from_ref(&of.sql));
                made.map_err(|error| unmade(error, build.plan, of))?;
            }
        }
        Ok(())
    }

    fn constraints(&self, plan: &TablePlan, there: Option<&Table>) -> Result<()> {
        let has = |name: &str| {
            there.is_some_and(|table| {
                table.foreign_keys.iter().any(|key| key.name == name)
                    || table.checks.iter().any(|check| check.name == name)
            })
        };
        let (again, new): (Vec<_>, Vec<_>) =
            plan.statements.constraints.iter().partition(|of| has(&of.name));
        for of in again.into_iter().filter(|of| self.changed && !of.drop.is_empty()) {
            self.job.pass()?;
            let anew = [of.drop.clone(), of.sql.clone()];
            self.sink.execute(&anew).map_err(|error| unmade(error, plan, of))?;
        }
        let build = |named: &[&Named]| self.build(&Build { plan, rows: 0, named: named.to_vec() });
        new.chunks(BUILT_TOGETHER_MAX).try_for_each(build)
    }
}

fn unmade(error: EngineError, plan: &TablePlan, of: &Named) -> EngineError {
    let hint = "the rows are there; mend what keeps it from being made: ";
    error.at(plan.target.name.shown()).hint(format!("{hint}{}", of.name))
}

/// Whether a statement that failed so may have been carried out.
pub(super) fn is_open(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Cancelled | Kind::RemoteAnswer | Kind::RemoteTimeout | Kind::RemoteUnavailable
    )
}

/// What is run at once, all or none of it, and what that makes: everything where the engine can undo
/// any statement, else what has clauses of one, and each of the others.
fn groups<'n>(alter: &str, named: &[&'n Named]) -> Vec<(Vec<String>, Vec<&'n Named>)> {
    let sql = |of: &[&Named]| of.iter().map(|of| of.sql.clone()).collect();
    if alter.is_empty() {
        return if named.is_empty() { Vec::new() } else { vec![(sql(named), named.to_vec())] };
    }
    let (joined, alone): (Vec<&Named>, Vec<&Named>) =
        named.iter().partition(|of| !of.clause.is_empty());
    let clauses: Vec<&str> = joined.iter().map(|of| of.clause.as_str()).collect();
    let statement = format!("{alter}{}", clauses.join(", "));
    let together = (!joined.is_empty()).then(|| (vec![statement], joined));
    together.into_iter().chain(alone.into_iter().map(|of| (sql(&[of]), vec![of]))).collect()
}

/// A table as it stood before.
fn standing<'c>(there: &'c Catalog, plan: &TablePlan) -> Option<&'c Table> {
    there.tables.iter().find(|table| table.name == plan.target.name)
}

fn locked<T>(queue: &Mutex<T>) -> MutexGuard<'_, T> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_are_joined_and_all_else_stays_alone() {
        let of = |name: &str, clause: &str| Named {
            sql: format!("make {name}"),
            clause: clause.to_owned(),
            ..Named::default()
        };
        let [a, b, c] = [of("a", "ADD a"), of("b", ""), of("c", "ADD c")];
        let run = |alter, named: &[&Named]| -> Vec<Vec<String>> {
            groups(alter, named).into_iter().map(|(statements, _)| statements).collect()
        };
        let alter = "ALTER TABLE t ";
        assert_eq!(run(alter, &[&a, &b, &c]), [["ALTER TABLE t ADD a, ADD c"], ["make b"]]);
        assert_eq!(run("", &[&a, &c]), [["make a", "make c"]]);
        assert!(run(alter, &[]).is_empty() && run("", &[]).is_empty());
    }
}
