//! Asks in the pages: one browser asks, another answers, and the first reads it.
//!
//! Invariant: fpaste opens what the pages seal, and vice versa. Must never rely on what a page says about an ask: the
//! server is asked.

use super::browser::Browser;
use super::pages::{ENTER, SHOWN, id_of, url};
use crate::client_harness::Client;
use crate::harness::{Folder, Launcher, Paste, SOON, Server, wait_until};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;
use std::sync::Arc;

/// Asks in a browser; the link for the answer.
#[track_caller]
pub fn ask(browser: &Browser, site: &str, label: &str) -> String {
    browser.open(&format!("{site}/ask"));
    browser.wait_for("!document.querySelector('#send').disabled");
    browser.type_into("#label", label);
    browser.click("#send");
    browser.wait_to_see("#waiting");
    browser.string("document.querySelector('#link').value")
}

/// Answers a link in a browser.
#[track_caller]
pub fn answer(browser: &Browser, link: &str, text: &str) {
    browser.open(link);
    browser.wait_to_see("#answer");
    browser.type_into("#text", text);
    browser.click("#send");
    browser.wait_to_see("#sent");
}

/// Reads the answer in the browser that asked, which notices it by itself.
#[track_caller]
fn read(browser: &Browser) -> String {
    browser.wait_to_see("#gate #go");
    browser.click("#go");
    browser.wait_to_see("#content");
    shown(browser)
}

/// The text shown, without the newline added to texts that lack one.
#[track_caller]
fn shown(browser: &Browser) -> String {
    browser.string(SHOWN).trim_end_matches('\n').to_owned()
}

/// The asks stored by a browser.
fn kept(browser: &Browser) -> Vec<Value> {
    let script = "return new Promise((resolve) => { const opening = indexedDB.open('flaskpaste', 1);
        opening.onsuccess = () => { const all = opening.result.transaction('asks').objectStore('asks').getAll();
        all.onsuccess = () => { opening.result.close(); resolve(all.result.map(({ id, label, privateKey }) =>
        [id, label, privateKey.extractable, privateKey.usages.join()])); }; }; })";
    let all = browser.run(script, &[]);
    all.as_array().unwrap().iter().filter(|ask| ask[0] != "trial").cloned().collect()
}

fn refused(browser: &Browser, words: &str) {
    browser.wait_to_see("#refused");
    assert!(browser.text("#refused").contains(words), "{}", browser.text("#refused"));
    assert!(!browser.sees("#answer") && !browser.sees("#waiting"));
}

/// The link with these bytes at this offset of its 48.
fn bent(link: &str, at: usize, bytes: &[u8]) -> String {
    let (address, fragment) = link.split_once("#ask:").unwrap();
    let mut keys = URL_SAFE_NO_PAD.decode(&fragment[..64]).unwrap();
    keys[at..at + bytes.len()].copy_from_slice(bytes);
    format!("{address}#ask:{}{}", URL_SAFE_NO_PAD.encode(keys), &fragment[64..])
}

#[test]
fn one_browser_asks_and_another_answers() {
    // Its socket survives a restart.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let site = format!("http://{}", listener.local_addr().unwrap());
    let variables = [("FLASK_ENV", "production"), ("FLASKPASTE_POW_DIFFICULTY", "12")];
    let launcher = Launcher::with_sockets([listener.into()]);
    let mut server = Server::start_by(launcher, Arc::new(Folder::new()), &variables);
    let Some(asker) = Browser::start() else { return };
    let Some(other) = Browser::start() else { return };
    asker.open(&site);
    asker.click("nav a[href$='/ask']");
    let link = ask(&asker, &site, "staging <b>database</b> password");
    assert!(link.starts_with(&format!("{site}/")) && link.contains("#ask:"), "{link}");
    assert_eq!(asker.value("location.href"), link.as_str(), "reloading shows the ask again");
    assert_eq!(asker.text("#question"), "staging <b>database</b> password");
    assert!(asker.sees("#qr svg"));
    assert_eq!(kept(&asker), [json!([id_of(&link), "staging <b>database</b> password", false, "deriveBits"])]);
    // Neither local nor session storage has any of it, and both sides survive a restart.
    assert!(!asker.string("JSON.stringify({ ...localStorage, ...sessionStorage })").contains("database"));
    server.crash_and_restart();
    answer(&other, &link, "hunter2\nthe second line\n");
    assert!(other.requests().iter().all(|request| !request.contains('#')));
    assert_eq!(other.value("document.querySelector('#answer').hidden"), true);
    assert_eq!(read(&asker), "hunter2\nthe second line");
    assert!(asker.text("#title").contains("staging <b>database</b> password"), "{}", asker.text("#title"));
    asker.wait_for("document.querySelector('#state').textContent.includes('deleted this paste')");
    server.get(&format!("/{}", id_of(&link))).expect_code(404, "not_found");
    asker.wait_for("document.querySelector('#state').textContent.includes('deleted')");
    assert_eq!(kept(&asker), [0; 0], "the key is gone");
    for browser in [&asker, &other] {
        browser.expect_clean(&site, &["status of 404", "net::ERR_CONNECTION_REFUSED", "net::ERR_CONNECTION_RESET"]);
    }
    let secrets = [link.split_once('#').unwrap().1, "hunter2"];
    assert!(secrets.iter().all(|secret| !server.log().contains(secret)), "{}", server.log());
}

