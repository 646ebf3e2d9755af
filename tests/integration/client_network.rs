//! fpaste against servers that are foreign, slow, broken or hostile.

use crate::client_harness::{Client, Running};
use crate::harness::{SOON, Server, unix_now, wait_until};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A server that records its requests and responds with a function of the request line.
pub struct Stub {
    pub url: String,
    heads: Arc<Mutex<Vec<String>>>,
    /// Whether a connection ends after its response, complete or not.
    lets_go: Arc<AtomicBool>,
}

impl Stub {
    pub fn new(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Self {
        Self::with_heads(move |head| answer(head.lines().next().unwrap()))
    }

    /// A server that responds with a function of the whole head.
    pub fn with_heads(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let lets_go = Arc::new(AtomicBool::new(false));
        let (recorded, is_over) = (Arc::clone(&heads), Arc::clone(&lets_go));
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for mut socket in listener.incoming().flatten() {
                while let Some(head) = read_request(&mut socket) {
                    let reply = answer(&head);
                    recorded.lock().unwrap().push(head);
                    let _ = socket.write_all(&reply);
                    if !reply.windows(18).any(|window| window == b"Connection: close\r") {
                        continue;
                    }
                    break;
                }
                // A response whose announced body never comes.
                if !is_over.load(Ordering::Relaxed) {
                    held.push(socket);
                }
            }
        });
        Self { url, heads, lets_go }
    }

    /// The same, without holding closed connections.
    pub fn letting_go(self) -> Self {
        self.lets_go.store(true, Ordering::Relaxed);
        self
    }

    pub fn heads(&self) -> String {
        self.heads.lock().unwrap().join("\n").to_ascii_lowercase()
    }
}

/// The head of one request; its body is read and dropped.
fn read_request(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if socket.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.to_ascii_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    std::io::copy(&mut socket.take(length.unwrap_or(0)), &mut std::io::sink()).ok()?;
    Some(head)
}

