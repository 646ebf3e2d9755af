//! Downloads that break off, have no declared length, or are large: how fpaste handles them, and how much memory it
//! takes.

use crate::client_harness::{Client, Running};
use crate::client_network::{reply, serve};
use crate::sealed_format::Secret;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const MEMORY_KIB: u64 = 64 << 10;

/// Bytes that differ in every chunk.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

fn upload(secret: &Secret, content: &[u8]) -> Vec<u8> {
    secret.pack(&json!({ "files": [{ "size": content.len() }] }), &[content])
}

/// The first byte of a request's range.
fn range_of(head: &str) -> Option<usize> {
    let lower = head.to_ascii_lowercase();
    let range = lower.lines().find_map(|line| line.strip_prefix("range: bytes="))?;
    range.split('-').next().unwrap().parse().ok()
}

/// A response that ends the connection says so: otherwise the next request might use it.
const CLOSE: &str = "Connection: close\r\n";

fn send(socket: &mut TcpStream, head: &str, body: &[u8]) {
    let _ =
        socket.write_all(format!("HTTP/1.1 {head}\r\n{CLOSE}\r\n").as_bytes()).and_then(|()| socket.write_all(body));
}

fn whole(socket: &mut TcpStream, upload: &[u8]) {
    send(socket, &format!("200 OK\r\nContent-Length: {}", upload.len()), upload);
}

fn part(socket: &mut TcpStream, upload: &[u8], from: usize) {
    let (end, all) = (upload.len() - 1, upload.len());
    let head = format!("206 Partial\r\nContent-Range: bytes {from}-{end}/{all}\r\nContent-Length: {}", all - from);
    send(socket, &head, &upload[from..]);
}

/// Without a length; the final chunk is missing if the transfer is to break.
fn chunked(socket: &mut TcpStream, body: &[u8], is_whole: bool) {
    send(socket, "200 OK\r\nTransfer-Encoding: chunked", b"");
    for chunk in body.chunks(1 << 20) {
        let sent = socket.write_all(format!("{:x}\r\n", chunk.len()).as_bytes());
        if sent.and_then(|()| socket.write_all(chunk)).and_then(|()| socket.write_all(b"\r\n")).is_err() {
            return;
        }
    }
    if is_whole {
        let _ = socket.write_all(b"0\r\n\r\n");
    }
}

