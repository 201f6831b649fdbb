//! CRC-64/NVME of bytes that come in pieces, in any order, and are joined.

use crate::model::crc_join::CRC64_NVME;
use crate::model::digest::{Algorithm, Digest};
use crate::model::parts::crc_hex;

const CRC: crc_fast::CrcAlgorithm = crc_fast::CrcAlgorithm::Crc64Nvme;

/// The CRC of some bytes, and how many they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crc64 {
    /// Its value; 0 for no bytes.
    pub value: u64,
    /// How many bytes.
    pub bytes: u64,
}

impl Crc64 {
    /// The CRC of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { value: crc_fast::checksum(CRC, bytes), bytes: bytes.len() as u64 }
    }

    /// The CRC of so many zeros, without going through them.
    #[must_use]
    pub fn zeros(count: u64) -> Self {
        Self { value: CRC64_NVME.zeros(count), bytes: count }
    }

    /// The CRC of these bytes and `next` behind them.
    #[must_use]
    pub fn join(self, next: Self) -> Self {
        let value = CRC64_NVME.join(self.value, next.value, next.bytes);
        Self { value, bytes: self.bytes + next.bytes }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        *self = self.join(Self::of(bytes));
    }

    /// As a digest.
    #[must_use]
    pub fn digest(self) -> Digest {
        let algorithm = Algorithm::Crc64Nvme;
        Digest { algorithm, hex: crc_hex(algorithm, self.value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_to_the_whole() {
        let bytes: Vec<u8> = (0..10_000u32).map(|n| ((n * n) >> 5) as u8).collect();
        for cut in [0, 1, 5_000, 9_999, 10_000] {
            let (left, right) = bytes.split_at(cut);
            assert_eq!(Crc64::of(left).join(Crc64::of(right)), Crc64::of(&bytes));
        }
        assert_eq!(Crc64::of(b"123456789").digest().hex, "ae8b14860a799888");
        assert_eq!(Crc64::default(), Crc64::of(b""));
        for count in [0, 1, 2, 3, 511, 4096, 100_001] {
            assert_eq!(Crc64::zeros(count as u64), Crc64::of(&vec![0; count]), "{count}");
        }
        assert_eq!(Crc64::zeros(1 << 62).bytes, 1 << 62);
    }
}
