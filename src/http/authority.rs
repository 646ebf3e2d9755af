//! `host[:port]`, as in the `Host` header and in URLs.
//!
//! Invariant: a valid authority can be put into a URL verbatim. Must never resolve a name.

/// Whether a text is `host[:port]` with a registered name, an IPv4 or a bracketed IPv6 address and a
/// port of 1 to 65535 (RFC 3986 section 3.2, without user information). Also validates the `Host` header.
pub fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let host_is_valid = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.len() <= 253
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        }
    };
    host_is_valid && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        assert!(is_authority("[::1]:5000") && is_authority("localhost") && is_authority("127.0.0.1:80"));
        for bad in ["a b", "[::1", "x:99999", "x:0", "x:+1", "x:", ""] {
            assert!(!is_authority(bad), "{bad}");
        }
    }
}
