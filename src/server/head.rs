//! Reads a request's head from its raw bytes, before tiny_http consumes them, and refuses what is dangerous.
//!
//! Why before: tiny_http 0.12.17 trims and forgets what smuggling is made of (signs and lists in `Content-Length`,
//! folded lines, odd transfer codings), and a request line with `HTTP/2.0` blocks its thread for ever.
//! Invariant: a head that is accepted means the same to us, to tiny_http and to any proxy in front of us.
//! Must never do I/O: it is a pure function of bytes.

use crate::http::Framing;
use std::time::Duration;

/// How long a head, or a small body, may take from its first byte to its last.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest head, request line and all header fields together, in bytes.
pub const MAX_HEAD_BYTES: usize = 16 << 10;
/// Most header fields.
const MAX_FIELDS: usize = 100;

/// What the bytes received so far are.
#[derive(Debug, PartialEq)]
pub enum Scan {
    /// The beginning of a head; more has to come.
    Partial,
    /// A whole head we accept.
    Whole(Head),
    /// Something we refuse, in a sentence for the sender.
    Refused(&'static str),
}

/// A request's head.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes it takes on the wire.
    pub bytes: usize,
    /// Method, as sent.
    pub method: String,
    /// Request target, in origin form, without scheme and authority.
    pub target: String,
    /// Header fields, in order.
    pub fields: Vec<(String, String)>,
    /// How the body is delimited.
    pub framing: Framing,
    /// Whether the sender wants to go on after this request.
    pub keep_alive: bool,
    /// Whether the sender waits for `100 Continue` before its body.
    pub expects_continue: bool,
}

impl Head {
    /// Bytes of the whole request on the wire, unless chunks leave that open.
    pub fn length_on_wire(&self) -> Option<u64> {
        match self.framing {
            Framing::None => Some(self.bytes as u64),
            Framing::Length(length) => Some(length.saturating_add(self.bytes as u64)),
            Framing::Chunked => None,
        }
    }
}

/// Looks at the bytes at the front of a connection.
pub fn scan(bytes: &[u8]) -> Scan {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return scan_partial(bytes);
    };
    match parse(bytes.get(..end + 2).unwrap_or_default()) {
        Ok(mut head) => {
            head.bytes = end + 4;
            Scan::Whole(head)
        }
        Err(reason) => Scan::Refused(reason),
    }
}

/// What can be refused before the end has come: without this, a line that never ends would be waited for.
fn scan_partial(bytes: &[u8]) -> Scan {
    if bytes.len() >= MAX_HEAD_BYTES {
        return Scan::Refused("The request line and headers are longer than 16 KiB.");
    }
    // A TLS hello begins with 0x16; nothing that is HTTP does.
    if bytes.first().is_some_and(|first| !is_token_byte(*first)) {
        return Scan::Refused("That is not HTTP.");
    }
    match line_break_fault(bytes) {
        Some(reason) => Scan::Refused(reason),
        None => Scan::Partial,
    }
}

/// A bare CR or LF: to some readers the end of a line, to others not (RFC 9112 section 2.2).
fn line_break_fault(bytes: &[u8]) -> Option<&'static str> {
    let bare_lf =
        bytes.iter().zip(std::iter::once(&0).chain(bytes)).any(|(byte, before)| *byte == b'\n' && *before != b'\r');
    let bare_cr = bytes.windows(2).any(|pair| matches!(pair, [b'\r', second] if *second != b'\n'));
    (bare_lf || bare_cr).then_some("A line ends in a bare CR or LF.")
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Parses the lines of a head, the last CRLF included.
fn parse(bytes: &[u8]) -> Result<Head, &'static str> {
    if bytes.len() > MAX_HEAD_BYTES {
        return Err("The request line and headers are longer than 16 KiB.");
    }
    line_break_fault(bytes).map_or(Ok(()), Err)?;
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii());
    let text = text.ok_or("The request line and headers must be ASCII; send other text in Base64 or in the body.")?;
    let mut lines = text.split_terminator("\r\n");
    let (method, target, minor_version) = parse_request_line(lines.next().unwrap_or_default())?;
    let fields = lines.map(parse_field).collect::<Result<Vec<_>, _>>()?;
    if fields.len() > MAX_FIELDS {
        return Err("There are more than 100 header fields.");
    }
    let hosts = values(&fields, "host").count();
    if hosts > 1 || (hosts == 0 && minor_version == 1) {
        return Err("HTTP/1.1 asks for exactly one Host header.");
    }
    if values(&fields, "host").any(|host| !host.is_empty() && !crate::config::is_authority(host)) {
        return Err("The Host header is not a host name or address with an optional port.");
    }
    Ok(Head {
        bytes: bytes.len(),
        method: method.to_owned(),
        target: origin_form(target).to_owned(),
        framing: framing(&fields, minor_version)?,
        keep_alive: keep_alive(&fields, minor_version)?,
        expects_continue: expects_continue(&fields)?,
        fields,
    })
}

