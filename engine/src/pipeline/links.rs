//! Names of one file: the first one met is copied, later ones become links to it.
//!
//! A table leads from the source's inode to the first name at the destination. The names of an
//! inode may be in several workers' hands at once: one of them claims it, the others wait until
//! its copy is written, or until it failed and another one's turn comes. The holder of a claim
//! waits for no other, so nobody waits for ever. What memory is not granted for goes to disk.

use std::collections::{HashMap, HashSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::endpoint::contract::Original;
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::journal::spill::Spill;
use crate::journal::state::StateDir;
use crate::limits::{LINKS_BYTES_FREE, LINKS_BYTES_MAX, LINKS_BYTES_STEP};
use crate::model::digest::{Algorithm, Digest};
use crate::model::found::Mark;
use crate::model::item::{Item, Timestamp};
use crate::model::path::ItemPath;
use crate::resource::budget::{Budget, Permit};

/// Device and inode of a source.
type Key = (u64, u64);

/// How long somebody waits before asking whether the job was stopped.
const WAIT: Duration = Duration::from_millis(50);

/// The first name of a file, as it stands at the destination.
#[derive(Clone, Debug)]
pub struct First {
    /// What later names are made of.
    pub original: Original,
    /// Digests taken when it was copied; none for one that stood there before.
    pub digests: Vec<Digest>,
    /// Size and time of its source: an inode's number may be another file's meanwhile.
    size: u64,
    mtime: Timestamp,
}

impl First {
    /// A first name: written under `temp`, or with an empty one standing already.
    #[must_use]
    pub fn new(item: &Item, temp: Vec<u8>, mark: Mark, digests: &[Digest]) -> Self {
        let original = Original { path: item.path.clone(), temp, mark };
        let (size, mtime) = (item.size, item.attributes.mtime);
        Self { original, digests: digests.to_vec(), size, mtime }
    }

    /// The same under another name than its source's.
    #[must_use]
    pub fn renamed(mut self, path: ItemPath) -> Self {
        self.original.path = path;
        self
    }

    /// Whether an item of the same inode is still the same file.
    #[must_use]
    pub fn fits(&self, item: &Item) -> bool {
        (self.size, self.mtime) == (item.size, item.attributes.mtime)
    }

    /// About what it takes in memory, bytes.
    fn bytes(&self) -> u64 {
        let digests: usize = self.digests.iter().map(|digest| digest.hex.len() + 64).sum();
        let texts = self.original.path.as_bytes().len() + self.original.temp.len() + digests;
        (2 * size_of::<Self>() + texts) as u64
    }
}

/// A first name as it is kept on disk.
#[derive(Serialize, Deserialize)]
struct Kept {
    path: Vec<u8>,
    temp: Vec<u8>,
    mark: (u64, u64, i128, u64, i128),
    digests: Vec<(String, String)>,
    size: u64,
    mtime: i128,
}

impl Kept {
    fn of(first: &First) -> Vec<u8> {
        let mark = first.original.mark;
        let digests = first.digests.iter().map(|d| (d.algorithm.name().to_owned(), d.hex.clone()));
        let kept = Self {
            path: first.original.path.as_bytes().to_vec(),
            temp: first.original.temp.clone(),
            mark: (mark.dev, mark.ino, mark.born.0, mark.size, mark.mtime.0),
            digests: digests.collect(),
            size: first.size,
            mtime: first.mtime.0,
        };
        serde_json::to_vec(&kept).unwrap_or_default()
    }

    fn read(bytes: &[u8]) -> Option<First> {
        let kept: Self = serde_json::from_slice(bytes).ok()?;
        let (dev, ino, born, size, mtime) = kept.mark;
        let mark = Mark {
            dev,
            ino,
            born: Timestamp(born),
            size,
            mtime: Timestamp(mtime),
            ..Mark::default()
        };
        let original = Original { path: ItemPath::parse(&kept.path).ok()?, temp: kept.temp, mark };
        let digests = kept
            .digests
            .into_iter()
            .map(|(name, hex)| Some(Digest { algorithm: Algorithm::from_name(&name)?, hex }));
        let digests = digests.collect::<Option<Vec<_>>>()?;
        Some(First { original, digests, size: kept.size, mtime: Timestamp(kept.mtime) })
    }
}

/// What is to be done with an item.
pub enum Turn<'a> {
    /// It has no other name, or names are copied one by one.
    Alone,
    /// It is the first of its names; those after it wait for the claim's end.
    First(Claim<'a>),
    /// It is another name of this.
    Later(First),
}

/// The right to copy a file with several names.
pub struct Claim<'a> {
    names: &'a Names<'a>,
    key: Key,
    /// Names that may still come.
    left: u64,
}

