//! What S3 and its likes refuse: status and the body's `Code` ("Error responses" in the S3 API
//! reference, and the words of stores that only resemble it).

use serde::Deserialize;

use crate::endpoint::s3::xml;
use crate::remote::call::{Class, Refusal};
use crate::remote::dialect::Dialect;
use crate::remote::headers::Headers;

/// Longest message that is kept, characters.
const MESSAGE_CHARS_MAX: usize = 300;

/// The dialect of S3.
pub struct S3;

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Body {
    code: String,
    message: String,
    region: String,
    location_constraint: String,
}

impl Dialect for S3 {
    fn refusal(&self, status: u16, headers: &Headers, body: &[u8]) -> Refusal {
        let body: Body = xml::read(body, "Error").unwrap_or_default();
        let message = shortened(&body.message);
        let told = [headers.get("x-amz-bucket-region").unwrap_or_default(), &body.region];
        let region = told.into_iter().find(|told| is_region(told)).unwrap_or_default();
        let class = match of_code(&body.code) {
            // A wrong region is told by the region itself; without it the header is malformed.
            Some(Class::Region) if region.is_empty() && body.code.starts_with("Auth") => {
                Class::Refused
            }
            Some(class) => class,
            None if !region.is_empty() && matches!(status, 301 | 307 | 400) => Class::Region,
            None => of_status(status),
        };
        let code = if class == Class::Region { region.to_owned() } else { body.code };
        Refusal { class, code, message }
    }

    fn hidden(&self, body: &[u8]) -> Option<Refusal> {
        let garbled = |message: &str| {
            let (code, message) = (String::new(), message.to_owned());
            Some(Refusal { class: Class::Garbled, code, message })
        };
        match xml::root(body) {
            None if body.iter().all(u8::is_ascii_whitespace) => None,
            None => garbled("the answer is no XML"),
            Some(root) if !xml::is_whole(body, root) => garbled("the answer's XML is cut off"),
            // Its status was 200: by itself it says nothing.
            Some("Error") => Some(self.refusal(500, &Headers::default(), body)),
            Some(_) => None,
        }
    }
}

/// A refusal that stands in a body beside others, which has no status of its own.
#[must_use]
pub fn refusal(code: String, message: &str) -> Refusal {
    let class = of_code(&code).unwrap_or(Class::Invalid);
    Refusal { class, code, message: shortened(message) }
}

fn of_code(code: &str) -> Option<Class> {
    Some(match code {
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "NotSignedUp"
        | "AccountSuspended" | "UserSuspended" | "Forbidden" => Class::Forbidden,
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidToken"
        | "InvalidSecurity"
        | "MissingSecurityHeader"
        | "MissingAuthenticationToken"
        | "UnrecognizedClientException"
        | "CredentialsNotSupported" => Class::Refused,
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "RequestExpired" => {
            Class::Expired
        }
        "RequestTimeTooSkewed" => Class::Clock,
        "NoSuchBucket" => Class::NoBucket,
        "NoSuchKey" | "NoSuchVersion" | "NotFound" => Class::NotFound,
        "NoSuchUpload" => Class::NoUpload,
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException"
        | "IllegalLocationConstraint" => Class::Region,
        "SlowDown"
        | "SlowDownRead"
        | "SlowDownWrite"
        | "Throttling"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded"
        | "TooManyRequests"
        | "Busy" => Class::Throttled,
        "ServiceUnavailable"
        | "RequestTimeout"
        | "InternalError"
        | "InternalServerError"
        | "XMinioServerNotInitialized" => Class::Transient,
        "PreconditionFailed" | "NotModified" => Class::Condition,
        "ConditionalRequestConflict" | "OperationAborted" => Class::Conflict,
        "BadDigest"
        | "InvalidDigest"
        | "IncompleteBody"
        | "XAmzContentSHA256Mismatch"
        | "XAmzContentChecksumMismatch" => Class::Damaged,
        "QuotaExceeded"
        | "UserQuotaExceeded"
        | "StorageQuotaExceeded"
        | "InsufficientStorage"
        | "XMinioStorageFull"
        | "XMinioAdminBucketQuotaExceeded" => Class::Quota,
        "InvalidObjectState" | "ObjectNotInActiveTierError" => Class::Archived,
        "InvalidRange" => Class::Range,
        "NotImplemented" | "MethodNotAllowed" => Class::Unsupported,
        "EntityTooLarge"
        | "EntityTooSmall"
        | "InvalidPart"
        | "InvalidPartOrder"
        | "InvalidRequest"
        | "InvalidArgument"
        | "InvalidBucketName"
        | "KeyTooLongError"
        | "MetadataTooLarge"
        | "MalformedXML"
        | "InvalidStorageClass" => Class::Invalid,
        _ => return None,
    })
}

