//! Proxies from the environment, as in curl, and the attribution of their errors.
//!
//! Invariant: loopback addresses never use a proxy. Must never show more of a proxy's URL than host and port: it may
//! contain a password.

use super::failure::Failure;
use super::link::{ip_address, is_loopback};
use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use ureq::http::Uri;
use ureq::unversioned::transport::{ConnectionDetails, Connector, Transport};
use ureq::{Error, Proxy};

/// The error for an unusable URL.
const NO_ADDRESS: &str = "invalid proxy URL";
/// The hint for it.
const SUPPORTED: &str = "use http://HOST:PORT, socks5://HOST:PORT or socks5h://HOST:PORT";

/// The proxy for a host, as curl determines it: `https_proxy` for https, `http_proxy` for http (only in lower case: in
/// CGI, `HTTP_PROXY` comes from the client), `all_proxy` for both, none for loopback.
///
/// # Errors
/// A usage failure for an invalid or unsupported URL.
pub fn proxy(
    is_https: bool,
    host: &str,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<Proxy>, Failure> {
    let names: &[&str] = if is_https {
        &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
    } else {
        &["http_proxy", "all_proxy", "ALL_PROXY"]
    };
    let text = |name: &str| variable(name).filter(|value| !value.is_empty())?.into_string().ok();
    let Some((name, address)) = names.iter().find_map(|name| text(name).map(|value| (name, value))) else {
        return Ok(None);
    };
    let exceptions = text("no_proxy").or_else(|| text("NO_PROXY")).unwrap_or_default();
    if is_loopback(host) || exceptions.split([',', ' ']).any(|exception| is_exception(exception, host)) {
        return Ok(None);
    }
    let wrong = |why: &str| Failure::usage(format!("{name}: {why}")).hint(SUPPORTED);
    check(&address).map_err(wrong)?;
    Proxy::new(&address).map(Some).map_err(|_| wrong(NO_ADDRESS))
}

/// Checks a proxy's URL. HTTPS proxies are refused: TLS to the proxy would present our client certificate to it.
fn check(address: &str) -> Result<(), &'static str> {
    let uri: Uri = address.parse().map_err(|_| NO_ADDRESS)?;
    let authority = uri.authority().ok_or(NO_ADDRESS)?;
    let place = authority.as_str().rsplit('@').next().unwrap_or_default();
    // `Uri` silently drops an invalid port.
    if authority.host().is_empty() || authority.port_u16().is_none() && place.len() != authority.host().len() {
        return Err(NO_ADDRESS);
    }
    match uri.scheme_str().unwrap_or("http").to_ascii_lowercase().as_str() {
        "http" | "socks5" | "socks5h" => Ok(()),
        "https" => Err("HTTPS proxies are not supported"),
        _ => Err("unsupported proxy scheme"),
    }
}

/// Whether an entry of `no_proxy` matches this host: by name, parent domain, address or network.
fn is_exception(entry: &str, host: &str) -> bool {
    if entry == "*" {
        return true;
    }
    if let Some(address) = ip_address(host) {
        return is_network_of(entry, address);
    }
    let domain = entry.trim_start_matches('*').trim_matches('.').to_ascii_lowercase();
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    !domain.is_empty() && (host == domain || host.ends_with(&format!(".{domain}")))
}

/// Whether this is the address, or a network such as `192.0.2.0/24` that contains it.
fn is_network_of(entry: &str, host: IpAddr) -> bool {
    let (network, bits) = match entry.split_once('/') {
        Some((network, bits)) => (network, bits.parse().ok()),
        None => (entry, Some(u32::MAX)),
    };
    let Some(bits) = bits else { return false };
    match (ip_address(network), host) {
        (Some(IpAddr::V4(network)), IpAddr::V4(host)) => {
            let ignored = Ipv4Addr::BITS.saturating_sub(bits);
            network.to_bits().checked_shr(ignored) == host.to_bits().checked_shr(ignored)
        }
        (Some(IpAddr::V6(network)), IpAddr::V6(host)) => {
            let ignored = Ipv6Addr::BITS.saturating_sub(bits);
            network.to_bits().checked_shr(ignored) == host.to_bits().checked_shr(ignored)
        }
        _ => false,
    }
}

