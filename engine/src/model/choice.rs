//! What a command may choose, resolved from its fields.

use crate::model::found::Mark;

/// What the command says about things that stand at the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExists {
    /// The item fails.
    Fail,
    /// It is left alone.
    Skip,
    /// It is left alone when size and time agree, replaced otherwise.
    Update,
    /// It is replaced.
    Replace,
}

/// How `update` tells that what stands there is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// By kind, size and time.
    Time,
    /// By kind, size and content.
    Content,
}

/// Whether something that stands at the destination may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Only a free name is taken.
    New,
    /// What stands there is replaced as a whole, as long as it is the very thing that was seen.
    Replace(Mark),
}

/// What is carried over, resolved from the command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carry {
    /// Permission bits.
    pub mode: bool,
    /// Times.
    pub times: bool,
    /// Owner and group.
    pub owner: bool,
    /// Set-user-id, set-group-id and sticky.
    pub setuid: bool,
    /// Extended attributes.
    pub xattrs: bool,
    /// Access lists; then `mode` too.
    pub acls: bool,
    /// Several names for one file.
    pub hard_links: bool,
    /// Holes.
    pub holes: bool,
    /// Fifos, sockets and devices.
    pub specials: bool,
}

impl Carry {
    /// Mode without its special bits, and times: what a file made from another one gets.
    pub const PLAIN: Self = Self {
        mode: true,
        times: true,
        owner: false,
        setuid: false,
        xattrs: false,
        acls: false,
        hard_links: false,
        holes: false,
        specials: false,
    };
}

/// How far a publication must be durable when it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durable {
    /// Survives a loss of power.
    PowerLoss,
    /// Survives the process.
    Crash,
}

/// What is done with symbolic links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Copied as links.
    Preserve,
    /// What they lead to is copied.
    Follow,
    /// Left out.
    Skip,
}

impl Links {
    /// How a survey must treat them.
    #[must_use]
    pub fn policy(self) -> LinkPolicy {
        if self == Self::Follow { LinkPolicy::Follow } else { LinkPolicy::Preserve }
    }
}

/// What is done with symbolic links while surveying.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkPolicy {
    /// They are items of their own.
    #[default]
    Preserve,
    /// What they lead to takes their place, as long as it lies beneath the root.
    Follow,
}