fn of_status(status: u16) -> Class {
    match status {
        304 | 412 => Class::Condition,
        300..=399 => Class::Redirect,
        401 => Class::Refused,
        403 => Class::Forbidden,
        404 | 410 => Class::NotFound,
        405 | 501 => Class::Unsupported,
        408 => Class::Transient,
        409 => Class::Conflict,
        416 => Class::Range,
        // Without a word of its own, as HEAD is answered: "Slow Down" has this status.
        429 | 503 => Class::Throttled,
        507 => Class::Quota,
        500..=599 => Class::Transient,
        400..=499 => Class::Invalid,
        _ => Class::Garbled,
    }
}

/// Whether this may be a region's name: it becomes part of a host's.
#[must_use]
pub fn is_region(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=40).contains(&text.len()) && text.chars().all(fits)
}

fn shortened(message: &str) -> String {
    let shown = message.chars().map(|c| if c.is_control() { ' ' } else { c });
    shown.take(MESSAGE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, code: &str) -> Refusal {
        let body = format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code></Error>");
        S3.refusal(status, &Headers::default(), body.as_bytes())
    }

    #[test]
    fn codes_go_before_statuses() {
        for (status, code, class) in [
            (403, "AccessDenied", Class::Forbidden),
            (403, "SignatureDoesNotMatch", Class::Refused),
            (400, "ExpiredToken", Class::Expired),
            (403, "RequestTimeTooSkewed", Class::Clock),
            (404, "NoSuchBucket", Class::NoBucket),
            (404, "NoSuchUpload", Class::NoUpload),
            (503, "SlowDown", Class::Throttled),
            (503, "", Class::Throttled),
            (400, "RequestTimeout", Class::Transient),
            (400, "BadDigest", Class::Damaged),
            (409, "ConditionalRequestConflict", Class::Conflict),
            (403, "QuotaExceeded", Class::Quota),
            (403, "InvalidObjectState", Class::Archived),
            (400, "AuthorizationHeaderMalformed", Class::Refused),
            (400, "SomethingNew", Class::Invalid),
            (500, "SomethingNew", Class::Transient),
            (418, "", Class::Invalid),
        ] {
            let refusal = refusal(status, code);
            assert_eq!((refusal.class, refusal.code.as_str()), (class, code));
        }
        for (status, class) in [(404, Class::NotFound), (412, Class::Condition)] {
            assert_eq!(S3.refusal(status, &Headers::default(), b"<html>").class, class);
        }
    }

    #[test]
    fn regions_are_told_by_body_or_header_and_nothing_else_is_believed() {
        let body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region>\
            <Message>wrong\nregion</Message></Error>";
        let told = S3.refusal(400, &Headers::default(), body);
        assert_eq!((told.class, told.code.as_str()), (Class::Region, "eu-west-1"));
        assert_eq!(told.message, "wrong region");
        let mut headers = Headers::default();
        headers.add("x-amz-bucket-region", "us-gov-west-1");
        assert_eq!(S3.refusal(301, &headers, b"").code, "us-gov-west-1");
        headers.set("x-amz-bucket-region", "evil.example/");
        assert_eq!(S3.refusal(301, &headers, b"").class, Class::Redirect);
    }

    #[test]
    fn a_success_may_hide_a_refusal() {
        let slow = S3.hidden(b"  \n<?xml version='1.0'?> <Error><Code>SlowDown</Code></Error> ");
        assert_eq!(slow.unwrap().class, Class::Throttled);
        let unknown = S3.hidden(b"<Error><Code>Whatever</Code></Error>").unwrap();
        assert_eq!((unknown.class, unknown.code.as_str()), (Class::Transient, "Whatever"));
        assert!(S3.hidden(b" \n").is_none());
        assert!(S3.hidden(b"<CopyObjectResult><ETag>x</ETag></CopyObjectResult>").is_none());
        for cut in ["<A><B>", "<A></A", "hello", "<", "\u{0}"] {
            assert_eq!(S3.hidden(cut.as_bytes()).unwrap().class, Class::Garbled, "{cut}");
        }
    }
}
