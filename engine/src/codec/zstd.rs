//! Zstandard: a frame for each 4 MiB with its size and checksum, and a seek table at the end.

use zstd_safe::{CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer, get_error_name};

use super::contract::{
    Codec, Extent, Frame, Grant, Levels, MemberCoder, MemberDecoder, Packing, Step, StreamDecoder,
    Table, corrupt, refused,
};
use super::frames::{SKIPPABLE_MAGIC, seek_table};
use super::gather::{Gather, little};
use super::sample::{is_futile, sample};
use crate::error::{EngineError, Kind, Result};
use crate::limits::{MEMBER_PLAIN_BYTES_MAX, ZSTD_WINDOW_BYTES_MAX};

/// The row of this form.
pub static CODEC: Codec = Codec {
    name: "zstd",
    endings: &[".zst", ".zstd", ".tzst"],
    levels: Levels { least: 1, most: 19, usual: 3 },
    table: Table::Seek,
    packing: Packing::Members {
        block_bytes: 4 << 20,
        bound: zstd_safe::compress_bound,
        coder: |level| Ok(Box::new(Coder::new(level)?)),
        tail: seek_table,
    },
    coder_bytes,
    is_magic: |head| match little(head, 0, 4) {
        Some(magic) => magic == MAGIC || magic & !15 == SKIPPABLE_MAGIC,
        None => false,
    },
    decoder: |behind| Ok(Box::new(Stream::new(behind)?)),
    decoder_bytes,
    extent,
    member_decoder: || Ok(Box::new(Members(context()?))),
};

const MAGIC: u64 = 0xfd2f_b528;
/// Longest frame header.
const HEADER_BYTES_MAX: usize = 18;
/// Window of levels up to 19, for files of any size.
const USUAL_WINDOW_BYTES: u64 = 8 << 20;
/// Level of blocks that would not shrink: little is tried, and raw blocks come out.
const STORED_LEVEL: i32 = -7;

/// `ZSTD_sizeof_CCtx` after a block of 4 MiB, rounded up; a test holds it.
fn coder_bytes(level: u32) -> u64 {
    match level {
        ..=5 => 4 << 20,
        6..=8 => 6 << 20,
        9 => 12 << 20,
        10..=11 => 22 << 20,
        _ => 66 << 20,
    }
}

/// The window of the first frame, or what the levels of most files want: 8 MiB.
fn decoder_bytes(bytes: &[u8]) -> u64 {
    let window = match head(bytes) {
        Ok(Some(Head::Frame { window, .. })) => window.min(ZSTD_WINDOW_BYTES_MAX),
        _ => USUAL_WINDOW_BYTES,
    };
    window + (1 << 20)
}

fn library(code: usize) -> &'static str {
    get_error_name(code)
}

struct Coder {
    context: CCtx<'static>,
    level: i32,
    scratch: Vec<u8>,
    tried: Vec<u8>,
}

impl Coder {
    fn new(level: u32) -> Result<Self> {
        let context = CCtx::try_create().ok_or_else(|| refused("zstd", "no memory"))?;
        let level = level as i32;
        let mut coder = Self { context, level, scratch: Vec::new(), tried: Vec::new() };
        coder.set(CParameter::ChecksumFlag(true))?;
        coder.set(CParameter::ContentSizeFlag(true))?;
        Ok(coder)
    }

    fn set(&mut self, parameter: CParameter) -> Result<()> {
        let set = self.context.set_parameter(parameter);
        set.map(drop).map_err(|code| refused("zstd", library(code)))
    }

    fn is_futile(&mut self, plain: &[u8]) -> Result<bool> {
        if !sample(plain, &mut self.scratch) {
            return Ok(false);
        }
        self.set(CParameter::CompressionLevel(1))?;
        self.tried.clear();
        self.tried.reserve(zstd_safe::compress_bound(self.scratch.len()));
        let packed = self.context.compress2(&mut self.tried, &self.scratch);
        let stored = packed.map_err(|code| refused("zstd", library(code)))?;
        Ok(is_futile(stored, self.scratch.len()))
    }
}

