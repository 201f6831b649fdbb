//! The bytes of a tar, however they are stored.

use crate::endpoint::contract::Reader;
use crate::error::Result;

/// Waits while a job is held; fails once it is to stop.
pub type Pass<'a> = &'a (dyn Fn() -> Result<()> + Sync);

/// The plain bytes of an archive.
pub trait Plain: Send + Sync {
    /// Reads at `offset`; 0 only at the end.
    ///
    /// # Errors
    /// `SourceRead`, `SourceCorrupt`, `OutputLimit`.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize>;

    /// Whether going back costs reading all over again.
    fn in_order(&self) -> bool {
        false
    }

    /// Whether the archive is still in the state it was opened in.
    ///
    /// # Errors
    /// `SourceRead` when that cannot be told.
    fn unchanged(&self) -> Result<bool>;
}

/// Reads until the buffer is full or the bytes end.
///
/// # Errors
/// Those of `plain`.
pub fn fill(plain: &dyn Plain, offset: u64, buffer: &mut [u8]) -> Result<usize> {
    let mut count = 0;
    while let Some(rest) = buffer.get_mut(count..).filter(|rest| !rest.is_empty()) {
        match plain.read_at(offset + count as u64, rest)? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

/// A tar that is not compressed.
pub struct Bytes(pub Box<dyn Reader>);

impl Plain for Bytes {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.0.read_at(offset, buffer)
    }

    fn unchanged(&self) -> Result<bool> {
        self.0.unchanged()
    }
}
