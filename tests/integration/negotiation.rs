//! Who gets a page and who gets JSON, on the wire; how the pages behave in a browser is in pages*.rs.

use crate::harness::Server;
use crate::http_client::Request;
use crate::response::Response;
use sha2::{Digest, Sha256};

/// The headers of a browser opening an address.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

/// The policy of a page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
    connect-src 'self'; worker-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'";

fn browse<'a>(server: &'a Server, target: &str) -> Request<'a> {
    server.request("GET", target).header("Accept", BROWSER)
}

#[track_caller]
fn expect_page(response: &Response, status: u16) -> String {
    response.expect(response.status == status, &format!("expected a page with status {status}"));
    response.expect(response.get("Content-Type") == Some("text/html; charset=utf-8"), "expected a page");
    response.expect(response.get("Vary") == Some("Accept"), "a page varies by Accept");
    response.expect(response.get("Content-Security-Policy") == Some(POLICY), "expected the policy of pages");
    response.expect(response.get("Cross-Origin-Opener-Policy") == Some("same-origin"), "expected the opener policy");
    let page = String::from_utf8(response.body.clone()).unwrap();
    response.expect(!page.contains("{{") && !page.contains("}}"), "a place in the template was not filled");
    page
}

/// The addresses a page loads.
fn loaded(page: &str) -> Vec<&str> {
    let attributes = [" src=\"", " srcset=\"", "stylesheet\" href=\"", "modulepreload\" href=\"", "icon\" href=\""];
    let found = |mark| page.split(mark).skip(1).filter_map(|rest: &str| rest.split('"').next());
    attributes.into_iter().flat_map(found).collect()
}

/// The address of a file of src/web/, as named in the pages that need it.
#[track_caller]
fn static_path(server: &Server, file: &str) -> String {
    let (stem, extension) = file.split_once('.').unwrap();
    let id = server.post("a page to look at").header("X-Burn-After-Read", "true").created().id;
    let pages = ["/".to_owned(), format!("/{id}")].map(|path| expect_page(&browse(server, &path).send(), 200));
    let is_it = |address: &&str| {
        let name = address.strip_prefix("/static/").unwrap();
        name.starts_with(&format!("{stem}.")) && name.ends_with(&format!(".{extension}"))
    };
    let found = pages.iter().flat_map(|page| loaded(page)).find(is_it);
    found.unwrap_or_else(|| panic!("no page names {file}")).to_owned()
}

#[test]
fn browsers_get_pages_and_other_clients_json() {
    let server = Server::start(&[]);
    let paste = server.paste("hello");
    for path in ["/", &paste.path()] {
        expect_page(&browse(&server, path).send(), 200);
        for accept in ["text/html", "TEXT/HTML;charset=utf-8", "application/json;q=0.5, text/html"] {
            expect_page(&server.request("GET", path).header("Accept", accept).send(), 200);
        }
        for accept in [
            "",
            "*/*",
            "application/json",
            "text/*",
            "text/html;q=0",
            "text/htmlx",
            "application/json, text/html;q=0.9",
        ] {
            let response = server.request("GET", path).header("Accept", accept).send().expect_status(200);
            let response = response.expect_header("Content-Type", "application/json").expect_header("Vary", "Accept");
            response.json();
        }
        server.get(path).expect_header("Content-Type", "application/json").expect_header("Vary", "Accept");
    }
}

#[test]
fn pages_follow_the_requested_language() {
    let server = Server::start(&[]);
    let path = server.paste("hello").path();
    for (accepted, cookie, tag, missing) in [
        ("", "", "en", "There is no such paste."),
        ("de-CH,de;q=0.9,en;q=0.8", "", "de", "Diesen Eintrag gibt es nicht."),
        ("ja, fr;q=0.5", "", "fr", "Ce paste n’existe pas."),
        ("es-419", "", "es", "Ese paste no existe."),
        ("pl", "a=b; flaskpaste_language=xx", "pl", "Nie ma takiej wklejki."),
        ("de", "a=b; flaskpaste_language=zh-Hans", "zh-Hans", "此粘贴不存在。"),
    ] {
        let ask = |path| browse(&server, path).header("Accept-Language", accepted).header("Cookie", cookie).send();
        for path in ["/", &path, "/000000000000"] {
            let page = expect_page(&ask(path), if path == "/000000000000" { 404 } else { 200 });
            assert!(page.contains(&format!("<html lang=\"{tag}\">")), "{accepted}: {page}");
            let words = page.split(" data-words=\"").nth(1).unwrap().split('"').next().unwrap();
            assert!(words.starts_with(&format!("/static/{tag}.")), "{words}");
            let words = server.get(words).expect_header("Content-Type", "text/javascript; charset=utf-8");
            words.expect(words.body.starts_with(b"export default {"), "a module");
        }
        assert!(expect_page(&ask("/000000000000"), 404).contains(missing), "{accepted}");
    }
}

