//! What a compressed form promises, and its row in the table.

use crate::error::{EngineError, Kind, Result};

/// Asked for memory, in bytes, before a decoder takes it.
pub type Grant<'a> = &'a mut dyn FnMut(u64) -> Result<()>;

/// A compressed form.
pub struct Codec {
    /// Its name on the wire.
    pub name: &'static str,
    /// Endings of file names, the first one given to new files.
    pub endings: &'static [&'static str],
    /// Its levels.
    pub levels: Levels,
    /// How a reader finds its members.
    pub table: Table,
    /// How it is written.
    pub packing: Packing,
    /// Bytes of memory one coder takes at a level beside its block's buffers.
    pub coder_bytes: fn(u32) -> u64,
    /// Whether stored bytes begin like this form.
    pub is_magic: fn(&[u8]) -> bool,
    /// A decoder of anybody's files; one that begins behind a member where that is set.
    pub decoder: fn(bool) -> Result<Box<dyn StreamDecoder>>,
    /// Memory that decoding takes, told by the first bytes of a file, as far as they tell.
    pub decoder_bytes: fn(&[u8]) -> u64,
    /// Where the member at the beginning of these bytes ends, for decoding it by itself.
    pub extent: fn(&[u8]) -> Result<Extent>,
    /// A decoder of single members.
    pub member_decoder: fn() -> Result<Box<dyn MemberDecoder>>,
}

impl Codec {
    /// Plain bytes of the blocks it is written in; of what is handed on at once, where it is one
    /// stream.
    #[must_use]
    pub fn block_bytes(&self) -> usize {
        match self.packing {
            Packing::Members { block_bytes, .. } => block_bytes,
            Packing::Stream(_) => 1 << 20,
        }
    }
}

/// Levels of a form: 1 is fast, more is smaller.
#[derive(Clone, Copy, Debug)]
pub struct Levels {
    /// Least level.
    pub least: u32,
    /// Greatest level.
    pub most: u32,
    /// The level where none is asked.
    pub usual: u32,
}

/// How a reader of a whole file finds where its members lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// By zstd's seek table at its end. Skippable frames may stand between the members.
    Seek,
    /// From header to header, each of which tells its member's sizes.
    Headers,
    /// Only by reading them.
    Untold,
}

/// How a form is written.
pub enum Packing {
    /// Members behind each other, one for each block.
    Members {
        /// Plain bytes of a block; shorter ones are allowed.
        block_bytes: usize,
        /// Stored bytes that a block of so many plain bytes may take.
        bound: fn(usize) -> usize,
        /// A thread's own coder at a level.
        coder: fn(u32) -> Result<Box<dyn MemberCoder>>,
        /// What is written behind the last member.
        tail: fn(&[Frame]) -> Vec<u8>,
    },
    /// One stream that only one thread can write.
    Stream(fn(u32) -> Result<Box<dyn StreamCoder>>),
}

/// The sizes of one member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Stored bytes.
    pub stored: u32,
    /// Plain bytes; 0 for what holds none.
    pub plain: u32,
}

/// Packs blocks, each to a member of its own.
pub trait MemberCoder: Send {
    /// Appends the member of `plain` to `out`. Answers whether it was stored as it is, since it
    /// would not shrink.
    ///
    /// # Errors
    /// `Internal` when the library refuses.
    fn pack(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<bool>;
}

/// Packs one stream.
pub trait StreamCoder: Send {
    /// Appends to `out` what is ready after `plain`.
    ///
    /// # Errors
    /// `Internal` when the library refuses.
    fn take(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<()>;

    /// Appends the rest.
    ///
    /// # Errors
    /// `Internal` when the library refuses.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()>;
}

/// What one step of decoding did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Stored bytes taken.
    pub taken: usize,
    /// Plain bytes given.
    pub given: usize,
}

/// Decodes whatever is valid in its form, step by step.
pub trait StreamDecoder: Send {
    /// Decodes from `input` to `output` until one of them is used up.
    ///
    /// # Errors
    /// `SourceCorrupt`, `Unsupported`, and what `grant` answers.
    fn step(&mut self, input: &[u8], output: &mut [u8], grant: Grant<'_>) -> Result<Step>;

    /// Whether the input may end here.
    fn may_end(&self) -> bool;
}

/// Decodes single members.
pub trait MemberDecoder: Send {
    /// Decodes the member `stored` into `plain`, which has exactly the length that its extent
    /// told, and checks the checksums it carries.
    ///
    /// # Errors
    /// `SourceCorrupt`.
    fn unpack(&mut self, stored: &[u8], plain: &mut [u8]) -> Result<()>;
}

/// Where a member ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// It has these sizes. All of `stored` may not be there yet.
    Known(Frame),
    /// More bytes are needed to tell.
    More,
    /// It cannot be told, or it is too large to be held: only a stream decoder reads it.
    Unknown,
}

/// What decoding may give at most: input is not trusted.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    /// Plain bytes in all.
    pub max_bytes: u64,
    /// Plain bytes for each stored byte, once [`RATIO_FREE_BYTES`] were given.
    pub max_ratio: u64,
}

/// Plain bytes that are given whatever their ratio.
pub const RATIO_FREE_BYTES: u64 = 1 << 20;

impl Caps {
    /// No caps: for what this process wrote itself.
    pub const NONE: Self = Self { max_bytes: u64::MAX, max_ratio: u64::MAX };

    /// Checks totals.
    ///
    /// # Errors
    /// `OutputLimit`.
    pub fn check(&self, stored: u64, plain: u64) -> Result<()> {
        let message = if plain > self.max_bytes {
            format!("it holds more than max_bytes, {}", self.max_bytes)
        } else if plain > RATIO_FREE_BYTES && plain > stored.saturating_mul(self.max_ratio) {
            format!("it grows more than max_ratio, {} to 1", self.max_ratio)
        } else {
            return Ok(());
        };
        Err(EngineError::new(Kind::OutputLimit, message).offset(stored))
    }
}

/// Damaged input.
pub(super) fn corrupt(why: impl Into<String>) -> EngineError {
    EngineError::new(Kind::SourceCorrupt, why)
}

/// A library that refuses to pack.
pub(super) fn refused(library: &str, why: impl std::fmt::Display) -> EngineError {
    EngineError::new(Kind::Internal, "failed to compress")
        .because(format!("{library}: {why}"), None)
}
