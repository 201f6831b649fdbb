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
use crate::model::catalog::{Catalog, Table, TableName};
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

/// What one worker makes: two at once would wait for each other's lock of the table.
struct Build<'a> {
    plan: &'a TablePlan,
    rows: u64,
    /// What is made.
    named: Vec<&'a Named>,
    /// How it is known that one of them is there.
    stands: Stands,
}

impl<'a> Finish<'a> {
    /// Makes everything that can be made.
    ///
    /// # Errors
    /// The first of what cannot be made. What was made stays, and the next attempt goes on behind it.
    pub(super) fn run(&self) -> Result<()> {
        let there = self.sink.catalog()?;
        let workers = self.workers.min(self.sink.builders());
        let mut failed = First::default();
        failed.after(self.all(workers, self.indexes(&there), |build| self.build(build)))?;
        for (plan, _) in &self.tables {
            failed.after(self.constraints(plan, standing(&there, plan)))?;
        }
        let last = self.tables.iter();
        let last = last
            .map(|&(plan, rows)| Build { plan, rows, named: Vec::new(), stands: has_index })
            .collect();
        // Where a change takes the locks of those that it points to as well, two at once may wait
        // for each other.
        let alone = self.tables.iter().any(|(plan, _)| !plan.statements.alter.is_empty());
        let workers = if alone { 1 } else { workers };
        let finish = |build: &Build<'_>| self.sink.execute(&build.plan.statements.finish);
        failed.after(self.all(workers, last, finish))?;
        failed.0.map_or(Ok(()), Err)
    }

    /// The indexes that are not there: those of a small table together, those of a large one apart
    /// where the engine reads its rows for each of them anyway.
    fn indexes(&self, there: &Catalog) -> Vec<Build<'a>> {
        let mut builds = Vec::new();
        for (plan, rows) in &self.tables {
            let (plan, rows) = (*plan, *rows);
            let table = standing(there, plan);
            let stands = |name: &str| table.is_some_and(|table| has_index(table, name));
            let all: Vec<&'a Named> =
                plan.statements.indexes.iter().filter(|index| !stands(&index.name)).collect();
            let together = rows < BUILT_TOGETHER_ROWS || !plan.statements.alter.is_empty();
            let most = if together { all.len().max(1) } else { 1 };
            let build = |named: &[&'a Named]| Build {
                plan,
                rows,
                named: named.to_vec(),
                stands: has_index,
            };
            builds.extend(all.chunks(most).map(build));
        }
        builds
    }

    /// Has every build done by several workers, the largest first.
    fn all<'b>(
        &self,
        workers: usize,
        mut builds: Vec<Build<'b>>,
        run: impl Fn(&Build<'b>) -> Result<()> + Sync,
    ) -> Result<()> {
        builds.sort_by_key(|build| std::cmp::Reverse(build.rows));
        let workers = workers.min(builds.len());
        let queue = Mutex::new((VecDeque::from(builds), First::default()));
        let work = || {
            loop {
                let Some(build) = locked(&queue).0.pop_front() else { return };
                let pass = || {
                    self.job.pass()?;
                    self.lag.map_or(Ok(()), |lag| lag.pass(self.job))?;
                    run(&build)
                };
                let done = pass();
                let mut queue = locked(&queue);
                if let Err(error) = queue.1.after(done) {
                    queue.0.clear();
                    queue.1 = First(Some(error));
                }
            }
        };
        match workers {
            0 | 1 => work(),
            _ => self.job.engine.workers.run(workers - 1, work, work)?,
        }
        let (_, failed) = queue.into_inner().unwrap_or_else(PoisonError::into_inner);
        failed.0.map_or(Ok(()), Err)
    }

    /// Makes things of one table together; one after the other where that fails, so that those are
    /// made that can be, and what failed is told by its name.
    fn build(&self, build: &Build<'_>) -> Result<()> {
        let mut failed = First::default();
        for (statements, named) in groups(&build.plan.statements.alter, &build.named) {
            self.job.pass()?;
            match (self.sink.execute(&statements), named.as_slice()) {
                (Err(error), [_, _, ..]) if !ends(&error) => {
                    failed.after(self.each(build, &named))?;
                }
                (Err(error), [of, ..]) => failed.after(Err(unmade(error, build.plan, of)))?,
                (made, _) => made?,
            }
        }
        failed.0.map_or(Ok(()), Err)
    }

    /// Makes things one after the other, as far as they are not there: of what failed together, a
    /// part may stand, or all of it where only the answer came too late.
    fn each(&self, build: &Build<'_>, named: &[&Named]) -> Result<()> {
        let there = self.sink.catalog()?;
        let table = standing(&there, build.plan);
        let stands = |of: &Named| table.is_some_and(|table| (build.stands)(table, &of.name));
        let mut failed = First::default();
        for of in named.iter().filter(|of| !stands(of)) {
            self.job.pass()?;
            let made = self.sink.execute(std::slice::from_ref(&of.sql));
            failed.after(made.map_err(|error| unmade(error, build.plan, of)))?;
        }
        failed.0.map_or(Ok(()), Err)
    }

    fn constraints(&self, plan: &TablePlan, there: Option<&Table>) -> Result<()> {
        let (again, new): (Vec<_>, Vec<_>) = plan
            .statements
            .constraints
            .iter()
            .partition(|of| there.is_some_and(|table| has_constraint(table, &of.name)));
        let mut failed = First::default();
        for of in again.into_iter().filter(|of| self.changed && !of.drop.is_empty()) {
            self.job.pass()?;
            let anew = [of.drop.clone(), of.sql.clone()];
            failed.after(self.sink.execute(&anew).map_err(|error| unmade(error, plan, of)))?;
        }
        // Those that point to other people's tables hold their locks each by itself.
        let own = |name: &TableName| self.tables.iter().any(|(plan, _)| plan.target.name == *name);
        let together = plan.target.foreign_keys.iter().all(|key| own(&key.to));
        let most = if together { new.len().max(1) } else { 1 };
        for new in new.chunks(most) {
            failed.after(self.build(&Build {
                plan,
                rows: 0,
                named: new.to_vec(),
                stands: has_constraint,
            }))?;
        }
        failed.0.map_or(Ok(()), Err)
    }
}

