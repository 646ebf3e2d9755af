//! Sealed pastes in the pages: created and opened in a real browser, and by the tests themselves.
//!
//! Invariant: what a page creates is opened by other code, and vice versa. Must never rely on what a page says about a
//! read: the receipt on the server is checked.

use super::browser::Browser;
use super::pages::{ENTER, SHOWN, create, expect_text, id_of, start_again, url};
use super::programs::has;
use crate::fuzz_targets::{Random, change, seeds};
use crate::harness::{Folder, Paste, SOON, Server, unix_now, wait_until};
use crate::sealed_format::{HEAD, Secret, post_text, read, unhex};
use flaskpaste::sealed::{FileEntry, Manifest};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const BURN: (&str, &str) = ("X-Burn-After-Read", "true");

/// The state of the reads of a paste on the server.
#[track_caller]
fn receipt(server: &Server, paste: &Paste) -> Value {
    let request = server.request("GET", &format!("/{}/status", paste.id)).header("X-Delete-Token", &paste.delete_token);
    request.send().expect_status(200).json()
}

#[track_caller]
fn expect_state(server: &Server, paste: &Paste, state: &str) {
    assert_eq!(receipt(server, paste)["state"], state);
}

#[track_caller]
fn wait_for_problem(browser: &Browser, sentence: &str) {
    browser.wait_for(&format!("document.querySelector('#problem').textContent.includes(\"{sentence}\")"));
    assert!(!browser.sees("#content") && !browser.sees("#files"), "no part of it is shown");
}

/// The vectors of another implementation: the secret and the upload of each.
fn vectors() -> Vec<(Value, Secret, Vec<u8>)> {
    let all: Value = serde_json::from_str(include_str!("../../vectors-sealed.json")).unwrap();
    let upload = |case: &Value| {
        let secret =
            Secret::new(unhex(case["key_hex"].as_str().unwrap()).try_into().unwrap(), case["password"].as_str());
        let salt: [u8; 16] = unhex(case["salt_hex"].as_str().unwrap()).try_into().unwrap();
        let upload = case["upload_hex"].as_str().map_or_else(
            || {
                // The long ones are given by their digests: zeros after a manifest.
                let manifest = case["manifest"].as_str().unwrap();
                let mut plain = u32::try_from(manifest.len()).unwrap().to_be_bytes().to_vec();
                plain.extend(manifest.as_bytes());
                plain.resize(usize::try_from(case["plaintext_length"].as_u64().unwrap()).unwrap(), 0);
                secret.seal(salt, &plain)
            },
            unhex,
        );
        let digest = crate::sealed_format::hex(&Sha256::digest(&upload));
        assert_eq!(case["upload_sha256"], digest);
        (case.clone(), secret, upload)
    };
    all["sealed"].as_array().unwrap().iter().map(upload).collect()
}

#[test]
fn pastes_sealed_by_an_independent_implementation_open() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let folder = Folder::new();
    browser.accept_downloads(folder.path());
    for (case, secret, upload) in vectors() {
        let headers: &[_] = if case["manifest"].as_str().unwrap().contains("\"reads\":1") { &[BURN] } else { &[] };
        let (paste, link) = secret.post(&server, upload, headers);
        browser.open(&link);
        if let Some(password) = case["password"].as_str() {
            browser.wait_to_see("#password");
            browser.type_into("#password", password);
        }
        if case["password"].is_string() || !headers.is_empty() {
            browser.wait_to_see("#go");
            browser.click("#go");
        }
        let manifest: Value = serde_json::from_str(case["manifest"].as_str().unwrap()).unwrap();
        let files = manifest["files"].as_array().unwrap();
        browser.wait_to_see(if files.len() > 1 { "#files" } else { "#content" });
        if !headers.is_empty() {
            browser.wait_for("document.querySelector('#state').textContent.includes('deleted')");
            expect_state(&server, &paste, "read");
        }
        for (at, file) in files.iter().enumerate() {
            let name = file["name"].as_str().map_or(format!("{}.txt", paste.id), str::to_owned);
            let saved = folder.join(name.rsplit('/').next().unwrap());
            browser.click(&if files.len() > 1 {
                format!("#files li:nth-child({}) button:last-child", at + 1)
            } else {
                "#download".into()
            });
            let digest = case["files_sha256"][at].as_str().unwrap();
            wait_until("the file is downloaded", SOON, || {
                std::fs::read(&saved).is_ok_and(|bytes| crate::sealed_format::hex(&Sha256::digest(bytes)) == digest)
            });
        }
    }
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn the_scripts_pad_as_in_the_test_vectors() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    let all: Value = serde_json::from_str(include_str!("../../vectors-sealed.json")).unwrap();
    let pairs = &all["padded_length"];
    let script = "const { href } = document.querySelector('link[href*=\"/sealed.\"]');
        return import(href).then(({ padded }) => arguments[0].map(([length]) => [length, padded(length)]))";
    assert_eq!(&browser.run(script, std::slice::from_ref(pairs)), pairs);
    // A name that leads out of a folder, or differs between systems, is rejected.
    let names: [(&[&str], bool); 15] = [
        (&["a", "b/c", "b/d", "…"], true),
        (&["a", "A"], false),
        (&["a", "A/b"], false),
        (&[""], false),
        (&["/a"], false),
        (&["a/"], false),
        (&["a//b"], false),
        (&["./a"], false),
        (&["a/../b"], false),
        (&["C:a"], false),
        (&["a\\b"], false),
        (&["a\u{1}"], false),
        (&["a\u{9f}"], false),
        (&[&"é".repeat(128)], false),
        (&[&["x".repeat(250), "y".repeat(250), "z".repeat(250), "v".repeat(250), "w".repeat(250)].join("/")], false),
    ];
    let script = "const { href } = document.querySelector('link[href*=\"/manifest.\"]');
        return import(href).then(({ badName }) => badName(arguments[0]) === null)";
    for (names, good) in names {
        assert_eq!(browser.run(script, &[json!(names)]), good, "{names:?}");
    }
    browser.expect_clean(&url(&server), &[]);
}

