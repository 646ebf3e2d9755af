//! The languages of the pages: the browser's preference, the reader's choice, and the messages of the scripts.

use super::browser::Browser;
use super::pages::{create, url};
use crate::harness::Server;
use serde_json::json;

/// The text of an element.
const SAID: &str = "document.querySelector('#problem').textContent";

#[track_caller]
fn expect_language(browser: &Browser, tag: &str, heading: &str, send: &str) {
    let told = "[document.documentElement.lang, document.querySelector('#language').value]";
    assert_eq!(browser.value(told), json!([tag, tag]));
    assert_eq!((browser.text("h1").as_str(), browser.text("#send").as_str()), (heading, send));
}

/// Switches the language in the header.
#[track_caller]
pub fn choose(browser: &Browser, tag: &str) {
    browser.click(&format!("#language option[value={tag}]"));
    browser.wait_for(&format!("document.documentElement.lang === '{tag}' && !document.querySelector('#unstarted')"));
}

#[test]
fn pages_use_the_browsers_language_until_one_is_chosen() {
    let server = Server::start(&[("FLASKPASTE_URL_PREFIX", "/some/where")]);
    let accept = json!({ "intl": { "accept_languages": "pl,en" } });
    let Some(browser) = Browser::start_with(&["--accept-lang=pl,en"], &accept) else { return };
    browser.open(&format!("{}/some/where", url(&server)));
    browser.wait_for("!document.querySelector('#unstarted')");
    expect_language(&browser, "pl", "Udostępnij sekret", "Utwórz link");
    browser.click("#send");
    browser.wait_for(&format!("{SAID} === 'Najpierw coś napisz albo wybierz plik.'"));
    choose(&browser, "de");
    expect_language(&browser, "de", "Ein Geheimnis teilen", "Link erstellen");
    browser.value("location.reload()");
    browser.wait_for("document.readyState === 'complete' && !document.querySelector('#unstarted')");
    expect_language(&browser, "de", "Ein Geheimnis teilen", "Link erstellen");
    assert_eq!(browser.string("document.cookie"), "flaskpaste_language=de");
    // The 404 is in German.
    browser.open(&format!("{}/some/where/000000000000", url(&server)));
    assert_eq!(browser.text("h1"), "Diesen Eintrag gibt es nicht.");
    browser.open(&url(&server));
    assert_eq!(browser.string("document.cookie"), "", "the cookie applies to the pages' paths");
    browser.expect_clean(&url(&server), &["status of 404"]);
}

#[test]
fn creating_opening_and_errors_work_in_every_language() {
    let server = Server::start(&[("FLASKPASTE_EXPIRY", "432000")]);
    let Some(browser) = Browser::start() else { return };
    let cases = [
        ("en", "after 5 days without a read", "This read is used up; reads left: 2.", "The password is wrong."),
        ("de", "5 Tage ohne Aufruf", "für andere bleiben: 2.", "Das Passwort ist falsch."),
        ("fr", "après 5 jours sans lecture", "il en reste pour les autres\u{a0}: 2.", "Le mot de passe est faux."),
        ("es", "tras 5 días sin lecturas", "quedan para otros: 2.", "La contraseña es incorrecta."),
        ("pl", "5 dni bez odczytu", "dla innych pozostało: 2.", "Hasło jest błędne."),
        ("zh-Hans", "5天", "留给他人的次数：2。", "密码错误。"),
    ];
    browser.open(&url(&server));
    for (tag, expiry, left, wrong) in cases {
        if tag != "en" {
            choose(&browser, tag);
        }
        let offered = browser.string("document.querySelector('#expiry').options[0].text");
        // Between numbers and units the browser uses non-breaking spaces.
        assert!(offered.replace(['\u{a0}', '\u{202f}'], " ").contains(expiry), "{offered}");
        browser.type_into("#text", tag);
        browser.type_into("#password", "right");
        browser.type_into("#reads", "3");
        let link = create(&browser);
        let facts = browser.text("#facts");
        assert!(facts.contains('3') && !facts.contains(['{', '}']) && !facts.contains("undefined"), "{facts}");
        browser.click("#copy");
        browser.open(&link);
        browser.wait_to_see("#go");
        browser.type_into("#password", "wrong");
        browser.click("#go");
        browser.wait_for(&format!("{SAID}.includes('{wrong}')"));
        browser.run("document.querySelector('#password').value = 'right'", &[]);
        browser.click("#go");
        browser.wait_for(&format!("document.querySelector('#state').textContent.includes('{left}')"));
        browser.click("#copy");
        browser.open(&url(&server));
    }
    browser.expect_clean(&url(&server), &["status of 403"]);
}

#[test]
fn switching_the_language_loses_nothing_without_asking() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    browser.wait_for("!document.querySelector('#unstarted')");
    browser.type_into("#text", "not sent");
    // The driver accepts the dialog; a listener after the page's own sees that it was shown.
    let listen =
        "addEventListener('beforeunload', ({ defaultPrevented }) => { sessionStorage.asked = defaultPrevented })";
    browser.run(listen, &[]);
    choose(&browser, "fr");
    assert_eq!(browser.string("sessionStorage.asked"), "true");
}
