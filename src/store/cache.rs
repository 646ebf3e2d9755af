//! In-memory cache of recently read pastes: a hit costs no query.
//!
//! Invariant: memory is bounded by twice [`HALF_BYTES`]; pastes that a read could change or that have a server-side
//! password are never cached; a deleted paste is gone before the delete is acknowledged, and no read that began before
//! can bring it back; one deleted by another process is gone within two seconds. Must never be locked across a query.

use super::model::{Paste, Protection};
use crate::at_rest::PIECE_BYTES;
use crate::clock::UnixSeconds;
use crate::paste::{Expiry, Id};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The size of each half, including [`ENTRY_BYTES`] per entry.
const HALF_BYTES: usize = 2 << 20;
/// The approximate overhead of an entry.
const ENTRY_BYTES: usize = 512;

/// The number of slots for recently requested ids.
const ASKED: usize = 4096;

/// The cache. An id requested twice enters the young half; a full young half becomes the old one, whose entries are
/// dropped unless they are read before the next turn: an approximate LRU without a list that every read reorders. The
/// lock is shared: a preempted reader does not block other hits.
pub(super) struct Cache {
    state: RwLock<State>,
    /// Marks of recently requested ids, by hash. Otherwise reads all over a large database would evict each other and
    /// contend for the lock: a tenth fewer reads per second.
    asked: Box<[AtomicU32]>,
    is_off: bool,
}

impl Default for Cache {
    fn default() -> Self {
        Self { state: RwLock::default(), asked: (0..ASKED).map(|_| AtomicU32::new(0)).collect(), is_off: false }
    }
}

#[derive(Default)]
struct State {
    young: HashMap<Id, Entry>,
    old: HashMap<Id, Entry>,
    young_bytes: usize,
    /// The number of deletes so far.
    epoch: u64,
    /// The engine's generation when last checked ([`super::engine::Engine::generation`]).
    generation: u64,
}

struct Entry {
    paste: Paste,
    /// Its expiry, as extended by reads.
    expires_at: AtomicU64,
    /// The whole content; `None` if only the metadata has been read.
    content: Option<Arc<[u8]>>,
}

/// Permits a reader to insert what it found in the database; there is none for a first request.
#[derive(Clone, Copy)]
pub(super) struct Ticket(u64);

impl Cache {
    /// A cache that stays empty: deletes by other processes would not be noticed in time.
    #[cfg(feature = "postgres")]
    pub(super) fn off() -> Self {
        Self { state: RwLock::default(), asked: Box::default(), is_off: true }
    }

    /// Finds a paste's metadata, as of its last read.
    pub(super) fn find(&self, id: &Id, generation: u64) -> Result<Paste, Option<Ticket>> {
        self.get(id, generation, |entry| Some(entry.paste()))
    }

    /// Finds the metadata and the content.
    pub(super) fn open(&self, id: &Id, generation: u64) -> Result<super::Opened, Option<Ticket>> {
        self.get(id, generation, |entry| Some((entry.paste(), Arc::clone(entry.content.as_ref()?))))
    }

    /// Inserts what was read with a ticket, unless anything was deleted meanwhile or the paste must not be cached.
    /// `first_piece` is the start of the content, if it was read.
    pub(super) fn insert(&self, ticket: Ticket, paste: &Paste, first_piece: Option<&Arc<[u8]>>) {
        let is_small = paste.meta.size <= PIECE_BYTES as u64;
        let mut state = self.write();
        let changes = paste.meta.reads_left.is_some() || matches!(paste.meta.protection, Protection::Password(_));
        if changes || !is_small || state.epoch != ticket.0 {
            return;
        }
        let expires_at = AtomicU64::new(paste.meta.expiry.at());
        state.insert(paste.id.clone(), Entry { paste: paste.clone(), expires_at, content: first_piece.cloned() });
    }

    /// Updates the expiry of a paste after a read.
    pub(super) fn touch(&self, id: &Id, expires_at: UnixSeconds) {
        if self.is_off {
            return;
        }
        let state = self.read();
        for entry in [state.young.get(id), state.old.get(id)].into_iter().flatten() {
            entry.expires_at.fetch_max(expires_at, Ordering::Relaxed);
        }
    }

    /// Removes a deleted paste.
    pub(super) fn remove(&self, id: &Id) {
        if self.is_off {
            return;
        }
        let mut state = self.write();
        state.epoch += 1;
        if let Some(entry) = state.young.remove(id) {
            state.young_bytes -= entry.bytes();
        }
        state.old.remove(id);
    }

    fn get<T>(&self, id: &Id, generation: u64, part: impl Fn(&Entry) -> Option<T>) -> Result<T, Option<Ticket>> {
        if self.is_off {
            return Err(None);
        }
        let state = self.read();
        if state.generation != generation {
            drop(state);
            self.forget(generation);
            return Err(None);
        }
        if let Some(found) = state.young.get(id).and_then(&part) {
            return Ok(found);
        }
        let Some(found) = state.old.get(id).and_then(&part) else {
            return Err(self.was_asked(id).then_some(Ticket(state.epoch)));
        };
        drop(state);
        let mut state = self.write();
        if let Some((id, entry)) = state.old.remove_entry(id) {
            state.insert(id, entry);
        }
        Ok(found)
    }

    /// Marks an id as requested. Returns whether it already was.
    fn was_asked(&self, id: &Id) -> bool {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let (hash, places) = (hasher.finish(), self.asked.len() as u64);
        // Never zero, which means empty.
        let mark = u32::try_from(hash >> 32).unwrap_or(0) | 1;
        let place = usize::try_from(hash % places).ok().and_then(|place| self.asked.get(place));
        place.is_some_and(|place| place.swap(mark, Ordering::Relaxed) == mark)
    }

