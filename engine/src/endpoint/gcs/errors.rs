//! What answers of Google Cloud Storage that are no success mean: JSON with a reason, XML from the
//! older interface, plain text of downloads, and pages of proxies.

use serde::Deserialize;

use crate::remote::call::{Class, Refusal};
use crate::remote::dialect::Dialect;
use crate::remote::headers::Headers;

/// Most of a message that is kept, characters.
const MESSAGE_CHARS_MAX: usize = 300;

/// Reads refusals of Google Cloud Storage.
pub(super) struct Reader;

impl Dialect for Reader {
    fn refusal(&self, status: u16, headers: &Headers, body: &[u8]) -> Refusal {
        let Word { code, message } = word(body);
        let class = class(status, &code, &message, headers.get("retry-after").is_some());
        Refusal { class, code, message }
    }
}

/// The service's own word and text.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Word {
    code: String,
    message: String,
}

#[derive(Deserialize)]
struct Envelope {
    error: Told,
}

/// `error` is an object, but a text where a token is refused (RFC 6749, §5.2).
#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
    Object {
        #[serde(default)]
        message: String,
        #[serde(default)]
        errors: Vec<Reason>,
    },
    Text(String),
}

#[derive(Deserialize)]
struct Reason {
    #[serde(default)]
    reason: String,
}

fn word(body: &[u8]) -> Word {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    let Word { code, message } = if let Ok(told) = serde_json::from_str::<Envelope>(text) {
        match told.error {
            Told::Object { message, errors } => {
                let reason = errors.into_iter().next().map(|first| first.reason);
                Word { code: reason.unwrap_or_default(), message }
            }
            Told::Text(code) => Word { code, message: String::new() },
        }
    } else if text.starts_with('<') {
        let error = quick_xml::de::from_str::<Word>(text).unwrap_or_default();
        match error.code.as_str() {
            "" => Word { message: "a page that is not the store's own".to_owned(), ..error },
            _ => error,
        }
    } else {
        Word { code: String::new(), message: text.to_owned() }
    };
    let printable = |c: &char| !c.is_control();
    let message = message.chars().filter(printable).take(MESSAGE_CHARS_MAX).collect();
    Word { code: code.chars().filter(printable).take(64).collect(), message }
}

fn class(status: u16, code: &str, message: &str, has_wait: bool) -> Class {
    match code {
        "rateLimitExceeded" | "userRateLimitExceeded" | "SlowDown" => return Class::Throttled,
        "quotaExceeded" | "dailyLimitExceeded" | "QuotaExceeded" => return Class::Quota,
        "conditionNotMet" | "PreconditionFailed" => return Class::Condition,
        "expired" | "ExpiredToken" => return Class::Expired,
        "RequestTimeTooSkewed" => return Class::Clock,
        "NoSuchBucket" => return Class::NoBucket,
        "NoSuchUpload" => return Class::NoUpload,
        "backendError" | "internalError" if status >= 500 => return Class::Transient,
        _ => {}
    }
    match status {
        300..=303 | 305..=399 => Class::Redirect,
        304 | 412 => Class::Condition,
        // An access token that has run out is told in the same words as one that never was valid.
        401 if code == "authError" || message.contains("Invalid Credentials") => Class::Expired,
        401 => Class::Refused,
        403 => Class::Forbidden,
        404 if message.contains("bucket does not exist") => Class::NoBucket,
        404 => Class::NotFound,
        408 => Class::Transient,
        409 => Class::Conflict,
        410 => Class::NoUpload,
        416 => Class::Range,
        429 => Class::Throttled,
        // The store computed another checksum than the one that came with the bytes.
        400 if message.contains("doesn't match calculated") => Class::Damaged,
        501 => Class::Unsupported,
        503 if has_wait => Class::Throttled,
        507 => Class::Quota,
        500..=599 => Class::Transient,
        _ => Class::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> (Class, String) {
        let Refusal { class, code, .. } =
            Reader.refusal(status, &Headers::default(), body.as_bytes());
        (class, code)
    }

    fn json(code: u16, reason: &str, message: &str) -> String {
        format!(
            r#"{{"error":{{"code":{code},"message":"{message}","errors":[{{"domain":"global","reason":"{reason}","message":"{message}"}}]}}}}"#
        )
    }

    #[test]
    fn reasons_go_before_the_status() {
        for (status, reason, class) in [
            (403, "rateLimitExceeded", Class::Throttled),
            (403, "userRateLimitExceeded", Class::Throttled),
            (429, "rateLimitExceeded", Class::Throttled),
            (403, "quotaExceeded", Class::Quota),
            (403, "forbidden", Class::Forbidden),
            (404, "notFound", Class::NotFound),
            (412, "conditionNotMet", Class::Condition),
            (401, "authError", Class::Expired),
            (401, "expired", Class::Expired),
            (401, "required", Class::Refused),
            (503, "backendError", Class::Transient),
            (500, "internalError", Class::Transient),
            (409, "conflict", Class::Conflict),
            (410, "gone", Class::NoUpload),
            (416, "requestedRangeNotSatisfiable", Class::Range),
            (400, "invalid", Class::Invalid),
        ] {
            let told = read(status, &json(status, reason, "text"));
            assert_eq!(told, (class, reason.to_owned()), "{reason}");
        }
    }

    #[test]
    fn the_text_tells_what_no_reason_does() {
        let bucket = json(404, "notFound", "The specified bucket does not exist.");
        assert_eq!(read(404, &bucket).0, Class::NoBucket);
        let crc = r#"Provided CRC32C \"AAAAAA==\" doesn't match calculated CRC32C \"yZRlqg==\"."#;
        assert_eq!(read(400, &json(400, "invalid", crc)).0, Class::Damaged);
        assert_eq!(read(404, "No such object: bucket/key").0, Class::NotFound);
    }

    #[test]
    fn other_forms_are_read_and_others_pages_are_not_repeated() {
        let xml = "<?xml version='1.0'?><Error><Code>NoSuchBucket</Code><Message>m</Message>\
                   <Details>d</Details></Error>";
        assert_eq!(read(404, xml), (Class::NoBucket, "NoSuchBucket".to_owned()));
        let refusal = Reader.refusal(502, &Headers::default(), b"<html><h1>Bad gateway</h1>");
        assert_eq!((refusal.class, refusal.code.as_str()), (Class::Transient, ""));
        assert_eq!(refusal.message, "a page that is not the store's own");
        assert_eq!(read(401, r#"{"error":"invalid_grant"}"#).1, "invalid_grant");
        assert_eq!(read(403, "").0, Class::Forbidden);
        let mut headers = Headers::default();
        headers.add("retry-after", "3");
        assert_eq!(Reader.refusal(503, &headers, b"").class, Class::Throttled);
        let long = Reader.refusal(400, &headers, &[b'x'; 10_000]);
        assert_eq!(long.message.len(), MESSAGE_CHARS_MAX);
    }
}
