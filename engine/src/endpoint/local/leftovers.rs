//! Temporary files of dead jobs: found by their names, removed by handle.

use rustix::io::Errno;

use crate::endpoint::Sweep;
use crate::endpoint::contract::LeaseCell as _;
use crate::error::Result;
use crate::limits::DEPTH_MAX;
use crate::model::item::ItemKind;
use crate::model::lease::LeaseRecord;
use crate::model::leftover::Swept;
use crate::model::path::LEASE_NAME;
use crate::platform::dir::Dir;
use crate::platform::names::Names;
use crate::platform::{host, operator};

use super::error;
use super::lease::LocalLease;
use super::place::LocalPlace;

/// Searches a root. One that is gone holds nothing.
///
/// # Errors
/// `SourcePermission` and the like, `Cancelled`.
pub fn sweep(sweep: &Sweep<'_>) -> Result<Swept> {
    let path = &sweep.root.location.path;
    let mut found = Swept::default();
    match operator::open_dir(path) {
        Ok(dir) => {
            let names = Names::default();
            directory(sweep, dir, path, DEPTH_MAX, &names, &mut found)?;
        }
        Err(Errno::NOENT | Errno::NOTDIR) => {}
        Err(errno) => return Err(error::source("open", errno).at(path.clone())),
    }
    Ok(found)
}

fn directory(
    sweep: &Sweep<'_>,
    dir: Dir,
    path: &[u8],
    depth: usize,
    names: &Names,
    found: &mut Swept,
) -> Result<()> {
    (sweep.pass)()?;
    // Directories, marked, and what is to be removed.
    let mut later = names.list();
    let (mut is_leased, mut kept) = (false, Ok(()));
    dir.each_entry(|name, kind| {
        match kind {
            Some(ItemKind::Directory) if sweep.root.tree && depth > 0 => {
                kept = later.add(name, true);
            }
            Some(ItemKind::Directory) => {}
            _ if sweep.owner.owns(name) => kept = later.add(name, false),
            _ if name == LEASE_NAME => is_leased = sweep.root.tree,
            _ => {}
        }
        kept.is_ok()
    })
    .map_err(|errno| error::source("getdents", errno).at(path))?;
    kept?;
    while let Some((name, is_directory)) = later.take()? {
        if !is_directory {
            remove(sweep, &dir, path, &name, found);
        } else if let Ok(child) = dir.open_dir(&name) {
            let path = [path, b"/", &name].concat();
            directory(sweep, child, &path, depth - 1, names, found)?;
        }
    }
    if is_leased { lease(sweep, dir, path, found) } else { Ok(()) }
}

/// Frees the lease of a job that is theirs, once its process is proven dead.
fn lease(sweep: &Sweep<'_>, dir: Dir, path: &[u8], found: &mut Swept) -> Result<()> {
    let cell = LocalLease::new(LocalPlace::new(dir, None, false)?);
    let Some(bytes) = cell.read()? else {
        return Ok(());
    };
    let record = LeaseRecord::decode(&bytes);
    let dead =
        |record: LeaseRecord| sweep.owner.owns_job(&record.job) && host::is_dead(&record.holder);
    if !record.is_some_and(dead) {
        return Ok(());
    }
    if sweep.dry_run || cell.swap(Some(&bytes), None)? {
        found.removed += 1;
        found.bytes += bytes.len() as u64;
    } else {
        found.left.push([path, b"/", LEASE_NAME].concat());
    }
    Ok(())
}

fn remove(sweep: &Sweep<'_>, dir: &Dir, path: &[u8], name: &[u8], found: &mut Swept) {
    let bytes = dir.facts(name).map_or(0, |facts| facts.size);
    // Asked again at the last moment: a job may have begun since.
    if !sweep.owner.owns(name) {
        return;
    }
    if sweep.dry_run || dir.remove_own(name).is_ok() {
        found.removed += 1;
        found.bytes += bytes;
    } else {
        found.left.push([path, b"/", name].concat());
    }
}
