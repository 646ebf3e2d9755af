//! The example configurations in contrib/ in front of a real server: nginx and Caddy with a test CA.

use super::browser::Browser;
use super::nginx::{self, Nginx, PROXY_SECRET, make_authority, make_server_certificate, openssl};
use super::programs::{find, has};
use crate::client_harness::Client;
use crate::harness::{Folder, SOON, Server, wait_until};
use crate::sealed_format::read;
use serde_json::json;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The limits stated in the examples.
const MAX_AUTH: usize = 52_428_800;

fn contrib(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib").join(name)).unwrap()
}

/// A text with exactly one replacement: fails if the example has no such text.
#[track_caller]
fn change(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from} in {text}");
    text.replace(from, to)
}

fn server(variables: &[(&str, &str)]) -> Server {
    Server::start(&[&[("FLASKPASTE_PROXY_SECRET", PROXY_SECRET)], variables].concat())
}

/// A folder with a CA, a server certificate, a client certificate of the CA, and a foreign one.
fn certificates() -> Folder {
    let folder = Folder::new();
    make_authority(folder.path());
    make_server_certificate(folder.path(), "server", "DNS:localhost", 2);
    make_server_certificate(folder.path(), "known", "DNS:known", 2);
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(
        folder.path(),
        &format!("req -x509 {key} -keyout stranger.key -out stranger.crt -subj /CN=stranger -days 2"),
    );
    folder
}

/// A server behind nginx, and its clients; `None`, with a message, without nginx.
fn behind_nginx(variables: &[(&str, &str)], edit: impl Fn(String) -> String) -> Option<(Server, Nginx, People)> {
    if !has("a test through a proxy", &["nginx", "openssl", "curl"]) {
        return None;
    }
    let (server, certificates) = (server(variables), certificates());
    let folder = certificates.path().to_owned();
    let nginx = start_nginx(&server, certificates, edit);
    let url = nginx.url(1).replace("127.0.0.1", "localhost");
    Some((server, nginx, People { folder, url }))
}

/// nginx with the shipped files, changing only names, paths and ports, and applying `edit`.
fn start_nginx(server: &Server, folder: Folder, edit: impl Fn(String) -> String) -> Nginx {
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let proxy = change(&contrib("nginx/flaskpaste-proxy.conf"), "CHANGE-ME", PROXY_SECRET);
    fs::write(folder.join("flaskpaste-proxy.conf"), proxy).unwrap();
    let snippet = "/etc/nginx/snippets/flaskpaste-proxy.conf";
    let mut text = contrib("nginx/flaskpaste.conf").replace(snippet, &at("flaskpaste-proxy.conf"));
    for (from, to) in [
        ("server 127.0.0.1:5000;", format!("server {};", server.authority())),
        ("/etc/letsencrypt/live/paste.example.org/fullchain.pem", at("server.crt")),
        ("/etc/letsencrypt/live/paste.example.org/privkey.pem", at("server.key")),
        ("/etc/nginx/authority.crt", at("ca.crt")),
        // Only one address family, on free ports.
        ("    listen [::]:80;\n", String::new()),
        ("    listen [::]:443 ssl;\n", String::new()),
    ] {
        text = change(&text, from, &to);
    }
    let is_comment = |line: &str| line.trim_start().starts_with('#');
    assert!(text.lines().all(|line| is_comment(line) || !line.contains("/etc/")), "{text}");
    let text = edit(text.replace("paste.example.org", "localhost"));
    Nginx::start_with(folder, 2, |ports| {
        let text = change(&text, "listen 80;", &format!("listen 127.0.0.1:{};", ports[0]));
        change(&text, "listen 443 ssl;", &format!("listen 127.0.0.1:{} ssl;", ports[1]))
    })
}

/// A client that trusts the CA, with its certificate, at a URL.
struct People {
    folder: PathBuf,
    url: String,
}

impl People {
    fn anonymous(&self) -> Client {
        Client::with_url(&self.url).with("FLASKPASTE_CA_CERT", self.folder.join("ca.crt").to_str().unwrap())
    }

