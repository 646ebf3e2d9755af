//! The pages behind a proxy that requires a login: the browser's own dialog (HTTP Basic), or a cookie from another
//! page, as in single sign-on.

use super::browser::Browser;
use super::nginx::{Nginx, is_available};
use super::pages::{create, id_of};
use crate::harness::{Folder, Server};
use serde_json::json;

/// nginx with some directives in front of a server; its address, without a scheme.
fn behind(server: &Server, directives: &str) -> (Nginx, String) {
    let folder = Folder::new();
    std::fs::write(folder.join("logins"), "me:{PLAIN}login\n").unwrap();
    let authority = server.authority();
    let nginx = Nginx::start_with(folder, 1, |ports| {
        format!(
            "server {{ listen 127.0.0.1:{}; {directives}
             location = /login {{ auth_basic off; add_header Set-Cookie session=yes; return 200 in; }}
             location / {{ proxy_pass http://{authority}; proxy_set_header Host $http_host; }} }}\n",
            ports[0]
        )
    });
    let address = nginx.url(0).replace("https://", "");
    (nginx, address)
}

/// Creates, reads with a wrong and the right password, and deletes: all with the login, without another dialog.
#[track_caller]
fn expect_everything_works(browser: &Browser, url: &str, server: &Server) {
    browser.open(url);
    browser.wait_to_see("#create");
    browser.type_into("#text", "behind a login");
    browser.type_into("#password", "word");
    let link = create(browser);
    browser.open(&link);
    for (password, outcome) in [("wrong", "#problem"), ("word", "#text")] {
        browser.wait_to_see("#password");
        browser.run("document.querySelector('#password').value = ''", &[]);
        browser.type_into("#password", password);
        browser.click("#go");
        browser.wait_to_see(outcome);
    }
    browser.click("#delete");
    browser.click("#delete");
    browser.wait_for("document.querySelector('#state').textContent.includes('deleted')");
    server.get(&format!("/{}", id_of(&link))).expect_status(404);
    browser.expect_clean(url, &["status of 403", "favicon.ico"]);
}

#[test]
fn pages_work_behind_basic_authentication() {
    if !is_available() {
        return;
    }
    let server = Server::start(&[("FLASK_ENV", "production"), ("FLASKPASTE_POW_DIFFICULTY", "8")]);
    let Some(browser) = Browser::start() else { return };
    let (_nginx, address) = behind(&server, "auth_basic us; auth_basic_user_file logins;");
    // As if entered in the dialog: the browser sends it from now on.
    browser.open(&format!("http://me:login@{address}/robots.txt"));
    browser.requests();
    expect_everything_works(&browser, &format!("http://{address}"), &server);
}

#[test]
fn pages_work_behind_a_login_cookie_and_report_its_expiry() {
    if !is_available() {
        return;
    }
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let login = "set $in $cookie_session; if ($uri = /login) { set $in yes; }
        if ($in != yes) { return 302 https://login.invalid/; }";
    let (_nginx, address) = behind(&server, login);
    let url = format!("http://{address}");
    browser.open(&format!("{url}/login"));
    expect_everything_works(&browser, &url, &server);
    // It expires while a text is being written, and while a paste is open.
    let paste = server.post("x").header("X-Paste-Password", "word").created();
    browser.open(&format!("{url}{}", paste.path()));
    browser.wait_to_see("#password");
    browser.devtools("Network.clearBrowserCookies", &json!({}));
    browser.type_into("#password", "word");
    browser.click("#go");
    browser.wait_to_see("#problem");
    assert!(browser.text("#problem").contains("Log in to the server"), "{}", browser.text("#problem"));
    browser.open(&format!("{url}/login"));
    browser.open(&url);
    browser.wait_to_see("#create");
    browser.type_into("#text", "not lost");
    browser.devtools("Network.clearBrowserCookies", &json!({}));
    browser.click("#send");
    browser.wait_to_see("#problem");
    assert!(browser.text("#problem").contains("Log in to the server"), "{}", browser.text("#problem"));
    assert_eq!(browser.string("document.querySelector('#text').value"), "not lost");
}
