//! Whether a table is the same on both sides: counts and digests of all rows, each side read by its
//! own engine; where they differ, the keys of rows that do.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use arrow_array::RecordBatch;

use crate::endpoint::rows::Snapshot;
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::limits::DIFFERENCES_SHOWN;
use crate::model::catalog::Table;
use crate::model::rows::{Range, Read, Rows, Tally};
use crate::table::digest::Summer;
use crate::table::shown::shown;

/// One side of a comparison.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// The instant that is read.
    pub snapshot: &'a dyn Snapshot,
    /// The table there.
    pub table: &'a Table,
    /// What is read of it: the same kinds in the same order on both sides.
    pub read: &'a Read,
}

/// A row that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its key, the columns' values with commas between.
    pub key: String,
    /// How.
    pub what: Differs,
    /// The columns that differ, where both sides have the row.
    pub columns: Vec<String>,
}

/// How a row differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Differs {
    /// The right side does not have it.
    Missing,
    /// The left side does not have it.
    Extra,
    /// Both have it with other values.
    Changed,
}

impl Differs {
    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Changed => "changed",
        }
    }
}

/// Counts and digests all rows of a side, by up to `workers` readers.
///
/// # Errors
/// Those of the side.
pub fn tally(job: &Job, side: Side<'_>, native: bool, workers: usize, rows: u64) -> Result<Tally> {
    let mut ranges = side.snapshot.split(side.table, &side.read.filter, rows)?;
    ranges.reverse();
    let left = Mutex::new((ranges, Tally::default(), None::<EngineError>));
    let lock = || left.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || {
        let sum = || -> Result<()> {
            let mut reader = side.snapshot.reader()?;
            let mut summer = Summer::default();
            loop {
                let Some(range) = lock().0.pop() else { return Ok(()) };
                reader.begin(side.read, &range)?;
                while let Some(rows) = reader.next(native)? {
                    job.take_bytes(rows.bytes() as u64)?;
                    let digest = summer.sum(&rows)?;
                    let tally = &mut lock().1;
                    tally.rows += rows.count() as u64;
                    tally.digest = tally.digest.wrapping_add(digest);
                }
            }
        };
        if let Err(error) = sum() {
            let mut left = lock();
            left.0.clear();
            left.2.get_or_insert(error);
        }
    };
    let workers = workers.min(side.snapshot.readers()).max(1);
    job.engine.workers.run(workers, work, || ())?;
    let (_, tally, failed) = left.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.map_or(Ok(tally), Err)
}

/// The first rows that differ, by the key of the left side. Ranges of the left side are compared
/// with the same ranges of the right one, so its key must be one that both sides order alike;
/// otherwise the list is empty, and only the whole is known to differ.
///
/// # Errors
/// Those of both sides.
pub fn differences(
    job: &Job,
    left: Side<'_>,
    right: Side<'_>,
    rows: u64,
) -> Result<Vec<Difference>> {
    let Some(key) = left.table.primary_key.as_ref() else { return Ok(Vec::new()) };
    let at = |column: &String| left.read.cells.iter().position(|cell| cell.name == *column);
    let Some(places) = key.columns.iter().map(at).collect::<Option<Vec<_>>>() else {
        return Ok(Vec::new());
    };
    let first =
        places.first().and_then(|at| left.read.cells.get(*at).zip(right.read.cells.get(*at)));
    let Some((own, theirs)) = first.filter(|(own, _)| own.kind.orders_alike()) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for range in left.snapshot.split(left.table, &left.read.filter, rows)? {
        job.pass()?;
        let Some(there) = on_the_other_side(&range, &own.name, &theirs.name) else {
            return Ok(found);
        };
        let one = keyed(job, left, &range, &places)?;
        let other = keyed(job, right, &there, &places)?;
        if one != other {
            differing(&one, other, &names(left.read), &mut found);
        }
        if found.len() >= DIFFERENCES_SHOWN {
            break;
        }
    }
    found.truncate(DIFFERENCES_SHOWN);
    Ok(found)
}

fn names(read: &Read) -> Vec<&str> {
    read.cells.iter().map(|cell| cell.name.as_str()).collect()
}

fn on_the_other_side(range: &Range, own: &str, theirs: &str) -> Option<Range> {
    match range {
        Range::Whole => Some(Range::Whole),
        Range::Keys { column, from, to } if column == own => {
            Some(Range::Keys { column: theirs.to_owned(), from: from.clone(), to: to.clone() })
        }
        Range::Keys { .. } | Range::Pages { .. } | Range::Rows { .. } => None,
    }
}

/// A row's digest and those of its columns.
type Digests = (u128, Vec<u32>);

fn keyed(
    job: &Job,
    side: Side<'_>,
    range: &Range,
    places: &[usize],
) -> Result<HashMap<String, Digests>> {
    let mut reader = side.snapshot.reader()?;
    reader.begin(side.read, range)?;
    let mut summer = Summer::default();
    let mut rows = HashMap::new();
    while let Some(batch) = reader.next(false)? {
        job.take_bytes(batch.bytes() as u64)?;
        let Rows::Batch(batch) = batch else {
            return Err(EngineError::new(Kind::Internal, "rows came in a form nobody asked for"));
        };
        let mut digests: Vec<Digests> = vec![(0, Vec::new()); batch.num_rows()];
        summer.each(&batch, |row, digest| {
            if let Some(own) = digests.get_mut(row) {
                own.0 = digest;
            }
        })?;
        for at in 0..batch.num_columns() {
            let column = batch.project(&[at]).map_err(|error| {
                EngineError::new(Kind::Internal, format!("a column is gone: {error}"))
            })?;
            summer.each(&column, |row, digest| {
                if let Some(own) = digests.get_mut(row) {
                    own.1.push(digest as u32);
                }
            })?;
        }
        for (row, digest) in digests.into_iter().enumerate() {
            rows.insert(key_text(&batch, row, places)?, digest);
        }
    }
    Ok(rows)
}

fn key_text(batch: &RecordBatch, row: usize, places: &[usize]) -> Result<String> {
    let mut parts = Vec::with_capacity(places.len());
    for at in places {
        let text = shown(batch.column(*at).as_ref(), row)?;
        let text = text.map_or("NULL".into(), |text| String::from_utf8_lossy(&text).into_owned());
        parts.push(text);
    }
    Ok(parts.join(","))
}

fn differing(
    one: &HashMap<String, Digests>,
    mut other: HashMap<String, Digests>,
    names: &[&str],
    found: &mut Vec<Difference>,
) {
    let mut new = Vec::new();
    for (key, digests) in one {
        let (what, columns) = match other.remove(key) {
            Some(theirs) if theirs == *digests => continue,
            None => (Differs::Missing, Vec::new()),
            Some(theirs) => {
                let pairs = digests.1.iter().zip(&theirs.1).zip(names);
                let differ = pairs.filter(|((a, b), _)| a != b);
                (Differs::Changed, differ.map(|(_, name)| (*name).to_owned()).collect())
            }
        };
        new.push(Difference { key: key.clone(), what, columns });
    }
    let extra = other.into_keys();
    new.extend(extra.map(|key| Difference { key, what: Differs::Extra, columns: Vec::new() }));
    new.sort_by(|a, b| a.key.cmp(&b.key));
    found.extend(new);
}
