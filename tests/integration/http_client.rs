//! A small HTTP/1.1 client on plain sockets: it composes requests, sends them however malformed, and parses responses
//! strictly.

use crate::harness::{Paste, SOON, Server};
use crate::response::{Log, Response, cut};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// The address of a server.
#[derive(Clone, Debug)]
pub enum Peer {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Peer {
    /// The address as announced by the server.
    pub fn parse(text: &str) -> Self {
        match (text.strip_prefix("http://"), text.strip_prefix("unix:")) {
            (Some(address), _) => Self::Tcp(address.trim_end_matches('/').parse().unwrap()),
            (_, Some(path)) => Self::Unix(path.into()),
            _ => panic!("the server announced {text:?}"),
        }
    }

    pub fn authority(&self) -> String {
        match self {
            Self::Tcp(address) => address.to_string(),
            Self::Unix(_) => "localhost".into(),
        }
    }
}

/// A request to be sent.
pub struct Request<'a> {
    server: &'a Server,
    line: String,
    headers: Vec<(String, String)>,
    content: Vec<u8>,
    is_head: bool,
}

impl<'a> Request<'a> {
    pub fn new(server: &'a Server, method: &str, target: &str) -> Self {
        let line = format!("{method} {target} HTTP/1.1");
        Self { server, line, headers: Vec::new(), content: Vec::new(), is_head: method == "HEAD" }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// A body of known length.
    pub fn body(mut self, content: impl Into<Vec<u8>>) -> Self {
        self.content = content.into();
        let length = self.content.len().to_string();
        self.header("Content-Length", length)
    }

    /// A JSON body.
    pub fn json(self, value: &Value) -> Self {
        self.body(value.to_string()).header("Content-Type", "application/json")
    }

    /// A chunked body, one chunk per piece.
    pub fn chunks(mut self, pieces: &[&[u8]]) -> Self {
        for piece in pieces {
            self.content.extend_from_slice(&chunk(piece));
        }
        self.content.extend_from_slice(b"0\r\n\r\n");
        self.header("Transfer-Encoding", "chunked")
    }

    /// The bytes of the head, without a `Connection` header unless requested.
    pub fn head_bytes(&self) -> Vec<u8> {
        let mut head = format!("{}\r\n", self.line);
        if !self.headers.iter().any(|(name, _)| name == "Host") {
            let _ = write!(head, "Host: {}\r\n", self.server.authority());
        }
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        (head + "\r\n").into_bytes()
    }

    /// Sends it on a new connection and reads the response.
    #[track_caller]
    pub fn send(self) -> Response {
        let request = self.header("Connection", "close");
        let mut connection = request.server.connect();
        request.send_on(&mut connection)
    }

    /// Sends it on an open connection and reads the response.
    #[track_caller]
    pub fn send_on(&self, connection: &mut Connection) -> Response {
        let mut bytes = self.head_bytes();
        let mut dump = String::from_utf8_lossy(&bytes).into_owned();
        bytes.extend_from_slice(&self.content);
        dump.push_str(&cut(&self.content));
        connection.send(&bytes);
        let Some(response) = connection.read_response(&dump, self.is_head) else {
            panic!("no response\n--- request\n{dump}\n--- log\n{}", connection.log.text());
        };
        response
    }

    /// Sends a create that must succeed.
    #[track_caller]
    pub fn created(self) -> Paste {
        let response = self.send().expect_status(201);
        let text = |name: &str| response.json()[name].as_str().unwrap_or_else(|| response.fail(name)).to_owned();
        Paste { id: text("id"), delete_token: text("delete_token") }
    }
}

/// One chunk of a chunked body.
pub fn chunk(piece: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// One connection.
pub struct Connection {
    stream: Stream,
    received: Vec<u8>,
    log: Log,
}

impl Connection {
    #[track_caller]
    pub fn open(peer: &Peer, log: &Log) -> Self {
        let stream = match peer {
            Peer::Tcp(address) => TcpStream::connect(address).and_then(|stream| {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(SOON))?;
                stream.set_write_timeout(Some(SOON))?;
                Ok(Stream::Tcp(stream))
            }),
            Peer::Unix(path) => UnixStream::connect(path).and_then(|stream| {
                stream.set_read_timeout(Some(SOON))?;
                Ok(Stream::Unix(stream))
            }),
        };
        let stream = stream.unwrap_or_else(|error| panic!("cannot connect to {peer:?}: {error}\n{}", log.text()));
        Self { stream, received: Vec::new(), log: log.clone() }
    }

    /// Writes. A server that has responded and closed is not an error: its response says more.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(bytes.as_ref()),
            Stream::Unix(stream) => stream.write_all(bytes.as_ref()),
        };
    }

    /// Closes our write side; the other may still respond.
    pub fn end(&self) {
        let _ = match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }

    /// Reads more bytes from the socket; how many.
    fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = vec![0; 64 << 10];
        let read = loop {
            let read = match &mut self.stream {
                Stream::Tcp(stream) => stream.read(&mut buffer),
                Stream::Unix(stream) => stream.read(&mut buffer),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.received.extend_from_slice(&buffer[..read]);
        Ok(read)
    }

    /// The next complete response; `None` if the server closed the connection instead.
    #[track_caller]
    pub fn read_response(&mut self, request: &str, head_only: bool) -> Option<Response> {
        let fail = |received: &[u8], log: &Log, what: &str| -> ! {
            let (request, received, log) = (cut(request.as_bytes()), cut(received), log.text());
            panic!("{what}\n--- request\n{request}\n--- received\n{received}\n--- log\n{log}")
        };
        let end = loop {
            if let Some(at) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            match self.fill() {
                Ok(0) if self.received.is_empty() => return None,
                Ok(0) => fail(&self.received, &self.log, "the connection ended within a response head"),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset && self.received.is_empty() => {
                    return None;
                }
                Err(error) => fail(&self.received, &self.log, &format!("no whole response head: {error}")),
            }
        };
        let head = String::from_utf8(self.received[..end].to_vec()).unwrap_or_default();
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
        let headers: Option<Vec<(String, String)>> =
            lines.map(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()))).collect();
        let (Some(status), Some(headers)) = (status, headers) else {
            fail(&self.received, &self.log, "that is not a response");
        };
        self.received.drain(..end + 4);
        let mut response =
            Response { status, headers, body: Vec::new(), request: cut(request.as_bytes()), log: self.log.clone() };
        if status < 200 {
            return Some(response);
        }
        if !head_only && status != 204 {
            let length = response.get("Content-Length").and_then(|length| length.parse().ok());
            let length: usize = length.unwrap_or_else(|| response.fail("no Content-Length"));
            while self.received.len() < length {
                match self.fill() {
                    Ok(read) if read > 0 => {}
                    ended => {
                        fail(&self.received, &self.log, &format!("body of {length} bytes is cut: {ended:?}\n{head}"))
                    }
                }
            }
            response.body = self.received.drain(..length).collect();
        }
        response.check_promises(head_only);
        Some(response)
    }

    /// Waits for the server to close the connection; whether it did.
    pub fn is_ended(&mut self) -> bool {
        self.received.is_empty() && !matches!(self.fill(), Ok(read) if read > 0)
    }
}

/// Base64 with padding (RFC 4648 section 4), for `Authorization: Basic`.
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) & 63;
            text.push(if digit > three.len() { '=' } else { char::from(ALPHABET[usize::try_from(index).unwrap()]) });
        }
    }
    text
}
