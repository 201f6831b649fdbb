//! Digests of rows that do not hang on their order.
//!
//! A row is written out canonically: for each column a byte that says whether it is NULL and of which
//! class, then its value, fixed in length or with its length in front. XXH3-128 of that is added, modulo
//! 2^128, over all rows: equal sums and counts mean equal rows in any order. It is safe against
//! accidents, not against somebody who builds rows to collide. A sum keeps doubled rows apart, which an
//! exclusive or would cancel; lengths and classes keep `("a","bc")` and `("ab","c")`, NULL and the empty
//! text apart.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Date32Type, DurationMicrosecondType, Float32Type, Float64Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, UInt64Type,
};
use arrow_array::{
    Array, BinaryArray, BooleanArray, FixedSizeBinaryArray, RecordBatch, StringArray,
};
use arrow_schema::{DataType, TimeUnit};
use twox_hash::XxHash3_128;

use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::Engine;
use crate::model::rows::{Native, Rows};

/// Bytes in front of each row in [`Native`] of PostgreSQL: `d` and the length of the rest.
const FRAME_HEAD: usize = 5;

/// The name of what is summed: rows in their canonical form, or in one engine's own.
#[must_use]
pub fn name(native: bool) -> &'static str {
    if native { "xxh3-128-sum/postgres-copy-binary" } else { "xxh3-128-sum/canonical" }
}

/// Sums up rows; keeps its buffers.
#[derive(Debug, Default)]
pub struct Summer {
    row: Vec<u8>,
}

impl Summer {
    /// The sum over rows.
    ///
    /// # Errors
    /// `Internal` for an array that no kind travels in, or a frame that is cut.
    pub fn sum(&mut self, rows: &Rows) -> Result<u128> {
        match rows {
            Rows::Batch(batch) => {
                let mut sum = 0u128;
                self.each(batch, |_, digest| sum = sum.wrapping_add(digest))?;
                Ok(sum)
            }
            Rows::Native(native) => native_sum(native),
        }
    }

    /// The digest of a row that a reader could not carry: of its cells as they were told.
    pub fn cells<'c>(&mut self, cells: impl Iterator<Item = Option<&'c [u8]>>) -> u128 {
        self.row.clear();
        for cell in cells {
            match cell {
                None => self.row.push(0),
                Some(bytes) => sized(&mut self.row, b'x', bytes),
            }
        }
        XxHash3_128::oneshot(&self.row)
    }

    /// Tells each row's digest.
    ///
    /// # Errors
    /// As [`Summer::sum`].
    pub fn each(&mut self, batch: &RecordBatch, mut tell: impl FnMut(usize, u128)) -> Result<()> {
        let columns: Vec<Column<'_>> =
            batch.columns().iter().map(|array| column(array.as_ref())).collect::<Result<_>>()?;
        for row in 0..batch.num_rows() {
            self.row.clear();
            for column in &columns {
                column.write(row, &mut self.row);
            }
            tell(row, XxHash3_128::oneshot(&self.row));
        }
        Ok(())
    }
}

fn native_sum(native: &Native) -> Result<u128> {
    debug_assert_eq!(native.engine, Engine::Postgres);
    let mut sum = 0u128;
    let mut rest = native.bytes.as_slice();
    while !rest.is_empty() {
        let length = rest
            .get(1..FRAME_HEAD)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u32::from_be_bytes)
            .and_then(|length| usize::try_from(length).ok());
        let end = length.map_or(usize::MAX, |length| length.saturating_add(1));
        let Some(row) = rest.get(FRAME_HEAD..end) else {
            return Err(EngineError::new(Kind::Internal, "a frame of rows is cut"));
        };
        sum = sum.wrapping_add(XxHash3_128::oneshot(row));
        rest = rest.get(end..).unwrap_or_default();
    }
    Ok(sum)
}

enum Column<'a> {
    Bool(&'a BooleanArray),
    /// Eight bytes each, with the class in front.
    Fixed(u8, &'a dyn Array, &'a [i64]),
    Unsigned(&'a dyn Array, &'a [u64]),
    Days(&'a dyn Array, &'a [i32]),
    Single(&'a dyn Array, &'a [f32]),
    Double(&'a dyn Array, &'a [f64]),
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
    Sixteen(&'a FixedSizeBinaryArray),
}

fn column(array: &dyn Array) -> Result<Column<'_>> {
    Ok(match array.data_type() {
        DataType::Boolean => Column::Bool(array.as_boolean()),
        DataType::Int64 => Column::Fixed(b'i', array, array.as_primitive::<Int64Type>().values()),
        DataType::UInt64 => Column::Unsigned(array, array.as_primitive::<UInt64Type>().values()),
        DataType::Float32 => Column::Single(array, array.as_primitive::<Float32Type>().values()),
        DataType::Float64 => Column::Double(array, array.as_primitive::<Float64Type>().values()),
        DataType::Date32 => Column::Days(array, array.as_primitive::<Date32Type>().values()),
        DataType::Time64(TimeUnit::Microsecond) => {
            Column::Fixed(b't', array, array.as_primitive::<Time64MicrosecondType>().values())
        }
        DataType::Duration(TimeUnit::Microsecond) => {
            Column::Fixed(b'l', array, array.as_primitive::<DurationMicrosecondType>().values())
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let class = if zone.is_some() { b'z' } else { b'n' };
            Column::Fixed(class, array, array.as_primitive::<TimestampMicrosecondType>().values())
        }
        DataType::Utf8 => Column::Text(array.as_string()),
        DataType::Binary => Column::Bytes(array.as_binary()),
        DataType::FixedSizeBinary(16) => Column::Sixteen(array.as_fixed_size_binary()),
        other => {
            let message = format!("rows do not travel as {other}");
            return Err(EngineError::new(Kind::Internal, message));
        }
    })
}

