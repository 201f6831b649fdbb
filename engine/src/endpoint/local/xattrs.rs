//! Which extended attributes are carried over, and what becomes of them where they cannot be.

use rustix::io::Errno;

use crate::error::Result;
use crate::limits::EXTENDED_BYTES_MAX;
use crate::model::choice::Carry;
use crate::model::extended::Extended;
use crate::model::item::ItemKind;
use crate::model::loss::{Loss, What, lose};
use crate::platform::hold::Hold;

use super::error;

const ACCESS: &[u8] = b"system.posix_acl_access";
const DEFAULT: &[u8] = b"system.posix_acl_default";
/// Rights that a program gets whoever starts it: as dangerous as the set-user-id bit.
const CAPABILITY: &[u8] = b"security.capability";
/// Namespaces that are carried over. Others belong to their filesystem.
const NAMESPACES: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];

/// Whether an attribute of this name is carried over as it is.
fn is_wanted(name: &[u8], carry: Carry) -> bool {
    carry.xattrs
        && (name != CAPABILITY || carry.setuid)
        && NAMESPACES.iter().any(|space| name.starts_with(space))
}

/// Reads what is carried over. Where attributes do not exist, there are none.
///
/// # Errors
/// `SourceRead` and the like.
pub fn read(held: Hold<'_>, carry: Carry) -> Result<Extended> {
    let mut extended = Extended::default();
    if !carry.xattrs && !carry.acls && !carry.mode {
        return Ok(extended);
    }
    let mut wanted: Vec<Vec<u8>> = Vec::new();
    let (mut access, mut default) = (false, false);
    let listed = held.each_name(|name| match name {
        ACCESS => access = carry.acls || carry.mode,
        DEFAULT => default = carry.acls,
        other if is_wanted(other, carry) => wanted.push(other.to_vec()),
        _ => {}
    });
    match listed {
        Ok(()) => {}
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOENT) => return Ok(extended),
        Err(errno) => return Err(error::source("listxattr", errno)),
    }
    if access {
        extended.access = value(held, ACCESS, &mut extended.cut)?;
    }
    if default {
        extended.default = value(held, DEFAULT, &mut extended.cut)?;
    }
    let mut bytes = 0;
    for name in wanted {
        if let Some(value) = value(held, &name, &mut extended.cut)? {
            bytes += (name.len() + value.len()) as u64;
            if bytes > EXTENDED_BYTES_MAX {
                extended.cut = true;
                break;
            }
            extended.xattrs.push((name, value));
        }
    }
    Ok(extended)
}

fn value(held: Hold<'_>, name: &[u8], cut: &mut bool) -> Result<Option<Vec<u8>>> {
    match held.get(name) {
        Ok(value) => Ok(Some(value)),
        // Gone since it was listed.
        Err(Errno::NODATA) => Ok(None),
        Err(Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP | Errno::TOOBIG) => {
            *cut = true;
            Ok(None)
        }
        Err(errno) => Err(error::source("getxattr", errno)),
    }
}

/// Takes away the access lists that a new entry got from its directory: they would let others in
/// that its source does not know.
///
/// # Errors
/// `DestinationWrite`.
pub fn drop_inherited(held: Hold<'_>, carry: Carry, kind: ItemKind) -> Result<()> {
    let lists: &[&[u8]] = if kind == ItemKind::Directory { &[ACCESS, DEFAULT] } else { &[ACCESS] };
    for name in lists.iter().filter(|_| carry.mode) {
        if held.has(name) {
            match held.remove(name) {
                Ok(()) | Err(Errno::NODATA) => {}
                Err(errno) => return Err(error::write("removexattr", errno)),
            }
        }
    }
    Ok(())
}

/// Whether a directory gives what is made in it an access list.
pub fn has_default(directory: Hold<'_>) -> bool {
    directory.has(DEFAULT)
}

/// Sets the access lists that are carried over.
///
/// # Errors
/// `DestinationWrite`.
pub fn set_lists(
    held: Hold<'_>,
    extended: &Extended,
    carry: Carry,
    losses: &mut Vec<Loss>,
) -> Result<()> {
    if !carry.acls {
        return Ok(());
    }
    for (name, list) in [(ACCESS, &extended.access), (DEFAULT, &extended.default)] {
        if let Some(list) = list {
            set(held, What::Acls, name, list, losses)?;
        }
    }
    Ok(())
}

/// Sets the attributes that are carried over.
///
/// # Errors
/// `DestinationWrite`.
pub fn set_others(held: Hold<'_>, extended: &Extended, losses: &mut Vec<Loss>) -> Result<()> {
    if extended.cut {
        lose(losses, Loss { what: What::Xattrs, call: "getxattr", errno: None });
    }
    for (name, value) in &extended.xattrs {
        set(held, What::Xattrs, name, value, losses)?;
    }
    Ok(())
}

fn set(
    held: Hold<'_>,
    what: What,
    name: &[u8],
    value: &[u8],
    losses: &mut Vec<Loss>,
) -> Result<()> {
    match held.set(name, value) {
        Ok(()) => Ok(()),
        // A label that policy gave already may not be set again, and need not be.
        Err(_) if held.get(name).is_ok_and(|held| held == value) => Ok(()),
        Err(errno) if is_refusal(errno) => {
            lose(losses, Loss { what, call: "setxattr", errno: Some(errno.raw_os_error()) });
            Ok(())
        }
        Err(errno) => Err(error::write("setxattr", errno)),
    }
}

/// Whether the destination says that it cannot hold an attribute, rather than that it is broken.
/// Filesystems tell a full attribute area as a full device.
fn is_refusal(errno: Errno) -> bool {
    super::attributes::is_refusal(errno)
        || matches!(
            errno,
            Errno::NOSPC | Errno::DQUOT | Errno::TOOBIG | Errno::RANGE | Errno::NOENT
        )
}
