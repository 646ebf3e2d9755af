//! Requirements of every page: untrusted content never runs, and the page works without a mouse, sight, a large screen,
//! https or JavaScript.

use super::browser::Browser;
use super::pages::{SHOWN, create, expect_text, id_of, png, url};
use crate::client_harness::Client;
use crate::harness::Server;
use crate::sealed_format::{Secret, post_first_edition, post_text};
use serde_json::json;

#[test]
fn untrusted_content_stays_text() {
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
        for link in typed.iter().chain([&client.create(probe, &[])]) {
            browser.open(link);
            browser.wait_to_see("#text");
            assert_eq!(browser.string(SHOWN), format!("{probe}\n"));
            assert_eq!(browser.sees("#deceives"), probe.contains(['\u{202e}', '\u{1b}']), "{probe:?}");
            let title = format!("Paste {} · flaskpaste", id_of(link));
            assert_eq!(browser.value("[typeof pwned, document.title]"), json!(["undefined", title]));
            assert_eq!(browser.value("document.querySelectorAll('#text *:not(.block, .line, .odd)').length"), 0);
        }
        // In the address, too.
        browser.open(&format!("{}#{probe}", typed[0]));
        browser.wait_to_see("#problem");
        assert_eq!(browser.string("typeof pwned"), "undefined");
    }
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn injected_scripts_do_not_run() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    let refused = "window.said = [];
        addEventListener('securitypolicyviolation', (event) => said.push(event.effectiveDirective));
        const attempt = (action) => { try { action(); } catch (error) { said.push(error.name); } };
        attempt(() => { document.body.insertAdjacentHTML('beforeend', '<b>x</b>'); });
        // Deferred, because the driver itself may evaluate scripts.
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

/// The contrast of two colours (WCAG 2.2, 1.4.3), and elements without a name for screen readers.
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
        if (!field.ariaLabel && !field.labels[0]?.textContent.trim()) faults.push(`${field.id} has no label`);
    }
    for (const button of document.querySelectorAll('button, a')) {
        if (button.checkVisibility() && !button.textContent.trim()) faults.push(`${button.id} has no name`);
    }
    for (const image of document.images) if (!image.hasAttribute('alt')) faults.push(`${image.src} has no alt`);
    if (document.querySelectorAll('h1').length !== 1) faults.push('not one h1');
    for (const region of document.querySelectorAll('body *')) {
        const scrolls = ['overflowX', 'overflowY'].some((side) => ['auto', 'scroll'].includes(getComputedStyle(region)[side]));
        if (!scrolls || !region.checkVisibility() || region.matches('input, select, textarea')) continue;
        const isNamed = region.tabIndex === 0 && region.role && region.ariaLabel;
        if (!isNamed) faults.push(`${region.outerHTML.slice(0, 99)}: the keyboard cannot scroll it`);
    }
    if (document.documentElement.scrollWidth > innerWidth) faults.push(`${document.documentElement.scrollWidth} wide`);
    return faults;";

#[test]
fn every_state_is_accessible() {
    let server = Server::start(&[]);
    let client = Client::new(&server).with("FPASTE_PASSWORD", "x");
    let Some(browser) = Browser::start() else { return };
    let text = "a text\n".repeat(20) + &"long ".repeat(100) + "\u{202e}\u{200b}\n" + &"x".repeat(500);
    let sealed = client.create(&text, &[]);
    let secret = Secret::random(None);
    let manifest = json!({ "files": [{ "name": "a/b.txt", "size": 2 }, { "name": "c".repeat(200), "size": 1 }] });
    let (_, several) = secret.post(&server, secret.pack(&manifest, &[b"abc"]), &[]);
    let states = [
        (url(&server), "#create"),
        (format!("{}:L2", client.create(&text, &[])), "#text"),
        (client.create(png(), &[]), "#image"),
        (several, "#files"),
        (client.create("x", &["--burn", "-p"]), "#gate"),
        (sealed.split('#').next().unwrap().to_owned(), "#key"),
        (format!("{}/000000000000", url(&server)), "main"),
    ];
    for theme in ["light", "dark"] {
        browser.devtools(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] }),
        );
        for width in [1000, 320] {
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
            browser.click("#generate");
            create(&browser);
            assert_eq!(browser.run(AUDIT, &[]), json!([]), "{theme}, {width} wide, the link");
            browser.click("#own summary");
            browser.wait_to_see("#pastes button");
            browser.click("#pastes button");
            browser.wait_to_see("#pastes select");
            assert_eq!(browser.run(AUDIT, &[]), json!([]), "{theme}, {width} wide, what was made");
        }
    }
    browser.expect_clean(&url(&server), &["status of 404"]);
}

