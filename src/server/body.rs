//! Reads a request body from the wire.
//!
//! Invariant: a truncated body is an error, never short content. Must never buffer more than the wire's buffer, nor
//! wait for a peer without a seat in the share.

use super::decoder::{Decoder, Next};
use super::head::{Expectation, Head};
use super::share::{Seat, Share};
use super::slot::{Cut, Phase, Slot};
use super::wire::{Patience, Wire};
use std::io::{self, ErrorKind, Read};
use std::time::Instant;

/// The body of one request.
pub(super) struct WireBody<'a, 'b> {
    wire: &'a mut Wire<'b>,
    slot: &'a Slot,
    /// Limits how many peers may be waited for.
    share: &'a Share,
    slots: &'a [Slot],
    /// Taken when the body must be waited for.
    seat: Option<Seat<'a>>,
    decoder: Decoder,
    /// Content announced beyond this is refused before it arrives.
    max_bytes: u64,
    /// Whether the sender may still be waiting for `100 Continue`, so that what arrives may not be the body.
    is_waiting: bool,
    is_broken: bool,
}

impl<'a, 'b> WireBody<'a, 'b> {
    pub(super) fn new(
        wire: &'a mut Wire<'b>,
        (slot, slots): (&'a Slot, &'a [Slot]),
        share: &'a Share,
        head: &Head,
        max_bytes: u64,
    ) -> Self {
        let decoder = Decoder::new(head.framing);
        let is_waiting = head.expectation != Expectation::None && decoder.next() != Next::End;
        Self { wire, slot, share, slots, seat: None, decoder, max_bytes, is_waiting, is_broken: false }
    }

    /// Whether nothing of the body is left on the wire. What has already arrived is discarded, so that a small unread
    /// body does not cost the connection.
    pub(super) fn finish(mut self) -> bool {
        while !self.is_broken && !self.is_waiting && !self.wire.arrived().is_empty() {
            match self.decoder.next() {
                Next::End => break,
                Next::Content(left) => {
                    let arrived = self.wire.arrived().len();
                    let taken = usize::try_from(left).map_or(arrived, |left| left.min(arrived));
                    self.wire.consume(taken);
                    self.decoder.take_content(taken as u64);
                }
                Next::Framing => self.is_broken = self.read_framing().is_err(),
            }
        }
        !self.is_broken && self.decoder.next() == Next::End
    }

    /// Reads content, of several chunks if they have arrived; 0 at the end.
    fn read_content(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if std::mem::take(&mut self.is_waiting) {
            self.slot.set_phase(Phase::Sending);
            let written = self.wire.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
            self.slot.set_phase(Phase::Working);
            written?;
        }
        let mut read = 0;
        while read == 0 || !self.wire.arrived().is_empty() {
            match self.decoder.next() {
                Next::End => break,
                Next::Content(left) => {
                    let into = buffer.get_mut(read..).unwrap_or_default();
                    let wanted = usize::try_from(left).map_or(into.len(), |left| left.min(into.len()));
                    let into = into.get_mut(..wanted).unwrap_or_default();
                    if into.is_empty() {
                        break;
                    }
                    let taken = if self.wire.arrived().is_empty() {
                        self.receive(|wire, patience| wire.receive(into, patience))?
                    } else {
                        self.wire.take(into)
                    };
                    self.decoder.take_content(taken as u64);
                    read += taken;
                }
                Next::Framing => {
                    if self.wire.arrived().is_empty() {
                        self.receive(Wire::fill)?;
                    }
                    self.read_framing()?;
                    if self.decoder.announced() > self.max_bytes {
                        return Err(ErrorKind::FileTooLarge.into());
                    }
                }
            }
            self.give_up_seat_at_end();
        }
        Ok(read)
    }

    /// Releases the seat once the body is complete: the peer is not waited for any more.
    fn give_up_seat_at_end(&mut self) {
        if self.decoder.next() == Next::End {
            self.seat = None;
        }
    }

    fn read_framing(&mut self) -> io::Result<()> {
        let taken = self.decoder.read_framing(self.wire.arrived()).map_err(|_| ErrorKind::InvalidData)?;
        self.wire.consume(taken);
        Ok(())
    }

    /// Receives what has arrived, or waits for the peer, if there is a seat for it.
    fn receive(&mut self, mut receive: impl FnMut(&mut Wire<'b>, Patience) -> io::Result<usize>) -> io::Result<usize> {
        let mut received = receive(self.wire, Patience::None);
        if received.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            if self.seat.is_none() {
                let seat = self.share.enter(self.slot, self.slots, Instant::now());
                self.seat = Some(seat.ok_or(ErrorKind::ResourceBusy)?);
            }
            self.slot.set_phase(Phase::Receiving);
            received = receive(self.wire, Patience::Waits);
            self.slot.set_phase(Phase::Working);
        }
        match (received, self.slot.cut()) {
            (Ok(received), _) if received > 0 => Ok(received),
            (_, Some(Cut::Crowded)) => Err(ErrorKind::ResourceBusy.into()),
            (_, Some(Cut::Stalled)) => Err(ErrorKind::TimedOut.into()),
            (Ok(_), None) => Err(ErrorKind::UnexpectedEof.into()),
            (Err(error), None) => Err(error),
        }
    }
}

impl Read for WireBody<'_, '_> {
    /// Reads the next content.
    ///
    /// # Errors
    /// Those of the socket; `UnexpectedEof` for a truncated body, `InvalidData` for a malformed one, `FileTooLarge` as
    /// soon as too much is announced, `TimedOut` when the peer stalled, and `ResourceBusy` when its seat was given to
    /// others. Nothing can be read after an error.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_broken {
            return Err(ErrorKind::InvalidData.into());
        }
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.read_content(buffer);
        self.is_broken = read.is_err();
        read
    }
}

#[cfg(test)]
mod tests {
    use super::super::head::{Scan, scan};
    use super::*;
    use crate::http::Peer;
    use std::io::Write;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::sync::Arc;

    /// What is read of a body of 10,000 bytes of which this many have arrived, without a seat.
    fn read_without_a_seat(arrived: usize) -> Result<usize, ErrorKind> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n";
        client.write_all(&[&head[..], &vec![b'x'; arrived]].concat()).unwrap();
        let socket = Arc::new(listener.accept().unwrap().0);
        while socket.peek(&mut vec![0; 20_000]).unwrap() < head.len() + arrived {
            std::thread::yield_now();
        }
        let slot = Slot::default();
        slot.begin(&socket, Peer::Ip(Ipv4Addr::LOCALHOST.into()));
        let mut wire = Wire::new(socket, false, &slot);
        wire.fill(Patience::None).unwrap();
        let Scan::Whole(head) = scan(wire.arrived()) else { panic!("the head is incomplete") };
        wire.consume(head.bytes);
        let mut content = Vec::new();
        let share = Share::of(0);
        let mut body = WireBody::new(&mut wire, (&slot, &[]), &share, &head, u64::MAX);
        body.read_to_end(&mut content).map_err(|error| error.kind())
    }

    #[test]
    fn a_body_that_has_arrived_needs_no_seat() {
        assert_eq!(read_without_a_seat(10_000), Ok(10_000));
        assert_eq!(read_without_a_seat(9_999), Err(ErrorKind::ResourceBusy));
    }
}
