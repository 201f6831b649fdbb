//! Removes from a destination what its source does not have: found as data first, then judged, then
//! applied.
//!
//! What is found is kept in a file, so that any number of names takes the same memory. Nothing is
//! removed unless both sides were listed to their end and every item was copied: a listing that
//! failed is no proof of absence. What is removed is the very thing that was found.

use std::sync::atomic::Ordering::Relaxed;

use crate::endpoint::contract::{Held, ObjectSink, ObjectSource, Place};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::journal::list::{List, Listed};
use crate::limits::DELETES_A_COMMIT;
use crate::model::choice::{Carry, LinkPolicy};
use crate::model::found::Mark;
use crate::model::item::ItemKind;
use crate::model::path::{ItemPath, is_kept};
use crate::model::selection::Selection;
use crate::pipeline::feed::ends_job;
use crate::pipeline::lease::Lease;
use crate::plan::extra::{Cap, Extra, ExtraCount};
use crate::platform::names::{NameList, Names};
use crate::progress::{Spent, add};

/// A destination and what it is compared with.
pub struct Deletion<'a> {
    /// The job.
    pub job: &'a Job,
    /// What should be there.
    pub source: &'a dyn ObjectSource,
    /// Where it should be.
    pub sink: &'a dyn ObjectSink,
    /// Which names are compared; all others stay.
    pub selection: &'a Selection,
    /// How links of the source were copied.
    pub links: LinkPolicy,
    /// The most that is removed.
    pub cap: Cap,
    /// Attributes that directories get again after something in them was removed; `None` where
    /// they keep their own.
    pub dress: Option<Carry>,
    /// Asked before names are removed.
    pub lease: Option<&'a Lease>,
}

impl Deletion<'_> {
    /// Finds, judges and removes. Returns how many names were removed.
    ///
    /// # Errors
    /// `DeleteHalted` when the source has no items, `DeleteLimit`, `LeaseLost`, `Cancelled`,
    /// `StateDir`. Names that could not be removed by themselves are reported to the job.
    pub fn run(&self) -> Result<u64> {
        if self.is_incomplete() {
            return Ok(0);
        }
        let Some(root) = self.sink.standing()? else {
            return Ok(0);
        };
        self.job.progress.set_phase("delete");
        let mut list = List::new(self.job.engine.state.as_ref())?;
        let count = self.find(&root, &mut |extra| list.add(&extra.encode()))?;
        if self.is_incomplete() {
            return Ok(0);
        }
        let found = self.job.progress.items_total.load(Relaxed);
        let new = self.job.progress.items_new.load(Relaxed);
        count.judge(&self.cap, found, new)?;
        self.apply(root, list.finish()?)
    }

    /// Whether something failed, so that absence proves nothing. Says so.
    fn is_incomplete(&self) -> bool {
        let failed = self.job.progress.items_failed.load(Relaxed);
        if failed > 0 {
            let message = format!("nothing is deleted, since {failed} items or listings failed");
            self.job.warn(&EngineError::new(Kind::DeleteHalted, message));
        }
        failed > 0
    }

    /// Tells `each` what the source does not have, directories after what is in them.
    ///
    /// # Errors
    /// What ends the job; listings that failed are reported to it.
    pub fn find(
        &self,
        root: &Place,
        each: &mut dyn FnMut(&Extra) -> Result<()>,
    ) -> Result<ExtraCount> {
        let directories = self.sink.caps().directories;
        let count = ExtraCount::default();
        let names = Names::default();
        let mut search = Search { on: self, each, count, directories, warned: false, names };
        search.directory(root, &ItemPath::root(), true)?;
        Ok(search.count)
    }

    fn apply(&self, root: Place, mut extras: Listed) -> Result<u64> {
        let mut walk = Walk { on: self, open: vec![Level::new(ItemPath::root(), root)] };
        let (mut removed, mut kept) = (0u64, 0u64);
        let mut commit = Commit { lease: self.lease, left: 0, held: None };
        while let Some(record) = extras.take()? {
            self.job.take_op()?;
            let extra = Extra::decode(&record)?;
            commit.ask()?;
            match walk.remove(&extra) {
                Ok(true) => {
                    removed += 1;
                    self.job.deleted(extra.path.as_bytes());
                }
                Ok(false) => kept += u64::from(extra.kind != ItemKind::Directory),
                Err(error) if ends_job(error.kind()) => return Err(error),
                Err(error) => self.fail(&extra.path, error),
            }
        }
        drop(commit);
        walk.close_to(0);
        if kept > 0 {
            let message = format!("{kept} names are gone or others since they were listed; kept");
            self.job.warn(&EngineError::new(Kind::DeleteHalted, message));
        }
        Ok(removed)
    }

    fn fail(&self, path: &ItemPath, error: EngineError) {
        add(&self.job.progress.items_total, 1);
        self.job.fail(path.as_bytes(), error);
    }
}

