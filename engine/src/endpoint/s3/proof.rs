//! How a store is made to check what it takes, and how it says that it did.
//!
//! CRC-64/NVME where the store confirms it by repeating it; Content-MD5 where it passes over it in
//! silence; both as long as nobody knows, so that even the first bytes are checked.

use crate::endpoint::s3::bucket::Bucket;
use crate::endpoint::s3::checksum;
use crate::endpoint::store::verbs::Whole;
use crate::remote::headers::Headers;

/// What is sent with some bytes for the store to check them by.
pub struct Proof {
    whole: Option<Whole>,
    md5: Option<String>,
}

impl Proof {
    /// The proof of these bytes, whose checksum may be known.
    #[must_use]
    pub fn of(bucket: &Bucket, bytes: &[u8], known: Option<Whole>) -> Self {
        let confirms =
            if bucket.style().is_aws() { Some(true) } else { bucket.facts().checksums() };
        let whole = (confirms != Some(false)).then(|| known.unwrap_or_else(|| checksum::of(bytes)));
        let md5 = (confirms != Some(true)).then(|| checksum::base64(&checksum::md5(bytes)));
        Self { whole, md5 }
    }

    /// Adds it to a request.
    pub fn add(&self, headers: &mut Headers) {
        if let Some(whole) = self.whole {
            headers.add(checksum::field(whole), checksum::encode(whole));
            // Ceph's gateway passes over the checksum unless its algorithm is named.
            headers.add("x-amz-sdk-checksum-algorithm", checksum::name(whole));
        }
        if let Some(md5) = &self.md5 {
            headers.add("content-md5", md5.clone());
        }
    }

    /// The checksum that the store holds by its own word.
    ///
    /// # Errors
    /// It holds another one.
    pub fn confirmed(&self, bucket: &Bucket, headers: &Headers) -> Result<Option<Whole>, String> {
        let Some(whole) = self.whole else {
            return Ok(None);
        };
        let told = headers.get(checksum::field(whole));
        if bucket.facts().checksums().is_none() {
            bucket.facts().learn_checksums(told.is_some());
        }
        match told {
            None => Ok(None),
            Some(told) if told == checksum::encode(whole) => Ok(Some(whole)),
            Some(_) => Err("the store took other bytes than were sent".to_owned()),
        }
    }
}
