//! HTTP: the only module that talks to servers, and the only one that decides which server gets a credential.
//!
//! Invariant: the certificate, the fingerprint and secret headers go only to the server they are meant for and never
//! along a redirect; with a certificate configured, remote servers are never contacted without TLS.
//! Must never follow a redirect from https to http, wait without a timeout, or read a response without a limit.

use super::config::Settings;
use super::ending::OrderlyEnd;
use super::explain::{explain, is_no_name};
use super::failure::{Exit, Failure};
use super::link::{ServerUrl, is_loopback};
use super::names::Names;
use super::progress::Meter;
use super::proxy::{Blaming, proxy};
use super::secured::Secure;
use super::tls;
use super::ui::Ui;
use crate::text::{clean, human_bytes};
use std::cell::OnceCell;
use std::io::{self, ErrorKind, Read};
use std::time::Duration;
use ureq::http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, request};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, SocksConnector, TcpConnector};
use ureq::{Agent, AsSendBody, Body, Proxy, SendBody};
use zeroize::Zeroizing;

/// The timeout of name resolution, and of connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// The timeout of each read and write.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);
/// Time for a page or a file of one, from the name of the server to the last byte.
const VISIT_TIMEOUT: Duration = Duration::from_secs(60);
/// A longer wait is left to the user.
const MAX_RETRY_AFTER_SECONDS: u64 = 10;
/// How many redirects are followed.
const MAX_REDIRECTS: usize = 5;
/// Headers that are not secret; all others of a call are.
const HARMLESS_HEADERS: [&str; 2] = ["Accept", "Range"];
/// From this size on, requests use `Expect: 100-continue`, so that a refusal costs no upload.
const EXPECT_BYTES: u64 = 1 << 20;
/// The size limit of a response that is not content.
const MAX_ANSWER_BYTES: u64 = 1 << 20;
/// The size limit of content: the largest that a server can be configured to accept.
pub const MAX_CONTENT_BYTES: u64 = (4 << 30) + 64;

/// The size limit of content from a server that does not report its limits: above the default of `MAX_AUTH`.
const UNSAID_BYTES: u64 = 64 << 20;

/// A request.
pub struct Call<'a> {
    /// The HTTP method.
    pub method: Method,
    /// The server.
    pub server: &'a ServerUrl,
    /// The path below the server's base, with its slash.
    pub path: String,
    /// Whether the server may see our certificate and fingerprint.
    pub is_ours: bool,
    /// Headers, for this server only.
    pub headers: Vec<(&'static str, Zeroizing<String>)>,
    /// The body.
    pub body: Payload<'a>,
}

/// The body of a request.
pub enum Payload<'a> {
    /// In memory.
    Bytes(&'a [u8]),
    /// Read while it is sent, and reopened for each attempt.
    Stream {
        /// Its length in bytes.
        length: u64,
        /// Opens a reader. Its errors may be [`Failure`]s.
        open: &'a dyn Fn() -> Result<Box<dyn Read + 'a>, Failure>,
    },
}

impl<'a> Payload<'a> {
    /// Bytes of it.
    fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Stream { length, .. } => *length,
        }
    }

    fn open(&self) -> Result<Box<dyn Read + 'a>, Failure> {
        match self {
            Self::Bytes(bytes) => Ok(Box::new(*bytes)),
            Self::Stream { open, .. } => open(),
        }
    }
}

impl<'a> Call<'a> {
    /// A request without headers or body.
    pub fn new(method: Method, server: &'a ServerUrl, path: impl Into<String>, is_ours: bool) -> Self {
        Self { method, server, path: path.into(), is_ours, headers: Vec::new(), body: Payload::Bytes(&[]) }
    }

    /// Whether it has a secret header.
    fn has_secret(&self) -> bool {
        self.headers.iter().any(|(name, _)| !HARMLESS_HEADERS.contains(name))
    }
}

