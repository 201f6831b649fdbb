//! What hangs on an item beside mode, owner and times: extended attributes and access lists.

use crate::model::loss::{Loss, What, lose};

/// Bytes before the entries of an access list: its version.
const ACL_HEAD_BYTES: usize = 4;
/// Bytes of an entry: tag, permissions and id, little-endian.
const ACL_ENTRY_BYTES: usize = 8;
/// Tag of the owning group's entry.
const ACL_GROUP: u16 = 0x04;
/// Tag of the mask.
const ACL_MASK: u16 = 0x10;

/// Extended attributes and access lists of one item. Empty for nearly all items, and free then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extended {
    /// Names and values, access lists not among them.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The POSIX access list, in the form in which Linux hands it out. Read also where only the
    /// mode is carried: the mode alone does not tell what the owning group may do.
    pub access: Option<Vec<u8>>,
    /// The list that new entries of a directory get, in the same form.
    pub default: Option<Vec<u8>>,
    /// Its content type, where its store knows one. Between stores alone: files have none.
    pub content_type: Option<String>,
    /// Header fields that tell how its content is meant, names in lower case. Between stores alone.
    pub fields: Vec<(String, String)>,
    /// Whether it has tags, which only its store itself carries over.
    pub tagged: bool,
    /// Whether there is more that could not be read.
    pub cut: bool,
}

impl Extended {
    /// What the owning group may do, in the group's three bits of a mode; `None` without an access
    /// list, where the mode says it. With one, the mode's bits are the mask of all named entries.
    #[must_use]
    pub fn group_bits(&self) -> Option<u32> {
        let entries = self.access.as_ref()?.get(ACL_HEAD_BYTES..)?;
        let permissions = |wanted: u16| {
            entries.chunks_exact(ACL_ENTRY_BYTES).find_map(|entry| {
                let word = |at| Some(u16::from_le_bytes([*entry.get(at)?, *entry.get(at + 1)?]));
                (word(0)? == wanted).then(|| word(2)).flatten()
            })
        };
        let mask = permissions(ACL_MASK).unwrap_or(7);
        Some(u32::from(permissions(ACL_GROUP)? & mask & 7) << 3)
    }

    /// The mode of an item that goes without its access list: with the list, the group's bits of
    /// `mode` are its mask, which would give the group what the list does not. What a damaged list
    /// gives the group is not known, and it gets nothing.
    #[must_use]
    pub fn mode(&self, mode: u32) -> u32 {
        match &self.access {
            Some(_) => mode & !0o070 | self.group_bits().unwrap_or_default(),
            None => mode,
        }
    }

    /// What is lost where none of this is kept, as `call` showed.
    #[must_use]
    pub fn losses(&self, call: &'static str) -> Vec<Loss> {
        let mut losses = Vec::new();
        if !self.xattrs.is_empty() || self.cut {
            lose(&mut losses, Loss { what: What::Xattrs, call, errno: None });
        }
        if self.access.is_some() || self.default.is_some() {
            lose(&mut losses, Loss { what: What::Acls, call, errno: None });
        }
        losses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(entries: &[(u16, u16)]) -> Extended {
        let mut bytes = vec![2, 0, 0, 0];
        for (tag, permissions) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(permissions.to_le_bytes());
            bytes.extend([0xff; 4]);
        }
        Extended { access: Some(bytes), ..Extended::default() }
    }

    #[test]
    fn the_owning_group_is_told_from_the_mask() {
        assert_eq!(Extended::default().group_bits(), None);
        assert_eq!(acl(&[(1, 6), (2, 7), (4, 0), (0x10, 7), (0x20, 0)]).group_bits(), Some(0));
        assert_eq!(acl(&[(1, 6), (2, 7), (4, 7), (0x10, 4), (0x20, 0)]).group_bits(), Some(0o40));
        assert_eq!(acl(&[(1, 6), (4, 5), (0x20, 0)]).group_bits(), Some(0o50));
        for bytes in [vec![], vec![2, 0], vec![2, 0, 0, 0, 4]] {
            let damaged = Extended { access: Some(bytes), ..Extended::default() };
            assert_eq!((damaged.group_bits(), damaged.mode(0o4674)), (None, 0o4604));
        }
        assert_eq!(Extended::default().mode(0o4674), 0o4674);
        assert_eq!(acl(&[(1, 6), (2, 7), (4, 4), (0x10, 7), (0x20, 4)]).mode(0o674), 0o644);
    }
}
