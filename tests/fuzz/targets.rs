//! The fuzz targets for our own parsers, and the properties that hold for every input. Used by cargo-fuzz and, in a
//! short deterministic run, by the integration tests.

use flaskpaste::config::{Config, SETTINGS};
use flaskpaste::e2e::Key;
use flaskpaste::handlers::json_body::JsonBody;
use flaskpaste::handlers::multipart;
use flaskpaste::http::{Body, Framing, Method, Peer, Reply, Request, Span, parse_range};
use flaskpaste::language;
use flaskpaste::sealed::{Ask, FileEntry, MAX_LABEL_BYTES, Manifest, Opener, Sealer, Secrets, check_name};
use flaskpaste::server::decoder::{Decoder, Next};
use flaskpaste::server::head::{MAX_HEAD_BYTES, Scan, scan};
use flaskpaste::web::Pages;
use flaskpaste::{admission, client, mime, paste, pow};
use std::ffi::OsString;
use std::io::Write as _;
use std::net::Shutdown;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tries one input; panics if a property does not hold.
pub type Target = fn(&[u8]);

/// Every target, by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("basic", basic),
    ("config", config),
    ("connection", super::connections::connection),
    ("expiry", expiry),
    ("fingerprint", fingerprint),
    ("head", head),
    ("json", json),
    ("link", link),
    ("manifest", manifest),
    ("mime", mime),
    ("multipart", multipart),
    ("names", names),
    ("page", page),
    ("pow", pow),
    ("range", range),
    ("sealed", sealed),
];

/// An accepted manifest keeps the rules: its names stay below a folder, and it round-trips.
fn manifest(data: &[u8]) {
    let Ok(manifest) = Manifest::parse(data) else { return };
    let folder = std::path::Path::new("/below");
    for name in manifest.files.iter().filter_map(|file| file.name.as_deref()) {
        assert!(check_name(name).is_ok());
        let place = folder.join(name);
        assert!(place.starts_with(folder) && place.components().all(|part| part.as_os_str() != ".."), "{name:?}");
    }
    assert_eq!(Manifest::parse(&manifest.render().unwrap()).unwrap(), manifest);
}

/// A form is parsed the same however it is split, and nothing in it is lost or made up.
fn multipart(data: &[u8]) {
    let (boundary, form) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len()));
    let Ok(Some(boundary)) = multipart::boundary(&text(boundary)) else { return };
    let form = form.get(1..).unwrap_or_default();
    let whole = parts(&boundary, form, usize::MAX);
    for at_a_time in [1, 7, 1000] {
        assert_eq!(parts(&boundary, form, at_a_time), whole, "{at_a_time} bytes at a time");
    }
    if let Ok(parts) = whole {
        let length: usize = parts.iter().map(|(_, content)| content.len()).sum();
        assert!(length <= form.len() && parts.len() <= 32);
        for (_, content) in parts {
            let delimiter = format!("\r\n--{boundary}");
            assert!(!content.windows(delimiter.len()).any(|window| window == delimiter.as_bytes()));
        }
    }
}

/// The parts of a form that arrives in pieces of this size, or the error.
fn parts(
    boundary: &str,
    form: &[u8],
    at_a_time: usize,
) -> Result<Vec<(multipart::Part, Vec<u8>)>, multipart::Malformed> {
    let mut rest = form;
    let mut parts = multipart::Parts::new(boundary, |buffer: &mut [u8]| {
        let (now, later) = rest.split_at(rest.len().min(at_a_time).min(buffer.len()));
        buffer[..now.len()].copy_from_slice(now);
        rest = later;
        Ok(now.len())
    });
    let mut found = Vec::new();
    while let Some(part) = parts.next_part()? {
        let mut content = Vec::new();
        parts.content(|piece| {
            content.extend_from_slice(piece);
            Ok::<_, multipart::Malformed>(())
        })?;
        found.push((part, content));
    }
    Ok(found)
}

/// Names, one per line: a manifest accepts them together if it accepts each alone and no two conflict.
fn names(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let names: Vec<&str> = text.split('\n').take(50).collect();
    let entry = |name: &&str| FileEntry { name: Some((*name).to_owned()), ..FileEntry::default() };
    let manifest = Manifest { files: names.iter().map(entry).collect(), reads: None, expires_at: None };
    let lower: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let collide = |(at, name): (usize, &String)| {
        lower[at + 1..].iter().any(|other| {
            name == other || other.starts_with(&format!("{name}/")) || name.starts_with(&format!("{other}/"))
        })
    };
    let is_good = names.iter().all(|name| check_name(name).is_ok()) && !lower.iter().enumerate().any(collide);
    assert_eq!(manifest.render().is_ok(), is_good, "{names:?}");
}