pub fn reply(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The response of such a server to a create.
pub const CREATED: &str =
    r#"{"id":"abcd1234","url":"/abcd1234","delete_token":"the-token","created_at":1,"expires_at":99999999999}"#;

/// The challenge of a server without proof of work.
pub fn accepting(line: &str) -> Vec<u8> {
    match line {
        line if line.starts_with("GET / ") => reply("200 OK", "", r#"{"name":"FlaskPaste"}"#),
        line if line.starts_with("POST") => reply("201 Created", "", CREATED),
        line if line.contains("/challenge") => reply("200 OK", "", r#"{"enabled":false,"difficulty":0}"#),
        line if line.starts_with("DELETE") => reply("200 OK", "", "{}"),
        "GET /abcd1234 HTTP/1.1" => reply("200 OK", "", r#"{"id":"abcd1234"}"#),
        _ => reply("200 OK", "", "content"),
    }
}

#[test]
fn credentials_are_sent_with_every_request_to_the_configured_server() {
    let (ours, foreign) = (Stub::new(accepting), Stub::new(accepting));
    let client = Client::with_url(&ours.url).with("FLASKPASTE_CERT_SHA1", &"ab".repeat(20));
    client.pipe("x", &[]).succeeded();
    let count = ours.heads().matches("x-ssl-client-sha1: abab").count();
    assert_eq!(count, ours.heads.lock().unwrap().len(), "{}", ours.heads());
    // The same ID on another server is another paste.
    let url = format!("{}/abcd1234", foreign.url);
    client.run(&["get", &url]).succeeded();
    client.run(&["delete", &url]).succeeded();
    assert!(
        !foreign.heads().contains("x-ssl-client-sha1") && !foreign.heads().contains("token"),
        "{}",
        foreign.heads()
    );
    // The server a paste was created on gets its token although another is configured now.
    let moved = client.with("FLASKPASTE_SERVER", &foreign.url);
    moved.run(&["delete", &format!("{}/abcd1234", ours.url)]).succeeded();
    assert!(ours.heads().contains("x-delete-token: the-token"), "{}", ours.heads());
}

#[test]
fn redirects_carry_no_credentials() {
    let elsewhere = Stub::new(accepting);
    let location = format!("Location: {}/abcd1234\r\n", elsewhere.url);
    let ours = Stub::new(move |line| match line {
        line if line.contains("/challenge") || line.starts_with("GET / ") => accepting(line),
        line if line.contains("/elsewhere") => reply("200 OK", "", "content"),
        line if line.contains("/raw") => reply("302 Found", "Location: /p/../elsewhere/raw\r\n", ""),
        _ => reply("301 Moved Permanently", &location, ""),
    });
    let client = Client::with_url(&ours.url).with("FLASKPASTE_CERT_SHA1", &"ab".repeat(20));
    client.file("password", "hunter2\n");
    // Redirects of requests without secrets are followed, on the same host and elsewhere: without the credentials.
    assert_eq!(client.run(&["get", "abcd1234"]).succeeded().text(), "content");
    let seen = ours.heads();
    let behind = seen.split("get /p/../elsewhere").nth(1).unwrap();
    assert!(seen.contains("x-ssl-client-sha1: abab") && !behind.contains("x-ssl"), "{seen}");
    assert!(elsewhere.heads().contains("get /abcd1234") && !elsewhere.heads().contains("x-ssl"));
    // A secret is not sent along, and without it the request would fail.
    let stderr = client.run(&["get", "--password-file", "password", "abcd1234"]).failed(1);
    assert!(
        stderr.contains("redirects to ") && stderr.contains("/p/../elsewhere/raw; secrets are not sent"),
        "{stderr}"
    );
    assert_eq!(ours.heads().matches("hunter2").count(), 1, "{}", ours.heads());
    // Creates and deletes are never redirected.
    let stderr = client.pipe("x", &[]).failed(1);
    assert!(stderr.contains("hint: if you trust that address, use it with -s"), "{stderr}");
    let stderr = client.run(&["delete", "abcd1234"]).failed(1);
    assert!(stderr.contains(&format!("use it with -s or in the link: {}", elsewhere.url)), "{stderr}");
    assert!(!elsewhere.heads().contains("post") && !elsewhere.heads().contains("delete"));
}

#[test]
fn redirect_loops_end() {
    let ours = Stub::new(|_| reply("302 Found", "Location: /abcd1234\r\n", ""));
    assert!(Client::with_url(&ours.url).run(&["get", "abcd1234"]).failed(7).contains("too many redirects"));
}

#[test]
fn an_interrupted_download_leaves_no_file() {
    // A stub holds its sockets open; this one closes them.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            read_request(&mut socket);
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf");
        }
    });
    let client = Client::with_url(&url);
    assert!(client.run(&["get", "-o", "out", "abcd1234"]).failed(7).contains("closed unexpectedly"));
    assert_eq!(std::fs::read_dir(client.home.path()).unwrap().count(), 0);
    // Interrupted while it waits: the same.
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let cut = never_ending();
        let client = Client::with_url(&cut.url);
        let mut child = Running::start(&mut client.command(&["get", "-o", "out", KEYED]));
        wait_until("the request has arrived", SOON, || !cut.heads().is_empty());
        assert_eq!(std::fs::read_dir(client.home.path()).unwrap().count(), 1, "the unfinished file");
        child.signal(signal);
        assert_eq!(child.code(), Some(code), "{signal}");
        assert_eq!(std::fs::read_dir(client.home.path()).unwrap().count(), 0, "{signal}");
    }
}

/// A response whose announced body never comes.
fn never_ending() -> Stub {
    Stub::new(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\nhalf".to_vec())
}

/// As nohup starts it, and shells start background jobs.
#[test]
fn signals_ignored_at_startup_stay_ignored() {
    for signal in ["HUP", "INT"] {
        let cut = never_ending();
        let client = Client::with_url(&cut.url);
        let script = format!("trap '' {signal}; exec \"$FPASTE\" get -o out '{KEYED}'");
        let mut child = Running::start(&mut client.shell(&script));
        wait_until("the request has arrived", SOON, || !cut.heads().is_empty());
        child.signal(signal);
        child.signal("TERM");
        // The first would have ended it with 129 or 130.
        assert_eq!(child.code(), Some(143), "{signal}");
        assert_eq!(std::fs::read_dir(client.home.path()).unwrap().count(), 0, "{signal}");
    }
}

/// A server that handles each request on its own thread with this function.
pub fn serve(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || {
                let head = read_request(&mut socket).unwrap_or_default();
                answer(&head, &mut socket);
            });
        }
    });
    url
}

