//! Values that the target cannot hold, made into what their policy says: NULL, or the nearest that it
//! can. What the readers cannot carry they see to themselves; here it is the target that is the limit.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, DurationMicrosecondType, Float32Type, Float64Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, UInt64Type,
};
use arrow_array::{Array, ArrayRef, BinaryArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_schema::{DataType, TimeUnit};
use serde::de::IgnoredAny;

use crate::endpoint::rows::LossClass;
use crate::error::{EngineError, Kind, Result};
use crate::model::forms;
use crate::model::kind::{
    DATE_INFINITE, DATE_MINUS_INFINITE, TIMESTAMP_INFINITE, TIMESTAMP_MINUS_INFINITE,
};
use crate::model::rows::{Misfit, Rows};

const DAY_MICROS: i64 = 86_400_000_000;

/// What a column's values are made to fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// What the target cannot hold.
    pub class: LossClass,
    /// What becomes of it: NULL or the nearest; nothing else is done here.
    pub misfit: Misfit,
    /// The first day that fits and the first that does not any more, for infinite ones.
    pub days: Option<(&'static str, &'static str)>,
}

/// What becomes of a value.
#[derive(Clone, Debug, PartialEq)]
enum Held<T> {
    /// It fits, or nothing is near.
    Same,
    Near(T),
    Null,
}

/// Makes rows fit: one list for each column. Adds to `changed` the values that became others.
///
/// # Errors
/// `Internal` for rows in a form that cannot be changed.
pub fn apply(rows: Rows, fits: &[Vec<Fit>], changed: &mut u64) -> Result<Rows> {
    if fits.iter().all(Vec::is_empty) {
        return Ok(rows);
    }
    let Rows::Batch(batch) = rows else {
        let message = "values of rows in their own form cannot be changed";
        return Err(EngineError::new(Kind::Internal, message));
    };
    let mut columns = batch.columns().to_vec();
    for (array, fits) in columns.iter_mut().zip(fits) {
        for fit in fits {
            *array = fitted(array, fit, changed);
        }
    }
    let made = RecordBatch::try_new(batch.schema(), columns)
        .map_err(|error| EngineError::new(Kind::Internal, format!("a fit: {error}")))?;
    Ok(Rows::Batch(made))
}

fn fitted(array: &ArrayRef, fit: &Fit, changed: &mut u64) -> ArrayRef {
    match array.data_type() {
        DataType::Int64 => each::<Int64Type>(array, changed, |value| {
            fit.integer(i128::from(value)).map(|near| near.try_into().ok())
        }),
        DataType::UInt64 => each::<UInt64Type>(array, changed, |value| {
            fit.integer(i128::from(value)).map(|near| near.try_into().ok())
        }),
        DataType::Float64 => each::<Float64Type>(array, changed, |value| {
            let near = (!value.is_nan()).then_some(f64::MAX.copysign(value));
            fit.real(value.is_finite(), near)
        }),
        DataType::Float32 => each::<Float32Type>(array, changed, |value| {
            let near = (!value.is_nan()).then_some(f32::MAX.copysign(value));
            fit.real(value.is_finite(), near)
        }),
        DataType::Date32 => each::<Date32Type>(array, changed, |value| {
            let infinite = match value {
                DATE_INFINITE => Some(true),
                DATE_MINUS_INFINITE => Some(false),
                _ => None,
            };
            fit.day(i64::from(value), infinite, 1).map(|near| near.try_into().ok())
        }),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            each::<TimestampMicrosecondType>(array, changed, |value| {
                let infinite = match value {
                    TIMESTAMP_INFINITE => Some(true),
                    TIMESTAMP_MINUS_INFINITE => Some(false),
                    _ => None,
                };
                fit.day(value, infinite, DAY_MICROS)
            })
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            each::<Time64MicrosecondType>(array, changed, |value| fit.time(value))
        }
        DataType::Duration(TimeUnit::Microsecond) => {
            each::<DurationMicrosecondType>(array, changed, |value| fit.time(value))
        }
        DataType::Utf8 => {
            let texts = array.as_string::<i32>().iter();
            Arc::new(texts.map(|v| held(v, changed, |v| fit.text(v))).collect::<StringArray>())
        }
        DataType::Binary => {
            let all = array.as_binary::<i32>().iter();
            Arc::new(all.map(|v| held(v, changed, |v| fit.bytes(v))).collect::<BinaryArray>())
        }
        _ => Arc::clone(array),
    }
}