/// An upload opens to what was sealed or not at all: the input says how it is modified.
fn sealed(data: &[u8]) {
    let key = Key::from_fragment("qBlAjOUBDKLgnvWaw9ifX_hZXQK1JOYb-K-olKldWU8").unwrap();
    let secrets = Secrets::new(&key, None);
    let open = |upload: &[u8]| {
        let mut reader = upload;
        let mut opener = Opener::begin(&secrets, &mut reader).ok()?;
        let mut plaintext = Vec::new();
        while let Some(chunk) = opener.next_chunk(&mut reader, upload.len() as u64).ok()? {
            plaintext.extend_from_slice(&chunk);
        }
        Some(plaintext)
    };
    assert!(open(data).is_none(), "the commitment needs the key");
    let plaintext = vec![7; 70_000];
    let mut upload = Vec::new();
    let sealer = Sealer::new(&secrets).unwrap();
    std::io::Read::read_to_end(&mut sealer.seal(plaintext.as_slice(), 70_000), &mut upload).unwrap();
    let whole = upload.clone();
    for change in data.chunks_exact(4) {
        let at = usize::from(u16::from_be_bytes([change[0], change[1]])) * 2 % (upload.len() + 1);
        match change[2] % 3 {
            0 if at < upload.len() => upload[at] ^= change[3],
            1 => upload.truncate(at),
            _ => upload.insert(at.min(upload.len()), change[3]),
        }
    }
    if upload != whole {
        assert!(open(&upload).is_none());
    }
}

fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

/// A request from this machine with some headers.
fn with_request<T>(headers: &[(&str, &str)], look: impl FnOnce(&Request<'_>) -> T) -> T {
    let fields =
        |name: &str| headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value);
    look(&Request {
        method: Method::Get,
        path: "/",
        query: "",
        fields: &fields,
        peer: Peer::Unix,
        owner: None,
        framing: Framing::None,
        body: &mut std::io::empty(),
    })
}

/// A password is what follows the colon, and never empty.
fn basic(data: &[u8]) {
    let value = text(data);
    for name in ["Authorization", "X-Paste-Password", "X-Paste-Password-Base64"] {
        let presented = with_request(&[(name, &value)], admission::presented_password);
        assert!(!presented.is_ok_and(|password| password.is_some_and(|password| password.is_empty())));
    }
}

/// An invalid value gets a one-line error that begins with the variable's name.
fn config(data: &[u8]) {
    let Some((which, value)) = data.split_first() else { return };
    let name = SETTINGS[usize::from(*which) % SETTINGS.len()].name;
    let value = text(value);
    if let Err(error) = Config::from_variables([(OsString::from(name), OsString::from(&value))]) {
        let line = error.to_string();
        assert!(line.starts_with(name) && !line.contains('\n'), "{line}");
    }
    // An unknown name.
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

/// A positive whole number: digits only.
fn expiry(data: &[u8]) {
    let value = text(data);
    if let Some(seconds) = paste::parse_expiry_seconds(&value) {
        assert!(seconds > 0 && value.trim().bytes().all(|byte| byte.is_ascii_digit()), "{value:?}: {seconds}");
    }
}

/// Forty lowercase hex digits, which parse to themselves.
fn fingerprint(data: &[u8]) {
    let value = text(data);
    let config = Config::default();
    let owner =
        |value: &str| with_request(&[("X-SSL-Client-SHA1", value)], |request| admission::certificate(&config, request));
    if let Some(fingerprint) = owner(&value) {
        let read = fingerprint.as_str();
        assert!(read.len() == 40 && read.bytes().all(|byte| b"0123456789abcdef".contains(&byte)), "{read}");
        assert_eq!(owner(read), Some(fingerprint));
    }
}

/// A complete head is the same head whatever follows it, and no prefix of it is one. tiny_http reads the same request
/// from it and, where it accepts the body at all, the same body.
fn head(data: &[u8]) {
    let Scan::Whole(found) = scan(data) else { return };
    let (raw, rest) = data.split_at(found.bytes);
    assert!(raw.len() <= MAX_HEAD_BYTES + 2 && scan(raw) == Scan::Whole(found));
    for cut in [raw.len() - 1, raw.len() / 2] {
        assert!(!matches!(scan(&data[..cut]), Scan::Whole(_)));
    }
    let Scan::Whole(found) = scan(data) else { unreachable!() };
    let normalised = String::from_utf8(found.normalised).unwrap();
    let (line, fields) = normalised.split_once("\r\n").unwrap();
    let has_agreed = tiny_http_reads(normalised.as_bytes(), b"", |request| {
        assert_eq!(line, format!("{} {} HTTP/1.1", request.method(), request.url()));
        for field in fields.split_terminator("\r\n").filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once(": ").unwrap();
            let read = request.headers().get(name).map(|read| read.as_str().to_owned());
            assert_eq!(read.as_deref(), Some(value.trim_matches(' ')), "{name}");
        }
    });
    assert!(has_agreed.is_some(), "tiny_http rejects what we accept");
    let Ok((content, taken)) = decode(found.framing, rest) else { return };
    let framing = match found.framing {
        Framing::None => return,
        Framing::Length(length) => format!("Content-Length: {length}"),
        Framing::Chunked => "Transfer-Encoding: chunked".to_owned(),
    };
    let head = format!("POST / HTTP/1.1\r\n{framing}\r\n\r\n");
    tiny_http_reads(head.as_bytes(), &rest[..taken], |request| {
        let mut read = Vec::new();
        if request.as_reader().read_to_end(&mut read).is_ok() {
            assert_eq!(read, content);
        }
    });
}