    fn certified(&self, name: &str) -> Client {
        let file = |kind: &str| self.folder.join(format!("{name}.{kind}")).to_str().unwrap().to_owned();
        self.anonymous().with("FLASKPASTE_CLIENT_CERT", &file("crt")).with("FLASKPASTE_CLIENT_KEY", &file("key"))
    }

    /// curl's output: the body, and the status after it. Caddy truncates the body of some refusals.
    fn curl(&self, path: &str, arguments: &[&str]) -> (String, String) {
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "60", "-w", "\n%{http_code}", "--cacert"]).arg(self.folder.join("ca.crt"));
        let output = command.args(arguments).arg(format!("{}{path}", self.url)).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (body.to_owned(), status.to_owned())
    }
}

fn is_known(person: &Client) -> bool {
    person.run(&["info"]).succeeded().text().contains("authenticated")
}

#[test]
fn nginx_limits_floods_and_serves_metrics_only_locally() {
    let Some((server, _nginx, people)) = behind_nginx(&[("FLASKPASTE_METRICS", "1")], |text| text) else { return };
    assert_eq!(people.curl("/metrics", &[]).1, "403");
    server.get("/metrics").expect_status(200);
    let pastes: Vec<(String, String)> =
        (0..40).map(|n| people.curl("/", &["--data-binary", &format!("paste {n}")])).collect();
    let refused: Vec<&String> = pastes.iter().filter(|(_, status)| status == "429").map(|(body, _)| body).collect();
    assert!((10..=20).contains(&refused.len()), "{} of 40 were refused", refused.len());
    let refusal: serde_json::Value = serde_json::from_str(refused[0]).unwrap();
    assert_eq!(refusal["code"], "rate_limited");
    // Reading still works.
    let first: serde_json::Value = serde_json::from_str(&pastes[0].0).unwrap();
    for _ in 0..60 {
        assert_eq!(people.curl(first["raw"].as_str().unwrap(), &[]).1, "200");
    }
}

#[test]
fn nginx_sets_the_client_identity_and_drops_forged_headers() {
    let Some((server, _nginx, people)) = behind_nginx(&[], |text| text) else { return };
    let fingerprint = |name: &str| {
        let text = openssl(&people.folder, &format!("x509 -in {name}.crt -noout -fingerprint -sha1"));
        text.trim().split_once('=').unwrap().1.to_owned()
    };

    let (owner, stranger, anonymous) = (people.certified("known"), people.certified("stranger"), people.anonymous());
    assert!(is_known(&owner) && is_known(&stranger) && !is_known(&anonymous));
    let link = owner.create("mine", &[]);
    let id = link.rsplit_once('/').unwrap().1.split_once('#').unwrap().0.to_owned();
    assert!(link.starts_with(&people.url), "the link names the proxy: {link}");
    assert_eq!(anonymous.run(&["get", &link]).succeeded().text(), "mine");

    // A foreign certificate, and a forged owner header, are refused.
    stranger.run(&["delete", &id]).failed(4);
    let liar = anonymous.with("FLASKPASTE_CERT_SHA1", &fingerprint("known").replace(':', "").to_lowercase());
    assert!(!is_known(&liar));
    liar.run(&["delete", &id]).failed(4);
    let spoofed = [format!("X-SSL-Client-SHA1: {}", fingerprint("known")), format!("X-Proxy-Secret: {PROXY_SECRET}")];
    let (body, status) = people.curl(&format!("/{id}"), &["-X", "DELETE", "-H", &spoofed[0], "-H", &spoofed[1]]);
    assert!(status == "401" && body.contains("auth_required"), "{status} {body}");
    // Twice, and in other spellings.
    let (body, _) =
        people.curl("/", &["-H", &spoofed[0], "-H", &spoofed[0].to_lowercase(), "-H", "x_ssl_client_sha1: a"]);
    assert!(body.contains("\"authenticated\":false"), "{body}");
    // The client address is set by the proxy too.
    people.curl("/robots.txt", &["-H", "X-Forwarded-For: 192.0.2.9"]);
    wait_until("the request is in the log", SOON, || server.log().contains("/robots.txt"));
    assert!(!server.log().contains("192.0.2.9"), "{}", server.log());
    owner.run(&["delete", &id]).succeeded();
    anonymous.run(&["get", &link]).failed(3);
}

