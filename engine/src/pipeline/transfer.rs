//! One file from its source to its temporary name: by sharing storage, by parts, or as a stream.

use std::ops::Range;

use crate::endpoint::contract::{
    Becoming, Intake, ObjectSink, ObjectSource, Place, Reader, Shape, Target,
};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::journal::partial::Begun;
use crate::limits::CHANGED_ATTEMPTS;
use crate::model::choice::{Consent, Durable};
use crate::model::digest::{Digest, Hasher};
use crate::model::item::{Attributes, Handle, Identity, Item};
use crate::model::parts::part_bytes;
use crate::model::path::temp_name;
use crate::pipeline::content::{self, ChunkBuffer, Content, Reading};
use crate::pipeline::copy::{CopyOptions, Made, Tally};
use crate::pipeline::gather::{Gather, Memory, noted};
use crate::pipeline::hashers::{agrees, part_digest};
use crate::pipeline::parts::{Large, Moved};
use crate::pipeline::receipts::Receipts;
use crate::pipeline::recode::Way;
use crate::pipeline::served;
use crate::plan::method::is_large;
use crate::progress::{Spent, add};

/// Size from which sharing storage is tried: below it a copy costs less than asking.
const SHARE_BYTES_MIN: u64 = 64 << 10;

/// A file to be copied.
pub struct Transfer<'a> {
    /// The job.
    pub job: &'a Job,
    /// Where from.
    pub source: &'a dyn ObjectSource,
    /// Where to.
    pub sink: &'a dyn ObjectSink,
    /// How.
    pub options: &'a CopyOptions,
    /// Counts of methods.
    pub tally: &'a Tally,
    /// What happens to it on its way.
    pub way: Option<Way>,
    /// Which.
    pub item: &'a Item,
    /// Into which directory.
    pub place: &'a Place,
    /// Under which name.
    pub target: &'a Target,
}

/// A temporary file, new or taken over from an earlier attempt.
struct Draft<'a> {
    intake: Box<dyn Intake>,
    receipts: Option<Receipts<'a>>,
}

