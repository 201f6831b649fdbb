//! One file unpacked: members that stand by themselves by several threads, everything else as one
//! stream.

use crate::codec::contract::MemberDecoder;
use crate::codec::{Caps, Codec, Decoder, Extent, Frame, Packing};
use crate::endpoint::contract::{Intake, Reader};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::limits::CHUNK_BYTES;
use crate::model::crc::Crc64;
use crate::pipeline::content::ChunkBuffer;
use crate::pipeline::lane::{self, Lane, Line, Seats};
use crate::pipeline::pack::fill;
use crate::progress::{Shown, Spent, add};
use crate::resource::budget::Permit;

/// How a file is unpacked.
pub struct Unpacking<'a> {
    /// The form.
    pub codec: &'a Codec,
    /// What it may give at most.
    pub caps: Caps,
    /// Threads at most.
    pub threads: usize,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Stored bytes read.
    pub stored: u64,
    /// The digest of the plain bytes, and how many they are.
    pub crc: Crc64,
    /// Whether the stored bytes are one state of the source.
    pub whole: bool,
}

/// Unpacks a file into an intake, or only reads it where there is none.
///
/// # Errors
/// Those of reader and intake, `SourceCorrupt` and `OutputLimit` with the stored offset.
pub fn unpack(
    job: &Job,
    reader: &dyn Reader,
    how: &Unpacking<'_>,
    intake: Option<&dyn Intake>,
) -> Result<Outcome> {
    let (size, _) = reader.facts();
    let mut sink = Sink { job, intake, shown: job.show(b"", size), outcome: Outcome::default() };
    if how.threads > 1 {
        members(job, reader, how, &mut sink)?;
    }
    stream(job, reader, how, &mut sink)?;
    sink.outcome.whole = (sink.outcome.stored == size || size == 0) && reader.unchanged()?;
    Ok(sink.outcome)
}

/// Takes plain bytes in order.
struct Sink<'a> {
    job: &'a Job,
    intake: Option<&'a dyn Intake>,
    shown: Option<Shown<'a>>,
    outcome: Outcome,
}

impl Sink<'_> {
    fn write(&mut self, plain: &[u8], crc: Crc64) -> Result<()> {
        if let Some(intake) = self.intake {
            let write = || intake.write_at(self.outcome.crc.bytes, plain);
            self.job.progress.timed(Spent::DestinationWrite, write)?;
        }
        self.outcome.crc = self.outcome.crc.join(crc);
        Ok(())
    }

    /// Counts stored bytes: they are what is known of the size of the work.
    fn count(&mut self, stored: u64) {
        self.outcome.stored += stored;
        if self.intake.is_some() {
            add(&self.job.progress.bytes_done, stored);
        }
        if let Some(shown) = &self.shown {
            shown.add(stored);
        }
    }
}

/// Decodes members as long as their ends are known and they are as small as ours.
fn members(job: &Job, reader: &dyn Reader, how: &Unpacking<'_>, sink: &mut Sink<'_>) -> Result<()> {
    let Packing::Members { block_bytes, bound, .. } = how.codec.packing else {
        return Ok(());
    };
    let slot = |block: usize| (block + bound(block)) as u64;
    // Beside the slots, the stored bytes that are looked through.
    let ahead = (bound(block_bytes) + CHUNK_BYTES as usize) as u64;
    let total = job.engine.budget.total().saturating_sub(2 * ahead);
    let seats = Seats::fit(total, how.threads, block_bytes, block_bytes, slot, HAND_BYTES);
    let Some(seats) = seats else {
        return Ok(());
    };
    let _memory = job.take_memory(seats.bytes(slot, HAND_BYTES) + ahead)?;
    let mut scout = Scout::new(reader, how.codec, ahead as usize);
    if scout.next()?.is_none_or(|frame| !is_small(frame, block_bytes, bound)) {
        return Ok(());
    }
    let line = Members { job, decoder: how.codec.member_decoder };
    let slots = (0..seats.slots).map(|_| Member::default()).collect();
    let mut take = |member: &mut Member| {
        sink.write(&member.plain, member.crc)?;
        sink.count(member.stored.len() as u64);
        Ok(())
    };
    lane::run(job, seats.threads, slots, &line, &mut take, |lane| {
        let mut plain = 0;
        while let Some(frame) = scout.next()?.filter(|f| is_small(*f, block_bytes, bound)) {
            plain += u64::from(frame.plain);
            how.caps.check(scout.end(frame), plain)?;
            send(job, lane, &mut scout, frame)?;
        }
        Ok(())
    })
}

/// Memory of a decoder of single members: its tables.
const HAND_BYTES: u64 = 1 << 20;

fn is_small(frame: Frame, block_bytes: usize, bound: fn(usize) -> usize) -> bool {
    frame.plain as usize <= block_bytes && frame.stored as usize <= bound(block_bytes)
}

fn send(job: &Job, lane: &mut Lane<'_, Member>, scout: &mut Scout<'_>, frame: Frame) -> Result<()> {
    job.take_bytes(u64::from(frame.stored))?;
    let mut member = lane.slot()?;
    member.offset = scout.offset;
    member.want = frame.plain as usize;
    member.stored.clear();
    member.stored.extend_from_slice(scout.take(frame));
    lane.send(member)
}

/// Looks for members in stored bytes.
struct Scout<'a> {
    reader: &'a dyn Reader,
    codec: &'a Codec,
    /// Where the bytes held begin.
    offset: u64,
    held: Vec<u8>,
    begin: usize,
    ahead: usize,
    ended: bool,
}

