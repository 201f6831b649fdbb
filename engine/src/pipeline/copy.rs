//! Copies what a source has into a sink: content digested as it passes, checked against a source
//! that changes, published whole.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::endpoint::contract::{ObjectSink, ObjectSource, Place, Staged, Target};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::limits::{CHUNK_BYTES_RANGE, CLOCK_TICK_NS};
use crate::model::choice::{Carry, Compare, Consent, Durable, Links, OnExists};
use crate::model::digest::{Algorithm, Digest};
use crate::model::found::Found;
use crate::model::item::{Attributes, Item, ItemKind, Timestamp};
use crate::model::parts::PartDigest;
use crate::model::path::{ItemPath, is_kept, temp_name};
use crate::model::selection::Selection;
use crate::pipeline::compare::{Standing, There, same_content};
use crate::pipeline::confirm::Confirm;
use crate::pipeline::content::ChunkBuffer;
use crate::pipeline::feed::{Handler, Ticket, ends_job, feed};
use crate::pipeline::join::{Kept, Spot};
use crate::pipeline::lease::Lease;
use crate::pipeline::links::Names;
use crate::pipeline::manifest::{Listed, ManifestWriter};
use crate::pipeline::publish::{Anew, Publisher, Ready, Returned};
use crate::pipeline::recode::{Recode, Way};
use crate::pipeline::transfer::Transfer;
use crate::plan::conflict::{Decision, Rule};
use crate::platform::clock;
use crate::progress::{Spent, add};
use crate::resource::budget::Permit;

/// Files that a store may decline to copy before it is asked no more.
const DECLINES_MAX: u64 = 16;

/// A copy, resolved from its command.
#[derive(Clone, Debug)]
pub struct CopyOptions {
    /// Which items.
    pub selection: Selection,
    /// What stands there already.
    pub on_exists: OnExists,
    /// How that is told to be the same.
    pub compare: Compare,
    /// The digest taken.
    pub algorithm: Option<Algorithm>,
    /// Whether what was written is read again from the device.
    pub read_back: bool,
    /// What is carried over beside content.
    pub carry: Carry,
    /// Symbolic links.
    pub links: Links,
    /// What it survives.
    pub durable: Durable,
    /// Bytes read at once.
    pub chunk_bytes: u64,
    /// Files in hand at once.
    pub parallel_files: usize,
    /// Parts of one large file in hand at once.
    pub parallel_chunks: usize,
    /// Whether digests of parts are listed.
    pub pieces: bool,
    /// What happens to files on their way.
    pub recode: Option<Recode>,
}

/// What a copy has beside its two sides.
#[derive(Clone, Copy, Default)]
pub struct Beside<'a> {
    /// Asked before anything is published.
    pub lease: Option<&'a Lease>,
    /// The destination, to be read where contents are compared, or listed as they stand.
    pub there: Option<&'a dyn ObjectSource>,
}

/// Counts of ways that bytes went.
#[derive(Debug, Default)]
pub struct Tally {
    /// Files whose storage is shared.
    pub shared: AtomicU64,
    /// Files that the storage copied by itself.
    pub offloaded: AtomicU64,
    /// Files that an object store copied by itself.
    pub served: AtomicU64,
    /// Set once storage could not be shared.
    unshared: AtomicBool,
    /// Files that an object store would not copy.
    declined: AtomicU64,
    /// Files that are being made anew.
    anew: Mutex<BTreeMap<ItemPath, Anew>>,
}

impl Tally {
    /// Whether sharing is worth another try.
    #[must_use]
    pub fn may_share(&self) -> bool {
        !self.unshared.load(Ordering::Relaxed)
    }