impl Claim<'_> {
    /// The first name is written, or stands already.
    ///
    /// # Errors
    /// `StateDir` when the table must go to disk and cannot.
    pub fn stands(self, first: First) -> Result<()> {
        self.names.insert(&mut self.names.lock(), self.key, first, self.left)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.names.lock().claimed.remove(&self.key);
        self.names.changed.notify_all();
    }
}

/// The names of a job's files.
pub struct Names<'a> {
    job: &'a Job,
    /// Whether names are kept together.
    kept: bool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    claimed: HashSet<Key>,
    /// First names with the number of names that may still come.
    near: HashMap<Key, (First, u64)>,
    bytes: u64,
    permits: Vec<Permit>,
    far: Option<Spill>,
}

impl<'a> Names<'a> {
    /// No names yet.
    #[must_use]
    pub fn new(job: &'a Job, kept: bool) -> Self {
        Self { job, kept, state: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, item: &Item) -> Option<Key> {
        let one_of_several = self.kept && item.attributes.links > 1 && !item.path.is_root();
        one_of_several.then_some((item.identity.dev, item.identity.ino))
    }

    /// Whose turn it is; waits while another name of the same file is being copied.
    ///
    /// # Errors
    /// `Cancelled`, `StateDir`.
    pub fn turn(&self, item: &Item) -> Result<Turn<'_>> {
        let Some(key) = self.key(item) else {
            return Ok(Turn::Alone);
        };
        loop {
            self.job.pass()?;
            let mut state = self.lock();
            if let Some(first) = state.find(key)? {
                return Ok(Turn::Later(first));
            }
            if state.claimed.insert(key) {
                let left = item.attributes.links - 1;
                return Ok(Turn::First(Claim { names: self, key, left }));
            }
            drop(self.changed.wait_timeout(state, WAIT));
        }
    }

    /// Makes a name that stands already the first one, unless there is one.
    ///
    /// # Errors
    /// `StateDir`.
    pub fn offer(&self, item: &Item, first: First) -> Result<()> {
        let Some(key) = self.key(item) else {
            return Ok(());
        };
        let mut state = self.lock();
        if state.claimed.contains(&key) || state.find(key)?.is_some() {
            return Ok(());
        }
        self.insert(&mut state, key, first, item.attributes.links - 1)
    }

    fn insert(&self, state: &mut State, key: Key, first: First, left: u64) -> Result<()> {
        let engine = &self.job.engine;
        state.insert(&engine.budget, engine.state.as_ref(), key, (first, left))
    }

    /// Forgets a first name that nothing can be made of any more, unless it is another one now.
    ///
    /// # Errors
    /// `StateDir`.
    pub fn forget(&self, item: &Item, first: &First) -> Result<()> {
        let Some(key) = self.key(item) else {
            return Ok(());
        };
        self.lock().forget(key, first)
    }
}

