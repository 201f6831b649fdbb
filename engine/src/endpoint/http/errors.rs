//! What answers of web servers that are no success mean. Only their status tells.

use crate::remote::call::{Class, Refusal};
use crate::remote::dialect::Dialect;
use crate::remote::headers::Headers;

/// Reads refusals of web servers. Their texts are for people, and are not repeated.
pub(super) struct Reader;

impl Dialect for Reader {
    fn refusal(&self, status: u16, headers: &Headers, _body: &[u8]) -> Refusal {
        let class = match status {
            304 | 412 => Class::Condition,
            300..=399 => Class::Redirect,
            401 | 407 => Class::Refused,
            403 => Class::Forbidden,
            404 | 410 => Class::NotFound,
            405 | 501 => Class::Unsupported,
            408 | 425 => Class::Transient,
            416 => Class::Range,
            429 => Class::Throttled,
            503 if headers.get("retry-after").is_some() => Class::Throttled,
            500..=599 => Class::Transient,
            _ => Class::Invalid,
        };
        Refusal { class, code: String::new(), message: String::new() }
    }

    /// Files are where they are sent for; who asks is told to the location's own server alone.
    fn follows(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_tells() {
        let mut headers = Headers::default();
        let read = |status| Reader.refusal(status, &headers, b"<h1>secret</h1>");
        for (status, class) in [
            (302, Class::Redirect),
            (404, Class::NotFound),
            (412, Class::Condition),
            (503, Class::Transient),
            (405, Class::Unsupported),
            (418, Class::Invalid),
        ] {
            let refusal = read(status);
            assert_eq!(
                (refusal.class, refusal.code, refusal.message),
                (class, "".into(), "".into())
            );
        }
        headers.add("retry-after", "1");
        assert_eq!(Reader.refusal(503, &headers, b"").class, Class::Throttled);
    }
}
