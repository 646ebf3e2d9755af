//! One connection, from its first byte to its last: wait for a head, check it, let the app answer, write the answer.
//!
//! Invariant: tiny_http is asked for a request only when its whole head lies on the socket and has been accepted, and
//! has read nothing beyond the request before it; so it never sees a byte we have not checked. Every answer is
//! written before an unread body is dropped. Must never buffer more of a body than one small buffer.

use super::accept::Accepted;
use super::head::{self, Head, MAX_HEAD_BYTES, Scan};
use super::{Worker, sys};
use crate::app::{App, Handled};
use crate::clock::unix_now;
use crate::error::ApiError;
use crate::http::{Body, Framing, Method, Peer, Reply, Request};
use crate::log::{self, Entry};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a head may take from its first byte to its last.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes looked at first; nearly every head is shorter.
const FIRST_LOOK_BYTES: usize = 2048;
/// Bodies up to this size tiny_http reads together with the head.
const SMALL_BODY_BYTES: u64 = 1024;
/// Size of the buffer large content goes out through.
const CHUNK_BYTES: usize = 64 << 10;
/// How long an unread body is drained after its answer, so that the answer is not lost to a reset.
const LINGER: Duration = Duration::from_secs(2);
/// How long the drain waits for the next bytes.
const LINGER_SILENCE: Duration = Duration::from_millis(500);

/// A connection being served.
pub(super) struct Connection<'a> {
    app: &'a App,
    worker: &'a Worker,
    stopping: &'a AtomicBool,
    accepted: Accepted<'a>,
    /// Bytes on the wire of the requests answered so far.
    answered_bytes: u64,
    buffer: Vec<u8>,
}

/// What waiting for a request came to.
enum Awaited {
    Head(Box<Head>),
    Refused(&'static str),
    /// The peer has ended, or said nothing for too long.
    Over,
}

impl<'a> Connection<'a> {
    pub(super) fn new(app: &'a App, accepted: Accepted<'a>, worker: &'a Worker, stopping: &'a AtomicBool) -> Self {
        Self { app, worker, stopping, accepted, answered_bytes: 0, buffer: Vec::new() }
    }

    /// Answers requests until either side has had enough.
    pub(super) fn serve(mut self) {
        // An I/O error means the peer is gone; there is nobody to tell.
        let _ = self.answer_requests();
    }

    fn answer_requests(&mut self) -> io::Result<()> {
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
        self.worker.set_idle(socket);
        self.buffer.resize(FIRST_LOOK_BYTES, 0);
        if self.stopping.load(Ordering::SeqCst) {
            // What has arrived is answered; nothing more is waited for.
            socket.set_read_timeout(Some(Duration::from_millis(1)))?;
        }
        let mut seen = match socket.peek(&mut self.buffer) {
            Ok(0) | Err(_) => return Ok(Awaited::Over),
            Ok(seen) => seen,
        };
        let deadline = Instant::now() + HEAD_TIMEOUT;
        loop {
            match head::scan(self.buffer.get(..seen).unwrap_or_default()) {
                Scan::Whole(head) => return self.await_small_body(head, seen),
                Scan::Refused(reason) => return Ok(Awaited::Refused(reason)),
                Scan::Partial if Instant::now() >= deadline => {
                    return Ok(Awaited::Refused("The headers took longer than 15 seconds."));
                }
                Scan::Partial => match self.peek_beyond(seen)? {
                    Some(more) => seen = more,
                    None => return Ok(Awaited::Over),
                },
            }
        }
    }

    /// Waits for at least one byte more than `seen`; how many there are. `None` when no more will come.
    fn peek_beyond(&mut self, seen: usize) -> io::Result<Option<usize>> {
        if seen >= self.buffer.len() {
            self.buffer.resize(MAX_HEAD_BYTES, 0);
        }
        let socket = self.accepted.socket()?;
        let wanted = self.buffer.get_mut(..=seen).unwrap_or_default();
        if sys::peek_until_full(socket, wanted)? <= seen {
            if self.accepted.peer != Peer::Unix {
                return Ok(None);
            }
            // On a Unix socket a peek does not wait for more than is there.
            std::thread::sleep(Duration::from_millis(2));
        }
        socket.peek(&mut self.buffer).map(Some)
    }

    /// Waits until a body is whole that tiny_http would read with the head, where a body cut short would be answered
    /// without a word of ours.
    fn await_small_body(&mut self, mut head: Head, seen: usize) -> io::Result<Awaited> {
        self.worker.set_busy();
        let Framing::Length(length) = head.framing else { return Ok(Awaited::Head(Box::new(head))) };
        let whole = usize::try_from(length).map_or(usize::MAX, |length| length.saturating_add(head.bytes));
        // A peer that has already sent its next request does not wait for answers: this is its last here.
        head.keep_alive &= seen <= whole;
        if length > SMALL_BODY_BYTES || head.expects_continue || seen >= whole {
            return Ok(Awaited::Head(Box::new(head)));
        }
        let deadline = Instant::now() + HEAD_TIMEOUT;
        let mut seen = seen;
        self.buffer.resize(whole, 0);
        while seen < whole {
            match self.peek_beyond(seen)? {
                Some(more) if Instant::now() < deadline => seen = more,
                _ => return Ok(Awaited::Refused("The body ended before its Content-Length.")),
            }
        }
        Ok(Awaited::Head(Box::new(head)))
    }

