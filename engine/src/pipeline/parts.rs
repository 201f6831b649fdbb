//! One large file by several threads: each takes the next unit, reads it, writes it, digests it.
//!
//! With a digest that combines, a unit is a part, digested by itself and joined at the end. Other
//! digests need their bytes in order: a unit is a chunk then, and each thread waits for its turn
//! with its chunk in hand, while the others read and write ahead. So the digest's own speed is the
//! only bound, and no thread is there for hashing alone.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::endpoint::contract::{Intake, Reader};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::journal::partial::PartReceipt;
use crate::limits::PART_BYTES;
use crate::model::digest::{Algorithm, Digest, Hasher};
use crate::model::item::Handle;
use crate::model::parts::{PartDigest, PartHasher, join, part_bytes};
use crate::pipeline::content::{self, ChunkBuffer, Content, Cursor, Step};
use crate::pipeline::hashers::{Hashers, Turn, agrees, part_digest};
use crate::pipeline::hedge::{Attempt, Flight, Flights};
use crate::pipeline::receipts::Receipts;
use crate::platform::process;
use crate::progress::{Shown, Spent, add};
use crate::resource::gate::Gate;

/// Longest wait for a turn before looking whether the job is still wanted.
const TURN_WAIT: Duration = Duration::from_millis(100);
/// How long apart whoever has nothing else to do looks for units that are late.
const LATE_WAIT: Duration = Duration::from_millis(20);

/// Threads for which there must be memory before their buffers are wide.
const WIDE_THREADS: usize = 4;

/// A large file on its way.
pub struct Large<'a> {
    /// The job.
    pub job: &'a Job,
    /// Where its bytes come from.
    pub reader: &'a dyn Reader,
    /// Where they go; nowhere when they are only digested.
    pub intake: Option<&'a dyn Intake>,
    /// Its name, for show.
    pub path: &'a [u8],
    /// The digest of the whole.
    pub algorithm: Option<Algorithm>,
    /// What its store says is the CRC of the whole, by another algorithm.
    pub stored: Option<Digest>,
    /// Whether digests of parts are kept too.
    pub pieces: bool,
    /// Whether holes are looked for, and left out.
    pub holes: bool,
    /// Whether its bytes come over a network: all threads begin then, since they only wait.
    pub remote: bool,
    /// Threads at most.
    pub threads: usize,
    /// Bytes read at once.
    pub chunk_bytes: u64,
    /// Where parts that are done are recorded, and those of earlier attempts found.
    pub receipts: Option<Receipts<'a>>,
}

/// What became of a large file.
pub struct Moved {
    /// What was read.
    pub content: Content,
    /// Digests of its parts, in order; empty where they were not asked for.
    pub pieces: Vec<PartDigest>,
    /// Bytes written, where they are not those read.
    pub stored: Option<u64>,
    /// Whether the storage copied it by itself.
    pub offloaded: bool,
}

impl Large<'_> {
    /// Moves it, on this thread and on others as far as memory and workers go.
    ///
    /// # Errors
    /// Those of reader and intake, `Cancelled`.
    pub fn run(mut self, buffer: &mut ChunkBuffer) -> Result<Moved> {
        let mut wide = self.wide();
        let buffer = wide.as_mut().unwrap_or(buffer);
        let work = Work::new(self);
        if work.large.receipts.as_ref().is_some_and(|receipts| !receipts.earlier.is_empty()) {
            work.everybody(buffer, &|buffer| work.check_earlier(buffer))?;
        }
        work.everybody(buffer, &|buffer| work.until_done(buffer))?;
        work.finish()
    }

    /// A buffer for units that are worth a request each, as far as there is memory: a digest that
    /// needs order holds each in memory until its turn.
    fn wide(&mut self) -> Option<ChunkBuffer> {
        let sent = self.intake.and_then(Intake::part_bytes).is_some();
        if !self.remote || sent || self.algorithm.is_none_or(Algorithm::combines) {
            return None;
        }
        let mut bytes = PART_BYTES;
        while bytes > self.chunk_bytes {
            // Wide for some of the threads: for one alone they would only be fewer.
            let most = self.threads.clamp(1, WIDE_THREADS) as u64;
            let fits = self.job.engine.budget.try_take(bytes * most).is_some();
            if let Some(wide) = ChunkBuffer::spare(self.job, bytes).filter(|_| fits) {
                self.chunk_bytes = bytes;
                return Some(wide);
            }
            bytes /= 2;
        }
        None
    }
}

