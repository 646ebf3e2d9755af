//! What others may know of a worker: the connection it serves, whom it waits for, and what has moved.
//!
//! Invariant: the socket is here exactly as long as the worker serves it; whoever looks at it holds the lock. Must never
//! be locked across I/O to a peer.

use super::sys;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Whom a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The peer, for its first byte.
    Fresh,
    /// The peer, for another request.
    Idle,
    /// The peer, for the rest of a head or a body.
    Receiving,
    /// Us.
    Working,
    /// The peer, to take the reply.
    Sending,
    /// The peer, to take a reply whose content exists nowhere else any more.
    SendingOnlyCopy,
}

impl Phase {
    /// Whether the peer is waited for to take something.
    pub(super) fn is_sending(self) -> bool {
        matches!(self, Self::Sending | Self::SendingOnlyCopy)
    }
}

/// Why a connection was ended by somebody else than its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The peer has not come on for too long.
    Stalled,
    /// Others needed its place more.
    Crowded,
}

/// The connection a worker serves.
pub(super) struct Served {
    socket: Arc<TcpStream>,
    /// Whether the peer is a proxy on a Unix socket.
    pub(super) is_proxy: bool,
    /// Tells this connection from the one the worker served before.
    pub(super) serial: u64,
    /// Whom it waits for.
    pub(super) phase: Phase,
    /// Replies begun and replies ended: it comes on with each.
    pub(super) steps: u64,
    /// Bytes taken from the peer.
    pub(super) received: u64,
    /// Bytes given to the system for the peer.
    pub(super) sent: u64,
    /// Since when a head or body is being received, and `received` at that moment.
    pub(super) receiving: Option<(Instant, u64)>,
    cut: Option<Cut>,
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
    pub(super) fn begin(&self, socket: &Arc<TcpStream>, is_proxy: bool) {
        let mut state = self.lock();
        state.serial += 1;
        state.served = Some(Served {
            socket: Arc::clone(socket),
            is_proxy,
            serial: state.serial,
            phase: Phase::Fresh,
            steps: 0,
            received: 0,
            sent: 0,
            receiving: None,
            cut: None,
        });
    }

    /// It waits for somebody else now.
    pub(super) fn set_phase(&self, phase: Phase) {
        self.change(|served| {
            if served.phase.is_sending() != phase.is_sending() {
                served.steps += 1;
                // It has come on all the same, with what had already arrived; from here on it is judged anew.
                served.cut = None;
            }
            served.phase = phase;
        });
    }

    /// Bytes have come from the peer.
    pub(super) fn count_received(&self, bytes: usize) {
        self.change(|served| served.received += bytes as u64);
    }

    /// Bytes were given to the system for the peer.
    pub(super) fn count_sent(&self, bytes: usize) {
        self.change(|served| served.sent += bytes as u64);
    }

    /// A head or body that has not come whole at once is being received from now on, or no longer.
    pub(super) fn set_receiving(&self, since: Option<Instant>) {
        self.change(|served| served.receiving = since.map(|since| (since, served.received)));
    }

    /// Whether somebody else has ended the connection, and why.
    pub(super) fn cut(&self) -> Option<Cut> {
        self.change(|served| served.cut).flatten()
    }

    /// It is over; the socket is no longer ours to look at.
    pub(super) fn end(&self) {
        self.lock().served = None;
    }

    /// Looks at the connection, if there is one, or changes it.
    pub(super) fn change<T>(&self, at: impl FnOnce(&mut Served) -> T) -> Option<T> {
        self.lock().served.as_mut().map(at)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Served {
    /// Ends it, as gently as its phase allows: a peer we wait to hear from is taken for one that has ended, so that it
    /// still gets an answer; one that does not take its answer is cut off. Whether it was not ended before.
    pub(super) fn end(&mut self, why: Cut) -> bool {
        if self.cut.is_some() {
            return false;
        }
        self.cut = Some(why);
        let how = match self.phase {
            Phase::Fresh | Phase::Idle | Phase::Receiving => Shutdown::Read,
            Phase::Working | Phase::Sending | Phase::SendingOnlyCopy => Shutdown::Both,
        };
        // The peer may have hung up already.
        let _ = self.socket.shutdown(how);
        true
    }

    /// What the system knows of the way to the peer: bytes that have arrived there, and how long a round trip takes.
    /// `None` on a Unix socket, where both are the proxy's to know.
    pub(super) fn path(&self) -> Option<(u64, Duration)> {
        if self.is_proxy {
            return None;
        }
        sys::tcp_info(&self.socket).ok().map(|info| (info.acknowledged, info.round_trip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_connection_that_came_on_after_it_was_ended_can_be_ended_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = Arc::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let worker = Worker::default();
        worker.begin(&socket, false);
        let end = || worker.change(|served| served.end(Cut::Crowded)).unwrap();
        assert!(end() && !end());
        worker.set_phase(Phase::Working);
        assert!(!end() && worker.cut() == Some(Cut::Crowded));
        worker.set_phase(Phase::Sending);
        assert!(worker.cut().is_none() && end());
    }
}
