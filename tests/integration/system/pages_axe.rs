//! axe-core checks the pages in every state, light and dark, on a desktop and on a phone, and with forced colours.
//! `AXE_CORE` names it; without it the tests are skipped, and with `CI` set that is a failure.
//!
//! Invariant: each state is reached as a reader reaches it, and undecided checks count as violations. Must never
//! disable a rule without giving the reason next to it.

use super::browser::Browser;
use super::pages::{create, id_of, png, url};
use super::pages_asks::{answer, ask};
use super::pages_languages::choose;
use super::programs::axe_core;
use crate::client_harness::Client;
use crate::harness::Server;
use crate::sealed_format::{Secret, post_first_edition};
use serde_json::{Value, json};
use std::cell::RefCell;

/// The media feature and width of each check of a state; the next page opens with the last of them.
const LOOKS: [(&str, &str, u32); 5] = [
    ("forced-colors", "active", 360),
    ("prefers-color-scheme", "dark", 360),
    ("prefers-color-scheme", "dark", 1000),
    ("prefers-color-scheme", "light", 360),
    ("prefers-color-scheme", "light", 1000),
];

/// All rules of these levels, violated or undecided: one line per element.
const RUN: &str = "
    const levels = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa', 'best-practice'];
    return axe.run({ runOnly: levels, resultTypes: ['violations', 'incomplete'] }).then(({ violations, incomplete, passes }) => ({
        passed: passes.length,
        faults: [...violations, ...incomplete].flatMap(({ id, nodes }) =>
            nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')}: ${failureSummary}`)),
    }));";

/// A browser whose pages axe checks, and the violations found.
struct Eye {
    browser: Browser,
    axe: String,
    faults: RefCell<Vec<String>>,
}

impl Eye {
    #[track_caller]
    fn open(test: &str) -> Option<Self> {
        let axe = axe_core(test)?;
        // A host name for pages without https.
        let browser = Browser::start_with(&["--host-resolver-rules=MAP paste.test 127.0.0.1"], &json!({}))?;
        Some(Self { browser, axe, faults: RefCell::default() })
    }

    /// Checks the current state of the page.
    #[track_caller]
    fn look(&self, state: &str) {
        let browser = &self.browser;
        if browser.value("typeof axe") == "undefined" {
            browser.run(&self.axe, &[]);
        }
        for (feature, value, width) in LOOKS {
            browser
                .devtools("Emulation.setEmulatedMedia", &json!({ "features": [{ "name": feature, "value": value }] }));
            let metrics = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500 });
            browser.devtools("Emulation.setDeviceMetricsOverride", &metrics);
            let found = browser.run(RUN, &[]);
            assert!(found["passed"].as_u64().unwrap() > 10, "axe has not checked {state}: {found}");
            let faults = found["faults"].as_array().unwrap().iter().filter_map(Value::as_str);
            let here = |fault| format!("{state}, {value}, {width} wide: {fault}");
            self.faults.borrow_mut().extend(faults.map(here));
        }
    }

    /// Opens a page, waits for an element, and checks.
    #[track_caller]
    fn look_at(&self, state: &str, address: &str, part: &str) {
        self.browser.open(address);
        self.browser.wait_to_see(part);
        self.look(state);
    }

    /// Ends a test: no violations.
    #[track_caller]
    fn expect_nothing(self) {
        let faults = self.faults.take();
        assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
    }
}

