//! Temporary files of dead jobs: found by their names, removed by handle.

use std::collections::BTreeSet;

use rustix::io::Errno;

use crate::endpoint::local::error;
use crate::error::Result;
use crate::job::Job;
use crate::journal::attempt::Root;
use crate::model::item::ItemKind;
use crate::model::path::temp_tag;
use crate::platform::dir::Dir;
use crate::platform::operator;

/// Whose temporary files are meant.
#[derive(Debug)]
pub enum Owner {
    /// Those with this tag.
    Job(String),
    /// Those of everybody but these.
    Others(BTreeSet<String>),
}

impl Owner {
    fn owns(&self, name: &[u8]) -> bool {
        let Some(tag) = temp_tag(name).and_then(|tag| std::str::from_utf8(tag).ok()) else {
            return false;
        };
        match self {
            Self::Job(own) => own == tag,
            Self::Others(live) => !live.contains(tag),
        }
    }
}

/// A search for leftovers, and what came of it.
pub struct Leftovers<'a> {
    job: &'a Job,
    dry_run: bool,
    /// Files removed, or with a dry run found.
    pub removed: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that could not be removed.
    pub left: Vec<Vec<u8>>,
}

impl<'a> Leftovers<'a> {
    /// A search that removes what it finds, unless it is a dry run.
    #[must_use]
    pub fn new(job: &'a Job, dry_run: bool) -> Self {
        Self { job, dry_run, removed: 0, bytes: 0, left: Vec::new() }
    }

    /// Searches a root. One that is gone holds nothing.
    ///
    /// # Errors
    /// `SourcePermission` and the like, `Cancelled`.
    pub fn sweep(&mut self, root: &Root, owner: &Owner) -> Result<()> {
        match operator::open_dir(&root.path) {
            Ok(dir) => self.directory(&dir, &root.path, root.tree, owner),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            Err(errno) => Err(error::source("open", errno).at(root.path.clone())),
        }
    }

    fn directory(&mut self, dir: &Dir, path: &[u8], tree: bool, owner: &Owner) -> Result<()> {
        self.job.pass()?;
        let mut own: Vec<Vec<u8>> = Vec::new();
        let mut below: Vec<Vec<u8>> = Vec::new();
        dir.each_entry(|name, kind| {
            match kind {
                Some(ItemKind::Directory) if tree => below.push(name.to_vec()),
                Some(ItemKind::Directory) => {}
                _ if owner.owns(name) => own.push(name.to_vec()),
                _ => {}
            }
            true
        })
        .map_err(|errno| error::source("getdents", errno).at(path))?;
        for name in own {
            self.remove(dir, path, &name);
        }
        for name in below {
            let Ok(child) = dir.open_dir(&name) else {
                continue;
            };
            self.directory(&child, &[path, b"/", &name].concat(), tree, owner)?;
        }
        Ok(())
    }

    fn remove(&mut self, dir: &Dir, path: &[u8], name: &[u8]) {
        let bytes = dir.facts(name).map_or(0, |facts| facts.size);
        if self.dry_run || dir.remove(name).is_ok() {
            self.removed += 1;
            self.bytes += bytes;
        } else {
            self.left.push([path, b"/", name].concat());
        }
    }
}
