//! `memory://STORE/PREFIX`: items in this process's memory, shared by all its jobs.
//!
//! The reference for the contract suite, and a place for tests of a session to copy through. Flat
//! keys: directories are only prefixes, links and attributes are not kept.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use crate::endpoint::Scheme;
use crate::endpoint::contract::{
    Becoming, Caps, Descend, EachEntry, Held, Intake, LeaseCell, ObjectSink, ObjectSource, Place,
    Reader, Shape, Staged, Target, Visitor, destination_changed,
};
use crate::error::{EngineError, Kind, Result};
use crate::limits::MEMORY_STORE_BYTES_MAX;
use crate::model::choice::{Carry, Consent, Durable, LinkPolicy};
use crate::model::extended::Extended;
use crate::model::found::{Found, Mark};
use crate::model::item::{Attributes, Handle, Identity, Item, ItemKind, Timestamp};
use crate::model::leftover::Swept;
use crate::model::location::Location;
use crate::model::loss::{Loss, What};
use crate::model::path::{ItemPath, LEASE_NAME};
use crate::model::selection::Selection;
use crate::platform::clock;

const CAPS: Caps = Caps {
    scheme: "memory",
    directories: false,
    links: false,
    attributes: false,
    random_writes: true,
    reads_back: true,
    gathers: true,
    remote: false,
    atomic_noreplace: true,
    mtime_step_ns: 1,
    leases: true,
    leases_hold: true,
};

/// The registry's entry.
pub const SCHEME: Scheme = Scheme {
    name: "memory",
    caps: CAPS,
    options: &[],
    writes: true,
    source: |location, _| Ok(Box::new(Memory::new(location))),
    sink: |location, _| Ok(Box::new(Memory::new(location))),
    overlap: |source, destination| Ok(overlap(source, destination)),
    // Memory dies with its process, and its unpublished bytes with it.
    sweep: |_| Ok(Swept::default()),
};

#[derive(Clone, Debug)]
struct Stored {
    bytes: Arc<Vec<u8>>,
    mtime: Timestamp,
    version: u64,
}

type Keys = BTreeMap<Vec<u8>, Stored>;

static STORES: LazyLock<Mutex<Keys>> = LazyLock::new(Mutex::default);
static VERSIONS: AtomicU64 = AtomicU64::new(1);

fn with_keys<T>(work: impl FnOnce(&mut Keys) -> T) -> T {
    work(&mut STORES.lock().unwrap_or_else(PoisonError::into_inner))
}

fn stored_bytes() -> u64 {
    with_keys(|keys| keys.values().map(|stored| stored.bytes.len() as u64).sum())
}

/// One key, or the keys beneath one prefix.
#[derive(Debug)]
struct Memory {
    key: Vec<u8>,
}

/// Whether two locations hold the same keys.
fn overlap(source: &Location, destination: &Location) -> bool {
    let (a, b) = (Memory::new(source), Memory::new(destination));
    let inside = |outer: &Memory, inner: &Memory| inner.key.starts_with(&outer.beneath(b""));
    a.key == b.key || inside(&a, &b) || inside(&b, &a)
}

impl Memory {
    fn new(location: &Location) -> Self {
        let end = location.path.iter().rposition(|b| *b != b'/').map_or(0, |at| at + 1);
        Self { key: location.path.get(..end).unwrap_or_default().to_vec() }
    }

    fn beneath(&self, path: &[u8]) -> Vec<u8> {
        [self.key.as_slice(), b"/", path].concat()
    }

    fn key_of(&self, path: &ItemPath) -> Vec<u8> {
        if path.is_root() { self.key.clone() } else { self.beneath(path.as_bytes()) }
    }

    fn item(path: ItemPath, key: &[u8], stored: &Stored) -> Item {
        Item {
            path,
            kind: ItemKind::File,
            size: stored.bytes.len() as u64,
            attributes: attributes(stored),
            identity: Identity { ino: stored.version, ctime: stored.mtime, ..Identity::default() },
            link: None,
            special: None,
            handle: Handle::new(Arc::new(key.to_vec())),
        }
    }

