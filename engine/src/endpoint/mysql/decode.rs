//! How each column is asked for, and how its values become those that travel. Chosen once for a
//! span; the values of a row are read where they lie.

use arrow_array::types::{
    Date32Type, DurationMicrosecondType, Float32Type, Float64Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, UInt64Type,
};

use crate::endpoint::sql::dialect::Dialect as _;
use crate::error::Result;
use crate::model::kind::ColumnType;
use crate::model::rows::{Cell, Misfit};

use super::calendar::{self, Unfit};
use super::column::{As, Bools, Grow, Numbers, Texts};
use super::dialect::Mysql;
use super::facts::Own;
use super::types::is_spatial;

/// What a column is asked by: its name, or an expression that gives its value exactly. The text
/// protocol rounds FLOAT to six digits; character sets that are not decoded here are converted there,
/// all of them into a wider one.
///
/// # Errors
/// `NameRefused`.
pub(super) fn projection(own: &Own) -> Result<String> {
    let name = Mysql::NAMES.quote(&own.name)?;
    Ok(match Charset::of(own) {
        _ if own.base == "float" => format!("CAST({name} AS DOUBLE)"),
        Charset::Converted => format!("CONVERT({name} USING utf8mb4)"),
        _ => name,
    })
}

/// How text is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Charset {
    Utf8,
    Latin1,
    Converted,
}

impl Charset {
    fn of(own: &Own) -> Self {
        match own.charset.as_deref() {
            None | Some("utf8mb4" | "utf8mb3" | "utf8" | "ascii" | "binary") => Self::Utf8,
            Some("latin1") => Self::Latin1,
            Some(_) => Self::Converted,
        }
    }
}

/// The column that takes the values of `own` as `cell` says.
pub(super) fn column(own: &Own, cell: &Cell) -> Box<dyn Grow> {
    let (arrow, misfit) = (cell.kind.arrow(), cell.misfit);
    match &cell.kind {
        ColumnType::Bool if own.base == "bit" => Bools::boxed(misfit, bit_bool),
        ColumnType::Bool => Bools::boxed(misfit, boolean),
        ColumnType::Int(bits) => {
            let bits = u32::from(*bits);
            Numbers::<Int64Type, _>::boxed(arrow, misfit, move |text| int(text, bits))
        }
        ColumnType::Year => Numbers::<Int64Type, _>::boxed(arrow, misfit, |text| int(text, 64)),
        ColumnType::Unsigned(bits) => {
            let bits = u32::from(*bits);
            Numbers::<UInt64Type, _>::boxed(arrow, misfit, move |text| unsigned(text, bits))
        }
        ColumnType::Float32 => Numbers::<Float32Type, _>::boxed(arrow, misfit, single),
        ColumnType::Float64 => Numbers::<Float64Type, _>::boxed(arrow, misfit, double),
        ColumnType::Date => Numbers::<Date32Type, _>::boxed(arrow, misfit, calendar::date),
        ColumnType::Time => {
            Numbers::<Time64MicrosecondType, _>::boxed(arrow, misfit, calendar::time)
        }
        ColumnType::Duration => {
            Numbers::<DurationMicrosecondType, _>::boxed(arrow, misfit, calendar::duration)
        }
        ColumnType::Timestamp | ColumnType::TimestampTz => {
            Numbers::<TimestampMicrosecondType, _>::boxed(arrow, misfit, calendar::timestamp)
        }
        ColumnType::Bytes(_) | ColumnType::FixedBytes(_) | ColumnType::Any => {
            Texts::boxed(As::Bytes, misfit, |value, out| {
                out.extend_from_slice(value);
                Ok(())
            })
        }
        ColumnType::Uuid => Texts::boxed(As::Sixteen, misfit, uuid),
        kind => text_column(own, kind, misfit),
    }
}

fn text_column(own: &Own, kind: &ColumnType, misfit: Misfit) -> Box<dyn Grow> {
    if let ColumnType::Bits(width) = own.kind {
        return Texts::boxed(As::Text, misfit, move |value, out| bits(value, width, out));
    }
    if is_spatial(&own.base) {
        return Texts::boxed(As::Text, misfit, shape);
    }
    let charset = Charset::of(own);
    match kind {
        ColumnType::Decimal(_) => Texts::boxed(As::Text, misfit, decimal),
        ColumnType::Char(length) => {
            let length = usize::try_from(*length).unwrap_or(usize::MAX);
            Texts::boxed(As::Text, misfit, move |value, out| {
                let at = out.len();
                text(charset, value, out)?;
                pad(length, at, out);
                Ok(())
            })
        }
        ColumnType::Enum(labels) if !labels.iter().any(String::is_empty) => {
            Texts::boxed(As::Text, misfit, move |value, out| {
                if value.is_empty() {
                    return Err("is none of the labels");
                }
                text(charset, value, out)
            })
        }
        _ if charset == Charset::Latin1 => Texts::boxed(As::Text, misfit, |value, out| {
            latin1(value, out);
            Ok(())
        }),
        _ => Texts::boxed(As::Text, misfit, utf8),
    }
}