/// The right to remove a few names.
struct Commit<'a> {
    lease: Option<&'a Lease>,
    left: usize,
    held: Option<Held>,
}

impl Commit<'_> {
    fn ask(&mut self) -> Result<()> {
        if self.left == 0 {
            self.held = None;
            self.held = self.lease.map(Lease::commit).transpose()?;
            self.left = DELETES_A_COMMIT;
        }
        self.left -= 1;
        Ok(())
    }
}

/// A walk of the destination.
struct Search<'a, 'b> {
    on: &'a Deletion<'a>,
    each: &'b mut dyn FnMut(&Extra) -> Result<()>,
    count: ExtraCount,
    /// Whether directories exist there by themselves.
    directories: bool,
    /// Whether it was told that names are folded there.
    warned: bool,
    /// Directories to go into after the listings that named them.
    names: Names,
}

impl Search<'_, '_> {
    /// Returns whether something in the directory stays.
    fn directory(&mut self, place: &Place, path: &ItemPath, in_source: bool) -> Result<bool> {
        let (mut stays, mut below) = (false, self.names.list());
        let on = self.on;
        let listed = on.sink.list(place, &mut |name, kind| {
            on.job.pass()?;
            stays |= self.entry(place, path, name, kind, in_source, &mut below)?;
            Ok(())
        });
        if let Err(error) = listed {
            self.failed(path, error)?;
            stays = true;
        }
        while let Some((name, _)) = below.take()? {
            let child = path.join(&name)?;
            let entered = self.below(place, &name, &child, in_source);
            stays |= match entered {
                Ok(stays) => stays,
                Err(error) => {
                    self.failed(&child, error)?;
                    true
                }
            };
        }
        Ok(stays)
    }

    /// Looks at an entry; directories are put off. Returns whether it stays.
    fn entry(
        &mut self,
        place: &Place,
        path: &ItemPath,
        name: &[u8],
        kind: Option<ItemKind>,
        in_source: bool,
        below: &mut NameList,
    ) -> Result<bool> {
        if is_kept(name) {
            return Ok(true);
        }
        let child = match path.join(name) {
            Ok(child) => child,
            Err(error) => return self.failed(path, error).map(|()| true),
        };
        let kind = match kind {
            Some(kind) => kind,
            None => match self.on.sink.found(place, name) {
                Ok(Some(found)) => found.kind,
                Ok(None) => return Ok(false),
                Err(error) => return self.failed(&child, error).map(|()| true),
            },
        };
        if kind == ItemKind::Directory {
            let excluded = self.on.selection.excludes(&child);
            if !excluded {
                below.add(name, false)?;
            }
            return Ok(excluded);
        }
        if !self.on.selection.takes(&child) {
            return Ok(true);
        }
        self.count.items += 1;
        match self.judge(place, name, &child, kind, in_source) {
            Ok(stays) => Ok(stays),
            Err(error) => self.failed(&child, error).map(|()| true),
        }
    }

    /// Tells of a name if the source does not have it. Returns whether it stays.
    fn judge(
        &mut self,
        place: &Place,
        name: &[u8],
        path: &ItemPath,
        kind: ItemKind,
        in_source: bool,
    ) -> Result<bool> {
        if in_source && self.on.source.kind(path, self.on.links)?.is_some() {
            return Ok(true);
        }
        if in_source && self.is_twin(place, name, path) {
            return Ok(true);
        }
        match self.on.sink.found(place, name)? {
            Some(found) if found.kind == kind => {
                self.tell(path, kind, found.mark)?;
                Ok(false)
            }
            other => Ok(other.is_some()),
        }
    }

    /// Whether the name may be a source's name in another spelling. It stays then: told once.
    fn is_twin(&mut self, place: &Place, name: &[u8], path: &ItemPath) -> bool {
        let folds = self.on.sink.folds(place, name);
        if folds && !std::mem::replace(&mut self.warned, true) {
            let message = "the directory folds case, so this name may be one that the source has \
                           in another spelling; such names are kept";
            self.on.job.warn_about(EngineError::new(Kind::DeleteHalted, message), path.as_bytes());
        }
        folds
    }

