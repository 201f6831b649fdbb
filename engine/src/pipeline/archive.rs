//! A tree packed to an archive: members read one after the other, blocks of them compressed by
//! several threads, written in order.
//!
//! A member whose source changes while it is read is taken back and read again. Small ones are
//! still in memory then; for a large one the archive is written again from where it began.

use std::cell::RefCell;

use crate::archive::{
    Entry, INDEX_KIND, IndexWriter, Kind as MemberKind, Member, encode, end_of_archive, footer,
    padding, wrap,
};
use crate::codec::contract::MemberCoder;
use crate::codec::{Caps, Codec, Frame, Packing, Table, seek_table, skippable};
use crate::endpoint::contract::{Descend, Intake, ObjectSource, Reader, Visitor};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::journal::spill::SpillMap;
use crate::limits::{ARCHIVE_NAMES_BYTES, BLOCK_BYTES_MIN, CHANGED_ATTEMPTS, CHUNK_BYTES};
use crate::model::choice::{Carry, LinkPolicy};
use crate::model::crc::Crc64;
use crate::model::extended::Extended;
use crate::model::item::{Attributes, Item, ItemKind, Special};
use crate::model::path::ItemPath;
use crate::model::selection::Selection;
use crate::pipeline::content::{Cursor, Step};
use crate::pipeline::feed::ends_job;
use crate::pipeline::lane::{self, Lane, Line, Seats};
use crate::pipeline::pack::{fill, fill_data};
use crate::pipeline::transfer::Copied;
use crate::pipeline::unpack::{self, Unpacking};
use crate::progress::{Spent, add};

/// Plain bytes written at once where nothing is compressed.
const TAR_BLOCK_BYTES: usize = 1 << 20;
/// A plain tar is filled up to a multiple of this, as its tools do.
const TAR_RECORD_BYTES: u64 = 10 << 10;
/// What items are asked for beside their mode: the group's bits depend on the access list, and what
/// an archive does not keep is told.
const ASKED: Carry = Carry { setuid: true, xattrs: true, acls: true, ..Carry::PLAIN };

/// How an archive is made.
pub struct Archiver<'a> {
    /// How it is compressed; `None` for a plain tar.
    pub codec: Option<&'a Codec>,
    /// At which level.
    pub level: u32,
    /// Threads at most.
    pub threads: usize,
    /// Whether what was written is decoded again and compared.
    pub check: bool,
    /// What goes into it.
    pub selection: &'a Selection,
    /// The name of a source that is one item.
    pub name: &'a [u8],
}

/// What became of an archive.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Bytes of content in it.
    pub original: u64,
    /// Its own bytes.
    pub stored: u64,
}

impl Archiver<'_> {
    /// Packs a source into an intake. Items that fail are reported to the job and left out.
    ///
    /// # Errors
    /// What ends the job; `VerifyMismatch` when what was written does not decode to what was
    /// packed.
    pub fn pack(
        &self,
        job: &Job,
        source: &dyn ObjectSource,
        intake: &dyn Intake,
    ) -> Result<Outcome> {
        let (block_bytes, bound, coder) = match self.codec.map(|codec| &codec.packing) {
            Some(Packing::Members { block_bytes, bound, coder, .. }) => {
                (*block_bytes, *bound, Some(*coder))
            }
            _ => (TAR_BLOCK_BYTES, (|_| 0) as fn(usize) -> usize, None),
        };
        let slot = |block: usize| (block + bound(block)) as u64;
        let hand = self.codec.map_or(0, |codec| (codec.coder_bytes)(self.level));
        let total = job.engine.budget.total();
        let seats = Seats::fit(total, self.threads, block_bytes, BLOCK_BYTES_MIN, slot, hand);
        let seats = seats.ok_or_else(|| {
            let message = "an archive at this level needs more memory than the cap leaves";
            EngineError::new(Kind::Memory, message)
        })?;
        let _memory = seats.take(job, slot, hand)?;
        let slots = (0..seats.slots).map(|_| Slot::default()).collect();
        let line = Blocks { job, coder, level: self.level };
        let out = RefCell::new(Out { job, intake, done: Done::default(), pin: 0 });
        let mut take = |slot: &mut Slot| out.borrow_mut().write(slot, coder.is_some());
        let original = lane::run(job, seats.threads, slots, &line, &mut take, |lane| {
            let mut tar = Tar::new(self, job, source, lane, &out, seats.block_bytes);
            source.survey(self.selection, LinkPolicy::Preserve, &mut tar)?;
            tar.finish()
        })?;
        let mut out = out.borrow_mut();
        out.end(self.codec, original.members)?;
        let outcome = Outcome { original: original.bytes, stored: out.done.stored };
        if self.check {
            self.decoded(job, intake, &out.done)?;
        }
        Ok(outcome)
    }

    /// Decodes what was written and compares it with what was packed.
    fn decoded(&self, job: &Job, intake: &dyn Intake, done: &Done) -> Result<()> {
        let copy = Copied { intake, size: done.stored, device: false };
        let expected = done.crcs.iter().copied().fold(Crc64::default(), Crc64::join);
        let read = match self.codec {
            Some(codec) => {
                let how = Unpacking { codec, caps: Caps::NONE, threads: self.threads };
                unpack::unpack(job, &copy, &how, None).map(|read| read.crc)
            }
            None => digest(job, &copy, expected.bytes),
        };
        match read {
            Ok(read) if read == expected => Ok(()),
            Err(error) if error.kind() != Kind::SourceCorrupt => Err(error),
            _ => {
                let message = "what was compressed does not decode to what was read";
                Err(EngineError::new(Kind::VerifyMismatch, message))
            }
        }
    }
}

