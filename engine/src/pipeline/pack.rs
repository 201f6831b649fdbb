//! One file packed: blocks read, digested and compressed by several threads, written in order.

use crate::codec::contract::MemberCoder;
use crate::codec::{Caps, Codec, Encoder, Frame, Packed, Packing};
use crate::endpoint::contract::{Intake, Reader};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::limits::{BLOCK_BYTES_MIN, CHUNK_BYTES};
use crate::model::crc::Crc64;
use crate::model::digest::each_zeros;
use crate::pipeline::content::{self, ChunkBuffer, Reading};
use crate::pipeline::lane::{self, Line, Seats};
use crate::pipeline::transfer::Copied;
use crate::pipeline::unpack::{self, Unpacking};
use crate::progress::{Spent, add};

/// How a file is packed.
pub struct Packer<'a> {
    /// The form.
    pub codec: &'a Codec,
    /// Its level.
    pub level: u32,
    /// Threads at most.
    pub threads: usize,
    /// Whether what was written is decoded again and compared.
    pub check: bool,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Bytes.
    pub packed: Packed,
    /// The digest of the plain bytes.
    pub crc: Crc64,
    /// Whether the plain bytes are one state of the source.
    pub whole: bool,
}

impl Packer<'_> {
    /// Packs a file into an intake.
    ///
    /// # Errors
    /// Those of reader, intake and form; `VerifyMismatch` when what was written does not decode to
    /// what was read.
    pub fn pack(&self, job: &Job, reader: &dyn Reader, intake: &dyn Intake) -> Result<Outcome> {
        let (size, _) = reader.facts();
        let blocks = match self.codec.packing {
            Packing::Members { block_bytes, .. } if size > block_bytes as u64 => {
                self.blocks(job, reader, intake, size)?
            }
            _ => None,
        };
        let outcome = match blocks {
            Some(outcome) => outcome,
            None => self.stream(job, reader, intake)?,
        };
        if self.check && outcome.whole {
            self.decoded(job, intake, &outcome)?;
        }
        Ok(outcome)
    }

    /// One thread: what is small, what is told to have no size, and forms that are one stream.
    fn stream(&self, job: &Job, reader: &dyn Reader, intake: &dyn Intake) -> Result<Outcome> {
        let block = self.block_bytes(job.engine.budget.total());
        let chunk = (block as u64).min(CHUNK_BYTES);
        let own = Encoder::bytes(self.codec, self.level, block);
        let (buffer, _own) = job.take_memory(chunk + own)?.split(chunk);
        let mut buffer = ChunkBuffer::granted(buffer, chunk)?;
        let mut encoder = Encoder::with_blocks(self.codec, self.level, block)?;
        let (mut crc, mut out, mut stored) = (Crc64::default(), Vec::new(), 0);
        let mut write = |out: &mut Vec<u8>| {
            let write = || intake.write_at(stored, out);
            job.progress.timed(Spent::DestinationWrite, write)?;
            stored += out.len() as u64;
            out.clear();
            Ok(())
        };
        let mut take = |crc: &mut Crc64, offset: u64, chunk: &[u8]| {
            let hole = offset - crc.bytes;
            *crc = crc.join(Crc64::zeros(hole));
            each_zeros(hole, |zeros| {
                job.pass()?;
                job.progress.timed(Spent::Compress, || encoder.take(zeros, &mut out))?;
                write(&mut out)
            })?;
            job.progress.timed(Spent::Hash, || crc.update(chunk));
            job.progress.timed(Spent::Compress, || encoder.take(chunk, &mut out))?;
            write(&mut out)
        };
        // Of a file that does not tell its size, nothing tells holes either.
        let how = Reading { path: b"", algorithms: &[], holes: reader.facts().0 > 0 };
        let each = |offset, chunk: &[u8]| take(&mut crc, offset, chunk);
        let read = content::read(job, reader, &mut buffer, how, each)?;
        take(&mut crc, read.bytes, &[])?;
        let packed = job.progress.timed(Spent::Compress, || encoder.finish(&mut out))?;
        write(&mut out)?;
        Ok(Outcome { packed, crc, whole: read.whole })
    }

    /// Bytes of a block for one thread: smaller than the form's where memory is short.
    fn block_bytes(&self, total: u64) -> usize {
        let mut block = self.codec.block_bytes();
        let bytes = |block: usize| Encoder::bytes(self.codec, self.level, block) + block as u64;
        while bytes(block) > total / 4 * 3 && block / 2 >= BLOCK_BYTES_MIN {
            block /= 2;
        }
        block
    }

    /// Several threads, a block each; `None` where memory is too short for that.
    fn blocks(
        &self,
        job: &Job,
        reader: &dyn Reader,
        intake: &dyn Intake,
        size: u64,
    ) -> Result<Option<Outcome>> {
        let Packing::Members { block_bytes, bound, coder, tail } = self.codec.packing else {
            return Ok(None);
        };
        let slot = |block: usize| (block + bound(block)) as u64;
        let hand = (self.codec.coder_bytes)(self.level);
        let total = job.engine.budget.total();
        let seats = Seats::fit(total, self.threads, block_bytes, BLOCK_BYTES_MIN, slot, hand);
        let Some(seats) = seats else {
            return Ok(None);
        };
        let _memory = seats.take(job, slot, hand)?;
        let line = Blocks { job, reader, coder, level: self.level };
        let slots = (0..seats.slots).map(|_| Block::new(seats.block_bytes, bound)).collect();
        let shown = job.show(b"", size);
        let mut outcome = Outcome::default();
        let mut frames: Vec<Frame> = Vec::new();
        let mut take = |block: &mut Block| {
            let write = || intake.write_at(outcome.packed.stored, &block.out);
            job.progress.timed(Spent::DestinationWrite, write)?;
            let plain = block.plain.len() as u64;
            frames.push(Frame { stored: block.out.len() as u32, plain: plain as u32 });
            outcome.packed.stored += block.out.len() as u64;
            outcome.packed.plain += plain;
            outcome.packed.raw += if block.raw { plain } else { 0 };
            outcome.crc = outcome.crc.join(block.crc);
            add(&job.progress.bytes_done, plain);
            if let Some(shown) = &shown {
                shown.add(plain);
            }
            Ok(())
        };
        lane::run(job, seats.threads, slots, &line, &mut take, |lane| {
            let mut offset = 0;
            while offset < size {
                let want = (size - offset).min(seats.block_bytes as u64);
                if has_data(reader, offset, want)? {
                    job.take_bytes(want)?;
                } else {
                    job.pass()?;
                }
                let mut block = lane.slot()?;
                (block.offset, block.want) = (offset, want as usize);
                lane.send(block)?;
                offset += want;
            }
            Ok(())
        })?;
        let tail = tail(&frames);
        intake.write_at(outcome.packed.stored, &tail)?;
        outcome.packed.stored += tail.len() as u64;
        outcome.whole = outcome.packed.plain == size && reader.unchanged()?;
        Ok(Some(outcome))
    }

    /// Decodes what was written and compares it with what was read.
    fn decoded(&self, job: &Job, intake: &dyn Intake, outcome: &Outcome) -> Result<()> {
        let size = outcome.packed.stored;
        let copy = Copied { intake, size, device: false };
        let how = Unpacking { codec: self.codec, caps: Caps::NONE, threads: self.threads };
        let read = unpack::unpack(job, &copy, &how, None);
        match read {
            Ok(read) if read.crc == outcome.crc => Ok(()),
            Err(error) if error.kind() != Kind::SourceCorrupt => Err(error),
            _ => {
                let message = "what was compressed does not decode to what was read";
                Err(EngineError::new(Kind::VerifyMismatch, message))
            }
        }
    }
}

