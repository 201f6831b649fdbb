//! Written items wait for a common sync, then get their names, then count as done.
//!
//! Order, for every batch: receipts committed (keyed jobs), data durable, names given, names
//! durable, items reported. A crash between any two leaves items whole or absent, and known.

use std::sync::{Mutex, PoisonError};

use crate::endpoint::contract::{ObjectSink, Staged};
use crate::error::{Kind, Result};
use crate::job::Job;
use crate::journal::keyed::{Ledger, Receipt};
use crate::limits::{STAGED_HANDLES_SHARE, SYNC_BYTES, SYNC_ITEMS};
use crate::model::choice::Durable;
use crate::model::digest::Digest;
use crate::model::item::{Attributes, Item};
use crate::model::parts::PartDigest;
use crate::pipeline::confirm::Confirm;
use crate::pipeline::feed::{Ticket, ends_job};
use crate::pipeline::lease::Lease;
use crate::pipeline::manifest::{Listed, ManifestWriter};
use crate::plan::method::is_large;
use crate::platform::process;
use crate::progress::Spent;

/// An item that is written and not yet published.
pub struct Ready<S> {
    /// Its source.
    pub item: Item,
    /// Bytes of content.
    pub size: u64,
    /// Bytes of it that count for this item: none where they counted under another name.
    pub bytes: u64,
    /// Digests of them.
    pub digests: Vec<Digest>,
    /// Digests of a large file's parts, where they are listed.
    pub pieces: Vec<PartDigest>,
    /// Bytes written, where they are not those read.
    pub stored: Option<u64>,
    /// Its attributes as they were read, where a survey told less.
    pub attributes: Option<Attributes>,
    /// The endpoint's part.
    pub staged: Staged,
    /// The directory's claim on it.
    pub ticket: Ticket<S>,
    /// Why it is made anew, where it is.
    pub again: Option<Anew>,
}

/// Why an item is to be made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anew {
    /// The destination would not copy it by itself after all.
    Declined,
    /// Something else stands there than was seen, which may be what an earlier attempt sent: a
    /// store goes on with the requests of the dead. What the refusal was, should it be another's.
    Overtaken(Kind),
}

impl Anew {
    fn is_like(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

/// Items that are not ended, to be made anew.
pub type Returned<S> = Vec<(Item, Ticket<S>, Anew)>;

/// Gathers ready items and publishes them in batches.
pub struct Publisher<'a, S> {
    job: &'a Job,
    sink: &'a dyn ObjectSink,
    durable: Durable,
    manifest: Option<&'a ManifestWriter>,
    /// Whether a name taken meanwhile is left alone rather than failing the item.
    skip_taken: bool,
    /// Asked before each batch.
    lease: Option<&'a Lease>,
    /// Where what was published is read back, where that cannot be done before.
    confirm: Option<&'a Confirm<'a>>,
    /// Items of a batch: each holds an open file.
    items_max: usize,
    waiting: Mutex<(Vec<Ready<S>>, u64)>,
}

impl<'a, S> Publisher<'a, S> {
    /// A publisher of this sink.
    #[must_use]
    pub fn new(
        job: &'a Job,
        sink: &'a dyn ObjectSink,
        durable: Durable,
        manifest: Option<&'a ManifestWriter>,
        skip_taken: bool,
    ) -> Self {
        let waiting = Mutex::new((Vec::new(), 0));
        let handles = process::open_files_max().unwrap_or(u64::MAX) / STAGED_HANDLES_SHARE;
        let items_max = (handles as usize).clamp(1, SYNC_ITEMS);
        Self {
            job,
            sink,
            durable,
            manifest,
            skip_taken,
            lease: None,
            confirm: None,
            items_max,
            waiting,
        }
    }

    /// The same, publishing only as long as this lease is held.
    #[must_use]
    pub fn under(self, lease: Option<&'a Lease>) -> Self {
        Self { lease, ..self }
    }

    /// The same, reading back what was published.
    #[must_use]
    pub fn confirmed(self, confirm: Option<&'a Confirm<'a>>) -> Self {
        Self { confirm, ..self }
    }

    /// Takes an item; publishes a batch once enough are waiting. `end` is called with the ticket
    /// of every item ended.
    ///
    /// # Errors
    /// What ends the job. The batch is ended all the same.
    pub fn add(&self, ready: Ready<S>, end: impl Fn(Ticket<S>)) -> Result<Returned<S>> {
        let gathers = (self.durable == Durable::PowerLoss || self.job.ledger().is_some())
            && self.sink.caps().gathers;
        let batch = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.1 += ready.bytes;
            waiting.0.push(ready);
            let full = waiting.0.len() >= self.items_max || waiting.1 >= SYNC_BYTES || !gathers;
            if !full {
                return Ok(Vec::new());
            }
            std::mem::take(&mut *waiting).0
        };
        self.publish(batch, end)
    }

