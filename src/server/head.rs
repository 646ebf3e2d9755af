//! Parses a request head from raw bytes, refuses ambiguous ones, and normalises the rest for tiny_http.
//!
//! Why before tiny_http: 0.12.17 silently accepts what request smuggling is made of (signs and lists in
//! `Content-Length`, folded lines, odd transfer codings), and a request line with `HTTP/2.0` blocks its thread for
//! ever. Invariant: an accepted head means the same to us, to tiny_http and to any proxy in front of us. Must never do
//! I/O: it is a pure function of bytes.

use crate::http::{Framing, Persistence, is_authority};
use std::borrow::Cow;

/// The size limit of the head: the request line and all header fields, in bytes.
pub const MAX_HEAD_BYTES: usize = 16 << 10;
/// The limit of header fields.
const MAX_FIELDS: usize = 100;
/// Fields with an identity or a password: of duplicates, one parser would use the first and another the last.
const AT_MOST_ONCE: [&str; 6] =
    ["host", "authorization", "x-ssl-client-sha1", "x-proxy-secret", "x-paste-password", "x-paste-password-base64"];
/// The fields that delimit a body.
const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];
/// Connection-specific fields, which we handle and tiny_http never sees.
const OURS: [&str; 4] = ["content-length", "transfer-encoding", "expect", "connection"];

/// The result of scanning the bytes received so far.
#[derive(Debug, PartialEq, Eq)]
pub enum Scan {
    /// An incomplete head.
    Partial,
    /// A complete, acceptable head.
    Whole(Head),
    /// A refused head, with a message for the sender.
    Refused(&'static str),
}

/// What the sender waits for before its body (RFC 9110 section 10.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// Nothing.
    None,
    /// `100 Continue`.
    Continue,
    /// An unsupported expectation.
    Unknown,
}

/// A parsed request head.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    /// Its length on the wire.
    pub bytes: usize,
    /// The same request for tiny_http: HTTP/1.1, its target in origin form, without the fields of this connection.
    pub normalised: Vec<u8>,
    /// How the body is delimited.
    pub framing: Framing,
    /// Whether the sender keeps the connection open.
    pub persistence: Persistence,
    /// What the sender waits for before its body.
    pub expectation: Expectation,
}

/// A header field.
type Field<'a> = (&'a str, &'a str);

/// Scans the bytes at the start of a connection's buffer.
pub fn scan(bytes: &[u8]) -> Scan {
    // Some old clients send an empty line after a body; one is ignored (RFC 9112 section 2.2).
    let (skipped, head) = bytes.strip_prefix(b"\r\n").map_or((0, bytes), |rest| (2, rest));
    let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") else {
        return scan_partial(head);
    };
    match parse(head.get(..end + 2).unwrap_or_default()) {
        Ok(head) => Scan::Whole(Head { bytes: skipped + end + 4, ..head }),
        Err(reason) => Scan::Refused(reason),
    }
}

/// Refuses an incomplete head early, for example an endless line.
fn scan_partial(bytes: &[u8]) -> Scan {
    if bytes.len() >= MAX_HEAD_BYTES {
        return Scan::Refused("The request line and headers are longer than 16 KiB.");
    }
    // A TLS ClientHello starts with 0x16, which is not valid in HTTP.
    if bytes.first().is_some_and(|first| !is_token_byte(*first) && bytes != b"\r") {
        return Scan::Refused("This is not HTTP.");
    }
    match line_break_fault(bytes) {
        Some(reason) => Scan::Refused(reason),
        None => Scan::Partial,
    }
}

