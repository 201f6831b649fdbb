//! What refusals of Azure mean: by their code, which stands in a field of the head, so that HEAD
//! tells it too, and in the body.
//!
//! <https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes> and "common REST
//! API error codes" beside it.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use crate::endpoint::azure::{properties, xml};
use crate::remote::call::{Class, Refusal};
use crate::remote::dialect::Dialect;
use crate::remote::headers::Headers;

/// The field of an answer that holds the code.
const CODE: &str = "x-ms-error-code";
/// How far the clocks may differ, seconds: the service takes requests of the last 15 minutes.
const SKEW_S: u64 = 15 * 60;
/// Longest text of the service that is repeated, characters.
const TEXT_CHARS_MAX: usize = 300;

/// A write finds that its key is taken.
pub const EXISTS: &str = "BlobAlreadyExists";
/// The source of a copy is not there, is another one, or may not be read.
pub const COPY_SOURCE: &str = "CannotVerifyCopySource";
/// The source of a copy is not the version asked for.
pub const COPY_CONDITION: &str = "SourceConditionNotMet";

/// Reads refusals of Azure Blob Storage.
pub struct AzureDialect;

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Told {
    code: String,
    message: String,
    authentication_error_detail: String,
}

impl Dialect for AzureDialect {
    fn refusal(&self, status: u16, headers: &Headers, body: &[u8]) -> Refusal {
        let told: Told = xml::read(body).unwrap_or_default();
        let code = headers.get(CODE).unwrap_or(&told.code);
        let proof = format!("{} {}", told.message, told.authentication_error_detail);
        let class = match code {
            "AuthenticationFailed" if skewed(headers, &proof) => Class::Clock,
            "AuthenticationFailed" if proof.contains("not valid in the specified time frame") => {
                Class::Expired
            }
            "InvalidAuthenticationInfo" if proof.contains("expired") => Class::Expired,
            // Azurite's code for a wrong signature; the service's own means rights that are missing.
            "AuthorizationFailure" if told.message.starts_with("Server failed to authenticate") => {
                Class::Refused
            }
            code => class(status, code),
        };
        Refusal { class, code: word(code), message: text(&told.message) }
    }
}

/// Whether the clocks differ too much, by the service's own, or by its words: it never tells by a
/// code of its own.
fn skewed(headers: &Headers, proof: &str) -> bool {
    let theirs = headers.get("date").and_then(properties::http_date);
    let ours = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let apart = theirs.is_some_and(|date| date.seconds().unsigned_abs().abs_diff(ours) > SKEW_S);
    apart || proof.contains("date header too old") || proof.contains("Date header in the request")
}

fn class(status: u16, code: &str) -> Class {
    match code {
        "AuthenticationFailed"
        | "InvalidAuthenticationInfo"
        | "NoAuthenticationInformation"
        | "KeyBasedAuthenticationNotPermitted"
        | "PublicAccessNotPermitted" => Class::Refused,
        "AccountIsDisabled"
        | "AuthorizationFailure"
        | "AuthorizationPermissionMismatch"
        | "AuthorizationProtocolMismatch"
        | "AuthorizationResourceTypeMismatch"
        | "AuthorizationServiceMismatch"
        | "AuthorizationSourceIPMismatch"
        | "BlobImmutableDueToLegalHold"
        | "BlobImmutableDueToPolicy"
        | "InsufficientAccountPermissions" => Class::Forbidden,
        "WriteOperationNotSupportedOnSecondary" => Class::ReadOnly,
        "ContainerBeingDeleted" | "ContainerDisabled" | "ContainerNotFound" => Class::NoBucket,
        "BlobNotFound" | "ResourceNotFound" | COPY_SOURCE => Class::NotFound,
        EXISTS
        | "BlobModifiedWhileReading"
        | "ConditionNotMet"
        | COPY_CONDITION
        | "TargetConditionNotMet" => Class::Condition,
        "LeaseIdMissing"
        | "LeaseIdMismatchWithBlobOperation"
        | "PendingCopyOperation"
        | "BlobBeingModified" => Class::Conflict,
        "InvalidBlockList" => Class::NoUpload,
        "BlobArchived" | "BlobBeingRehydrated" => Class::Archived,
        "Crc64Mismatch" | "Md5Mismatch" => Class::Damaged,
        "InvalidRange" => Class::Range,
        "ServerBusy" | "TooManyRequests" => Class::Throttled,
        "InternalError" | "OperationTimedOut" => Class::Transient,
        "AccountCapacityExceeded" | "InsufficientStorage" | "QuotaExceeded" => Class::Quota,
        "FeatureNotSupported" | "NotImplemented" => Class::Unsupported,
        "InvalidBlobOrBlock" | "InvalidBlobType" | "SnapshotsPresent" => Class::Invalid,
        _ => by_status(status),
    }
}

