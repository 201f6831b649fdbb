//! Values of a batch as the parameters of an insert, without a copy of their own.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, DurationMicrosecondType, Float32Type, Float64Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, UInt64Type,
};
use arrow_array::{
    Array, BinaryArray, BooleanArray, FixedSizeBinaryArray, PrimitiveArray, StringArray,
};
use rusqlite::types::ValueRef;

use crate::endpoint::sqlite::decode::{MINUS_ZERO, NAN};
use crate::error::{EngineError, Kind, Result};
use crate::model::forms;
use crate::model::kind::ColumnType;

/// A column of a batch, and how its values are bound.
pub enum Column<'a> {
    /// Truths, as 0 and 1.
    Bool(&'a BooleanArray),
    /// Integers.
    Int(&'a PrimitiveArray<Int64Type>),
    /// Integers without a sign: beyond 63 bits there is no place for them.
    Unsigned(&'a PrimitiveArray<UInt64Type>),
    /// Floats.
    Float32(&'a PrimitiveArray<Float32Type>),
    /// Doubles.
    Float64(&'a PrimitiveArray<Float64Type>),
    /// Text as it is.
    Text(&'a StringArray),
    /// Bytes as they are.
    Bytes(&'a BinaryArray),
    /// Days, as text.
    Date(&'a PrimitiveArray<Date32Type>),
    /// Times, as text.
    Time(&'a PrimitiveArray<Time64MicrosecondType>),
    /// Spans of time, as text.
    Duration(&'a PrimitiveArray<DurationMicrosecondType>),
    /// Moments, as text with this behind them.
    Timestamp(&'a PrimitiveArray<TimestampMicrosecondType>, &'static str),
    /// UUIDs, as text.
    Uuid(&'a FixedSizeBinaryArray),
    /// Values of any class, with their class in front.
    Any(&'a BinaryArray),
}

/// The column of an array that travels as this kind.
///
/// # Errors
/// `Internal` for an array of another type.
pub fn column<'a>(kind: &ColumnType, array: &'a dyn Array) -> Result<Column<'a>> {
    if *array.data_type() != kind.arrow() {
        let message = format!("{} came as {}", kind.shown(), array.data_type());
        return Err(EngineError::new(Kind::Internal, message));
    }
    Ok(match kind {
        ColumnType::Bool => Column::Bool(array.as_boolean()),
        ColumnType::Int(_) | ColumnType::Year => Column::Int(array.as_primitive()),
        ColumnType::Unsigned(_) => Column::Unsigned(array.as_primitive()),
        ColumnType::Float32 => Column::Float32(array.as_primitive()),
        ColumnType::Float64 => Column::Float64(array.as_primitive()),
        ColumnType::Bytes(_) | ColumnType::FixedBytes(_) => Column::Bytes(array.as_binary()),
        ColumnType::Date => Column::Date(array.as_primitive()),
        ColumnType::Time => Column::Time(array.as_primitive()),
        ColumnType::Duration => Column::Duration(array.as_primitive()),
        ColumnType::Timestamp => Column::Timestamp(array.as_primitive(), ""),
        ColumnType::TimestampTz => Column::Timestamp(array.as_primitive(), "+00:00"),
        ColumnType::Uuid => Column::Uuid(array.as_fixed_size_binary()),
        ColumnType::Any => Column::Any(array.as_binary()),
        _ => Column::Text(array.as_string()),
    })
}

impl<'a> Column<'a> {
    fn array(&self) -> &dyn Array {
        match self {
            Self::Bool(array) => *array,
            Self::Int(array) => *array,
            Self::Unsigned(array) => *array,
            Self::Float32(array) => *array,
            Self::Float64(array) => *array,
            Self::Text(array) => *array,
            Self::Bytes(array) | Self::Any(array) => *array,
            Self::Date(array) => *array,
            Self::Time(array) => *array,
            Self::Duration(array) => *array,
            Self::Timestamp(array, _) => *array,
            Self::Uuid(array) => *array,
        }
    }

    /// The value of a row; `None` for one that has no place. `scratch` holds what is made text here.
    pub fn value<'v>(&'v self, row: usize, scratch: &'v mut String) -> Option<ValueRef<'v>> {
        if self.array().is_null(row) {
            return Some(ValueRef::Null);
        }
        scratch.clear();
        match self {
            Self::Bool(array) => return Some(ValueRef::Integer(i64::from(array.value(row)))),
            Self::Int(array) => return Some(ValueRef::Integer(array.value(row))),
            Self::Unsigned(array) => {
                return i64::try_from(array.value(row)).ok().map(ValueRef::Integer);
            }
            Self::Float32(array) => return Some(float(f64::from(array.value(row)))),
            Self::Float64(array) => return Some(float(array.value(row))),
            Self::Text(array) => return Some(ValueRef::Text(array.value(row).as_bytes())),
            Self::Bytes(array) => return Some(ValueRef::Blob(array.value(row))),
            Self::Any(array) => return any(array.value(row)),
            Self::Date(array) => forms::write_date(scratch, array.value(row)),
            Self::Time(array) => forms::write_time(scratch, array.value(row)),
            Self::Duration(array) => forms::write_time(scratch, array.value(row)),
            Self::Timestamp(array, zone) => {
                forms::write_timestamp(scratch, array.value(row), zone);
            }
            Self::Uuid(array) => forms::write_uuid(scratch, array.value(row)),
        }
        Some(ValueRef::Text(scratch.as_bytes()))
    }
}

fn float(value: f64) -> ValueRef<'static> {
    if value.is_nan() {
        ValueRef::Text(NAN.as_bytes())
    } else if value == 0.0 && value.is_sign_negative() {
        ValueRef::Text(MINUS_ZERO.as_bytes())
    } else {
        ValueRef::Real(value)
    }
}

/// A value with its class in front.
fn any(tagged: &[u8]) -> Option<ValueRef<'_>> {
    let (class, rest) = tagged.split_first()?;
    match class {
        b'i' => std::str::from_utf8(rest).ok()?.parse().ok().map(ValueRef::Integer),
        b'r' => rest.try_into().ok().map(|bits| ValueRef::Real(f64::from_be_bytes(bits))),
        b't' => Some(ValueRef::Text(rest)),
        b'b' => Some(ValueRef::Blob(rest)),
        _ => None,
    }
}
