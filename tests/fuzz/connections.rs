//! Whole connections against a model: requests in a row, sent in pieces with pauses, and the expected responses.

use flaskpaste::answer::Responder;
use flaskpaste::app::{self, App};
use flaskpaste::config::{Bind, Config, LogFormat};
use flaskpaste::server::{self, Server};
use flaskpaste::store::{Database, Location, Role, Store};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What may be sent, the status of the response, and whether the connection stays open afterwards.
const MESSAGES: &[(&str, u16, bool)] = &[
    ("GET /health HTTP/1.1\r\nHost: x\r\n\r\n", 200, true),
    ("GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, true),
    ("\r\nGET http://x/robots.txt HTTP/1.1\r\nHost: y\r\nX: a\r\nx: b\r\n\r\n", 200, true),
    ("DELETE /abcd HTTP/1.1\r\nHost: x\r\n\r\n", 401, true),
    ("PATCH / HTTP/1.1\r\nHost: x\r\n\r\n", 405, true),
    ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 201, true),
    ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 201, true),
    (
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n03;c\r\nllo\r\n0;d\r\nE: f\r\n\r\n",
        201,
        true,
    ),
    ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, true),
    ("GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200, false),
    ("GET /health HTTP/1.0\r\n\r\n", 200, false),
    ("GET /health HTTP/2.0\r\nHost: x\r\n\r\n", 400, false),
    ("GET /health HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400, false),
    ("GET /health HTTP/1.1\r\nHost: x\r\nX: y\n\r\n", 400, false),
    ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400, false),
    ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n", 400, false),
    ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n", 400, false),
    ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\nhello", 413, false),
];

/// The first byte gives the number of messages, the next ones choose them, the rest say where to split and pause.
pub fn connection(data: &[u8]) {
    let Some((count, rest)) = data.split_first() else { return };
    let (chosen, cuts) = rest.split_at(rest.len().min(usize::from(count % 8)));
    let messages = chosen.iter().map(|choice| MESSAGES[usize::from(*choice) % MESSAGES.len()]);
    let (mut bytes, mut expected, mut is_over) = (Vec::new(), Vec::new(), false);
    for (message, status, goes_on) in messages {
        bytes.extend_from_slice(message.as_bytes());
        if !is_over {
            expected.push(status);
        }
        is_over |= !goes_on;
    }
    let mut peer = TcpStream::connect(address()).unwrap();
    peer.set_nodelay(true).unwrap();
    let mut sent = 0;
    for cut in cuts {
        let end = (sent + 1 + usize::from(cut >> 2)).min(bytes.len());
        // A server that has closed the connection accepts no more.
        let _ = peer.write_all(&bytes[sent..end]);
        sent = end;
        std::thread::sleep(Duration::from_micros(u64::from(cut & 3) * 200));
    }
    let _ = peer.write_all(&bytes[sent..]).and_then(|()| peer.shutdown(Shutdown::Write));
    let mut answers = Vec::new();
    peer.read_to_end(&mut answers).unwrap();
    assert_eq!(statuses(&answers), expected, "{}", String::from_utf8_lossy(&bytes));
}

/// The statuses of consecutive responses without a gap between them.
fn statuses(mut answers: &[u8]) -> Vec<u16> {
    let mut statuses = Vec::new();
    while !answers.is_empty() {
        let end = answers.windows(4).position(|window| window == b"\r\n\r\n").expect("a head without an end") + 4;
        let head = std::str::from_utf8(&answers[..end]).unwrap();
        statuses.push(head.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap());
        let length =
            head.split("Content-Length: ").nth(1).map_or(0, |rest| rest.split('\r').next().unwrap().parse().unwrap());
        answers = &answers[end + length..];
    }
    statuses
}

/// The address of our own server, which runs as long as the process.
fn address() -> &'static str {
    static SERVER: OnceLock<(Server, String)> = OnceLock::new();
    let start = || {
        let log = LogFormat::Off;
        let config =
            Config { pow_difficulty: 0, threads: 32, dedup_max: 0, expiry_seconds: 5, log, ..Config::default() };
        let limits = app::limits(&config);
        let store =
            Store::open(&Database::Sqlite(Location::memory().unwrap()), Path::new(""), limits, Role::Server).unwrap();
        let app = App::new(config, store).unwrap();
        let responder = Responder::new(app).unwrap();
        let bound = server::bind(&Bind::Tcp(([127, 0, 0, 1], 0).into())).unwrap();
        let address = bound.addresses().next().unwrap().trim_start_matches("http://").to_owned();
        (Server::start(Arc::new(responder), bound).unwrap(), address)
    };
    &SERVER.get_or_init(start).1
}