/// Some thousands of inputs that resemble the seeds of a fuzz target.
fn changed(target: &str, count: usize) -> Vec<Vec<u8>> {
    let (seeds, mut random) = (seeds(target), Random(0x5ea1));
    let mut one = |at: usize| change(&seeds[at % seeds.len()], &seeds[random.below(seeds.len())], &mut random);
    (0..count).map(&mut one).chain(seeds.iter().cloned()).collect()
}

#[test]
fn the_scripts_and_fpaste_accept_the_same_manifests() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    let inputs = changed("manifest", 6000);
    let room = 4096;
    let expected = inputs.iter().map(|bytes| {
        let manifest = Manifest::parse(bytes).ok().filter(|manifest| manifest.content_bytes().unwrap() <= room);
        manifest.map_or(Value::Null, |manifest| {
            json!(manifest.files.iter().map(|file| json!([file.name, file.size])).collect::<Vec<_>>())
        })
    });
    let script = "const { href } = document.querySelector('link[href*=\"/manifest.\"]');
        return import(href).then(({ unpack, pack }) => Promise.all(arguments[0].map(async (hex) => {
            const bytes = Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
            const content = await unpack(pack(bytes, [], arguments[1]));
            return content && content.files.map(({ name, size }) => [name ?? null, size]);
        })))";
    let hex: Vec<String> = inputs.iter().map(|bytes| crate::sealed_format::hex(bytes)).collect();
    let read = browser.run(script, &[json!(hex), json!(room)]);
    let mut good = 0;
    for ((input, expected), read) in inputs.iter().zip(expected).zip(read.as_array().unwrap()) {
        assert_eq!(read, &expected, "{}", String::from_utf8_lossy(input));
        good += usize::from(!read.is_null());
    }
    assert!(good > 100 && good < inputs.len() / 2, "{good} of {} were manifests", inputs.len());
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn the_scripts_and_fpaste_accept_the_same_names() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let inputs: Vec<String> = changed("names", 6000).into_iter().map(text).collect();
    let expected: Vec<bool> = inputs
        .iter()
        .map(|input| {
            let file = |name: &str| FileEntry { name: Some(name.to_owned()), ..FileEntry::default() };
            let files = input.split('\n').map(file).collect();
            Manifest { files, reads: None, expires_at: None }.render().is_ok()
        })
        .collect();
    let script = "const { href } = document.querySelector('link[href*=\"/manifest.\"]');
        return import(href).then(({ badName }) => arguments[0].map((names) => badName(names.split('\\n')) === null))";
    let taken = browser.run(script, &[json!(inputs)]);
    for ((input, expected), taken) in inputs.iter().zip(&expected).zip(taken.as_array().unwrap()) {
        assert_eq!(taken, expected, "{input:?}");
    }
    assert!(expected.contains(&true) && expected.contains(&false));
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn the_scripts_output_the_exact_content_or_nothing() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    let secret = Secret::random(None);
    let text = "0123456789abcde\n".repeat(4_500);
    let upload = secret.pack(&json!({ "files": [{ "size": text.len() }] }), &[text.as_bytes()]);
    // Each input says where and how a complete upload is modified, as in the fuzz target of the same name.
    let script = "const [hex, fragment, changes] = arguments;
        const scripts = (name) => import(document.querySelector(`link[href*=\"/${name}.\"]`).href);
        const bytesOf = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
        return Promise.all(['sealed', 'keys'].map(scripts)).then(async ([{ Opener, WrongKey, Damaged }, { derive, decode }]) => {
            const { root } = await derive(decode(fragment), '');
            const open = async (bytes) => {
                const opener = new Opener(root);
                try {
                    await opener.push(bytes);
                    const { files } = await opener.finish();
                    return await files[0].blob.text();
                } catch (error) {
                    if (error instanceof WrongKey || error instanceof Damaged) return error.constructor.name;
                    throw error;
                }
            };
            const whole = bytesOf(hex);
            const results = [await open(whole)];
            for (const change of changes) {
                let bytes = Array.from(whole);
                const data = bytesOf(change);
                for (let at = 0; at + 4 <= data.length; at += 4) {
                    const place = ((data[at] << 8) + data[at + 1]) * 2 % (bytes.length + 1);
                    if (data[at + 2] % 3 === 0 && place < bytes.length) bytes[place] ^= data[at + 3];
                    else if (data[at + 2] % 3 === 1) bytes.length = place;
                    else bytes.splice(place, 0, data[at + 3]);
                }
                const isWhole = bytes.length === whole.length && bytes.every((byte, at) => byte === whole[at]);
                results.push(isWhole ? 'whole' : await open(Uint8Array.from(bytes)));
            }
            return results;
        })";
    let changes: Vec<String> = changed("sealed", 300).iter().map(|bytes| crate::sealed_format::hex(bytes)).collect();
    let results =
        browser.run(script, &[json!(crate::sealed_format::hex(&upload)), json!(secret.fragment()), json!(changes)]);
    let results = results.as_array().unwrap();
    assert_eq!(results[0], text);
    for (result, change) in results[1..].iter().zip(&changes) {
        assert!(["WrongKey", "Damaged", "whole"].contains(&result.as_str().unwrap()), "{change}: {result}");
    }
    for seen in ["WrongKey", "Damaged"] {
        assert!(results.iter().any(|result| result == seen), "no mutation led to {seen}");
    }
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn several_files_go_into_one_paste_with_their_names() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let folder = Folder::new();
    browser.accept_downloads(folder.path());
    browser.open(&url(&server));
    let choose = "const files = new DataTransfer();
        for (const [name, text, type] of arguments[0]) files.items.add(new File([text], name, { type }));
        document.querySelector('#file').files = files.files;
        document.querySelector('#file').dispatchEvent(new Event('change'))";
    // What a sealed paste does not allow is said before anything is sent.
    for (names, said) in [(["a.txt", "A.TXT"], "it occurs twice"), (["a", "b\\c"], "it has a backslash")] {
        browser.run(choose, &[json!(names.map(|name| (name, "x", "")))]);
        browser.click("#send");
        browser.wait_for(&format!("document.querySelector('#problem').textContent.includes('{said}')"));
    }
    browser.run(choose, &[json!([["a", "x", ""], ["b", "y", ""]])]);
    browser.click("#encrypt");
    browser.click("#send");
    browser.wait_for("document.querySelector('#problem').textContent.includes('one file')");
    browser.click("#encrypt");
    assert!(browser.requests().iter().all(|request| !request.starts_with("POST ")));
    let large = "0123456789".repeat(20_000);
    let chosen =
        json!([["a.txt", "first\n", "text/plain"], ["<b>\u{202e}gnp.html", large, "text/html"], ["empty", "", ""]]);
    browser.run(choose, &[chosen]);
    assert!(!browser.sees("#nameless"), "several files need names");
    browser.run("document.querySelector('#expiry').value = '600'", &[]);
    browser.type_into("#reads", "3");
    let link = create(&browser);
    assert!(
        browser.text("#facts").starts_with("195.3 KiB. Gone after 3 reads. If they are not used up, it expires on "),
        "{}",
        browser.text("#facts")
    );
    let opened = read(&server, &link, None);
    let expires = opened.manifest["expires_at"].as_u64().unwrap();
    assert!((unix_now() + 500..=unix_now() + 600).contains(&expires), "{expires}");
    assert_eq!(opened.manifest["reads"], 3);
    let files = json!([
        { "name": "a.txt", "type": "text/plain", "size": 6 },
        { "name": "<b>\u{202e}gnp.html", "type": "text/html", "size": 200_000 },
        { "name": "empty", "size": 0 }
    ]);
    assert_eq!(opened.manifest["files"], files);
    assert_eq!(opened.files, [b"first\n".to_vec(), large.clone().into_bytes(), Vec::new()]);
    assert_eq!(opened.padded, 200_704, "a length shared with many others");

    // One more read, of two left.
    browser.open(&link);
    browser.wait_to_see("#go");
    assert!(browser.text("#limited").contains("once more"), "{}", browser.text("#limited"));
    assert!(browser.text("#facts").starts_with("at most "), "{}", browser.text("#facts"));
    browser.click("#go");
    browser.wait_to_see("#files");
    browser.wait_for("document.querySelector('#state').textContent.includes('reads left: 1')");
    assert!(browser.text("#facts").starts_with("195.3 KiB"), "{}", browser.text("#facts"));
    let listed = browser.text("#files li:nth-child(2) span");
    assert!(listed.starts_with("<b>") && listed.contains("text/html, 195.3 KiB"), "{listed}");
    assert!(browser.sees("#files .odd"), "direction-changing characters are marked in names, too");
    browser.click("#files li:first-child button");
    browser.wait_to_see("#content");
    assert_eq!(browser.string(SHOWN), "first\n");
    assert_eq!(browser.text("#name"), "a.txt, text/plain");
    browser.click("#files li:nth-child(2) button:last-child");
    let saved = folder.join("_b__gnp.html");
    wait_until("the file is downloaded", SOON, || std::fs::read(&saved).is_ok_and(|bytes| bytes == large.as_bytes()));
    server.get(&format!("/{}", id_of(&link))).expect_field("reads_left", 1);
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn several_files_can_be_downloaded_as_one_archive() {
    if !has("an archive downloaded from a page", &["chromium", "unzip"]) {
        return;
    }
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let folder = Folder::new();
    browser.accept_downloads(folder.path());
    let secret = Secret::random(None);
    // Without deceptive characters, several names are the same: those without any keep theirs.
    let files: [(&str, &[u8]); 6] = [
        ("notes/Zażółć.txt", b"text\n"),
        ("notes/run\u{202e}.sh", b"#!/bin/sh\n"),
        ("empty", b""),
        ("two\u{200b}.txt", b"first"),
        ("two\u{202e}.txt", b"second"),
        ("two_.txt", b"third"),
    ];
    let saved = ["notes/Zażółć.txt", "notes/run_.sh", "empty", "two_2.txt", "two_3.txt", "two_.txt"];
    let listed: Vec<Value> = files.iter().map(|(name, bytes)| json!({ "name": name, "size": bytes.len() })).collect();
    let mut manifest = json!({ "files": listed });
    manifest["files"][1]["executable"] = true.into();
    let (paste, link) = secret.post(&server, secret.pack(&manifest, &files.map(|(_, bytes)| bytes)), &[BURN]);
    browser.open(&link);
    browser.wait_to_see("#go");
    browser.click("#go");
    browser.wait_to_see("#all");
    browser.click("#all");
    let archive = folder.join(&format!("{}.zip", paste.id));
    let unzip = || {
        let mut command = Command::new("unzip");
        command.args(["-qo"]).arg(&archive).arg("-d").arg(folder.path()).env("LC_ALL", "C.UTF-8");
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    };
    wait_until("the archive is downloaded", SOON, unzip);
    for ((name, bytes), saved) in files.iter().zip(saved) {
        let path = folder.join(saved);
        assert_eq!(std::fs::read(&path).unwrap(), *bytes);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o111 != 0, name.contains("run"), "{name}: {mode:o}");
    }
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn long_names_and_types_are_truncated() {
    let server = Server::start(&[("FLASKPASTE_MAX_ANON", "9000000")]);
    let Some(browser) = Browser::start() else { return };
    let secret = Secret::random(None);
    let kind = "a\u{200b}".repeat(120_000);
    let files =
        json!([{ "name": "a\u{200b}".repeat(60), "size": 1, "type": kind }, { "name": "b", "size": 1, "type": kind }]);
    for count in [1, 2] {
        let files = &files.as_array().unwrap()[..count];
        let (_, link) = secret.post(&server, secret.pack(&json!({ "files": files }), &[b"xy"]), &[]);
        browser.open(&link);
        browser.wait_to_see(if count == 1 { "#content" } else { "#files" });
        let shown =
            browser.string(&format!("document.querySelector('{}').textContent", ["#name", "#files span"][count - 1]));
        assert!(shown.contains('…') && shown.chars().count() < 400, "{} letters", shown.chars().count());
    }
    // Chosen names are marked, too, before uploading.
    browser.open(&url(&server));
    let choose = "const files = new DataTransfer(); files.items.add(new File(['x'], 'exe\u{202e}gnp.txt'));
        document.querySelector('#file').files = files.files;
        document.querySelector('#file').dispatchEvent(new Event('change'))";
    browser.run(choose, &[]);
    browser.wait_to_see("#chosen .odd");
    assert_eq!(browser.string("document.querySelector('#chosen').textContent"), "exe\u{202e}gnp.txt (1 byte)");
    // The browser's own text for it, which is not marked, is hidden.
    assert_eq!(browser.string("getComputedStyle(document.querySelector('#file')).fontSize"), "0px");
    browser.run("document.querySelector('#remove').click()", &[]);
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn show_and_download_fit_side_by_side_on_a_narrow_screen() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let narrow = json!({ "width": 360, "height": 700, "deviceScaleFactor": 1, "mobile": true });
    browser.devtools("Emulation.setDeviceMetricsOverride", &narrow);
    let secret = Secret::random(None);
    let manifest =
        json!({ "files": [{ "name": "short", "size": 1 }, { "name": "a-name-of-some-length.txt", "size": 1 }] });
    browser.open(&secret.post(&server, secret.pack(&manifest, &[b"xy"]), &[]).1);
    browser.wait_to_see("#files");
    let rows = "Array.from(document.querySelectorAll('#files li'), (item) =>
        new Set(Array.from(item.querySelectorAll('button'), (button) => button.getBoundingClientRect().top)).size)";
    assert_eq!(browser.value(rows), json!([1, 1]));
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn a_dropped_folder_is_uploaded_recursively() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let folder = Folder::new();
    std::fs::create_dir_all(folder.join("notes/deep")).unwrap();
    let files = [("notes/a.txt", "a"), ("notes/deep/b.txt", "bb"), ("single", "ccc")];
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
    browser.open(&url(&server));
    let paths = ["notes", "single"].map(|name| folder.join(name));
    for event in ["dragEnter", "dragOver", "drop"] {
        let data = json!({ "items": [], "files": paths, "dragOperationsMask": 1 });
        browser.devtools("Input.dispatchDragEvent", &json!({ "type": event, "x": 300, "y": 300, "data": data }));
    }
    browser.wait_to_see("#chosen");
    let opened = read(&server, &create(&browser), None);
    let listed = opened.manifest["files"].as_array().unwrap();
    let mut found: Vec<(&str, &str)> = listed
        .iter()
        .zip(&opened.files)
        .map(|(file, bytes)| (file["name"].as_str().unwrap(), std::str::from_utf8(bytes).unwrap()))
        .collect();
    found.sort_unstable();
    assert_eq!(found, files);
    start_again(&browser);
    assert!(!browser.sees("#chosen") && browser.value("document.querySelector('#text').disabled") == false);
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn the_name_of_a_file_can_be_left_out() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let folder = Folder::new();
    let file = folder.join("Zażółć.bin");
    std::fs::write(&file, [0, 1, 2]).unwrap();
    browser.open(&url(&server));
    for (nameless, name) in [(false, json!("Zażółć.bin")), (true, Value::Null)] {
        browser.type_into("#file", file.to_str().unwrap());
        if nameless {
            browser.click("#nameless");
        }
        let opened = read(&server, &create(&browser), None);
        assert_eq!(opened.manifest["files"][0]["name"], name);
        assert_eq!(opened.files, [[0, 1, 2]]);
        start_again(&browser);
    }
    assert!(!browser.sees("#nameless"));
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn a_sealed_password_never_leaves_the_page() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    browser.type_into("#text", "locked");
    browser.type_into("#password", "hąsło");
    browser.click("#burn");
    let link = create(&browser);
    let metadata = server.get(&format!("/{}", id_of(&link))).json();
    assert_eq!([&metadata["password_proof"], &metadata["proof_required"]], [true, true]);
    browser.open(&link);
    browser.wait_to_see("#password");
    browser.press("wrong");
    browser.press(ENTER);
    wait_for_problem(&browser, "The password is wrong.");
    assert!(browser.text("#problem").ends_with("The paste is still there."));
    browser.press("hąsło");
    browser.press(ENTER);
    browser.wait_to_see("#text");
    assert_eq!(browser.string(SHOWN), "locked\n");
    browser.wait_for("document.querySelector('#state').textContent.includes('deleted')");
    browser.expect_clean(&url(&server), &["status of 403"]);
    // In both directions, and a paste of the page opens with the password alone.
    browser.click("#copy");
    browser.open(&url(&server));
    browser.type_into("#text", "locked again");
    browser.type_into("#password", "hąsło");
    let link = create(&browser);
    assert_eq!(read(&server, &link, Some("hąsło")).files, [b"locked again"]);
    let sent = browser.value("performance.getEntriesByType('resource').map((entry) => entry.name).join()").to_string();
    assert!(!sent.contains("sło") && !sent.contains("%C4%85"), "{sent}");
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn a_wrong_link_burns_nothing_and_is_distinguished_from_damage() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let (paste, link) = post_text(&server, b"once", &[BURN]);
    for wrong in ["", &format!("#{}", "A".repeat(43)), "#short"] {
        browser.open(&format!("{}{wrong}", link.split('#').next().unwrap()));
        browser.wait_to_see("#go");
        if wrong.len() == 44 {
            browser.click("#go");
            wait_for_problem(&browser, "This key does not fit this paste");
            assert!(browser.text("#problem").ends_with("The paste is still there."), "{}", browser.text("#problem"));
        }
        browser.wait_to_see("#key");
        if wrong.is_empty() {
            assert!(
                browser.text("#problem").starts_with("This paste is encrypted, and"),
                "{}",
                browser.text("#problem")
            );
        }
        assert!(!browser.sees("#as-is"), "nothing is offered without the key");
        expect_state(&server, &paste, "unread");
    }
    browser.type_into("#key", &link);
    browser.click("#go");
    browser.wait_to_see("#text");
    assert_eq!(browser.string(SHOWN), "once\n");
    browser.wait_for("document.querySelector('#state').textContent.includes('deleted')");
    expect_state(&server, &paste, "read");
    browser.expect_clean(&url(&server), &["status of 403"]);
    browser.click("#copy");
    // Without a gate, the commitment detects a wrong key, and the right one is then accepted.
    let secret = Secret::random(None);
    let manifest = json!({ "files": [{ "size": 4 }] });
    let upload = secret.pack(&manifest, &[b"open"]);
    let ungated = server.post(upload).header("Content-Type", "application/octet-stream").created();
    let address = format!("{}{}", url(&server), ungated.path());
    for wrong in [String::new(), format!("#{}", "A".repeat(43))] {
        browser.open(&format!("{address}{wrong}"));
        browser.wait_to_see("#key");
        wait_for_problem(&browser, if wrong.is_empty() { "has no key" } else { "does not fit this paste" });
        browser.type_into("#key", &secret.fragment());
        browser.click("#go");
        browser.wait_to_see("#text");
        assert_eq!(browser.string(SHOWN), "open\n");
    }
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn no_part_of_a_damaged_paste_is_shown() {
    let server = Server::start(&[("FLASKPASTE_DEDUP_MAX", "0")]);
    let Some(browser) = Browser::start() else { return };
    let secret = Secret::random(None);
    let text = "0123456789abcde\n".repeat(20_000);
    let manifest = json!({ "files": [{ "size": text.len() }] });
    let good = secret.pack(&manifest, &[text.as_bytes()]);
    let (first, second) = (HEAD..HEAD + 65_552, HEAD + 65_552..HEAD + 2 * 65_552);
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let reordered = [&good[..HEAD], &good[second.clone()], &good[first.clone()], &good[second.end..]].concat();
    let bad_manifests = [
        json!({ "files": [] }),
        json!({ "files": [{ "size": 300 }] }),
        json!({ "files": [{ "size": -1 }] }),
        json!({ "files": [{ "size": 1.5 }] }),
        json!({ "files": [{ "size": 0 }, { "size": 0 }] }),
        json!({ "files": [{ "size": 0, "name": "../x" }] }),
        json!({ "files": [{ "size": 0, "name": "x" }, { "size": 0, "name": "X/y" }] }),
        json!({ "files": [{ "size": 0, "name": 5 }] }),
        json!({ "files": [{ "size": 0 }], "reads": 0 }),
        json!([]),
    ];
    let mut damaged = vec![
        flipped,
        reordered,
        // Cut within a chunk, at its end, after the head; and longer than expected.
        good[..good.len() - 1].to_vec(),
        good[..second.end].to_vec(),
        good[..HEAD].to_vec(),
        [&good[..], &good[first]].concat(),
        // A manifest of more bytes than there are.
        secret.seal([7; 16], &u32::MAX.to_be_bytes().repeat(64)),
    ];
    damaged.extend(bad_manifests.iter().map(|manifest| secret.pack(manifest, &[])));
    for upload in damaged {
        let (_, link) = secret.post(&server, upload, &[]);
        browser.open(&link);
        wait_for_problem(&browser, "This paste is damaged");
        assert!(!browser.sees("#key"), "another key would not help");
    }
    // The read of a damaged burn paste is not confirmed.
    let (paste, link) = secret.post(&server, good[..second.end].to_vec(), &[BURN]);
    browser.open(&link);
    browser.wait_to_see("#go");
    browser.click("#go");
    wait_for_problem(&browser, "This paste is damaged");
    expect_state(&server, &paste, "leased");
    expect_text(&browser, &secret.post(&server, good, &[]).1, &text);
    browser.expect_clean(&url(&server), &[]);
}

