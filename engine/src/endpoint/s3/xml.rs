//! Answers in XML: only whole ones, only under the root that was asked for.

use quick_xml::Reader;
use quick_xml::events::Event;
use serde::de::DeserializeOwned;

use crate::error::{EngineError, Kind, Result};

/// Longest answer that is read: a page of 1,000 keys of 1,024 bytes, each byte escaped.
pub const BODY_BYTES_MAX: usize = 8 << 20;

/// Reads an answer.
///
/// # Errors
/// What is wrong with it, as a lower-case fragment.
pub fn read<T: DeserializeOwned>(body: &[u8], expected: &str) -> Result<T, String> {
    let text = std::str::from_utf8(body.trim_ascii()).map_err(|_| "it is not UTF-8".to_owned())?;
    match root(text.as_bytes()) {
        Some(root) if root == expected => {}
        Some(root) => {
            return Err(format!("it holds {} instead of {expected}", root.escape_debug()));
        }
        None => return Err(format!("it does not hold {expected}")),
    }
    quick_xml::de::from_str(text).map_err(|error| error.to_string())
}

/// Reads an answer to a request whose purpose is told by a fragment such as "failed to list".
///
/// # Errors
/// `RemoteAnswer`.
pub fn answer<T: DeserializeOwned>(body: &[u8], expected: &str, doing: &str) -> Result<T> {
    read(body, expected).map_err(|why| garbled(doing, why))
}

/// An answer that makes no sense.
#[must_use]
pub fn garbled(doing: &str, why: impl Into<String>) -> EngineError {
    EngineError::new(Kind::RemoteAnswer, doing.to_owned()).because(why, None)
}

/// The name of the root element, without namespace prefix.
#[must_use]
pub fn root(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body.trim_ascii()).ok()?;
    let mut reader = Reader::from_str(text);
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) | Event::Empty(start) => {
                // Borrowed from the text itself, which outlives the event.
                let at = text.find(start.local_name().into_inner())?;
                let rest = text.get(at..)?;
                return rest.get(..start.local_name().as_ref().len());
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

/// Whether the body goes on to the end of its root.
#[must_use]
pub fn is_whole(body: &[u8], root: &str) -> bool {
    let end = body.trim_ascii_end().strip_suffix(b">").map(<[u8]>::trim_ascii_end);
    let Some(end) = end else {
        return false;
    };
    let last = end.iter().rposition(|b| *b == b'<').and_then(|at| end.get(at + 1..));
    let last = last.and_then(|tag| std::str::from_utf8(tag).ok()).unwrap_or_default();
    let (name, closes) = match last.strip_prefix('/') {
        Some(name) => (name, true),
        None => (last.split([' ', '/']).next().unwrap_or_default(), last.ends_with('/')),
    };
    closes && name.rsplit(':').next() == Some(root)
}

/// Text as content of an element.
#[must_use]
pub fn escape(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Page {
        is_truncated: bool,
        #[serde(default)]
        key: Vec<String>,
    }

    const GOOD: &str = "<?xml version=\"1.0\"?><L xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
        <Key>a&amp;b&#34;</Key><IsTruncated>false</IsTruncated><Other><Deep/></Other></L>";

    #[test]
    fn only_whole_answers_of_the_right_root_are_read() {
        let page: Page = read(GOOD.as_bytes(), "L").unwrap();
        assert_eq!(page, Page { is_truncated: false, key: vec!["a&b\"".to_owned()] });
        for cut in 0..GOOD.len() {
            assert!(read::<Page>(&GOOD.as_bytes()[..cut], "L").is_err(), "{cut}");
            assert!(!is_whole(&GOOD.as_bytes()[..cut], "L"), "{cut}");
        }
        assert!(is_whole(GOOD.as_bytes(), "L") && is_whole(b"<a:L></a:L >\n", "L"));
        assert!(read::<Page>(GOOD.as_bytes(), "M").is_err());
    }

    #[test]
    fn hostile_answers_are_errors() {
        let deep = format!("<L>{}<IsTruncated>false</IsTruncated></L>", "<a>".repeat(100_000));
        for text in [
            "<html><body>It works</body></html>",
            "<L></L>",
            "<L><IsTruncated>maybe</IsTruncated></L>",
            "<L><Key>&x;</Key><IsTruncated>false</IsTruncated></L>",
            "<!DOCTYPE L [<!ENTITY x \"yyyy\">]><L><Key>&x;</Key><IsTruncated>false</IsTruncated></L>",
            "<L><Key>a</L><IsTruncated>false</IsTruncated></Key>",
            deep.as_str(),
        ] {
            assert!(read::<Page>(text.as_bytes(), "L").is_err());
        }
        assert!(read::<Page>(b"<L>\xff</L>", "L").is_err());
    }
}
