//! What a failed request means to a person, and what to do about it.
//!
//! Invariant: what fails at a proxy is told as the proxy's failure, with its host and port. Must never show more of a
//! proxy's address, nor a link.

use super::ending::EndedTooEarly;
use super::failure::{Exit, Failure};
use super::proxy::ProxyFailed;
use super::tls;
use std::io::{self, ErrorKind};
use ureq::Error;
use ureq::http::Uri;

/// What a failed request to this address means.
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

/// What failed between us and a proxy, which may be that it does not do what it was asked for.
fn at_proxy(ProxyFailed { proxy, error }: ProxyFailed, place: &str) -> Failure {
    let refusal = match &error {
        Error::ConnectProxyFailed(why) => Some(match why.rsplit_once('/') {
            Some((_, status)) => format!("status {status}"),
            None => "no answer".into(),
        }),
        Error::Io(error) if is_refusal(error.kind()) => Some(error.to_string()),
        _ => None,
    };
    let Some(why) = refusal else {
        return at(error, &format!("the proxy {proxy}"))
            .hint("https_proxy, http_proxy or all_proxy names it; no_proxy lists what needs none");
    };
    let failure = Failure::new(Exit::Network, format!("the proxy {proxy} does not connect to {place}: {why}"));
    if why.contains("407") || why.contains("auth") {
        return failure.hint("it asks for a name and a password, as in http://NAME:PASSWORD@HOST:PORT");
    }
    failure
}

/// Kinds of errors that ureq makes of a SOCKS proxy's answer; the system's have others.
fn is_refusal(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Other | ErrorKind::PermissionDenied | ErrorKind::InvalidData | ErrorKind::InvalidInput)
}

/// What went wrong at a place: a server or a proxy.
fn at(error: Error, place: &str) -> Failure {
    let failed = |why: &str| Failure::new(Exit::Network, format!("{place}: {why}"));
    match error {
        Error::HostNotFound => failed("there is no such host").hint("check the address and the network"),
        Error::Timeout(timeout) => failed(&format!("no answer in time ({timeout})")).hint("try again later"),
        Error::Tls(why) => failed(why),
        Error::Io(error) => io_at(&error, place),
        Error::Protocol(_) => {
            failed("this is not HTTP, or a damaged answer").hint("check the address; perhaps it is https://")
        }
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
            failed("connection refused").hint("is the server running? check the host and the port")
        }
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            failed(&EndedTooEarly.to_string()).hint("try again")
        }
        ErrorKind::TimedOut | ErrorKind::WouldBlock => failed("no answer in time").hint("try again later"),
        _ if is_no_name(error) => failed("there is no such host").hint("check the address and the network"),
        _ => failed(&error.to_string()),
    }
}

/// Whether a name was not found: the system's resolver has no kind of error of its own.
pub fn is_no_name(error: &io::Error) -> bool {
    error.to_string().contains("lookup")
}
