//! The pages against a server, or a proxy in front of it, that does not do what was asked, or lies.
//!
//! Invariant: what was sent is seen by the proxy, never told by the page. Must never take a page's word for what it
//! kept to itself.

use super::browser::Browser;
use super::pages::{ENTER, SHOWN, create, url};
use crate::harness::Server;
use crate::sealed_format::{Secret, post_first_edition, post_text};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A proxy between a browser and a server, one request per connection.
struct Meddler {
    address: String,
    /// The heads of the requests.
    heads: Arc<Mutex<Vec<String>>>,
}

/// How requests and responses are modified: a head, and the response to a request with that head.
type Meddling = (fn(&str) -> String, fn(&str, Vec<u8>) -> Vec<u8>);

impl Meddler {
    fn before(server: &Server, (ask, answer): Meddling) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, upstream) = (listener.local_addr().unwrap(), server.authority());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        std::thread::spawn(move || {
            for mut peer in listener.incoming().map_while(Result::ok) {
                let Some((head, body)) = receive(&mut peer) else { continue };
                seen.lock().unwrap().push(head.clone());
                let Ok(mut server) = TcpStream::connect(&upstream) else { return };
                let sent = ask(&head).replace("keep-alive", "close");
                server.write_all(&[sent.as_bytes(), &body].concat()).unwrap();
                let mut whole = Vec::new();
                let _ = server.read_to_end(&mut whole);
                // The scripts of the page are the server's own.
                let answered = if head.contains("/static/") { whole } else { answer(&head, whole) };
                let _ = peer.write_all(&answered);
            }
        });
        Self { address: format!("http://{address}"), heads }
    }

    /// How many requests had this text in their heads.
    fn count(&self, text: &str) -> usize {
        self.heads.lock().unwrap().iter().filter(|head| head.to_lowercase().contains(text)).count()
    }

    /// A link of the server, leading through this proxy.
    fn link(&self, server: &Server, link: &str) -> String {
        link.replace(&url(server), &self.address)
    }
}

/// A request: its head and its body.
fn receive(peer: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if Read::by_ref(peer).take(1).read_to_end(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    peer.read_exact(&mut body).ok()?;
    Some((head, body))
}

fn pass(head: &str) -> String {
    head.to_owned()
}

/// A response with renamed fields: as if they were missing, at the same length.
fn without(answer: Vec<u8>, fields: &[&str]) -> Vec<u8> {
    let mut answer = answer;
    for field in fields {
        let is_here = |at: &usize| answer[*at..].starts_with(field.as_bytes());
        for at in (0..answer.len()).filter(is_here).collect::<Vec<_>>() {
            answer[at] = b'X';
        }
    }
    answer
}

fn hide_gate(_: &str, answer: Vec<u8>) -> Vec<u8> {
    without(answer, &["proof_required", "password_proof"])
}

#[test]
fn a_server_hiding_the_gate_does_not_get_the_password() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let meddler = Meddler::before(&server, (pass, hide_gate));
    let secret = Secret::random(Some("hunter2"));
    let upload = secret.pack(&json!({ "files": [{ "size": 6 }] }), &[b"sealed"]);
    for headers in [&[][..], &[("X-Burn-After-Read", "true")]] {
        let (_, link) = secret.post(&server, upload.clone(), headers);
        browser.open(&meddler.link(&server, &link));
        browser.wait_to_see("#exposes");
        assert!(browser.text("#exposes").contains("should never see the password") && !browser.sees("#go"));
        browser.type_into("#password", &format!("hunter2{ENTER}"));
        assert!(browser.sees("#exposes") && !browser.sees("#content"));
        // Nor if the key is added later.
        browser.open(meddler.link(&server, &link).split('#').next().unwrap());
        if !headers.is_empty() {
            browser.wait_to_see("#key");
            browser.type_into("#password", "hunter2");
            browser.type_into("#key", &format!("{link}{ENTER}"));
            browser.wait_to_see("#exposes");
        }
    }
    assert_eq!(meddler.count("x-paste-password"), 0);
    assert_eq!(meddler.count("/lease ") + meddler.count("/raw "), 0);
    browser.expect_clean(&meddler.address, &[]);
}

#[test]
fn a_format_1_password_is_sent_only_with_the_readers_consent() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let meddler = Meddler::before(&server, (pass, |_, answer| answer));
    let (_, link) = post_first_edition(&server, b"old", &[("X-Paste-Password", "hunter2")]);
    browser.open(&meddler.link(&server, &link));
    for password in ["wrong", "hunter2"] {
        browser.wait_to_see("#expose");
        browser.type_into("#password", &format!("{password}{ENTER}"));
        browser.click("#expose");
        if password == "wrong" {
            browser.wait_for("document.querySelector('#problem').textContent.includes('password is wrong')");
        }
    }
    browser.wait_to_see("#text");
    assert_eq!(browser.string(SHOWN), "old\n");
    assert_eq!(meddler.count("x-paste-password"), 2);
    browser.expect_clean(&meddler.address, &["status of 403"]);
}

