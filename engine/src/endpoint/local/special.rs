//! What is made complete and never opened: links, fifos, sockets, devices, further names.

use std::sync::Arc;

use rustix::io::Errno;

use crate::endpoint::contract::{Again, Original, Staged, Target};
use crate::error::Result;
use crate::model::item::{Attributes, ItemKind, Special};
use crate::model::loss::{Loss, What};
use crate::platform::hold::Hold;

use super::attributes::{Dress, mark};
use super::error;
use super::intake::Written;
use super::place::LocalPlace;

/// Makes a link under its temporary name.
///
/// # Errors
/// `DestinationPermission`, `DestinationWrite`, …
pub fn link(
    place: Arc<LocalPlace>,
    temp: &[u8],
    text: &[u8],
    attributes: &Attributes,
    target: &Target,
) -> Result<Staged> {
    place.dir.make_link(temp, text).map_err(|errno| error::destination("symlink", errno))?;
    finish(place, temp, ItemKind::Symlink, attributes, target)
}

/// Makes a fifo, socket or device under its temporary name.
///
/// # Errors
/// `DestinationPermission` for a device without privilege, `DestinationWrite`, …
pub fn make(
    place: Arc<LocalPlace>,
    temp: &[u8],
    special: Special,
    attributes: &Attributes,
    target: &Target,
) -> Result<Staged> {
    place.dir.make_special(temp, special).map_err(|errno| match (special, errno) {
        (Special::Characters(_) | Special::Blocks(_), Errno::PERM) => {
            error::destination("mknod", errno)
                .hint("run with the privilege to make devices, or exclude the item")
        }
        _ => error::destination("mknod", errno),
    })?;
    finish(place, temp, ItemKind::Special, attributes, target)
}

/// Makes one more name of an item beneath `root`, under a temporary name.
///
/// # Errors
/// `DestinationPermission`, `DestinationWrite`, …
pub fn again(
    root: &LocalPlace,
    place: Arc<LocalPlace>,
    temp: &[u8],
    original: &Original,
    target: &Target,
) -> Result<Again> {
    let loss = |call, errno: Option<Errno>| Loss {
        what: What::HardLinks,
        call,
        errno: errno.map(Errno::raw_os_error),
    };
    let (name, parent) = (original.path.name(), original.path.parent());
    let dir = match root.dir.reach_beneath(&parent) {
        Ok(dir) => dir,
        Err(errno) => return Ok(Again::Gone(loss("open", Some(errno)))),
    };
    let mut linked = Err(Errno::NOENT);
    if !original.temp.is_empty() {
        linked = dir.link_to(&original.temp, &place.dir, temp);
    }
    // It has its final name since.
    if linked == Err(Errno::NOENT) {
        linked = dir.link_to(name, &place.dir, temp);
    }
    match linked {
        Ok(()) => {}
        Err(errno @ (Errno::MLINK | Errno::XDEV | Errno::NOENT)) => {
            return Ok(Again::Gone(loss("link", Some(errno))));
        }
        Err(errno @ (Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS)) => {
            return Ok(Again::Unable(loss("link", Some(errno))));
        }
        Err(errno) => return Err(error::destination("link", errno)),
    }
    let written = Written { is_again: true, ..Written::new(place, temp, None) };
    match written.place.dir.facts(temp) {
        Ok(facts) if mark(&facts) == original.mark => Ok(Again::Made(Box::new(Staged {
            name: target.name.clone(),
            consent: target.consent,
            mark: original.mark,
            lost: Vec::new(),
            inner: Box::new(written),
        }))),
        // Something else stands under that name by now.
        Ok(_) => {
            written.remove();
            Ok(Again::Gone(loss("link", None)))
        }
        Err(errno) => {
            written.remove();
            Err(error::write("stat", errno))
        }
    }
}

/// Gives what was made its attributes.
fn finish(
    place: Arc<LocalPlace>,
    temp: &[u8],
    kind: ItemKind,
    attributes: &Attributes,
    target: &Target,
) -> Result<Staged> {
    let (extended, carry) = (&target.extended, target.carry);
    let dress = Dress { attributes, extended, carry, kind, plain: None };
    let dressed = dress.put_on(Hold::Entry(&place.dir, temp));
    let written = Written::new(place, temp, None);
    match dressed {
        Ok((facts, lost)) => Ok(Staged {
            name: target.name.clone(),
            consent: target.consent,
            mark: mark(&facts),
            lost,
            inner: Box::new(written),
        }),
        Err(error) => {
            written.remove();
            Err(error)
        }
    }
}