fn digest(job: &Job, reader: &dyn Reader, size: u64) -> Result<Crc64> {
    let mut buffer = vec![0; CHUNK_BYTES as usize];
    let mut crc = Crc64::default();
    while crc.bytes < size {
        job.pass()?;
        let room = (size - crc.bytes).min(CHUNK_BYTES) as usize;
        let count = fill(reader, crc.bytes, buffer.get_mut(..room).unwrap_or_default())?;
        if count == 0 {
            break;
        }
        crc.update(buffer.get(..count).unwrap_or_default());
    }
    Ok(crc)
}

/// A block of the tar, or a chunk of its index, on its way.
#[derive(Default)]
struct Slot {
    plain: Vec<u8>,
    out: Vec<u8>,
    crc: Crc64,
    index: bool,
}

/// Makes a worker's coder.
type NewCoder = fn(u32) -> Result<Box<dyn MemberCoder>>;

struct Blocks<'a> {
    job: &'a Job,
    coder: Option<NewCoder>,
    level: u32,
}

impl Line for Blocks<'_> {
    type Slot = Slot;
    type Hand = Option<Box<dyn MemberCoder>>;

    fn hand(&self) -> Result<Self::Hand> {
        self.coder.map(|coder| coder(self.level)).transpose()
    }

    fn work(&self, coder: &mut Self::Hand, slot: &mut Slot) -> Result<()> {
        let progress = &self.job.progress;
        slot.crc = progress.timed(Spent::Hash, || Crc64::of(&slot.plain));
        slot.out.clear();
        let Some(coder) = coder else {
            return Ok(());
        };
        progress.timed(Spent::Compress, || coder.pack(&slot.plain, &mut slot.out))?;
        if slot.index {
            slot.out = wrap(&slot.out, slot.plain.len());
        }
        Ok(())
    }
}

/// What is written of an archive.
#[derive(Default)]
struct Done {
    stored: u64,
    /// The most that was ever written: the file is so long at least.
    high: u64,
    frames: Vec<Frame>,
    crcs: Vec<Crc64>,
    /// Where chunks of the index stand.
    chunks: Vec<u64>,
}

struct Out<'a> {
    job: &'a Job,
    intake: &'a dyn Intake,
    done: Done,
    /// Blocks that are not taken back any more.
    pin: usize,
}

