//! The pages by keyboard alone: everything can be reached and used, in visual order. Asks by keyboard are in
//! `pages_asks.rs`.
//!
//! Invariant: at each step the focus is where the next key is needed, and visible. Must never use the mouse, nor set
//! the focus by script.

use super::browser::Browser;
use super::pages::{ENTER, SHOWN, id_of, png, url};
use crate::client_harness::Client;
use crate::harness::Server;
use crate::sealed_format::Secret;
use serde_json::json;

/// Keys, as `WebDriver` writes them.
const TAB: char = '\u{e004}';
const SHIFT: char = '\u{e008}';
const DOWN: &str = "\u{e015}";
const SPACE: &str = " ";

/// The focused element; "body" if there is none.
const FOCUSED: &str = "document.activeElement.id || document.activeElement.localName";

/// Whether the focused element is in the window with a visible focus ring.
const IS_SEEN: &str = "(({ outlineStyle, outlineWidth }, { top, bottom }) =>
    outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 && bottom > 0 && top < innerHeight)(
    getComputedStyle(document.activeElement), document.activeElement.getBoundingClientRect())";

#[track_caller]
fn expect_focus(browser: &Browser, id: &str) {
    assert_eq!(browser.string(FOCUSED), id);
}

/// Presses Tab, or Shift and Tab, until this has the focus.
#[track_caller]
fn go(browser: &Browser, id: &str, back: bool) {
    let mut passed = Vec::new();
    while passed.last().is_none_or(|last| last != id) {
        assert!(passed.len() < 40, "{id} is not reached, but {passed:?}");
        if back {
            browser.press_with(SHIFT, TAB);
        } else {
            browser.press(&TAB.to_string());
        }
        passed.push(browser.string(FOCUSED));
        assert_eq!(browser.value(IS_SEEN), true, "the focus is not visible: {passed:?}");
    }
}

#[track_caller]
fn tab_to(browser: &Browser, id: &str) {
    go(browser, id, false);
}

#[track_caller]
fn tab_back_to(browser: &Browser, id: &str) {
    go(browser, id, true);
}

/// Opens a page whose initial focus is here.
#[track_caller]
fn open(browser: &Browser, address: &str, id: &str) {
    browser.open(address);
    browser.wait_for(&format!("!document.querySelector('#unstarted') && document.activeElement.id === '{id}'"));
}

#[track_caller]
fn value_of(browser: &Browser, id: &str) -> String {
    browser.string(&format!("document.getElementById('{id}').value"))
}

/// Delays the page's requests from now on.
const HOLD: &str = "XMLHttpRequest.prototype.send = () => {}; window.fetch = () => new Promise(() => {})";

