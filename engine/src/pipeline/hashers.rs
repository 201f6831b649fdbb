//! Digests of a large file: of its bytes in order, and of its parts, each by itself.

use crate::error::{EngineError, Kind, Result};
use crate::model::digest::{Algorithm, Digest, Hasher};
use crate::model::parts::{PartDigest, PartHasher};

/// Digests that need their bytes in order.
pub(super) struct Turn {
    /// The unit whose turn it is.
    pub(super) unit: u64,
    pub(super) hasher: Option<Hasher>,
    pub(super) piece: Option<PartHasher>,
}

impl Turn {
    pub(super) fn update(&mut self, piece: Option<Algorithm>, chunk: &[u8]) {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(chunk);
        }
        if self.piece.is_none() {
            self.piece = piece.and_then(|algorithm| PartHasher::new(algorithm, 0));
        }
        if let Some(piece) = &mut self.piece {
            piece.update(chunk);
        }
    }
}

/// The digests of one part, taken at once.
pub(super) struct Hashers {
    whole: Option<PartHasher>,
    /// None too where it is the same as `whole`.
    piece: Option<PartHasher>,
    same: bool,
}

impl Hashers {
    pub(super) fn new(whole: Option<Algorithm>, piece: Option<Algorithm>, offset: u64) -> Self {
        let same = whole.is_some() && whole == piece;
        let hasher = |algorithm: Option<Algorithm>| {
            algorithm.and_then(|algorithm| PartHasher::new(algorithm, offset))
        };
        Self { whole: hasher(whole), piece: hasher(piece.filter(|_| !same)), same }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        for hasher in [&mut self.whole, &mut self.piece].into_iter().flatten() {
            hasher.update(bytes);
        }
    }

    pub(super) fn zeros(&mut self, count: u64) {
        for hasher in [&mut self.whole, &mut self.piece].into_iter().flatten() {
            hasher.zeros(count);
        }
    }

    pub(super) fn finish(self) -> (Option<PartDigest>, Option<PartDigest>) {
        let whole = self.whole.map(PartHasher::finish);
        let piece = if self.same { whole } else { self.piece.map(PartHasher::finish) };
        (whole, piece)
    }
}

/// Compares what was read with what the source's store says of it.
///
/// # Errors
/// `VerifyMismatch`.
pub fn agrees(stored: &Digest, read: Option<&Digest>) -> Result<()> {
    if read.is_none_or(|read| read == stored) {
        return Ok(());
    }
    let name = stored.algorithm.name();
    let message = format!("the bytes read are not those whose {name} the source's store holds");
    Err(EngineError::new(Kind::VerifyMismatch, message))
}

/// The checksum that a destination wants of a part.
#[must_use]
pub fn part_digest(algorithm: Option<Algorithm>, offset: u64, bytes: &[u8]) -> Option<PartDigest> {
    let mut hasher = PartHasher::new(algorithm?, offset)?;
    hasher.update(bytes);
    Some(hasher.finish())
}
