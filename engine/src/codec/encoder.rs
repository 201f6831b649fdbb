//! One file packed on one thread: chunks in, bytes out.

use super::contract::{Codec, Frame, MemberCoder, Packing, StreamCoder};
use crate::error::Result;

/// What became of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Plain bytes taken.
    pub plain: u64,
    /// Stored bytes given.
    pub stored: u64,
    /// Plain bytes that were stored as they are, since they would not shrink.
    pub raw: u64,
}

impl Packed {
    /// Whether all of it was stored as it is.
    #[must_use]
    pub fn is_raw(&self) -> bool {
        self.plain > 0 && self.raw == self.plain
    }
}

enum Inner {
    Members {
        coder: Box<dyn MemberCoder>,
        /// The block to come.
        block: Vec<u8>,
        block_bytes: usize,
        tail: fn(&[Frame]) -> Vec<u8>,
        frames: Vec<Frame>,
    },
    Stream(Box<dyn StreamCoder>),
}

/// Packs one file on one thread. What it appends to `out` is to be written in order.
pub struct Encoder {
    inner: Inner,
    packed: Packed,
}

impl Encoder {
    /// An encoder of a new file, with the form's own blocks.
    ///
    /// # Errors
    /// `Internal` when the library refuses.
    pub fn new(codec: &Codec, level: u32) -> Result<Self> {
        Self::with_blocks(codec, level, codec.block_bytes())
    }

    /// An encoder of a new file with blocks of so many plain bytes, which a form that is one
    /// stream has none of. It takes [`Encoder::bytes`] of memory.
    ///
    /// # Errors
    /// `Internal` when the library refuses.
    pub fn with_blocks(codec: &Codec, level: u32, block_bytes: usize) -> Result<Self> {
        let inner = match codec.packing {
            Packing::Members { coder, tail, .. } => Inner::Members {
                coder: coder(level)?,
                block: Vec::with_capacity(block_bytes),
                block_bytes,
                tail,
                frames: Vec::new(),
            },
            Packing::Stream(coder) => Inner::Stream(coder(level)?),
        };
        Ok(Self { inner, packed: Packed::default() })
    }

    /// Bytes of memory that an encoder takes, what it appends to `out` in one call included.
    #[must_use]
    pub fn bytes(codec: &Codec, level: u32, block_bytes: usize) -> u64 {
        let buffers = match codec.packing {
            Packing::Members { bound, .. } => block_bytes + bound(block_bytes),
            Packing::Stream(_) => block_bytes,
        };
        (codec.coder_bytes)(level) + buffers as u64
    }

    /// Takes the next plain bytes; appends to `out` what is ready.
    ///
    /// # Errors
    /// `Internal` when the library refuses.
    pub fn take(&mut self, mut plain: &[u8], out: &mut Vec<u8>) -> Result<()> {
        self.packed.plain += plain.len() as u64;
        let begin = out.len();
        match &mut self.inner {
            Inner::Stream(coder) => coder.take(plain, out)?,
            Inner::Members { coder, block, block_bytes, frames, .. } => {
                while !plain.is_empty() {
                    let room = block_bytes.saturating_sub(block.len()).min(plain.len());
                    let (part, rest) = plain.split_at(room);
                    block.extend_from_slice(part);
                    plain = rest;
                    if block.len() >= *block_bytes {
                        self.packed.raw += member(&mut **coder, block, frames, out)?;
                    }
                }
            }
        }
        self.packed.stored += (out.len() - begin) as u64;
        Ok(())
    }

    /// Appends the rest.
    ///
    /// # Errors
    /// `Internal` when the library refuses.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<Packed> {
        let begin = out.len();
        match &mut self.inner {
            Inner::Stream(coder) => coder.finish(out)?,
            Inner::Members { coder, block, frames, tail, .. } => {
                if !block.is_empty() || frames.is_empty() {
                    self.packed.raw += member(&mut **coder, block, frames, out)?;
                }
                out.extend_from_slice(&tail(frames));
            }
        }
        self.packed.stored += (out.len() - begin) as u64;
        Ok(self.packed)
    }
}

/// Packs a block and empties it; answers how many plain bytes were stored as they are.
fn member(
    coder: &mut dyn MemberCoder,
    block: &mut Vec<u8>,
    frames: &mut Vec<Frame>,
    out: &mut Vec<u8>,
) -> Result<u64> {
    let begin = out.len();
    let raw = coder.pack(block, out)?;
    let plain = block.len();
    frames.push(Frame { stored: (out.len() - begin) as u32, plain: plain as u32 });
    block.clear();
    Ok(if raw { plain as u64 } else { 0 })
}
