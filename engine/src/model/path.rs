//! The name of an item beneath its root: raw bytes, validated once.

use std::fmt;

use crate::error::{EngineError, Kind, Result};
use crate::limits::ITEM_PATH_BYTES_MAX;

/// Names that end an attempt's temporary file; kept out of copies.
pub const TEMP_PREFIX: &[u8] = b".mig-";
const TEMP_SUFFIX: &[u8] = b".part";
/// The record of the lease on a destination, in its root.
pub const LEASE_NAME: &[u8] = b".mig-lease";
/// Digits of the job's name in a temporary name.
pub const JOB_TAG_DIGITS: usize = 8;

/// A relative name of `/`-separated parts, none empty, `.` or `..`, without NUL. Empty for the root.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemPath(Vec<u8>);

impl ItemPath {
    /// The root itself.
    #[must_use]
    pub fn root() -> Self {
        Self(Vec::new())
    }

    /// Checks a whole relative name.
    ///
    /// # Errors
    /// `NameRefused` when a part could leave the root or cannot be a name.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut path = Self::root();
        for part in bytes.split(|b| *b == b'/') {
            path = path.join(part)?;
        }
        Ok(path)
    }

    /// The name of `part` beside this item.
    ///
    /// # Errors
    /// As [`ItemPath::join`].
    pub fn sibling(&self, part: &[u8]) -> Result<Self> {
        let end = self.0.len() - self.name().len();
        let above = self.0.get(..end.saturating_sub(1)).unwrap_or_default();
        if above.is_empty() { Self::root().join(part) } else { Self(above.to_vec()).join(part) }
    }

    /// The name of `part` in this directory.
    ///
    /// # Errors
    /// `NameRefused` when `part` is no single safe name, or the whole is too long.
    pub fn join(&self, part: &[u8]) -> Result<Self> {
        let refuse = |why: &str| {
            let shown = [self.0.as_slice(), b"/", part].concat();
            Err(EngineError::new(Kind::NameRefused, format!("the name {why}")).at(shown))
        };
        match part {
            b"" | b"." => return refuse("has an empty part"),
            b".." => return refuse("leaves its root"),
            _ if part.contains(&0) => return refuse("holds a NUL"),
            _ if part.contains(&b'/') => return refuse("holds a slash"),
            _ if part.len() > 255 => return refuse("has a part longer than 255 bytes"),
            _ => {}
        }
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + part.len());
        bytes.extend_from_slice(&self.0);
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(part);
        if bytes.len() > ITEM_PATH_BYTES_MAX {
            return refuse("is longer than 8 KiB");
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The last part; empty for the root.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.0.rsplit(|b| *b == b'/').next().unwrap_or_default()
    }

    /// The directory it lies in; the root's is the root.
    #[must_use]
    pub fn parent(&self) -> Self {
        let end = self.0.iter().rposition(|b| *b == b'/').unwrap_or(0);
        Self(self.0.get(..end).unwrap_or_default().to_vec())
    }

    /// The parts from the root down.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/').filter(|part| !part.is_empty())
    }

    /// Whether this is the root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for ItemPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// The name of the `n`-th temporary file of the job with this name.
#[must_use]
pub fn temp_name(job: &str, n: u64) -> Vec<u8> {
    let tag = job.get(..JOB_TAG_DIGITS).unwrap_or(job);
    format!(".mig-{tag}-{n}.part").into_bytes()
}

/// The job tag in a temporary name; `None` for any other name.
#[must_use]
pub fn temp_tag(name: &[u8]) -> Option<&[u8]> {
    let middle = name.strip_prefix(TEMP_PREFIX)?.strip_suffix(TEMP_SUFFIX)?;
    let (tag, rest) = middle.split_at_checked(JOB_TAG_DIGITS)?;
    let number = rest.strip_prefix(b"-")?;
    let hex = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
    (tag.iter().all(hex) && !number.is_empty() && number.iter().all(u8::is_ascii_digit))
        .then_some(tag)
}

/// Whether a name is kept for the engine's own: temporary files and leases. Neither is ever copied
/// or deleted as an item.
#[must_use]
pub fn is_kept(name: &[u8]) -> bool {
    name == LEASE_NAME || temp_tag(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_leaves_the_root() {
        for bad in ["", "/", "..", "a/..", "a//b", "/a", "a/", ".", "a/./b", "a\0b"] {
            assert!(ItemPath::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(ItemPath::parse(&[b'a'; 256]).is_err());
        assert!(ItemPath::root().join(b"a/b").is_err());
        for good in [&b"a"[..], b"a/b", b"...", b"..a", b"a\n\xff", b" "] {
            assert_eq!(ItemPath::parse(good).unwrap().as_bytes(), good);
        }
    }

    #[test]
    fn temporary_names_are_told_from_others() {
        assert_eq!(temp_tag(&temp_name("0123456789abcdef", 7)), Some(&b"01234567"[..]));
        for other in [".mig-x.part", ".mig-0123456g-1.part", ".mig-01234567-.part", "mig", ""] {
            assert_eq!(temp_tag(other.as_bytes()), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn a_parsed_name_is_its_parts_again(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(path) = ItemPath::parse(&bytes) {
                prop_assert_eq!(path.parts().collect::<Vec<_>>().join(&b'/'), bytes);
                prop_assert!(path.parts().all(|part| part != b".." && part != b"."));
            }
        }
    }
}
