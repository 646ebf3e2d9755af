//! A map of bounded size that evicts entries not used recently.
//!
//! Invariant: it holds at most twice the size given to [`RecentMap::with_half`], and keeps an entry until at least that
//! many others were used after it. Must never hold data that must not be lost.

use std::collections::HashMap;
use std::hash::Hash;

/// New entries go into the young half. When it is full, it replaces the old half, whose unused entries are dropped.
pub struct RecentMap<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
}

impl<K: Eq + Hash + Copy, V: Default> RecentMap<K, V> {
    /// An empty map with two halves of this size.
    pub fn with_half(half: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half }
    }

    /// The entry of a key, created if missing.
    pub fn entry(&mut self, key: K) -> &mut V {
        if !self.young.contains_key(&key) && self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        let old = &mut self.old;
        self.young.entry(key).or_insert_with(|| old.remove(&key).unwrap_or_default())
    }

    /// The entry of a key, if there is one; does not count as a use.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// The number of entries.
    pub fn count(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Removes a key.
    pub fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_entries_stay_and_others_are_evicted() {
        let mut map = RecentMap::with_half(10);
        *map.entry(0) = 7;
        for key in 1..1000 {
            *map.entry(key) = key;
            assert_eq!(*map.entry(0), 7, "{key}");
            assert!(map.young.len() + map.old.len() <= 20);
        }
        assert_eq!(map.get(&999), Some(&999));
        assert!(map.get(&500).is_none());
        map.remove(&0);
        assert!(map.get(&0).is_none());
    }
}