/// A block on its way.
struct Block {
    offset: u64,
    want: usize,
    plain: Vec<u8>,
    out: Vec<u8>,
    crc: Crc64,
    raw: bool,
}

impl Block {
    fn new(bytes: usize, bound: fn(usize) -> usize) -> Self {
        let (plain, out) = (Vec::with_capacity(bytes), Vec::with_capacity(bound(bytes)));
        Self { offset: 0, want: 0, plain, out, crc: Crc64::default(), raw: false }
    }
}

struct Blocks<'a> {
    job: &'a Job,
    reader: &'a dyn Reader,
    coder: fn(u32) -> Result<Box<dyn MemberCoder>>,
    level: u32,
}

impl Line for Blocks<'_> {
    type Slot = Block;
    type Hand = Box<dyn MemberCoder>;

    fn hand(&self) -> Result<Self::Hand> {
        (self.coder)(self.level)
    }

    fn work(&self, coder: &mut Self::Hand, block: &mut Block) -> Result<()> {
        let progress = &self.job.progress;
        block.plain.resize(block.want, 0);
        let read = || fill_data(self.reader, block.offset, &mut block.plain);
        let count = progress.timed(Spent::SourceRead, read)?;
        block.plain.truncate(count);
        block.crc = progress.timed(Spent::Hash, || Crc64::of(&block.plain));
        block.out.clear();
        let pack = || coder.pack(&block.plain, &mut block.out);
        block.raw = progress.timed(Spent::Compress, pack)?;
        Ok(())
    }
}

