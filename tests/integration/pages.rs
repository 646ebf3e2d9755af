//! The pages in a real browser: what a person who creates or opens a paste goes through.

use crate::browser::Browser;
use crate::client_harness::Client;
use crate::harness::{Folder, SOON, Server, has, wait_until};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

/// All that is shown of a text.
const SHOWN: &str = "Array.from(document.querySelectorAll('.line'), (line) => line.textContent).join('')";
/// Keys, as `WebDriver` writes them.
const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
const SPACE: &str = " ";

fn url(server: &Server) -> String {
    format!("http://{}", server.authority())
}

/// Sends the form and waits for the link.
#[track_caller]
fn create(browser: &Browser) -> String {
    browser.click("#send");
    browser.wait_to_see("#result");
    browser.string("document.querySelector('#link').value")
}

/// Opens a text in a browser of its own.
#[track_caller]
fn expect_text(browser: &Browser, link: &str, text: &str) {
    browser.open(link);
    browser.wait_to_see("#content");
    assert_eq!(browser.string(SHOWN), text);
}

/// The id in a link.
fn id_of(link: &str) -> &str {
    link.split('#').next().unwrap().rsplit('/').next().unwrap()
}

/// A PNG of 3 by 2 pixels.
fn png() -> Vec<u8> {
    let hex = "89504e470d0a1a0a0000000d49484452000000030000000208020000001216f14d0000000e49444154789c63f8cf00410c100a\
               001fee03fd9fcbf4c30000000049454e44ae426082";
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

#[test]
fn a_text_is_created_and_opened_in_a_fresh_profile() {
    let server = Server::start(&[("FLASK_ENV", "production"), ("FLASKPASTE_POW_DIFFICULTY", "12")]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    browser.type_into("#text", "a secret\nwith <b>two</b> lines\n");
    let link = create(&browser);
    assert!(link.starts_with(&format!("{}/", url(&server))), "{link}");
    assert_eq!(link.split_once('#').unwrap().1.len(), 43, "{link}");
    let stored = server.get(&format!("/{}/raw", id_of(&link)));
    assert_eq!(stored.body.len(), "a secret\nwith <b>two</b> lines\n".len() + 28);
    let facts = browser.text("#facts");
    assert!(facts.starts_with("31 bytes. Expires") && facts.contains("later if somebody reads it"), "{facts}");
    assert!(browser.requests().iter().all(|request| !request.contains('#')));
    browser.expect_clean(&url(&server), &[]);
    let Some(other) = Browser::start() else { return };
    expect_text(&other, &link, "a secret\nwith <b>two</b> lines\n");
    assert!(!other.sees("#delete"), "only the browser that created it can delete it");
    other.expect_clean(&url(&server), &[]);
    assert!(!server.log().contains(link.split_once('#').unwrap().1), "{}", server.log());
}

#[test]
fn the_browser_and_fpaste_read_each_other() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let Some(browser) = Browser::start() else { return };
    // Every script, every length of UTF-8, lines of every length: 200 KB.
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
    assert_eq!(client.run(&["get", &link]).succeeded().text(), text);
    browser.click("#again");
    browser.type_into("#text", "not encrypted: é");
    browser.click("#encrypt");
    browser.run("document.querySelector('#expiry').value = '600'", &[]);
    let link = create(&browser);
    assert!(!link.contains('#'), "{link}");
    assert!(browser.text("#about").contains("Not encrypted"));
    assert!(!browser.text("#facts").contains("later"), "{}", browser.text("#facts"));
    assert_eq!(client.run(&["get", &link]).succeeded().text(), "not encrypted: é");
    server.get(&format!("/{}", id_of(&link))).expect_field("mime_type", "text/plain; charset=utf-8");
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn a_burn_paste_is_fetched_by_a_click_alone() {
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
    server.head(&format!("/{}/raw", id_of(&link))).expect_status(200);
    // However often it is pressed, there is one request: a second would say that there is no such paste.
    browser.run("const go = document.querySelector('#go'); go.click(); go.click(); go.form.requestSubmit()", &[]);
    browser.wait_to_see("#text");
    assert_eq!(browser.string(SHOWN), "once\n");
    let fetched = browser.requests().iter().filter(|request| request.ends_with("/raw")).count();
    assert_eq!(fetched, 1);
    assert!(browser.text("#state").contains("deleted") && browser.text("#facts").ends_with("burned"));
    assert!(!browser.sees("#delete"), "there is nothing left to delete");
    client.run(&["get", &link]).failed(3);
    browser.expect_clean(&url(&server), &[]);
    // Whoever comes later is told; the console has the 404 of the page itself.
    browser.open(&link);
    assert!(browser.text("main").contains("There is no such paste."), "{}", browser.text("main"));
    browser.expect_clean(&url(&server), &["status of 404"]);
    // So is who had the page open before.
    let link = client.create("twice?", &["--burn"]);
    browser.open(&link);
    browser.wait_to_see("#go");
    client.run(&["get", &link]).succeeded();
    browser.click("#go");
    browser.wait_for("document.querySelector('#problem').textContent.includes('no such paste')");
    assert!(!browser.sees("#gate"));
    browser.expect_clean(&url(&server), &["status of 404"]);
}

/// A relay to a server for one GET a connection, which breaks off within the content of a paste; its address.
fn breaking_relay(server: &Server) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, upstream) = (listener.local_addr().unwrap(), server.authority());
    std::thread::spawn(move || {
        for mut peer in listener.incoming().map_while(Result::ok) {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n")
                && Read::by_ref(&mut peer).take(1).read_to_end(&mut head).is_ok_and(|read| read > 0)
            {}
            let head = String::from_utf8(head).unwrap().replace("keep-alive", "close");
            let mut server = TcpStream::connect(&upstream).unwrap();
            server.write_all(head.as_bytes()).unwrap();
            let all = if head.contains("/raw HTTP") { 2000 } else { u64::MAX };
            let _ = std::io::copy(&mut server.take(all), &mut peer);
        }
    });
    format!("http://{address}")
}

