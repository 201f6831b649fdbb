//! gzip: a member for each MiB, with its sizes in the extra field so that members are found
//! without decoding.

use flate2::{Decompress, FlushDecompress, Status};
use libdeflater::{CompressionLvl, Compressor, Crc, Decompressor};

use super::contract::{
    Codec, Extent, Frame, Grant, Levels, MemberCoder, MemberDecoder, Packing, Step, StreamDecoder,
    Table, corrupt, refused,
};
use super::gather::{Gather, little};
use super::sample::{is_futile, sample};
use crate::error::Result;
use crate::limits::MEMBER_PLAIN_BYTES_MAX;

/// The row of this form.
pub static CODEC: Codec = Codec {
    name: "gzip",
    endings: &[".gz", ".gzip", ".tgz"],
    levels: Levels { least: 1, most: 9, usual: 6 },
    table: Table::Headers,
    packing: Packing::Members {
        block_bytes: 1 << 20,
        bound,
        coder: |level| Ok(Box::new(Coder::new(level)?)),
        tail: |_| Vec::new(),
    },
    coder_bytes: |_| 2 << 20,
    is_magic: |head| head.starts_with(&MAGIC),
    decoder: |behind| Ok(Box::new(Stream { members: behind.into(), ..Stream::default() })),
    decoder_bytes: |_| 0,
    extent,
    member_decoder: || Ok(Box::new(Members(Decompressor::new()))),
};

const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Deflate, an extra field, no name and no time, an unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, EXTRA, 0, 0, 0, 0, 0, 255];
/// The subfield with the member's stored and plain bytes, 32 bits each.
const SUBFIELD: [u8; 2] = *b"ME";
const SUBFIELD_BYTES: usize = 8;
const OWN_HEADER_BYTES: usize = HEADER.len() + 2 + 4 + SUBFIELD_BYTES;
const TRAILER_BYTES: usize = 8;
/// Longest header accepted: names and comments have no bound of their own.
const HEADER_BYTES_MAX: usize = 256 << 10;

const HEADER_CRC: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

/// Stored blocks hold 65,535 bytes and cost 5 each.
fn bound(plain: usize) -> usize {
    plain + 5 * (plain / 65_535 + 1) + OWN_HEADER_BYTES + TRAILER_BYTES + 64
}

struct Coder {
    main: Compressor,
    trial: Compressor,
    stored: Compressor,
    scratch: Vec<u8>,
    tried: Vec<u8>,
}

impl Coder {
    fn new(level: u32) -> Result<Self> {
        let compressor = |level: u32| {
            let level = CompressionLvl::new(level as i32);
            level.map(Compressor::new).map_err(|why| refused("libdeflate", format!("{why:?}")))
        };
        Ok(Self {
            main: compressor(level)?,
            trial: compressor(1)?,
            stored: compressor(0)?,
            scratch: Vec::new(),
            tried: Vec::new(),
        })
    }

    fn is_futile(&mut self, plain: &[u8]) -> bool {
        if !sample(plain, &mut self.scratch) {
            return false;
        }
        self.tried.resize(self.scratch.len(), 0);
        let packed = self.trial.deflate_compress(&self.scratch, &mut self.tried);
        packed.map_or(true, |stored| is_futile(stored, self.scratch.len()))
    }
}

impl MemberCoder for Coder {
    fn pack(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let futile = self.is_futile(plain);
        let begin = out.len();
        let at = begin + OWN_HEADER_BYTES;
        out.resize(at + bound(plain.len()), 0);
        let coder = if futile { &mut self.stored } else { &mut self.main };
        let room = out.get_mut(at..).unwrap_or_default();
        let packed = coder.deflate_compress(plain, room);
        let packed = packed.map_err(|why| refused("libdeflate", why))?;
        out.truncate(at + packed);
        let mut crc = Crc::new();
        crc.update(plain);
        out.extend_from_slice(&crc.sum().to_le_bytes());
        out.extend_from_slice(&(plain.len() as u32).to_le_bytes());
        let frame = Frame { stored: (out.len() - begin) as u32, plain: plain.len() as u32 };
        if let Some(room) = out.get_mut(begin..at) {
            room.copy_from_slice(&own_header(frame));
        }
        Ok(futile)
    }
}

