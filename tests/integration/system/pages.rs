//! The pages in a real browser: creating a paste, and helpers for the tests of the other pages. Opening a paste is in
//! `pages_reading.rs`, requirements of every page in `pages_everybody.rs`.

use super::browser::Browser;
use super::programs::has;
use crate::client_harness::Client;
use crate::harness::{Folder, Server};
use crate::sealed_format::{read, read_one};
use serde_json::json;
use std::process::Command;

/// The whole text shown.
pub const SHOWN: &str = "Array.from(document.querySelectorAll('.line'), (line) => line.textContent).join('')";

/// The Enter key, as `WebDriver` writes it.
pub const ENTER: &str = "\u{e007}";

pub fn url(server: &Server) -> String {
    format!("http://{}", server.authority())
}

/// Submits the form and waits for the link.
#[track_caller]
pub fn create(browser: &Browser) -> String {
    browser.click("#send");
    browser.wait_to_see("#result");
    browser.string("document.querySelector('#link').value")
}

/// Goes from a link to the form, as somebody with the link would.
#[track_caller]
pub fn start_again(browser: &Browser) {
    browser.click("#copy");
    browser.click("#again");
    browser.wait_to_see("#create");
}

/// Opens a text in a new browser.
#[track_caller]
pub fn expect_text(browser: &Browser, link: &str, text: &str) {
    browser.open(link);
    browser.wait_to_see("#content");
    assert_eq!(browser.string(SHOWN), text);
}

/// The id in a link.
pub fn id_of(link: &str) -> &str {
    link.split('#').next().unwrap().rsplit('/').next().unwrap()
}

