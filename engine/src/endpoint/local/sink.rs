//! Writing the local filesystem: temporary names, batched syncs, publication by rename.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

use crate::endpoint::contract::{Caps, Intake, ObjectSink, Place, Staged, Target};
use crate::error::{EngineError, Kind, Result};
use crate::model::choice::{Carry, Consent, Durable};
use crate::model::found::{Found, Mark};
use crate::model::item::{Attributes, Handle, ItemKind, Timestamp};
use crate::model::location::Location;
use crate::platform::dir::{self, Dir, Facts};
use crate::platform::{operator, process};

use super::{CAPS, error};

/// Files of a batch up to which each is synced by itself; above it one sync of the filesystem is
/// cheaper than a flush of the device for each.
const SYNC_EACH_MAX: usize = 8;
/// Size above which blocks are reserved before writing, bytes.
const RESERVE_BYTES_MIN: u64 = 1 << 20;

/// A local destination.
#[derive(Debug)]
pub struct LocalSink {
    path: Vec<u8>,
    /// The root's directory once a publication was asked for, to settle at the end.
    root: std::sync::OnceLock<Arc<LocalPlace>>,
}

/// An open destination directory.
#[derive(Debug)]
struct LocalPlace {
    dir: Dir,
    device: u64,
    born: Timestamp,
    /// Whether its own name may not be durable yet, and in which directory that name is.
    unsynced: AtomicBool,
    parent: Option<Arc<LocalPlace>>,
}

impl LocalSink {
    /// A destination; nothing is touched yet.
    #[must_use]
    pub fn new(location: &Location) -> Self {
        Self { path: location.path.clone(), root: std::sync::OnceLock::new() }
    }

    /// Opens a directory of the operator, making what is missing. Returns whether it was made.
    fn open(&self, path: &[u8], mode: u32) -> Result<(Arc<LocalPlace>, bool)> {
        let made = operator::make_dirs(path, mode).map_err(|failure| {
            let errno = Errno::from_io_error(&failure).unwrap_or(Errno::IO);
            error::destination("mkdir", errno).at(path)
        })?;
        let dir =
            operator::open_dir(path).map_err(|errno| error::destination("open", errno).at(path))?;
        let place = place(dir, None, !made.is_empty())?;
        for new in &made {
            sync_parent_of(new)?;
        }
        let place = self.root.get_or_init(|| place);
        Ok((Arc::clone(place), made.iter().any(|made| made == operator::path(path))))
    }
}

/// Makes the name of a new directory durable: rare, so done at once.
fn sync_parent_of(path: &std::path::Path) -> Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    let parent = parent.map_or(&b"."[..], |p| p.as_os_str().as_encoded_bytes());
    operator::open_dir(parent)
        .and_then(|dir| rustix::fs::fsync(&dir))
        .map_err(|errno| error::write("fsync", errno).at(parent))
}

fn place(dir: Dir, parent: Option<Arc<LocalPlace>>, new: bool) -> Result<Arc<LocalPlace>> {
    let facts = dir.own_facts().map_err(|errno| error::destination("stat", errno))?;
    let (device, born) = (facts.identity.dev, facts.born);
    Ok(Arc::new(LocalPlace { dir, device, born, unsynced: AtomicBool::new(new), parent }))
}

fn handed(place: Arc<LocalPlace>, made: bool) -> Place {
    Place { born: place.born, handle: Handle::new(place), made }
}

fn local(place: &Place) -> Result<Arc<LocalPlace>> {
    place
        .handle
        .get::<LocalPlace>()
        .ok_or_else(|| EngineError::new(Kind::Internal, "the place belongs to another endpoint"))
}

fn mark(facts: &Facts) -> Mark {
    Mark {
        dev: facts.identity.dev,
        ino: facts.identity.ino,
        born: facts.born,
        size: facts.size,
        mtime: facts.attributes.mtime,
    }
}

