//! What a value in the file is as each kind; `None` where it is no such thing.

use std::fmt::Write as _;

use rusqlite::types::ValueRef;

use crate::model::forms;
use crate::model::kind::ColumnType;

/// How NaN is kept: a `REAL` column makes it NULL.
pub const NAN: &str = "NaN";
/// How -0.0 is kept: a `REAL` column makes it 0.
pub const MINUS_ZERO: &str = "-zero";

/// A truth.
#[must_use]
pub fn boolean(value: ValueRef<'_>) -> Option<bool> {
    match value {
        ValueRef::Integer(0) => Some(false),
        ValueRef::Integer(1) => Some(true),
        _ => None,
    }
}

/// The least and the greatest signed integer of so many bits.
#[must_use]
pub fn signed(bits: u8) -> (i64, i64) {
    let most = i64::MAX >> (64 - u32::from(bits.clamp(1, 64)));
    (-most - 1, most)
}

/// The greatest unsigned integer of so many bits.
#[must_use]
pub fn unsigned(bits: u8) -> u64 {
    u64::MAX >> (64 - u32::from(bits.clamp(1, 64)))
}

/// A double.
#[must_use]
pub fn float(value: ValueRef<'_>) -> Option<f64> {
    match value {
        ValueRef::Real(value) => Some(value),
        ValueRef::Integer(value) => {
            let exact = value.unsigned_abs() <= 1 << 53;
            exact.then_some(value as f64)
        }
        ValueRef::Text(text) if text == NAN.as_bytes() => Some(f64::NAN),
        ValueRef::Text(text) if text == MINUS_ZERO.as_bytes() => Some(-0.0),
        _ => None,
    }
}

/// A float of 32 bits.
#[must_use]
pub fn float32(value: ValueRef<'_>) -> Option<f32> {
    let wide = float(value)?;
    let narrow = wide as f32;
    (wide.is_nan() || f64::from(narrow) == wide).then_some(narrow)
}

/// Text, and numbers as text; `scratch` holds what is not in the file as text.
#[must_use]
pub fn text<'a>(value: ValueRef<'a>, scratch: &'a mut String) -> Option<&'a str> {
    scratch.clear();
    match value {
        ValueRef::Text(text) => return std::str::from_utf8(text).ok(),
        ValueRef::Integer(value) => {
            let _ = write!(scratch, "{value}");
        }
        ValueRef::Real(value) if value.is_finite() => {
            let _ = write!(scratch, "{value:?}");
        }
        _ => return None,
    }
    Some(scratch)
}

/// A decimal number in plain digits, with all digits of the scale; a double is the shortest number
/// that stands for it.
#[must_use]
pub fn decimal<'a>(
    value: ValueRef<'a>,
    size: Option<(u32, i32)>,
    scratch: &'a mut String,
) -> Option<&'a str> {
    scratch.clear();
    if let (ValueRef::Real(value), Some((digits, scale))) = (value, size)
        && let Some(units) = units(value, digits, scale)
    {
        return push_units(scratch, units, scale).map(|()| &**scratch);
    }
    match value {
        ValueRef::Text(text) => {
            let text = std::str::from_utf8(text).ok().filter(|text| forms::is_decimal(text))?;
            scratch.push_str(text);
        }
        ValueRef::Integer(value) => write!(scratch, "{value}").ok()?,
        ValueRef::Real(value) if value.is_finite() => write!(scratch, "{}", value + 0.0).ok()?,
        _ => return None,
    }
    let Some((digits, scale)) = size else { return Some(scratch) };
    if scratch.ends_with(|c: char| c.is_ascii_alphabetic()) {
        // Infinity has more digits than any number.
        return (scratch == NAN).then_some(scratch);
    }
    let (whole, behind) = forms::decimal_parts(scratch);
    let (whole, have) = (whole.trim_start_matches('0'), behind.map_or(0, str::len));
    let said = behind.unwrap_or_default().trim_end_matches('0').len();
    let most = i64::from(digits) - i64::from(scale);
    let scale = usize::try_from(scale).unwrap_or(0);
    if said > scale || i64::try_from(whole.len()).ok()? > most {
        return None;
    }
    if have == 0 && scale > 0 {
        scratch.push('.');
    }
    match have.checked_sub(scale) {
        None => scratch.extend(std::iter::repeat_n('0', scale - have)),
        Some(0) => {}
        // Zeros that the type has no place for; the point too where it has none at all.
        Some(more) => scratch.truncate(scratch.len() - more - usize::from(scale == 0)),
    }
    Some(scratch)
}