#[test]
fn axe_detects_known_violations() {
    let Some(eye) = Eye::open("axe and planted faults") else { return };
    let server = Server::start(&[]);
    eye.browser.open(&url(&server));
    let plant = "document.documentElement.removeAttribute('lang');
        document.querySelector('label[for=expiry]').remove();
        document.querySelector('#where').style.color = 'gray';
        document.body.append(Object.assign(document.createElement('p'), { textContent: 'in no landmark' }));
        for (const id of ['reveal', 'generate']) {
            document.getElementById(id).textContent = 'x';
            document.getElementById(id).style.cssText = 'font-size: 4px; padding: 0';
        }";
    eye.browser.run(plant, &[]);
    eye.look("planted faults");
    let faults = eye.faults.take().join("\n");
    for rule in [
        "html-has-lang: html",
        "select-name: #expiry",
        "color-contrast: #where",
        "region: body > p",
        "target-size: #reveal",
    ] {
        assert!(faults.contains(rule), "axe did not report {rule}:\n{faults}");
    }
}

/// Blocks the next request of the page forever.
const HOLD: &str = "XMLHttpRequest.prototype.send = () => {}; window.fetch = () => new Promise(() => {})";

/// An address of this server that browsers do not treat as local.
fn without_https(server: &Server, path: &str) -> String {
    format!("http://paste.test:{}{path}", server.authority().rsplit(':').next().unwrap())
}

#[test]
fn axe_finds_no_violations_on_the_create_page() {
    let Some(eye) = Eye::open("axe where a paste is created") else { return };
    let browser = &eye.browser;
    let server = Server::start(&[]);
    let files = Client::new(&server);
    eye.look_at("nothing written", &url(&server), "#create");
    browser.click("#send");
    browser.wait_to_see("#problem");
    eye.look("nothing to send");
    browser.type_into("#text", "a secret");
    browser.type_into("#file", files.file("picture.png", png()).to_str().unwrap());
    browser.wait_to_see("#picture");
    eye.look("a picture chosen beside a text");
    browser.type_into("#file", files.file("a name\u{202e}gnp.html", "x").to_str().unwrap());
    eye.look("several files chosen");
    browser.click("#remove");
    browser.click("#generate");
    browser.click("#copy-password");
    browser.click("#encrypt");
    eye.look("a password that is shown, and no encryption");
    browser.click("#encrypt");
    browser.run(HOLD, &[]);
    browser.click("#send");
    browser.wait_to_see("#cancel");
    eye.look("sending");

    browser.open(&url(&server));
    browser.type_into("#text", "a secret");
    create(browser);
    eye.look("the link");
    browser.click("#delete");
    eye.look("a question before it is deleted");
    browser.click("#copy");
    browser.click("#own summary");
    browser.wait_to_see("#pastes li button");
    browser.click("#pastes button");
    browser.wait_to_see("#pastes select");
    eye.look("the list of what was created, and a later end");
    browser.click("#pastes button:last-of-type");
    browser.click("#pastes button:last-of-type");
    browser.wait_to_see("#own-said");
    eye.look("the list with nothing in it any more");
    browser.click("#again");
    browser.type_into("#text", "a secret");
    browser.type_into("#password", "x");
    create(browser);
    browser.click("#reveal-secret");
    eye.look("the link and the password");
    eye.expect_nothing();
}

#[test]
fn axe_finds_no_violations_when_creating_is_restricted() {
    let Some(eye) = Eye::open("axe where not everybody may create") else { return };
    let browser = &eye.browser;
    let server = Server::start(&[("FLASKPASTE_CREATE", "token"), ("FLASKPASTE_CONTACT", "abuse@example.org")]);
    eye.look_at("a token asked for", &url(&server), "#token");
    eye.look_at("no https", &without_https(&server, "/"), "#insecure");
    eye.look_at("an ask without https", &without_https(&server, "/ask"), "#insecure");
    let certificates = Server::start(&[("FLASKPASTE_CREATE", "certificate")]);
    eye.look_at("a certificate wanted", &url(&certificates), "#closed");
    let slow = Server::start(&[("FLASK_ENV", "production"), ("FLASKPASTE_POW_DIFFICULTY", "60")]);
    browser.open(&url(&slow));
    browser.type_into("#text", "expensive");
    browser.click("#send");
    browser.wait_to_see("#progress");
    eye.look("proof of work under way");
    browser.devtools("Network.setBlockedURLs", &json!({ "urls": ["*/static/page.*"] }));
    for path in ["/", "/ask"] {
        browser.open(&format!("{}{path}", url(&server)));
        browser.wait_for("document.querySelector('#unstarted').offsetHeight > 20");
        eye.look("a script missing");
    }
    eye.expect_nothing();
}

