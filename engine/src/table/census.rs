//! The fidelity census: what the source holds that the target cannot, counted before anything is
//! written.

use std::collections::HashSet;

use crate::endpoint::rows::{Finding, LossClass, Snapshot};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::model::rows::Misfit;
use crate::table::cast;
use crate::table::choice::{Choices, Policy, class_name};
use crate::table::fit::Fit;
use crate::table::mapping::TablePlan;

/// A loss that was found.
#[derive(Clone, Debug)]
pub struct Loss {
    /// The table, as it is shown.
    pub table: String,
    /// What was found.
    pub finding: Finding,
    /// What becomes of it.
    pub policy: Policy,
}

/// Asks the source about every table.
///
/// # Errors
/// Those of the source.
pub fn take(
    job: &Job,
    snapshot: &dyn Snapshot,
    plans: &[TablePlan],
    choices: &Choices,
) -> Result<Vec<Loss>> {
    let mut losses = Vec::new();
    let bytes_max = cast::row_bytes_max(job);
    for plan in plans {
        job.pass()?;
        let mut found = match plan.questions.is_empty() {
            true => Vec::new(),
            false => snapshot.census(&plan.source, &plan.filter, &plan.questions, bytes_max)?,
        };
        found.extend(cast::census(job, snapshot, plan)?);
        for finding in found.into_iter().filter(|finding| finding.rows > 0) {
            let policy = choices.policies.of(&finding.question.class);
            losses.push(Loss { table: plan.source.name.shown(), finding, policy });
        }
    }
    Ok(losses)
}

/// What the policies make of the losses: columns that are to travel as text, for another plan.
#[must_use]
pub fn as_text(losses: &[Loss]) -> HashSet<(String, String)> {
    let text = losses.iter().filter(|loss| loss.policy == Policy::Text);
    text.map(|loss| (loss.table.clone(), loss.finding.question.column.clone())).collect()
}

/// Tells the readers what to do with the values that were found.
pub fn apply(losses: &[Loss], plans: &mut [TablePlan]) {
    let texts = as_text(losses);
    for loss in losses {
        let Some(misfit) = loss.policy.misfit() else { continue };
        let mut table = plans.iter_mut().filter(|plan| plan.source.name.shown() == loss.table);
        let Some(plan) = table.next() else { continue };
        let column = &loss.finding.question.column;
        let days = plan.questions.iter().find_map(|question| match question.class {
            LossClass::DateOutside { first, end } if question.column == *column => {
                Some((first, end))
            }
            _ => None,
        });
        let class = &loss.finding.question.class;
        // What became text holds more than it did.
        let is_text = texts.contains(&(loss.table.clone(), column.clone()));
        let columns = plan.read.iter_mut().zip(&mut plan.fits).zip(&mut plan.casts);
        for ((cell, fits), cast) in columns.filter(|((cell, _), _)| cell.name == *column) {
            cell.misfit = cell.misfit.max(misfit);
            if let Some(cast) = cast {
                cast.misfits.insert(class_name(class), misfit);
            } else if matches!(misfit, Misfit::Null | Misfit::Clamp)
                && (!is_text || matches!(class, LossClass::Nul | LossClass::NotText))
            {
                fits.push(Fit { class: class.clone(), misfit, days });
            }
        }
    }
}

/// Refuses the job where a loss has no policy but to fail.
///
/// # Errors
/// `CensusLoss`, naming the first loss with its keys.
pub fn check(losses: &[Loss]) -> Result<()> {
    let failing: Vec<&Loss> = losses.iter().filter(|loss| loss.policy == Policy::Fail).collect();
    let Some(first) = failing.first() else { return Ok(()) };
    let class = class_name(&first.finding.question.class);
    let (rows, column) = (first.finding.rows, &first.finding.question.column);
    let mut message = format!("{rows} rows hold values that the target cannot hold: {class}");
    if failing.len() > 1 {
        message.push_str(&format!("; {} more kinds of loss", failing.len() - 1));
    }
    let keys = first.finding.samples.join("; ");
    let hint = format!(
        "plan lists all of them; choose with \"policy\":{{\"{class}\":\"null\"}} (or clamp, text, \
         reject), or mend the rows with the keys {keys}"
    );
    let error = EngineError::new(Kind::CensusLoss, message).at(first.table.as_str());
    Err(error.field(column.clone()).hint(hint))
}
