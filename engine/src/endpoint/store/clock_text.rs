//! Times as user metadata holds them: decimal seconds since 1970, as other tools write `mtime`.

use crate::model::item::Timestamp;

/// Decimal digits of a nanosecond.
const DIGITS: usize = 9;

/// With all nine digits of the fraction.
pub(super) fn write(time: Timestamp) -> String {
    let sign = if time.0 < 0 { "-" } else { "" };
    let nanos = time.0.unsigned_abs();
    format!("{sign}{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

/// With any fraction; digits beyond the ninth are left out. `None` for what is no such time.
pub(super) fn read(text: &str) -> Option<Timestamp> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (seconds, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || seconds.len() > 18 || !is_number(seconds) || !is_number(fraction) {
        return None;
    }
    let fraction = fraction.get(..DIGITS).unwrap_or(fraction);
    let nanos: i128 = format!("{fraction:0<9}").parse().ok()?;
    let value = seconds.parse::<i128>().ok()? * 1_000_000_000 + nanos;
    Some(Timestamp(if negative { -value } else { value }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back() {
        for nanos in [0, 1, -1, 1_700_000_000_123_456_789, -5_000_000_001] {
            assert_eq!(read(&write(Timestamp(nanos))), Some(Timestamp(nanos)));
        }
        assert_eq!(read("1700000000"), Some(Timestamp(1_700_000_000_000_000_000)));
        assert_eq!(read("1.5"), Some(Timestamp(1_500_000_000)));
        assert_eq!(read("1.0000000019"), Some(Timestamp(1_000_000_001)));
        for bad in ["", ".", "-", "1e9", "0x1", "1.x", "99999999999999999999"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
