//! Which state of an object a store speaks of: an entity tag, a generation.

use std::fmt;

/// Longest version that is kept, bytes: entity tags of the stores known have at most 40, those of
/// web servers that are made of a digest some 70.
const VERSION_BYTES_MAX: usize = 95;

/// A version as its store writes it, quotes included; empty where there is none. Opaque: compared
/// for equality and sent back, nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version {
    length: u8,
    bytes: [u8; VERSION_BYTES_MAX],
}

impl Default for Version {
    fn default() -> Self {
        Self { length: 0, bytes: [0; VERSION_BYTES_MAX] }
    }
}

impl Version {
    /// The version of this text; `None` when it is too long to be kept or not printable ASCII.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let mut version = Self { length: text.len() as u8, ..Self::default() };
        let fits = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        version.bytes.get_mut(..text.len()).filter(|_| fits)?.copy_from_slice(text.as_bytes());
        Some(version)
    }

    /// As its store wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.length == 0
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_kept_exactly_or_not_at_all() {
        for text in ["", "\"d41d8cd98f00b204e9800998ecf8427e-38\"", "1700000000000001"] {
            assert_eq!(Version::new(text).unwrap().as_str(), text);
        }
        assert!(Version::default().is_none());
        assert_eq!(Version::new(&"x".repeat(VERSION_BYTES_MAX)).unwrap().as_str().len(), 95);
        assert_eq!(Version::new(&"x".repeat(VERSION_BYTES_MAX + 1)), None);
        assert_eq!(Version::new("a\r\nb"), None);
    }
}
