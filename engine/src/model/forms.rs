//! Exact texts of days, times and identifiers, both ways: for what keeps them as text. What is
//! written here is read back as the very same value, infinity and years of any length included.

use std::fmt::Write as _;

use crate::model::kind::{
    DATE_INFINITE, DATE_MINUS_INFINITE, TIMESTAMP_INFINITE, TIMESTAMP_MINUS_INFINITE,
};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// Days since 1970-01-01 of a day of the proleptic Gregorian calendar; `None` where it has none.
#[must_use]
pub fn days(year: i64, month: u32, day: u32) -> Option<i64> {
    if !(1..=12).contains(&month) || day == 0 || day > month_days(year, month) {
        return None;
    }
    // Years begin with March here, so that the day that leaps is a year's last.
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((i64::from(month) + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    let of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    era.checked_mul(146_097)?.checked_add(of_era)?.checked_sub(719_468)
}

/// The year, month and day of a day since 1970-01-01.
#[must_use]
pub fn civil(days: i64) -> (i64, u32, u32) {
    let days = days.saturating_add(719_468);
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = (of_year - (153 * shifted + 2) / 5 + 1) as u32;
    let month = (if shifted < 10 { shifted + 3 } else { shifted - 9 }) as u32;
    (year + era * 400 + i64::from(month <= 2), month, day)
}

fn month_days(year: i64, month: u32) -> u32 {
    let leaps = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + u32::from(leaps),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Writes a day: `2024-02-29`; `+012024-02-29` and `-000043-03-15` (ISO 8601, year 0 is 1 BC) beyond
/// four digits; `infinity`, `-infinity`.
pub fn write_date(out: &mut String, date: i32) {
    match date {
        DATE_INFINITE => out.push_str("infinity"),
        DATE_MINUS_INFINITE => out.push_str("-infinity"),
        date => write_day(out, i64::from(date)),
    }
}

fn write_day(out: &mut String, date: i64) {
    let (year, month, day) = civil(date);
    let _ = match year {
        0..=9999 => write!(out, "{year:04}-{month:02}-{day:02}"),
        _ => write!(out, "{year:+07}-{month:02}-{day:02}"),
    };
}

/// Writes microseconds as `HH:MM:SS`, with as many digits of a second as there are: of a day, or of
/// any span of time.
pub fn write_time(out: &mut String, micros: i64) {
    if micros < 0 {
        out.push('-');
    }
    let micros = micros.unsigned_abs();
    let (seconds, fraction) = (micros / SECOND as u64, micros % SECOND as u64);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let _ = write!(out, "{hours:02}:{minutes:02}:{seconds:02}");
    if fraction != 0 {
        let _ = write!(out, ".{fraction:06}");
        out.truncate(out.trim_end_matches('0').len());
    }
}

/// Writes a day with a time behind it; `zone` is put behind what is finite.
pub fn write_timestamp(out: &mut String, micros: i64, zone: &str) {
    match micros {
        TIMESTAMP_INFINITE => out.push_str("infinity"),
        TIMESTAMP_MINUS_INFINITE => out.push_str("-infinity"),
        micros => {
            write_day(out, micros.div_euclid(DAY));
            out.push(' ');
            write_time(out, micros.rem_euclid(DAY));
            out.push_str(zone);
        }
    }
}

/// Writes a UUID.
pub fn write_uuid(out: &mut String, bytes: &[u8]) {
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        let _ = write!(out, "{byte:02x}");
    }
}

/// Reads what [`write_date`] writes.
#[must_use]
pub fn read_date(text: &str) -> Option<i32> {
    match text {
        "infinity" => Some(DATE_INFINITE),
        "-infinity" => Some(DATE_MINUS_INFINITE),
        _ => {
            let (day, rest) = read_day(text)?;
            let day = i32::try_from(day).ok()?;
            let finite = day != DATE_INFINITE && day != DATE_MINUS_INFINITE;
            (rest.is_empty() && finite).then_some(day)
        }
    }
}

/// The day of a bound: `[-]YEAR-MM-DD` with as many digits of the year as there are.
#[must_use]
pub fn bound(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (year, rest) = digits.split_once('-')?;
    let (month, rest) = two(rest)?;
    let (day, rest) = two(rest.strip_prefix('-')?)?;
    rest.is_empty().then_some(())?;
    days(number(year)? * sign, month, day)
}

/// A day, and what stands behind it.
fn read_day(text: &str) -> Option<(i64, &str)> {
    match plain_day(text) {
        Some((year, month, day, rest)) => Some((days(year, month, day)?, rest)),
        None => read_any_day(text),
    }
}

/// The parts of a day of ten bytes, as most are.
fn plain_day(text: &str) -> Option<(i64, u32, u32, &str)> {
    let (&[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1], _) = text.as_bytes().split_first_chunk()?
    else {
        return None;
    };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0, |all, digit| {
            digit.is_ascii_digit().then(|| all * 10 + u32::from(digit - b'0'))
        })
    };
    let year = i64::from(number(&[y0, y1, y2, y3])?);
    Some((year, number(&[m0, m1])?, number(&[d0, d1])?, text.get(10..)?))
}