#[test]
fn only_the_index_and_pastes_have_pages() {
    let server = Server::start(&[]);
    let paste = server.paste("hello");
    for path in ["/health", "/challenge", "/openapi.json", "/robots.txt", &paste.raw()] {
        let response = browse(&server, path).send().expect_status(200);
        response.expect(response.get("Vary").is_none(), "it is always the same");
        response.expect(!response.get("Content-Type").unwrap().contains("html"), "it is no page");
    }
    browse(&server, "/nothing/here").send().expect_code(404, "not_found");
    browse(&server, "/xyz/raw").send().expect_code(400, "invalid_id");
    browse(&server, "/000000000000/raw").send().expect_code(404, "not_found");
    let created = server.post("x").header("Accept", BROWSER).send().expect_status(201);
    created.expect(created.json()["id"].is_string(), "a create is answered in JSON");
    server.request("PUT", "/health").header("Accept", BROWSER).send().expect_code(405, "method_not_allowed");
}

#[test]
fn head_has_the_headers_of_get() {
    let server = Server::start(&[]);
    let paste = server.paste("hello");
    for path in ["/", &paste.path(), "/000000000000", &static_path(&server, "style.css")] {
        let get = browse(&server, path).send();
        let head = server.request("HEAD", path).header("Accept", BROWSER).send();
        for name in ["Content-Type", "Content-Security-Policy", "Vary", "Cache-Control", "Cross-Origin-Opener-Policy"] {
            assert_eq!(head.get(name), get.get(name), "{path}: {name}");
        }
        assert_eq!(head.status, get.status, "{path}");
        // A refusal contains the id of its request, all of equal length; a page contains the time of the last read.
        assert_eq!(head.get("Content-Length"), get.get("Content-Length"), "{path}");
    }
}

#[test]
fn errors_have_their_own_pages() {
    let server = Server::start(&[]);
    let missing = expect_page(&browse(&server, "/000000000000").send(), 404);
    assert!(missing.contains("There is no such paste.") && missing.contains("expired"), "{missing}");
    let invalid = expect_page(&browse(&server, "/favicon.ico").send(), 400);
    assert!(invalid.contains("Invalid paste ID."), "{invalid}");
}

#[test]
fn everything_a_page_loads_is_local_and_small() {
    let prefix = "/some/where";
    let server = Server::start(&[("FLASKPASTE_URL_PREFIX", prefix)]);
    let id = server.request("POST", prefix).body("hello").created().id;
    for path in [prefix.to_owned(), format!("{prefix}/"), format!("{prefix}/{id}")] {
        let page = expect_page(&browse(&server, &path).send(), 200);
        // A page itself fits into the ten segments that a server sends before the first acknowledgement.
        assert!(page.len() < 14_000, "{path}: {} bytes", page.len());
        let addresses = loaded(&page);
        assert!(addresses.len() > 5, "{addresses:?}");
        for address in addresses {
            assert!(address.starts_with("/some/where/static/"), "{address}");
            let asset = server.get(address).expect_status(200);
            asset.expect(asset.get("Content-Security-Policy").unwrap().starts_with("default-src 'none';"), "policy");
            let asset = String::from_utf8(asset.body.clone()).unwrap();
            for imported in asset.split("\"./").skip(1) {
                server.get(&format!("{prefix}/static/{}", imported.split('"').next().unwrap())).expect_status(200);
            }
        }
    }
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web");
    let folders = [folder.join("words"), folder].map(|folder| std::fs::read_dir(folder).unwrap());
    let files = folders.into_iter().flatten().map(|file| file.unwrap().path()).filter(|file| file.is_file());
    for file in files {
        let name = file.display();
        let text = std::fs::read_to_string(&file).unwrap();
        // The SVG namespace is a name; browsers do not fetch it.
        for address in text.split("http").skip(1).filter(|rest| rest.starts_with("://") || rest.starts_with("s://")) {
            let is_words = address.starts_with("s:// ") || address.starts_with("s://,");
            assert!(is_words || address.starts_with("://www.w3.org/2000/svg"), "{name}: http{address:.40}");
        }
    }
}

#[test]
fn unknown_assets_and_methods_are_refused() {
    let server = Server::start(&[]);
    let path = |file| static_path(&server, file);
    let style = server.get(&path("style.css")).expect_header("Content-Type", "text/css; charset=utf-8");
    style.expect(!style.body.is_empty(), "a style");
    server.get(&path("create.js")).expect_header("Content-Type", "text/javascript; charset=utf-8");
    server.get(&path("icon.svg")).expect_header("Content-Type", "image/svg+xml");
    server.request("DELETE", &path("style.css")).send().expect_code(405, "method_not_allowed");
    server.request("OPTIONS", &path("style.css")).send().expect_header("Allow", "GET, HEAD, OPTIONS");
    for path in ["/static/", "/static/nothing.js", "/static/create.html", "/static/../web.rs", "/static/%73tyle.css"] {
        server.get(path).expect_code(404, "not_found");
    }
    server.get("/static").expect_code(400, "invalid_id");
}

