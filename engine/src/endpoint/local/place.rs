//! Open directories of a destination.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::io::Errno;

use crate::endpoint::contract::Place;
use crate::error::{EngineError, Kind, Result};
use crate::limits::MADE_DIRECTORIES_MAX;
use crate::model::item::{Handle, Identity, Timestamp};
use crate::platform::dir::Dir;
use crate::platform::hold::Hold;

use super::{error, xattrs};

/// An open destination directory.
#[derive(Debug)]
pub struct LocalPlace {
    /// Its handle.
    pub dir: Dir,
    /// Its filesystem.
    pub device: u64,
    ino: u64,
    born: Timestamp,
    /// Whether its own name may not be durable yet, and in which directory that name is.
    pub(super) unsynced: AtomicBool,
    parent: Option<Arc<LocalPlace>>,
    /// Whether its own sync failed.
    broken: AtomicBool,
    /// Whether new entries get an access list from it, once that was asked.
    inherits: OnceLock<bool>,
}

impl LocalPlace {
    /// A directory just opened; `new` where this job made it, so that its name may not be durable.
    ///
    /// # Errors
    /// `DestinationWrite` when it cannot be looked at.
    pub fn new(dir: Dir, parent: Option<Arc<LocalPlace>>, new: bool) -> Result<Arc<Self>> {
        let facts = dir.own_facts().map_err(|errno| error::destination("stat", errno))?;
        let Identity { dev: device, ino, born, .. } = facts.identity;
        let (unsynced, broken) = (AtomicBool::new(new), AtomicBool::new(false));
        let inherits = OnceLock::new();
        Ok(Arc::new(Self { dir, device, ino, born, unsynced, parent, broken, inherits }))
    }

    /// Its device and inode.
    pub fn id(&self) -> (u64, u64) {
        (self.device, self.ino)
    }

    /// Whether new entries get an access list from it.
    pub fn inherits(&self) -> bool {
        *self.inherits.get_or_init(|| xattrs::has_default(Hold::open(&self.dir)))
    }

    /// As the contract hands it out.
    pub fn handed(self: Arc<Self>, made: bool) -> Place {
        Place { born: self.born, ino: self.ino, handle: Handle::new(self), made }
    }

    /// The directory behind a place of the contract.
    ///
    /// # Errors
    /// `Internal` when it is another endpoint's.
    pub fn of(place: &Place) -> Result<Arc<Self>> {
        place.handle.get::<Self>().ok_or_else(|| {
            EngineError::new(Kind::Internal, "the place belongs to another endpoint")
        })
    }

    /// Makes its entries durable, and its own name and those above it where they are new.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn sync_upward(&self) -> Result<(), Errno> {
        // A sync that failed once would succeed the next time, with the names still not there.
        if self.broken.load(Ordering::Acquire) {
            return Err(Errno::IO);
        }
        if let Err(errno) = rustix::fs::fsync(&self.dir) {
            self.broken.store(true, Ordering::Release);
            return Err(errno);
        }
        if let (true, Some(parent)) = (self.unsynced.load(Ordering::Acquire), &self.parent) {
            parent.sync_upward()?;
        }
        // After the sync: another batch must not take it for done before it is.
        self.unsynced.store(false, Ordering::Release);
        Ok(())
    }
}

/// The directories that a sink made. A source may come back to one after it was left: its name may
/// still not be durable then, although it stands there already.
#[derive(Debug, Default)]
pub struct Made {
    ids: HashSet<(u64, u64)>,
}

impl Made {
    /// Remembers one, as far as there is room.
    pub fn add(&mut self, place: &LocalPlace) {
        if self.ids.len() < MADE_DIRECTORIES_MAX {
            self.ids.insert(place.id());
        }
    }

    /// Whether this may be one of them: when they are too many to remember, any may be.
    pub fn may_hold(&self, place: &LocalPlace) -> bool {
        self.ids.len() >= MADE_DIRECTORIES_MAX || self.ids.contains(&place.id())
    }
}
