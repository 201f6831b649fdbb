//! CopyObject.

use serde::Deserialize;

use crate::endpoint::s3::bucket::Bucket;
use crate::endpoint::s3::condition::{self, Writes};
use crate::endpoint::s3::{answer, checksum, head, metadata, probe, xml};
use crate::endpoint::store::verbs::{Condition, Copying, From, Object, Put, Store as _};
use crate::error::{EngineError, Kind, Result};
use crate::model::digest::Algorithm;
use crate::remote::call::{Class, Verb};
use crate::remote::encode;

const DOING: &str = "failed to have the object copied";

#[derive(Deserialize)]
struct Copied {
    #[serde(rename = "ETag")]
    etag: String,
    #[serde(rename = "LastModified")]
    modified: String,
    #[serde(rename = "ChecksumCRC64NVME")]
    crc: Option<String>,
}

/// How the store copies an object under a condition. Some pass over the conditions of copies, and
/// heed those of completed uploads.
///
/// # Errors
/// What keeps it from being found out.
pub fn copying(bucket: &Bucket, from: &From, key: &str, condition: &Condition) -> Result<Copying> {
    let may = source(bucket, from).is_some()
        && (bucket.style().is_aws() || probe::single(bucket, key)?.sources);
    let fits = from.object.size <= bucket.rules().copy_bytes_max;
    if may && fits && condition::holds(bucket, key, condition, Writes::Copy)? {
        return Ok(Copying::Whole);
    }
    let parts = may && from.object.size > 0;
    match parts && condition::holds(bucket, key, condition, Writes::Complete)? {
        true => Ok(Copying::Parts),
        false => Ok(Copying::Never),
    }
}

/// Has the store copy an object of its service; `None` where it cannot.
///
/// # Errors
/// `SourceChanged`, `SourceNotFound`, `DestinationExists`, `DestinationChanged`, …
pub fn copy(bucket: &Bucket, from: &From, key: &str, put: &Put) -> Result<Option<Object>> {
    let whole = copying(bucket, from, key, &put.condition)? == Copying::Whole;
    let Some(source) = source(bucket, from).filter(|_| whole) else {
        return Ok(None);
    };
    let mut request = bucket
        .request(Verb::Write, "PUT", key)
        .header("x-amz-copy-source", source)
        .header("x-amz-metadata-directive", "REPLACE");
    metadata::add(&mut request.headers, bucket.options(), put)?;
    if !bucket.options().tags.is_empty() {
        request.headers.add("x-amz-tagging-directive", "REPLACE");
    }
    if bucket.confirms() {
        request.headers.add("x-amz-checksum-algorithm", "CRC64NVME");
    }
    if !from.object.version.is_none() {
        request.headers.add("x-amz-copy-source-if-match", from.object.version.as_str());
    }
    condition::bind(bucket, key, &put.condition, Writes::Copy, &mut request.headers)?;
    let body = match bucket.fetch(request) {
        Ok((_, body)) => body,
        Err(failure) if is_beyond(failure.class) => return Ok(None),
        Err(failure) if failure.class == Class::NotFound => return Err(missing(from, put)?),
        Err(failure) => {
            let settled = condition::settle(bucket, key, put, &failure, DOING);
            let is_condition = failure.class == Class::Condition;
            return settled
                .map(Some)
                .map_err(|e| if is_condition { whose(bucket, key, put) } else { e });
        }
    };
    let copied: Copied = xml::answer(&body, "CopyObjectResult", DOING)?;
    object(from, key, put, &copied).map(Some)
}

fn object(from: &From, key: &str, put: &Put, copied: &Copied) -> Result<Object> {
    let garbled = |why: String| xml::garbled(DOING, why);
    let crc = copied.crc.as_ref().and_then(|crc| checksum::decode(Algorithm::Crc64Nvme, crc));
    let digest = crc.map(checksum::digest);
    let known = from.object.digests.iter().find(|d| d.algorithm == Algorithm::Crc64Nvme);
    if let (Some(told), Some(known)) = (&digest, known)
        && told != known
    {
        let why = "the copy's checksum is not that of its source";
        return Err(EngineError::new(Kind::VerifyMismatch, DOING).because(why, None));
    }
    Ok(Object {
        key: key.to_owned(),
        size: from.object.size,
        version: answer::version(&copied.etag).map_err(garbled)?,
        modified: answer::date(&copied.modified).map_err(garbled)?,
        metadata: Some(put.metadata.clone()),
        digests: digest.into_iter().collect(),
        ..Object::default()
    })
}

/// The source as its field names it, where this store can read it with the rights at hand.
#[must_use]
pub fn source(bucket: &Bucket, from: &From) -> Option<String> {
    if from.store.scheme() != bucket.scheme() || bucket.has_customer_key() {
        return None;
    }
    let name = from.store.identity().strip_prefix(&bucket.style().service())?.strip_prefix('/')?;
    let source = format!("/{name}/{}", from.object.key);
    (!name.contains('/')).then(|| encode::path(source.as_bytes()))
}

/// Whether the bytes may take the way through this process all the same: the source cannot be read
/// with the rights of this side, by its key, from its region, or the store does not copy.
#[must_use]
pub fn is_beyond(class: Class) -> bool {
    matches!(
        class,
        Class::Forbidden | Class::Unsupported | Class::Invalid | Class::Region | Class::NoBucket
    )
}

/// What is not found is the source, or what was to be replaced: what stands at the one tells.
fn missing(from: &From, put: &Put) -> Result<EngineError> {
    let standing = from.store.look(&from.object.key)?.map(|object| object.version);
    let replaces = matches!(put.condition, Condition::Is(_));
    Ok(match standing {
        None => EngineError::new(Kind::SourceNotFound, "the object is gone"),
        Some(version) if replaces && version == from.object.version => {
            condition::broken(&put.condition)
        }
        Some(_) => EngineError::new(Kind::SourceChanged, "the object was replaced"),
    })
}

/// A copy has two conditions; what stands at its end tells which one failed.
fn whose(bucket: &Bucket, key: &str, put: &Put) -> EngineError {
    let there = match head::look(bucket, key) {
        Ok(there) => there.map(|object| object.version),
        Err(error) => return error,
    };
    match (put.condition, there) {
        (Condition::Absent, Some(_)) => condition::broken(&put.condition),
        (Condition::Is(version), there) if there != Some(version) => {
            condition::broken(&put.condition)
        }
        _ => EngineError::new(Kind::SourceChanged, "the object was replaced"),
    }
}
