//! The pages for creators: the options of a new paste, "Your pastes", a paste as the start of a new one, sharing and
//! printing.

use super::browser::Browser;
use super::pages::{SHOWN, create, id_of, png, start_again, url};
use super::programs::has;
use crate::client_harness::Client;
use crate::harness::{Folder, Server};
use crate::sealed_format::{Secret, read, read_one};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;

/// Creates a text; its link.
#[track_caller]
fn make(browser: &Browser, server: &Server, text: &str) -> String {
    browser.open(&url(server));
    browser.wait_for("!document.querySelector('#unstarted')");
    browser.type_into("#text", text);
    let link = create(browser);
    browser.click("#copy");
    link
}

/// Opens the list of pastes created in this browser.
#[track_caller]
fn open_list(browser: &Browser, server: &Server) {
    browser.open(&url(server));
    browser.wait_for("!document.querySelector('#unstarted')");
    browser.click("#own summary");
    browser.wait_to_see("#pastes li");
    browser.wait_for("[...document.querySelectorAll('#pastes li')].every((row) => row.querySelector('button'))");
}

/// A button in the row of a paste, identified by its accessible description.
fn button_of(link: &str, name: &str) -> String {
    format!(
        "[...document.querySelectorAll('#pastes [aria-describedby=\"paste-{}\"]')].find((button) => button.textContent === '{name}')",
        id_of(link)
    )
}

#[track_caller]
fn press(browser: &Browser, link: &str, name: &str) {
    browser.wait_for(&button_of(link, name));
    browser.run(&format!("const button = {}; button.focus(); button.click()", button_of(link, name)), &[]);
}

/// The state of a paste in the list.
fn row_of(link: &str) -> String {
    format!("document.querySelector('#paste-{}').closest('li').innerText", id_of(link))
}