/// A relay to a server, one request per connection; its address. `answer` gets the head of each: it may respond instead
/// of the server, or pass only the first bytes of the server's response.
fn relay(server: &Server, mut answer: impl FnMut(&str) -> Relayed + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, upstream) = (listener.local_addr().unwrap(), server.authority());
    std::thread::spawn(move || {
        for mut peer in listener.incoming().map_while(Result::ok) {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n")
                && Read::by_ref(&mut peer).take(1).read_to_end(&mut head).is_ok_and(|read| read > 0)
            {}
            let head = String::from_utf8(head).unwrap().replace("keep-alive", "close");
            let bytes = match answer(&head) {
                Relayed::Instead(text) => {
                    let _ = peer.write_all(text.as_bytes());
                    continue;
                }
                Relayed::Only(bytes) => bytes,
            };
            let Ok(mut server) = TcpStream::connect(&upstream) else { return };
            server.write_all(head.as_bytes()).unwrap();
            let _ = std::io::copy(&mut server.take(bytes), &mut peer);
        }
    });
    format!("http://{address}")
}

enum Relayed {
    /// This response, without asking the server.
    Instead(String),
    /// The first bytes of the server's response.
    Only(u64),
}

/// A relay that breaks off after so many bytes of content as long as `breaks` is not 0, counting it down.
fn breaking_relay(server: &Server, breaks: &Arc<AtomicUsize>, bytes: u64) -> String {
    let breaks = Arc::clone(breaks);
    relay(server, move |head| {
        let one_less = |left: usize| left.checked_sub(1);
        let breaks_now =
            head.contains("/raw HTTP") && breaks.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok();
        Relayed::Only(if breaks_now { bytes } else { u64::MAX })
    })
}

