//! CreateMultipartUpload.

use serde::Deserialize;

use crate::endpoint::s3::bucket::Bucket;
use crate::endpoint::s3::condition::{self, Writes};
use crate::endpoint::s3::{metadata, xml};
use crate::endpoint::store::verbs::{Put, Upload};
use crate::error::Result;
use crate::remote::call::{Class, Failure, Request, Verb};

const DOING: &str = "failed to begin an upload";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Begun {
    upload_id: String,
}

/// Begins an upload in parts.
///
/// # Errors
/// `NoAtomicNoreplace` before any part is sent; `DestinationPermission`, …
pub fn begin(bucket: &Bucket, key: &str, put: &Put) -> Result<Upload> {
    condition::require(bucket, key, &put.condition, Writes::Complete)?;
    let mut request = request(bucket, key);
    metadata::add(&mut request.headers, bucket.options(), put)?;
    if bucket.confirms() {
        request.headers.add("x-amz-checksum-algorithm", "CRC64NVME");
        request.headers.add("x-amz-checksum-type", "FULL_OBJECT");
    }
    send(bucket, key, request).map_err(|failure| bucket.error(&failure, Verb::Write, DOING))
}

/// Begins an upload of nothing but bytes.
///
/// # Errors
/// The store's refusal.
pub fn bare(bucket: &Bucket, key: &str) -> Result<Upload, Failure> {
    send(bucket, key, request(bucket, key))
}

fn request(bucket: &Bucket, key: &str) -> Request<'static> {
    let mut request = bucket.request(Verb::Control, "POST", key).query("uploads", "");
    bucket.add_customer_key(&mut request.headers);
    request
}

fn send(bucket: &Bucket, key: &str, request: Request<'_>) -> Result<Upload, Failure> {
    let (answer, body) = bucket.fetch(request)?;
    let begun: Result<Begun, String> = xml::read(&body, "InitiateMultipartUploadResult");
    match begun {
        Ok(begun) if !begun.upload_id.is_empty() => {
            Ok(Upload { key: key.to_owned(), id: begun.upload_id })
        }
        other => Err(Failure {
            class: Class::Garbled,
            status: Some(answer.status),
            code: String::new(),
            message: other.err().unwrap_or_else(|| "the upload has no name".to_owned()),
            errno: None,
            unsure: true,
            retry_after: None,
        }),
    }
}
