//! What an earlier attempt committed is compared with the source as it is now: the instant that was
//! read then is gone.

use crate::endpoint::rows::{LedgerJob, SpanReceipt};
use crate::error::{EngineError, Kind, Result};
use crate::model::kind::ColumnType;
use crate::model::rows::{Range, Tally};
use crate::table::cast;
use crate::table::choice::Mode;
use crate::table::copy::{Copy, Table, of_table};
use crate::table::digest::Summer;
use crate::table::fit;
use crate::table::mask;
use crate::table::span::of_misfit;

/// The receipts that still hold. Spans whose rows changed since are removed from the target and from
/// the ledger, to be copied anew.
///
/// # Errors
/// Those of both sides; `ResumeRefused` where rows changed and cannot be told from others at the
/// target.
pub fn committed(
    copy: &Copy<'_>,
    job: &LedgerJob,
    table: &Table<'_>,
    tables: &[Table<'_>],
    receipts: &[SpanReceipt],
) -> Result<Vec<SpanReceipt>> {
    if table.was_gone {
        return Ok(Vec::new());
    }
    let mut holding = Vec::new();
    let mut changed = Vec::new();
    let mut summer = Summer::default();
    copy.job.progress.set_phase("compare");
    for receipt in of_table(receipts, &table.write.table) {
        copy.job.pass()?;
        let now = read_again(copy, table, receipt, &mut summer)?;
        // Which rows were refused cannot be told from the rows as they are read: all are compared.
        let same = now.rows == receipt.written.rows + receipt.rejected
            && now.digest == receipt.written.digest.wrapping_add(receipt.refused);
        if same {
            holding.push(receipt.clone());
        } else {
            changed.push(receipt.clone());
        }
    }
    if changed.is_empty() {
        return Ok(holding);
    }
    let told = format!(
        "rows of {} spans changed since they were copied; they are copied anew",
        changed.len()
    );
    let warning = EngineError::new(Kind::SourceChanged, told);
    copy.job.warn(&warning.at(table.plan.source.name.shown()));
    undo(copy, job, table, tables, holding, &changed)
}

fn read_again(
    copy: &Copy<'_>,
    table: &Table<'_>,
    receipt: &SpanReceipt,
    summer: &mut Summer,
) -> Result<Tally> {
    let mut reader = copy.snapshot.reader()?;
    reader.begin(&table.read, &receipt.span.range)?;
    let mut tally = Tally::default();
    while let Some(rows) = reader.next(table.plan.native && receipt.native)? {
        copy.job.take_bytes(rows.bytes() as u64)?;
        let rows = mask::apply(rows, &table.plan.masks)?;
        let rows = fit::apply(rows, &table.plan.fits, &mut tally.changed)?;
        let done = cast::apply(rows, &table.plan.casts)?;
        tally.rows += done.rejected.len() as u64;
        for uncast in &done.rejected {
            tally.digest = tally.digest.wrapping_add(of_misfit(summer, uncast));
        }
        for rows in &done.rows {
            tally.rows += rows.count() as u64;
            tally.digest = tally.digest.wrapping_add(summer.sum(rows)?);
        }
    }
    let misfits = reader.misfits();
    tally.rows += misfits.rejected.len() as u64;
    for misfit in &misfits.rejected {
        tally.digest = tally.digest.wrapping_add(of_misfit(summer, misfit));
    }
    Ok(tally)
}

fn undo(
    copy: &Copy<'_>,
    job: &LedgerJob,
    table: &Table<'_>,
    tables: &[Table<'_>],
    holding: Vec<SpanReceipt>,
    changed: &[SpanReceipt],
) -> Result<Vec<SpanReceipt>> {
    let named = |receipts: &[SpanReceipt]| {
        receipts.iter().map(|r| (r.table.clone(), r.span.number)).collect::<Vec<_>>()
    };
    if !table.is_own && copy.choices.mode == Mode::Merge {
        copy.sink.forget(job, &named(changed), &[])?;
        return Ok(holding);
    }
    if !table.is_own && copy.choices.mode == Mode::Append {
        let message = "rows changed that were added to a table that held others before";
        return Err(EngineError::new(Kind::ResumeRefused, message)
            .at(table.plan.source.name.shown())
            .hint("remove the rows that were added, and send the command under another key"));
    }
    // An attempt that had come to its end made the foreign keys: parents go before children here.
    let own = tables.iter().filter(|table| table.is_own);
    let mut removals: Vec<String> =
        own.flat_map(|table| table.plan.statements.loosen.iter().cloned()).collect();
    if changed.iter().all(|receipt| is_told_apart(table, &receipt.span.range)) {
        for receipt in changed {
            let range = target_range(table, receipt);
            removals.push(copy.sink.removal(&table.plan.target, &range)?);
        }
        copy.sink.forget(job, &named(changed), &removals)?;
        return Ok(holding);
    }
    let mut all = holding;
    all.extend_from_slice(changed);
    removals.extend_from_slice(&table.plan.statements.clear);
    copy.sink.forget(job, &named(&all), &removals)?;
    Ok(Vec::new())
}

/// Whether the rows of a range are the same ones by the target's order.
fn is_told_apart(table: &Table<'_>, range: &Range) -> bool {
    let Range::Keys { column, .. } = range else { return false };
    let kinds = table.plan.read.iter().zip(&table.plan.write);
    let same = |kind: &ColumnType, other: &ColumnType| kind == other && kind.orders_alike();
    let mut of_column = kinds.filter(|(read, _)| read.name == *column);
    let source = table.plan.source.column(column);
    of_column.next().is_some_and(|(read, write)| {
        same(&read.kind, &write.kind) && source.is_some_and(|source| source.kind == read.kind)
    })
}

fn target_range(table: &Table<'_>, receipt: &SpanReceipt) -> Range {
    let Range::Keys { column, from, to } = &receipt.span.range else {
        return receipt.span.range.clone();
    };
    let names = table.plan.read.iter().zip(&table.plan.write);
    let mut renamed = names.filter(|(read, _)| read.name == *column);
    let column = renamed.next().map_or(column, |(_, write)| &write.name);
    Range::Keys { column: column.clone(), from: from.clone(), to: to.clone() }
}