/// A relay that sends this response to requests for a lease or content.
fn answering_relay(server: &Server, path: &'static str, head: String) -> String {
    relay(
        server,
        move |request| {
            if request.contains(path) { Relayed::Instead(head.clone()) } else { Relayed::Only(u64::MAX) }
        },
    )
}

#[test]
fn proofs_are_not_sent_after_a_redirect() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let target = elsewhere.local_addr().unwrap();
    let redirect = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://{target}/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    for (path, headers) in [("/lease HTTP", &[BURN][..]), ("/raw HTTP", &[])] {
        let (_, link) = post_text(&server, b"x", headers);
        let address = answering_relay(&server, path, redirect.clone());
        browser.open(&link.replace(&url(&server), &address));
        if !headers.is_empty() {
            browser.wait_to_see("#go");
            browser.click("#go");
        }
        wait_for_problem(&browser, "Log in to the server");
        // The browser also logs the request it did not send, so the other server is checked.
        assert!(elsewhere.accept().is_err(), "no request was sent");
    }
}

#[test]
fn reading_works_on_a_server_without_leases() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    for status in ["404 Not Found", "405 Method Not Allowed"] {
        let (paste, link) = post_text(&server, b"once", &[BURN]);
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let address = answering_relay(&server, "/lease HTTP", answer);
        browser.open(&link.replace(&url(&server), &address));
        browser.wait_to_see("#go");
        browser.click("#go");
        browser.wait_to_see("#text");
        assert_eq!(browser.string(SHOWN), "once\n");
        assert!(browser.text("#state").contains("deleted"), "{}", browser.text("#state"));
        expect_state(&server, &paste, "read");
        browser.click("#copy");
        browser.expect_clean(&address, &["status of 404", "status of 405"]);
    }
}

