//! Accepting: connections come out of tiny_http, each with a handle of our own on its socket.
//!
//! tiny_http hides its sockets, but we must look at bytes before it reads them, count them, and cut connections off.
//! A new connection's descriptor is found by elimination: it is the only connected stream socket of this process
//! that is not in the book of known ones.
//! Invariant: descriptors enter and leave the book under its lock, and are closed under it, so that a number in it is
//! open and one that is not belongs to the newest connection. Must never open stream sockets anywhere else while the
//! pool runs.

use super::listen::Endpoint;
use super::sys;
use crate::http::Peer;
use crate::log;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tiny_http::{Listener, Request, Server, SslContextWrap};

/// Descriptors below this number may have been left open by whoever started us.
const INHERITED_FDS: RawFd = 1024;
/// How often an incomplete request on a Unix socket is looked at again.
const UNIX_POLL: std::time::Duration = std::time::Duration::from_millis(2);

/// The sockets that are listened on, and the book of the connections they gave.
pub(super) struct Acceptor {
    endpoints: Vec<Endpoint>,
    no_tls: SslContextWrap,
    /// One thread waits for a connection, the others for their turn: no thundering herd, and one new connection at a
    /// time. Holds the endpoint that is looked at first next time, so that a busy one does not starve the others.
    turn: Mutex<usize>,
    /// Ends when its writer is dropped, which wakes whoever waits for a connection.
    stopped: io::PipeReader,
    stop: Mutex<Option<io::PipeWriter>>,
    /// By descriptor number: whether it is known.
    book: Mutex<Vec<bool>>,
}

/// A connection: tiny_http's view of it, and our own.
pub(super) struct Accepted<'a> {
    /// tiny_http's connection, whose type has no public name. `None` only while it is being dropped.
    next_request: Option<Box<dyn FnMut() -> Option<Request>>>,
    /// Our handle on the same socket. A `TcpStream` by type even on a Unix socket, where it works the same.
    socket: Option<Arc<TcpStream>>,
    /// Who is at the other end.
    pub(super) peer: Peer,
    known: Vec<RawFd>,
    acceptor: &'a Acceptor,
}

