//! What stands in a prefix, by one listing instead of a look at each name.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use crate::error::Result;
use crate::limits::{LISTED_NAMES_MAX, LISTINGS_KEPT};
use crate::remote::ties::Meter;

use super::turns::Turns;
use super::verbs::{Ask, Store};
use super::walk::PAGE_ENTRIES;

/// Keys that stand in a prefix, as far as they are few enough to be kept.
struct Known {
    prefix: String,
    keys: Option<BTreeSet<String>>,
}

/// Listings of the prefixes asked for last.
#[derive(Default)]
pub(super) struct Listings(Mutex<Vec<Known>>);

impl Listings {
    /// Whether nothing stands under a key, as a listing of its prefix told when it was first asked
    /// for; false where that is not known. What comes to stand there since is told by the store
    /// when the key is put, and by [`Listings::came`] to whoever asks again.
    pub(super) fn lacks(
        &self,
        store: &dyn Store,
        meter: &Meter,
        prefix: &str,
        key: &str,
    ) -> Result<bool> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = match known.iter().position(|known| known.prefix == prefix) {
            Some(at) => at,
            None => {
                if known.len() >= LISTINGS_KEPT {
                    known.remove(0);
                }
                let keys = read(store, prefix)?;
                known.push(Known { prefix: prefix.to_owned(), keys });
                known.len() - 1
            }
        };
        let keys = known.get(at).and_then(|known| known.keys.as_ref());
        let lacks = keys.is_some_and(|keys| !keys.contains(key));
        let counter = if lacks { &meter.cache_hits } else { &meter.cache_misses };
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(lacks)
    }

    /// Something came to stand under a key.
    pub(super) fn came(&self, key: &str) {
        let at = key.rfind('/').map_or(0, |at| at + 1);
        let prefix = key.get(..at).unwrap_or_default();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = known.iter_mut().filter(|known| known.prefix == prefix);
        for keys in all.filter_map(|known| known.keys.as_mut()) {
            keys.insert(key.to_owned());
        }
    }
}

/// The keys right behind a prefix; `None` when they are too many.
fn read(store: &dyn Store, prefix: &str) -> Result<Option<BTreeSet<String>>> {
    let (mut keys, mut turns) = (BTreeSet::new(), Turns::default());
    loop {
        let ask = Ask { prefix, folded: true, next: turns.token(), most: PAGE_ENTRIES };
        let page = store.list(&ask)?;
        let more = turns.go_on(&page)?;
        keys.extend(page.objects.into_iter().map(|object| object.key));
        if !more {
            return Ok(Some(keys));
        }
        if keys.len() >= LISTED_NAMES_MAX {
            return Ok(None);
        }
    }
}
