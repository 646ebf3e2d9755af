//! What a fuzzer may do to our own parsers, and what has to hold whatever it does. Used by cargo-fuzz, and, with a short
//! deterministic run, by the ordinary tests.

use flaskpaste::config::{Config, SETTINGS};
use flaskpaste::handlers::json_body::JsonBody;
use flaskpaste::http::{Body, Framing, Method, Peer, Reply, Request, Span, parse_range};
use flaskpaste::server::head::{Head, MAX_HEAD_BYTES, Scan, scan};
use flaskpaste::{admission, client, mime, paste, pow, web};
use std::ffi::OsString;

/// Tries one input; panics when something does not hold.
pub type Target = fn(&[u8]);

/// Every target, by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("basic", basic),
    ("config", config),
    ("expiry", expiry),
    ("fingerprint", fingerprint),
    ("head", head),
    ("json", json),
    ("link", link),
    ("mime", mime),
    ("page", page),
    ("pow", pow),
    ("range", range),
];

fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

/// A request with some headers, from this machine.
fn with_request<T>(headers: &[(&str, &str)], look: impl FnOnce(&Request<'_>) -> T) -> T {
    let headers: Vec<(String, String)> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    look(&Request {
        method: Method::Get,
        path: "/",
        query: "",
        headers: &headers,
        peer: Peer::Unix,
        framing: Framing::None,
        body: &mut std::io::empty(),
    })
}

/// A password is what is behind the colon, and never empty.
fn basic(data: &[u8]) {
    let value = text(data);
    for name in ["Authorization", "X-Paste-Password", "X-Paste-Password-Base64"] {
        let presented = with_request(&[(name, &value)], admission::presented_password);
        assert!(!presented.is_ok_and(|password| password.is_some_and(|password| password.is_empty())));
    }
}

/// A wrong value is refused in one line that begins with the variable's name.
fn config(data: &[u8]) {
    let Some((which, value)) = data.split_first() else { return };
    let name = SETTINGS[usize::from(*which) % SETTINGS.len()].name;
    let value = text(value);
    if let Err(error) = Config::from_variables([(OsString::from(name), OsString::from(&value))]) {
        let line = error.to_string();
        assert!(line.starts_with(name) && !line.contains('\n'), "{line}");
    }
    // A name nobody knows.
    let unknown = format!("FLASKPASTE_{}", value.replace(['\0', '='], ""));
    let known = SETTINGS.iter().any(|setting| setting.name == unknown);
    let read = Config::from_variables([(OsString::from(&unknown), OsString::new())]);
    assert!(known || read.is_ok() == unknown_is_the_clients(&unknown));
}

fn unknown_is_the_clients(name: &str) -> bool {
    ["SERVER", "CERT_SHA1", "CLIENT_CERT", "CLIENT_KEY", "CA_CERT"]
        .iter()
        .any(|own| name == format!("FLASKPASTE_{own}"))
}

/// Whole, positive, and nothing but digits.
fn expiry(data: &[u8]) {
    let value = text(data);
    if let Some(seconds) = paste::parse_expiry_seconds(&value) {
        assert!(seconds > 0 && value.trim().bytes().all(|byte| byte.is_ascii_digit()), "{value:?}: {seconds}");
    }
}

/// Forty lower-case hex digits, which are read as themselves.
fn fingerprint(data: &[u8]) {
    let value = text(data);
    let config = Config::default();
    let owner =
        |value: &str| with_request(&[("X-SSL-Client-SHA1", value)], |request| admission::owner(&config, request));
    if let Some(fingerprint) = owner(&value) {
        let read = fingerprint.as_str();
        assert!(read.len() == 40 && read.bytes().all(|byte| b"0123456789abcdef".contains(&byte)), "{read}");
        assert_eq!(owner(read), Some(fingerprint));
    }
}

/// A head that is whole is the same head whatever follows it, and none before its end; it fits its limits.
fn head(data: &[u8]) {
    let Scan::Whole(found) = scan(data) else { return };
    let Head { bytes, target, fields, .. } = &found;
    assert!(*bytes <= data.len() && target.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(fields.iter().all(|(name, value)| !name.is_empty() && !value.contains(['\r', '\n', '\0'])));
    assert!(fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).count() <= 1);
    if *bytes <= MAX_HEAD_BYTES {
        assert!(matches!(scan(&data[..*bytes]), Scan::Whole(head) if head.bytes == *bytes && head.target == *target));
    }
    for cut in [*bytes - 1, *bytes / 2] {
        assert!(!matches!(scan(&data[..cut]), Scan::Whole(_)));
    }
}

/// What is taken for a create is an object with a text.
fn json(data: &[u8]) {
    let Ok(body) = JsonBody::parse(data) else { return };
    let _ = (body.expiry_seconds(), body.burn_after_read(), body.password());
    if let Ok(content) = body.content() {
        // No escape makes it longer than what was sent.
        assert!(content.len() <= data.len());
    }
}

/// A link names one paste, and a server that reads as itself.
fn link(data: &[u8]) {
    let value = text(data);
    if let Ok(target) = client::link::Target::parse(&value) {
        let id = target.id.as_str();
        assert!((4..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        if let Some(server) = target.server {
            assert_eq!(client::link::ServerUrl::parse(&server.to_string()).ok(), Some(server));
        }
    }
    if let Ok(server) = client::link::ServerUrl::parse(&value) {
        assert!(!server.to_string().ends_with('/') && !server.to_string().contains('#'), "{server}");
    }
}

/// No type a browser would run is served, and none breaks a header.
fn mime(data: &[u8]) {
    let detected = mime::detect(data, std::str::from_utf8(data).is_ok());
    let sent = mime::sanitise(Some(&text(data)));
    for stored in [Some(detected.to_owned()), sent].into_iter().flatten() {
        let served = mime::served(&stored);
        assert!(served.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{served:?}");
        let essence = served.split(';').next().unwrap_or_default();
        let is_active = essence.ends_with("+xml")
            || ["/html", "/xml", "/javascript", "/ecmascript", "/x-javascript"]
                .iter()
                .any(|end| essence.ends_with(end));
        assert!(!is_active, "{stored} is served as {served}");
        let _ = (mime::is_inline(served), mime::extension(served));
    }
}

/// Whatever an answer and an address hold, a page has the markup it has without; and the scripts read the answer back.
fn page(data: &[u8]) {
    let value = text(data);
    let _ = with_request(&[("Accept", &value)], |request| request.accepts_html() && request.prefers_text());
    let filled = |value: &str| {
        let answer = serde_json::json!({ "id": value, "mime_type": value, "error": value, "hint": value });
        let status = if data.len().is_multiple_of(2) { 200 } else { 404 };
        let Body::Bytes(page) = web::page(Reply::json(status, &answer), "/prefix", value).body else { unreachable!() };
        (String::from_utf8(page).unwrap(), answer)
    };
    let ((page, answer), (bare, _)) = (filled(&value), filled(""));
    for mark in ['<', '>', '"', '\''] {
        assert_eq!(page.matches(mark).count(), bare.matches(mark).count(), "{mark} of {value:?}");
    }
    let attribute = page.split("data-answer=\"").nth(1).unwrap().split('"').next().unwrap();
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    let read = entities.iter().fold(attribute.to_owned(), |text, (entity, letter)| text.replace(entity, letter));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&read).unwrap(), answer);
}

/// Nobody but the server makes a token.
fn pow(data: &[u8]) {
    let value = text(data);
    let (token, solution) = value.split_once('\n').unwrap_or((&value, "0"));
    assert!(pow::check(b"a secret the fuzzer does not know", token, solution, 0, 0).is_err());
}

/// A part lies within the content.
fn range(data: &[u8]) {
    let Some((size, header)) = data.split_first_chunk::<8>() else { return };
    let size = u64::from_le_bytes(*size);
    if let Span::Part(part) = parse_range(&text(header), size) {
        assert!(part.start < part.end && part.end <= size, "{part:?} of {size}");
    }
}
