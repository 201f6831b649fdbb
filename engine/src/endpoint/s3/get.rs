//! GetObject.

use std::ops::Range;

use crate::endpoint::s3::bucket::Bucket;
use crate::endpoint::s3::{answer, xml};
use crate::endpoint::store::verbs::Opened;
use crate::error::{EngineError, Kind, Result};
use crate::model::version::Version;
use crate::remote::call::Verb;
use crate::remote::headers::Headers;

const DOING: &str = "failed to read the object";

/// Reads a range of the version given, or all of it.
///
/// # Errors
/// `SourceNotFound`, `SourceChanged`, `SourcePermission`, `ObjectArchived`; `RemoteAnswer` for
/// another range than the one asked for.
pub fn read(
    bucket: &Bucket,
    key: &str,
    pinned: Version,
    range: Option<Range<u64>>,
) -> Result<Opened> {
    // No range is empty, and an empty object has none.
    let range = range.filter(|range| !range.is_empty());
    let mut request = bucket.request(Verb::Read, "GET", key);
    bucket.add_customer_key(&mut request.headers);
    match &range {
        Some(range) => {
            request.headers.add("range", format!("bytes={}-{}", range.start, range.end - 1));
        }
        // The checksum told with a range may be that of a part.
        None => request.headers.add("x-amz-checksum-mode", "ENABLED"),
    }
    if !pinned.is_none() {
        request.headers.add("if-match", pinned.as_str());
    }
    let body = bucket.send(request).map_err(|f| bucket.error(&f, Verb::Read, DOING))?;
    let size = size(body.status, &body.headers, range).map_err(|why| xml::garbled(DOING, why))?;
    let mut object =
        answer::object(key, size, &body.headers).map_err(|why| xml::garbled(DOING, why))?;
    if body.status == 206 {
        object.digests.retain(|digest| digest.algorithm == crate::model::digest::Algorithm::Md5);
    }
    if !pinned.is_none() && object.version != pinned {
        return Err(EngineError::new(Kind::SourceChanged, "the object was replaced"));
    }
    Ok(Opened { object, body })
}

/// Bytes of the whole object, once the answer is known to hold what was asked for.
fn size(status: u16, headers: &Headers, range: Option<Range<u64>>) -> Result<u64, String> {
    let length = headers.get("content-length").map(str::parse::<u64>);
    let length = length.transpose().map_err(|_| "its length is no number".to_owned())?;
    match (status, range) {
        (200, None) => length.ok_or_else(|| "it does not tell its length".to_owned()),
        (200, Some(range)) if range.start == 0 && length == Some(range.end) => Ok(range.end),
        (206, Some(range)) => {
            let told = headers.get("content-range").and_then(content_range);
            let (start, end, size) = told.ok_or("it does not tell its range")?;
            let wanted = range.end.min(size);
            if (start, end) != (range.start, wanted) || length.is_some_and(|l| l != end - start) {
                return Err(format!("it holds {start}-{end} instead of {}-{wanted}", range.start));
            }
            Ok(size)
        }
        _ => Err(format!("status {status} is no answer to this request")),
    }
}

/// Start, end (exclusive) and whole of `bytes 0-9/10`.
fn content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, last) = range.split_once('-')?;
    let (start, end) = (start.parse().ok()?, last.parse::<u64>().ok()?.checked_add(1)?);
    let size = size.parse().ok()?;
    (start < end && end <= size).then_some((start, end, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, fields: &[(&str, &str)], range: Option<Range<u64>>) -> Option<u64> {
        let mut headers = Headers::default();
        fields.iter().for_each(|(name, value)| headers.add(*name, *value));
        size(status, &headers, range).ok()
    }

    #[test]
    fn only_the_range_asked_for_is_taken() {
        let range = |text| [("content-range", text)];
        assert_eq!(told(206, &range("bytes 2-4/9"), Some(2..5)), Some(9));
        assert_eq!(told(206, &range("bytes 2-8/9"), Some(2..50)), Some(9));
        for wrong in
            ["bytes 1-4/9", "bytes 2-3/9", "bytes 2-5/9", "bytes 2-4/*", "2-4/9", "bytes 4-2/9"]
        {
            assert_eq!(told(206, &range(wrong), Some(2..5)), None, "{wrong}");
        }
        let short = [("content-range", "bytes 2-4/9"), ("content-length", "2")];
        assert_eq!(told(206, &short, Some(2..5)), None);
    }

    #[test]
    fn whole_objects_are_no_ranges() {
        let nine = [("content-length", "9")];
        assert_eq!(told(200, &nine, None), Some(9));
        assert_eq!(told(200, &nine, Some(0..9)), Some(9));
        assert_eq!(told(200, &nine, Some(0..4)), None);
        assert_eq!(told(200, &nine, Some(4..9)), None);
        assert_eq!(told(206, &nine, None), None);
        assert_eq!(told(200, &[], None), None);
    }
}
