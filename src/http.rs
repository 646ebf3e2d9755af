//! Our own request and reply, the headers every reply carries, and byte ranges.
//!
//! Invariant: a [`Request`] has passed the framing checks of the server layer; a [`Reply`] knows nothing of sockets.
//! Must never name tiny_http or the store, and never let a header value carry a line break.

use crate::clock::{self, UnixSeconds};
use serde_json::Value;
use std::io::{self, Read};
use std::net::IpAddr;
use std::ops::Range;

/// A request method; only those some route answers are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Reads the headers alone.
    Head,
    /// Creates.
    Post,
    /// Deletes.
    Delete,
    /// Asks for the methods.
    Options,
    /// Anything else.
    Other,
}

impl From<&str> for Method {
    fn from(token: &str) -> Self {
        match token {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            _ => Self::Other,
        }
    }
}

/// Who is at the other end of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A TCP peer.
    Ip(IpAddr),
    /// Someone with access to our Unix socket.
    Unix,
}

impl Peer {
    /// Whether the peer runs on this machine.
    pub fn is_local(self) -> bool {
        match self {
            Self::Ip(address) => address.to_canonical().is_loopback(),
            Self::Unix => true,
        }
    }
}

/// How the body is delimited (RFC 9112 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Neither length nor chunks: no body.
    None,
    /// `Content-Length`, in bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// One request, with its body still on the wire.
pub struct Request<'a> {
    /// Method.
    pub method: Method,
    /// Path of the target, without query, not decoded.
    pub path: &'a str,
    /// Query of the target, without the question mark.
    pub query: &'a str,
    /// Header fields in order; names in the sender's case.
    pub headers: &'a [(String, String)],
    /// Who sent it.
    pub peer: Peer,
    /// How its body is delimited.
    pub framing: Framing,
    /// The body.
    pub body: &'a mut dyn Read,
}

impl Request<'_> {
    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The first header of this name that is not empty.
    pub fn filled_header(&self, name: &str) -> Option<&str> {
        self.header(name).filter(|value| !value.is_empty())
    }

    /// The first query parameter of this name.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// Whether the sender would rather have `text/plain` than JSON: it names it, and JSON and wildcards not before.
    pub fn prefers_text(&self) -> bool {
        let accept = self.header("Accept").unwrap_or_default();
        let first =
            accept.split(',').map(|range| range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        first.into_iter().find(|range| matches!(range.as_str(), "text/plain" | "application/json" | "*/*")).as_deref()
            == Some("text/plain")
    }

    /// Whether the sender names `text/html` among what it takes, as browsers do when somebody opens an address; with
    /// `q=0` it says that it does not (RFC 9110 section 12.4.2).
    pub fn accepts_html(&self) -> bool {
        self.header("Accept").unwrap_or_default().split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let is_html = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("text/html"));
            let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            is_html && weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0))
        })
    }
}

/// The content of a reply.
pub enum Body {
    /// Nothing, as in 204.
    Empty,
    /// Bytes made for this reply.
    Bytes(Vec<u8>),
    /// Exactly this many bytes, fetched piece by piece while the peer drains them.
    Stream(Box<dyn Read + Send>, u64),
}

impl Body {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Stream(_, length) => *length,
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One reply.
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Header fields beside those on every reply.
    pub headers: Vec<(&'static str, String)>,
    /// Content.
    pub body: Body,
    /// What a browser may do with it.
    pub policy: Policy,
}

/// The `Content-Security-Policy` of a reply, as the contract words it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Nothing: it is for programs.
    Nothing,
    /// Nothing, and in an origin of its own: it is a stranger's content.
    Sandbox,
    /// What our own pages need: scripts, styles and requests of this origin, pictures out of memory.
    Page,
}

impl Policy {
    fn text(self) -> &'static str {
        match self {
            Self::Nothing => "default-src 'none'; frame-ancestors 'none'",
            Self::Sandbox => "default-src 'none'; frame-ancestors 'none'; sandbox",
            Self::Page => {
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
                 connect-src 'self'; worker-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; \
                 require-trusted-types-for 'script'"
            }
        }
    }
}

