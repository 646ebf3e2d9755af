//! A request's body as it comes off the wire, with what tiny_http does not tell: whether it is whole.
//!
//! Invariant: a body that was cut short ends in an error, never in a short content. The request is pulled out of
//! tiny_http only when somebody reads the body or when there is none: a refusal that needs no body leaves it, and
//! whatever is wrong with it, untouched on the socket.

use super::accept::Accepted;
use super::head::{HEAD_TIMEOUT, Head};
use super::sys;
use super::worker::{Phase, Worker};
use crate::http::Framing;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

/// Bodies up to this size tiny_http reads together with the head, when nobody waits for `100 Continue`.
const SMALL_BODY_BYTES: u64 = 1024;
/// Chunked bodies up to this size, framing included, are awaited whole before tiny_http reads them. Far below the
/// receive buffer: bytes that are only looked at stay in it, and a full one would be waited on for ever.
const SMALL_CHUNKED_BYTES: usize = 16 << 10;

/// The body of one request.
pub(super) struct WireBody<'a, 'b> {
    accepted: &'a mut Accepted<'b>,
    /// Is told whom it waits for.
    worker: &'a Worker,
    /// Where bytes are looked at before tiny_http reads them.
    look: &'a mut Vec<u8>,
    head: &'a Head,
    wire: Option<tiny_http::Request>,
    /// Bytes missing; unknown while chunks come.
    missing: Option<u64>,
    /// Content beyond this is refused anyway and not waited for.
    max_bytes: u64,
    /// Whether the last chunk was seen before tiny_http read anything.
    seen_whole: bool,
    /// Whether we have said `100 Continue` ourselves: then tiny_http never sees this request.
    is_direct: bool,
    ended: bool,
}

impl<'a, 'b> WireBody<'a, 'b> {
    pub(super) fn new(
        accepted: &'a mut Accepted<'b>,
        worker: &'a Worker,
        look: &'a mut Vec<u8>,
        head: &'a Head,
        max_bytes: u64,
    ) -> Self {
        let missing = match head.framing {
            Framing::None => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked => None,
        };
        Self {
            accepted,
            worker,
            look,
            head,
            wire: None,
            missing,
            max_bytes,
            seen_whole: false,
            is_direct: false,
            ended: missing == Some(0),
        }
    }

    /// tiny_http's request, if it was pulled or had no body, and whether nothing of it is left on the wire. The request
    /// must not be dropped while something is: tiny_http would read all of it first.
    pub(super) fn finish(mut self) -> (Option<tiny_http::Request>, bool) {
        if self.ended && self.wire.is_none() && !self.is_direct {
            self.wire = self.accepted.next_request();
        }
        (self.wire, self.ended)
    }

    /// Pulls the request out of tiny_http. A small body is awaited whole first: tiny_http would answer one that is cut
    /// short by itself, or take it for whole.
    fn pull(&mut self) -> io::Result<&mut tiny_http::Request> {
        if self.wire.is_none() {
            match self.head.framing {
                Framing::Length(length) if length <= SMALL_BODY_BYTES && !self.head.expects_continue => {
                    self.await_small(
                        |body| if body.len() as u64 >= length { Chunks::Whole } else { Chunks::Partial(0) },
                    )?;
                    self.ended = true;
                }
                Framing::Chunked if !self.head.expects_continue => self.seen_whole = self.await_small(scan_chunks)?,
                _ => {}
            }
            self.wire = self.accepted.next_request();
        }
        self.wire.as_mut().ok_or_else(|| ErrorKind::UnexpectedEof.into())
    }

    /// Reads a body of known length whose sender waits for `100 Continue`. tiny_http's has a `Content-Length`, which RFC
    /// 9110 section 8.6 forbids and strict clients refuse, so ours goes out instead; the connection then ends with
    /// this request, because tiny_http knows nothing of it.
    fn read_directly(&mut self, buffer: &mut [u8], missing: u64) -> io::Result<usize> {
        let mut socket: &TcpStream = self.accepted.socket()?;
        if !self.is_direct {
            io::copy(&mut socket.take(self.head.bytes as u64), &mut io::sink())?;
            socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            self.is_direct = true;
        }
        socket.take(missing).read(buffer)
    }

