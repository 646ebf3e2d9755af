//! One connection, from its first byte to its last: wait for a head, check it, let the app answer, write the answer.
//!
//! Invariant: tiny_http is asked for a request only when its whole head lies on the socket and has been accepted, and
//! has read nothing beyond the request before it; so it never sees a byte we have not checked. Every answer is
//! written before an unread body is dropped. Must never buffer more of a body than one small buffer.

use super::accept::Accepted;
use super::body::WireBody;
use super::head::{self, HEAD_TIMEOUT, Head, MAX_HEAD_BYTES, Scan};
use super::worker::{Phase, Worker};
use super::{FRESH_GRACE, Pool, sys};
use crate::app::App;
use crate::clock::unix_now;
use crate::error::ApiError;
use crate::http::{Body, Framing, Method, Peer, Reply, Request};
use crate::log::Entry;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// Bytes looked at first; nearly every head is shorter.
const FIRST_LOOK_BYTES: usize = 2048;
/// Size of the buffer large content goes out through.
const CHUNK_BYTES: usize = 64 << 10;
/// How long an unread body is drained after its answer, so that the answer is not lost to a reset.
const LINGER: Duration = Duration::from_secs(2);
/// How long the drain waits for the next bytes.
const LINGER_SILENCE: Duration = Duration::from_millis(500);

/// A connection being served.
pub(super) struct Connection<'a> {
    app: &'a App,
    pool: &'a Pool,
    worker: &'a Worker,
    accepted: Accepted<'a>,
    /// Bytes on the wire of the requests answered so far.
    answered_bytes: u64,
    /// Where bytes are looked at before tiny_http reads them.
    look: Vec<u8>,
}

/// What waiting for a request came to.
enum Awaited {
    Head(Box<Head>),
    Refused(&'static str),
    /// The peer has ended, or said nothing for too long.
    Over,
}

impl<'a> Connection<'a> {
    pub(super) fn new(pool: &'a Pool, worker: &'a Worker, accepted: Accepted<'a>) -> Self {
        Self { app: &pool.app, pool, worker, accepted, answered_bytes: 0, look: Vec::new() }
    }

    /// Answers requests until either side has had enough.
    pub(super) fn serve(mut self) {
        // An I/O error means the peer is gone; there is nobody to tell.
        let _ = self.answer_requests();
    }

