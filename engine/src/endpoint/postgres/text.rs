//! Arrays into rows of text `COPY`, for tables with a column whose type has no binary form here.

use std::fmt::Write as _;

use crate::endpoint::postgres::chrono;
use crate::endpoint::postgres::encode::{Going, Values};
use crate::error::Result;
use crate::model::forms::{write_time, write_uuid};
use crate::model::kind::ColumnType;

/// Adds one row.
///
/// # Errors
/// `RowRefused` for a value that its column cannot hold.
pub(super) fn row(
    columns: &[Going<'_>],
    row: usize,
    scratch: &mut String,
    out: &mut Vec<u8>,
) -> Result<()> {
    for (at, column) in columns.iter().enumerate() {
        if at > 0 {
            out.push(b'\t');
        }
        if column.array.is_null(row) {
            out.extend_from_slice(b"\\N");
            continue;
        }
        column.check(row)?;
        scratch.clear();
        match &column.values {
            Values::Text(array) => escape(array.value(row), out),
            values => {
                value(values, &column.cell.kind, row, scratch);
                escape(scratch, out);
            }
        }
    }
    out.push(b'\n');
    Ok(())
}

/// Writes what is not text. Writing into a String cannot fail.
fn value(values: &Values<'_>, kind: &ColumnType, row: usize, out: &mut String) {
    match values {
        Values::Bool(array) => out.push(if array.value(row) { 't' } else { 'f' }),
        Values::Int(array) => {
            let _ = write!(out, "{}", array.value(row));
        }
        Values::Unsigned(array) => {
            let _ = write!(out, "{}", array.value(row));
        }
        Values::Float32(array) => float(array.value(row), array.value(row).is_infinite(), out),
        Values::Float64(array) => float(array.value(row), array.value(row).is_infinite(), out),
        Values::Text(array) => out.push_str(array.value(row)),
        Values::Bytes(array) => {
            out.push_str("\\x");
            for byte in array.value(row) {
                let _ = write!(out, "{byte:02x}");
            }
        }
        Values::Date(array) => chrono::date(array.value(row), out),
        Values::Time(array) => write_time(out, array.value(row)),
        Values::Duration(array) => write_time(out, array.value(row)),
        Values::Timestamp(array) => {
            chrono::timestamp(array.value(row), *kind == ColumnType::TimestampTz, out);
        }
        Values::Uuid(array) => write_uuid(out, array.value(row)),
    }
}

/// The shortest digits that give the same number.
fn float(number: impl std::fmt::Debug + PartialOrd + Default, infinite: bool, out: &mut String) {
    if !infinite {
        let _ = write!(out, "{number:?}");
    } else if number < Default::default() {
        out.push_str("-Infinity");
    } else {
        out.push_str("Infinity");
    }
}

/// A value as the manual's "Text Format" of COPY writes it.
fn escape(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        let letter = match byte {
            b'\\' => b'\\',
            b'\x08' => b'b',
            b'\x0c' => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            b'\x0b' => b'v',
            other => {
                out.push(other);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', letter]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_value_is_escaped() {
        let mut out = Vec::new();
        escape("a\tb\nc\\N\r", &mut out);
        assert_eq!(out, b"a\\tb\\nc\\\\N\\r");
        let mut text = String::new();
        float(-0.0_f64, false, &mut text);
        text.push(' ');
        float(f32::MIN_POSITIVE / 2.0, false, &mut text);
        text.push(' ');
        float(f64::NEG_INFINITY, true, &mut text);
        assert_eq!(text, "-0.0 5.877472e-39 -Infinity");
    }
}