    fn directory(path: ItemPath) -> Item {
        Item {
            path,
            kind: ItemKind::Directory,
            size: 0,
            attributes: Attributes { mode: 0o755, links: 1, ..Attributes::default() },
            identity: Identity::default(),
            link: None,
            special: None,
            handle: Handle::default(),
        }
    }
}

fn attributes(stored: &Stored) -> Attributes {
    let time = stored.mtime;
    Attributes {
        mode: 0o644,
        mtime: time,
        atime: time,
        links: 1,
        allocated: stored.bytes.len() as u64,
        ..Attributes::default()
    }
}

impl ObjectSource for Memory {
    fn caps(&self) -> Caps {
        CAPS
    }

    fn survey(
        &self,
        selection: &Selection,
        _links: LinkPolicy,
        visitor: &mut dyn Visitor,
    ) -> Result<()> {
        if let Some(item) = self.find(&ItemPath::root())? {
            return visitor.item(item);
        }
        let prefix = self.beneath(b"");
        let keys: Vec<(Vec<u8>, Stored)> = with_keys(|keys| {
            let from = keys.range(prefix.clone()..);
            let own = from.take_while(|(key, _)| key.starts_with(&prefix));
            own.map(|(key, stored)| (key.clone(), stored.clone())).collect()
        });
        if keys.is_empty() {
            let shown = [b"memory://", self.key.as_slice()].concat();
            return Err(
                EngineError::new(Kind::SourceNotFound, "the source does not exist").at(shown)
            );
        }
        let mut walk = Nested { open: Vec::new(), skipped: None, visitor };
        if walk.visitor.enter(Self::directory(ItemPath::root()))? == Descend::Skip {
            return Ok(());
        }
        for (key, stored) in &keys {
            let relative = key.get(prefix.len()..).unwrap_or_default();
            match ItemPath::parse(relative) {
                Ok(path) if selection.takes(&path) => {
                    if walk.open_parents(&path)? {
                        walk.visitor.item(Self::item(path, key, stored))?;
                    }
                }
                Ok(_) => {}
                Err(error) => walk.visitor.failed(&ItemPath::root(), error)?,
            }
        }
        walk.close_to(0)?;
        walk.visitor.leave()
    }

    fn find(&self, path: &ItemPath) -> Result<Option<Item>> {
        let key = self.key_of(path);
        let prefix = [key.as_slice(), b"/"].concat();
        Ok(with_keys(|keys| match keys.get(&key) {
            Some(stored) => Some(Self::item(path.clone(), &key, stored)),
            None => {
                let inner = keys.range(prefix.clone()..).next();
                let beneath = inner.is_some_and(|(key, _)| key.starts_with(&prefix));
                (beneath && !path.is_root()).then(|| Self::directory(path.clone()))
            }
        }))
    }

    fn open(&self, item: &Item) -> Result<Box<dyn Reader>> {
        let key = item.handle.get::<Vec<u8>>().map(|key| key.to_vec()).unwrap_or_default();
        let stored = with_keys(|keys| keys.get(&key).cloned());
        let missing = || EngineError::new(Kind::SourceNotFound, "the source does not exist");
        let stored = stored.ok_or_else(missing)?;
        Ok(Box::new(MemoryReader { key, stored }))
    }
}

/// Turns sorted keys into directories entered and left.
struct Nested<'a> {
    open: Vec<Vec<u8>>,
    skipped: Option<Vec<Vec<u8>>>,
    visitor: &'a mut dyn Visitor,
}

