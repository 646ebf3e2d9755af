//! URLs: of a server, and of a paste on it with its key.
//!
//! Invariant: different spellings of the same server compare equal. Must never show a key in `Debug` output or an
//! error.

use super::failure::Failure;
use crate::e2e::Key;
use crate::paste::Id;
use crate::sealed::Ask;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use ureq::http::Uri;

/// The base URL of a server: scheme, host, port and path prefix, without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    text: String,
}

impl ServerUrl {
    /// Parses a base URL.
    ///
    /// # Errors
    /// A usage failure that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        // An invalid URL is not quoted: it might contain a key or a password.
        let bad =
            |why: &str| Failure::usage(format!("invalid server URL: {why}; expected e.g. https://paste.example.org"));
        let uri: Uri = text.parse().map_err(|_| bad("it is not a URL"))?;
        let is_https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) => return Err(bad("the scheme is not http or https")),
            None => return Err(bad("http:// or https:// is missing")),
        };
        let authority = uri.authority().ok_or_else(|| bad("the host is missing"))?;
        if authority.as_str().contains('@') {
            return Err(bad("user names and passwords are not supported"));
        }
        if uri.query().is_some() || text.contains('#') {
            return Err(bad("queries and fragments are not supported"));
        }
        let written = authority.host();
        if written.is_empty() {
            return Err(bad("the host is missing"));
        }
        let host = canonical_host(written).ok_or_else(|| bad("the host is invalid"))?;
        let port = authority.port_u16();
        // `Uri` silently drops an invalid port.
        if port.is_none() && authority.as_str().len() != written.len() {
            return Err(bad("the port is invalid"));
        }
        let (scheme, default_port) = if is_https { ("https", 443) } else { ("http", 80) };
        let port = port.filter(|port| *port != default_port).map_or(String::new(), |port| format!(":{port}"));
        let path = uri.path().trim_end_matches('/');
        Ok(Self { text: format!("{scheme}://{host}{port}{path}") })
    }

    /// The host, with its port unless that is the default.
    pub fn host(&self) -> &str {
        let (_, rest) = self.text.split_once("://").unwrap_or(("", &self.text));
        rest.split('/').next().unwrap_or_default()
    }

    /// The host alone.
    pub fn host_name(&self) -> &str {
        let host = self.host();
        let end = host.rfind(':').filter(|colon| !host.get(*colon..).is_some_and(|rest| rest.contains(']')));
        end.and_then(|end| host.get(..end)).unwrap_or(host)
    }

    /// The path its routes live under, without a slash at its end; empty for none.
    pub fn prefix(&self) -> &str {
        let (_, rest) = self.text.split_once("://").unwrap_or(("", &self.text));
        rest.find('/').and_then(|start| rest.get(start..)).unwrap_or_default()
    }

    /// The URL of a path, which begins with a slash, below it.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }
}

/// Whether a host is this machine, to which connections cannot be intercepted.
pub fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || ip_address(host).is_some_and(|address| address.is_loopback())
}

/// Parses an IP address with or without brackets; IPv4-mapped addresses become IPv4.
pub fn ip_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// The canonical form of a name of letters, digits and `-._`, an IPv4 address, or an IPv6 address in brackets.
fn canonical_host(text: &str) -> Option<String> {
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => match address.parse::<Ipv6Addr>().ok()?.to_canonical() {
            IpAddr::V4(address) => Some(address.to_string()),
            IpAddr::V6(address) => Some(format!("[{address}]")),
        },
        None => text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
            .then(|| text.to_ascii_lowercase()),
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A paste named by its URL, or by its ID on the configured server.
pub struct Target {
    /// The server a URL names.
    pub server: Option<ServerUrl>,
    /// The paste.
    pub id: Id,
    /// The key in the fragment.
    pub key: Option<Key>,
    /// The ask, if the link asks for a secret.
    pub ask: Option<Ask>,
}

impl Target {
    /// Parses `URL`, `URL/raw` or `ID`, each with or without a trailing slash and `#key`. Line numbers, which the
    /// server's pages add to the fragment (`#key:L10-L20`, `#L10`), are ignored. `#ask:…` asks for a secret.
    ///
    /// # Errors
    /// A usage failure, also for a fragment that is not a key.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let (address, fragment) = match text.trim().split_once('#') {
            Some((address, fragment)) => (address, Some(fragment)),
            None => (text.trim(), None),
        };
        let ask = fragment.filter(|fragment| Ask::is_meant(fragment));
        let key = fragment.filter(|_| ask.is_none()).and_then(key_of);
        let ask = ask.map(|fragment| Ask::from_fragment(fragment).ok_or_else(no_ask)).transpose()?;
        let key = key.map(|fragment| Key::from_fragment(fragment).ok_or_else(|| no_key(fragment))).transpose()?;
        let address = address.strip_suffix('/').unwrap_or(address);
        if is_without_path(address) {
            return Err(Failure::usage("the link has no ID").hint("copy the full link, with the ID after the host"));
        }
        let Some((server, id)) = address.strip_suffix("/raw").unwrap_or(address).rsplit_once('/') else {
            return Ok(Self { server: None, id: address.parse().map_err(|()| no_paste(address))?, key, ask });
        };
        let server = ServerUrl::parse(server)?;
        Ok(Self { server: Some(server), id: id.parse().map_err(|()| no_paste(id))?, key, ask })
    }
}

