//! The page of a paste in a real browser: opening a link.

use super::browser::Browser;
use super::pages::{ENTER, SHOWN, create, expect_text, id_of, pasted, png, url};
use crate::client_harness::Client;
use crate::harness::{Folder, SOON, Server, wait_until};
use crate::sealed_format::{post_first_edition, read, read_one};
use serde_json::json;

#[test]
fn a_burn_paste_is_fetched_only_after_a_click() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    browser.type_into("#text", "once");
    browser.click("#burn");
    let link = create(&browser);
    browser.open(&link);
    browser.wait_to_see("#go");
    assert!(browser.sees("#delete") && browser.text("#facts").contains("expires"));
    assert!(browser.text("#burns").contains("burns after reading"), "{}", browser.text("#burns"));
    assert_eq!(browser.text("#go"), "Open and delete it");
    browser.value("new Promise((resolve) => requestIdleCallback(resolve))");
    assert!(browser.requests().iter().all(|request| !request.contains("/raw")));
    server.get(&format!("/{}", id_of(&link))).expect_field("reads_left", 1);
    // However often it is pressed, there is one request: a second would get a 404.
    browser.run("const go = document.querySelector('#go'); go.click(); go.click(); go.form.requestSubmit()", &[]);
    browser.wait_to_see("#text");
    assert_eq!(browser.string(SHOWN), "once\n");
    let fetched = browser.requests().iter().filter(|request| request.ends_with("/raw")).count();
    assert_eq!(fetched, 1);
    // The state is shown once the server has confirmed it.
    browser.wait_for("document.querySelector('#facts').textContent.trim().endsWith('burned')");
    assert!(browser.text("#state").contains("deleted"), "{}", browser.text("#state"));
    assert!(!browser.sees("#delete"), "nothing is left to delete");
    client.run(&["get", &link]).failed(3);
    browser.expect_clean(&url(&server), &[]);
    browser.click("#copy");
    // Later visitors see the message; the console has the 404 of the page itself.
    browser.open(&link);
    assert!(browser.text("main").contains("There is no such paste."), "{}", browser.text("main"));
    browser.expect_clean(&url(&server), &["status of 404"]);
    // And so does a page opened before.
    let link = client.create("twice?", &["--burn"]);
    browser.open(&link);
    browser.wait_to_see("#go");
    client.run(&["get", &link]).succeeded();
    browser.click("#go");
    browser.wait_for("document.querySelector('#problem').textContent.includes('no such paste')");
    assert!(!browser.sees("#gate"));
    browser.expect_clean(&url(&server), &["status of 404"]);
}

#[test]
fn a_wrong_password_in_the_page_burns_nothing() {
    let server = Server::start(&[]);
    let client = Client::new(&server).with("FPASTE_PASSWORD", "pässwörd 密");
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    browser.type_into("#text", "locked");
    browser.type_into("#password", "pässwörd 密");
    browser.click("#burn");
    let link = create(&browser);
    browser.open(&link);
    browser.wait_to_see("#password");
    browser.press("wrong");
    browser.press(ENTER);
    browser.wait_to_see("#problem");
    let problem = browser.text("#problem");
    assert!(problem.contains("password is wrong") && problem.contains("still there"), "{problem}");
    browser.press("pässwörd 密");
    browser.press(ENTER);
    browser.wait_to_see("#text");
    assert_eq!(browser.string(SHOWN), "locked\n");
    browser.expect_clean(&url(&server), &["status of 403"]);

    // In both directions with fpaste, encrypted and not.
    for options in [&["-p"][..], &["-p", "-E"]] {
        browser.open(&client.create("from a shell", options));
        browser.wait_to_see("#password");
        browser.type_into("#password", "pässwörd 密");
        browser.click("#go");
        browser.wait_to_see("#text");
        assert_eq!(browser.string(SHOWN), "from a shell\n");
    }
    browser.open(&url(&server));
    browser.type_into("#text", "to a shell");
    browser.type_into("#password", "pässwörd 密");
    let link = create(&browser);
    assert_eq!(read(&server, &link, Some("pässwörd 密")).files, [b"to a shell"]);
    assert_eq!(client.run(&["get", "-p", &link]).succeeded().text(), "to a shell");
    browser.expect_clean(&url(&server), &[]);
}

/// A link as sent by somebody, from its address and key.
type Mistake = fn(&str, &str) -> String;