/// A PNG of 3 by 2 pixels.
pub fn png() -> Vec<u8> {
    let hex = "89504e470d0a1a0a0000000d49484452000000030000000208020000001216f14d0000000e49444154789c63f8cf00410c100a\
               001fee03fd9fcbf4c30000000049454e44ae426082";
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// The clipboard: pasted into the form of the create page, which normalises line endings.
#[track_caller]
pub fn pasted(browser: &Browser, server: &Server) -> String {
    browser.open(&url(server));
    browser.click("#text");
    browser.press_with_control('v');
    browser.string("document.querySelector('#text').value")
}

#[test]
fn a_text_created_in_one_profile_opens_in_another() {
    let server = Server::start(&[("FLASK_ENV", "production"), ("FLASKPASTE_POW_DIFFICULTY", "12")]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    browser.type_into("#text", "a secret\nwith <b>two</b> lines\n");
    let link = create(&browser);
    assert!(link.starts_with(&format!("{}/", url(&server))), "{link}");
    assert_eq!(link.split_once('#').unwrap().1.len(), 43, "{link}");
    server.get(&format!("/{}/raw", id_of(&link))).expect_code(403, "proof_required");
    let opened = read(&server, &link, None);
    assert_eq!(opened.manifest, json!({ "files": [{ "type": "text/plain; charset=utf-8", "size": 31 }] }));
    assert_eq!((opened.files, opened.padded), (vec![b"a secret\nwith <b>two</b> lines\n".to_vec()], 256));
    let facts = browser.text("#facts");
    assert_eq!(facts, "31 bytes. It expires 5 days after the last read.");
    assert!(browser.requests().iter().all(|request| !request.contains('#')));
    browser.expect_clean(&url(&server), &[]);
    let Some(other) = Browser::start() else { return };
    expect_text(&other, &link, "a secret\nwith <b>two</b> lines\n");
    assert!(!other.sees("#delete"), "only the browser that created it can delete it");
    other.expect_clean(&url(&server), &[]);
    assert!(!server.log().contains(link.split_once('#').unwrap().1), "{}", server.log());
}

#[test]
fn the_browser_and_fpaste_interoperate() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let Some(browser) = Browser::start() else { return };
    // Every writing system, every length of UTF-8, lines of every length: 200 KB.
    let numbered = |i: usize| format!("{i} äöü Ελληνικά русский עברית 日本語 हिन्दी 🦀 {}\n", "x".repeat(i % 90));
    let text: String = (0..)
        .map(numbered)
        .scan(0, |bytes, line| {
            *bytes += line.len();
            (*bytes <= 200_000).then_some(line)
        })
        .collect();
    expect_text(&browser, &client.create(&text, &[]), &text);
    expect_text(&browser, &client.create(&text, &["-E"]), &text);

    browser.open(&url(&server));
    browser.run("document.querySelector('#text').value = arguments[0]", &[json!(text)]);
    let link = create(&browser);
    assert_eq!(read_one(&server, &link), text.as_bytes());
    assert_eq!(client.run(&["get", &link]).succeeded().text(), text);
    start_again(&browser);
    browser.type_into("#text", "not encrypted: é");
    let promises = |browser: &Browser| ["#lead", "#encrypt-note"].map(|part| browser.sees(part));
    assert!(!browser.sees("#readable"));
    assert_eq!(promises(&browser), [true, true]);
    browser.click("#encrypt");
    assert_eq!(promises(&browser), [false, false], "the page does not say that the server sees nothing");
    assert_eq!(browser.string("document.querySelector('#encrypt').getAttribute('aria-describedby')"), "readable");
    assert!(browser.text("#readable").contains("the server"), "the error comes before anything is sent");
    browser.run("document.querySelector('#expiry').value = '600'", &[]);
    let link = create(&browser);
    assert!(!link.contains('#'), "{link}");
    assert!(browser.text("#about").contains("Not encrypted"));
    assert!(!browser.sees("#lead"));
    assert!(browser.text("#facts").contains("It expires on "), "{}", browser.text("#facts"));
    assert_eq!(client.run(&["get", &link]).succeeded().text(), "not encrypted: é");
    start_again(&browser);
    assert_eq!(promises(&browser), [true, true]);
    server.get(&format!("/{}", id_of(&link))).expect_field("mime_type", "text/plain; charset=utf-8");
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn files_can_be_dropped_and_pasted() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    let transfer = "const files = new DataTransfer();
        for (const text of arguments) files.items.add(new File([text], `${text}.txt`, { type: 'text/plain' }));";
    let drop =
        "document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true }))";
    browser.run(&format!("{transfer} {}", drop.replace("'drop'", "'dragover'")), &[json!("")]);
    assert_eq!(browser.value("document.body.className"), "invited");
    browser.run(&format!("{transfer} {drop}"), &[json!("first"), json!("second")]);
    assert_eq!(browser.value("document.body.className"), "");
    assert_eq!(browser.text("#chosen"), "first.txt (5 bytes), second.txt (6 bytes)");
    let opened = read(&server, &create(&browser), None);
    assert_eq!(opened.files, [b"first".to_vec(), b"second".to_vec()]);
    browser.click("#copy");
    let paste = "document.querySelector('#text').dispatchEvent(new ClipboardEvent('paste', { clipboardData: files, bubbles: true }))";
    browser.run(&format!("{transfer} {paste}"), &[json!("pasted")]);
    browser.wait_to_see("#remove");
    browser.click("#remove");
    assert!(!browser.sees("#remove") && browser.value("document.querySelector('#text').disabled") == false);
    browser.run(&format!("{transfer} {paste}"), &[json!("pasted")]);
    assert_eq!(read_one(&server, &create(&browser)), b"pasted");
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn pages_work_under_a_prefix() {
    let server = Server::start(&[
        ("FLASKPASTE_URL_PREFIX", "/some/paste"),
        ("FLASKPASTE_POW_DIFFICULTY", "8"),
        ("FLASK_ENV", "production"),
    ]);
    let Some(browser) = Browser::start() else { return };
    for path in ["/some/paste", "/some/paste/"] {
        browser.open(&format!("{}{path}", url(&server)));
        browser.type_into("#text", "below");
        let link = create(&browser);
        assert!(link.starts_with(&format!("{}/some/paste/", url(&server))), "{link}");
        expect_text(&browser, &link, "below\n");
        browser.click("#delete");
        browser.click("#delete");
        browser.wait_for("document.querySelector('#state').textContent.includes('deleted')");
    }
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn proof_of_work_runs_in_a_worker_and_can_be_cancelled() {
    let server = Server::start(&[("FLASK_ENV", "production"), ("FLASKPASTE_POW_DIFFICULTY", "60")]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    browser.type_into("#text", "expensive");
    browser.click("#send");
    browser.wait_to_see("#progress");
    browser.wait_for("document.querySelector('#bar').value > 0");
    // While the workers run, a responsive page draws a frame every few milliseconds.
    let frames = "return new Promise((resolve) => { let frames = 0; const start = performance.now();
        const frame = () => { frames++; if (performance.now() - start > 500) resolve(frames); else requestAnimationFrame(frame); };
        requestAnimationFrame(frame); })";
    assert!(browser.run(frames, &[]).as_u64().unwrap() >= 5);
    let solvers = browser.requests().iter().filter(|request| request.contains("/static/solver.")).count();
    assert_eq!(Some(solvers as u64), browser.value("navigator.hardwareConcurrency").as_u64());
    browser.click("#cancel");
    browser.wait_for("!document.querySelector('#send').ariaDisabled");
    assert_eq!(browser.string("document.activeElement.id"), "send", "the focus stays where it was");
    assert!(!browser.sees("#progress") && !browser.sees("#problem"));
    assert_eq!(browser.string("document.querySelector('#text').value"), "expensive");
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn the_browser_that_created_a_paste_can_delete_it() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    for later in [false, true] {
        browser.open(&url(&server));
        browser.type_into("#text", "a mistake");
        let link = create(&browser);
        if later {
            browser.open(&link);
            browser.wait_to_see("#content");
        }
        browser.click("#delete");
        assert_eq!(browser.text("#delete"), "Delete for everyone?");
        browser.click("#delete");
        browser.wait_for("document.querySelector('#state').textContent.includes('deleted')");
        server.get(&format!("/{}", id_of(&link))).expect_status(404);
        assert_eq!(browser.value("localStorage.getItem('flaskpaste-delete-tokens')"), "{}");
        assert_eq!(browser.value("document.body.innerText.includes('a mistake')"), false);
    }
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn copy_copies_the_whole_text() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let Some(browser) = Browser::start() else { return };
    browser.open(&client.create("all\n\n  of it\n", &[]));
    browser.wait_to_see("#copy");
    browser.click("#copy");
    assert_eq!(browser.text("#said"), "Copied.");
    assert_eq!(pasted(&browser, &server), "all\n\n  of it\n");
    let link = create(&browser);
    browser.click("#copy");
    assert_eq!(browser.text("#copied"), "Copied.");
    assert_eq!(pasted(&browser, &server), link);
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn the_qr_code_encodes_the_link() {
    if !has("the QR code of a page", &["zbarimg"]) {
        return;
    }
    let folder = Folder::new();
    let Some(browser) = Browser::start() else { return };
    // Links of several lengths cover versions with and without version bits, and with several blocks.
    for prefix in ["", "/a/rather/long/prefix/of/the/kind/nobody/would/choose", &"/segment".repeat(22)] {
        let server = Server::start(&[("FLASKPASTE_URL_PREFIX", prefix)]);
        browser.open(&format!("{}{prefix}/", url(&server)));
        browser.type_into("#text", "x");
        let link = create(&browser);
        let file = folder.join("qr.png");
        std::fs::write(&file, browser.picture("#qr svg")).unwrap();
        let output = Command::new("zbarimg").args(["--quiet", "--raw"]).arg(&file).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), link);
    }
}

#[test]
fn refusals_are_shown() {
    let server = Server::start(&[
        ("FLASKPASTE_MAX_ANON", "2000"),
        ("FLASKPASTE_MIN_ENTROPY", "6"),
        ("FLASKPASTE_DEDUP_MAX", "1"),
        ("FLASKPASTE_EXPIRY", "5400"),
        ("FLASKPASTE_MAX_EXPIRY", "129600"),
    ]);
    let Some(browser) = Browser::start() else { return };
    let refused = |browser: &Browser, text: &str, sentence: &str| {
        browser.run("document.querySelector('#text').value = arguments[0]", &[json!(text)]);
        browser.click("#send");
        browser.wait_for("!document.querySelector('#problem').hidden");
        assert!(browser.text("#problem").contains(sentence), "{}", browser.text("#problem"));
        assert_eq!(browser.string("document.querySelector('#text').value"), text, "the typed text is kept");
    };
    browser.open(&url(&server));
    let expiries = "Array.from(document.querySelector('#expiry').options, (option) => option.text)";
    let expected =
        ["after 90 minutes without a read", "after 10 minutes", "after 1 hour", "after 1 day", "after 36 hours"];
    assert_eq!(browser.value(expiries), json!(expected));
    refused(&browser, "", "Write something");
    // The overhead of encryption: a head, a tag, and the length-prefixed manifest. There is no room for padding.
    let manifest = json!({ "files": [{ "type": "text/plain; charset=utf-8", "size": 1000 }] }).to_string();
    let room = 2000 - 56 - 16 - 4 - manifest.len();
    refused(&browser, &"x".repeat(room + 1), "the server accepts at most 1.8 KiB");
    browser.run("document.querySelector('#text').value = arguments[0]", &[json!("x".repeat(room))]);
    assert_eq!(read(&server, &create(&browser), None).padded, 2000 - 56 - 16);
    start_again(&browser);
    browser.click("#encrypt");
    refused(&browser, &"x".repeat(1000), "turn on encryption");
    browser.run("document.querySelector('#text').value = 'same'", &[]);
    create(&browser);
    start_again(&browser);
    browser.click("#encrypt");
    refused(&browser, "same", "submitted too often");
    browser.expect_clean(&url(&server), &["status of 400", "status of 429"]);
    drop(server);
    refused(&browser, "later", "cannot be reached");
}

#[test]
fn a_refusal_says_once_when_to_try_again() {
    let server = Server::start(&[("FLASKPASTE_RATE", "1")]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    browser.type_into("#text", "the first");
    create(&browser);
    start_again(&browser);
    browser.type_into("#text", "the second");
    browser.click("#send");
    browser.wait_to_see("#problem");
    let problem = browser.text("#problem");
    assert!(problem.starts_with("Too many pastes were created from this address. Try again in "), "{problem}");
    assert_eq!((problem.to_lowercase().matches("try again").count(), problem.contains("Retry-After")), (1, false));
}
