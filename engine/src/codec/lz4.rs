//! LZ4 frames: one for each 4 MiB, of one independent block, with its size and checksum.

use lz4_flex::block::{compress_into, decompress_into_with_dict, get_maximum_output_size};
use twox_hash::XxHash32;

use super::contract::{
    Codec, Extent, Frame, Grant, Levels, MemberCoder, MemberDecoder, Packing, Step, StreamDecoder,
    Table, corrupt, refused,
};
use super::frames::SKIPPABLE_MAGIC;
use super::gather::{Gather, little};
use super::sample::is_futile;
use crate::error::{EngineError, Kind, Result};
use crate::limits::MEMBER_PLAIN_BYTES_MAX;

/// The row of this form. The library has one level.
pub static CODEC: Codec = Codec {
    name: "lz4",
    endings: &[".lz4"],
    levels: Levels { least: 1, most: 1, usual: 1 },
    table: Table::Untold,
    packing: Packing::Members {
        block_bytes: 4 << 20,
        bound,
        coder: |_| Ok(Box::new(Coder)),
        tail: |_| Vec::new(),
    },
    coder_bytes: |_| 1 << 20,
    is_magic: |head| little(head, 0, 4) == Some(u64::from(MAGIC)),
    decoder: |behind| Ok(Box::new(Stream { frames: behind.into(), ..Stream::default() })),
    decoder_bytes: |_| STREAM_BYTES,
    extent,
    member_decoder: || Ok(Box::<Members>::default()),
};

const MAGIC: u32 = 0x184d_2204;
const LEGACY_MAGIC: u32 = 0x184c_2102;
const VERSION: u8 = 0x40;
const INDEPENDENT: u8 = 0x20;
const BLOCK_CHECKSUMS: u8 = 0x10;
const CONTENT_SIZE: u8 = 8;
const CONTENT_CHECKSUM: u8 = 4;
const DICTIONARY: u8 = 1;
/// Blocks of up to 4 MiB.
const BLOCKS_OF_4_MIB: u8 = 0x70;
/// Set in a block's length when it is stored as it is.
const RAW: u32 = 1 << 31;
/// How far back a linked block may point.
const REACH_BYTES: usize = 64 << 10;
/// Memory of a stream decoder: a block stored, a block plain, and what it may point back to.
const STREAM_BYTES: u64 = (8 << 20) + (1 << 20);

fn checksum(bytes: &[u8]) -> u32 {
    XxHash32::oneshot(0, bytes)
}

fn bound(plain: usize) -> usize {
    get_maximum_output_size(plain) + 32
}

struct Coder;

impl MemberCoder for Coder {
    fn pack(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let flags = VERSION | INDEPENDENT | CONTENT_SIZE | CONTENT_CHECKSUM;
        out.extend_from_slice(&MAGIC.to_le_bytes());
        let descriptor = out.len();
        out.extend_from_slice(&[flags, BLOCKS_OF_4_MIB]);
        out.extend_from_slice(&(plain.len() as u64).to_le_bytes());
        let sum = checksum(out.get(descriptor..).unwrap_or_default());
        out.push((sum >> 8) as u8);
        let stored = !plain.is_empty() && block(plain, out)?;
        out.extend_from_slice(&0u32.to_le_bytes());
        out.extend_from_slice(&checksum(plain).to_le_bytes());
        Ok(stored)
    }
}

/// Appends one block with its length; answers whether it was stored as it is.
fn block(plain: &[u8], out: &mut Vec<u8>) -> Result<bool> {
    let begin = out.len();
    let at = begin + 4;
    out.resize(at + get_maximum_output_size(plain.len()), 0);
    let packed = compress_into(plain, out.get_mut(at..).unwrap_or_default());
    let packed = packed.map_err(|why| refused("lz4", why))?;
    let futile = is_futile(packed, plain.len());
    out.truncate(at + packed);
    let mut length = packed as u32;
    if futile {
        out.truncate(at);
        out.extend_from_slice(plain);
        length = plain.len() as u32 | RAW;
    }
    if let Some(room) = out.get_mut(begin..at) {
        room.copy_from_slice(&length.to_le_bytes());
    }
    Ok(futile)
}

/// What a frame's header says.
#[derive(Clone, Copy, Debug)]
enum Head {
    Skippable(u64),
    Frame(Form),
}

/// The form of a frame.
#[derive(Clone, Copy, Debug, Default)]
struct Form {
    header_bytes: usize,
    linked: bool,
    block_checksums: bool,
    content_checksum: bool,
    plain: Option<u64>,
    block_bytes_max: usize,
}