    /// Notes how a try went.
    pub fn count_share(&self, shared: bool) {
        if shared {
            add(&self.shared, 1);
        } else {
            self.unshared.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a store is worth asking to copy a file by itself: not one that it declined, and none
    /// any more once it declined many and copied none.
    #[must_use]
    pub fn may_serve(&self, path: &ItemPath) -> bool {
        let declines = self.declined.load(Ordering::Relaxed) >= DECLINES_MAX;
        let hopeless = declines && self.served.load(Ordering::Relaxed) == 0;
        !hopeless && self.anew_for(path).is_none()
    }

    /// Notes that a store would not copy a file.
    pub fn count_decline(&self) {
        add(&self.declined, 1);
    }

    /// Why a file is being made anew, where it is.
    fn anew_for(&self, path: &ItemPath) -> Option<Anew> {
        self.anew.lock().unwrap_or_else(PoisonError::into_inner).get(path).copied()
    }

    /// A file that was not published is made anew, until `write` returns.
    fn anew<T>(&self, path: &ItemPath, why: Anew, write: impl FnOnce() -> T) -> T {
        if why == Anew::Declined {
            self.served.fetch_sub(1, Ordering::Relaxed);
            self.count_decline();
        }
        let anew = || self.anew.lock().unwrap_or_else(PoisonError::into_inner);
        anew().insert(path.clone(), why);
        let written = write();
        anew().remove(path);
        written
    }
}

/// Copies everything.
///
/// # Errors
/// What ends the job; items that failed by themselves are reported to the job.
pub fn copy(
    job: &Job,
    source: &dyn ObjectSource,
    sink: &dyn ObjectSink,
    options: &CopyOptions,
    manifest: Option<&ManifestWriter>,
    beside: &Beside<'_>,
) -> Result<Tally> {
    let skip_taken = options.on_exists == OnExists::Skip;
    let after = options.read_back && !sink.caps().reads_back;
    let chunk_bytes = options.chunk_bytes;
    let confirm = beside.there.filter(|_| after).map(|there| Confirm { there, chunk_bytes });
    let publisher = Publisher::new(job, sink, options.durable, manifest, skip_taken)
        .under(beside.lease)
        .confirmed(confirm.as_ref());
    let rule = Rule {
        on_exists: options.on_exists,
        compare: options.compare,
        step_ns: source.caps().mtime_step_ns.max(sink.caps().mtime_step_ns),
    };
    let copier = Copier {
        job,
        source,
        sink,
        there: beside.there,
        rule,
        options,
        publisher,
        lists: manifest.is_some(),
        names: Names::new(job, options.carry.hard_links),
        tally: Tally::default(),
        begun: Timestamp(clock::now().0 - CLOCK_TICK_NS),
    };
    let selection = &options.selection;
    job.progress.set_phase("transfer");
    let fed = feed(job, source, selection, options.links.policy(), options.parallel_files, &copier);
    let done = fed.and_then(|()| copier.publisher.flush(|ticket| ticket.end(&copier)));
    if let Err(error) = done {
        copier.publisher.discard();
        return Err(error);
    }
    if options.durable == Durable::PowerLoss {
        job.progress.set_phase("sync");
        job.progress.timed(Spent::Sync, || sink.settle())?;
    }
    Ok(copier.tally)
}

/// What all workers of a copy share.
pub(super) struct Copier<'a> {
    pub(super) job: &'a Job,
    pub(super) source: &'a dyn ObjectSource,
    pub(super) sink: &'a dyn ObjectSink,
    there: Option<&'a dyn ObjectSource>,
    pub(super) rule: Rule,
    pub(super) options: &'a CopyOptions,
    publisher: Publisher<'a, Scope>,
    /// Whether what is done is listed.
    lists: bool,
    pub(super) names: Names<'a>,
    tally: Tally,
    /// What was made since, in a directory that folds names, is this copy's own.
    begun: Timestamp,
}

/// A directory at the destination.
pub struct Directory {
    above: Option<Scope>,
    /// Its name in the one above; for a single item the item's name in it.
    name: Vec<u8>,
    /// Whether it is only what names of items begin with.
    is_prefix: bool,
    /// Opened with the first item that needs it, so that `include` makes no empty directories.
    place: Mutex<Option<Place>>,
}

/// A directory, shared by what is in it.
pub type Scope = Arc<Directory>;

impl Directory {
    fn new(above: Option<Scope>, name: &[u8], is_prefix: bool, place: Option<Place>) -> Scope {
        Arc::new(Self { above, name: name.to_vec(), is_prefix, place: Mutex::new(place) })
    }

