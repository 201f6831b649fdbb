//! Removes an object.

use crate::error::Result;
use crate::model::version::Version;
use crate::remote::call::{Class, Failure, Verb};

use super::bucket::{ANSWER_BYTES_MAX, Bucket};

impl Bucket {
    /// Where the bucket keeps old generations, this one is kept too: it is not there any more, and
    /// no more is asked.
    pub(super) fn remove(&self, key: &str, version: Version) -> Result<bool> {
        let mut request = self.request(Verb::Remove, "DELETE", self.object("", key));
        if !version.is_none() {
            request = request.query("ifGenerationMatch", version.as_str());
        }
        match self.client.fetch(&request, ANSWER_BYTES_MAX) {
            Ok(_) => Ok(true),
            // An earlier attempt whose answer was lost removed it.
            Err(Failure { class: Class::NotFound, unsure, .. }) => Ok(unsure),
            Err(Failure { class: Class::Condition, .. }) => Ok(false),
            Err(f) => Err(self.failed(&f, Verb::Remove, "failed to remove the object")),
        }
    }

    /// Removes a generation that this process made and nobody else is to see. One that is gone is
    /// as good.
    pub(super) fn discard(&self, key: &str, generation: &str) -> Result<()> {
        let path = self.object("", key);
        let request = self.request(Verb::Remove, "DELETE", path).query("generation", generation);
        match self.client.fetch(&request, ANSWER_BYTES_MAX) {
            Ok(_) | Err(Failure { class: Class::NotFound | Class::Condition, .. }) => Ok(()),
            Err(f) => Err(self.failed(&f, Verb::Remove, "failed to remove a temporary object")),
        }
    }
}