    /// Publishes what is waiting.
    ///
    /// # Errors
    /// What ends the job.
    pub fn flush(&self, end: impl Fn(Ticket<S>)) -> Result<()> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let batch = std::mem::take(&mut *waiting).0;
        drop(waiting);
        // What gathers copies nothing by itself.
        if batch.is_empty() { Ok(()) } else { self.publish(batch, end).map(drop) }
    }

    /// Removes what is waiting: the job ends early.
    pub fn discard(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for ready in std::mem::take(&mut *waiting).0 {
            self.sink.discard(ready.staged);
        }
    }

    /// Lists an item that is done.
    ///
    /// # Errors
    /// What keeps the manifest from being written.
    pub fn list(&self, item: &Item, done: &Listed) -> Result<()> {
        let name = self.job.named(item.path.as_bytes());
        self.manifest.map_or(Ok(()), |manifest| manifest.add(item, name, done))
    }

    fn publish(&self, batch: Vec<Ready<S>>, end: impl Fn(Ticket<S>)) -> Result<Returned<S>> {
        let promised =
            self.promise(&batch).and_then(|()| self.lease.map(Lease::commit).transpose());
        let held = match promised {
            Ok(held) => held,
            Err(error) => {
                batch.into_iter().for_each(|ready| self.sink.discard(ready.staged));
                return Err(error);
            }
        };
        let mut staged = Vec::with_capacity(batch.len());
        let mut rest = Vec::with_capacity(batch.len());
        for ready in batch {
            let lost = ready.staged.lost.clone();
            staged.push(ready.staged);
            let done = Listed {
                bytes: ready.size,
                digests: ready.digests,
                pieces: ready.pieces,
                stored: ready.stored,
            };
            let of = (ready.attributes, ready.ticket, ready.again);
            rest.push((ready.item, ready.bytes, done, lost, of));
        }
        let spent = match self.durable {
            Durable::PowerLoss => Spent::Sync,
            Durable::Crash => Spent::DestinationWrite,
        };
        let outcomes = self.job.progress.timed(spent, || self.sink.publish(staged, self.durable));
        drop(held);
        let (mut ended, mut returned) = (Ok(()), Vec::new());
        for ((item, bytes, done, lost, (attributes, ticket, again)), outcome) in
            rest.into_iter().zip(outcomes)
        {
            let anew = outcome.as_ref().err().and_then(|error| self.anew(error.kind()));
            if let Some(anew) = anew.filter(|anew| !again.is_some_and(|again| again.is_like(*anew)))
            {
                returned.push((item, ticket, anew));
                continue;
            }
            if outcome.is_ok() {
                self.named(&item);
            }
            let confirm = |()| match self.confirm {
                Some(confirm) => confirm.stands(self.job, &item, &done),
                None => Ok(()),
            };
            let outcome = outcome.and_then(confirm);
            if outcome.is_ok() {
                self.job.lose(item.path.as_bytes(), &lost);
            }
            let read = attributes.unwrap_or(item.attributes);
            let item = Item { attributes: read, ..item };
            ended = ended.and(self.report(&item, bytes, &done, outcome));
            end(ticket);
        }
        if self.job.ledger().is_some() {
            self.job.checkpoint(self.durable == Durable::PowerLoss);
        }
        ended.map(|()| returned)
    }

    /// Whether an item that failed so is to be made anew.
    fn anew(&self, kind: Kind) -> Option<Anew> {
        match kind {
            Kind::CopyDeclined => Some(Anew::Declined),
            Kind::DestinationExists | Kind::DestinationChanged => {
                let resumed = self.job.ledger().is_some_and(Ledger::is_resumed);
                (resumed && !self.sink.caps().gathers).then_some(Anew::Overtaken(kind))
            }
            _ => None,
        }
    }

    /// Commits what is about to be published.
    fn promise(&self, batch: &[Ready<S>]) -> Result<()> {
        let Some(ledger) = self.job.ledger() else {
            return Ok(());
        };
        let receipts: Vec<_> = batch
            .iter()
            .map(|ready| {
                let receipt = Receipt::new(&ready.item, ready.staged.mark, &ready.digests);
                (ready.item.path.as_bytes().to_vec(), receipt)
            })
            .collect();
        let commit = || match self.sink.caps().gathers {
            true => ledger.commit(&receipts),
            // What was begun of an item is needed until it is published: its parts are there.
            false => ledger.commit_together(receipts),
        };
        self.job.progress.timed(Spent::Sync, commit)
    }

    /// Nobody goes on with what was begun of an item that has its name.
    fn named(&self, item: &Item) {
        let begun = is_large(item.size) && !self.sink.caps().gathers;
        if let Some(ledger) = self.job.ledger().filter(|_| begun) {
            ledger.named(item.path.as_bytes());
        }
    }

    fn report(&self, item: &Item, bytes: u64, done: &Listed, outcome: Result<()>) -> Result<()> {
        match outcome {
            Ok(()) => {
                self.job.done(item.path.as_bytes(), bytes, &done.digests);
                self.list(item, done)
            }
            Err(error) if error.kind() == Kind::DestinationExists && self.skip_taken => {
                self.job.skip(item.path.as_bytes(), item.size);
                Ok(())
            }
            Err(error) => {
                let ends = ends_job(error.kind()).then(|| error.clone());
                self.job.fail(item.path.as_bytes(), error);
                ends.map_or(Ok(()), Err)
            }
        }
    }
}
