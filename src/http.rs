//! The request and reply types, and the headers of every reply.
//!
//! Invariant: a [`Request`] has passed the framing checks of the server layer; a [`Reply`] is independent of sockets.
//! Must never use tiny_http or the store, nor write a header value with a line break.

mod accept;
mod authority;
mod peer;
mod range;

pub use accept::parse_weight;

pub use authority::is_authority;
pub use peer::Peer;
pub use range::{Span, parse_range};

use crate::clock::{self, UnixSeconds};
use crate::owner::Owner;
use serde_json::Value;
use std::borrow::Cow;
use std::io::{Read, Write};
use std::sync::Arc;

/// A request method; those that no route supports are [`Method::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Reads only the headers.
    Head,
    /// Creates.
    Post,
    /// Creates under a name, or replaces.
    Put,
    /// Changes.
    Patch,
    /// Deletes.
    Delete,
    /// Lists the supported methods.
    Options,
    /// Anything else.
    Other,
}

impl Method {
    /// Its token; empty for [`Method::Other`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Other => "",
        }
    }
}

impl From<&str> for Method {
    fn from(token: &str) -> Self {
        match token {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            _ => Self::Other,
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
    /// Path of the target without the query, not percent-decoded.
    pub path: &'a str,
    /// Query of the target, without the question mark.
    pub query: &'a str,
    /// Finds a header field by its name, ignoring case. Repeated fields are joined by commas (RFC 9110 section 5.3).
    pub fields: &'a dyn Fn(&str) -> Option<&'a str>,
    /// The other end of the connection.
    pub peer: Peer,
    /// The authenticated sender, if any.
    pub owner: Option<Owner>,
    /// How its body is delimited.
    pub framing: Framing,
    /// The body.
    pub body: &'a mut dyn Read,
}

impl Request<'_> {
    /// The header of this name, ignoring case.
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
}

/// The content of a reply.
pub enum Body {
    /// Nothing, as in 204.
    Empty,
    /// Bytes made for this reply.
    Bytes(Vec<u8>),
    /// Bytes shared by several replies.
    Shared(Arc<[u8]>),
    /// Exactly this many bytes, read piece by piece while they are sent.
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
    /// Header fields in addition to those of every reply.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// Content.
    pub body: Body,
    /// The Content-Security-Policy.
    pub policy: Policy,
    /// Whether this is the only copy of the content: a burned paste being sent to its one reader.
    pub is_only_copy: bool,
    /// Whether the content of this URL never changes, so that it may be cached for a year.
    pub is_immutable: bool,
}

/// Whether the connection persists after a reply (RFC 9112 section 9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// It closes after this reply.
    Close,
    /// It stays open, the default of HTTP/1.1.
    Implied,
    /// It stays open; HTTP/1.0 needs an explicit header.
    KeepAlive,
}

/// The `Strict-Transport-Security` header (RFC 6797): browsers use only TLS for a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hsts {
    /// For this host and its subdomains.
    Subdomains,
    /// For this host only.
    Host,
    /// No header.
    Off,
}

impl Hsts {
    fn line(self) -> &'static str {
        match self {
            Self::Subdomains => "Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n",
            Self::Host => "Strict-Transport-Security: max-age=31536000\r\n",
            Self::Off => "",
        }
    }
}

/// The `Content-Security-Policy` of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Nothing is allowed: for programs.
    Nothing,
    /// Nothing is allowed, in a sandbox: for user content.
    Sandbox,
    /// For our own pages: same-origin scripts, styles and requests, and images from memory.
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
        Self {
            status,
            headers: Vec::new(),
            body: Body::Empty,
            policy: Policy::Nothing,
            is_only_copy: false,
            is_immutable: false,
        }
    }

    /// The same reply with one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Appends the status line and headers in wire format, including the final empty line.
    pub fn write_head(
        &self,
        out: &mut Vec<u8>,
        request_id: &str,
        persistence: Persistence,
        hsts: Hsts,
        now: UnixSeconds,
    ) {
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
        if self.policy == Policy::Page {
            // Windows that the page opens, or that opened it, get no reference to it.
            push_header(out, "Cross-Origin-Opener-Policy", "same-origin");
        }
        out.extend_from_slice(if self.is_immutable { FOR_A_YEAR } else { NEVER_KEPT }.as_bytes());
        out.extend_from_slice(hsts.line().as_bytes());
        out.extend_from_slice(ON_EVERY_REPLY.as_bytes());
        out.extend_from_slice(match persistence {
            Persistence::Close => b"Connection: close\r\n\r\n",
            Persistence::Implied => b"\r\n",
            Persistence::KeepAlive => b"Connection: keep-alive\r\n\r\n",
        });
    }
}

/// The constant header fields of every reply.
const ON_EVERY_REPLY: &str = "X-Content-Type-Options: nosniff\r\n\
    X-Frame-Options: DENY\r\n\
    Referrer-Policy: no-referrer\r\n\
    Permissions-Policy: accelerometer=(), autoplay=(), camera=(), clipboard-read=(), \
    clipboard-write=(), display-capture=(), encrypted-media=(), fullscreen=(), geolocation=(), gyroscope=(), hid=(), \
    magnetometer=(), microphone=(), midi=(), payment=(), picture-in-picture=(), screen-wake-lock=(), serial=(), \
    usb=(), xr-spatial-tracking=()\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\n\
    X-Robots-Tag: noindex, nofollow\r\n";

/// The cache headers of immutable assets, and of everything else.
const FOR_A_YEAR: &str = "Cache-Control: public, max-age=31536000, immutable\r\n";
const NEVER_KEPT: &str = "Cache-Control: no-store, no-cache, must-revalidate, private\r\nPragma: no-cache\r\n";

/// Adds one header; control characters, which could end the line, become spaces.
fn push_header(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend(value.bytes().map(|byte| if byte.is_ascii_control() { b' ' } else { byte }));
    out.extend_from_slice(b"\r\n");
}

/// The reason phrase (RFC 9110 section 15).
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
        409 => "Conflict",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        507 => "Insufficient Storage",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_cannot_inject_a_line() {
        let mut head = Vec::new();
        Reply::empty(204).with("X-Test", "a\r\nSet-Cookie: b").write_head(
            &mut head,
            "id",
            Persistence::Implied,
            Hsts::Off,
            0,
        );
        let head = String::from_utf8(head).unwrap();
        assert!(head.contains("X-Test: a  Set-Cookie: b\r\n") && !head.contains("\nSet-Cookie"));
        assert!(head.ends_with("\r\n\r\n") && !head.contains("Content-Length"));
    }
}
