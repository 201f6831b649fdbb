//! Delete Blob, of one version alone.

use crate::endpoint::azure::container::Container;
use crate::error::Result;
use crate::model::version::Version;
use crate::remote::call::{Class, Verb};

const DOING: &str = "failed to remove the object";
/// Longest body of an answer that is passed over, bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

impl Container {
    /// Removes an object; false when it is gone or another version stands there. One that has
    /// snapshots is refused by the service: they would go with it.
    pub(super) fn delete(&self, key: &str, version: Version) -> Result<bool> {
        let mut request = self.blob(Verb::Remove, "DELETE", key)?;
        if !version.is_none() {
            request.headers.set("if-match", version.as_str());
        }
        match self.client.fetch(&request, ANSWER_BYTES_MAX) {
            Ok(_) => Ok(true),
            // A reply was lost, and now it is gone: by this very request, as far as anybody knows.
            Err(failure) if failure.class == Class::NotFound => Ok(failure.unsure),
            Err(failure) if failure.class == Class::Condition => Ok(false),
            Err(failure) => Err(self.error(&failure, Verb::Remove, DOING)),
        }
    }
}