impl Out<'_> {
    fn write(&mut self, slot: &Slot, packed: bool) -> Result<()> {
        let bytes = if packed { &slot.out } else { &slot.plain };
        let plain = if slot.index { 0 } else { slot.plain.len() as u32 };
        if slot.index {
            self.done.chunks.push(self.done.stored);
        }
        self.done.crcs.push(if slot.index { Crc64::default() } else { slot.crc });
        self.put(bytes, plain)
    }

    fn put(&mut self, bytes: &[u8], plain: u32) -> Result<()> {
        let at = self.done.stored;
        self.pin_now();
        let write = || self.intake.write_at(at, bytes);
        self.job.progress.timed(Spent::DestinationWrite, write)?;
        self.done.frames.push(Frame { stored: bytes.len() as u32, plain });
        self.done.stored += bytes.len() as u64;
        self.done.high = self.done.high.max(self.done.stored);
        Ok(())
    }

    /// Blocks behind the first `count` may be taken back.
    fn pin(&mut self, count: usize) {
        self.pin = count;
        self.pin_now();
    }

    fn pin_now(&self) {
        if self.done.frames.len() == self.pin {
            self.intake.pin(self.done.stored);
        }
    }

    /// Takes back all but the first `count` blocks.
    fn back_to(&mut self, count: usize) {
        self.done.frames.truncate(count);
        self.done.crcs.truncate(count);
        self.done.stored = self.done.frames.iter().map(|frame| u64::from(frame.stored)).sum();
        let stored = self.done.stored;
        self.done.chunks.retain(|at| *at < stored);
    }

    /// What follows the last block. What was taken back and not written over is covered by zeros,
    /// which mean nothing behind gzip and tar, or by frames that mean nothing to zstd.
    fn end(&mut self, codec: Option<&Codec>, members: u64) -> Result<()> {
        let skips = codec.is_some_and(|codec| codec.table == Table::Seek);
        while self.done.stored < self.done.high {
            let gap = (self.done.high - self.done.stored).min(CHUNK_BYTES) as usize;
            let zeros = vec![0; gap];
            let filler = if skips { skippable(INDEX_KIND, &zeros) } else { zeros };
            self.put(&filler, 0)?;
        }
        if skips {
            let footer = footer(members, &self.done.chunks);
            self.put(&footer, 0)?;
            let table = seek_table(&self.done.frames);
            self.put(&table, 0)?;
        }
        Ok(())
    }
}

/// Totals of an archive.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    bytes: u64,
    members: u64,
}

/// A point to go back to.
struct Point {
    sent: usize,
    at: u64,
}

/// What became of a file's content.
enum Read {
    /// All of it, in one state.
    Whole(Crc64),
    /// It changed meanwhile.
    Changed,
}

/// A file that has more names.
struct Original {
    path: Vec<u8>,
    data: u64,
    size: u64,
    crc: u64,
    mode: u32,
}

impl Original {
    fn stored(&self) -> Vec<u8> {
        let numbers = [self.data, self.size, self.crc, self.mode.into()].map(u64::to_le_bytes);
        [numbers.as_flattened(), &self.path].concat()
    }

    fn read(stored: &[u8]) -> Option<Self> {
        let (numbers, path) = stored.split_first_chunk::<32>()?;
        let (words, _) = numbers.as_chunks::<8>();
        let [data, size, crc, mode] = <[[u8; 8]; 4]>::try_from(words).ok()?.map(u64::from_le_bytes);
        Some(Self { path: path.to_vec(), data, size, crc, mode: u32::try_from(mode).ok()? })
    }
}

/// Turns items into blocks of tar.
struct Tar<'a, 'l, 's> {
    archiver: &'a Archiver<'a>,
    job: &'a Job,
    source: &'a dyn ObjectSource,
    lane: &'l mut Lane<'s, Slot>,
    out: &'a RefCell<Out<'a>>,
    block_bytes: usize,
    /// The block being filled.
    block: Option<Slot>,
    /// Where its end stands in the tar.
    at: u64,
    /// Blocks handed on.
    sent: usize,
    index: Option<IndexWriter>,
    /// Directories that are written with the first item in them.
    waiting: Vec<Item>,
    /// Files that have more names, by their inodes.
    originals: SpillMap<'a>,
    totals: Totals,
}

impl<'a, 'l, 's> Tar<'a, 'l, 's> {
    fn new(
        archiver: &'a Archiver<'a>,
        job: &'a Job,
        source: &'a dyn ObjectSource,
        lane: &'l mut Lane<'s, Slot>,
        out: &'a RefCell<Out<'a>>,
        block_bytes: usize,
    ) -> Self {
        let indexed = archiver.codec.is_some_and(|codec| codec.table == Table::Seek);
        Self {
            archiver,
            job,
            source,
            lane,
            out,
            block_bytes,
            block: None,
            at: 0,
            sent: 0,
            index: indexed.then(IndexWriter::default),
            waiting: Vec::new(),
            originals: SpillMap::new(job.engine.state.as_ref(), ARCHIVE_NAMES_BYTES),
            totals: Totals::default(),
        }
    }

    fn block(&mut self) -> Result<&mut Slot> {
        if self.block.is_none() {
            let mut slot = self.lane.slot()?;
            slot.plain.clear();
            slot.index = false;
            self.block = Some(slot);
        }
        self.block.as_mut().ok_or_else(|| EngineError::new(Kind::Internal, "no block"))
    }