fn permission_bits(attributes: &Attributes, carry: Carry) -> u32 {
    attributes.mode & if carry.setuid { 0o7777 } else { 0o777 }
}

/// What any new file of this user gets.
fn usual_mode(bits: u32) -> u32 {
    bits & !process::umask()
}

/// Owner first: a change of owner takes the set-user-id bits away.
fn apply(fd: &impl AsFd, attributes: &Attributes, carry: Carry, mode: u32) -> Result<()> {
    let failed = |call| move |errno| error::write(call, errno);
    if carry.owner {
        dir::set_owner(fd, attributes).map_err(failed("fchown"))?;
    }
    dir::set_mode(fd, mode).map_err(failed("fchmod"))?;
    if carry.times {
        dir::set_times(fd, attributes).map_err(failed("futimens"))?;
    }
    Ok(())
}

impl ObjectSink for LocalSink {
    fn caps(&self) -> Caps {
        CAPS
    }

    fn root_place(&self) -> Result<(Place, Vec<u8>)> {
        let Some((dir, name)) = operator::split(&self.path) else {
            let message = "the destination is a directory, and the source is not";
            return Err(EngineError::new(Kind::DestinationType, message).at(self.path.clone()));
        };
        let (place, made) = self.open(dir, 0o777)?;
        Ok((handed(place, made), name.to_vec()))
    }

    fn root_directory(&self) -> Result<Place> {
        let (place, made) = self.open(&self.path, 0o700)?;
        Ok(handed(place, made))
    }

    fn enter(&self, at: &Place, name: &[u8]) -> Result<Place> {
        let parent = local(at)?;
        let made = match parent.dir.make_dir(name) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return Err(error::destination("mkdir", errno)),
        };
        let opened = parent.dir.open_dir(name);
        let opened = opened.map_err(|errno| error::destination("open", errno))?;
        let place = place(opened, Some(parent), made)?;
        Ok(handed(place, made))
    }

    fn found(&self, at: &Place, name: &[u8]) -> Result<Option<Found>> {
        let place = local(at)?;
        let facts = match place.dir.facts(name) {
            Ok(facts) => facts,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(error::destination("stat", errno)),
        };
        let link =
            (facts.kind == ItemKind::Symlink).then(|| place.dir.read_link(name).ok()).flatten();
        Ok(Some(Found {
            kind: facts.kind,
            size: facts.size,
            mtime: facts.attributes.mtime,
            mark: mark(&facts),
            link,
        }))
    }

    fn begin(&self, at: &Place, temp: &[u8], size: u64) -> Result<Box<dyn Intake>> {
        let place = local(at)?;
        let file = place.dir.create_file(temp);
        let file = file.map_err(|errno| error::destination("open", errno))?;
        let intake = LocalIntake { place, temp: temp.to_vec(), file };
        if size >= RESERVE_BYTES_MIN {
            let flags = rustix::fs::FallocateFlags::KEEP_SIZE;
            // A filesystem that cannot reserve is no error; one without room is told now.
            if let Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) =
                rustix::fs::fallocate(&intake.file, flags, 0, size)
            {
                Box::new(intake).abort();
                return Err(error::destination("fallocate", errno));
            }
        }
        Ok(Box::new(intake))
    }

    fn link(
        &self,
        at: &Place,
        temp: &[u8],
        text: &[u8],
        attributes: &Attributes,
        target: &Target,
    ) -> Result<Staged> {
        let place = local(at)?;
        place.dir.make_link(temp, text).map_err(|errno| error::destination("symlink", errno))?;
        let finish = || {
            if target.carry.owner {
                place.dir.set_link_owner(temp, attributes)?;
            }
            if target.carry.times {
                place.dir.set_link_times(temp, attributes)?;
            }
            place.dir.facts(temp)
        };
        match finish() {
            Ok(facts) => {
                let written = Written { place, temp: temp.to_vec(), file: None };
                Ok(Staged {
                    name: target.name.clone(),
                    consent: target.consent,
                    mark: mark(&facts),
                    inner: Box::new(written),
                })
            }
            Err(errno) => {
                let _ = place.dir.remove(temp);
                Err(error::write("utimensat", errno))
            }
        }
    }

    fn publish(&self, batch: Vec<Staged>, durable: Durable) -> Vec<Result<()>> {
        let mut entries: Vec<Entry> = batch.into_iter().map(Entry::new).collect();
        let each = entries.len() <= SYNC_EACH_MAX;
        if durable == Durable::PowerLoss {
            if each { sync_files(&mut entries) } else { sync_filesystems(&mut entries) }
        }
        for entry in &mut entries {
            entry.rename();
        }
        if durable == Durable::PowerLoss {
            if each { sync_names(&mut entries) } else { sync_filesystems(&mut entries) }
        }
        entries.into_iter().map(|entry| entry.outcome).collect()
    }

    fn discard(&self, staged: Staged) {
        if let Ok(written) = staged.inner.downcast::<Written>() {
            let _ = written.place.dir.remove(&written.temp);
        }
    }

    fn leave(&self, at: &Place, attributes: &Attributes, carry: Carry) -> Result<()> {
        let place = local(at)?;
        let mode = if carry.mode { permission_bits(attributes, carry) } else { usual_mode(0o777) };
        apply(&place.dir, attributes, carry, mode)
    }

    fn settle(&self) -> Result<()> {
        match self.root.get() {
            Some(root) => {
                rustix::fs::syncfs(&root.dir).map_err(|errno| error::write("syncfs", errno))
            }
            None => Ok(()),
        }
    }
}

