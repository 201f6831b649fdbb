//! Listing and removing what stands at a destination.

use std::sync::Arc;

use rustix::io::Errno;

use crate::endpoint::contract::EachEntry;
use crate::error::Result;
use crate::model::found::Mark;
use crate::model::item::ItemKind;

use super::attributes::mark;
use super::error;
use super::place::LocalPlace;

/// The directory `name`, if it stands there and is of this filesystem and mount: what others
/// mounted there is not the destination's.
pub fn inside(place: Arc<LocalPlace>, name: &[u8]) -> Result<Option<Arc<LocalPlace>>> {
    let dir = match place.dir.open_dir(name) {
        Ok(dir) => dir,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
        Err(errno) => return Err(error::destination("open", errno)),
    };
    let facts = dir.own_facts().map_err(|errno| error::destination("stat", errno))?;
    if facts.mount_root || facts.identity.dev != place.device {
        return Ok(None);
    }
    LocalPlace::new(dir, Some(place), false).map(Some)
}

/// Tells the entries.
pub fn list(place: &LocalPlace, each: &mut EachEntry<'_>) -> Result<()> {
    let mut ended = Ok(());
    let listed = place.dir.each_entry(|name, kind| {
        ended = each(name, kind);
        ended.is_ok()
    });
    ended?;
    listed.map_err(|errno| error::destination("getdents", errno))
}

/// Removes the entry if it is still the thing of this mark. The look and the removal are two
/// calls, one after the other: no system call removes by identity.
pub fn remove(place: &LocalPlace, name: &[u8], kind: ItemKind, seen: &Mark) -> Result<bool> {
    let facts = match place.dir.facts(name) {
        Ok(facts) => facts,
        Err(Errno::NOENT) => return Ok(false),
        Err(errno) => return Err(error::destination("stat", errno)),
    };
    let now = mark(&facts);
    let is_same = match kind {
        // Its size and time change with what is removed from it.
        ItemKind::Directory => (now.dev, now.ino, now.born) == (seen.dev, seen.ino, seen.born),
        _ => now == *seen,
    };
    if facts.kind != kind || !is_same || facts.mount_root {
        return Ok(false);
    }
    let removed = match kind {
        ItemKind::Directory => place.dir.remove_dir(name),
        _ => place.dir.remove(name),
    };
    match removed {
        Ok(()) => Ok(true),
        // Another thing by now, something in it, or something mounted on it.
        Err(
            Errno::NOENT
            | Errno::NOTEMPTY
            | Errno::EXIST
            | Errno::NOTDIR
            | Errno::ISDIR
            | Errno::BUSY,
        ) => Ok(false),
        Err(errno) => Err(error::destination("unlink", errno)),
    }
}