/// A bare CR or LF, which only some parsers treat as the end of a line (RFC 9112 section 2.2).
fn line_break_fault(bytes: &[u8]) -> Option<&'static str> {
    let is_bare = |pair: &[u8]| matches!(pair, [before, after] if (*before == b'\r') != (*after == b'\n'));
    let is_bare_at_begin = bytes.first() == Some(&b'\n');
    (is_bare_at_begin || bytes.windows(2).any(is_bare)).then_some("A line has a bare CR or LF.")
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Parses the lines of a head, including the last CRLF.
fn parse(bytes: &[u8]) -> Result<Head, &'static str> {
    if bytes.len() > MAX_HEAD_BYTES {
        return Err("The request line and headers are longer than 16 KiB.");
    }
    line_break_fault(bytes).map_or(Ok(()), Err)?;
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii());
    let text = text.ok_or("The request line and headers must be ASCII; send other text in Base64 or in the body.")?;
    // Every line ends in CRLF.
    let mut lines = text.split_terminator('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let (method, target, minor_version) = parse_request_line(lines.next().unwrap_or_default())?;
    let mut fields = Vec::with_capacity(16);
    for line in lines {
        fields.push(parse_field(line)?);
    }
    if fields.len() > MAX_FIELDS {
        return Err("The request has more than 100 header fields.");
    }
    if AT_MOST_ONCE.iter().any(|name| values(&fields, name).nth(1).is_some()) {
        return Err(
            "Host, Authorization, X-SSL-Client-SHA1, X-Proxy-Secret, X-Paste-Password and X-Paste-Password-Base64 may be sent only once each.",
        );
    }
    let sent_host = values(&fields, "host").next();
    if sent_host.is_none() && minor_version == 1 {
        return Err("HTTP/1.1 requires exactly one Host header.");
    }
    let (authority, target) = split_target(target)?;
    // Its port may be empty (RFC 3986 section 3.2.3).
    let is_host = |host: &str| host.is_empty() || is_authority(host.strip_suffix(':').unwrap_or(host));
    if !sent_host.is_none_or(is_host) {
        return Err("The Host header is not a host name or address with an optional port.");
    }
    Ok(Head {
        bytes: bytes.len(),
        normalised: normalise(method, &target, authority, &fields),
        framing: framing(&fields, minor_version)?,
        persistence: persistence(&fields, minor_version)?,
        expectation: expectation(&fields, minor_version),
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
        _ => Err("Only HTTP/1.0 and HTTP/1.1 are supported."),
    }
}

/// One header field (RFC 9112 section 5): no space before the colon, no folded line, no control character.
/// Names are letters, digits, `-` and `_`, which tiny_http and all proxies accept.
fn parse_field(line: &str) -> Result<Field<'_>, &'static str> {
    let (name, value) = line.split_once(':').ok_or("A header line has no colon.")?;
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        return Err("A header name has a character other than letters, digits, - and _.");
    }
    // Some programs take an underscore for a hyphen.
    if name.contains('_') && FRAMING.iter().any(|field| name.replace('_', "-").eq_ignore_ascii_case(field)) {
        return Err("Content-Length and Transfer-Encoding are written with a hyphen.");
    }
    let value = value.trim_matches([' ', '\t']);
    if !value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ' || byte == b'\t') {
        return Err("A header value has a control character.");
    }
    Ok((name, value))
}

/// Splits an absolute-form target into its authority, which overrides `Host`, and its origin form (RFC 9112 section
/// 3.2). The scheme is case-insensitive; a path and `*` have no authority.
fn split_target(target: &str) -> Result<(Option<&str>, Cow<'_, str>), &'static str> {
    let is_ours = |scheme: &str| scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    if target.contains('#') {
        return Err("The request target has a fragment (#), which is for the client alone.");
    }
    if target.starts_with('/') || target == "*" {
        return Ok((None, target.into()));
    }
    let Some((_, rest)) = target.split_once("://").filter(|(scheme, _)| is_ours(scheme)) else {
        return Err("The request target is neither a path that begins with / nor an http URL.");
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if !is_authority(authority) {
        return Err("The request target has no valid host.");
    }
    let target = if path.starts_with('/') { path.into() } else { format!("/{path}").into() };
    Ok((Some(authority), target))
}

/// The head for tiny_http, which finds only the first field of a name: repeated fields are joined by commas (RFC 9110
/// section 5.3).
fn normalise(method: &str, target: &str, authority: Option<&str>, fields: &[Field<'_>]) -> Vec<u8> {
    let bytes = fields.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>();
    let mut head = Vec::with_capacity(method.len() + target.len() + bytes + 300);
    let mut push = |parts: &[&str]| parts.iter().for_each(|part| head.extend_from_slice(part.as_bytes()));
    push(&[method, " ", target, " HTTP/1.1\r\n"]);
    if let Some(authority) = authority {
        push(&["Host: ", authority, "\r\n"]);
    }
    for (at, (name, value)) in fields.iter().enumerate() {
        let is_same = |(other, _): &&Field<'_>| name.eq_ignore_ascii_case(other);
        let is_ours = OURS.iter().any(|other| name.eq_ignore_ascii_case(other));
        let is_replaced = authority.is_some() && name.eq_ignore_ascii_case("host");
        if is_ours || is_replaced || fields.iter().take(at).any(|field| is_same(&field)) {
            continue;
        }
        push(&[name, ": ", &without_tabs(value)]);
        fields.iter().skip(at + 1).filter(is_same).for_each(|(_, more)| push(&[", ", &without_tabs(more)]));
        push(&["\r\n"]);
    }
    push(&["\r\n"]);
    head
}

/// A value with spaces for tabs, which mean the same (RFC 9110 section 5.6.3) and which tiny_http refuses.
fn without_tabs(value: &str) -> Cow<'_, str> {
    if value.contains('\t') { value.replace('\t', " ").into() } else { value.into() }
}

fn values<'a>(fields: &'a [Field<'a>], name: &'a str) -> impl Iterator<Item = &'a str> {
    fields.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
}

/// The members of a list field (RFC 9110 section 5.6.1), over all its lines.
fn members<'a>(fields: &'a [Field<'a>], name: &'a str) -> impl Iterator<Item = &'a str> {
    values(fields, name).flat_map(|value| value.split(',')).map(|member| member.trim_matches([' ', '\t']))
}

