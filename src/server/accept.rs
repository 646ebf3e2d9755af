//! Accepts connections from the listening sockets, one at a time.
//!
//! Invariant: a busy listening socket does not starve the others. Must never read from a connection.

use super::listen::{Bound, Endpoint};
use super::sys;
use crate::http::Peer;
use crate::operator_log;
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// The listening sockets.
pub(super) struct Acceptor {
    endpoints: Vec<Endpoint>,
    /// The endpoint to check first next time, so that a busy one does not starve the others.
    first: AtomicUsize,
    /// Becomes readable when its writer is dropped, which wakes the waiting thread.
    stopped: io::PipeReader,
    stop: Mutex<Option<io::PipeWriter>>,
    is_closed: AtomicBool,
}

impl Acceptor {
    /// Takes over the sockets.
    pub(super) fn new(bound: Bound) -> io::Result<Self> {
        let (stopped, stop) = io::pipe()?;
        let (endpoints, first) = (bound.into_endpoints(), AtomicUsize::new(0));
        Ok(Self { endpoints, first, stopped, stop: Mutex::new(Some(stop)), is_closed: AtomicBool::new(false) })
    }

    /// From now on, waiting threads get an already queued connection, or `WouldBlock`.
    pub(super) fn stop(&self) {
        drop(self.stop.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Closes the listeners, once; connections not accepted yet are lost.
    pub(super) fn close(&self) {
        if self.is_closed.swap(true, Ordering::SeqCst) {
            return;
        }
        for endpoint in &self.endpoints {
            if let Err(error) = endpoint.close() {
                operator_log::message(&format!("cannot close a listening socket: {error}"));
            }
        }
    }

    /// The number of TCP connections waiting to be accepted.
    pub(super) fn queued(&self) -> u64 {
        self.endpoints.iter().filter_map(|endpoint| sys::queued_connections(endpoint.as_fd())).sum()
    }

    /// Waits for the next connection. Returns it with its peer.
    ///
    /// # Errors
    /// Those of `accept`; `WouldBlock` if another process accepted it or the server is stopping. The caller should
    /// pause when descriptors run out.
    pub(super) fn accept(&self) -> io::Result<(TcpStream, Peer)> {
        self.wait()?.accept()
    }

    /// Waits until an endpoint has a connection.
    fn wait(&self) -> io::Result<&Endpoint> {
        let mut descriptors: Vec<_> = self.endpoints.iter().map(Endpoint::as_fd).collect();
        descriptors.push(self.stopped.as_fd());
        let ready = sys::wait_for_any(&descriptors, None)?;
        let is_stopped = ready.last() == Some(&true);
        let (first, count) = (self.first.load(Ordering::Relaxed), self.endpoints.len());
        let in_turn = (0..count).map(|step| (first + step) % count).filter(|at| ready.get(*at) == Some(&true));
        let mut able = in_turn.filter_map(|at| Some((at, self.endpoints.get(at)?)));
        let (at, endpoint) =
            able.find(|(_, endpoint)| !is_stopped || endpoint.is_ours()).ok_or(ErrorKind::WouldBlock)?;
        self.first.store(at + 1, Ordering::Relaxed);
        Ok(endpoint)
    }
}
