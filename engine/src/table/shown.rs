//! One value of a batch as text or bytes: for rejected rows, and for keys.

use arrow_array::Array;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Date32Type, DurationMicrosecondType, Float32Type, Float64Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, UInt64Type,
};
use arrow_schema::{DataType, TimeUnit};

use crate::error::{EngineError, Kind, Result};
use crate::model::forms;

/// The value in this row; `None` for NULL. Numbers in digits, days and times in ISO 8601, text and
/// bytes as they are.
///
/// # Errors
/// `Internal` for an array that no kind travels in.
pub fn shown(array: &dyn Array, row: usize) -> Result<Option<Vec<u8>>> {
    if array.is_null(row) {
        return Ok(None);
    }
    let mut text = String::new();
    match array.data_type() {
        DataType::Boolean => text.push_str(&array.as_boolean().value(row).to_string()),
        DataType::Int64 => {
            text.push_str(&array.as_primitive::<Int64Type>().value(row).to_string());
        }
        DataType::UInt64 => {
            text.push_str(&array.as_primitive::<UInt64Type>().value(row).to_string());
        }
        DataType::Float32 => {
            text.push_str(&array.as_primitive::<Float32Type>().value(row).to_string());
        }
        DataType::Float64 => {
            text.push_str(&array.as_primitive::<Float64Type>().value(row).to_string());
        }
        DataType::Date32 => {
            forms::write_date(&mut text, array.as_primitive::<Date32Type>().value(row));
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            let micros = array.as_primitive::<Time64MicrosecondType>().value(row);
            forms::write_time(&mut text, micros);
        }
        DataType::Duration(TimeUnit::Microsecond) => {
            let micros = array.as_primitive::<DurationMicrosecondType>().value(row);
            forms::write_time(&mut text, micros);
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            let zone = if zone.is_some() { "Z" } else { "" };
            forms::write_timestamp(&mut text, micros, zone);
        }
        DataType::Utf8 => text.push_str(array.as_string::<i32>().value(row)),
        DataType::Binary => return Ok(Some(array.as_binary::<i32>().value(row).to_vec())),
        DataType::FixedSizeBinary(16) => {
            forms::write_uuid(&mut text, array.as_fixed_size_binary().value(row));
        }
        other => {
            let message = format!("rows do not travel as {other}");
            return Err(EngineError::new(Kind::Internal, message));
        }
    }
    Ok(Some(text.into_bytes()))
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, BooleanArray, Date32Array, Int64Array, TimestampMicrosecondArray};

    use super::*;

    #[test]
    fn values_are_told_as_people_write_them() {
        let of = |array: ArrayRef| {
            shown(array.as_ref(), 0).unwrap().map(|text| String::from_utf8(text).unwrap())
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of(std::sync::Arc::new(Int64Array::from(vec![-7]))), some("-7"));
        assert_eq!(of(std::sync::Arc::new(Int64Array::from(vec![None]))), None);
        assert_eq!(of(std::sync::Arc::new(BooleanArray::from(vec![true]))), some("true"));
        assert_eq!(of(std::sync::Arc::new(Date32Array::from(vec![0]))), some("1970-01-01"));
        let moment = TimestampMicrosecondArray::from(vec![1_500_000]);
        let shown = of(std::sync::Arc::new(moment)).unwrap();
        assert!(shown.starts_with("1970-01-01") && shown.contains("00:00:01.5"), "{shown}");
    }
}