#[test]
fn a_paste_can_be_created_copied_and_deleted_by_keyboard() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    open(&browser, &url(&server), "text");
    browser.press("typed");
    tab_to(&browser, "expiry");
    browser.press(DOWN);
    assert_eq!(value_of(&browser, "expiry"), "600");
    tab_to(&browser, "burn");
    browser.press(SPACE);
    assert_eq!(browser.value("document.querySelector('#burn').checked"), true);
    tab_to(&browser, "generate");
    browser.press(ENTER);
    expect_focus(&browser, "generate");
    tab_back_to(&browser, "reveal");
    browser.press(SPACE);
    assert_eq!(browser.string("document.querySelector('#password').type"), "password");
    tab_to(&browser, "send");
    browser.press(ENTER);
    browser.wait_to_see("#result");
    // A screen reader continues from the heading.
    browser.wait_for("document.activeElement.id === 'done'");
    tab_to(&browser, "copy");
    browser.press(ENTER);
    assert_eq!(browser.text("#copied"), "Copied.");
    expect_focus(&browser, "copy");
    let (link, password) = (value_of(&browser, "link"), value_of(&browser, "secret"));
    tab_to(&browser, "copy-secret");
    browser.press(SPACE);
    expect_focus(&browser, "copy-secret");
    tab_to(&browser, "open");
    browser.press(ENTER);
    // A wrong password first, then the right one in its place.
    browser.wait_for("document.activeElement.id === 'password' && document.querySelector('#go')");
    browser.press("wrong");
    browser.press(ENTER);
    browser.wait_to_see("#problem");
    browser.wait_for("document.activeElement.id === 'password' && !document.querySelector('#go').ariaDisabled");
    browser.press(&password);
    tab_to(&browser, "go");
    browser.press(ENTER);
    browser.wait_to_see("#text");
    browser.wait_for("document.activeElement.id === 'text'");
    assert_eq!(browser.string(SHOWN), "typed\n");
    server.get(&format!("/{}", id_of(&link))).expect_code(404, "not_found");

    // Deleting asks first, and is cancelled if the focus moves on.
    open(&browser, &url(&server), "text");
    browser.press("a mistake");
    browser.press_with_control('\u{e007}');
    browser.wait_for("document.activeElement.id === 'done'");
    let link = value_of(&browser, "link");
    tab_to(&browser, "delete");
    browser.press(ENTER);
    assert_eq!(browser.text("#delete"), "Delete for everyone?");
    tab_to(&browser, "again");
    assert_eq!(browser.text("#delete"), "Delete");
    tab_back_to(&browser, "delete");
    browser.press(SPACE);
    browser.press(SPACE);
    browser.wait_for("document.activeElement.id === 'text'");
    server.get(&format!("/{}", id_of(&link))).expect_code(404, "not_found");
    browser.expect_clean(&url(&server), &["status of 403"]);
}

#[test]
fn a_burn_paste_can_be_opened_and_used_by_keyboard() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let Some(browser) = Browser::start() else { return };
    let link = client.create("#!/bin/sh\necho one\necho two\n", &["--burn"]);
    open(&browser, &link, "go");
    // While fetching, the button keeps the focus and does nothing.
    browser.run(HOLD, &[]);
    browser.press(ENTER);
    browser.wait_for("document.querySelector('#go').ariaDisabled");
    browser.press(ENTER);
    expect_focus(&browser, "go");
    open(&browser, &link, "go");
    browser.press(ENTER);
    browser.wait_for("document.activeElement.id === 'text'");
    browser.wait_for("document.querySelector('#facts').textContent.endsWith('burned')");
    tab_back_to(&browser, "lines");
    browser.press("2-3");
    browser.press(ENTER);
    assert_eq!(browser.value("document.querySelectorAll('.marked').length"), 2);
    expect_focus(&browser, "lines");
    tab_back_to(&browser, "wrap");
    browser.press(SPACE);
    assert_eq!(browser.string("document.querySelector('#wrap').ariaPressed"), "false");
    tab_back_to(&browser, "copy");
    browser.press(ENTER);
    assert_eq!(browser.text("#said"), "Copied.");
    expect_focus(&browser, "copy");
    tab_to(&browser, "text");
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn the_focus_is_never_lost() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    // While sending, the button keeps the focus, and another press does nothing; Cancel comes next.
    open(&browser, &url(&server), "text");
    browser.run(HOLD, &[]);
    browser.press("held up");
    browser.press_with_control('\u{e007}');
    browser.wait_to_see("#cancel");
    expect_focus(&browser, "send");
    browser.press(ENTER);
    expect_focus(&browser, "send");
    assert!(browser.sees("#cancel"));
    browser.press(&TAB.to_string());
    expect_focus(&browser, "cancel");
    open(&browser, &url(&server), "text");
    // A file pasted instead of text, and removed.
    let paste = "const files = new DataTransfer();
        files.items.add(new File(['x'], 'x'));
        document.querySelector('#text').dispatchEvent(new ClipboardEvent('paste', { clipboardData: files, bubbles: true }))";
    browser.run(paste, &[]);
    expect_focus(&browser, "remove");
    browser.press(SPACE);
    expect_focus(&browser, "text");
    // Several files, shown and saved.
    let secret = Secret::random(None);
    let manifest = json!({ "files": [{ "name": "a.txt", "size": 1 }, { "name": "b.txt", "size": 1 }] });
    let (_, several) = secret.post(&server, secret.pack(&manifest, &[b"ab"]), &[("X-Burn-After-Read", "true")]);
    open(&browser, &several, "go");
    browser.press(ENTER);
    browser.wait_for("document.activeElement.matches('#files button')");
    browser.press(ENTER);
    browser.wait_to_see("#content");
    expect_focus(&browser, "button");
    tab_to(&browser, "all");
    browser.press(ENTER);
    browser.wait_for("!document.querySelector('#all').ariaDisabled");
    expect_focus(&browser, "all");
    // A missing token.
    let closed = Server::start(&[("FLASKPASTE_CREATE", "token")]);
    open(&browser, &url(&closed), "text");
    browser.press("mine");
    browser.press_with_control('\u{e007}');
    browser.wait_to_see("#problem");
    expect_focus(&browser, "token");
}