#[test]
fn a_burn_paste_that_breaks_off_is_said_to_be_lost() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let relay = breaking_relay(&server);
    browser.open(&Client::new(&server).create(vec![7; 100_000], &["--burn"]).replace(&url(&server), &relay));
    browser.wait_to_see("#go");
    browser.click("#go");
    browser.wait_to_see("#problem");
    let problem = browser.text("#problem");
    assert!(problem.contains("connection broke") && problem.contains("share it anew"), "{problem}");
    assert!(!browser.sees("#gate"));
    browser.expect_clean(&relay, &["ERR_CONTENT_LENGTH_MISMATCH"]);
}

#[test]
fn a_password_is_asked_for_and_a_wrong_one_burns_nothing() {
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

    // Both ways with fpaste, encrypted and not.
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
    assert_eq!(client.run(&["get", "-p", &link]).succeeded().text(), "to a shell");
    browser.expect_clean(&url(&server), &[]);
}

/// A link as somebody sent it, from its address and key.
type Mistake = fn(&str, &str) -> String;

#[test]
fn a_missing_damaged_or_wrong_key_can_be_mended() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let Some(browser) = Browser::start() else { return };
    for burn in [&[][..], &["--burn"]] {
        let cases: [(Mistake, &str); 3] = [
            (|address, _| address.to_owned(), "no key"),
            (|address, key| format!("{address}#{}", &key[1..]), "damaged"),
            (|address, _| format!("{address}#{}", "A".repeat(43)), "does not open"),
        ];
        for (wrong, sentence) in cases {
            let link = client.create("mended", burn);
            let (address, key) = link.split_once('#').unwrap();
            browser.open(&wrong(address, key));
            if sentence == "does not open" && !burn.is_empty() {
                browser.wait_to_see("#go");
                browser.click("#go");
            }
            browser.wait_for(&format!("document.querySelector('#problem').textContent.includes('{sentence}')"));
            let is_there = sentence != "does not open" || burn.is_empty();
            server.head(&format!("/{}/raw", id_of(&link))).expect_status(if is_there { 200 } else { 404 });
            // What is no key, neither fetches nor burns.
            browser.type_into("#key", "nonsense");
            browser.click("#go");
            browser.wait_for("document.querySelector('#problem').textContent.includes('That is no key')");
            server.head(&format!("/{}/raw", id_of(&link))).expect_status(if is_there { 200 } else { 404 });
            browser.run("document.querySelector('#key').value = ''", &[]);
            browser.type_into("#key", &link);
            browser.click("#go");
            browser.wait_to_see("#text");
            assert_eq!(browser.string(SHOWN), "mended\n");
            assert_eq!(browser.string("location.href"), link);
        }
        // The key is taken from the address, too, whether the content is still on the server or in this page alone.
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
fn an_encrypted_paste_can_be_had_as_it_is() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let Some(browser) = Browser::start() else { return };
    let link = client.create("sealed", &[]);
    let sealed = server.get(&format!("/{}/raw", id_of(&link))).body;
    browser.open(link.split('#').next().unwrap());
    browser.wait_to_see("#as-is");
    browser.click("#as-is");
    browser.wait_to_see("#download");
    let folder = Folder::new();
    browser.accept_downloads(folder.path());
    browser.click("#download");
    let file = folder.join(&format!("{}.bin", id_of(&link)));
    wait_until("the download is there", SOON, || std::fs::read(&file).is_ok_and(|bytes| bytes == sealed));
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn images_are_shown_and_files_offered() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let Some(browser) = Browser::start() else { return };
    let picture = client.file("picture.png", png());
    browser.open(&url(&server));
    browser.type_into("#file", picture.to_str().unwrap());
    browser.wait_for("document.querySelector('#picture').naturalWidth === 3");
    assert!(browser.sees("#preview") && browser.value("document.querySelector('#text').disabled") == true);
    let link = create(&browser);
    assert_eq!(client.run(&["get", "-o", "-", &link]).succeeded().stdout, png());
    let folder = Folder::new();
    browser.accept_downloads(folder.path());
    let links = [link, client.create(png(), &["-E"]), client.create(png(), &[])];
    for link in &links {
        browser.open(link);
        browser.wait_for("document.querySelector('#picture').naturalHeight === 2");
        assert!(browser.sees("#image") && !browser.sees("#text") && !browser.sees("#copy"));
        browser.click("#download");
        let file = folder.join(&format!("{}.png", id_of(link)));
        wait_until("the download is there", SOON, || std::fs::read(&file).is_ok_and(|bytes| bytes == png()));
    }
    // What only begins like a picture, and what is none.
    for (content, name) in [([&png()[..20], &[0; 99]].concat(), "png"), ([b"PK\x03\x04", &[0; 99][..]].concat(), "zip")]
    {
        let link = client.create(&content, &[]);
        browser.open(&link);
        browser.wait_to_see("#file");
        assert!(!browser.sees("#image"));
        browser.click("#download");
        let file = folder.join(&format!("{}.{name}", id_of(&link)));
        wait_until("the download is there", SOON, || std::fs::read(&file).is_ok_and(|bytes| bytes == content));
    }
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn files_are_dropped_and_pasted_and_one_is_sent() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    let transfer = "const files = new DataTransfer();
        for (const text of arguments) files.items.add(new File([text], 'note.txt', { type: 'text/plain' }));";
    let drop =
        "document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true }))";
    browser.run(&format!("{transfer} {}", drop.replace("'drop'", "'dragover'")), &[json!("")]);
    assert_eq!(browser.value("document.body.className"), "invited");
    browser.run(&format!("{transfer} {drop}"), &[json!("first"), json!("second")]);
    assert_eq!(browser.value("document.body.className"), "");
    assert!(browser.text("#problem").contains("one file"), "{}", browser.text("#problem"));
    assert_eq!(client.run(&["get", &create(&browser)]).succeeded().text(), "first");
    let paste = "document.querySelector('#text').dispatchEvent(new ClipboardEvent('paste', { clipboardData: files, bubbles: true }))";
    browser.run(&format!("{transfer} {paste}"), &[json!("pasted")]);
    browser.wait_to_see("#remove");
    browser.click("#remove");
    assert!(!browser.sees("#remove") && browser.value("document.querySelector('#text').disabled") == false);
    browser.run(&format!("{transfer} {paste}"), &[json!("pasted")]);
    assert_eq!(client.run(&["get", &create(&browser)]).succeeded().text(), "pasted");
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn what_a_stranger_wrote_stays_text() {
    let server = Server::start(&[("FLASKPASTE_DEDUP_MAX", "0")]);
    let client = Client::new(&server);
    let Some(browser) = Browser::start() else { return };
    let probes = [
        "<script>window.pwned = 1; document.title = 'pwned'</script>",
        "<img src=x onerror=\"window.pwned = 1\"><svg onload='window.pwned = 1'>",
        "</div></body></html>\"'><script src=//evil.example/x.js></script>",
        "<iframe srcdoc=\"<script>parent.pwned = 1</script>\"></iframe>{{answer}}",
        "javascript:window.pwned=1",
        "<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'><script>window.pwned=1</script></html>",
        "\u{202e}gnp.txt\u{202c} \u{1b}[31m",
    ];
    for probe in probes {
        let typed: Vec<String> = ["text/html", "image/svg+xml", "text/javascript", "image/png"]
            .iter()
            .map(|kind| {
                let sent = server.post(probe).header("Content-Type", *kind);
                let paste = sent.created();
                format!("{}{}", url(&server), paste.path())
            })
            .collect();
        for link in typed.iter().take(3).chain([&client.create(probe, &[])]) {
            browser.open(link);
            browser.wait_to_see("#text");
            assert_eq!(browser.string(SHOWN), format!("{probe}\n"));
            assert_eq!(browser.sees("#deceives"), probe.contains(['\u{202e}', '\u{1b}']), "{probe:?}");
            assert_eq!(browser.value("[typeof pwned, document.title]"), json!(["undefined", "A paste · flaskpaste"]));
            assert_eq!(browser.value("document.querySelectorAll('#text *:not(.block, .line)').length"), 0);
        }
        // In the address, too.
        browser.open(&format!("{}#{probe}", typed[0]));
        browser.wait_to_see("#problem");
        assert_eq!(browser.string("typeof pwned"), "undefined");
    }
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn a_script_that_got_in_could_not_run() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    let refused = "window.said = [];
        addEventListener('securitypolicyviolation', (event) => said.push(event.effectiveDirective));
        const attempt = (action) => { try { action(); } catch (error) { said.push(error.name); } };
        attempt(() => { document.body.insertAdjacentHTML('beforeend', '<b>x</b>'); });
        // Later, because what a driver runs may itself evaluate.
        setTimeout(() => attempt(() => { eval('window.pwned = 1'); }));
        attempt(() => { document.body.append(Object.assign(document.createElement('script'), { text: 'window.pwned = 1' })); });
        attempt(() => { new Worker('/static/solver.js?' + 1); });
        const inline = document.createElement('b');
        attempt(() => { inline.setAttribute('onclick', 'window.pwned = 1'); });
        document.body.append(inline);
        inline.click();
        const style = document.createElement('style');
        style.textContent = 'body { display: none }';
        document.body.append(style);
        const image = new Image();
        image.src = 'http://127.0.0.2:1/x.png';";
    browser.run(refused, &[]);
    for said in ["TypeError", "EvalError", "require-trusted-types-for", "style-src-elem", "img-src"] {
        browser.wait_for(&format!("said.includes('{said}')"));
    }
    assert_eq!(browser.value("[typeof pwned, document.body.checkVisibility()]"), json!(["undefined", true]));
}

#[test]
fn pages_work_below_a_prefix() {
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
fn proof_of_work_is_done_beside_the_page_and_can_be_cancelled() {
    let server = Server::start(&[("FLASK_ENV", "production"), ("FLASKPASTE_POW_DIFFICULTY", "60")]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    browser.type_into("#text", "expensive");
    browser.click("#send");
    browser.wait_to_see("#progress");
    browser.wait_for("document.querySelector('#bar').value > 0");
    // While the workers work, a page that is not held up draws a frame every few milliseconds.
    let frames = "return new Promise((resolve) => { let frames = 0; const start = performance.now();
        const frame = () => { frames++; if (performance.now() - start > 500) resolve(frames); else requestAnimationFrame(frame); };
        requestAnimationFrame(frame); })";
    assert!(browser.run(frames, &[]).as_u64().unwrap() >= 5);
    let solvers = browser.requests().iter().filter(|request| request.ends_with("/static/solver.js")).count();
    assert_eq!(Some(solvers as u64), browser.value("navigator.hardwareConcurrency").as_u64());
    browser.click("#cancel");
    browser.wait_for("!document.querySelector('#send').disabled");
    assert!(!browser.sees("#progress") && !browser.sees("#problem"));
    assert_eq!(browser.string("document.querySelector('#text').value"), "expensive");
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn what_this_browser_created_it_can_delete() {
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
        assert_eq!(browser.text("#delete"), "Delete for everybody?");
        browser.click("#delete");
        browser.wait_for("document.querySelector('#state').textContent.includes('deleted')");
        server.get(&format!("/{}", id_of(&link))).expect_status(404);
        assert_eq!(browser.value("localStorage.getItem('flaskpaste-delete-tokens')"), "{}");
        assert_eq!(browser.value("document.body.innerText.includes('a mistake')"), false);
    }
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn lines_have_numbers_and_links() {
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
fn long_lines_wrap_unless_told_not_to() {
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
fn a_long_text_is_shown_in_part_and_had_whole() {
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
    // One line is cut, too, and nothing is where it fits exactly.
    for (letters, shown) in [(2 << 20, 2 << 20), ((2 << 20) + 1, 2 << 20)] {
        browser.open(&client.create("x".repeat(letters), &[]));
        browser.wait_to_see("#text");
        assert_eq!(browser.value("document.querySelector('.line').textContent.length"), shown + 1);
        assert_eq!(browser.sees("#rest"), letters > shown);
    }
    assert!(browser.text("#rest").contains("1 of 1 lines, the last one cut"), "{}", browser.text("#rest"));
    browser.click("#rest button");
    assert_eq!(browser.value("document.querySelector('.line').textContent.length"), (2 << 20) + 2);
    assert!(!browser.sees("#rest"));
    // A link to a line beyond what is shown at once shows it.
    browser.open(&format!("{}:L29000", client.create(&text, &[])));
    browser.wait_to_see(".marked");
    assert_eq!(browser.string("document.querySelector('.marked').textContent"), "29000\r\n");
    browser.expect_clean(&url(&server), &[]);
}

/// What was copied: it is pasted into the form of the page that creates, which ends lines its own way.
#[track_caller]
fn pasted(browser: &Browser, server: &Server) -> String {
    browser.open(&url(server));
    browser.click("#text");
    browser.press_with_control('v');
    browser.string("document.querySelector('#text').value")
}

#[test]
fn copying_copies_all_of_it() {
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
fn the_qr_code_is_the_link() {
    if !has("the QR code of a page", &["zbarimg"]) {
        return;
    }
    let folder = Folder::new();
    let Some(browser) = Browser::start() else { return };
    // Links of several lengths, so that versions with and without version bits, and of several blocks, are read.
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
fn everything_can_be_done_with_the_keyboard() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    // The text has the focus; then file, expiry, password, burn, encryption, and the button.
    browser.press("typed");
    browser.press(&TAB.repeat(4));
    browser.press(SPACE);
    assert_eq!(browser.value("document.querySelector('#burn').checked"), true);
    browser.press(&TAB.repeat(2));
    browser.press(ENTER);
    browser.wait_to_see("#result");
    assert_eq!(browser.string("document.activeElement.id"), "done", "a screen reader reads on from the heading");
    let link = browser.string("document.querySelector('#link').value");
    browser.open(&link);
    browser.wait_for("document.activeElement.id === 'go'");
    browser.press(ENTER);
    browser.wait_to_see("#text");
    assert_eq!(browser.string(SHOWN), "typed\n");
    browser.expect_clean(&url(&server), &[]);
}

/// The contrast of two colours (WCAG 2.2, 1.4.3), and what a screen reader finds nothing about.
const AUDIT: &str = "
    const parse = (color) => color.match(/[\\d.]+/g).map(Number);
    const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255)
        .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = (element) => {
        for (; element; element = element.parentElement) {
            const back = parse(getComputedStyle(element).backgroundColor);
            if (back[3] !== 0) return back;
        }
        return [255, 255, 255];
    };
    const faults = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || !element.checkVisibility() || element.matches('noscript, :disabled')) continue;
        const [a, b] = [parse(getComputedStyle(element).color), behind(element)].map(luminance).sort((x, y) => y - x);
        if ((a + 0.05) / (b + 0.05) < 4.5) faults.push(`${element.outerHTML.slice(0, 99)}: contrast ${(a + 0.05) / (b + 0.05)}`);
    }
    for (const field of document.querySelectorAll('input, select, textarea')) {
        if (field.labels.length === 0 || !field.labels[0].textContent.trim()) faults.push(`${field.id} has no label`);
    }
    for (const button of document.querySelectorAll('button, a')) {
        if (button.checkVisibility() && !button.textContent.trim()) faults.push(`${button.id} has no name`);
    }
    for (const image of document.images) if (!image.hasAttribute('alt')) faults.push(`${image.src} has no alt`);
    if (document.querySelectorAll('h1').length !== 1) faults.push('not one h1');
    if (document.documentElement.scrollWidth > innerWidth) faults.push(`${document.documentElement.scrollWidth} wide`);
    return faults;";

#[test]
fn every_state_can_be_read_by_everybody() {
    let server = Server::start(&[]);
    let client = Client::new(&server).with("FPASTE_PASSWORD", "x");
    let Some(browser) = Browser::start() else { return };
    let text = "a text\n".repeat(20) + &"long ".repeat(100);
    let sealed = client.create(&text, &[]);
    let states = [
        (url(&server), "#create"),
        (format!("{}:L2", client.create(&text, &[])), "#text"),
        (client.create(png(), &[]), "#image"),
        (client.create("x", &["--burn", "-p"]), "#gate"),
        (sealed.split('#').next().unwrap().to_owned(), "#key"),
        (format!("{}/000000000000", url(&server)), "main"),
    ];
    for theme in ["light", "dark"] {
        browser.devtools(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] }),
        );
        for width in [1000, 360] {
            browser.devtools(
                "Emulation.setDeviceMetricsOverride",
                &json!({ "width": width, "height": 700, "deviceScaleFactor": 1, "mobile": width < 500 }),
            );
            for (address, part) in &states {
                browser.open(address);
                browser.wait_to_see(part);
                assert_eq!(browser.run(AUDIT, &[]), json!([]), "{theme}, {width} wide, {address}");
            }
            browser.open(&url(&server));
            browser.click("#send");
            assert_eq!(browser.run(AUDIT, &[]), json!([]), "{theme}, {width} wide, an empty text");
            browser.type_into("#text", "x");
            browser.run("document.querySelector('#text').value = crypto.randomUUID()", &[]);
            create(&browser);
            assert_eq!(browser.run(AUDIT, &[]), json!([]), "{theme}, {width} wide, the link");
        }
    }
    browser.expect_clean(&url(&server), &["status of 404"]);
}

