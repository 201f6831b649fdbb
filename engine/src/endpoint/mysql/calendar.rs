//! Dates and times as MySQL writes them, and as they travel.

use crate::model::forms;

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;
/// Microseconds of a day.
pub(super) const DAY: i64 = 86_400 * SECOND;
/// The first day that is written: `0001-01-01`.
pub(super) const FIRST_DAY: i32 = -719_162;
/// The last day that is written: `9999-12-31`.
pub(super) const LAST_DAY: i32 = 2_932_896;

/// A value that does not fit, with the nearest that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unfit<T> {
    pub why: &'static str,
    pub nearest: Option<T>,
}

impl<T> Unfit<T> {
    /// Without a nearest one.
    pub(super) fn of(why: &'static str) -> Self {
        Self { why, nearest: None }
    }
}

/// Days of a month, which is one of 1 to 12.
fn length(year: i32, month: i32) -> i32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

#[inline]
fn digits(text: &[u8]) -> Option<i32> {
    let mut sum = 0;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        sum = sum * 10 + i32::from(digit);
    }
    Some(sum)
}

/// Microseconds of a fraction with its point; 0 for none.
#[inline]
fn fraction(text: &[u8]) -> Option<i64> {
    let Some((point, rest)) = text.split_first() else { return Some(0) };
    if *point != b'.' || rest.is_empty() || rest.len() > 6 {
        return None;
    }
    let scale = 10i64.pow(6 - rest.len() as u32);
    digits(rest).map(|value| i64::from(value) * scale)
}

/// `YYYY-MM-DD` as days since 1970-01-01.
#[inline]
pub(super) fn date(text: &[u8]) -> Result<i32, Unfit<i32>> {
    let parts = || match text {
        [year @ .., b'-', _, _, b'-', _, _] if year.len() == 4 => {
            Some((digits(year)?, digits(text.get(5..7)?)?, digits(text.get(8..10)?)?))
        }
        _ => None,
    };
    let Some((year, month, day)) = parts() else { return Err(Unfit::of("is no date")) };
    let (near_month, most) = (month.clamp(1, 12), length(year, month.clamp(1, 12)));
    let near_day = day.clamp(1, most);
    let nearest = forms::days(year.into(), near_month.unsigned_abs(), near_day.unsigned_abs());
    let nearest = nearest.and_then(|days| i32::try_from(days).ok()).unwrap_or_default();
    if (near_month, near_day) == (month, day) {
        return Ok(nearest);
    }
    Err(Unfit { why: "is a date that no calendar has", nearest: Some(nearest) })
}

/// `YYYY-MM-DD HH:MM:SS[.ffffff]` as microseconds since 1970-01-01.
#[inline]
pub(super) fn timestamp(text: &[u8]) -> Result<i64, Unfit<i64>> {
    let Some((day, rest)) = text.split_at_checked(10) else {
        return Err(Unfit::of("is no timestamp"));
    };
    let time = match rest {
        [b' ', time @ ..] => clock(time),
        _ => None,
    };
    let Some(time) = time.filter(|time| *time < DAY) else {
        return Err(Unfit::of("is no timestamp"));
    };
    let whole = |days: i32| i64::from(days) * DAY + time;
    match date(day) {
        Ok(days) => Ok(whole(days)),
        Err(Unfit { why, nearest }) => Err(Unfit { why, nearest: nearest.map(whole) }),
    }
}

/// `H…H:MM:SS[.ffffff]` as microseconds.
#[inline]
fn clock(text: &[u8]) -> Option<i64> {
    let colon = text.iter().position(|byte| *byte == b':')?;
    let (hours, rest) = text.split_at_checked(colon)?;
    let &[_, m1, m2, b':', s1, s2, ref tail @ ..] = rest else { return None };
    if hours.is_empty() || hours.len() > 4 {
        return None;
    }
    let (minutes, seconds) = (digits(&[m1, m2])?, digits(&[s1, s2])?);
    if minutes > 59 || seconds > 59 {
        return None;
    }
    let whole = i64::from(digits(hours)?) * 3600 + i64::from(minutes * 60 + seconds);
    Some(whole * SECOND + fraction(tail)?)
}