#[test]
fn your_pastes_shows_the_state_of_each_paste() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    browser.wait_for("!document.querySelector('#unstarted')");
    assert!(!browser.sees("#own"), "the list is empty");
    browser.click("#burn");
    browser.type_into("#text", "burned");
    let burned = create(&browser);
    read(&server, &burned, None);
    start_again(&browser);
    let unread = make(&browser, &server, "unread");
    let deleted = make(&browser, &server, "deleted");
    let token =
        browser.string(&format!("JSON.parse(localStorage['flaskpaste-delete-tokens'])['{}'].token", id_of(&deleted)));
    let delete = server.request("DELETE", &format!("/{}", id_of(&deleted))).header("X-Delete-Token", token);
    delete.send().expect_status(200);
    browser.open(&format!("{}/ask", url(&server)));
    browser.wait_for("!document.querySelector('#send').disabled");
    browser.type_into("#label", "a <b>PIN</b>");
    browser.click("#send");
    browser.wait_to_see("#waiting");
    let asked = browser.string("document.querySelector('#link').value");
    browser.requests();
    open_list(&browser, &server);
    let row = |link: &str| browser.string(&row_of(link));
    assert!(row(&unread).contains("6 bytes") && row(&unread).contains("not read yet · expires in 5 days"));
    assert!(row(&burned).contains("read today at") && !row(&burned).contains("expires"), "{}", row(&burned));
    assert!(row(&deleted).contains("never read, deleted today at"), "{}", row(&deleted));
    assert!(row(&asked).contains("a <b>PIN</b>") && row(&asked).contains("not answered yet"), "{}", row(&asked));
    // No read was used, and no stored value can open a paste.
    assert!(browser.requests().iter().all(|request| request.starts_with("GET ") && !request.contains("/raw")));
    let kept =
        browser.string("JSON.stringify([localStorage, sessionStorage, document.querySelector('#own').outerHTML])");
    for link in [&burned, &unread, &deleted, &asked] {
        assert!(kept.contains(id_of(link)) && !kept.contains(link.split_once('#').unwrap().1), "{kept}");
    }
    // Only ended pastes can be removed from the list.
    assert_eq!(browser.value(&format!("Boolean({})", button_of(&unread, "Remove from list"))), false);
    press(&browser, &burned, "Remove from list");
    browser.wait_for(&format!("!document.querySelector('#paste-{}')", id_of(&burned)));
    open_list(&browser, &server);
    assert_eq!(browser.value("document.querySelectorAll('#pastes li').length"), 3);
    browser.click("#pastes a");
    browser.wait_to_see("#waiting");
    assert_eq!(browser.string("document.querySelector('#link').value"), asked);
    // An ask can be extended like a paste, and the list says when it is answered.
    open_list(&browser, &server);
    press(&browser, &asked, "Extend");
    press(&browser, &asked, "Extend");
    browser.wait_for(&format!("{}.includes('expires in 7 days')", row_of(&asked)));
    Client::new(&server).pipe("1234", &["answer", &asked]).succeeded();
    open_list(&browser, &server);
    assert!(browser.string(&row_of(&asked)).contains("answered; open it"), "{}", browser.string(&row_of(&asked)));
    browser.click("#pastes a");
    browser.wait_to_see("#gate #go");
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn pastes_can_be_extended_and_deleted_from_the_list() {
    let server = Server::start(&[("FLASKPASTE_MAX_EXPIRY", "1209600")]);
    let Some(browser) = Browser::start() else { return };
    let link = make(&browser, &server, "extended");
    let other = make(&browser, &server, "deleted");
    open_list(&browser, &server);
    press(&browser, &link, "Extend");
    let choice = format!("document.querySelector('select[aria-describedby=\"paste-{}\"]')", id_of(&link));
    // Only times later than now, up to the server's maximum.
    let offered = browser.value(&format!("Array.from({choice}.options, (option) => option.text)"));
    assert_eq!(offered, json!(["in 7 days", "in 14 days"]));
    assert_eq!(browser.value(&format!("document.activeElement === {choice}")), true);
    browser.run(&format!("{choice}.value = '1209600'"), &[]);
    press(&browser, &link, "Extend");
    browser.wait_for(&format!("{}.includes('expires in 14 days')", row_of(&link)));
    let paste: Value = serde_json::from_slice(&server.get(&format!("/{}", id_of(&link))).body).unwrap();
    let left = paste["expires_at"].as_u64().unwrap() - paste["created_at"].as_u64().unwrap();
    assert!((1_209_600..1_209_700).contains(&left) && paste["sliding"] == false, "{paste}");
    // Nothing later is possible; the focus stays in the row, and the list stores the expiry.
    assert_eq!(browser.value(&format!("Boolean({})", button_of(&link, "Extend"))), false);
    assert_eq!(browser.value(&format!("document.activeElement === {}", button_of(&link, "Delete"))), true);
    let kept = format!("JSON.parse(localStorage['flaskpaste-delete-tokens'])['{}'].expires", id_of(&link));
    assert_eq!(browser.value(&kept), paste["expires_at"]);
    // Deleted after a confirmation.
    press(&browser, &other, "Delete");
    assert_eq!(server.get(&format!("/{}", id_of(&other))).status, 200);
    press(&browser, &other, "Delete for everyone?");
    browser.wait_to_see("#own-said");
    assert!(browser.text("#own-said").contains("deleted") && browser.value(&row_count()) == 1);
    server.get(&format!("/{}", id_of(&other))).expect_code(404, "not_found");
    browser.expect_clean(&url(&server), &[]);
}

fn row_count() -> String {
    "document.querySelectorAll('#pastes li').length".to_owned()
}

#[test]
fn the_list_shows_errors_per_paste() {
    let server = Server::start(&[("FLASKPASTE_RECEIPT_DAYS", "0")]);
    let Some(browser) = Browser::start() else { return };
    let link = make(&browser, &server, "here");
    let block = |urls: &[&str]| browser.devtools("Network.setBlockedURLs", &json!({ "urls": urls }));
    block(&["*/status"]);
    open_list(&browser, &server);
    assert!(browser.string(&row_of(&link)).contains("cannot be reached. Check your connection"));
    block(&[]);
    press(&browser, &link, "Try again");
    browser.wait_for(&format!("{}.includes('not read yet')", row_of(&link)));
    // Deleted while the list is open, on a server without receipts.
    let token =
        browser.string(&format!("JSON.parse(localStorage['flaskpaste-delete-tokens'])['{}'].token", id_of(&link)));
    server.request("DELETE", &format!("/{}", id_of(&link))).header("X-Delete-Token", token).send().expect_status(200);
    press(&browser, &link, "Extend");
    press(&browser, &link, "Extend");
    browser.wait_for(&format!("{}.includes('no longer known to the server')", row_of(&link)));
    press(&browser, &link, "Remove from list");
    browser.wait_for(&format!("{} === 0", row_count()));
    browser.expect_clean(&url(&server), &["ERR_BLOCKED_BY_CLIENT", "status of 404"]);
}

