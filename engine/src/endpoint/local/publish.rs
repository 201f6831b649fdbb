//! From temporary names to final ones, in batches: data durable, then names, then the answer.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;

use crate::endpoint::contract::{Staged, destination_changed};
use crate::error::{EngineError, Kind, Result};
use crate::model::choice::{Consent, Durable};

use crate::platform::dir::Facts;

use super::attributes::mark;
use super::error;
use super::intake::Written;
use super::place::LocalPlace;

/// Files of a batch up to which each is synced by itself; above it one sync of the filesystem is
/// cheaper than a flush of the device for each.
const SYNC_EACH_MAX: usize = 8;

/// What could not be made durable. A failed sync is told once for each open file, and the next one
/// on it succeeds with nothing written (Rebello et al., USENIX ATC 2020): so it is kept in mind.
#[derive(Debug, Default)]
pub struct Syncs {
    /// Devices on which a sync of all failed: nothing that is written there can be trusted.
    devices: HashSet<u64>,
    /// Device and inode of files whose own sync failed.
    inodes: HashSet<(u64, u64)>,
}

impl Syncs {
    /// Whether the sync of a whole device failed.
    pub fn is_broken(&self) -> bool {
        !self.devices.is_empty()
    }
}

/// Publishes a batch, as [`ObjectSink::publish`](crate::endpoint::contract::ObjectSink::publish)
/// promises.
pub fn publish(batch: Vec<Staged>, durable: Durable, syncs: &Mutex<Syncs>) -> Vec<Result<()>> {
    let mut entries: Vec<Entry> = batch.into_iter().map(Entry::new).collect();
    let each = entries.len() <= SYNC_EACH_MAX;
    if durable == Durable::PowerLoss {
        if each { sync_files(&mut entries, syncs) } else { sync_filesystems(&mut entries, syncs) }
    }
    for entry in &mut entries {
        entry.rename();
    }
    if durable == Durable::PowerLoss {
        if each { sync_names(&mut entries) } else { sync_filesystems(&mut entries, syncs) }
    }
    entries.into_iter().map(|entry| entry.outcome).collect()
}

/// One item on its way to its name.
struct Entry {
    name: Vec<u8>,
    consent: Consent,
    written: Option<Box<Written>>,
    /// Device and inode.
    inode: (u64, u64),
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
        let inode = (staged.mark.dev, staged.mark.ino);
        Self { name: staged.name, consent: staged.consent, written, inode, outcome }
    }

    fn live(&self) -> Option<&Written> {
        self.written.as_deref().filter(|_| self.outcome.is_ok())
    }

    /// Gives the item up before it has its name.
    fn refuse(&mut self, error: EngineError) {
        if let Some(written) = &self.written {
            let temp = written.temp.as_deref();
            let there = temp.and_then(|temp| written.place.dir.facts(temp).ok());
            // A race may have put somebody else's file under the temporary name.
            if there.is_some_and(|there| inode(&there) == self.inode) {
                written.remove();
            }
        }
        self.outcome = Err(error);
    }

    fn rename(&mut self) {
        let Some(written) = self.live() else {
            return;
        };
        let dir = &written.place.dir;
        let done = match (&written.temp, &written.file, self.consent) {
            (Some(temp), _, Consent::New) => dir.publish_new(temp, &self.name).map(|()| true),
            (Some(temp), _, Consent::Replace(seen)) => {
                let is_own = |there: &Facts| self.inode == inode(there);
                dir.publish_over(temp, &self.name, |there| mark(there) == seen, is_own)
            }
            (None, Some(file), _) => dir.publish_unnamed(file, &self.name).map(|()| true),
            (None, None, _) => Err(Errno::NOENT),
        };
        match done {
            // A rename onto another name of the same file does nothing, and says so to nobody.
            Ok(true) if written.is_again => written.remove(),
            Ok(true) => {}
            Ok(false) => self.refuse(destination_changed()),
            Err(errno) => self.refuse(error::destination("rename", errno)),
        }
    }
}

/// Device and inode.
fn inode(facts: &Facts) -> (u64, u64) {
    (facts.identity.dev, facts.identity.ino)
}

/// Makes the content of each file durable by itself. A further name of a file whose sync failed
/// fails with it.
fn sync_files(entries: &mut [Entry], syncs: &Mutex<Syncs>) {
    for entry in entries.iter_mut() {
        let Some(Err(errno)) = entry.live().map(sync_file) else {
            continue;
        };
        syncs.lock().unwrap_or_else(PoisonError::into_inner).inodes.insert(entry.inode);
        entry.refuse(error::write("fsync", errno));
    }
    let syncs = syncs.lock().unwrap_or_else(PoisonError::into_inner);
    for entry in entries {
        let (device, _) = entry.inode;
        let dead = syncs.inodes.contains(&entry.inode) || syncs.devices.contains(&device);
        if dead && entry.live().is_some() {
            entry.refuse(error::write("fsync", Errno::IO));
        }
    }
}

fn sync_file(written: &Written) -> Result<(), Errno> {
    match &written.file {
        Some(file) => rustix::fs::fsync(file),
        // Its content may be on its way in another batch; this name must not be there before it.
        None if written.is_again => {
            let temp = written.temp.as_deref().unwrap_or_default();
            match written.place.dir.open_file(temp) {
                Ok(file) => rustix::fs::fsync(&file),
                Err(_) => rustix::fs::syncfs(&written.place.dir),
            }
        }
        None => Ok(()),
    }
}

/// Makes everything on the filesystems of the batch durable at once. One batch at a time: the
/// failure of one concerns whatever was written meanwhile, and only one of them is told.
fn sync_filesystems(entries: &mut [Entry], syncs: &Mutex<Syncs>) {
    let mut devices: Vec<(u64, Arc<LocalPlace>)> = Vec::new();
    for written in entries.iter().filter_map(Entry::live) {
        if devices.iter().all(|(device, _)| *device != written.place.device) {
            devices.push((written.place.device, Arc::clone(&written.place)));
        }
    }
    let mut syncs = syncs.lock().unwrap_or_else(PoisonError::into_inner);
    for (device, place) in devices {
        let errno = match rustix::fs::syncfs(&place.dir) {
            Ok(()) if !syncs.devices.contains(&device) => continue,
            Ok(()) => Errno::IO,
            Err(errno) => errno,
        };
        syncs.devices.insert(device);
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
        match place.sync_upward() {
            Ok(()) => synced.push(Arc::as_ptr(&place)),
            Err(errno) => entry.outcome = Err(error::write("fsync", errno)),
        }
    }
}
