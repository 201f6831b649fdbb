//! PutObject.

use crate::endpoint::s3::bucket::Bucket;
use crate::endpoint::s3::condition::{self, Writes};
use crate::endpoint::s3::proof::Proof;
use crate::endpoint::s3::{answer, metadata, xml};
use crate::endpoint::store::verbs::Put;
use crate::error::{EngineError, Kind, Result};
use crate::model::version::Version;
use crate::remote::call::Verb;

const DOING: &str = "failed to put the object";

/// Puts a whole object.
///
/// # Errors
/// `DestinationExists`, `DestinationChanged`, `NoAtomicNoreplace`, `DestinationPermission`, …
pub fn put(bucket: &Bucket, key: &str, bytes: &[u8], put: &Put) -> Result<Version> {
    let proof = Proof::of(bucket, bytes, put.digest);
    let mut request = bucket.request(Verb::Write, "PUT", key);
    metadata::add(&mut request.headers, bucket.options(), put)?;
    bucket.add_customer_key(&mut request.headers);
    proof.add(&mut request.headers);
    condition::bind(bucket, key, &put.condition, Writes::Put, &mut request.headers)?;
    match bucket.fetch(request.body(bytes)) {
        Ok((answer, _)) => {
            proof
                .confirmed(bucket, &answer.headers)
                .map_err(|why| EngineError::new(Kind::VerifyMismatch, DOING).because(why, None))?;
            let etag = answer.headers.get("etag").unwrap_or_default();
            answer::version(etag).map_err(|why| xml::garbled(DOING, why))
        }
        Err(failure) => {
            condition::settle(bucket, key, put, &failure, DOING).map(|object| object.version)
        }
    }
}