fn by_status(status: u16) -> Class {
    match status {
        304 | 412 => Class::Condition,
        300..=399 => Class::Redirect,
        401 => Class::Refused,
        403 => Class::Forbidden,
        404 => Class::NotFound,
        408 | 500 | 502 | 504 => Class::Transient,
        409 => Class::Conflict,
        416 => Class::Range,
        429 | 503 => Class::Throttled,
        501 => Class::Unsupported,
        507 => Class::Quota,
        505.. => Class::Transient,
        _ => Class::Invalid,
    }
}

/// A code, if it looks like one.
fn word(code: &str) -> String {
    let is_word = code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_word { code.to_owned() } else { String::new() }
}

/// The first line alone: request id and time follow it.
fn text(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, fields: &[(&str, &str)], body: &str) -> Refusal {
        let mut headers = Headers::default();
        fields.iter().for_each(|(name, value)| headers.add(*name, *value));
        AzureDialect.refusal(status, &headers, body.as_bytes())
    }

    fn body(code: &str, message: &str, detail: &str) -> String {
        format!(
            "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>\
             {message}\nRequestId:1\nTime:2</Message><AuthenticationErrorDetail>{detail}\
             </AuthenticationErrorDetail></Error>"
        )
    }

    #[test]
    fn the_head_tells_before_the_body_and_status_last() {
        let named = [(CODE, "ContainerNotFound")];
        let told = refusal(404, &named, &body("BlobNotFound", "gone &amp; over", ""));
        assert_eq!((told.class, told.code.as_str()), (Class::NoBucket, "ContainerNotFound"));
        assert_eq!(told.message, "gone & over");
        assert_eq!(refusal(404, &[], &body("BlobNotFound", "", "")).class, Class::NotFound);
        assert_eq!(refusal(409, &[(CODE, EXISTS)], "").class, Class::Condition);
        assert_eq!(refusal(412, &[(CODE, "LeaseIdMissing")], "").class, Class::Conflict);
        for (status, class) in [
            (301, Class::Redirect),
            (503, Class::Throttled),
            (500, Class::Transient),
            (507, Class::Quota),
            (501, Class::Unsupported),
            (400, Class::Invalid),
            (599, Class::Transient),
        ] {
            let told = refusal(status, &[], "<html>no xml of ours");
            assert_eq!((told.class, told.code.as_str()), (class, ""), "{status}");
        }
    }

    #[test]
    fn clocks_and_ended_signatures_are_told_from_wrong_keys() {
        let code = [(CODE, "AuthenticationFailed")];
        let class = |message: &str, detail: &str| {
            refusal(403, &code, &body("AuthenticationFailed", message, detail)).class
        };
        assert_eq!(class("Server failed", "The MAC signature found"), Class::Refused);
        assert_eq!(class("", "Request date header too old: 'x'"), Class::Clock);
        assert_eq!(
            class("", "Signature not valid in the specified time frame: Start [a]"),
            Class::Expired
        );
        let late = [code[0], ("date", "Sat, 01 Jan 2000 00:00:00 GMT")];
        assert_eq!(refusal(403, &late, "").class, Class::Clock);
    }

    #[test]
    fn what_a_service_says_is_cut_and_its_detail_is_not_repeated() {
        let long = "x".repeat(9000);
        let told = refusal(403, &[(CODE, "a b")], &body("AuthenticationFailed", &long, "sig=k"));
        assert_eq!((told.code.as_str(), told.message.len()), ("", TEXT_CHARS_MAX));
        assert!(!format!("{told:?}").contains("sig="));
    }
}