/// What is known of one part.
#[derive(Clone, Copy, Default)]
struct Part {
    /// Bytes of it that are done.
    bytes: u64,
    /// What it adds to the digest of the whole, where that combines.
    whole: Option<PartDigest>,
    /// Its own digest.
    piece: Option<PartDigest>,
    /// Whether an earlier attempt wrote it, and it was found to stand.
    stands: bool,
}

struct Work<'a> {
    large: Large<'a>,
    size: u64,
    /// Bytes of a part.
    part_bytes: u64,
    /// Whether parts are written whole.
    sent: bool,
    /// Bytes each thread takes at once: a part, or a chunk where order matters.
    unit: u64,
    ordered: bool,
    /// The algorithm of single parts, where they are asked for.
    piece: Option<Algorithm>,
    next: AtomicU64,
    gate: Gate,
    flights: Flights<'a>,
    /// Receipts of earlier attempts that were looked at.
    checked: AtomicU64,
    parts: Mutex<Vec<Part>>,
    turn: (Mutex<Turn>, Condvar),
    /// The source for the storage's own copying, as long as that works.
    offload: Option<Handle>,
    offloads: AtomicBool,
    recording: Mutex<()>,
    stop: AtomicBool,
    failed: Mutex<Option<EngineError>>,
    short: AtomicBool,
    shown: Option<Shown<'a>>,
}

impl<'a> Work<'a> {
    fn new(large: Large<'a>) -> Self {
        let (size, _) = large.reader.facts();
        let sent = large.intake.and_then(Intake::part_bytes);
        // Subtrees of BLAKE3 are as long as a power of two.
        let is_tree = |algorithm| algorithm == Algorithm::Blake3;
        let apart = |algorithm: Algorithm| {
            algorithm.combines()
                && !(is_tree(algorithm) && sent.is_some_and(|part| !part.is_power_of_two()))
        };
        let ordered = large.algorithm.is_some_and(|algorithm| !apart(algorithm));
        let chunk = sent.unwrap_or(1u64 << large.chunk_bytes.min(PART_BYTES).ilog2());
        let keeps_parts = large.pieces || large.receipts.is_some();
        let piece = keeps_parts.then(|| large.algorithm.unwrap_or(Algorithm::Crc64Nvme).of_parts());
        // What the destination checks itself goes before what a manifest would list.
        let stored = large.stored.as_ref().map(|digest| digest.algorithm);
        let piece = large.intake.and_then(Intake::part_digest).or(stored).or(piece);
        let digests = large.algorithm.is_some() || piece.is_some();
        let offload = (!digests && !large.holes).then(|| large.reader.handle());
        let part_bytes = sent.unwrap_or_else(|| part_bytes(size));
        let parts = vec![Part::default(); size.div_ceil(part_bytes) as usize];
        let turn = Turn {
            unit: 0,
            hasher: large.algorithm.filter(|_| ordered).map(Hasher::new),
            piece: None,
        };
        Self {
            unit: if ordered { chunk } else { part_bytes },
            part_bytes,
            sent: sent.is_some(),
            shown: large.job.show(large.path, size),
            offloads: AtomicBool::new(offload.is_some()),
            size,
            ordered,
            piece,
            next: AtomicU64::new(0),
            gate: Gate::new(
                if large.remote || sent.is_some() { large.threads } else { process::cores() },
                large.threads,
            ),
            flights: Flights::new(large.job),
            checked: AtomicU64::new(0),
            parts: Mutex::new(parts),
            turn: (Mutex::new(turn), Condvar::new()),
            offload,
            recording: Mutex::new(()),
            stop: AtomicBool::new(false),
            failed: Mutex::new(None),
            short: AtomicBool::new(false),
            large,
        }
    }