/// Reads until the buffer is full or the source ends.
///
/// # Errors
/// Those of the reader.
pub fn fill(reader: &dyn Reader, offset: u64, buffer: &mut [u8]) -> Result<usize> {
    let mut count = 0;
    while let Some(rest) = buffer.get_mut(count..).filter(|rest| !rest.is_empty()) {
        match reader.read_at(offset + count as u64, rest)? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

/// Whether a range of a source is more than a hole.
fn has_data(reader: &dyn Reader, offset: u64, bytes: u64) -> Result<bool> {
    Ok(reader.data(offset)?.is_some_and(|data| data.start < offset + bytes))
}

/// As [`fill`], for a range of a source that lies within its size: holes are not read, and are
/// zeros in the buffer.
///
/// # Errors
/// Those of the reader.
pub fn fill_data(reader: &dyn Reader, offset: u64, buffer: &mut [u8]) -> Result<usize> {
    let (mut count, len) = (0, buffer.len());
    while count < len {
        let at = offset + count as u64;
        let within = |to: u64| (to.saturating_sub(offset)).min(len as u64) as usize;
        let data = reader.data(at)?.map_or(len..len, |data| within(data.start)..within(data.end));
        if data.start > count {
            let hole = buffer.get_mut(count..data.start);
            hole.unwrap_or_default().fill(0);
            count = data.start;
            continue;
        }
        // A range that ends here tells nothing, so all of the rest is read.
        let end = if data.end > count { data.end } else { len };
        match fill(reader, at, buffer.get_mut(count..end).unwrap_or_default())? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
    use crate::model::item::{Attributes, Handle, Identity};

    /// Data of ones at these ranges, holes elsewhere; a hole is not to be read.
    struct Islands(Vec<Range<u64>>, u64);

    impl Reader for Islands {
        fn facts(&self) -> (u64, Attributes) {
            (self.1, Attributes::default())
        }

        fn identity(&self) -> Identity {
            Identity::default()
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
            let island = self.0.iter().find(|island| island.contains(&offset));
            let island = island.unwrap_or_else(|| panic!("a hole is read at {offset}"));
            let count = (buffer.len() as u64).min(island.end - offset) as usize;
            assert_eq!(count, buffer.len(), "what is behind {island:?} is read");
            buffer[..count].fill(1);
            Ok(count)
        }

        fn data(&self, offset: u64) -> Result<Option<Range<u64>>> {
            let island = self.0.iter().find(|island| island.end > offset);
            Ok(island.map(|island| island.start.max(offset)..island.end))
        }

        fn handle(&self) -> Handle {
            Handle::default()
        }

        fn unchanged(&self) -> Result<bool> {
            Ok(true)
        }
    }

    #[test]
    fn holes_are_zeros_that_are_not_read() {
        let size = 60;
        for islands in [vec![], vec![0..30, 30..60], vec![5..9, 20..60], vec![0..1, 30..31, 59..60]]
        {
            let source = Islands(islands.clone(), size);
            for (offset, len) in [(0, 60), (0, 7), (4, 20), (9, 11), (21, 39), (59, 1)] {
                let mut buffer = vec![7; len];
                assert_eq!(fill_data(&source, offset, &mut buffer).unwrap(), len);
                for (at, byte) in (offset..).zip(&buffer) {
                    let is_data = islands.iter().any(|island| island.contains(&at));
                    assert_eq!(*byte, u8::from(is_data), "{islands:?} {offset} {at}");
                }
            }
        }
    }
}
