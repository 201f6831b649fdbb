//! Files that credentials stand in.

use std::io;

use secrecy::zeroize::Zeroizing;
use serde::de::DeserializeOwned;

use crate::error::{EngineError, Kind, Result};
use crate::limits::CREDENTIALS_FILE_BYTES_MAX;
use crate::platform::operator;

/// A file's name as it is told.
pub(super) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// A file's text; `None` where there is none.
///
/// # Errors
/// `SecretUnresolved` naming a file that cannot be read or is not UTF-8.
pub(super) fn text(path: &[u8]) -> Result<Option<Zeroizing<String>>> {
    let failed = |why: &str, errno| {
        let message = format!("failed to read the credentials in {}", shown(path));
        EngineError::new(Kind::SecretUnresolved, message).because(why, errno)
    };
    let bytes = match operator::read_small(operator::path(path), CREDENTIALS_FILE_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(failed("too large", None));
        }
        Err(error) => return Err(failed("read", error.raw_os_error())),
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(bad) => {
            drop(Zeroizing::new(bad.into_bytes()));
            Err(failed("not UTF-8", None))
        }
    }
}

/// The text of a file that must be there, without blanks around it.
///
/// # Errors
/// As [`text`], and for a file that is absent or empty.
pub(super) fn needed(path: &[u8]) -> Result<Zeroizing<String>> {
    let found = text(path)?.map(|text| Zeroizing::new(text.trim().to_owned()));
    found.filter(|text| !text.is_empty()).ok_or_else(|| {
        let why = format!("the file of credentials {} is absent or empty", shown(path));
        EngineError::new(Kind::SecretUnresolved, why)
    })
}

/// JSON as a value. The parser's own words are left out: they may repeat a secret.
///
/// # Errors
/// `SecretUnresolved` with the place of the error.
pub(super) fn json<T: DeserializeOwned>(text: &str, place: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let why = format!("{place} is not of the form that credentials have");
        EngineError::new(Kind::SecretUnresolved, why)
            .because(format!("line {line}, column {column}"), None)
    })
}