    /// Answers one request; whether the connection goes on.
    fn answer(&mut self, head: &Head) -> io::Result<bool> {
        let started = Instant::now();
        let Some(mut wire) = self.accepted.next_request() else { return Ok(false) };
        let socket = self.accepted.socket()?;
        let (path, query) = head.target.split_once('?').unwrap_or((&head.target, ""));
        let mut body = WireBody::new(&mut wire, head, socket);
        let mut request = Request {
            method: Method::from(head.method.as_str()),
            path,
            query,
            headers: &head.fields,
            peer: self.accepted.peer,
            framing: head.framing,
            body: &mut body,
        };
        let request_id = App::request_id(&request);
        let Handled { mut reply, client } = handle(self.app, &mut request, &request_id);
        let body_is_read = body.is_read();
        // After chunks nobody knows how many bytes the request took, and on a Unix socket nobody can count them:
        // what tiny_http may have read beyond it could not be told.
        let countable = head.framing != Framing::Chunked && self.accepted.peer != Peer::Unix;
        let keep_alive = head.keep_alive && body_is_read && countable && !self.stopping.load(Ordering::SeqCst);
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
        self.answered_bytes += head.bytes as u64 + if let Framing::Length(length) = head.framing { length } else { 0 };
        let goes_on = written.is_ok() && keep_alive && !self.has_read_ahead().unwrap_or(true);
        if !goes_on {
            let _ = self.linger();
        }
        // tiny_http would answer by itself if the writer were left in it, and reads the rest of the body here; after
        // `linger` it finds the end.
        drop(wire.into_writer());
        written.map(|_| goes_on)
    }

    /// Answers what is not acceptable as a request, and closes.
    fn refuse(&mut self, reason: &'static str) -> io::Result<()> {
        self.worker.set_busy();
        let started = Instant::now();
        let request_id = App::new_request_id();
        let mut reply = App::refusal(&ApiError::BadRequest(reason), &request_id);
        let written = write_reply(self.accepted.socket()?, &mut reply, &request_id, false, false);
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
        let mut received = sys::bytes_received(socket)?;
        if received == self.answered_bytes {
            return Ok(false);
        }
        // Between two equal readings nothing has arrived, and what was unread in between was exactly that.
        for _ in 0..4 {
            let unread = sys::bytes_unread(socket)?;
            let again = sys::bytes_received(socket)?;
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
        let mut socket: &TcpStream = self.accepted.socket()?;
        socket.shutdown(Shutdown::Write)?;
        socket.set_read_timeout(Some(LINGER_SILENCE))?;
        self.buffer.resize(MAX_HEAD_BYTES, 0);
        let deadline = Instant::now() + LINGER;
        while Instant::now() < deadline && socket.read(&mut self.buffer).is_ok_and(|read| read > 0) {}
        socket.shutdown(Shutdown::Both).or(Ok(()))
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        // The idle list must not keep the socket open beyond its line in the acceptor's book.
        self.worker.set_busy();
    }
}

/// Has the app answer; a panic becomes an internal error of this request alone.
fn handle(app: &App, request: &mut Request<'_>, request_id: &str) -> Handled {
    let client = app.client_name(request);
    let handled = catch_unwind(AssertUnwindSafe(|| app.handle(request, request_id, unix_now())));
    let reply = handled.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        log::message(&format!("request {request_id} panicked: {}", text.unwrap_or("no message")));
        App::refusal(&ApiError::Internal(String::new()), request_id)
    });
    Handled { reply, client }
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

/// A request's body as it comes off the wire, with what tiny_http does not tell: whether it is whole.
struct WireBody<'a> {
    wire: &'a mut tiny_http::Request,
    socket: &'a TcpStream,
    /// Bytes missing; unknown while chunks come.
    missing: Option<u64>,
    ended: bool,
}

impl<'a> WireBody<'a> {
    fn new(wire: &'a mut tiny_http::Request, head: &Head, socket: &'a TcpStream) -> Self {
        let missing = match head.framing {
            Framing::None => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked => None,
        };
        // A small body has been read together with the head, whether anyone looks at it or not.
        let ended = missing.is_some_and(|bytes| bytes == 0 || (bytes <= SMALL_BODY_BYTES && !head.expects_continue));
        Self { wire, socket, missing, ended }
    }

    /// Whether nothing of it is left on the wire.
    fn is_read(&self) -> bool {
        self.ended
    }
}

impl Read for WireBody<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.missing == Some(0) {
            return Ok(0);
        }
        let read = self.wire.as_reader().read(buffer)?;
        match &mut self.missing {
            Some(_) if read == 0 => return Err(ErrorKind::UnexpectedEof.into()),
            Some(missing) => {
                *missing = missing.saturating_sub(read as u64);
                self.ended |= *missing == 0;
            }
            // tiny_http's decoder takes a connection that ends inside a chunk for the end of the body. Only a peer
            // that is still there has certainly said the last chunk.
            None if read == 0 && sys::is_at_end(self.socket) => return Err(ErrorKind::UnexpectedEof.into()),
            None => self.ended |= read == 0,
        }
        Ok(read)
    }
}