#[test]
fn asks_work_between_pages_and_fpaste() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let client = Client::new(&server);
    let link = ask(&browser, &url(&server), "the key");
    let folder = Folder::new();
    for (name, content) in [("id_ed25519", "private"), ("id_ed25519.pub", "public")] {
        fs::write(folder.join(name), content).unwrap();
    }
    let files = ["id_ed25519", "id_ed25519.pub"].map(|name| folder.join(name).display().to_string());
    client.run(&["answer", &link, &files[0], &files[1]]).succeeded();
    browser.wait_to_see("#gate #go");
    browser.click("#go");
    browser.wait_to_see("#files");
    assert!(browser.text("#files").contains("id_ed25519.pub"), "{}", browser.text("#files"));
    let asked = client.run(&["ask", "--no-wait", "a token"]).succeeded().line();
    answer(&browser, &asked, "from a page");
    let read = client.run(&["get", id_of(&asked)]).succeeded();
    assert_eq!(read.stdout, b"from a page");
    browser.expect_clean(&url(&server), &["status of 404"]);
}

#[test]
fn asks_that_cannot_be_answered_say_why_and_what_to_do() {
    let server = Server::start(&[]);
    let (Some(asker), Some(other)) = (Browser::start(), Browser::start()) else { return };
    let link = ask(&asker, &url(&server), "a secret");
    let (address, _) = link.split_once('#').unwrap();
    for fragment in
        ["", "#", "#ask:", "#ask:short", &format!("#{}", "A".repeat(43)), &format!("#ask:{}", "A".repeat(63))]
    {
        other.open(&format!("{address}{fragment}"));
        refused(&other, "incomplete");
    }
    // A low-order key, whose shared secret anyone knows, and the answer secret of another ask.
    other.open(&bent(&link, 0, &[0; 32]));
    other.wait_to_see("#answer");
    other.type_into("#text", "not for everybody");
    other.click("#send");
    other.wait_for("document.querySelector('#problem').textContent.includes('key in this link is damaged')");
    other.open(&bent(&link, 32, &[0; 16]));
    other.wait_to_see("#answer");
    other.type_into("#text", "for nobody");
    other.click("#send");
    other.wait_for("document.querySelector('#problem').textContent.includes('Open the whole link')");
    assert_eq!(other.value("document.querySelector('#text').value"), "for nobody", "the typed text is kept");
    // Empty, and too long.
    other.open(&link);
    other.wait_to_see("#answer");
    other.click("#send");
    other.wait_for("document.querySelector('#problem').textContent.includes('Write something first')");
    other.run("document.querySelector('#text').value = 'x'.repeat(3200000)", &[]);
    other.click("#send");
    other.wait_for("document.querySelector('#problem').textContent.includes('the server accepts')");
    assert_eq!(server.get(&format!("/{}", id_of(&link))).json()["state"], "asked");
    answer(&other, &link, "the first");
    other.open(&link);
    refused(&other, "already been answered");
    // The asker reads, and then it is gone.
    assert_eq!(read(&asker), "the first");
    other.open(&link);
    other.wait_to_see("h1");
    assert_eq!(other.value("document.body.dataset.view"), "refusal");
    assert!(other.text("main").contains("This request has ended"), "{}", other.text("main"));
    other.expect_clean(&url(&server), &["status of 40"]);
}

