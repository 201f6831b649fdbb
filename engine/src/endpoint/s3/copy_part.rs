//! UploadPartCopy.

use std::ops::Range;

use serde::Deserialize;

use crate::endpoint::s3::bucket::Bucket;
use crate::endpoint::s3::{answer, checksum, copy, put_part, xml};
use crate::endpoint::store::verbs::{From, Part, Upload};
use crate::error::{EngineError, Kind, Result};
use crate::model::digest::Algorithm;
use crate::remote::call::{Class, Verb};

const DOING: &str = "failed to have a part copied";

#[derive(Deserialize)]
struct Copied {
    #[serde(rename = "ETag")]
    etag: String,
    #[serde(rename = "ChecksumCRC64NVME")]
    crc: Option<String>,
}

/// Has the store copy a range of an object of its own as a part; `None` where it cannot.
///
/// # Errors
/// `SourceChanged`, `DestinationWrite`, …
pub fn copy_part(
    bucket: &Bucket,
    upload: &Upload,
    index: u32,
    from: &From,
    range: Range<u64>,
) -> Result<Option<Part>> {
    let (Some(source), false) = (copy::source(bucket, from), range.is_empty()) else {
        return Ok(None);
    };
    let mut request = put_part::request(bucket, upload, index)
        .header("x-amz-copy-source", source)
        .header("x-amz-copy-source-range", format!("bytes={}-{}", range.start, range.end - 1));
    if !from.object.version.is_none() {
        request.headers.add("x-amz-copy-source-if-match", from.object.version.as_str());
    }
    let (_, body) = match bucket.fetch(request) {
        Ok(answer) => answer,
        Err(failure) if copy::is_beyond(failure.class) => return Ok(None),
        Err(failure) if failure.class == Class::Condition => {
            return Err(EngineError::new(Kind::SourceChanged, "the object was replaced"));
        }
        Err(failure) => return Err(bucket.error(&failure, Verb::Write, DOING)),
    };
    check_source(bucket, from)?;
    let copied: Copied = xml::answer(&body, "CopyPartResult", DOING)?;
    let tag = answer::version(&copied.etag).map_err(|why| xml::garbled(DOING, why))?;
    let digest = copied.crc.and_then(|crc| checksum::decode(Algorithm::Crc64Nvme, &crc));
    let size = range.end - range.start;
    Ok(Some(Part { index, size, tag: tag.as_str().to_owned(), digest }))
}

/// Ceph's gateway passes over which version of the source is meant. One that still stands there when
/// the copy is done is the one that was copied.
fn check_source(bucket: &Bucket, from: &From) -> Result<()> {
    if bucket.style().is_aws() || from.object.version.is_none() {
        return Ok(());
    }
    match from.store.look(&from.object.key)? {
        Some(there) if there.version == from.object.version => Ok(()),
        _ => Err(EngineError::new(Kind::SourceChanged, "the object was replaced")),
    }
}