    /// Has `work` done on this thread, and on others where memory and workers allow.
    fn everybody(
        &self,
        buffer: &mut ChunkBuffer,
        work: &(dyn Fn(&mut ChunkBuffer) + Sync),
    ) -> Result<()> {
        let job = self.large.job;
        let others = self.threads() - 1;
        if others == 0 {
            work(buffer);
            return Ok(());
        }
        let follow = || {
            if let Some(mut spare) = ChunkBuffer::spare(job, self.large.chunk_bytes) {
                work(&mut spare);
            }
        };
        job.engine.workers.run(others, follow, || work(buffer))
    }

    /// Looks which parts of an earlier attempt stand where their receipts say.
    fn check_earlier(&self, buffer: &mut ChunkBuffer) {
        let Some(receipts) = &self.large.receipts else {
            return;
        };
        while !self.stop.load(Ordering::Acquire) {
            let at = self.checked.fetch_add(1, Ordering::Relaxed) as usize;
            let Some((index, receipt)) = receipts.earlier.get(at) else {
                return;
            };
            let start = index * self.part_bytes;
            let end = (start + self.part_bytes).min(self.size);
            match self.stands(start, end, receipt, buffer) {
                Ok(true) => {
                    let (whole, piece) = (receipt.whole, Some(receipt.piece));
                    self.with_part(start, |part| {
                        *part = Part { bytes: 0, whole, piece, stands: true };
                    });
                }
                Ok(false) => {}
                Err(error) => self.fail(error),
            }
        }
    }

    fn threads(&self) -> usize {
        self.large.threads.min(self.size.div_ceil(self.unit) as usize).max(1)
    }

    /// Works until nothing is left. The first failure stops everybody.
    fn until_done(&self, buffer: &mut ChunkBuffer) {
        while !self.is_over() {
            // Entered before a unit is taken: whoever has one is never held up here.
            let slot = match self.gate.enter(&self.large.job.switch, || self.is_over()) {
                Ok(slot) => slot,
                Err(error) => return self.fail(error),
            };
            let unit = self.next.fetch_add(1, Ordering::Relaxed);
            let start = unit * self.unit;
            if start >= self.size {
                break;
            }
            let end = (start + self.unit).min(self.size);
            let flight = self.flights.begin(unit);
            let done = flight.on(Attempt::First, || match self.ordered {
                true => self.in_turn(&flight, start, end, buffer),
                false => self.part(&flight, start, end, buffer),
            });
            self.flights.end(&flight);
            // What was taken by a second attempt is that one's to answer for.
            let done = if flight.is_lost(Attempt::First) {
                self.large.reader.leave(start..end);
                Ok(())
            } else {
                done
            };
            let done = done.and_then(|()| self.record(false));
            if let Err(error) = done {
                self.fail(error);
            }
            self.gate.did(end - start);
            drop(slot);
        }
        self.watch(buffer);
    }

    /// Watches over the units that others are about, one of those who have nothing else to do.
    fn watch(&self, buffer: &mut ChunkBuffer) {
        if !self.may_double() || !self.flights.watch() {
            return;
        }
        while self.flights.any() && !self.stop.load(Ordering::Acquire) {
            self.second(None, Some(buffer));
            if self.large.job.switch.sleep(LATE_WAIT).is_err() {
                break;
            }
        }
        self.flights.unwatch();
    }

