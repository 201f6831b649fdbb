//! Days and times as the server reads them, for columns that go as text.

use std::fmt::Write as _;

use crate::endpoint::postgres::decode::DAY_US;
use crate::model::kind::{
    DATE_INFINITE, DATE_MINUS_INFINITE, TIMESTAMP_INFINITE, TIMESTAMP_MINUS_INFINITE,
};

/// A day: `2024-02-29`, with an era before the year 1.
pub(super) fn date(days: i32, out: &mut String) {
    match days {
        DATE_INFINITE => out.push_str("infinity"),
        DATE_MINUS_INFINITE => out.push_str("-infinity"),
        days => {
            let is_before = day(i64::from(days), out);
            out.push_str(if is_before { " BC" } else { "" });
        }
    }
}

/// A moment, with an offset of zero where it has a zone.
pub(super) fn timestamp(us: i64, zoned: bool, out: &mut String) {
    match us {
        TIMESTAMP_INFINITE => out.push_str("infinity"),
        TIMESTAMP_MINUS_INFINITE => out.push_str("-infinity"),
        us => {
            let is_before = day(us.div_euclid(DAY_US), out);
            out.push(' ');
            time(us.rem_euclid(DAY_US), out);
            out.push_str(if zoned { "+00" } else { "" });
            out.push_str(if is_before { " BC" } else { "" });
        }
    }
}

/// A time, or a span of time of any length: `-838:59:59.000001`.
pub(super) fn time(us: i64, out: &mut String) {
    let sign = if us < 0 { "-" } else { "" };
    let us = us.unsigned_abs();
    let (seconds, fraction) = (us / 1_000_000, us % 1_000_000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    // Writing into a String cannot fail.
    drop(write!(out, "{sign}{hours:02}:{minutes:02}:{:02}.{fraction:06}", seconds % 60));
}

/// Writes a day of the proleptic Gregorian calendar; whether its year is before the first. After
/// Howard Hinnant's `civil_from_days`.
fn day(days: i64, out: &mut String) -> bool {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let is_before = year < 1;
    let year = if is_before { 1 - year } else { year };
    drop(write!(out, "{year:04}-{month:02}-{day:02}"));
    is_before
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(write: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn days_and_times_are_written_as_the_server_reads_them() {
        for (days, text) in [
            (0, "1970-01-01"),
            (19_782, "2024-02-29"),
            (-719_162, "0001-01-01"),
            (-719_163, "0001-12-31 BC"),
            (2_932_897, "10000-01-01"),
            (i32::MAX, "infinity"),
            (i32::MIN, "-infinity"),
        ] {
            assert_eq!(shown(|out| date(days, out)), text);
        }
        assert_eq!(shown(|out| timestamp(-1, true, out)), "1969-12-31 23:59:59.999999+00");
        assert_eq!(shown(|out| time(86_400_000_000, out)), "24:00:00.000000");
        assert_eq!(shown(|out| time(-3_020_399_000_001, out)), "-838:59:59.000001");
    }
}
