//! The index of an archive within zstd: where each member lies, in skippable frames.
//!
//! # Form
//! Chunks of records, each chunk a skippable frame: `MIGX`, version 1, the plain length (32 bits),
//! a zstd frame of the records. They stand among the frames of the tar, which keeps memory bounded
//! while the archive is written. The footer, a skippable frame just before the seek table, says
//! where they stand: `MIGF`, version 1, the number of members, the number of chunks (64 bits each),
//! the stored offset of each chunk (64 bits), the CRC-64/NVME of all that. Numbers are
//! little-endian.

use crate::archive::frames::{damaged, read_exactly};
use crate::archive::member::{Entry, Kind, Member};
use crate::codec::contract::MemberDecoder;
use crate::codec::{Caps, Codec, Frame, Packing, skippable};
use crate::endpoint::contract::Reader;
use crate::error::Result;
use crate::limits::{INDEX_BYTES, INDEX_CHUNK_BYTES_MAX};
use crate::model::crc::Crc64;
use crate::model::item::Timestamp;

/// The kind of skippable frame that is used.
pub const KIND: u32 = 0xb;
const CHUNK_MARK: &[u8; 5] = b"MIGX\x01";
const FOOTER_MARK: &[u8; 5] = b"MIGF\x01";
/// Header of a skippable frame.
const HEAD_BYTES: usize = 8;
/// A footer without its chunks.
const FOOTER_BYTES: usize = HEAD_BYTES + FOOTER_MARK.len() + 3 * 8;
const CHUNK_HEAD_BYTES: usize = HEAD_BYTES + CHUNK_MARK.len() + 4;

/// Collects the records of members.
#[derive(Default)]
pub struct IndexWriter {
    records: Vec<u8>,
    /// Members recorded.
    pub members: u64,
}

impl IndexWriter {
    /// Records a member.
    pub fn add(&mut self, member: &Member) {
        let Member { entry, data, crc, links, .. } = member;
        let (kind, link, device) = match &entry.kind {
            Kind::File => (0u8, &[][..], 0),
            Kind::Directory => (1, &[][..], 0),
            Kind::Symlink(text) => (2, &text[..], 0),
            Kind::Fifo => (3, &[][..], 0),
            Kind::Characters(number) => (4, &[][..], *number),
            Kind::Blocks(number) => (5, &[][..], *number),
            Kind::Hard(text) => (6, &text[..], 0),
        };
        let out = &mut self.records;
        for text in [&entry.path[..], link] {
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
            out.extend_from_slice(text);
        }
        out.push(kind);
        out.push(u8::from(crc.is_some()));
        for number in [entry.mode, entry.uid, entry.gid, entry.mtime.nanos()] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&entry.mtime.seconds().to_le_bytes());
        for number in [entry.size, *data, crc.unwrap_or_default(), *links, device] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        self.members += 1;
    }

    /// Whether enough is collected for a chunk.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.records.len() >= INDEX_BYTES
    }

    /// The records collected, for [`wrap`]; nothing is collected then.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.records)
    }
}

/// A chunk: the zstd frame `packed` of so many plain bytes, to stand among the tar's frames.
#[must_use]
pub fn wrap(packed: &[u8], plain: usize) -> Vec<u8> {
    let length = (plain as u32).to_le_bytes();
    skippable(KIND, &[&CHUNK_MARK[..], &length, packed].concat())
}

/// The footer, to stand just before the seek table.
#[must_use]
pub fn footer(members: u64, chunks: &[u64]) -> Vec<u8> {
    let mut content = FOOTER_MARK.to_vec();
    for number in [members, chunks.len() as u64].iter().chain(chunks) {
        content.extend_from_slice(&number.to_le_bytes());
    }
    let sum = Crc64::of(&content).value;
    content.extend_from_slice(&sum.to_le_bytes());
    skippable(KIND, &content)
}

/// Where the chunks of an index stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    members: u64,
    /// Stored bytes of the archive's frames.
    stored: u64,
    chunks: Vec<(u64, Frame)>,
}

impl Index {
    /// Finds the index of a file with these frames; `None` where there is none.
    ///
    /// # Errors
    /// Those of the reader; `SourceCorrupt` when it is damaged.
    pub fn find(reader: &dyn Reader, frames: &[Frame]) -> Result<Option<Self>> {
        let total: u64 = frames.iter().map(|frame| u64::from(frame.stored)).sum();
        let Some(last) = frames.last().filter(|last| last.plain == 0) else {
            return Ok(None);
        };
        let at = total - u64::from(last.stored);
        // A footer names some of the frames: what is longer is none, and no memory is taken for it.
        if last.stored as usize > FOOTER_BYTES + 8 * frames.len() {
            return Ok(None);
        }
        let mut frame = vec![0; last.stored as usize];
        read_exactly(reader, at, &mut frame)?;
        let Some(content) = frame.get(HEAD_BYTES..).filter(|text| text.starts_with(FOOTER_MARK))
        else {
            return Ok(None);
        };
        let (members, chunks) =
            offsets(content).ok_or_else(|| damaged("the index is damaged", at))?;
        let mut found = Vec::with_capacity(chunks.len());
        let mut begin = 0;
        let mut wanted = chunks.iter().peekable();
        for frame in frames {
            if frame.plain == 0 && wanted.next_if_eq(&&begin).is_some() {
                found.push((begin, *frame));
            }
            begin += u64::from(frame.stored);
        }
        if wanted.peek().is_some() {
            return Err(damaged("the index is damaged", at));
        }
        Ok(Some(Self { members, stored: total, chunks: found }))
    }
}

