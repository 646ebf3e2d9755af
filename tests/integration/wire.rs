//! HTTP on the wire (RFC 9110 and 9112): persistent connections, pipelining, chunked bodies with extensions and
//! trailers, expectations, and oversized uploads. Ambiguous messages are in framing.rs.

use crate::harness::{Folder, SOON, Server, wait_until};
use crate::http_client::{Connection, chunk};
use crate::response::Response;
use std::sync::Arc;

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

fn server() -> Server {
    Server::start(&[("FLASKPASTE_DEDUP_MAX", "0")])
}

fn on_unix_socket() -> Server {
    let folder = Arc::new(Folder::new());
    let bind = format!("unix:{}", folder.join("socket").display());
    Server::start_in(folder, &[("FLASKPASTE_BIND", &bind), ("FLASKPASTE_THREADS", "4"), ("FLASKPASTE_DEDUP_MAX", "0")])
}

/// Sends bytes and reads the next response; our side stays open.
#[track_caller]
fn answer(connection: &mut Connection, bytes: impl AsRef<[u8]>) -> Response {
    connection.send(&bytes);
    let dump = String::from_utf8_lossy(bytes.as_ref()).into_owned();
    connection.read_response(&dump, false).unwrap_or_else(|| panic!("no response to {dump:.2000}"))
}

