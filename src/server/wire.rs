//! The bytes of one connection: its socket, and a bounded buffer of unconsumed input.
//!
//! Invariant: the buffer never grows beyond a head. Bytes received are counted for the guard, bytes sent only on a Unix
//! socket: on TCP the kernel knows how many have arrived. Must never hold a lock while it waits for the peer.

use super::head::MAX_HEAD_BYTES;
use super::slot::Slot;
use super::sys;
use crate::blocking;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

/// The initial size of the buffer; nearly every head is shorter.
const FIRST_BYTES: usize = 2048;
/// The maximum size of the buffer: a head, and the empty line tolerated before it.
const MAX_BYTES: usize = MAX_HEAD_BYTES + 2;
/// Bytes written to a Unix socket at a time: only complete writes are counted.
const UNIX_PIECE_BYTES: usize = 16 << 10;

/// Whether to wait for bytes that have not arrived yet.
#[derive(Clone, Copy)]
pub(super) enum Patience {
    None,
    /// To be tried after [`Patience::None`]: it gives the thread's permit up.
    Waits,
}

/// One connection's bytes.
pub(super) struct Wire<'a> {
    socket: Arc<TcpStream>,
    is_unix: bool,
    slot: &'a Slot,
    buffer: Vec<u8>,
    /// The start of the unconsumed bytes in the buffer.
    start: usize,
    end: usize,
}

impl<'a> Wire<'a> {
    pub(super) fn new(socket: Arc<TcpStream>, is_unix: bool, slot: &'a Slot) -> Self {
        Self { socket, is_unix, slot, buffer: vec![0; FIRST_BYTES], start: 0, end: 0 }
    }

    pub(super) fn socket(&self) -> &Arc<TcpStream> {
        &self.socket
    }

    /// The bytes that have arrived and are not consumed yet.
    pub(super) fn arrived(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Consumes the first bytes of what has arrived.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.start = self.end.min(self.start + bytes);
    }

    /// Takes more into the buffer. Returns the number of bytes; 0 is the end.
    ///
    /// # Errors
    /// I/O errors; `WouldBlock` if nothing has arrived ([`Patience::None`]), or nothing within the socket's receive
    /// timeout.
    pub(super) fn fill(&mut self, patience: Patience) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            self.buffer.resize((2 * self.end).min(MAX_BYTES), 0);
        }
        let received = receive(&self.socket, self.buffer.get_mut(self.end..).unwrap_or_default(), patience)?;
        self.end += received;
        self.slot.count_received(received);
        Ok(received)
    }

    /// Moves as much as fits of what has arrived. Returns the number of bytes.
    pub(super) fn take(&mut self, into: &mut [u8]) -> usize {
        let taken = self.arrived().len().min(into.len());
        for (target, byte) in into.iter_mut().zip(self.arrived()) {
            *target = *byte;
        }
        self.consume(taken);
        taken
    }

    /// Takes the next bytes, bypassing the buffer, which must be empty. Returns their number; 0 is the end.
    ///
    /// # Errors
    /// As [`Wire::fill`].
    pub(super) fn receive(&mut self, into: &mut [u8], patience: Patience) -> io::Result<usize> {
        let received = receive(&self.socket, into, patience)?;
        self.slot.count_received(received);
        Ok(received)
    }

    /// Sends all bytes.
    ///
    /// # Errors
    /// I/O errors; `WouldBlock` if the peer took nothing within the socket's send timeout.
    pub(super) fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        if !self.is_unix {
            // How much of it has reached the peer, only the system knows.
            return send(&self.socket, bytes);
        }
        bytes.chunks(UNIX_PIECE_BYTES).try_for_each(|piece| {
            send(&self.socket, piece)?;
            self.slot.count_sent(piece.len());
            Ok(())
        })
    }
}

fn receive(mut socket: &TcpStream, into: &mut [u8], patience: Patience) -> io::Result<usize> {
    match patience {
        Patience::None => return sys::receive_now(socket, into),
        Patience::Waits => blocking::about_to_block(),
    }
    loop {
        match socket.read(into) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn send(mut socket: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    let sent = match sys::send_now(socket, bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        result => result?,
    };
    match bytes.get(sent..) {
        None | Some([]) => Ok(()),
        Some(rest) => {
            blocking::about_to_block();
            socket.write_all(rest)
        }
    }
}
