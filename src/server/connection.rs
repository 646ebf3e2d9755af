//! Serves one connection while something has arrived on it: takes a request head, checks it, lets the app answer, and
//! writes the reply.
//!
//! Invariant: requests are answered in order, each once; a malformed request is answered once and ends the connection.
//! A reply is written before an unread body is dropped. Must never buffer more of a body than the wire's buffer, nor
//! wait for the peer to close.

use super::Pool;
use super::body::WireBody;
use super::head::{self, Expectation, Head, Scan};
use super::slot::{Cut, Phase, Slot};
use super::sys;
use super::wire::{Patience, Wire};
use crate::admission;
use crate::answer::Responder;
use crate::blocking;
use crate::clock::unix_now;
use crate::error::ApiError;
use crate::http::{Body, Framing, Method, Peer, Persistence, Reply, Request};
use crate::log::Entry;
use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a head may take from its first byte to its last.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// A connection whose peer pipelines more requests than this is served without a permit, which others may need.
const REQUESTS_IN_A_ROW: u32 = 16;
/// The piece size for sending large content.
const PIECE_BYTES: usize = 64 << 10;

/// A connection being served.
pub(super) struct Connection<'a> {
    responder: &'a Responder,
    pool: &'a Pool,
    slot: &'a Slot,
    peer: Peer,
    wire: Wire<'a>,
    /// The buffer for replies.
    out: Vec<u8>,
}

/// The outcome of waiting for a request.
enum Awaited {
    Head(Head),
    Refused(ApiError),
    /// Nothing has arrived.
    Nothing,
    /// The peer closed the connection or was idle for too long.
    Over,
}

/// What happens to a connection after a reply.
#[derive(PartialEq, Eq)]
enum After {
    /// It waits for the next request.
    GoesOn,
    /// It ends; the peer has sent everything.
    Ends,
    /// It ends; the peer may still be sending.
    Drains,
}

impl<'a> Connection<'a> {
    pub(super) fn new(pool: &'a Pool, slot: &'a Slot, socket: Arc<TcpStream>, peer: Peer) -> Self {
        let is_unix = peer == Peer::Unix;
        Self { responder: &pool.responder, pool, slot, peer, wire: Wire::new(socket, is_unix, slot), out: Vec::new() }
    }

    /// Serves the requests that have arrived. Returns whether the connection goes on when more arrives.
    pub(super) fn serve(mut self) -> bool {
        let mut answered = 0;
        loop {
            let after = match self.await_head() {
                Ok(Awaited::Head(head)) => self.answer(&head),
                Ok(Awaited::Refused(error)) => {
                    let sent = self.wire.arrived();
                    let is_head = sent.strip_prefix(b"\r\n").unwrap_or(sent).starts_with(b"HEAD ");
                    self.refuse(&error, is_head)
                }
                Ok(Awaited::Nothing) => {
                    self.slot.set_phase(Phase::Idle);
                    return true;
                }
                Ok(Awaited::Over) => return false,
                Err(error) => Err(error),
            };
            match after {
                Ok(After::GoesOn) if self.wire.arrived().is_empty() => {
                    self.slot.set_phase(Phase::Idle);
                    return true;
                }
                Ok(After::GoesOn) => {}
                Ok(after) => {
                    self.end(&after);
                    return false;
                }
                // The connection is broken; no reply can be sent.
                Err(_) => return false,
            }
            answered += 1;
            if answered == REQUESTS_IN_A_ROW {
                blocking::about_to_block();
            }
        }
    }

    /// Ends the connection after its last reply.
    fn end(&self, after: &After) {
        let socket = self.wire.socket();
        if *after == After::Drains || is_still_sending(socket) {
            self.pool.drainer.take(Arc::clone(socket));
        }
    }

    /// Takes the complete head of the next request, and waits for the rest of it if only a part has arrived.
    fn await_head(&mut self) -> io::Result<Awaited> {
        // First: to others, a connection that is idle with nothing to read waits for its peer.
        self.slot.set_phase(Phase::Working);
        let mut seat = None;
        let mut deadline = None;
        loop {
            match head::scan(self.wire.arrived()) {
                Scan::Whole(head) => {
                    self.wire.consume(head.bytes);
                    return Ok(Awaited::Head(head));
                }
                Scan::Refused(reason) => return Ok(Awaited::Refused(ApiError::BadRequest(reason))),
                Scan::Partial => {}
            }
            match self.wire.fill(Patience::None) {
                Ok(0) => return Ok(Awaited::Over),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                received => {
                    received?;
                    continue;
                }
            }
            if self.wire.arrived().is_empty() {
                return Ok(Awaited::Nothing);
            }
            let now = Instant::now();
            if *deadline.get_or_insert(now + HEAD_TIMEOUT) <= now {
                return Ok(Awaited::Refused(ApiError::BadRequest("The headers took longer than 15 seconds.")));
            }
            if seat.is_none() {
                seat = self.pool.share.enter(self.slot, &self.pool.slots, now);
            }
            if seat.is_none() {
                return Ok(Awaited::Refused(ApiError::Busy(1)));
            }
            self.slot.set_phase(Phase::Receiving);
            let received = self.wire.fill(Patience::Waits);
            self.slot.set_phase(Phase::Working);
            match (received, self.slot.cut()) {
                (Ok(received), _) if received > 0 => {}
                (_, Some(Cut::Crowded)) => return Ok(Awaited::Refused(ApiError::Busy(1))),
                _ => return Ok(Awaited::Over),
            }
        }
    }

