//! Keys with a backslash. Stores over trees of files take it for a slash, and answer as if all were
//! well: what was put under `a\b` stands under `a/b` then, or in place of it.

use crate::endpoint::s3::bucket::Bucket;
use crate::endpoint::s3::{list, probe};
use crate::endpoint::store::verbs::Ask;
use crate::error::{EngineError, Kind, Result};

/// Whether a key has what may be changed.
fn is_odd(bucket: &Bucket, key: &str) -> bool {
    key.contains('\\') && !bucket.style().is_aws()
}

fn refused(key: &str) -> EngineError {
    let why = "the store takes the backslash in this key for a slash";
    EngineError::new(Kind::NameRefused, why).at(key)
}

/// Refuses to write under a key that would become another one.
///
/// # Errors
/// `NameRefused`; what keeps objects from being written beside the key.
pub fn before_write(bucket: &Bucket, key: &str) -> Result<()> {
    if is_odd(bucket, key) && !probe::keeps_backslashes(bucket, key)? {
        return Err(refused(key));
    }
    Ok(())
}

/// Refuses an object that was found under a key, and stands under another one. Nothing is written:
/// a listing tells. Where there is none to be had, the object counts as found.
///
/// # Errors
/// `NameRefused`.
pub fn when_found(bucket: &Bucket, key: &str) -> Result<()> {
    if !is_odd(bucket, key) {
        return Ok(());
    }
    let ask = Ask { prefix: key, folded: false, next: None, most: 1 };
    let is_kept = match bucket.facts().backslashes.get() {
        Some(kept) => *kept,
        // The key itself is the first of all that begin so.
        None => list::list(bucket, &ask)
            .map_or(true, |page| page.objects.iter().any(|object| object.key == key)),
    };
    if is_kept { Ok(()) } else { Err(refused(key)) }
}