    fn answer_requests(&mut self) -> io::Result<()> {
        self.worker.begin(self.accepted.socket()?);
        loop {
            match self.await_head()? {
                Awaited::Over => return Ok(()),
                Awaited::Refused(reason) => return self.refuse(reason),
                Awaited::Head(head) => {
                    if !self.answer(&head)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Waits until the next request's head is whole, leaving it on the socket.
    fn await_head(&mut self) -> io::Result<Awaited> {
        let socket = self.accepted.socket()?;
        let is_fresh = self.answered_bytes == 0;
        self.worker.set_phase(if is_fresh { Phase::Fresh } else { Phase::Idle });
        self.look.resize(FIRST_LOOK_BYTES, 0);
        if self.pool.is_stopping() {
            // What has arrived is answered, and whoever has just connected; nothing more is waited for.
            socket.set_read_timeout(Some(if is_fresh { FRESH_GRACE } else { Duration::from_millis(1) }))?;
        }
        let mut seen = match sys::peek(socket, &mut self.look) {
            Ok(0) | Err(_) => return Ok(Awaited::Over),
            Ok(seen) => seen,
        };
        let deadline = Instant::now() + HEAD_TIMEOUT;
        loop {
            match head::scan(self.look.get(..seen).unwrap_or_default()) {
                Scan::Whole(mut head) => {
                    // A peer that has already sent its next request does not wait for answers: this is its last here.
                    head.keep_alive &= head.length_on_wire().is_none_or(|bytes| seen as u64 <= bytes);
                    self.worker.set_phase(Phase::Working);
                    return Ok(Awaited::Head(Box::new(head)));
                }
                Scan::Refused(reason) => return Ok(Awaited::Refused(reason)),
                Scan::Partial if Instant::now() >= deadline => {
                    return Ok(Awaited::Refused("The headers took longer than 15 seconds."));
                }
                Scan::Partial => {
                    self.worker.set_phase(Phase::Receiving);
                    match self.accepted.peek_beyond(seen, &mut self.look)? {
                        Some(more) => seen = more,
                        None => return Ok(Awaited::Over),
                    }
                }
            }
        }
    }

    /// Answers one request; whether the connection goes on.
    fn answer(&mut self, head: &Head) -> io::Result<bool> {
        let started = Instant::now();
        let (path, query) = head.target.split_once('?').unwrap_or((&head.target, ""));
        let peer = self.accepted.peer;
        let (mut nobody, framing) = (io::empty(), head.framing);
        let method = Method::from(head.method.as_str());
        let mut request = Request { method, path, query, headers: &head.fields, peer, framing, body: &mut nobody };
        // Only chunks, which announce no length, have to be held against it as they come.
        let max_bytes = if framing == Framing::Chunked { self.app.max_body_bytes(&request) } else { 0 };
        let mut body = WireBody::new(&mut self.accepted, self.worker, &mut self.look, head, max_bytes);
        request.body = &mut body;
        let request_id = App::request_id(&request);
        let client = self.app.client_name(&request);
        let mut reply = self.app.handle(&mut request, &request_id, unix_now());
        let (wire, is_read) = body.finish();
        // After chunks nobody knows how many bytes the request took, and on a Unix socket nobody can count them:
        // what tiny_http may have read beyond it could not be told.
        let countable = head.framing != Framing::Chunked && peer != Peer::Unix;
        let keep_alive = head.keep_alive && is_read && wire.is_some() && countable && !self.pool.is_stopping();
        // While others wait for a thread, everybody gets one answer for each time they queue.
        let keep_alive = keep_alive && !self.pool.is_pressed();
        let socket = self.accepted.socket()?;
        self.worker.set_phase(Phase::Sending);
        let written = write_reply(socket, &mut reply, &request_id, keep_alive, head.method == "HEAD");
        self.app.log_request(&Entry {
            at: unix_now(),
            request_id: &request_id,
            method: &head.method,
            path,
            status: reply.status,
            bytes: *written.as_ref().unwrap_or(&0),
            elapsed: started.elapsed(),
            client: &client,
        });
        self.answered_bytes += head.length_on_wire().unwrap_or(0);
        let goes_on = written.is_ok() && keep_alive && !self.has_read_ahead().unwrap_or(true);
        if !goes_on {
            let _ = self.linger();
        }
        // tiny_http would answer by itself if the writer were left in it, and reads the rest of a body here; after
        // `linger` it finds the end.
        drop(wire.map(tiny_http::Request::into_writer));
        written.map(|_| goes_on)
    }

    /// Answers what is not acceptable as a request, and closes.
    fn refuse(&mut self, reason: &'static str) -> io::Result<()> {
        self.worker.set_phase(Phase::Sending);
        let started = Instant::now();
        let request_id = App::new_request_id();
        let mut reply = App::refusal(&ApiError::BadRequest(reason), &request_id);
        let head_only = self.look.starts_with(b"HEAD ");
        let written = write_reply(self.accepted.socket()?, &mut reply, &request_id, false, head_only);
        self.app.log_request(&Entry {
            at: unix_now(),
            request_id: &request_id,
            method: "-",
            path: "-",
            status: reply.status,
            bytes: *written.as_ref().unwrap_or(&0),
            elapsed: started.elapsed(),
            client: &crate::app::peer_name(self.accepted.peer),
        });
        written?;
        self.linger()
    }

    /// Whether tiny_http has taken bytes off the socket beyond the requests we have answered: then the next head
    /// would not be where we look for it.
    fn has_read_ahead(&self) -> io::Result<bool> {
        let socket = self.accepted.socket()?;
        let mut received = sys::tcp_counters(socket)?.received;
        if received == self.answered_bytes {
            return Ok(false);
        }
        // Between two equal readings nothing has arrived, and what was unread in between was exactly that.
        for _ in 0..4 {
            let unread = sys::bytes_unread(socket)?;
            let again = sys::tcp_counters(socket)?.received;
            if received == again {
                return Ok(received != self.answered_bytes + unread);
            }
            received = again;
        }
        Ok(true)
    }

    /// Ends our side and takes what still comes, for a bounded moment: a socket closed over unread bytes resets, and
    /// a reset can overtake the answer.
    fn linger(&mut self) -> io::Result<()> {
        self.worker.set_phase(Phase::Draining);
        let mut socket: &TcpStream = self.accepted.socket()?;
        socket.shutdown(Shutdown::Write)?;
        socket.set_read_timeout(Some(LINGER_SILENCE))?;
        self.look.resize(MAX_HEAD_BYTES, 0);
        let deadline = Instant::now() + LINGER;
        while Instant::now() < deadline && socket.read(&mut self.look).is_ok_and(|read| read > 0) {}
        socket.shutdown(Shutdown::Both).or(Ok(()))
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        // The socket must not stay open beyond its line in the acceptor's book.
        self.worker.end();
    }
}

/// Writes a reply; how many bytes of content went out. Small ones leave in one write, head and all.
fn write_reply(
    mut socket: &TcpStream,
    reply: &mut Reply,
    request_id: &str,
    keep_alive: bool,
    head_only: bool,
) -> io::Result<u64> {
    let mut head = reply.head(request_id, keep_alive, unix_now());
    if head_only {
        return socket.write_all(&head).map(|()| 0);
    }
    let length = reply.body.len();
    let content = match &mut reply.body {
        Body::Empty => &[],
        Body::Bytes(bytes) => bytes.as_slice(),
        Body::Stream(content, length) => return write_stream(socket, head, content, *length),
    };
    if content.len() <= CHUNK_BYTES {
        head.extend_from_slice(content);
        socket.write_all(&head)?;
    } else {
        socket.write_all(&head)?;
        socket.write_all(content)?;
    }
    Ok(length)
}

/// Streams content of a known length. If it ends early, because the paste was deleted meanwhile or the disk failed,
/// the connection does too: the peer sees that bytes are missing.
fn write_stream(mut socket: &TcpStream, head: Vec<u8>, content: &mut dyn Read, length: u64) -> io::Result<u64> {
    let mut chunk = head;
    let mut content = content.take(length);
    let mut sent = 0;
    loop {
        let read = (&mut content).take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
        socket.write_all(&chunk)?;
        chunk.clear();
        sent += read as u64;
        if sent == length {
            return Ok(sent);
        }
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
}