fn read_any_day(text: &str) -> Option<(i64, &str)> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, text.get(1..)?),
        b'+' => (1, text.get(1..)?),
        _ => (0, text),
    };
    let (year, rest) = digits.split_once('-')?;
    let usual = if sign == 0 { 4..=4 } else { 6..=7 };
    if !usual.contains(&year.len()) {
        return None;
    }
    let year = number(year)? * if sign == 0 { 1 } else { sign };
    let (month, rest) = two(rest)?;
    let (day, rest) = two(rest.strip_prefix('-')?)?;
    Some((days(year, month, day)?, rest))
}

fn number(text: &str) -> Option<i64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

fn two(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(2)?;
    Some((u32::try_from(number(digits)?).ok()?, rest))
}

/// Reads a time of day, `24:00:00` included; seconds may be left out.
#[must_use]
pub fn read_time(text: &str) -> Option<i64> {
    let (micros, rest) = read_clock(text)?;
    (rest.is_empty() && micros <= DAY).then_some(micros)
}

/// Reads a span of time: hours of any length, and a sign.
#[must_use]
pub fn read_duration(text: &str) -> Option<i64> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (hours, rest) = text.split_once(':')?;
    if hours.len() < 2 || hours.len() > 10 {
        return None;
    }
    let (micros, rest) = read_minutes(rest)?;
    let all = i128::from(number(hours)?) * i128::from(3600 * SECOND) + i128::from(micros);
    rest.is_empty().then(|| i64::try_from(all * sign).ok()).flatten()
}

/// Microseconds of `HH:MM[:SS[.ffffff]]`, and what stands behind.
fn read_clock(text: &str) -> Option<(i64, &str)> {
    let (hours, rest) = two(text)?;
    let (micros, rest) = read_minutes(rest.strip_prefix(':')?)?;
    Some((i64::from(hours) * 3600 * SECOND + micros, rest))
}

fn read_minutes(text: &str) -> Option<(i64, &str)> {
    let (minutes, rest) = two(text)?;
    let (seconds, rest) = match rest.strip_prefix(':') {
        Some(rest) => two(rest)?,
        None => (0, rest),
    };
    if minutes > 59 || seconds > 59 {
        return None;
    }
    let whole = i64::from(minutes * 60 + seconds) * SECOND;
    let Some(rest) = rest.strip_prefix('.') else {
        return Some((whole, rest));
    };
    let end = rest.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, rest) = rest.split_at_checked(end)?;
    // Digits behind the sixth must say nothing.
    let (kept, beyond) = digits.split_at_checked(6).unwrap_or((digits, ""));
    if digits.is_empty() || beyond.bytes().any(|b| b != b'0') {
        return None;
    }
    let scale = 10_i64.pow(u32::try_from(6 - kept.len()).ok()?);
    Some((whole + number(kept)? * scale, rest))
}

/// Reads a day with a time behind it, or a day alone; a `T` may stand between. `zoned`: an offset
/// (`Z`, `+HH`, `+HH:MM`) must follow, and is taken off; otherwise none may.
#[must_use]
pub fn read_timestamp(text: &str, zoned: bool) -> Option<i64> {
    match text {
        "infinity" => return Some(TIMESTAMP_INFINITE),
        "-infinity" => return Some(TIMESTAMP_MINUS_INFINITE),
        _ => {}
    }
    let (day, rest) = read_day(text)?;
    let (time, rest) = match rest.strip_prefix([' ', 'T']) {
        Some(rest) => read_clock(rest)?,
        None => (0, rest),
    };
    let offset = if zoned { read_offset(rest)? } else { i64::from(!rest.is_empty()) };
    if time > DAY || (!zoned && offset != 0) {
        return None;
    }
    let micros = i128::from(day) * i128::from(DAY) + i128::from(time - offset);
    let micros = i64::try_from(micros).ok()?;
    let finite = micros != TIMESTAMP_INFINITE && micros != TIMESTAMP_MINUS_INFINITE;
    finite.then_some(micros)
}

