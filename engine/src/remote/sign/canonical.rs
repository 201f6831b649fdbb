//! Forms that several signatures share.

use sha2::{Digest as _, Sha256};

use crate::error::{EngineError, Kind, Result};
use crate::model::item::Timestamp;
use crate::platform::clock;

/// Appends a field's value with blanks around it dropped and runs of them within made one.
pub(super) fn push_folded(out: &mut String, value: &str) {
    if !value.contains("  ") && !value.contains('\t') {
        out.push_str(value.trim());
        return;
    }
    for (at, word) in value.split_ascii_whitespace().enumerate() {
        if at > 0 {
            out.push(' ');
        }
        out.push_str(word);
    }
}

/// Appends bytes in lower-case hexadecimal.
pub(super) fn push_hex(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS.get(usize::from(value)).copied().unwrap_or(b'0'));
    for byte in bytes {
        out.extend([digit(byte >> 4), digit(byte & 15)]);
    }
}

/// The SHA-256 of bytes in lower-case hexadecimal.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(64);
    push_hex(&mut out, &Sha256::digest(bytes));
    out
}

/// A time as `20130524T000000Z`; its first 8 bytes are the day.
#[must_use]
pub fn basic_time(now: Timestamp) -> String {
    let millis = u64::try_from(now.seconds()).unwrap_or(0) * 1000;
    let mut text = clock::rfc3339(millis);
    text.truncate("2013-05-24T00:00:00".len());
    text.retain(|c| c != '-' && c != ':');
    text.push('Z');
    text
}

/// A time as `Fri, 24 May 2013 00:00:00 GMT` (RFC 9110).
///
/// # Errors
/// `Internal` for a year beyond 9999.
pub fn http_time(now: Timestamp) -> Result<String> {
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    let time = jiff::Timestamp::from_second(now.seconds());
    time.and_then(|time| printer.timestamp_to_rfc9110_string(&time))
        .map_err(|_| EngineError::new(Kind::Internal, "the clock is beyond all dates"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_values_take_their_forms() {
        let time = Timestamp::new(1_369_353_600, 999);
        assert_eq!(basic_time(time), "20130524T000000Z");
        assert_eq!(http_time(time).unwrap(), "Fri, 24 May 2013 00:00:00 GMT");
        assert!(http_time(Timestamp::new(i64::MAX, 0)).is_err());
        let folded = |value: &str| {
            let mut out = String::new();
            push_folded(&mut out, value);
            out
        };
        assert_eq!(folded("  a   b\tc "), "a b c");
        assert_eq!(folded(" a b "), "a b");
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256_hex(b""), empty);
    }
}