/// The console message for a broken connection.
const BREAKS: &[&str] = &["ERR_CONTENT_LENGTH_MISMATCH", "ERR_EMPTY_RESPONSE"];

#[test]
fn an_interrupted_read_resumes_and_is_confirmed() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let text = "0123456789abcde\n".repeat(20_000);
    for headers in [&[BURN][..], &[]] {
        let relay = breaking_relay(&server, &Arc::new(AtomicUsize::new(2)), 150_000);
        let (paste, link) = post_text(&server, text.as_bytes(), headers);
        browser.open(&link.replace(&url(&server), &relay));
        if !headers.is_empty() {
            browser.wait_to_see("#go");
            browser.click("#go");
        }
        browser.wait_to_see("#text");
        assert_eq!(browser.string(SHOWN), text);
        if !headers.is_empty() {
            browser.wait_for("document.querySelector('#state').textContent.includes('deleted')");
            expect_state(&server, &paste, "read");
            browser.click("#copy");
        }
        browser.expect_clean(&relay, BREAKS);
    }
    // Permanently broken: the read stays with this page while it is open, and the button resumes it.
    let breaks = Arc::new(AtomicUsize::new(usize::MAX));
    let relay = breaking_relay(&server, &breaks, 2000);
    let (paste, link) = post_text(&server, text.as_bytes(), &[BURN]);
    browser.open(&link.replace(&url(&server), &relay));
    browser.wait_to_see("#go");
    browser.click("#go");
    wait_for_problem(&browser, "The connection broke");
    assert!(browser.text("#problem").contains("keeps it for you on this page until"), "{}", browser.text("#problem"));
    expect_state(&server, &paste, "leased");
    assert_eq!(browser.text("#go"), "Try again");
    breaks.store(0, Ordering::Relaxed);
    browser.click("#go");
    browser.wait_to_see("#text");
    browser.wait_for("document.querySelector('#state').textContent.includes('deleted')");
    expect_state(&server, &paste, "read");
    browser.expect_clean(&relay, BREAKS);
}