#[test]
fn a_missing_damaged_or_wrong_key_can_be_corrected() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let Some(browser) = Browser::start() else { return };
    for burn in [&[][..], &[("X-Burn-After-Read", "true")]] {
        let cases: [(Mistake, &str); 4] = [
            (|address, _| address.to_owned(), "no key"),
            (|address, key| format!("{address}#{}", &key[1..]), "not 43 letters"),
            // The last of 43 letters has two unused bits.
            (|address, key| format!("{address}#{}9", &key[..42]), "one character is wrong"),
            (|address, _| format!("{address}#{}", "A".repeat(43)), "does not open"),
        ];
        for (wrong, sentence) in cases {
            let (_, link) = post_first_edition(&server, b"mended", burn);
            let (address, key) = link.split_once('#').unwrap();
            browser.open(&wrong(address, key));
            if sentence == "does not open" && !burn.is_empty() {
                browser.wait_to_see("#go");
                browser.click("#go");
            }
            browser.wait_for(&format!("document.querySelector('#problem').textContent.includes('{sentence}')"));
            let is_there = sentence != "does not open" || burn.is_empty();
            server.head(&format!("/{}/raw", id_of(&link))).expect_status(if is_there { 200 } else { 404 });
            // An invalid key neither fetches nor burns.
            browser.type_into("#key", "nonsense");
            browser.click("#go");
            browser.wait_for("document.querySelector('#problem').textContent.includes('That is not a key')");
            server.head(&format!("/{}/raw", id_of(&link))).expect_status(if is_there { 200 } else { 404 });
            browser.run("document.querySelector('#key').value = ''", &[]);
            browser.type_into("#key", &link);
            browser.click("#go");
            browser.wait_to_see("#text");
            assert_eq!(browser.string(SHOWN), "mended\n");
            assert_eq!(browser.string("location.href"), link);
        }
        // The key is also taken from the address, whether the content is still on the server or only in this page.
        browser.run("location.hash = 'nonsense'", &[]);
        browser.wait_to_see("#key");
        assert!(!browser.sees("#content"));
        browser.run("location.hash = 'B'.repeat(42) + 'A'", &[]);
        browser.wait_for("document.querySelector('#problem').textContent.includes('does not open')");
        browser.run("location.hash = arguments[0]", &[json!(client.create("x", &[]).split_once('#').unwrap().1)]);
        browser.wait_for("document.querySelector('#problem').textContent.includes('does not open')");
        browser.value("history.go(-3)");
        browser.wait_to_see("#text");
        assert_eq!(browser.string(SHOWN), "mended\n");
    }
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn a_key_changed_while_a_read_is_confirmed_is_applied_afterwards() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let (_, link) = post_first_edition(&server, b"mended", &[("X-Burn-After-Read", "true")]);
    let key = link.split_once('#').unwrap().1;
    browser.open(&link);
    browser.wait_to_see("#go");
    // The confirmation blocks until it is released.
    let hold = "const real = window.fetch;
        const held = new Promise((resolve) => { window.letGo = resolve; });
        window.fetch = async (url, options) => {
            if (options?.method === 'DELETE') { window.isConfirming = true; await held; }
            return real(url, options);
        }";
    browser.run(hold, &[]);
    browser.click("#go");
    browser.wait_for("window.isConfirming");
    assert!(browser.sees("#text"));
    browser.run("addEventListener('hashchange', () => { window.isChanged = true; }); location.hash = 'nonsense'", &[]);
    browser.wait_for("window.isChanged");
    browser.run("window.letGo()", &[]);
    browser.wait_to_see("#key");
    assert!(!browser.sees("#content"));
    browser.run("location.hash = arguments[0]", &[json!(key)]);
    browser.wait_to_see("#text");
    assert_eq!(browser.string(SHOWN), "mended\n");
    browser.expect_clean(&url(&server), &[]);
}

/// Downloads the content to the browser's download folder, under this name.
#[track_caller]
fn expect_download(browser: &Browser, folder: &Folder, name: &str, content: &[u8]) {
    browser.click("#download");
    let file = folder.join(name);
    wait_until("the download is complete", SOON, || std::fs::read(&file).is_ok_and(|bytes| bytes == content));
}