/// Reads a header; `None` when more bytes are needed.
fn head(bytes: &[u8]) -> Result<Option<Head>> {
    let Some(magic) = little(bytes, 0, 4) else {
        return Ok(None);
    };
    if magic & !15 == SKIPPABLE_MAGIC {
        return Ok(little(bytes, 4, 4).map(|len| Head::Skippable(8 + len)));
    }
    if magic == u64::from(LEGACY_MAGIC) {
        let message = "lz4's legacy frames are not read";
        return Err(EngineError::new(Kind::Unsupported, message));
    }
    if magic != u64::from(MAGIC) {
        return Err(corrupt("this is no lz4 frame"));
    }
    let Some(&[flags, sizes]) = bytes.get(4..6) else {
        return Ok(None);
    };
    if flags & 0xc0 != VERSION || flags & 2 != 0 || sizes & 0x8f != 0 || sizes >> 4 < 4 {
        return Err(corrupt("the lz4 header has flags that mean nothing"));
    }
    if flags & DICTIONARY != 0 {
        let message = "lz4 frames with a dictionary are not read";
        return Err(EngineError::new(Kind::Unsupported, message));
    }
    let size_bytes = if flags & CONTENT_SIZE != 0 { 8 } else { 0 };
    let Some(sum) = bytes.get(6 + size_bytes) else {
        return Ok(None);
    };
    let descriptor = bytes.get(4..6 + size_bytes).unwrap_or_default();
    if *sum != (checksum(descriptor) >> 8) as u8 {
        return Err(corrupt("the lz4 header does not have its checksum"));
    }
    Ok(Some(Head::Frame(Form {
        header_bytes: 7 + size_bytes,
        linked: flags & INDEPENDENT == 0,
        block_checksums: flags & BLOCK_CHECKSUMS != 0,
        content_checksum: flags & CONTENT_CHECKSUM != 0,
        plain: little(bytes, 6, size_bytes).filter(|_| size_bytes > 0),
        block_bytes_max: 1 << (8 + 2 * (sizes >> 4)),
    })))
}

/// Walks the lengths of the blocks.
fn extent(bytes: &[u8]) -> Result<Extent> {
    let room = MEMBER_PLAIN_BYTES_MAX as u64;
    let form = match head(bytes)? {
        None => return Ok(Extent::More),
        Some(Head::Skippable(len)) if len <= room => {
            return Ok(Extent::Known(Frame { stored: len as u32, plain: 0 }));
        }
        Some(Head::Frame(form)) if form.plain.is_some_and(|plain| plain <= room) => form,
        Some(_) => return Ok(Extent::Unknown),
    };
    let mut at = form.header_bytes;
    loop {
        if at > bound(MEMBER_PLAIN_BYTES_MAX) {
            return Ok(Extent::Unknown);
        }
        let Some(length) = little(bytes, at, 4) else {
            return Ok(Extent::More);
        };
        at += 4 + (length as u32 & !RAW) as usize;
        if length == 0 {
            break;
        }
        at += if form.block_checksums { 4 } else { 0 };
    }
    at += if form.content_checksum { 4 } else { 0 };
    let plain = form.plain.unwrap_or_default() as u32;
    Ok(Extent::Known(Frame { stored: at as u32, plain }))
}

/// Single members, by the stream decoder.
#[derive(Default)]
struct Members(Stream);

