//! What is made complete and never opened: links, fifos, sockets, devices.

use std::sync::Arc;

use crate::endpoint::contract::{Staged, Target};
use crate::error::Result;
use crate::model::item::{Attributes, ItemKind};
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

/// Gives what was made its attributes.
fn finish(
    place: Arc<LocalPlace>,
    temp: &[u8],
    kind: ItemKind,
    attributes: &Attributes,
    target: &Target,
) -> Result<Staged> {
    let dress = Dress { attributes, extended: &target.extended, carry: target.carry, kind };
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
