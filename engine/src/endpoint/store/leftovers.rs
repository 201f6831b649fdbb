//! What dead jobs left in a bucket: uploads that were begun, and temporary objects by their names.

use std::collections::HashSet;
use std::sync::Arc;

use crate::endpoint::Sweep;
use crate::endpoint::contract::LeaseCell as _;
use crate::error::Result;
use crate::model::item::Timestamp;
use crate::model::lease::LeaseRecord;
use crate::model::leftover::Swept;
use crate::model::path::TEMP_PREFIX;
use crate::platform::host;
use crate::remote::call::Side;

use super::bucket::{Bucket, Open, prefix_of};
use super::lease::ObjectLease;
use super::token::Token;
use super::turns::Turns;
use super::verbs::{Ask, Object, Store, Upload};
use super::walk::{self, PAGE_ENTRIES};

/// How far this machine's clock may be from a service's, nanoseconds: services refuse requests that
/// are signed further off (Amazon S3: "RequestTimeTooSkewed").
const CLOCK_SLACK_NS: i128 = 15 * 60 * 1_000_000_000;

/// How long an upload may take to begin, nanoseconds: a request is repeated for three minutes.
const BEGINNING_NS: i128 = 3 * 60 * 1_000_000_000;

/// Removes what the owner left beneath a root, or only counts it.
///
/// # Errors
/// Those of the store, and of [`Sweep::pass`].
pub(super) fn sweep(open: Open, sweep: &Sweep<'_>) -> Result<Swept> {
    let location = &sweep.root.location;
    let (store, root) = open(location, Side::Destination, sweep.ties)?;
    let mut swept = Swept::default();
    for upload in named(store.identity(), sweep) {
        (sweep.pass)()?;
        for upload in meant(&*store, upload, (sweep.since, sweep.until))? {
            swept.removed += 1;
            if !sweep.dry_run && store.abandon(&upload).is_err() {
                swept.removed -= 1;
                swept.left.push(upload.key.into_bytes());
            }
        }
    }
    if sweep.root.tree {
        lease(&store, &root, sweep, &mut swept)?;
    }
    if store.rules().leaves_objects {
        temporary(&*store, &root, sweep, &mut swept)?;
    } else {
        at_top(&*store, &root, sweep, &mut swept)?;
    }
    Ok(swept)
}

/// Frees the lease of a job that is theirs, once its process is proven dead.
fn lease(store: &Arc<dyn Store>, root: &str, sweep: &Sweep<'_>, swept: &mut Swept) -> Result<()> {
    (sweep.pass)()?;
    let cell = ObjectLease::of(Arc::clone(store), &prefix_of(root));
    let Some(bytes) = cell.read()? else {
        return Ok(());
    };
    let is_theirs = LeaseRecord::decode(&bytes)
        .is_some_and(|record| sweep.owner.owns_job(&record.job) && host::is_dead(&record.holder));
    // Read again by the store's condition: its next holder took it meanwhile.
    if is_theirs && (sweep.dry_run || cell.swap(Some(&bytes), None)?) {
        swept.removed += 1;
        swept.bytes += bytes.len() as u64;
    }
    Ok(())
}

/// What a record names in this bucket: uploads, and keys under which one was about to be begun. Such
/// a key means nothing any more once the name of its upload follows.
fn named(bucket: &str, sweep: &Sweep<'_>) -> Vec<Upload> {
    let kept = sweep.owner.keeps();
    let all: Vec<(Token, bool)> = sweep
        .begun
        .iter()
        .filter_map(|text| Token::decode(text).map(|token| (token, kept.contains(text))))
        .filter(|(token, _)| token.bucket == bucket)
        .collect();
    let followed: HashSet<(u64, String)> = all
        .iter()
        .filter(|(token, _)| !token.upload.id.is_empty())
        .map(|(token, _)| (token.write, token.upload.key.clone()))
        .collect();
    let is_open = |token: &Token| {
        let Upload { key, id } = &token.upload;
        !id.is_empty() || !followed.contains(&(token.write, key.clone()))
    };
    let left = all.into_iter().filter(|(token, is_kept)| !is_kept && is_open(token));
    left.map(|(token, _)| token.upload).collect()
}

