//! Wall-clock time, as a number and as text.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::item::Timestamp;

/// Now. A filesystem's own clock may be a tick behind, 10 ms at most on Linux.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp(since.map_or(0, |time| time.as_nanos() as i128))
}

/// Now, RFC 3339 in UTC with milliseconds.
#[must_use]
pub fn rfc3339_now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    rfc3339(since.as_millis() as u64)
}

/// Milliseconds since 1970 as RFC 3339 in UTC.
///
/// Days to a date: Howard Hinnant's `civil_from_days`, eras of 400 years beginning in March.
#[must_use]
pub fn rfc3339(millis: u64) -> String {
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// A point in time as RFC 3339 writes it; `None` for any other text.
#[must_use]
pub fn from_rfc3339(text: &str) -> Option<Timestamp> {
    text.parse().ok().map(|time: jiff::Timestamp| Timestamp(time.as_nanosecond()))
}

/// A date as HTTP writes it (RFC 9110, §5.6.7); `None` for any other text.
#[must_use]
pub fn from_http_date(text: &str) -> Option<Timestamp> {
    let time = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Timestamp(time.timestamp().as_nanosecond()))
}

/// Minutes since Monday's midnight, by the local time of the machine.
#[must_use]
pub fn minute_of_week() -> u16 {
    minute_at(&jiff::Zoned::now())
}

fn minute_at(now: &jiff::Zoned) -> u16 {
    let day = now.weekday().to_monday_zero_offset() as u16;
    (day * 24 + now.hour() as u16) * 60 + now.minute() as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_week_goes_by_the_local_clock_with_its_gaps() {
        let zone = jiff::tz::TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let at = |text: &str| {
            let time: jiff::Timestamp = text.parse().unwrap();
            let minute = minute_at(&time.to_zoned(zone.clone()));
            (minute / 1440, minute / 60 % 24, minute % 60)
        };
        assert_eq!(at("2026-11-23T05:59:59Z"), (0, 6, 59));
        assert_eq!(at("2026-11-22T22:59:59Z"), (6, 23, 59));
        assert_eq!(at("2026-11-22T23:00:00Z"), (0, 0, 0));
        // In spring, 02:00 to 03:00 is left out; in autumn it comes twice.
        assert_eq!(at("2026-03-29T00:59:59Z"), (6, 1, 59));
        assert_eq!(at("2026-03-29T01:00:00Z"), (6, 3, 0));
        assert_eq!(at("2026-10-25T00:30:00Z"), (6, 2, 30));
        assert_eq!(at("2026-10-25T01:30:00Z"), (6, 2, 30));
    }

    #[test]
    fn dates_of_services_are_read() {
        let whole = Timestamp::new(784_111_777, 0);
        assert_eq!(from_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(whole));
        assert_eq!(from_rfc3339("1994-11-06T08:49:37Z"), Some(whole));
        let parts = Timestamp::new(784_111_777, 120_000_000);
        assert_eq!(from_rfc3339("1994-11-06T09:49:37.12+01:00"), Some(parts));
        for text in ["", "yesterday", "1994-11-06", "784111777"] {
            assert_eq!((from_http_date(text), from_rfc3339(text)), (None, None), "{text}");
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(rfc3339(951_868_799_000), "2000-02-29T23:59:59.000Z");
        assert_eq!(rfc3339(1_795_248_000_000), "2026-11-21T08:00:00.000Z");
        assert_eq!(rfc3339(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
    }
}