/// The only response to bytes after which the connection ends, whatever follows them.
#[track_caller]
fn only_answer(server: &Server, bytes: impl AsRef<[u8]>) -> Response {
    let mut connection = server.connect();
    let response = answer(&mut connection, [bytes.as_ref(), b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"].concat());
    response.expect(connection.is_ended(), "exactly one response, and a closed connection");
    response
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = server();
    let get = |n: u32| format!("GET /health?{n} HTTP/1.1\r\nHost: x\r\nX-Request-ID: r{n}\r\n\r\n").into_bytes();
    let post = |n: u32| {
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\nX-Request-ID: r{n}\r\nTransfer-Encoding: chunked\r\n\r\n");
        [head.as_bytes(), &chunk(b"hello"), b"0\r\nTrailer: x\r\n\r\n"].concat()
    };
    let bytes = (0..60).flat_map(|n| if n % 3 == 0 { post(n) } else { get(n) }).collect::<Vec<_>>();
    for piece_bytes in [bytes.len(), 777, 13] {
        let mut connection = server.connect();
        bytes.chunks(piece_bytes).for_each(|piece| connection.send(piece));
        for n in 0..60 {
            let response = connection.read_response("a row of requests", false).expect("a response is missing");
            let response = response.expect_header("X-Request-ID", &format!("r{n}"));
            response.expect_status(if n % 3 == 0 { 201 } else { 200 });
        }
    }
}

#[test]
fn connections_stay_open_after_every_kind_of_body() {
    for server in [server(), on_unix_socket()] {
        let mut connection = server.connect();
        for size in [5, 70_000] {
            let content = vec![b'x'; size];
            for _ in 0..3 {
                let created = server.post(content.clone()).send_on(&mut connection).expect_status(201);
                let raw = created.json()["raw"].as_str().unwrap().to_owned();
                server.request("GET", &raw).send_on(&mut connection).expect_body(&content);
                let chunks = server.request("POST", "/").chunks(&[&content, b"more"]);
                chunks.send_on(&mut connection).expect_status(201).expect_field("size", size + 4);
            }
        }
        // Nor does an unread small body cost the connection.
        server.request("POST", "/health").body("x").send_on(&mut connection).expect_status(405);
        server.request("PATCH", "/").chunks(&[b"x"]).send_on(&mut connection).expect_status(405);
        server.request("GET", "/health").send_on(&mut connection).expect_status(200);
    }
}

#[test]
fn http_1_0_keep_alive_is_honoured() {
    let server = server();
    let mut connection = server.connect();
    for _ in 0..3 {
        let response = answer(&mut connection, "GET /health HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        response.expect_status(200).expect_header("Connection", "keep-alive");
    }
    answer(&mut connection, "GET /health HTTP/1.0\r\n\r\n").expect_status(200).expect_header("Connection", "close");
    assert!(connection.is_ended());
    only_answer(&server, "GET /health HTTP/1.1\r\nHost: x\r\nConnection: x, close\r\n\r\n").expect_status(200);
}

#[test]
fn chunk_extensions_and_trailer_fields_are_ignored() {
    let server = server();
    let trailer = format!("X: {}", "y".repeat(8000));
    for body in [
        "5;a=b\r\nhello\r\n0\r\n\r\n",
        "5;a=\"b c\";d\r\nhello\r\n000;e\r\n\r\n",
        "00000005\r\nhello\r\n0\r\nX-Checksum: 5\r\nContent-Length: 4\r\n\r\n",
        &format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(256)),
        &format!("5\r\nhello\r\n0\r\n{trailer}\r\n\r\n"),
    ] {
        let mut connection = server.connect();
        let created = answer(&mut connection, format!("{CHUNKED}{body}")).expect_status(201);
        let raw = created.json()["raw"].as_str().unwrap().to_owned();
        server.request("GET", &raw).send_on(&mut connection).expect_body("hello");
    }
}

/// Anywhere in the body: the beginning is not parsed more strictly than the rest.
#[test]
fn malformed_chunks_are_refused_anywhere_in_the_body() {
    let server = server();
    for before in [0, 100, 20_000, 100_000] {
        let content = if before == 0 { Vec::new() } else { chunk(&vec![b'x'; before]) };
        for fault in [
            "+5\r\nhello\r\n",
            "-5\r\nhello\r\n",
            " 5\r\nhello\r\n",
            "\t5\r\nhello\r\n",
            "5 \r\nhello\r\n",
            "0x5\r\nhello\r\n",
            "000000005\r\nhello\r\n",
            "12345678901234567890\r\nhello\r\n",
            "5;a\0b\r\nhello\r\n",
            "5;a\nb\r\nhello\r\n",
            "5\nhello\r\n",
            "5\r\nhello!\r\n",
            "0\r\nX: y\nZ\r\n\r\n",
            "0\r\n folded\r\n\r\n",
            "0\r\nno colon\r\n\r\n",
            &format!("5;{}\r\nhello\r\n", "x".repeat(257)),
            &format!("0\r\nX: {}\r\n\r\n", "y".repeat(9000)),
        ] {
            let bytes = [CHUNKED.as_bytes(), &content, fault.as_bytes(), b"0\r\n\r\n"].concat();
            only_answer(&server, bytes).expect_code(400, "bad_request");
        }
    }
    let stats: serde_json::Value = serde_json::from_slice(&server.run(&["stats", "--json"]).stdout).unwrap();
    assert_eq!(stats["pastes"], 0, "{stats}");
}

/// An endless chunk size is not buffered.
#[test]
fn endless_chunk_lines_are_refused_immediately() {
    let server = server();
    let expecting = CHUNKED.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    for head in [CHUNKED, &expecting] {
        for before in [0, 20 << 10] {
            for endless in ["0", "5;x", "0\r\nX: "] {
                let content = if before == 0 { Vec::new() } else { chunk(&vec![b'x'; before]) };
                let mut connection = server.connect();
                connection.send([head.as_bytes(), &content, endless.as_bytes()].concat());
                // Far more than all buffers together: a server that buffers it would use that much memory.
                let filler = endless.as_bytes()[endless.len() - 1..].repeat(1 << 20);
                (0..64).for_each(|_| connection.send(&filler));
                let mut response = connection.read_response("an endless line", false).expect("no response");
                if response.status == 100 {
                    response = connection.read_response("an endless line", false).expect("no final response");
                }
                response.expect_code(400, "bad_request");
            }
        }
    }
    assert!(server.status_kib("VmHWM") < 60 << 10, "{} KiB", server.status_kib("VmHWM"));
    server.expect_alive();
}

#[test]
fn truncated_chunked_uploads_are_never_stored() {
    let server = server();
    let whole = [CHUNKED.as_bytes(), &chunk(&vec![b'x'; 120_480]), b"0\r\n\r\n"].concat();
    for cut in [whole.len() - 1, whole.len() - 3, whole.len() - 5, whole.len() - 7, whole.len() / 2, 20_000, 17_000] {
        for response in server.raw(&whole[..cut]) {
            response.expect_code(400, "bad_request");
        }
    }
    for response in server.raw(&whole) {
        response.expect_status(201).expect_field("size", 120_480);
    }
    server.expect_alive();
}

#[test]
fn uploads_over_the_limit_are_refused_immediately() {
    let server = Server::start(&[("FLASKPASTE_MAX_ANON", "5000")]);
    let refused = |bytes: Vec<u8>| {
        let response = only_answer(&server, bytes).expect_code(413, "too_large");
        response.expect_field("max_size", 5000);
    };
    // Finished or not, sent or only announced.
    refused(format!("{CHUNKED}1389\r\n").into_bytes());
    refused([format!("{CHUNKED}1388\r\n").as_bytes(), &[b'x'; 5000], b"\r\n1\r\n"].concat());
    refused([CHUNKED.as_bytes(), &chunk(&[b'x'; 5001]), b"0\r\n\r\n"].concat());
    refused([CHUNKED.as_bytes(), &chunk(&vec![b'x'; 3_000_000])].concat());
    refused(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5001\r\n\r\n".to_vec());
    server.request("POST", "/").chunks(&[&[b'x'; 4999], b"y"]).send().expect_status(201);
}

#[test]
fn expect_continue_gets_a_bare_100_or_the_refusal() {
    let server = Server::start(&[("FLASKPASTE_MAX_ANON", "5000"), ("FLASKPASTE_DEDUP_MAX", "0")]);
    let head = |version: &str, fields: &str| format!("POST / HTTP/{version}\r\nHost: x\r\n{fields}\r\n\r\n");
    let (length, chunked) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
    for (framing, body) in [(length, "hello"), (chunked, "5\r\nhello\r\n0\r\n\r\n")] {
        let mut connection = server.connect();
        for expect in ["100-continue", "100-Continue"] {
            let interim = answer(&mut connection, head("1.1", &format!("{framing}Expect: {expect}")));
            let interim = interim.expect_status(100);
            interim.expect(interim.headers.is_empty(), "it has no headers");
            answer(&mut connection, body).expect_status(201);
        }
    }
    let refused = head("1.1", "Content-Length: 5001\r\nExpect: 100-continue");
    only_answer(&server, refused).expect_code(413, "too_large");
    let unknown = head("1.1", &format!("{length}Expect: 100-continue, x"));
    only_answer(&server, unknown).expect_code(417, "expectation_failed");
    answer(&mut server.connect(), "GET /health HTTP/1.1\r\nHost: x\r\nExpect: y\r\n\r\n")
        .expect_code(417, "expectation_failed");
    // HTTP/1.0 has no interim responses (RFC 9110 section 10.1.1).
    let old = head("1.0", &format!("{length}Expect: 100-continue"));
    answer(&mut server.connect(), old + "hello").expect_status(201);
}

#[test]
fn duplicate_identity_fields_are_rejected() {
    let server = server();
    for fields in [
        "Authorization: Basic Og==\r\nAuthorization: Basic Og==",
        "X-SSL-Client-SHA1: a\r\nX-SSL-Client-SHA1: a",
        "X-Proxy-Secret: a\r\nX-Proxy-Secret: b",
    ] {
        only_answer(&server, format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n")).expect_code(400, "bad_request");
    }
    // For other headers, several lines are one list, which is not a number.
    let request = server.post("x").header("X-Expiry", "60").header("X-Expiry", "60");
    request.send().expect_code(400, "invalid_expiry");
}

#[test]
fn absolute_request_targets_set_the_host() {
    let server = server();
    let paste = server.paste("hello");
    for scheme in ["http", "HTTP", "HtTpS"] {
        let target = format!("{scheme}://localhost{}", paste.raw());
        server.get(&target).expect_status(200).expect_body("hello");
    }
    let index = server.request("GET", "http://right.example/").header("Host", "wrong.example").send();
    let usage = index.json()["usage"]["read"].as_str().unwrap().to_owned();
    index.expect(usage.contains("http://right.example/"), "the target counts (RFC 9112 section 3.2.2)");
    only_answer(&server, "GET http://a:b@x/ HTTP/1.1\r\nHost: x\r\n\r\n").expect_code(400, "bad_request");
}

#[test]
fn the_last_forwarded_address_is_used() {
    let server = server();
    for (lines, client) in [
        (&["192.0.2.1"][..], "192.0.2.1"),
        (&["192.0.2.1, 192.0.2.2"], "192.0.2.2"),
        (&["192.0.2.1", "192.0.2.3"], "192.0.2.3"),
        (&["::ffff:192.0.2.4"], "192.0.2.4"),
        (&["192.0.2.5", "nobody"], "127.0.0.1"),
    ] {
        let request = server.request("GET", "/health").header("X-Request-ID", format!("for-{client}"));
        lines.iter().fold(request, |request, line| request.header("X-Forwarded-For", *line)).send();
        wait_until("the log names the client", SOON, || server.log().contains(&format!("for-{client} {client} GET")));
    }
}

#[test]
fn wildcard_content_types_are_ignored() {
    let server = server();
    for sent in ["*/*", "text/*", "*/plain"] {
        let created = server.post("hello").header("Content-Type", sent).send().expect_status(201);
        created.expect_field("mime_type", "text/plain; charset=utf-8");
    }
}

#[test]
fn disconnects_are_noticed_on_a_unix_socket() {
    let server = on_unix_socket();
    // More than the pool: each would hold a thread until its timeout.
    for bytes in ["GET / HT", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel"] {
        for _ in 0..20 {
            let mut connection = server.connect();
            connection.send(bytes);
        }
        server.expect_alive();
    }
}

/// Tests that take seconds; `make test-quick` skips them.
mod slow {
    use super::*;

    #[test]
    fn stalled_readers_on_a_unix_socket_are_disconnected_when_others_wait() {
        let server = on_unix_socket();
        let paste = server.paste(vec![b'x'; 3 << 20]);
        let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", paste.raw());
        let mut crowd: Vec<Connection> = (0..20).map(|_| server.connect()).collect();
        for connection in &mut crowd {
            connection.send(&request);
        }
        wait_until("another client gets a response", SOON, || {
            let mut connection = server.connect();
            connection.send("GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            connection.read_response("health", false).is_some_and(|response| response.status == 200)
        });
        drop(crowd);
    }
}