/// A value that may be another one then.
fn held<'v, T: ?Sized + ToOwned>(
    value: Option<&'v T>,
    changed: &mut u64,
    fit: impl FnOnce(&T) -> Held<T::Owned>,
) -> Option<std::borrow::Cow<'v, T>> {
    let value = value?;
    let made = fit(value);
    *changed += u64::from(!matches!(made, Held::Same));
    match made {
        Held::Same => Some(std::borrow::Cow::Borrowed(value)),
        Held::Near(near) => Some(std::borrow::Cow::Owned(near)),
        Held::Null => None,
    }
}

fn each<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    changed: &mut u64,
    fit: impl Fn(T::Native) -> Held<T::Native>,
) -> ArrayRef {
    let values = array.as_primitive::<T>();
    if values.iter().flatten().all(|value| matches!(fit(value), Held::Same)) {
        return Arc::clone(array);
    }
    let one = |value: Option<T::Native>| {
        let value = value?;
        let made = fit(value);
        *changed += u64::from(!matches!(made, Held::Same));
        match made {
            Held::Same => Some(value),
            Held::Near(near) => Some(near),
            Held::Null => None,
        }
    };
    let made: PrimitiveArray<T> = values.iter().map(one).collect();
    Arc::new(made.with_data_type(array.data_type().clone()))
}

impl<T> Held<T> {
    fn map<U>(self, near: impl FnOnce(T) -> Option<U>) -> Held<U> {
        match self {
            Self::Near(value) => near(value).map_or(Held::Same, Held::Near),
            Self::Same => Held::Same,
            Self::Null => Held::Null,
        }
    }
}

impl Fit {
    /// What becomes of a value that is lost.
    fn lost<T>(&self, near: Option<T>) -> Held<T> {
        match self.misfit {
            Misfit::Null => Held::Null,
            Misfit::Clamp => near.map_or(Held::Same, Held::Near),
            Misfit::Fail | Misfit::Reject => Held::Same,
        }
    }

    fn integer(&self, value: i128) -> Held<i128> {
        match self.class {
            LossClass::IntegerOutside { least, most } if !(least..=most).contains(&value) => {
                self.lost(Some(value.clamp(least, most)))
            }
            _ => Held::Same,
        }
    }

    fn real<T>(&self, is_finite: bool, near: Option<T>) -> Held<T> {
        match self.class {
            LossClass::NotFinite if !is_finite => self.lost(near),
            _ => Held::Same,
        }
    }

    /// Of a day or a moment; `infinite`: whether it is the late one. `unit`: as many to the day.
    fn day(&self, value: i64, infinite: Option<bool>, unit: i64) -> Held<i64> {
        let days = |(first, end): (&str, &str)| {
            let (first, end) = (forms::bound(first)?, forms::bound(end)?);
            Some((first.checked_mul(unit)?, end.checked_mul(unit)?.checked_sub(1)?))
        };
        match (&self.class, infinite) {
            (LossClass::InfiniteDate, Some(late)) => {
                let near = self.days.and_then(days);
                self.lost(near.map(|(first, last)| if late { last } else { first }))
            }
            (LossClass::DateOutside { first, end }, None) => match days((*first, *end)) {
                Some((first, last)) if !(first..=last).contains(&value) => {
                    self.lost(Some(value.clamp(first, last)))
                }
                _ => Held::Same,
            },
            _ => Held::Same,
        }
    }

    fn time(&self, value: i64) -> Held<i64> {
        match self.class {
            LossClass::TimeOutside if !(0..DAY_MICROS).contains(&value) => {
                self.lost(Some(value.clamp(0, DAY_MICROS - 1)))
            }
            _ => Held::Same,
        }
    }

    fn text(&self, value: &str) -> Held<String> {
        match &self.class {
            LossClass::Longer(most) => {
                let most = usize::try_from(*most).unwrap_or(usize::MAX);
                match value.char_indices().nth(most) {
                    Some((end, _)) => self.lost(value.get(..end).map(str::to_owned)),
                    None => Held::Same,
                }
            }
            LossClass::Nul if value.contains('\0') => self.lost(None),
            LossClass::NotFinite if matches!(value, "NaN" | "Infinity" | "-Infinity") => {
                self.lost(None)
            }
            LossClass::NotJson if serde_json::from_str::<IgnoredAny>(value).is_err() => {
                self.lost(None)
            }
            LossClass::DecimalOutside { whole, scale } => self.decimal(value, *whole, *scale),
            LossClass::IntegerOutside { .. } => match value.parse() {
                Ok(number) => self.integer(number).map(|near| Some(near.to_string())),
                Err(_) => Held::Same,
            },
            _ => Held::Same,
        }
    }

