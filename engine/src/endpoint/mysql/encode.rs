//! Values of a batch as fields of a load, or as literals of a statement. How each column is written is
//! chosen once. What a column would change in silence is refused here: spaces that CHAR drops, bytes
//! that BINARY adds, fractions that a column rounds, numbers that an ENUM takes for ordinals.

use std::collections::HashSet;
use std::io::Write as _;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Date32Type, DurationMicrosecondType, Float32Type, Float64Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, UInt64Type,
};
use arrow_array::{Array, BinaryArray, BooleanArray, FixedSizeBinaryArray, StringArray};
use arrow_schema::{DataType, TimeUnit};

use crate::error::{EngineError, Kind, Result};
use crate::model::kind::ColumnType;
use crate::model::rows::{Cell, Misfit};

use super::calendar::{DAY, FIRST_DAY, LAST_DAY, write_date, write_duration, write_timestamp};
use super::escape;
use super::facts::Own;
use super::types::is_spatial;

/// The longest TIME, microseconds: 838:59:59.999999.
const TIME_MAX: i64 = 3_020_399_999_999;

/// What a value becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A field of `LOAD DATA`.
    Field,
    /// A literal.
    Literal,
}

/// A column that is written.
#[derive(Debug)]
pub(super) struct Field {
    pub own: Own,
    misfit: Misfit,
    target: Target,
    /// Whether a load must put it through an expression: what is loaded are bytes, and this column
    /// takes only text, or text of another character set.
    pub converted: bool,
}

/// What the target's column does with a value.
#[derive(Debug)]
enum Target {
    Plain,
    /// `char`: drops spaces.
    Char,
    /// `binary(n)`: adds zeros.
    Fixed(usize),
    Enum(HashSet<String>),
    Set(HashSet<String>),
    Year,
    /// `float`: rounds doubles.
    Single,
    Bits,
    Shape,
    /// `uuid`: takes sixteen bytes as they are.
    Uuid,
    /// Keeps so many microseconds apart.
    Fraction(i64),
}

impl Field {
    pub(super) fn new(own: &Own, cell: &Cell) -> Self {
        let target = match (own.base.as_str(), &own.kind) {
            ("char", _) if !matches!(cell.kind, ColumnType::Char(_)) => Target::Char,
            ("binary", ColumnType::FixedBytes(n)) => Target::Fixed(*n as usize),
            (_, ColumnType::Enum(labels)) => Target::Enum(labels.iter().cloned().collect()),
            (_, ColumnType::Set(labels)) => Target::Set(labels.iter().cloned().collect()),
            ("year", _) => Target::Year,
            ("float", _) => Target::Single,
            ("bit", _) => Target::Bits,
            ("uuid", _) => Target::Uuid,
            ("datetime" | "timestamp" | "time", _) => {
                let digits = u32::from(own.fraction.unwrap_or(0).min(6));
                Target::Fraction(10i64.pow(6 - digits))
            }
            (base, _) if is_spatial(base) => Target::Shape,
            _ => Target::Plain,
        };
        let bytes = matches!(own.charset.as_deref(), None | Some("utf8mb4" | "utf8mb3" | "utf8"));
        let text_only = matches!(own.base.as_str(), "json" | "inet4" | "inet6");
        Self { own: own.clone(), misfit: cell.misfit, target, converted: !bytes || text_only }
    }

    /// Appends a value.
    ///
    /// # Errors
    /// Why the column does not take it.
    #[inline]
    pub(super) fn put(
        &self,
        values: &Values<'_>,
        row: usize,
        form: Form,
        out: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        let null: &[u8] = if form == Form::Field { b"\\N" } else { b"NULL" };
        if values.array().is_null(row) {
            if !self.own.nullable {
                return Err("takes no NULL");
            }
            out.extend_from_slice(null);
            return Ok(());
        }
        let at = out.len();
        let put = self.value(values, row, form, out);
        if put.is_err() && self.misfit == Misfit::Null && self.own.nullable {
            out.truncate(at);
            out.extend_from_slice(null);
            return Ok(());
        }
        put
    }

