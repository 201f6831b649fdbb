//! Attributes of items as user metadata of objects: `mtime` in decimal seconds and `mode` in octal
//! with the bits of its type, as other tools write them, `uid` and `gid`; further names stand for
//! extended attributes `user.NAME`. `mig-write` names the very write that an object came from.

use crate::endpoint::contract::Target;
use crate::model::extended::Extended;
use crate::model::item::Attributes;
use crate::model::loss::{Loss, What, lose};
use crate::model::store::StoreOptions;
use crate::platform::process;

use super::clock_text;
use super::verbs::Object;

/// The name under which an object's write is named.
pub(super) const WRITE: &str = "mig-write";
const MTIME: &str = "mtime";
const MODE: &str = "mode";
const UID: &str = "uid";
const GID: &str = "gid";
const OWN: [&str; 5] = [WRITE, MTIME, MODE, UID, GID];
/// Type bits of a regular file's mode.
const REGULAR: u32 = 0o100_000;
/// Bytes of user metadata that every store holds (Amazon S3: 2 KiB of names and values).
const METADATA_BYTES_MAX: usize = 2 << 10;
/// What extended attributes of users begin with.
const USER: &[u8] = b"user.";

/// The user metadata of an object that is written, and what of the source it cannot hold.
pub(super) fn of(
    options: &StoreOptions,
    attributes: &Attributes,
    target: &Target,
    write: u64,
) -> (Vec<(String, String)>, Vec<Loss>) {
    let mut all = vec![(WRITE.to_owned(), format!("{write:016x}"))];
    let mut add = |name: &str, value: String| all.push((name.to_owned(), value));
    let carry = target.carry;
    if carry.times {
        add(MTIME, clock_text::write(attributes.mtime));
    }
    if carry.mode {
        let kept = if carry.setuid { 0o7777 } else { 0o777 };
        add(MODE, format!("{:o}", REGULAR | (attributes.mode & kept)));
    }
    if carry.owner {
        add(UID, attributes.uid.to_string());
        add(GID, attributes.gid.to_string());
    }
    for (name, value) in &options.metadata {
        add(&name.to_ascii_lowercase(), value.clone());
    }
    let mut lost = Vec::new();
    let mut left = target.extended.cut;
    for (name, value) in &target.extended.xattrs {
        match plain(name, value) {
            Some((name, value)) if fits(&all, &name, &value) => all.push((name, value)),
            _ => left = true,
        }
    }
    if left && carry.xattrs {
        lose(&mut lost, Loss { what: What::Xattrs, call: "put", errno: None });
    }
    let lists = target.extended.access.is_some() || target.extended.default.is_some();
    if lists && carry.acls {
        lose(&mut lost, Loss { what: What::Acls, call: "put", errno: None });
    }
    (all, lost)
}

/// An extended attribute as user metadata; `None` where that cannot hold it.
fn plain(name: &[u8], value: &[u8]) -> Option<(String, String)> {
    let name = std::str::from_utf8(name.strip_prefix(USER)?).ok()?;
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let value = std::str::from_utf8(value).ok()?;
    let fits = !name.is_empty()
        && name.bytes().all(legal)
        && value.bytes().all(|byte| (0x21..0x7f).contains(&byte) || byte == b' ')
        && value.trim() == value;
    fits.then(|| (name.to_owned(), value.to_owned()))
}

fn fits(all: &[(String, String)], name: &str, value: &str) -> bool {
    let bytes: usize = all.iter().map(|(name, value)| name.len() + value.len()).sum();
    all.iter().all(|(known, _)| known != name)
        && bytes + name.len() + value.len() <= METADATA_BYTES_MAX
}

fn get<'a>(object: &'a Object, name: &str) -> Option<&'a str> {
    let all = object.metadata.as_ref()?;
    all.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Which write an object came from; 0 where it does not say.
pub(super) fn write_of(object: &Object) -> u64 {
    get(object, WRITE).and_then(|text| u64::from_str_radix(text, 16).ok()).unwrap_or_default()
}

/// Its modification time, as its writer said, where it did.
pub(super) fn mtime_of(object: &Object) -> Option<crate::model::item::Timestamp> {
    get(object, MTIME).and_then(clock_text::read)
}

/// The attributes that an object stands for; what it does not say is as for a new file of this
/// process.
pub(super) fn attributes(object: &Object) -> Attributes {
    let number = |name: &str, radix: u32| {
        get(object, name).and_then(|text| u32::from_str_radix(text, radix).ok())
    };
    let (uid, gid) = process::ids();
    let mtime = mtime_of(object).unwrap_or(object.modified);
    Attributes {
        mode: number(MODE, 8).map_or(0o644, |mode| mode & 0o7777),
        uid: number(UID, 10).unwrap_or(uid),
        gid: number(GID, 10).unwrap_or(gid),
        mtime,
        atime: mtime,
        links: 1,
        allocated: object.size,
    }
}

/// User metadata beside our own, as extended attributes.
pub(super) fn extended(object: &Object) -> Extended {
    let all = object.metadata.iter().flatten();
    let others = all.filter(|(name, _)| !OWN.contains(&name.as_str()));
    let xattrs =
        others.map(|(name, value)| ([USER, name.as_bytes()].concat(), value.clone().into_bytes()));
    let content_type = object.content_type.clone();
    let fields = object.fields.clone();
    let tagged = object.tagged;
    Extended { xattrs: xattrs.collect(), content_type, fields, tagged, ..Extended::default() }
}