impl Column<'_> {
    #[inline]
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.array().is_null(row) {
            out.push(0);
            return;
        }
        match self {
            Self::Bool(array) => out.extend_from_slice(&[b'b', u8::from(array.value(row))]),
            Self::Fixed(class, _, values) => {
                put(out, *class, values.get(row).map(|v| v.to_le_bytes()))
            }
            Self::Unsigned(_, values) => put(out, b'u', values.get(row).map(|v| v.to_le_bytes())),
            Self::Days(_, values) => put(out, b'd', values.get(row).map(|v| v.to_le_bytes())),
            Self::Single(_, values) => put(out, b'f', values.get(row).map(|v| single(*v))),
            Self::Double(_, values) => put(out, b'g', values.get(row).map(|v| double(*v))),
            Self::Text(array) => sized(out, b's', array.value(row).as_bytes()),
            Self::Bytes(array) => sized(out, b'x', array.value(row)),
            Self::Sixteen(array) => sized(out, b'q', array.value(row)),
        }
    }

    fn array(&self) -> &dyn Array {
        match self {
            Self::Bool(array) => *array,
            Self::Fixed(_, array, _)
            | Self::Unsigned(array, _)
            | Self::Days(array, _)
            | Self::Single(array, _)
            | Self::Double(array, _) => *array,
            Self::Text(array) => *array,
            Self::Bytes(array) => *array,
            Self::Sixteen(array) => *array,
        }
    }
}

#[inline]
fn put<const N: usize>(out: &mut Vec<u8>, class: u8, value: Option<[u8; N]>) {
    out.push(class);
    out.extend_from_slice(&value.unwrap_or([0; N]));
}

#[inline]
fn sized(out: &mut Vec<u8>, class: u8, bytes: &[u8]) {
    out.push(class);
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// All NaNs are one: no engine promises to keep their bits.
fn single(value: f32) -> [u8; 4] {
    if value.is_nan() { f32::NAN } else { value }.to_le_bytes()
}

fn double(value: f64) -> [u8; 8] {
    if value.is_nan() { f64::NAN } else { value }.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float64Array};

    use super::*;

    fn sum(columns: Vec<ArrayRef>) -> u128 {
        let names = ["a", "b", "c"];
        let batch = RecordBatch::try_from_iter(names.into_iter().zip(columns)).unwrap();
        Summer::default().sum(&Rows::Batch(batch)).unwrap()
    }

    fn texts(left: &[Option<&str>], right: &[Option<&str>]) -> u128 {
        let array = |list: &[Option<&str>]| Arc::new(StringArray::from(list.to_vec())) as ArrayRef;
        sum(vec![array(left), array(right)])
    }

    #[test]
    fn order_does_not_count_and_everything_else_does() {
        let rows = texts(&[Some("a"), Some("b")], &[Some("1"), None]);
        assert_eq!(rows, texts(&[Some("b"), Some("a")], &[None, Some("1")]));
        assert_ne!(rows, texts(&[Some("a"), Some("b")], &[None, Some("1")]));
        assert_ne!(texts(&[Some("a")], &[Some("bc")]), texts(&[Some("ab")], &[Some("c")]));
        assert_ne!(texts(&[Some("")], &[None]), texts(&[None], &[Some("")]));
        let twice = texts(&[Some("a"), Some("a")], &[None, None]);
        assert_ne!(twice, texts(&[Some("b"), Some("b")], &[None, None]));
        assert_ne!(twice, 0);
    }

    #[test]
    fn signs_of_zero_count_and_bits_of_nan_do_not() {
        let one = |value: f64| sum(vec![Arc::new(Float64Array::from(vec![value])) as ArrayRef]);
        assert_ne!(one(0.0), one(-0.0));
        assert_eq!(one(f64::NAN), one(f64::from_bits(f64::NAN.to_bits() | 1)));
    }

    #[test]
    fn frames_are_summed_one_by_one_and_cut_ones_refused() {
        let frame = |payload: &[u8]| {
            let length = u32::try_from(payload.len() + 4).unwrap();
            [b"d".as_slice(), &length.to_be_bytes(), payload].concat()
        };
        let native = |bytes: Vec<u8>| {
            Summer::default().sum(&Rows::Native(Native {
                engine: Engine::Postgres,
                bytes,
                rows: 2,
            }))
        };
        let (a, b) = (frame(b"one"), frame(b"second"));
        let forth = native([a.clone(), b.clone()].concat()).unwrap();
        assert_eq!(forth, native([b, a.clone()].concat()).unwrap());
        assert!(native(a[..6].to_vec()).is_err() && native(b"d\xff\xff\xff\xff".to_vec()).is_err());
    }
}