    fn decimal(&self, value: &str, whole: u32, scale: u32) -> Held<String> {
        if !value.ends_with(|c: char| c.is_ascii_digit()) {
            return Held::Same;
        }
        let (front, behind) = forms::decimal_parts(value);
        let front = front.trim_start_matches('0');
        let behind = behind.unwrap_or_default();
        let (whole, scale) = (whole as usize, scale as usize);
        if front.len() > whole {
            return self.lost(Some(signed(value, &"9".repeat(whole), &"9".repeat(scale))));
        }
        let Some(rest) = behind.get(scale..).filter(|rest| rest.bytes().any(|b| b != b'0')) else {
            return Held::Same;
        };
        let kept = behind.get(..scale).unwrap_or_default();
        let mut digits: Vec<u8> = [front, kept].concat().into_bytes();
        if rest.starts_with(|c: char| c >= '5') {
            round_up(&mut digits);
        }
        let digits = String::from_utf8(digits).unwrap_or_default();
        let (front, behind) = digits.split_at(digits.len() - scale);
        if front.len() > whole {
            return self.lost(Some(signed(value, &"9".repeat(whole), &"9".repeat(scale))));
        }
        self.lost(Some(signed(value, front, behind)))
    }

    fn bytes(&self, value: &[u8]) -> Held<Vec<u8>> {
        match self.class {
            LossClass::Longer(most) if value.len() as u64 > most => {
                let most = usize::try_from(most).unwrap_or(usize::MAX);
                self.lost(value.get(..most).map(<[u8]>::to_vec))
            }
            _ => Held::Same,
        }
    }
}

/// Digits with the sign of a number; zero has none.
fn signed(of: &str, front: &str, behind: &str) -> String {
    let is_zero = front.bytes().chain(behind.bytes()).all(|b| b == b'0');
    let sign = if of.starts_with('-') && !is_zero { "-" } else { "" };
    let front = if front.is_empty() { "0" } else { front };
    let point = if behind.is_empty() { "" } else { "." };
    format!("{sign}{front}{point}{behind}")
}

/// Adds one to the last of some digits.
fn round_up(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
    digits.insert(0, b'1');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(class: LossClass, misfit: Misfit) -> Fit {
        Fit { class, misfit, days: Some(("0001-01-01", "10000-01-01")) }
    }

    #[test]
    fn the_nearest_is_within_and_nothing_else_changes() {
        let decimal = fit(LossClass::DecimalOutside { whole: 3, scale: 2 }, Misfit::Clamp);
        for (value, near) in [
            ("999.99", None),
            ("-0.10", None),
            ("1.100", None),
            ("NaN", None),
            ("1000", Some("999.99")),
            ("-123456.7", Some("-999.99")),
            ("1.005", Some("1.01")),
            ("-0.004", Some("0.00")),
            ("999.995", Some("999.99")),
            ("0.999", Some("1.00")),
            ("0009.999", Some("10.00")),
        ] {
            let wanted = near.map_or(Held::Same, |near| Held::Near(near.to_owned()));
            assert_eq!(decimal.text(value), wanted, "{value}");
        }
        let whole = fit(LossClass::DecimalOutside { whole: 2, scale: 0 }, Misfit::Clamp);
        assert_eq!(whole.text("9.5"), Held::Near("10".to_owned()));
        assert_eq!(whole.text("0.2"), Held::Near("0".to_owned()));
        let longer = fit(LossClass::Longer(2), Misfit::Clamp);
        assert_eq!(longer.text("éé"), Held::Same);
        assert_eq!(longer.text("ééé"), Held::Near("éé".to_owned()));
        assert_eq!(fit(LossClass::Nul, Misfit::Clamp).text("a\0"), Held::Same);
        assert_eq!(fit(LossClass::Nul, Misfit::Null).text("a\0"), Held::Null);
    }

    #[test]
    fn days_are_clamped_to_the_bounds_of_their_column() {
        let infinite = fit(LossClass::InfiniteDate, Misfit::Clamp);
        let last = forms::bound("9999-12-31").unwrap();
        assert_eq!(infinite.day(i64::from(DATE_INFINITE), Some(true), 1), Held::Near(last));
        let moment = infinite.day(TIMESTAMP_INFINITE, Some(true), DAY_MICROS);
        assert_eq!(moment, Held::Near((last + 1) * DAY_MICROS - 1));
        assert_eq!(infinite.day(0, None, 1), Held::Same);
        let none = Fit { days: None, ..infinite };
        assert_eq!(none.day(i64::from(DATE_INFINITE), Some(true), 1), Held::Same);
    }
}