#[test]
fn axe_finds_no_violations_in_asks_and_answers() {
    let (Some(asker), Some(other)) = (Eye::open("axe in an ask"), Eye::open("axe in an answer")) else { return };
    let server = Server::start(&[]);
    asker.look_at("an ask", &format!("{}/ask", url(&server)), "#send:enabled");
    asker.browser.run("document.querySelector('#label').value = 'ä'.repeat(101)", &[]);
    asker.browser.click("#send");
    asker.browser.wait_to_see("#problem");
    asker.look("too long a question");
    let link = ask(&asker.browser, &url(&server), "staging database password");
    asker.browser.wait_for("document.querySelector('#news').textContent");
    asker.browser.click("#copy");
    asker.browser.click("#delete");
    asker.look("waiting for the answer");

    other.look_at("a link that is not complete", link.split('#').next().unwrap(), "#refused");
    other.look_at("a question", &link, "#answer");
    other.browser.click("#send");
    other.browser.wait_to_see("#problem");
    other.look("no answer to send");
    other.browser.run(HOLD, &[]);
    other.browser.type_into("#text", "hunter2");
    other.browser.click("#send");
    other.browser.wait_to_see("#cancel");
    other.look("an answer being sent");
    answer(&other.browser, &link, "hunter2");
    other.look("an answer sent");
    other.look_at("an answer that somebody gave already", &link, "#refused");

    asker.browser.wait_to_see("#gate #go");
    asker.look("an answer that is there");
    asker.browser.click("#go");
    asker.browser.wait_to_see("#content");
    asker.browser.wait_for("document.querySelector('#state').textContent");
    asker.look("an answer read");
    for eye in [asker, other] {
        eye.expect_nothing();
    }
}

#[test]
fn axe_finds_no_violations_before_a_paste_is_opened() {
    let Some(eye) = Eye::open("axe before a paste is open") else { return };
    let browser = &eye.browser;
    let server = Server::start(&[("FLASKPASTE_CONTACT", "abuse@example.org")]);
    let client = Client::new(&server).with("FPASTE_PASSWORD", "right");
    let burns = client.create("x", &["--burn"]);
    eye.look_at("what burns", &burns, "#burns");
    eye.look_at("what is read three times", &client.create("x", &["--reads", "3"]), "#limited");
    eye.look_at("no key in the link", burns.split('#').next().unwrap(), "#key");
    let (_, first) = post_first_edition(&server, b"x", &[("X-Paste-Password", "right")]);
    eye.look_at("a password that the server would see", &first, "#exposes");
    eye.look_at("no https", &without_https(&server, &format!("/{}", id_of(&burns))), "#insecure");
    eye.look_at("a password asked for", &client.create("x", &["-p"]), "#password");
    browser.type_into("#password", "wrong");
    browser.click("#reveal");
    browser.click("#go");
    browser.wait_to_see("#problem");
    eye.look("a wrong password");
    browser.open(&burns);
    browser.wait_to_see("#go");
    browser.run(HOLD, &[]);
    browser.click("#go");
    browser.wait_for("document.querySelector('#state').textContent && document.querySelector('#go').ariaDisabled");
    eye.look("a paste being fetched");
    eye.look_at("no such paste", &format!("{}/000000000000", url(&server)), "h1");
    browser.devtools("Network.setBlockedURLs", &json!({ "urls": ["*/static/page.*"] }));
    browser.open(&burns);
    browser.wait_for("document.querySelector('#unstarted').offsetHeight > 20");
    eye.look("a script missing");
    eye.expect_nothing();
}