/// The console message for a header that browsers honour only over https.
const UNTRUSTED: &str = "Cross-Origin-Opener-Policy header has been ignored";

#[test]
fn without_https_the_page_says_how_to_proceed() {
    let server = Server::start(&[]);
    let port = server.authority().rsplit(':').next().unwrap().to_owned();
    let Some(browser) = Browser::start_with(&["--host-resolver-rules=MAP paste.test 127.0.0.1"], &json!({})) else {
        return;
    };
    let plain = format!("http://paste.test:{port}");
    browser.open(&plain);
    browser.wait_to_see("#insecure");
    let secure = |browser: &Browser| browser.string("document.querySelector('#https').href");
    assert_eq!(secure(&browser), format!("https://paste.test:{port}/"));
    assert_eq!(
        browser.value("[document.querySelector('#encrypt').checked, document.querySelector('#encrypt').disabled]"),
        json!([false, true])
    );
    assert!(!browser.sees("#lead") && !browser.sees("#encrypt-note"), "the page does not say that it encrypts");
    browser.type_into("#text", "readable");
    let link = create(&browser);
    browser.click("#copy");
    assert_eq!(browser.text("#copied"), "Copied.");
    expect_text(&browser, &link, "readable\n");
    for burn in [&[][..], &[("X-Burn-After-Read", "true")]] {
        let (_, sealed) = post_first_edition(&server, b"sealed", burn);
        browser.open(&sealed.replace(&url(&server), &plain));
        browser.wait_to_see("#insecure");
        assert!(browser.text("#insecure").contains("fpaste get") && browser.sees("#https"));
        let key = sealed.split_once('#').unwrap().1;
        assert_eq!(secure(&browser), format!("https://paste.test:{port}/{}#{key}", id_of(&sealed)));
        assert!(!browser.sees("#go") && !browser.sees("#gate"));
        server.head(&format!("/{}/raw", id_of(&sealed))).expect_status(200);
        // Without a key, encryption is unknown; a burn paste is not fetched before the warning.
        browser.open(sealed.replace(&url(&server), &plain).split('#').next().unwrap());
        browser.wait_to_see("#as-is");
        assert!(browser.sees("#insecure") && !browser.sees("#go"));
        server.head(&format!("/{}/raw", id_of(&sealed))).expect_status(200);
        browser.click("#as-is");
        browser.wait_to_see("#download");
        // A gated paste cannot be downloaded as ciphertext.
        let (paste, sealed) = post_text(&server, b"sealed", burn);
        for link in [sealed.as_str(), sealed.split('#').next().unwrap()] {
            browser.open(&link.replace(&url(&server), &plain));
            browser.wait_to_see("#insecure");
            assert!(!browser.sees("#gate"));
            server.get(&paste.path()).expect_status(200);
        }
    }
    browser.expect_clean(&plain, &[UNTRUSTED]);
    // If the operator has configured the https address, the link leads there.
    let server = Server::start(&[("FLASKPASTE_PUBLIC_URL", "https://paste.example.org")]);
    let port = server.authority().rsplit(':').next().unwrap().to_owned();
    browser.open(&format!("http://paste.test:{port}/#shell"));
    browser.wait_to_see("#insecure");
    assert_eq!(secure(&browser), "https://paste.example.org/#shell");
}

