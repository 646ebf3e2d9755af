//! The pages in the language of who reads them: what the browser asks for, what somebody chooses, and what the scripts say
//! in it.

use super::browser::Browser;
use super::pages::{create, url};
use crate::harness::Server;
use serde_json::json;

/// What the page says in an element.
const SAID: &str = "document.querySelector('#problem').textContent";

#[track_caller]
fn expect_language(browser: &Browser, tag: &str, heading: &str, send: &str) {
    let told = "[document.documentElement.lang, document.querySelector('#language').value]";
    assert_eq!(browser.value(told), json!([tag, tag]));
    assert_eq!((browser.text("h1").as_str(), browser.text("#send").as_str()), (heading, send));
}

/// Switches to a language, as somebody does in the header.
#[track_caller]
pub fn choose(browser: &Browser, tag: &str) {
    browser.click(&format!("#language option[value={tag}]"));
    browser.wait_for(&format!("document.documentElement.lang === '{tag}' && !document.querySelector('#unstarted')"));
}

#[test]
fn a_page_comes_in_the_language_of_the_browser_and_stays_in_the_one_that_is_chosen() {
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
    // What is not here, is not here in German.
    browser.open(&format!("{}/some/where/000000000000", url(&server)));
    assert_eq!(browser.text("h1"), "Diesen Eintrag gibt es nicht.");
    browser.open(&url(&server));
    assert_eq!(browser.string("document.cookie"), "", "it is for the paths of the pages");
    browser.expect_clean(&url(&server), &["status of 404"]);
}

#[test]
fn every_language_creates_opens_and_refuses() {
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
        // Between a number and its unit the browser has spaces that do not break.
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
fn a_choice_of_language_loses_nothing_without_a_question() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    browser.wait_for("!document.querySelector('#unstarted')");
    browser.type_into("#text", "not sent");
    // The driver answers the question with yes; what was asked is seen by a listener after that of the page.
    let listen =
        "addEventListener('beforeunload', ({ defaultPrevented }) => { sessionStorage.asked = defaultPrevented })";
    browser.run(listen, &[]);
    choose(&browser, "fr");
    assert_eq!(browser.string("sessionStorage.asked"), "true");
}