/// An answer.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Its URL after all redirects.
    pub url: String,
    headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// Whether a flaskpaste server says that the paste does not exist; any proxy may send a 404.
    pub fn is_not_found(&self) -> bool {
        self.status == 404 && self.code().is_some_and(|code| code == "not_found")
    }

    /// The error code of a flaskpaste server.
    pub fn code(&self) -> Option<String> {
        let json: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        json.get("code")?.as_str().map(str::to_owned)
    }

    /// The response if it has this status, else the server's refusal.
    ///
    /// # Errors
    /// The refusal.
    pub fn expect(self, status: u16) -> Result<Self, Failure> {
        if self.status == status { Ok(self) } else { Err(self.refused()) }
    }

    /// The failure for a refusal.
    pub fn refused(&self) -> Failure {
        if self.status == 404 && self.code().is_none() {
            return not_flaskpaste();
        }
        let wait = number(&self.headers, "Retry-After");
        Failure::refused(self.status, &self.body, wait)
    }

    /// The body as a JSON object.
    ///
    /// # Errors
    /// When it is not one: then this is not a flaskpaste server.
    pub fn json(&self) -> Result<serde_json::Value, Failure> {
        let json = serde_json::from_slice(&self.body).ok().filter(serde_json::Value::is_object);
        json.ok_or_else(not_flaskpaste)
    }

    /// The JSON of a route that every flaskpaste server has.
    ///
    /// # Errors
    /// The refusal, or that this is not a flaskpaste server.
    pub fn of_any_server(self) -> Result<serde_json::Value, Failure> {
        if self.status == 404 { Err(not_flaskpaste()) } else { self.expect(200)?.json() }
    }
}

/// The text of a header.
fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// A numeric header.
fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    header(headers, name)?.parse().ok()
}

/// The response is from a proxy or some other server.
pub fn not_flaskpaste() -> Failure {
    Failure::new(Exit::Other, "this does not look like a flaskpaste server")
        .hint("check the server's address, including its path if it has one")
}

/// The response to a request for content.
pub enum Opened {
    /// The content, not read yet.
    Content(Content),
    /// Any other response, completely read.
    Answer(Answer),
}

/// Content being received.
pub struct Content {
    /// 200, or 206 for a range.
    pub status: u16,
    headers: HeaderMap,
    /// Its length, if the server sent it.
    pub length: Option<u64>,
    url: String,
    reader: Box<dyn Read>,
}

impl Content {
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The start of the range and the complete length (RFC 9110 section 14.4).
    pub fn range(&self) -> Option<(u64, u64)> {
        let (range, size) = self.header("Content-Range")?.strip_prefix("bytes ")?.split_once('/')?;
        Some((range.split_once('-')?.0.parse().ok()?, size.parse().ok()?))
    }

    fn explain(&self, error: io::Error) -> Failure {
        explain(error.into(), &self.url)
    }
}

/// What a browser was sent.
pub struct Visit {
    /// The status.
    pub status: u16,
    /// All headers, their names in lower case; `None` for a value that is not text.
    pub headers: Vec<(String, Option<String>)>,
    /// The body; `None` when it is larger than an answer may be.
    pub body: Option<Vec<u8>>,
}

/// The failure for a response that exceeds its limit.
pub fn too_large(limit: u64) -> Failure {
    Failure::new(Exit::Other, format!("the response exceeds the limit of {}", human_bytes(limit)))
}

/// Reads a response into memory; `length` is its announced length.
///
/// # Errors
/// Network failures, and when it is larger than `limit`.
pub fn read_all(answer: impl Read, length: Option<u64>, limit: u64) -> Result<Vec<u8>, Failure> {
    if length.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let mut bytes = Vec::new();
    let expected = usize::try_from(length.unwrap_or(0)).unwrap_or(usize::MAX);
    // Reserved at once, to avoid growth by doubling. The system allocates pages as they are filled.
    bytes.try_reserve_exact(expected).map_err(|_| Failure::new(Exit::Other, "not enough memory"))?;
    answer.take(limit + 1).read_to_end(&mut bytes).map_err(|error| Failure::of(error, "the response"))?;
    if bytes.len() as u64 > limit { Err(too_large(limit)) } else { Ok(bytes) }
}

/// Its errors are [`Failure`]s.
impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer).map_err(|error| io::Error::other(self.explain(error)))
    }
}

/// A response and its URL after redirects.
struct Received {
    response: Response<Body>,
    url: String,
}

impl Received {
    fn status(&self) -> u16 {
        self.response.status().as_u16()
    }
}

/// The HTTP client.
pub struct Transport<'a> {
    settings: &'a Settings,
    ui: &'a Ui,
    plain: OnceCell<Agent>,
    ours: OnceCell<Agent>,
    others: OnceCell<Agent>,
}

impl<'a> Transport<'a> {
    /// Does not read files or connect before the first request.
    pub fn new(settings: &'a Settings, ui: &'a Ui) -> Self {
        Self { settings, ui, plain: OnceCell::new(), ours: OnceCell::new(), others: OnceCell::new() }
    }

