//! What an item at the destination means for a copy: the same answer for `plan` and for `copy`.

use crate::error::Kind;
use crate::model::choice::{Compare, Consent, OnExists};
use crate::model::found::Found;
use crate::model::item::{Item, ItemKind, Timestamp};

/// What is done about one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Written, with this consent.
    Write(Consent),
    /// Left alone.
    Skip,
    /// Refused, with this kind of error.
    Conflict(Kind),
}

impl Decision {
    /// The word for it in a plan.
    #[must_use]
    pub fn name(self, found: bool) -> &'static str {
        match self {
            Self::Write(_) if found => "replace",
            Self::Write(_) => "new",
            Self::Skip => "skip",
            Self::Conflict(_) => "conflict",
        }
    }
}

/// Decides about anything but a directory, given what stands there, where times are compared
/// exactly.
#[must_use]
pub fn decide(on_exists: OnExists, item: &Item, found: Option<&Found>) -> Decision {
    Rule { on_exists, compare: Compare::Time, step_ns: 1 }.decide(item, found)
}

/// What is done about things that stand at the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What the command says.
    pub on_exists: OnExists,
    /// How it tells that two things are the same.
    pub compare: Compare,
    /// The coarser of both sides' steps of modification times, nanoseconds.
    pub step_ns: u64,
}

impl Rule {
    /// Decides about a file or link, given what stands there.
    #[must_use]
    pub fn decide(&self, item: &Item, found: Option<&Found>) -> Decision {
        // What was not there when it was looked for must not be there when the name is given
        // either: it is somebody else's, or a twin that the directory takes for the same name.
        let Some(found) = found else {
            return Decision::Write(Consent::New);
        };
        if found.kind == ItemKind::Directory {
            return Decision::Conflict(Kind::DestinationType);
        }
        match self.on_exists {
            OnExists::Fail => Decision::Conflict(Kind::DestinationExists),
            OnExists::Skip => Decision::Skip,
            OnExists::Update => self.update(item, found),
            OnExists::Replace => Decision::Write(Consent::Replace(found.mark)),
        }
    }

    fn update(&self, item: &Item, found: &Found) -> Decision {
        let undecided = item.kind == ItemKind::File && self.compare == Compare::Content;
        let same = !undecided && self.agrees(item, found);
        if same { Decision::Skip } else { Decision::Write(Consent::Replace(found.mark)) }
    }

    /// Whether what stands there is the item, as far as that is told without reading it.
    #[must_use]
    pub fn agrees(&self, item: &Item, found: &Found) -> bool {
        item.kind == found.kind
            && match item.kind {
                ItemKind::Symlink => item.link == found.link,
                ItemKind::Special => item.special == found.special,
                _ => item.size == found.size && self.same_time(item.attributes.mtime, found.mtime),
            }
    }

    /// Whether only a look at both contents can tell that they are the same: then the item is left
    /// alone, whatever [`Rule::decide`] says.
    #[must_use]
    pub fn asks_content(&self, item: &Item, found: Option<&Found>) -> bool {
        self.on_exists == OnExists::Update
            && self.compare == Compare::Content
            && item.kind == ItemKind::File
            && found.is_some_and(|found| found.kind == item.kind && found.size == item.size)
    }

    /// Whether times decide about an item.
    #[must_use]
    pub fn asks_time(&self, item: &Item, found: Option<&Found>) -> bool {
        self.on_exists == OnExists::Update
            && self.compare == Compare::Time
            && item.kind == ItemKind::File
            && found.is_some_and(|found| found.kind == item.kind && found.size == item.size)
    }

