//! Binary values into arrays: one decoder for each column, chosen once for a span.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Date32Builder, DurationMicrosecondBuilder,
    FixedSizeBinaryBuilder, Float32Builder, Float64Builder, Int64Builder, StringBuilder,
    Time64MicrosecondBuilder, TimestampMicrosecondBuilder, UInt64Builder,
};

use crate::endpoint::postgres::numeric;
use crate::endpoint::postgres::project::Form;
use crate::model::forms;
use crate::model::kind::{
    ColumnType, DATE_INFINITE, DATE_MINUS_INFINITE, TIMESTAMP_INFINITE, TIMESTAMP_MINUS_INFINITE,
};

/// Days from 1970-01-01 to 2000-01-01, the server's own first day.
pub(super) const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
pub(super) const EPOCH_US: i64 = EPOCH_DAYS as i64 * DAY_US;
/// Microseconds of a day.
pub(super) const DAY_US: i64 = 86_400_000_000;

/// Why a value does not become one of its column's.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// The bytes are none of their type.
    Garbled,
    /// The kind cannot hold it: a fragment that says why.
    Unfit(&'static str),
}

/// The values of one column.
pub(super) struct Column {
    form: Form,
    kind: ColumnType,
    values: Values,
    /// Text that is being made, kept for its memory.
    text: String,
}