/// Microseconds that an offset is ahead of UTC.
fn read_offset(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, text.get(1..)?),
        b'-' => (-1, text.get(1..)?),
        _ => return None,
    };
    let (hours, rest) = two(rest)?;
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let (minutes, rest) = if rest.is_empty() { (0, rest) } else { two(rest)? };
    let usual = rest.is_empty() && hours < 24 && minutes < 60;
    usual.then_some(sign * i64::from(hours * 60 + minutes) * 60 * SECOND)
}

/// Reads a UUID of 32 digits in five groups.
#[must_use]
pub fn read_uuid(text: &str) -> Option<[u8; 16]> {
    let mut out = [0; 16];
    let groups: Vec<&str> = text.split('-').collect();
    if !groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]) {
        return None;
    }
    let digits = groups.concat();
    for (to, pair) in out.iter_mut().zip(digits.as_bytes().chunks(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *to = pair
            .bytes()
            .all(|b| b.is_ascii_hexdigit())
            .then(|| u8::from_str_radix(pair, 16).ok())??;
    }
    Some(out)
}

/// Whether this is a decimal number in plain digits, or one of `NaN`, `Infinity`, `-Infinity`.
#[must_use]
pub fn is_decimal(text: &str) -> bool {
    if text.ends_with(['N', 'y']) {
        return matches!(text, "NaN" | "Infinity" | "-Infinity");
    }
    let (whole, behind) = decimal_parts(text);
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    digits(whole) && behind.is_none_or(digits)
}

/// The digits in front of the point and behind it, of a number in plain digits.
#[must_use]
pub fn decimal_parts(text: &str) -> (&str, Option<&str>) {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.split_once('.').map_or((digits, None), |(whole, behind)| (whole, Some(behind)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    proptest! {
        #[test]
        fn days_come_back(date: i32) {
            prop_assert_eq!(read_date(&written(|out| write_date(out, date))), Some(date));
        }

        #[test]
        fn moments_come_back(micros: i64) {
            let plain = written(|out| write_timestamp(out, micros, ""));
            prop_assert_eq!(read_timestamp(&plain, false), Some(micros));
            let zoned = written(|out| write_timestamp(out, micros, "+00:00"));
            prop_assert_eq!(read_timestamp(&zoned, true), Some(micros));
        }

        #[test]
        fn spans_of_time_come_back(micros: i64) {
            prop_assert_eq!(read_duration(&written(|out| write_time(out, micros))), Some(micros));
        }

        #[test]
        fn times_come_back(micros in 0..=DAY) {
            prop_assert_eq!(read_time(&written(|out| write_time(out, micros))), Some(micros));
        }

        #[test]
        fn uuids_come_back(bytes: [u8; 16]) {
            prop_assert_eq!(read_uuid(&written(|out| write_uuid(out, &bytes))), Some(bytes));
        }

        #[test]
        fn nothing_panics(text in "[-+0-9:. TZinfty]{0,32}|\\PC*") {
            let _ = (read_date(&text), read_time(&text), read_duration(&text), read_uuid(&text));
            let _ = (read_timestamp(&text, true), read_timestamp(&text, false), is_decimal(&text));
        }
    }

    #[test]
    fn texts_are_those_of_iso_8601() {
        for (date, text) in [
            (0, "1970-01-01"),
            (-719_468, "0000-03-01"),
            (-719_162, "0001-01-01"),
            (2_932_896, "9999-12-31"),
            (2_932_897, "+010000-01-01"),
            (i32::MAX, "infinity"),
            (i32::MIN, "-infinity"),
            (19_782, "2024-02-29"),
        ] {
            assert_eq!(written(|out| write_date(out, date)), text);
        }
        assert_eq!(written(|out| write_timestamp(out, -1, "")), "1969-12-31 23:59:59.999999");
        assert_eq!(written(|out| write_time(out, DAY)), "24:00:00");
        assert_eq!(written(|out| write_time(out, -3_020_399_500_000)), "-838:59:59.5");
        assert_eq!(
            read_timestamp("2024-01-01T01:00:00+01:00", true),
            read_timestamp("2024-01-01", false)
        );
    }

    #[test]
    fn no_calendar_has_these() {
        for text in ["2023-02-29", "0000-00-00", "2024-13-01", "2024-1-1", "24-01-01", "1.5", ""] {
            assert_eq!(read_date(text), None, "{text}");
        }
        for text in ["2024-01-01 25:00", "2024-01-01 10:00Z", "2024-01-01 ", "2024-01-01 10:00:60"]
        {
            assert_eq!(read_timestamp(text, false), None, "{text}");
        }
        assert_eq!(read_timestamp("2024-01-01 10:00", true), None);
        assert!(is_decimal("-1.10") && !is_decimal("1e5") && !is_decimal("-") && !is_decimal("1."));
    }
}
