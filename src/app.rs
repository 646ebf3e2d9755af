//! The application: one request in, one reply out, the whole flow on one screen.
//!
//! Invariant: every reply carries the request's id, every refusal has its JSON form, and an internal cause goes to the
//! log alone. Must never know sockets, tiny_http or SQL.

use crate::admission::{self, PasswordGate};
use crate::clock::UnixSeconds;
use crate::config::Config;
use crate::error::ApiError;
use crate::http::{Method, Peer, Reply, Request};
use crate::log::{self, Entry, Log};
use crate::request_id::{RequestIds, is_request_id};
use crate::routes;
use crate::store::{Store, StoreError};
use crate::web;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Everything a handler may use.
pub struct App {
    config: Config,
    store: Store,
    log: Log,
    pow_secret: Vec<u8>,
    /// Bounds the hashing of passwords, and the guessing of them.
    pub(crate) passwords: PasswordGate,
    /// A JSON body larger than the spool's memory is parsed in memory all the same: one at a time.
    pub(crate) large_json: Mutex<()>,
    request_ids: RequestIds,
    /// Replies by the first digit of their status, for the metrics.
    replies: [AtomicU64; 6],
    started: Instant,
}

impl App {
    /// Puts configuration, store and log together.
    ///
    /// # Errors
    /// When the proof-of-work secret can be neither read nor kept.
    pub fn new(config: Config, store: Store, log: Log) -> Result<Self, StoreError> {
        let pow_secret = match config.pow_secret.as_bytes() {
            [] => store.kept_secret("pow_secret")?,
            secret => secret.to_vec(),
        };
        Ok(Self {
            config,
            store,
            log,
            pow_secret,
            passwords: PasswordGate::default(),
            large_json: Mutex::default(),
            request_ids: RequestIds::new()?,
            replies: Default::default(),
            started: Instant::now(),
        })
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The pastes.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Whether the database answers; if not, the log says why.
    pub fn is_healthy(&self) -> bool {
        let health = self.store.health();
        if let Err(error) = &health {
            log::message(&format!("the database does not answer: {error}"));
        }
        health.is_ok()
    }

    /// The key that signs proof-of-work tokens.
    pub(crate) fn pow_secret(&self) -> &[u8] {
        &self.pow_secret
    }

    /// Seconds since the start.
    pub(crate) fn uptime_seconds(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    /// Replies so far whose status begins with each digit from 1 to 5.
    pub(crate) fn replies(&self) -> impl Iterator<Item = (usize, u64)> {
        self.replies.iter().enumerate().skip(1).map(|(class, count)| (class, count.load(Ordering::Relaxed)))
    }

    /// Answers a request; a panic becomes an internal error of this request alone.
    pub fn handle(&self, request: &mut Request<'_>, request_id: &str, now: UnixSeconds) -> Reply {
        let answered = catch_unwind(AssertUnwindSafe(|| routes::dispatch(self, request, now)));
        // The panic hook has told the rest.
        let answered = answered.unwrap_or_else(|_| Err(ApiError::Internal("it panicked".into())));
        let reply = answered.unwrap_or_else(|error| {
            if let ApiError::Internal(cause) = &error {
                log::message(&format!("request {request_id} failed: {cause}"));
            }
            Self::refusal(&error, request_id)
        });
        self.negotiate(request, reply)
    }

    /// The reply as a page, where there is one and a browser asks.
    fn negotiate(&self, request: &Request<'_>, reply: Reply) -> Reply {
        let has_page = self.config.web
            && matches!(request.method, Method::Get | Method::Head)
            && routes::has_page(request.path, &self.config.url_prefix);
        if !has_page {
            return reply;
        }
        let reply = reply.with("Vary", "Accept");
        if request.accepts_html() { web::page(reply, &self.config.url_prefix, &self.base_url(request)) } else { reply }
    }

    /// The reply that tells a refusal.
    pub fn refusal(error: &ApiError, request_id: &str) -> Reply {
        let reply = Reply::json(error.describe().status, &error.body(request_id));
        error.headers().into_iter().fold(reply, |reply, (name, value)| reply.with(name, value))
    }

    /// The client's request id where it is a sane one, else a new one.
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

    /// Who asks, for the log: the address a trusted proxy gives, else that of the connection.
    pub fn client_name(&self, request: &Request<'_>) -> String {
        // The last entry is the proxy's own; those before it are what the proxy was told.
        let forwarded = request.header("X-Forwarded-For").and_then(|list| list.rsplit(',').next());
        let told = forwarded.and_then(|name| name.trim().parse::<std::net::IpAddr>().ok());
        match told {
            Some(address) if admission::is_trusted_proxy(&self.config, request) => peer_name(Peer::Ip(address)),
            _ => peer_name(request.peer),
        }
    }

    /// The largest body this client may send, in bytes.
    pub fn max_body_bytes(&self, request: &Request<'_>) -> u64 {
        admission::max_bytes(&self.config, admission::owner(&self.config, request).as_ref())
    }

    /// Counts and logs an answered request.
    pub fn log_request(&self, entry: &Entry<'_>) {
        if let Some(count) = self.replies.get(usize::from(entry.status / 100)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.log.request(entry);
    }

    /// Writes out what store and log still hold in memory, at the end of the program: requests that are still being
    /// answered keep the rest of it.
    pub fn close(&self) {
        self.store.close();
        self.log.flush();
    }

    /// The address under which this server announces itself to this client, without a slash at its end.
    pub(crate) fn base_url(&self, request: &Request<'_>) -> String {
        if !self.config.public_url.is_empty() {
            return self.config.base_url();
        }
        let proto = request.header("X-Forwarded-Proto").filter(|_| admission::is_trusted_proxy(&self.config, request));
        let scheme = if proto == Some("https") { "https" } else { "http" };
        let host = request.filled_header("Host").unwrap_or("localhost");
        format!("{scheme}://{host}{}", self.config.url_prefix)
    }
}

/// The address of a peer, for the log.
pub fn peer_name(peer: Peer) -> String {
    match peer {
        Peer::Ip(address) => address.to_canonical().to_string(),
        Peer::Unix => "unix".into(),
    }
}

/// What went wrong in the store, as a refusal.
impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::StorageFull,
            StoreError::Failed(cause) => Self::Internal(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogFormat;
    use crate::http::Framing;
    use crate::store::{Limits, Location, Role};
    use std::io::{self, Read};

    /// A body whose reader has a bug.
    struct Bomb;

    impl Read for Bomb {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("a bug in a handler")
        }
    }

    fn answer(app: &App, method: Method, path: &str, body: &mut dyn Read) -> Reply {
        let framing = if method == Method::Post { Framing::Length(5) } else { Framing::None };
        let mut request = Request { method, path, query: "", fields: &|_| None, peer: Peer::Unix, framing, body };
        app.handle(&mut request, "r1", 1_800_000_000)
    }

    #[test]
    fn a_panic_costs_its_request_alone() {
        let limits =
            Limits { max_db_bytes: 0, dedup_max: 3, dedup_window_seconds: 3600, expiry_seconds: 3600, id_length: 12 };
        let store = Store::open(&Location::memory().unwrap(), limits, Role::Server).unwrap();
        let config = Config { pow_difficulty: 0, ..Config::default() };
        let app = App::new(config, store, Log::start(LogFormat::Off).unwrap()).unwrap();
        for _ in 0..3 {
            assert_eq!(answer(&app, Method::Post, "/", &mut Bomb).status, 500);
        }
        assert_eq!(answer(&app, Method::Post, "/", &mut &b"hello"[..]).status, 201);
        assert_eq!(answer(&app, Method::Get, "/health", &mut io::empty()).status, 200);
    }
}