enum Values {
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Unsigned(UInt64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Duration(DurationMicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Uuid(FixedSizeBinaryBuilder),
}

impl Column {
    /// A column of this kind whose values come in this form.
    pub(super) fn new(kind: &ColumnType, form: Form) -> Self {
        let values = match kind {
            ColumnType::Bool => Values::Bool(BooleanBuilder::new()),
            ColumnType::Int(_) | ColumnType::Year => Values::Int(Int64Builder::new()),
            ColumnType::Unsigned(_) => Values::Unsigned(UInt64Builder::new()),
            ColumnType::Float32 => Values::Float32(Float32Builder::new()),
            ColumnType::Float64 => Values::Float64(Float64Builder::new()),
            ColumnType::Bytes(_) | ColumnType::FixedBytes(_) | ColumnType::Any => {
                Values::Bytes(BinaryBuilder::new())
            }
            ColumnType::Date => Values::Date(Date32Builder::new()),
            ColumnType::Time => Values::Time(Time64MicrosecondBuilder::new()),
            ColumnType::Duration => Values::Duration(DurationMicrosecondBuilder::new()),
            ColumnType::Timestamp => Values::Timestamp(TimestampMicrosecondBuilder::new()),
            ColumnType::TimestampTz => {
                Values::Timestamp(TimestampMicrosecondBuilder::new().with_timezone("UTC"))
            }
            ColumnType::Uuid => Values::Uuid(FixedSizeBinaryBuilder::new(16)),
            _ => Values::Text(StringBuilder::new()),
        };
        Self { form, kind: kind.clone(), values, text: String::new() }
    }

    /// Adds a value.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), Bad> {
        let Self { form, kind, values, text } = self;
        match values {
            Values::Bool(to) => to.append_value(boolean(*form, bytes, text)?),
            Values::Int(to) => to.append_value(integer(*form, kind, bytes, text)?),
            Values::Unsigned(to) => to.append_value(unsigned(*form, kind, bytes, text)?),
            Values::Float32(to) => to.append_value(float32(*form, bytes)?),
            Values::Float64(to) => to.append_value(float64(*form, bytes)?),
            Values::Text(to) => to.append_value(in_words(*form, kind, bytes, text)?),
            Values::Bytes(to) => to.append_value(raw(kind, bytes)?),
            Values::Date(to) => to.append_value(date(bytes)?),
            Values::Time(to) => to.append_value(i64::from_be_bytes(exact(bytes)?)),
            Values::Duration(to) => to.append_value(duration(bytes)?),
            Values::Timestamp(to) => to.append_value(timestamp(bytes)?),
            Values::Uuid(to) => {
                to.append_value(exact::<16>(bytes)?).map_err(|_| Bad::Garbled)?;
            }
        }
        Ok(())
    }

    /// Whether a value can be added.
    pub(super) fn check(&mut self, bytes: &[u8]) -> Result<(), Bad> {
        let Self { form, kind, values, text } = self;
        match values {
            Values::Bool(_) => boolean(*form, bytes, text).map(drop),
            Values::Int(_) => integer(*form, kind, bytes, text).map(drop),
            Values::Unsigned(_) => unsigned(*form, kind, bytes, text).map(drop),
            Values::Float32(_) => float32(*form, bytes).map(drop),
            Values::Float64(_) => float64(*form, bytes).map(drop),
            Values::Text(_) => in_words(*form, kind, bytes, text).map(drop),
            Values::Bytes(_) => raw(kind, bytes).map(drop),
            Values::Date(_) => date(bytes).map(drop),
            Values::Time(_) => exact::<8>(bytes).map(drop),
            Values::Duration(_) => duration(bytes).map(drop),
            Values::Timestamp(_) => timestamp(bytes).map(drop),
            Values::Uuid(_) => exact::<16>(bytes).map(drop),
        }
    }

    /// A value as people write it; as it is where it is none of its type, or one that nobody writes.
    pub(super) fn told(&self, bytes: &[u8]) -> Vec<u8> {
        let mut text = String::new();
        let written = match self.form {
            Form::Bool | Form::Int2 | Form::Int4 | Form::Int8 => whole(self.form, bytes, &mut text)
                .map(|number| match (self.form, number) {
                    (Form::Bool, _) => text = (number != 0).to_string(),
                    _ => text = number.to_string(),
                }),
            Form::Float4 => exact(bytes).map(|b| text = f32::from_be_bytes(b).to_string()),
            Form::Float8 => exact(bytes).map(|b| text = f64::from_be_bytes(b).to_string()),
            Form::Numeric => numeric::decode(bytes, &mut text).ok_or(Bad::Garbled),
            Form::Date => date(bytes).map(|days| forms::write_date(&mut text, days)),
            Form::Time => exact(bytes).map(|b| forms::write_time(&mut text, i64::from_be_bytes(b))),
            Form::Interval => duration(bytes).map(|us| forms::write_time(&mut text, us)),
            Form::Timestamp => {
                let zone = if self.kind == ColumnType::TimestampTz { "Z" } else { "" };
                timestamp(bytes).map(|us| forms::write_timestamp(&mut text, us, zone))
            }
            Form::Uuid => exact::<16>(bytes).map(|b| forms::write_uuid(&mut text, &b)),
            Form::Jsonb => return bytes.get(1..).unwrap_or_default().to_vec(),
            _ => return bytes.to_vec(),
        };
        if written.is_ok() { text.into_bytes() } else { bytes.to_vec() }
    }

    /// Adds the nearest value that the kind holds; `false` where there is none.
    pub(super) fn clamp(&mut self, bytes: &[u8]) -> bool {
        match (&mut self.values, &self.kind) {
            (Values::Timestamp(to), _) => {
                let Ok(us) = exact(bytes).map(i64::from_be_bytes) else { return false };
                to.append_value(if us < 0 { i64::MIN + 1 } else { i64::MAX - 1 });
            }
            (Values::Text(to), ColumnType::Text(Some(most))) => {
                let text = String::from_utf8_lossy(bytes);
                let most = usize::try_from(*most).unwrap_or(usize::MAX);
                to.append_value(text.chars().take(most).collect::<String>());
            }
            (Values::Text(to), ColumnType::Text(None)) => {
                to.append_value(String::from_utf8_lossy(bytes));
            }
            (Values::Bytes(to), ColumnType::Bytes(Some(most))) => {
                let most = usize::try_from(*most).unwrap_or(usize::MAX);
                to.append_value(bytes.get(..most).unwrap_or(bytes));
            }
            _ => return false,
        }
        true
    }

    /// Adds a NULL.
    pub(super) fn null(&mut self) {
        match &mut self.values {
            Values::Bool(to) => to.append_null(),
            Values::Int(to) => to.append_null(),
            Values::Unsigned(to) => to.append_null(),
            Values::Float32(to) => to.append_null(),
            Values::Float64(to) => to.append_null(),
            Values::Text(to) => to.append_null(),
            Values::Bytes(to) => to.append_null(),
            Values::Date(to) => to.append_null(),
            Values::Time(to) => to.append_null(),
            Values::Duration(to) => to.append_null(),
            Values::Timestamp(to) => to.append_null(),
            Values::Uuid(to) => to.append_null(),
        }
    }

    /// The values so far; the column is empty after.
    pub(super) fn finish(&mut self) -> ArrayRef {
        match &mut self.values {
            Values::Bool(to) => Arc::new(to.finish()),
            Values::Int(to) => Arc::new(to.finish()),
            Values::Unsigned(to) => Arc::new(to.finish()),
            Values::Float32(to) => Arc::new(to.finish()),
            Values::Float64(to) => Arc::new(to.finish()),
            Values::Text(to) => Arc::new(to.finish()),
            Values::Bytes(to) => Arc::new(to.finish()),
            Values::Date(to) => Arc::new(to.finish()),
            Values::Time(to) => Arc::new(to.finish()),
            Values::Duration(to) => Arc::new(to.finish()),
            Values::Timestamp(to) => Arc::new(to.finish()),
            Values::Uuid(to) => Arc::new(to.finish()),
        }
    }
}

fn exact<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Bad> {
    bytes.try_into().map_err(|_| Bad::Garbled)
}

fn utf8(bytes: &[u8]) -> Result<&str, Bad> {
    std::str::from_utf8(bytes).map_err(|_| Bad::Unfit("text that is not UTF-8"))
}

fn boolean(form: Form, bytes: &[u8], text: &mut String) -> Result<bool, Bad> {
    match (form, bytes) {
        (Form::Bool, [0]) => Ok(false),
        (Form::Bool, [1]) => Ok(true),
        (Form::Bool, _) => Err(Bad::Garbled),
        _ => match whole(form, bytes, text)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Bad::Unfit("neither 0 nor 1")),
        },
    }
}