#[test]
fn assets_are_cached_for_a_year_under_content_hashes() {
    let server = Server::start(&[]);
    for file in ["style.css", "icon.svg", "icon-dark.svg", "create.js", "paste.js", "page.js", "lines.js"] {
        let path = static_path(&server, file);
        let asset = server.get(&path).expect_header("Cache-Control", "public, max-age=31536000, immutable");
        asset.expect(asset.get("Pragma").is_none(), "it would contradict");
        let digest = hex(&Sha256::digest(&asset.body));
        assert!(path.contains(&format!(".{}.", &digest[..8])), "{path} has the digest {digest}");
        // Neither the source name nor another hash is served, so files cached from an old server are not mixed in.
        let (stem, extension) = file.split_once('.').unwrap();
        for other in [file.to_owned(), format!("{stem}.{}.{extension}", "0".repeat(8)), path.to_uppercase()] {
            let response = server.get(&format!("/static/{}", other.trim_start_matches("/STATIC/")));
            response.expect_code(404, "not_found").expect_header("Pragma", "no-cache");
        }
    }
    // Another server uses the same names: several behind one address are interchangeable.
    let other = Server::start(&[]);
    assert_eq!(static_path(&server, "create.js"), static_path(&other, "create.js"));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[test]
fn requests_from_scripts_never_open_a_login_dialog() {
    let server = Server::start(&[]);
    let locked = server.post("hello").header("X-Paste-Password", "word").created();
    for (method, path, scheme) in [("GET", locked.raw(), "Basic"), ("DELETE", locked.path(), "X-Delete-Token")] {
        let asked = server.request(method, &path).send().expect_status(401);
        asked.expect(asked.get("WWW-Authenticate").unwrap().starts_with(scheme), scheme);
        let script = server.request(method, &path).header("X-Requested-With", "flaskpaste").send();
        let challenges =
            script.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("WWW-Authenticate")).count();
        script.expect_status(401).expect_header("WWW-Authenticate", "FlaskPaste");
        assert_eq!(challenges, 1);
        let other = server.request(method, &path).header("X-Requested-With", "XMLHttpRequest").send();
        other.expect(other.get("WWW-Authenticate").unwrap().starts_with(scheme), scheme);
    }
    // The credentials for a proxy are not taken for a paste password in requests of a page.
    let login = "Basic dXNlcjpsb2dpbg==";
    let read = server.request("GET", &locked.raw()).header("Authorization", login);
    read.header("X-Paste-Password-Base64", "d29yZA==").send().expect_status(200).expect_body("hello");
}

#[test]
fn pages_hide_commands_that_cannot_work() {
    let shows = |variables: &[(&str, &str)]| {
        let server = Server::start(variables);
        expect_page(&browse(&server, "/").send(), 200).contains("curl --data-binary @notes.txt")
    };
    assert!(shows(&[]));
    assert!(!shows(&[("FLASK_ENV", "production"), ("FLASKPASTE_POW_DIFFICULTY", "8")]));
    assert!(!shows(&[("FLASKPASTE_MIN_ENTROPY", "6")]));
}

#[test]
fn without_pages_everything_is_json() {
    let server = Server::start(&[("FLASKPASTE_WEB", "0")]);
    let paste = server.paste("hello");
    for path in ["/", &paste.path()] {
        let response = browse(&server, path).send().expect_header("Content-Type", "application/json");
        response.expect(response.get("Vary").is_none(), "it is always the same");
    }
    browse(&server, "/000000000000").send().expect_code(404, "not_found");
    let name = static_path(&Server::start(&[]), "style.css");
    server.get(&name).expect_code(404, "not_found");
}

#[test]
fn pages_escape_untrusted_values() {
    let server = Server::start(&[]);
    let typed = server.post("hello").header("Content-Type", "text/x\"><script>alert(1)</script>").created();
    let page = expect_page(&browse(&server, &typed.path()).send(), 200);
    assert!(!page.contains("<script>"), "{page}");
    let page = expect_page(&browse(&server, "/<script>alert(1)<%2Fscript>").send(), 400);
    assert!(!page.contains("<script>"), "{page}");
}

#[test]
fn opening_the_page_of_a_burn_paste_does_not_burn_it() {
    let server = Server::start(&[]);
    let paste = server.post("once").header("X-Burn-After-Read", "true").created();
    for _ in 0..3 {
        let page = expect_page(&browse(&server, &paste.path()).send(), 200);
        assert!(!page.contains("once"), "{page}");
    }
    server.get(&paste.raw()).expect_status(200).expect_body("once");
    expect_page(&browse(&server, &paste.path()).send(), 404);
}
