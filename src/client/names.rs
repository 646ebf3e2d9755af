//! Names: `localhost` is this machine, the system resolves the rest.
//!
//! Invariant: `localhost` never leaves the machine, whatever a name server says (RFC 6761 section 6.3): certificates may
//! be shown to it in the clear. IPv4 comes first, because a server's default is 127.0.0.1. Must never load a library
//! into the static program to resolve a name.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Once;
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
        static ONCE: Once = Once::new();
        ONCE.call_once(stay_static);
        Self(DefaultResolver::default())
    }
}

/// A static glibc would follow /etc/nsswitch.conf into whatever libraries it names, built for another glibc perhaps;
/// /etc/hosts and DNS are in the program.
#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
#[expect(unsafe_code, reason = "glibc's own switch for this; the block says why it is sound")]
fn stay_static() {
    use std::ffi::{c_char, c_int};
    unsafe extern "C" {
        /// `nss.h`: overrides the configured services of a database, for this process.
        fn __nss_configure_lookup(database: *const c_char, services: *const c_char) -> c_int;
    }
    // SAFETY: both arguments are constants that end with NUL, which glibc reads during the call; it takes its own lock.
    // It fails only without memory, and then names are resolved as configured.
    unsafe { __nss_configure_lookup(c"hosts".as_ptr(), c"files dns".as_ptr()) };
}

/// The linked libraries are the system's own: they may load what it names.
#[cfg(not(all(target_env = "gnu", target_feature = "crt-static")))]
fn stay_static() {}

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
