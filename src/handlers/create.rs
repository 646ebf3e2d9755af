//! `POST /`: a paste comes in.
//!
//! Invariant: nothing is stored unless everything about the request is right, and a 201 is on the disk. What can be
//! refused before the body is read, is. Must never hold a body in memory beyond [`crate::spool::MEMORY_BYTES`], but for
//! one JSON body at a time and the text in it.

use super::json_body::JsonBody;
use super::wishes::{Lock, Wishes};
use super::{mark, mark_access};
use crate::admission::{self, Crowded, Purpose};
use crate::app::App;
use crate::clock::UnixSeconds;
use crate::crypto::{self, PBKDF2_ITERATIONS, PasswordHash};
use crate::error::ApiError;
use crate::http::{Framing, Reply, Request};
use crate::mime;
use crate::paste::{Expiry, Fingerprint, Id};
use crate::spool::{Content, MEMORY_BYTES, Spool};
use crate::store::{Attempt, Created, Duplicate, Handle, NewPaste, Protection};
use serde_json::{Value, json};
use std::io;
use std::sync::{Mutex, PoisonError};

/// Bytes read from the peer at a time.
const READ_BYTES: usize = 16 << 10;

/// A JSON body larger than the spool's memory is parsed in memory all the same: one at a time.
static LARGE_JSON: Mutex<()> = Mutex::new(());

/// Answers the request.
///
/// # Errors
/// Every refusal of a create.
pub fn create(app: &App, request: &mut Request<'_>, now: UnixSeconds) -> Result<Reply, ApiError> {
    let config = app.config();
    let owner = admission::owner(config, request);
    let max_size = admission::max_bytes(config, owner.as_ref());
    match request.framing {
        Framing::None | Framing::Length(0) => return Err(ApiError::NoContent),
        Framing::Length(size) if size > max_size => {
            return Err(ApiError::TooLarge { max_size, authenticated: owner.is_some() });
        }
        Framing::Length(_) | Framing::Chunked => {}
    }
    // A JSON body may say it otherwise than the headers.
    let wishes = if is_json(request) { None } else { Some(Wishes::of_headers(request)?) };
    let token = admission::proof_of_work(config, app.pow_secret(), request, now)?;
    let attempt = match token {
        Some(token) => Some(app.store().begin_attempt(token)?.ok_or(ApiError::PowReused)?),
        None => None,
    };
    let created = receive(app, request, max_size, attempt.as_ref())
        .and_then(|body| body.ok_or(ApiError::TooLarge { max_size, authenticated: owner.is_some() }))
        .and_then(|body| store(app, request, body, wishes, owner, attempt.as_ref(), now));
    if let (Err(error), Some(attempt)) = (&created, &attempt)
        && attempt.has_begun()
        && !error.is_ours()
    {
        app.store().spend(attempt);
    }
    created
}

/// Stores what has come whole.
fn store(
    app: &App,
    request: &Request<'_>,
    body: Content,
    // None: they are in the JSON body.
    wishes: Option<Wishes>,
    owner: Option<Fingerprint>,
    attempt: Option<&Attempt>,
    now: UnixSeconds,
) -> Result<Reply, ApiError> {
    let config = app.config();
    if body.size == 0 {
        return Err(ApiError::NoContent);
    }
    let is_json = wishes.is_none();
    let (content, wishes) = match wishes {
        Some(wishes) => (body, wishes),
        None => unwrap_json(app, request, body)?,
    };
    admission::entropy(config, content.size, content.entropy_bits)?;

    let sent_type = request.header("Content-Type").filter(|_| !is_json);
    let mime_type = mime::sanitise(sent_type).unwrap_or_else(|| mime::detect(&content.head, content.is_text).into());
    let expiry = match wishes.expiry_seconds {
        Some(seconds) => Expiry::Fixed(now + seconds.min(config.max_expiry_seconds)),
        None => Expiry::Sliding(now + config.expiry_seconds),
    };
    let delete_token = crypto::hex(&crypto::random::<16>().map_err(|error| ApiError::Internal(error.to_string()))?);
    let protection = match wishes.lock {
        Lock::None => Protection::None,
        Lock::Password(password) => Protection::Password(hash_password(app, request, &password)?),
        Lock::Gate { link_proof, password_proof } => Protection::Gate { link_proof, password_proof },
    };
    let mut answer = json!({
        "mime_type": mime_type, "size": content.size, "created_at": now, "expires_at": expiry.at(),
        "sliding": matches!(expiry, Expiry::Sliding(_)), "delete_token": delete_token,
    });
    mark_access(&mut answer, wishes.reads, wishes.reads == Some(1), &protection);
    mark(&mut answer, "owner", owner.as_ref().map(Fingerprint::as_str).map(Into::into));
    let new = NewPaste {
        content,
        mime_type,
        created_at: now,
        expiry,
        reads: wishes.reads,
        protection,
        token_hash: crypto::sha256(delete_token.as_bytes()),
        owner,
    };
    match app.store().create(new, attempt)? {
        Created::Stored(id, handle) => {
            app.metrics().creates.count();
            Ok(created_reply(app, request, &id, handle, answer))
        }
        Created::TokenSpent => Err(ApiError::PowReused),
        Created::Duplicate(Duplicate { count, retry_after_seconds }) => {
            Err(ApiError::Duplicate { count, window_seconds: config.dedup_window_seconds, retry_after_seconds })
        }
    }
}