/// A static file through a proxy: unchanged, compressed for clients that accept it; other responses are not.
#[track_caller]
fn expect_static_files(people: &People, prefix: &str) {
    let (page, _) = people.curl(&format!("{prefix}/"), &["-H", "Accept: text/html"]);
    let path = page.split("stylesheet\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(path.starts_with(&format!("{prefix}/static/style.")), "{path}");
    let head = |path: &str, accept: &str| {
        let arguments = ["-D", "-", "-o", "/dev/null", "-H", "Accept-Encoding: gzip", "-H", accept];
        people.curl(path, &arguments).0.to_ascii_lowercase()
    };
    let file = head(path, "Accept: */*");
    for line in
        ["cache-control: public, max-age=31536000, immutable", "content-encoding: gzip", "vary: accept-encoding"]
    {
        assert_eq!(file.matches(line).count(), 1, "{line}: {file}");
    }
    assert!(!file.contains("pragma"), "{file}");
    let (unpacked, _) = people.curl(path, &["--compressed"]);
    assert_eq!(unpacked, people.curl(path, &[]).0);
    for accept in ["Accept: text/html", "Accept: application/json"] {
        let other = head(&format!("{prefix}/"), accept);
        assert!(other.contains("cache-control: no-store") && !other.contains("content-encoding"), "{other}");
    }
    assert_eq!(people.curl(&format!("{prefix}/static/style.css"), &[]).1, "404");
}

#[test]
fn nginx_passes_static_files_with_caching_and_compression() {
    let Some((_server, _nginx, people)) = behind_nginx(&[], |text| text) else { return };
    expect_static_files(&people, "");
    let Some((_server, _nginx, people)) = behind_nginx_below_a_prefix() else { return };
    expect_static_files(&people, "/paste");
    // Other content on the host keeps its own files.
    let (body, status) = people.curl("/other/static/style.css", &[]);
    assert!(status == "404" && !body.contains("request_id"), "{body}");
}

#[test]
fn nginx_redirects_http_to_https() {
    let Some((_server, nginx, mut people)) = behind_nginx(&[], |text| text) else { return };
    people.url = nginx.url(0).replace("https://127.0.0.1", "http://localhost");
    let (headers, status) = people.curl("/abcd", &["-o", "/dev/null", "-D", "-"]);
    assert!(status == "301" && headers.contains("Location: https://localhost/abcd"), "{headers}");
}

#[test]
fn nginx_passes_bodies_up_to_the_servers_limit() {
    let Some((_server, _nginx, people)) = behind_nginx(&[], |text| text) else { return };
    let path = &people.folder;
    let file = path.join("large");
    fs::write(&file, vec![b'x'; MAX_AUTH]).unwrap();
    let data = format!("@{}", file.display());
    let certificate =
        ["--cert", path.join("known.crt").to_str().unwrap(), "--key", path.join("known.key").to_str().unwrap()]
            .map(str::to_owned);
    let upload: Vec<&str> = certificate.iter().map(String::as_str).chain(["--data-binary", &data]).collect();
    let (body, status) = people.curl("/", &upload);
    assert!(status == "201" && body.contains(&format!("\"size\":{MAX_AUTH}")), "{status} {body}");
    let created: serde_json::Value = serde_json::from_str(&body).unwrap();
    let copy = path.join("copy");
    people.curl(created["raw"].as_str().unwrap(), &["-o", copy.to_str().unwrap()]);
    assert!(fs::read(&copy).unwrap() == fs::read(&file).unwrap());
    // Without the certificate the server refuses it, and the refusal passes through nginx.
    let (body, status) = people.curl("/", &["--data-binary", &data]);
    assert!(status == "413" && body.contains("\"authenticated\":false"), "{status} {body}");
    // One byte more, and nginx refuses it, with the same text.
    fs::write(&file, vec![b'x'; MAX_AUTH + 1]).unwrap();
    let (body, status) = people.curl("/", &upload);
    let refusal: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status.as_str(), &refusal["code"], &refusal["max_size"]),
        ("413", &"too_large".into(), &MAX_AUTH.into())
    );
    people.certified("known").pipe(fs::read(&file).unwrap(), &["-E"]).failed(5);
}

