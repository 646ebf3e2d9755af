//! Our own request and reply, the headers every reply carries, and byte ranges.
//!
//! Invariant: a [`Request`] has passed the framing checks of the server layer; a [`Reply`] knows nothing of sockets.
//! Must never name tiny_http or the store, and never let a header value carry a line break.

use crate::clock::{self, UnixSeconds};
use serde_json::Value;
use std::borrow::Cow;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

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
    /// Finds a header field by its name, in any case. One that was sent several times is one, its values joined by commas
    /// (RFC 9110 section 5.3).
    pub fields: &'a dyn Fn(&str) -> Option<&'a str>,
    /// Who sent it.
    pub peer: Peer,
    /// How its body is delimited.
    pub framing: Framing,
    /// The body.
    pub body: &'a mut dyn Read,
}

impl Request<'_> {
    /// The header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        (self.fields)(name)
    }

    /// The header of this name, unless it is empty.
    pub fn filled_header(&self, name: &str) -> Option<&str> {
        self.header(name).filter(|value| !value.is_empty())
    }

    /// The first query parameter of this name.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// Whether the sender would rather have `text/plain` than JSON: it names it, and does not prefer JSON. Between two
    /// of equal weight, the one named first.
    pub fn prefers_text(&self) -> bool {
        let (text, json) = (self.accepted("text/plain"), self.accepted("application/json"));
        text.is_named && text.weight > 0 && (text.weight, json.at) > (json.weight, text.at)
    }

    /// Whether the sender wants a page: it names `text/html` among what it takes, as browsers do when somebody opens an
    /// address, and does not prefer JSON to it.
    pub fn accepts_html(&self) -> bool {
        let (html, json) = (self.accepted("text/html"), self.accepted("application/json"));
        html.is_named && html.weight > 0 && html.weight >= json.weight
    }

    /// How much a media type is wanted: the most specific range of `Accept` that covers it counts (RFC 9110 section
    /// 12.5.1). Parameters other than the weight are not looked at; a weight that is none counts as 0.
    fn accepted(&self, media_type: &str) -> Accepted {
        let any_subtype = media_type.split_once('/').map_or("", |(group, _)| group);
        let mut best = (0, Accepted { is_named: false, weight: 0, at: usize::MAX });
        for (at, range) in self.header("Accept").unwrap_or_default().split(',').enumerate() {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let specificity = match name.split_once('/') {
                _ if name.eq_ignore_ascii_case(media_type) => 3,
                Some((group, "*")) if group.eq_ignore_ascii_case(any_subtype) => 2,
                Some(("*", "*")) => 1,
                _ => continue,
            };
            if specificity > best.0 {
                let parameter = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
                let weight = parameter.map_or(1000, |text| parse_weight(text).unwrap_or(0));
                best = (specificity, Accepted { is_named: specificity == 3, weight, at });
            }
        }
        best.1
    }
}

/// How much a media type is wanted.
struct Accepted {
    /// Whether it was named itself, not by a wildcard.
    is_named: bool,
    /// In thousandths; 0 is not at all.
    weight: u16,
    /// Its place among the ranges.
    at: usize,
}

/// A weight, in thousandths: 0 to 1 with at most three digits behind the point (RFC 9110 section 12.4.2).
fn parse_weight(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_weight = matches!(whole, "0" | "1") && fraction.len() <= 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    let thousandths = format!("{whole}{fraction:0<3}").parse().ok().filter(|_| is_weight);
    thousandths.filter(|weight| *weight <= 1000)
}

/// The content of a reply.
pub enum Body {
    /// Nothing, as in 204.
    Empty,
    /// Bytes made for this reply.
    Bytes(Vec<u8>),
    /// Bytes that others are sent, too.
    Shared(Arc<[u8]>),
    /// Exactly this many bytes, fetched piece by piece while the peer drains them.
    Stream(Box<dyn Read + Send>, u64),
}

impl Body {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Shared(bytes) => bytes.len() as u64,
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
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// Content.
    pub body: Body,
    /// What a browser may do with it.
    pub policy: Policy,
    /// Whether the content exists nowhere else any more: a burned paste on its way to its one reader.
    pub is_only_copy: bool,
}