    fn value(
        &self,
        values: &Values<'_>,
        row: usize,
        form: Form,
        out: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        let clamp = self.misfit == Misfit::Clamp;
        match values {
            Values::Bool(array) => out.push(b'0' + u8::from(array.value(row))),
            Values::Int(_, values) => {
                let value = values.get(row).copied().unwrap_or_default();
                if matches!(self.target, Target::Year) {
                    let _ = write!(out, "{value:04}");
                } else {
                    integer(value < 0, value.unsigned_abs(), out);
                }
            }
            Values::Unsigned(_, values) => {
                integer(false, values.get(row).copied().unwrap_or_default(), out);
            }
            Values::Single(_, values) => {
                self.float(values.get(row).copied().unwrap_or_default().into(), out)?;
            }
            Values::Double(_, values) => {
                self.float(values.get(row).copied().unwrap_or_default(), out)?;
            }
            Values::Days(_, values) => {
                let days = values.get(row).copied().unwrap_or_default();
                let near = days.clamp(FIRST_DAY, LAST_DAY);
                fits(near == days || clamp, "is a date outside of the years 1 to 9999")?;
                quoted(form, out, |out| write_date(near, out));
            }
            Values::Moments(_, values) => {
                let value = values.get(row).copied().unwrap_or_default();
                let first = i64::from(FIRST_DAY) * DAY;
                let near = value.clamp(first, i64::from(LAST_DAY) * DAY + DAY - 1);
                fits(near == value || clamp, "is a time outside of the years 1 to 9999")?;
                self.whole(near)?;
                quoted(form, out, |out| write_timestamp(near, out));
            }
            Values::Spans(_, values) => {
                let value = values.get(row).copied().unwrap_or_default();
                let near = value.clamp(-TIME_MAX, TIME_MAX);
                fits(near == value || clamp, "is a time beyond 838:59:59")?;
                self.whole(near)?;
                quoted(form, out, |out| write_duration(near, out));
            }
            Values::Text(array) => self.text(array.value(row), form, out)?,
            Values::Bytes(array) => self.bytes(array.value(row), form, out)?,
            Values::Sixteen(array) => self.uuid(array.value(row), form, out),
        }
        Ok(())
    }

    fn float(&self, value: f64, out: &mut Vec<u8>) -> Result<(), &'static str> {
        fits(value.is_finite(), "is no finite number")?;
        let single = matches!(self.target, Target::Single);
        fits(!single || f64::from(value as f32) == value, "has more digits than 32 bits hold")?;
        let _ = write!(out, "{value:?}");
        Ok(())
    }

    fn whole(&self, value: i64) -> Result<(), &'static str> {
        let kept = !matches!(self.target, Target::Fraction(step) if value % step != 0);
        fits(kept, "has more digits of a second than the column")
    }

    #[inline]
    fn text(&self, value: &str, form: Form, out: &mut Vec<u8>) -> Result<(), &'static str> {
        match &self.target {
            Target::Plain => {}
            Target::Char => fits(!value.ends_with(' '), "ends in spaces, which the column drops")?,
            Target::Enum(labels) => fits(labels.contains(value), "is none of the labels")?,
            Target::Set(labels) => {
                let known = value.is_empty() || value.split(',').all(|part| labels.contains(part));
                fits(known, "holds what is none of the labels")?;
            }
            Target::Bits => return bits(value, form, out),
            Target::Shape => return self.bytes(&shape(value)?, form, out),
            Target::Uuid if form == Form::Field => {
                let mut bytes = Vec::with_capacity(16);
                super::decode::uuid(value.as_bytes(), &mut bytes)?;
                escape::field(&bytes, out);
                return Ok(());
            }
            _ => {}
        }
        match form {
            Form::Field => escape::field(value.as_bytes(), out),
            Form::Literal => escape::quoted(value.as_bytes(), out),
        }
        Ok(())
    }

    fn bytes(&self, value: &[u8], form: Form, out: &mut Vec<u8>) -> Result<(), &'static str> {
        if let Target::Fixed(length) = self.target {
            fits(value.len() == length, "has not the column's length, which adds zeros")?;
        }
        match form {
            Form::Field => escape::field(value, out),
            Form::Literal => escape::hex(value, out),
        }
        Ok(())
    }

    fn uuid(&self, value: &[u8], form: Form, out: &mut Vec<u8>) {
        let raw = matches!(self.target, Target::Uuid) || self.own.charset.is_none();
        if raw && form == Form::Field {
            escape::field(value, out);
        } else if raw && !matches!(self.target, Target::Uuid) {
            escape::hex(value, out);
        } else {
            quoted(form, out, |out| {
                for (at, byte) in value.iter().enumerate() {
                    let dash = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
                    let _ = write!(out, "{dash}{byte:02x}");
                }
            });
        }
    }
}

fn fits(fits: bool, why: &'static str) -> Result<(), &'static str> {
    if fits { Ok(()) } else { Err(why) }
}

#[inline]
fn quoted(form: Form, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    if form == Form::Field {
        write(out);
        return;
    }
    out.push(b'\'');
    write(out);
    out.push(b'\'');
}

#[inline]
fn integer(negative: bool, mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut count = 0;
    for place in digits.iter_mut().rev() {
        *place = b'0' + (value % 10) as u8;
        value /= 10;
        count += 1;
        if value == 0 {
            break;
        }
    }
    if negative {
        out.push(b'-');
    }
    out.extend_from_slice(digits.get(20 - count..).unwrap_or_default());
}

fn bits(value: &str, form: Form, out: &mut Vec<u8>) -> Result<(), &'static str> {
    let sound = value.len() <= 64 && value.bytes().all(|b| matches!(b, b'0' | b'1'));
    fits(sound && !value.is_empty(), "is no string of bits")?;
    if form == Form::Literal {
        let _ = write!(out, "b'{value}'");
        return Ok(());
    }
    let number = value.bytes().fold(0u64, |sum, bit| sum << 1 | u64::from(bit & 1));
    let bytes = number.to_be_bytes();
    escape::field(bytes.get(8 - value.len().div_ceil(8)..).unwrap_or_default(), out);
    Ok(())
}

