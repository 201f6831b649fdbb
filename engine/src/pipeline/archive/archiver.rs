//! The archive as a whole: packed, and where that is asked for decoded again and compared.

use std::cell::RefCell;

use crate::codec::{Caps, Codec, Packing};
use crate::endpoint::contract::{Intake, ObjectSource, Reader};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::limits::{BLOCK_BYTES_MIN, CHUNK_BYTES};
use crate::model::choice::LinkPolicy;
use crate::model::crc::Crc64;
use crate::model::selection::Selection;
use crate::pipeline::archive::blocks::{Blocks, Done, Out, Slot};
use crate::pipeline::archive::members::Tar;
use crate::pipeline::lane::{self, Seats};
use crate::pipeline::pack::fill;
use crate::pipeline::transfer::Copied;
use crate::pipeline::unpack::{self, Unpacking};

/// Plain bytes written at once where nothing is compressed.
const TAR_BLOCK_BYTES: usize = 1 << 20;

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
