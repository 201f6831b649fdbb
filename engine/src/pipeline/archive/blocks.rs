//! Blocks of the archive on their way: compressed, written in order, and taken back.

use crate::archive::{INDEX_KIND, footer, wrap};
use crate::codec::contract::MemberCoder;
use crate::codec::{Codec, Frame, Table, seek_table, skippable};
use crate::endpoint::contract::Intake;
use crate::error::Result;
use crate::job::Job;
use crate::limits::CHUNK_BYTES;
use crate::model::crc::Crc64;
use crate::pipeline::lane::Line;
use crate::progress::Spent;

/// A block of the tar, or a chunk of its index, on its way.
#[derive(Default)]
pub(super) struct Slot {
    pub(super) plain: Vec<u8>,
    pub(super) out: Vec<u8>,
    pub(super) crc: Crc64,
    pub(super) index: bool,
}

/// Makes a worker's coder.
pub(super) type NewCoder = fn(u32) -> Result<Box<dyn MemberCoder>>;

pub(super) struct Blocks<'a> {
    pub(super) job: &'a Job,
    pub(super) coder: Option<NewCoder>,
    pub(super) level: u32,
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
pub(super) struct Done {
    pub(super) stored: u64,
    /// The most that was ever written: the file is so long at least.
    pub(super) high: u64,
    pub(super) frames: Vec<Frame>,
    pub(super) crcs: Vec<Crc64>,
    /// Where chunks of the index stand.
    pub(super) chunks: Vec<u64>,
}

pub(super) struct Out<'a> {
    pub(super) job: &'a Job,
    pub(super) intake: &'a dyn Intake,
    pub(super) done: Done,
    /// Blocks that are not taken back any more.
    pub(super) pin: usize,
}

impl Out<'_> {
    pub(super) fn write(&mut self, slot: &Slot, packed: bool) -> Result<()> {
        let bytes = if packed { &slot.out } else { &slot.plain };
        let plain = if slot.index { 0 } else { slot.plain.len() as u32 };
        if slot.index {
            self.done.chunks.push(self.done.stored);
        }
        self.done.crcs.push(if slot.index { Crc64::default() } else { slot.crc });
        self.put(bytes, plain)
    }

    pub(super) fn put(&mut self, bytes: &[u8], plain: u32) -> Result<()> {
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
    pub(super) fn pin(&mut self, count: usize) {
        self.pin = count;
        self.pin_now();
    }

    pub(super) fn pin_now(&self) {
        if self.done.frames.len() == self.pin {
            self.intake.pin(self.done.stored);
        }
    }

    /// Takes back all but the first `count` blocks.
    pub(super) fn back_to(&mut self, count: usize) {
        self.done.frames.truncate(count);
        self.done.crcs.truncate(count);
        self.done.stored = self.done.frames.iter().map(|frame| u64::from(frame.stored)).sum();
        let stored = self.done.stored;
        self.done.chunks.retain(|at| *at < stored);
    }

    /// What follows the last block. What was taken back and not written over is covered by zeros,
    /// which mean nothing behind gzip and tar, or by frames that mean nothing to zstd.
    pub(super) fn end(&mut self, codec: Option<&Codec>, members: u64) -> Result<()> {
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
