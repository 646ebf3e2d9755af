//! The peer of a connection.
//!
//! Invariant: an IPv4-mapped IPv6 address is an IPv4 address. Must never resolve a name.

use crate::network::Network;
use std::fmt;
use std::net::IpAddr;

/// The peer of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A TCP peer.
    Ip(IpAddr),
    /// A process with access to our Unix socket.
    Unix,
}

impl Peer {
    /// Whether the peer runs on this machine.
    pub fn is_local(self) -> bool {
        match self {
            Self::Ip(address) => address.to_canonical().is_loopback(),
            Self::Unix => true,
        }
    }

    /// Its network, for limits per client.
    pub fn network(self) -> Network {
        match self {
            Self::Ip(address) => address.into(),
            Self::Unix => Network::Local,
        }
    }
}

/// Its address, for the log.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{}", address.to_canonical()),
            Self::Unix => f.write_str("unix"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_peers_are_local() {
        for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(Peer::Ip(address.parse().unwrap()).is_local(), "{address}");
        }
        assert!(!Peer::Ip("192.0.2.1".parse().unwrap()).is_local());
    }
}
