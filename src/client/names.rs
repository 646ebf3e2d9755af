//! Names: `localhost` is this machine, the system resolves the rest.
//!
//! Invariant: `localhost` never leaves the machine, whatever a name server says (RFC 6761 section 6.3): certificates may
//! be shown to it in the clear. IPv4 comes first, because a server's default is 127.0.0.1. Must never load a library
//! into the static program to resolve a name.

use crate::static_names;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// The resolver of every request.
#[derive(Debug)]
pub struct Names(DefaultResolver);

impl Names {
    /// The system's resolver, with our word about `localhost`.
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
            // A proxy's.
            Some(_) => 1080,
        };
        let port = uri.port_u16().unwrap_or(default_port);
        let mut addresses = self.empty();
        addresses.push(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        addresses.push(SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
        Ok(addresses)
    }
}