/// A paste with a key, so that nothing is asked before it is fetched.
const KEYED: &str = "abcd1234#AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A response without a length, as in HTTP/1.0, ends with its connection: an orderly close or an error.
#[test]
fn a_connection_reset_is_not_the_end_of_a_response() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::with_url(&format!("http://{}", listener.local_addr().unwrap()));
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut head = [0; 4096];
            // Closing a socket with unread data makes the system reset the connection.
            wait_until("the request has arrived", SOON, || {
                let seen = socket.peek(&mut head).unwrap();
                head[..seen].ends_with(b"\r\n\r\n")
            });
            let answer = if head.starts_with(b"GET /abcd1234/raw ") { "half" } else { r#"{"id":"abcd1234"}"# };
            let _ = socket.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{answer}").as_bytes());
        }
    });
    assert!(client.run(&["get", "-o", "out", KEYED]).failed(7).contains("closed unexpectedly"));
    client.run(&["info"]).failed(7);
    let whole = serve(|head, socket| {
        let body = if head.contains("/raw") { "all of it" } else { r#"{"id":"abcd1234"}"# };
        let _ = socket.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{body}").as_bytes());
    });
    assert_eq!(Client::with_url(&whole).run(&["get", "abcd1234"]).succeeded().text(), "all of it");
}

#[test]
fn an_endless_download_stops_at_the_size_limit() {
    let sent = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&sent);
    let url = serve(move |head, socket| {
        if !head.contains("/raw") {
            let _ = socket.write_all(&reply(
                "200 OK",
                "Connection: close\r\n",
                r#"{"id":"abcd1234","limits":{"max_anon":1000,"max_auth":2000000}}"#,
            ));
            return;
        }
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = [b"10000\r\n", vec![b'x'; 65_536].as_slice(), b"\r\n"].concat();
        while socket.write_all(&chunk).is_ok() {
            *counted.lock().unwrap() += chunk.len();
        }
    });
    let stderr = Client::with_url(&url).run(&["get", "-o", "out", KEYED]).failed(1);
    assert!(stderr.contains("exceeds the limit of 1.91 MiB"), "{stderr}");
    // The socket buffers come on top.
    assert!(*sent.lock().unwrap() < 30_000_000, "{}", sent.lock().unwrap());
}

#[test]
fn proof_of_work_can_be_interrupted_immediately() {
    let puzzle =
        r#"{"enabled":true,"nonce":"00","difficulty":40,"expires":99999999999,"token":"t","algorithm":"sha256"}"#;
    let server = Stub::new(|_| reply("200 OK", "", puzzle));
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let client = Client::with_url(&server.url);
        let input = client.file("input", "x");
        let before = server.heads.lock().unwrap().len();
        let mut child = Running::start(&mut client.command(&[input.to_str().unwrap()]));
        wait_until("the challenge was requested", SOON, || server.heads.lock().unwrap().len() > before);
        child.signal(signal);
        let started = Instant::now();
        assert_eq!(child.code(), Some(code));
        assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    }
    let impossible = Stub::new(|_| reply("200 OK", "", &puzzle.replace("40", "64")));
    assert!(Client::with_url(&impossible.url).pipe("x", &[]).failed(1).contains("64 bits"));
}

