//! CreateMultipartUpload.

use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::endpoint::s3::bucket::Bucket;
use crate::endpoint::s3::condition::{self, Writes};
use crate::endpoint::s3::{abort, list_parts, list_uploads, metadata, xml};
use crate::endpoint::store::verbs::{self, Put, Upload};
use crate::error::Result;
use crate::remote::call::{Class, Failure, Request, Verb};

const DOING: &str = "failed to begin an upload";
/// How much coarser than our clock a store's may be.
const CLOCK_STEP: Duration = Duration::from_secs(1);

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
    let start = Instant::now();
    let (answer, body) = bucket.fetch(request)?;
    let begun: Result<Begun, String> = xml::read(&body, "InitiateMultipartUploadResult");
    match begun {
        Ok(begun) if !begun.upload_id.is_empty() => {
            let upload = Upload { key: key.to_owned(), id: begun.upload_id };
            if answer.doubtful
                && let Err(why) = give_twins_up(bucket, &upload, start.elapsed() + CLOCK_STEP)
            {
                bucket.ties().left.add(why.at(key));
            }
            Ok(upload)
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

/// Gives up what attempts before this one began whose answers were lost: uploads of the key without
/// parts, begun within that time before it by the store's own clock.
fn give_twins_up(bucket: &Bucket, upload: &Upload, within: Duration) -> Result<()> {
    let mut all: Vec<verbs::Begun> = Vec::new();
    list_uploads::uploads(bucket, &upload.key, &mut |begun| {
        all.extend(Some(begun).filter(|begun| begun.upload.key == upload.key));
        Ok(())
    })?;
    let Some(ours) = all.iter().find(|begun| begun.upload == *upload).map(|ours| ours.begun.0)
    else {
        return Ok(());
    };
    let step = CLOCK_STEP.as_nanos() as i128;
    let times = ours - within.as_nanos() as i128..=ours + step;
    for begun in all {
        let is_twin = begun.upload != *upload && times.contains(&begun.begun.0);
        if is_twin
            && list_parts::parts(bucket, &begun.upload)?.is_some_and(|parts| parts.is_empty())
        {
            abort::abandon(bucket, &begun.upload)?;
        }
    }
    Ok(())
}
