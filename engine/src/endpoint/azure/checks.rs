//! How bytes on their way up are checked by the store: by CRC-64/NVME where it says that it
//! computed it, by MD5 where it does not. Both at once are refused, and Azurite refuses the field of
//! the CRC at all: so what is sent first has an MD5, and the answer to it tells.

use std::sync::atomic::{AtomicU8, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Digest as _;

use crate::endpoint::store::verbs::Whole;
use crate::model::crc_join::CRC64_NVME;
use crate::model::digest::Algorithm;
use crate::remote::call::Request;
use crate::remote::headers::Headers;

/// The field of the checksum: 8 bytes, the lowest first, in base64. Requests and answers have it.
const CRC64: &str = "x-ms-content-crc64";
/// The field of the MD5, in both too.
const MD5: &str = "content-md5";

/// What [`Checks`] holds: MD5 until the store's first answer tells.
const BY_MD5: u8 = 0;
const BY_CRC64: u8 = 1;

/// What is known of a store's checks.
#[derive(Default)]
pub struct Checks(AtomicU8);

/// What a body was sent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The store checked the body.
    Checked,
    /// It did not: send it once more.
    Again,
    /// It says that it took other bytes.
    Differs,
}

impl Checks {
    /// Adds the checksum that the store checks. `crc` is the CRC-64/NVME of the body.
    pub fn add(&self, request: &mut Request<'_>, crc: u64) {
        if self.by_crc() {
            request.headers.set(CRC64, STANDARD.encode(crc.to_le_bytes()));
        } else {
            request.headers.set(MD5, STANDARD.encode(md5::Md5::digest(request.body)));
        }
    }

    /// Learns from the answer to a request of [`Checks::add`].
    pub fn learn(&self, sent: &Headers, answer: &Headers, crc: u64) -> Verdict {
        let told = answer.get(CRC64).and_then(decode);
        let by_crc = sent.get(CRC64).is_some();
        self.0.store(if told.is_some() { BY_CRC64 } else { BY_MD5 }, Ordering::Relaxed);
        let other_md5 = match (sent.get(MD5), answer.get(MD5)) {
            (Some(sent), Some(told)) => sent != told,
            _ => false,
        };
        match told {
            _ if other_md5 => Verdict::Differs,
            Some(told) if told != crc => Verdict::Differs,
            None if by_crc => Verdict::Again,
            _ => Verdict::Checked,
        }
    }

    /// Whether the store is known to check CRC-64/NVME by itself.
    pub fn by_crc(&self) -> bool {
        self.0.load(Ordering::Relaxed) == BY_CRC64
    }
}

fn decode(text: &str) -> Option<u64> {
    let bytes = STANDARD.decode(text).ok()?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

/// CRC-64/NVME of some bytes.
pub fn crc64(bytes: &[u8]) -> u64 {
    let mut digest = CRC64_NVME.digest();
    digest.update(bytes);
    digest.finalize()
}

/// The CRC-64/NVME among what is known of some bytes.
pub fn known(digest: Option<Whole>) -> Option<u64> {
    digest.filter(|digest| digest.algorithm == Algorithm::Crc64Nvme).map(|digest| digest.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::call::Verb;
    use crate::remote::origin::Origin;

    /// The value that Azure's own client libraries test themselves with.
    #[test]
    fn the_checksum_of_azure_is_crc64_nvme_with_the_lowest_byte_first() {
        let of = |text: &[u8]| STANDARD.encode(crc64(text).to_le_bytes());
        assert_eq!(of(b"Hello Azure!"), "DtjZpL9/o8c=");
        assert_eq!(of(b""), "AAAAAAAAAAA=");
    }

    #[test]
    fn the_answer_tells_which_checksum_is_checked() {
        let checks = Checks::default();
        let (origin, _) = Origin::parse("http://h").unwrap();
        let request =
            Request::new(Verb::Write, "PUT", &origin, "/".to_owned()).body(b"Hello Azure!");
        let send = |answer: &[(&str, &str)]| {
            let mut request = request.clone();
            let crc = crc64(request.body);
            checks.add(&mut request, crc);
            let mut headers = Headers::default();
            answer.iter().for_each(|(name, value)| headers.add(*name, *value));
            let fields: Vec<String> =
                request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            (fields.join(","), checks.learn(&request.headers, &headers, crc))
        };
        let md5 = "content-md5: Pz8543xut4RVSbb2g52Mww==".to_owned();
        let crc = "x-ms-content-crc64: DtjZpL9/o8c=".to_owned();
        let right = [(CRC64, "DtjZpL9/o8c=")];
        assert_eq!(send(&right), (md5.clone(), Verdict::Checked));
        assert_eq!(send(&right), (crc.clone(), Verdict::Checked));
        assert_eq!(send(&[(CRC64, "AAAAAAAAAAA=")]), (crc.clone(), Verdict::Differs));
        assert_eq!(send(&[]), (crc, Verdict::Again));
        assert_eq!(send(&[]), (md5.clone(), Verdict::Checked));
        let told = [(MD5, "Pz8543xut4RVSbb2g52Mww==")];
        assert_eq!(send(&told), (md5.clone(), Verdict::Checked));
        let other = [(MD5, "AAAA43xut4RVSbb2g52Mww==")];
        assert_eq!(send(&other), (md5, Verdict::Differs));
        assert!(!checks.by_crc());
    }
}