/// Puts the paste on another host: an address that begins with two slashes names a host.
fn lead_away(head: &str, mut answer: Vec<u8>) -> Vec<u8> {
    let field: &[u8] = if head.starts_with("POST /ask ") { b"\"id\":\"" } else { b"\"url\":\"/" };
    if head.starts_with("POST ") {
        let at = answer.windows(field.len()).position(|window| window == field).unwrap();
        answer[at + field.len()] = b'/';
    }
    answer
}

#[test]
fn a_key_is_not_put_into_a_link_to_another_server() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let meddler = Meddler::before(&server, (pass, lead_away));
    for (path, field) in [("", "#text"), ("/ask", "#label")] {
        browser.open(&format!("{}{path}", meddler.address));
        browser.type_into(field, "secret");
        browser.click("#send");
        browser.wait_for("document.querySelector('#problem').textContent.includes('cannot be read')");
        assert!(!browser.sees("#result"));
        assert_eq!(
            browser.string("location.href"),
            format!("{}{}", meddler.address, if path.is_empty() { "/" } else { path })
        );
        assert_eq!(browser.string(&format!("document.querySelector('{field}').value")), "secret");
    }
    // If the operator configures another address for the same server, the link has that.
    let server = Server::start(&[("FLASKPASTE_PUBLIC_URL", "https://paste.example"), ("FLASKPASTE_URL_PREFIX", "/p")]);
    browser.open(&format!("http://{}/p/", server.authority()));
    browser.type_into("#text", "secret");
    create(&browser);
    let link = browser.string("document.querySelector('#link').value");
    assert!(link.starts_with("https://paste.example/p/") && link.contains('#'), "{link}");
    browser.click("#copy");
}

/// A proxy that drops our headers; without them, the server does not see the options of a paste.
fn drop_ours(head: &str) -> String {
    let is_ours =
        |line: &&str| line.to_lowercase().starts_with("x-") && !line.to_lowercase().starts_with("x-requested");
    head.split_inclusive("\r\n").filter(|line| !is_ours(line)).collect()
}

fn drop_ours_but_tokens(head: &str) -> String {
    if head.starts_with("DELETE ") { pass(head) } else { drop_ours(head) }
}

#[test]
fn a_paste_stored_without_the_requested_options_is_deleted() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let meddler = Meddler::before(&server, (drop_ours_but_tokens, |_, answer| answer));
    let wishes: [(&str, &str); 4] = [
        ("document.querySelector('#password').value = 'x'", "does not ask for the password"),
        ("document.querySelector('#burn').click()", "does not count how often the paste is read"),
        ("document.querySelector('#reads').value = 3", "does not count how often the paste is read"),
        ("document.querySelector('#expiry').value = '600'", "does not delete the paste when it should"),
    ];
    for (wish, said) in wishes {
        browser.open(&meddler.address);
        browser.type_into("#text", "secret");
        browser.run(wish, &[]);
        browser.click("#send");
        browser.wait_to_see("#problem");
        let problem = browser.text("#problem");
        assert!(problem.contains(said) && problem.contains("deleted again"), "{problem}");
        assert!(problem.contains("use another server"), "{problem}");
        assert!(!browser.sees("#result") && browser.string("document.querySelector('#text').value") == "secret");
        assert_eq!(browser.value("localStorage.getItem('flaskpaste-delete-tokens')"), "{}");
    }
    assert_eq!(meddler.count("delete /"), wishes.len());
    // Unencrypted, the server checks the password, and must still ask for it.
    browser.click("#encrypt");
    browser.run("document.querySelector('#password').value = 'x'", &[]);
    browser.click("#send");
    browser.wait_for(
        "document.querySelector('#problem').textContent.includes('does not ask for the password. The server does not')",
    );
    // Without any options the link is shown, with what is missing.
    browser.open(&meddler.address);
    browser.type_into("#text", "secret");
    create(&browser);
    assert!(browser.text("#lacks").contains("anyone who has its address"), "{}", browser.text("#lacks"));
    browser.click("#copy");
    browser.open(&url(&server));
    browser.type_into("#text", "secret");
    create(&browser);
    assert!(!browser.sees("#lacks"));
    browser.click("#copy");
    // Nor can it be deleted if the token is dropped, too.
    let meddler = Meddler::before(&server, (drop_ours, |_, answer| answer));
    browser.open(&meddler.address);
    browser.type_into("#text", "secret");
    browser.click("#burn");
    browser.click("#send");
    browser.wait_for("document.querySelector('#problem').textContent.includes('could not be deleted, but nobody')");
}

/// The text next to the content: the state and the differences.
#[track_caller]
fn told(browser: &Browser) -> [String; 2] {
    browser.wait_for(
        "!document.querySelector('#content').hidden && !document.querySelector('#state').textContent.includes('…')",
    );
    [browser.text("#state"), if browser.sees("#differs") { browser.text("#differs") } else { String::new() }]
}