fn is_json(request: &Request<'_>) -> bool {
    let essence = request.header("Content-Type").and_then(|value| value.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// Reads the body into a spool; `None` as soon as it is larger than `max_bytes`. The attempt begins with its first bytes,
/// be they only of chunks that are refused.
fn receive(
    app: &App,
    request: &mut Request<'_>,
    max_bytes: u64,
    attempt: Option<&Attempt>,
) -> Result<Option<Content>, ApiError> {
    // What stays in memory is asked for when it is stored.
    if let Framing::Length(length) = request.framing
        && length > MEMORY_BYTES as u64
    {
        app.store().expect_room(length, 0)?;
    }
    let mut spool = new_spool(app, !is_json(request))?;
    let mut checked_bytes = 0;
    let begin = || attempt.map_or((), Attempt::begin);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = match request.body.read(&mut buffer) {
            Ok(0) => return spool.finish().map(Some).map_err(spool_failure),
            Ok(read) => read,
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => continue,
                io::ErrorKind::FileTooLarge => {
                    begin();
                    return Ok(None);
                }
                io::ErrorKind::ResourceBusy => return Err(ApiError::Busy(1)),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    return Err(ApiError::BadRequest("The body stopped arriving."));
                }
                _ => return Err(ApiError::BadRequest("The body is malformed or was cut short.")),
            },
        };
        if spool.size() == 0 {
            begin();
        }
        if spool.size() + read as u64 > max_bytes {
            return Ok(None);
        }
        if spool.size() >= checked_bytes + MEMORY_BYTES as u64 {
            // Many at once may have been let in who together are too many.
            checked_bytes = spool.size();
            app.store().expect_room(checked_bytes, spool.spooled_bytes())?;
        }
        spool.push(buffer.get(..read).unwrap_or_default()).map_err(spool_failure)?;
    }
}

fn new_spool(app: &App, is_content: bool) -> Result<Spool<'_>, ApiError> {
    let measures = is_content && app.config().min_entropy_bits > 0.0;
    Spool::new(app.store().folder(), app.store().spool_room(), measures).map_err(spool_failure)
}

fn spool_failure(error: io::Error) -> ApiError {
    crate::store::StoreError::from(error).into()
}

/// The content and the wishes of a JSON body; a field wins over the header of the same meaning.
fn unwrap_json(app: &App, request: &Request<'_>, body: Content) -> Result<(Content, Wishes), ApiError> {
    let large = body.size > MEMORY_BYTES as u64;
    let _turn = large.then(|| LARGE_JSON.lock().unwrap_or_else(PoisonError::into_inner));
    let bytes = body.into_bytes().map_err(spool_failure)?;
    let json = JsonBody::parse(&bytes)?;
    let text = json.content()?;
    if text.is_empty() {
        return Err(ApiError::NoContent);
    }
    let wishes = Wishes::of_json(&json, request)?;
    let mut spool = new_spool(app, true)?;
    spool.push(text.as_bytes()).map_err(spool_failure)?;
    Ok((spool.finish().map_err(spool_failure)?, wishes))
}

fn hash_password(app: &App, request: &Request<'_>, password: &str) -> Result<PasswordHash, ApiError> {
    let network = admission::client(app.config(), request).network();
    let hashed =
        app.hashing().run(Purpose::Create, network, || PasswordHash::new(password.as_bytes(), PBKDF2_ITERATIONS));
    hashed.map_err(|Crowded| ApiError::Busy(1))?.map_err(|error| ApiError::Internal(error.to_string()))
}

/// The 201: JSON, or the bare URL for clients that ask for text.
fn created_reply(app: &App, request: &Request<'_>, id: &Id, handle: Handle, mut answer: Value) -> Reply {
    let url = format!("{}/{id}", app.config().base_url());
    let reply = if request.prefers_text() {
        Reply::text(201, format!("{}/{id}\n", admission::base_url(app.config(), request)))
    } else {
        mark(&mut answer, "id", Some(id.as_str().into()));
        mark(&mut answer, "handle", Some(handle.to_string().into()));
        mark(&mut answer, "raw", Some(format!("{url}/raw").into()));
        mark(&mut answer, "url", Some(url.as_str().into()));
        Reply::json(201, &answer)
    };
    reply.with("Location", url)
}