/// Method, target and minor version of HTTP/1 (RFC 9112 section 3): two single spaces, nothing else.
fn parse_request_line(line: &str) -> Result<(&str, &str, u8), &'static str> {
    let mut parts = line.split(' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("The request line is not METHOD TARGET VERSION.");
    };
    if method.is_empty() || method.len() > 32 || !method.bytes().all(is_token_byte) {
        return Err("The method is not a token.");
    }
    if target.is_empty() || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("The request target is not a URL.");
    }
    match version {
        "HTTP/1.1" => Ok((method, target, 1)),
        "HTTP/1.0" => Ok((method, target, 0)),
        _ => Err("This server speaks HTTP/1.0 and HTTP/1.1."),
    }
}

/// One header field (RFC 9112 section 5): no space before the colon, no folded line, no control character.
/// Names are letters, digits, `-` and `_`: what tiny_http and every proxy take.
fn parse_field(line: &str) -> Result<(String, String), &'static str> {
    let (name, value) = line.split_once(':').ok_or("A header line has no colon.")?;
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        return Err("A header name has a character that is no letter, digit, - or _.");
    }
    let value = value.trim_matches([' ', '\t']);
    if !value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return Err("A header value has a control character.");
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// The target without scheme and authority, which a proxy-style client sends (RFC 9112 section 3.2.2).
fn origin_form(target: &str) -> &str {
    let after_scheme = target.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"));
    match after_scheme {
        Some((_, rest)) => rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or("/"),
        None => target,
    }
}

fn values<'a>(fields: &'a [(String, String)], name: &str) -> impl Iterator<Item = &'a str> {
    fields.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// How the body is delimited (RFC 9112 section 6.3), for readers that all agree: one length of plain digits, or
/// exactly `chunked`, or nothing.
fn framing(fields: &[(String, String)], minor_version: u8) -> Result<Framing, &'static str> {
    let mut lengths = values(fields, "content-length");
    let mut codings = values(fields, "transfer-encoding");
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(Framing::None),
        (Some(_), Some(_)) => Err("Content-Length and Transfer-Encoding exclude each other."),
        (Some(_), None) if lengths.next().is_some() => Err("There is more than one Content-Length."),
        (Some(length), None) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
            length.parse().map(Framing::Length).map_err(|_| "The Content-Length is not a possible length.")
        }
        (Some(_), None) => Err("The Content-Length is not a decimal number."),
        (None, Some("chunked")) if codings.next().is_none() && minor_version == 1 => Ok(Framing::Chunked),
        (None, Some(_)) => Err("The only Transfer-Encoding this server knows is chunked, in HTTP/1.1."),
    }
}

/// Whether the connection stays open (RFC 9112 section 9.3). HTTP/1.0 is answered and closed. `upgrade` is refused:
/// tiny_http would hand out the raw connection as the body.
fn keep_alive(fields: &[(String, String)], minor_version: u8) -> Result<bool, &'static str> {
    // tiny_http looks for these words anywhere in the value, so we are as strict.
    let says = |word: &str| values(fields, "connection").any(|value| value.to_ascii_lowercase().contains(word));
    if says("upgrade") {
        return Err("This server does not upgrade connections.");
    }
    Ok(minor_version == 1 && !says("close"))
}

