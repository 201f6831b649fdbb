//! One value of a text: what it is as a value of another type, or why it is none.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use serde::de::IgnoredAny;

use crate::endpoint::rows::LossClass;
use crate::model::forms;
use crate::model::kind::{
    ColumnType, DATE_INFINITE, DATE_MINUS_INFINITE, TIMESTAMP_INFINITE, TIMESTAMP_MINUS_INFINITE,
};

const DAY_MICROS: i64 = 86_400_000_000;
/// Greatest exponent that is written out.
const EXPONENT_MAX: i32 = 400;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of text, JSON, decimals.
    Text(String),
    /// Of integers.
    Int(i64),
    /// Of doubles.
    Float(f64),
    /// Of booleans.
    Bool(bool),
    /// Of dates: days.
    Day(i32),
    /// Of moments: microseconds.
    Micros(i64),
    /// Of bytes.
    Bytes(Vec<u8>),
}

/// A text that is no such value.
#[derive(Clone, Debug, PartialEq)]
pub struct Unfit {
    /// Why.
    pub class: LossClass,
    /// The nearest value that is, where one is.
    pub nearest: Option<Value>,
}

fn unfit<T>(class: LossClass, nearest: Option<Value>) -> Result<T, Unfit> {
    Err(Unfit { class, nearest })
}

/// Reads a value of this kind, which must keep these bounds too.
///
/// # Errors
/// Why it is none.
pub fn make(kind: &ColumnType, bounds: &[LossClass], text: &str) -> Result<Value, Unfit> {
    let judged = read(kind, text).and_then(|made| bounds.iter().try_fold(made, within));
    // What is nearest by one bound may be outside of another.
    judged.map_err(|unfit| {
        let nearest = unfit.nearest.and_then(|nearest| settled(nearest, bounds));
        Unfit { nearest, ..unfit }
    })
}

fn settled(nearest: Value, bounds: &[LossClass]) -> Option<Value> {
    bounds.iter().try_fold(nearest, |nearest, bound| match within(nearest, bound) {
        Ok(value) => Some(value),
        Err(unfit) => unfit.nearest,
    })
}

fn read(kind: &ColumnType, text: &str) -> Result<Value, Unfit> {
    let none = || unfit(LossClass::NotCast, None);
    Ok(match kind {
        ColumnType::Text(most) => match most {
            Some(most) => short(text, *most)?,
            None => Value::Text(text.to_owned()),
        },
        ColumnType::Int(bits) => integer(text, *bits)?,
        ColumnType::Decimal(size) => decimal(text, *size)?,
        ColumnType::Float64 => float(text)?,
        ColumnType::Bool => match text.to_ascii_lowercase().as_str() {
            "1" | "t" | "true" => Value::Bool(true),
            "0" | "f" | "false" => Value::Bool(false),
            _ => return unfit(LossClass::NotBoolean, None),
        },
        ColumnType::Date => date(text)?,
        ColumnType::Timestamp => match moment(text) {
            Some(micros) => Value::Micros(micros),
            None => return none(),
        },
        ColumnType::Json if serde_json::from_str::<IgnoredAny>(text).is_err() => {
            return unfit(LossClass::NotJson, None);
        }
        ColumnType::Json => Value::Text(text.to_owned()),
        ColumnType::Bytes(_) => Value::Bytes(text.as_bytes().to_vec()),
        _ => return none(),
    })
}

fn short(text: &str, most: u64) -> Result<Value, Unfit> {
    let most_chars = usize::try_from(most).unwrap_or(usize::MAX);
    match text.char_indices().nth(most_chars) {
        None => Ok(Value::Text(text.to_owned())),
        Some((end, _)) => {
            let cut = text.get(..end).unwrap_or_default().to_owned();
            unfit(LossClass::Longer(most), Some(Value::Text(cut)))
        }
    }
}

