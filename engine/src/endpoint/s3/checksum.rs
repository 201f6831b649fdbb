//! Checksums as S3 writes them: base64 of the big-endian value, in fields named by algorithm.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::endpoint::store::verbs::Whole;
use crate::model::digest::{Algorithm, Digest, Hasher, hex};
use crate::model::parts::crc_hex;
use crate::remote::headers::Headers;

/// The algorithms that S3 keeps and this engine knows, with the end of their fields' names.
const KEPT: [(Algorithm, &str); 4] = [
    (Algorithm::Crc64Nvme, "crc64nvme"),
    (Algorithm::Crc32c, "crc32c"),
    (Algorithm::Sha256, "sha256"),
    (Algorithm::Sha1, "sha1"),
];

/// The field of this checksum.
#[must_use]
pub fn field(whole: Whole) -> &'static str {
    match whole.algorithm {
        Algorithm::Crc32c => "x-amz-checksum-crc32c",
        _ => "x-amz-checksum-crc64nvme",
    }
}

/// The name of its algorithm.
#[must_use]
pub fn name(whole: Whole) -> &'static str {
    if whole.algorithm == Algorithm::Crc32c { "CRC32C" } else { "CRC64NVME" }
}

/// The element of this checksum in XML.
#[must_use]
pub fn element(whole: Whole) -> &'static str {
    if whole.algorithm == Algorithm::Crc32c { "ChecksumCRC32C" } else { "ChecksumCRC64NVME" }
}

/// Its value as S3 writes it.
#[must_use]
pub fn encode(whole: Whole) -> String {
    match whole.algorithm {
        Algorithm::Crc32c => STANDARD.encode((whole.value as u32).to_be_bytes()),
        _ => STANDARD.encode(whole.value.to_be_bytes()),
    }
}

/// Reads a value of CRC-64/NVME or CRC-32C; `None` for anything else, such as `VALUE-3`.
#[must_use]
pub fn decode(algorithm: Algorithm, text: &str) -> Option<Whole> {
    let bytes = STANDARD.decode(text).ok()?;
    let value = match algorithm {
        Algorithm::Crc64Nvme => u64::from_be_bytes(bytes.try_into().ok()?),
        Algorithm::Crc32c => u32::from_be_bytes(bytes.try_into().ok()?).into(),
        _ => return None,
    };
    Some(Whole { algorithm, value })
}

/// The checksum of these bytes.
#[must_use]
pub fn of(bytes: &[u8]) -> Whole {
    let value = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes);
    Whole { algorithm: Algorithm::Crc64Nvme, value }
}

/// The MD5 of these bytes, raw.
#[must_use]
pub fn md5(bytes: &[u8]) -> [u8; 16] {
    use digest::Digest as _;
    md5::Md5::digest(bytes).into()
}

/// Base64.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A checksum as a digest.
#[must_use]
pub fn digest(whole: Whole) -> Digest {
    Digest { algorithm: whole.algorithm, hex: crc_hex(whole.algorithm, whole.value) }
}

/// The checksum of parts one behind the other: the checksum and the bytes of each.
#[must_use]
pub fn join(parts: impl Iterator<Item = (Option<Whole>, u64)>) -> Option<Whole> {
    let mut parts = parts.map(|(whole, size)| whole.map(|whole| (whole, size)));
    let (first, _) = parts.next()??;
    let join = first.algorithm.crc_join()?;
    parts.try_fold(first, |left, next| {
        let (next, size) = next.filter(|(next, _)| next.algorithm == left.algorithm)?;
        Some(Whole { value: join.join(left.value, next.value, size), ..left })
    })
}

/// Digests of the whole content that an answer tells. Those of parts put together (`COMPOSITE`, or
/// with the number of parts behind a hyphen) are digests of nothing that can be computed from it.
#[must_use]
pub fn told(headers: &Headers) -> Vec<Digest> {
    if headers.get("x-amz-checksum-type").is_some_and(|kind| kind != "FULL_OBJECT") {
        return Vec::new();
    }
    let of = |(algorithm, end): (Algorithm, &str)| {
        let bytes = STANDARD.decode(headers.get(&format!("x-amz-checksum-{end}"))?).ok()?;
        let length = Hasher::new(algorithm).finish().hex.len();
        Some(Digest { algorithm, hex: hex(&bytes) }).filter(|digest| digest.hex.len() == length)
    };
    KEPT.into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_s3_does() {
        let check = of(b"123456789");
        assert_eq!(
            (field(check), element(check)),
            ("x-amz-checksum-crc64nvme", "ChecksumCRC64NVME")
        );
        assert_eq!(encode(check), "rosUhgp5mIg=");
        assert_eq!(decode(Algorithm::Crc64Nvme, "rosUhgp5mIg="), Some(check));
        let crc32c = Whole { algorithm: Algorithm::Crc32c, value: 0xe306_9283 };
        assert_eq!(encode(crc32c), "4waSgw==");
        assert_eq!(decode(Algorithm::Crc32c, "4waSgw=="), Some(crc32c));
        for wrong in ["", "rosUhgp5mIg=-2", "4waSgw==", "?", "rosUhgp5mIg"] {
            assert_eq!(decode(Algorithm::Crc64Nvme, wrong), None, "{wrong}");
        }
        assert_eq!(base64(&md5(b"")), "1B2M2Y8AsgTpgAmY7PhCfg==");
    }

    #[test]
    fn checksums_of_parts_join_and_those_of_strangers_do_not() {
        let part = |bytes: &[u8]| (Some(of(bytes)), bytes.len() as u64);
        let parts = [part(b"1234"), part(b""), part(b"56789")];
        assert_eq!(join(parts.into_iter()), Some(of(b"123456789")));
        assert_eq!(join([part(b"1"), (None, 1)].into_iter()), None);
        let strange = Whole { algorithm: Algorithm::Crc32c, value: 1 };
        assert_eq!(join([part(b"1"), (Some(strange), 1)].into_iter()), None);
    }

    #[test]
    fn composites_are_no_digests() {
        let told = |fields: &[(&str, &str)]| {
            let mut headers = Headers::default();
            fields.iter().for_each(|(name, value)| headers.add(*name, *value));
            told(&headers).iter().map(|digest| digest.hex.clone()).collect::<Vec<_>>()
        };
        let crc = ("x-amz-checksum-crc64nvme", "rosUhgp5mIg=");
        assert_eq!(told(&[crc]), ["ae8b14860a799888"]);
        assert_eq!(told(&[crc, ("x-amz-checksum-type", "FULL_OBJECT")]), ["ae8b14860a799888"]);
        let short = ("x-amz-checksum-crc32c", "4waSgw==");
        assert!(told(&[short, ("x-amz-checksum-type", "COMPOSITE")]).is_empty());
        assert!(told(&[("x-amz-checksum-crc32c", "4waSgw==-2")]).is_empty());
        assert!(told(&[("x-amz-checksum-sha256", "4waSgw==")]).is_empty());
    }
}
