//! Turns one request into one reply: identification, dispatch, errors, content negotiation and logging.
//!
//! Invariant: every reply carries the request id, every refusal has a JSON body or, for a browser, a page, and internal
//! causes go only to the log. Must never know sockets, tiny_http or SQL.

use crate::admission;
use crate::app::App;
use crate::clock::UnixSeconds;
use crate::error::ApiError;
use crate::http::{Method, Reply, Request};
use crate::language;
use crate::log::{self, Entry};
use crate::operator_log;
use crate::owner::Owner;
use crate::request_id::{RequestIds, is_request_id};
use crate::routes;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

/// Answers requests.
pub struct Responder {
    app: App,
    request_ids: RequestIds,
    wrong_secret_noted_at: AtomicU64,
}

/// A wrong proxy secret is logged at most this often.
const WRONG_SECRET_SECONDS: u64 = 60;

impl Responder {
    /// A responder for an app.
    ///
    /// # Errors
    /// When the system has no entropy source.
    pub fn new(app: App) -> io::Result<Self> {
        Ok(Self { app, request_ids: RequestIds::new()?, wrong_secret_noted_at: AtomicU64::new(0) })
    }

    /// What the handlers use.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Identifies the sender by a token, or by a certificate from a trusted proxy.
    ///
    /// # Errors
    /// `token_invalid`: a bad token is never treated as anonymous. Or an internal failure.
    pub fn identify(&self, request: &Request<'_>, now: UnixSeconds) -> Result<Option<Owner>, ApiError> {
        // The first use of the store in this request.
        self.app.store().begin_request();
        let Some(text) = admission::bearer(request) else {
            return Ok(admission::certificate(self.app.config(), request).map(Owner::Certificate));
        };
        let token = text.parse().map_err(|()| ApiError::TokenInvalid)?;
        self.app.store().find_token(&token, now)?.map(Some).ok_or(ApiError::TokenInvalid)
    }

    /// Answers a request; a panic becomes an internal error of this request alone.
    pub fn answer(&self, request: &mut Request<'_>, request_id: &str, now: UnixSeconds) -> Reply {
        self.note_wrong_secret(request, now);
        let answered = catch_unwind(AssertUnwindSafe(|| {
            let reply = routes::dispatch(&self.app, request, now).unwrap_or_else(|error| self.fail(&error, request_id));
            self.negotiate(request, challenge_quietly(request, reply))
        }));
        // The panic hook has logged the details.
        answered.unwrap_or_else(|_| self.fail(&ApiError::Internal("the handler panicked".into()), request_id))
    }

    /// Refuses a request before dispatch.
    pub fn refuse(&self, request: &Request<'_>, error: &ApiError, request_id: &str) -> Reply {
        challenge_quietly(request, self.fail(error, request_id))
    }

    /// The reply for a refusal; its internal cause is logged.
    fn fail(&self, error: &ApiError, request_id: &str) -> Reply {
        if let Some(cause) = error.internal_cause() {
            operator_log::message(&format!("request {request_id} failed: {cause}"));
        }
        self.refusal(error, request_id)
    }

    /// The reply as a page, if the route has one and the client accepts HTML.
    fn negotiate(&self, request: &Request<'_>, reply: Reply) -> Reply {
        let config = self.app.config();
        let has_page = config.web
            && matches!(request.method, Method::Get | Method::Head)
            && routes::has_page(request.path, &config.url_prefix);
        if !has_page {
            return reply;
        }
        let reply = reply.with("Vary", "Accept");
        if !request.accepts_html() {
            return reply;
        }
        self.app.pages().page(reply, &admission::base_url(config, request), language::of(request))
    }

    /// The reply for a refusal, which is counted.
    pub fn refusal(&self, error: &ApiError, request_id: &str) -> Reply {
        let description = error.describe();
        self.app.metrics().count_refusal(description.code);
        let reply = Reply::json(description.status, &error.body(request_id));
        error.headers().into_iter().fold(reply, |reply, (name, value)| reply.with(name, value))
    }

    /// The client's request id if it is valid, else a new one.
    pub fn request_id(&self, request: &Request<'_>) -> String {
        match request.header("X-Request-ID") {
            Some(id) if is_request_id(id) => id.to_owned(),
            _ => self.new_request_id(),
        }
    }

    /// A new request id.
    pub fn new_request_id(&self) -> String {
        self.request_ids.next()
    }

    /// Logs a wrong `X-Proxy-Secret`, at most once a minute: a misconfigured proxy, or an attacker guessing.
    fn note_wrong_secret(&self, request: &Request<'_>, now: UnixSeconds) {
        let config = self.app.config();
        if config.proxy_secret.is_empty() || request.filled_header("X-Proxy-Secret").is_none() {
            return;
        }
        let noted_at = self.wrong_secret_noted_at.load(Ordering::Relaxed);
        if admission::is_trusted_proxy(config, request) || now < noted_at + WRONG_SECRET_SECONDS {
            return;
        }
        // Of several threads at once, one logs it.
        let swapped = self.wrong_secret_noted_at.compare_exchange(noted_at, now, Ordering::Relaxed, Ordering::Relaxed);
        if swapped.is_ok() {
            let peer = request.peer;
            operator_log::message(&format!("{peer} sent a wrong X-Proxy-Secret; ignoring its headers about clients"));
        }
    }

    /// Counts and logs an answered request.
    pub fn log_request(&self, entry: &Entry<'_>) {
        self.app.metrics().count_reply(entry.status, entry.elapsed);
        log::request(self.app.config().log, entry);
    }

    /// Flushes the store before the program exits; requests still in flight keep the rest alive.
    pub fn close(&self) {
        self.app.store().close();
    }
}

/// Replies to the pages' scripts use an authentication scheme that browsers do not know: for any other, a 401 would
/// open the browser's login dialog (RFC 9110 section 11.6.1), whose credentials it then sends with every request.
fn challenge_quietly(request: &Request<'_>, mut reply: Reply) -> Reply {
    if request.header("X-Requested-With") == Some("flaskpaste") {
        for (_, challenge) in reply.headers.iter_mut().filter(|(name, _)| *name == "WWW-Authenticate") {
            *challenge = "FlaskPaste".into();
        }
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app;
    use crate::config::Config;
    use crate::http::{Framing, Peer};
    use crate::store::{Database, Location, Role, Store};
    use std::io::Read;
    use std::path::Path;

    /// A body whose reader panics.
    struct Bomb;

    impl Read for Bomb {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("a bug in a handler")
        }
    }

    fn answer(responder: &Responder, method: Method, path: &str, body: &mut dyn Read) -> Reply {
        let framing = if method == Method::Post { Framing::Length(5) } else { Framing::None };
        let mut request =
            Request { method, path, query: "", fields: &|_| None, peer: Peer::Unix, owner: None, framing, body };
        responder.answer(&mut request, "r1", 1_800_000_000)
    }

    #[test]
    fn a_panic_fails_only_its_own_request() {
        let config = Config { pow_difficulty: 0, ..Config::default() };
        let limits = app::limits(&config);
        let store =
            Store::open(&Database::Sqlite(Location::memory().unwrap()), Path::new(""), limits, Role::Server).unwrap();
        let app = App::new(config, store).unwrap();
        let responder = Responder::new(app).unwrap();
        for _ in 0..3 {
            assert_eq!(answer(&responder, Method::Post, "/", &mut Bomb).status, 500);
        }
        assert_eq!(answer(&responder, Method::Post, "/", &mut &b"hello"[..]).status, 201);
        assert_eq!(answer(&responder, Method::Get, "/health", &mut io::empty()).status, 200);
    }
}