/// Whether the sender waits before its body (RFC 9110 section 10.1.1).
fn expects_continue(fields: &[(String, String)]) -> Result<bool, &'static str> {
    let mut expectations = values(fields, "expect");
    match (expectations.next(), expectations.next()) {
        (None, _) => Ok(false),
        (Some(expectation), None) if expectation.eq_ignore_ascii_case("100-continue") => Ok(true),
        _ => Err("The only expectation this server knows is 100-continue."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Head {
        match scan(text.as_bytes()) {
            Scan::Whole(head) => head,
            other => panic!("{text:?}: {other:?}"),
        }
    }

    fn refused(text: &[u8]) -> bool {
        matches!(scan(text), Scan::Refused(_))
    }

    #[test]
    fn a_plain_request() {
        let head = whole("POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nX-Y:  z \r\n\r\nabc");
        assert_eq!((head.method.as_str(), head.target.as_str(), head.framing), ("POST", "/a?b=c", Framing::Length(3)));
        assert_eq!(head.fields.last().unwrap(), &("X-Y".to_owned(), "z".to_owned()));
        assert_eq!((head.bytes, head.keep_alive, head.expects_continue), (62, true, false));
    }

    #[test]
    fn every_beginning_of_a_request_is_partial() {
        let text = "GET / HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n";
        for length in 0..text.len() {
            assert_eq!(scan(&text.as_bytes()[..length]), Scan::Partial, "{length}");
        }
        assert_eq!(whole(text).bytes, text.len());
    }

    #[test]
    fn framing_that_readers_differ_on_is_refused() {
        let faults = [
            "Content-Length: 3\r\nContent-Length: 4",
            "Content-Length: 3\r\nContent-Length: 3",
            "Content-Length: 3, 3",
            "Content-Length: -3",
            "Content-Length: +3",
            "Content-Length: 0x3",
            "Content-Length: three",
            "Content-Length: 3 3",
            "Content-Length:",
            "Content-Length: 99999999999999999999",
            "Content-Length : 3",
            " Content-Length: 3",
            "X: y\r\n Content-Length: 3",
            "X: y\r\n\tfolded",
            "Content-Length: 3\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: Chunked",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: identity",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding:",
            "Transfer-Encoding: \"chunked\"",
            "Connection: Upgrade\r\nContent-Length: 3",
            "Connection: keep-alive, upgrade",
            "Expect: 200-ok",
            "X\u{0}Y: z",
            "X: a\u{1}b",
            "X: ü",
            "no colon",
            ": no name",
            "Host: y",
            "X: a\rb",
            "X: a\nb",
        ];
        for fault in faults {
            assert!(refused(format!("POST / HTTP/1.1\r\nHost: x\r\n{fault}\r\n\r\n").as_bytes()), "{fault:?}");
        }
    }

    #[test]
    fn request_lines_that_are_refused() {
        let lines = [
            "GET /",
            "GET  / HTTP/1.1",
            "GET / HTTP/2.0",
            "GET / HTTP/3.0",
            "GET / HTTP/0.9",
            "GET / http/1.1",
            "GET / HTTP/1.1 x",
            "G(T / HTTP/1.1",
            " GET / HTTP/1.1",
            "GET /\u{7f} HTTP/1.1",
            "",
        ];
        for line in lines {
            assert!(refused(format!("{line}\r\nHost: x\r\n\r\n").as_bytes()), "{line:?}");
        }
        assert!(refused(b"\x16\x03\x01\x02\x00\x01"), "a TLS hello is refused at once");
        assert!(refused(b"GET / HTTP/1.1\nHost: x\n"), "bare LF is refused before the end");
        assert!(refused(&[b'a'; MAX_HEAD_BYTES]), "an endless line is refused");
    }

    #[test]
    fn hosts() {
        assert!(refused(b"GET / HTTP/1.1\r\n\r\n") && refused(b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"));
        whole("GET / HTTP/1.0\r\n\r\n");
        whole("GET / HTTP/1.1\r\nHost: [::1]:5000\r\n\r\n");
        assert_eq!(whole("GET http://x/abc?d HTTP/1.1\r\nHost: x\r\n\r\n").target, "/abc?d");
        assert_eq!(whole("GET http://x HTTP/1.1\r\nHost: x\r\n\r\n").target, "/");
    }

    #[test]
    fn connections_stay_open_when_both_sides_want_it() {
        let keep_alive =
            |version: &str, fields: &str| whole(&format!("GET / HTTP/{version}\r\nHost: x\r\n{fields}\r\n")).keep_alive;
        assert!(keep_alive("1.1", "") && keep_alive("1.1", "Connection: Keep-Alive\r\n"));
        assert!(!keep_alive("1.0", "") && !keep_alive("1.1", "Connection: Close\r\n"));
        assert!(!keep_alive("1.1", "Connection: keep-alive, close\r\n"));
    }
}