/// Wraps connectors, and attributes their failures to the proxy if one is used.
#[derive(Debug)]
pub struct Blaming<C>(pub C);

/// A failure at a proxy.
#[derive(Debug)]
pub struct ProxyFailed {
    /// Host and port of the proxy.
    pub proxy: String,
    /// The failure.
    pub error: Error,
}

impl fmt::Display for ProxyFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy {}: {}", self.proxy, self.error)
    }
}

impl std::error::Error for ProxyFailed {}

impl<In: Transport, C: Connector<In>> Connector<In> for Blaming<C> {
    type Out = C::Out;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        self.0.connect(details, chained).map_err(|error| match details.config.proxy() {
            Some(proxy) => {
                let proxy = format!("{}:{}", proxy.host(), proxy.port());
                Error::Other(Box::new(ProxyFailed { proxy, error }))
            }
            None => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(is_https: bool, host: &str, variables: &[(&str, &str)]) -> Option<String> {
        let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v));
        proxy(is_https, host, variable).unwrap().map(|proxy| proxy.host().to_owned())
    }

    #[test]
    fn proxies_are_chosen_as_in_curl() {
        let both =
            [("https_proxy", "http://s:1"), ("http_proxy", "http://p:1"), ("NO_PROXY", "in.example, .b.example")];
        assert_eq!(chosen(true, "a.example", &both).as_deref(), Some("s"));
        assert_eq!(chosen(false, "a.example", &both).as_deref(), Some("p"));
        for host in
            ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "in.example", "x.In.Example.", "b.example"]
        {
            assert_eq!(chosen(true, host, &both), None, "{host}");
        }
        assert_eq!(chosen(true, "inn.example", &both).as_deref(), Some("s"));
        assert_eq!(chosen(false, "a.example", &[("HTTP_PROXY", "http://p:1")]), None);
        assert_eq!(chosen(false, "a.example", &[("ALL_PROXY", "http://p:1")]).as_deref(), Some("p"));
    }

    #[test]
    fn exceptions_may_be_addresses_and_networks() {
        let entries =
            "192.0.2.7 198.51.100.0/25,2001:db8::1, [2001:db8::2],2001:DB8:1::/48 10.0.0.0/x,0.0.0.0/40,example/8";
        let variables = [("all_proxy", "http://p:1"), ("no_proxy", entries)];
        for host in ["192.0.2.7", "198.51.100.127", "[2001:db8::1]", "[2001:DB8:0::2]", "[2001:db8:1:ffff::1]"] {
            assert_eq!(chosen(true, host, &variables), None, "{host}");
        }
        for host in ["192.0.2.70", "198.51.100.128", "[2001:db8::3]", "[2001:db8:2::1]", "10.0.0.1", "x.example"] {
            assert_eq!(chosen(true, host, &variables).as_deref(), Some("p"), "{host}");
        }
        for (host, entry) in [("192.0.2.1", "0.0.0.0/0"), ("[2001:db8::1]", "::/0"), ("a.example", "*")] {
            assert_eq!(chosen(true, host, &[("all_proxy", "http://p:1"), ("no_proxy", entry)]), None, "{host}");
        }
    }

    #[test]
    fn invalid_proxy_urls_are_refused() {
        let outcome = |address: &str| proxy(true, "a.example", |_| Some(OsString::from(address)));
        for address in
            ["p", "p:1", "http://u:secret@p:1/", "HTTP://p", "socks5://p", "SOCKS5H://u:secret@p:1", "[::1]:1"]
        {
            assert!(outcome(address).is_ok_and(|proxy| proxy.is_some()), "{address}");
        }
        for address in
            ["https://p", "socks4://p", "socks://p", "ftp://p", "http://p:99999", "http://u:sec#ret@p", "http://", "/p"]
        {
            let failure = outcome(address).map(|_| panic!("{address}")).unwrap_err();
            assert!(failure.message.starts_with("https_proxy: ") && !failure.message.contains("sec"), "{failure:?}");
        }
    }
}
