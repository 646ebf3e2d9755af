//! Proxies, as curl reads them from the environment.
//!
//! Invariant: this machine itself is never reached through one. Must never show what a proxy's address holds: a password
//! perhaps.

use super::failure::Failure;
use std::ffi::OsString;
use ureq::Proxy;

/// The proxy the environment names for a host, as curl reads it: `https_proxy` for https, `http_proxy` for http (in
/// lower case only: a CGI program's `HTTP_PROXY` comes from the client), `all_proxy` for both, none for this machine.
///
/// # Errors
/// A usage failure for an address that is none, or of a kind that cannot be used.
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
    if is_local(host) || exceptions.split(',').any(|exception| is_exception(exception.trim(), host)) {
        return Ok(None);
    }
    let proxy = Proxy::new(&address).map_err(|_| Failure::usage(format!("{name} is not the address of a proxy")))?;
    if is_https_proxy(&address) {
        return Err(Failure::usage(format!("{name}: proxies are spoken to by http://, not https://")));
    }
    Ok(Some(proxy))
}

/// Over TLS to the proxy itself our certificate would be shown to it.
fn is_https_proxy(address: &str) -> bool {
    address.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
}

fn is_local(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether an entry of `no_proxy` is this host or a domain above it.
fn is_exception(entry: &str, host: &str) -> bool {
    let domain = entry.trim_start_matches('*').trim_start_matches('.').to_ascii_lowercase();
    let host = host.to_ascii_lowercase();
    entry == "*" || !domain.is_empty() && (host == domain || host.ends_with(&format!(".{domain}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_as_curl_reads_them() {
        let chosen = |is_https: bool, host: &str, variables: &[(&str, &str)]| {
            let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v));
            proxy(is_https, host, variable).unwrap().map(|proxy| proxy.host().to_owned())
        };
        let both =
            [("https_proxy", "http://s:1"), ("http_proxy", "http://p:1"), ("NO_PROXY", "in.example, .b.example")];
        assert_eq!(chosen(true, "a.example", &both).as_deref(), Some("s"));
        assert_eq!(chosen(false, "a.example", &both).as_deref(), Some("p"));
        for host in ["localhost", "127.0.0.1", "[::1]", "in.example", "x.in.example", "b.example", "x.b.example"] {
            assert_eq!(chosen(true, host, &both), None, "{host}");
        }
        assert_eq!(chosen(true, "inn.example", &both).as_deref(), Some("s"));
        assert_eq!(chosen(false, "a.example", &[("HTTP_PROXY", "http://p:1")]), None);
        assert_eq!(chosen(false, "a.example", &[("ALL_PROXY", "http://p:1")]).as_deref(), Some("p"));
        let tls = |_: &str| Some(OsString::from("https://p:1"));
        assert!(proxy(true, "a.example", tls).is_err());
    }
}