impl<'a> Scout<'a> {
    fn new(reader: &'a dyn Reader, codec: &'a Codec, ahead: usize) -> Self {
        Self { reader, codec, offset: 0, held: Vec::new(), begin: 0, ahead, ended: false }
    }

    /// The member that comes next, all of it at hand; `None` where a stream decoder must go on.
    fn next(&mut self) -> Result<Option<Frame>> {
        loop {
            let rest = self.held.get(self.begin..).unwrap_or_default();
            if rest.is_empty() && self.ended {
                return Ok(None);
            }
            match (self.codec.extent)(rest) {
                Ok(Extent::Known(frame)) if frame.stored as usize <= rest.len() => {
                    return Ok((frame.stored > 0).then_some(frame));
                }
                Ok(Extent::Known(_) | Extent::More) if !self.ended && rest.len() < self.ahead => {
                    self.more()?;
                }
                // What is damaged is told by the stream decoder, with its place.
                _ => return Ok(None),
            }
        }
    }

    fn more(&mut self) -> Result<()> {
        self.held.drain(..self.begin);
        self.begin = 0;
        let before = self.held.len();
        let room = (self.ahead + CHUNK_BYTES as usize).saturating_sub(before);
        self.held.resize(before + room.min(CHUNK_BYTES as usize), 0);
        let part = self.held.get_mut(before..).unwrap_or_default();
        let count = fill(self.reader, self.offset + before as u64, part)?;
        self.ended = count < part.len();
        self.held.truncate(before + count);
        Ok(())
    }

    /// Where this member ends in the file.
    fn end(&self, frame: Frame) -> u64 {
        self.offset + u64::from(frame.stored)
    }

    fn take(&mut self, frame: Frame) -> &[u8] {
        let begin = self.begin;
        self.begin += frame.stored as usize;
        self.offset += u64::from(frame.stored);
        self.held.get(begin..self.begin).unwrap_or_default()
    }
}

/// A member on its way.
#[derive(Default)]
struct Member {
    offset: u64,
    want: usize,
    stored: Vec<u8>,
    plain: Vec<u8>,
    crc: Crc64,
}

struct Members<'a> {
    job: &'a Job,
    decoder: fn() -> Result<Box<dyn MemberDecoder>>,
}

impl Line for Members<'_> {
    type Slot = Member;
    type Hand = Box<dyn MemberDecoder>;

    fn hand(&self) -> Result<Self::Hand> {
        (self.decoder)()
    }

    fn work(&self, decoder: &mut Self::Hand, member: &mut Member) -> Result<()> {
        let progress = &self.job.progress;
        member.plain.resize(member.want, 0);
        let unpack = || decoder.unpack(&member.stored, &mut member.plain);
        let unpacked = progress.timed(Spent::Compress, unpack);
        unpacked.map_err(|error| error.offset(member.offset))?;
        member.crc = progress.timed(Spent::Hash, || Crc64::of(&member.plain));
        Ok(())
    }
}

/// Decodes what is left as one stream, on this thread.
fn stream(job: &Job, reader: &dyn Reader, how: &Unpacking<'_>, sink: &mut Sink<'_>) -> Result<()> {
    let (size, _) = reader.facts();
    let begin = sink.outcome.stored;
    let mut head = [0; HEAD_BYTES];
    let count = fill(reader, begin, &mut head)?;
    if count == 0 && begin > 0 {
        return Ok(());
    }
    let need = (how.codec.decoder_bytes)(head.get(..count).unwrap_or_default());
    let (buffers, rest) = job.take_memory(2 * CHUNK_BYTES + need)?.split(2 * CHUNK_BYTES);
    let mut memory = Granted::new(job, need, rest);
    let [mut input, mut output] = ChunkBuffer::halves(buffers, CHUNK_BYTES)?;
    let plain = sink.outcome.crc.bytes;
    let mut decoder = Decoder::behind(how.codec, how.caps, begin, plain)?;
    loop {
        let offset = sink.outcome.stored;
        job.take_bytes(size.saturating_sub(offset).clamp(1, CHUNK_BYTES))?;
        let read = || fill(reader, offset, input.bytes());
        let count = job.progress.timed(Spent::SourceRead, read)?;
        let chunk = input.bytes().get(..count).unwrap_or_default();
        if chunk.is_empty() {
            break;
        }
        decoder.take(chunk, output.bytes(), &mut |bytes| memory.take(bytes), &mut |plain| {
            job.pass()?;
            sink.write(plain, Crc64::of(plain))
        })?;
        sink.count(count as u64);
    }
    decoder.finish()
}

/// Enough to see what the beginning of any form says about memory.
const HEAD_BYTES: usize = 64;

/// Memory for a decoder: what was taken at first, then what is free.
pub struct Granted<'a> {
    job: &'a Job,
    left: u64,
    taken: Vec<Permit>,
}

impl<'a> Granted<'a> {
    /// A decoder that was granted `bytes` by this permit.
    #[must_use]
    pub fn new(job: &'a Job, bytes: u64, permit: Permit) -> Self {
        Self { job, left: bytes, taken: vec![permit] }
    }

    /// Grants memory.
    ///
    /// # Errors
    /// `Memory`: who holds some must not wait for more.
    pub fn take(&mut self, bytes: u64) -> Result<()> {
        let from_left = bytes.min(self.left);
        self.left -= from_left;
        if bytes > from_left {
            let more = self.job.engine.budget.try_take(bytes - from_left);
            let message = "a later part of the file wants more memory than is free";
            self.taken.push(more.ok_or_else(|| EngineError::new(Kind::Memory, message))?);
        }
        Ok(())
    }
}
