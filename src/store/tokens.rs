//! Proof-of-work tokens in use by current requests.
//!
//! Invariant: of concurrent requests with the same token, only one holds it. Must never be the place where a token is
//! permanently spent: that is the database.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The tokens of current requests, and whether the body of each has started.
#[derive(Default)]
pub(super) struct Tokens(Mutex<HashMap<Vec<u8>, bool>>);

/// A token held by one request; released when dropped.
pub struct Attempt {
    tokens: Arc<Tokens>,
    pub(super) token: Vec<u8>,
}

impl Tokens {
    /// Takes a token, unless another request holds it.
    pub(super) fn take(self: &Arc<Self>, token: Vec<u8>) -> Option<Attempt> {
        match self.lock().entry(token.clone()) {
            Entry::Occupied(_) => None,
            Entry::Vacant(vacant) => {
                vacant.insert(false);
                Some(Attempt { tokens: Arc::clone(self), token })
            }
        }
    }

    /// The tokens that cannot be released any more: the bodies of their requests have started.
    pub(super) fn begun(&self) -> Vec<Vec<u8>> {
        self.lock().iter().filter(|(_, has_begun)| **has_begun).map(|(token, _)| token.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<u8>, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    /// Marks that the body has started: only we can release the token now.
    pub fn begin(&self) {
        self.tokens.lock().insert(self.token.clone(), true);
    }

    /// Whether it has.
    pub fn has_begun(&self) -> bool {
        self.tokens.lock().get(&self.token).copied().unwrap_or(false)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.tokens.lock().remove(&self.token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_at_a_time_holds_a_token() {
        let tokens = Arc::<Tokens>::default();
        let first = tokens.take(vec![1]).unwrap();
        assert!(tokens.take(vec![1]).is_none() && tokens.take(vec![2]).is_some());
        first.begin();
        assert!(first.has_begun() && tokens.begun() == [[1]]);
        drop(first);
        assert!(tokens.begun().is_empty());
        assert!(tokens.take(vec![1]).is_some());
    }
}