#[test]
fn without_https_the_page_says_what_to_do() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let port = server.authority().rsplit(':').next().unwrap().to_owned();
    let Some(browser) = Browser::start_with(&["--host-resolver-rules=MAP paste.test 127.0.0.1"], &json!({})) else {
        return;
    };
    let plain = format!("http://paste.test:{port}");
    browser.open(&plain);
    browser.wait_to_see("#insecure");
    assert!(browser.text("#insecure").contains("https"));
    assert_eq!(
        browser.value("[document.querySelector('#encrypt').checked, document.querySelector('#encrypt').disabled]"),
        json!([false, true])
    );
    browser.type_into("#text", "readable");
    let link = create(&browser);
    browser.click("#copy");
    assert_eq!(browser.text("#copied"), "Copied.");
    expect_text(&browser, &link, "readable\n");
    for burn in [&[][..], &["--burn"]] {
        let sealed = client.create("sealed", burn);
        browser.open(&sealed.replace(&url(&server), &plain));
        browser.wait_for("document.querySelector('#problem').textContent.includes('https://')");
        assert!(browser.text("#problem").contains("fpaste get"));
        assert!(!browser.sees("#go") && !browser.sees("#gate"));
        server.head(&format!("/{}/raw", id_of(&sealed))).expect_status(200);
        // Without a key it cannot be known whether it is encrypted; a burn paste is not touched before that is said.
        browser.open(sealed.replace(&url(&server), &plain).split('#').next().unwrap());
        browser.wait_to_see("#as-is");
        assert!(browser.text("#problem").contains("https://") && !browser.sees("#go"));
        server.head(&format!("/{}/raw", id_of(&sealed))).expect_status(200);
        browser.click("#as-is");
        browser.wait_to_see("#download");
    }
    browser.expect_clean(&plain, &[]);
}

