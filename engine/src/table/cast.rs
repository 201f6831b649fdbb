//! Columns of another type at the target. Every value is read as its text and read again as what it
//! is to become, so that one rule holds whatever the source is; what that type cannot hold is counted
//! by the census, which reads the column for it, and has its policy like any other loss.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, RecordBatch};
use arrow_schema::{Field, Schema};

use crate::endpoint::rows::{Finding, LossClass, Question, Reject, Snapshot};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::model::kind::ColumnType;
use crate::model::rows::{Cell, Misfit, Range, Read, Rows};
use crate::table::choice::class_name;
use crate::table::mapping::TablePlan;
use crate::table::shown::shown;
use crate::table::value;

/// Keys kept for a loss.
const SAMPLES: usize = 5;

/// What a column becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Cast {
    /// Its new type.
    pub kind: ColumnType,
    /// What the target holds less of.
    pub bounds: Vec<LossClass>,
    /// What becomes of values of a class; the others end the job.
    pub misfits: BTreeMap<&'static str, Misfit>,
}

/// Rows with their casts done.
#[derive(Debug)]
pub struct Done {
    /// The rows that go on, in their order.
    pub rows: Vec<Rows>,
    /// Values that became NULL or were clamped.
    pub changed: u64,
    /// Rows that do not.
    pub rejected: Vec<Reject>,
}

/// The type of this name.
///
/// # Errors
/// `InvalidField`.
pub fn kind(name: &str) -> Result<ColumnType> {
    let (word, size) = match name.strip_suffix(')').and_then(|name| name.split_once('(')) {
        Some((word, size)) => (word, Some(size)),
        None => (name, None),
    };
    let number = |text: &str| text.trim().parse::<u32>().ok();
    let found = match (word, size) {
        ("text", None) => Some(ColumnType::Text(None)),
        ("text", Some(size)) => {
            let size = number(size).filter(|size| *size > 0);
            size.map(|size| ColumnType::Text(Some(size.into())))
        }
        ("smallint", None) => Some(ColumnType::Int(16)),
        ("integer", None) => Some(ColumnType::Int(32)),
        ("bigint", None) => Some(ColumnType::Int(64)),
        ("decimal", None) => Some(ColumnType::Decimal(None)),
        ("decimal", Some(size)) => decimal(size),
        ("double", None) => Some(ColumnType::Float64),
        ("date", None) => Some(ColumnType::Date),
        ("timestamp", None) => Some(ColumnType::Timestamp),
        ("boolean", None) => Some(ColumnType::Bool),
        ("json", None) => Some(ColumnType::Json),
        ("bytes", None) => Some(ColumnType::Bytes(None)),
        _ => None,
    };
    found.ok_or_else(|| {
        EngineError::new(Kind::InvalidField, "no type to cast to has this name").hint(
            "text, text(n), smallint, integer, bigint, decimal, decimal(p,s) with 1 to 38 digits, \
             double, date, timestamp, boolean, json, bytes",
        )
    })
}

fn decimal(size: &str) -> Option<ColumnType> {
    let (digits, scale) = size.split_once(',').unwrap_or((size, "0"));
    let (digits, scale) = (digits.trim().parse::<u32>().ok()?, scale.trim().parse::<i32>().ok()?);
    let usual = (1..=38).contains(&digits) && (0..=i32::try_from(digits).ok()?).contains(&scale);
    usual.then_some(ColumnType::Decimal(Some((digits, scale))))
}