#[test]
fn long_lists_are_shown_in_parts_newest_first() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    // Ids of digits only, which JavaScript objects reorder.
    let fill = "const now = Math.floor(Date.now() / 1000);
        localStorage['flaskpaste-delete-tokens'] = JSON.stringify(Object.fromEntries(Array.from({ length: 45 },
        (_, i) => [String(99999999 - i), { token: 'x', expires: now + 60, created: now - 1000 + i }])))";
    browser.run(fill, &[]);
    open_list(&browser, &server);
    let first = "document.querySelector('#pastes code').textContent";
    assert_eq!(browser.value(&format!("[{first}, {}]", row_count())), json!(["99999955", 20]));
    browser.click("#more");
    browser.wait_for(&format!("{} === 40", row_count()));
    browser.click("#more");
    browser.wait_for(&format!("{} === 45", row_count()));
    browser.wait_for("document.activeElement.closest('li') === document.querySelectorAll('#pastes li')[40]");
    assert!(!browser.sees("#more"));
    browser.expect_clean(&url(&server), &["status of 404"]);
}

#[test]
fn a_paste_can_be_the_start_of_a_new_one() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let Some(browser) = Browser::start() else { return };
    let text = "burned, and <b>changed</b> \u{1f980}\n";
    browser.open(&client.create(text, &["--burn"]));
    browser.wait_to_see("#go");
    assert!(!browser.sees("#reuse"), "the form is empty");
    browser.click("#go");
    browser.wait_to_see("#reuse");
    browser.requests();
    browser.click("#reuse");
    browser.enter_new_window();
    browser.wait_for("document.querySelector('#text')?.value");
    assert_eq!(browser.string("document.querySelector('#text').value"), text);
    // Neither the server nor any storage has seen it; and the two pages are no longer connected.
    let address = format!("{}/", url(&server));
    let kept = "[location.href, opener, history.length, localStorage.length, sessionStorage.length, window.name]";
    assert_eq!(browser.value(kept), json!([address, null, 1, 0, 0, ""]));
    assert!(browser.requests().iter().all(|request| request.starts_with("GET ") && !request.contains("/raw")));
    browser.type_into("#text", "more");
    let link = create(&browser);
    assert_eq!(read_one(&server, &link), format!("{text}more").as_bytes());
    browser.click("#copy");
    browser.leave_window();

    // Files keep their names and types; one without a name gets one unrelated to the first paste.
    let secret = Secret::random(None);
    let manifest =
        json!({ "files": [{ "name": "a/b.txt", "type": "text/x-b", "size": 2 }, { "name": "c", "size": 1 }] });
    let (_, several) = secret.post(&server, secret.pack(&manifest, &[b"abc"]), &[]);
    for (link, files) in [
        (several, json!([["a/b.txt", "text/x-b", 2], ["c", "", 1]])),
        (client.create(png(), &["-E"]), json!([["paste.png", "image/png", png().len()]])),
    ] {
        browser.open(&link);
        browser.wait_to_see("#reuse");
        browser.click("#reuse");
        browser.enter_new_window();
        browser.wait_to_see("#chosen");
        let chosen = browser.text("#chosen");
        for file in files.as_array().unwrap() {
            assert!(chosen.contains(file[0].as_str().unwrap()), "{chosen}");
        }
        let made = create(&browser);
        let opened = read(&server, &made, None);
        let sent: Vec<Value> = opened.manifest["files"].as_array().unwrap().clone();
        for (sent, file) in sent.iter().zip(files.as_array().unwrap()) {
            assert_eq!((&sent["name"], &sent["size"]), (&file[0], &file[2]));
            assert_eq!(sent["type"].as_str().unwrap_or_default(), file[1]);
        }
        browser.click("#copy");
        browser.leave_window();
    }
    // A blocked pop-up shows a message.
    browser.run("window.open = () => null", &[]);
    browser.click("#reuse");
    assert!(browser.text("#blocked").contains("Allow pop-ups"), "{}", browser.text("#blocked"));
    // Other pages cannot fill the form.
    browser.open(&address);
    browser.wait_for("!document.querySelector('#unstarted')");
    let intrude =
        "return new Promise((done) => { addEventListener('message', () => done(document.querySelector('#text').value));
        postMessage({ text: 'intruder' }, '*'); })";
    assert_eq!(browser.run(intrude, &[]), "");
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn the_share_button_uses_the_system_share_sheet() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let stub = "window.shared = []; navigator.canShare = ({ url }) => url.startsWith('http');
        navigator.share = (what) => (shared.push(what), window.refusal ? Promise.reject(new DOMException('', refusal)) : Promise.resolve())";
    let added = browser.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": stub }));
    browser.open(&url(&server));
    browser.type_into("#text", "shared");
    let link = create(&browser);
    let asks = "const leave = new Event('beforeunload', { cancelable: true }); dispatchEvent(leave); return leave.defaultPrevented";
    // A cancelled share counts as not shared.
    for (refusal, said) in [("AbortError", ""), ("NotAllowedError", "It could not be shared. Copy the link instead.")] {
        browser.run("window.refusal = arguments[0]", &[json!(refusal)]);
        browser.click("#share");
        browser.wait_for(&format!("document.querySelector('#copied').textContent === '{said}'"));
        assert_eq!(browser.run(asks, &[]), true, "{refusal}");
    }
    browser.run("window.refusal = ''", &[]);
    browser.click("#share");
    assert_eq!(browser.value("shared"), json!([{ "url": link }, { "url": link }, { "url": link }]));
    browser.wait_for("document.querySelector('#copied').textContent === ''");
    assert_eq!(browser.run(asks, &[]), false);
    browser.devtools("Page.removeScriptToEvaluateOnNewDocument", &json!({ "identifier": added["identifier"] }));
    browser.open(&url(&server));
    browser.run("navigator.canShare = undefined", &[]);
    browser.type_into("#text", "copied");
    create(&browser);
    assert!(!browser.sees("#share"));
    browser.expect_clean(&url(&server), &[]);
}

