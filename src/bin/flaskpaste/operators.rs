//! The operators' commands on the live database, beside a running server: list, delete, block, and manage tokens.
//!
//! Invariant: a missing paste is exit code 3, and the other named pastes are still handled. A token is printed once,
//! alone on stdout. Must never print an id that was not given, nor a file name.

use super::{NotThere, Outcome, print};
use flaskpaste::clock::{rfc3339, unix_now};
use flaskpaste::crypto::{self, Sha256Digest};
use flaskpaste::operator_log;
use flaskpaste::owner::TokenName;
use flaskpaste::paste::{Expiry, Id};
use flaskpaste::store::{Found, Listed, Meta, Protection, Store};
use flaskpaste::user;
use serde_json::{Value, json};
use std::error::Error;
use std::io::{self, BufWriter, Write};

type Failure = Box<dyn Error + Send + Sync>;

/// `list`
pub fn list(store: &Store, json: bool) -> Outcome {
    let mut out = BufWriter::new(io::stdout().lock());
    let result = write_list(store, json, &mut out).and_then(|()| Ok(out.flush()?));
    match result {
        // The reader closed the pipe.
        Err(error) if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) => {
            Ok(())
        }
        result => result,
    }
}

fn write_list(store: &Store, json: bool, out: &mut impl Write) -> Outcome {
    if !json {
        writeln!(out, "{:<16}  {:>10}  {:<20}  {:<20}  flags", "handle", "bytes", "created", "expires")?;
    }
    store.for_each_listed(unix_now(), |listed| -> Outcome {
        let Listed { handle, meta, .. } = listed;
        if json {
            return Ok(writeln!(out, "{}", describe(listed))?);
        }
        let (created, expires) = (rfc3339(meta.created_at), rfc3339(meta.expiry.at()));
        let flags = flags(meta, listed.is_owned).join(",");
        Ok(writeln!(out, "{handle}  {:>10}  {created}  {expires}  {flags}", meta.size)?)
    })
}

/// One line of `list --json`.
fn describe(listed: &Listed) -> Value {
    let meta = &listed.meta;
    json!({
        "handle": listed.handle.to_string(),
        "size": meta.size,
        "created_at": meta.created_at,
        "expires_at": meta.expiry.at(),
        "reads_left": meta.reads_left,
        "flags": flags(meta, listed.is_owned),
    })
}

/// The flags of a paste.
pub fn flags(meta: &Meta, is_owned: bool) -> Vec<&'static str> {
    let marks = [
        (matches!(meta.expiry, Expiry::Sliding(_)), "sliding"),
        (meta.burn, "burn"),
        (meta.reads_left.is_some() && !meta.burn, "limited"),
        (matches!(meta.protection, Protection::Gate { .. }), "gated"),
        (meta.has_password(), "password"),
        (meta.answer_proof.is_some(), "ask"),
        (is_owned, "owned"),
    ];
    marks.into_iter().filter(|(is_so, _)| *is_so).map(|(_, mark)| mark).collect()
}

/// Finds the named paste.
pub fn locate(store: &Store, id: &Id) -> Result<Found, Failure> {
    store.locate(id, unix_now())?.ok_or_else(|| NotThere(format!("no such paste: {id}")).into())
}

/// Runs an action for each paste, even if others fail. A failure takes precedence over a missing paste in the exit
/// code.
fn each(ids: &[Id], mut act: impl FnMut(&Id) -> Outcome) -> Outcome {
    let mut worst: Option<Failure> = None;
    for id in ids {
        let Err(error) = act(id) else { continue };
        let told = match &worst {
            Some(before) if !before.is::<NotThere>() || error.is::<NotThere>() => Some(error),
            _ => worst.replace(error),
        };
        if let Some(error) = told {
            operator_log::message(&error.to_string());
        }
    }
    worst.map_or(Ok(()), Err)
}

fn gone(id: &Id) -> Outcome {
    Err(NotThere(format!("paste {id} ended before it could be deleted")).into())
}

/// `delete`
pub fn delete(store: &Store, ids: &[Id]) -> Outcome {
    each(ids, |id| {
        let found = locate(store, id)?;
        if !store.remove(&found, &user::operator(), unix_now())? {
            return gone(id);
        }
        print(&format!("{id} deleted\n"))
    })
}

/// `block`
pub fn block(store: &Store, ids: &[Id]) -> Outcome {
    each(ids, |id| {
        let found = locate(store, id)?;
        let Some(paste) = &found.paste else {
            return Err(format!(
                "{id} is a handle; its content can be read only with the ID: delete it, or find the ID in the report"
            )
            .into());
        };
        if paste.meta.is_unanswered() {
            return Err(format!("{id} is a request without an answer and has no content to block: delete it").into());
        }
        let sha256 = store.content_sha256(paste)?;
        if !store.block(&found, &sha256, &user::operator(), unix_now())? {
            return gone(id);
        }
        print(&format!("{}  {id}\n", crypto::hex(&sha256)))
    })
}

/// `unblock`
pub fn unblock(store: &Store, sha256: &Sha256Digest) -> Outcome {
    if store.unblock(sha256, &user::operator(), unix_now())? {
        print("the content is accepted again\n")
    } else {
        Err(NotThere(format!("this SHA-256 is not blocked: {}", crypto::hex(sha256))).into())
    }
}

/// `log`
pub fn log(store: &Store, json: bool) -> Outcome {
    store.actions()?.iter().try_for_each(|action| {
        print(&if json {
            format!("{}\n", json!({ "at": action.at, "who": action.who, "what": action.what }))
        } else {
            format!("{}  {}  {}\n", rfc3339(action.at), action.who, action.what)
        })
    })
}

/// `token add`
pub fn add_token(store: &Store, name: &TokenName, days: Option<u64>) -> Outcome {
    let now = unix_now();
    let expires_at = days.map(|days| now + days * 86_400);
    let token = store.add_token(name, expires_at, &user::operator(), now)?;
    let token = token.ok_or_else(|| format!("token {name} already exists; remove it first or choose another name"))?;
    operator_log::message(&format!("created token {name}; it is shown only once: pass it on over a secure channel"));
    print(&format!("{}\n", token.as_str()))
}

/// `token list`
pub fn list_tokens(store: &Store) -> Outcome {
    store.tokens()?.iter().try_for_each(|token| {
        let expires = token.expires_at.map_or_else(|| "never".into(), rfc3339);
        print(&format!("{:<24}  created {}  expires {expires}\n", token.name, rfc3339(token.created_at)))
    })
}

/// `token remove`
pub fn remove_token(store: &Store, name: &TokenName) -> Outcome {
    if store.remove_token(name, &user::operator(), unix_now())? {
        print(&format!("removed token {name}; its pastes stay, and a new token of this name would own them\n"))
    } else {
        Err(NotThere(format!("no such token: {name}")).into())
    }
}