fn own_header(frame: Frame) -> [u8; OWN_HEADER_BYTES] {
    let extra = ((4 + SUBFIELD_BYTES) as u16).to_le_bytes();
    let len = (SUBFIELD_BYTES as u16).to_le_bytes();
    let parts: [&[u8]; 6] =
        [&HEADER, &extra, &SUBFIELD, &len, &frame.stored.to_le_bytes(), &frame.plain.to_le_bytes()];
    let mut header = [0; OWN_HEADER_BYTES];
    header.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
    header
}

/// A header that was read.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    bytes: usize,
    own: Option<Frame>,
}

/// Reads a header; `None` when more bytes are needed.
fn header(bytes: &[u8]) -> Result<Option<Header>> {
    if !bytes.iter().zip([0x1f, 0x8b, 8]).all(|(byte, wanted)| *byte == wanted) {
        return Err(corrupt("this is no gzip member"));
    }
    let Some(flags) = bytes.get(3).copied() else {
        return Ok(None);
    };
    if flags & RESERVED != 0 {
        return Err(corrupt("the gzip header has flags that mean nothing"));
    }
    match fields(bytes, flags) {
        None if bytes.len() > HEADER_BYTES_MAX => Err(corrupt("the gzip header is too long")),
        header => Ok(header),
    }
}

fn fields(bytes: &[u8], flags: u8) -> Option<Header> {
    let mut at = HEADER.len();
    let mut own = None;
    if flags & EXTRA != 0 {
        let len = little(bytes, at, 2)? as usize;
        own = subfield(bytes.get(at + 2..at + 2 + len)?);
        at += 2 + len;
    }
    for flag in [NAME, COMMENT] {
        if flags & flag != 0 {
            at += bytes.get(at..)?.iter().position(|byte| *byte == 0)? + 1;
        }
    }
    at += if flags & HEADER_CRC != 0 { 2 } else { 0 };
    (bytes.len() >= at).then_some(Header { bytes: at, own })
}

/// Our own subfield among those of an extra field.
fn subfield(mut extra: &[u8]) -> Option<Frame> {
    loop {
        let id = extra.get(..2)?;
        let len = little(extra, 2, 2)? as usize;
        let body = extra.get(4..4 + len)?;
        if id == SUBFIELD && len == SUBFIELD_BYTES {
            let (stored, plain) = (little(body, 0, 4)? as u32, little(body, 4, 4)? as u32);
            return Some(Frame { stored, plain });
        }
        extra = extra.get(4 + len..)?;
    }
}

/// Zeros behind the last member are padding, as `gzip` has it.
fn extent(bytes: &[u8]) -> Result<Extent> {
    if bytes.first() == Some(&0) {
        return Ok(Extent::Unknown);
    }
    Ok(match header(bytes)? {
        None if bytes.len() < OWN_HEADER_BYTES => Extent::More,
        None => Extent::Unknown,
        Some(Header { own: Some(frame), bytes: head }) if fits(frame, head) => Extent::Known(frame),
        Some(_) => Extent::Unknown,
    })
}

fn fits(frame: Frame, head: usize) -> bool {
    let (stored, plain) = (frame.stored as usize, frame.plain as usize);
    plain <= MEMBER_PLAIN_BYTES_MAX && stored > head + TRAILER_BYTES && stored <= bound(plain)
}

struct Members(Decompressor);

impl MemberDecoder for Members {
    fn unpack(&mut self, stored: &[u8], plain: &mut [u8]) -> Result<()> {
        let len = plain.len();
        match self.0.gzip_decompress(stored, plain) {
            Ok(given) if given == len && is_whole(stored, plain)? => Ok(()),
            Ok(given) if given == len => Err(corrupt("a gzip member ends before its header says")),
            Ok(_) => Err(corrupt("a gzip member is shorter than its header says")),
            Err(_) => Err(corrupt("a gzip member is damaged")),
        }
    }
}

