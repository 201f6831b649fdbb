//! The environment that credentials are looked for in: the process's, or a test's.

use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use secrecy::SecretString;

use crate::error::{EngineError, Kind, Result};

type Lookup = dyn Fn(&str) -> Option<Vec<u8>> + Send + Sync;

/// Names and values. A variable that is empty is none.
#[derive(Clone)]
pub struct Environment(Arc<Lookup>);

impl Environment {
    /// That of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self::of(|name| std::env::var_os(name).map(OsStringExt::into_vec))
    }

    /// What `lookup` says.
    #[must_use]
    pub fn of(lookup: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(lookup))
    }

    /// A variable's bytes, for a path.
    pub(super) fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    /// A variable's text.
    ///
    /// # Errors
    /// `InvalidField` naming one that is not UTF-8.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>> {
        let Some(bytes) = self.bytes(name) else { return Ok(None) };
        String::from_utf8(bytes).map(Some).map_err(|_| {
            let why = format!("the environment's variable {name} is not UTF-8");
            EngineError::new(Kind::InvalidField, why)
        })
    }

    /// A variable that is a secret.
    ///
    /// # Errors
    /// As [`Environment::text`].
    pub(super) fn secret(&self, name: &str) -> Result<Option<SecretString>> {
        Ok(self.text(name)?.map(SecretString::from))
    }

    /// Whether a variable says yes.
    pub(super) fn is_true(&self, name: &str) -> bool {
        self.bytes(name).is_some_and(|value| value.eq_ignore_ascii_case(b"true"))
    }

    /// A path of the user's own directory.
    pub(super) fn at_home(&self, rest: &str) -> Option<Vec<u8>> {
        self.bytes("HOME").map(|home| [&home, b"/".as_slice(), rest.as_bytes()].concat())
    }
}