/// A whole number in any form that holds one.
fn whole(form: Form, bytes: &[u8], text: &mut String) -> Result<i128, Bad> {
    const NONE: Bad = Bad::Unfit("no whole number");
    match form {
        Form::Int2 => Ok(i16::from_be_bytes(exact(bytes)?).into()),
        Form::Int4 => Ok(i32::from_be_bytes(exact(bytes)?).into()),
        Form::Int8 => Ok(i64::from_be_bytes(exact(bytes)?).into()),
        Form::Bool => Ok(bytes.first().copied().ok_or(Bad::Garbled)?.into()),
        Form::Numeric => {
            text.clear();
            numeric::decode(bytes, text).ok_or(Bad::Garbled)?;
            let digits = match text.split_once('.') {
                Some((digits, zeros)) if zeros.bytes().all(|b| b == b'0') => digits,
                Some(_) => return Err(NONE),
                None => text,
            };
            digits.parse().map_err(|_| NONE)
        }
        _ => utf8(bytes)?.parse().map_err(|_| NONE),
    }
}

const OUTSIDE: Bad = Bad::Unfit("a number outside of the column's range");

fn integer(form: Form, kind: &ColumnType, bytes: &[u8], text: &mut String) -> Result<i64, Bad> {
    let value = match (form, kind) {
        (Form::Int8, ColumnType::Int(64)) => return Ok(i64::from_be_bytes(exact(bytes)?)),
        (Form::Int4, ColumnType::Int(64 | 32)) => {
            return Ok(i32::from_be_bytes(exact(bytes)?).into());
        }
        _ => i64::try_from(whole(form, bytes, text)?).map_err(|_| OUTSIDE)?,
    };
    let fits = match kind {
        ColumnType::Int(bits) if *bits < 64 => {
            let half = 1_i64 << bits.saturating_sub(1);
            (-half..half).contains(&value)
        }
        ColumnType::Year => (0..=9999).contains(&value),
        _ => true,
    };
    if fits { Ok(value) } else { Err(OUTSIDE) }
}

