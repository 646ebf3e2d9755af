//! Name resolution: `localhost` is this machine, the system resolves the rest.
//!
//! Invariant: `localhost` is loopback whatever DNS says (RFC 6761 section 6.3): credentials may be sent to it without
//! TLS. IPv4 comes first, because a server listens on 127.0.0.1 by default. Must never load a shared library into the
//! static binary.

use crate::static_names;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// The resolver for all requests.
#[derive(Debug)]
pub struct Names(DefaultResolver);

impl Names {
    /// The system's resolver, except for `localhost`.
    pub fn new() -> Self {
        static_names::stay_static();
        Self(DefaultResolver::default())
    }
}

impl Resolver for Names {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        if !uri.host().is_some_and(|host| host.eq_ignore_ascii_case("localhost")) {
            return self.0.resolve(uri, config, timeout);
        }
        let default_port = match uri.scheme_str() {
            Some("https") => 443,
            Some("http") | None => 80,
            // A SOCKS proxy.
            Some(_) => 1080,
        };
        let port = uri.port_u16().unwrap_or(default_port);
        let mut addresses = self.empty();
        addresses.push(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        addresses.push(SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
        Ok(addresses)
    }
}
