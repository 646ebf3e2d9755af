//! The pages when not everyone may create, and where reports go.

use super::browser::Browser;
use super::pages::{create, start_again, url};
use crate::harness::Server;
use crate::sealed_format::read;

const KEPT: &str = "localStorage.getItem('flaskpaste-token')";

fn token(server: &Server) -> String {
    let made = server.run(&["token", "add", "alice"]);
    assert!(made.status.success());
    String::from_utf8(made.stdout).unwrap().trim_end().to_owned()
}

#[track_caller]
fn expect_problem(browser: &Browser, sentence: &str) {
    browser.click("#send");
    browser.wait_for(&format!("document.querySelector('#problem').textContent.includes('{sentence}')"));
}

#[test]
fn a_token_is_requested_when_needed_and_saved_only_on_request() {
    let server = Server::start(&[("FLASKPASTE_CREATE", "token"), ("FLASKPASTE_MAX_ANON", "1000")]);
    let token = token(&server);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    assert!(browser.sees("#token") && browser.text("#who").contains("operator"));
    browser.type_into("#text", "mine");
    expect_problem(&browser, "Enter your token first");
    assert!(browser.requests().iter().all(|request| !request.starts_with("POST ")), "nothing was sent");
    browser.type_into("#token", "fpt_wrong");
    expect_problem(&browser, "does not know this token");
    browser.run("document.querySelector('#token').value = ''", &[]);
    browser.type_into("#token", &token);
    let link = create(&browser);
    assert_eq!(read(&server, &link, None).files, [b"mine"]);
    let pastes = server.request("GET", "/pastes").header("Authorization", format!("Bearer {token}")).send();
    assert_eq!(pastes.json()["pastes"].as_array().unwrap().len(), 1, "the limit is that of the token");
    assert!(browser.value(KEPT).is_null());
    // On the same page it is kept, and raises the limit; a new page asks again.
    start_again(&browser);
    browser.run("document.querySelector('#text').value = 'x'.repeat(5000)", &[]);
    create(&browser);
    start_again(&browser);
    browser.open(&url(&server));
    assert_eq!(browser.string("document.querySelector('#token').value"), "");
    browser.type_into("#text", "kept");
    browser.type_into("#token", &token);
    browser.click("#keep-token");
    create(&browser);
    assert_eq!(browser.value(KEPT), token);
    browser.click("#copy");
    browser.open(&url(&server));
    assert_eq!(browser.string("document.querySelector('#token').value"), token);
    // A token the server no longer knows is removed.
    assert!(server.run(&["token", "remove", "alice"]).status.success());
    browser.type_into("#text", "late");
    expect_problem(&browser, "does not know this token");
    assert!(browser.value(KEPT).is_null());
    browser.run("document.querySelector('#text').value = ''", &[]);
    browser.expect_clean(&url(&server), &["status of 401"]);
}

#[test]
fn the_page_says_so_when_creating_needs_a_certificate() {
    let certificates = Server::start(&[("FLASKPASTE_CREATE", "certificate")]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&certificates));
    assert!(browser.text("#closed").contains("clients with a certificate") && !browser.sees("#token"));
    browser.expect_clean(&url(&certificates), &[]);
    let open = Server::start(&[]);
    browser.open(&url(&open));
    assert!(!browser.sees("#closed") && !browser.sees("#token"));
    assert!(browser.text("footer").starts_with("flaskpaste ") && !browser.text("footer").contains("Report"));
    browser.expect_clean(&url(&open), &[]);
}

#[test]
fn a_paste_can_be_reported_from_its_page() {
    let server = Server::start(&[("FLASKPASTE_CONTACT", "https://example.org/report?from=pages")]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    browser.type_into("#text", "reported");
    let link = create(&browser);
    browser.click("#copy");
    browser.open(&link);
    browser.wait_to_see("#content");
    let report = browser.string("document.querySelector('footer a:last-child').href");
    let id = link.split('#').next().unwrap().rsplit('/').next().unwrap();
    // Including the key is the reporter's choice.
    assert_eq!(report, format!("https://example.org/report?from=pages&paste={id}"));
    assert!(browser.text("footer").contains("Report this paste"));
    browser.expect_clean(&url(&server), &[]);
}
