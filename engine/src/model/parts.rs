//! Digests of a file's parts, computed in any order and put together afterwards.
//!
//! A CRC of a whole is known from those of its parts and their lengths; BLAKE3 is a tree whose
//! subtrees may be hashed apart. SHA and MD5 are neither: their bytes must come in order.

use std::convert::Infallible;

use blake3::hazmat::{self, HasherExt as _};
use serde::{Deserialize, Serialize};

use crate::limits::{PART_BYTES, PARTS_MAX};
use crate::model::crc_join::{CRC32C, CRC64_NVME, CrcJoin};
use crate::model::digest::{Algorithm, Digest, each_zeros, hex};

/// Length of the parts of a file of so many bytes, but for the last: a power of two.
#[must_use]
pub fn part_bytes(size: u64) -> u64 {
    PART_BYTES.max(size.div_ceil(PARTS_MAX).next_power_of_two())
}

impl Algorithm {
    /// Whether digests of parts make the digest of the whole.
    #[must_use]
    pub fn combines(self) -> bool {
        matches!(self, Self::Crc64Nvme | Self::Crc32c | Self::Blake3)
    }

    /// The algorithm for digests of single parts beside this one's of the whole: a CRC, which costs
    /// next to nothing.
    #[must_use]
    pub fn of_parts(self) -> Self {
        if self == Self::Crc32c { self } else { Self::Crc64Nvme }
    }

    /// How its checksums of pieces are joined; `None` for what is no checksum.
    #[must_use]
    pub fn crc_join(self) -> Option<&'static CrcJoin> {
        match self {
            Self::Crc64Nvme => Some(&CRC64_NVME),
            Self::Crc32c => Some(&CRC32C),
            _ => None,
        }
    }
}

/// What one part adds to the digest of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartDigest {
    /// A CRC, and over how many bytes.
    Crc(u64, u64),
    /// The chaining value of a BLAKE3 subtree.
    Subtree([u8; 32]),
}

/// Computes one part's digest as its bytes pass.
pub enum PartHasher {
    /// CRC-64/NVME or CRC-32C, of so many bytes.
    Crc(Box<crc_fast::Digest>, &'static CrcJoin, u64),
    /// A subtree of BLAKE3.
    Blake3(Box<blake3::Hasher>),
}

impl PartHasher {
    /// A hasher for the part that begins at `offset`, of a file of more than one part. All parts
    /// but the last have the same length, a power of two of at least 1 KiB; `None` for an
    /// algorithm that does not combine.
    #[must_use]
    pub fn new(algorithm: Algorithm, offset: u64) -> Option<Self> {
        if let Some(join) = algorithm.crc_join() {
            return Some(Self::Crc(Box::new(join.digest()), join, 0));
        }
        (algorithm == Algorithm::Blake3).then(|| {
            let mut hasher = blake3::Hasher::new();
            hasher.set_input_offset(offset);
            Self::Blake3(Box::new(hasher))
        })
    }

    /// Takes the next bytes of the part.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(state, _, count) => {
                state.update(bytes);
                *count += bytes.len() as u64;
            }
            Self::Blake3(state) => {
                state.update(bytes);
            }
        }
    }

    /// Takes so many zeros next. Checksums do not go through them.
    pub fn zeros(&mut self, bytes: u64) {
        match self {
            Self::Crc(state, join, count) => {
                **state = join.with_zeros(state, bytes);
                *count += bytes;
            }
            Self::Blake3(state) => {
                let _: Result<(), Infallible> = each_zeros(bytes, |zeros| {
                    state.update(zeros);
                    Ok(())
                });
            }
        }
    }

    /// The digest of all bytes taken, at least one.
    #[must_use]
    pub fn finish(self) -> PartDigest {
        match self {
            Self::Crc(state, _, count) => PartDigest::Crc(state.finalize(), count),
            Self::Blake3(state) => PartDigest::Subtree(state.finalize_non_root()),
        }
    }
}

/// The digest of the whole from those of all its parts, in order, at least two for BLAKE3; `None`
/// when they do not belong together.
#[must_use]
pub fn join(algorithm: Algorithm, parts: &[PartDigest]) -> Option<Digest> {
    let hex = match algorithm.crc_join() {
        Some(crc) => crc_hex(algorithm, join_crcs(crc, parts)?),
        None if algorithm == Algorithm::Blake3 && parts.len() >= 2 => {
            let (left, right) = parts.split_at(left_parts(parts.len()));
            let (left, right) = (subtree(left)?, subtree(right)?);
            hex(hazmat::merge_subtrees_root(&left, &right, hazmat::Mode::Hash).as_bytes())
        }
        None => return None,
    };
    Some(Digest { algorithm, hex })
}