    /// Answers one request.
    fn answer(&mut self, head: &Head) -> io::Result<After> {
        let started = Instant::now();
        let config = self.responder.app().config();
        let Ok(parsed) = self.pool.parser.parse(&head.normalised) else {
            let is_head = head.normalised.starts_with(b"HEAD ");
            return self.refuse(&ApiError::BadRequest("The request cannot be parsed."), is_head);
        };
        let (path, query) = parsed.target().split_once('?').unwrap_or((parsed.target(), ""));
        let (method, framing, fields) = (Method::from(parsed.method()), head.framing, |name: &str| parsed.field(name));
        let mut nobody = io::empty();
        let (peer, owner, body) = (self.peer, None, &mut nobody);
        let mut request = Request { method, path, query, fields: &fields, peer, owner, framing, body };
        let identified = self.responder.identify(&request, unix_now());
        let identity_fault = identified.map(|owner| request.owner = owner).err();
        // Only chunked bodies, which announce no length, are checked while they arrive.
        let max_bytes =
            if framing == Framing::Chunked { admission::max_body_bytes(config, &request) } else { u64::MAX };
        let mut body = WireBody::new(&mut self.wire, (self.slot, &self.pool.slots), &self.pool.share, head, max_bytes);
        request.body = &mut body;
        let request_id = self.responder.request_id(&request);
        let client = admission::client(config, &request).to_string();
        let mut reply = if head.expectation == Expectation::Unknown {
            self.responder.refuse(&request, &ApiError::ExpectationFailed, &request_id)
        } else if let Some(error) = identity_fault {
            self.responder.refuse(&request, &error, &request_id)
        } else {
            self.responder.answer(&mut request, &request_id, unix_now())
        };
        let is_read = body.finish();
        // While nearly all slots are taken, each connection gets only one reply.
        let is_wanted = head.persistence != Persistence::Close;
        let goes_on = is_wanted && is_read && !self.pool.is_stopping() && !self.pool.is_pressed();
        let persistence = if goes_on { head.persistence } else { Persistence::Close };
        let written = self.write_reply(&mut reply, &request_id, persistence, method == Method::Head);
        self.responder.log_request(&Entry {
            at: unix_now(),
            request_id: &request_id,
            method: parsed.method(),
            path,
            status: reply.status,
            bytes: *written.as_ref().unwrap_or(&0),
            elapsed: started.elapsed(),
            client: &client,
        });
        written?;
        Ok(match (goes_on, is_read && !is_wanted && self.wire.arrived().is_empty()) {
            (true, _) => After::GoesOn,
            (false, true) => After::Ends,
            (false, false) => After::Drains,
        })
    }

    /// Replies to an unacceptable request.
    fn refuse(&mut self, error: &ApiError, is_head: bool) -> io::Result<After> {
        let started = Instant::now();
        let request_id = self.responder.new_request_id();
        let mut reply = self.responder.refusal(error, &request_id);
        let written = self.write_reply(&mut reply, &request_id, Persistence::Close, is_head);
        self.responder.log_request(&Entry {
            at: unix_now(),
            request_id: &request_id,
            method: "-",
            path: "-",
            status: reply.status,
            bytes: *written.as_ref().unwrap_or(&0),
            elapsed: started.elapsed(),
            client: &self.peer.to_string(),
        });
        written.map(|_| After::Drains)
    }

    /// Writes a reply. Returns the bytes of content sent. Small replies are sent in a single write.
    fn write_reply(
        &mut self,
        reply: &mut Reply,
        request_id: &str,
        persistence: Persistence,
        is_head: bool,
    ) -> io::Result<u64> {
        let is_only_copy = reply.is_only_copy && !is_head;
        self.slot.set_phase(if is_only_copy { Phase::SendingOnlyCopy } else { Phase::Sending });
        self.out.clear();
        let hsts = self.responder.app().config().hsts;
        reply.write_head(&mut self.out, request_id, persistence, hsts, unix_now());
        if is_head {
            return self.wire.write_all(&self.out).map(|()| 0);
        }
        let content: &[u8] = match &mut reply.body {
            Body::Empty => &[],
            Body::Bytes(content) => content,
            Body::Shared(content) => content,
            Body::Stream(content, length) => return write_stream(&self.wire, &mut self.out, content, *length),
        };
        if content.len() <= PIECE_BYTES {
            self.out.extend_from_slice(content);
            self.wire.write_all(&self.out)?;
        } else {
            blocking::about_to_block();
            self.wire.write_all(&self.out)?;
            self.wire.write_all(content)?;
        }
        Ok(content.len() as u64)
    }
}

/// Sends `out`, then streams content of known length. If the content ends early, because the paste was deleted or the
/// disk failed, the connection is closed, so that the peer notices the missing bytes.
fn write_stream(wire: &Wire<'_>, out: &mut Vec<u8>, content: &mut dyn Read, length: u64) -> io::Result<u64> {
    if length > PIECE_BYTES as u64 {
        blocking::about_to_block();
    }
    let mut content = content.take(length);
    let mut sent = 0;
    loop {
        let read = (&mut content).take(PIECE_BYTES as u64).read_to_end(out)?;
        wire.write_all(out)?;
        out.clear();
        sent += read as u64;
        if sent == length {
            return Ok(sent);
        }
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Whether the peer is unexpectedly still sending.
fn is_still_sending(socket: &TcpStream) -> bool {
    sys::receive_now(socket, &mut [0]).is_ok_and(|received| received > 0)
}