#[test]
fn the_ciphertext_can_be_downloaded() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let (_, link) = post_first_edition(&server, b"sealed", &[]);
    let sealed = server.get(&format!("/{}/raw", id_of(&link))).body;
    browser.open(link.split('#').next().unwrap());
    browser.wait_to_see("#as-is");
    browser.click("#as-is");
    browser.wait_to_see("#download");
    let folder = Folder::new();
    browser.accept_downloads(folder.path());
    expect_download(&browser, &folder, &format!("{}.bin", id_of(&link)), &sealed);
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn images_are_shown_and_other_files_offered_for_download() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let Some(browser) = Browser::start() else { return };
    let picture = client.file("picture.png", png());
    browser.open(&url(&server));
    browser.type_into("#file", picture.to_str().unwrap());
    browser.wait_for("document.querySelector('#picture').naturalWidth === 3");
    assert!(browser.sees("#preview") && browser.value("document.querySelector('#text').disabled") == true);
    let link = create(&browser);
    assert_eq!(read_one(&server, &link), png());
    let folder = Folder::new();
    browser.accept_downloads(folder.path());
    browser.open(&link);
    browser.wait_for("document.querySelector('#picture').naturalHeight === 2");
    expect_download(&browser, &folder, "picture.png", &png());
    for link in &[client.create(png(), &["-E"]), post_first_edition(&server, &png(), &[]).1] {
        browser.open(link);
        browser.wait_for("document.querySelector('#picture').naturalHeight === 2");
        assert!(browser.sees("#image") && !browser.sees("#text") && !browser.sees("#copy"));
        expect_download(&browser, &folder, &format!("{}.png", id_of(link)), &png());
    }
    // Files that only begin like images.
    for (content, name) in [([&png()[..20], &[0; 99]].concat(), "png"), ([b"PK\x03\x04", &[0; 99][..]].concat(), "zip")]
    {
        let link = client.create(&content, &[]);
        browser.open(&link);
        browser.wait_to_see("#file");
        assert!(!browser.sees("#image"));
        expect_download(&browser, &folder, &format!("{}.{name}", id_of(&link)), &content);
    }
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn lines_have_numbers_and_anchors() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let Some(browser) = Browser::start() else { return };
    let text = (1..=450).fold(String::new(), |text, number| text + &format!("line {number}\n"));
    for options in [&[][..], &["-E"]] {
        let link = client.create(&text, options);
        expect_text(&browser, &link, &text);
        // A click on the number, at the left edge of the line.
        let number = |line: usize, shift: bool| {
            let script = "const line = document.querySelectorAll('.line')[arguments[0] - 1];
                line.scrollIntoView();
                const { left, top } = line.getBoundingClientRect();
                line.dispatchEvent(new MouseEvent('click', { bubbles: true, clientX: left + 4, clientY: top + 4, shiftKey: arguments[1] }))";
            browser.run(script, &[json!(line), json!(shift)]);
        };
        number(210, false);
        let fragment = browser.string("location.hash");
        assert!(fragment.ends_with("L210"), "{fragment}");
        number(207, true);
        let linked = browser.string("location.href");
        assert!(linked.ends_with("L207-L210"), "{linked}");
        assert_eq!(client.run(&["get", &linked]).succeeded().text(), text);
        browser.open(&linked);
        browser.wait_to_see(".marked");
        let marked = "Array.from(document.querySelectorAll('.marked'), (line) => line.textContent).join('')";
        assert_eq!(browser.string(marked), "line 207\nline 208\nline 209\nline 210\n");
        let in_sight = "document.querySelector('.marked').getBoundingClientRect()";
        assert_eq!(browser.value(&format!("{in_sight}.top >= 0 && {in_sight}.bottom <= innerHeight")), true);
        // By the keyboard.
        browser.run("document.querySelector('#lines').value = ''", &[]);
        browser.type_into("#lines", &format!("12-14{ENTER}"));
        assert!(browser.string("location.hash").ends_with("L12-L14"));
        assert_eq!(browser.string(marked), "line 12\nline 13\nline 14\n");
        for (entered, said) in [("500", "no such line"), ("x", "like 12")] {
            browser.run("document.querySelector('#lines').value = ''", &[]);
            browser.type_into("#lines", &format!("{entered}{ENTER}"));
            assert!(browser.text("#said").contains(said), "{}", browser.text("#said"));
        }
    }
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn long_lines_wrap_by_default() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&Client::new(&server).create("word ".repeat(500), &[]));
    browser.wait_to_see("#text");
    let overflow = "(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)(document.querySelector('#text'))";
    let pressed = "document.querySelector('#wrap').getAttribute('aria-pressed')";
    for wraps in [true, false, true] {
        assert_eq!(browser.value(&format!("[{overflow}, {pressed}]")), json!([!wraps, wraps.to_string()]));
        browser.click("#wrap");
    }
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn a_long_text_is_shown_in_part_and_copied_whole() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let Some(browser) = Browser::start() else { return };
    let text = (1..=30_000).fold(String::new(), |text, number| text + &format!("{number}\r\n"));
    browser.open(&client.create(&text, &[]));
    browser.wait_to_see("#rest");
    assert!(browser.text("#rest").contains("20000 of 30000 lines. Copy"), "{}", browser.text("#rest"));
    browser.click("#copy");
    assert_eq!(browser.text("#said"), "Copied.");
    browser.click("#rest button");
    assert_eq!(browser.string(SHOWN), text);
    assert_eq!(pasted(&browser, &server), text.replace('\r', ""));
    // A single line is cut, too, and nothing is cut if it fits exactly.
    for (letters, shown) in [(2 << 20, 2 << 20), ((2 << 20) + 1, 2 << 20)] {
        browser.open(&client.create("x".repeat(letters), &[]));
        browser.wait_to_see("#text");
        assert_eq!(browser.value("document.querySelector('.line').textContent.length"), shown + 1);
        assert_eq!(browser.sees("#rest"), letters > shown);
    }
    assert!(browser.text("#rest").contains("1 of 1 lines. The last one is cut."), "{}", browser.text("#rest"));
    browser.click("#rest button");
    assert_eq!(browser.value("document.querySelector('.line').textContent.length"), (2 << 20) + 2);
    assert!(!browser.sees("#rest"));
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn a_link_to_hidden_lines_shows_them() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let Some(browser) = Browser::start() else { return };
    let marked = "Array.from(document.querySelectorAll('.marked'), (line) => line.textContent).join('')";
    // Many lines, and a few long ones: 100 of 40,000 letters.
    let many = (1..=30_000).fold(String::new(), |text, number| text + &format!("{number}\r\n"));
    let long = (1..=75).fold(String::new(), |text, number| text + &format!("{number} {}\n", "x".repeat(40_000)));
    for (text, lines, expected) in [
        (&many, "L29000", "29000\r\n".to_owned()),
        (&many, "L19999-L20001", "19999\r\n20000\r\n20001\r\n".into()),
        (&long, "L70", format!("70 {}\n", "x".repeat(40_000))),
    ] {
        let link = client.create(text, &[]);
        browser.open(&format!("{link}:{lines}"));
        browser.wait_to_see(".marked");
        assert_eq!(browser.string(marked), expected);
        let in_sight = "document.querySelector('.marked').getBoundingClientRect()";
        browser.wait_for(&format!("{in_sight}.bottom > 0 && {in_sight}.top < innerHeight"));
        assert!(browser.text("#rest").starts_with("These are lines "), "{}", browser.text("#rest"));
        // Line numbers match the text, in the margin too.
        let number = expected.split([' ', '\r']).next().unwrap();
        let script =
            "const line = document.querySelector('.marked'); const { left, top } = line.getBoundingClientRect();
            line.dispatchEvent(new MouseEvent('click', { bubbles: true, clientX: left + 4, clientY: top + 4 }))";
        browser.run(script, &[]);
        assert!(
            browser.string("location.hash").ends_with(&format!(":L{number}")),
            "{}",
            browser.string("location.hash")
        );
        // Back, by the field and by the address.
        browser.run("document.querySelector('#lines').value = ''", &[]);
        browser.type_into("#lines", &format!("2{ENTER}"));
        assert!(browser.string(marked).starts_with('2') && browser.text("#rest").starts_with("This is the beginning"));
        browser.run("location.hash = arguments[0]", &[json!(format!("{}:{lines}", link.split_once('#').unwrap().1))]);
        browser.wait_for(&format!("{marked}.startsWith('{number}')"));
    }
    browser.expect_clean(&url(&server), &[]);
}

