//! Metadata that a destination could not hold, although it was asked for.

/// A kind of metadata, named as in `preserve`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Permission bits.
    Mode,
    /// Times, to the nanosecond.
    Times,
    /// Owner and group.
    Owner,
    /// Set-user-id, set-group-id and sticky.
    Setuid,
    /// Extended attributes.
    Xattrs,
    /// Access lists.
    Acls,
    /// Several names for one file.
    HardLinks,
}

impl What {
    /// Every kind, in the order in which they are told.
    pub const ALL: [Self; 7] = [
        Self::Mode,
        Self::Times,
        Self::Owner,
        Self::Setuid,
        Self::Xattrs,
        Self::Acls,
        Self::HardLinks,
    ];

    /// The word for it on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mode => "mode",
            Self::Times => "times",
            Self::Owner => "owner",
            Self::Setuid => "setuid",
            Self::Xattrs => "xattrs",
            Self::Acls => "acls",
            Self::HardLinks => "hard_links",
        }
    }

    /// What a person calls it.
    #[must_use]
    pub fn described(self) -> &'static str {
        match self {
            Self::Mode => "permission bits",
            Self::Times => "exact times",
            Self::Owner => "owner and group",
            Self::Setuid => "set-user-id, set-group-id and sticky bits",
            Self::Xattrs => "extended attributes",
            Self::Acls => "access lists",
            Self::HardLinks => "hard links",
        }
    }
}

/// One kind of metadata that one item lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// What.
    pub what: What,
    /// The call that showed it.
    pub call: &'static str,
    /// Its error number; `None` where the call succeeded and the value is another one all the same.
    pub errno: Option<i32>,
}

/// Adds a loss, once for each kind.
pub fn lose(losses: &mut Vec<Loss>, loss: Loss) {
    if losses.iter().all(|other| other.what != loss.what) {
        losses.push(loss);
    }
}