/// A double in units of the last digit of a scale, where it is the double nearest to that number and
/// the number has no more digits than asked for. Of all numbers of up to 15 digits no two are nearest
/// to one double (IEEE 754: 53 bits hold 15 decimal digits), so it is also the shortest that stands
/// for it.
fn units(value: f64, digits: u32, scale: i32) -> Option<i64> {
    const MOST: u32 = 15;
    let places = u32::try_from(scale).ok().filter(|places| *places <= digits.min(MOST))?;
    let unit = 10_i64.pow(places) as f64;
    let units = (value * unit).round();
    let most = 10_i64.pow(digits.min(MOST)) as f64;
    (units.abs() < most && units / unit == value).then_some(units as i64)
}

/// Writes so many units with their point.
fn push_units(out: &mut String, units: i64, scale: i32) -> Option<()> {
    let places = usize::try_from(scale).ok()?;
    let mut digits = [b'0'; 20];
    let (mut left, mut used) = (units.unsigned_abs(), 0);
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(left % 10).ok()?;
        (left, used) = (left / 10, used + 1);
        if left == 0 && used > places {
            break;
        }
    }
    let point = digits.len() - places;
    if units < 0 {
        out.push('-');
    }
    out.push_str(std::str::from_utf8(digits.get(digits.len() - used..point)?).ok()?);
    if places > 0 {
        out.push('.');
        out.push_str(std::str::from_utf8(digits.get(point..)?).ok()?);
    }
    Some(())
}

/// Whether text is at most so many characters.
#[must_use]
pub fn fits(text: &str, most: u64) -> bool {
    text.len() as u64 <= most || text.chars().count() as u64 <= most
}

/// Bytes.
#[must_use]
pub fn bytes(value: ValueRef<'_>) -> Option<&[u8]> {
    match value {
        ValueRef::Blob(bytes) => Some(bytes),
        _ => None,
    }
}

/// A UUID, as text or as its bytes.
#[must_use]
pub fn uuid(value: ValueRef<'_>) -> Option<[u8; 16]> {
    match value {
        ValueRef::Blob(bytes) => bytes.try_into().ok(),
        ValueRef::Text(_) => forms::read_uuid(own_text(value)?),
        _ => None,
    }
}

/// Text that is in the file as text.
#[must_use]
pub fn own_text(value: ValueRef<'_>) -> Option<&str> {
    match value {
        ValueRef::Text(text) => std::str::from_utf8(text).ok(),
        _ => None,
    }
}

/// What a day, a time or a moment travels as.
#[must_use]
pub fn time(kind: &ColumnType, value: ValueRef<'_>) -> Option<i64> {
    let text = own_text(value)?;
    match kind {
        ColumnType::Date => forms::read_date(text).map(i64::from),
        ColumnType::Time => forms::read_time(text),
        ColumnType::Duration => forms::read_duration(text),
        ColumnType::Timestamp => forms::read_timestamp(text, false),
        ColumnType::TimestampTz => forms::read_timestamp(text, true),
        _ => None,
    }
}

/// Text of a kind that asks something of its text.
#[must_use]
pub fn checked<'a>(
    kind: &ColumnType,
    value: ValueRef<'a>,
    scratch: &'a mut String,
) -> Option<&'a str> {
    let text = text(value, scratch)?;
    let length = text.len() as u64;
    let bits = || text.bytes().all(|bit| matches!(bit, b'0' | b'1'));
    let holds = match kind {
        ColumnType::Text(Some(most)) => fits(text, *most),
        // SQLite pads nothing: what is shorter would be another value where that is done.
        ColumnType::Char(most) => length >= *most && text.chars().count() as u64 == *most,
        ColumnType::Bits(width) => length == *width && bits(),
        ColumnType::VarBits(most) => most.is_none_or(|most| length <= most) && bits(),
        _ => true,
    };
    holds.then_some(text)
}

/// Whether a value that is not NULL can be carried as this kind.
#[must_use]
pub fn holds(kind: &ColumnType, value: ValueRef<'_>, scratch: &mut String) -> bool {
    let integer = |(least, most): (i64, i64)| matches!(value, ValueRef::Integer(value) if (least..=most).contains(&value));
    match kind {
        ColumnType::Bool => boolean(value).is_some(),
        ColumnType::Int(bits) => integer(signed(*bits)),
        ColumnType::Year => integer((0, 9999)),
        ColumnType::Unsigned(bits) => {
            integer((0, i64::try_from(unsigned(*bits)).unwrap_or(i64::MAX)))
        }
        ColumnType::Float32 => float32(value).is_some(),
        ColumnType::Float64 => float(value).is_some(),
        ColumnType::Decimal(size) => decimal(value, *size, scratch).is_some(),
        ColumnType::Bytes(most) => {
            bytes(value).is_some_and(|bytes| most.is_none_or(|most| bytes.len() as u64 <= most))
        }
        ColumnType::FixedBytes(length) => {
            bytes(value).is_some_and(|bytes| bytes.len() as u64 == *length)
        }
        ColumnType::Date
        | ColumnType::Time
        | ColumnType::Duration
        | ColumnType::Timestamp
        | ColumnType::TimestampTz => time(kind, value).is_some(),
        ColumnType::Uuid => uuid(value).is_some(),
        ColumnType::Any => {
            !matches!(value, ValueRef::Text(text) if std::str::from_utf8(text).is_err())
        }
        _ => checked(kind, value, scratch).is_some(),
    }
}