/// `SRID=n;` and hex digits, as the bytes that the server keeps.
fn shape(value: &str) -> Result<Vec<u8>, &'static str> {
    const ODD: &str = "is no shape";
    let (srid, digits) =
        value.strip_prefix("SRID=").and_then(|rest| rest.split_once(';')).ok_or(ODD)?;
    let srid: u32 = srid.parse().map_err(|_| ODD)?;
    let mut out = srid.to_le_bytes().to_vec();
    let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(ODD);
    for pair in digits.as_bytes().chunks(2) {
        let &[high, low] = pair else { return Err(ODD) };
        out.push((digit(high)? * 16 + digit(low)?) as u8);
    }
    Ok(out)
}

/// A column of a batch, looked at as what it is.
pub(super) enum Values<'a> {
    Bool(&'a BooleanArray),
    Int(&'a dyn Array, &'a [i64]),
    Unsigned(&'a dyn Array, &'a [u64]),
    Single(&'a dyn Array, &'a [f32]),
    Double(&'a dyn Array, &'a [f64]),
    Days(&'a dyn Array, &'a [i32]),
    Moments(&'a dyn Array, &'a [i64]),
    Spans(&'a dyn Array, &'a [i64]),
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
    Sixteen(&'a FixedSizeBinaryArray),
}

impl<'a> Values<'a> {
    /// A column of a batch.
    ///
    /// # Errors
    /// `Internal` for an array that no kind travels in.
    pub(super) fn of(array: &'a dyn Array) -> Result<Self> {
        use DataType as D;
        const MICRO: TimeUnit = TimeUnit::Microsecond;
        Ok(match array.data_type() {
            D::Boolean => Self::Bool(array.as_boolean()),
            D::Int64 => Self::Int(array, array.as_primitive::<Int64Type>().values()),
            D::UInt64 => Self::Unsigned(array, array.as_primitive::<UInt64Type>().values()),
            D::Float32 => Self::Single(array, array.as_primitive::<Float32Type>().values()),
            D::Float64 => Self::Double(array, array.as_primitive::<Float64Type>().values()),
            D::Date32 => Self::Days(array, array.as_primitive::<Date32Type>().values()),
            D::Timestamp(MICRO, _) => {
                Self::Moments(array, array.as_primitive::<TimestampMicrosecondType>().values())
            }
            D::Time64(MICRO) => {
                Self::Spans(array, array.as_primitive::<Time64MicrosecondType>().values())
            }
            D::Duration(MICRO) => {
                Self::Spans(array, array.as_primitive::<DurationMicrosecondType>().values())
            }
            D::Utf8 => Self::Text(array.as_string()),
            D::Binary => Self::Bytes(array.as_binary()),
            D::FixedSizeBinary(16) => Self::Sixteen(array.as_fixed_size_binary()),
            other => {
                let message = format!("rows do not travel as {other}");
                return Err(EngineError::new(Kind::Internal, message));
            }
        })
    }

    fn array(&self) -> &dyn Array {
        match self {
            Self::Bool(array) => *array,
            Self::Int(array, _)
            | Self::Unsigned(array, _)
            | Self::Single(array, _)
            | Self::Double(array, _)
            | Self::Days(array, _)
            | Self::Moments(array, _)
            | Self::Spans(array, _) => *array,
            Self::Text(array) => *array,
            Self::Bytes(array) => *array,
            Self::Sixteen(array) => *array,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_forms() {
        let mut out = Vec::new();
        integer(true, i64::MIN.unsigned_abs(), &mut out);
        integer(false, 0, &mut out);
        integer(false, u64::MAX, &mut out);
        assert_eq!(out, b"-9223372036854775808018446744073709551615");
        out.clear();
        bits("100000001", Form::Field, &mut out).unwrap();
        assert_eq!(out, b"\x01\x01");
        assert!(
            bits("", Form::Field, &mut out).is_err() && bits("2", Form::Literal, &mut out).is_err()
        );
        assert_eq!(shape("SRID=1;0aFF").unwrap(), [1, 0, 0, 0, 10, 255]);
        for odd in ["", "SRID=1;0", "SRID=-1;", "SRID=1;zz", "POINT(1 1)"] {
            assert!(shape(odd).is_err(), "{odd}");
        }
    }
}
