//! How refusals of token services are read. What they say is not repeated but for words that are
//! known: such an answer may hold what was sent.

use serde::Deserialize;

use crate::remote::call::{Class, Refusal};
use crate::remote::dialect::Dialect;
use crate::remote::headers::Headers;

/// Words of OAuth 2.0 (RFC 6749, 8693), of the AWS token service, and of metadata services.
const KNOWN: [&str; 26] = [
    "access_denied",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "identity_not_found",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
    "AccessDenied",
    "ExpiredToken",
    "ExpiredTokenException",
    "IDPCommunicationError",
    "IDPRejectedClaim",
    "InvalidClientTokenId",
    "InvalidIdentityToken",
    "MalformedPolicyDocument",
    "PackedPolicyTooLarge",
    "RegionDisabledException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "Throttling",
    "ThrottlingException",
    "ValidationError",
];

/// Reads refusals of token services.
pub(super) struct TokenDialect;

impl Dialect for TokenDialect {
    fn refusal(&self, status: u16, _headers: &Headers, body: &[u8]) -> Refusal {
        let code = word(body);
        let class = match (status, code.as_str()) {
            (_, "Throttling" | "ThrottlingException") | (429, _) => Class::Throttled,
            (_, "IDPCommunicationError" | "temporarily_unavailable") => Class::Transient,
            (_, "ExpiredToken" | "ExpiredTokenException") => Class::Expired,
            (_, "RequestExpired") => Class::Clock,
            (300..400, _) => Class::Redirect,
            (404, _) | (_, "identity_not_found") => Class::NotFound,
            (408 | 500.., _) => Class::Transient,
            _ => Class::Refused,
        };
        Refusal { class, code, message: String::new() }
    }
}

/// The service's word for it, where it is a known one; behind it the number of an error of
/// Microsoft's.
fn word(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Told {
        error: Option<String>,
        error_description: Option<String>,
    }
    let text = std::str::from_utf8(body).unwrap_or_default();
    let told: Told = serde_json::from_str(text).unwrap_or_else(|_| Told {
        error: between(text, "<Code>", "</Code>"),
        error_description: None,
    });
    let code = told.error.and_then(|error| KNOWN.into_iter().find(|known| *known == error));
    let number = told.error_description.as_deref().and_then(number).unwrap_or_default();
    [code.unwrap_or_default(), &number].join(" ").trim().to_owned()
}

fn between(text: &str, before: &str, behind: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(behind).map(|(word, _)| word.to_owned())
}

/// `AADSTS7000215` at the beginning of a description.
fn number(text: &str) -> Option<String> {
    let digits = text.strip_prefix("AADSTS")?;
    let end = digits.bytes().take_while(u8::is_ascii_digit).count();
    digits.get(..end).filter(|digits| (4..=8).contains(&digits.len())).map(|d| format!("AADSTS{d}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> (Class, String) {
        let refusal = TokenDialect.refusal(status, &Headers::default(), body.as_bytes());
        assert!(refusal.message.is_empty());
        (refusal.class, refusal.code)
    }

    #[test]
    fn known_words_are_told_and_nothing_else() {
        let grant = r#"{"error":"invalid_grant","error_description":"hunter2 is wrong"}"#;
        assert_eq!(read(400, grant), (Class::Refused, "invalid_grant".to_owned()));
        let azure = r#"{"error":"invalid_client","error_description":"AADSTS7000215: hunter2"}"#;
        assert_eq!(read(401, azure).1, "invalid_client AADSTS7000215");
        let xml = "<ErrorResponse><Error><Code>ExpiredToken</Code><Message>hunter2</Message>";
        assert_eq!(read(400, xml), (Class::Expired, "ExpiredToken".to_owned()));
        for body in [r#"{"error":"hunter2"}"#, "<Code>hunter2</Code>", "hunter2", "{", "\u{ff}"] {
            assert_eq!(read(403, body), (Class::Refused, String::new()));
        }
        let odd = r#"{"error":7,"error_description":"AADSTS1234567890123"}"#;
        assert_eq!(read(400, odd).1, "");
        for (status, class) in [
            (302, Class::Redirect),
            (404, Class::NotFound),
            (429, Class::Throttled),
            (503, Class::Transient),
        ] {
            assert_eq!(read(status, "").0, class);
        }
    }
}