    /// Clears the cache: unknown rows were deleted.
    fn forget(&self, generation: u64) {
        let mut state = self.write();
        *state = State { epoch: state.epoch + 1, generation, ..State::default() };
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn insert(&mut self, id: Id, entry: Entry) {
        if self.young_bytes + entry.bytes() > HALF_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += entry.bytes();
        if let Some(before) = self.young.insert(id, entry) {
            self.young_bytes -= before.bytes();
        }
    }
}

impl Entry {
    /// The metadata with the current expiry.
    fn paste(&self) -> Paste {
        let expires_at = self.expires_at.load(Ordering::Relaxed);
        let mut paste = self.paste.clone();
        if let Expiry::Sliding(at) = &mut paste.meta.expiry {
            *at = expires_at;
        }
        paste
    }

    fn bytes(&self) -> usize {
        ENTRY_BYTES + self.content.as_ref().map_or(0, |content| content.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::{Meta, RowKey};
    use super::super::receipt::TokenMark;
    use super::*;
    use crate::at_rest::ContentKey;

    fn paste(number: u32, size: u64) -> Paste {
        Paste {
            key: RowKey(number.into()),
            id: format!("{number:08x}").parse().unwrap(),
            mime_type: "text/plain".into(),
            filename: None,
            meta: Meta {
                size,
                created_at: 1000,
                expiry: Expiry::Sliding(2000),
                reads_left: None,
                burn: false,
                protection: Protection::None,
                token: TokenMark::Plain([0; 32]),
                answer_proof: None,
            },
            owner: None,
            pieces: RowKey(number.into()),
            content_key: ContentKey::random().unwrap(),
        }
    }

    /// The ticket for the second request of a missing paste.
    fn second_ticket(cache: &Cache, paste: &Paste, generation: u64) -> Ticket {
        let ask = || cache.open(&paste.id, generation).err().expect("it should be missing");
        let first = ask();
        first.or_else(ask).expect("the second request gets a ticket")
    }

    fn insert(cache: &Cache, paste: &Paste) {
        let content = Arc::from(vec![b'x'; usize::try_from(paste.meta.size).unwrap()]);
        cache.insert(second_ticket(cache, paste, 0), paste, Some(&content));
    }

    #[test]
    fn a_single_request_does_not_enter() {
        let cache = Cache::default();
        for number in 1..100 {
            assert!(matches!(cache.find(&paste(number, 5).id, 0), Err(None)), "{number}");
        }
        assert!(matches!(cache.find(&paste(99, 5).id, 0), Err(Some(_))));
    }

    #[test]
    fn inserted_pastes_are_found_and_their_expiry_moves() {
        let cache = Cache::default();
        let one = paste(1, 5);
        let ticket = second_ticket(&cache, &one, 0);
        cache.insert(ticket, &one, None);
        assert!(cache.find(&one.id, 0).is_ok() && cache.open(&one.id, 0).is_err(), "only the metadata was read");
        insert(&cache, &one);
        cache.touch(&one.id, 3000);
        cache.touch(&one.id, 2500);
        let Ok((found, content)) = cache.open(&one.id, 0) else { panic!("it was read") };
        assert_eq!((found.meta.expiry, &content[..]), (Expiry::Sliding(3000), &b"xxxxx"[..]));
    }

    #[test]
    fn an_earlier_read_does_not_bring_back_a_deleted_paste() {
        let cache = Cache::default();
        let (one, two) = (paste(1, 5), paste(2, 5));
        insert(&cache, &one);
        let ticket = second_ticket(&cache, &two, 0);
        cache.remove(&one.id);
        assert!(cache.find(&one.id, 0).is_err());
        cache.insert(ticket, &one, None);
        cache.insert(ticket, &two, None);
        assert!(cache.find(&one.id, 0).is_err() && cache.find(&two.id, 0).is_err());
        insert(&cache, &two);
        let ticket = second_ticket(&cache, &two, 1);
        assert_eq!(cache.read().young_bytes, 0);
        cache.insert(ticket, &two, None);
        assert!(cache.find(&two.id, 1).is_ok());
    }

    #[test]
    fn limited_and_protected_pastes_are_not_cached() {
        let cache = Cache::default();
        let (mut burn, mut protected) = (paste(1, 5), paste(2, 5));
        burn.meta.reads_left = Some(1);
        protected.meta.protection = Protection::Password(crate::crypto::PasswordHash::new(b"x", 1).unwrap());
        for paste in [burn, protected, paste(3, 65_537)] {
            insert(&cache, &paste);
            assert!(cache.find(&paste.id, 0).is_err(), "{}", paste.id);
        }
    }

    #[test]
    fn memory_is_bounded_and_popular_pastes_stay() {
        let cache = Cache::default();
        let often = paste(0, 1000);
        insert(&cache, &often);
        for number in 1..1000 {
            insert(&cache, &paste(number, 60_000));
            assert!(cache.open(&often.id, 0).is_ok(), "{number}");
            let state = cache.read();
            let bytes = |half: &HashMap<Id, Entry>| half.values().map(Entry::bytes).sum::<usize>();
            assert_eq!(bytes(&state.young), state.young_bytes);
            assert!(state.young_bytes <= HALF_BYTES && bytes(&state.old) <= HALF_BYTES);
        }
    }
}