    fn opened(&self) -> Option<Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its place, made where it is absent, those above it first.
    fn place(&self, job: &Job, sink: &dyn ObjectSink) -> Result<Place> {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = &*place {
            return Ok(place.clone());
        }
        let made = match &self.above {
            None => root(job, sink)?,
            Some(above) if self.is_prefix => {
                sink.enter_prefix(&above.place(job, sink)?, &self.name)?
            }
            Some(above) => sink.enter(&above.place(job, sink)?, &self.name)?,
        };
        Ok(place.insert(made).clone())
    }
}

/// The destination's root, the same as in earlier attempts.
///
/// # Errors
/// `ResumeRefused` for another one, and what keeps it from being opened.
pub fn root(job: &Job, sink: &dyn ObjectSink) -> Result<Place> {
    let root = sink.root_directory()?;
    if let Some(ledger) = job.ledger() {
        ledger.hold_to("destination", root.ino, root.born)?;
    }
    Ok(root)
}

impl Handler for Copier<'_> {
    type Scope = Scope;
    type Hand = (ChunkBuffer, Permit);

    fn remote(&self) -> bool {
        self.sink.caps().remote
    }

    fn hand(&self) -> Result<Self::Hand> {
        if !self.sink.caps().random_writes && self.options.recode.is_none() {
            // Parts have buffers of their own: this one only serves to compare.
            return ChunkBuffer::beside(self.job, CHUNK_BYTES_RANGE.0, 0);
        }
        let decodes = self.options.read_back || self.lists_standing();
        let bytes = |recode: Recode| recode.bytes(self.job, decodes);
        // What is recoded on its way to a store is gathered into parts.
        let part = self.options.recode.and_then(|_| self.sink.part_bytes(0)).unwrap_or_default();
        let more = self.options.recode.map_or(0, bytes) + part;
        ChunkBuffer::beside(self.job, self.options.chunk_bytes, more)
    }

    fn enter(&self, above: Option<&Scope>, directory: &Item) -> Result<Scope> {
        let is_prefix = !self.source.caps().directories;
        let scope = Directory::new(above.cloned(), directory.path.name(), is_prefix, None);
        if above.is_none() || self.options.selection.keeps_directories() {
            let open = || scope.place(self.job, self.sink);
            self.job.progress.timed(Spent::DestinationWrite, open)?;
        }
        Ok(scope)
    }

    fn alone(&self, _item: &Item) -> Result<Scope> {
        let (place, name) = self.sink.root_place()?;
        Ok(Directory::new(None, &name, false, Some(place)))
    }

    fn take(&self, hand: &mut Self::Hand, item: Item, ticket: Ticket<Scope>) -> Result<()> {
        self.job.take_op()?;
        let mut returned = self.made(&mut hand.0, item, ticket)?;
        while let Some((item, ticket, why)) = returned.pop() {
            add(&self.job.progress.bytes_redone, item.size);
            let path = item.path.clone();
            let write = || self.made(&mut hand.0, item, ticket);
            returned.extend(self.tally.anew(&path, why, write)?);
        }
        Ok(())
    }

    fn leave(&self, directory: &Item, scope: &Scope) {
        // A prefix of keys has no attributes.
        if !self.source.caps().directories {
            return;
        }
        let Some(place) = scope.opened().filter(|place| self.dresses(place)) else {
            return;
        };
        let (attributes, carry) = (&directory.attributes, self.options.carry);
        let extended = self.source.extended(directory, carry);
        match extended.and_then(|extended| self.sink.leave(&place, attributes, &extended, carry)) {
            Ok(lost) => self.job.lose(directory.path.as_bytes(), &lost),
            Err(error) => {
                add(&self.job.progress.items_total, 1);
                self.job.fail(directory.path.as_bytes(), error);
            }
        }
    }
}