impl Nested<'_> {
    /// Enters the directories above `path`; false where one of them is left out.
    fn open_parents(&mut self, path: &ItemPath) -> Result<bool> {
        let parts: Vec<Vec<u8>> = path.parts().map(<[u8]>::to_vec).collect();
        let parents = parts.get(..parts.len().saturating_sub(1)).unwrap_or_default();
        if self.skipped.as_ref().is_some_and(|skipped| parents.starts_with(skipped)) {
            return Ok(false);
        }
        let same = self.open.iter().zip(parents).take_while(|(a, b)| a == b).count();
        self.close_to(same)?;
        for part in parents.iter().skip(same) {
            self.open.push(part.clone());
            let directory = ItemPath::parse(&self.open.join(&b'/'))?;
            if self.visitor.enter(Memory::directory(directory))? == Descend::Skip {
                self.skipped = Some(self.open.clone());
                self.open.pop();
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn close_to(&mut self, depth: usize) -> Result<()> {
        while self.open.len() > depth {
            self.open.pop();
            self.visitor.leave()?;
        }
        Ok(())
    }
}

struct MemoryReader {
    key: Vec<u8>,
    stored: Stored,
}

impl Reader for MemoryReader {
    fn facts(&self) -> (u64, Attributes) {
        (self.stored.bytes.len() as u64, attributes(&self.stored))
    }

    fn identity(&self) -> Identity {
        let (ino, ctime) = (self.stored.version, self.stored.mtime);
        Identity { ino, ctime, ..Identity::default() }
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let rest = self.stored.bytes.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(rest) {
            *to = *from;
        }
        Ok(count)
    }

    fn data(&self, offset: u64) -> Result<Option<Range<u64>>> {
        let end = self.stored.bytes.len() as u64;
        Ok((offset < end).then_some(offset..end))
    }

    fn handle(&self) -> Handle {
        Handle::default()
    }

    fn unchanged(&self) -> Result<bool> {
        let version = with_keys(|keys| keys.get(&self.key).map(|stored| stored.version));
        Ok(version == Some(self.stored.version))
    }
}

fn mark(version: u64) -> Mark {
    Mark { ino: version, ..Mark::default() }
}

/// A prefix as a place.
fn place(prefix: Vec<u8>) -> Place {
    Place { handle: Handle::new(Arc::new(prefix)), made: false, ino: 0, born: Timestamp::default() }
}

fn key_in(at: &Place, name: &[u8]) -> Vec<u8> {
    let prefix = at.handle.get::<Vec<u8>>().map(|prefix| prefix.to_vec()).unwrap_or_default();
    if prefix.is_empty() { name.to_vec() } else { [prefix.as_slice(), b"/", name].concat() }
}

impl ObjectSink for Memory {
    fn caps(&self) -> Caps {
        CAPS
    }

    fn root_place(&self) -> Result<(Place, Vec<u8>)> {
        let at = self.key.iter().rposition(|b| *b == b'/');
        let (prefix, name) = match at.and_then(|at| self.key.split_at_checked(at)) {
            Some((prefix, name)) => (prefix.to_vec(), name.get(1..).unwrap_or_default().to_vec()),
            None => (Vec::new(), self.key.clone()),
        };
        Ok((place(prefix), name))
    }

    fn root_directory(&self) -> Result<Place> {
        Ok(place(self.key.clone()))
    }

    fn enter(&self, at: &Place, name: &[u8]) -> Result<Place> {
        let key = key_in(at, name);
        if with_keys(|keys| keys.contains_key(&key)) {
            let message = "another kind of thing stands at the destination";
            return Err(EngineError::new(Kind::DestinationType, message));
        }
        Ok(place(key))
    }

    fn found(&self, at: &Place, name: &[u8]) -> Result<Option<Found>> {
        let key = key_in(at, name);
        Ok(with_keys(|keys| keys.get(&key).cloned()).map(|stored| Found {
            kind: ItemKind::File,
            size: stored.bytes.len() as u64,
            mtime: stored.mtime,
            mark: mark(stored.version),
            link: None,
            folded: false,
            special: None,
        }))
    }

    fn begin(
        &self,
        at: &Place,
        _temp: &[u8],
        shape: Shape,
        _: Becoming<'_>,
    ) -> Result<Box<dyn Intake>> {
        let prefix = key_in(at, b"");
        let bytes = Mutex::new(Vec::with_capacity(shape.bytes.min(1 << 20) as usize));
        Ok(Box::new(MemoryIntake { prefix, bytes }))
    }

    fn adopt(
        &self,
        _: &Place,
        _: &[u8],
        _: &[u8],
        _: Mark,
        _: Shape,
        _: Becoming<'_>,
    ) -> Result<Option<Box<dyn Intake>>> {
        Ok(None)
    }

    fn link(&self, _: &Place, _: &[u8], _: &[u8], _: &Attributes, _: &Target) -> Result<Staged> {
        Err(EngineError::new(Kind::Unsupported, "memory keeps no links"))
    }

    fn publish(&self, batch: Vec<Staged>, _durable: Durable) -> Vec<Result<()>> {
        let publish = |staged: Staged| {
            let Ok(written) = staged.inner.downcast::<(Vec<u8>, Stored)>() else {
                return Err(EngineError::new(Kind::Internal, "not an item of memory"));
            };
            let (key, stored) = *written;
            with_keys(|keys| {
                let there = keys.get(&key).map(|there| mark(there.version));
                match (staged.consent, there) {
                    (Consent::New, Some(_)) => {
                        let message = "the destination exists";
                        return Err(EngineError::new(Kind::DestinationExists, message));
                    }
                    (Consent::Replace(seen), Some(there)) if there != seen => {
                        return Err(destination_changed());
                    }
                    _ => {}
                }
                keys.insert(key, stored);
                Ok(())
            })
        };
        batch.into_iter().map(publish).collect()
    }

    fn discard(&self, _staged: Staged) {}

    fn leave(&self, _: &Place, _: &Attributes, _: &Extended, _: Carry) -> Result<Vec<Loss>> {
        Ok(Vec::new())
    }

    fn standing(&self) -> Result<Option<Place>> {
        self.root_directory().map(Some)
    }

    fn inside(&self, at: &Place, name: &[u8]) -> Result<Option<Place>> {
        let key = key_in(at, name);
        let prefix = [key.as_slice(), b"/"].concat();
        let inner =
            with_keys(|keys| keys.range(prefix.clone()..).next().map(|(key, _)| key.clone()));
        Ok(inner.filter(|inner| inner.starts_with(&prefix)).map(|_| place(key)))
    }

    fn list(&self, at: &Place, each: &mut EachEntry<'_>) -> Result<()> {
        let prefix = key_in(at, b"");
        let mut told: BTreeSet<(Vec<u8>, bool)> = BTreeSet::new();
        with_keys(|keys| {
            for (key, _) in keys.range(prefix.clone()..) {
                let Some(rest) = key.strip_prefix(prefix.as_slice()) else {
                    break;
                };
                let name = rest.split(|b| *b == b'/').next().unwrap_or_default();
                told.insert((name.to_vec(), name.len() < rest.len()));
            }
        });
        told.into_iter().try_for_each(|(name, is_prefix)| {
            each(&name, Some(if is_prefix { ItemKind::Directory } else { ItemKind::File }))
        })
    }

    fn remove(&self, at: &Place, name: &[u8], kind: ItemKind, seen: &Mark) -> Result<bool> {
        let key = key_in(at, name);
        Ok(with_keys(|keys| {
            let is_same = kind == ItemKind::File
                && keys.get(&key).is_some_and(|stored| mark(stored.version) == *seen);
            is_same && keys.remove(&key).is_some()
        }))
    }

    fn lease(&self, at: &Place) -> Result<Box<dyn LeaseCell>> {
        Ok(Box::new(MemoryLease { key: key_in(at, LEASE_NAME) }))
    }

    fn settle(&self) -> Result<()> {
        Ok(())
    }
}

/// Keys hold bytes and a time, and nothing else.
fn lost(target: &Target) -> Vec<Loss> {
    let (extended, carry) = (&target.extended, target.carry);
    let held = [
        (What::Xattrs, extended.cut || !extended.xattrs.is_empty()),
        (What::Acls, carry.acls && (extended.access.is_some() || extended.default.is_some())),
    ];
    let lost = held.into_iter().filter(|(_, has)| *has);
    lost.map(|(what, _)| Loss { what, call: "seal", errno: None }).collect()
}

/// The record of a lease.
struct Record {
    bytes: Vec<u8>,
    /// Commits that go on under it.
    commits: u64,
}

type Records = BTreeMap<Vec<u8>, Record>;

static LEASES: LazyLock<Mutex<Records>> = LazyLock::new(Mutex::default);

fn with_leases<T>(work: impl FnOnce(&mut Records) -> T) -> T {
    work(&mut LEASES.lock().unwrap_or_else(PoisonError::into_inner))
}

struct MemoryLease {
    key: Vec<u8>,
}

/// A commit under a lease.
struct Commit {
    key: Vec<u8>,
}

impl Drop for Commit {
    fn drop(&mut self) {
        with_leases(|leases| {
            if let Some(record) = leases.get_mut(&self.key) {
                record.commits -= 1;
            }
        });
    }
}

impl LeaseCell for MemoryLease {
    fn read(&self) -> Result<Option<Vec<u8>>> {
        Ok(with_leases(|leases| leases.get(&self.key).map(|record| record.bytes.clone())))
    }

    fn swap(&self, expected: Option<&[u8]>, new: Option<&[u8]>) -> Result<bool> {
        Ok(with_leases(|leases| {
            let there = leases.get(&self.key);
            let is_free = there.is_none_or(|record| record.commits == 0);
            let is_expected = there.map(|record| record.bytes.as_slice()) == expected;
            if is_free && is_expected {
                match new.map(<[u8]>::to_vec) {
                    Some(bytes) => {
                        drop(leases.insert(self.key.clone(), Record { bytes, commits: 0 }))
                    }
                    None => drop(leases.remove(&self.key)),
                }
            }
            is_free && is_expected
        }))
    }

    fn renew(&self, expected: &[u8], new: &[u8]) -> Result<bool> {
        Ok(with_leases(|leases| match leases.get_mut(&self.key) {
            Some(record) if record.bytes == expected => {
                record.bytes = new.to_vec();
                true
            }
            _ => false,
        }))
    }

    fn hold(&self, ours: &dyn Fn(&[u8]) -> bool) -> Result<Option<Held>> {
        Ok(with_leases(|leases| {
            let record = leases.get_mut(&self.key).filter(|record| ours(&record.bytes))?;
            record.commits += 1;
            Some(Box::new(Commit { key: self.key.clone() }) as Held)
        }))
    }
}

struct MemoryIntake {
    prefix: Vec<u8>,
    bytes: Mutex<Vec<u8>>,
}

impl Intake for MemoryIntake {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        if offset + bytes.len() as u64 + stored_bytes() > MEMORY_STORE_BYTES_MAX {
            let message = "memory:// holds no more than 64 MiB";
            return Err(EngineError::new(Kind::DestinationNoSpace, message).offset(offset));
        }
        let mut all = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let end = offset as usize + bytes.len();
        if all.len() < end {
            all.resize(end, 0);
        }
        if let Some(range) = all.get_mut(offset as usize..end) {
            range.copy_from_slice(bytes);
        }
        Ok(())
    }

    fn share(&self, _from: &Handle) -> Result<bool> {
        Ok(false)
    }

    fn clear(&self, offset: u64, length: u64) -> Result<()> {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let (from, to) = (offset as usize, (offset + length) as usize);
        let end = to.min(bytes.len());
        if let Some(range) = bytes.get_mut(from.min(end)..end) {
            range.fill(0);
        }
        Ok(())
    }

    fn reserve(&self, _bytes: u64) -> Result<()> {
        Ok(())
    }

    fn offload(&self, _from: &Handle, _offset: u64, _length: u64) -> Result<Option<u64>> {
        Ok(None)
    }

    fn mark(&self) -> Result<Mark> {
        Ok(Mark::default())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8], _device: bool) -> Result<usize> {
        let all = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = all.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(rest) {
            *to = *from;
        }
        Ok(count)
    }

    fn seal(
        self: Box<Self>,
        size: u64,
        attributes: &Attributes,
        target: &Target,
    ) -> Result<Staged> {
        let version = VERSIONS.fetch_add(1, Ordering::Relaxed);
        let mtime = if target.carry.times { attributes.mtime } else { clock::now() };
        let mut bytes = self.bytes.into_inner().unwrap_or_else(PoisonError::into_inner);
        bytes.resize(size as usize, 0);
        let stored = Stored { bytes: Arc::new(bytes), mtime, version };
        let key = [self.prefix.as_slice(), &target.name].concat();
        let inner = Box::new((key, stored));
        Ok(Staged {
            name: target.name.clone(),
            consent: target.consent,
            mark: mark(version),
            lost: lost(target),
            inner,
        })
    }

    fn abort(self: Box<Self>) {}
}