/// A number in plain digits, without zeros that say nothing in front: whether it is negative, the
/// digits in front of the point, those behind.
fn digits(text: &str) -> Option<(bool, String, String)> {
    let (minus, rest) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (rest, 0),
    };
    let (whole, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let empty = whole.is_empty() && behind.is_empty();
    if empty || !plain(whole) || !plain(behind) || exponent.abs() > EXPONENT_MAX {
        return None;
    }
    let (mut whole, mut behind) = (whole.to_owned(), behind.to_owned());
    let shift = exponent.unsigned_abs() as usize;
    if exponent > 0 {
        let moved = behind.len().min(shift);
        whole.extend(behind.drain(..moved));
        whole.extend(std::iter::repeat_n('0', shift - moved));
    } else if exponent < 0 {
        let kept = whole.len().saturating_sub(shift);
        let zeros = shift.saturating_sub(whole.len());
        behind = "0".repeat(zeros) + &whole.split_off(kept) + &behind;
    }
    let whole = whole.trim_start_matches('0').to_owned();
    Some((minus, whole, behind))
}

fn integer(text: &str, bits: u8) -> Result<Value, Unfit> {
    let Some((minus, whole, behind)) = digits(text) else {
        return unfit(LossClass::NotCast, None);
    };
    let most = (1i128 << u32::from(bits.clamp(1, 64) - 1)) - 1;
    let least = -most - 1;
    let size = if whole.is_empty() { Some(0) } else { whole.parse::<i128>().ok() };
    let round = i128::from(behind.as_bytes().first().is_some_and(|digit| *digit >= b'5'));
    let signed = |size: i128| if minus { -size } else { size };
    let nearest = size.map_or(signed(i128::MAX >> 1), |size| signed(size.saturating_add(round)));
    let nearest = Value::Int(i64::try_from(nearest.clamp(least, most)).unwrap_or_default());
    match size.map(signed).filter(|size| (least..=most).contains(size)) {
        None => unfit(LossClass::IntegerOutside { least, most }, Some(nearest)),
        Some(_) if behind.bytes().any(|digit| digit != b'0') => {
            unfit(LossClass::DecimalOutside { whole: 19, scale: 0 }, Some(nearest))
        }
        Some(size) => Ok(Value::Int(i64::try_from(size).unwrap_or_default())),
    }
}

fn decimal(text: &str, size: Option<(u32, i32)>) -> Result<Value, Unfit> {
    if matches!(text, "NaN" | "Infinity" | "-Infinity") {
        return unfit(LossClass::NotFinite, None);
    }
    let Some((minus, whole, behind)) = digits(text) else {
        return unfit(LossClass::NotCast, None);
    };
    let Some((all, scale)) = size else { return Ok(plain(minus, &whole, &behind)) };
    let scale = usize::try_from(scale).unwrap_or(0);
    let most = usize::try_from(all).unwrap_or(0).saturating_sub(scale);
    let exact = behind.trim_end_matches('0').len() <= scale;
    let kept = behind.get(..scale.min(behind.len())).unwrap_or_default();
    let kept = format!("{kept:0<scale$}");
    if exact && whole.len() <= most {
        return Ok(plain(minus, &whole, &kept));
    }
    let up = behind.as_bytes().get(scale).is_some_and(|digit| *digit >= b'5');
    let rounded = if up { add_one(&(whole + &kept)) } else { whole + &kept };
    let (whole, behind) = rounded.split_at(rounded.len().saturating_sub(scale));
    let nearest = if whole.len() > most {
        plain(minus, &"9".repeat(most), &"9".repeat(scale))
    } else {
        plain(minus, whole, behind)
    };
    let (whole, scale) = (most as u32, scale as u32);
    unfit(LossClass::DecimalOutside { whole, scale }, Some(nearest))
}

/// Digits of the next greater number.
fn add_one(digits: &str) -> String {
    let mut out: Vec<u8> = digits.bytes().collect();
    for digit in out.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return String::from_utf8_lossy(&out).into_owned();
        }
        *digit = b'0';
    }
    format!("1{}", String::from_utf8_lossy(&out))
}