#[test]
fn a_short_retry_after_is_honoured_once_and_a_long_one_is_not() {
    let busy = Mutex::new(1);
    let server = Stub::new(move |line| {
        let mut left = busy.lock().unwrap();
        if line.starts_with("POST") && *left > 0 {
            *left -= 1;
            return reply("503 Service Unavailable", "Retry-After: 0\r\n", r#"{"error":"Busy.","code":"busy"}"#);
        }
        accepting(line)
    });
    Client::with_url(&server.url).pipe("x", &[]).succeeded();
    let always = Stub::new(|_| reply("503 Service Unavailable", "Retry-After: 0\r\n", ""));
    Client::with_url(&always.url).run(&["info"]).failed(6);
    assert_eq!(always.heads.lock().unwrap().len(), 2);
    // A server may be busy because it does not know the outcome of the first try.
    let is_first = Mutex::new(true);
    let unsure = Stub::new(move |line| {
        if !line.starts_with("POST") {
            return accepting(line);
        }
        if std::mem::take(&mut *is_first.lock().unwrap()) {
            return reply("503 Service Unavailable", "Retry-After: 0\r\n", r#"{"error":"Busy.","code":"busy"}"#);
        }
        reply("400 Bad Request", "", r#"{"error":"The token was already used.","code":"pow_reused"}"#)
    });
    let said = Client::with_url(&unsure.url).pipe("x", &[]).failed(6);
    assert!(said.contains("the first request may have succeeded"), "{said}");
    let later = Stub::new(|_| reply("429 Too Many Requests", "Retry-After: 3600\r\n", ""));
    Client::with_url(&later.url).run(&["info"]).failed(6);
    assert_eq!(later.heads.lock().unwrap().len(), 1);
}

#[test]
fn a_hostile_server_cannot_write_control_characters_to_the_terminal() {
    let server = Stub::new(|_| {
        reply(
            "400 Bad Request",
            "",
            "{\"error\":\"a\\u001b]0;owned\\u0007b\\nfpaste: error: c\",\"hint\":\"\\u009b2J\\u202ed\"}",
        )
    });
    let stderr = Client::with_url(&server.url).run(&["info"]).failed(1);
    let (error, hint) = ("a\u{fffd}]0;owned\u{fffd}b fpaste: error: c", "hint: \u{fffd}2J\u{fffd}d\n");
    assert!(stderr.contains(error) && stderr.contains(hint), "{stderr:?}");
    assert!(stderr.chars().all(|c| c == '\n' || !c.is_control()), "{stderr:?}");
    let server = Stub::new(|_| reply("200 OK", "", "{\"name\":\"\u{9b}2J\u{202e}\u{e0041}\"}"));
    let text = Client::with_url(&server.url).run(&["info", "--json"]).succeeded().text();
    assert_eq!(text, "{\"name\":\"\\u009b2J\\u202e\\udb40\\udc41\"}\n");
}

#[test]
fn other_servers_are_reported_as_not_flaskpaste() {
    for body in ["", "<html>", "[]", "{}", r#"{"id":"nonsense"}"#] {
        let server = Stub::new(move |line| match line {
            line if line.starts_with("POST") => reply("201 Created", "", body),
            line => accepting(line),
        });
        Client::with_url(&server.url).pipe("x", &[]).failed(1);
    }
    let elsewhere = Stub::new(|_| reply("404 Not Found", "", "<html>"));
    for arguments in [&["info"][..], &["create", "-"]] {
        let stderr = Client::with_url(&elsewhere.url).pipe("x", arguments).failed(1);
        assert!(stderr.contains("does not look like a flaskpaste server"), "{stderr}");
    }
    for arguments in [&["get"][..], &["status"], &["delete"]] {
        let stderr = Client::with_url(&elsewhere.url).run(&[arguments, &["abcd1234"]].concat()).failed(1);
        assert!(stderr.contains("does not look like a flaskpaste server"), "{arguments:?}: {stderr}");
    }
    let noise = Stub::new(|_| b"SSH-2.0-OpenSSH_9.2\r\nConnection: close\r\n\r\n".to_vec());
    Client::with_url(&noise.url).run(&["info"]).failed(7);
    // A TLS alert, the response of some TLS servers to plain HTTP.
    let tls = Stub::new(|_| b"\x15\x03\x01\0\x02\x02\x46".to_vec());
    let stderr = Client::with_url(&tls.url).run(&["info"]).failed(7);
    assert!(stderr.contains("invalid HTTP response") && stderr.contains("does it need https://?"), "{stderr}");
}

/// A proxy that drops unknown headers: the stored paste lacks the requested options.
#[test]
fn a_paste_created_without_the_requested_options_is_deleted() {
    let sliding = CREATED.replace('}', r#","sliding":true}"#);
    for (options, named) in [
        (&["-b"][..], "burn after reading;"),
        (&["-n", "3"], "the read limit;"),
        (&["--format", "1", "--password-file", "password"], "the password;"),
        (&["-b", "-E", "--password-file", "password"], "burn after reading and the password;"),
        (&["-b", "-E"], "burn after reading"),
        (&["--password-file", "password"], "the password;"),
        (&["-x", "1h"], "the fixed expiry;"),
    ] {
        let sliding = sliding.clone();
        let server = Stub::new(move |line| match line {
            line if line.starts_with("POST") => reply("201 Created", "", &sliding),
            line => accepting(line),
        });
        let client = Client::with_url(&server.url);
        client.file("password", "hunter2\n");
        let stderr = client.pipe("x", options).failed(1);
        assert!(stderr.contains(named) && stderr.contains("the paste was deleted"), "{options:?}: {stderr}");
        assert!(server.heads().contains("delete /abcd1234") && server.heads().contains("x-delete-token: the-token"));
        assert_eq!(client.run(&["list", "--json"]).succeeded().json(), serde_json::json!([]));
    }
    // A paste that cannot be deleted stays in the history, so that deleting can be retried.
    let server = Stub::new(|line| match line {
        line if line.starts_with("DELETE") => reply("403 Forbidden", "", ""),
        line => accepting(line),
    });
    let client = Client::with_url(&server.url);
    let stderr = client.pipe("x", &["-b"]).failed(1);
    assert!(stderr.contains("could not be deleted") && stderr.contains("fpaste delete abcd1234"), "{stderr}");
    assert_eq!(client.run(&["list", "--json"]).succeeded().json()[0]["id"], "abcd1234");
}

/// Half a gate: nobody would be asked for the password.
#[test]
fn a_sealed_paste_stored_without_its_password_proof_is_deleted() {
    for (told, is_kept) in [
        (r#""password_proof":true"#, false),
        (r#""proof_required":true"#, false),
        (r#""proof_required":true,"password_protected":true"#, false),
        (r#""proof_required":true,"password_proof":true"#, true),
    ] {
        let created = CREATED.replace('}', &format!(",{told}}}"));
        let server = Stub::new(move |line| match line {
            line if line.starts_with("POST") => reply("201 Created", "", &created),
            line => accepting(line),
        });
        let client = Client::with_url(&server.url);
        client.file("password", "hunter2\n");
        let run = client.pipe("x", &["--password-file", "password"]);
        if is_kept {
            run.succeeded();
        } else {
            let stderr = run.failed(1);
            assert!(stderr.contains("did not apply the password; the paste was deleted"), "{stderr}");
        }
        assert_eq!(server.heads().contains("delete /abcd1234"), !is_kept, "{told}");
    }
    // Without a password, it is still unreadable without the link.
    let server = Stub::new(accepting);
    let stderr = Client::with_url(&server.url).pipe("x", &[]).succeeded().stderr;
    assert!(stderr.contains("warning: the server does not require a proof of the link"), "{stderr}");
}

#[test]
fn a_paste_stored_longer_than_requested_is_deleted() {
    for (lifetime, is_kept) in [(3600, true), (3660, true), (60, true), (3661, false), (u64::MAX - 5, false)] {
        let created = CREATED.replace("99999999999", &(lifetime + 1).to_string());
        let server = Stub::new(move |line| match line {
            line if line.starts_with("POST") => reply("201 Created", "", &created),
            line => accepting(line),
        });
        let run = Client::with_url(&server.url).pipe("x", &["-x", "1h"]);
        if is_kept {
            run.succeeded();
        } else {
            assert!(run.failed(1).contains("did not apply the expiry; the paste was deleted"), "{lifetime}");
        }
    }
}

#[test]
fn a_link_to_another_server_gets_a_note() {
    let elsewhere = CREATED.replace("/abcd1234\"", "https://paste.example.org:8443/p/abcd1234\"");
    let server = Stub::new(move |line| match line {
        line if line.starts_with("POST") => reply("201 Created", "", &elsewhere),
        line => accepting(line),
    });
    let run = Client::with_url(&server.url).pipe("x", &["-v"]).succeeded();
    assert!(run.line().starts_with("https://paste.example.org:8443/p/abcd1234#"), "{}", run.line());
    assert!(run.stderr.contains("note: the link points to another server: paste.example.org:8443\n"), "{}", run.stderr);
    let quiet = Client::with_url(&server.url).pipe("x", &["-vq"]).succeeded();
    assert!(!quiet.stderr.contains("another server"), "{}", quiet.stderr);
    let plain = Client::with_url(&Stub::new(accepting).url).pipe("x", &["-v"]).succeeded();
    assert!(!plain.stderr.contains("another server"), "{}", plain.stderr);
}

#[test]
fn an_absolute_url_for_another_paste_is_ignored() {
    let lying = CREATED.replace("/abcd1234\"", "https://evil.example/ffff0000\"");
    let server = Stub::new(move |line| match line {
        line if line.starts_with("POST") => reply("201 Created", "", &lying),
        line => accepting(line),
    });
    let client = Client::with_url(&server.url);
    assert!(client.create("x", &[]).starts_with(&format!("{}/abcd1234#", server.url)));
}

#[test]
fn a_closed_stdout_pipe_is_not_an_error() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = client.create(vec![b'x'; 3_000_000], &[]);
    for arguments in [&["get", &link][..], &["--help"], &["list"], &["completions", "zsh"]] {
        let mut child = Running::start(&mut client.command(arguments));
        drop(child.stdout.take());
        assert_eq!(child.code(), Some(0), "{arguments:?}");
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!(stderr, "", "{arguments:?}");
    }
}

/// A full disk must not lose the link or leave a half-written file.
#[test]
fn a_full_disk_is_reported_and_keeps_the_old_file() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let link = client.create("x", &[]);
    let full = client.command(&["get", &link]).stdout(std::fs::File::create("/dev/full").unwrap()).output().unwrap();
    assert_eq!(full.status.code(), Some(1));
    assert!(String::from_utf8(full.stderr).unwrap().contains("cannot write to standard output"));
}

#[test]
fn a_proxy_is_used_for_remote_hosts_only() {
    // Everything is tunnelled: a proxy learns only the destination.
    let proxy = Stub::new(|_| reply("403 Forbidden", "", "not this one"));
    let client = Client::with_url("https://paste.invalid").with("https_proxy", &proxy.url);
    assert!(client.run(&["info"]).failed(7).contains("proxy"));
    assert!(proxy.heads().contains("connect paste.invalid:443"), "{}", proxy.heads());
    client.with("NO_PROXY", ".invalid").run(&["info"]).failed(7);
    assert_eq!(proxy.heads.lock().unwrap().len(), 1);
    let here = Server::start(&[]);
    let client = Client::new(&here).with("http_proxy", &proxy.url).with("ALL_PROXY", &proxy.url);
    client.run(&["info"]).succeeded();
    assert_eq!(proxy.heads.lock().unwrap().len(), 1);
    let client = Client::with_url("http://paste.invalid").with("http_proxy", &proxy.url);
    client.run(&["info"]).failed(7);
    assert!(proxy.heads().contains("connect paste.invalid:80"), "{}", proxy.heads());
}

/// Tests that take seconds; `make test-quick` skips them.
mod slow {
    use super::*;

    /// A puzzle too hard for its one second of validity; the others are solved at once. By the server's clock.
    #[test]
    fn an_expired_challenge_is_replaced_once() {
        let puzzle = |difficulty: u64, expires: u64| {
            format!(r#"{{"enabled":true,"nonce":"00","difficulty":{difficulty},"expires":{expires},"token":"t"}}"#)
        };
        let past = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        for (hard, date, code) in [(1, "", 0), (1, past, 0), (2, "", 1), (2, past, 1)] {
            let left = Mutex::new(hard);
            let server = Stub::new(move |line| {
                if !line.contains("/challenge") {
                    return accepting(line);
                }
                let mut left = left.lock().unwrap();
                let now = if date.is_empty() { unix_now() } else { 784_111_777 };
                *left -= 1;
                reply("200 OK", date, &if *left >= 0 { puzzle(40, now + 1) } else { puzzle(1, now + 100) })
            });
            let client = Client::with_url(&server.url);
            let input = client.file("input", "x");
            let run = client.run(&[input.to_str().unwrap()]);
            assert_eq!(run.code, Some(code), "{hard} {date}: {}", run.stderr);
            assert_eq!(server.heads().matches("get /challenge").count(), 2, "{hard} {date}");
            assert_eq!(run.stderr.contains("before the proof of work was done"), code == 1, "{}", run.stderr);
        }
    }
}

#[test]
fn a_proxy_whose_server_is_down_is_named_as_such() {
    for (status, code) in [("502 Bad Gateway", 7), ("503 Service Unavailable", 6), ("504 Gateway Timeout", 7)] {
        let proxy = Stub::new(move |_| reply(status, "", "<html>"));
        let stderr = Client::with_url(&proxy.url).run(&["info"]).failed(code);
        assert!(stderr.contains("hint: the server behind the proxy is not running or not reachable"), "{stderr}");
    }
}
