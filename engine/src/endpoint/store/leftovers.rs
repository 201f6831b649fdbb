//! What dead jobs left in a bucket: uploads that were begun, and temporary objects by their names.

use crate::endpoint::Sweep;
use crate::error::Result;
use crate::model::leftover::Swept;
use crate::remote::call::Side;

use super::bucket::{Bucket, Open, prefix_of};
use super::token::Token;
use super::verbs::{Object, Upload};
use super::walk;

/// Removes what the owner left beneath a root, or only counts it.
///
/// # Errors
/// Those of the store, and of [`Sweep::pass`].
pub(super) fn sweep(open: Open, sweep: &Sweep<'_>) -> Result<Swept> {
    let location = &sweep.root.location;
    let (store, root) = open(location, Side::Destination, sweep.ties)?;
    let mut swept = Swept::default();
    for token in sweep.begun.iter().filter_map(|token| Token::decode(token)) {
        (sweep.pass)()?;
        if token.bucket != store.identity() {
            continue;
        }
        for upload in meant(&*store, token.upload)? {
            swept.removed += 1;
            if !sweep.dry_run && store.abandon(&upload).is_err() {
                swept.removed -= 1;
                swept.left.push(upload.key.into_bytes());
            }
        }
    }
    if store.rules().leaves_objects {
        temporary(&*store, &root, sweep, &mut swept)?;
    }
    Ok(swept)
}

/// The uploads that a record means: the one it names; where it names only a key, those of that key
/// to which no part was sent, since each name is recorded before its first part.
fn meant(store: &dyn super::verbs::Store, upload: Upload) -> Result<Vec<Upload>> {
    if !upload.id.is_empty() {
        let there = store.parts(&upload)?.is_some();
        return Ok(if there { vec![upload] } else { Vec::new() });
    }
    let mut all = Vec::new();
    store.uploads(&upload.key, &mut |begun| {
        if begun.upload.key == upload.key {
            all.push(begun.upload);
        }
        Ok(())
    })?;
    let mut empty = Vec::new();
    for upload in all {
        if store.parts(&upload)?.is_some_and(|parts| parts.is_empty()) {
            empty.push(upload);
        }
    }
    Ok(empty)
}

/// Objects with temporary names.
fn temporary(
    store: &dyn super::verbs::Store,
    root: &str,
    sweep: &Sweep<'_>,
    swept: &mut Swept,
) -> Result<()> {
    let mut own: Vec<Object> = Vec::new();
    let prefix = prefix_of(root);
    walk::pages(store, &prefix, &mut |objects| {
        (sweep.pass)()?;
        own.extend(objects.into_iter().filter(|object| {
            let (folder, name) = object.key.rsplit_once('/').unwrap_or(("", &object.key));
            let within = sweep.root.tree || folder == root;
            within && sweep.owner.owns(name.as_bytes())
        }));
        Ok(())
    })?;
    for object in own {
        (sweep.pass)()?;
        if sweep.dry_run || store.remove(&object.key, object.version)? {
            swept.removed += 1;
            swept.bytes += object.size;
        } else {
            swept.left.push(object.key.into_bytes());
        }
    }
    Ok(())
}

impl Bucket {
    /// As [`sweep`], for a registry's entry.
    ///
    /// # Errors
    /// As [`sweep`].
    pub fn sweep(open: Open, asked: &Sweep<'_>) -> Result<Swept> {
        sweep(open, asked)
    }
}
