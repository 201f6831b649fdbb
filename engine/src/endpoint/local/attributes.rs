//! What is carried over beside content, as the system takes it.

use std::os::fd::AsFd;

use crate::error::Result;
use crate::model::choice::Carry;
use crate::model::found::Mark;
use crate::model::item::Attributes;
use crate::platform::dir::{self, Facts};
use crate::platform::process;

use super::error;

/// What identifies the file of these facts.
pub fn mark(facts: &Facts) -> Mark {
    Mark {
        dev: facts.identity.dev,
        ino: facts.identity.ino,
        born: facts.born,
        size: facts.size,
        mtime: facts.attributes.mtime,
    }
}

/// The mode that is carried over.
pub fn permission_bits(attributes: &Attributes, carry: Carry) -> u32 {
    attributes.mode & if carry.setuid { 0o7777 } else { 0o777 }
}

/// What any new file of this user gets.
pub fn usual_mode(bits: u32) -> u32 {
    bits & !process::umask()
}

/// Sets them. Owner first: a change of owner takes the set-user-id bits away.
///
/// # Errors
/// `DestinationWrite`.
pub fn apply(fd: &impl AsFd, attributes: &Attributes, carry: Carry, mode: u32) -> Result<()> {
    let failed = |call| move |errno| error::write(call, errno);
    if carry.owner {
        dir::set_owner(fd, attributes).map_err(failed("fchown"))?;
    }
    dir::set_mode(fd, mode).map_err(failed("fchmod"))?;
    if carry.times {
        dir::set_times(fd, attributes).map_err(failed("futimens"))?;
    }
    Ok(())
}