/// Casts what is to be cast: one entry for each column of the batch, or none at all.
///
/// # Errors
/// `ValueRefused` for a value whose class has no policy; `Internal` for rows in a form that cannot be
/// cast.
pub fn apply(rows: Rows, casts: &[Option<Cast>]) -> Result<Done> {
    if casts.iter().all(Option::is_none) {
        return Ok(Done { rows: vec![rows], changed: 0, rejected: Vec::new() });
    }
    let Rows::Batch(batch) = rows else {
        return Err(internal("rows in their own form cannot be cast"));
    };
    let mut keep = vec![true; batch.num_rows()];
    let (mut changed, mut rejected) = (0, Vec::new());
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    let schema = batch.schema();
    for ((field, array), cast) in schema.fields().iter().zip(batch.columns()).zip(casts) {
        let Some(cast) = cast else {
            fields.push(Field::clone(field));
            columns.push(array.clone());
            continue;
        };
        let mut made = Vec::with_capacity(batch.num_rows());
        for (at, keep) in keep.iter_mut().enumerate() {
            let text = texts(array.as_ref(), at)?;
            let judged = text.map(|text| value::make(&cast.kind, &cast.bounds, text));
            made.push(match judged.transpose() {
                Ok(value) => value,
                Err(unfit) => match (cast.misfit(&unfit.class), unfit.nearest) {
                    (Misfit::Null, _) => {
                        changed += 1;
                        None
                    }
                    (Misfit::Clamp, Some(nearest)) => {
                        changed += 1;
                        Some(nearest)
                    }
                    // Where nothing is near, clamping is refusing.
                    (Misfit::Reject, _) | (Misfit::Clamp, None) => {
                        if std::mem::take(keep) {
                            rejected.push(reject(&batch, at, field.name(), cast)?);
                        }
                        None
                    }
                    _ => return Err(refused(field.name(), cast)),
                },
            });
        }
        fields.push(Field::new(field.name(), cast.kind.arrow(), true));
        columns.push(value::array(&cast.kind, &made));
    }
    let failed = |error: arrow_schema::ArrowError| internal(&format!("a cast: {error}"));
    let schema = std::sync::Arc::new(Schema::new(fields));
    let made = RecordBatch::try_new(schema, columns).map_err(failed)?;
    Ok(Done { rows: kept(&made, &keep), changed, rejected })
}

/// The rows that are kept, those that follow each other as one batch.
fn kept(batch: &RecordBatch, keep: &[bool]) -> Vec<Rows> {
    let (mut rows, mut at) = (Vec::new(), 0);
    for run in keep.chunk_by(|one, next| one == next) {
        if run.first() == Some(&true) {
            rows.push(Rows::Batch(batch.slice(at, run.len())));
        }
        at += run.len();
    }
    rows
}

impl Cast {
    fn misfit(&self, class: &LossClass) -> Misfit {
        self.misfits.get(class_name(class)).copied().unwrap_or_default()
    }
}

fn internal(message: &str) -> EngineError {
    EngineError::new(Kind::Internal, message.to_owned())
}

fn refused(column: &str, cast: &Cast) -> EngineError {
    let message = format!("a value cannot be cast to {}", cast.kind.shown());
    EngineError::new(Kind::ValueRefused, message).field(column.to_owned())
}

fn texts(array: &dyn arrow_array::Array, at: usize) -> Result<Option<&str>> {
    let texts = array
        .as_string_opt::<i32>()
        .ok_or_else(|| internal("a column that is cast does not travel as text"))?;
    Ok((at < texts.len() && texts.is_valid(at)).then(|| texts.value(at)))
}

fn reject(batch: &RecordBatch, at: usize, column: &str, cast: &Cast) -> Result<Reject> {
    let schema = batch.schema();
    let mut row = Vec::with_capacity(batch.num_columns());
    for (field, array) in schema.fields().iter().zip(batch.columns()) {
        row.push((field.name().clone(), shown(array.as_ref(), at)?));
    }
    Ok(Reject { row, column: column.to_owned(), error: refused(column, cast) })
}

/// Bytes of the longest row that a census looks into: a share of the memory.
#[must_use]
pub fn row_bytes_max(job: &Job) -> usize {
    usize::try_from(job.engine.budget.total() / 8).unwrap_or(usize::MAX)
}

/// Reads the columns that are cast, and counts what does not fit.
///
/// # Errors
/// Those of the source; `ValueRefused` for a value that has no text.
pub fn census(job: &Job, snapshot: &dyn Snapshot, plan: &TablePlan) -> Result<Vec<Finding>> {
    let casts: Vec<(&Cell, &Cast)> = plan
        .read
        .iter()
        .zip(&plan.casts)
        .filter_map(|(cell, cast)| cast.as_ref().map(|cast| (cell, cast)))
        .collect();
    if casts.is_empty() {
        return Ok(Vec::new());
    }
    let key =
        plan.source.primary_key.as_ref().map(|key| key.columns.as_slice()).unwrap_or_default();
    let text =
        |name: &str, misfit| Cell { name: name.to_owned(), kind: ColumnType::Text(None), misfit };
    let mut cells: Vec<Cell> =
        casts.iter().map(|(cell, _)| text(&cell.name, Misfit::Null)).collect();
    cells.extend(key.iter().map(|name| text(name, Misfit::Null)));
    let read = Read {
        table: plan.source.name.clone(),
        cells,
        filter: plan.filter.clone(),
        batch_rows: crate::limits::BATCH_ROWS,
        batch_bytes: crate::limits::BATCH_ROWS_BYTES,
        row_bytes_max: row_bytes_max(job),
    };
    let mut found = Vec::new();
    let mut reader = snapshot.reader()?;
    reader.begin(&read, &Range::Whole)?;
    while let Some(rows) = reader.next(false)? {
        job.pass()?;
        if let Rows::Batch(batch) = &rows {
            look(batch, &casts, &mut found)?;
        }
    }
    Ok(found)
}

