//! Names of blocks: whose upload they belong to, where they stand in it, and what is in them.
//!
//! A name is the base64 of `NONCE-INDEX-CRC`: 16 hex digits, 8 decimal ones, 16 hex ones. All names
//! of a blob's blocks must have the same length. The service keeps no checksum of a block that was
//! not committed, but checked the block's bytes against it when it took the name: so what is listed
//! under that name has that checksum.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::platform::host;

/// A block's name, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockName {
    /// The upload's nonce, 16 hex digits.
    pub nonce: String,
    /// Its place.
    pub index: u32,
    /// CRC-64/NVME of its bytes.
    pub crc: u64,
}

/// The nonce of a new upload.
pub fn new_nonce() -> String {
    format!("{:016x}", host::nonce())
}

/// Whether this is an upload's nonce.
pub fn is_nonce(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(is_hex)
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

impl BlockName {
    /// As the service takes it.
    pub fn encoded(&self) -> String {
        STANDARD.encode(format!("{}-{:08}-{:016x}", self.nonce, self.index, self.crc))
    }

    /// Reads a name; `None` for one that is not written so.
    pub fn decode(text: &str) -> Option<Self> {
        let plain = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
        let mut words = plain.split('-');
        let (nonce, index, crc) = (words.next()?, words.next()?, words.next()?);
        let is_ours = words.next().is_none()
            && is_nonce(nonce)
            && index.len() == 8
            && index.bytes().all(|byte| byte.is_ascii_digit())
            && is_nonce(crc);
        let crc = u64::from_str_radix(crc, 16).ok()?;
        is_ours.then_some(Self { nonce: nonce.to_owned(), index: index.parse().ok()?, crc })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_have_one_length() {
        let nonce = new_nonce();
        for (index, crc) in [(0, 0), (49_999, u64::MAX), (7, 0xae8b_1486_0a79_9888)] {
            let name = BlockName { nonce: nonce.clone(), index, crc };
            assert_eq!(name.encoded().len(), 56);
            assert_eq!(BlockName::decode(&name.encoded()), Some(name));
        }
    }

    #[test]
    fn names_of_others_are_not_taken_for_ours() {
        let of = |text: &str| BlockName::decode(&STANDARD.encode(text));
        assert!(of("0123456789abcdef-00000001-0123456789abcdef").is_some());
        for text in [
            "",
            "0123456789abcdef-00000001",
            "0123456789ABCDEF-00000001-0123456789abcdef",
            "0123456789abcdef-+0000001-0123456789abcdef",
            "0123456789abcdef-00000001-0123456789abcdef-",
            "0123456789abcdef-0000001-00123456789abcdef",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
        assert_eq!(BlockName::decode("%%%"), None);
    }
}