/// A span of time, `[-]H…H:MM:SS[.ffffff]`.
pub(super) fn duration(text: &[u8]) -> Result<i64, Unfit<i64>> {
    let (text, sign) = text.strip_prefix(b"-").map_or((text, 1), |text| (text, -1));
    clock(text).map(|time| time * sign).ok_or(Unfit::of("is no time"))
}

/// A time of day.
pub(super) fn time(text: &[u8]) -> Result<i64, Unfit<i64>> {
    let value = duration(text)?;
    let nearest = value.clamp(0, DAY);
    if nearest == value {
        return Ok(value);
    }
    Err(Unfit { why: "is no time of a day", nearest: Some(nearest) })
}

fn padded(mut value: i64, width: usize, out: &mut Vec<u8>) {
    let at = out.len();
    out.resize(at + width, b'0');
    for place in out.iter_mut().skip(at).rev() {
        *place = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Writes a day of the years 1 to 9999.
pub(super) fn write_date(days: i32, out: &mut Vec<u8>) {
    let (year, month, day) = forms::civil(days.into());
    padded(year, 4, out);
    out.push(b'-');
    padded(i64::from(month), 2, out);
    out.push(b'-');
    padded(i64::from(day), 2, out);
}

/// Writes a timestamp of the years 1 to 9999.
pub(super) fn write_timestamp(value: i64, out: &mut Vec<u8>) {
    write_date(value.div_euclid(DAY) as i32, out);
    out.push(b' ');
    write_duration(value.rem_euclid(DAY), out);
}

/// Writes a span of time.
pub(super) fn write_duration(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let value = value.saturating_abs();
    let seconds = value / SECOND;
    let hours = seconds / 3600;
    padded(hours, if hours > 99 { 3 } else { 2 }, out);
    out.push(b':');
    padded(seconds / 60 % 60, 2, out);
    out.push(b':');
    padded(seconds % 60, 2, out);
    if value % SECOND != 0 {
        out.push(b'.');
        padded(value % SECOND, 6, out);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(day in FIRST_DAY..=LAST_DAY, time in 0..DAY, any: i64) {
            let mut out = Vec::new();
            write_date(day, &mut out);
            prop_assert_eq!(date(&out), Ok(day));
            out.clear();
            let moment = i64::from(day) * DAY + time;
            write_timestamp(moment, &mut out);
            prop_assert_eq!(timestamp(&out), Ok(moment));
            out.clear();
            let span = any % (839 * 3600 * SECOND);
            write_duration(span, &mut out);
            prop_assert_eq!(duration(&out), Ok(span));
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..30)) {
            let _ = (date(&bytes), timestamp(&bytes), duration(&bytes), time(&bytes));
        }
    }

    #[test]
    fn ends_and_impossible_dates() {
        assert_eq!(date(b"0001-01-01"), Ok(FIRST_DAY));
        assert_eq!(date(b"9999-12-31"), Ok(LAST_DAY));
        assert_eq!(date(b"1970-01-01"), Ok(0));
        assert_eq!(date(b"2024-02-31").unwrap_err().nearest, date(b"2024-02-29").ok());
        assert_eq!(date(b"2024-00-15").unwrap_err().nearest, date(b"2024-01-15").ok());
        for odd in ["0000-00-00", "1900-02-29", "2024-13-01", "x", "2024-1-1", "20240101"] {
            assert!(date(odd.as_bytes()).is_err(), "{odd}");
        }
        assert_eq!(duration(b"-838:59:59.000001"), Ok(-(838 * 3600 + 3599) * SECOND - 1));
        assert_eq!((time(b"24:00:00"), time(b"-00:00:01").is_err()), (Ok(DAY), true));
        assert!(timestamp(b"2024-01-01 24:00:00").is_err());
        assert_eq!(timestamp(b"1970-01-01 00:00:00.5"), Ok(500_000));
    }
}