/// The CRC of the whole from those of all its parts, in order, as a number.
#[must_use]
pub fn joined(algorithm: Algorithm, parts: &[PartDigest]) -> Option<u64> {
    join_crcs(algorithm.crc_join()?, parts)
}

/// Digests of single parts as hex: what a manifest lists.
#[must_use]
pub fn pieces(algorithm: Algorithm, parts: &[PartDigest]) -> Vec<String> {
    let hex = |part: &PartDigest| match part {
        PartDigest::Crc(value, _) => Some(crc_hex(algorithm, *value)),
        PartDigest::Subtree(_) => None,
    };
    parts.iter().filter_map(hex).collect()
}

/// A CRC as it is written: all its digits.
#[must_use]
pub fn crc_hex(algorithm: Algorithm, value: u64) -> String {
    if algorithm == Algorithm::Crc32c { format!("{value:08x}") } else { format!("{value:016x}") }
}

fn join_crcs(crc: &CrcJoin, parts: &[PartDigest]) -> Option<u64> {
    let mut parts = parts.iter();
    let &PartDigest::Crc(mut whole, _) = parts.next()? else {
        return None;
    };
    for part in parts {
        let &PartDigest::Crc(value, bytes) = part else {
            return None;
        };
        whole = crc.join(whole, value, bytes);
    }
    Some(whole)
}

/// Parts in the left subtree of so many: the greatest power of two below (BLAKE3 paper, §2.1).
fn left_parts(parts: usize) -> usize {
    parts.next_power_of_two() / 2
}

fn subtree(parts: &[PartDigest]) -> Option<[u8; 32]> {
    match parts {
        [PartDigest::Subtree(value)] => Some(*value),
        [] | [_] => None,
        _ => {
            let (left, right) = parts.split_at(left_parts(parts.len()));
            let (left, right) = (subtree(left)?, subtree(right)?);
            Some(hazmat::merge_subtrees_non_root(&left, &right, hazmat::Mode::Hash))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::digest::Hasher;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_join_to_the_digest_of_the_whole(
            seed in any::<u64>(), part_kib in 0u32..4, parts in 2usize..20, last in 1usize..9999
        ) {
            let part = 1024usize << part_kib;
            let len = part * (parts - 1) + 1 + last % part;
            let bytes: Vec<u8> =
                (0..len as u64).map(|i| (seed ^ i.wrapping_mul(0x9e37_79b9)) as u8).collect();
            for algorithm in Algorithm::ALL.into_iter().filter(|a| a.combines()) {
                let digests: Vec<_> = bytes.chunks(part).enumerate().map(|(index, chunk)| {
                    let mut hasher = PartHasher::new(algorithm, (index * part) as u64).unwrap();
                    chunk.chunks(700).for_each(|some| hasher.update(some));
                    hasher.finish()
                }).collect();
                let mut whole = Hasher::new(algorithm);
                whole.update(&bytes);
                prop_assert_eq!(join(algorithm, &digests).unwrap(), whole.finish());
            }
        }
    }

    #[test]
    fn no_size_has_more_parts_than_fit() {
        for size in
            [1, 2 * PART_BYTES, PARTS_MAX * PART_BYTES, PARTS_MAX * PART_BYTES + 1, u64::MAX]
        {
            let part = part_bytes(size);
            assert!(part.is_power_of_two() && size.div_ceil(part) <= PARTS_MAX, "{size}");
        }
        assert_eq!(part_bytes(PARTS_MAX * PART_BYTES), PART_BYTES);
    }

    #[test]
    fn what_does_not_belong_together_is_not_joined() {
        let mixed = [PartDigest::Crc(1, 1), PartDigest::Subtree([0; 32])];
        assert_eq!(join(Algorithm::Crc64Nvme, &mixed), None);
        assert_eq!(join(Algorithm::Blake3, &mixed), None);
        assert_eq!(join(Algorithm::Sha256, &[]), None);
        assert!(PartHasher::new(Algorithm::Sha256, 0).is_none());
    }
}
