//! Parses checked request heads with tiny_http.
//!
//! tiny_http never sees the network: a checked and normalised head is written to one end of a private socket pair, and
//! tiny_http reads it from the other. Parsing never waits for a peer, so a few pairs serve all workers.
//! Invariant: a pair carries exactly one head at a time and is empty afterwards; a failed pair is replaced. Must never
//! be given a head that [`super::head`] has not accepted, nor any part of a body.

use crate::cores;
use crate::crypto;
use crate::object_pool::ObjectPool;
use std::io::{self, ErrorKind, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tiny_http::{Listener, Server, SslContextWrap};

/// The most pairs per core: a thread may be preempted while holding one, and with fewer the others would wait for it.
const PAIRS_PER_CORE: usize = 16;

/// The pairs. `None` is a failed one that was not replaced yet.
pub(super) struct Parser(ObjectPool<Option<Pair>>);

/// A private connection to tiny_http.
struct Pair {
    ours: UnixStream,
    /// tiny_http's connection, whose type has no public name.
    next_request: Box<dyn FnMut() -> Option<tiny_http::Request> + Send>,
}

/// A request as tiny_http has parsed it.
pub(super) struct Parsed(Option<tiny_http::Request>);

impl Parser {
    /// Creates the pairs. They use three descriptors each, and at most a sixteenth of the limit.
    ///
    /// # Errors
    /// When the sockets cannot be created.
    pub(super) fn new(descriptor_limit: u64) -> io::Result<Self> {
        let affordable = usize::try_from(descriptor_limit / 48).unwrap_or(usize::MAX);
        let pairs = (0..affordable.clamp(1, cores::count() * PAIRS_PER_CORE))
            .map(|_| Pair::new().map(Some))
            .collect::<io::Result<_>>()?;
        Ok(Self(ObjectPool::new(pairs)))
    }

    /// Parses a normalised head.
    ///
    /// # Errors
    /// When tiny_http refuses it, or a failed pair cannot be replaced.
    pub(super) fn parse(&self, head: &[u8]) -> io::Result<Parsed> {
        self.0.with(|slot| {
            // Taken out, so that a pair that fails or panics is not returned.
            let mut pair = slot.take().map_or_else(Pair::new, Ok)?;
            let parsed = pair.parse(head)?;
            *slot = Some(pair);
            Ok(parsed)
        })
    }
}

impl Pair {
    /// Connects a pair. `accept_connection` needs a named listener, which gets a random abstract name for a moment.
    fn new() -> io::Result<Self> {
        let name = crypto::hex(&crypto::random::<16>()?);
        let address = SocketAddr::from_abstract_name(format!("flaskpaste-{name}"))?;
        let listener = UnixListener::bind_addr(&address)?;
        let ours = UnixStream::connect_addr(&address)?;
        let no_tls =
            SslContextWrap::build_ssl_capabilities(None).map_err(|error| io::Error::other(error.to_string()))?;
        let tiny_http_listener = Listener::from(listener.try_clone()?);
        // tiny_http duplicates the socket and panics when that fails.
        let accepted = catch_unwind(AssertUnwindSafe(|| Server::accept_connection(&tiny_http_listener, &no_tls)));
        let connection = accepted.map_err(|_| io::Error::from_raw_os_error(libc::EMFILE))??;
        let mut connection = connection.ok_or_else(|| io::Error::other("tiny_http gave no connection"))?;
        // If another process had connected to the name, there would be a second connection.
        listener.set_nonblocking(true)?;
        if listener.accept().is_ok() {
            return Err(io::Error::other("another process has connected to the parser"));
        }
        Ok(Self { ours, next_request: Box::new(move || connection.next().and_then(Result::ok)) })
    }

    fn parse(&mut self, head: &[u8]) -> io::Result<Parsed> {
        // A head fits in the socket's buffer, so this never blocks.
        self.ours.write_all(head)?;
        let request = (self.next_request)().ok_or(ErrorKind::InvalidData)?;
        Ok(Parsed(Some(request)))
    }
}

impl Parsed {
    /// The method.
    pub(super) fn method(&self) -> &str {
        self.0.as_ref().map_or("", |request| request.method().as_str())
    }

    /// The target, in origin form.
    pub(super) fn target(&self) -> &str {
        self.0.as_ref().map_or("", tiny_http::Request::url)
    }

    /// A header field, by its name in any case.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.0.as_ref()?.headers().get(name).map(tiny_http::HeaderFieldValue::as_str)
    }
}

impl Drop for Parsed {
    fn drop(&mut self) {
        // Without its writer, the request does not send a reply by itself.
        drop(self.0.take().map(tiny_http::Request::into_writer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_parsed_unchanged() {
        let parser = Parser::new(1024).unwrap();
        for number in 0..100 {
            let head = format!("PUT /{number}?x=y HTTP/1.1\r\nHost: localhost\r\nX-Number: {number}, z\r\n\r\n");
            let parsed = parser.parse(head.as_bytes()).unwrap();
            assert_eq!((parsed.method(), parsed.target()), ("PUT", format!("/{number}?x=y").as_str()));
            assert_eq!((parsed.field("host"), parsed.field("Hos")), (Some("localhost"), None));
            assert_eq!(parsed.field("X-Number"), Some(format!("{number}, z").as_str()));
        }
    }

    #[test]
    fn a_failed_pair_is_replaced() {
        let parser = Parser::new(1024).unwrap();
        for _ in 0..100 {
            assert!(parser.parse(b"no head\r\n\r\n").is_err());
            assert_eq!(parser.parse(b"GET /x HTTP/1.1\r\nHost: y\r\n\r\n").unwrap().target(), "/x");
        }
    }
}
