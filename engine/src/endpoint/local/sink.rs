//! Writing the local filesystem: temporary names, batched syncs, publication by rename.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;

use crate::endpoint::contract::{
    Again, Becoming, Caps, EachEntry, Intake, LeaseCell, ObjectSink, Original, Place, Shape,
    Staged, Target,
};
use crate::error::{EngineError, Kind, Result};
use crate::model::choice::{Carry, Durable};
use crate::model::extended::Extended;
use crate::model::found::{Found, Mark};
use crate::model::item::{Attributes, ItemKind, Special};
use crate::model::location::Location;
use crate::model::loss::Loss;
use crate::platform::hold::Hold;
use crate::platform::{dir, operator};

use super::attributes::{Dress, mark};
use super::intake::{LocalIntake, Written};
use super::lease::LocalLease;
use super::overlap::nearest;
use super::place::{LocalPlace, Made};
use super::publish::{Syncs, publish};
use super::{CAPS, error, remove, special, times};

/// A local destination.
#[derive(Debug)]
pub struct LocalSink {
    path: Vec<u8>,
    /// The root's directory once it was asked for, and whether this job made it.
    root: std::sync::OnceLock<(Arc<LocalPlace>, bool)>,
    /// Whether every file gets a temporary name, since one without could not be given its own.
    names_all: AtomicBool,
    /// What could not be made durable.
    syncs: Mutex<Syncs>,
    /// Directories whose own names may not be durable.
    made: Mutex<Made>,
}

impl LocalSink {
    /// A destination; nothing is touched yet.
    #[must_use]
    pub fn new(location: &Location) -> Self {
        let names_all = AtomicBool::new(!dir::may_name_open_files());
        Self {
            path: location.path.clone(),
            root: std::sync::OnceLock::new(),
            names_all,
            syncs: Mutex::default(),
            made: Mutex::default(),
        }
    }

    /// A file without a name, where it needs none and the filesystem knows such.
    fn unnamed(&self, place: &LocalPlace, shape: Shape) -> Result<Option<OwnedFd>> {
        if !shape.unnamed || self.names_all.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match place.dir.create_unnamed(shape.mode) {
            Ok(file) => Ok(Some(file)),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
                self.names_all.store(true, Ordering::Relaxed);
                Ok(None)
            }
            Err(errno) => Err(error::destination("open", errno)),
        }
    }

    /// Opens a directory of the operator, making what is missing. Returns whether it was made.
    fn open(&self, path: &[u8], mode: u32) -> Result<(Arc<LocalPlace>, bool)> {
        let made = operator::make_dirs(path, mode).map_err(|failure| {
            let errno = Errno::from_io_error(&failure).unwrap_or(Errno::IO);
            error::destination("mkdir", errno).at(path)
        })?;
        let dir =
            operator::open_dir(path).map_err(|errno| error::destination("open", errno).at(path))?;
        let place = LocalPlace::new(dir, None, !made.is_empty())?;
        for new in &made {
            sync_parent_of(new)?;
        }
        let made = made.iter().any(|made| made == operator::path(path));
        let (place, made) = self.root.get_or_init(|| (place, made));
        Ok((Arc::clone(place), *made))
    }
}

impl ObjectSink for LocalSink {
    fn caps(&self) -> Caps {
        let step = match self.root.get() {
            Some((root, _)) => times::step_ns(&root.dir),
            None => operator::open_dir(&self.path)
                .or_else(|_| nearest(&self.path))
                .map_or(1, |dir| times::step_ns(&dir)),
        };
        Caps { mtime_step_ns: step, ..CAPS }
    }

    fn root_place(&self) -> Result<(Place, Vec<u8>)> {
        let Some((dir, name)) = operator::split(&self.path) else {
            let message = "the destination is a directory, and the source is not";
            return Err(EngineError::new(Kind::DestinationType, message).at(self.path.clone()));
        };
        let (place, made) = self.open(dir, 0o777)?;
        Ok((place.handed(made), name.to_vec()))
    }

    fn root_directory(&self) -> Result<Place> {
        let (place, made) = self.open(&self.path, 0o700)?;
        Ok(place.handed(made))
    }