#[test]
fn closing_the_page_confirms_nothing() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let (paste, link) = post_text(&server, "0123456789abcde\n".repeat(100_000).as_bytes(), &[BURN]);
    browser.open(&link);
    browser.wait_to_see("#go");
    let conditions =
        json!({ "offline": false, "latency": 0, "uploadThroughput": 100_000, "downloadThroughput": 100_000 });
    browser.devtools("Network.emulateNetworkConditions", &conditions);
    browser.click("#go");
    browser.wait_for("document.querySelector('#bar').value > 0");
    assert!(!browser.sees("#content"));
    browser.run("setTimeout(() => location.replace('about:blank'))", &[]);
    browser.wait_for("location.href === 'about:blank'");
    expect_state(&server, &paste, "leased");
    server.get(&paste.path()).expect_code(404, "not_found");
}

/// A manifest, the headers of its paste, and the message for the reader; "" for none.
type Treatment = (Value, &'static [(&'static str, &'static str)], &'static str);

#[test]
fn a_server_that_deviates_from_the_senders_request_is_reported() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let secret = Secret::random(None);
    let soon = unix_now() + 600;
    let cases: [Treatment; 7] = [
        (json!({ "files": [{ "size": 1 }], "reads": 1 }), &[], "allowed one read"),
        (json!({ "files": [{ "size": 1 }], "reads": 2 }), &[("X-Reads", "3")], "allowed 2 reads"),
        (json!({ "files": [{ "size": 1 }], "expires_at": soon }), &[], "keeps it longer"),
        (json!({ "files": [{ "size": 1 }], "expires_at": soon }), &[("X-Expiry", "86400")], "keeps it longer"),
        (json!({ "files": [{ "size": 1 }], "expires_at": soon }), &[("X-Expiry", "780")], "keeps it longer"),
        (json!({ "files": [{ "size": 1 }], "expires_at": soon }), &[("X-Expiry", "605")], ""),
        (json!({ "files": [{ "size": 1 }], "reads": 3 }), &[("X-Reads", "2")], ""),
    ];
    for (manifest, headers, said) in cases {
        let (_, link) = secret.post(&server, secret.pack(&manifest, &[b"x"]), headers);
        browser.open(&link);
        if headers.iter().any(|(name, _)| *name == "X-Reads") {
            browser.wait_to_see("#go");
            browser.click("#go");
        }
        browser.wait_for(
            "!document.querySelector('#content').hidden && !document.querySelector('#state').textContent.includes('…')",
        );
        assert_eq!(browser.sees("#differs"), !said.is_empty(), "{manifest}");
        if !said.is_empty() {
            assert!(browser.text("#differs").contains(said), "{}", browser.text("#differs"));
        }
    }
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn fifty_mebibytes_do_not_block_the_page() {
    let server = Server::start(&[("FLASKPASTE_MAX_ANON", "60000000")]);
    let Some(browser) = Browser::start() else { return };
    let folder = Folder::new();
    browser.accept_downloads(folder.path());
    let content: Vec<u8> = (0..50u32 << 18).flat_map(|word| word.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let file = folder.join("chosen");
    std::fs::write(&file, &content).unwrap();
    // The longest time between two frames.
    let watch = "window.longest = 0; let before = performance.now();
        const frame = () => { const now = performance.now(); longest = Math.max(longest, now - before); before = now;
            requestAnimationFrame(frame); };
        frame()";
    browser.open(&url(&server));
    browser.type_into("#file", file.to_str().unwrap());
    browser.run(watch, &[]);
    let link = create(&browser);
    let sealing = browser.value("longest").as_f64().unwrap();
    browser.click("#copy");
    browser.open(&link);
    browser.run(watch, &[]);
    browser.wait_to_see("#download");
    let opening = browser.value("longest").as_f64().unwrap();
    assert!(sealing < 1000.0 && opening < 1000.0, "{sealing} and {opening} ms without a frame");
    std::fs::remove_file(&file).unwrap();
    browser.click("#download");
    wait_until("the download is complete", 2 * SOON, || std::fs::read(&file).is_ok_and(|bytes| bytes == content));
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn the_creator_sees_the_state_of_a_paste() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let look_again = "document.dispatchEvent(new Event('visibilitychange'))";
    let receipt_says = |words: &str| format!("document.querySelector('#receipt').textContent.includes('{words}')");
    browser.open(&url(&server));
    assert!(!browser.sees("#own"));
    browser.type_into("#text", "once");
    browser.click("#burn");
    let first = create(&browser);
    browser.wait_for(&receipt_says("not read yet"));
    assert!(browser.text("#receipt").starts_with("As of "), "{}", browser.text("#receipt"));
    read(&server, &first, None);
    browser.run(look_again, &[]);
    browser.wait_for(&receipt_says("read today at"));
    start_again(&browser);
    browser.type_into("#text", "later");
    let second = create(&browser);
    browser.wait_for(&receipt_says("not read yet"));
    browser.click("#copy");
    browser.open(&url(&server));
    browser.click("#own summary");
    browser.wait_to_see("#pastes li:nth-child(2) button");
    browser.wait_to_see("#pastes li:nth-child(1) button");
    let item = |at: usize| browser.text(&format!("#pastes li:nth-child({at})"));
    assert!(item(1).starts_with(id_of(&second)) && item(1).contains("not read yet"), "{}", item(1));
    assert!(item(2).starts_with(id_of(&first)) && item(2).contains("read today at"), "{}", item(2));
    // Viewing the page does not count.
    assert_eq!(browser.requests().iter().filter(|request| request.contains("/raw")).count(), 0);
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn proofs_and_keys_appear_in_no_url_and_no_log() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&url(&server));
    browser.type_into("#text", "secret");
    browser.click("#burn");
    let link = create(&browser);
    browser.open(&link);
    browser.wait_to_see("#go");
    browser.click("#go");
    browser.wait_to_see("#text");
    browser.wait_for("document.querySelector('#state').textContent.includes('deleted')");
    let secret = Secret::of(&link, None);
    let proof = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, secret.link_proof());
    let requests = browser.requests().join("\n");
    for text in [&requests, &server.log()] {
        assert!(!text.contains(&proof) && !text.contains(&secret.fragment()), "{text}");
    }
    let stored = browser.string("JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])");
    assert!(!stored.contains(&proof) && !stored.contains(&secret.fragment()), "{stored}");
    browser.expect_clean(&url(&server), &[]);
}
