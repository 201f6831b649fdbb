//! Looks at an object.

use crate::endpoint::store::verbs::Object;
use crate::error::Result;
use crate::remote::call::{Class, Failure, Verb};

use super::bucket::Bucket;
use super::resource::{FIELDS, Resource};

impl Bucket {
    /// What the service tells of an object.
    pub(super) fn resource(&self, key: &str) -> Result<Option<Resource>, Failure> {
        let request = self.request(Verb::Look, "GET", self.object("", key)).query("fields", FIELDS);
        match self.ask(&request) {
            Ok(resource) => Ok(Some(resource)),
            Err(failure) if failure.class == Class::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    pub(super) fn look(&self, key: &str) -> Result<Option<Object>> {
        let found = self.resource(key);
        let found = found.map_err(|f| self.failed(&f, Verb::Look, "failed to look at the object"));
        Ok(found?.map(Resource::object))
    }
}