fn boolean(text: &[u8]) -> Result<bool, Unfit<bool>> {
    match text {
        b"0" => Ok(false),
        b"1" => Ok(true),
        _ => Err(Unfit { why: "is neither 0 nor 1", nearest: Some(!text.starts_with(b"-")) }),
    }
}

fn bit_bool(bytes: &[u8]) -> Result<bool, Unfit<bool>> {
    match bytes {
        [0] => Ok(false),
        [1] => Ok(true),
        _ => Err(Unfit { why: "is neither 0 nor 1", nearest: Some(true) }),
    }
}

#[inline]
fn unsigned_digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 32 {
        return None;
    }
    let mut sum = 0u64;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        sum = sum.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(sum)
}

#[inline]
fn int(text: &[u8], bits: u32) -> Result<i64, Unfit<i64>> {
    let (positive, negative) = match text.strip_prefix(b"-") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let (least, most) =
        (i64::MIN >> (64 - bits.clamp(1, 64)), i64::MAX >> (64 - bits.clamp(1, 64)));
    let nearest = Some(if negative { least } else { most });
    let outside = Unfit { why: "is no integer of the column's range", nearest };
    let Some(value) = unsigned_digits(positive) else { return Err(outside) };
    let value = if negative { 0i64.checked_sub_unsigned(value) } else { value.try_into().ok() };
    value.filter(|value| (least..=most).contains(value)).ok_or(outside)
}

#[inline]
fn unsigned(text: &[u8], bits: u32) -> Result<u64, Unfit<u64>> {
    let most = u64::MAX >> (64 - bits.clamp(1, 64));
    let nearest = Some(if text.starts_with(b"-") { 0 } else { most });
    let outside = Unfit { why: "is no integer of the column's range", nearest };
    unsigned_digits(text).filter(|value| *value <= most).ok_or(outside)
}

fn double(text: &[u8]) -> Result<f64, Unfit<f64>> {
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    parsed.ok_or(Unfit::of("is no number"))
}

fn single(text: &[u8]) -> Result<f32, Unfit<f32>> {
    let value = double(text).map_err(|unfit| Unfit::of(unfit.why))?;
    let narrow = value as f32;
    if f64::from(narrow) == value {
        return Ok(narrow);
    }
    Err(Unfit { why: "has more digits than 32 bits hold", nearest: Some(narrow) })
}

/// Plain digits; zeros that only fill a width are left out.
fn decimal(text: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    let (sign, digits) = text.strip_prefix(b"-").map_or((&b""[..], text), |rest| (b"-", rest));
    let point = digits.iter().position(|byte| *byte == b'.').unwrap_or(digits.len());
    let (whole, rest) = digits.split_at_checked(point).unwrap_or((digits, &[]));
    let fraction = rest.strip_prefix(b".").unwrap_or(b"0");
    let plain = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    if !plain(whole) || !plain(fraction) {
        return Err("is no decimal number");
    }
    let zeros = whole.iter().take(whole.len() - 1).take_while(|byte| **byte == b'0').count();
    out.extend_from_slice(sign);
    out.extend_from_slice(whole.get(zeros..).unwrap_or_default());
    out.extend_from_slice(rest);
    Ok(())
}

#[inline]
fn utf8(value: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    if !value.is_ascii() && std::str::from_utf8(value).is_err() {
        return Err("is no text");
    }
    out.extend_from_slice(value);
    Ok(())
}

fn text(charset: Charset, value: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    if charset == Charset::Latin1 {
        latin1(value, out);
        return Ok(());
    }
    utf8(value, out)
}

