//! What others may know of a worker: the connection it serves, and whom it waits for.
//!
//! Invariant: the socket is here exactly as long as the worker serves it, so that it closes together with its line in
//! the acceptor's book; whoever looks at it holds the lock. Must never be locked across I/O to a peer.

use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Whom a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The peer, for its first request.
    Fresh,
    /// The peer, for another request.
    Idle,
    /// The peer, for the rest of a head or a body.
    Receiving,
    /// Us.
    Working,
    /// The peer, to take the reply.
    Sending,
    /// The peer, to end after its last reply.
    Draining,
}

/// The connection a worker serves.
pub(super) struct Served {
    /// Our handle on its socket.
    pub(super) socket: Arc<TcpStream>,
    /// Tells this connection from the one the worker served before.
    pub(super) serial: u64,
    /// Whom it waits for.
    pub(super) phase: Phase,
    /// Replies sent so far.
    pub(super) replies: u64,
}

/// A worker.
#[derive(Default)]
pub(super) struct Worker(Mutex<State>);

#[derive(Default)]
struct State {
    serial: u64,
    served: Option<Served>,
}

impl Worker {
    /// A connection begins.
    pub(super) fn begin(&self, socket: &Arc<TcpStream>) {
        let mut state = self.lock();
        state.serial += 1;
        let serial = state.serial;
        state.served = Some(Served { socket: Arc::clone(socket), serial, phase: Phase::Fresh, replies: 0 });
    }

    /// It waits for somebody else now.
    pub(super) fn set_phase(&self, phase: Phase) {
        if let Some(served) = self.lock().served.as_mut() {
            // A reply is over when something else begins.
            served.replies += u64::from(served.phase == Phase::Sending && phase != Phase::Sending);
            served.phase = phase;
        }
    }

    /// It is over; the socket is no longer ours to look at.
    pub(super) fn end(&self) {
        self.lock().served = None;
    }

    /// Looks at the connection, if there is one.
    pub(super) fn look<T>(&self, at: impl FnOnce(&Served) -> T) -> Option<T> {
        self.lock().served.as_ref().map(at)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Served {
    /// Ends it, as gently as its phase allows: a peer we wait to hear from is taken for one that has ended, so that it
    /// still gets an answer; one that does not take its answer is cut off.
    pub(super) fn cut(&self) {
        let how = match self.phase {
            Phase::Fresh | Phase::Idle | Phase::Receiving => Shutdown::Read,
            Phase::Working | Phase::Sending | Phase::Draining => Shutdown::Both,
        };
        // The peer may have hung up already.
        let _ = self.socket.shutdown(how);
    }
}
