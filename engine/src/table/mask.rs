//! Values that are not to be seen at the target: redacted, hashed, or replaced. NULL stays NULL.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::{ArrayRef, RecordBatch, StringArray};

use crate::error::{EngineError, Kind, Result};
use crate::model::rows::{Cell, Rows};

/// What stands where a value was redacted.
pub const REDACTED: &str = "***";

/// How the values of a column are hidden. Its values travel as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mask {
    /// Each becomes [`REDACTED`].
    Redact,
    /// Each becomes its BLAKE3 as 64 hex digits: equal values stay equal, so that keys still meet.
    /// Whoever knows the likely values can try them.
    Hash,
    /// Each becomes this text.
    Constant(String),
}

impl Mask {
    fn of(&self, value: &str) -> String {
        match self {
            Self::Redact => REDACTED.to_owned(),
            Self::Hash => blake3::hash(value.as_bytes()).to_hex().to_string(),
            Self::Constant(text) => text.clone(),
        }
    }

    /// Its name on the wire.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Redact => "redact",
            Self::Hash => "hash",
            Self::Constant(_) => "constant",
        }
    }
}

/// Hides what is to be hidden: one entry for each column of the batch, or none at all.
///
/// # Errors
/// `Internal` for rows or columns in a form that cannot be masked.
pub fn apply(rows: Rows, masks: &[Option<Mask>]) -> Result<Rows> {
    if masks.iter().all(Option::is_none) {
        return Ok(rows);
    }
    let Rows::Batch(batch) = rows else {
        return Err(EngineError::new(Kind::Internal, "rows in their own form cannot be masked"));
    };
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
    for (array, mask) in batch.columns().iter().zip(masks) {
        columns.push(match mask {
            None => Arc::clone(array),
            Some(mask) => {
                let texts = array.as_string_opt::<i32>().ok_or_else(|| {
                    EngineError::new(Kind::Internal, "a masked column does not travel as text")
                })?;
                let masked: StringArray =
                    texts.iter().map(|value| value.map(|value| mask.of(value))).collect();
                Arc::new(masked)
            }
        });
    }
    let made = RecordBatch::try_new(batch.schema(), columns)
        .map_err(|error| EngineError::new(Kind::Internal, format!("a mask: {error}")))?;
    Ok(Rows::Batch(made))
}

/// Hides what is to be hidden in a row that was not read as arrays.
pub fn hide(row: &mut [(String, Option<Vec<u8>>)], cells: &[Cell], masks: &[Option<Mask>]) {
    for (cell, mask) in cells.iter().zip(masks) {
        let Some(mask) = mask else { continue };
        for (_, value) in row.iter_mut().filter(|(name, _)| *name == cell.name) {
            *value = value.take().map(|v| mask.of(&String::from_utf8_lossy(&v)).into_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_hidden_and_nulls_stay() {
        let texts = || Arc::new(StringArray::from(vec![Some("a"), None, Some("a")])) as ArrayRef;
        let names = ["keep", "redact", "hash", "constant"];
        let batch = RecordBatch::try_from_iter(names.map(|name| (name, texts()))).unwrap();
        let masks =
            [None, Some(Mask::Redact), Some(Mask::Hash), Some(Mask::Constant("x".to_owned()))];
        let Rows::Batch(made) = apply(Rows::Batch(batch), &masks).unwrap() else { panic!() };
        let of = |at: usize| made.column(at).as_string::<i32>().iter().collect::<Vec<_>>();
        let hash = blake3::hash(b"a").to_hex();
        assert_eq!(of(0), [Some("a"), None, Some("a")]);
        assert_eq!(of(1), [Some("***"), None, Some("***")]);
        assert_eq!(of(2), [Some(hash.as_str()), None, Some(hash.as_str())]);
        assert_eq!(of(3), [Some("x"), None, Some("x")]);
    }
}
