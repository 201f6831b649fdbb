//! What was found out of a bucket, shared by all that this process does with it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Buckets remembered.
const BUCKETS_MAX: usize = 256;

static FACTS: Mutex<VecDeque<(String, Arc<Facts>)>> = Mutex::new(VecDeque::new());

/// Which conditions a store heeds, rather than ignores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heeds {
    /// `If-None-Match: *`.
    pub absent: bool,
    /// `If-Match`.
    pub is: bool,
}

/// Which conditions hold for single requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Single {
    /// For puts.
    pub puts: Heeds,
    /// For copies.
    pub copies: Heeds,
    /// Whether copies heed which version of their source is meant.
    pub sources: bool,
    /// Whether `If-Match` holds for removals.
    pub removes: bool,
}

/// What is known of one bucket.
#[derive(Default)]
pub struct Facts {
    region: Mutex<Option<String>>,
    seen: AtomicBool,
    checksums: AtomicU8,
    /// Conditions of single requests, once they were probed.
    pub single: OnceLock<Single>,
    /// Conditions of completed uploads, once they were probed.
    pub completes: OnceLock<Heeds>,
    /// Whether a backslash in a key stays one, once that was probed.
    pub backslashes: OnceLock<bool>,
    /// Whether versions hold for removals of many keys at once, once that was probed.
    pub batches: OnceLock<bool>,
    /// Held while probing.
    pub probing: Mutex<()>,
}

impl Facts {
    /// The facts of a bucket, and whether there were any yet.
    #[must_use]
    pub fn of(identity: &str) -> (Arc<Self>, bool) {
        let mut all = FACTS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = all.iter().position(|(known, _)| known == identity)
            && let Some((name, facts)) = all.remove(at)
        {
            // What was asked for last is forgotten last.
            all.push_back((name, facts.clone()));
            return (facts, true);
        }
        if all.len() >= BUCKETS_MAX {
            all.pop_front();
        }
        let facts = Arc::new(Self::default());
        all.push_back((identity.to_owned(), facts.clone()));
        (facts, false)
    }

    /// The region that the store told.
    #[must_use]
    pub fn region(&self) -> Option<String> {
        self.region.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The store told the bucket's region.
    pub fn learn_region(&self, region: &str) {
        *self.region.lock().unwrap_or_else(PoisonError::into_inner) = Some(region.to_owned());
    }

    /// Whether the bucket has answered, so that it exists.
    #[must_use]
    pub fn seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }

    /// The bucket has answered.
    pub fn see(&self) {
        self.seen.store(true, Ordering::Relaxed);
    }

    /// Whether the store confirms `x-amz-checksum-*`; `None` while nobody knows.
    #[must_use]
    pub fn checksums(&self) -> Option<bool> {
        match self.checksums.load(Ordering::Relaxed) {
            0 => None,
            known => Some(known == 1),
        }
    }

    /// The store has confirmed a checksum, or passed over it in silence.
    pub fn learn_checksums(&self, confirmed: bool) {
        self.checksums.store(if confirmed { 1 } else { 2 }, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_shared_and_bounded() {
        let (first, known) = Facts::of("facts test");
        assert!(!known && first.checksums().is_none() && !first.seen());
        first.learn_checksums(false);
        first.learn_region("eu-west-1");
        for n in 0..BUCKETS_MAX - 1 {
            let _ = Facts::of(&format!("facts test {n}"));
        }
        let (again, known) = Facts::of("facts test");
        assert!(known && again.checksums() == Some(false));
        assert_eq!(again.region().as_deref(), Some("eu-west-1"));
        for n in 0..BUCKETS_MAX {
            let _ = Facts::of(&format!("facts test, more {n}"));
        }
        assert!(!Facts::of("facts test").1);
    }
}
