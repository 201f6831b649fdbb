//! The index of an archive within zstd: where each member lies, in skippable frames.
//!
//! # Form
//! Chunks of records, each chunk a skippable frame: `MIGX`, version 1, the plain length (32 bits),
//! a zstd frame of the records. They stand among the frames of the tar, which keeps memory bounded
//! while the archive is written. The footer, a skippable frame just before the seek table, says
//! where they stand: `MIGF`, version 1, the number of members, the number of chunks (64 bits each),
//! the stored offset of each chunk (64 bits), the CRC-64/NVME of all that. Numbers are
//! little-endian.

use std::collections::VecDeque;

use crate::archive::frames::{damaged, read_exactly};
use crate::archive::member::{Entry, Kind, Member};
use crate::codec::contract::MemberDecoder;
use crate::codec::{Codec, Frame, skippable};
use crate::endpoint::contract::Reader;
use crate::error::Result;
use crate::limits::{INDEX_BYTES, MEMBER_PLAIN_BYTES_MAX, SEEK_TABLE_BYTES_MAX};
use crate::model::crc::Crc64;
use crate::model::item::Timestamp;

/// The kind of skippable frame that is used.
pub const KIND: u32 = 0xb;
const CHUNK_MARK: &[u8; 5] = b"MIGX\x01";
const FOOTER_MARK: &[u8; 5] = b"MIGF\x01";
/// Header of a skippable frame.
const HEAD_BYTES: usize = 8;
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

    /// Where the collection stands now, for [`IndexWriter::back_to`].
    #[must_use]
    pub fn mark(&self) -> (usize, u64) {
        (self.records.len(), self.members)
    }

    /// Forgets what was recorded since.
    pub fn back_to(&mut self, (records, members): (usize, u64)) {
        self.records.truncate(records);
        self.members = members;
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
        if u64::from(last.stored) > SEEK_TABLE_BYTES_MAX {
            return Ok(None);
        }
        let mut frame = vec![0; last.stored as usize];
        read_exactly(reader, at, &mut frame)?;
        let Some(content) = frame.get(HEAD_BYTES..).filter(|text| text.starts_with(FOOTER_MARK))
        else {
            return Ok(None);
        };
        let chunks = offsets(content).ok_or_else(|| damaged("the index is damaged", at))?;
        let mut found = Vec::with_capacity(chunks.len());
        let mut begin = 0;
        let mut wanted = chunks.iter().peekable();
        for frame in frames {
            if wanted.next_if_eq(&&begin).is_some() {
                found.push((begin, *frame));
            }
            begin += u64::from(frame.stored);
        }
        if wanted.peek().is_some() {
            return Err(damaged("the index is damaged", at));
        }
        Ok(Some(Self { chunks: found }))
    }
}

fn offsets(content: &[u8]) -> Option<Vec<u64>> {
    let (text, sum) = content.split_at_checked(content.len().checked_sub(8)?)?;
    let mut sum = Cut(sum);
    if sum.number()? != Crc64::of(text).value {
        return None;
    }
    let mut cut = Cut(text.get(FOOTER_MARK.len()..)?);
    let (_members, chunks) = (cut.number()?, cut.number()?);
    let list: Option<Vec<u64>> = (0..chunks).map(|_| cut.number()).collect();
    list.filter(|_| cut.0.is_empty())
}

/// Goes through the members of an index, a chunk in memory at a time.
pub struct IndexScan<'a> {
    reader: &'a dyn Reader,
    decoder: Box<dyn MemberDecoder>,
    chunks: std::slice::Iter<'a, (u64, Frame)>,
    members: VecDeque<Member>,
}

impl<'a> IndexScan<'a> {
    /// From the beginning.
    ///
    /// # Errors
    /// `Internal` when the library refuses.
    pub fn new(reader: &'a dyn Reader, codec: &Codec, index: &'a Index) -> Result<Self> {
        let decoder = (codec.member_decoder)()?;
        Ok(Self { reader, decoder, chunks: index.chunks.iter(), members: VecDeque::new() })
    }

    /// The next member; `None` behind the last one.
    ///
    /// # Errors
    /// Those of the reader; `SourceCorrupt` when the index is damaged.
    pub fn next(&mut self) -> Result<Option<Member>> {
        while self.members.is_empty() {
            let Some((at, frame)) = self.chunks.next() else {
                return Ok(None);
            };
            let mut stored = vec![0; frame.stored as usize];
            read_exactly(self.reader, *at, &mut stored)?;
            let members = self.chunk(&stored);
            self.members = members.ok_or_else(|| damaged("the index is damaged", *at))?;
        }
        Ok(self.members.pop_front())
    }

    fn chunk(&mut self, stored: &[u8]) -> Option<VecDeque<Member>> {
        let head = stored.get(HEAD_BYTES..CHUNK_HEAD_BYTES)?;
        let (mark, length) = head.split_at_checked(CHUNK_MARK.len())?;
        let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
        if mark != CHUNK_MARK || length > MEMBER_PLAIN_BYTES_MAX {
            return None;
        }
        let mut plain = vec![0; length];
        self.decoder.unpack(stored.get(CHUNK_HEAD_BYTES..)?, &mut plain).ok()?;
        let mut cut = Cut(&plain);
        let mut members = VecDeque::new();
        while !cut.0.is_empty() {
            members.push_back(cut.member()?);
        }
        Some(members)
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
        let mtime = Timestamp::new(self.number()? as i64, nanos);
        let (size, data, crc, links) =
            (self.number()?, self.number()?, self.number()?, self.number()?);
        let device = self.number()?;
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