/// `latin1` is Windows-1252 there, with the five bytes that this has not as control characters.
fn latin1(value: &[u8], out: &mut Vec<u8>) {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž',
        '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}',
        'ž', 'Ÿ',
    ];
    if value.is_ascii() {
        out.extend_from_slice(value);
        return;
    }
    for byte in value {
        let at = usize::from(byte.wrapping_sub(0x80));
        let char = HIGH.get(at).copied().unwrap_or(char::from(*byte));
        out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// The server shows CHAR without the spaces behind it; it travels with them.
fn pad(length: usize, at: usize, out: &mut Vec<u8>) {
    let chars = out.get(at..).unwrap_or_default().iter().filter(|byte| **byte & 0xc0 != 0x80);
    let missing = length.saturating_sub(chars.count()).min(255);
    out.resize(out.len() + missing, b' ');
}

fn bits(value: &[u8], width: u64, out: &mut Vec<u8>) -> Result<(), &'static str> {
    let width = usize::try_from(width).unwrap_or(64).min(64);
    let at = out.len();
    for byte in value {
        out.extend((0..8).rev().map(|bit| b'0' + (byte >> bit & 1)));
    }
    match (out.len() - at).checked_sub(width) {
        Some(more) => {
            out.drain(at..at + more);
            Ok(())
        }
        None => Err("has too few bits"),
    }
}

fn shape(value: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    let (srid, wkb) = value.split_first_chunk::<4>().ok_or("is no shape")?;
    out.extend_from_slice(format!("SRID={};", u32::from_le_bytes(*srid)).as_bytes());
    for byte in wkb {
        out.extend_from_slice(format!("{byte:02X}").as_bytes());
    }
    Ok(())
}

/// A UUID as its sixteen bytes, from these or from its text.
pub(super) fn uuid(value: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    if value.len() == 16 {
        out.extend_from_slice(value);
        return Ok(());
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut digits = value.iter().filter(|byte| **byte != b'-');
    let at = out.len();
    while let Some(high) = digits.next() {
        let low = digits.next().and_then(|byte| digit(*byte)).ok_or("is no UUID")?;
        out.push((digit(*high).ok_or("is no UUID")? * 16 + low) as u8);
    }
    if out.len() - at == 16 { Ok(()) } else { Err("is no UUID") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(
        parse: impl Fn(&[u8], &mut Vec<u8>) -> Result<(), &'static str>,
        value: &[u8],
    ) -> String {
        let mut out = Vec::new();
        match parse(value, &mut out) {
            Ok(()) => String::from_utf8(out).unwrap(),
            Err(why) => why.to_owned(),
        }
    }

    #[test]
    fn integers_end_where_their_bits_do() {
        assert_eq!(int(b"-9223372036854775808", 64), Ok(i64::MIN));
        assert_eq!(int(b"9223372036854775808", 64).unwrap_err().nearest, Some(i64::MAX));
        assert_eq!((int(b"-8388608", 24), int(b"8388608", 24).is_err()), (Ok(-8_388_608), true));
        assert_eq!(unsigned(b"18446744073709551615", 64), Ok(u64::MAX));
        assert_eq!(unsigned(b"-1", 8).unwrap_err().nearest, Some(0));
        assert_eq!(unsigned(b"00007", 8), Ok(7));
        assert!(int(b"", 64).is_err() && int(b"-", 64).is_err() && int(b"1.5", 64).is_err());
    }

    #[test]
    fn decimals_stay_digit_for_digit() {
        assert_eq!(made(decimal, b"-1.10"), "-1.10");
        assert_eq!(made(decimal, b"0000012.30"), "12.30");
        assert_eq!(made(decimal, b"000"), "0");
        for odd in [&b"1e5"[..], b"", b".5", b"1.", b"-"] {
            assert_eq!(made(decimal, odd), "is no decimal number");
        }
    }

    #[test]
    fn floats_are_narrowed_only_without_loss() {
        assert_eq!(single(b"0.10000000149011612"), Ok(0.1f32));
        assert_eq!(single(b"0.1").unwrap_err().nearest, Some(0.1));
        assert_eq!(double(b"-0").map(f64::to_bits), Ok((-0.0f64).to_bits()));
    }

    #[test]
    fn bytes_of_other_forms() {
        assert_eq!(made(|v, out| bits(v, 9, out), &[1, 0x80]), "110000000");
        assert_eq!(made(shape, &[0xe6, 0x10, 0, 0, 1, 0xff]), "SRID=4326;01FF");
        let mut out = Vec::new();
        latin1(b"\x80\x81\xe9z", &mut out);
        assert_eq!(out, "€\u{81}éz".as_bytes());
        out.clear();
        uuid(b"00112233-4455-6677-8899-aabbccddeeff", &mut out).unwrap();
        assert_eq!((out.len(), out[15]), (16, 0xff));
        assert!(uuid(b"0011", &mut out).is_err() && uuid(b"zz", &mut out).is_err());
        assert_eq!(made(utf8, b"\xc3\x28"), "is no text");
    }
}