#[test]
fn nginx_can_require_certificates_of_one_authority() {
    let edit = |text: String| {
        let text = change(&text, "    default $ssl_client_fingerprint;\n", "");
        let text = change(&text, "    #SUCCESS ", "    SUCCESS ");
        let text = change(&text, "    #default ", "    default ");
        change(&text, "    #ssl_client_certificate ", "    ssl_client_certificate ")
    };
    let Some((_server, _nginx, people)) = behind_nginx(&[], edit) else { return };
    assert!(is_known(&people.certified("known")));
    // The foreign certificate is served as anonymous.
    assert!(!is_known(&people.certified("stranger")));
    assert!(!is_known(&people.anonymous()));
}

/// The same under a prefix, next to other content.
fn behind_nginx_below_a_prefix() -> Option<(Server, Nginx, People)> {
    behind_nginx(&[("FLASKPASTE_URL_PREFIX", "/paste")], |text| {
        change(&text, "    location / {", "    location = /other { return 200 other; }\n    location /paste {")
    })
}

#[test]
fn nginx_serves_a_prefix_next_to_other_content() {
    let Some((_server, _nginx, people)) = behind_nginx_below_a_prefix() else { return };
    assert_eq!(people.curl("/other", &[]), ("other".into(), "200".into()));
    assert_eq!(people.curl("/paste/health", &[]).1, "200");
    let below = People { folder: people.folder.clone(), url: format!("{}/paste", people.url) };
    let owner = below.certified("known");
    let link = owner.create("below", &[]);
    assert!(link.starts_with(&format!("{}/", below.url)), "{link}");
    assert_eq!(below.anonymous().run(&["get", &link]).succeeded().text(), "below");
    owner.run(&["delete", &link]).succeeded();
}

#[test]
fn the_pages_work_through_nginx_under_a_prefix() {
    let Some((server, _nginx, people)) = behind_nginx_below_a_prefix() else { return };
    // The test CA is not in the browser's trust store.
    let Some(browser) = Browser::start_with(&["--ignore-certificate-errors"], &json!({})) else { return };
    let url = format!("{}/paste", people.url);
    browser.open(&url);
    assert!(
        browser.text("main").contains(&format!("curl --data-binary @notes.txt {url}/")),
        "{}",
        browser.text("main")
    );
    browser.type_into("#text", "through a proxy");
    browser.type_into("#password", "word");
    browser.click("#send");
    browser.wait_to_see("#result");
    let link = browser.string("document.querySelector('#link').value");
    assert!(link.starts_with(&format!("{url}/")), "{link}");
    browser.open(&link);
    browser.wait_to_see("#password");
    browser.type_into("#password", "word");
    browser.click("#go");
    browser.wait_for("document.querySelector('.line')?.textContent === 'through a proxy\\n'");
    browser.expect_clean(&url, &[]);
    assert_eq!(read(&server, &link, Some("word")).files, [b"through a proxy"]);
}