/// What became of an item.
pub enum Made {
    /// Written, to be published.
    Ready {
        /// How many bytes.
        bytes: u64,
        /// Their digests.
        digests: Vec<Digest>,
        /// Digests of a large file's parts, where they are listed.
        pieces: Vec<PartDigest>,
        /// Bytes written, where they are not those read.
        stored: Option<u64>,
        /// Its attributes as they were read, where a survey told less.
        attributes: Option<Attributes>,
        /// The endpoint's part.
        staged: Staged,
    },
    /// One more name of a file whose bytes count under its first one, to be published.
    Again {
        /// The file's digests.
        digests: Vec<Digest>,
        /// The endpoint's part.
        staged: Staged,
    },
    /// Done by an earlier attempt of this command.
    Before {
        /// Bytes that count for it.
        bytes: u64,
        /// Digests taken then.
        digests: Vec<Digest>,
    },
    /// Left alone, since it stands there as it should; to be listed.
    Same(Box<Standing>),
    /// Left alone by rule.
    Skipped,
}

impl Copier<'_> {
    /// Makes an item and publishes it; gives it back where it is to be made anew.
    fn made(
        &self,
        buffer: &mut ChunkBuffer,
        item: Item,
        ticket: Ticket<Scope>,
    ) -> Result<Returned<Scope>> {
        let again = self.tally.anew_for(&item.path);
        let made = match self.item(buffer, &item, ticket.scope()) {
            Ok(Made::Ready { bytes, digests, pieces, stored, attributes, staged }) => {
                (bytes, bytes, digests, pieces, stored, attributes, staged)
            }
            Ok(Made::Again { digests, staged }) => {
                (item.size, 0, digests, Vec::new(), None, None, staged)
            }
            other => {
                self.left(item, other)?;
                ticket.end(self);
                return Ok(Vec::new());
            }
        };
        let (size, bytes, digests, pieces, stored, attributes, staged) = made;
        let ready =
            Ready { item, size, bytes, digests, pieces, stored, attributes, staged, ticket, again };
        self.publisher.add(ready, |ticket| ticket.end(self))
    }

    /// Tells of an item that nothing is published for.
    fn left(&self, item: Item, made: Result<Made>) -> Result<()> {
        match made {
            // These are published.
            Ok(Made::Ready { .. } | Made::Again { .. }) => {}
            Ok(Made::Before { bytes, digests }) => {
                add(&self.job.progress.bytes_done, item.size);
                self.job.done(item.path.as_bytes(), bytes, &digests);
                let listed = Listed { bytes: item.size, digests, ..Listed::default() };
                self.publisher.list(&item, &listed)?;
            }
            Ok(Made::Same(standing)) => {
                let Standing { item: there, bytes, digests, stored } = *standing;
                self.job.skip(item.path.as_bytes(), item.size);
                let there = Item { path: item.path, ..there };
                let listed = Listed { bytes, digests, stored, ..Listed::default() };
                self.publisher.list(&there, &listed)?;
            }
            Ok(Made::Skipped) => self.job.skip(item.path.as_bytes(), item.size),
            Err(error) => {
                let ends = ends_job(error.kind()).then(|| error.clone());
                if error.kind() != Kind::Cancelled {
                    self.job.fail(item.path.as_bytes(), error);
                }
                if let Some(error) = ends {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Whether a directory gets its attributes: those of somebody else stay, unless what they hold
    /// may be replaced too.
    fn dresses(&self, place: &Place) -> bool {
        let replaces = matches!(self.options.on_exists, OnExists::Update | OnExists::Replace);
        let made_before =
            || self.job.ledger().is_some_and(|ledger| ledger.may_have_made(place.born));
        place.made || replaces || made_before()
    }

    fn item(&self, buffer: &mut ChunkBuffer, item: &Item, scope: &Scope) -> Result<Made> {
        let renamed = self.renamed(item)?;
        let name = match &renamed {
            Some(renamed) => renamed,
            None if item.path.is_root() => &scope.name,
            None => item.path.name(),
        };
        if is_kept(name) {
            let message = "the name is kept for temporary files and leases";
            return Err(EngineError::new(Kind::NameRefused, message));
        }
        match item.kind {
            ItemKind::Special if !self.options.carry.specials => {
                let message = "a fifo, socket or device is not copied";
                return Err(EngineError::new(Kind::SourceSpecial, message));
            }
            ItemKind::Symlink if self.options.links == Links::Skip => return Ok(Made::Skipped),
            _ => {}
        }
        let place = scope.place(self.job, self.sink)?;
        // What an earlier attempt sent may have come into a place that was empty.
        let empty = place.made && self.tally.anew_for(&item.path).is_none();
        let found = if empty { None } else { self.sink.found(&place, name)? };
        let fate = self.fate(buffer, item, found.as_ref(), renamed.as_deref())?;
        let (consent, kept) = match fate {
            Fate::Written(consent) => (consent, None),
            Fate::Kept(kept) => (Consent::New, Some(kept)),
        };
        let target = &Target::new(name, consent, self.options.carry);
        let spot = Spot { place: &place, target, found: found.as_ref() };
        match kept {
            None => self.make(buffer, item, &spot),
            Some(kept) => self.keep(buffer, item, &spot, kept),
        }
    }

    /// What becomes of an item, with what stands at the destination read where that is needed.
    fn fate(
        &self,
        buffer: &mut ChunkBuffer,
        item: &Item,
        found: Option<&Found>,
        renamed: Option<&[u8]>,
    ) -> Result<Fate> {
        let decision = match self.judge(item, found)? {
            Judged::Before(digests) => return Ok(Fate::Kept(Kept::Before(digests))),
            Judged::Decided(decision) => decision,
        };
        let path = renamed.map_or_else(|| Ok(item.path.clone()), |name| item.path.sibling(name))?;
        let algorithms = if self.lists { self.options.algorithm.as_slice() } else { &[] };
        let way = self.way(item);
        let there = self.there.map(|source| There { source, path: &path, algorithms, way });
        match (decision, there, found) {
            (Decision::Skip, Some(there), Some(found)) if self.lists_standing() => {
                let standing = there.digested(self.job, found, buffer)?;
                // What cannot be read is written anew.
                let anew = Fate::Written(Consent::Replace(found.mark));
                Ok(standing.map_or(anew, Fate::standing))
            }
            (Decision::Skip, _, _) => Ok(Fate::Kept(Kept::ByRule(None))),
            (Decision::Write(consent), there, found) => {
                if let Some(there) = there.filter(|_| self.rule.asks_content(item, found))
                    && let Some(same) = same_content(self.job, self.source, there, item, buffer)?
                {
                    return Ok(Fate::standing(same));
                }
                let is_new = found.is_none() && self.tally.anew_for(&item.path).is_none();
                add(&self.job.progress.items_new, u64::from(is_new));
                Ok(Fate::Written(consent))
            }
            (Decision::Conflict(kind), _, _) => {
                let message = match kind {
                    Kind::DestinationExists => "the destination exists",
                    Kind::DestinationChanged => "another object stands there",
                    _ => "another kind of thing stands at the destination",
                };
                Err(EngineError::new(kind, message))
            }
        }
    }

    /// Whether items that stand there as they should are listed: those that an update judged.
    fn lists_standing(&self) -> bool {
        self.lists && self.options.on_exists == OnExists::Update
    }

    /// What happens to an item on its way.
    fn way(&self, item: &Item) -> Option<Way> {
        let recode = self.options.recode.filter(|_| item.kind == ItemKind::File)?;
        recode.way(self.job.named(item.path.name()))
    }

    /// The name that an item gets on its way, where it gets another one.
    fn renamed(&self, item: &Item) -> Result<Option<Vec<u8>>> {
        let Some(way) = self.way(item).filter(|_| !item.path.is_root()) else {
            return Ok(None);
        };
        let name = way.renamed(item.path.name());
        let twin = item.path.sibling(&name)?;
        let same = self.source.find(&twin)?.is_some_and(|twin| {
            self.way(&twin)
                .map_or_else(|| twin.path.name().to_vec(), |way| way.renamed(twin.path.name()))
                == name
        });
        if same {
            let message = "another item of the source goes by the name that this one would get";
            return Err(EngineError::new(Kind::NameRefused, message));
        }
        Ok(Some(name))
    }

    /// Writes an item by itself.
    pub(super) fn write(
        &self,
        buffer: &mut ChunkBuffer,
        item: &Item,
        spot: &Spot<'_>,
    ) -> Result<Made> {
        let Spot { place, target, .. } = *spot;
        match item.kind {
            ItemKind::Symlink | ItemKind::Special => self.unopened(item, place, target),
            _ => {
                let transfer = Transfer {
                    job: self.job,
                    source: self.source,
                    sink: self.sink,
                    options: self.options,
                    tally: &self.tally,
                    way: self.way(item),
                    item,
                    place,
                    target,
                };
                transfer.run(buffer)
            }
        }
    }

    /// What stands there, judged: an earlier attempt's own work is known by its receipt.
    fn judge(&self, item: &Item, found: Option<&Found>) -> Result<Judged> {
        let refined = self.refined(item, found)?;
        let item = refined.as_ref().unwrap_or(item);
        let decided = match found {
            Some(found) if found.folded && found.mark.born >= self.begun => {
                Decision::Conflict(Kind::DestinationExists)
            }
            // The sizes of both say nothing about each other: an update goes by the time alone.
            Some(found) if self.way(item).is_some() => {
                let found = Found { size: item.size, ..found.clone() };
                self.rule.decide(item, Some(&found))
            }
            found => self.rule.decide(item, found),
        };
        let decided = Judged::Decided(decided);
        let (Some(found), Some(ledger)) = (found, self.job.ledger()) else {
            return Ok(decided);
        };
        if !ledger.is_resumed() {
            return Ok(decided);
        }
        Ok(match ledger.receipt(item.path.as_bytes())? {
            Some(receipt) if receipt.wrote(found.mark) && receipt.fits(item) => {
                Judged::Before(receipt.digest().into_iter().collect())
            }
            Some(receipt) if receipt.wrote(found.mark) || receipt.wrote_earlier(found.mark) => {
                Judged::Decided(Decision::Write(Consent::Replace(found.mark)))
            }
            // Somebody else's: only what was judged is replaced.
            _ => match self.tally.anew_for(&item.path) {
                Some(Anew::Overtaken(_)) if self.options.on_exists == OnExists::Skip => {
                    Judged::Decided(Decision::Skip)
                }
                Some(Anew::Overtaken(kind)) => Judged::Decided(Decision::Conflict(kind)),
                _ => decided,
            },
        })
    }

    /// The item by a closer look, where times are about to be compared and a survey tells less.
    fn refined(&self, item: &Item, found: Option<&Found>) -> Result<Option<Item>> {
        let coded = self.way(item).is_some();
        let sized = found.map(|found| Found {
            size: if coded { item.size } else { found.size },
            ..found.clone()
        });
        let timed = self.rule.asks_time(item, sized.as_ref());
        if timed { self.source.refine(item) } else { Ok(None) }
    }

    /// Makes what is never opened: a link, a special file.
    fn unopened(&self, item: &Item, place: &Place, target: &Target) -> Result<Made> {
        let target = &target.with(self.source.extended(item, target.carry)?);
        let temp = temp_name(&self.job.name, self.job.next_temp());
        let made = || match (&item.link, item.special) {
            (Some(text), _) => self.sink.link(place, &temp, text, &item.attributes, target),
            (_, Some(special)) => {
                self.sink.special(place, &temp, special, &item.attributes, target)
            }
            _ => {
                let message = "a special file of a kind without a name";
                Err(EngineError::new(Kind::SourceSpecial, message))
            }
        };
        let staged = self.job.progress.timed(Spent::DestinationWrite, made)?;
        let (digests, pieces) = (Vec::new(), Vec::new());
        let (stored, attributes) = (None, None);
        Ok(Made::Ready { bytes: 0, digests, pieces, stored, attributes, staged })
    }
}

/// What becomes of an item.
enum Fate {
    /// It is written, with this consent.
    Written(Consent),
    /// It stays as it stands.
    Kept(Kept),
}

impl Fate {
    fn standing(standing: Standing) -> Self {
        Self::Kept(Kept::ByRule(Some(Box::new(standing))))
    }
}

/// What an item's fate is, as far as it stands at the destination.
enum Judged {
    /// Done by an earlier attempt, with these digests.
    Before(Vec<Digest>),
    Decided(Decision),
}