/// A file being written.
#[derive(Debug)]
struct LocalIntake {
    place: Arc<LocalPlace>,
    temp: Vec<u8>,
    file: OwnedFd,
}

/// A file or link that is complete under its temporary name.
#[derive(Debug)]
struct Written {
    place: Arc<LocalPlace>,
    temp: Vec<u8>,
    /// Open for its sync; links have none.
    file: Option<OwnedFd>,
}

impl Intake for LocalIntake {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut done = 0usize;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            let at = offset + done as u64;
            match rustix::io::pwrite(&self.file, rest, at) {
                Ok(0) => {
                    let message = "the destination takes no more bytes";
                    return Err(EngineError::new(Kind::DestinationWrite, message).offset(at));
                }
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(error::write("pwrite", errno).offset(at)),
            }
        }
        Ok(())
    }

    fn read_back(&self, size: u64, each: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        rustix::fs::fdatasync(&self.file).map_err(|errno| error::write("fdatasync", errno))?;
        let advice = rustix::fs::Advice::DontNeed;
        rustix::fs::fadvise(&self.file, 0, None, advice)
            .map_err(|errno| error::write("fadvise", errno))?;
        let mut buffer = vec![0; 1 << 20];
        let mut offset = 0;
        while offset < size {
            match rustix::io::pread(&self.file, &mut buffer, offset) {
                Ok(0) => {
                    let message = "the written file is shorter than what was written";
                    return Err(EngineError::new(Kind::VerifyMismatch, message).offset(offset));
                }
                Ok(count) => {
                    each(buffer.get(..count).unwrap_or_default())?;
                    offset += count as u64;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(error::write("pread", errno).offset(offset)),
            }
        }
        Ok(())
    }

    fn seal(
        self: Box<Self>,
        size: u64,
        attributes: &Attributes,
        target: &Target,
    ) -> Result<Staged> {
        let carry = target.carry;
        let mode = if carry.mode { permission_bits(attributes, carry) } else { usual_mode(0o666) };
        let sealed = apply(&self.file, attributes, carry, mode)
            .and_then(|()| dir::facts(&self.file).map_err(|errno| error::write("stat", errno)))
            .and_then(|facts| {
                if facts.size == size {
                    return Ok(facts);
                }
                let message = format!("{} bytes stand where {size} were written", facts.size);
                Err(EngineError::new(Kind::VerifyMismatch, message))
            });
        match sealed {
            Ok(facts) => {
                let written = Written { place: self.place, temp: self.temp, file: Some(self.file) };
                let inner = Box::new(written);
                Ok(Staged {
                    name: target.name.clone(),
                    consent: target.consent,
                    mark: mark(&facts),
                    inner,
                })
            }
            Err(error) => {
                self.abort();
                Err(error)
            }
        }
    }

    fn abort(self: Box<Self>) {
        let _ = self.place.dir.remove(&self.temp);
    }
}