/// Requests of curl and of owners pass a proxy: methods, forms, names and tokens, and nobody can forge the client
/// address.
#[track_caller]
fn expect_ways_in(server: &Server, people: &People) {
    let token = String::from_utf8(server.run(&["token", "add", "ci"]).stdout).unwrap();
    let bearer = format!("Authorization: Bearer {}", token.trim_end());
    let file = people.folder.join("notes.txt");
    fs::write(&file, "through a proxy").unwrap();
    let file = file.to_str().unwrap();
    let form = format!("file=@{file};type=text/plain");
    for arguments in [["-T", file], ["-F", &form]] {
        let (link, status) = people.curl("/", &[&arguments[..], &["-H", &bearer]].concat());
        assert_eq!(status, "201", "{link}");
        let id = link.trim_end().rsplit('/').next().unwrap().to_owned();
        let (raw, _) = people.curl(&format!("/{id}/raw"), &[]);
        assert_eq!(raw, "through a proxy");
        let (patched, status) = people.curl(&format!("/{id}"), &["-X", "PATCH", "-H", &bearer, "-H", "X-Expiry: 60"]);
        assert!(status == "200" && patched.contains("\"filename\":\"notes.txt\""), "{patched}");
        let replaced = people.curl(&format!("/{id}/raw"), &["-X", "PUT", "-H", &bearer, "--data-binary", "new"]);
        assert_eq!(replaced.1, "200", "{}", replaced.0);
    }
    let (pastes, _) = people.curl("/pastes", &["-H", &bearer]);
    assert_eq!(pastes.matches("token:ci").count(), 2, "{pastes}");
    let (refused, status) = people.curl("/", &["-H", "Authorization: Bearer fpt_x"]);
    assert!(status == "401" && refused.contains("token_invalid"), "{refused}");
    let (security, _) = people.curl("/.well-known/security.txt", &[]);
    assert!(security.starts_with("Contact: mailto:abuse@example.org\n"), "{security}");
}

const CONTACT: (&str, &str) = ("FLASKPASTE_CONTACT", "abuse@example.org");

#[test]
fn nginx_passes_put_and_form_uploads() {
    let Some((server, _nginx, people)) = behind_nginx(&[CONTACT], |text| text) else { return };
    expect_ways_in(&server, &people);
}

/// Caddy, ended on drop.
struct Caddy(Child);

impl Drop for Caddy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn caddy_passes_the_secret_and_no_fingerprint() {
    if !has("a test through a proxy", &["caddy", "openssl", "curl"]) {
        return;
    }
    for (file, name, upstream) in [
        ("caddy/Caddyfile", "paste.example.org {", "127.0.0.1:5000"),
        ("compose/compose.Caddyfile", "{$PASTE_HOST} {", "paste:5000"),
    ] {
        expect_caddy(file, name, upstream);
    }
}

/// Caddy with a shipped file, changing only the site name and the server's address.
#[track_caller]
fn expect_caddy(file: &str, name: &str, upstream: &str) {
    let (server, folder) = (server(&[CONTACT]), certificates());
    let port = nginx::free_ports(1)[0];
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let site = format!("https://localhost:{port} {{\n\ttls {} {}", at("server.crt"), at("server.key"));
    let text = change(&contrib(file), name, &site);
    let text = change(&text, upstream, &server.authority());
    fs::write(folder.join("Caddyfile"), format!("{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{text}"))
        .unwrap();
    let mut command = Command::new(find("caddy").unwrap());
    command
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(folder.join("Caddyfile"))
        .env("HOME", folder.path());
    command.env("XDG_DATA_HOME", folder.path()).env("FLASKPASTE_PROXY_SECRET", PROXY_SECRET);
    let mut caddy = Caddy(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    wait_until("Caddy is listening", SOON, || {
        assert!(caddy.0.try_wait().unwrap().is_none(), "Caddy has exited");
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let people = People { folder: folder.path().to_owned(), url: format!("https://localhost:{port}") };
    let person = people.anonymous();
    let link = person.create("through Caddy", &[]);
    assert!(link.starts_with(&people.url), "the proxy is trusted about https: {link}");
    assert_eq!(person.run(&["get", &link]).succeeded().text(), "through Caddy");
    person.run(&["delete", &link]).succeeded();
    let fingerprint = format!("X-SSL-Client-SHA1: {}", "a".repeat(40));
    let (body, _) = people.curl("/", &["-H", &fingerprint, "-H", "X-Proxy-Secret: guess"]);
    assert!(body.contains("\"authenticated\":false"), "{body}");
    expect_ways_in(&server, &people);
    let file = folder.join("large");
    fs::write(&file, vec![b'x'; MAX_AUTH + 1]).unwrap();
    assert_eq!(people.curl("/", &["--data-binary", &format!("@{}", file.display())]).1, "413");
    assert_eq!(people.curl("/metrics", &[]).1, "403");
    expect_static_files(&people, "");
}
