//! Proof-of-work tokens in use: one token buys one attempt at a time.
//!
//! Invariant: of requests with the same token that are under way at once, one has it. Must never be where a token is
//! spent for good: that is the database's part.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The tokens of the requests under way.
#[derive(Default)]
pub(super) struct Tokens(Mutex<HashSet<Vec<u8>>>);

/// A token in use by one request; given back when dropped.
pub struct Attempt {
    tokens: Arc<Tokens>,
    pub(super) token: Vec<u8>,
}

impl Tokens {
    /// Takes a token, unless another request has it.
    pub(super) fn take(self: &Arc<Self>, token: Vec<u8>) -> Option<Attempt> {
        self.lock().insert(token.clone()).then(|| Attempt { tokens: Arc::clone(self), token })
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        drop(first);
        assert!(tokens.take(vec![1]).is_some());
    }
}