/// A decimal of its digits. There is no zero below zero.
fn plain(minus: bool, whole: &str, behind: &str) -> Value {
    let zero = whole.bytes().chain(behind.bytes()).all(|digit| digit == b'0');
    let sign = if minus && !zero { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if behind.is_empty() { "" } else { "." };
    Value::Text(format!("{sign}{whole}{point}{behind}"))
}

fn float(text: &str) -> Result<Value, Unfit> {
    let number = match text {
        "NaN" => f64::NAN,
        "Infinity" => f64::INFINITY,
        "-Infinity" => f64::NEG_INFINITY,
        _ if digits(text).is_none() => return unfit(LossClass::NotCast, None),
        _ => match text.parse::<f64>() {
            // A number too small for a double is none of zero's.
            Ok(0.0) if digits(text).is_some_and(|(_, whole, behind)| is_some(&whole, &behind)) => {
                return unfit(LossClass::NotCast, Some(Value::Float(0.0)));
            }
            Ok(number) if number.is_finite() => number,
            _ => {
                let most = if text.starts_with('-') { f64::MIN } else { f64::MAX };
                return unfit(LossClass::NotFinite, Some(Value::Float(most)));
            }
        },
    };
    Ok(Value::Float(number))
}

fn is_some(whole: &str, behind: &str) -> bool {
    whole.bytes().chain(behind.bytes()).any(|digit| digit != b'0')
}

fn moment(text: &str) -> Option<i64> {
    forms::read_timestamp(text, false).or_else(|| forms::read_timestamp(text, true))
}

fn date(text: &str) -> Result<Value, Unfit> {
    if let Some(day) = forms::read_date(text) {
        return Ok(Value::Day(day));
    }
    let Some(micros) = moment(text) else { return unfit(LossClass::NotCast, None) };
    let day = i32::try_from(micros.div_euclid(DAY_MICROS)).ok().map(Value::Day);
    match day {
        Some(day) if micros.rem_euclid(DAY_MICROS) == 0 => Ok(day),
        day => unfit(LossClass::NotCast, day),
    }
}

/// Whether a value keeps a bound of the target's.
fn within(value: Value, bound: &LossClass) -> Result<Value, Unfit> {
    let lost = |nearest: Option<Value>| unfit(bound.clone(), nearest);
    match (bound, &value) {
        (LossClass::IntegerOutside { least, most }, Value::Int(number)) => {
            let near = i128::from(*number).clamp(*least, *most);
            if near == i128::from(*number) {
                return Ok(value);
            }
            lost(i64::try_from(near).ok().map(Value::Int))
        }
        (LossClass::DecimalOutside { whole, scale }, Value::Text(text)) => {
            decimal(text, Some((whole + scale, i32::try_from(*scale).unwrap_or(0)))).map(|_| value)
        }
        (LossClass::NotFinite, Value::Float(number)) if !number.is_finite() => lost(None),
        (LossClass::InfiniteDate, Value::Day(DATE_INFINITE | DATE_MINUS_INFINITE))
        | (LossClass::InfiniteDate, Value::Micros(TIMESTAMP_INFINITE | TIMESTAMP_MINUS_INFINITE)) => {
            lost(None)
        }
        (LossClass::DateOutside { first, end }, Value::Day(day)) => {
            match outside(i64::from(*day), first, end) {
                None => Ok(value),
                Some(near) => lost(i32::try_from(near).ok().map(Value::Day)),
            }
        }
        (LossClass::DateOutside { first, end }, Value::Micros(micros)) => {
            let day = micros.div_euclid(DAY_MICROS);
            match outside(day, first, end) {
                None => Ok(value),
                Some(near) if near < day => lost(Some(Value::Micros((near + 1) * DAY_MICROS - 1))),
                Some(near) => lost(Some(Value::Micros(near * DAY_MICROS))),
            }
        }
        (LossClass::Nul, Value::Text(text)) if text.contains('\0') => lost(None),
        (LossClass::Longer(most), Value::Text(text)) => short(text, *most),
        (LossClass::Longer(most), Value::Bytes(bytes)) if bytes.len() as u64 > *most => lost(None),
        _ => Ok(value),
    }
}

/// The nearest day within, of a day that is outside; infinity has a class of its own.
fn outside(day: i64, first: &str, end: &str) -> Option<i64> {
    let (first, end) = (forms::bound(first)?, forms::bound(end)?);
    let infinite = [i64::from(DATE_INFINITE), i64::from(DATE_MINUS_INFINITE)].contains(&day);
    let near = day.clamp(first, end.saturating_sub(1).max(first));
    (near != day && !infinite).then_some(near)
}

/// The array of values of this kind.
#[must_use]
pub fn array(kind: &ColumnType, values: &[Option<Value>]) -> ArrayRef {
    macro_rules! collected {
        ($array:ty, $variant:ident, $of:expr) => {{
            let of = |value: &Option<Value>| match value {
                Some(Value::$variant(value)) => Some($of(value)),
                _ => None,
            };
            Arc::new(values.iter().map(of).collect::<$array>())
        }};
    }
    match kind {
        ColumnType::Int(_) => collected!(Int64Array, Int, |n: &i64| *n),
        ColumnType::Float64 => collected!(Float64Array, Float, |n: &f64| *n),
        ColumnType::Bool => collected!(BooleanArray, Bool, |b: &bool| *b),
        ColumnType::Date => collected!(Date32Array, Day, |n: &i32| *n),
        ColumnType::Timestamp => collected!(TimestampMicrosecondArray, Micros, |n: &i64| *n),
        ColumnType::Bytes(_) => collected!(BinaryArray, Bytes, Vec::clone),
        _ => collected!(StringArray, Text, String::clone),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Option<Value> {
        Some(Value::Text(text.to_owned()))
    }

    fn nearest(kind: &ColumnType, text: &str) -> Option<Value> {
        make(kind, &[], text).unwrap_err().nearest
    }

    #[test]
    fn integers_are_exact_or_refused() {
        let int = |of: &str| make(&ColumnType::Int(32), &[], of).ok();
        for (of, wanted) in [("7", 7), ("-0", 0), ("+12.00", 12), ("1e3", 1000), ("12e-1", 1)] {
            let found = int(of);
            assert_eq!(found, (of != "12e-1").then_some(Value::Int(wanted)), "{of}");
        }
        for bad in ["", " 1", "1 ", "x", "1.5", "2147483648", "0x1", "1e999", "--1", ".", "1e", "٣"]
        {
            assert_eq!(int(bad), None, "{bad}");
        }
        let near = |of: &str| nearest(&ColumnType::Int(32), of);
        assert_eq!(near("1.5"), Some(Value::Int(2)));
        assert_eq!(near("-2147483649"), Some(Value::Int(-2_147_483_648)));
        let huge = "9".repeat(60);
        assert_eq!(near(&huge), Some(Value::Int(2_147_483_647)));
        assert_eq!(
            make(&ColumnType::Int(64), &[], "-9223372036854775808"),
            Ok(Value::Int(i64::MIN))
        );
    }

    #[test]
    fn decimals_keep_their_digits_or_are_refused() {
        let kind = ColumnType::Decimal(Some((5, 2)));
        let made = |of: &str| make(&kind, &[], of).ok();
        for (of, wanted) in [
            ("1.5", "1.50"),
            ("-0.00", "0.00"),
            ("999.990", "999.99"),
            ("1e2", "100.00"),
            (".5", "0.50"),
        ] {
            assert_eq!(made(of), text(wanted), "{of}");
        }
        assert_eq!(nearest(&kind, "1.005"), text("1.01"));
        assert_eq!(nearest(&kind, "9.999"), text("10.00"));
        assert_eq!(nearest(&kind, "-1000"), text("-999.99"));
        assert_eq!(nearest(&kind, "999.999"), text("999.99"));
        assert_eq!(nearest(&kind, "NaN"), None);
        assert_eq!(make(&ColumnType::Decimal(None), &[], "-1.10").ok(), text("-1.10"));
    }

    #[test]
    fn what_is_nearest_keeps_every_bound() {
        let small = LossClass::IntegerOutside { least: -32768, most: 32767 };
        let found = make(&ColumnType::Int(32), &[small], "5000000000").unwrap_err();
        assert_eq!(found.nearest, Some(Value::Int(32767)));
        let narrow = LossClass::DecimalOutside { whole: 6, scale: 2 };
        let found = make(&ColumnType::Decimal(Some((10, 4))), &[narrow], "1.23456").unwrap_err();
        assert_eq!(found.nearest, text("1.23"));
    }

    #[test]
    fn doubles_are_no_zero_where_the_number_is_none() {
        let made = |of: &str| make(&ColumnType::Float64, &[], of).ok();
        assert_eq!(made("1e-350"), None);
        assert_eq!(
            (made("0e-350"), made("-0.000")),
            (Some(Value::Float(0.0)), Some(Value::Float(-0.0)))
        );
        assert_eq!(made("5e-324"), Some(Value::Float(5e-324)));
    }

    #[test]
    fn others_are_exact_or_refused() {
        let made = |kind: &ColumnType, of: &str| make(kind, &[], of).ok();
        assert_eq!(made(&ColumnType::Date, "2024-02-29"), Some(Value::Day(19_782)));
        assert_eq!(made(&ColumnType::Date, "2024-02-29 00:00:00"), Some(Value::Day(19_782)));
        assert_eq!(made(&ColumnType::Date, "2023-02-29"), None);
        assert_eq!(nearest(&ColumnType::Date, "2024-02-29 10:00:00"), Some(Value::Day(19_782)));
        let hour = Some(Value::Micros(3_600_000_000));
        assert_eq!(made(&ColumnType::Timestamp, "1970-01-01T01:00"), hour);
        assert_eq!(made(&ColumnType::Timestamp, "1970-01-01 02:00:00+01"), hour);
        assert_eq!(made(&ColumnType::Bool, "T"), Some(Value::Bool(true)));
        assert_eq!(made(&ColumnType::Bool, "2"), None);
        assert_eq!(made(&ColumnType::Json, "{\"a\":1}"), text("{\"a\":1}"));
        assert_eq!(made(&ColumnType::Json, "{a:1}"), None);
        assert_eq!(made(&ColumnType::Float64, "1e-3"), Some(Value::Float(0.001)));
        assert_eq!(made(&ColumnType::Float64, "inf"), None);
        assert_eq!(nearest(&ColumnType::Float64, "-1e399"), Some(Value::Float(f64::MIN)));
        assert_eq!(nearest(&ColumnType::Text(Some(2)), "日本語"), text("日本"));
    }

    #[test]
    fn bounds_of_the_target_hold() {
        let bound = [LossClass::DateOutside { first: "0001-01-01", end: "10000-01-01" }];
        let late = make(&ColumnType::Date, &bound, "+012024-02-29").unwrap_err();
        assert_eq!(late.nearest, Some(Value::Day(2_932_896)));
        let finite = [LossClass::NotFinite];
        assert!(make(&ColumnType::Float64, &finite, "NaN").is_err());
        assert!(make(&ColumnType::Float64, &[], "NaN").is_ok());
        assert!(make(&ColumnType::Text(None), &[LossClass::Nul], "a\0b").is_err());
    }

    proptest! {
        #[test]
        fn integers_come_back(number: i64) {
            let found = make(&ColumnType::Int(64), &[], &number.to_string());
            prop_assert_eq!(found, Ok(Value::Int(number)));
        }

        #[test]
        fn no_text_is_too_odd(of in "\\PC*") {
            for name in ["text(3)", "integer", "decimal(7,3)", "double", "date", "timestamp", "json"] {
                drop(make(&crate::table::cast::kind(name).unwrap(), &[], &of));
            }
        }
    }
}
