//! DeleteObject.

use crate::endpoint::s3::bucket::Bucket;
use crate::endpoint::s3::head;
use crate::error::Result;
use crate::model::version::Version;
use crate::remote::call::{Class, Failure, Verb};

/// What is done, as errors tell it.
pub const DOING: &str = "failed to remove the object";

/// Removes an object, if it is this version. False when it is gone or another one stands there.
///
/// Where the store does not heed conditions of removals, what stands there is looked at just
/// before: what another writer puts there in between is removed.
///
/// # Errors
/// `DeletePermission`, …
pub fn remove(bucket: &Bucket, key: &str, version: Version) -> Result<bool> {
    let bound = !version.is_none();
    if !bucket.removes_only() {
        match head::look(bucket, key)? {
            Some(there) if !bound || there.version == version => {}
            _ => return Ok(false),
        }
    }
    let result = match send(bucket, key, Some(version).filter(|_| bound)) {
        Err(f) if f.class == Class::Unsupported && bound && !bucket.removes_only() => {
            send(bucket, key, None)
        }
        result => result,
    };
    match result {
        Ok(()) => Ok(true),
        Err(failure) => match failure.class {
            // Sent twice, and carried out the first time.
            Class::NotFound => Ok(failure.unsure),
            // By then another one may stand there.
            Class::Condition => Ok(failure.unsure && head::look(bucket, key)?.is_none()),
            _ => Err(bucket.error(&failure, Verb::Remove, DOING)),
        },
    }
}

fn send(bucket: &Bucket, key: &str, version: Option<Version>) -> Result<(), Failure> {
    let mut request = bucket.request(Verb::Remove, "DELETE", key);
    if let Some(version) = version {
        request.headers.add("if-match", version.as_str());
    }
    bucket.fetch(request).map(drop)
}
