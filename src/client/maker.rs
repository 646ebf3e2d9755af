//! What is asked of a server by whoever made a paste, with the delete token.
//!
//! Invariant: the token goes to the server it came from alone: a link may name another than the one that made the paste.

use super::Located;
use super::history::Entry;
use super::transport::Call;
use ureq::http::Method;
use zeroize::Zeroizing;

/// A request about a paste that this machine has made, if it has.
pub fn by_maker(method: Method, located: &Located, path: String) -> Call<'_> {
    match &located.entry {
        Some(entry) => of_entry(method, entry, path),
        None => Call::new(method, &located.server, path, located.is_ours),
    }
}

/// A request about something that this machine has made.
pub fn of_entry(method: Method, entry: &Entry, path: String) -> Call<'_> {
    let mut call = Call::new(method, &entry.server, path, true);
    call.headers.push(("X-Delete-Token", Zeroizing::new(entry.delete_token.clone())));
    call
}