#[test]
fn hostile_questions_are_shown_as_text() {
    let server = Server::start(&[]);
    let (Some(asker), Some(other)) = (Browser::start(), Browser::start()) else { return };
    let link = ask(&asker, &url(&server), "x");
    let (plain, _) = link.rsplit_once(':').unwrap();
    let labelled = |label: &[u8]| format!("{plain}:{}", URL_SAFE_NO_PAD.encode(label));
    for (label, shown) in [
        ("<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"),
        ("pass\u{202e}drow\u{0}\u{1b}[31m", "pass"),
        (&"ä".repeat(100), &*"ä".repeat(100)),
    ] {
        other.open(&labelled(label.as_bytes()));
        other.wait_to_see("#answer");
        let question = other.string("document.querySelector('#question').textContent");
        assert!(question.contains(shown), "{question}");
        assert_eq!(other.value("document.querySelectorAll('#question img').length"), 0);
    }
    assert!(other.sees("#question"));
    // A label that is not text or too long is not shown; the link still works.
    for label in [vec![b'x'; 201], vec![0xff, 0xfe], vec![]] {
        other.open(&labelled(&label));
        other.wait_to_see("#answer");
        assert!(!other.sees("#question"));
    }
    for label in ["A", "!", "YQ:YQ"] {
        other.open(&format!("{plain}:{label}"));
        other.wait_to_see("#answer");
        assert!(!other.sees("#question"));
    }
    other.type_into("#text", "an answer");
    other.click("#send");
    other.wait_to_see("#sent");
    // Too long to send.
    let Some(third) = Browser::start() else { return };
    third.open(&format!("{}/ask", url(&server)));
    third.wait_for("!document.querySelector('#send').disabled");
    third.run("document.querySelector('#label').value = 'ä'.repeat(101)", &[]);
    third.click("#send");
    third.wait_for("document.querySelector('#problem').textContent.includes('200 bytes')");
    for browser in [&other, &third] {
        browser.expect_clean(&url(&server), &[]);
    }
}

#[test]
fn an_ask_is_kept_until_it_is_read_or_deleted() {
    let server = Server::start(&[]);
    let (Some(asker), Some(other)) = (Browser::start(), Browser::start()) else { return };
    let link = ask(&asker, &url(&server), "first");
    let address = link.split('#').next().unwrap();
    // Closed and reopened, also without the fragment.
    asker.open(address);
    asker.wait_to_see("#waiting");
    assert_eq!(asker.value("document.querySelector('#link').value"), link.as_str());
    answer(&other, &link, "an answer");
    // An unfinished read continues after a reload.
    asker.wait_to_see("#gate #go");
    let key_of_ask = kept(&asker);
    asker.run("const real = window.fetch; window.fetch = (url, options) => String(url).endsWith('/raw') && options.method === 'GET'
        ? new Promise(() => {}) : real(url, options);", &[]);
    asker.click("#go");
    let paste = Paste { id: id_of(&link).into(), delete_token: String::new() };
    wait_until("the read has begun", SOON, || server.get(&paste.path()).status == 404);
    assert_eq!(kept(&asker), key_of_ask);
    asker.open(address);
    asker.wait_to_see("#content");
    assert_eq!(shown(&asker), "an answer");
    wait_until("the key is gone", SOON, || kept(&asker).is_empty());
    // Deleted by the asker, after a confirmation.
    let link = ask(&asker, &url(&server), "second");
    asker.click("#delete");
    assert_eq!(server.get(&format!("/{}", id_of(&link))).status, 200);
    asker.click("#delete");
    asker.wait_to_see("#ask");
    server.get(&format!("/{}", id_of(&link))).expect_code(404, "not_found");
    assert!(kept(&asker).is_empty());
    // Ended while a page is waiting: it says so.
    let link = ask(&asker, &url(&server), "third");
    let token =
        asker.string(&format!("JSON.parse(localStorage['flaskpaste-delete-tokens'])['{}'].token", id_of(&link)));
    server.request("DELETE", &format!("/{}", id_of(&link))).header("X-Delete-Token", token).send().expect_status(200);
    asker.wait_to_see("#refused");
    assert!(asker.text("#refused").contains("Ask again"), "{}", asker.text("#refused"));
}

#[test]
fn an_ask_can_be_created_and_answered_by_keyboard() {
    let server = Server::start(&[]);
    let (Some(asker), Some(other)) = (Browser::start(), Browser::start()) else { return };
    asker.open(&format!("{}/ask", url(&server)));
    asker.wait_for("!document.querySelector('#send').disabled");
    assert_eq!(asker.value("document.activeElement.id"), "label");
    asker.press("pin");
    asker.press(ENTER);
    asker.wait_to_see("#waiting");
    let link = asker.string("document.querySelector('#link').value");
    other.open(&link);
    other.wait_to_see("#answer");
    other.wait_for("document.activeElement.id === 'text'");
    other.press("1234");
    other.press_with_control('\u{e007}');
    other.wait_to_see("#sent");
    assert_eq!(other.value("document.activeElement.id"), "title");
    assert_eq!(other.value("document.querySelector('#text').value"), "", "sent text does not stay in the form");
    asker.wait_to_see("#gate #go");
    assert_eq!(asker.value("document.activeElement.id"), "go");
    asker.press(ENTER);
    asker.wait_to_see("#content");
    assert_eq!(shown(&asker), "1234");
}
