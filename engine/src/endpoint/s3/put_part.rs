//! UploadPart.

use crate::endpoint::s3::bucket::Bucket;
use crate::endpoint::s3::proof::Proof;
use crate::endpoint::s3::{answer, xml};
use crate::endpoint::store::verbs::{Part, Upload, Whole};
use crate::error::{EngineError, Kind, Result};
use crate::remote::call::{Request, Verb};

const DOING: &str = "failed to send a part";

/// Sends a part. Sent again it replaces itself.
///
/// # Errors
/// `DestinationWrite` when the upload is gone or the part arrives damaged, `VerifyMismatch`, …
pub fn put_part(
    bucket: &Bucket,
    upload: &Upload,
    index: u32,
    bytes: &[u8],
    digest: Option<Whole>,
) -> Result<Part> {
    let proof = Proof::of(bucket, bytes, digest);
    let mut request = request(bucket, upload, index);
    bucket.add_customer_key(&mut request.headers);
    proof.add(&mut request.headers);
    let (answer, _) = bucket
        .fetch(request.body(bytes))
        .map_err(|failure| bucket.error(&failure, Verb::Write, DOING))?;
    bucket.learn_tags(&answer.headers);
    let digest = proof
        .confirmed(bucket, &answer.headers)
        .map_err(|why| EngineError::new(Kind::VerifyMismatch, DOING).because(why, None))?;
    let etag = answer.headers.get("etag").unwrap_or_default();
    let version = answer::version(etag).map_err(|why| xml::garbled(DOING, why))?;
    Ok(Part { index, size: bytes.len() as u64, tag: version.as_str().to_owned(), digest })
}

/// A request for the part of this index.
#[must_use]
pub fn request(bucket: &Bucket, upload: &Upload, index: u32) -> Request<'static> {
    bucket
        .request(Verb::Write, "PUT", &upload.key)
        .query("partNumber", (u64::from(index) + 1).to_string())
        .query("uploadId", upload.id.as_str())
}
