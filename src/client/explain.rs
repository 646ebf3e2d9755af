//! Turns a failed request into a message and a hint.
//!
//! Invariant: a failure at a proxy names the proxy by host and port. Must never show more of a proxy's address, nor a
//! link.

use super::ending::EndedTooEarly;
use super::failure::{Exit, Failure};
use super::proxy::ProxyFailed;
use super::tls;
use std::io::{self, ErrorKind};
use ureq::Error;
use ureq::http::Uri;

/// The message for a name that does not resolve.
const NO_HOST: &str = "cannot resolve the host name";

/// Explains a failed request to this URL.
pub fn explain(error: Error, url: &str) -> Failure {
    let uri: Option<Uri> = url.parse().ok();
    let place = uri.as_ref().and_then(Uri::authority).map_or("the server", |authority| authority.as_str());
    match error {
        Error::Other(other) => match other.downcast::<ProxyFailed>() {
            Ok(failed) => at_proxy(*failed, place),
            Err(other) => Failure::new(Exit::Network, format!("{place}: {other}")),
        },
        error => at(error, place),
    }
}

/// Explains a failure at a proxy, which may also be its refusal to connect.
fn at_proxy(ProxyFailed { proxy, error }: ProxyFailed, place: &str) -> Failure {
    let refusal = match &error {
        Error::ConnectProxyFailed(why) => Some(match why.rsplit_once('/') {
            Some((_, status)) => format!("status {status}"),
            None => "no response".into(),
        }),
        Error::Io(error) if is_refusal(error.kind()) => Some(error.to_string()),
        _ => None,
    };
    let Some(why) = refusal else {
        return at(error, &format!("the proxy {proxy}"))
            .hint("it comes from https_proxy, http_proxy or all_proxy; exclude hosts with no_proxy");
    };
    let failure = Failure::new(Exit::Network, format!("the proxy {proxy} cannot connect to {place}: {why}"));
    if why.contains("407") || why.contains("auth") {
        return failure.hint("it requires a user name and password: http://NAME:PASSWORD@HOST:PORT");
    }
    failure
}

/// The error kinds that ureq uses for a SOCKS proxy's refusal; the system's errors have others.
fn is_refusal(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Other | ErrorKind::PermissionDenied | ErrorKind::InvalidData | ErrorKind::InvalidInput)
}

/// Explains a failure at a server or proxy.
fn at(error: Error, place: &str) -> Failure {
    let failed = |why: &str| Failure::new(Exit::Network, format!("{place}: {why}"));
    match error {
        Error::HostNotFound => failed(NO_HOST).hint("check the address and the network"),
        Error::Timeout(timeout) => failed(&format!("timed out ({timeout})")).hint("try again later"),
        Error::Tls(why) => failed(why),
        Error::Io(error) => io_at(&error, place),
        Error::Protocol(_) => failed("invalid HTTP response").hint("check the address; does it need https://?"),
        error => failed(&error.to_string()),
    }
}

fn io_at(error: &io::Error, place: &str) -> Failure {
    let failed = |why: &str| Failure::new(Exit::Network, format!("{place}: {why}"));
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        let failure = tls::explain(error, place);
        return Failure { message: format!("{place}: {}", failure.message), ..failure };
    }
    if error.get_ref().and_then(|inner| inner.downcast_ref::<EndedTooEarly>()).is_some() {
        return failed(&EndedTooEarly.to_string()).hint("try again");
    }
    match error.kind() {
        ErrorKind::ConnectionRefused => {
            failed("connection refused").hint("check the address, and whether the server is running")
        }
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            failed(&EndedTooEarly.to_string()).hint("try again")
        }
        ErrorKind::TimedOut | ErrorKind::WouldBlock => failed("timed out").hint("try again later"),
        _ if is_no_name(error) => failed(NO_HOST).hint("check the address and the network"),
        _ => failed(&error.to_string()),
    }
}

/// Whether name resolution failed: the system's resolver has no error kind of its own.
pub fn is_no_name(error: &io::Error) -> bool {
    error.to_string().contains("lookup")
}