impl State {
    /// The first name of a file, one of whose other names is at hand.
    fn find(&mut self, key: Key) -> Result<Option<First>> {
        if let Some((first, left)) = self.near.get_mut(&key) {
            let first = first.clone();
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.drop_near(key);
            }
            return Ok(Some(first));
        }
        let Some(far) = &self.far else {
            return Ok(None);
        };
        let damaged = || EngineError::new(Kind::StateDir, "the table of names cannot be read");
        let kept = far.get(key)?;
        kept.map(|bytes| Kept::read(&bytes).ok_or_else(damaged)).transpose()
    }

    fn drop_near(&mut self, key: Key) {
        if let Some((first, _)) = self.near.remove(&key) {
            self.bytes = self.bytes.saturating_sub(first.bytes());
        }
    }

    fn forget(&mut self, key: Key, first: &First) -> Result<()> {
        if self.near.get(&key).is_some_and(|(other, _)| other.original != first.original) {
            return Ok(());
        }
        self.drop_near(key);
        self.far.as_ref().map_or(Ok(()), |far| far.remove(key))
    }

    fn insert(
        &mut self,
        budget: &Budget,
        disk: Option<&StateDir>,
        key: Key,
        entry: (First, u64),
    ) -> Result<()> {
        let bytes = entry.0.bytes();
        while self.bytes + bytes > self.granted() {
            let room = self.granted() < LINKS_BYTES_MAX;
            // Never waits: the worker holds a buffer that others may wait for.
            match room.then(|| budget.try_take(LINKS_BYTES_STEP)).flatten() {
                Some(permit) => self.permits.push(permit),
                None => {
                    self.spill(disk)?;
                    break;
                }
            }
        }
        self.drop_near(key);
        self.bytes += bytes;
        self.near.insert(key, entry);
        Ok(())
    }

    fn granted(&self) -> u64 {
        LINKS_BYTES_FREE + self.permits.len() as u64 * LINKS_BYTES_STEP
    }

    fn spill(&mut self, disk: Option<&StateDir>) -> Result<()> {
        let far = match self.far.take() {
            Some(far) => far,
            None => Spill::new(disk)?,
        };
        let far = self.far.insert(far);
        far.put(self.near.iter().map(|(key, (first, _))| (*key, Kept::of(first))))?;
        self.near.clear();
        self.bytes = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::item::{Attributes, Handle, Identity, ItemKind};

    fn item(ino: u64) -> Item {
        Item {
            path: ItemPath::parse(format!("some/directory/file-{ino}\u{fffd}").as_bytes()).unwrap(),
            kind: ItemKind::File,
            size: ino,
            attributes: Attributes { links: 3, mtime: Timestamp(-5), ..Attributes::default() },
            identity: Identity { dev: 7, ino, ..Identity::default() },
            link: None,
            special: None,
            handle: Handle::default(),
        }
    }

    fn first(ino: u64) -> First {
        let mark = Mark {
            dev: 1,
            ino,
            born: Timestamp(2),
            size: 3,
            mtime: Timestamp(-4),
            ..Mark::default()
        };
        let digest = Digest { algorithm: Algorithm::Sha256, hex: "0".repeat(64) };
        First::new(&item(ino), b".mig-00000000-1.part".to_vec(), mark, &[digest])
    }

    #[test]
    fn what_memory_does_not_hold_is_found_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let disk = StateDir::open(dir.path()).unwrap();
        let (budget, mut state) = (Budget::new(0), State::default());
        let count = 5000;
        for ino in 0..count {
            state.insert(&budget, Some(&disk), (7, ino), (first(ino), 2)).unwrap();
            assert!(state.bytes <= LINKS_BYTES_FREE && state.near.len() < 1000);
        }
        assert!(state.far.is_some());
        for ino in (0..count).step_by(7) {
            let (found, asked) = (state.find((7, ino)).unwrap().unwrap(), first(ino));
            assert_eq!(found.original, asked.original);
            assert_eq!(found.digests, asked.digests);
            assert!(found.fits(&item(ino)) && !found.fits(&item(ino + 1)));
        }
        assert!(state.find((7, count)).unwrap().is_none());
    }

    #[test]
    fn names_that_all_came_are_forgotten() {
        let (budget, mut state) = (Budget::new(0), State::default());
        state.insert(&budget, None, (7, 1), (first(1), 2)).unwrap();
        assert!(state.find((7, 1)).unwrap().is_some() && state.bytes > 0);
        assert!(state.find((7, 1)).unwrap().is_some());
        assert!(state.find((7, 1)).unwrap().is_none() && state.bytes == 0);
    }

    #[test]
    fn what_is_forgotten_gives_its_memory_back() {
        let (budget, mut state) = (Budget::new(0), State::default());
        for _ in 0..100_000 {
            state.insert(&budget, None, (7, 1), (first(1), 2)).unwrap();
            state.forget((7, 1), &first(2)).unwrap();
            assert!(state.find((7, 1)).unwrap().is_some(), "another one's name stays");
            state.forget((7, 1), &first(1)).unwrap();
        }
        assert_eq!((state.bytes, state.near.len(), state.far.is_some()), (0, 0, false));
    }
}