    /// Waits until what lies on the socket behind the head is whole, or too much to be called small; which of the two.
    fn await_small(&mut self, scan: impl Fn(&[u8]) -> Chunks) -> io::Result<bool> {
        let deadline = Instant::now() + HEAD_TIMEOUT;
        let mut seen = sys::peek(self.accepted.socket()?, self.look)?;
        loop {
            match scan(self.look.get(self.head.bytes..seen).unwrap_or_default()) {
                Chunks::Whole => return Ok(true),
                Chunks::Malformed => return Err(ErrorKind::InvalidData.into()),
                Chunks::Partial(content_bytes)
                    if content_bytes > self.max_bytes || seen >= self.head.bytes + SMALL_CHUNKED_BYTES =>
                {
                    return Ok(false);
                }
                Chunks::Partial(_) if Instant::now() >= deadline => return Err(ErrorKind::TimedOut.into()),
                Chunks::Partial(_) => match self.accepted.peek_beyond(seen, self.look)? {
                    Some(more) => seen = more,
                    None if sys::is_half_closed(self.accepted.socket()?) => return Err(ErrorKind::UnexpectedEof.into()),
                    None => return Err(ErrorKind::TimedOut.into()),
                },
            }
        }
    }
}

impl Read for WireBody<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.missing == Some(0) {
            return Ok(0);
        }
        self.worker.set_phase(Phase::Receiving);
        let read = match self.missing {
            Some(missing) if self.head.expects_continue => self.read_directly(buffer, missing),
            _ => self.pull().and_then(|request| request.as_reader().read(buffer)),
        };
        self.worker.set_phase(Phase::Working);
        let read = read?;
        match &mut self.missing {
            Some(_) if read == 0 => return Err(ErrorKind::UnexpectedEof.into()),
            Some(missing) => {
                *missing = missing.saturating_sub(read as u64);
                self.ended |= *missing == 0;
            }
            // tiny_http's decoder takes a connection that ends inside a chunk for the end of the body. Unless the last
            // chunk was seen, only a peer that is still there has certainly sent it.
            None if read == 0 && !self.seen_whole && sys::is_at_end(self.accepted.socket()?) => {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            None => self.ended |= read == 0,
        }
        Ok(read)
    }
}

/// How much of a body some bytes are.
#[derive(Debug, PartialEq, Eq)]
enum Chunks {
    /// Not whole; the content the chunks so far announce, in bytes.
    Partial(u64),
    Whole,
    Malformed,
}

/// Walks over the chunks at the front of some bytes (RFC 9112 section 7.1). Stricter than tiny_http's decoder, which
/// takes a sign or blanks in a chunk size; trailer fields are refused, as they are there.
fn scan_chunks(mut bytes: &[u8]) -> Chunks {
    let mut content_bytes = 0;
    loop {
        let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
            let size_is_endless = bytes.len() > 256;
            return if size_is_endless { Chunks::Malformed } else { Chunks::Partial(content_bytes) };
        };
        let line = bytes.get(..end).unwrap_or_default();
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let text = std::str::from_utf8(digits).unwrap_or_default();
        let is_hex = (1..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let Some(size) = usize::from_str_radix(text, 16).ok().filter(|_| is_hex) else { return Chunks::Malformed };
        content_bytes += size as u64;
        let rest = bytes.get(end + 2 + size..).unwrap_or_default();
        match rest {
            [] | [b'\r'] => return Chunks::Partial(content_bytes),
            [b'\r', b'\n', ..] if size == 0 => return Chunks::Whole,
            [b'\r', b'\n', next @ ..] => bytes = next,
            _ => return Chunks::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_is_whole_with_its_last_chunk_and_not_before() {
        for body in ["0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "A;x=y\r\n0\r\n\r\n01234\r\n1\r\nz\r\n000\r\n\r\n"] {
            for length in 0..body.len() {
                let scanned = scan_chunks(&body.as_bytes()[..length]);
                assert!(matches!(scanned, Chunks::Partial(_)), "{body:?} cut to {length}");
            }
            assert_eq!(scan_chunks(body.as_bytes()), Chunks::Whole, "{body:?}");
            assert_eq!(scan_chunks(format!("{body}GET /").as_bytes()), Chunks::Whole, "{body:?} and more");
        }
    }

    #[test]
    fn malformed_chunks() {
        for body in [
            "+5\r\nhello\r\n",
            " 5\r\nhello\r\n",
            "\r\n",
            "x\r\n",
            "5\r\nhelloo\r\n",
            "0\r\nX: y\r\n\r\n",
            "123456789\r\n",
            "-1\r\n",
        ] {
            assert_eq!(scan_chunks(body.as_bytes()), Chunks::Malformed, "{body:?}");
        }
        assert_eq!(scan_chunks(&[b'1'; 300]), Chunks::Malformed);
        assert_eq!(scan_chunks(b"5\r\nhello\r\nff\r\nx"), Chunks::Partial(260));
    }
}
