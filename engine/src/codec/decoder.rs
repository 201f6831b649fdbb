//! One file unpacked on one thread: stored bytes in, plain bytes out, within caps.

use super::contract::{Caps, Codec, Grant, Step, StreamDecoder, corrupt};
use crate::error::{EngineError, Kind, Result};

/// Unpacks one file, anybody's.
pub struct Decoder {
    inner: Box<dyn StreamDecoder>,
    caps: Caps,
    taken: u64,
    given: u64,
}

impl Decoder {
    /// A decoder at the beginning of a file.
    ///
    /// # Errors
    /// `Internal` when the library refuses.
    pub fn new(codec: &Codec, caps: Caps) -> Result<Self> {
        Ok(Self { inner: (codec.decoder)(false)?, caps, taken: 0, given: 0 })
    }

    /// A decoder that goes on behind so many stored and plain bytes, at a member's beginning.
    ///
    /// # Errors
    /// `Internal` when the library refuses.
    pub fn behind(codec: &Codec, caps: Caps, stored: u64, plain: u64) -> Result<Self> {
        Ok(Self { inner: (codec.decoder)(stored > 0)?, caps, taken: stored, given: plain })
    }

    /// Decodes from `input` to `output` until one of them is used up. No progress means that more
    /// input is needed. `grant` is asked for memory before it is taken.
    ///
    /// # Errors
    /// `SourceCorrupt` and `OutputLimit` with the offset, `Unsupported`, and what `grant` answers.
    pub fn step(&mut self, input: &[u8], output: &mut [u8], grant: Grant<'_>) -> Result<Step> {
        let step = self.inner.step(input, output, grant);
        let step = step.map_err(|error| placed(error, self.taken))?;
        self.taken += step.taken as u64;
        self.given += step.given as u64;
        self.caps.check(self.taken, self.given)?;
        Ok(step)
    }

    /// Decodes all of `input`, giving what comes out, piece by piece in `scratch`, to `each`.
    ///
    /// # Errors
    /// As [`Decoder::step`], and those of `each`.
    pub fn take(
        &mut self,
        mut input: &[u8],
        scratch: &mut [u8],
        grant: Grant<'_>,
        each: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        loop {
            let step = self.step(input, scratch, grant)?;
            input = input.get(step.taken..).unwrap_or_default();
            if step.given > 0 {
                each(scratch.get(..step.given).unwrap_or_default())?;
            } else if step.taken == 0 {
                break;
            }
        }
        if input.is_empty() { Ok(()) } else { Err(placed(corrupt("it is damaged"), self.taken)) }
    }

    /// Checks that the input may end here.
    ///
    /// # Errors
    /// `SourceCorrupt` when it is cut off.
    pub fn finish(&self) -> Result<()> {
        if self.inner.may_end() {
            return Ok(());
        }
        Err(placed(corrupt("it ends too early"), self.taken))
    }

    /// Stored bytes taken.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Plain bytes given.
    #[must_use]
    pub fn given(&self) -> u64 {
        self.given
    }
}

/// An error with the stored offset near which it was seen.
fn placed(error: EngineError, offset: u64) -> EngineError {
    match (error.kind(), error.parts().offset) {
        (Kind::SourceCorrupt | Kind::Unsupported, None) => error.offset(offset),
        _ => error,
    }
}