/// The words on the pages of a PDF.
fn on_paper(browser: &Browser) -> String {
    let folder = Folder::new();
    let file = folder.join("printed.pdf");
    std::fs::write(&file, browser.printed()).unwrap();
    let output = Command::new("pdftotext").arg("-layout").arg(file).arg("-").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn printing_prints_the_whole_paste() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let Some(browser) = Browser::start() else { return };
    if !has("a printed page", &["pdftotext"]) {
        return;
    }
    let text: Vec<String> = (1..=900).map(|n| format!("fn line_{n}() {{}} {}\n", "word ".repeat(n % 30))).collect();
    let text = text.concat();
    let name = client.file("code.rs", &text);
    for theme in ["light", "dark"] {
        let feature = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        browser.devtools("Emulation.setEmulatedMedia", &feature);
        let link = client.run(&["create", name.to_str().unwrap()]).succeeded().line();
        browser.open(&link);
        browser.wait_to_see("#content");
        // Also if lines are not wrapped on the screen.
        browser.click("#wrap");
        let paper = on_paper(&browser);
        for wanted in [&format!("Paste {}", id_of(&link)), "code.rs", "created "] {
            assert!(paper.contains(wanted), "{wanted}: {}", &paper[..400]);
        }
        let printed: Vec<&str> = paper.split_whitespace().collect();
        let words: usize = text.split_whitespace().count();
        assert!(printed.len() >= words + 900, "{} words and their numbers, of {words}", printed.len());
        let numbered: BTreeSet<String> =
            paper.lines().map(|line| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ")).collect();
        assert_eq!((1..=900).find(|n| !numbered.contains(&format!("{n} fn line_{n}()"))), None);
        for button in ["Copy", "Download", "Wrap", "New paste", "On the command line", "Delete"] {
            assert!(!paper.contains(button), "{button} is on paper");
        }
        // On paper the colours are those of the light theme.
        browser.devtools("Emulation.setEmulatedMedia", &json!({ "media": "print", "features": feature["features"] }));
        let colours = "['color', 'backgroundColor'].map((name) => getComputedStyle(document.documentElement)[name])";
        assert_eq!(browser.value(colours), json!(["rgb(0, 0, 0)", "rgb(255, 255, 255)"]), "{theme}");
        browser.devtools("Emulation.setEmulatedMedia", &json!({ "media": "", "features": [] }));
    }
    // A partly shown text says so on paper.
    let long = (1..=20_500).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
    browser.open(&client.create(&long, &[]));
    browser.wait_to_see("#rest");
    browser.devtools("Emulation.setEmulatedMedia", &json!({ "media": "print" }));
    assert!(browser.text("#rest").starts_with("This is the beginning: 20000 of 20500 lines."));
    assert!(!browser.sees("#rest button") && !browser.sees("header") && browser.sees("#text"));
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn every_option_is_explained() {
    let server = Server::start(&[("FLASKPASTE_MAX_EXPIRY", "90000")]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    for language in ["de", "fr", "es", "pl", "zh-Hans", "en"] {
        browser.run("document.cookie = `flaskpaste_language=${arguments[0]}; Path=/`", &[json!(language)]);
        browser.open(&url(&server));
        browser.wait_for("!document.querySelector('#unstarted')");
        let words = "[...document.querySelectorAll('fieldset :is(input, select)')].map((option) =>
            document.getElementById(option.getAttribute('aria-describedby'))?.textContent ?? option.id)";
        let notes = browser.value(words);
        assert_eq!(notes.as_array().unwrap().len(), 6, "{notes}");
        for note in notes.as_array().unwrap() {
            let words = note.as_str().unwrap().split_whitespace().count();
            assert!(words <= 10 && note.as_str().unwrap().ends_with(['.', '。']), "{language}: {note}");
        }
    }
    // No expiry exceeds the server's maximum, or is listed twice: 25 hours are a day.
    let ends = "Array.from(document.querySelector('#expiry').options, ({ text, value }) => [text, value])";
    assert_eq!(
        browser.value(ends),
        json!([
            ["after 5 days without a read", ""],
            ["after 10 minutes", "600"],
            ["after 1 hour", "3600"],
            ["after 1 day", "90000"]
        ])
    );
    // Burn means one read.
    let reads = "[document.querySelector('#reads').value, document.querySelector('#burn').checked]";
    browser.click("#burn");
    assert_eq!(browser.value(reads), json!(["1", true]));
    browser.click("#burn");
    assert_eq!(browser.value(reads), json!(["", false]));
    browser.type_into("#reads", "1");
    assert_eq!(browser.value(reads), json!(["1", true]));
    browser.type_into("#reads", "2");
    assert_eq!(browser.value(reads), json!(["12", false]));
    // A number the server would refuse is not sent.
    browser.type_into("#reads", "345");
    browser.type_into("#text", "x");
    browser.click("#send");
    assert!(
        !browser.sees("#result") && browser.value("document.querySelector('#reads').validity.rangeOverflow") == true
    );
    browser.run("document.querySelector('#reads').value = 12", &[]);
    // A generated password can be copied, and then leaving does not ask.
    assert!(!browser.sees("#copy-password"));
    browser.click("#generate");
    let password = browser.string("document.querySelector('#password').value");
    browser.click("#copy-password");
    assert_eq!(browser.text("#password-copied"), "The password is copied.");
    browser.click("#text");
    browser.press_with_control('v');
    let link = create(&browser);
    browser.click("#copy");
    browser.click("#again");
    browser.wait_to_see("#create");
    assert!(!browser.sees("#copy-password") && browser.text("#password-copied").is_empty());
    let paste: Value = serde_json::from_slice(&server.get(&format!("/{}", id_of(&link))).body).unwrap();
    assert_eq!(paste["reads_left"], 12);
    browser.open(&link);
    browser.wait_to_see("#password");
    browser.type_into("#password", &password);
    browser.click("#go");
    browser.wait_to_see("#content");
    assert_eq!(browser.string(SHOWN), format!("x{password}\n"));
    browser.expect_clean(&url(&server), &[]);
}