/// The first failure, behind which all else is made.
#[derive(Default)]
struct First(Option<EngineError>);

impl First {
    /// Keeps a failure.
    ///
    /// # Errors
    /// The first one, where nothing is to be made behind this.
    fn after(&mut self, done: Result<()>) -> Result<()> {
        let Err(error) = done else { return Ok(()) };
        let ends = ends(&error);
        let first = self.0.get_or_insert(error);
        if ends { Err(first.clone()) } else { Ok(()) }
    }
}

/// Whether nothing is to be made behind such a failure. A statement that took too long says nothing
/// of the others.
fn ends(error: &EngineError) -> bool {
    is_open(error.kind()) && error.kind() != Kind::RemoteTimeout
}

/// Whether a table has a thing of this name. A constraint and an index may have the same one.
type Stands = fn(&Table, &str) -> bool;

fn has_index(table: &Table, name: &str) -> bool {
    table.indexes.iter().any(|index| index.name == name)
}

fn has_constraint(table: &Table, name: &str) -> bool {
    table.foreign_keys.iter().any(|key| key.name == name)
        || table.checks.iter().any(|check| check.name == name)
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
        return named.chunks(BUILT_TOGETHER_MAX).map(|of| (sql(of), of.to_vec())).collect();
    }
    let (joined, alone): (Vec<&Named>, Vec<&Named>) =
        named.iter().partition(|of| !of.clause.is_empty());
    let together = joined.chunks(BUILT_TOGETHER_MAX).map(|of| {
        let clauses: Vec<&str> = of.iter().map(|of| of.clause.as_str()).collect();
        (vec![format!("{alter}{}", clauses.join(", "))], of.to_vec())
    });
    together.chain(alone.into_iter().map(|of| (sql(&[of]), vec![of]))).collect()
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
