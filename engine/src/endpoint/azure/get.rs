//! Get Blob: the bytes of one version, or a range of them.

use std::ops::Range;

use crate::endpoint::azure::container::{Container, garbled};
use crate::endpoint::azure::properties;
use crate::endpoint::store::verbs::Opened;
use crate::error::{EngineError, Kind, Result};
use crate::model::version::Version;
use crate::remote::call::{Request, Verb};
use crate::remote::client::Answer;
use crate::remote::headers::Headers;

const DOING: &str = "failed to read the object";

impl Container {
    /// Reads a range of a version, the whole where there is none.
    pub(super) fn get(
        &self,
        key: &str,
        version: Version,
        range: Option<Range<u64>>,
    ) -> Result<Opened> {
        // The service knows no empty range; the head of the object has no bytes either.
        let is_empty = range.as_ref().is_some_and(Range::is_empty);
        let method = if is_empty { "HEAD" } else { "GET" };
        let mut request = pinned(self.blob(Verb::Read, method, key)?, version);
        self.add_key(&mut request);
        if let Some(range) = range.as_ref().filter(|_| !is_empty) {
            let last = range.end.saturating_sub(1);
            request.headers.set("x-ms-range", format!("bytes={}-{last}", range.start));
        }
        let answer = self.client.send(&request);
        let answer = answer.map_err(|failure| self.error(&failure, Verb::Read, DOING))?;
        opened(key, version, range.filter(|_| !is_empty), answer)
    }
}

fn pinned(request: Request<'static>, version: Version) -> Request<'static> {
    if version.is_none() { request } else { request.header("if-match", version.as_str()) }
}

fn opened(key: &str, version: Version, range: Option<Range<u64>>, body: Answer) -> Result<Opened> {
    let size = match &range {
        None => whole(body.status, &body.headers),
        Some(range) => partial(body.status, &body.headers, range),
    };
    let size = size.ok_or_else(|| garbled(DOING, "it answers with other bytes than asked for"))?;
    // Told by 416, or by a range that ends before it begins.
    if range.is_some_and(|range| range.start >= size) {
        let why = "the object is shorter than it was when it was looked at";
        return Err(EngineError::new(Kind::SourceChanged, why));
    }
    let object = properties::object(key, size, &body.headers);
    let object = object.ok_or_else(|| garbled(DOING, "its version or time is missing"))?;
    if !version.is_none() && object.version != version {
        return Err(garbled(DOING, "it answers with another version than asked for"));
    }
    Ok(Opened { object, body })
}

fn whole(status: u16, headers: &Headers) -> Option<u64> {
    let size = headers.get("content-length")?.parse().ok()?;
    (status == 200 && headers.get("content-range").is_none()).then_some(size)
}

/// The size of the whole, if the answer is the range asked for, cut at the object's end.
fn partial(status: u16, headers: &Headers, range: &Range<u64>) -> Option<u64> {
    let (span, size) = headers.get("content-range")?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = span.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let size: u64 = size.parse().ok()?;
    let length: u64 = headers.get("content-length")?.parse().ok()?;
    let end = last.checked_add(1)?;
    let is_it = status == 206
        && first == range.start
        && end == range.end.min(size)
        && length == end.checked_sub(first)?;
    is_it.then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_range_is_taken() {
        let of = |status, range: &str, length: &str| {
            let mut headers = Headers::default();
            headers.add("content-range", range);
            headers.add("content-length", length);
            partial(status, &headers, &(10..20))
        };
        assert_eq!(of(206, "bytes 10-19/100", "10"), Some(100));
        assert_eq!(of(206, "bytes 10-14/15", "5"), Some(15));
        for (status, range, length) in [
            (200, "bytes 10-19/100", "10"),
            (206, "bytes 9-18/100", "10"),
            (206, "bytes 10-18/100", "9"),
            (206, "bytes 10-20/100", "11"),
            (206, "bytes 10-19/100", "11"),
            (206, "bytes 10-19/*", "10"),
            (206, "bytes 10-5/6", "10"),
            (206, "bytes 10-18446744073709551615/100", "10"),
        ] {
            assert_eq!(of(status, range, length), None, "{status} {range} {length}");
        }
    }
}