/// The number of members, and where the chunks stand.
fn offsets(content: &[u8]) -> Option<(u64, Vec<u64>)> {
    let (text, sum) = content.split_at_checked(content.len().checked_sub(8)?)?;
    let mut sum = Cut(sum);
    if sum.number()? != Crc64::of(text).value {
        return None;
    }
    let mut cut = Cut(text.get(FOOTER_MARK.len()..)?);
    let (members, chunks) = (cut.number()?, cut.number()?);
    let list: Option<Vec<u64>> = (0..chunks).map(|_| cut.number()).collect();
    list.filter(|_| cut.0.is_empty()).map(|list| (members, list))
}

/// Goes through the members of an index, a chunk in memory at a time.
pub struct IndexScan<'a> {
    reader: &'a dyn Reader,
    decoder: Box<dyn MemberDecoder>,
    index: &'a Index,
    chunks: std::slice::Iter<'a, (u64, Frame)>,
    /// Stored bytes of a chunk at most.
    chunk_stored_max: usize,
    caps: Caps,
    /// Where the chunk in memory is stored.
    at: u64,
    /// Its records, of which the first `passed` bytes were given.
    records: Vec<u8>,
    passed: usize,
    /// Members given, and plain bytes of all chunks so far.
    given: u64,
    plain: u64,
}

impl<'a> IndexScan<'a> {
    /// From the beginning. What the chunks hold is kept to `caps` by itself: headers in a tar take
    /// more than their records here.
    ///
    /// # Errors
    /// `Internal` when the library refuses.
    pub fn new(
        reader: &'a dyn Reader,
        codec: &Codec,
        index: &'a Index,
        caps: Caps,
    ) -> Result<Self> {
        let decoder = (codec.member_decoder)()?;
        let chunk_stored_max = match codec.packing {
            Packing::Members { bound, .. } => CHUNK_HEAD_BYTES + bound(INDEX_CHUNK_BYTES_MAX),
            Packing::Stream(_) => 0,
        };
        let chunks = index.chunks.iter();
        let (at, records, passed, given, plain) = (0, Vec::new(), 0, 0, 0);
        Ok(Self {
            reader,
            decoder,
            index,
            chunks,
            chunk_stored_max,
            caps,
            at,
            records,
            passed,
            given,
            plain,
        })
    }

    /// The next member; `None` behind the last one.
    ///
    /// # Errors
    /// Those of the reader; `SourceCorrupt` when the index is damaged, `OutputLimit`.
    pub fn next(&mut self) -> Result<Option<Member>> {
        while self.passed == self.records.len() {
            let Some((at, frame)) = self.chunks.next() else {
                let whole = self.given == self.index.members;
                let wrong = || damaged("the index does not hold the members it counts", self.at);
                return if whole { Ok(None) } else { Err(wrong()) };
            };
            self.at = *at;
            self.chunk(frame.stored as usize)?;
        }
        let mut cut = Cut(self.records.get(self.passed..).unwrap_or_default());
        let member = cut.member().ok_or_else(|| damaged("the index is damaged", self.at))?;
        self.passed = self.records.len() - cut.0.len();
        self.given += 1;
        Ok(Some(member))
    }

    /// Brings the chunk of so many stored bytes into memory.
    fn chunk(&mut self, length: usize) -> Result<()> {
        let wrong = || damaged("the index is damaged", self.at);
        if length > self.chunk_stored_max {
            return Err(wrong());
        }
        let mut stored = vec![0; length];
        read_exactly(self.reader, self.at, &mut stored)?;
        let (head, packed) = stored.split_at_checked(CHUNK_HEAD_BYTES).ok_or_else(wrong)?;
        let length = head.get(HEAD_BYTES..).and_then(|head| head.strip_prefix(CHUNK_MARK));
        let length = length.and_then(|length| length.try_into().ok()).map(u32::from_le_bytes);
        let length = length.filter(|length| *length as usize <= INDEX_CHUNK_BYTES_MAX);
        let length = length.ok_or_else(wrong)?;
        self.plain += u64::from(length);
        self.caps.check(self.index.stored, self.plain)?;
        self.passed = 0;
        self.records.clear();
        self.records.resize(length as usize, 0);
        self.decoder.unpack(packed, &mut self.records).map_err(|error| error.offset(self.at))
    }
}

/// Bytes that are read from the front.
struct Cut<'a>(&'a [u8]);

impl Cut<'_> {
    fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front.to_vec())
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn small(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<Vec<u8>> {
        let length = self.small()?;
        self.bytes(length as usize)
    }

    fn member(&mut self) -> Option<Member> {
        let (path, link) = (self.text()?, self.text()?);
        let [kind, has_crc] = self.array()?;
        let (mode, uid, gid, nanos) = (self.small()?, self.small()?, self.small()?, self.small()?);
        let seconds = self.number()? as i64;
        let mtime = (nanos < 1_000_000_000).then(|| Timestamp::new(seconds, nanos))?;
        let (size, data, crc, links) =
            (self.number()?, self.number()?, self.number()?, self.number()?);
        let device = self.number()?;
        data.checked_add(size)?;
        let kind = match kind {
            0 => Kind::File,
            1 => Kind::Directory,
            2 => Kind::Symlink(link),
            3 => Kind::Fifo,
            4 => Kind::Characters(device),
            5 => Kind::Blocks(device),
            6 => Kind::Hard(link),
            _ => return None,
        };
        let entry = Entry { path, kind, size, mode, uid, gid, mtime };
        Some(Member { entry, data, crc: (has_crc == 1).then_some(crc), links, refused: None })
    }
}
