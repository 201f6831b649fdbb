//! Values that become part of a request's head, or of an address.

use secrecy::{ExposeSecret as _, SecretString};

use crate::error::{EngineError, Kind, Result};

/// A secret as a field of a request can hold it: printable ASCII without blanks, those around it
/// dropped.
///
/// # Errors
/// `SecretUnresolved` naming `place`.
pub(super) fn secret(place: &str, text: &str) -> Result<SecretString> {
    word(place, text).map(SecretString::from)
}

/// As [`secret`], for what may be shown.
///
/// # Errors
/// As [`secret`]. The text is not repeated: it may be a secret in the wrong place.
pub(super) fn word(place: &str, text: &str) -> Result<String> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    let why = format!("{place} is empty, or holds blanks or other bytes that credentials never do");
    Err(EngineError::new(Kind::SecretUnresolved, why))
}

/// A name that becomes part of a host or path: letters, digits, `-`, `.` and `_`.
///
/// # Errors
/// `InvalidField` naming `place`.
pub(super) fn name(place: &str, text: &str) -> Result<String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if !text.is_empty() && text.len() <= 128 && text.bytes().all(fits) && !text.contains("..") {
        return Ok(text.to_owned());
    }
    let why = format!("{place} is no name: letters, digits, hyphens, dots");
    Err(EngineError::new(Kind::InvalidField, why))
}

/// The text of a secret that was read as bytes.
///
/// # Errors
/// As [`secret`].
pub(super) fn of_bytes(place: &str, bytes: &secrecy::SecretSlice<u8>) -> Result<SecretString> {
    secret(place, std::str::from_utf8(bytes.expose_secret()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_break_a_head_or_a_host_is_refused_and_not_shown() {
        for text in ["", "  ", "hunter2\r\nx: y", "hunter 2", "hunter2é"] {
            let error = secret("the variable A", text).unwrap_err();
            assert!(!format!("{error:?}").contains("hunter"), "{text}");
        }
        assert_eq!(secret("a", " abc\n").unwrap().expose_secret(), "abc");
        assert_eq!(name("region", "eu-west-1").unwrap(), "eu-west-1");
        for text in ["", "a/b", "a@b", "a..b", "a b", "a:1", "a#"] {
            assert_eq!(name("region", text).unwrap_err().kind(), Kind::InvalidField, "{text}");
        }
    }
}