impl Reply {
    /// A reply of a media type.
    pub fn typed(status: u16, media_type: &str, content: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("Content-Type", media_type.to_owned())];
        Self { status, headers, body: Body::Bytes(content.into()), policy: Policy::Nothing }
    }

    /// A JSON reply.
    pub fn json(status: u16, value: &Value) -> Self {
        Self::typed(status, "application/json", value.to_string())
    }

    /// A `text/plain` reply.
    pub fn text(status: u16, text: impl Into<Vec<u8>>) -> Self {
        Self::typed(status, "text/plain; charset=utf-8", text)
    }

    /// A reply without content.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Empty, policy: Policy::Nothing }
    }

    /// The same reply with one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Status line and header block, ready for the wire, with the blank line at its end.
    pub fn head(&self, request_id: &str, keep_alive: bool, now: UnixSeconds) -> Vec<u8> {
        let mut head = format!(
            "HTTP/1.1 {} {}\r\nServer: flaskpaste\r\nDate: {}\r\nX-Request-ID: {request_id}\r\n",
            self.status,
            reason(self.status),
            clock::http_date(now)
        );
        // RFC 9110 section 8.6: no Content-Length in a 204.
        if self.status != 204 {
            push_header(&mut head, "Content-Length", &self.body.len().to_string());
        }
        for (name, value) in &self.headers {
            push_header(&mut head, name, value);
        }
        push_header(&mut head, "Content-Security-Policy", self.policy.text());
        head.push_str(ON_EVERY_REPLY);
        head.push_str(if keep_alive { "\r\n" } else { "Connection: close\r\n\r\n" });
        head.into_bytes()
    }
}

/// The header fields that never change, as the contract lists them.
const ON_EVERY_REPLY: &str = "X-Content-Type-Options: nosniff\r\n\
    X-Frame-Options: DENY\r\n\
    Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n\
    Referrer-Policy: no-referrer\r\n\
    Permissions-Policy: accelerometer=(), autoplay=(), camera=(), clipboard-read=(), \
    clipboard-write=(), display-capture=(), encrypted-media=(), fullscreen=(), geolocation=(), gyroscope=(), hid=(), \
    magnetometer=(), microphone=(), midi=(), payment=(), picture-in-picture=(), screen-wake-lock=(), serial=(), \
    usb=(), xr-spatial-tracking=()\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\n\
    Cache-Control: no-store, no-cache, must-revalidate, private\r\n\
    Pragma: no-cache\r\n\
    X-Robots-Tag: noindex, nofollow\r\n";

/// Adds one header; a control character would end the line early, so it becomes a space.
fn push_header(head: &mut String, name: &str, value: &str) {
    head.push_str(name);
    head.push_str(": ");
    head.extend(value.chars().map(|c| if c.is_ascii_control() { ' ' } else { c }));
    head.push_str("\r\n");
}

/// The reason phrase; clients ignore it, people read it (RFC 9110 section 15).
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        206 => "Partial Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        507 => "Insufficient Storage",
        _ => "Internal Server Error",
    }
}

/// What a `Range` header asks of a content.
#[derive(Debug, PartialEq, Eq)]
pub enum Span {
    /// Everything: there is no range, or none we understand (RFC 9110 section 14.2 lets us ignore it).
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Valid, but beyond the end.
    Beyond,
}