    /// Whether a unit may be done by two at once.
    fn may_double(&self) -> bool {
        let doubles = |intake: &dyn Intake| !self.sent || intake.doubles();
        let waits = self.large.remote || self.sent;
        waits && self.large.intake.is_none_or(doubles) && !self.offloads.load(Ordering::Relaxed)
    }

    /// Does a unit that is late a second time, this one or any. The first attempt may still end
    /// before: then nothing comes of this one, and of what fails in it neither.
    fn second(&self, unit: Option<u64>, buffer: Option<&mut ChunkBuffer>) {
        let late = if self.may_double() { self.flights.late(unit) } else { None };
        let Some(flight) = late else {
            return;
        };
        let start = flight.unit * self.unit;
        let end = (start + self.unit).min(self.size);
        let mut spare;
        let buffer = match buffer.filter(|own| own.capacity() as u64 >= end - start) {
            Some(own) => own,
            None => match ChunkBuffer::spare(self.large.job, end - start) {
                Some(had) => {
                    spare = had;
                    &mut spare
                }
                None => return,
            },
        };
        let done = flight.on(Attempt::Second, || self.again(&flight, start, end, buffer));
        if flight.is_lost(Attempt::Second) {
            self.large.reader.leave(start..end);
        }
        if flight.is_lost(Attempt::First)
            && let Err(error) = done
        {
            self.fail(error);
        }
    }

    /// A unit from its beginning, all of which is in hand before anything is changed.
    fn again(&self, flight: &Flight, start: u64, end: u64, buffer: &mut ChunkBuffer) -> Result<()> {
        let count = content::fill(self.large.job, self.large.reader, start..end, buffer.bytes())?;
        if count as u64 != end - start {
            return Ok(());
        }
        let chunk = buffer.bytes().get(..count).unwrap_or_default();
        let mut hashers = Hashers::new(self.large.algorithm, self.piece, start);
        if !self.ordered {
            hashers.update(chunk);
        }
        if self.sent {
            let piece = part_digest(self.piece, start, chunk);
            self.write_part(start, chunk, piece)?;
        }
        if !flight.take(Attempt::Second) {
            return Ok(());
        }
        self.flights.end(flight);
        if !self.sent {
            self.write(start, chunk)?;
        }
        if self.ordered {
            return self.digested(flight.unit, start, end, chunk, false);
        }
        let (whole, piece) = hashers.finish();
        self.with_part(start, |part| {
            *part = Part { bytes: end - start, whole, piece, stands: false };
        });
        self.count(end - start - flight.counted());
        Ok(())
    }

    /// Whether no unit is left, or everything stops.
    fn is_over(&self) -> bool {
        let next = self.next.load(Ordering::Relaxed);
        self.stop.load(Ordering::Acquire) || next * self.unit >= self.size
    }

