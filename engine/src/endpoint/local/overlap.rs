//! Whether two local paths are the same thing or lie inside each other, by device and inode: what
//! links and bind mounts hide, these show.

use rustix::io::Errno;

use crate::error::{EngineError, Kind, Result};
use crate::model::location::Location;
use crate::platform::dir::{self, Dir, Facts};
use crate::platform::operator;

use super::error;

type Id = (u64, u64);

/// Whether `source` and `destination` are the same file, or one directory lies inside the other.
///
/// # Errors
/// What keeps either from being looked at, other than its absence.
pub fn overlap(source: &Location, destination: &Location) -> Result<bool> {
    let Some(from) = facts(&source.path).map_err(|errno| error::source("stat", errno))? else {
        return Ok(false);
    };
    refuse_ups_after_missing(&destination.path)?;
    let to = facts(&destination.path).map_err(|errno| error::destination("stat", errno))?;
    if to.as_ref().is_some_and(|to| id(to) == id(&from)) {
        return Ok(true);
    }
    let inside = |path: &[u8], outer: Id| Ok(above(path)?.contains(&outer));
    let in_source = inside(&destination.path, id(&from));
    let in_destination = to.map_or(Ok(false), |to| inside(&source.path, id(&to)));
    let either: Result<bool, Errno> = in_source.and_then(|a| Ok(a || in_destination?));
    either.map_err(|errno| error::source("open", errno))
}

/// A `..` after a part that does not exist names nothing until that part is made, and then perhaps
/// something within the source.
fn refuse_ups_after_missing(path: &[u8]) -> Result<()> {
    let mut end = 0;
    for part in path.split(|b| *b == b'/') {
        let before = path.get(..end).filter(|before| !before.is_empty() && *before != b"/");
        if part == b".." && before.is_some_and(|before| matches!(facts(before), Ok(None))) {
            let message = "the path goes up from a directory that does not exist";
            return Err(EngineError::new(Kind::InvalidField, message)
                .field("dst")
                .at(path)
                .hint("write the path without .. after its first missing part"));
        }
        end = (end + part.len() + 1).min(path.len());
    }
    Ok(())
}

fn id(facts: &Facts) -> Id {
    (facts.identity.dev, facts.identity.ino)
}

fn facts(path: &[u8]) -> Result<Option<Facts>, Errno> {
    match dir::facts_of_path(path) {
        Ok(facts) => Ok(Some(facts)),
        Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::ACCESS) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The directories that hold `path`, from its own (or the nearest that exists) up to the root.
fn above(path: &[u8]) -> Result<Vec<Id>, Errno> {
    let mut dir = nearest(path)?;
    let mut ids = Vec::new();
    loop {
        let here = id(&dir.own_facts()?);
        if ids.last() == Some(&here) {
            return Ok(ids);
        }
        ids.push(here);
        dir = dir.parent()?;
    }
}

/// The directory that `path` lies in, or the nearest above it that exists.
///
/// # Errors
/// Whatever the system says.
pub fn nearest(path: &[u8]) -> Result<Dir, Errno> {
    let mut at = path;
    loop {
        at = match operator::split(at) {
            Some((dir, _)) => dir,
            None => return operator::open_dir(if path.starts_with(b"/") { b"/" } else { b"." }),
        };
        match operator::open_dir(at) {
            Err(Errno::NOENT | Errno::NOTDIR) if at != b"." && at != b"/" => {}
            other => return other,
        }
    }
}
