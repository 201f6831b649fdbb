//! Answers that are worth keeping: listings, facts of buckets, credentials. Bounded in entries,
//! bytes and age; whoever was used longest ago goes first.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::remote::ties::Meter;

/// Bounds of a cache.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Entries at most.
    pub entries: usize,
    /// Bytes at most, as their owners count them.
    pub bytes: usize,
    /// How long an entry is believed.
    pub age: Duration,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    bytes: usize,
    since: Instant,
    /// Its place in the order of use.
    used: u64,
}

#[derive(Debug)]
struct State<K, V> {
    entries: HashMap<K, Entry<V>>,
    order: BTreeMap<u64, K>,
    bytes: usize,
    clock: u64,
}

/// Values by key.
#[derive(Debug)]
pub struct Cache<K, V> {
    bounds: Bounds,
    state: Mutex<State<K, V>>,
}

impl<K: Clone + Eq + Hash, V: Clone> Cache<K, V> {
    /// An empty one.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let state = State { entries: HashMap::new(), order: BTreeMap::new(), bytes: 0, clock: 0 };
        Self { bounds, state: Mutex::new(state) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is kept under a key; counted as a hit or a miss.
    pub fn get(&self, key: &K, meter: &Meter) -> Option<V> {
        let found = self.state().get(key, self.bounds.age);
        let count = if found.is_some() { &meter.cache_hits } else { &meter.cache_misses };
        count.fetch_add(1, Relaxed);
        found
    }

    /// As [`Cache::get`], counted nowhere.
    pub(super) fn find(&self, key: &K) -> Option<V> {
        self.state().get(key, self.bounds.age)
    }

    /// Keeps a value that takes so many bytes; not one that is larger than all.
    pub fn put(&self, key: K, value: V, bytes: usize) {
        let mut state = self.state();
        state.forget(&key);
        if bytes > self.bounds.bytes || self.bounds.entries == 0 {
            return;
        }
        while state.entries.len() >= self.bounds.entries || self.bounds.bytes - state.bytes < bytes
        {
            let Some((_, oldest)) = state.order.pop_first() else { break };
            state.forget(&oldest);
        }
        state.clock += 1;
        let used = state.clock;
        state.order.insert(used, key.clone());
        state.bytes += bytes;
        state.entries.insert(key, Entry { value, bytes, since: Instant::now(), used });
    }

    /// Forgets what is kept under a key.
    pub fn forget(&self, key: &K) {
        self.state().forget(key);
    }

    /// Forgets what `wrong` says.
    pub fn forget_if(&self, wrong: impl Fn(&K) -> bool) {
        let mut state = self.state();
        let keys: Vec<K> = state.entries.keys().filter(|key| wrong(key)).cloned().collect();
        keys.iter().for_each(|key| state.forget(key));
    }
}

impl<K: Clone + Eq + Hash, V: Clone> State<K, V> {
    fn get(&mut self, key: &K, age: Duration) -> Option<V> {
        if self.entries.get(key)?.since.elapsed() >= age {
            self.forget(key);
            return None;
        }
        self.clock += 1;
        let clock = self.clock;
        let entry = self.entries.get_mut(key)?;
        if let Some(key) = self.order.remove(&entry.used) {
            self.order.insert(clock, key);
        }
        entry.used = clock;
        Some(entry.value.clone())
    }

    fn forget(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(age: Duration) -> Cache<u32, String> {
        Cache::new(Bounds { entries: 3, bytes: 100, age })
    }

    #[test]
    fn the_longest_unused_goes_first_and_uses_are_counted() {
        let (cache, meter) = (cache(Duration::from_secs(600)), Meter::default());
        (0..3).for_each(|key| cache.put(key, key.to_string(), 10));
        assert_eq!(cache.get(&0, &meter).as_deref(), Some("0"));
        cache.put(3, "3".to_owned(), 10);
        assert_eq!(cache.get(&1, &meter), None);
        assert_eq!(cache.get(&0, &meter).as_deref(), Some("0"));
        cache.put(4, "4".to_owned(), 95);
        assert!(cache.get(&0, &meter).is_none() && cache.get(&4, &meter).is_some());
        cache.put(5, "5".to_owned(), 101);
        assert!(cache.get(&5, &meter).is_none() && cache.get(&4, &meter).is_some());
        assert_eq!((meter.cache_hits.load(Relaxed), meter.cache_misses.load(Relaxed)), (4, 3));
        cache.forget_if(|key| *key == 4);
        assert_eq!(cache.state().bytes, 0);
        assert!(cache.state().order.is_empty());
    }

    #[test]
    fn what_is_too_old_is_not_given() {
        let (cache, meter) = (cache(Duration::ZERO), Meter::default());
        cache.put(1, String::new(), 1);
        assert!(cache.get(&1, &meter).is_none());
        assert!(cache.state().entries.is_empty());
    }
}