    fn below(
        &mut self,
        place: &Place,
        name: &[u8],
        path: &ItemPath,
        in_source: bool,
    ) -> Result<bool> {
        let kind = match in_source {
            true => self.on.source.kind(path, self.on.links)?,
            false => None,
        };
        if kind.is_some_and(|kind| kind != ItemKind::Directory) {
            return Ok(true);
        }
        if in_source && kind.is_none() && self.is_twin(place, name, path) {
            return Ok(true);
        }
        let Some(inner) = self.on.sink.inside(place, name)? else {
            return Ok(true);
        };
        let stays = self.directory(&inner, path, kind.is_some())?;
        if stays || kind.is_some() || !self.directories || !self.on.selection.takes(path) {
            return Ok(stays || kind.is_some());
        }
        match self.on.sink.found(place, name)? {
            Some(found) if found.kind == ItemKind::Directory => {
                self.tell(path, ItemKind::Directory, found.mark)?;
                Ok(false)
            }
            other => Ok(other.is_some()),
        }
    }

    fn tell(&mut self, path: &ItemPath, kind: ItemKind, mark: Mark) -> Result<()> {
        self.count.add(kind);
        (self.each)(&Extra { path: path.clone(), kind, mark })
    }

    /// Reports what could not be looked at, unless it ends the job.
    fn failed(&self, path: &ItemPath, error: EngineError) -> Result<()> {
        if ends_job(error.kind()) {
            return Err(error);
        }
        self.on.fail(path, error);
        Ok(())
    }
}

/// An open directory of the destination.
struct Level {
    path: ItemPath,
    place: Place,
    /// Whether something in it was removed.
    touched: bool,
}

impl Level {
    fn new(path: ItemPath, place: Place) -> Self {
        Self { path, place, touched: false }
    }
}

/// Goes from directory to directory, with those above open.
struct Walk<'a> {
    on: &'a Deletion<'a>,
    /// From the root down, never empty while names are removed.
    open: Vec<Level>,
}

impl Walk<'_> {
    fn remove(&mut self, extra: &Extra) -> Result<bool> {
        let Some((level, name)) = self.reach(&extra.path)? else {
            return Ok(false);
        };
        let (sink, progress) = (self.on.sink, &self.on.job.progress);
        let Some(level) = self.open.get_mut(level) else {
            return Ok(false);
        };
        let remove = || sink.remove(&level.place, name, extra.kind, &extra.mark);
        let removed = progress.timed(Spent::DestinationWrite, remove)?;
        level.touched |= removed;
        Ok(removed)
    }

    /// Opens the directory that holds `path`; `None` when it is gone.
    fn reach<'p>(&mut self, path: &'p ItemPath) -> Result<Option<(usize, &'p [u8])>> {
        let parts: Vec<&[u8]> = path.parts().collect();
        let Some((name, parents)) = parts.split_last() else {
            return Ok(None);
        };
        let open = self.open.iter().skip(1).map(|level| level.path.name());
        let same = open.zip(parents).take_while(|(open, part)| open == *part).count();
        self.close_to(same + 1);
        for part in parents.iter().skip(same) {
            let Some(last) = self.open.last() else {
                return Ok(None);
            };
            let Some(place) = self.on.sink.inside(&last.place, part)? else {
                return Ok(None);
            };
            let level = Level::new(last.path.join(part)?, place);
            self.open.push(level);
        }
        Ok(Some((parents.len(), name)))
    }

    /// Closes directories until so many are open.
    fn close_to(&mut self, count: usize) {
        while self.open.len() > count {
            let closed = self.open.pop();
            if let (Some(level), Some(carry)) = (closed.filter(|l| l.touched), self.on.dress)
                && let Err(error) = self.dress(&level, carry)
            {
                self.on.fail(&level.path, error);
            }
        }
    }

    /// Gives a directory its source's attributes again: the removal changed its times.
    fn dress(&self, level: &Level, carry: Carry) -> Result<()> {
        let Some(item) = self.on.source.find(&level.path)? else {
            return Ok(());
        };
        if item.kind != ItemKind::Directory {
            return Ok(());
        }
        let extended = self.on.source.extended(&item, carry)?;
        self.on.sink.leave(&level.place, &item.attributes, &extended, carry).map(drop)
    }
}