/// Whether this is a URL without a path, which names a server and no paste.
fn is_without_path(address: &str) -> bool {
    let scheme_and_host = address.trim_end_matches('/').split_once("://");
    scheme_and_host.is_some_and(|(scheme, host)| {
        !host.contains('/') && ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
    })
}

/// Whether this is the URL of a paste, with or without a key, or lacks only its ID: then `get` is meant.
pub fn names_a_paste(text: &str) -> bool {
    let address = text.trim().split('#').next().unwrap_or_default();
    is_without_path(address) || Target::parse(address).is_ok_and(|target| target.server.is_some())
}

/// Whether this is `ID#KEY`, as `create -q` prints it, and hardly a file name.
pub fn is_id_with_key(text: &str) -> bool {
    Target::parse(text).is_ok_and(|target| target.server.is_none() && target.key.is_some())
}

/// The key in a link, in `#KEY` or in `KEY`.
///
/// # Errors
/// A usage failure if there is none.
pub fn key(text: &str) -> Result<Key, Failure> {
    let fragment = text.trim().rsplit_once('#').map_or(text.trim(), |(_, fragment)| fragment);
    let is_absent = || {
        if text.contains('#') { key_of(fragment).is_none_or(str::is_empty) } else { Target::parse(text).is_ok() }
    };
    key_of(fragment).and_then(Key::from_fragment).ok_or_else(|| {
        if is_absent() {
            return Failure::usage("the link has no key").hint("use the full link, including the part after the #");
        }
        no_key(fragment)
    })
}

/// The length of a key in a link.
const KEY_CHARS: usize = 43;

/// Longer IDs are not quoted: they might be a key or a part of one.
const KEY_LIKE_CHARS: usize = 20;

fn no_paste(id: &str) -> Failure {
    let message = match id.chars().count() {
        0 => "invalid link: the ID is missing".to_owned(),
        1..KEY_LIKE_CHARS => format!("invalid paste ID {id:?}"),
        _ => "invalid paste ID".to_owned(),
    };
    Failure::usage(message).hint("use the link, or its ID of 4 to 64 hex digits")
}

fn no_key(fragment: &str) -> Failure {
    if key_of(fragment).unwrap_or_default().chars().count() == KEY_CHARS {
        return Failure::usage("invalid key after the #: at least one character is wrong")
            .hint("compare it with the original link, or copy that again");
    }
    Failure::usage("invalid key after the #: the link is damaged or incomplete")
        .hint("copy the full link, including the 43 characters after the #, and quote it")
}

fn no_ask() -> Failure {
    Failure::usage("invalid link: the part after #ask: is damaged or incomplete")
        .hint("copy the full link, including the 64 characters after #ask:, and quote it")
}

/// The key part of a fragment, without line numbers; `None` if there are only line numbers.
fn key_of(fragment: &str) -> Option<&str> {
    match fragment.split_once(':') {
        Some((key, lines)) if is_lines(lines) => Some(key),
        None if is_lines(fragment) => None,
        _ => Some(fragment),
    }
}

