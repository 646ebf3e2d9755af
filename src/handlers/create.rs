//! `POST /`, `PUT /` and `PUT /<name>`: creates a paste.
//!
//! Invariant: nothing is stored unless the whole request is valid, and after a 201 the paste is on disk. Requests are
//! refused before the body is read where possible. Must never hold a body in memory beyond
//! [`crate::spool::MEMORY_BYTES`], except for one JSON body at a time.

use super::form;
use super::json_body::JsonBody;
use super::multipart;
use super::upload::{self, Received, Upload, expect_body, new_spool};
use super::wishes::{Lock, Wishes};
use super::{mark, mark_access};
use crate::admission::{self, Crowded, Purpose};
use crate::app::App;
use crate::clock::UnixSeconds;
use crate::crypto::{self, PBKDF2_ITERATIONS, PasswordHash};
use crate::error::ApiError;
use crate::filename;
use crate::http::{Reply, Request};
use crate::mime;
use crate::paste::{Expiry, Id};
use crate::spool::{Content, MEMORY_BYTES};
use crate::store::{Attempt, Created, Duplicate, Handle, NewPaste, Protection};
use serde_json::{Value, json};
use std::sync::{Mutex, PoisonError};

/// JSON bodies larger than the spool's memory must be parsed in memory: one at a time.
static LARGE_JSON: Mutex<()> = Mutex::new(());

/// The kind of request body.
enum Form {
    /// The content itself.
    Raw,
    /// JSON with the content and the options.
    Json,
    /// A form with both, with this boundary.
    Multipart(String),
}

/// A create before its body is read.
struct Offer {
    form: Form,
    /// The name in the path.
    name: Option<String>,
    /// Whether the reply is just the URL.
    as_text: bool,
}

/// Answers `POST /`.
///
/// # Errors
/// Every refusal of a create.
pub fn post(app: &App, request: &mut Request<'_>, now: UnixSeconds) -> Result<Reply, ApiError> {
    admission::may_create(app.config(), request)?;
    let content_type = request.header("Content-Type").unwrap_or_default();
    let boundary = multipart::boundary(content_type).map_err(|fault| ApiError::BadRequest(fault.0))?;
    let form = match boundary {
        Some(boundary) => Form::Multipart(boundary),
        None if is_json(content_type) => Form::Json,
        None => Form::Raw,
    };
    let as_text = match form {
        Form::Multipart(_) => !request.prefers_json(),
        Form::Json | Form::Raw => request.prefers_text(),
    };
    create(app, request, Offer { form, name: None, as_text }, now)
}

/// Answers `PUT /` and `PUT /<name>`, as `curl -T` sends them; `name` is the last segment of the path.
///
/// # Errors
/// Every refusal of a create, and `bad_request` for a name that is not UTF-8.
pub fn put(app: &App, request: &mut Request<'_>, name: &str, now: UnixSeconds) -> Result<Reply, ApiError> {
    admission::may_create(app.config(), request)?;
    let name = filename::from_path(name);
    let name = name.map_err(|_| ApiError::BadRequest("The name in the path is not percent-encoded UTF-8."))?;
    let as_text = !request.prefers_json();
    create(app, request, Offer { form: Form::Raw, name, as_text }, now)
}

fn create(app: &App, request: &mut Request<'_>, offer: Offer, now: UnixSeconds) -> Result<Reply, ApiError> {
    at_its_rate(app, request, |request| take(app, request, offer, now))
}