#[test]
fn the_language_can_be_switched_by_keyboard() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    open(&browser, &url(&server), "text");
    tab_back_to(&browser, "language");
    for language in ["de", "fr"] {
        browser.press(DOWN);
        browser.wait_for(&format!(
            "document.documentElement.lang === '{language}' && !document.querySelector('#unstarted')"
        ));
        browser.wait_for("document.activeElement.id === 'language'");
    }
    browser.wait_for("document.readyState === 'complete'");
    expect_focus(&browser, "language");
    tab_to(&browser, "text");
    open(&browser, &url(&server), "text");
    browser.expect_clean(&url(&server), &[]);
}

/// Every element Tab reaches, in order: those that are laid out before their predecessor.
const OUT_OF_ORDER: &str = "
    const reached = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex=\"0\"]')]
        .filter((element) => element.checkVisibility() && !element.disabled && element.tabIndex >= 0);
    const positive = reached.filter((element) => element.tabIndex > 0).map((element) => element.outerHTML);
    const boxes = reached.map((element) => element.getBoundingClientRect());
    const isBefore = (a, b) => a.bottom <= b.top || (a.top < b.bottom && a.right <= b.left);
    const wrong = reached.filter((_, at) => at > 0 && isBefore(boxes[at], boxes[at - 1])).map((element) => element.outerHTML);
    return [reached.length, [...positive, ...wrong]];";

#[test]
fn the_tab_order_matches_the_visual_order() {
    let server = Server::start(&[("FLASKPASTE_CONTACT", "abuse@example.org")]);
    let client = Client::new(&server).with("FPASTE_PASSWORD", "x");
    let Some(browser) = Browser::start() else { return };
    let code = client.create("#!/bin/sh\nif true\n", &[]);
    let pages = [
        (url(&server), "#create"),
        (format!("{}/ask", url(&server)), "#send:enabled"),
        (client.create("x", &["-p", "--burn"]), "#gate"),
        (code.split('#').next().unwrap().to_owned(), "#key"),
        (format!("{code}:L2"), ".marked"),
        (client.create(png(), &[]), "#image"),
    ];
    let expect_order = |browser: &Browser, state: &str| {
        let found = browser.run(OUT_OF_ORDER, &[]);
        assert!(found[0].as_u64().unwrap() > 5 && found[1] == json!([]), "{state}: {found:#}");
    };
    for width in [1000, 360] {
        let metrics = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        browser.devtools("Emulation.setDeviceMetricsOverride", &metrics);
        for (address, part) in &pages {
            browser.open(address);
            browser.wait_to_see(part);
            expect_order(&browser, &format!("{part}, {width} wide"));
        }
        open(&browser, &url(&server), "text");
        browser.press("x");
        tab_to(&browser, "generate");
        browser.press(ENTER);
        tab_to(&browser, "send");
        browser.press(ENTER);
        browser.wait_to_see("#result");
        expect_order(&browser, &format!("the link, {width} wide"));
    }
    browser.expect_clean(&url(&server), &[]);
}
