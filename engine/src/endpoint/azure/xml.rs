//! Bodies of answers: XML into structs, strictly, and into text of ours.

use serde::de::DeserializeOwned;

/// Reads a document. The service begins some with a byte order mark. `None` for what is none: cut
/// off, with entities of its own, without what the struct needs.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    quick_xml::de::from_str(std::str::from_utf8(body).ok()?).ok()
}