/// Counts the create against the client's rate limit, if it succeeds.
///
/// # Errors
/// `rate_limited`, or what `work` refuses.
pub fn at_its_rate(
    app: &App,
    request: &mut Request<'_>,
    work: impl FnOnce(&mut Request<'_>) -> Result<Reply, ApiError>,
) -> Result<Reply, ApiError> {
    let network = admission::client(app.config(), request).network();
    let charge = app.rate().charge(network).map_err(ApiError::RateLimited)?;
    let created = work(request);
    if created.is_err() {
        app.rate().refund(&charge);
    }
    created
}

/// Runs work that needs a proof of work. An attempt that has begun spends the token, unless the server is at fault.
///
/// # Errors
/// The refusals of a proof of work, or what `work` refuses.
pub fn for_a_proof(
    app: &App,
    request: &mut Request<'_>,
    now: UnixSeconds,
    work: impl FnOnce(&mut Request<'_>, Option<&Attempt>) -> Result<Reply, ApiError>,
) -> Result<Reply, ApiError> {
    let token = admission::proof_of_work(app.config(), app.pow_secret(), request, now, app.elevated_bits(now))?;
    let attempt = match token {
        Some(token) => Some(app.store().begin_attempt(token)?.ok_or(ApiError::PowReused)?),
        None => None,
    };
    let done = work(request, attempt.as_ref());
    if let (Err(error), Some(attempt)) = (&done, &attempt)
        && attempt.has_begun()
        && !error.is_ours()
    {
        app.store().spend(attempt);
    }
    done
}

/// Receives and stores a paste, after checking the proof of work.
fn take(app: &App, request: &mut Request<'_>, offer: Offer, now: UnixSeconds) -> Result<Reply, ApiError> {
    let Offer { form, name, as_text } = offer;
    expect_body(app, request)?;
    let name = header_filename(request)?.or(name);
    // JSON and forms may override the headers.
    let wishes = if matches!(form, Form::Raw) { Some(Wishes::of_headers(request)?) } else { None };
    for_a_proof(app, request, now, |request, attempt| {
        let received = receive(app, request, &form, wishes, attempt)?;
        let filename = received.filename.clone().or(name);
        store(app, request, Received { filename, ..received }, as_text, attempt, now)
    })
}

/// The name in `X-Filename`.
///
/// # Errors
/// `bad_request` where it is malformed.
pub fn header_filename(request: &Request<'_>) -> Result<Option<String>, ApiError> {
    const REFUSAL: &str = "X-Filename must be ASCII or encoded as UTF-8''... (RFC 8187).";
    let name = request.filled_header("X-Filename").map(filename::from_header);
    name.transpose().map(Option::flatten).map_err(|_| ApiError::BadRequest(REFUSAL))
}

/// Reads the body.
fn receive(
    app: &App,
    request: &mut Request<'_>,
    form: &Form,
    wishes: Option<Wishes>,
    attempt: Option<&Attempt>,
) -> Result<Received, ApiError> {
    let sent_type = request.header("Content-Type").map(str::to_owned);
    match (form, wishes) {
        (Form::Multipart(boundary), _) => form::receive(app, request, boundary, attempt),
        (Form::Raw, Some(wishes)) => {
            let content = Upload::begin(app, request, attempt)?.into_content(new_spool(app, true)?)?;
            Ok(Received { content, sent_type, filename: None, wishes })
        }
        (Form::Json | Form::Raw, _) => {
            let body = Upload::begin(app, request, attempt)?.into_content(new_spool(app, false)?)?;
            let (content, wishes) = unwrap_json(app, request, body)?;
            Ok(Received { content, sent_type: None, filename: None, wishes })
        }
    }
}

/// Stores a completely received paste.
fn store(
    app: &App,
    request: &Request<'_>,
    received: Received,
    as_text: bool,
    attempt: Option<&Attempt>,
    now: UnixSeconds,
) -> Result<Reply, ApiError> {
    let Received { content, sent_type, filename, wishes } = received;
    let mime_type = checked_type(app, &content, sent_type.as_deref())?;
    let expiry = expiry(app, wishes.expiry_seconds, now);
    let delete_token = new_delete_token()?;
    let protection = protection(app, request, wishes.lock)?;
    let owner = request.owner.clone();
    let mut answer = json!({
        "mime_type": mime_type, "size": content.size, "created_at": now, "expires_at": expiry.at(),
        "sliding": matches!(expiry, Expiry::Sliding(_)), "delete_token": delete_token,
    });
    mark_access(&mut answer, wishes.reads, wishes.reads == Some(1), &protection);
    mark(&mut answer, "owner", owner.as_ref().map(|owner| owner.to_string().into()));
    mark(&mut answer, "filename", filename.as_deref().map(Into::into));
    let new = NewPaste {
        content,
        mime_type,
        filename,
        created_at: now,
        expiry,
        reads: wishes.reads,
        protection,
        token_hash: crypto::sha256(delete_token.as_bytes()),
        owner,
        answer_proof: None,
    };
    keep(app, request, new, answer, as_text, attempt)
}

/// Stores a new paste or ask, and builds the reply.
///
/// # Errors
/// `duplicate`, `pow_reused`, `blocked`, `storage_full`, or an internal failure.
pub fn keep(
    app: &App,
    request: &Request<'_>,
    new: NewPaste,
    answer: Value,
    as_text: bool,
    attempt: Option<&Attempt>,
) -> Result<Reply, ApiError> {
    let now = new.created_at;
    match app.store().create(new, attempt)? {
        Created::Stored(id, handle) => {
            app.count_create(now);
            Ok(created_reply(app, request, &id, handle, answer, as_text))
        }
        Created::TokenSpent => Err(ApiError::PowReused),
        Created::Blocked => Err(ApiError::Blocked),
        Created::Duplicate(Duplicate { count, retry_after_seconds }) => {
            let window_seconds = app.config().dedup_window_seconds;
            Err(ApiError::Duplicate { count, window_seconds, retry_after_seconds })
        }
    }
}

/// The expiry of a new paste.
pub fn expiry(app: &App, seconds: Option<u64>, now: UnixSeconds) -> Expiry {
    match seconds {
        Some(seconds) => Expiry::Fixed(now + seconds.min(app.config().max_expiry_seconds)),
        None => Expiry::Sliding(now + app.config().expiry_seconds),
    }
}

/// A new delete token.
///
/// # Errors
/// When the system has no entropy source.
pub fn new_delete_token() -> Result<String, ApiError> {
    let bytes = crypto::random::<16>().map_err(|error| ApiError::Internal(error.to_string()))?;
    Ok(crypto::hex(&bytes))
}

/// Checks that the content is acceptable, and returns the type to store.
///
/// # Errors
/// `no_content`, `entropy_too_low`
pub fn checked_type(app: &App, content: &Content, sent_type: Option<&str>) -> Result<String, ApiError> {
    if content.size == 0 {
        return Err(ApiError::NoContent);
    }
    admission::entropy(app.config(), content.size, content.entropy_bits)?;
    Ok(mime::sanitise(sent_type).unwrap_or_else(|| mime::detect(&content.head, content.is_text).into()))
}

/// The stored protection for a lock.
///
/// # Errors
/// `busy` if too many passwords are being hashed, or an internal failure.
pub fn protection(app: &App, request: &Request<'_>, lock: Lock) -> Result<Protection, ApiError> {
    Ok(match lock {
        Lock::None => Protection::None,
        Lock::Password(password) => Protection::Password(hash_password(app, request, &password)?),
        Lock::Gate { link_proof, password_proof } => Protection::Gate { link_proof, password_proof },
    })
}

fn is_json(content_type: &str) -> bool {
    content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// Extracts content and options from a JSON body; fields take precedence over headers.
fn unwrap_json(app: &App, request: &Request<'_>, body: Content) -> Result<(Content, Wishes), ApiError> {
    if body.size == 0 {
        return Err(ApiError::NoContent);
    }
    let large = body.size > MEMORY_BYTES as u64;
    let _turn = large.then(|| LARGE_JSON.lock().unwrap_or_else(PoisonError::into_inner));
    let bytes = body.into_bytes().map_err(upload::failure)?;
    let json = JsonBody::parse(&bytes)?;
    let text = json.content()?;
    if text.is_empty() {
        return Err(ApiError::NoContent);
    }
    let wishes = Wishes::of_json(&json, request)?;
    let mut spool = new_spool(app, true)?;
    spool.push(text.as_bytes()).map_err(upload::failure)?;
    Ok((spool.finish().map_err(upload::failure)?, wishes))
}

fn hash_password(app: &App, request: &Request<'_>, password: &str) -> Result<PasswordHash, ApiError> {
    let network = admission::client(app.config(), request).network();
    let hashed =
        app.hashing().run(Purpose::Create, network, || PasswordHash::new(password.as_bytes(), PBKDF2_ITERATIONS));
    hashed.map_err(|Crowded| ApiError::Busy(1))?.map_err(|error| ApiError::Internal(error.to_string()))
}

/// The 201 reply: JSON, or just the URL.
fn created_reply(app: &App, request: &Request<'_>, id: &Id, handle: Handle, mut answer: Value, as_text: bool) -> Reply {
    let url = format!("{}/{id}", app.config().base_url());
    let reply = if as_text {
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
