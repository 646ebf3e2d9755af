//! A map of bounded size that forgets what was not used lately.
//!
//! Invariant: at most twice [`RecentMap::with_half`]'s number of entries, and an entry stays at least until that many
//! others were used after it. Must never be asked to keep what may not be forgotten.

use std::collections::HashMap;
use std::hash::Hash;

/// The map: entries enter the young half, and when it is full it becomes the old one, whose entries go unless they are
/// used before the next turn.
pub struct RecentMap<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
}

impl<K: Eq + Hash + Copy, V: Default> RecentMap<K, V> {
    /// An empty map with two halves of so many entries.
    pub fn with_half(half: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half }
    }

    /// The entry of a key, made where there is none.
    pub fn entry(&mut self, key: K) -> &mut V {
        if !self.young.contains_key(&key) && self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        let old = &mut self.old;
        self.young.entry(key).or_insert_with(|| old.remove(&key).unwrap_or_default())
    }

    /// The entry of a key, if there is one; this is no use of it.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// How many entries there are.
    pub fn count(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Forgets a key.
    pub fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
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