impl MemberCoder for Coder {
    fn pack(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let futile = self.is_futile(plain)?;
        let level = if futile { STORED_LEVEL } else { self.level };
        self.set(CParameter::CompressionLevel(level))?;
        let begin = out.len();
        out.resize(begin + zstd_safe::compress_bound(plain.len()), 0);
        let room = out.get_mut(begin..).unwrap_or_default();
        let stored = self.context.compress2(room, plain);
        let stored = stored.map_err(|code| refused("zstd", library(code)))?;
        out.truncate(begin + stored);
        Ok(futile)
    }
}

/// What a frame's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    /// A frame that holds no content: its whole length.
    Skippable(u64),
    /// Its window, and its plain bytes where they are told.
    Frame { window: u64, plain: Option<u64> },
}

/// Reads a header; `None` when more bytes are needed.
fn head(bytes: &[u8]) -> Result<Option<Head>> {
    let known = bytes.len().min(4);
    let magic = bytes.get(..known).unwrap_or_default();
    let skippable = |at: usize, byte: &u8| match at {
        0 => byte & 0xf0 == 0x50,
        _ => SKIPPABLE_MAGIC.to_le_bytes().get(at) == Some(byte),
    };
    let is_skippable = magic.iter().enumerate().all(|(at, byte)| skippable(at, byte));
    if !is_skippable && !MAGIC.to_le_bytes().starts_with(magic) {
        return Err(corrupt("this is no zstd frame"));
    }
    if known < 4 {
        return Ok(None);
    }
    if is_skippable {
        return Ok(little(bytes, 4, 4).map(|len| Head::Skippable(8 + len)));
    }
    Ok(fields(bytes))
}

fn fields(bytes: &[u8]) -> Option<Head> {
    let flags = *bytes.get(4)?;
    let single = flags & 0x20 != 0;
    let dictionary = [0, 1, 2, 4].get(usize::from(flags & 3)).copied()?;
    let size_at = 5 + usize::from(!single) + dictionary;
    let plain = match flags >> 6 {
        0 if single => Some(little(bytes, size_at, 1)?),
        0 => None,
        1 => Some(little(bytes, size_at, 2)? + 256),
        2 => Some(little(bytes, size_at, 4)?),
        _ => Some(little(bytes, size_at, 8)?),
    };
    let window = if single {
        plain?
    } else {
        let byte = *bytes.get(5)?;
        let base = 1u64 << (10 + (byte >> 3));
        base + base / 8 * u64::from(byte & 7)
    };
    Some(Head::Frame { window, plain })
}

fn extent(bytes: &[u8]) -> Result<Extent> {
    let room = MEMBER_PLAIN_BYTES_MAX as u64;
    match head(bytes)? {
        None => Ok(Extent::More),
        Some(Head::Skippable(len)) if len <= room => {
            Ok(Extent::Known(Frame { stored: len as u32, plain: 0 }))
        }
        Some(Head::Frame { window, plain: Some(plain) })
            if plain <= room && window <= ZSTD_WINDOW_BYTES_MAX =>
        {
            let most = zstd_safe::compress_bound(plain as usize) + HEADER_BYTES_MAX;
            Ok(match zstd_safe::find_frame_compressed_size(bytes) {
                Ok(stored) if stored <= most => {
                    Extent::Known(Frame { stored: stored as u32, plain: plain as u32 })
                }
                Err(_) if bytes.len() <= most => Extent::More,
                _ => Extent::Unknown,
            })
        }
        Some(_) => Ok(Extent::Unknown),
    }
}

fn context() -> Result<DCtx<'static>> {
    let mut context = DCtx::try_create().ok_or_else(|| refused("zstd", "no memory"))?;
    let log = ZSTD_WINDOW_BYTES_MAX.ilog2();
    let set = context.set_parameter(DParameter::WindowLogMax(log));
    set.map_err(|code| refused("zstd", library(code)))?;
    Ok(context)
}