#[test]
fn without_javascript_the_pages_explain_the_shell() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let preferences = json!({ "profile.managed_default_content_settings.javascript": 2 });
    let Some(browser) = Browser::start_with(&[], &preferences) else { return };
    browser.open(&url(&server));
    let page = browser.text("main");
    for word in ["JavaScript", "fpaste", "curl --data-binary", &url(&server)] {
        assert!(page.contains(word), "{word}: {page}");
    }
    assert!(!page.contains("Create the link") && !page.contains("https://"), "{page}");
    let link = client.create("x", &["--burn"]);
    browser.open(&link);
    let page = browser.text("main");
    for word in ["JavaScript", "fpaste get", "curl", id_of(&link), "burns"] {
        assert!(page.contains(word), "{word}: {page}");
    }
    server.head(&format!("/{}/raw", id_of(&link))).expect_status(200);
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn what_the_server_refuses_is_said() {
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
        assert_eq!(browser.string("document.querySelector('#text').value"), text, "nothing typed is lost");
    };
    browser.open(&url(&server));
    let expiries = "Array.from(document.querySelector('#expiry').options, (option) => option.text)";
    let expected =
        ["90 minutes after it was last read", "after 10 minutes", "after 1 hour", "after 1 day", "after 36 hours"];
    assert_eq!(browser.value(expiries), json!(expected));
    refused(&browser, "", "Write something");
    refused(&browser, &"x".repeat(1973), "the server takes 1.9 KiB at most");
    browser.run("document.querySelector('#text').value = arguments[0]", &[json!("x".repeat(1972))]);
    create(&browser);
    browser.click("#again");
    browser.click("#encrypt");
    refused(&browser, &"x".repeat(1000), "switch the encryption on");
    browser.run("document.querySelector('#text').value = 'same'", &[]);
    create(&browser);
    browser.click("#again");
    browser.click("#encrypt");
    refused(&browser, "same", "submitted too often");
    browser.expect_clean(&url(&server), &["status of 400", "status of 429"]);
    drop(server);
    refused(&browser, "later", "cannot be reached");
}