fn look(batch: &RecordBatch, casts: &[(&Cell, &Cast)], found: &mut Vec<Finding>) -> Result<()> {
    for (array, (cell, cast)) in batch.columns().iter().zip(casts) {
        for at in 0..batch.num_rows() {
            let Some(text) = texts(array.as_ref(), at)? else { continue };
            let Err(unfit) = value::make(&cast.kind, &cast.bounds, text) else { continue };
            let question = Question { column: cell.name.clone(), class: unfit.class };
            let named = |finding: &&mut Finding| {
                finding.question.column == question.column
                    && class_name(&finding.question.class) == class_name(&question.class)
            };
            let key = || -> Result<String> {
                let keys = batch.columns().iter().skip(casts.len());
                let keys: Vec<&str> = keys
                    .map(|array| texts(array.as_ref(), at).map(|text| text.unwrap_or("NULL")))
                    .collect::<Result<_>>()?;
                Ok(keys.join(","))
            };
            match found.iter_mut().find(named) {
                Some(finding) => {
                    finding.rows += 1;
                    if finding.samples.len() < SAMPLES {
                        finding.samples.push(key()?);
                    }
                }
                None => found.push(Finding { question, rows: 1, samples: vec![key()?] }),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::types::Int64Type;
    use arrow_array::{ArrayRef, StringArray};

    use super::*;

    fn cast(misfit: Misfit) -> Cast {
        let misfits = ["not_cast", "integer_outside"].map(|class| (class, misfit)).into();
        Cast { kind: ColumnType::Int(16), bounds: Vec::new(), misfits }
    }

    fn batch() -> Rows {
        let texts =
            |texts: [Option<&str>; 4]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
        let columns = [
            ("k", texts([Some("a"), Some("b"), Some("c"), Some("d")])),
            ("v", texts([Some("7"), None, Some("40000"), Some("x")])),
        ];
        Rows::Batch(RecordBatch::try_from_iter(columns).unwrap())
    }

    fn numbers(done: &Done) -> Vec<Option<i64>> {
        let of = |rows: &Rows| {
            let Rows::Batch(batch) = rows else { panic!() };
            batch.column(1).as_primitive::<Int64Type>().iter().collect::<Vec<_>>()
        };
        done.rows.iter().flat_map(of).collect()
    }

    #[test]
    fn each_policy_does_what_it_says() {
        let done = apply(batch(), &[None, Some(cast(Misfit::Null))]).unwrap();
        assert_eq!((numbers(&done), done.changed), (vec![Some(7), None, None, None], 2));
        let done = apply(batch(), &[None, Some(cast(Misfit::Reject))]).unwrap();
        assert_eq!((numbers(&done), done.changed), (vec![Some(7), None], 0));
        let rows: Vec<_> = done.rejected.iter().map(|reject| reject.row[0].1.clone()).collect();
        assert_eq!(rows, [Some(b"c".to_vec()), Some(b"d".to_vec())]);
        let error = apply(batch(), &[None, Some(cast(Misfit::Fail))]).unwrap_err();
        assert_eq!(error.kind(), Kind::ValueRefused);
        let mut clamped = cast(Misfit::Clamp);
        clamped.misfits.insert("not_cast", Misfit::Null);
        let done = apply(batch(), &[None, Some(clamped)]).unwrap();
        assert_eq!((numbers(&done), done.changed), (vec![Some(7), None, Some(32_767), None], 2));
    }

    #[test]
    fn names_of_types_are_known_or_refused() {
        assert_eq!(kind("decimal(10, 2)").unwrap(), ColumnType::Decimal(Some((10, 2))));
        assert_eq!(kind("text(9)").unwrap(), ColumnType::Text(Some(9)));
        for bad in
            ["", "int", "decimal(0)", "decimal(39)", "decimal(3,4)", "text(0)", "date(3)", "x)"]
        {
            assert_eq!(kind(bad).unwrap_err().kind(), Kind::InvalidField, "{bad}");
        }
    }
}