/// The name of a value's class.
#[must_use]
pub fn class(value: ValueRef<'_>) -> &'static str {
    match value {
        ValueRef::Null => "NULL",
        ValueRef::Integer(_) => "an integer",
        ValueRef::Real(_) => "a real number",
        ValueRef::Text(text) if std::str::from_utf8(text).is_err() => "text that is not UTF-8",
        ValueRef::Text(_) => "text",
        ValueRef::Blob(_) => "bytes",
    }
}

/// A value as text for people and rejects; `None` for NULL.
#[must_use]
pub fn shown(value: ValueRef<'_>) -> Option<Vec<u8>> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(value) => Some(value.to_string().into_bytes()),
        ValueRef::Real(value) => Some(format!("{value:?}").into_bytes()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimals_have_the_digits_of_their_scale() {
        let read =
            |value: ValueRef<'_>, size| decimal(value, size, &mut String::new()).map(str::to_owned);
        let text = |text: &'static str| ValueRef::Text(text.as_bytes());
        for (value, size, wanted) in [
            (ValueRef::Real(19.99), Some((10, 2)), Some("19.99")),
            (ValueRef::Real(19.9), Some((10, 2)), Some("19.90")),
            (ValueRef::Integer(5), Some((10, 2)), Some("5.00")),
            (ValueRef::Integer(5), None, Some("5")),
            (ValueRef::Real(-0.0), None, Some("0")),
            (ValueRef::Real(0.1 + 0.2), Some((10, 2)), None),
            (ValueRef::Real(1e20), Some((10, 0)), None),
            (ValueRef::Real(1e20), None, Some("100000000000000000000")),
            (text("1.100"), Some((10, 2)), Some("1.10")),
            (text("-7.00"), Some((10, 0)), Some("-7")),
            (text("1.10"), None, Some("1.10")),
            (text("NaN"), Some((10, 2)), Some("NaN")),
            (text("Infinity"), Some((10, 2)), None),
            (text("Infinity"), None, Some("Infinity")),
            (text("1e5"), None, None),
            (text("12000"), Some((2, -3)), Some("12000")),
            (text("123000"), Some((2, -3)), None.or(Some("123000")).filter(|_| false)),
        ] {
            assert_eq!(read(value, size).as_deref(), wanted, "{value:?} {size:?}");
        }
    }

    proptest! {
        #[test]
        fn doubles_are_the_same_decimals_by_units(
            value in prop_oneof![
                any::<f64>(),
                (any::<i32>(), 0..8_i32).prop_map(|(n, s)| f64::from(n) / 10_f64.powi(s)),
                (any::<i64>(), 0..8_i32).prop_map(|(n, s)| n as f64 / 10_f64.powi(s)),
            ],
            digits in 1..20_u32,
            scale in -3..12_i32,
        ) {
            // As text the same number takes the longer way.
            let text = format!("{}", value + 0.0);
            let slow = decimal(ValueRef::Text(text.as_bytes()), Some((digits, scale)), &mut String::new())
                .map(str::to_owned)
                .filter(|_| value.is_finite());
            let fast = decimal(ValueRef::Real(value), Some((digits, scale)), &mut String::new()).map(str::to_owned);
            prop_assert_eq!(fast, slow);
        }
    }

    #[test]
    fn text_of_a_fixed_length_has_that_length() {
        let holds = |text: &str| {
            let value = ValueRef::Text(text.as_bytes());
            holds(&ColumnType::Char(3), value, &mut String::new())
        };
        assert!(holds("abc") && holds("a  ") && holds("éßж"));
        assert!(!holds("a") && !holds("abcd") && !holds("é") && !holds(""));
    }

    #[test]
    fn widths_are_those_of_the_machine() {
        assert_eq!(
            (signed(8), signed(24), signed(64)),
            ((-128, 127), (-8_388_608, 8_388_607), (i64::MIN, i64::MAX))
        );
        assert_eq!((unsigned(8), unsigned(64)), (255, u64::MAX));
    }
}
