//! What a check found.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// In order.
    Ok,
    /// It works, and less well than it could.
    Warn,
    /// Something will not work.
    Fail,
}

/// One finding.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Stable name.
    pub id: String,
    /// How bad it is.
    pub status: Health,
    /// What was found.
    pub detail: String,
    /// How to mend it.
    pub fix: Option<String>,
}

impl Check {
    /// Something in order.
    #[must_use]
    pub fn ok(id: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { id: id.into(), status: Health::Ok, detail: detail.into(), fix: None }
    }

    /// Something that could be better.
    #[must_use]
    pub fn warn(id: impl Into<String>, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        let (id, detail) = (id.into(), detail.into());
        Self { id, status: Health::Warn, detail, fix: Some(fix.into()) }
    }

    /// Something that will not work.
    #[must_use]
    pub fn fail(id: impl Into<String>, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { status: Health::Fail, ..Self::warn(id, detail, fix) }
    }
}
