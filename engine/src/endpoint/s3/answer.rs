//! What answers tell of objects.

use crate::endpoint::s3::{checksum, metadata};
use crate::endpoint::store::verbs::{Object, meaning};
use crate::model::digest::{Algorithm, Digest};
use crate::model::item::Timestamp;
use crate::model::version::Version;
use crate::remote::headers::Headers;

/// The object that the fields of an answer to HEAD or GET tell of, of so many bytes.
///
/// # Errors
/// What is wrong with the answer.
pub fn object(key: &str, size: u64, headers: &Headers) -> Result<Object, String> {
    let modified = headers.get("last-modified").and_then(http_date);
    Ok(Object {
        key: key.to_owned(),
        size,
        version: version(headers.get("etag").unwrap_or_default())?,
        modified: modified.ok_or("it does not tell when the object was modified")?,
        metadata: Some(metadata::read(headers)),
        content_type: headers.get("content-type").map(str::to_owned),
        fields: meaning(headers),
        tagged: headers.get("x-amz-tagging-count").is_some_and(|count| count != "0"),
        digests: digests(headers),
        archived: is_archived(headers),
        ..Object::default()
    })
}

/// An entity tag as a version. It is told with quotes in fields, and by some stores without them in
/// bodies: here it always has them.
///
/// # Errors
/// What is wrong with it.
pub fn version(etag: &str) -> Result<Version, String> {
    let bare = etag.trim_matches('"');
    if bare.is_empty() {
        return Err("it tells no entity tag".to_owned());
    }
    Version::new(&format!("\"{bare}\"")).ok_or_else(|| "its entity tag cannot be kept".to_owned())
}

/// The MD5 that an entity tag is, where it can be one.
#[must_use]
pub fn md5(etag: &str) -> Option<String> {
    let hex = etag.trim_matches('"');
    let is_hex =
        hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    is_hex.then(|| hex.to_owned())
}

fn digests(headers: &Headers) -> Vec<Digest> {
    let mut digests = checksum::told(headers);
    // Of encrypted objects the entity tag is no digest of what they hold.
    let encrypted =
        headers.iter().any(|(name, _)| name.starts_with("x-amz-server-side-encryption"));
    if let Some(hex) = headers.get("etag").and_then(md5).filter(|_| !encrypted) {
        digests.push(Digest { algorithm: Algorithm::Md5, hex });
    }
    digests
}

fn is_archived(headers: &Headers) -> bool {
    let restored =
        headers.get("x-amz-restore").is_some_and(|r| r.contains("ongoing-request=\"false\""));
    let class = headers.get("x-amz-storage-class").unwrap_or_default();
    !restored && (is_archive(class) || headers.get("x-amz-archive-status").is_some())
}

/// Whether objects of this storage class must be restored before they are read.
#[must_use]
pub fn is_archive(class: &str) -> bool {
    matches!(class, "GLACIER" | "DEEP_ARCHIVE")
}

/// A date as header fields have it.
fn http_date(text: &str) -> Option<Timestamp> {
    let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Timestamp::new(zoned.timestamp().as_second(), 0))
}

/// A date as bodies have it, to whole seconds: fields have no finer ones.
///
/// # Errors
/// What is wrong with it.
pub fn date(text: &str) -> Result<Timestamp, String> {
    let time: jiff::Timestamp = text.parse().map_err(|_| "a date in it is none".to_owned())?;
    Ok(Timestamp::new(time.as_second(), 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        fields.iter().for_each(|(name, value)| headers.add(*name, *value));
        headers
    }

    const MODIFIED: (&str, &str) = ("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT");
    const ETAG: (&str, &str) = ("etag", "\"25f9e794323b453885f5181f1b624d0b\"");

    #[test]
    fn objects_are_read_from_fields() {
        let fields = headers(&[MODIFIED, ETAG, ("x-amz-meta-mode", "100644")]);
        let object = object("k", 9, &fields).unwrap();
        assert_eq!(object.modified, Timestamp::new(1_445_412_480, 0));
        assert_eq!(object.modified, date("2015-10-21T07:28:00.123Z").unwrap());
        assert_eq!(object.digests.len(), 1);
        assert_eq!(object.metadata.unwrap(), [("mode".to_owned(), "100644".to_owned())]);
        assert_eq!(version("abc").unwrap(), version("\"abc\"").unwrap());
        for wrong in [&[MODIFIED][..], &[ETAG], &[ETAG, ("last-modified", "yesterday")]] {
            assert!(super::object("k", 9, &headers(wrong)).is_err());
        }
    }

    #[test]
    fn entity_tags_are_digests_only_of_plain_single_objects() {
        let count = |fields: &[(&str, &str)]| digests(&headers(fields)).len();
        assert_eq!(count(&[ETAG]), 1);
        assert_eq!(count(&[ETAG, ("x-amz-server-side-encryption", "aws:kms")]), 0);
        assert_eq!(count(&[("etag", "\"25f9e794323b453885f5181f1b624d0b-2\"")]), 0);
    }

    #[test]
    fn archives_are_told_until_they_are_restored() {
        let class = ("x-amz-storage-class", "DEEP_ARCHIVE");
        let restored = ("x-amz-restore", "ongoing-request=\"false\", expiry-date=\"x\"");
        assert!(is_archived(&headers(&[class])));
        assert!(is_archived(&headers(&[class, ("x-amz-restore", "ongoing-request=\"true\"")])));
        assert!(!is_archived(&headers(&[class, restored])));
        assert!(is_archived(&headers(&[("x-amz-archive-status", "ARCHIVE_ACCESS")])));
        assert!(!is_archived(&headers(&[("x-amz-storage-class", "GLACIER_IR")])));
    }
}
