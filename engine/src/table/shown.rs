//! Values as text for people: of rows that were refused, and of keys.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Date32Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, TimeUnit};

use crate::error::{EngineError, Kind, Result};
use crate::model::forms;

/// A value of a column; `None` for NULL. Text and bytes are as they are. Days and moments have their
/// own text: no calendar of others has infinity, or every year.
///
/// # Errors
/// `Internal` for a value that has no text.
pub fn shown(array: &dyn Array, row: usize) -> Result<Option<Vec<u8>>> {
    if array.is_null(row) {
        return Ok(None);
    }
    let mut text = String::new();
    match array.data_type() {
        DataType::Utf8 => return Ok(Some(array.as_string::<i32>().value(row).as_bytes().to_vec())),
        DataType::Binary => return Ok(Some(array.as_binary::<i32>().value(row).to_vec())),
        DataType::Date32 => {
            forms::write_date(&mut text, array.as_primitive::<Date32Type>().value(row));
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let zone = if zone.is_some() { "+00:00" } else { "" };
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            forms::write_timestamp(&mut text, micros, zone);
        }
        DataType::FixedSizeBinary(16) => {
            forms::write_uuid(&mut text, array.as_fixed_size_binary().value(row));
        }
        _ => text = formatted(array, row)?,
    }
    Ok(Some(text.into_bytes()))
}

fn formatted(array: &dyn Array, row: usize) -> Result<String> {
    let options = FormatOptions::default();
    let text = ArrayFormatter::try_new(array, &options)
        .and_then(|formatter| formatter.value(row).try_to_string());
    text.map_err(|error| {
        EngineError::new(Kind::Internal, format!("a value cannot be shown: {error}"))
    })
}

/// The key of a row: the values of these columns with commas between, nothing for NULL.
///
/// # Errors
/// As [`shown`].
pub fn key(batch: &RecordBatch, row: usize, places: &[usize]) -> Result<String> {
    let mut parts = Vec::with_capacity(places.len());
    for at in places {
        let value = shown(batch.column(*at).as_ref(), row)?.unwrap_or_default();
        parts.push(String::from_utf8_lossy(&value).into_owned());
    }
    Ok(parts.join(","))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        ArrayRef, BooleanArray, Date32Array, Int64Array, StringArray, TimestampMicrosecondArray,
    };

    use super::*;

    #[test]
    fn every_value_has_a_text_infinity_too() {
        let moments = TimestampMicrosecondArray::from(vec![i64::MAX, 0]);
        let zoned = TimestampMicrosecondArray::from(vec![i64::MIN, 1]).with_timezone("UTC");
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("d", Arc::new(Date32Array::from(vec![i32::MIN, i32::MAX - 1]))),
            ("n", Arc::new(moments)),
            ("z", Arc::new(zoned)),
            ("i", Arc::new(Int64Array::from(vec![Some(-7), None]))),
            ("b", Arc::new(BooleanArray::from(vec![true, false]))),
            ("s", Arc::new(StringArray::from(vec!["a,b", ""]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let all = [0, 1, 2, 3, 4, 5];
        assert_eq!(key(&batch, 0, &all).unwrap(), "-infinity,infinity,-infinity,-7,true,a,b");
        let second = key(&batch, 1, &all).unwrap();
        assert!(second.ends_with("1970-01-01 00:00:00,1970-01-01 00:00:00.000001+00:00,,false,"));
        assert!(second.starts_with("+588"), "{second}");
    }
}
