//! Get Blob Properties: what is known of an object, from the head of an answer.

use crate::endpoint::azure::container::{Container, garbled};
use crate::endpoint::azure::metadata;
use crate::endpoint::store::verbs::{Object, meaning};
use crate::error::Result;
use crate::model::item::Timestamp;
use crate::model::version::Version;
use crate::remote::call::{Class, Verb};
use crate::remote::headers::Headers;

const DOING: &str = "failed to look at the object";

impl Container {
    /// Looks at an object.
    pub(super) fn properties(&self, key: &str) -> Result<Option<Object>> {
        Ok(self.head(key)?.map(|(object, _)| object))
    }

    /// As [`Container::properties`], with the fields of the answer.
    pub(super) fn head(&self, key: &str) -> Result<Option<(Object, Headers)>> {
        let mut request = self.blob(Verb::Look, "HEAD", key)?;
        self.add_key(&mut request);
        let answer = match self.client.send(&request) {
            Ok(answer) => answer,
            Err(failure) if failure.class == Class::NotFound => return Ok(None),
            Err(failure) => return Err(self.error(&failure, Verb::Look, DOING)),
        };
        if is_folder(&answer.headers) {
            return Ok(None);
        }
        let size = answer.headers.get("content-length").and_then(|text| text.parse().ok());
        let object = size.and_then(|size| object(key, size, &answer.headers));
        let object =
            object.ok_or_else(|| garbled(DOING, "its size, version or time is missing"))?;
        Ok(Some((object, answer.headers)))
    }
}

/// Metadata of a blob that stands for a directory, as accounts with a hierarchical namespace tell
/// theirs, and as Hadoop's driver marks them in others.
pub const FOLDER: &str = "hdi_isfolder";

/// Whether an answer speaks of a directory: it has a key and no content, and is no object.
fn is_folder(headers: &Headers) -> bool {
    let says = |name: &str, value: &str| {
        headers.get(name).is_some_and(|told| told.eq_ignore_ascii_case(value))
    };
    says("x-ms-resource-type", "directory")
        || says("x-ms-meta-hdi_isfolder", "true") && says("content-length", "0")
}

/// An object from the fields of an answer, without digests: the MD5 there is what its writer said,
/// or whoever set it later. `None` where version or time are missing.
pub fn object(key: &str, size: u64, headers: &Headers) -> Option<Object> {
    Some(Object {
        key: key.to_owned(),
        size,
        version: version(headers.get("etag")?)?,
        modified: http_date(headers.get("last-modified")?)?,
        metadata: Some(metadata::read(headers)),
        content_type: headers.get("content-type").map(str::to_owned),
        fields: meaning(headers),
        archived: headers.get("x-ms-access-tier") == Some("Archive"),
        ..Object::default()
    })
}

/// The version of an entity tag. Listings leave out the quotes that heads have.
pub fn version(tag: &str) -> Option<Version> {
    let bare = tag.trim();
    let quoted = if bare.starts_with('"') || bare.starts_with("W/") {
        bare.to_owned()
    } else {
        format!("\"{bare}\"")
    };
    Version::new(&quoted).filter(|_| bare.len() > 2)
}

/// A time such as `Sat, 21 Nov 2026 19:31:12 GMT`.
pub fn http_date(text: &str) -> Option<Timestamp> {
    let time = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Timestamp(time.timestamp().as_nanosecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_and_nothing_that_matters_may_be_missing() {
        let fields = [
            ("etag", "\"0x8D\""),
            ("last-modified", "Sat, 21 Nov 2026 19:31:12 GMT"),
            ("content-md5", "Pz8543xut4RVSbb2g52Mww=="),
            ("x-ms-meta-MIG_write", "1"),
            ("x-ms-meta-mode", "100644"),
            ("x-ms-access-tier", "Archive"),
        ];
        let headers = |without: &str| {
            let mut headers = Headers::default();
            let wanted = fields.iter().filter(|(name, _)| *name != without);
            wanted.for_each(|(name, value)| headers.add(*name, *value));
            headers
        };
        let known = object("k", 3, &headers("")).unwrap();
        assert_eq!(known.version.as_str(), "\"0x8D\"");
        assert_eq!(known.modified, Timestamp::new(1_795_289_472, 0));
        assert!(known.digests.is_empty());
        assert!(known.archived);
        let metadata = known.metadata.unwrap();
        assert_eq!(metadata[0], ("mig-write".to_owned(), "1".to_owned()));
        assert!(object("k", 3, &headers("etag")).is_none());
        assert!(object("k", 3, &headers("last-modified")).is_none());
    }

    #[test]
    fn versions_are_the_same_from_heads_and_listings() {
        assert_eq!(version("0x8D1"), version("\"0x8D1\""));
        assert_eq!(version(""), None);
        assert_eq!(version("\"\""), None);
    }
}
