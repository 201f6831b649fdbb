//! Digests: which, how they are computed as bytes pass, and how they are written.

use std::convert::Infallible;

use sha2::Digest as _;

use crate::model::parts::crc_hex;

/// A digest algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// CRC-64/NVME.
    Crc64Nvme,
    /// CRC-32C, Castagnoli.
    Crc32c,
    /// SHA-256.
    Sha256,
    /// BLAKE3, 256 bits.
    Blake3,
    /// MD5.
    Md5,
    /// SHA-1.
    Sha1,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Algorithm; 6] =
        [Self::Crc64Nvme, Self::Crc32c, Self::Sha256, Self::Blake3, Self::Md5, Self::Sha1];

    /// Its name on the wire and in manifests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc64Nvme => "crc64nvme",
            Self::Crc32c => "crc32c",
            Self::Sha256 => "sha256",
            Self::Blake3 => "blake3",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
        }
    }

    /// The algorithm of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// A finished digest, in lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest {
    /// How it was computed.
    pub algorithm: Algorithm,
    /// Its value.
    pub hex: String,
}

enum State {
    Crc(crc_fast::Digest),
    Sha256(sha2::Sha256),
    Blake3(Box<blake3::Hasher>),
    Md5(md5::Md5),
    Sha1(sha1::Sha1),
}

/// Computes one digest as bytes pass.
pub struct Hasher {
    algorithm: Algorithm,
    state: State,
}

impl Hasher {
    /// A digest of nothing yet.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        let state = match algorithm {
            Algorithm::Crc64Nvme => {
                State::Crc(crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme))
            }
            Algorithm::Crc32c => {
                State::Crc(crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi))
            }
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Blake3 => State::Blake3(Box::default()),
            Algorithm::Md5 => State::Md5(md5::Md5::new()),
            Algorithm::Sha1 => State::Sha1(sha1::Sha1::new()),
        };
        Self { algorithm, state }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Crc(state) => state.update(bytes),
            State::Sha256(state) => state.update(bytes),
            State::Blake3(state) => {
                state.update(bytes);
            }
            State::Md5(state) => state.update(bytes),
            State::Sha1(state) => state.update(bytes),
        }
    }

    /// Takes so many zeros next. Checksums do not go through them.
    pub fn zeros(&mut self, count: u64) {
        if let (State::Crc(state), Some(join)) = (&mut self.state, self.algorithm.crc_join()) {
            *state = join.with_zeros(state, count);
            return;
        }
        let _: Result<(), Infallible> = each_zeros(count, |zeros| {
            self.update(zeros);
            Ok(())
        });
    }

    /// The digest of all bytes taken.
    #[must_use]
    pub fn finish(self) -> Digest {
        let hex = match self.state {
            State::Crc(state) => crc_hex(self.algorithm, state.finalize()),
            State::Sha256(state) => hex(&state.finalize()),
            State::Blake3(state) => hex(state.finalize().as_bytes()),
            State::Md5(state) => hex(&state.finalize()),
            State::Sha1(state) => hex(&state.finalize()),
        };
        Digest { algorithm: self.algorithm, hex }
    }
}

/// Calls `each` with slices of zeros, `count` bytes in all.
///
/// # Errors
/// Those of `each`.
pub fn each_zeros<E>(count: u64, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut left = count;
    while left > 0 {
        let some = left.min(ZEROS.len() as u64);
        each(ZEROS.get(..some as usize).unwrap_or_default())?;
        left -= some;
    }
    Ok(())
}

/// Lower-case hex of `bytes`.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS.get(usize::from(value)).copied().unwrap_or(b'?'));
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_count_as_the_bytes_they_are() {
        for algorithm in Algorithm::ALL {
            for count in [0, 1, 7, 65_536, 200_003] {
                let (mut told, mut given) = (Hasher::new(algorithm), Hasher::new(algorithm));
                for hasher in [&mut told, &mut given] {
                    hasher.update(b"before");
                }
                told.zeros(count);
                given.update(&vec![0; count as usize]);
                for hasher in [&mut told, &mut given] {
                    hasher.update(b"behind");
                }
                assert_eq!(told.finish(), given.finish(), "{algorithm:?} {count}");
            }
        }
    }

    /// The check values of each algorithm's own specification, over "123456789" and nothing.
    #[test]
    fn check_values() {
        let of = |algorithm, bytes: &[u8]| {
            let mut hasher = Hasher::new(algorithm);
            bytes.chunks(4).for_each(|chunk| hasher.update(chunk));
            hasher.finish().hex
        };
        let check = b"123456789";
        assert_eq!(of(Algorithm::Crc64Nvme, check), "ae8b14860a799888");
        assert_eq!(of(Algorithm::Crc64Nvme, b""), "0000000000000000");
        assert_eq!(of(Algorithm::Crc32c, check), "e3069283");
        assert_eq!(of(Algorithm::Md5, check), "25f9e794323b453885f5181f1b624d0b");
        assert_eq!(of(Algorithm::Sha1, check), "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
        assert_eq!(
            of(Algorithm::Sha256, check),
            "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"
        );
        assert_eq!(
            of(Algorithm::Blake3, b""),
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
        );
    }
}