impl Transfer<'_> {
    /// Copies it, again when it changed meanwhile.
    ///
    /// # Errors
    /// What fails the item; its temporary file is removed.
    pub fn run(&self, buffer: &mut ChunkBuffer) -> Result<Made> {
        if let Some(made) = self.offered()? {
            return Ok(made);
        }
        for attempt in 1..=CHANGED_ATTEMPTS {
            if let Some(made) = self.attempt(buffer)? {
                return Ok(made);
            }
            if attempt < CHANGED_ATTEMPTS {
                add(&self.job.progress.retries, 1);
                let message = "changed while it was read; it is read again";
                let warning = EngineError::new(Kind::SourceChanged, message);
                self.job.warn_about(warning, self.item.path.as_bytes());
            }
        }
        Err(EngineError::new(Kind::SourceChanged, "the source kept changing while it was read"))
    }

    /// The file copied by the destination itself, where it holds the source too and the digest asked
    /// for is known there; `None` where it must be read.
    fn offered(&self) -> Result<Option<Made>> {
        if self.way.is_some() || !self.sink.copies(&self.source.home()) {
            return Ok(None);
        }
        if !self.tally.may_serve(&self.item.path) {
            return Ok(None);
        }
        let progress = &self.job.progress;
        let Some(offer) = progress.timed(Spent::SourceRead, || self.source.offer(self.item))?
        else {
            return Ok(None);
        };
        let algorithm = self.options.algorithm;
        let known = |a| offer.digests.iter().find(|digest| digest.algorithm == a).cloned();
        let digest = algorithm.and_then(known);
        if (algorithm.is_some() && digest.is_none()) || self.options.pieces {
            return Ok(None);
        }
        self.job.pass()?;
        let target = self.target.with(offer.extended);
        let attributes = &offer.item.attributes;
        let becoming = Becoming { target: &target, attributes };
        let temp = temp_name(&self.job.name, self.job.next_temp());
        let size = offer.item.size;
        let shape = Shape { served: true, ..Shape::dense(size) };
        let intake = self.sink.begin(self.place, &temp, shape, becoming)?;
        let copy = || self.copy_there(&*intake, &offer.handle, size);
        match progress.timed(Spent::DestinationWrite, copy) {
            Ok(true) => {}
            // What changes meanwhile is read, from its beginning each time.
            Err(error) if error.kind() == Kind::SourceChanged => {
                intake.abort();
                return Ok(None);
            }
            Err(error) if error.kind() != Kind::CopyDeclined => {
                intake.abort();
                return Err(error);
            }
            Ok(false) | Err(_) => {
                self.tally.count_decline();
                intake.abort();
                return Ok(None);
            }
        }
        let staged = intake.seal(size, attributes, &target)?;
        add(&self.tally.served, 1);
        add(&progress.bytes_done, size);
        let digests = digest.into_iter().collect();
        let (pieces, stored, read) = (Vec::new(), None, Some(offer.item.attributes));
        Ok(Some(Made::Ready { bytes: size, digests, pieces, stored, attributes: read, staged }))
    }

    /// Has the destination copy the whole, or each part; false where it cannot.
    fn copy_there(&self, intake: &dyn Intake, from: &Handle, size: u64) -> Result<bool> {
        if intake.share(from)? {
            return Ok(true);
        }
        if size == 0 || intake.part_bytes().is_none() {
            return Ok(false);
        }
        noted(self.job.notes().as_ref(), intake)?;
        served::copy_parts(self.job, intake, from, size, self.options.parallel_chunks)
    }

    /// One reading of the file; `None` when it changed meanwhile.
    fn attempt(&self, buffer: &mut ChunkBuffer) -> Result<Option<Made>> {
        let progress = &self.job.progress;
        let reader = progress.timed(Spent::SourceRead, || self.source.open(self.item))?;
        let (size, attributes) = reader.facts();
        let mut extended = reader.extended(self.target.carry)?;
        if self.way.is_some() {
            // What is recoded on its way is not coded as it was.
            extended.fields.retain(|(name, _)| name != "content-encoding");
        }
        let target = self.target.with(extended);
        let sparse = self.options.carry.holes && attributes.allocated < size && self.way.is_none();
        let durable = self.options.durable == Durable::PowerLoss;
        let mode = if self.options.carry.mode { attributes.mode & 0o777 } else { 0o666 };
        let further = self.options.carry.hard_links && attributes.links > 1;
        let named = further || is_large(size) || self.options.read_back;
        let unnamed = self.target.consent == Consent::New && !named;
        // What is read in one goes as a stream, whatever its size.
        let told = if reader.in_one() { 0 } else { size };
        // A size told as 0 may be any.
        let open = self.way.is_some() || told == 0;
        let shape = Shape { bytes: told, open, sparse, durable, unnamed, mode, ..Shape::default() };
        let becoming = Becoming { target: &target, attributes: &attributes };
        // What is recorded of it is the state that is read, whatever the survey saw.
        let opened = Item { size, attributes, identity: reader.identity(), ..self.item.clone() };
        let Draft { intake, receipts } =
            progress.timed(Spent::DestinationWrite, || self.draft(&opened, shape, becoming))?;
        let moved = match (self.way, intake.part_bytes()) {
            (Some(way), _) => self.recoded(way, &*reader, &*intake, buffer),
            (None, Some(bytes)) => self.sent(&*reader, &*intake, receipts, bytes),
            (None, None) => self.moved(&*reader, &*intake, receipts, sparse, buffer),
        };
        match moved {
            Ok(moved) if moved.content.whole => {
                if let Err(error) = agree(reader.stored(), &moved.content.digests) {
                    intake.abort();
                    return Err(error);
                }
                self.seal(intake, moved, &attributes, &target, buffer).map(Some)
            }
            Ok(moved) => {
                intake.abort();
                add(&progress.bytes_redone, moved.content.bytes);
                Ok(None)
            }
            Err(error) => {
                if self.may_go_on(&error).unwrap_or(false) {
                    // Dropped and not removed: the next attempt of the key adopts it.
                    self.job.keep_parts();
                } else {
                    intake.abort();
                }
                Err(error)
            }
        }
    }

    /// Whether the next attempt of this key may go on with what was written when it failed so.
    /// What could not be written or synced is not trusted again.
    fn may_go_on(&self, error: &EngineError) -> Result<bool> {
        let lost = matches!(error.kind(), Kind::DestinationWrite | Kind::VerifyMismatch);
        match self.job.ledger().filter(|_| !lost && self.way.is_none()) {
            None => Ok(false),
            Some(ledger) => {
                let begun = ledger.begun(self.item.path.as_bytes())?;
                Ok(begun.is_some_and(|(_, parts)| !parts.is_empty()))
            }
        }
    }

    /// A temporary file: that of an earlier attempt, as far as it speaks of this very source.
    fn draft(&self, item: &Item, shape: Shape, becoming: Becoming<'_>) -> Result<Draft<'_>> {
        let (sink, place) = (self.sink, self.place);
        let temp = temp_name(&self.job.name, self.job.next_temp());
        let ledger = self.job.ledger().filter(|_| is_large(shape.bytes) && self.way.is_none());
        let Some(ledger) = ledger else {
            let intake = sink.begin(place, &temp, shape, becoming)?;
            let intake = match (self.way, shape.bytes) {
                (Some(_), _) => Gather::around(self.job, intake, Memory::Counted),
                (None, 0) => Gather::around(self.job, intake, Memory::Waited),
                (None, _) => intake,
            };
            return Ok(Draft { intake, receipts: None });
        };
        let shape = Shape { resumes: true, ..shape };
        let algorithm = self.options.algorithm;
        let path = self.item.path.as_bytes();
        let part_bytes = sink.part_bytes(item.size).unwrap_or_else(|| part_bytes(item.size));
        let before = if ledger.is_resumed() { ledger.begun(path)? } else { None };
        let before = before.filter(|(begun, _)| begun.fits(item, algorithm, part_bytes));
        let adopted = match before {
            None => None,
            Some((begun, parts)) => {
                let intake =
                    sink.adopt(place, begun.temp(), &temp, begun.mark(), shape, becoming)?;
                intake.map(|intake| (intake, parts))
            }
        };
        let (intake, parts) = match adopted {
            Some((intake, parts)) => (intake, Some(parts)),
            None => (sink.begin(place, &temp, shape, becoming)?, None),
        };
        let token = noted(self.job.notes().as_ref(), &*intake)?;
        let named = token.as_deref().unwrap_or(&temp);
        let begun = Begun::new(item, named, intake.mark()?, algorithm, part_bytes);
        let earlier = parts.as_deref().unwrap_or_default();
        if token.is_some() || !earlier.is_empty() {
            ledger.commit_parts(path, &begun, earlier)?;
        }
        let receipts = Receipts::new(ledger, path, begun, parts, shape.durable);
        Ok(Draft { intake, receipts: Some(receipts) })
    }

    /// Sends the bytes in whole parts.
    fn sent(
        &self,
        reader: &dyn Reader,
        intake: &dyn Intake,
        receipts: Option<Receipts<'_>>,
        part_bytes: u64,
    ) -> Result<Moved> {
        let (size, _) = reader.facts();
        if size > part_bytes {
            if receipts.is_none() {
                noted(self.job.notes().as_ref(), intake)?;
            }
            let mut buffer = ChunkBuffer::new(self.job, part_bytes)?;
            let large = self.large(reader, Some(intake), receipts, false);
            return Large { chunk_bytes: part_bytes, ..large }.run(&mut buffer);
        }
        let mut buffer = ChunkBuffer::new(self.job, size.max(1))?;
        let count = content::fill(self.job, reader, 0..size, buffer.bytes())?;
        add(&self.job.progress.bytes_done, count as u64);
        let whole = count as u64 == size && reader.unchanged()?;
        let held = buffer.held(count);
        let bytes = (*held).as_ref();
        let hash = || {
            let hashers = self.options.algorithm.map(|algorithm| {
                let mut hasher = Hasher::new(algorithm);
                hasher.update(bytes);
                hasher.finish()
            });
            let other = self.other_stored(reader).map(|stored| {
                let mut hasher = Hasher::new(stored.algorithm);
                hasher.update(bytes);
                (stored, hasher.finish())
            });
            (hashers, part_digest(intake.part_digest(), 0, bytes), other)
        };
        let (digest, piece, other) = self.job.progress.timed(Spent::Hash, hash);
        if let Some((stored, read)) = other.filter(|_| whole) {
            agrees(&stored, Some(&read))?;
        }
        intake.hold(held, piece)?;
        let digests = digest.into_iter().collect();
        let content = Content { bytes: count as u64, digests, whole };
        Ok(Moved { content, pieces: Vec::new(), stored: None, offloaded: false })
    }

    /// Moves the bytes in the cheapest way there is.
    fn moved(
        &self,
        reader: &dyn Reader,
        intake: &dyn Intake,
        receipts: Option<Receipts<'_>>,
        holes: bool,
        buffer: &mut ChunkBuffer,
    ) -> Result<Moved> {
        let (size, _) = reader.facts();
        if self.shared(reader, intake, size)? {
            if self.options.algorithm.is_none() && !self.options.pieces {
                let whole = reader.unchanged()?;
                add(&self.job.progress.bytes_done, size);
                let content = Content { bytes: size, digests: Vec::new(), whole };
                return Ok(Moved { content, pieces: Vec::new(), stored: None, offloaded: false });
            }
            // What is digested is what stands at the destination.
            let copy = Copied { intake, size, device: false };
            let mut moved = self.digested(&copy, None, None, false, buffer)?;
            moved.content.whole = moved.content.whole && reader.unchanged()?;
            return Ok(moved);
        }
        if !holes {
            self.job.progress.timed(Spent::DestinationWrite, || intake.reserve(size))?;
        }
        let moved = self.digested(reader, Some(intake), receipts, holes, buffer)?;
        if moved.offloaded {
            add(&self.tally.offloaded, 1);
        }
        Ok(moved)
    }

    /// Moves the bytes through a form.
    fn recoded(
        &self,
        way: Way,
        reader: &dyn Reader,
        intake: &dyn Intake,
        buffer: &mut ChunkBuffer,
    ) -> Result<Moved> {
        let (content, stored) = way.run(self.job, reader, intake, buffer, self.reading())?;
        Ok(Moved { content, pieces: Vec::new(), stored: Some(stored), offloaded: false })
    }

    fn reading(&self) -> Reading<'_> {
        let algorithms = self.options.algorithm.as_slice();
        Reading { path: self.item.path.as_bytes(), algorithms, holes: false }
    }

    /// Whether the destination took the content by sharing the source's storage.
    fn shared(&self, reader: &dyn Reader, intake: &dyn Intake, size: u64) -> Result<bool> {
        if size < SHARE_BYTES_MIN || !self.tally.may_share() {
            return Ok(false);
        }
        self.job.pass()?;
        let share = || intake.share(&reader.handle());
        let shared = self.job.progress.timed(Spent::DestinationWrite, share)?;
        self.tally.count_share(shared);
        Ok(shared)
    }

    fn digested(
        &self,
        reader: &dyn Reader,
        intake: Option<&dyn Intake>,
        receipts: Option<Receipts<'_>>,
        holes: bool,
        buffer: &mut ChunkBuffer,
    ) -> Result<Moved> {
        let (size, _) = reader.facts();
        if is_large(size) && !reader.in_one() {
            return self.large(reader, intake, receipts, holes).run(buffer);
        }
        let other = self.other_stored(reader);
        let other_algorithm = other.as_ref().map(|digest| digest.algorithm);
        let algorithms: Vec<_> =
            self.options.algorithm.into_iter().chain(other_algorithm).collect();
        let how = Reading { holes, algorithms: &algorithms, ..self.reading() };
        let mut content = content::read(self.job, reader, buffer, how, |offset, chunk| {
            let write = || intake.map_or(Ok(()), |intake| intake.write_at(offset, chunk));
            self.job.progress.timed(Spent::DestinationWrite, write)
        })?;
        if let Some(other) = other.filter(|_| content.whole) {
            agrees(&other, content.digests.last())?;
        }
        content.digests.truncate(self.options.algorithm.iter().len());
        Ok(Moved { content, pieces: Vec::new(), stored: None, offloaded: false })
    }

    /// The CRC that the source's store holds, where it is not the digest taken.
    fn other_stored(&self, reader: &dyn Reader) -> Option<Digest> {
        let stored = reader.stored();
        let is_taken = |digest: &&Digest| Some(digest.algorithm) == self.options.algorithm;
        if stored.iter().any(|digest| is_taken(&digest)) {
            return None;
        }
        stored.iter().find(|digest| digest.algorithm.crc_join().is_some()).cloned()
    }

    fn large<'b>(
        &'b self,
        reader: &'b dyn Reader,
        intake: Option<&'b dyn Intake>,
        receipts: Option<Receipts<'b>>,
        holes: bool,
    ) -> Large<'b> {
        Large {
            job: self.job,
            reader,
            intake,
            path: self.item.path.as_bytes(),
            algorithm: self.options.algorithm,
            stored: self.other_stored(reader),
            remote: self.source.caps().remote,
            pieces: self.options.pieces,
            holes,
            threads: self.options.parallel_chunks,
            chunk_bytes: self.options.chunk_bytes,
            receipts,
        }
    }

    fn seal(
        &self,
        intake: Box<dyn Intake>,
        moved: Moved,
        attributes: &Attributes,
        target: &Target,
        buffer: &mut ChunkBuffer,
    ) -> Result<Made> {
        let Content { bytes, digests, .. } = moved.content;
        let written = moved.stored.unwrap_or(bytes);
        if self.options.read_back
            && self.sink.caps().reads_back
            && let Err(error) = self.check(&*intake, written, &digests, buffer)
        {
            intake.abort();
            return Err(error);
        }
        let seal = || intake.seal(written, attributes, target);
        let staged = self.job.progress.timed(Spent::DestinationWrite, seal)?;
        let Moved { pieces, stored, .. } = moved;
        let attributes = self.source.caps().remote.then_some(*attributes);
        Ok(Made::Ready { bytes, digests, pieces, stored, attributes, staged })
    }

    /// Reads the written bytes back from the device and compares their digest.
    fn check(
        &self,
        intake: &dyn Intake,
        bytes: u64,
        digests: &[Digest],
        buffer: &mut ChunkBuffer,
    ) -> Result<()> {
        self.job.progress.timed(Spent::Sync, || intake.sync())?;
        let copy = Copied { intake, size: bytes, device: true };
        let again = match self.way {
            Some(way) => way.read_again(self.job, &copy, buffer, self.reading())?.digests,
            None => self.digested(&copy, None, None, false, buffer)?.content.digests,
        };
        add(&self.job.progress.bytes_redone, bytes);
        if again == digests {
            return Ok(());
        }
        let message = "the bytes on the device are not the bytes written";
        Err(EngineError::new(Kind::VerifyMismatch, message))
    }
}

/// Compares the digests taken with those of the same algorithm that the source's store holds.
fn agree(stored: &[Digest], taken: &[Digest]) -> Result<()> {
    stored.iter().try_for_each(|stored| {
        agrees(stored, taken.iter().find(|taken| taken.algorithm == stored.algorithm))
    })
}

/// What stands under a temporary name, as something to read.
pub struct Copied<'a> {
    /// Where it was written.
    pub intake: &'a dyn Intake,
    /// How many bytes.
    pub size: u64,
    /// Whether it is read from the device.
    pub device: bool,
}

impl Reader for Copied<'_> {
    fn facts(&self) -> (u64, Attributes) {
        (self.size, Attributes { allocated: self.size, ..Attributes::default() })
    }

    fn identity(&self) -> Identity {
        Identity::default()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.intake.read_at(offset, buffer, self.device)
    }

    fn data(&self, offset: u64) -> Result<Option<Range<u64>>> {
        Ok((offset < self.size).then_some(offset..self.size))
    }

    fn handle(&self) -> Handle {
        Handle::default()
    }

    fn unchanged(&self) -> Result<bool> {
        Ok(true)
    }
}