#[test]
fn axe_finds_no_violations_in_an_open_paste() {
    let Some(eye) = Eye::open("axe in an open paste") else { return };
    let browser = &eye.browser;
    let server = Server::start(&[("FLASKPASTE_CONTACT", "abuse@example.org")]);
    let client = Client::new(&server);
    let text = "a text\n".repeat(20) + &"long ".repeat(100) + "\n" + &"x".repeat(500);
    eye.look_at("marked lines", &format!("{}:L2-L4", client.create(&text, &[])), ".marked");
    browser.click("#copy");
    browser.click("#wrap");
    eye.look("lines that are not wrapped");
    eye.look_at("characters that deceive", &client.create("a\u{202e}b\u{200b}\n", &[]), "#deceives");
    let code = "#!/bin/sh\n# A comment.\nif [ \"$1\" = 'two' ]; then exit 2; fi\n";
    let log = "2026-11-25 10:00:00 ERROR no\n2026-11-25 10:00:01 WARN yes\n2026-11-25 10:00:02 INFO yes\n";
    let diff = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-one\n+two\n";
    for coloured in [code, log, diff] {
        eye.look_at("code in colour", &format!("{}:L2", client.create(coloured, &[])), ".marked");
        assert_ne!(browser.value("CSS.highlights.size"), 0);
    }
    eye.look_at("the beginning of a long text", &client.create("x".repeat((2 << 20) + 1), &[]), "#rest");
    eye.look_at("a picture", &client.create(png(), &[]), "#image");
    eye.look_at("a file", &client.create([0, 159, 146, 150], &[]), "#file");
    let manifest =
        json!({ "files": [{ "name": "a/b\u{202e}.txt", "size": 2 }, { "name": "c".repeat(200), "size": 1 }] });
    let secret = Secret::random(None);
    let (_, several) = secret.post(&server, secret.pack(&manifest, &[b"abc"]), &[("X-Burn-After-Read", "true")]);
    browser.open(&several);
    browser.wait_to_see("#go");
    browser.click("#go");
    browser.wait_to_see("#files");
    browser.wait_for("document.querySelector('#state').textContent");
    eye.look("several files of a paste that has burned");
    browser.click("#files button");
    browser.wait_to_see("#content");
    eye.look("one of several files");

    browser.open(&url(&server));
    browser.type_into("#text", "deleted");
    let link = create(browser);
    browser.open(&link);
    browser.wait_to_see("#delete");
    browser.run("window.open = () => null", &[]);
    browser.click("#reuse");
    browser.wait_to_see("#blocked");
    eye.look("a paste that this browser created, and a new tab that it does not open");
    browser.click("#delete");
    browser.click("#delete");
    browser.wait_for("document.querySelector('#state').textContent.includes('deleted')");
    eye.look("a paste deleted");
    eye.expect_nothing();
}

#[test]
fn axe_finds_no_violations_in_other_languages() {
    let Some(eye) = Eye::open("axe in other languages") else { return };
    let browser = &eye.browser;
    let server = Server::start(&[]);
    let client = Client::new(&server);
    for language in ["de", "zh-Hans"] {
        browser.open(&url(&server));
        choose(browser, language);
        eye.look(&format!("nothing written, {language}"));
        browser.type_into("#text", "a secret");
        browser.click("#generate");
        create(browser);
        eye.look(&format!("the link, {language}"));
        eye.look_at(&format!("an ask, {language}"), &format!("{}/ask", url(&server)), "#send:enabled");
        eye.look_at(&format!("what burns, {language}"), &client.create("x", &["--burn"]), "#burns");
        eye.look_at(&format!("a text, {language}"), &client.create("a\u{202e}b", &[]), "#deceives");
        eye.look_at(&format!("no such paste, {language}"), &format!("{}/000000000000", url(&server)), "h1");
    }
    eye.expect_nothing();
}
