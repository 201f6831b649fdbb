//! Where credentials were looked for.

use crate::error::{EngineError, Kind};

/// Places, by name: never what they hold.
#[derive(Default)]
pub(super) struct Looked(Vec<String>);

impl Looked {
    /// One more.
    pub(super) fn at(&mut self, place: impl Into<String>) {
        self.0.push(place.into());
    }

    /// Nothing was found in any.
    pub(super) fn missing(self, store: &str) -> EngineError {
        let places = self.0.join("; ");
        let why = format!("no credentials for {store} were found. Looked at: {places}");
        EngineError::new(Kind::CredentialsMissing, why)
    }
}