/// The uploads that a record means: the one it names; where it names only a key, those of that key
/// to which no part was sent, since each name is recorded before its first part, and that are no
/// older than the record, nor younger than what it says last and the time to begin an upload.
fn meant(
    store: &dyn Store,
    upload: Upload,
    (since, until): (Timestamp, Timestamp),
) -> Result<Vec<Upload>> {
    if !upload.id.is_empty() {
        let there = store.parts(&upload)?.is_some();
        return Ok(if there { vec![upload] } else { Vec::new() });
    }
    let mut all = Vec::new();
    let times = since.0 - CLOCK_SLACK_NS..=until.0 + BEGINNING_NS + CLOCK_SLACK_NS;
    store.uploads(&upload.key, &mut |begun| {
        if begun.upload.key == upload.key && times.contains(&begun.begun.0) {
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

/// Objects and uploads with temporary names right beneath a root: a dialect that has to try out its
/// store does it there.
fn at_top(store: &dyn Store, root: &str, sweep: &Sweep<'_>, swept: &mut Swept) -> Result<()> {
    (sweep.pass)()?;
    let folder = prefix_of(root);
    let prefix = format!("{folder}{}", String::from_utf8_lossy(TEMP_PREFIX));
    let owns = |key: &str| {
        let name = key.strip_prefix(&folder).unwrap_or_default();
        sweep.owner.owns(name.as_bytes())
    };
    let mut uploads = Vec::new();
    store.uploads(&prefix, &mut |begun| {
        uploads.extend(Some(begun.upload).filter(|upload| owns(&upload.key)));
        Ok(())
    })?;
    for upload in uploads {
        swept.removed += 1;
        if !sweep.dry_run {
            store.abandon(&upload)?;
        }
    }
    let mut own: Vec<Object> = Vec::new();
    let mut turns = Turns::default();
    loop {
        let next = turns.token();
        let ask = Ask { prefix: &prefix, folded: true, next, most: PAGE_ENTRIES };
        let page = store.list(&ask)?;
        let more = turns.go_on(&page)?;
        own.extend(page.objects.into_iter().filter(|object| owns(&object.key)));
        if !more {
            break;
        }
    }
    remove(store, own, sweep, swept)
}

/// Objects with temporary names.
fn temporary(store: &dyn Store, root: &str, sweep: &Sweep<'_>, swept: &mut Swept) -> Result<()> {
    let mut own: Vec<Object> = Vec::new();
    let prefix = prefix_of(root);
    let kept = kept(store.identity(), sweep);
    walk::pages(store, &prefix, &mut |objects| {
        (sweep.pass)()?;
        own.extend(objects.into_iter().filter(|object| {
            let (folder, name) = object.key.rsplit_once('/').unwrap_or(("", &object.key));
            let within = sweep.root.tree || folder == root;
            let is_part = || store.upload_of(&object.key).is_some_and(|id| kept.contains(&id));
            within && sweep.owner.owns(name.as_bytes()) && !is_part()
        }));
        Ok(())
    })?;
    remove(store, own, sweep, swept)
}

/// The store's names of the uploads in this bucket that somebody goes on with.
fn kept(bucket: &str, sweep: &Sweep<'_>) -> HashSet<String> {
    let tokens = sweep.owner.keeps().iter().filter_map(|text| Token::decode(text));
    tokens.filter(|token| token.bucket == bucket).map(|token| token.upload.id).collect()
}

fn remove(store: &dyn Store, own: Vec<Object>, sweep: &Sweep<'_>, swept: &mut Swept) -> Result<()> {
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