    /// Sends a request and reads the complete response. A GET without secrets follows redirects, without credentials.
    /// The request is repeated once if `Retry-After` is at most ten seconds.
    ///
    /// # Errors
    /// Network and TLS failures, and invalid certificate files. A refusal is a response.
    pub fn send(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        self.answer(self.patiently(call)?)
    }

    /// The same, but the content of a 200 or 206 response, which may have any size, is not read yet.
    ///
    /// # Errors
    /// As [`Transport::send`].
    pub fn open(&self, call: &Call<'_>) -> Result<Opened, Failure> {
        let received = self.patiently(call)?;
        if !matches!(received.status(), 200 | 206) {
            return self.answer(received).map(Opened::Answer);
        }
        Ok(Opened::Content(self.content(received)))
    }

    /// Asks as somebody whom the server does not know, with these headers alone: no credential, no redirect followed, no
    /// answer passed over for a second one, a bound on time and size.
    ///
    /// # Errors
    /// Network and TLS failures. Whatever the server answers is no error.
    pub fn visit(&self, server: &ServerUrl, path: &str, headers: &[(&'static str, String)]) -> Result<Visit, Failure> {
        let url = server.join(path);
        let is_https = url.starts_with("https:");
        let proxy = proxy(is_https, server.host_name(), |name| std::env::var_os(name))?;
        let agent = self.agent(is_https, false)?;
        let request = headers
            .iter()
            .fold(Request::builder().uri(&url), |request, (name, value)| request.header(*name, value.as_str()));
        let request = agent.configure_request(request.body(()).map_err(|error| explain(error.into(), &url))?);
        let request = request.proxy(proxy).timeout_global(Some(VISIT_TIMEOUT)).build();
        let response = agent.run(request).map_err(|error| self.unreachable(error, &url, server))?;
        let status = response.status().as_u16();
        self.ui.trace(|| format!("GET {url}: {status}"));
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let headers = response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value)));
        let headers = headers.collect();
        let mut body = Vec::new();
        let reader = response.into_body().into_with_config().limit(u64::MAX).reader();
        let read = reader.take(MAX_ANSWER_BYTES + 1).read_to_end(&mut body);
        read.map_err(|error| explain(error.into(), &url))?;
        let body = (body.len() as u64 <= MAX_ANSWER_BYTES).then_some(body);
        Ok(Visit { status, headers, body })
    }

    fn content(&self, Received { response, url }: Received) -> Content {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let length = number(&headers, "Content-Length");
        let reader = response.into_body().into_with_config().limit(u64::MAX).reader();
        let reader = Metered { inner: reader, meter: self.ui.meter("downloading", length) };
        Content { status, headers, length, url, reader: Box::new(reader) }
    }

    fn answer(&self, received: Received) -> Result<Answer, Failure> {
        let (status, url) = (received.status(), received.url.clone());
        let content = self.content(received);
        let headers = content.headers.clone();
        let length = content.length;
        Ok(Answer { status, url, headers, body: read_all(content, length, MAX_ANSWER_BYTES)? })
    }

    /// Repeats the request once if `Retry-After` is short.
    fn patiently(&self, call: &Call<'_>) -> Result<Received, Failure> {
        let received = self.follow(call)?;
        let wait = number(received.response.headers(), "Retry-After");
        let first = received.status();
        match (first, wait) {
            (429 | 503, Some(seconds)) if seconds <= MAX_RETRY_AFTER_SECONDS => {
                self.ui.note(&format!("the server is busy; retrying in {seconds} s"));
                drop(received);
                std::thread::sleep(Duration::from_secs(seconds));
                let again = self.follow(call)?;
                let status = again.status();
                let may_be_ours = match call.method {
                    Method::POST => matches!(status, 400 | 404),
                    Method::PUT => matches!(status, 404 | 409),
                    _ => status == 404,
                };
                if first == 503 && may_be_ours {
                    // A server also returns 503 if it does not know whether a request succeeded.
                    return Err(Failure::new(
                        Exit::Busy,
                        format!(
                            "the server was busy and returned {status} on retry: the first request may have succeeded"
                        ),
                    ));
                }
                Ok(again)
            }
            _ => Ok(received),
        }
    }

    fn follow(&self, call: &Call<'_>) -> Result<Received, Failure> {
        let mut url = call.server.join(&call.path);
        for redirects in 0..=MAX_REDIRECTS {
            let response = self.once(call, &url, redirects == 0)?;
            let Some(location) = redirect(&response) else { return Ok(Received { response, url }) };
            let next = resolve(&url, location).ok_or_else(|| {
                Failure::new(Exit::Other, format!("the server redirects to an invalid URL: {}", clean(location)))
            })?;
            if call.method != Method::GET || call.has_secret() {
                return Err(redirected(call, &next));
            }
            if url.starts_with("https:") && next.starts_with("http:") {
                return Err(Failure::new(Exit::Network, "refusing a redirect from https to http"));
            }
            self.ui.trace(|| format!("redirected to {next}"));
            url = next;
        }
        Err(Failure::new(Exit::Network, "too many redirects"))
    }

    /// Sends one request. If the server or a proxy does not support `Expect`, it is repeated without.
    fn once(&self, call: &Call<'_>, url: &str, is_home: bool) -> Result<Response<Body>, Failure> {
        let expects = call.body.length() >= EXPECT_BYTES;
        let response = self.attempt(call, url, is_home, expects)?;
        if response.status() == 417 && expects {
            self.ui.trace(|| format!("{} {url}: retrying without Expect", call.method));
            drop(response);
            return self.attempt(call, url, is_home, false);
        }
        Ok(response)
    }

    /// After a redirect, no credentials are sent.
    fn attempt(&self, call: &Call<'_>, url: &str, is_home: bool, expects: bool) -> Result<Response<Body>, Failure> {
        let is_ours = call.is_ours && is_home;
        let is_https = url.starts_with("https:");
        let uri = url.parse::<Uri>().ok();
        let authority = uri.as_ref().and_then(Uri::authority);
        let host = authority.map_or("", |authority| authority.host());
        if !is_https && self.settings.identity.is_some() && !is_loopback(host) {
            let place = authority.map_or("", |authority| authority.as_str());
            let message = format!("refusing http://{place}: a client certificate is configured");
            return Err(Failure::usage(message).hint("use https://, or unset client_cert"));
        }
        let token = self.settings.token.as_ref().filter(|_| is_ours && *call.server == self.settings.server);
        if token.is_some() && !is_https && !is_loopback(host) {
            let place = authority.map_or("", |authority| authority.as_str());
            let message = format!("refusing http://{place}: a token is configured");
            return Err(Failure::usage(message).hint("use https://, or unset the token"));
        }
        let agent = self.agent(is_https, is_ours)?;
        let mut request = Request::builder().method(call.method.clone()).uri(url);
        if is_home {
            for (name, value) in &call.headers {
                request = request.header(*name, value.as_str());
            }
        }
        if let Some(fingerprint) = self.settings.cert_sha1.as_ref().filter(|_| is_ours) {
            request = request.header("X-SSL-Client-SHA1", fingerprint.as_str());
        }
        if let Some(token) = token {
            let value = Zeroizing::new(format!("Bearer {}", token.as_str()));
            request = request.header("Authorization", value.as_str());
        }
        let proxy = proxy(is_https, host, |name| std::env::var_os(name))?;
        let response = if matches!(call.method, Method::POST | Method::PUT) {
            request = request.header("Content-Length", call.body.length());
            if expects {
                request = request.header("Expect", "100-continue");
            }
            let meter = self.ui.meter("uploading", Some(call.body.length()));
            let mut upload = Metered { inner: call.body.open()?, meter };
            run(agent, request, SendBody::from_reader(&mut upload), proxy)
        } else {
            run(agent, request, (), proxy)
        };
        let response = response.map_err(|error| self.unreachable(error, url, call.server))?;
        self.ui.trace(|| format!("{} {url}: {}", call.method, response.status().as_u16()));
        Ok(response)
    }

    /// Explains a failed request. If the configured server is unreachable, the hint names the source of its address.
    fn unreachable(&self, error: ureq::Error, url: &str, server: &ServerUrl) -> Failure {
        // The body could not be read.
        let error = match error {
            ureq::Error::Io(error) => match error.downcast::<Failure>() {
                Ok(failure) => return failure,
                Err(error) => ureq::Error::Io(error),
            },
            error => error,
        };
        let is_absent = match &error {
            ureq::Error::HostNotFound => true,
            ureq::Error::Io(error) => error.kind() == ErrorKind::ConnectionRefused || is_no_name(error),
            _ => false,
        };
        let failure = explain(error, url);
        match &self.settings.server_origin {
            Some(origin) if is_absent && *server == self.settings.server => failure.hint(origin.clone()),
            _ => failure,
        }
    }

    /// The size limit of content being received. Without an announced length, which might never end, it is the server's
    /// own limit.
    pub fn limit_of(&self, content: &Content, call: &Call<'_>) -> u64 {
        if content.length.is_some() { MAX_CONTENT_BYTES } else { self.largest_paste(call) }
    }

    fn largest_paste(&self, call: &Call<'_>) -> u64 {
        let info = self.send(&Call::new(Method::GET, call.server, "/", call.is_ours)).and_then(Answer::of_any_server);
        let limits = info.ok().and_then(|info| info.get("limits").cloned()).unwrap_or_default();
        let largest = ["max_anon", "max_auth"].iter().filter_map(|name| limits.get(name)?.as_u64()).max();
        largest.unwrap_or(UNSAID_BYTES).min(MAX_CONTENT_BYTES)
    }

    fn agent(&self, is_https: bool, is_ours: bool) -> Result<&Agent, Failure> {
        let cell = match (is_https, is_ours) {
            (false, _) => &self.plain,
            (true, true) => &self.ours,
            (true, false) => &self.others,
        };
        if cell.get().is_none() {
            tls::check_files(self.settings)?;
            let config = Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .proxy(None)
                .user_agent(concat!("fpaste/", env!("CARGO_PKG_VERSION")))
                .timeout_resolve(Some(CONNECT_TIMEOUT))
                .timeout_connect(Some(CONNECT_TIMEOUT))
                .timeout_per_read(Some(SILENCE_TIMEOUT))
                .timeout_per_write(Some(SILENCE_TIMEOUT));
            let tls = is_https.then(|| tls::config(self.settings, is_ours, self.ui)).transpose()?;
            let ways = ().chain(SocksConnector::default()).chain(ConnectProxyConnector::default());
            let ways = Blaming(ways.chain(TcpConnector::default()));
            let connector = ways.chain(Secure(tls)).chain(OrderlyEnd);
            let _ = cell.set(Agent::with_parts(config.build(), connector, Names::new()));
        }
        cell.get().ok_or_else(|| Failure::new(Exit::Other, "no HTTP agent"))
    }
}