/// How the body is delimited (RFC 9112 section 6.3), without ambiguity: one length of plain digits, exactly `chunked`,
/// or nothing.
fn framing(fields: &[Field<'_>], minor_version: u8) -> Result<Framing, &'static str> {
    let mut lengths = values(fields, "content-length");
    let mut codings = values(fields, "transfer-encoding");
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(Framing::None),
        (Some(_), Some(_)) => Err("Content-Length and Transfer-Encoding cannot be combined."),
        (Some(_), None) if lengths.next().is_some() => Err("The request has more than one Content-Length."),
        (Some(length), None) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
            length.parse().map(Framing::Length).map_err(|_| "The Content-Length is too large.")
        }
        (Some(_), None) => Err("The Content-Length is not a decimal number."),
        (None, Some(coding))
            if coding.eq_ignore_ascii_case("chunked") && codings.next().is_none() && minor_version == 1 =>
        {
            Ok(Framing::Chunked)
        }
        (None, Some(_)) => Err("The only supported Transfer-Encoding is chunked, in HTTP/1.1."),
    }
}

/// Whether the connection stays open (RFC 9112 section 9.3). `upgrade` is refused: the sender might switch to another
/// protocol.
fn persistence(fields: &[Field<'_>], minor_version: u8) -> Result<Persistence, &'static str> {
    let says = |word: &str| members(fields, "connection").any(|member| member.eq_ignore_ascii_case(word));
    if says("upgrade") {
        return Err("Upgrading connections is not supported.");
    }
    Ok(match minor_version {
        _ if says("close") => Persistence::Close,
        1 => Persistence::Implied,
        _ if says("keep-alive") => Persistence::KeepAlive,
        _ => Persistence::Close,
    })
}

/// What the sender waits for before its body. HTTP/1.0 has no expectations: its `100-continue` is ignored.
fn expectation(fields: &[Field<'_>], minor_version: u8) -> Expectation {
    let mut expectations = members(fields, "expect").filter(|member| !member.is_empty()).peekable();
    if expectations.peek().is_none() {
        return Expectation::None;
    }
    match (expectations.all(|member| member.eq_ignore_ascii_case("100-continue")), minor_version) {
        (true, 1) => Expectation::Continue,
        (true, _) => Expectation::None,
        (false, _) => Expectation::Unknown,
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

    fn normalised(text: &str) -> String {
        String::from_utf8(whole(text).normalised).unwrap()
    }

    fn refused(text: &[u8]) -> bool {
        matches!(scan(text), Scan::Refused(_))
    }

    #[test]
    fn a_plain_request_is_parsed() {
        let text = "POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: x\r\nX-Y:  z \r\n\r\nabc";
        let head = whole(text);
        assert_eq!(head.bytes, text.len() - 3);
        assert_eq!(normalised(text), "POST /a?b=c HTTP/1.1\r\nHost: x\r\nX-Y: z\r\n\r\n");
        let repeated = "GET / HTTP/1.1\r\nX: a\r\nHost: y\r\nx:\r\nY: z\r\nX: b, c\r\n\r\n";
        assert_eq!(normalised(repeated), "GET / HTTP/1.1\r\nX: a, , b, c\r\nHost: y\r\nY: z\r\n\r\n");
        assert_eq!((head.framing, head.persistence), (Framing::Length(3), Persistence::Implied));
        assert_eq!(head.expectation, Expectation::None);
        assert_eq!(whole(&format!("\r\n{text}")).bytes, text.len() - 1, "one empty line before it is ignored");
    }

    #[test]
    fn every_prefix_of_a_request_is_partial() {
        let text = "\r\nGET / HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n";
        for length in 0..text.len() {
            assert_eq!(scan(&text.as_bytes()[..length]), Scan::Partial, "{length}");
        }
        assert_eq!(whole(text).bytes, text.len());
    }

    #[test]
    fn ambiguous_framing_is_refused() {
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
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: identity",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding:",
            "Transfer-Encoding: \"chunked\"",
            "Connection: Upgrade\r\nContent-Length: 3",
            "Connection: keep-alive, upgrade",
            "Authorization: Basic a\r\nAuthorization: Basic b",
            "X-SSL-Client-SHA1: a\r\nx-ssl-client-sha1: a",
            "X-Proxy-Secret: a\r\nX-Proxy-Secret: b",
            "X\u{0}Y: z",
            "X: a\u{1}b",
            "X.Y: z",
            "X y: z",
            "Transfer_Encoding: chunked",
            "content_length: 3",
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
    fn malformed_request_lines_are_refused() {
        let lines = [
            "GET /",
            "GET  / HTTP/1.1",
            "GET / HTTP/2.0",
            "GET /#x HTTP/1.1",
            "GET /x?y#z HTTP/1.1",
            "GET http://x/#y HTTP/1.1",
            "GET ?x HTTP/1.1",
            "GET x HTTP/1.1",
            "GET ftp://x/ HTTP/1.1",
            "CONNECT x:443 HTTP/1.1",
            "GET / HTTP/3.0",
            "GET / HTTP/0.9",
            "GET / http/1.1",
            "GET / HTTP/1.1 x",
            "G(T / HTTP/1.1",
            " GET / HTTP/1.1",
            "GET /\u{7f} HTTP/1.1",
            "",
            "GET http:///x HTTP/1.1",
            "GET http://a:b@x/ HTTP/1.1",
            "\r\n\r\nGET / HTTP/1.1",
        ];
        for line in lines {
            assert!(refused(format!("{line}\r\nHost: x\r\n\r\n").as_bytes()), "{line:?}");
        }
        assert!(refused(b"\x16\x03\x01\x02\x00\x01"), "a TLS hello is refused at once");
        assert!(refused(b"GET / HTTP/1.1\nHost: x\n"), "bare LF is refused before the end");
        assert!(refused(&[b'a'; MAX_HEAD_BYTES]), "an endless line is refused");
    }

    #[test]
    fn hosts_are_validated() {
        assert!(refused(b"GET / HTTP/1.1\r\n\r\n") && refused(b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"));
        whole("GET / HTTP/1.0\r\n\r\n");
        whole("GET / HTTP/1.1\r\nHost: [::1]:5000\r\n\r\n");
        for (target, origin) in [("http://y/abc?d", "/abc?d"), ("HTTP://y", "/"), ("hTTps://y?z", "/?z")] {
            let text = normalised(&format!("GET {target} HTTP/1.1\r\nhost: x\r\nX: z\r\n\r\n"));
            assert_eq!(text, format!("GET {origin} HTTP/1.1\r\nHost: y\r\nX: z\r\n\r\n"), "the target's host wins");
        }
        let text = "OPTIONS * HTTP/1.1\r\nHost: x:\r\nX: a\tb\r\nx: c\td\r\n\r\n";
        assert_eq!(normalised(text), "OPTIONS * HTTP/1.1\r\nHost: x:\r\nX: a b, c d\r\n\r\n");
    }

    #[test]
    fn persistence_follows_version_and_connection_header() {
        let persistence = |version: &str, fields: &str| {
            whole(&format!("GET / HTTP/{version}\r\nHost: x\r\n{fields}\r\n")).persistence
        };
        for (version, fields, expected) in [
            ("1.1", "", Persistence::Implied),
            ("1.1", "Connection: Keep-Alive\r\n", Persistence::Implied),
            ("1.1", "Connection: closed\r\n", Persistence::Implied),
            ("1.1", "Connection: Close\r\n", Persistence::Close),
            ("1.1", "Connection: x\r\nConnection: keep-alive ,close\r\n", Persistence::Close),
            ("1.0", "", Persistence::Close),
            ("1.0", "Connection: Keep-Alive\r\n", Persistence::KeepAlive),
            ("1.0", "Connection: keep-alive, close\r\n", Persistence::Close),
        ] {
            assert_eq!(persistence(version, fields), expected, "{version} {fields:?}");
        }
    }

    #[test]
    fn expectations_are_parsed() {
        let expectation = |version: &str, fields: &str| {
            whole(&format!("GET / HTTP/{version}\r\nHost: x\r\n{fields}\r\n")).expectation
        };
        for (version, fields, expected) in [
            ("1.1", "", Expectation::None),
            ("1.1", "Expect:\r\n", Expectation::None),
            ("1.1", "Expect: 100-Continue\r\n", Expectation::Continue),
            ("1.1", "Expect: 100-continue\r\nExpect: 100-continue\r\n", Expectation::Continue),
            ("1.0", "Expect: 100-continue\r\n", Expectation::None),
            ("1.1", "Expect: 200-ok\r\n", Expectation::Unknown),
            ("1.1", "Expect: 100-continue, x\r\n", Expectation::Unknown),
            ("1.0", "Expect: x\r\n", Expectation::Unknown),
        ] {
            assert_eq!(expectation(version, fields), expected, "{version} {fields:?}");
        }
    }

    #[test]
    fn chunked_is_case_insensitive() {
        for coding in ["chunked", "Chunked", "CHUNKED"] {
            let head = whole(&format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {coding}\r\n\r\n"));
            assert_eq!(head.framing, Framing::Chunked);
        }
    }
}