struct Members(DCtx<'static>);

impl MemberDecoder for Members {
    fn unpack(&mut self, stored: &[u8], plain: &mut [u8]) -> Result<()> {
        let len = plain.len();
        match self.0.decompress(plain, stored) {
            Ok(given) if given == len => Ok(()),
            Ok(_) => Err(corrupt("a zstd frame is shorter than its header says")),
            Err(code) => Err(corrupt(format!("a zstd frame is damaged: {}", library(code)))),
        }
    }
}

/// Any zstd file, frame by frame.
struct Stream {
    context: DCtx<'static>,
    /// The header of the frame to come; then what of it the library has not taken.
    held: Gather,
    fed: usize,
    /// Bytes of a skippable frame still to pass over.
    skip: u64,
    within: bool,
    granted: u64,
    frames: u64,
}

impl Stream {
    fn new(behind: bool) -> Result<Self> {
        Ok(Self {
            context: context()?,
            held: Gather::default(),
            fed: 0,
            skip: 0,
            within: false,
            granted: 0,
            frames: behind.into(),
        })
    }

    /// Collects a frame's header byte by byte, since it may lie across inputs.
    fn begin(&mut self, input: &[u8], grant: Grant<'_>) -> Result<usize> {
        let mut taken = 0;
        while taken < input.len() {
            let rest = input.get(taken..).unwrap_or_default();
            taken += self.held.fill(rest, self.held.bytes().len() + 1).0;
            match head(self.held.bytes())? {
                None => {}
                Some(Head::Skippable(len)) => {
                    self.skip = len - self.held.bytes().len() as u64;
                    self.held.clear();
                    self.frames += 1;
                    break;
                }
                Some(Head::Frame { window, .. }) => {
                    self.admit(window, grant)?;
                    self.within = true;
                    self.fed = 0;
                    break;
                }
            }
        }
        Ok(taken)
    }

    /// Takes memory for a window.
    fn admit(&mut self, window: u64, grant: Grant<'_>) -> Result<()> {
        if window > ZSTD_WINDOW_BYTES_MAX {
            let message = format!(
                "a zstd frame wants a window of {window} bytes, {ZSTD_WINDOW_BYTES_MAX} are allowed"
            );
            return Err(EngineError::new(Kind::Unsupported, message));
        }
        if window > self.granted {
            grant(window - self.granted)?;
            self.granted = window;
        }
        Ok(())
    }

    fn feed(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step> {
        let header = self.held.bytes().get(self.fed..).unwrap_or_default();
        let from_header = !header.is_empty();
        let mut source = InBuffer::around(if from_header { header } else { input });
        let mut target = OutBuffer::around(output);
        let left = self.context.decompress_stream(&mut target, &mut source);
        let left =
            left.map_err(|code| corrupt(format!("a zstd frame is damaged: {}", library(code))))?;
        let (taken, given) = (source.pos(), target.pos());
        if left == 0 {
            self.within = false;
            self.held.clear();
            self.frames += 1;
        }
        if from_header {
            self.fed += taken;
            return Ok(Step { taken: 0, given });
        }
        Ok(Step { taken, given })
    }
}

impl StreamDecoder for Stream {
    fn step(&mut self, input: &[u8], output: &mut [u8], grant: Grant<'_>) -> Result<Step> {
        if self.skip > 0 {
            let taken = self.skip.min(input.len() as u64);
            self.skip -= taken;
            return Ok(Step { taken: taken as usize, given: 0 });
        }
        if !self.within {
            let mut taken = self.begin(input, grant)?;
            // The library takes the header now, so that a step without input means no progress.
            let mut given = 0;
            while self.within && self.fed < self.held.bytes().len() {
                let step = self.feed(&[], output)?;
                given += step.given;
                taken += step.taken;
            }
            return Ok(Step { taken, given });
        }
        self.feed(input, output)
    }

    fn may_end(&self) -> bool {
        !self.within && self.skip == 0 && self.held.is_empty() && self.frames > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures of `coder_bytes` hold for text-like blocks at every level.
    #[test]
    fn a_coder_takes_no_more_memory_than_it_says() {
        let plain: Vec<u8> =
            (0..4u32 << 20).map(|n| (n.wrapping_mul(n >> 7) >> 11) as u8).collect();
        for level in 1..=19 {
            let mut coder = Coder::new(level).unwrap();
            coder.pack(&plain, &mut Vec::new()).unwrap();
            let taken = coder.context.sizeof() as u64;
            assert!(taken <= coder_bytes(level), "level {level}: {taken}");
        }
    }
}
