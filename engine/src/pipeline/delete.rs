//! Removes from a destination what its source does not have: found as data first, then judged, then
//! applied.
//!
//! What is found is kept in a file, so that any number of names takes the same memory. Nothing is
//! removed unless both sides were listed to their end and every item was copied: a listing that
//! failed is no proof of absence. What is removed is the very thing that was found.

use std::sync::atomic::Ordering::Relaxed;

use crate::endpoint::contract::{ObjectSink, ObjectSource, Place};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::journal::list::List;
use crate::model::choice::{Carry, LinkPolicy};
use crate::model::found::Mark;
use crate::model::item::ItemKind;
use crate::model::path::{ItemPath, is_kept};
use crate::model::selection::Selection;
use crate::pipeline::feed::ends_job;
use crate::pipeline::lease::Lease;
use crate::pipeline::removal;
use crate::plan::extra::{Cap, Extra, ExtraCount};
use crate::platform::names::{NameList, Names};
use crate::progress::add;

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
    /// Names removed at once, where each waits for a network.
    pub parallel: usize,
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
        removal::apply(self, root, list.finish()?)
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
        let infers = !self.source.caps().directories;
        let mut search =
            Search { on: self, each, count, directories, infers, warned: false, names };
        search.directory(root, &ItemPath::root(), true)?;
        Ok(search.count)
    }

    pub(super) fn fail(&self, path: &ItemPath, error: EngineError) {
        add(&self.job.progress.items_total, 1);
        self.job.fail(path.as_bytes(), error);
    }
}

/// A walk of the destination.
struct Search<'a, 'b> {
    on: &'a Deletion<'a>,
    each: &'b mut dyn FnMut(&Extra) -> Result<()>,
    count: ExtraCount,
    /// Whether directories exist there by themselves.
    directories: bool,
    /// Whether directories of the source are what names beneath them make of them: that one is absent
    /// is an inference then, and each name beneath is asked for by itself.
    infers: bool,
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
        let listed = on.sink.list_marked(place, &mut |name, told| {
            on.job.pass()?;
            stays |= self.entry(place, path, name, told, in_source, &mut below)?;
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
        told: (Option<ItemKind>, Option<Mark>),
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
        let kind = match told.0 {
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
        match self.judge(place, name, &child, (kind, told.1), in_source) {
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
        (kind, mark): (ItemKind, Option<Mark>),
        in_source: bool,
    ) -> Result<bool> {
        if (in_source || self.infers) && self.on.source.kind(path, self.on.links)?.is_some() {
            return Ok(true);
        }
        if in_source && self.is_twin(place, name, path) {
            return Ok(true);
        }
        if let Some(mark) = mark {
            self.tell(path, kind, mark)?;
            return Ok(false);
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
