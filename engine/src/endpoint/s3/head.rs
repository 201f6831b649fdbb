//! HeadObject.

use crate::endpoint::s3::bucket::Bucket;
use crate::endpoint::s3::{answer, xml};
use crate::endpoint::store::verbs::Object;
use crate::error::Result;
use crate::remote::call::{Class, Failure, Verb};

const DOING: &str = "failed to look at the object";

/// Looks at an object.
///
/// # Errors
/// `BucketNotFound`, `SourcePermission`, …
pub fn look(bucket: &Bucket, key: &str) -> Result<Option<Object>> {
    let mut request =
        bucket.request(Verb::Look, "HEAD", key).header("x-amz-checksum-mode", "ENABLED");
    bucket.add_customer_key(&mut request.headers);
    let failure = match bucket.send(request) {
        Ok(answer) => {
            let length = answer.headers.get("content-length").and_then(|text| text.parse().ok());
            let object = length.ok_or_else(|| "it does not tell its length".to_owned());
            let object = object.and_then(|size| answer::object(key, size, &answer.headers));
            return object.map(Some).map_err(|why| xml::garbled(DOING, why));
        }
        Err(failure) => failure,
    };
    match failure.class {
        Class::NotFound if bucket.facts().seen() => Ok(None),
        // An answer without body does not tell why.
        Class::NotFound | Class::Forbidden | Class::Invalid | Class::Region => {
            match explained(bucket, key).unwrap_or(failure) {
                failure if failure.class == Class::NotFound => {
                    bucket.facts().see();
                    Ok(None)
                }
                failure => Err(bucket.error(&failure, Verb::Look, DOING)),
            }
        }
        _ => Err(bucket.error(&failure, Verb::Look, DOING)),
    }
}

/// The refusal of a request that differs in that its answer has a body.
fn explained(bucket: &Bucket, key: &str) -> Option<Failure> {
    let mut request = bucket.request(Verb::Look, "GET", key).header("range", "bytes=0-0");
    bucket.add_customer_key(&mut request.headers);
    bucket.send(request).err()
}