#[test]
fn forced_colours_lose_no_information() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let forced = json!({ "features": [{ "name": "forced-colors", "value": "active" }] });
    browser.devtools("Emulation.setEmulatedMedia", &forced);
    browser.open(&format!("{}:L2", Client::new(&server).create("one\ntwo \u{200b}\n", &[])));
    browser.wait_to_see(".marked");
    let look = |selector: &str, property: &str| {
        browser.string(&format!("getComputedStyle(document.querySelector('{selector}')).{property}"))
    };
    assert_ne!(look(".marked", "backgroundColor"), look(".line", "backgroundColor"), "the lines of the link");
    assert_ne!(look("#wrap", "backgroundColor"), look("#download", "backgroundColor"), "a button that is pressed");
    for selector in ["#deceives", ".odd"] {
        let pseudo = if selector == ".odd" { "'::before'" } else { "null" };
        let border =
            browser.string(&format!("getComputedStyle(document.querySelector('{selector}'), {pseudo}).borderTopStyle"));
        assert_eq!(border, "solid", "{selector}");
    }
    browser.open(&url(&server));
    browser.type_into("#text", "x");
    create(&browser);
    assert_eq!(look("#qr svg", "backgroundColor"), "rgb(255, 255, 255)", "a QR code is dark on light");
}

#[test]
fn the_logo_is_visible_in_dark_mode() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    for (theme, name) in [("light", "/static/icon."), ("dark", "/static/icon-dark.")] {
        let feature = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        browser.devtools("Emulation.setEmulatedMedia", &feature);
        browser.open(&url(&server));
        browser.wait_for(&format!("document.querySelector('.brand img').currentSrc.includes('{name}')"));
    }
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn the_second_visit_uses_the_cache() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let fetched = "performance.getEntriesByType('resource').filter((file) => file.name.includes('/static/') && file.transferSize > 0).length";
    browser.open(&url(&server));
    browser.wait_for("!document.querySelector('#unstarted')");
    assert_ne!(browser.value(fetched), 0);
    browser.open(&url(&server));
    browser.wait_for("!document.querySelector('#unstarted')");
    assert_eq!(browser.value(fetched), 0);
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn a_page_whose_script_fails_to_load_says_so() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let pages = [url(&server), format!("{}{}", url(&server), server.paste("x").path())];
    for page in &pages {
        browser.open(page);
        browser.wait_for("!document.querySelector('#unstarted')");
        // One of several is enough.
        for blocked in ["*/static/page.*", "*/static/paste.*", "*/static/create.*", "*/static/keys.*"] {
            let is_other =
                page == &pages[0] && blocked.contains("paste") || page != &pages[0] && blocked.contains("create");
            if is_other {
                continue;
            }
            browser.devtools("Network.setBlockedURLs", &json!({ "urls": [blocked] }));
            browser.open(page);
            browser.wait_for("document.readyState === 'complete'");
            browser.wait_for("document.querySelector('#unstarted').offsetHeight > 20");
            assert!(browser.text("#unstarted").contains("script"), "{}", browser.text("#unstarted"));
        }
        browser.devtools("Network.setBlockedURLs", &json!({ "urls": [] }));
    }
}

#[test]
fn without_javascript_the_pages_show_shell_commands() {
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
    for (options, curl, status) in [(&["--burn", "-E"][..], " curl", 200), (&["--burn"], "", 403)] {
        let link = client.create("x", options);
        browser.open(&link);
        let page = browser.text("main").replace('\n', " ");
        for word in ["JavaScript", "fpaste get", curl, id_of(&link), "burns"] {
            assert!(page.contains(word), "{word}: {page}");
        }
        server.head(&format!("/{}/raw", id_of(&link))).expect_status(status);
    }
    browser.expect_clean(&url(&server), &[]);
}
