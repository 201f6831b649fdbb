//! CompleteMultipartUpload.

use std::fmt::Write as _;

use serde::Deserialize;

use crate::endpoint::s3::bucket::Bucket;
use crate::endpoint::s3::condition::{self, Writes};
use crate::endpoint::s3::{answer, checksum, xml};
use crate::endpoint::store::verbs::{Part, Put, Upload, Whole};
use crate::error::{EngineError, Kind, Result};
use crate::model::digest::Algorithm;
use crate::model::version::Version;
use crate::remote::call::{Class, Verb};

const DOING: &str = "failed to complete the upload";

#[derive(Deserialize)]
struct Completed {
    #[serde(rename = "ETag")]
    etag: String,
    #[serde(rename = "ChecksumCRC64NVME")]
    crc: Option<String>,
}

/// Makes an object of parts.
///
/// # Errors
/// `DestinationExists`, `DestinationChanged`, `NoAtomicNoreplace`; `VerifyMismatch` when the
/// store's checksum of the whole is another one.
pub fn complete(bucket: &Bucket, upload: &Upload, parts: &[Part], put: &Put) -> Result<Version> {
    let checks = bucket.confirms();
    let mut parts = parts.to_vec();
    parts.sort_by_key(|part| part.index);
    let body = body(&parts, checks);
    let mut request = bucket
        .request(Verb::Control, "POST", &upload.key)
        .query("uploadId", upload.id.as_str())
        .header("content-type", "application/xml");
    bucket.add_customer_key(&mut request.headers);
    let whole = whole(&parts, put).filter(|_| checks);
    if let Some(whole) = whole {
        let size: u64 = parts.iter().map(|part| part.size).sum();
        request.headers.add(checksum::field(whole), checksum::encode(whole));
        request.headers.add("x-amz-checksum-type", "FULL_OBJECT");
        request.headers.add("x-amz-mp-object-size", size.to_string());
    }
    condition::bind(bucket, &upload.key, &put.condition, Writes::Complete, &mut request.headers)?;
    let mismatch =
        |why: String| Err(EngineError::new(Kind::VerifyMismatch, DOING).because(why, None));
    let text = match bucket.fetch(request.body(body.as_bytes())) {
        Ok((_, text)) => text,
        Err(failure) if failure.class == Class::Damaged => return mismatch(failure.message),
        Err(mut failure) => {
            // An upload that was completed before, by a process that was killed since, stands in its
            // own way.
            failure.unsure |= failure.class == Class::Condition;
            let settled = condition::settle(bucket, &upload.key, put, &failure, DOING);
            return settled.map(|object| object.version);
        }
    };
    let completed: Completed = xml::answer(&text, "CompleteMultipartUploadResult", DOING)?;
    // Ceph's gateway does not compare it by itself. Of one part alone it says that it is composite,
    // which CRC-64/NVME never is.
    let told = completed.crc.and_then(|crc| checksum::decode(Algorithm::Crc64Nvme, &crc));
    if let (Some(told), Some(whole)) = (told, whole)
        && told != whole
    {
        return mismatch("the store joined other bytes than were sent".to_owned());
    }
    answer::version(&completed.etag).map_err(|why| xml::garbled(DOING, why))
}

/// The checksum of the whole: as it is known, or joined from those of all parts.
fn whole(parts: &[Part], put: &Put) -> Option<Whole> {
    let known = put.digest.filter(|whole| whole.algorithm == Algorithm::Crc64Nvme);
    known.or_else(|| checksum::join(parts.iter().map(|part| (part.digest, part.size))))
}

/// The request's body.
#[must_use]
pub fn body(parts: &[Part], checks: bool) -> String {
    const SPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
    let mut text = format!("<CompleteMultipartUpload xmlns=\"{SPACE}\">");
    for part in parts {
        let number = u64::from(part.index) + 1;
        let tag = xml::escape(&part.tag);
        let _never = write!(text, "<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag>");
        if let Some(digest) = part.digest.filter(|_| checks) {
            let (name, value) = (checksum::element(digest), checksum::encode(digest));
            let _never = write!(text, "<{name}>{value}</{name}>");
        }
        text.push_str("</Part>");
    }
    text.push_str("</CompleteMultipartUpload>");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_name_parts_with_their_checksums() {
        let digest = Some(checksum::of(b"123456789"));
        let part = Part { index: 1, size: 9, tag: "\"a&b\"".to_owned(), digest };
        let end = "</Part></CompleteMultipartUpload>";
        let named = "<Part><PartNumber>2</PartNumber><ETag>&quot;a&amp;b&quot;</ETag>";
        let crc = "<ChecksumCRC64NVME>rosUhgp5mIg=</ChecksumCRC64NVME>";
        assert!(body(std::slice::from_ref(&part), true).ends_with(&format!("{named}{crc}{end}")));
        assert!(body(&[part], false).ends_with(&format!("{named}{end}")));
    }
}
