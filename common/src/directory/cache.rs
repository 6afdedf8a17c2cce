//! Answers that were had: bounded in number and bytes, each fresh for a time. Pure; time is given.
//!
//! Two generations: what is asked for moves to the young one, and when that is half of all there may be, the old one
//! goes. So what is used stays, and nothing is ever searched or sorted.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// Answers by what was asked.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    bounds: Bounds,
    young: Generation<K, V>,
    old: Generation<K, V>,
}

/// What a [`Cache`] may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) entries: usize,
    pub(super) bytes: usize,
}

#[derive(Debug)]
struct Generation<K, V> {
    entries: HashMap<K, Entry<V>>,
    bytes: usize,
}

#[derive(Debug, Clone)]
struct Entry<V> {
    value: V,
    bytes: usize,
    asked_at: Duration,
    fresh_for: Duration,
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, young: Generation::default(), old: Generation::default() }
    }

    /// An answer that is still fresh.
    pub(super) fn fresh(&mut self, key: &K, now: Duration) -> Option<V> {
        let entry = self.entry(key)?;
        (now < entry.asked_at + entry.fresh_for).then(|| entry.value.clone())
    }

    /// An answer, fresh or not, that was had within `age`.
    pub(super) fn within(&mut self, key: &K, now: Duration, age: Duration) -> Option<V> {
        let entry = self.entry(key)?;
        (now < entry.asked_at + age).then(|| entry.value.clone())
    }

    /// Keeps an answer that was had at `now` and takes `bytes`.
    pub(super) fn put(&mut self, key: K, value: V, bytes: usize, now: Duration, fresh_for: Duration) {
        self.old.remove(&key);
        self.young.insert(key, Entry { value, bytes, asked_at: now, fresh_for });
        self.age();
    }

    fn entry(&mut self, key: &K) -> Option<&Entry<V>> {
        if let Some(entry) = self.old.remove(key) {
            self.young.insert(key.clone(), entry);
            self.age();
        }
        self.young.entries.get(key).or_else(|| self.old.entries.get(key))
    }

    fn age(&mut self) {
        if self.young.entries.len() > self.bounds.entries / 2 || self.young.bytes > self.bounds.bytes / 2 {
            self.old = std::mem::take(&mut self.young);
        }
    }
}

impl<K: Hash + Eq, V> Generation<K, V> {
    fn insert(&mut self, key: K, entry: Entry<V>) {
        self.bytes += entry.bytes;
        if let Some(before) = self.entries.insert(key, entry) {
            self.bytes -= before.bytes;
        }
    }

    fn remove(&mut self, key: &K) -> Option<Entry<V>> {
        let entry = self.entries.remove(key)?;
        self.bytes -= entry.bytes;
        Some(entry)
    }
}

impl<K, V> Default for Generation<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), bytes: 0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn cache(entries: usize, bytes: usize) -> Cache<u32, u32> {
        Cache::new(Bounds { entries, bytes })
    }

    #[test]
    fn an_answer_is_fresh_for_its_time_and_known_longer() {
        let mut cache = cache(10, 1000);
        cache.put(1, 10, 1, SECOND, 2 * SECOND);
        assert_eq!(cache.fresh(&1, SECOND * 2), Some(10));
        assert_eq!(cache.fresh(&1, SECOND * 3), None);
        assert_eq!(cache.within(&1, SECOND * 3, 5 * SECOND), Some(10));
        assert_eq!(cache.within(&1, SECOND * 6, 5 * SECOND), None);
        cache.put(1, 11, 1, SECOND * 3, SECOND);
        assert_eq!(cache.fresh(&1, SECOND * 3), Some(11));
        assert_eq!(cache.fresh(&2, SECOND * 3), None);
    }

    #[test]
    fn what_is_used_stays() {
        let mut cache = cache(10, 1000);
        for key in 0..100 {
            cache.put(key, key, 1, SECOND, SECOND);
            assert_eq!(cache.fresh(&0, SECOND), Some(0), "after {key}");
        }
        assert_eq!(cache.fresh(&50, SECOND), None);
    }

    proptest! {
        #[test]
        fn it_never_outgrows_its_bounds(puts in prop::collection::vec((0u32..20, 0usize..50, any::<bool>()), 0..200)) {
            let mut cache = cache(8, 100);
            for (key, bytes, looks) in puts {
                if looks {
                    cache.fresh(&key, SECOND);
                } else {
                    cache.put(key, key, bytes, SECOND, SECOND);
                    prop_assert_eq!(cache.within(&key, SECOND, SECOND), Some(key));
                }
                let of = |g: &Generation<u32, u32>| (g.entries.len(), g.entries.values().map(|e| e.bytes).sum::<usize>());
                let (young, old) = (of(&cache.young), of(&cache.old));
                prop_assert_eq!((young.1, old.1), (cache.young.bytes, cache.old.bytes));
                // One more than half in the old one: it was moved for being too much.
                prop_assert!(young.0 <= 4 && old.0 <= 5 && young.1 <= 50 && old.1 <= 100, "{young:?} {old:?}");
            }
        }
    }
}
