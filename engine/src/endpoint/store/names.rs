//! Between keys and names of items.
//!
//! Plain: a key is the name, and one that is no name of an item is refused. Escaped: bytes that no
//! name can hold are `%XX`, `%` itself is `%25`, a part `.` or `..` is written with `%2E`, and a
//! part without any bytes is a single `%`; read back, each gives the same key again.

use crate::error::{EngineError, Kind, Result};
use crate::model::path::ItemPath;
use crate::model::store::Keys;

/// The rule between keys and names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    keys: Keys,
    key_bytes_max: usize,
}

fn refuse(why: &str, shown: &[u8]) -> EngineError {
    EngineError::new(Kind::NameRefused, why.to_owned()).at(shown.to_vec())
}

impl Names {
    pub(super) fn new(keys: Keys, key_bytes_max: usize) -> Self {
        Self { keys, key_bytes_max }
    }

    /// The name of an item whose key is this, beneath the root.
    pub(super) fn path(self, key: &str) -> Result<ItemPath> {
        match self.keys {
            Keys::Plain => ItemPath::parse(key.as_bytes()).map_err(|error| {
                error.hint("keys:\"escape\" of the location writes such keys as %XX")
            }),
            Keys::Escape => {
                let parts: Vec<String> = key.split('/').map(escaped).collect();
                ItemPath::parse(parts.join("/").as_bytes())
            }
        }
    }

    /// The key of one part of a name behind a prefix, which is empty or ends in a slash.
    pub(super) fn key(self, prefix: &str, part: &[u8]) -> Result<String> {
        let text = std::str::from_utf8(part);
        let text = text.map_err(|_| refuse("the name is not UTF-8, as keys are", part))?;
        let part = match self.keys {
            Keys::Plain => text.to_owned(),
            Keys::Escape => {
                let unescaped = unescaped(text);
                unescaped.ok_or_else(|| refuse("the name holds a % that no escape wrote", part))?
            }
        };
        let key = format!("{prefix}{part}");
        if key.len() > self.key_bytes_max {
            let message = format!("the key would be longer than {} bytes", self.key_bytes_max);
            return Err(refuse(&message, key.as_bytes()));
        }
        Ok(key)
    }

    /// The key of a name behind a prefix.
    pub(super) fn key_of(self, prefix: &str, path: &ItemPath) -> Result<String> {
        let mut key = prefix.to_owned();
        for (n, part) in path.parts().enumerate() {
            if n > 0 {
                key.push('/');
            }
            key = self.key(&key, part)?;
        }
        Ok(key)
    }
}

fn escaped(part: &str) -> String {
    match part {
        "" => "%".to_owned(),
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => part.replace('%', "%25").replace('\0', "%00"),
    }
}

fn unescaped(part: &str) -> Option<String> {
    if part == "%" {
        return Some(String::new());
    }
    let mut out = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let (digits, tail) = tail.split_at_checked(2)?;
        out.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = tail;
    }
    // Only what is written for a key stands for it: no two names do.
    String::from_utf8(out).ok().filter(|key| escaped(key) == part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_keys_are_names_or_refused() {
        let plain = Names::new(Keys::Plain, 1024);
        assert_eq!(plain.path("a/b c").unwrap().as_bytes(), b"a/b c");
        for key in ["", "/a", "a//b", "a/", "a/../b", ".", "a\0b"] {
            assert_eq!(plain.path(key).unwrap_err().kind(), Kind::NameRefused, "{key:?}");
        }
        assert_eq!(plain.key("p/", b"x").unwrap(), "p/x");
        assert_eq!(plain.key("", b"\xff").unwrap_err().kind(), Kind::NameRefused);
        assert_eq!(plain.key("p/", &[b'x'; 1023]).unwrap_err().kind(), Kind::NameRefused);
    }

    #[test]
    fn no_two_names_become_one_key() {
        let names = Names::new(Keys::Escape, 1024);
        for name in ["%41", "a%2Fb", "%+f", "%2e", "x%2E", "%%", "a%", "%0", "%2E.", "%e9"] {
            let refused = names.key("", name.as_bytes()).unwrap_err();
            assert_eq!(refused.kind(), Kind::NameRefused, "{name}");
        }
        for (name, key) in [("%25", "%"), ("%2E%2E", ".."), ("a%00", "a\0"), ("A", "A")] {
            assert_eq!(names.key("", name.as_bytes()).unwrap(), key);
        }
    }

    proptest! {
        #[test]
        fn escaped_keys_come_back(parts in proptest::collection::vec("[a-z.%/\0 é]{0,5}", 1..5)) {
            let key = parts.join("/");
            let names = Names::new(Keys::Escape, 1024);
            let path = names.path(&key).unwrap();
            prop_assert_eq!(names.key_of("", &path).unwrap_or_default(), key.clone());
        }
    }
}
