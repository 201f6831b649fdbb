//! Days and times as the server reads them, for columns that go as text.

use std::fmt::Write as _;

use crate::endpoint::postgres::decode::DAY_US;
use crate::model::forms::{civil, write_time};
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
            write_time(out, us.rem_euclid(DAY_US));
            out.push_str(if zoned { "+00" } else { "" });
            out.push_str(if is_before { " BC" } else { "" });
        }
    }
}

/// Writes a day; whether its year is before the first.
fn day(days: i64, out: &mut String) -> bool {
    let (year, month, day) = civil(days);
    let is_before = year < 1;
    let year = if is_before { 1 - year } else { year };
    // Writing into a String cannot fail.
    let _ = write!(out, "{year:04}-{month:02}-{day:02}");
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
    }
}
