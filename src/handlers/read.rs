//! `GET /<id>` and `GET /<id>/raw`: reads a paste.
//!
//! Invariant: pastes that never existed, expired, burned or were deleted get the same 404; the content of a limited
//! paste is delivered exactly as often as its limit; HEAD changes nothing, and a metadata GET only extends a sliding
//! expiry.

use super::{ask, gate, mark, mark_access};
use crate::app::App;
use crate::clock::UnixSeconds;
use crate::error::ApiError;
use crate::filename;
use crate::http::{self, Body, Method, Policy, Reply, Request, Span};
use crate::mime;
use crate::paste::{Expiry, Id};
use crate::store::{Meta, Paste};
use serde_json::{Value, json};
use std::ops::Range;
use std::sync::Arc;

/// Answers `GET /<id>`.
///
/// # Errors
/// `not_found`, or an internal failure.
pub fn metadata(app: &App, request: &Request<'_>, id: &Id, now: UnixSeconds) -> Result<Reply, ApiError> {
    let paste = app.store().find(id, now)?.ok_or(ApiError::NotFound)?;
    gate::holds_lease(app, request, &paste, now)?;
    let expiry = if request.method == Method::Get { app.store().touch(&paste, now) } else { paste.meta.expiry };
    Ok(Reply::json(200, &describe(app, request, &paste, expiry)))
}

/// The metadata of a paste with this expiry.
pub fn describe(app: &App, request: &Request<'_>, paste: &Paste, expiry: Expiry) -> Value {
    if paste.meta.answer_proof.is_some() {
        return ask::describe(app, request, paste, expiry);
    }
    let mut answer = describe_meta(&paste.meta, expiry);
    let owner = request.owner.as_ref().filter(|owner| app.store().owns(owner, paste));
    mark(&mut answer, "id", Some(paste.id.as_str().into()));
    mark(&mut answer, "mime_type", Some(paste.mime_type.as_str().into()));
    mark(&mut answer, "raw", Some(format!("{}/{}/raw", app.config().base_url(), paste.id).into()));
    mark(&mut answer, "owner", owner.map(|owner| owner.to_string().into()));
    mark(&mut answer, "filename", paste.filename.as_deref().map(Into::into));
    answer
}

/// The metadata that is known without the id.
pub fn describe_meta(meta: &Meta, expiry: Expiry) -> Value {
    let mut answer = json!({
        "size": meta.size,
        "created_at": meta.created_at,
        "expires_at": expiry.at(),
        "sliding": matches!(expiry, Expiry::Sliding(_)),
    });
    mark_access(&mut answer, meta.reads_left, meta.burn, &meta.protection);
    mark(&mut answer, "state", meta.answer_proof.map(|_| ask::state(meta).into()));
    answer
}

/// Answers `GET /<id>/raw`.
///
/// # Errors
/// `not_found`, `not_answered`, those of the gate and password, `range_not_satisfiable`, or an internal failure.
pub fn raw(app: &App, request: &Request<'_>, id: &Id, now: UnixSeconds) -> Result<Reply, ApiError> {
    let store = app.store();
    let (paste, first_piece) = if request.method == Method::Head {
        (store.find(id, now)?.ok_or(ApiError::NotFound)?, Arc::default())
    } else {
        store.open_paste(id, now)?.ok_or(ApiError::NotFound)?
    };
    if paste.meta.is_unanswered() {
        return Err(ApiError::NotAnswered);
    }
    let is_leased = gate::holds_lease(app, request, &paste, now)?;
    if !is_leased {
        gate::check(app, request, &paste, now)?;
        if paste.meta.reads_left.is_some() {
            return take(app, request, &paste, now);
        }
    }
    let span = match request.header("Range") {
        // Only GET has ranges (RFC 9110 section 14.2). We send no validators, so `If-Range` never matches (13.1.5).
        Some(range) if request.method == Method::Get && request.header("If-Range").is_none() => {
            http::parse_range(range, paste.meta.size)
        }
        _ => Span::Whole,
    };
    let (status, range) = match span {
        Span::Whole => (200, 0..paste.meta.size),
        Span::Part(range) => (206, range),
        Span::Beyond => return Err(ApiError::RangeNotSatisfiable(paste.meta.size)),
    };
    if request.method == Method::Get && is_leased {
        // Already counted when it was leased.
        store.touch(&paste, now);
    } else if request.method == Method::Get {
        store.count_read(&paste, now);
        app.metrics().reads.count();
    }
    let (first, last) = (range.start, range.end.saturating_sub(1));
    let reply = content_reply(&paste, status, content(app, &paste, first_piece, range)).with("Accept-Ranges", "bytes");
    Ok(if status == 206 {
        reply.with("Content-Range", format!("bytes {first}-{last}/{}", paste.meta.size))
    } else {
        reply
    })
}

/// The bytes of a range: from memory if they are all in the first piece, else streamed.
fn content(app: &App, paste: &Paste, first_piece: Arc<[u8]>, range: Range<u64>) -> Body {
    let in_first = |at: u64| usize::try_from(at).ok().filter(|at| *at <= first_piece.len());
    match (in_first(range.start), in_first(range.end)) {
        (Some(0), Some(end)) if end == first_piece.len() => Body::Shared(first_piece),
        (Some(start), Some(end)) => Body::Bytes(first_piece.get(start..end).unwrap_or_default().to_vec()),
        _ => Body::Stream(Box::new(app.store().content(paste, range.start)), range.end - range.start),
    }
}

/// Takes a read of a limited paste, or for HEAD shows the headers it would have.
fn take(app: &App, request: &Request<'_>, paste: &Paste, now: UnixSeconds) -> Result<Reply, ApiError> {
    let body = if request.method == Method::Get {
        let content = app.store().take(paste, now)?.ok_or(ApiError::NotFound)?;
        app.metrics().reads.count();
        if paste.meta.burn {
            app.metrics().burns.count();
        }
        Body::Stream(content, paste.meta.size)
    } else {
        Body::Stream(Box::new(std::io::empty()), paste.meta.size)
    };
    Ok(Reply { is_only_copy: true, ..content_reply(paste, 200, body) })
}

fn content_reply(paste: &Paste, status: u16, body: Body) -> Reply {
    let served = mime::served(&paste.mime_type);
    let disposition = if mime::is_inline(served) { "inline" } else { "attachment" };
    let made_up = || format!("{}.{}", paste.id, mime::extension(served));
    let name = filename::disposition(disposition, &paste.filename.clone().unwrap_or_else(made_up));
    let reply = Reply { body, policy: Policy::Sandbox, ..Reply::empty(status) };
    let reply = reply.with("Content-Type", served.to_owned()).with("Content-Disposition", name);
    if paste.meta.burn { reply.with("X-Burn-After-Read", "true") } else { reply }
}