/// Deceptive characters, and how they are shown.
const ODDITIES: &[(&str, &str)] = &[
    ("\u{200b}", "ZWSP"),
    ("\u{200d}", "ZWJ"),
    ("\u{2060}", "WJ"),
    ("\u{200f}", "RLM"),
    ("\u{61c}", "ALM"),
    ("\u{202e}", "RLO"),
    ("\u{2066}", "LRI"),
    ("\u{ad}", "SHY"),
    ("\u{3164}", "U+3164"),
    ("\u{115f}", "U+115F"),
    ("\u{ffa0}", "U+FFA0"),
    ("\u{e0041}", "U+E0041"),
    ("\u{feff}", "BOM"),
    ("\r", "CR"),
    ("\u{1b}", "ESC"),
    ("\u{2028}", "U+2028"),
];

#[test]
fn deceptive_characters_are_marked_in_place() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let Some(browser) = Browser::start() else { return };
    let folder = Folder::new();
    browser.accept_downloads(folder.path());
    let text = ODDITIES.iter().fold(String::new(), |text, (odd, name)| text + &format!("a{odd}b {name}\n"));
    let link = client.create(&text, &[]);
    browser.open(&link);
    browser.wait_to_see("#text");
    assert!(browser.sees("#deceives"));
    let marks =
        "Array.from(document.querySelectorAll('.line'), (line) => Array.from(line.querySelectorAll('.odd'), (mark) => {
        const before = mark.previousSibling.data;
        return [before, getComputedStyle(mark, '::before').content, mark.getBoundingClientRect().width > 8];
    }))";
    let expected: Vec<_> = ODDITIES.iter().map(|(_, name)| json!([["a", format!("\"{name}\""), true]])).collect();
    assert_eq!(browser.value(marks), json!(expected));
    // What is copied, by button or selection, and downloaded is the text itself.
    assert_eq!(browser.string(SHOWN), text);
    let listen = "addEventListener('copy', (event) => { window.copied = event.clipboardData.getData('text/plain'); })";
    browser.run(listen, &[]);
    browser.click("#copy");
    assert_eq!(browser.string("copied"), text);
    let selected = "Array.from(document.querySelectorAll('.line'), (line) => {
        getSelection().selectAllChildren(line);
        return getSelection().toString().trimEnd();
    })";
    let lines: Vec<String> = ODDITIES.iter().map(|(odd, name)| format!("a{odd}b {name}")).collect();
    assert_eq!(browser.value(selected), json!(lines));
    // Markers follow the direction of the surrounding text: what follows a marker is on its right.
    let order = "Array.from(document.querySelectorAll('.line'), (line) => {
        const range = document.createRange();
        const after = line.querySelector('.odd').nextSibling;
        range.setStart(after, 0);
        range.setEnd(after, 1);
        return range.getBoundingClientRect().left >= line.querySelector('.odd').getBoundingClientRect().right - 1;
    }).every(Boolean)";
    assert_eq!(browser.value(order), true);
    expect_download(&browser, &folder, &format!("{}.txt", id_of(&link)), text.as_bytes());
    // Where they are legitimate, they are not marked.
    browser.open(
        &client.create("👨\u{200d}👩\u{200d}👧 ❤\u{fe0f} می\u{200c}خواهم क\u{94d}\u{200d}ष tab\tand\r\nlines", &[]),
    );
    browser.wait_to_see("#text");
    assert!(!browser.sees("#deceives") && !browser.sees(".odd"));
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn texts_in_other_encodings_are_shown() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let Some(browser) = Browser::start() else { return };
    let folder = Folder::new();
    browser.accept_downloads(folder.path());
    let text = "Grüße aus München – „ja“\n".replace(['–', '„', '“'], "-");
    let utf16 =
        |bytes: fn(u16) -> [u8; 2]| format!("\u{feff}{text}").encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let latin1: Vec<u8> = text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect();
    for content in [utf16(u16::to_le_bytes), utf16(u16::to_be_bytes), latin1] {
        for options in [&[][..], &["-E"]] {
            let link = client.create(&content, options);
            expect_text(&browser, &link, &text);
            assert!(!browser.sees("#deceives"));
            expect_download(&browser, &folder, &format!("{}.txt", id_of(&link)), &content);
        }
    }
    // Ciphertext is not text without its key.
    browser.open(client.create("a short secret", &[]).split('#').next().unwrap());
    browser.wait_to_see("#key");
    browser.expect_clean(&url(&server), &[]);
}