/// Whether the member that gave `plain` takes all of `stored`: bytes behind its end would be lost.
///
/// The library does not tell where it ended, but it found this content's checksum and size there.
/// Where they stand at the very end and nowhere else, that was the end. Otherwise it is decoded
/// once more by one that tells.
fn is_whole(stored: &[u8], plain: &mut [u8]) -> Result<bool> {
    let Some((front, trailer)) = stored.split_last_chunk::<TRAILER_BYTES>() else {
        return Ok(false);
    };
    let before = stored.get(..stored.len() - 1).unwrap_or_default();
    if before.windows(TRAILER_BYTES).all(|bytes| bytes != trailer) {
        let mut crc = Crc::new();
        crc.update(plain);
        let own = u64::from(crc.sum()) | (plain.len() as u64) << 32;
        return Ok(own.to_le_bytes() == *trailer);
    }
    let begin = header(stored)?.map_or(0, |header| header.bytes);
    let deflated = front.get(begin..).unwrap_or_default();
    let mut inflate = Decompress::new(false);
    let status = inflate.decompress(deflated, plain, FlushDecompress::Finish);
    Ok(matches!(status, Ok(Status::StreamEnd)) && inflate.total_in() == deflated.len() as u64)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Header,
    Body,
    Trailer,
    /// Zeros behind the last member.
    Padding,
}

/// Any gzip file, member by member.
struct Stream {
    state: State,
    held: Gather,
    inflate: Decompress,
    crc: Crc,
    size: u32,
    members: u64,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            state: State::Header,
            held: Gather::default(),
            inflate: Decompress::new(false),
            crc: Crc::new(),
            size: 0,
            members: 0,
        }
    }
}

impl Stream {
    /// Takes what belongs to the header; answers how many bytes.
    fn header(&mut self, input: &[u8]) -> Result<usize> {
        let before = self.held.bytes().len();
        if before == 0 {
            if self.members > 0 && input.first() == Some(&0) {
                self.state = State::Padding;
                return padding(input);
            }
            if let Some(header) = header(input)? {
                self.begin();
                return Ok(header.bytes);
            }
        }
        let (taken, _) = self.held.fill(input, before + input.len());
        let Some(header) = header(self.held.bytes())? else {
            return Ok(taken);
        };
        self.begin();
        Ok(header.bytes.saturating_sub(before))
    }

    fn begin(&mut self) {
        self.held.clear();
        self.state = State::Body;
        self.inflate.reset(false);
        (self.crc, self.size) = (Crc::new(), 0);
    }

    fn body(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step> {
        let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self.inflate.decompress(input, output, FlushDecompress::None);
        let status = status.map_err(|_| corrupt("the deflate stream is damaged"))?;
        let taken = (self.inflate.total_in() - before_in) as usize;
        let given = (self.inflate.total_out() - before_out) as usize;
        self.crc.update(output.get(..given).unwrap_or_default());
        self.size = self.size.wrapping_add(given as u32);
        match status {
            Status::StreamEnd => self.state = State::Trailer,
            _ if taken == 0 && given == 0 && !input.is_empty() && !output.is_empty() => {
                return Err(corrupt("the deflate stream is damaged"));
            }
            _ => {}
        }
        Ok(Step { taken, given })
    }

    fn trailer(&mut self, input: &[u8]) -> Result<usize> {
        let (taken, complete) = self.held.fill(input, TRAILER_BYTES);
        if complete {
            let at = |at| little(self.held.bytes(), at, 4).unwrap_or_default() as u32;
            if (at(0), at(4)) != (self.crc.sum(), self.size) {
                return Err(corrupt("a gzip member does not have its checksum"));
            }
            self.held.clear();
            self.members += 1;
            self.state = State::Header;
        }
        Ok(taken)
    }
}

/// Takes zeros behind the last member.
fn padding(input: &[u8]) -> Result<usize> {
    match input.iter().all(|byte| *byte == 0) {
        true => Ok(input.len()),
        false => Err(corrupt("bytes follow that belong to no gzip member")),
    }
}

impl StreamDecoder for Stream {
    fn step(&mut self, input: &[u8], output: &mut [u8], _grant: Grant<'_>) -> Result<Step> {
        let taken = match self.state {
            State::Header => self.header(input)?,
            State::Body => return self.body(input, output),
            State::Trailer => self.trailer(input)?,
            State::Padding => padding(input)?,
        };
        Ok(Step { taken, given: 0 })
    }

    fn may_end(&self) -> bool {
        let between = self.state == State::Header && self.held.is_empty() && self.members > 0;
        between || self.state == State::Padding
    }
}
