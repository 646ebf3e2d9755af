//! `fpaste update`: replaces the content of a paste, sealed with the same key so that the link stays valid.
//!
//! Invariant: the new content is sealed for the same link. Must never read input before the paste is known to accept
//! it, nor remove a password silently.

use super::command::{Create, Link, PasswordSource};
use super::create::{Source, allowed_bytes, seal};
use super::extend::{expect_maker, note};
use super::failure::{Exit, Failure};
use super::link::Target;
use super::maker::by_maker;
use super::transport::{Call, Payload};
use super::ui::write_line;
use super::{Located, Session};
use serde_json::Value;
use ureq::http::Method;
use zeroize::Zeroizing;

/// Replaces the content of a paste.
///
/// # Errors
/// When the input cannot be read or the server refuses.
pub fn run(link: &Link, with: &Create, session: &Session<'_>) -> Result<(), Failure> {
    let target = Target::parse(&link.0)?;
    let Target { id, key: Some(key), .. } = &target else {
        return Err(Failure::usage("the link has no key, which is needed to encrypt the new content")
            .hint("use the full link, including the part after the #; fpaste does not save keys"));
    };
    let fragment = key.fragment();
    let located = session.locate(&target, &session.known());
    let mut call = by_maker(Method::PUT, &located, format!("/{id}/raw"));
    expect_maker(&call, session)?;
    let source = Source::open(with, session)?;
    let expires_at = expect_replaceable(&call, id.as_str(), with, session)?;
    let limit = allowed_bytes(call.server, call.is_ours, session)?;
    let key = super::link::key(&fragment)?;
    let upload = seal(with, source, key, expires_at, limit, session)?;
    call.headers.push(("Content-Type", Zeroizing::new("application/octet-stream".to_owned())));
    call.headers.extend(upload.wishes.gate.iter().flat_map(super::upload::Gate::headers));
    let open = || upload.content.read();
    call.body = Payload::Stream { length: upload.content.length(), open: &open };
    session.transport.send(&call)?.expect(200)?;
    note(&located, session, |entry| {
        (entry.name, entry.size) = (upload.name.clone(), upload.size);
        (entry.encrypted, entry.sealed, entry.password) = (true, Some(true), upload.wishes.has_password());
    });
    write_line(&Zeroizing::new(format!("{}#{}", shown(&located, id.as_str()), fragment.as_str())))
}

/// The link without its key, as the server sent it at creation.
fn shown(located: &Located, id: &str) -> String {
    located.entry.as_ref().map_or_else(|| located.server.join(&format!("/{id}")), |entry| entry.url.clone())
}

/// Checks that the paste exists and can be updated. Returns its expiry, if that is fixed.
fn expect_replaceable(call: &Call<'_>, id: &str, with: &Create, session: &Session<'_>) -> Result<Option<u64>, Failure> {
    let look = Call::new(Method::GET, call.server, format!("/{id}"), call.is_ours);
    let paste = session.transport.send(&look)?.expect(200)?.json()?;
    let is = |name: &str| paste.get(name).and_then(Value::as_bool) == Some(true);
    if paste.get("reads_left").is_some() || is("burn_after_read") {
        return Err(Failure::new(Exit::Other, "cannot update this paste: its reads are limited")
            .hint("create a new paste and delete this one"));
    }
    if is("password_protected") && !is("password_proof") {
        return Err(Failure::new(Exit::Other, "cannot update this paste: its password is checked by the server")
            .hint("create a new paste and delete this one"));
    }
    if is("password_proof") && with.password == PasswordSource::None {
        return Err(Failure::usage("this paste has a password, which is needed to encrypt the new content")
            .hint("use -p or --password-file; a new password replaces the old one"));
    }
    Ok(paste.get("expires_at").and_then(Value::as_u64).filter(|_| !is("sliding")))
}
