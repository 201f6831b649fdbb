//! Names of the temporary objects that an upload in parts is put together of.
//!
//! They lie beside the object that they become, under the names that the engine keeps for its own:
//! `.mig-` and eight digits of the upload's nonce, then a number of which ten digits are the rest
//! of the nonce and six the part's. So the name alone tells the upload; the metadata, the key.

use crate::endpoint::store::verbs::Upload;
use crate::error::{EngineError, Kind, Result};

/// Most parts of an upload.
pub(super) const PARTS_MAX: u64 = 10_000;
/// Number of the first object that was composed of parts, and is itself to be composed.
const COMPOSED_FIRST: u32 = 900_000;
/// User metadata of a temporary object: the key that it is for.
pub(super) const KEY: &str = "mig-key";
/// What names of temporary objects fit, for services that can tell.
pub(super) const GLOB: &str = "**.mig-*.part";

/// Names of one upload's temporary objects.
pub(super) struct Temporary {
    prefix: String,
}

impl Temporary {
    /// Those of an upload.
    ///
    /// # Errors
    /// `ResumeRefused` when its id is none of these.
    pub(super) fn of(upload: &Upload) -> Result<Self> {
        let refused = || {
            let message = "the upload's id is none of Google Cloud Storage";
            EngineError::new(Kind::ResumeRefused, message)
        };
        let nonce = parsed(&upload.id).ok_or_else(refused)?;
        let prefix = format!(
            "{}.mig-{:08x}-{:010}",
            folder(&upload.key),
            nonce >> u32::BITS,
            nonce & u64::from(u32::MAX)
        );
        Ok(Self { prefix })
    }

    /// What all their names begin with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The name of a part.
    pub(super) fn part(&self, index: u32) -> String {
        format!("{}{index:06}.part", self.prefix)
    }

    /// The name of the `n`-th object that is composed of parts.
    pub(super) fn composed(&self, n: u32) -> String {
        self.part(COMPOSED_FIRST + n)
    }
}

/// The id of an upload, and the index of the part that has this name; without one for an object
/// that is composed of parts. `None` for names of others.
pub(super) fn read(name: &str) -> Option<(String, Option<u32>)> {
    let own = name.get(folder(name).len()..)?;
    let middle = own.strip_prefix(".mig-")?.strip_suffix(".part")?;
    let (tag, number) = middle.split_once('-')?;
    let is_number = number.len() == 16 && number.bytes().all(|byte| byte.is_ascii_digit());
    let (rest, index) = number.split_at_checked(10).filter(|_| is_number)?;
    let id = format!("{tag}{:08x}", rest.parse::<u32>().ok()?);
    let index: u32 = index.parse().ok()?;
    parsed(&id)?;
    Some((id, (index < COMPOSED_FIRST).then_some(index)))
}

/// What a key, or a prefix of keys, has up to its last slash.
pub(super) fn folder(key: &str) -> &str {
    key.rfind('/').and_then(|at| key.get(..=at)).unwrap_or_default()
}

/// The number of 16 hexadecimal digits.
pub(super) fn parsed(id: &str) -> Option<u64> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let fits = id.len() == 16 && id.bytes().all(is_hex);
    u64::from_str_radix(id, 16).ok().filter(|_| fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::path::temp_tag;

    #[test]
    fn names_tell_the_upload_and_are_kept_for_the_engine() {
        for (key, id) in
            [("a/b/c", "0123456789abcdef"), ("x", "ffffffffffffffff"), ("d/", &"0".repeat(16))]
        {
            let upload = Upload { key: key.to_owned(), id: id.to_owned() };
            let names = Temporary::of(&upload).unwrap();
            let part = names.part(9_999);
            assert_eq!(read(&part), Some((id.to_owned(), Some(9_999))));
            assert_eq!(read(&names.composed(0)), Some((id.to_owned(), None)));
            assert!(part.starts_with(names.prefix()) && part.starts_with(folder(key)));
            let own = part.strip_prefix(folder(key)).unwrap();
            assert_eq!(temp_tag(own.as_bytes()), id.get(..8).map(str::as_bytes));
        }
    }

    #[test]
    fn other_names_are_none() {
        for name in [
            "a",
            ".mig-lease",
            ".mig-01234567-1.part",
            ".mig-01234567-99999999990000001.part",
            ".mig-01234567-9999999999000001.part",
            ".mig-0123456X-0000000001000001.part",
            ".mig-01234567-0000000001000001.part/x",
        ] {
            assert_eq!(read(name), None, "{name}");
        }
        for id in ["", "0123", "0123456789ABCDEF", "+123456789abcdef"] {
            let upload = Upload { key: "a".to_owned(), id: id.to_owned() };
            assert!(Temporary::of(&upload).is_err(), "{id}");
        }
    }
}
