//! Proves a copy by reading the target back.

use crate::endpoint::rows::TableSource;
use crate::error::{EngineError, Kind, Result};
use crate::limits::COMPARED_ROWS;
use crate::model::rows::Read;
use crate::table::choice::{Mode, RowVerify};
use crate::table::compare::{self, Side};
use crate::table::copy::{Copied, Copy};
use crate::table::mapping::TablePlan;

/// How far a table's copy is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Counted and digested on the way; the target said how many rows it took.
    Stream,
    /// Read back: counts agree, digests cannot be compared, since rows were left out on the way.
    Counted,
    /// Read back: counts and digests agree.
    ReadBack,
}

impl Proof {
    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Counted => "counted",
            Self::ReadBack => "readback",
        }
    }
}

/// Proves every table as far as was chosen.
///
/// # Errors
/// `VerifyMismatch`, with keys of rows that differ; those of both sides.
pub fn prove(copy: &Copy<'_>, copied: &[Copied]) -> Result<Vec<Proof>> {
    let adds = matches!(copy.choices.mode, Mode::Append | Mode::Merge);
    if copy.choices.verify == RowVerify::Stream || adds {
        return Ok(vec![Proof::Stream; copied.len()]);
    }
    copy.job.progress.set_phase("verify");
    let target = copy.sink.as_source()?;
    let mut proofs = Vec::with_capacity(copied.len());
    for (plan, copied) in copy.plans.iter().zip(copied) {
        proofs.push(one(copy, &*target, plan, copied)?);
    }
    Ok(proofs)
}

fn one(
    copy: &Copy<'_>,
    target: &dyn TableSource,
    plan: &TablePlan,
    copied: &Copied,
) -> Result<Proof> {
    let snapshot = target.snapshot(copy.choices.parallel)?;
    let read = Read {
        table: plan.target.name.clone(),
        cells: plan.write.clone(),
        filter: String::new(),
        ..copy.read(plan)
    };
    let there = Side { snapshot: &*snapshot, table: &plan.target, read: &read };
    let found = compare::tally(
        copy.job,
        there,
        plan.native,
        copy.choices.parallel,
        copy.choices.span_rows,
    )?;
    // Rows that were taken one by one were summed in another form.
    let mixed = plan.native && copied.native < copied.spans;
    if found.rows == copied.tally.rows && (mixed || found.digest == copied.tally.digest) {
        return Ok(if mixed { Proof::Counted } else { Proof::ReadBack });
    }
    let own = copy.read(plan);
    let here = Side { snapshot: copy.snapshot, table: &plan.source, read: &own };
    let differ = compare::differences(copy.job, here, there, COMPARED_ROWS)?;
    let mut message = format!(
        "the target does not hold what was written: {} rows were written, {} are there",
        copied.tally.rows, found.rows
    );
    for difference in differ.iter().take(5) {
        let columns = difference.columns.join(", ");
        message.push_str(&format!("; {} {} {columns}", difference.what.name(), difference.key));
    }
    Err(EngineError::new(Kind::VerifyMismatch, message).at(plan.target.name.shown()))
}
