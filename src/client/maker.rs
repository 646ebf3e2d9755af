//! Requests by the creator of a paste, with its delete token.
//!
//! Invariant: the token is sent only to the server that issued it: a link may name another one.

use super::Located;
use super::history::Entry;
use super::transport::Call;
use ureq::http::Method;
use zeroize::Zeroizing;

/// A request about a paste, with the delete token if this machine created it.
pub fn by_maker(method: Method, located: &Located, path: String) -> Call<'_> {
    match &located.entry {
        Some(entry) => of_entry(method, entry, path),
        None => Call::new(method, &located.server, path, located.is_ours),
    }
}

/// A request about a paste of this machine.
pub fn of_entry(method: Method, entry: &Entry, path: String) -> Call<'_> {
    let mut call = Call::new(method, &entry.server, path, true);
    call.headers.push(("X-Delete-Token", Zeroizing::new(entry.delete_token.clone())));
    call
}