fn needs_no_lease(head: &str, answer: Vec<u8>) -> Vec<u8> {
    let body = r#"{"error":"No.","code":"no_lease_needed"}"#;
    let refused = format!(
        "HTTP/1.1 409 Conflict\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    if head.contains("/lease ") { refused.into_bytes() } else { answer }
}

/// An old server without leases that says a burn paste still exists.
fn knows_no_lease(head: &str, answer: Vec<u8>) -> Vec<u8> {
    let none = b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
    let there =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
            .to_vec();
    match head {
        _ if head.contains("/lease ") => none,
        _ if head.starts_with("GET") && head.contains("accept: application/json") && !head.contains("/raw ") => there,
        _ if head.starts_with("GET") && head.contains("Accept: application/json") && !head.contains("/raw ") => there,
        _ => answer,
    }
}

/// Turns lease requests into HEAD requests, so that nothing is leased.
fn never_ask_for_a_lease(head: &str) -> String {
    if head.contains("/lease ") { head.replace("POST", "HEAD") } else { pass(head) }
}

#[test]
fn a_paste_is_called_deleted_only_once_confirmed() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    for meddling in [needs_no_lease, knows_no_lease] {
        let meddler = Meddler::before(&server, (never_ask_for_a_lease, meddling));
        for headers in [[("X-Burn-After-Read", "true")], [("X-Reads", "2")]] {
            let (_, link) = post_text(&server, b"once", &headers);
            browser.open(&meddler.link(&server, &link));
            browser.wait_to_see("#go");
            browser.click("#go");
            let [state, differs] = told(&browser);
            assert!(!state.contains("deleted") && differs.contains("does not count them"), "{state} {differs}");
            assert!(!browser.text("#facts").contains("burned"), "{}", browser.text("#facts"));
            browser.click("#copy");
        }
    }
}

fn garble_leases(head: &str, answer: Vec<u8>) -> Vec<u8> {
    if !head.contains("/lease ") {
        return answer;
    }
    let place = answer.iter().position(|byte| *byte == b'{').unwrap_or(0);
    [&answer[..place], b"<", &answer[place + 1..]].concat()
}

fn lose_leases(head: &str, answer: Vec<u8>) -> Vec<u8> {
    let lost = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    if head.contains("/lease ") { lost.to_vec() } else { answer }
}

#[test]
fn a_lost_lease_is_not_requested_again_automatically() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    for (meddling, is_lost) in [(garble_leases as fn(&str, Vec<u8>) -> Vec<u8>, false), (lose_leases, true)] {
        let meddler = Meddler::before(&server, (pass, meddling));
        for (headers, button) in
            [([("X-Burn-After-Read", "true")], "Try again"), ([("X-Reads", "3")], "Use another read")]
        {
            let before = meddler.count("/lease ");
            let (paste, link) = post_text(&server, b"once", &headers);
            browser.open(&meddler.link(&server, &link));
            browser.wait_to_see("#go");
            browser.click("#go");
            browser.wait_for("document.querySelector('#problem').textContent.includes('it ends by itself')");
            assert_eq!(browser.text("#go"), button);
            assert_eq!(meddler.count("/lease ") - before, 1);
            if button == "Try again" && !is_lost {
                browser.click("#go");
                browser.wait_for("document.querySelector('#problem').textContent.includes('used after all')");
            } else if button != "Try again" {
                server.get(&paste.path()).expect_field("reads_left", 2);
            }
        }
    }
    browser.expect_clean("http://127.0.0.1", &["status of 404", "status of 502"]);
}

#[test]
fn a_reloaded_page_continues_its_read() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let text = "0123456789abcde\n".repeat(18_000);
    let speed = |bytes: i32| {
        let conditions =
            json!({ "offline": false, "latency": 0, "uploadThroughput": bytes, "downloadThroughput": bytes });
        browser.devtools("Network.emulateNetworkConditions", &conditions);
    };
    for (headers, state) in [([("X-Burn-After-Read", "true")], "deleted"), ([("X-Reads", "3")], "reads left: 2")] {
        let (paste, link) = post_text(&server, text.as_bytes(), &headers);
        browser.open(&link);
        browser.wait_to_see("#go");
        speed(50_000);
        browser.click("#go");
        browser.wait_for("document.querySelector('#bar').value > 0");
        let kept = browser.string("JSON.stringify({ ...sessionStorage })");
        assert!(kept.contains(&paste.id) && !kept.contains(link.split_once('#').unwrap().1), "{kept}");
        browser.run("setTimeout(() => location.replace('about:blank'))", &[]);
        browser.wait_for("location.href === 'about:blank'");
        speed(-1);
        browser.open(&link);
        browser.wait_to_see("#text");
        browser.wait_for(&format!("document.querySelector('#state').textContent.includes('{state}')"));
        assert!(browser.string(SHOWN) == text);
        assert_eq!(browser.string("document.title"), format!("Paste {} · flaskpaste", paste.id));
        assert_eq!(browser.string("JSON.stringify({ ...sessionStorage })"), "{}");
        browser.click("#copy");
    }
    // A read of another tab is still unavailable.
    browser.open(&format!("{}/000000000000", url(&server)));
    assert!(browser.text("main").contains("There is no such paste."));
    browser.expect_clean(&url(&server), &["status of 404"]);
}
