//! AbortMultipartUpload.

use crate::endpoint::s3::bucket::Bucket;
use crate::endpoint::store::verbs::Upload;
use crate::error::Result;
use crate::remote::call::{Class, Verb};

/// Gives an upload up. One that is gone is no error.
///
/// # Errors
/// `DeletePermission`, …
pub fn abandon(bucket: &Bucket, upload: &Upload) -> Result<()> {
    let request =
        bucket.request(Verb::Remove, "DELETE", &upload.key).query("uploadId", upload.id.as_str());
    match bucket.fetch_parting(request) {
        Ok(_) => Ok(()),
        Err(f) if matches!(f.class, Class::NoUpload | Class::NotFound) => Ok(()),
        Err(failure) => Err(bucket.error(&failure, Verb::Remove, "failed to give an upload up")),
    }
}