/// What our decoder makes of a complete body: its content, and how many bytes it consumed.
fn decode(framing: Framing, bytes: &[u8]) -> Result<(Vec<u8>, usize), ()> {
    let (mut decoder, mut content, mut taken) = (Decoder::new(framing), Vec::new(), 0);
    loop {
        let rest = &bytes[taken..];
        taken += match decoder.next() {
            Next::End => return Ok((content, taken)),
            _ if rest.is_empty() => return Err(()),
            Next::Framing => decoder.read_framing(rest).map_err(|_| ())?,
            Next::Content(left) => {
                let some = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                content.extend_from_slice(&rest[..some]);
                decoder.take_content(some as u64);
                some
            }
        };
    }
}

/// What tiny_http reads from these bytes and nothing after them; `None` if it rejects them.
fn tiny_http_reads(head: &[u8], body: &[u8], look: impl FnOnce(&mut tiny_http::Request)) -> Option<()> {
    // Each name once: a program being started by another test may hold the last listener for a moment.
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let name = format!("flaskpaste-fuzz-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let address = SocketAddr::from_abstract_name(name).unwrap();
    let listener = tiny_http::Listener::from(UnixListener::bind_addr(&address).unwrap());
    let mut ours = UnixStream::connect_addr(&address).unwrap();
    ours.write_all(head).and_then(|()| ours.write_all(body)).unwrap();
    ours.shutdown(Shutdown::Write).unwrap();
    let no_tls = tiny_http::SslContextWrap::build_ssl_capabilities(None).unwrap();
    let mut connection = tiny_http::Server::accept_connection(&listener, &no_tls).unwrap().unwrap();
    let mut request = connection.next()?.ok()?;
    look(&mut request);
    // Otherwise it responds by itself, and dropping it waits for the connection.
    drop(request.into_writer());
    Some(())
}

/// A body accepted as a create is an object with a text.
fn json(data: &[u8]) {
    let Ok(body) = JsonBody::parse(data) else { return };
    let _ = (body.expiry_seconds(), body.burn_after_read(), body.password());
    if let Ok(content) = body.content() {
        // No escape makes it longer than the input.
        assert!(content.len() <= data.len());
    }
}

/// A link identifies one paste, and its server parses to itself.
fn link(data: &[u8]) {
    let value = text(data);
    if let Ok(target) = client::link::Target::parse(&value) {
        let id = target.id.as_str();
        assert!((4..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        if let Some(ask) = target.ask {
            assert!(ask.label.as_ref().is_none_or(|label| label.len() <= MAX_LABEL_BYTES));
            assert_eq!(Ask::from_fragment(&ask.fragment()).map(|read| read.label), Some(ask.label));
        }
        if let Some(server) = target.server {
            assert_eq!(client::link::ServerUrl::parse(&server.to_string()).ok(), Some(server));
        }
    }
    if let Ok(server) = client::link::ServerUrl::parse(&value) {
        assert!(!server.to_string().ends_with('/') && !server.to_string().contains('#'), "{server}");
    }
}

/// No type that a browser would execute is served, and none breaks a header.
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

/// Whatever a response and an address contain, the markup of the page is unchanged; and the scripts parse the response.
fn page(data: &[u8]) {
    static PAGES: LazyLock<Pages> = LazyLock::new(|| Pages::new("/prefix", "mailto:a@example.org"));
    let value = text(data);
    let _ = with_request(&[("Accept", &value)], |request| request.accepts_html() && request.prefers_text());
    let headers = [("Cookie", value.as_str()), ("Accept-Language", &value)];
    let language = with_request(&headers, language::of);
    let filled = |value: &str| {
        let answer =
            serde_json::json!({ "id": value, "mime_type": value, "code": value, "error": value, "hint": value });
        let status = if data.len().is_multiple_of(2) { 200 } else { 404 };
        let Body::Bytes(page) = PAGES.page(Reply::json(status, &answer), value, language).body else { unreachable!() };
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

/// Only the server makes valid tokens.
fn pow(data: &[u8]) {
    let value = text(data);
    let (token, solution) = value.split_once('\n').unwrap_or((&value, "0"));
    assert!(pow::check(b"a secret the fuzzer does not know", token, solution, 0, 0).is_err());
}

/// A range lies within the content.
fn range(data: &[u8]) {
    let Some((size, header)) = data.split_first_chunk::<8>() else { return };
    let size = u64::from_le_bytes(*size);
    if let Span::Part(part) = parse_range(&text(header), size) {
        assert!(part.start < part.end && part.end <= size, "{part:?} of {size}");
    }
}
