//! Proof-of-work tokens in use: one token buys one attempt at a time.
//!
//! Invariant: of requests with the same token that are under way at once, one has it. Must never be where a token is
//! spent for good: that is the database's part.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The tokens of the requests under way, and whether the body of each has begun.
#[derive(Default)]
pub(super) struct Tokens(Mutex<HashMap<Vec<u8>, bool>>);

/// A token in use by one request; given back when dropped.
pub struct Attempt {
    tokens: Arc<Tokens>,
    pub(super) token: Vec<u8>,
}

impl Tokens {
    /// Takes a token, unless another request has it.
    pub(super) fn take(self: &Arc<Self>, token: Vec<u8>) -> Option<Attempt> {
        match self.lock().entry(token.clone()) {
            Entry::Occupied(_) => None,
            Entry::Vacant(vacant) => {
                vacant.insert(false);
                Some(Attempt { tokens: Arc::clone(self), token })
            }
        }
    }

    /// Those that are no longer to be had: the bodies of their requests have begun.
    pub(super) fn begun(&self) -> Vec<Vec<u8>> {
        self.lock().iter().filter(|(_, has_begun)| **has_begun).map(|(token, _)| token.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<u8>, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    /// The body has begun: the token is not given back any more but by us.
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
    fn a_token_is_with_one_request_at_a_time() {
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
