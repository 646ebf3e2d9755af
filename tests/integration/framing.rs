//! Messages that readers could understand differently: each gets one refusal and its connection is closed, so that
//! nothing after it is parsed as a request. And truncated messages, which are never stored.

use crate::harness::Server;
use crate::http_client::chunk;
use crate::response::Response;

/// The smuggled request: it deletes and reads nothing, but a response to it would show.
const SMUGGLED: &str = "GET /health HTTP/1.1\r\nHost: x\r\nX-Request-ID: smuggled\r\n\r\n";

/// Sends bytes that must get exactly one refusal, and a closed connection although our side stays open.
#[track_caller]
fn refused(server: &Server, bytes: impl AsRef<[u8]>) -> Response {
    let mut connection = server.connect();
    connection.send(&bytes);
    let dump = String::from_utf8_lossy(bytes.as_ref()).into_owned();
    let Some(response) = connection.read_response(&dump, false) else {
        panic!("no response to\n{dump}\n{}", server.log())
    };
    let response = response.expect_code(400, "bad_request");
    response.expect(connection.is_ended(), "exactly one response, and a closed connection");
    response
}

#[test]
fn ambiguous_lengths_are_rejected() {
    let server = Server::start(&[]);
    for fields in [
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 3\r\nContent-Length: 3",
        "Content-Length: 0\r\nContent-Length: 60",
        "Content-Length: 3, 3",
        "Content-Length: 3, 4",
        "Content-Length: -3",
        "Content-Length: +3",
        "Content-Length: 0x3",
        "Content-Length: 3.0",
        "Content-Length: three",
        "Content-Length: 3 3",
        "Content-Length: \"3\"",
        "Content-Length:",
        "Content-Length: 99999999999999999999999",
    ] {
        refused(&server, format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\nabc{SMUGGLED}"));
        refused(&server, format!("GET /health HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\nabc{SMUGGLED}"));
    }
    server.expect_alive();
}

#[test]
fn transfer_codings_other_than_chunked_are_rejected() {
    let server = Server::start(&[]);
    for fields in [
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked;x=y",
        "Transfer-Encoding:",
    ] {
        let body = "3\r\nabc\r\n0\r\n\r\n";
        refused(&server, format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n{body}{SMUGGLED}"));
    }
    refused(&server, format!("POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}"));
    server.expect_alive();
}

#[test]
fn ambiguous_header_lines_are_rejected() {
    let server = Server::start(&[]);
    for fields in [
        "Content-Length : 3",
        "Content-Length\t: 3",
        " Content-Length: 3",
        "X: y\r\n Content-Length: 3",
        "X: y\r\n\tfolded",
        "X: a\rb",
        "X: a\nContent-Length: 3",
        "X: a\0b",
        "X: a\u{1}b",
        "X: a\u{7f}b",
        "no colon",
        ": no name",
        "X Y: z",
        "X: ü",
        "Ü: x",
        "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 3",
        "Connection: keep-alive, Upgrade",
        "Host: y",
    ] {
        refused(&server, format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\nabc{SMUGGLED}"));
    }
    refused(&server, b"GET / HTTP/1.1\r\nHost: x\r\nX: \xff\xfe\r\n\r\n");
    refused(&server, "GET / HTTP/1.1\nHost: x\n\n");
    server.expect_alive();
}

#[test]
fn malformed_request_lines_are_rejected() {
    let server = Server::start(&[]);
    for line in [
        "GET /",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 x",
        "GET /a b HTTP/1.1",
        "GET / HTTP/0.9",
        "GET / HTTP/1.2",
        "GET / HTTP/11",
        "GET / http/1.1",
        "GET / FTP/1.1",
        "G(T / HTTP/1.1",
        " GET / HTTP/1.1",
        "GET /\u{7f} HTTP/1.1",
        "GET /ü HTTP/1.1",
    ] {
        refused(&server, format!("{line}\r\nHost: x\r\n\r\n{SMUGGLED}"));
    }
    refused(&server, "GET / HTTP/1.1\r\n\r\n");
    refused(&server, "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n");
    refused(&server, "GET / HTTP/1.1\r\nHost: a b/c\r\n\r\n");
    // Not HTTP at all: a TLS ClientHello.
    refused(&server, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    server.expect_alive();
}

#[test]
fn newer_versions_do_not_hang_the_server() {
    let server = Server::start(&[("FLASKPASTE_THREADS", "4")]);
    for _ in 0..50 {
        refused(&server, "GET / HTTP/2.0\r\nHost: x\r\n\r\n");
        refused(&server, "GET / HTTP/3.0\r\nHost: x\r\n\r\n");
    }
    refused(&server, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    server.expect_alive();
}

#[test]
fn endless_heads_are_rejected() {
    let server = Server::start(&[]);
    let lines = "X-Filler: 0123456789\r\n".repeat(50_000);
    refused(&server, format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(1 << 20)));
    refused(&server, format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(1 << 20)));
    refused(&server, format!("GET / HTTP/1.1\r\nHost: x\r\n{lines}\r\n"));
    // The end of the head need not even arrive.
    refused(&server, "a".repeat(1 << 20));
    assert!(server.status_kib("VmHWM") < 100 << 10, "a head must not fill the memory");
    server.expect_alive();
}

#[test]
fn bytes_after_a_bodyless_request_are_not_its_body() {
    let server = Server::start(&[]);
    let paste = server.paste("x");
    // A body is a body even where none is expected.
    for (line, status) in [
        (format!("GET {} HTTP/1.1", paste.path()), 200),
        ("GET /xyz HTTP/1.1".to_owned(), 400),
        ("PUT /health HTTP/1.1".to_owned(), 405),
        (format!("DELETE {} HTTP/1.1", paste.path()), 401),
    ] {
        let length = SMUGGLED.len();
        let responses = server.raw(format!("{line}\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{SMUGGLED}"));
        assert_eq!(responses.len(), 1, "{line}");
        responses[0].clone().expect_status(status);
        let chunked = String::from_utf8(chunk(SMUGGLED.as_bytes())).unwrap();
        let bytes = format!("{line}\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}0\r\n\r\n");
        let responses = server.raw(bytes);
        assert_eq!(responses.len(), 1, "{line}, chunked");
        responses[0].clone().expect_status(status);
    }
}

#[test]
fn truncated_bodies_are_never_stored() {
    let server = Server::start(&[]);
    let head = |field: &str| format!("POST / HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n").into_bytes();
    let mut cut: Vec<Vec<u8>> = Vec::new();
    for (declared, sent) in [(10, 0), (10, 9), (1024, 1023), (5000, 1), (5000, 4999), (2_000_000, 1_999_999)] {
        cut.push([head(&format!("Content-Length: {declared}")), vec![b'x'; sent]].concat());
    }
    for sent in ["", "5", "5\r\n", "5\r\nhel", "5\r\nhello", "5\r\nhello\r\n", "5\r\nhello\r\n0", "5\r\nhello\r\n0\r\n"]
    {
        cut.push([head("Transfer-Encoding: chunked"), sent.into()].concat());
    }
    let first = String::from_utf8(chunk(&[b'x'; 5000])).unwrap();
    for sent in [first.clone(), format!("{first}1388\r\nyyy")] {
        cut.push([head("Transfer-Encoding: chunked"), sent.into()].concat());
    }
    for broken in ["zz\r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n", "5\r\nhelloXX0\r\n\r\n", "\r\n0\r\n\r\n"] {
        cut.push([head("Transfer-Encoding: chunked"), broken.into()].concat());
    }
    cut.push([head("Transfer-Encoding: chunked"), b"ffffffffffffffffff\r\nhello\r\n0\r\n\r\n".to_vec()].concat());
    for bytes in &cut {
        for response in server.raw(bytes) {
            response.expect_code(400, "bad_request");
        }
        // And a client that has simply gone.
        server.connect().send(bytes);
    }
    server.expect_alive();
    let stats: serde_json::Value = serde_json::from_slice(&server.run(&["stats", "--json"]).stdout).unwrap();
    assert_eq!(stats["pastes"], 0, "{stats}\n{}", server.log());
}

/// Larger than any receive buffer: a server that waits for the whole chunk before reading would wait forever.
#[test]
fn large_chunked_bodies_are_stored_in_one_or_many_chunks() {
    let server = Server::start(&[("FLASKPASTE_DEDUP_MAX", "0")]);
    for size in [16_000, 17_000, 127_000, 200_000, 3_000_000] {
        let content: Vec<u8> = (0..size).map(|at| b'a' + u8::try_from(at % 23).unwrap()).collect();
        for piece_bytes in [size, 8192] {
            let pieces: Vec<&[u8]> = content.chunks(piece_bytes).collect();
            let started = std::time::Instant::now();
            let created = server.request("POST", "/").chunks(&pieces).send().expect_status(201);
            assert!(started.elapsed().as_secs() < 10, "{size} bytes in chunks of {piece_bytes} waited for a timeout");
            created.expect_field("size", size);
        }
    }
}

#[test]
fn a_body_is_stored_after_the_peer_closes_its_write_side() {
    let server = Server::start(&[("FLASKPASTE_DEDUP_MAX", "0")]);
    for size in [1, 1024, 1025, 10_000, 70_000] {
        let content = vec![b'x'; size];
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n").into_bytes();
        let responses = server.raw([head, content.clone()].concat());
        assert_eq!(responses.len(), 1);
        responses[0].clone().expect_status(201);
        let head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        let responses = server.raw([head, chunk(&content), b"0\r\n\r\n".to_vec()].concat());
        assert_eq!(responses.len(), 1);
        responses[0].clone().expect_status(201).expect_field("size", size);
    }
}

#[test]
fn expect_100_continue_gets_an_interim_response() {
    let server = Server::start(&[("FLASKPASTE_MAX_ANON", "5000"), ("FLASKPASTE_DEDUP_MAX", "0")]);
    for content in ["hello".to_owned(), "x".repeat(5000)] {
        let mut connection = server.connect();
        let request = server.request("POST", "/").header("Content-Length", content.len().to_string());
        let expecting = request.header("Expect", "100-continue");
        let interim = expecting.send_on(&mut connection).expect_status(100);
        // Strict clients reject one with a Content-Length, as tiny_http would send it (RFC 9110 section 8.6).
        assert!(interim.headers.is_empty(), "{:?}", interim.headers);
        connection.send(&content);
        let response = connection.read_response("the body", false).unwrap().expect_status(201);
        let raw = response.json()["raw"].as_str().unwrap().to_owned();
        server.get(&raw).expect_body(content);
    }
    // No 100 for a body that is too large.
    let mut connection = server.connect();
    let request = server.request("POST", "/").header("Content-Length", "5001").header("Expect", "100-continue");
    request.send_on(&mut connection).expect_code(413, "too_large");
}

#[test]
fn requests_arriving_byte_by_byte_are_served() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    let request = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for byte in request.as_bytes() {
        connection.send([*byte]);
    }
    connection.read_response(request, false).unwrap().expect_status(201).expect_field("size", 5);
    server.expect_alive();
}
