//! The place of a connection: its socket, its phase and its byte counts, for the workers and the guard.
//!
//! Invariant: a connection has exactly one slot, from accept to its end, whether a thread serves it or it waits for its
//! peer. Must never be locked across I/O to a peer.

use super::sys;
use crate::http::Peer;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The phase of a connection: what it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The peer's first byte.
    Fresh,
    /// Another request from the peer.
    Idle,
    /// The rest of a head or body.
    Receiving,
    /// Our own work.
    Working,
    /// The peer to take the reply.
    Sending,
    /// The peer to take a reply whose content no longer exists anywhere else.
    SendingOnlyCopy,
}

impl Phase {
    /// Whether it waits for the peer to take a reply.
    pub(super) fn is_sending(self) -> bool {
        matches!(self, Self::Sending | Self::SendingOnlyCopy)
    }
}

/// Why the guard ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// No progress for too long.
    Stalled,
    /// Other connections needed its place, or the server stops.
    Crowded,
}

/// The connection in a slot.
pub(super) struct Served {
    socket: Arc<TcpStream>,
    peer: Peer,
    /// Distinguishes this connection from earlier ones in the slot.
    pub(super) serial: u64,
    /// Its phase, as its last thread left it.
    phase: Phase,
    /// Replies started and finished; each counts as progress.
    pub(super) steps: u64,
    /// Bytes received from the peer.
    pub(super) received: u64,
    /// Bytes passed to the system for the peer, on a Unix socket; for TCP see [`Served::path`].
    pub(super) sent: u64,
    /// When receiving the current head or body began, and `received` at that time.
    pub(super) receiving: Option<(Instant, u64)>,
    cut: Option<Cut>,
}

/// A slot.
#[derive(Default)]
pub(super) struct Slot(Mutex<State>);

#[derive(Default)]
struct State {
    serial: u64,
    served: Option<Served>,
}

impl Slot {
    /// Begins a connection.
    pub(super) fn begin(&self, socket: &Arc<TcpStream>, peer: Peer) {
        let mut state = self.lock();
        state.serial += 1;
        state.served = Some(Served {
            socket: Arc::clone(socket),
            peer,
            serial: state.serial,
            phase: Phase::Fresh,
            steps: 0,
            received: 0,
            sent: 0,
            receiving: None,
            cut: None,
        });
    }

    /// Changes the phase.
    pub(super) fn set_phase(&self, phase: Phase) {
        self.change(|served| {
            if served.phase.is_sending() != phase.is_sending() {
                served.steps += 1;
                // It progressed nevertheless, with what had already arrived, and is judged afresh from here on.
                served.cut = None;
            }
            served.phase = phase;
        });
    }

    /// Counts bytes received from the peer.
    pub(super) fn count_received(&self, bytes: usize) {
        self.change(|served| served.received += bytes as u64);
    }

    /// Bytes were given to the system for the peer.
    pub(super) fn count_sent(&self, bytes: usize) {
        self.change(|served| served.sent += bytes as u64);
    }

    /// Sets or clears the time since which an incomplete head or body is being received.
    pub(super) fn set_receiving(&self, since: Option<Instant>) {
        self.change(|served| served.receiving = since.map(|since| (since, served.received)));
    }

    /// Why the guard ended the connection, if it did.
    pub(super) fn cut(&self) -> Option<Cut> {
        self.change(|served| served.cut).flatten()
    }

    /// The socket and the peer of the connection, if there is one.
    pub(super) fn connection(&self) -> Option<(Arc<TcpStream>, Peer)> {
        self.change(|served| (Arc::clone(&served.socket), served.peer))
    }

    /// Ends the connection; its socket must no longer be used.
    pub(super) fn end(&self) {
        self.lock().served = None;
    }

    /// Inspects or changes the connection, if there is one.
    pub(super) fn change<T>(&self, at: impl FnOnce(&mut Served) -> T) -> Option<T> {
        self.lock().served.as_mut().map(at)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Served {
    /// Whether the peer is a proxy on a Unix socket.
    pub(super) fn is_proxy(&self) -> bool {
        self.peer == Peer::Unix
    }

    /// Its phase, or `Working` if what it waits for has arrived: it then only waits for one of our threads.
    pub(super) fn phase_now(&self) -> Phase {
        let may_have_arrived = matches!(self.phase, Phase::Fresh | Phase::Idle);
        let has_arrived =
            || sys::wait_for_any(&[self.socket.as_fd()], Some(Duration::ZERO)).is_ok_and(|any| any.contains(&true));
        if may_have_arrived && has_arrived() { Phase::Working } else { self.phase }
    }

    /// Ends it as gently as its phase allows: a peer that does not send is treated as if it had ended, so that it still
    /// gets an answer; one that does not take its answer is cut off. Returns whether it was not ended before.
    pub(super) fn end(&mut self, why: Cut) -> bool {
        if self.cut.is_some() {
            return false;
        }
        self.cut = Some(why);
        let how = match self.phase {
            Phase::Fresh | Phase::Idle | Phase::Receiving => Shutdown::Read,
            Phase::Working | Phase::Sending | Phase::SendingOnlyCopy => Shutdown::Both,
        };
        // The peer may already have disconnected.
        let _ = self.socket.shutdown(how);
        true
    }

    /// Bytes that have arrived at the peer, and the round-trip time. `None` for a Unix socket, where only the proxy
    /// knows them.
    pub(super) fn path(&self) -> Option<(u64, Duration)> {
        if self.is_proxy() {
            return None;
        }
        sys::tcp_info(&self.socket).ok().map(|info| (info.acknowledged, info.round_trip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{IpAddr, Ipv4Addr, TcpListener};

    const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_connection_with_unread_bytes_waits_for_us() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = Arc::new(listener.accept().unwrap().0);
        let slot = Slot::default();
        slot.begin(&socket, Peer::Ip(LOCALHOST));
        let phase = || slot.change(|served| served.phase_now()).unwrap();
        for waiting in [Phase::Fresh, Phase::Idle] {
            slot.set_phase(waiting);
            assert_eq!(phase(), waiting);
            client.write_all(b"GET /").unwrap();
            sys::wait_for_any(&[socket.as_fd()], None).unwrap();
            assert_eq!(phase(), Phase::Working);
            slot.set_phase(Phase::Receiving);
            assert_eq!(phase(), Phase::Receiving, "a thread reads it without being waited for");
            (&*socket).read_exact(&mut [0; 5]).unwrap();
        }
    }

    #[test]
    fn a_connection_that_progressed_after_it_was_cut_can_be_cut_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = Arc::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let slot = Slot::default();
        slot.begin(&socket, Peer::Ip(LOCALHOST));
        let end = || slot.change(|served| served.end(Cut::Crowded)).unwrap();
        assert!(end() && !end());
        slot.set_phase(Phase::Working);
        assert!(!end() && slot.cut() == Some(Cut::Crowded));
        slot.set_phase(Phase::Sending);
        assert!(slot.cut().is_none() && end());
    }
}
