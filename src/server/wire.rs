//! The bytes of one connection: its socket, and one bounded buffer of what has arrived and was not used yet.
//!
//! Invariant: the buffer never grows beyond a head; every byte that comes or goes is counted where the guard sees it.
//! Must never hold a lock while it waits for the peer.

use super::head::MAX_HEAD_BYTES;
use super::worker::Worker;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

/// Size of the buffer at first; nearly every head is shorter.
const FIRST_BYTES: usize = 2048;
/// The largest buffer: a head, and the empty line that is forgiven before it.
const MAX_BYTES: usize = MAX_HEAD_BYTES + 2;
/// Bytes given to a Unix socket at a time: only what it has taken is counted.
const UNIX_PIECE_BYTES: usize = 16 << 10;

/// One connection's bytes.
pub(super) struct Wire<'a> {
    socket: Arc<TcpStream>,
    is_unix: bool,
    worker: &'a Worker,
    buffer: Vec<u8>,
    /// What of the buffer is not used yet.
    start: usize,
    end: usize,
}

impl<'a> Wire<'a> {
    pub(super) fn new(socket: Arc<TcpStream>, is_unix: bool, worker: &'a Worker) -> Self {
        Self { socket, is_unix, worker, buffer: vec![0; FIRST_BYTES], start: 0, end: 0 }
    }

    pub(super) fn socket(&self) -> &Arc<TcpStream> {
        &self.socket
    }

    /// What has arrived and was not used yet.
    pub(super) fn arrived(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// The first bytes of what has arrived are used.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.start = self.end.min(self.start + bytes);
    }

    /// Waits for more to arrive; how many bytes. 0 is the end, of the peer or of its connection.
    ///
    /// # Errors
    /// What the system says; `WouldBlock` when nothing came for the socket's receive timeout.
    pub(super) fn fill(&mut self) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            self.buffer.resize((2 * self.end).min(MAX_BYTES), 0);
        }
        let received = receive(&self.socket, self.buffer.get_mut(self.end..).unwrap_or_default())?;
        self.end += received;
        self.worker.count_received(received);
        Ok(received)
    }

    /// Takes of what has arrived as much as fits; how many bytes.
    pub(super) fn take(&mut self, into: &mut [u8]) -> usize {
        let taken = self.arrived().len().min(into.len());
        for (target, byte) in into.iter_mut().zip(self.arrived()) {
            *target = *byte;
        }
        self.consume(taken);
        taken
    }

    /// Waits for the next bytes, past the buffer, in which nothing may be left; how many. 0 is the end.
    ///
    /// # Errors
    /// As [`Wire::fill`].
    pub(super) fn receive(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let received = receive(&self.socket, into)?;
        self.worker.count_received(received);
        Ok(received)
    }

    /// Sends all of it.
    ///
    /// # Errors
    /// What the system says; `WouldBlock` when the peer took nothing for the socket's send timeout.
    pub(super) fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        if !self.is_unix {
            // What of it the peer has is the system's to know.
            return (&*self.socket).write_all(bytes);
        }
        bytes.chunks(UNIX_PIECE_BYTES).try_for_each(|piece| {
            (&*self.socket).write_all(piece)?;
            self.worker.count_sent(piece.len());
            Ok(())
        })
    }
}

fn receive(mut socket: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.read(into) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
