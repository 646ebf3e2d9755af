//! The client's network, for limits per client.
//!
//! Invariant: all addresses in an IPv6 /64, the least that a customer can choose from, are one network. Must never
//! identify a client more precisely than its address.

use std::net::{IpAddr, Ipv4Addr};

/// An IPv4 address, or an IPv6 /64, the smallest network of a customer (RFC 6177).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Network {
    /// One IPv4 address, IPv4-mapped ones included.
    V4(Ipv4Addr),
    /// The first 64 bits of an IPv6 address.
    V6([u16; 4]),
    /// A client on the Unix socket without a forwarded address.
    Local,
}

impl Network {
    /// The IPv6 /48 around it, the largest network usually given to a customer (RFC 6177); itself otherwise.
    #[must_use]
    pub fn site(self) -> Self {
        match self {
            Self::V6([a, b, c, _]) => Self::V6([a, b, c, 0]),
            Self::V4(_) | Self::Local => self,
        }
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_the_same_64_are_one_network() {
        let network = |text: &str| Network::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("2001:db8:1:2::1").site(), network("2001:db8:1:3::1").site());
        assert_ne!(network("2001:db8:1:2::1").site(), network("2001:db8:2:2::1").site());
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }
}
