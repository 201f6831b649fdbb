//! Reads content, of one generation, as it is stored.

use std::ops::Range;

use crate::endpoint::store::verbs::{Object, Opened};
use crate::error::{EngineError, Kind, Result};
use crate::model::digest::{Algorithm, Digest};
use crate::model::version::Version;
use crate::platform::clock;
use crate::remote::call::{Class, Failure, Side, Verb};
use crate::remote::headers::Headers;

use super::bucket::{Bucket, garbled};
use super::resource::digest;

const DOING: &str = "failed to read the object";

impl Bucket {
    pub(super) fn read(
        &self,
        key: &str,
        version: Version,
        range: Option<Range<u64>>,
    ) -> Result<Opened> {
        let range = range.filter(|range| range.start < range.end);
        // Without this field, what is stored coded would come decoded, and not whole in ranges.
        let mut request = self
            .request(Verb::Read, "GET", self.object("/download", key))
            .query("alt", "media")
            .header("accept-encoding", "gzip");
        if !version.is_none() {
            request = request.query("generation", version.as_str());
        }
        if let Some(range) = &range {
            request = request.header("range", format!("bytes={}-{}", range.start, range.end - 1));
        }
        let body = match self.client.send(&request) {
            Ok(answer) => answer,
            Err(failure) => return Err(self.unread(&failure, key, version)),
        };
        let object = told(body.status, &body.headers, key, range.as_ref());
        let object = object.map_err(|f| self.failed(&f, Verb::Read, DOING))?;
        if !version.is_none() && object.version != version {
            return Err(self.changed());
        }
        Ok(Opened { object, body })
    }

    fn unread(&self, failure: &Failure, key: &str, version: Version) -> EngineError {
        if failure.class == Class::NotFound
            && !version.is_none()
            && matches!(self.resource(key), Ok(Some(_)))
        {
            return self.changed();
        }
        self.failed(failure, Verb::Read, DOING)
    }

    fn changed(&self) -> EngineError {
        let kind = match self.side {
            Side::Source => Kind::SourceChanged,
            Side::Destination => Kind::DestinationChanged,
        };
        EngineError::new(kind, "the object was replaced since it was seen")
    }
}

/// The object that an answer's fields tell of, if they are those of what was asked for.
fn told(
    status: u16,
    headers: &Headers,
    key: &str,
    range: Option<&Range<u64>>,
) -> Result<Object, Failure> {
    let wrong = |why: &str| Err(garbled(Some(status), why));
    let plain = |name: &str| match headers.get(name) {
        None | Some("" | "identity") => "identity".to_owned(),
        Some(coding) => coding.to_ascii_lowercase(),
    };
    if headers.get("x-goog-stored-content-encoding").is_some()
        && plain("x-goog-stored-content-encoding") != plain("content-encoding")
    {
        return wrong("the content is coded otherwise than it is stored");
    }
    let length = headers.get("content-length").and_then(|text| text.parse().ok());
    let size = match range {
        None => length.filter(|_| status == 200),
        Some(range) => headers
            .get("content-range")
            .and_then(ranged)
            .filter(|(told, size)| told.start == range.start && told.end == range.end.min(*size))
            .map(|(_, size)| size)
            .filter(|_| status == 206),
    };
    let Some(size) = size else {
        return wrong("the answer is not of the range that was asked for");
    };
    let Some(version) = headers.get("x-goog-generation").and_then(Version::new) else {
        return wrong("the answer does not tell the generation of the object");
    };
    let modified = headers.get("last-modified").and_then(clock::from_http_date);
    let modified = modified.unwrap_or_default();
    let digests = hashes(headers);
    Ok(Object { key: key.to_owned(), size, version, modified, digests, ..Object::default() })
}

/// Range and size of `bytes 0-9/100`.
fn ranged(text: &str) -> Option<(Range<u64>, u64)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?, size.parse().ok()?))
}

/// Digests of the whole content as it is stored, in one field or several.
fn hashes(headers: &Headers) -> Vec<Digest> {
    let fields = headers.iter().filter(|(name, _)| *name == "x-goog-hash");
    let pairs = fields.flat_map(|(_, value)| value.split(','));
    pairs
        .filter_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            let algorithm = Algorithm::from_name(name)
                .filter(|a| matches!(a, Algorithm::Crc32c | Algorithm::Md5))?;
            digest(algorithm, value)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        fields.iter().for_each(|(name, value)| headers.add(*name, *value));
        headers
    }

    #[test]
    fn what_is_told_is_what_was_asked_for() {
        let whole = [("x-goog-generation", "5"), ("content-length", "11")];
        assert_eq!(told(200, &headers(&whole), "k", None).unwrap().size, 11);
        let part =
            |range: &'static str| headers(&[("x-goog-generation", "5"), ("content-range", range)]);
        assert_eq!(told(206, &part("bytes 2-4/11"), "k", Some(&(2..5))).unwrap().size, 11);
        assert_eq!(told(206, &part("bytes 8-10/11"), "k", Some(&(8..99))).unwrap().size, 11);
        for (status, range) in
            [(206, "bytes 0-2/11"), (206, "bytes 2-3/11"), (200, "bytes 2-4/11"), (206, "2-4")]
        {
            assert!(told(status, &part(range), "k", Some(&(2..5))).is_err(), "{status} {range}");
        }
        assert!(told(206, &headers(&whole), "k", None).is_err());
        assert!(told(200, &headers(&[("content-length", "11")]), "k", None).is_err());
    }

    #[test]
    fn content_is_coded_as_it_is_stored() {
        let coded = |stored: &str, sent: &str| {
            let fields = [
                ("x-goog-generation", "5"),
                ("content-length", "11"),
                ("x-goog-stored-content-encoding", stored),
                ("content-encoding", sent),
            ];
            told(200, &headers(&fields), "k", None).is_ok()
        };
        assert!(coded("gzip", "gzip") && coded("identity", "") && coded("identity", "identity"));
        assert!(!coded("gzip", "") && !coded("identity", "gzip"));
    }

    #[test]
    fn digests_come_in_one_field_or_two() {
        let (crc, md5) = ("crc32c=yZRlqg==", "md5=XrY7u+Ae7tCTyyK7j1rNww==");
        let one = hashes(&headers(&[("x-goog-hash", &format!("{crc},{md5}"))]));
        let two = hashes(&headers(&[("x-goog-hash", crc), ("x-goog-hash", md5)]));
        assert_eq!((one.len(), &one), (2, &two));
        assert!(hashes(&headers(&[("x-goog-hash", "crc32c=AA==,sha256=yZRlqg==,x")])).is_empty());
    }
}
