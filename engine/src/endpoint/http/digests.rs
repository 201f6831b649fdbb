//! Digests of content that answers tell in their fields. An entity tag is none of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::model::digest::{Algorithm, Digest, hex};
use crate::remote::headers::Headers;

/// Fields that tell one digest of what the answer carries, in base64.
const OF_BODY: [(&str, Algorithm); 5] = [
    ("content-md5", Algorithm::Md5),
    ("x-amz-checksum-crc64nvme", Algorithm::Crc64Nvme),
    ("x-amz-checksum-crc32c", Algorithm::Crc32c),
    ("x-amz-checksum-sha256", Algorithm::Sha256),
    ("x-amz-checksum-sha1", Algorithm::Sha1),
];

/// Digests of the whole that an answer tells. `is_whole`: whether its body is the whole.
pub(super) fn told(headers: &Headers, is_whole: bool) -> Vec<Digest> {
    let mut found = Vec::new();
    for (name, value) in headers.iter() {
        match name {
            "repr-digest" => listed(value, &mut found),
            "content-digest" if is_whole => listed(value, &mut found),
            "digest" => listed(value, &mut found),
            "x-goog-hash" if is_as_stored(headers) => listed(value, &mut found),
            _ => {
                let of_body = OF_BODY.iter().find(|(known, _)| *known == name && is_whole);
                found.extend(of_body.and_then(|(_, algorithm)| digest(*algorithm, value)));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Whether Google's service sends what it stores, of which its digests are: what is stored compressed
/// it turns back for those who ask for content as it is.
fn is_as_stored(headers: &Headers) -> bool {
    let encoding = headers.get("x-goog-stored-content-encoding");
    encoding.is_none_or(|encoding| encoding.eq_ignore_ascii_case("identity"))
}

/// `name=value` pairs: of RFC 9530 with colons around the value, of RFC 3230 without.
fn listed(field: &str, found: &mut Vec<Digest>) {
    for pair in field.split(',') {
        let Some((name, value)) = pair.trim().split_once('=') else { continue };
        let algorithm = match name.to_ascii_lowercase().as_str() {
            "sha-256" => Algorithm::Sha256,
            "sha" => Algorithm::Sha1,
            "md5" => Algorithm::Md5,
            "crc32c" => Algorithm::Crc32c,
            _ => continue,
        };
        let value = value.strip_prefix(':').and_then(|v| v.strip_suffix(':')).unwrap_or(value);
        found.extend(digest(algorithm, value));
    }
}

/// The digest of this base64; `None` where that has not its length, as checksums of parts' checksums
/// have not.
fn digest(algorithm: Algorithm, value: &str) -> Option<Digest> {
    let length = match algorithm {
        Algorithm::Crc32c => 4,
        Algorithm::Crc64Nvme => 8,
        Algorithm::Md5 => 16,
        Algorithm::Sha1 => 20,
        Algorithm::Sha256 | Algorithm::Blake3 => 32,
    };
    let bytes = BASE64.decode(value.trim()).ok().filter(|bytes| bytes.len() == length)?;
    Some(Digest { algorithm, hex: hex(&bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA256: &str = "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=";
    const MD5: &str = "XrY7u+Ae7tCTyyK7j1rNww==";

    fn of(fields: &[(&str, &str)], is_whole: bool) -> Vec<Algorithm> {
        let mut headers = Headers::default();
        fields.iter().for_each(|(name, value)| headers.add(*name, *value));
        told(&headers, is_whole).iter().map(|digest| digest.algorithm).collect()
    }

    #[test]
    fn digests_are_of_the_whole() {
        let repr = format!("sha-512=:AA==:, sha-256=:{SHA256}:");
        assert_eq!(of(&[("repr-digest", &repr)], false), [Algorithm::Sha256]);
        assert_eq!(of(&[("content-digest", &repr)], true), [Algorithm::Sha256]);
        assert!(of(&[("content-digest", &repr), ("content-md5", MD5)], false).is_empty());
        let old = format!("SHA-256={SHA256},MD5={MD5}");
        assert_eq!(of(&[("digest", &old)], false), [Algorithm::Sha256, Algorithm::Md5]);
        let goog = format!("crc32c=yZRlqg==,md5={MD5}");
        assert_eq!(of(&[("x-goog-hash", &goog)], false), [Algorithm::Crc32c, Algorithm::Md5]);
        let stored =
            |how| of(&[("x-goog-hash", &goog), ("x-goog-stored-content-encoding", how)], true);
        assert_eq!((stored("identity").len(), stored("gzip").len()), (2, 0));
        assert_eq!(of(&[("x-amz-checksum-crc32c", "yZRlqg==")], true), [Algorithm::Crc32c]);
    }

    #[test]
    fn what_is_no_digest_is_passed_over() {
        let tag = [("etag", "\"5eb63bbbe01eeed093cb22bb8f5acdc3\"")];
        assert!(of(&tag, true).is_empty());
        assert!(of(&[("x-amz-checksum-crc32c", "yZRlqg==-3")], true).is_empty());
        assert!(of(&[("digest", "sha-256=AAAA, md5, =, crc32c=%%%%")], true).is_empty());
    }
}