fn unsigned(form: Form, kind: &ColumnType, bytes: &[u8], text: &mut String) -> Result<u64, Bad> {
    let value = u64::try_from(whole(form, bytes, text)?).map_err(|_| OUTSIDE)?;
    match kind {
        ColumnType::Unsigned(bits) if *bits < 64 && value >> bits != 0 => Err(OUTSIDE),
        _ => Ok(value),
    }
}

fn float64(form: Form, bytes: &[u8]) -> Result<f64, Bad> {
    match form {
        Form::Float8 => Ok(f64::from_be_bytes(exact(bytes)?)),
        Form::Float4 => Ok(f32::from_be_bytes(exact(bytes)?).into()),
        _ => utf8(bytes)?.trim().parse().map_err(|_| Bad::Unfit("no number")),
    }
}

fn float32(form: Form, bytes: &[u8]) -> Result<f32, Bad> {
    match form {
        Form::Float4 => Ok(f32::from_be_bytes(exact(bytes)?)),
        Form::Float8 => {
            let wide = f64::from_be_bytes(exact(bytes)?);
            let narrow = wide as f32;
            let same = f64::from(narrow) == wide || wide.is_nan();
            if same { Ok(narrow) } else { Err(Bad::Unfit("a number with more digits")) }
        }
        _ => utf8(bytes)?.trim().parse().map_err(|_| Bad::Unfit("no number")),
    }
}

fn in_words<'a>(
    form: Form,
    kind: &ColumnType,
    bytes: &'a [u8],
    text: &'a mut String,
) -> Result<&'a str, Bad> {
    let words = match form {
        Form::Numeric => {
            text.clear();
            numeric::decode(bytes, text).ok_or(Bad::Garbled)?;
            text.as_str()
        }
        Form::Int2 | Form::Int4 | Form::Int8 => {
            let number = whole(form, bytes, text)?;
            *text = number.to_string();
            text.as_str()
        }
        Form::Jsonb => match bytes.split_first() {
            Some((1, json)) => utf8(json)?,
            _ => return Err(Bad::Garbled),
        },
        _ => utf8(bytes)?,
    };
    match kind {
        ColumnType::Text(Some(most)) | ColumnType::Char(most)
            if words.len() as u64 > *most && words.chars().count() as u64 > *most =>
        {
            Err(Bad::Unfit("text that is too long"))
        }
        ColumnType::Decimal(limits) => decimal(words, *limits, form),
        _ => Ok(words),
    }
}

fn decimal(words: &str, limits: Option<(u32, i32)>, form: Form) -> Result<&str, Bad> {
    let digits = words.strip_prefix('-').unwrap_or(words);
    if matches!(words, "NaN" | "Infinity" | "-Infinity") {
        return Ok(words);
    }
    let (front, behind) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if form == Form::Text && (front.is_empty() || !plain(front) || !plain(behind)) {
        return Err(Bad::Unfit("no decimal number"));
    }
    let Some((all, scale)) = limits else { return Ok(words) };
    let whole = front.trim_start_matches('0').len() as i64;
    let fraction = behind.trim_end_matches('0').len() as i64;
    let fits = whole <= i64::from(all) - i64::from(scale) && fraction <= i64::from(scale.max(0));
    if fits || whole + fraction == 0 { Ok(words) } else { Err(OUTSIDE) }
}

fn raw<'a>(kind: &ColumnType, bytes: &'a [u8]) -> Result<&'a [u8], Bad> {
    match kind {
        ColumnType::Bytes(Some(most)) if bytes.len() as u64 > *most => {
            Err(Bad::Unfit("bytes that are too long"))
        }
        ColumnType::FixedBytes(length) if bytes.len() as u64 != *length => {
            Err(Bad::Unfit("bytes of another length"))
        }
        _ => Ok(bytes),
    }
}