/// Reads a single byte range (RFC 9110 section 14.1.2) over a content of `size` bytes. Several ranges at once are
/// ignored: the whole content answers them.
pub fn parse_range(header: &str, size: u64) -> Span {
    let number = |text: &str| -> Option<u64> {
        // Digits alone; more of them than fit are a valid position far beyond any end.
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().unwrap_or(u64::MAX))
    };
    let unit = header.split_once('=').filter(|(unit, _)| unit.trim().eq_ignore_ascii_case("bytes"));
    let Some((first, last)) = unit.and_then(|(_, range)| range.trim().split_once('-')) else { return Span::Whole };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if last < first => Span::Whole,
        (Some(first), Some(last)) if first < size => Span::Part(first..last.saturating_add(1).min(size)),
        (Some(first), None) if last.is_empty() && first < size => Span::Part(first..size),
        (None, Some(length)) if first.is_empty() && length > 0 && size > 0 => {
            Span::Part(size.saturating_sub(length)..size)
        }
        (Some(_), Some(_)) => Span::Beyond,
        (Some(_), None) if last.is_empty() => Span::Beyond,
        (None, Some(_)) if first.is_empty() => Span::Beyond,
        _ => Span::Whole,
    }
}

/// Whether a client's request id is taken over: 1 to 128 of `A-Za-z0-9._-`.
pub fn is_request_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// A random UUID, version 4 (RFC 9562 section 5.4).
///
/// # Errors
/// When the system has no entropy source.
pub fn new_request_id() -> io::Result<String> {
    let mut random = u128::from_be_bytes(crate::crypto::random()?);
    random = random & !(0xf << 76) | 4 << 76;
    random = random & !(0x3 << 62) | 2 << 62;
    let hex = format!("{random:032x}");
    let mut id = String::with_capacity(36);
    for (at, digit) in hex.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            id.push('-');
        }
        id.push(digit);
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        // The first three are the examples of RFC 9110 section 14.1.2 over 10,000 bytes.
        let cases = [
            ("bytes=0-499", 10_000, Span::Part(0..500)),
            ("bytes=-500", 10_000, Span::Part(9500..10_000)),
            ("bytes=9500-", 10_000, Span::Part(9500..10_000)),
            ("bytes=0-0", 1, Span::Part(0..1)),
            ("bytes=5-100", 10, Span::Part(5..10)),
            ("bytes=-100", 10, Span::Part(0..10)),
            ("BYTES=1-2", 10, Span::Part(1..3)),
            ("bytes=10-", 10, Span::Beyond),
            ("bytes=10-20", 10, Span::Beyond),
            ("bytes=-0", 10, Span::Beyond),
            ("bytes=99999999999999999999999-", 10, Span::Beyond),
            ("bytes=0-99999999999999999999999", 10, Span::Part(0..10)),
            ("bytes=0-18446744073709551615", 10, Span::Part(0..10)),
            ("bytes=5-4", 10, Span::Whole),
            ("bytes=-", 10, Span::Whole),
            ("bytes=a-b", 10, Span::Whole),
            ("bytes=+1-2", 10, Span::Whole),
            ("bytes=0-1,3-4", 10, Span::Whole),
            ("items=0-1", 10, Span::Whole),
            ("bytes 0-1", 10, Span::Whole),
            ("", 10, Span::Whole),
        ];
        for (header, size, expected) in cases {
            assert_eq!(parse_range(header, size), expected, "{header} of {size}");
        }
    }

    #[test]
    fn request_ids() {
        let id = new_request_id().unwrap();
        assert_eq!(id.len(), 36);
        assert_eq!((&id[14..15], &id[8..9]), ("4", "-"));
        assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"));
        assert!(is_request_id(&id) && is_request_id("A.b_c-1"));
        assert!(!is_request_id("") && !is_request_id("a b") && !is_request_id(&"a".repeat(129)) && !is_request_id("ü"));
    }

    #[test]
    fn a_header_value_cannot_end_its_line() {
        let head = Reply::empty(204).with("X-Test", "a\r\nSet-Cookie: b").head("id", true, 0);
        let head = String::from_utf8(head).unwrap();
        assert!(head.contains("X-Test: a  Set-Cookie: b\r\n") && !head.contains("\nSet-Cookie"));
        assert!(head.ends_with("\r\n\r\n") && !head.contains("Content-Length"));
    }

    #[test]
    fn loopback_peers_are_local() {
        for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(Peer::Ip(address.parse().unwrap()).is_local(), "{address}");
        }
        assert!(!Peer::Ip("192.0.2.1".parse().unwrap()).is_local());
    }
}
