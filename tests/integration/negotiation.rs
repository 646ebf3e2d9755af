//! Who gets a page and who gets JSON, on the wire; what the pages do in a browser is in pages*.rs.

use crate::harness::Server;
use crate::http_client::Request;
use crate::response::Response;

/// What a browser sends when somebody opens an address.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

/// The policy of a page, as the contract words it.
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
    let page = String::from_utf8(response.body.clone()).unwrap();
    response.expect(!page.contains("{{") && !page.contains("}}"), "a place in the template was not filled");
    page
}

/// The addresses of what a page loads.
fn loaded(page: &str) -> Vec<&str> {
    let attributes = [" src=\"", "stylesheet\" href=\"", "modulepreload\" href=\"", "icon\" href=\""];
    let found = |mark| page.split(mark).skip(1).filter_map(|rest: &str| rest.split('"').next());
    attributes.into_iter().flat_map(found).collect()
}

#[test]
fn a_browser_gets_pages_and_everybody_else_json() {
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
    server.request("PUT", "/").header("Accept", BROWSER).send().expect_code(405, "method_not_allowed");
}

#[test]
fn head_tells_what_get_would_send() {
    let server = Server::start(&[]);
    let paste = server.paste("hello");
    for path in ["/", &paste.path(), "/000000000000", "/static/style.css"] {
        let get = browse(&server, path).send();
        let head = server.request("HEAD", path).header("Accept", BROWSER).send();
        for name in ["Content-Type", "Content-Security-Policy", "Vary"] {
            assert_eq!(head.get(name), get.get(name), "{path}: {name}");
        }
        assert_eq!(head.status, get.status, "{path}");
        // A refusal holds its request's id, all of which are equally long; a page the moment of the last read.
        assert_eq!(head.get("Content-Length"), get.get("Content-Length"), "{path}");
    }
}

#[test]
fn what_is_refused_has_a_page_that_says_so() {
    let server = Server::start(&[]);
    let missing = expect_page(&browse(&server, "/000000000000").send(), 404);
    assert!(missing.contains("There is no such paste.") && missing.contains("expired"), "{missing}");
    let invalid = expect_page(&browse(&server, "/favicon.ico").send(), 400);
    assert!(invalid.contains("That is not a paste id."), "{invalid}");
}

#[test]
fn all_that_a_page_loads_is_here_and_small() {
    let prefix = "/some/where";
    let server = Server::start(&[("FLASKPASTE_URL_PREFIX", prefix)]);
    let id = server.request("POST", prefix).body("hello").created().id;
    let mut bytes = 0;
    for path in [prefix.to_owned(), format!("{prefix}/"), format!("{prefix}/{id}")] {
        let page = expect_page(&browse(&server, &path).send(), 200);
        // Before what it loads, a page fits into the ten segments that a server sends before it waits.
        assert!(page.len() < 14_000, "{path}: {} bytes", page.len());
        let addresses = loaded(&page);
        assert!(addresses.len() > 5, "{addresses:?}");
        for address in addresses {
            assert!(address.starts_with("/some/where/static/"), "{address}");
            let asset = server.get(address).expect_status(200);
            asset.expect(asset.get("Content-Security-Policy").unwrap().starts_with("default-src 'none';"), "policy");
            for imported in String::from_utf8(asset.body.clone()).unwrap().split("from \"./").skip(1) {
                server.get(&format!("{prefix}/static/{}", imported.split('"').next().unwrap())).expect_status(200);
            }
        }
    }
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/web")).unwrap() {
        let file = file.unwrap();
        bytes += file.metadata().unwrap().len();
        let name = file.file_name().into_string().unwrap();
        if file.path().extension().is_none_or(|extension| extension != "html") {
            server.get(&format!("{prefix}/static/{name}")).expect_status(200);
        }
        let text = std::fs::read_to_string(file.path()).unwrap();
        // The name space of SVG is a name, not an address anybody asks.
        for address in text.split("http").skip(1).filter(|rest| rest.starts_with("://") || rest.starts_with("s://")) {
            let is_words = address.starts_with("s:// ") || address.starts_with("s://,");
            assert!(is_words || address.starts_with("://www.w3.org/2000/svg"), "{name}: http{address:.40}");
        }
    }
    assert!(bytes < 60_000, "src/web has {bytes} bytes");
}

#[test]
fn assets_have_their_methods_and_nothing_beside_them() {
    let server = Server::start(&[]);
    let style = server.get("/static/style.css").expect_header("Content-Type", "text/css; charset=utf-8");
    style.expect(!style.body.is_empty(), "a style");
    server.get("/static/create.js").expect_header("Content-Type", "text/javascript; charset=utf-8");
    server.get("/static/icon.svg").expect_header("Content-Type", "image/svg+xml");
    server.request("DELETE", "/static/style.css").send().expect_code(405, "method_not_allowed");
    server.request("OPTIONS", "/static/style.css").send().expect_header("Allow", "GET, HEAD, OPTIONS");
    for path in ["/static/", "/static/nothing.js", "/static/create.html", "/static/../web.rs", "/static/%73tyle.css"] {
        server.get(path).expect_code(404, "not_found");
    }
    server.get("/static").expect_code(400, "invalid_id");
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
    server.get("/static/style.css").expect_code(404, "not_found");
}

#[test]
fn a_page_takes_what_strangers_send_for_text() {
    let server = Server::start(&[]);
    let typed = server.post("hello").header("Content-Type", "text/x\"><script>alert(1)</script>").created();
    let page = expect_page(&browse(&server, &typed.path()).send(), 200);
    assert!(!page.contains("<script>"), "{page}");
    let page = expect_page(&browse(&server, "/<script>alert(1)<%2Fscript>").send(), 400);
    assert!(!page.contains("<script>"), "{page}");
}

#[test]
fn looking_at_the_page_of_a_burn_paste_burns_nothing() {
    let server = Server::start(&[]);
    let paste = server.post("once").header("X-Burn-After-Read", "true").created();
    for _ in 0..3 {
        let page = expect_page(&browse(&server, &paste.path()).send(), 200);
        assert!(!page.contains("once"), "{page}");
    }
    server.get(&paste.raw()).expect_status(200).expect_body("once");
    expect_page(&browse(&server, &paste.path()).send(), 404);
}
