//! `fpaste update`: another content under the same link, sealed with the same key.
//!
//! Invariant: what the server gets is sealed, and opens with the link and the password as before. Must never read the new content
//! before it is known that the paste can take it, nor take a password away without being told.

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
/// Unreadable input, and every refusal.
pub fn run(link: &Link, with: &Create, session: &Session<'_>) -> Result<(), Failure> {
    let target = Target::parse(&link.0)?;
    let Target { id, key: Some(key), .. } = &target else {
        return Err(Failure::usage("the link has no key, and the new content is sealed with it")
            .hint("use the whole link, with what stands behind the #; fpaste does not keep keys"));
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

/// The link without its key, as the server told it when the paste was made.
fn shown(located: &Located, id: &str) -> String {
    located.entry.as_ref().map_or_else(|| located.server.join(&format!("/{id}")), |entry| entry.url.clone())
}

/// Makes sure that the paste is there and can have another content; when it ends, if that is fixed.
fn expect_replaceable(call: &Call<'_>, id: &str, with: &Create, session: &Session<'_>) -> Result<Option<u64>, Failure> {
    let look = Call::new(Method::GET, call.server, format!("/{id}"), call.is_ours);
    let paste = session.transport.send(&look)?.expect(200)?.json()?;
    let is = |name: &str| paste.get(name).and_then(Value::as_bool) == Some(true);
    if paste.get("reads_left").is_some() || is("burn_after_read") {
        return Err(Failure::new(Exit::Other, "the reads of this paste are counted: it keeps its content")
            .hint("create a new paste, and delete this one"));
    }
    if is("password_protected") && !is("password_proof") {
        return Err(Failure::new(Exit::Other, "this paste has a password that the server checks: it cannot be sealed")
            .hint("create a new paste, and delete this one"));
    }
    if is("password_proof") && with.password == PasswordSource::None {
        return Err(Failure::usage("the paste has a password, which belongs to its new content, too")
            .hint("give it with -p or --password-file; another one takes its place"));
    }
    Ok(paste.get("expires_at").and_then(Value::as_u64).filter(|_| !is("sliding")))
}
