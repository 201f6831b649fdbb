//! What is carried over beside content, as the system takes it.

use rustix::io::Errno;

use crate::error::Result;
use crate::model::choice::Carry;
use crate::model::extended::Extended;
use crate::model::found::Mark;
use crate::model::item::{Attributes, ItemKind};
use crate::model::loss::{Loss, What, lose};
use crate::model::version::Version;
use crate::platform::dir::Facts;
use crate::platform::hold::Hold;
use crate::platform::process;

use super::{error, xattrs};

/// What identifies the file of these facts.
pub fn mark(facts: &Facts) -> Mark {
    Mark {
        dev: facts.identity.dev,
        ino: facts.identity.ino,
        born: facts.identity.born,
        size: facts.size,
        mtime: facts.attributes.mtime,
        version: Version::default(),
    }
}

/// The mode that is carried over.
fn permission_bits(attributes: &Attributes, carry: Carry) -> u32 {
    attributes.mode & if carry.setuid { 0o7777 } else { 0o777 }
}

/// What any new file of this user gets.
pub fn usual_mode(bits: u32) -> u32 {
    bits & !process::umask()
}

/// Whether the destination says that it cannot hold something, rather than that it is broken.
pub fn is_refusal(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::PERM
            | Errno::ACCESS
            | Errno::OPNOTSUPP
            | Errno::NOSYS
            | Errno::INVAL
            | Errno::OVERFLOW
    )
}

/// What is set on one file or directory.
#[derive(Clone, Copy, Debug)]
pub struct Dress<'a> {
    /// Mode, owner and times of the source.
    pub attributes: &'a Attributes,
    /// What hangs on it beside.
    pub extended: &'a Extended,
    /// What of all this is carried over.
    pub carry: Carry,
    /// What it is.
    pub kind: ItemKind,
    /// The mode it was made with, where nothing came from its directory.
    pub plain: Option<u32>,
}

impl Dress<'_> {
    /// Sets everything, and returns what it is then and what was lost. What nobody asked for may
    /// stay as the destination makes it.
    ///
    /// In this order, at no moment is it open to anybody its source is not open to: a change of
    /// owner takes set-user-id bits and capabilities away, so it comes first; lists that came from
    /// the directory go before the mode that would put them in force.
    ///
    /// # Errors
    /// `DestinationWrite`.
    pub fn put_on(&self, held: Hold<'_>) -> Result<(Facts, Vec<Loss>)> {
        let mut losses = Vec::new();
        let owned =
            if self.carry.owner { self.own(held, &mut losses)? } else { self.is_owned(held)? };
        let bits = self.bits(owned, &mut losses);
        if self.kind != ItemKind::Symlink {
            if self.plain.is_none() {
                xattrs::drop_inherited(held, self.carry, self.kind)?;
            }
            if self.plain != Some(bits) || self.carry.owner {
                self.set(What::Mode, "fchmod", held.set_mode(bits), &mut losses)?;
            }
            xattrs::set_lists(held, self.extended, self.carry, &mut losses)?;
        }
        xattrs::set_others(held, self.extended, &mut losses)?;
        if self.carry.times {
            let set = held.set_times(self.attributes);
            self.set(What::Times, "utimensat", set, &mut losses)?;
        }
        let facts = held.facts().map_err(|errno| error::write("stat", errno))?;
        self.check(&facts, bits, &mut losses);
        Ok((facts, losses))
    }

    /// What a call came to: done, a loss, or an error.
    fn set(
        &self,
        what: What,
        call: &'static str,
        done: Result<(), Errno>,
        losses: &mut Vec<Loss>,
    ) -> Result<()> {
        match done {
            Err(errno) if is_refusal(errno) => {
                if what != What::Mode || self.carry.mode {
                    lose(losses, Loss { what, call, errno: Some(errno.raw_os_error()) });
                }
                Ok(())
            }
            other => other.map_err(|errno| error::write(call, errno)),
        }
    }

    /// The mode that is set. The group's bits of a file with an access list are that list's mask:
    /// without the list they would give the group what the list does not.
    fn bits(&self, owned: bool, losses: &mut Vec<Loss>) -> u32 {
        if !self.carry.mode {
            return usual_mode(if self.kind == ItemKind::Directory { 0o777 } else { 0o666 });
        }
        let mut bits = permission_bits(self.attributes, self.carry);
        if let Some(group) = self.extended.group_bits() {
            bits = bits & !0o070 | group;
        }
        if !owned && bits & 0o6000 != 0 {
            // Somebody else's program must not run with the rights of whoever copied it.
            bits &= !0o6000;
            lose(losses, Loss { what: What::Setuid, call: "fchown", errno: None });
        }
        bits
    }

    /// Whether it belongs to its source's owner and group without being given to them, where that
    /// matters.
    fn is_owned(&self, held: Hold<'_>) -> Result<bool> {
        if permission_bits(self.attributes, self.carry) & 0o6000 == 0 {
            return Ok(true);
        }
        let now = held.facts().map_err(|errno| error::write("stat", errno))?.attributes;
        Ok((now.uid, now.gid) == (self.attributes.uid, self.attributes.gid))
    }

    /// Gives it to its owner, or at least to its group. Returns whether both are kept.
    fn own(&self, held: Hold<'_>, losses: &mut Vec<Loss>) -> Result<bool> {
        let done = held.set_owner(self.attributes);
        if done.is_err_and(is_refusal) {
            // Members of the group may do that much.
            let _ = held.set_group(self.attributes);
        }
        self.set(What::Owner, "fchown", done, losses)?;
        Ok(done.is_ok())
    }

    /// Some filesystems take what they cannot hold without a word.
    fn check(&self, facts: &Facts, bits: u32, losses: &mut Vec<Loss>) {
        let (now, asked, carry) = (&facts.attributes, self.attributes, self.carry);
        let mut differs = |what| lose(losses, Loss { what, call: "stat", errno: None });
        if carry.times && now.mtime != asked.mtime {
            differs(What::Times);
        }
        if carry.owner && (now.uid, now.gid) != (asked.uid, asked.gid) {
            differs(What::Owner);
        }
        if self.kind == ItemKind::Symlink {
            return;
        }
        if carry.setuid && (now.mode ^ bits) & 0o7000 != 0 {
            differs(What::Setuid);
        }
        // The group's bits are the list's to say where there is one.
        let group = if self.extended.access.is_some() { 0o070 } else { 0 };
        if carry.mode && (now.mode ^ bits) & 0o777 & !group != 0 {
            differs(What::Mode);
        }
    }
}
