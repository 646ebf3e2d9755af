//! Reports: where they go, and checking whether a reported key belongs to a paste.

use crate::harness::{Folder, Server};
use crate::sealed_format::{Secret, post_first_edition, post_text};
use serde_json::json;
use std::fs;
use std::process::Output;

fn show(server: &Server, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = server.run(&[&["show"], arguments].concat());
    (status.code(), String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr).into_owned())
}

fn log(server: &Server) -> String {
    String::from_utf8(server.run(&["log"]).stdout).unwrap()
}

/// Writes a report into a file; its path.
fn report(folder: &Folder, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_reported_key_is_checked_against_the_proof_without_decrypting() {
    let server = Server::start(&[]);
    let folder = Folder::new();
    let (paste, link) = post_text(&server, b"reported", &[("X-Burn-After-Read", "1")]);
    let right = report(&folder, "right", &format!("{link}\nsome words"));
    let bare = report(&folder, "bare", link.split('#').nth(1).unwrap());
    let mail = report(&folder, "mail", &format!("Hello,\n\nplease look at <{link}>, it is\nmalware."));
    let wrong = report(&folder, "wrong", &Secret::random(None).fragment());
    for (file, words) in [
        (&right, "matches this paste"),
        (&bare, "matches this paste"),
        (&mail, "matches this paste"),
        (&wrong, "does NOT match this paste"),
    ] {
        let (code, shown, errors) = show(&server, &["--key-from", file, &paste.id]);
        assert_eq!(code, Some(0), "{errors}");
        assert!(shown.contains(&format!("key         {words}")) && !shown.contains("reported"), "{shown}");
        assert!(!shown.contains(&link[link.len() - 43..]), "the key is not shown");
    }
    assert_eq!(log(&server), "", "show is not logged");
    let (code, shown, errors) = show(&server, &["--key-from", &right, "--decrypt", &paste.id]);
    assert_eq!((code, shown.as_str()), (Some(0), "reported"), "{errors}");
    let (code, shown, _) = show(&server, &["--key-from", &wrong, "--decrypt", &paste.id]);
    assert_eq!((code, shown.as_str()), (Some(1), ""));
    assert!(log(&server).lines().count() == 1 && log(&server).contains("show --decrypt"), "{}", log(&server));
    // Neither was a read: the burn paste still exists.
    server.get(&paste.path()).expect_status(200).expect_field("reads_left", 1);
    let nothing = report(&folder, "nothing", "no key here");
    let (code, _, errors) = show(&server, &["--key-from", &nothing, &paste.id]);
    assert!(code == Some(1) && errors.contains("no key found"), "{errors}");
}

#[test]
fn a_paste_of_several_files_and_a_password_is_decrypted_file_by_file() {
    let server = Server::start(&[]);
    let folder = Folder::new();
    let secret = Secret::random(Some("pässword"));
    let large = "0123456789abcdef".repeat(10_000);
    let manifest = json!({ "files": [
        { "name": "a\u{202e}.txt", "size": 5 },
        { "name": "b/large.bin", "size": large.len(), "type": "application/x" },
        { "name": "empty", "size": 0 },
    ] });
    let upload = secret.pack(&manifest, &[b"first", large.as_bytes(), b""]);
    let (paste, link) = secret.post(&server, upload, &[]);
    let key = report(&folder, "key", &link);
    let password = report(&folder, "password", "pässword\n");
    let decrypt = |more: &[&str]| show(&server, &[&["--key-from", &key, "--decrypt"], more, &[&paste.id]].concat());
    let (code, shown, errors) = decrypt(&[]);
    assert!(code == Some(1) && shown.is_empty() && errors.contains("--password-from"), "{errors}");
    let (code, shown, errors) = decrypt(&["--password-from", &password]);
    assert!(code == Some(1) && shown.is_empty() && errors.contains("--file N"), "{errors}");
    assert!(errors.contains("2: b/large.bin, application/x, 156.2 KiB") && !errors.contains('\u{202e}'), "{errors}");
    for (number, content) in [("1", "first"), ("2", large.as_str()), ("3", "")] {
        let (code, shown, errors) = decrypt(&["--password-from", &password, "--file", number]);
        assert!(code == Some(0) && shown == content, "{number}: {errors}");
    }
    assert_eq!(decrypt(&["--password-from", &password, "--file", "4"]).0, Some(1));
    let opened = log(&server).lines().count();
    let other = report(&folder, "other", "pässword \n");
    let (code, shown, errors) = decrypt(&["--password-from", &other, "--file", "1"]);
    assert!(
        code == Some(1) && shown.is_empty() && errors.contains("password"),
        "a trailing space is part of the password: {errors}"
    );
    assert_eq!(log(&server).lines().count(), opened, "failed decryptions are not logged");
    let (code, _, errors) = show(&server, &["--key-from", "-", "--password-from", "-", &paste.id]);
    assert!(code == Some(2) && errors.contains("standard input"), "{errors}");
}

#[test]
fn keys_of_pastes_without_a_proof_are_checked_by_decrypting() {
    let server = Server::start(&[]);
    let folder = Folder::new();
    // Format 1, and sealed without a gate.
    let (first, link) = post_first_edition(&server, b"old", &[]);
    let file = report(&folder, "key", &link);
    let (code, shown, _) = show(&server, &["--key-from", &file, &first.id]);
    assert!(code == Some(0) && shown.contains("cannot be checked without decrypting"), "{shown}");
    let (code, shown, errors) = show(&server, &["--key-from", &file, "--decrypt", &first.id]);
    assert_eq!((code, shown.as_str()), (Some(0), "old"), "{errors}");
    let secret = Secret::random(None);
    let upload = secret.pack(&json!({ "files": [{ "size": 4 }] }), &[b"open"]);
    let ungated = server.post(upload).created();
    let file = report(&folder, "other", &secret.fragment());
    let (_, shown, _) = show(&server, &["--key-from", &file, &ungated.id]);
    assert!(shown.contains("matches this paste"), "{shown}");
}

#[test]
fn the_contact_is_shown_everywhere_it_belongs() {
    let server = Server::start(&[("FLASKPASTE_CONTACT", "abuse@example.org"), ("FLASKPASTE_URL_PREFIX", "/p")]);
    assert_eq!(server.get("/p/").json()["contact"], "mailto:abuse@example.org");
    for path in ["/.well-known/security.txt", "/p/.well-known/security.txt"] {
        let text = server.get(path).expect_status(200).expect_header("Content-Type", "text/plain; charset=utf-8");
        let text = String::from_utf8(text.body).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "Contact: mailto:abuse@example.org");
        assert!(lines[1].starts_with("Expires: 20") && lines[1].ends_with('Z'), "{text}");
    }
    let browse = |path: &str| {
        let page = server.request("GET", path).header("Accept", "text/html").send().expect_status(200);
        String::from_utf8(page.body).unwrap()
    };
    let created = server.request("POST", "/p/").body("x").send().expect_status(201).json();
    let id = created["id"].as_str().unwrap();
    let page = browse(&format!("/p/{id}"));
    assert!(page.contains(&format!("href=\"mailto:abuse@example.org?subject=Report%20of%20paste%20{id}\"")), "{page}");
    assert!(browse("/p/").contains("abuse@example.org</a>"));

    let nobody = Server::start(&[]);
    nobody.get("/.well-known/security.txt").expect_code(404, "not_found");
    assert!(nobody.get("/").json().get("contact").is_none());
    let web = Server::start(&[
        ("FLASKPASTE_CONTACT", "https://example.org/report"),
        ("FLASKPASTE_PUBLIC_URL", "https://p.example.org"),
    ]);
    let text = String::from_utf8(web.get("/.well-known/security.txt").body).unwrap();
    assert!(text.contains("Contact: https://example.org/report\n"));
    assert!(text.contains("Canonical: https://p.example.org/.well-known/security.txt\n"), "{text}");
}