fn date(bytes: &[u8]) -> Result<i32, Bad> {
    match i32::from_be_bytes(exact(bytes)?) {
        i32::MAX => Ok(DATE_INFINITE),
        i32::MIN => Ok(DATE_MINUS_INFINITE),
        days => days
            .checked_add(EPOCH_DAYS)
            .filter(|days| *days != DATE_INFINITE)
            .ok_or(Bad::Unfit("a date that is too late")),
    }
}

fn timestamp(bytes: &[u8]) -> Result<i64, Bad> {
    match i64::from_be_bytes(exact(bytes)?) {
        i64::MAX => Ok(TIMESTAMP_INFINITE),
        i64::MIN => Ok(TIMESTAMP_MINUS_INFINITE),
        us => us
            .checked_add(EPOCH_US)
            .filter(|us| *us != TIMESTAMP_INFINITE)
            .ok_or(Bad::Unfit("a time after the year 294246")),
    }
}

fn duration(bytes: &[u8]) -> Result<i64, Bad> {
    let parts: [u8; 16] = exact(bytes)?;
    let (us, rest) = parts.split_first_chunk::<8>().ok_or(Bad::Garbled)?;
    let (days, months) = rest.split_first_chunk::<4>().ok_or(Bad::Garbled)?;
    if i32::from_be_bytes(exact(months)?) != 0 {
        return Err(Bad::Unfit("an interval of months"));
    }
    i64::from(i32::from_be_bytes(*days))
        .checked_mul(DAY_US)
        .and_then(|days| days.checked_add(i64::from_be_bytes(*us)))
        .ok_or(Bad::Unfit("an interval that is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FORMS: [Form; 15] = [
        Form::Bool,
        Form::Int2,
        Form::Int4,
        Form::Int8,
        Form::Float4,
        Form::Float8,
        Form::Numeric,
        Form::Text,
        Form::Jsonb,
        Form::Bytes,
        Form::Date,
        Form::Time,
        Form::Timestamp,
        Form::Interval,
        Form::Uuid,
    ];

    fn kinds() -> Vec<ColumnType> {
        vec![
            ColumnType::Bool,
            ColumnType::Int(32),
            ColumnType::Unsigned(64),
            ColumnType::Float32,
            ColumnType::Float64,
            ColumnType::Decimal(Some((10, 2))),
            ColumnType::Text(Some(3)),
            ColumnType::Bytes(Some(3)),
            ColumnType::Date,
            ColumnType::Time,
            ColumnType::Duration,
            ColumnType::TimestampTz,
            ColumnType::Uuid,
        ]
    }

    proptest! {
        #[test]
        fn hostile_values_are_refused_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..32)
        ) {
            for kind in kinds() {
                for form in FORMS {
                    let mut column = Column::new(&kind, form);
                    let good = column.check(&bytes).is_ok();
                    prop_assert_eq!(column.put(&bytes).is_ok(), good);
                    prop_assert_eq!(column.finish().len(), usize::from(good));
                }
            }
        }
    }

    #[test]
    fn what_a_kind_cannot_hold_is_told() {
        let unfit = |kind: ColumnType, form, bytes: &[u8]| {
            matches!(Column::new(&kind, form).check(bytes), Err(Bad::Unfit(_)))
        };
        assert!(unfit(ColumnType::Int(16), Form::Int4, &70_000_i32.to_be_bytes()));
        assert!(unfit(ColumnType::Unsigned(64), Form::Int8, &(-1_i64).to_be_bytes()));
        assert!(unfit(ColumnType::Text(None), Form::Text, b"\xff"));
        assert!(unfit(ColumnType::Text(Some(1)), Form::Text, "éé".as_bytes()));
        assert!(!unfit(ColumnType::Text(Some(1)), Form::Text, "é".as_bytes()));
        assert!(unfit(ColumnType::Timestamp, Form::Timestamp, &(i64::MAX - 1).to_be_bytes()));
        assert!(unfit(ColumnType::Bool, Form::Int2, &[0, 2]));
        assert!(unfit(ColumnType::Decimal(Some((3, 1))), Form::Text, b"123.4"));
        assert!(!unfit(ColumnType::Decimal(Some((3, 1))), Form::Text, b"12.400"));
    }
}