    fn enter(&self, at: &Place, name: &[u8]) -> Result<Place> {
        let parent = LocalPlace::of(at)?;
        let made = match parent.dir.make_dir(name) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return Err(error::destination("mkdir", errno)),
        };
        let opened = parent.dir.open_dir(name);
        let opened = opened.map_err(|errno| error::destination("open", errno))?;
        let place = LocalPlace::new(opened, Some(parent), made)?;
        let mut known = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made {
            known.add(&place);
        } else if known.may_hold(&place) {
            place.unsynced.store(true, Ordering::Release);
        }
        drop(known);
        Ok(place.handed(made))
    }

    fn found(&self, at: &Place, name: &[u8]) -> Result<Option<Found>> {
        let place = LocalPlace::of(at)?;
        let facts = match place.dir.facts(name) {
            Ok(facts) => facts,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(error::destination("stat", errno)),
        };
        let link =
            (facts.kind == ItemKind::Symlink).then(|| place.dir.read_link(name).ok()).flatten();
        let folded = place.dir.folds(name, &facts);
        Ok(Some(Found {
            folded,
            kind: facts.kind,
            size: facts.size,
            mtime: facts.attributes.mtime,
            mark: mark(&facts),
            link,
            special: facts.special,
        }))
    }

    fn begin(
        &self,
        at: &Place,
        temp: &[u8],
        shape: Shape,
        _: Becoming<'_>,
    ) -> Result<Box<dyn Intake>> {
        let place = LocalPlace::of(at)?;
        let intake = match self.unnamed(&place, shape)? {
            Some(file) => LocalIntake::new(place, None, file, shape),
            None => {
                let file = place.dir.create_file(temp);
                let file = file.map_err(|errno| error::destination("open", errno))?;
                LocalIntake::new(place, Some(temp), file, shape)
            }
        };
        if let Err(error) = intake.lay_out(shape) {
            Box::new(intake).abort();
            return Err(error);
        }
        Ok(Box::new(intake))
    }

    fn adopt(
        &self,
        at: &Place,
        old: &[u8],
        temp: &[u8],
        mark: Mark,
        shape: Shape,
        _: Becoming<'_>,
    ) -> Result<Option<Box<dyn Intake>>> {
        let place = LocalPlace::of(at)?;
        let file = match place.dir.open_own(old) {
            Ok(file) => file,
            Err(
                Errno::NOENT
                | Errno::LOOP
                | Errno::ISDIR
                | Errno::ACCESS
                | Errno::PERM
                | Errno::TXTBSY,
            ) => return Ok(None),
            Err(errno) => return Err(error::destination("open", errno)),
        };
        let facts = dir::facts(&file).map_err(|errno| error::destination("stat", errno))?;
        if !super::attributes::mark(&facts).lasting().is_same(&mark.lasting())
            || facts.kind != ItemKind::File
            || facts.attributes.links != 1
        {
            return Ok(None);
        }
        if shape.sparse || facts.size > shape.bytes {
            let cut = rustix::fs::ftruncate(&file, shape.bytes);
            cut.map_err(|errno| error::destination("ftruncate", errno))?;
        }
        place.dir.publish_new(old, temp).map_err(|errno| error::destination("rename", errno))?;
        Ok(Some(Box::new(LocalIntake::new(place, Some(temp), file, shape))))
    }

    fn link(
        &self,
        at: &Place,
        temp: &[u8],
        text: &[u8],
        attributes: &Attributes,
        target: &Target,
    ) -> Result<Staged> {
        let place = LocalPlace::of(at)?;
        special::link(place, temp, text, attributes, target)
    }

    fn special(
        &self,
        at: &Place,
        temp: &[u8],
        special: Special,
        attributes: &Attributes,
        target: &Target,
    ) -> Result<Staged> {
        special::make(LocalPlace::of(at)?, temp, special, attributes, target)
    }

    fn again(
        &self,
        at: &Place,
        temp: &[u8],
        original: &Original,
        target: &Target,
    ) -> Result<Again> {
        match self.root.get() {
            Some((root, _)) => special::again(root, LocalPlace::of(at)?, temp, original, target),
            None => Err(EngineError::new(Kind::Internal, "no name was given yet")),
        }
    }

    fn temp_of(&self, staged: &Staged) -> Vec<u8> {
        let written = staged.inner.downcast_ref::<Written>();
        written.and_then(|written| written.temp.clone()).unwrap_or_default()
    }

    fn publish(&self, batch: Vec<Staged>, durable: Durable) -> Vec<Result<()>> {
        publish(batch, durable, &self.syncs)
    }

    fn discard(&self, staged: Staged) {
        if let Ok(written) = staged.inner.downcast::<Written>() {
            written.remove();
        }
    }

    fn leave(
        &self,
        at: &Place,
        attributes: &Attributes,
        extended: &Extended,
        carry: Carry,
    ) -> Result<Vec<Loss>> {
        let place = LocalPlace::of(at)?;
        let kind = ItemKind::Directory;
        let dress = Dress { attributes, extended, carry, kind, plain: None };
        dress.put_on(Hold::open(&place.dir)).map(|(_, lost)| lost)
    }

    fn standing(&self) -> Result<Option<Place>> {
        if let Some((root, made)) = self.root.get() {
            return Ok(Some(Arc::clone(root).handed(*made)));
        }
        match operator::open_dir(&self.path) {
            Ok(dir) => LocalPlace::new(dir, None, false).map(|place| Some(place.handed(false))),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(error::destination("open", errno).at(self.path.clone())),
        }
    }

    fn inside(&self, at: &Place, name: &[u8]) -> Result<Option<Place>> {
        let place = remove::inside(LocalPlace::of(at)?, name)?;
        Ok(place.map(|place| place.handed(false)))
    }

    fn list(&self, at: &Place, each: &mut EachEntry<'_>) -> Result<()> {
        remove::list(&*LocalPlace::of(at)?, each)
    }

    fn folds(&self, at: &Place, name: &[u8]) -> bool {
        LocalPlace::of(at).is_ok_and(|place| {
            let facts = place.dir.facts(name);
            facts.is_ok_and(|facts| place.dir.answers_to_other_case(name, &facts))
        })
    }

    fn remove(&self, at: &Place, name: &[u8], kind: ItemKind, seen: &Mark) -> Result<bool> {
        remove::remove(&*LocalPlace::of(at)?, name, kind, seen)
    }

    fn lease(&self, at: &Place) -> Result<Box<dyn LeaseCell>> {
        Ok(Box::new(LocalLease::new(LocalPlace::of(at)?)))
    }

    fn settle(&self) -> Result<()> {
        if self.syncs.lock().unwrap_or_else(PoisonError::into_inner).is_broken() {
            return Err(error::write("syncfs", Errno::IO));
        }
        match self.root.get() {
            Some((root, _)) => {
                rustix::fs::syncfs(&root.dir).map_err(|errno| error::write("syncfs", errno))
            }
            None => Ok(()),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_entered_again_has_no_durable_name_yet() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().as_os_str().as_encoded_bytes().to_vec();
        let before = LocalSink::new(&Location::parse(&path, Vec::new()).unwrap());
        before.enter(&before.root_directory().unwrap(), b"old").unwrap();
        let sink = LocalSink::new(&Location::parse(&path, Vec::new()).unwrap());
        let root = sink.root_directory().unwrap();
        let unsynced =
            |place: &Place| LocalPlace::of(place).unwrap().unsynced.load(Ordering::Acquire);
        let above = sink.enter(&root, b"above").unwrap();
        assert!(above.made && unsynced(&above));
        drop(sink.enter(&above, b"below").unwrap());
        // Nothing was published in between, and all handles are gone.
        drop(above);
        let above = sink.enter(&root, b"above").unwrap();
        let below = sink.enter(&above, b"below").unwrap();
        assert!(!above.made && unsynced(&above) && !below.made && unsynced(&below));
        assert!(!unsynced(&sink.enter(&root, b"old").unwrap()));
        // One sync reaches all names above.
        LocalPlace::of(&below).unwrap().sync_upward().unwrap();
        assert!(!unsynced(&above) && !unsynced(&below));
    }
}