    /// Bytes in the block being filled.
    fn filled(&self) -> usize {
        self.block.as_ref().map_or(0, |slot| slot.plain.len())
    }

    fn flush(&mut self) -> Result<()> {
        match self.block.take() {
            Some(slot) if slot.plain.is_empty() => self.lane.put_back(slot),
            Some(slot) => {
                self.lane.send(slot)?;
                self.sent += 1;
            }
            None => {}
        }
        Ok(())
    }

    /// Appends bytes, over as many blocks as they take.
    fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let room = self.block_bytes.saturating_sub(self.filled()).min(bytes.len());
            let (part, rest) = bytes.split_at(room);
            self.block()?.plain.extend_from_slice(part);
            self.at += part.len() as u64;
            bytes = rest;
            if self.filled() >= self.block_bytes {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Writes the directories that waited for an item.
    fn directories(&mut self) -> Result<()> {
        for directory in std::mem::take(&mut self.waiting) {
            let extended = match self.source.extended(&directory, ASKED) {
                Err(error) if !ends_job(error.kind()) => {
                    self.failed(&directory.path, error)?;
                    // What its list gives the group is not known: nothing.
                    Extended { access: Some(Vec::new()), ..Extended::default() }
                }
                other => other?,
            };
            let mut attributes = directory.attributes;
            attributes.mode = extended.mode(attributes.mode);
            let entry = self.entry(&directory, MemberKind::Directory, 0, &attributes);
            self.write(&encode(&entry))?;
            self.record(Member { entry, data: 0, crc: None, links: 1, refused: None })?;
            self.job.lose(directory.path.as_bytes(), &extended.losses("listxattr"));
        }
        Ok(())
    }

    fn entry(&self, item: &Item, kind: MemberKind, size: u64, attributes: &Attributes) -> Entry {
        let is_alone = item.path.is_root() && item.kind != ItemKind::Directory;
        let path = if is_alone { self.archiver.name } else { item.path.as_bytes() };
        Entry {
            path: path.to_vec(),
            kind,
            size,
            mode: attributes.mode,
            uid: attributes.uid,
            gid: attributes.gid,
            mtime: attributes.mtime,
        }
    }

    fn record(&mut self, member: Member) -> Result<()> {
        self.totals.members += 1;
        let Some(index) = &mut self.index else {
            return Ok(());
        };
        index.add(&member);
        if index.is_full() { self.chunk() } else { Ok(()) }
    }

    /// Hands on a chunk of the index.
    fn chunk(&mut self) -> Result<()> {
        let records = self.index.as_mut().map(IndexWriter::take).unwrap_or_default();
        if records.is_empty() {
            return Ok(());
        }
        self.flush()?;
        let mut slot = self.lane.slot()?;
        slot.plain.clear();
        slot.plain.extend_from_slice(&records);
        slot.index = true;
        self.lane.send(slot)?;
        self.sent += 1;
        Ok(())
    }

    /// Takes an item; answers the bytes of content that were added.
    fn add(&mut self, item: &Item) -> Result<u64> {
        let kind = match (item.kind, item.special, &item.link) {
            (ItemKind::File, ..) => return self.file(item),
            (ItemKind::Symlink, _, Some(text)) => MemberKind::Symlink(text.clone()),
            (ItemKind::Special, Some(Special::Fifo), _) => MemberKind::Fifo,
            (ItemKind::Special, Some(Special::Characters(n)), _) => MemberKind::Characters(n),
            (ItemKind::Special, Some(Special::Blocks(n)), _) => MemberKind::Blocks(n),
            _ => {
                let message = "a socket has no place in an archive";
                return Err(EngineError::new(Kind::SourceSpecial, message));
            }
        };
        let extended = self.source.extended(item, ASKED)?;
        self.directories()?;
        let mut attributes = item.attributes;
        attributes.mode = extended.mode(attributes.mode);
        let entry = self.entry(item, kind, 0, &attributes);
        self.write(&encode(&entry))?;
        self.record(Member { entry, data: 0, crc: None, links: 1, refused: None })?;
        self.job.lose(item.path.as_bytes(), &extended.losses("listxattr"));
        Ok(0)
    }

    fn file(&mut self, item: &Item) -> Result<u64> {
        self.directories()?;
        let key = (item.identity.dev, item.identity.ino);
        let is_one_of_several = item.attributes.links > 1;
        let original = is_one_of_several.then(|| self.originals.get(key)).transpose()?.flatten();
        if let Some(original) = original.as_deref().and_then(Original::read) {
            return self.again(item, original);
        }
        for attempt in 1..=CHANGED_ATTEMPTS {
            let open = || self.source.open(item);
            let reader = self.job.progress.timed(Spent::SourceRead, open)?;
            let (size, mut attributes) = reader.facts();
            let extended = reader.extended(ASKED)?;
            attributes.mode = extended.mode(attributes.mode);
            let entry = self.entry(item, MemberKind::File, size, &attributes);
            let header = encode(&entry);
            let needed = (header.len() as u64).saturating_add(size).saturating_add(512);
            let begin = self.at + header.len() as u64;
            let read = if needed <= self.block_bytes as u64 {
                self.small(&*reader, &header, size)?
            } else {
                self.large(&*reader, &header, size, item)?
            };
            if let Read::Whole(crc) = read {
                let data =
                    if needed <= self.block_bytes as u64 { self.data_of(size) } else { begin };
                self.job.lose(item.path.as_bytes(), &extended.losses("listxattr"));
                return self.keep(item, key, entry, data, crc);
            }
            add(&self.job.progress.bytes_redone, size);
            if attempt < CHANGED_ATTEMPTS {
                add(&self.job.progress.retries, 1);
                let message = "changed while it was read; it is read again";
                let warning = EngineError::new(Kind::SourceChanged, message);
                self.job.warn_about(warning, item.path.as_bytes());
            }
        }
        Err(EngineError::new(Kind::SourceChanged, "the source kept changing while it was read"))
    }

    /// Where the content of the file written last begins.
    fn data_of(&self, size: u64) -> u64 {
        self.at - size - padding(size) as u64
    }

    /// Records a file that is written.
    fn keep(
        &mut self,
        item: &Item,
        key: (u64, u64),
        entry: Entry,
        data: u64,
        crc: Crc64,
    ) -> Result<u64> {
        let (size, crc) = (entry.size, crc.value);
        if item.attributes.links > 1 {
            let (path, mode) = (entry.path.clone(), entry.mode);
            self.originals.put(key, Original { path, data, size, crc, mode }.stored())?;
        }
        let links = item.attributes.links;
        self.record(Member { entry, data, crc: Some(crc), links, refused: None })?;
        Ok(size)
    }

    /// One more name of a file that is in the archive.
    fn again(&mut self, item: &Item, original: Original) -> Result<u64> {
        let Original { path, data, size, crc, mode } = original;
        let attributes = Attributes { mode, ..item.attributes };
        let mut entry = self.entry(item, MemberKind::Hard(path), 0, &attributes);
        self.write(&encode(&entry))?;
        (entry.kind, entry.size) = (MemberKind::File, size);
        let links = item.attributes.links;
        self.record(Member { entry, data, crc: Some(crc), links, refused: None })?;
        Ok(0)
    }

    /// A file that fits one block: nothing of it is handed on before all of it was read.
    fn small(&mut self, reader: &dyn Reader, header: &[u8], size: u64) -> Result<Read> {
        let needed = header.len() + size as usize + padding(size);
        if self.filled() + needed > self.block_bytes {
            self.flush()?;
        }
        let job = self.job;
        job.take_bytes(size)?;
        let slot = self.block()?;
        let begin = slot.plain.len();
        slot.plain.extend_from_slice(header);
        let data = slot.plain.len();
        slot.plain.resize(data + size as usize, 0);
        let content = slot.plain.get_mut(data..).unwrap_or_default();
        let read = job.progress.timed(Spent::SourceRead, || fill_data(reader, 0, content));
        let whole = read.and_then(|count| {
            if size == 0 && reader.read_at(0, &mut [0])? > 0 {
                let message = "a file that does not tell its size has no place in an archive";
                return Err(EngineError::new(Kind::Unsupported, message));
            }
            Ok(count as u64 == size && reader.unchanged()?)
        });
        if !matches!(whole, Ok(true)) {
            slot.plain.truncate(begin);
            return whole.map(|_| Read::Changed);
        }
        let crc = job.progress.timed(Spent::Hash, || Crc64::of(content));
        slot.plain.resize(begin + needed, 0);
        self.at += needed as u64;
        add(&job.progress.bytes_done, size);
        Ok(Read::Whole(crc))
    }

    /// A file of several blocks, which begins one of its own.
    fn large(
        &mut self,
        reader: &dyn Reader,
        header: &[u8],
        size: u64,
        item: &Item,
    ) -> Result<Read> {
        self.flush()?;
        let point = Point { sent: self.sent, at: self.at };
        self.out.borrow_mut().pin(point.sent);
        let read = self.write(header).and_then(|()| self.blocks(reader, size, item));
        if !matches!(read, Ok(Read::Whole(_))) {
            self.back_to(&point)?;
        }
        read
    }

    fn blocks(&mut self, reader: &dyn Reader, size: u64, item: &Item) -> Result<Read> {
        let job = self.job;
        let shown = job.show(item.path.as_bytes(), size);
        let mut crc = Crc64::default();
        let mut cursor = Cursor::new(job, reader, true);
        while crc.bytes < size {
            let room = self.block_bytes.saturating_sub(self.filled()) as u64;
            let want = room.min(size - crc.bytes).min(CHUNK_BYTES);
            let slot = self.block()?;
            let begin = slot.plain.len();
            // A hole stays as it is here: zeros.
            slot.plain.resize(begin + want as usize, 0);
            let chunk = slot.plain.get_mut(begin..).unwrap_or_default();
            let part = match cursor.step(crc.bytes, crc.bytes + want, chunk)? {
                Step::End => return Ok(Read::Changed),
                Step::Hole(count) => Crc64::zeros(count),
                Step::Data(count) => {
                    let part = chunk.get(..count).unwrap_or_default();
                    job.progress.timed(Spent::Hash, || Crc64::of(part))
                }
            };
            slot.plain.truncate(begin + part.bytes as usize);
            crc = crc.join(part);
            self.at += part.bytes;
            add(&job.progress.bytes_done, part.bytes);
            if let Some(shown) = &shown {
                shown.add(part.bytes);
            }
            if self.filled() >= self.block_bytes {
                self.flush()?;
            }
        }
        self.write(&vec![0; padding(size)])?;
        Ok(if reader.unchanged()? { Read::Whole(crc) } else { Read::Changed })
    }

    /// Takes back what was handed on since.
    fn back_to(&mut self, point: &Point) -> Result<()> {
        if let Some(slot) = self.block.take() {
            self.lane.put_back(slot);
        }
        self.lane.drain()?;
        self.out.borrow_mut().back_to(point.sent);
        (self.sent, self.at) = (point.sent, point.at);
        Ok(())
    }

    fn finish(mut self) -> Result<Totals> {
        if self.archiver.selection.keeps_directories() {
            self.directories()?;
        }
        self.write(&end_of_archive())?;
        if self.archiver.codec.is_none() {
            let rest = (TAR_RECORD_BYTES - self.at % TAR_RECORD_BYTES) % TAR_RECORD_BYTES;
            self.write(&vec![0; rest as usize])?;
        }
        self.flush()?;
        self.chunk()?;
        Ok(self.totals)
    }
}

impl Visitor for Tar<'_, '_, '_> {
    fn enter(&mut self, directory: Item) -> Result<Descend> {
        self.job.pass()?;
        self.waiting.push(directory);
        if self.archiver.selection.keeps_directories() {
            self.directories()?;
        }
        Ok(Descend::Into)
    }

    fn item(&mut self, item: Item) -> Result<()> {
        self.job.take_op()?;
        add(&self.job.progress.items_total, 1);
        add(&self.job.progress.bytes_total, item.size);
        match self.add(&item) {
            Ok(bytes) => {
                self.totals.bytes += bytes;
                self.job.done(item.path.as_bytes(), bytes, &[]);
                Ok(())
            }
            Err(error) if ends_job(error.kind()) || is_ours(error.kind()) => Err(error),
            Err(error) => {
                self.job.fail(item.path.as_bytes(), error);
                Ok(())
            }
        }
    }

    fn leave(&mut self) -> Result<()> {
        self.waiting.pop();
        Ok(())
    }

    fn failed(&mut self, path: &ItemPath, error: EngineError) -> Result<()> {
        add(&self.job.progress.items_total, 1);
        self.job.fail(path.as_bytes(), error);
        Ok(())
    }
}

/// Whether an error is one of writing the archive, and not of reading an item.
fn is_ours(kind: Kind) -> bool {
    matches!(kind, Kind::DestinationWrite | Kind::DestinationPermission | Kind::Internal)
}