impl MemberDecoder for Members {
    fn unpack(&mut self, stored: &[u8], plain: &mut [u8]) -> Result<()> {
        // The extent bounded both sides, and the caller took memory for them.
        let stream = &mut self.0;
        *stream = Stream { granted: true, ..Stream::default() };
        let (mut taken, mut given) = (0, 0);
        while taken < stored.len() || given < plain.len() {
            let input = stored.get(taken..).unwrap_or_default();
            let output = plain.get_mut(given..).unwrap_or_default();
            let step = stream.step(input, output, &mut |_| Ok(()))?;
            if step == Step::default() {
                break;
            }
            taken += step.taken;
            given += step.given;
        }
        if taken < stored.len() || given < plain.len() || !stream.may_end() {
            return Err(corrupt("an lz4 frame is not as long as its header says"));
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Header,
    Length,
    /// A block of so many stored bytes, its checksum included.
    Block(usize, bool),
    /// Plain bytes from here on wait to be given.
    Give(usize),
    Checksum,
    Skip(u64),
}

/// Any lz4 file, frame by frame.
#[derive(Default)]
struct Stream {
    state: State,
    held: Gather,
    form: Form,
    /// Up to [`REACH_BYTES`] of what was given before, then the plain block.
    plain: Vec<u8>,
    given: u64,
    content: XxHash32,
    granted: bool,
    frames: u64,
}

impl Stream {
    fn header(&mut self, input: &[u8], grant: Grant<'_>) -> Result<usize> {
        let mut taken = 0;
        while taken < input.len() {
            let rest = input.get(taken..).unwrap_or_default();
            taken += self.held.fill(rest, self.held.bytes().len() + 1).0;
            let Some(head) = head(self.held.bytes())? else {
                continue;
            };
            match head {
                Head::Skippable(len) => {
                    self.frames += 1;
                    self.state = State::Skip(len - self.held.bytes().len() as u64);
                }
                Head::Frame(form) => {
                    if !self.granted {
                        grant(STREAM_BYTES)?;
                        self.granted = true;
                    }
                    self.form = form;
                    self.plain.clear();
                    (self.given, self.content) = (0, XxHash32::with_seed(0));
                    self.state = State::Length;
                }
            }
            self.held.clear();
            break;
        }
        Ok(taken)
    }

    fn length(&mut self, input: &[u8]) -> Result<usize> {
        let (taken, complete) = self.held.fill(input, 4);
        if !complete {
            return Ok(taken);
        }
        let length = little(self.held.bytes(), 0, 4).unwrap_or_default() as u32;
        self.held.clear();
        let stored = (length & !RAW) as usize;
        if length == 0 {
            if self.form.plain.is_some_and(|plain| plain != self.given) {
                return Err(corrupt("an lz4 frame is not as long as its header says"));
            }
            self.end_of_blocks();
        } else if stored > self.form.block_bytes_max {
            return Err(corrupt("an lz4 block is longer than its frame allows"));
        } else {
            let sum = if self.form.block_checksums { 4 } else { 0 };
            self.state = State::Block(stored + sum, length & RAW != 0);
        }
        Ok(taken)
    }

    fn end_of_blocks(&mut self) {
        if self.form.content_checksum {
            self.state = State::Checksum;
        } else {
            self.frames += 1;
            self.state = State::Header;
        }
    }

    fn block(&mut self, input: &[u8], stored: usize, raw: bool) -> Result<usize> {
        let (taken, complete) = self.held.fill(input, stored);
        if !complete {
            return Ok(taken);
        }
        let sum_bytes = if self.form.block_checksums { 4 } else { 0 };
        let (block, sum) = self.held.bytes().split_at(stored - sum_bytes);
        if sum_bytes > 0 && little(sum, 0, 4) != Some(u64::from(checksum(block))) {
            return Err(corrupt("an lz4 block does not have its checksum"));
        }
        let from = self.plain.len().saturating_sub(REACH_BYTES);
        self.plain.drain(..from);
        if !self.form.linked {
            self.plain.clear();
        }
        let begin = self.plain.len();
        if raw {
            self.plain.extend_from_slice(block);
        } else {
            self.plain.resize(begin + self.form.block_bytes_max, 0);
            let (reach, room) = self.plain.split_at_mut(begin);
            let given = decompress_into_with_dict(block, room, reach);
            let given = given.map_err(|_| corrupt("an lz4 block is damaged"))?;
            self.plain.truncate(begin + given);
        }
        let plain = self.plain.get(begin..).unwrap_or_default();
        self.given += plain.len() as u64;
        if self.form.content_checksum {
            std::hash::Hasher::write(&mut self.content, plain);
        }
        self.held.clear();
        self.state = State::Give(begin);
        Ok(taken)
    }

    fn give(&mut self, from: usize, output: &mut [u8]) -> usize {
        let rest = self.plain.get(from..).unwrap_or_default();
        let given = rest.len().min(output.len());
        if let (Some(to), Some(part)) = (output.get_mut(..given), rest.get(..given)) {
            to.copy_from_slice(part);
        }
        let ended = given == rest.len();
        self.state = if ended { State::Length } else { State::Give(from + given) };
        given
    }

    fn checksum(&mut self, input: &[u8]) -> Result<usize> {
        let (taken, complete) = self.held.fill(input, 4);
        if complete {
            let sum = little(self.held.bytes(), 0, 4).unwrap_or_default() as u32;
            if sum != self.content.finish_32() {
                return Err(corrupt("an lz4 frame does not have its checksum"));
            }
            self.held.clear();
            self.frames += 1;
            self.state = State::Header;
        }
        Ok(taken)
    }
}

impl StreamDecoder for Stream {
    fn step(&mut self, input: &[u8], output: &mut [u8], grant: Grant<'_>) -> Result<Step> {
        let taken = match self.state {
            State::Header => self.header(input, grant)?,
            State::Length => self.length(input)?,
            State::Block(stored, raw) => self.block(input, stored, raw)?,
            State::Give(from) => return Ok(Step { taken: 0, given: self.give(from, output) }),
            State::Checksum => self.checksum(input)?,
            State::Skip(left) => {
                let taken = left.min(input.len() as u64);
                self.state = match left - taken {
                    0 => State::Header,
                    left => State::Skip(left),
                };
                taken as usize
            }
        };
        Ok(Step { taken, given: 0 })
    }

    fn may_end(&self) -> bool {
        self.state == State::Header && self.held.is_empty() && self.frames > 0
    }
}