/// Whether this is `L10` or `L10-L20`.
fn is_lines(text: &str) -> bool {
    let is_line = |text: &str| {
        let digits = text.strip_prefix('L').unwrap_or_default();
        (1..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    text.split_once('-').map_or_else(|| is_line(text), |(from, to)| is_line(from) && is_line(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAGMENT: &str = "qBlAjOUBDKLgnvWaw9ifX_hZXQK1JOYb-K-olKldWU8";

    #[test]
    fn spellings_of_the_same_server_are_equal() {
        let base = ServerUrl::parse("https://paste.example.org").unwrap();
        for text in ["https://paste.example.org/", "HTTPS://Paste.Example.ORG:443", "https://paste.example.org//"] {
            assert_eq!(ServerUrl::parse(text).unwrap(), base, "{text}");
        }
        for text in ["https://paste.example.org:444", "http://paste.example.org", "https://paste.example.org/p"] {
            assert_ne!(ServerUrl::parse(text).unwrap(), base, "{text}");
        }
        assert_eq!(ServerUrl::parse("http://[::1]:5000/p/").unwrap().join("/abcd"), "http://[::1]:5000/p/abcd");
    }

    #[test]
    fn the_parts_of_a_server() {
        for (text, host, prefix) in [
            ("http://[::1]:5000/p/q/", "[::1]", "/p/q"),
            ("http://[::1]", "[::1]", ""),
            ("https://x.example:444", "x.example", ""),
            ("https://x.example/p", "x.example", "/p"),
        ] {
            let server = ServerUrl::parse(text).unwrap();
            assert_eq!((server.host_name(), server.prefix()), (host, prefix), "{text}");
        }
    }

    #[test]
    fn invalid_server_urls_are_refused() {
        for text in [
            "",
            "paste.example.org",
            "localhost:5000",
            "ftp://x",
            "https://",
            "https://u:p@x",
            "https://x?q",
            "https://x#f",
            "http://x:99999",
            "http://x:",
            "http:///x",
            "http://ex ample",
            "http://x[:5000/p",
            "http://[::g]",
            "http://a;b",
        ] {
            assert!(ServerUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn line_numbers_in_a_fragment_are_ignored() {
        for lines in ["L1", "L10-L20"] {
            assert!(Target::parse(&format!("https://x/abcd1234#{lines}")).unwrap().key.is_none(), "{lines}");
            assert!(Target::parse(&format!("abcd1234#{FRAGMENT}:{lines}")).unwrap().key.is_some(), "{lines}");
            assert!(Target::parse(&format!("abcd1234#{}:{lines}", &FRAGMENT[1..])).is_err(), "{lines}");
        }
    }

    #[test]
    fn ip_addresses_are_canonicalized() {
        for (text, expected) in [
            ("http://[::1]:5000", "http://[::1]:5000"),
            ("http://[0:0:0:0:0:0:0:1]:5000", "http://[::1]:5000"),
            ("https://[2001:DB8::00A]:443/p", "https://[2001:db8::a]/p"),
            ("http://[::ffff:192.0.2.1]", "http://192.0.2.1"),
            ("http://[::FFFF:c000:201]:81", "http://192.0.2.1:81"),
        ] {
            assert_eq!(ServerUrl::parse(text).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn loopback_is_recognized() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]", "::1", "[::ffff:127.0.0.1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example.org", "192.0.2.1", "[::2]", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_mistyped_key_and_a_truncated_one_have_different_errors() {
        let message = |fragment: &str| match Target::parse(&format!("abcd1234#{fragment}")) {
            Err(failure) => failure.message,
            Ok(_) => panic!("{fragment}"),
        };
        // The last character of 32 bytes has two bits that are always zero.
        for wrong in [FRAGMENT.replace("_h", "!h"), FRAGMENT.replace("WU8", "WU9")] {
            assert!(message(&wrong).contains("one character is wrong"), "{wrong}");
        }
        for cut in [&FRAGMENT[1..], "short", ""] {
            assert!(message(cut).contains("damaged or incomplete"), "{cut}");
        }
    }

    #[test]
    fn pastes_are_named_by_url_or_id() {
        for (text, server) in [
            ("abcd1234".to_owned(), None),
            ("ABCD1234".to_owned(), None),
            (format!("abcd1234#{FRAGMENT}"), None),
            ("https://x/p/abcd1234".to_owned(), Some("https://x/p")),
            ("https://x/abcd1234/raw".to_owned(), Some("https://x")),
            (format!("https://x/abcd1234/raw#{FRAGMENT}\n"), Some("https://x")),
            (format!("https://x/abcd1234/#{FRAGMENT}"), Some("https://x")),
            (format!("https://x/p/abcd1234/raw/#{FRAGMENT}"), Some("https://x/p")),
            ("https://x/abcd1234/".to_owned(), Some("https://x")),
        ] {
            let target = Target::parse(&text).unwrap();
            assert_eq!(target.id.as_str(), "abcd1234", "{text}");
            assert_eq!(target.server.map(|server| server.to_string()).as_deref(), server, "{text}");
            assert_eq!(target.key.is_some(), text.contains('#'), "{text}");
        }
        for text in ["abcd1234#", "abcd1234#short", "abcd1234#L", "abcd1234#L1-2", "abcd1234#x:L1", "abcd1234#:"] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
        for text in ["", "abc", "xyz12345", "https://x/", "https://x/abcd1234/more", "https://x/abcd1234//", "/abcd"] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }
}