fn run(
    agent: &Agent,
    request: request::Builder,
    body: impl AsSendBody,
    proxy: Option<Proxy>,
) -> Result<Response<Body>, ureq::Error> {
    agent.run(agent.configure_request(request.body(body)?).proxy(proxy).build())
}

/// A reader that reports its progress to a meter.
struct Metered<R> {
    inner: R,
    meter: Meter,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.meter.advance(read as u64);
        Ok(read)
    }
}

fn redirect(response: &Response<Body>) -> Option<&str> {
    let location = header(response.headers(), "Location");
    location.filter(|_| matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308))
}

/// The failure for a redirect of a request with secrets: the user may name the target explicitly.
fn redirected(call: &Call<'_>, next: &str) -> Failure {
    let message = match call.method {
        Method::GET => format!("the server redirects to {next}; secrets are not sent along a redirect"),
        _ => format!("the server redirects to {next}"),
    };
    let hint = match next.strip_suffix(&call.path) {
        Some(server) => format!("if you trust that address, use it with -s or in the link: {server}"),
        None => "if you trust that address, use it with -s or in the link".to_owned(),
    };
    Failure::new(Exit::Other, message).hint(hint)
}

/// Resolves a `Location` to an absolute URL (RFC 9110 section 10.2.2); relative paths are not supported.
fn resolve(url: &str, location: &str) -> Option<String> {
    let location = location.split('#').next().unwrap_or_default();
    let from: Uri = url.parse().ok()?;
    let to: Uri = location.parse().ok()?;
    let (scheme, authority) = match (to.scheme_str(), to.authority()) {
        (Some(scheme @ ("http" | "https")), Some(authority)) => (scheme, authority),
        (None, None) if location.starts_with('/') && !location.starts_with("//") => {
            (from.scheme_str()?, from.authority()?)
        }
        _ => return None,
    };
    // Rebuilt, because the caller compares the scheme in lower case.
    let path = to.path_and_query().map_or("/", |path| path.as_str());
    (!authority.as_str().contains('@')).then(|| format!("{scheme}://{authority}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirect_locations_are_resolved() {
        let url = "https://a.example/p/abcd";
        assert_eq!(resolve(url, "/x").as_deref(), Some("https://a.example/x"));
        assert_eq!(resolve(url, "http://b.example/x#y").as_deref(), Some("http://b.example/x"));
        assert_eq!(resolve(url, "HTTP://b.example").as_deref(), Some("http://b.example/"));
        for location in ["//b.example/x", "x", "ftp://b.example/", "https://u:p@b.example/", ""] {
            assert_eq!(resolve(url, location), None, "{location}");
        }
    }
}