/// What a reply says about its connection (RFC 9112 section 9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// It ends with this reply.
    Close,
    /// It stays open, as in HTTP/1.1 unless said otherwise.
    Implied,
    /// It stays open, which HTTP/1.0 has to be told.
    KeepAlive,
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
        let headers = vec![("Content-Type", media_type.to_owned().into())];
        Self { headers, body: Body::Bytes(content.into()), ..Self::empty(status) }
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
        Self { status, headers: Vec::new(), body: Body::Empty, policy: Policy::Nothing, is_only_copy: false }
    }

    /// The same reply with one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Appends status line and header block as they go on the wire, with the blank line at their end.
    pub fn write_head(&self, out: &mut Vec<u8>, request_id: &str, persistence: Persistence, now: UnixSeconds) {
        // Writing to a vector does not fail.
        let _ = write!(out, "HTTP/1.1 {} {}\r\nServer: flaskpaste\r\nDate: ", self.status, reason(self.status));
        out.extend_from_slice(clock::http_date(now).as_bytes());
        push_header(out, "\r\nX-Request-ID", request_id);
        // RFC 9110 section 8.6: no Content-Length in a 204.
        if self.status != 204 {
            let _ = write!(out, "Content-Length: {}\r\n", self.body.len());
        }
        for (name, value) in &self.headers {
            push_header(out, name, value);
        }
        push_header(out, "Content-Security-Policy", self.policy.text());
        out.extend_from_slice(ON_EVERY_REPLY.as_bytes());
        out.extend_from_slice(match persistence {
            Persistence::Close => b"Connection: close\r\n\r\n",
            Persistence::Implied => b"\r\n",
            Persistence::KeepAlive => b"Connection: keep-alive\r\n\r\n",
        });
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
fn push_header(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend(value.bytes().map(|byte| if byte.is_ascii_control() { b' ' } else { byte }));
    out.extend_from_slice(b"\r\n");
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
        417 => "Expectation Failed",
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
    fn a_header_value_cannot_end_its_line() {
        let mut head = Vec::new();
        Reply::empty(204).with("X-Test", "a\r\nSet-Cookie: b").write_head(&mut head, "id", Persistence::Implied, 0);
        let head = String::from_utf8(head).unwrap();
        assert!(head.contains("X-Test: a  Set-Cookie: b\r\n") && !head.contains("\nSet-Cookie"));
        assert!(head.ends_with("\r\n\r\n") && !head.contains("Content-Length"));
    }

    /// Whether who sends this `Accept` wants HTML, and whether text.
    fn wants(accept: &str) -> (bool, bool) {
        let fields = |name: &str| (name == "Accept").then_some(accept);
        let (method, peer, framing) = (Method::Get, Peer::Unix, Framing::None);
        let body = &mut std::io::empty();
        let request = Request { method, path: "/", query: "", fields: &fields, peer, framing, body };
        (request.accepts_html(), request.prefers_text())
    }

    #[test]
    fn pages_are_for_those_who_name_html_and_do_not_prefer_json() {
        for accept in [
            "text/html",
            "TEXT/HTML;charset=utf-8",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/json, text/html",
            "application/json;q=0.5, text/html;q=0.6",
            "application/json;q=0, */*, text/html",
            "text/html;q=0.001",
        ] {
            assert!(wants(accept).0, "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/*",
            "text/html;q=0",
            "text/html; Q=0.0",
            "text/htmlx",
            "application/json, text/html;q=0.9",
            "text/html;q=0.9, */*",
            "text/html;q=1.5",
            "text/html;q=x",
            "text/html;q=-1",
            "text/html;q=0.0001",
        ] {
            assert!(!wants(accept).0, "{accept}");
        }
    }

    #[test]
    fn text_is_for_those_who_name_it_and_do_not_prefer_json() {
        for accept in
            ["text/plain", "text/plain, */*", "text/plain, application/json", "application/json;q=0.1, text/plain"]
        {
            assert!(wants(accept).1, "{accept}");
        }
        for accept in
            ["", "*/*", "text/*", "application/json, text/plain, */*", "text/plain;q=0", "text/plain;q=0.5, */*"]
        {
            assert!(!wants(accept).1, "{accept}");
        }
    }

    #[test]
    fn loopback_peers_are_local() {
        for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(Peer::Ip(address.parse().unwrap()).is_local(), "{address}");
        }
        assert!(!Peer::Ip("192.0.2.1".parse().unwrap()).is_local());
    }
}
