//! A value as text.

use std::fmt::Write as _;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, DurationMicrosecondType, Float32Type, Float64Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::endpoint::flat::escape::{Form, Sort};
use crate::error::{EngineError, Kind, Result};
use crate::model::forms;
use crate::model::kind::ColumnType;

/// Checks that an array is of the type its kind travels as.
///
/// # Errors
/// `Internal` where it is not.
pub fn check(kind: &ColumnType, array: &ArrayRef) -> Result<()> {
    if *array.data_type() == kind.arrow() {
        return Ok(());
    }
    let message = format!("{} came as {}", kind.shown(), array.data_type());
    Err(EngineError::new(Kind::Internal, message))
}

/// Writes a value of an array that [`check`] saw into `out`, emptied before, and says what it is.
pub fn write(
    form: Form,
    kind: &ColumnType,
    array: &ArrayRef,
    row: usize,
    out: &mut String,
) -> Sort {
    out.clear();
    if array.is_null(row) {
        return Sort::Null;
    }
    match kind {
        ColumnType::Bool => {
            out.push_str(if array.as_boolean().value(row) { "true" } else { "false" });
            return Sort::Bare;
        }
        ColumnType::Int(_) | ColumnType::Year => {
            let _ = write!(out, "{}", array.as_primitive::<Int64Type>().value(row));
            return Sort::Bare;
        }
        ColumnType::Unsigned(_) => {
            let _ = write!(out, "{}", array.as_primitive::<UInt64Type>().value(row));
            return Sort::Bare;
        }
        ColumnType::Float32 => {
            let value = array.as_primitive::<Float32Type>().value(row);
            return float(out, value, f64::from(value));
        }
        ColumnType::Float64 => {
            let value = array.as_primitive::<Float64Type>().value(row);
            return float(out, value, value);
        }
        ColumnType::Bytes(_) | ColumnType::FixedBytes(_) => {
            bytes(form, out, array.as_binary::<i32>().value(row));
        }
        ColumnType::Date => forms::write_date(out, array.as_primitive::<Date32Type>().value(row)),
        ColumnType::Time => {
            forms::write_time(out, array.as_primitive::<Time64MicrosecondType>().value(row));
        }
        ColumnType::Duration => {
            forms::write_time(out, array.as_primitive::<DurationMicrosecondType>().value(row));
        }
        ColumnType::Timestamp | ColumnType::TimestampTz => {
            let zone = if *kind == ColumnType::Timestamp { "" } else { "+00:00" };
            let value = array.as_primitive::<TimestampMicrosecondType>().value(row);
            forms::write_timestamp(out, value, zone);
        }
        ColumnType::Uuid => forms::write_uuid(out, array.as_fixed_size_binary().value(row)),
        ColumnType::Any => any(form, out, array.as_binary::<i32>().value(row)),
        _ => out.push_str(array.as_string::<i32>().value(row)),
    }
    Sort::Text
}

/// The shortest digits that stand for this float alone.
fn float(out: &mut String, value: impl std::fmt::Debug, wide: f64) -> Sort {
    if wide.is_finite() {
        let _ = write!(out, "{value:?}");
        return Sort::Bare;
    }
    out.push_str(match (wide.is_nan(), wide > 0.0) {
        (true, _) => "NaN",
        (false, true) => "Infinity",
        (false, false) => "-Infinity",
    });
    Sort::Text
}

fn bytes(form: Form, out: &mut String, bytes: &[u8]) {
    match form {
        Form::JsonLines => STANDARD.encode_string(bytes, out),
        Form::Csv => {
            out.push_str("\\x");
            for byte in bytes {
                for digit in [byte >> 4, byte & 15] {
                    out.extend(char::from_digit(u32::from(digit), 16));
                }
            }
        }
    }
}

/// A value with its class in front.
fn any(form: Form, out: &mut String, tagged: &[u8]) {
    let Some((class, rest)) = tagged.split_first() else { return };
    out.push(char::from(*class));
    out.push(':');
    match class {
        b'b' => bytes(form, out, rest),
        b'r' => {
            let value = rest.try_into().map_or(0.0, f64::from_be_bytes);
            float(out, value, value);
        }
        _ => out.push_str(&String::from_utf8_lossy(rest)),
    }
}
