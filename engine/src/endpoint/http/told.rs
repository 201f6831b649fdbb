//! What an answer's fields tell of the file.

use std::ops::Range;

use crate::endpoint::store::verbs::Object;
use crate::model::version::Version;
use crate::platform::clock;
use crate::remote::call::{Class, Failure};
use crate::remote::headers::Headers;

use super::digests;

/// The file that an answer tells of. Its range is that of `content-range`, of a body that is not
/// whole.
pub(super) fn object(status: u16, headers: &Headers, key: &str) -> Result<Object, Failure> {
    if !matches!(headers.get("content-encoding"), None | Some("" | "identity")) {
        return Err(garbled(status, "the server sends the file coded, which was not asked for"));
    }
    let is_part = status == 206;
    let size = match is_part {
        true => range(headers).and_then(|(_, size)| size),
        false => headers.get("content-length").and_then(|text| text.parse().ok()),
    };
    let modified = headers.get("last-modified").and_then(clock::from_http_date);
    let version = version(headers, size);
    Ok(Object {
        key: key.to_owned(),
        size: size.unwrap_or_default(),
        sizeless: size.is_none(),
        version,
        modified: modified.unwrap_or_default(),
        // There is none, which is all that there is to know.
        metadata: Some(Vec::new()),
        digests: digests::told(headers, !is_part),
        // Nothing binds the next range to the same state: only one answer is of one state.
        rangeless: condition(&version).is_none(),
        ..Object::default()
    })
}

/// The range of an answer, and the size of the whole where that is told: `bytes 0-9/100`.
pub(super) fn range(headers: &Headers) -> Option<(Range<u64>, Option<u64>)> {
    let (range, size) = headers.get("content-range")?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let range = first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?;
    let size = match size {
        "*" => None,
        size => Some(size.parse().ok().filter(|size| range.end <= *size)?),
    };
    (range.start < range.end).then_some((range, size))
}

/// A strong entity tag; else the date of the last change with the length, which a second change in
/// the same second at the same length is not told from; else a weak tag, which binds no request and
/// only tells answers apart.
fn version(headers: &Headers, size: Option<u64>) -> Version {
    let tag = headers.get("etag").filter(|tag| tag.starts_with('"') && tag.len() > 2);
    if let Some(version) = tag.and_then(Version::new) {
        return version;
    }
    let date = headers.get("last-modified").filter(|d| clock::from_http_date(d).is_some());
    let text = date.map(|date| match size {
        Some(size) => format!("{date}/{size}"),
        None => format!("{date}/"),
    });
    let weak = || headers.get("etag").filter(|tag| tag.starts_with("W/\"") && tag.len() > 4);
    let text = text.or_else(|| weak().map(str::to_owned));
    text.and_then(|text| Version::new(&text)).unwrap_or_default()
}

/// The field that binds a request to a version.
pub(super) fn condition(version: &Version) -> Option<(&'static str, String)> {
    let text = version.as_str();
    if text.starts_with('"') {
        return Some(("if-match", text.to_owned()));
    }
    if text.starts_with("W/") {
        return None;
    }
    let (date, _) = text.rsplit_once('/')?;
    Some(("if-unmodified-since", date.to_owned()))
}

/// An answer that is not what was asked for.
pub(super) fn garbled(status: u16, message: &str) -> Failure {
    Failure {
        class: Class::Garbled,
        status: Some(status),
        code: String::new(),
        message: message.to_owned(),
        errno: None,
        unsure: false,
        retry_after: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        fields.iter().for_each(|(name, value)| headers.add(*name, *value));
        headers
    }

    #[test]
    fn sizes_are_known_or_not() {
        let object = |status, fields: &[(&str, &str)]| object(status, &headers(fields), "k");
        let whole = object(200, &[("content-length", "7"), ("content-encoding", "identity")]);
        assert_eq!(whole.map(|o| (o.size, o.sizeless)).ok(), Some((7, false)));
        assert_eq!(object(200, &[]).map(|o| (o.size, o.sizeless)).ok(), Some((0, true)));
        let part = object(206, &[("content-length", "1"), ("content-range", "bytes 0-0/9")]);
        assert_eq!(part.map(|o| (o.size, o.sizeless)).ok(), Some((9, false)));
        let part = object(206, &[("content-length", "1"), ("content-range", "bytes 0-0/*")]);
        assert!(part.unwrap().sizeless);
        assert!(object(200, &[("content-encoding", "gzip")]).is_err());
    }

    #[test]
    fn versions_are_strong_tags_or_dates() {
        let of = |fields: &[(&str, &str)]| version(&headers(fields), Some(7));
        let tag = of(&[("etag", "\"x\""), ("last-modified", DATE)]);
        assert_eq!(condition(&tag), Some(("if-match", "\"x\"".to_owned())));
        let date = of(&[("etag", "W/\"x\""), ("last-modified", DATE)]);
        assert_eq!(date.as_str(), format!("{DATE}/7"));
        assert_eq!(condition(&date), Some(("if-unmodified-since", DATE.to_owned())));
        for fields in [&[("etag", "x")][..], &[("etag", "\"\"")], &[("last-modified", "now")], &[]]
        {
            assert!(of(fields).is_none(), "{fields:?}");
        }
        assert_eq!(condition(&Version::default()), None);
        let weak = of(&[("etag", "W/\"x/y\"")]);
        assert_eq!((weak.as_str(), condition(&weak)), ("W/\"x/y\"", None));
    }

    #[test]
    fn ranges_are_read_or_refused() {
        let of = |text: &str| range(&headers(&[("content-range", text)]));
        assert_eq!(of("bytes 2-4/11"), Some((2..5, Some(11))));
        assert_eq!(of("bytes 2-4/*"), Some((2..5, None)));
        for bad in ["bytes */11", "bytes 4-2/11", "bytes 2-11/11", "items 2-4/11", "2-4/11", ""] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
