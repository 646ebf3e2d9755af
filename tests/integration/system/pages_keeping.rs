//! The pages lose nothing irreplaceable without asking, and what they say about a paste stays true over time.

use super::browser::Browser;
use super::pages::{SHOWN, create, id_of, start_again, url};
use crate::client_harness::Client;
use crate::harness::{Folder, Server};
use crate::sealed_format::post_first_edition;
use serde_json::json;

/// Whether the browser would ask before leaving the page. The dialog itself is the browser's.
#[track_caller]
fn asks(browser: &Browser) -> bool {
    let ask = "const leave = new Event('beforeunload', { cancelable: true }); dispatchEvent(leave); return leave.defaultPrevented";
    browser.run(ask, &[]) == true
}

#[test]
fn leaving_with_unsent_text_or_an_uncopied_link_asks_first() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let folder = Folder::new();
    browser.open(&url(&server));
    assert!(!asks(&browser));
    browser.type_into("#text", "unsent");
    assert!(asks(&browser));
    let link = create(&browser);
    assert!(asks(&browser));
    // The address is that of the paste: a page closed by mistake can be reopened. The title has no secret.
    assert_eq!(browser.string("location.href"), link);
    let title = browser.string("document.title");
    assert!(title.contains(id_of(&link)) && !title.contains(link.split_once('#').unwrap().1), "{title}");
    browser.click("#again");
    assert_eq!(browser.text("#again"), "Go on without copying?");
    // Dropping a file does not replace it either.
    let drop = "const files = new DataTransfer(); files.items.add(new File(['x'], 'x'));
        document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true }))";
    browser.run(drop, &[]);
    assert!(browser.sees("#result") && browser.text("#gone").contains("Copy the link first"));
    browser.click("#copy");
    assert!(!asks(&browser));
    browser.click("#again");
    browser.wait_to_see("#create");
    assert!(!asks(&browser));
    assert_eq!(
        browser.value("[location.pathname + location.hash, document.title]"),
        json!(["/", "New paste · flaskpaste"])
    );
    // Text written before a file was uploaded instead is still there.
    browser.type_into("#text", "kept");
    let file = folder.join("file");
    std::fs::write(&file, "a file").unwrap();
    assert!(!browser.sees("#unsent"));
    browser.type_into("#file", file.to_str().unwrap());
    assert!(asks(&browser) && browser.text("#unsent").contains("not sent together"));
    create(&browser);
    start_again(&browser);
    assert_eq!(browser.string("document.querySelector('#text').value"), "kept");
    assert!(asks(&browser));
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn the_link_opens_from_its_own_page() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    browser.type_into("#text", "opened");
    let link = create(&browser);
    browser.click("#open");
    browser.wait_to_see("#content");
    assert_eq!(browser.string(SHOWN), "opened\n");
    assert_eq!(browser.string("location.href"), link);
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn leaving_a_burned_paste_asks_until_it_is_copied_or_downloaded() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let Some(browser) = Browser::start() else { return };
    let folder = Folder::new();
    browser.accept_downloads(folder.path());
    for (content, button) in [(&b"once"[..], "#copy"), (b"once", "#download"), (b"\0\x01", "#download")] {
        let link = client.create(content, &["--burn"]);
        browser.open(&link);
        browser.wait_to_see("#go");
        assert!(!asks(&browser), "it is on the server");
        browser.click("#go");
        browser.wait_to_see("#content");
        assert!(asks(&browser));
        browser.click(button);
        assert!(!asks(&browser));
    }
    // With a wrong key, this page has the only copy.
    let (_, link) = post_first_edition(&server, b"once", &[("X-Burn-After-Read", "true")]);
    browser.open(&format!("{}#{}", link.split('#').next().unwrap(), "A".repeat(43)));
    browser.wait_to_see("#go");
    browser.click("#go");
    browser.wait_to_see("#key");
    assert!(asks(&browser));
    // A paste that stays on the server needs no confirmation.
    browser.open(&client.create("more than once", &[]));
    browser.wait_to_see("#content");
    assert!(!asks(&browser));
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn sliding_and_fixed_expiries_are_distinguished() {
    let server = Server::start(&[("FLASKPASTE_EXPIRY", "7200")]);
    let client = Client::new(&server);
    let Some(browser) = Browser::start() else { return };
    browser.open(&client.create("sliding", &[]));
    browser.wait_to_see("#content");
    let facts = browser.text("#facts");
    assert!(facts.ends_with("expires 2 hours after the last read"), "{facts}");
    browser.open(&client.create("sliding", &["--burn"]));
    browser.wait_to_see("#go");
    let facts = browser.text("#facts");
    assert!(facts.ends_with("expires 2 hours after the last visit to its page"), "{facts}");
    browser.open(&client.create("fixed", &["-x", "1h"]));
    browser.wait_to_see("#content");
    let facts = browser.text("#facts");
    assert!(facts.contains("expires on ") && facts.ends_with(", in 1 hour"), "{facts}");
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn gone_pastes_are_not_described_as_existing() {
    let server = Server::start(&[("FLASKPASTE_MAX_EXPIRY", "6")]);
    let client = Client::new(&server);
    let Some(browser) = Browser::start() else { return };
    // Deleted here.
    browser.open(&url(&server));
    browser.type_into("#text", "deleted");
    browser.open(&create(&browser));
    browser.wait_to_see("#content");
    browser.click("#delete");
    browser.click("#delete");
    browser.wait_for("document.querySelector('#facts').textContent.endsWith('deleted')");
    assert!(!browser.sees("#delete") && !browser.sees("#content"));
    assert_eq!(browser.string("document.activeElement.id"), "title");
    browser.expect_clean(&url(&server), &[]);
    // Deleted elsewhere, while the page asks for a password.
    let locked = server.post("locked").header("X-Paste-Password", "x").created();
    browser.open(&format!("{}{}", url(&server), locked.path()));
    browser.wait_to_see("#password");
    server.request("DELETE", &locked.path()).header("X-Delete-Token", &locked.delete_token).send().expect_status(200);
    browser.type_into("#password", "x");
    browser.click("#go");
    browser.wait_for("document.querySelector('#facts').textContent.endsWith('gone')");
    browser.expect_clean(&url(&server), &["status of 404"]);
    // Expired: shown content stays, other content is gone.
    browser.open(&client.create("expired", &["-x", "6"]));
    browser.wait_to_see("#content");
    browser.wait_for("document.querySelector('#facts').textContent.endsWith('expired')");
    assert!(browser.sees("#content"));
    browser.open(&client.create("expired", &["-x", "6", "--burn"]));
    browser.wait_to_see("#go");
    browser.wait_for("document.querySelector('#problem').textContent.includes('expired')");
    assert!(!browser.sees("#gate") && browser.text("#facts").ends_with("expired"));
    // And on the page that created it.
    browser.open(&url(&server));
    browser.type_into("#text", "expired");
    browser.run("document.querySelector('#expiry').value = '6'", &[]);
    create(&browser);
    browser.wait_for("document.querySelector('#facts').textContent.startsWith('Expired on ')");
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn a_passed_sliding_expiry_is_checked_with_the_server() {
    let server = Server::start(&[("FLASKPASTE_EXPIRY", "6")]);
    let Some(browser) = Browser::start() else { return };
    // The browser's first page takes a while; the paste would expire meanwhile.
    browser.open(&url(&server));
    browser.open(&format!("{}{}", url(&server), server.post("x").created().path()));
    browser.wait_to_see("#content");
    browser.wait_for("document.querySelector('#facts').textContent.endsWith('expired')");
    let heads = browser.requests().iter().filter(|request| request.starts_with("HEAD ")).count();
    assert_eq!(heads, 1);
    browser.expect_clean(&url(&server), &["status of 404"]);
}

#[test]
fn long_operations_show_progress() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let slow = |bytes_per_second: i32| {
        let conditions = json!({ "offline": false, "latency": 0,
            "uploadThroughput": bytes_per_second, "downloadThroughput": bytes_per_second });
        browser.devtools("Network.emulateNetworkConditions", &conditions);
    };
    let is_under_way =
        "document.querySelector('#progress').checkVisibility() && document.querySelector('#bar').value > 0
        && document.querySelector('#bar').value < 1";
    let folder = Folder::new();
    let file = folder.join("large");
    std::fs::write(&file, "0123456789abcdef".repeat(100_000)).unwrap();
    browser.open(&url(&server));
    browser.type_into("#file", file.to_str().unwrap());
    slow(500_000);
    browser.click("#send");
    browser.wait_for(is_under_way);
    slow(-1);
    browser.wait_to_see("#result");
    let link = browser.string("document.querySelector('#link').value");
    assert!(!browser.sees("#progress"));
    let burn = Client::new(&server).create(std::fs::read(&file).unwrap(), &["--burn"]);
    browser.open(&burn);
    browser.wait_to_see("#go");
    slow(500_000);
    browser.click("#go");
    browser.wait_for(is_under_way);
    assert!(asks(&browser), "a burned paste not yet received");
    slow(-1);
    browser.wait_to_see("#content");
    assert!(!browser.sees("#progress"));
    browser.open(&link);
    browser.wait_to_see("#content");
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn an_upload_in_progress_can_be_cancelled() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    browser.run("document.querySelector('#text').value = 'x'.repeat(1e6)", &[]);
    let conditions =
        json!({ "offline": false, "latency": 0, "uploadThroughput": 100_000, "downloadThroughput": 100_000 });
    browser.devtools("Network.emulateNetworkConditions", &conditions);
    browser.click("#send");
    browser.wait_to_see("#progress");
    browser.click("#cancel");
    browser.wait_for("!document.querySelector('#send').ariaDisabled");
    assert!(!browser.sees("#problem") && !browser.sees("#progress"));
    assert_eq!(browser.string("document.activeElement.id"), "send");
    assert_eq!(browser.value("document.querySelector('#text').value.length"), 1_000_000);
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn passwords_can_be_shown_generated_and_copied_with_the_link() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let kind = |field: &str| browser.string(&format!("document.querySelector('{field}').type"));
    browser.open(&url(&server));
    browser.type_into("#text", "locked");
    browser.type_into("#password", "typed");
    for expected in ["text", "password"] {
        browser.click("#reveal");
        assert_eq!(kind("#password"), expected);
        let pressed = browser.string("document.querySelector('#reveal').getAttribute('aria-pressed')");
        assert_eq!(pressed, (expected == "text").to_string());
    }
    let mut passwords = Vec::new();
    for _ in 0..2 {
        browser.click("#generate");
        assert_eq!(kind("#password"), "text", "a generated password is shown");
        passwords.push(browser.string("document.querySelector('#password').value"));
    }
    let groups: Vec<&str> = passwords[1].split('-').collect();
    assert!(groups.len() == 4 && groups.iter().all(|group| group.len() == 5), "{passwords:?}");
    assert_ne!(passwords[0], passwords[1]);
    let link = create(&browser);
    assert_eq!(browser.value("[document.querySelector('#secret').value]"), json!([passwords[1]]));
    assert_eq!([kind("#secret"), kind("#password")], ["password", "password"]);
    assert_eq!(browser.string("document.querySelector('#password').value"), "");
    browser.click("#copy-secret");
    assert!(asks(&browser), "the link itself is not copied yet");
    browser.click("#copy");
    assert!(!asks(&browser));
    start_again(&browser);
    assert_eq!(browser.string("document.querySelector('#secret').value"), "");
    browser.open(&link);
    browser.wait_to_see("#password");
    browser.type_into("#password", &passwords[1]);
    browser.click("#reveal");
    assert_eq!(kind("#password"), "text");
    browser.click("#go");
    browser.wait_to_see("#text");
    assert_eq!(kind("#password"), "password");
    browser.open(&url(&server));
    browser.type_into("#text", "open");
    create(&browser);
    assert!(!browser.sees("#secret"));
    start_again(&browser);
    // A generated password is unknown until copied or shown; a typed one is known.
    for (generated, known_by) in [(true, "#copy-secret"), (true, "#reveal-secret"), (false, "")] {
        browser.type_into("#text", "locked");
        if generated {
            browser.click("#generate");
        } else {
            browser.type_into("#password", "typed");
        }
        create(&browser);
        browser.click("#copy");
        assert_eq!(asks(&browser), generated);
        if generated {
            browser.click("#again");
            assert_eq!(browser.text("#again"), "Go on without copying?");
            browser.click(known_by);
            assert!(!asks(&browser));
        }
        browser.click("#again");
        browser.wait_to_see("#create");
    }
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn a_client_certificate_works_in_the_pages() {
    let server = Server::start(&[("FLASKPASTE_MAX_ANON", "2000"), ("FLASKPASTE_MAX_AUTH", "1000000")]);
    let Some(browser) = Browser::start() else { return };
    // The headers of a local proxy with a client certificate.
    let certificate = |headers: serde_json::Value| {
        browser.devtools("Network.enable", &json!({}));
        browser.devtools("Network.setExtraHTTPHeaders", &json!({ "headers": headers }));
    };
    certificate(json!({ "X-SSL-Client-SHA1": "a".repeat(40) }));
    browser.open(&url(&server));
    let send = |bytes: usize| {
        browser.run("document.querySelector('#text').value = 'x'.repeat(arguments[0])", &[json!(bytes)]);
    };
    send(1_000_000);
    browser.click("#send");
    browser.wait_to_see("#problem");
    assert!(browser.text("#problem").contains("the server accepts at most 976.2 KiB"), "{}", browser.text("#problem"));
    send(500_000);
    let link = create(&browser);
    // As in another browser: without the delete token.
    browser.run("localStorage.clear()", &[]);
    certificate(json!({}));
    browser.open(&link);
    browser.wait_to_see("#content");
    assert!(!browser.sees("#delete"));
    certificate(json!({ "X-SSL-Client-SHA1": "b".repeat(40) }));
    browser.open(&link);
    browser.wait_to_see("#content");
    assert!(!browser.sees("#delete"));
    certificate(json!({ "X-SSL-Client-SHA1": "a".repeat(40) }));
    browser.open(&link);
    browser.wait_to_see("#content");
    browser.click("#delete");
    browser.click("#delete");
    browser.wait_for("document.querySelector('#state').textContent.includes('deleted')");
    server.get(&format!("/{}", id_of(&link))).expect_status(404);
    browser.expect_clean(&url(&server), &[]);
}
