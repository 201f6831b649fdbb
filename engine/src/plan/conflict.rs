//! What an item at the destination means for a copy: the same answer for `plan` and for `copy`.

use crate::error::Kind;
use crate::model::choice::{Consent, OnExists};
use crate::model::found::Found;
use crate::model::item::{Item, ItemKind};

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

/// Decides about anything but a directory, given what stands there.
#[must_use]
pub fn decide(on_exists: OnExists, item: &Item, found: Option<&Found>) -> Decision {
    // What was not there when it was looked for must not be there when the name is given either:
    // it is somebody else's, or a twin that the directory takes for the same name.
    let Some(found) = found else {
        return Decision::Write(Consent::New);
    };
    if found.kind == ItemKind::Directory {
        return Decision::Conflict(Kind::DestinationType);
    }
    match on_exists {
        OnExists::Fail => Decision::Conflict(Kind::DestinationExists),
        OnExists::Skip => Decision::Skip,
        OnExists::Update if agrees(item, found) => Decision::Skip,
        OnExists::Update | OnExists::Replace => Decision::Write(Consent::Replace),
    }
}

fn agrees(item: &Item, found: &Found) -> bool {
    item.kind == found.kind
        && match item.kind {
            ItemKind::Symlink => item.link == found.link,
            ItemKind::Special => item.special == found.special,
            _ => item.size == found.size && item.attributes.mtime == found.mtime,
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
        let (new, over) = (Decision::Write(Consent::New), Decision::Write(Consent::Replace));
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
}
