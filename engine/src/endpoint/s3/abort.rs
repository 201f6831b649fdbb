//! AbortMultipartUpload.

use crate::endpoint::s3::bucket::Bucket;
use crate::endpoint::store::verbs::Upload;
use crate::error::Result;
use crate::remote::call::{Class, Request, Verb};

/// What failed, where it fails.
pub const DOING: &str = "failed to give an upload up";

/// What gives an upload up.
pub fn request<'a>(bucket: &Bucket, upload: &'a Upload) -> Request<'a> {
    bucket.request(Verb::Remove, "DELETE", &upload.key).query("uploadId", upload.id.as_str())
}

/// Gives an upload up. One that is gone is no error.
///
/// # Errors
/// `DeletePermission`, …
pub fn abandon(bucket: &Bucket, upload: &Upload) -> Result<()> {
    match bucket.fetch_parting(request(bucket, upload)) {
        Ok(_) => Ok(()),
        Err(f) if matches!(f.class, Class::NoUpload | Class::NotFound) => Ok(()),
        Err(failure) => Err(bucket.error(&failure, Verb::Remove, DOING)),
    }
}