/// One item on its way to its name.
struct Entry {
    name: Vec<u8>,
    consent: Consent,
    written: Option<Box<Written>>,
    outcome: Result<()>,
}

impl Entry {
    fn new(staged: Staged) -> Self {
        let (written, outcome) = match staged.inner.downcast::<Written>() {
            Ok(written) => (Some(written), Ok(())),
            Err(_) => {
                let message = "the item belongs to another endpoint";
                (None, Err(EngineError::new(Kind::Internal, message)))
            }
        };
        Self { name: staged.name, consent: staged.consent, written, outcome }
    }

    fn live(&self) -> Option<&Written> {
        self.written.as_deref().filter(|_| self.outcome.is_ok())
    }

    /// Gives the item up before it has its name.
    fn refuse(&mut self, error: EngineError) {
        if let Some(written) = &self.written {
            let _ = written.place.dir.remove(&written.temp);
        }
        self.outcome = Err(error);
    }

    fn rename(&mut self) {
        let Some(written) = self.live() else {
            return;
        };
        let dir = &written.place.dir;
        let done = match self.consent {
            Consent::New => dir.publish_new(&written.temp, &self.name),
            Consent::Replace => dir.publish_over(&written.temp, &self.name),
        };
        if let Err(errno) = done {
            self.refuse(error::destination("rename", errno));
        }
    }
}

/// Makes the content of each file durable by itself.
fn sync_files(entries: &mut [Entry]) {
    for entry in entries {
        let synced = entry.live().and_then(|written| written.file.as_ref()).map(rustix::fs::fsync);
        if let Some(Err(errno)) = synced {
            entry.refuse(error::write("fsync", errno));
        }
    }
}

/// Makes everything on the filesystems of the batch durable at once.
fn sync_filesystems(entries: &mut [Entry]) {
    let mut devices: Vec<(u64, Arc<LocalPlace>)> = Vec::new();
    for written in entries.iter().filter_map(Entry::live) {
        if devices.iter().all(|(device, _)| *device != written.place.device) {
            devices.push((written.place.device, Arc::clone(&written.place)));
        }
    }
    for (device, place) in devices {
        let Err(errno) = rustix::fs::syncfs(&place.dir) else {
            continue;
        };
        for entry in entries.iter_mut() {
            if entry.live().is_some_and(|written| written.place.device == device) {
                entry.refuse(error::write("syncfs", errno));
            }
        }
    }
}

/// Makes the names of the batch durable: each directory once, and new ones above it.
fn sync_names(entries: &mut [Entry]) {
    let mut synced: Vec<*const LocalPlace> = Vec::new();
    for entry in entries.iter_mut() {
        let Some(place) = entry.live().map(|written| Arc::clone(&written.place)) else {
            continue;
        };
        if synced.contains(&Arc::as_ptr(&place)) {
            continue;
        }
        match sync_upward(&place) {
            Ok(()) => synced.push(Arc::as_ptr(&place)),
            Err(errno) => entry.outcome = Err(error::write("fsync", errno)),
        }
    }
}

fn sync_upward(place: &LocalPlace) -> Result<(), Errno> {
    rustix::fs::fsync(&place.dir)?;
    if let (true, Some(parent)) = (place.unsynced.load(Ordering::Acquire), &place.parent) {
        sync_upward(parent)?;
    }
    // After the sync: another batch must not take it for done before it is.
    place.unsynced.store(false, Ordering::Release);
    Ok(())
}