    fn fail(&self, error: EngineError) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get_or_insert(error);
        self.halt();
    }

    fn halt(&self) {
        self.stop.store(true, Ordering::Release);
        self.turn.1.notify_all();
    }

    /// The source ended before its size.
    fn ran_short(&self) {
        self.short.store(true, Ordering::Release);
        self.halt();
    }

    fn count(&self, bytes: u64) {
        add(&self.large.job.progress.bytes_done, bytes);
        if let Some(shown) = &self.shown {
            shown.add(bytes);
        }
    }

    fn with_part<T>(&self, offset: u64, with: impl FnOnce(&mut Part) -> T) -> Option<T> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.get_mut((offset / self.part_bytes) as usize).map(with)
    }

    /// A part whose digests need no order.
    fn part(&self, flight: &Flight, start: u64, end: u64, buffer: &mut ChunkBuffer) -> Result<()> {
        if self.with_part(start, |part| part.stands).unwrap_or_default() {
            flight.stood();
            self.with_part(start, |part| part.bytes = end - start);
            self.count(end - start);
            return Ok(());
        }
        if self.sent {
            return self.send(flight, start, end, buffer);
        }
        let mut hashers = Hashers::new(self.large.algorithm, self.piece, start);
        self.large.reader.expect(start..end);
        let (job, reader) = (self.large.job, self.large.reader);
        let mut cursor = Cursor::new(job, reader, self.large.holes);
        let mut offset = start;
        while offset < end {
            if let Some(count) = self.offloaded(offset, end - offset)? {
                offset += count;
                self.count(count);
                continue;
            }
            let count = match cursor.step(offset, end, buffer.bytes())? {
                Step::End => {
                    return {
                        self.ran_short();
                        Ok(())
                    };
                }
                Step::Hole(count) => {
                    self.clear(offset, count)?;
                    job.progress.timed(Spent::Hash, || hashers.zeros(count));
                    count
                }
                Step::Data(count) => {
                    let chunk = buffer.bytes().get(..count).unwrap_or_default();
                    job.progress.timed(Spent::Hash, || hashers.update(chunk));
                    flight.write(count as u64, || self.write(offset, chunk))?;
                    count as u64
                }
            };
            offset += count;
            self.count(count);
        }
        if !flight.take(Attempt::First) {
            return Ok(());
        }
        let (whole, piece) = hashers.finish();
        self.with_part(start, |part| {
            *part = Part { bytes: end - start, whole, piece, stands: false };
        });
        Ok(())
    }

    /// A part that is read whole, digested, and written at once.
    fn send(&self, flight: &Flight, start: u64, end: u64, buffer: &mut ChunkBuffer) -> Result<()> {
        if self.offloaded(start, end - start)? == Some(end - start) {
            self.with_part(start, |part| part.bytes = end - start);
            self.count(end - start);
            return Ok(());
        }
        let job = self.large.job;
        let count = content::fill(job, self.large.reader, start..end, buffer.bytes())?;
        if count as u64 != end - start {
            self.ran_short();
            return Ok(());
        }
        let chunk = buffer.bytes().get(..count).unwrap_or_default();
        let mut hashers = Hashers::new(self.large.algorithm, self.piece, start);
        job.progress.timed(Spent::Hash, || hashers.update(chunk));
        let (whole, piece) = hashers.finish();
        self.write_part(start, chunk, piece)?;
        if !flight.take(Attempt::First) {
            return Ok(());
        }
        self.with_part(start, |part| {
            *part = Part { bytes: end - start, whole, piece, stands: false };
        });
        self.count(end - start);
        Ok(())
    }

    fn write_part(&self, offset: u64, chunk: &[u8], piece: Option<PartDigest>) -> Result<()> {
        let Some(intake) = self.large.intake else {
            return Ok(());
        };
        let write = || intake.write_part(offset, chunk, piece);
        self.large.job.progress.timed(Spent::DestinationWrite, write)
    }

    fn write(&self, offset: u64, chunk: &[u8]) -> Result<()> {
        let Some(intake) = self.large.intake else {
            return Ok(());
        };
        let write = || intake.write_at(offset, chunk);
        self.large.job.progress.timed(Spent::DestinationWrite, write)
    }

    /// Makes sure that a hole is one: a file of an earlier attempt may hold anything there.
    fn clear(&self, offset: u64, count: u64) -> Result<()> {
        let adopted = self.large.receipts.as_ref().is_some_and(|receipts| receipts.adopted);
        match self.large.intake.filter(|_| adopted) {
            Some(intake) => {
                let clear = || intake.clear(offset, count);
                self.large.job.progress.timed(Spent::DestinationWrite, clear)
            }
            None => Ok(()),
        }
    }

    /// Lets the storage copy; `None` when bytes must be read and written.
    fn offloaded(&self, offset: u64, length: u64) -> Result<Option<u64>> {
        let source = self.offload.as_ref().filter(|_| self.offloads.load(Ordering::Relaxed));
        let (Some(source), Some(intake)) = (source, self.large.intake) else {
            return Ok(None);
        };
        self.large.job.take_bytes(length)?;
        let offload = || intake.offload(source, offset, length);
        let count = self.large.job.progress.timed(Spent::DestinationWrite, offload)?;
        if count.is_none() {
            self.offloads.store(false, Ordering::Relaxed);
        }
        Ok(count)
    }

    /// Whether an earlier attempt wrote this part, and it still stands there: its receipt is
    /// compared with what is read back, since a size alone proves nothing.
    fn stands(
        &self,
        start: u64,
        end: u64,
        receipt: &PartReceipt,
        buffer: &mut ChunkBuffer,
    ) -> Result<bool> {
        let hasher = self.piece.and_then(|algorithm| PartHasher::new(algorithm, start));
        let (Some(mut hasher), Some(intake)) = (hasher, self.large.intake) else {
            return Ok(false);
        };
        if let Some(stands) =
            intake.stands(start, end - start, receipt.piece, receipt.tag.as_deref())?
        {
            return Ok(stands);
        }
        let mut offset = start;
        while offset < end {
            self.large.job.pass()?;
            let want = (end - offset).min(buffer.bytes().len() as u64) as usize;
            let chunk = buffer.bytes().get_mut(..want).unwrap_or_default();
            let read = || intake.read_at(offset, chunk, false);
            let count = self.large.job.progress.timed(Spent::SourceRead, read)?;
            if count == 0 {
                return Ok(false);
            }
            hasher.update(chunk.get(..count).unwrap_or_default());
            offset += count as u64;
        }
        Ok(hasher.finish() == receipt.piece)
    }

    /// A chunk whose digest needs order: read and written at once, digested in its turn.
    fn in_turn(
        &self,
        flight: &Flight,
        start: u64,
        end: u64,
        buffer: &mut ChunkBuffer,
    ) -> Result<()> {
        self.large.reader.expect(start..end);
        let part = start / self.part_bytes * self.part_bytes;
        let stands = self.with_part(part, |part| part.stands).unwrap_or_default();
        if stands {
            flight.stood();
        }
        let mut cursor = Cursor::new(self.large.job, self.large.reader, self.large.holes);
        let mut offset = start;
        while offset < end {
            let at = (offset - start) as usize;
            let into = buffer.bytes().get_mut(at..(end - start) as usize).unwrap_or_default();
            offset += match cursor.step(offset, end, into)? {
                Step::End => {
                    return {
                        self.ran_short();
                        Ok(())
                    };
                }
                Step::Hole(count) => {
                    if !stands {
                        self.clear(offset, count)?;
                    }
                    into.get_mut(..count as usize).unwrap_or_default().fill(0);
                    count
                }
                Step::Data(count) => {
                    if !stands && !self.sent {
                        let chunk = into.get(..count).unwrap_or_default();
                        flight.write(0, || self.write(offset, chunk))?;
                    }
                    count as u64
                }
            };
        }
        let chunk = buffer.bytes().get(..(end - start) as usize).unwrap_or_default();
        if self.sent && !stands {
            self.write_part(start, chunk, part_digest(self.piece, start, chunk))?;
        }
        if !flight.take(Attempt::First) {
            return Ok(());
        }
        self.flights.end(flight);
        self.digested(flight.unit, start, end, chunk, stands)
    }

    /// Digests a chunk in its turn.
    fn digested(&self, unit: u64, start: u64, end: u64, chunk: &[u8], stands: bool) -> Result<()> {
        let part = start / self.part_bytes * self.part_bytes;
        let part_end = (part + self.part_bytes).min(self.size);
        let Some(mut turn) = self.wait_for(unit)? else {
            return Ok(());
        };
        self.large.job.progress.timed(Spent::Hash, || turn.update(self.piece, chunk));
        let piece = if end == part_end { turn.piece.take().map(PartHasher::finish) } else { None };
        turn.unit += 1;
        drop(turn);
        self.turn.1.notify_all();
        self.count(end - start);
        if end == part_end {
            self.with_part(part, |known| {
                *known = Part { bytes: part_end - part, whole: None, piece, stands };
            });
        }
        Ok(())
    }

    /// Waits until it is this unit's turn; `None` when everything stops.
    fn wait_for(&self, unit: u64) -> Result<Option<std::sync::MutexGuard<'_, Turn>>> {
        let (lock, changed) = &self.turn;
        let mut turn = lock.lock().unwrap_or_else(PoisonError::into_inner);
        while turn.unit != unit {
            if self.stop.load(Ordering::Acquire) {
                return Ok(None);
            }
            if self.large.job.switch.is_cancelled() {
                return Err(EngineError::cancelled());
            }
            let waited = changed.wait_timeout(turn, TURN_WAIT);
            turn = waited.unwrap_or_else(PoisonError::into_inner).0;
            let late = turn.unit;
            if late != unit {
                // All wait for that one: whoever can does it a second time.
                drop(turn);
                self.second(Some(late), None);
                turn = lock.lock().unwrap_or_else(PoisonError::into_inner);
            }
        }
        Ok(Some(turn))
    }

    /// Records parts that are done, once they are worth it, or `now`.
    fn record(&self, now: bool) -> Result<()> {
        // One at a time: the others go on meanwhile.
        let Ok(_recording) = self.recording.try_lock() else {
            return Ok(());
        };
        let receipts = self.large.receipts.as_ref().filter(|receipts| now || receipts.are_due());
        let (Some(receipts), Some(intake)) = (receipts, self.large.intake) else {
            return Ok(());
        };
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let done = parts.iter().enumerate().filter(|(_, part)| part.bytes > 0);
        let done = done.filter_map(|(index, part)| {
            let index = index as u64;
            let tag = intake.part_tag(index * self.part_bytes);
            Some((index, PartReceipt { whole: part.whole, piece: part.piece?, tag }))
        });
        let fresh = receipts.fresh(done);
        drop(parts);
        receipts.commit(self.large.job, intake, &fresh)
    }

    /// Whether digests of parts join to the one that the source's store tells.
    fn sums_stored(&self) -> bool {
        self.large.stored.as_ref().map(|stored| stored.algorithm) == self.piece
    }

    fn finish(self) -> Result<Moved> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(error) = failed {
            // What was written until then serves the next attempt, unless writing is what failed.
            if error.kind() != Kind::DestinationWrite {
                let _ = self.record(true);
            }
            return Err(error);
        }
        if self.sent {
            // Parts stand by themselves: they serve the next attempt even if nothing comes of this.
            self.record(true)?;
        }
        let sums_stored = self.sums_stored();
        let parts = self.parts.into_inner().unwrap_or_else(PoisonError::into_inner);
        let bytes = parts.iter().map(|part| part.bytes).sum();
        let short = self.short.into_inner();
        let whole = !short && bytes == self.size && self.large.reader.unchanged()?;
        let turn = self.turn.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let digest = match self.large.algorithm {
            Some(_) if self.ordered => turn.hasher.map(Hasher::finish),
            Some(algorithm) => {
                let whole: Vec<PartDigest> = parts.iter().filter_map(|part| part.whole).collect();
                join(algorithm, &whole)
            }
            None => None,
        };
        let digests: Vec<Digest> = digest.into_iter().collect();
        if let Some(stored) = self.large.stored.as_ref().filter(|_| whole && sums_stored) {
            let pieces: Vec<PartDigest> = parts.iter().filter_map(|part| part.piece).collect();
            let read = join(stored.algorithm, &pieces);
            agrees(stored, read.as_ref())?;
        }
        let pieces = parts.iter().filter_map(|part| part.piece).collect();
        let offloaded = self.offloads.into_inner();
        Ok(Moved { content: Content { bytes, digests, whole }, pieces, stored: None, offloaded })
    }
}