impl Acceptor {
    /// Takes over the sockets.
    pub(super) fn new(endpoints: Vec<Endpoint>) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let (stopped, stop) = io::pipe()?;
        let acceptor = Self {
            endpoints,
            no_tls: SslContextWrap::build_ssl_capabilities(None)?,
            turn: Mutex::default(),
            stopped,
            stop: Mutex::new(Some(stop)),
            book: Mutex::default(),
        };
        // Whatever stream sockets we were started with, such as a journal on stderr, are not ours to serve.
        let mut book = acceptor.book();
        (0..INHERITED_FDS).filter(|fd| sys::is_connection(*fd)).for_each(|fd| note(&mut book, fd, true));
        drop(book);
        Ok(acceptor)
    }

    /// How many descriptors the process had open when this was made: the kernel gives the lowest free number.
    pub(super) fn descriptors_open(&self) -> u64 {
        u64::try_from(self.stopped.as_raw_fd()).unwrap_or(0)
    }

    /// Lets no further connection in, and wakes whoever waits for one.
    pub(super) fn stop(&self) {
        for endpoint in &self.endpoints {
            if let Err(error) = endpoint.close() {
                log::message(&format!("cannot close the listener: {error}"));
            }
        }
        drop(self.stop.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    /// What `accept` said, `WouldBlock` where another process was faster; out of descriptors, the connection is lost and
    /// the caller should pause.
    pub(super) fn accept(&self) -> io::Result<Accepted<'_>> {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let listener = self.wait(&mut turn)?;
        // tiny_http duplicates the socket and panics when that fails.
        let accepted = catch_unwind(AssertUnwindSafe(|| Server::accept_connection(listener, &self.no_tls)));
        let connection = accepted.map_err(|_| io::Error::from_raw_os_error(libc::EMFILE))??;
        let mut connection = connection.ok_or_else(|| io::Error::other("no connection"))?;
        let mut book = self.book();
        let found = find_new(&book).and_then(|(mut known, fd)| {
            let socket = TcpStream::from(sys::duplicate(fd)?);
            known.push(socket.as_raw_fd());
            Ok((known, socket))
        });
        // On an error `connection` closes here, still under the lock.
        let (known, socket) = match found {
            Ok(found) => found,
            Err(error) => {
                drop(connection);
                return Err(error);
            }
        };
        for fd in &known {
            note(&mut book, *fd, true);
        }
        let peer = match listener {
            Listener::Unix(_) => Ok(Peer::Unix),
            Listener::Tcp(_) => socket.peer_addr().map(|address| Peer::Ip(address.ip())),
        };
        drop(book);
        // A peer that has already hung up has no address; dropping the connection closes it.
        let next_request = Box::new(move || connection.next().and_then(Result::ok));
        let mut accepted = Accepted {
            next_request: Some(next_request),
            socket: Some(Arc::new(socket)),
            peer: Peer::Unix,
            known,
            acceptor: self,
        };
        accepted.peer = peer?;
        Ok(accepted)
    }

    /// Waits until a connection can be accepted, and from where.
    fn wait(&self, first: &mut usize) -> io::Result<&Listener> {
        let mut descriptors: Vec<_> = self.endpoints.iter().map(|endpoint| endpoint.listener().as_fd()).collect();
        descriptors.push(self.stopped.as_fd());
        let ready = sys::wait_for_any(&descriptors)?;
        let count = self.endpoints.len();
        let next = (0..count).map(|step| (*first + step) % count).find(|at| ready.get(*at) == Some(&true));
        let endpoint = next.and_then(|at| self.endpoints.get(at)).filter(|_| ready.last() == Some(&false));
        *first = next.map_or(0, |at| at + 1);
        endpoint.map(Endpoint::listener).ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    fn book(&self) -> MutexGuard<'_, Vec<bool>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Accepted<'_> {
    /// Pulls the next request out of tiny_http. Call it only when its head has been seen whole on the socket;
    /// `None` means the connection is of no more use.
    pub(super) fn next_request(&mut self) -> Option<Request> {
        self.next_request.as_mut().and_then(|next| next())
    }

    /// Our handle on the socket. Whoever clones it gives it back before the connection is dropped, so that the
    /// descriptor closes together with its line in the book.
    ///
    /// # Errors
    /// Never while the connection exists.
    pub(super) fn socket(&self) -> io::Result<&Arc<TcpStream>> {
        self.socket.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Waits for at least one byte more than the `seen` ones that lie unread on the socket, and looks at all there are;
    /// how many. `None` when no more will come.
    pub(super) fn peek_beyond(&self, seen: usize, look: &mut Vec<u8>) -> io::Result<Option<usize>> {
        if seen >= look.len() {
            look.resize(look.len().saturating_mul(2).max(seen + 1), 0);
        }
        let socket = self.socket()?;
        if sys::peek_until_full(socket, look.get_mut(..=seen).unwrap_or_default())? <= seen {
            if self.peer != Peer::Unix {
                return Ok(None);
            }
            // On a Unix socket a peek does not wait for more than is there.
            std::thread::sleep(UNIX_POLL);
        }
        sys::peek(socket, look).map(Some)
    }
}

impl Drop for Accepted<'_> {
    fn drop(&mut self) {
        let mut book = self.acceptor.book();
        self.next_request = None;
        self.socket = None;
        self.known.iter().for_each(|fd| note(&mut book, *fd, false));
    }
}

/// The connected stream sockets that are not in the book, and the first of them: those of the newest connection,
/// which are two, because tiny_http reads and writes through separate descriptors.
fn find_new(book: &[bool]) -> io::Result<(Vec<RawFd>, RawFd)> {
    let is_known = |fd: RawFd| usize::try_from(fd).is_ok_and(|at| book.get(at) == Some(&true));
    // The kernel gives the lowest free numbers, so both are found at or just behind the last known one.
    let end = RawFd::try_from(book.len()).unwrap_or(RawFd::MAX).saturating_add(1024);
    let known: Vec<RawFd> = (3..end).filter(|fd| !is_known(*fd) && sys::is_connection(*fd)).take(2).collect();
    let first = known.first().copied().ok_or_else(|| io::Error::other("the new connection has no descriptor"))?;
    Ok((known, first))
}

fn note(book: &mut Vec<bool>, fd: RawFd, known: bool) {
    let Ok(at) = usize::try_from(fd) else { return };
    if at >= book.len() {
        book.resize(at + 1, false);
    }
    if let Some(entry) = book.get_mut(at) {
        *entry = known;
    }
}
