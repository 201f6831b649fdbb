//! Members read one after the other into blocks; one whose source changed is taken back.

use std::cell::RefCell;

use crate::archive::{
    Entry, IndexWriter, Kind as MemberKind, Member, encode, end_of_archive, padding,
};
use crate::codec::Table;
use crate::endpoint::contract::{Descend, ObjectSource, Reader, Visitor};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::journal::spill::SpillMap;
use crate::limits::{ARCHIVE_NAMES_BYTES, CHANGED_ATTEMPTS, CHUNK_BYTES};
use crate::model::choice::Carry;
use crate::model::crc::Crc64;
use crate::model::extended::Extended;
use crate::model::item::{Attributes, Item, ItemKind, Special};
use crate::model::path::ItemPath;
use crate::pipeline::archive::archiver::Archiver;
use crate::pipeline::archive::blocks::{Out, Slot};
use crate::pipeline::content::{Cursor, Step};
use crate::pipeline::feed::ends_job;
use crate::pipeline::lane::Lane;
use crate::pipeline::pack::fill_data;
use crate::progress::{Spent, add};

/// A plain tar is filled up to a multiple of this, as its tools do.
const TAR_RECORD_BYTES: u64 = 10 << 10;
/// What items are asked for beside their mode: the group's bits depend on the access list, and what
/// an archive does not keep is told.
const ASKED: Carry = Carry { setuid: true, xattrs: true, acls: true, ..Carry::PLAIN };

/// Totals of an archive.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) bytes: u64,
    pub(super) members: u64,
}

/// A point to go back to.
pub(super) struct Point {
    pub(super) sent: usize,
    pub(super) at: u64,
}

/// What became of a file's content.
pub(super) enum Read {
    /// All of it, in one state.
    Whole(Crc64),
    /// It changed meanwhile.
    Changed,
}

/// A file that has more names.
pub(super) struct Original {
    pub(super) path: Vec<u8>,
    pub(super) data: u64,
    pub(super) size: u64,
    pub(super) crc: u64,
    pub(super) mode: u32,
}

impl Original {
    pub(super) fn stored(&self) -> Vec<u8> {
        let numbers = [self.data, self.size, self.crc, self.mode.into()].map(u64::to_le_bytes);
        [numbers.as_flattened(), &self.path].concat()
    }

    pub(super) fn read(stored: &[u8]) -> Option<Self> {
        let (numbers, path) = stored.split_first_chunk::<32>()?;
        let (words, _) = numbers.as_chunks::<8>();
        let [data, size, crc, mode] = <[[u8; 8]; 4]>::try_from(words).ok()?.map(u64::from_le_bytes);
        Some(Self { path: path.to_vec(), data, size, crc, mode: u32::try_from(mode).ok()? })
    }
}

/// Turns items into blocks of tar.
pub(super) struct Tar<'a, 'l, 's> {
    pub(super) archiver: &'a Archiver<'a>,
    pub(super) job: &'a Job,
    pub(super) source: &'a dyn ObjectSource,
    pub(super) lane: &'l mut Lane<'s, Slot>,
    pub(super) out: &'a RefCell<Out<'a>>,
    pub(super) block_bytes: usize,
    /// The block being filled.
    pub(super) block: Option<Slot>,
    /// Where its end stands in the tar.
    pub(super) at: u64,
    /// Blocks handed on.
    pub(super) sent: usize,
    pub(super) index: Option<IndexWriter>,
    /// Directories that are written with the first item in them.
    pub(super) waiting: Vec<Item>,
    /// Files that have more names, by their inodes.
    pub(super) originals: SpillMap<'a>,
    pub(super) totals: Totals,
}

impl<'a, 'l, 's> Tar<'a, 'l, 's> {
    pub(super) fn new(
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

    pub(super) fn block(&mut self) -> Result<&mut Slot> {
        if self.block.is_none() {
            let mut slot = self.lane.slot()?;
            slot.plain.clear();
            slot.index = false;
            self.block = Some(slot);
        }
        self.block.as_mut().ok_or_else(|| EngineError::new(Kind::Internal, "no block"))
    }

    /// Bytes in the block being filled.
    pub(super) fn filled(&self) -> usize {
        self.block.as_ref().map_or(0, |slot| slot.plain.len())
    }

    pub(super) fn flush(&mut self) -> Result<()> {
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
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
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
    pub(super) fn directories(&mut self) -> Result<()> {
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

    pub(super) fn entry(
        &self,
        item: &Item,
        kind: MemberKind,
        size: u64,
        attributes: &Attributes,
    ) -> Entry {
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

    pub(super) fn record(&mut self, member: Member) -> Result<()> {
        self.totals.members += 1;
        let Some(index) = &mut self.index else {
            return Ok(());
        };
        index.add(&member);
        if index.is_full() { self.chunk() } else { Ok(()) }
    }

    /// Hands on a chunk of the index.
    pub(super) fn chunk(&mut self) -> Result<()> {
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
    pub(super) fn add(&mut self, item: &Item) -> Result<u64> {
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

    pub(super) fn file(&mut self, item: &Item) -> Result<u64> {
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
    pub(super) fn data_of(&self, size: u64) -> u64 {
        self.at - size - padding(size) as u64
    }

    /// Records a file that is written.
    pub(super) fn keep(
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
    pub(super) fn again(&mut self, item: &Item, original: Original) -> Result<u64> {
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
    pub(super) fn small(&mut self, reader: &dyn Reader, header: &[u8], size: u64) -> Result<Read> {
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
    pub(super) fn large(
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

    pub(super) fn blocks(&mut self, reader: &dyn Reader, size: u64, item: &Item) -> Result<Read> {
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
    pub(super) fn back_to(&mut self, point: &Point) -> Result<()> {
        if let Some(slot) = self.block.take() {
            self.lane.put_back(slot);
        }
        self.lane.drain()?;
        self.out.borrow_mut().back_to(point.sent);
        (self.sent, self.at) = (point.sent, point.at);
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Totals> {
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
pub(super) fn is_ours(kind: Kind) -> bool {
    matches!(kind, Kind::DestinationWrite | Kind::DestinationPermission | Kind::Internal)
}
