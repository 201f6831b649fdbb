//! Names as archives write them.

use crate::error::{EngineError, Kind, Result};
use crate::model::path::ItemPath;

/// The item's name for a member's. `./` in front and a slash at the end mean nothing; a name from
/// the root of the filesystem, or with `..`, is no name beneath the destination.
///
/// # Errors
/// `NameRefused`.
pub fn item_path(name: &[u8]) -> Result<ItemPath> {
    let mut name = name;
    while let Some(rest) = name.strip_prefix(b"./") {
        name = rest.iter().position(|byte| *byte != b'/').map_or(&[], |at| rest.split_at(at).1);
    }
    if name.starts_with(b"/") {
        let message = "the name begins at the root of a filesystem";
        return Err(EngineError::new(Kind::NameRefused, message).at(name.to_vec()));
    }
    let name = name.strip_suffix(b"/").unwrap_or(name);
    match name {
        b"" | b"." => Ok(ItemPath::root()),
        _ => ItemPath::parse(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_beneath_or_refused() {
        let of = |name: &[u8]| item_path(name).map(|path| path.as_bytes().to_vec()).ok();
        assert_eq!(of(b"./a/b/"), Some(b"a/b".to_vec()));
        assert_eq!(of(b".//a"), Some(b"a".to_vec()));
        assert_eq!([of(b"./"), of(b"."), of(b"")], [Some(vec![]), Some(vec![]), Some(vec![])]);
        for hostile in [&b"/etc/x"[..], b"../x", b"a/../../x", b"a/..", b"a//b", b"a\0b", b"a/./b"]
        {
            assert_eq!(of(hostile), None, "{}", String::from_utf8_lossy(hostile));
        }
    }
}
