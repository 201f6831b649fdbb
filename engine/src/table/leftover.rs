//! What is left of a copy that ended before its end, where nobody can go on with it.

use std::collections::HashSet;

use crate::endpoint::rows::TableSink;
use crate::error::Result;
use crate::model::catalog::TableName;
use crate::table::mapping::TablePlan;

/// Removes the tables that were `made` and not filled, and the job's ledger. Tables that are whole
/// stay, and so do all rows where only an index or a constraint could not be made. Returns the rows
/// that were committed into tables that stood before, with one of those: they stay, too.
///
/// # Errors
/// Those of the target.
pub fn remove(
    sink: &dyn TableSink,
    job: &str,
    plans: &[TablePlan],
    made: &[TableName],
) -> Result<Option<(u64, TableName)>> {
    // A writer that still lives commits nothing from here on.
    let ledger = sink.open_ledger(job)?;
    for plan in plans.iter().filter(|plan| made.contains(&plan.target.name)) {
        let spans = |planned| {
            let of = ledger.receipts.iter().filter(move |of| of.planned == planned);
            of.filter(|of| of.table == plan.target.name).map(|of| of.span.number)
        };
        let done: HashSet<u32> = spans(false).collect();
        if spans(true).any(|span| !done.contains(&span)) {
            sink.execute(&plan.statements.drop)?;
        }
    }
    sink.close_ledger(job)?;
    let mut added = ledger.receipts.iter().filter(|of| !of.planned && !made.contains(&of.table));
    let rows = added.clone().map(|of| of.written.rows).sum();
    Ok(added.next().filter(|_| rows > 0).map(|of| (rows, of.table.clone())))
}
