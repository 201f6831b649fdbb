//! What a destination has and its source does not: as records, as counts, and against the caps.

use crate::error::{EngineError, Kind, Result};
use crate::model::found::Mark;
use crate::model::item::{ItemKind, Timestamp};
use crate::model::path::ItemPath;
use crate::model::version::Version;

/// A name at the destination that the source does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    /// Its name.
    pub path: ItemPath,
    /// What it is.
    pub kind: ItemKind,
    /// Which thing it is.
    pub mark: Mark,
}

/// Kinds, by their number in a record.
const KINDS: [ItemKind; 4] =
    [ItemKind::File, ItemKind::Directory, ItemKind::Symlink, ItemKind::Special];

impl Extra {
    /// As a record.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let kind = KINDS.iter().position(|kind| *kind == self.kind).unwrap_or_default();
        let mark = &self.mark;
        let mut record = vec![kind as u8];
        for number in [mark.dev, mark.ino, mark.size] {
            record.extend_from_slice(&number.to_le_bytes());
        }
        for time in [mark.born, mark.mtime] {
            record.extend_from_slice(&time.0.to_le_bytes());
        }
        let version = mark.version.as_str();
        record.push(version.len() as u8);
        record.extend_from_slice(version.as_bytes());
        record.extend_from_slice(self.path.as_bytes());
        record
    }

    /// From a record.
    ///
    /// # Errors
    /// `Internal` where it is none.
    pub fn decode(record: &[u8]) -> Result<Self> {
        let torn = || EngineError::new(Kind::Internal, "a record of what is to go cannot be read");
        let read = || {
            let (kind, rest) = record.split_first()?;
            let (dev, rest) = rest.split_first_chunk()?;
            let (ino, rest) = rest.split_first_chunk()?;
            let (size, rest) = rest.split_first_chunk()?;
            let (born, rest) = rest.split_first_chunk()?;
            let (mtime, rest) = rest.split_first_chunk()?;
            let (length, rest) = rest.split_first()?;
            let (version, path) = rest.split_at_checked(usize::from(*length))?;
            let mark = Mark {
                dev: u64::from_le_bytes(*dev),
                ino: u64::from_le_bytes(*ino),
                size: u64::from_le_bytes(*size),
                born: Timestamp(i128::from_le_bytes(*born)),
                mtime: Timestamp(i128::from_le_bytes(*mtime)),
                version: Version::new(std::str::from_utf8(version).ok()?)?,
            };
            let kind = *KINDS.get(usize::from(*kind))?;
            Some(Self { path: ItemPath::parse(path).ok()?, kind, mark })
        };
        read().ok_or_else(torn)
    }
}

/// The most that may be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// Names, directories included.
    pub count: Option<u64>,
    /// Percent of the items that stood at the destination before.
    pub percent: Option<u64>,
}

/// What a search came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtraCount {
    /// Items at the destination; directories are none.
    pub items: u64,
    /// Of these, those that the source does not have.
    pub extra_items: u64,
    /// Names that the source does not have, directories included.
    pub names: u64,
}

impl ExtraCount {
    /// Counts a name that the source does not have.
    pub fn add(&mut self, kind: ItemKind) {
        self.names += 1;
        self.extra_items += u64::from(kind != ItemKind::Directory);
    }

    /// Whether that many may go, where the source has `found` items and `new` ones of the
    /// destination were not there before.
    ///
    /// # Errors
    /// `DeleteHalted` for a source without items, `DeleteLimit`.
    pub fn judge(&self, cap: &Cap, found: u64, new: u64) -> Result<()> {
        if found == 0 && self.items > 0 {
            let message = format!(
                "nothing is deleted: the source has no items, and the destination has {}",
                self.items
            );
            return Err(EngineError::new(Kind::DeleteHalted, message).field("delete"));
        }
        let before = self.items.saturating_sub(new);
        let over = |message: String| {
            let message = format!("nothing is deleted: {message}");
            Err(EngineError::new(Kind::DeleteLimit, message).field("max_delete"))
        };
        if let Some(count) = cap.count.filter(|count| self.names > *count) {
            return over(format!("{} names would go, and max_delete allows {count}", self.names));
        }
        let share = |percent: &u64| {
            u128::from(self.extra_items) * 100 > u128::from(before) * u128::from(*percent)
        };
        if let Some(percent) = cap.percent.filter(share) {
            let extra = self.extra_items;
            return over(format!(
                "{extra} of {before} items would go, and max_delete allows {percent} percent"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn judge(items: u64, extra: u64, cap: Cap, found: u64, new: u64) -> Option<Kind> {
        let count = ExtraCount { items, extra_items: extra, names: extra };
        count.judge(&cap, found, new).err().map(|error| error.kind())
    }

    #[test]
    fn caps_hold_to_the_last_item() {
        let percent = |percent| Cap { count: None, percent: Some(percent) };
        let count = |count| Cap { count: Some(count), percent: None };
        assert_eq!(judge(10, 5, percent(50), 5, 0), None);
        assert_eq!(judge(10, 6, percent(50), 4, 0), Some(Kind::DeleteLimit));
        // Ten old ones and ten new ones of a wrong source: all of the old would go.
        assert_eq!(judge(20, 10, percent(50), 10, 10), Some(Kind::DeleteLimit));
        assert_eq!(judge(20, 10, percent(100), 10, 10), None);
        assert_eq!(judge(1000, 1, percent(0), 999, 0), Some(Kind::DeleteLimit));
        assert_eq!(judge(9, 3, count(3), 6, 0), None);
        assert_eq!(judge(9, 3, count(2), 6, 0), Some(Kind::DeleteLimit));
        assert_eq!(judge(9, 9, Cap { count: None, percent: None }, 0, 0), Some(Kind::DeleteHalted));
        assert_eq!(judge(0, 0, percent(50), 0, 0), None);
    }

    proptest! {
        #[test]
        fn records_are_read_back(
            path in "[a-z]{1,9}(/[a-z]{1,9}){0,3}", kind in 0usize..4, numbers: [u64; 3],
            times: [i128; 2],
        ) {
            let mark = Mark {
                dev: numbers[0],
                ino: numbers[1],
                size: numbers[2],
                born: Timestamp(times[0]),
                mtime: Timestamp(times[1]),
                version: Version::new("\"v\"").unwrap(),
            };
            let path = ItemPath::parse(path.as_bytes()).unwrap();
            let extra = Extra { path, kind: KINDS[kind], mark };
            let record = extra.encode();
            prop_assert_eq!(Extra::decode(&record).unwrap(), extra);
            prop_assert!(Extra::decode(&record[..40]).is_err());
        }
    }
}