    /// Whether two times are one where steps are that coarse: filesystems round down. An older
    /// time is as different as a newer one.
    fn same_time(&self, one: Timestamp, other: Timestamp) -> bool {
        let step = i128::from(self.step_ns.max(1));
        one.0.div_euclid(step) == other.0.div_euclid(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::found::Mark;
    use crate::model::item::{Attributes, Handle, Identity, Special, Timestamp};
    use crate::model::path::ItemPath;

    fn item(kind: ItemKind, size: u64, mtime: i128) -> Item {
        Item {
            path: ItemPath::root(),
            kind,
            size,
            attributes: Attributes { mtime: Timestamp(mtime), ..Attributes::default() },
            identity: Identity::default(),
            link: (kind == ItemKind::Symlink).then(|| b"x".to_vec()),
            special: (kind == ItemKind::Special).then_some(Special::Characters(size)),
            handle: Handle::default(),
        }
    }

    fn found(kind: ItemKind, size: u64, mtime: i128) -> Found {
        let link = (kind == ItemKind::Symlink).then(|| b"y".to_vec());
        let special = (kind == ItemKind::Special).then_some(Special::Characters(size));
        Found {
            kind,
            size,
            mtime: Timestamp(mtime),
            mark: Mark::default(),
            link,
            special,
            folded: false,
        }
    }

    #[test]
    fn every_rule_meets_every_state() {
        use ItemKind::{Directory, File, Symlink};
        let file = item(File, 3, 7);
        let all = |found: Option<Found>| {
            [OnExists::Fail, OnExists::Skip, OnExists::Update, OnExists::Replace]
                .map(|rule| decide(rule, &file, found.as_ref()))
        };
        let (new, over) =
            (Decision::Write(Consent::New), Decision::Write(Consent::Replace(Mark::default())));
        let exists = Decision::Conflict(Kind::DestinationExists);
        let other_kind = Decision::Conflict(Kind::DestinationType);
        assert_eq!(all(None), [new; 4]);
        assert_eq!(all(Some(found(File, 3, 7))), [exists, Decision::Skip, Decision::Skip, over]);
        assert_eq!(all(Some(found(File, 3, 8))), [exists, Decision::Skip, over, over]);
        assert_eq!(all(Some(found(File, 4, 7))), [exists, Decision::Skip, over, over]);
        assert_eq!(all(Some(found(Symlink, 3, 7))), [exists, Decision::Skip, over, over]);
        assert_eq!(all(Some(found(Directory, 3, 7))), [other_kind; 4]);
        let link = item(Symlink, 0, 0);
        assert_eq!(decide(OnExists::Update, &link, Some(&found(Symlink, 0, 0))), over);
        let device = item(ItemKind::Special, 5, 0);
        let update = |found| decide(OnExists::Update, &device, Some(&found));
        assert_eq!(update(found(ItemKind::Special, 5, 9)), Decision::Skip);
        assert_eq!(update(found(ItemKind::Special, 6, 0)), over);
    }

    #[test]
    fn times_agree_at_the_coarser_step_and_contents_are_asked_for() {
        use ItemKind::{File, Symlink};
        const S: i128 = 1_000_000_000;
        let over = Decision::Write(Consent::Replace(Mark::default()));
        let at = |step_ns, mtime, there| {
            let rule = Rule { on_exists: OnExists::Update, compare: Compare::Time, step_ns };
            rule.decide(&item(File, 3, mtime), Some(&found(File, 3, there)))
        };
        assert_eq!(at(2 * S as u64, 7 * S + 999, 6 * S), Decision::Skip);
        assert_eq!(at(2 * S as u64, 8 * S, 6 * S), over);
        assert_eq!(at(2 * S as u64, 5 * S, 6 * S), over, "an older time is different too");
        assert_eq!(at(S as u64, -1, -S), Decision::Skip);
        assert_eq!(at(S as u64, -1, 0), over);
        assert_eq!(at(1, 6, 7), over);
        let content = Rule { on_exists: OnExists::Update, compare: Compare::Content, step_ns: 1 };
        let asks = |there| content.asks_content(&item(File, 3, 7), Some(&there));
        assert!(asks(found(File, 3, 7)) && asks(found(File, 3, 9)));
        assert!(!asks(found(File, 4, 7)) && !asks(found(Symlink, 3, 7)));
        assert_eq!(content.decide(&item(File, 3, 7), Some(&found(File, 3, 7))), over);
        let replace = Rule { on_exists: OnExists::Replace, ..content };
        assert!(!replace.asks_content(&item(File, 3, 7), Some(&found(File, 3, 7))));
    }
}