/// A server with one paste, whose content it sends by a function of the request's head and its number. It has no
/// leases.
fn server(fields: &Value, raw: impl Fn(&str, usize, &mut TcpStream) + Send + Sync + 'static) -> String {
    let number = AtomicUsize::new(0);
    let mut metadata = json!({ "id": "abcd1234", "mime_type": "application/octet-stream", "proof_required": true });
    metadata.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serve(move |head, socket| match head {
        head if head.contains("/raw") => raw(head, number.fetch_add(1, Ordering::Relaxed), socket),
        head if head.starts_with("GET /abcd1234 ") => {
            let _ = socket.write_all(&reply("200 OK", CLOSE, &metadata.to_string()));
        }
        head if head.starts_with("GET / ") => {
            let _ = socket.write_all(&reply("200 OK", CLOSE, r#"{"limits":{"max_anon":1000000000}}"#));
        }
        _ => drop(socket.write_all(&reply("404 Not Found", CLOSE, r#"{"error":"No.","code":"not_found"}"#))),
    })
}

fn client() -> Client {
    Client::with_url("http://127.0.0.1:1")
}

#[test]
fn an_unrequested_partial_response_is_a_server_error() {
    let secret = Secret::random(None);
    let sealed = upload(&secret, &content(300_000));
    let url = server(&json!({}), move |_, _, socket| part(socket, &sealed, 56));
    let stderr = client().run(&["get", &format!("{url}/abcd1234#{}", secret.fragment())]).failed(7);
    assert!(stderr.contains("the wrong range"), "{stderr}");
}

#[test]
fn content_without_a_declared_length_arrives_whole() {
    let secret = Secret::random(None);
    // The plaintext begins with its manifest.
    let manifest = json!({ "files": [{ "size": 100_000 }] }).to_string().len() + 4;
    for length in [5, 65_536 - manifest, 131_072 - manifest, 131_073 - manifest] {
        let plain = content(length);
        let sealed = upload(&secret, &plain);
        let (changed, mut cut) = (
            {
                let mut sealed = sealed.clone();
                *sealed.last_mut().unwrap() ^= 1;
                sealed
            },
            sealed.clone(),
        );
        cut.truncate(sealed.len() - 1);
        let extended = [&sealed[..], b"x"].concat();
        for (body, code) in [(sealed, 0), (changed, 8), (cut, 8), (extended, 8)] {
            let url = server(&json!({}), move |_, _, socket| chunked(socket, &body, true));
            let run = client().run(&["get", &format!("{url}/abcd1234#{}", secret.fragment()), "-o", "-"]);
            assert_eq!(run.code, Some(code), "{length}: {}", run.stderr);
            assert!(code != 0 || run.stdout == plain, "{length}");
        }
    }
}

#[test]
fn listing_downloads_no_more_than_a_manifest() {
    let secret = Secret::random(None);
    let sealed = Arc::new(upload(&secret, &content(20_000_000)));
    for knows_ranges in [true, false] {
        let (heads, sealed) = (Arc::new(Mutex::new(Vec::new())), Arc::clone(&sealed));
        let seen = Arc::clone(&heads);
        let url = server(&json!({}), move |head, _, socket| {
            seen.lock().unwrap().push(head.to_ascii_lowercase());
            let first = &sealed[..1_114_440];
            if knows_ranges {
                let range = format!("bytes 0-1114439/{}", sealed.len());
                send(
                    socket,
                    &format!("206 Partial\r\nContent-Range: {range}\r\nContent-Length: {}", first.len()),
                    first,
                );
            } else {
                // Never more.
                send(socket, "200 OK\r\nContent-Length: 20010000", first);
            }
        });
        let run = client().run(&["get", "--list", &format!("{url}/abcd1234#{}", secret.fragment())]).succeeded();
        assert!(run.text().contains("19.07 MiB"), "{}", run.text());
        let heads = heads.lock().unwrap();
        assert!(heads.len() == 1 && heads[0].contains("range: bytes=0-1114439"), "{heads:?}");
    }
}

/// Runs it to the end; the exit code, and the peak memory.
fn watched(client: &Client, arguments: &[&str]) -> (Option<i32>, u64) {
    let mut child = Running::start(client.command(arguments).stderr(std::process::Stdio::null()));
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    loop {
        // Until the system has started the program, the process shows the memory of this one.
        let text = fs::read_to_string(&status).unwrap_or_default();
        let text = if text.starts_with("Name:\tfpaste\n") { text } else { String::new() };
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        most = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(most).max(most);
        if let Some(ended) = child.try_wait().unwrap() {
            return (ended.code(), most);
        }
        std::thread::yield_now();
    }
}

#[test]
fn memory_is_bounded_against_a_hostile_server() {
    let secret = Secret::random(None);
    let sealed = Arc::new(upload(&secret, &content(90_000_000)));
    for (case, fields) in [("no length", json!({})), ("burned", json!({})), ("no leases", json!({ "reads_left": 3 }))] {
        let sealed = Arc::clone(&sealed);
        let url = server(&fields, move |_, _, socket| match case {
            "no length" => chunked(socket, &sealed, true),
            "burned" => {
                let head = format!("200 OK\r\nX-Burn-After-Read: true\r\nContent-Length: {}", sealed.len());
                send(socket, &head, &sealed);
            }
            _ => whole(socket, &sealed),
        });
        let client = client();
        let (code, kib) = watched(&client, &["get", "-o", "out", &format!("{url}/abcd1234#{}", secret.fragment())]);
        assert_eq!((code, fs::metadata(client.home.join("out")).unwrap().len()), (Some(0), 90_000_000), "{case}");
        assert!(kib > 0 && kib < MEMORY_KIB, "{case}: {kib} KiB");
    }
}

#[test]
fn memory_is_bounded_against_a_hostile_manifest() {
    let secret = Secret::random(None);
    let begin = r#"{"files":[{"size":1}],"x":["#;
    for item in ["{},", r#"{"":0},"#, "0,"] {
        let count = ((1 << 20) - begin.len() - 10) / item.len();
        let manifest = format!("{begin}{}0]}}", item.repeat(count));
        let length = u32::try_from(manifest.len()).unwrap();
        let plain = [&length.to_be_bytes()[..], manifest.as_bytes(), b"z", &[0; 100]].concat();
        let sealed = secret.seal([7; 16], &plain);
        let url = server(&json!({}), move |_, _, socket| whole(socket, &sealed));
        let (code, kib) = watched(&client(), &["get", &format!("{url}/abcd1234#{}", secret.fragment())]);
        assert!(code == Some(0) && kib > 0 && kib < MEMORY_KIB / 2, "{item}: {code:?}, {kib} KiB");
    }
}

/// Tests that take seconds; `make test-quick` skips them.
mod slow {
    use super::*;

    #[test]
    fn a_transfer_that_always_breaks_fails_as_a_network_error() {
        let secret = Secret::random(None);
        let sealed = upload(&secret, &content(300_000));
        // Its chunked body ends properly, but too early.
        let url = server(&json!({}), move |_, number, socket| match number {
            0 => send(socket, &format!("200 OK\r\nContent-Length: {}", sealed.len()), &sealed[..200_000]),
            _ => chunked(socket, &sealed[..200_000], true),
        });
        let stderr = client().run(&["get", "-o", "out", &format!("{url}/abcd1234#{}", secret.fragment())]).failed(7);
        assert!(stderr.contains("ended prematurely"), "{stderr}");
    }

    #[test]
    fn an_interrupted_transfer_resumes_from_any_offset() {
        let secret = Secret::random(None);
        let plain = content(300_000);
        let sealed = Arc::new(upload(&secret, &plain));
        for case in ["in the head", "an error in between", "another part", "no length", "no ranges"] {
            let sealed = Arc::clone(&sealed);
            let url = server(&json!({}), move |head, number, socket| {
                let from = range_of(head).unwrap_or(0);
                let all = sealed.len();
                match (case, number) {
                    ("in the head", 0) => send(socket, &format!("200 OK\r\nContent-Length: {all}"), &sealed[..30]),
                    ("no length", 0) => chunked(socket, &sealed[..200_000], false),
                    (_, 0) => send(socket, &format!("200 OK\r\nContent-Length: {all}"), &sealed[..200_000]),
                    ("an error in between", 1) => drop(socket.write_all(&reply("500 Oh", CLOSE, ""))),
                    ("another part", 1) => part(socket, &sealed, from - 5),
                    ("in the head" | "another part" | "no ranges", _) => whole(socket, &sealed),
                    _ => part(socket, &sealed, from),
                }
            });
            let run = client().run(&["get", &format!("{url}/abcd1234#{}", secret.fragment())]).succeeded();
            assert!(run.stdout == plain, "{case}");
        }
    }
}
