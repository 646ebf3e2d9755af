//! `fpaste verify` against real servers and a server that modifies the responses of a real one.

use crate::client_harness::{Client, Run};
use crate::client_network::{Stub, reply};
use crate::harness::Server;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request.
struct Asked<'a> {
    path: &'a str,
    /// The head of the request.
    head: &'a str,
    /// How often the same request was made, including this time.
    times: usize,
}

impl Asked<'_> {
    /// Whether it is for a file with this stem.
    fn is_file(&self, stem: &str) -> bool {
        self.path.contains(&format!("/static/{stem}."))
    }
}

/// A response: status line and headers, without the length, and the body.
#[derive(Clone)]
struct Answer {
    head: String,
    body: Vec<u8>,
    /// Whether the body is endless.
    is_endless: bool,
}

impl Answer {
    /// The response of the real server.
    fn fetch(peer: &str, head: &str) -> Self {
        let mut socket = TcpStream::connect(peer).unwrap();
        let request = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        socket.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines: Vec<&str> = head.split("\r\n").collect();
        lines.retain(|line| !line.starts_with("Content-Length") && *line != "Connection: close");
        let head = lines.join("\r\n") + "\r\n";
        Self { head, body: bytes[end + 4..].to_vec(), is_endless: false }
    }

    fn replace(&mut self, from: &str, to: &str) {
        let text = String::from_utf8(self.body.clone()).unwrap();
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from} not found");
        self.body = changed.into_bytes();
    }

    fn add_header(&mut self, line: &str) {
        self.head += line;
        self.head += "\r\n";
    }

    fn replace_header(&mut self, name: &str, line: &str) {
        let start = format!("{name}: ");
        let lines = self.head.split_inclusive("\r\n");
        let kept: String = lines.filter(|known| !known.starts_with(&start)).collect();
        assert_ne!(kept, self.head, "{name} not found");
        self.head = kept + line;
    }
}

/// A server in front of a real one that modifies some of its responses.
struct Hostile {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Hostile {
    fn new(server: &Server, change: impl Fn(&Asked<'_>, &mut Answer) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (peer, change, heads) = (server.authority(), Arc::new(change), Arc::new(Mutex::new(Vec::new())));
        let known = Arc::new(Mutex::new(HashMap::<String, (usize, Answer)>::new()));
        let recorded = Arc::clone(&heads);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (peer, change) = (peer.clone(), Arc::clone(&change));
                let (known, recorded) = (Arc::clone(&known), Arc::clone(&recorded));
                std::thread::spawn(move || {
                    serve(socket, |head| {
                        recorded.lock().unwrap().push(head.to_owned());
                        // For static files, one response of the real server is enough.
                        let found = known.lock().unwrap().get(head).cloned();
                        let (times, real) = found.unwrap_or_else(|| (0, Answer::fetch(&peer, head)));
                        known.lock().unwrap().insert(head.to_owned(), (times + 1, real.clone()));
                        let path = head.split(' ').nth(1).unwrap();
                        let mut answer = real;
                        change(&Asked { path, head, times: times + 1 }, &mut answer);
                        answer
                    });
                });
            }
        });
        Self { url, heads }
    }

    fn client(&self) -> Client {
        Client::with_url(&self.url)
    }
}

/// Serves a connection until the other end closes it.
fn serve(mut socket: TcpStream, answer: impl Fn(&str) -> Answer) -> Option<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if socket.read(&mut byte).ok()? == 0 {
                return None;
            }
            head.push(byte[0]);
        }
        let answer = answer(&String::from_utf8(head).unwrap());
        if answer.is_endless {
            socket.write_all(format!("{}Connection: close\r\n\r\n", answer.head).as_bytes()).ok()?;
            while socket.write_all(&[b' '; 4096]).is_ok() {}
            return None;
        }
        let head = format!("{}Content-Length: {}\r\n\r\n", answer.head, answer.body.len());
        socket.write_all(&[head.as_bytes(), &answer.body].concat()).ok()?;
    }
}

/// The differences that a run printed on stdout.
#[track_caller]
fn differences(run: &Run) -> Vec<String> {
    let text = run.text();
    assert_eq!(run.code, Some(1), "{text}{}", run.stderr);
    assert!(run.stderr.contains("error: the pages of http"), "{text}{}", run.stderr);
    assert!(!text.contains("are those of"), "{text}");
    text.lines().map(str::to_owned).collect()
}

/// Expects one difference, at a path with this prefix.
#[track_caller]
fn expect_one(run: &Run, path: &str, what: &str) -> String {
    let found = differences(run);
    assert!(found.len() == 1 && found[0].starts_with(path) && found[0].contains(what), "{found:#?}");
    found[0].clone()
}

#[track_caller]
fn expect_same(run: Run) {
    let text = run.succeeded().text();
    assert!(text.contains(&format!(" are those of flaskpaste {}\n", env!("CARGO_PKG_VERSION"))), "{text}");
    assert!(text.contains("in 6 languages"), "{text}");
}

#[test]
fn real_servers_pass_verification() {
    for variables in [
        &[][..],
        &[("FLASKPASTE_URL_PREFIX", "/some/where"), ("FLASKPASTE_CONTACT", "abuse@example.org")],
        &[("FLASKPASTE_CONTACT", "https://x.example/report?a=1&b=2#c"), ("FLASKPASTE_HSTS", "off")],
        &[("FLASKPASTE_MIN_ENTROPY", "6"), ("FLASKPASTE_POW_DIFFICULTY", "20"), ("FLASK_ENV", "production")],
    ] {
        let server = Server::start(variables);
        let prefix = variables.iter().find(|(name, _)| name.ends_with("PREFIX")).map_or("", |(_, prefix)| prefix);
        let client = Client::with_url("http://localhost:1");
        expect_same(client.run(&["verify", &format!("http://{}{prefix}", server.authority())]));
    }
}

#[test]
fn the_page_of_a_link_is_verified_for_every_kind_of_paste() {
    let server = Server::start(&[("FLASKPASTE_URL_PREFIX", "/p"), ("FLASKPASTE_CONTACT", "https://x.example/?a=1")]);
    let client = Client::with_url(&format!("http://{}/p", server.authority()));
    client.file("password", "a password\n");
    let ask = client.run(&["ask", "--no-wait", "a label"]).succeeded().line();
    for link in [
        client.create("text", &[]),
        client.create("text", &["-b"]),
        client.create("text", &["-E"]),
        client.create("text", &["-E", "--password-file", "password"]),
        ask.clone(),
        format!("http://{}/p/0123456789ab#not-a-key", server.authority()),
    ] {
        expect_same(client.run(&["verify", &link]));
    }
    // Nothing was read.
    let id = client.create("text", &["-b", "-q"]);
    expect_same(client.run(&["verify", id.split('#').next().unwrap()]));
    assert_eq!(client.run(&["get", &id]).succeeded().text(), "text");
}

#[test]
fn servers_without_verifiable_pages_are_refused() {
    let run = |url: &str| Client::with_url("http://localhost:1").run(&["verify", url]).failed(1);
    let server = Server::start(&[("FLASKPASTE_WEB", "0")]);
    assert!(run(&format!("http://{}", server.authority())).contains("has no pages"));
    let stub = Stub::new(|_| reply("200 OK", "Content-Type: text/html\r\n", "<h1>Welcome to nginx</h1>"));
    assert!(run(&stub.url).contains("does not look like a flaskpaste server"));
    let stub = Stub::new(|_| reply("301 Moved", "Location: https://x.example/\r\n", ""));
    assert!(run(&stub.url).contains("redirects to https://x.example/"));
    let stub = Stub::new(|_| reply("404 Not Found", "", ""));
    assert!(run(&stub.url).contains("does not look like a flaskpaste server"));
    let client = Client::with_url("http://localhost:1");
    let stub = Stub::new(|_| reply("502 Bad Gateway", "", ""));
    client.run(&["verify", &stub.url]).failed(7);
    let stub = Stub::new(|_| reply("401 Unauthorized", "", ""));
    client.run(&["verify", &stub.url]).failed(4);
    client.run(&["verify"]).failed(7);
    let proxied = client.with("http_proxy", "http://127.0.0.1:1");
    let stderr = proxied.run(&["verify", "http://paste.example"]).failed(7);
    assert!(stderr.contains("warning: http://paste.example does not use https"), "{stderr}");
    client.run(&["verify", "nonsense"]).failed(2);
    client.run(&["verify", "http://a.example", "http://b.example"]).failed(2);
    client.run(&["verify", "-s", "http://a.example", "http://b.example"]).failed(2);
}

#[test]
fn a_failed_fetch_is_not_a_success() {
    let server = Server::start(&[]);
    let hostile = Hostile::new(&server, |asked, answer| {
        if asked.is_file("qr") && asked.times == 2 {
            answer.head = "HTTP/1.1 502 Bad Gateway\r\n".into();
        }
    });
    hostile.client().run(&["verify"]).failed(7);
    // Browsers show the page of a server that says it is busy, so it is not skipped in favour of the next one.
    let hostile = Hostile::new(&server, |asked, answer| {
        if asked.path == "/ask" && asked.times == 1 {
            answer.head = answer.head.replacen("200 OK", "503 Busy", 1);
            answer.add_header("Retry-After: 1");
        }
    });
    hostile.client().run(&["verify"]).failed(6);
}

#[test]
fn other_addresses_of_the_server_are_detected() {
    let server = Server::start(&[("FLASKPASTE_PUBLIC_URL", "https://elsewhere.example")]);
    let found = differences(&Client::new(&server).run(&["verify"]));
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(
        found.iter().all(|line| line.contains("names a different server address: https://elsewhere.example (")),
        "{found:#?}"
    );
}

#[test]
fn verification_requests_look_like_those_of_a_browser() {
    let server = Server::start(&[]);
    let link = Client::new(&server).create("text", &[]);
    let (path, key) = link.rsplit_once('/').unwrap().1.split_once('#').unwrap();
    let hostile = Hostile::new(&server, |_, _| {});
    let client = hostile
        .client()
        .with("FLASKPASTE_CERT_SHA1", &"ab".repeat(20))
        .with("FLASKPASTE_TOKEN", &format!("fpt_{}", "k".repeat(43)));
    expect_same(client.run(&["verify", &format!("{}/{path}#{key}", hostile.url)]));
    let heads = hostile.heads.lock().unwrap().join("\n").to_ascii_lowercase();
    for word in ["fpaste/", "ureq", "ssl-client", "authorization", "fpt_", &key.to_ascii_lowercase()] {
        assert!(!heads.contains(word), "{word}");
    }
    for word in ["gecko/20100101 firefox/", " chrome/", "cookie: flaskpaste_language=pl", "accept-language: zh-cn,"] {
        assert!(heads.contains(word), "{word}");
    }
}

#[test]
fn one_changed_byte_in_a_script_is_detected() {
    let server = Server::start(&[]);
    let flip = |answer: &mut Answer| answer.body[10] ^= 1;
    let everywhere = Hostile::new(&server, move |asked, answer| {
        if asked.is_file("keys") {
            flip(answer);
        }
    });
    let found = expect_one(&everywhere.client().run(&["verify"]), "/static/keys.", "the content differs");
    assert!(found.contains(" more)"), "{found}");
    let with_cookie = Hostile::new(&server, move |asked, answer| {
        if asked.is_file("seal") && asked.head.to_lowercase().contains("cookie:") {
            flip(answer);
        }
    });
    let found = expect_one(&with_cookie.client().run(&["verify"]), "/static/seal.", "the content differs");
    assert!(found.contains("with Cookie: flaskpaste_language="), "{found}");
    let second_time = Hostile::new(&server, move |asked, answer| {
        if asked.is_file("solver") && asked.times == 2 && asked.head.contains("Chrome/") {
            flip(answer);
        }
    });
    let found = expect_one(&second_time.client().run(&["verify"]), "/static/solver.", "the content differs");
    assert!(found.contains("Chrome with") && found.contains("second time"), "{found}");
    let one_language = Hostile::new(&server, move |asked, answer| {
        if asked.is_file("page") && asked.head.to_lowercase().contains("accept-language: pl,") {
            flip(answer);
        }
    });
    let found = expect_one(&one_language.client().run(&["verify"]), "/static/page.", "the content differs");
    assert!(found.contains("Accept-Language: pl,"), "{found}");
    let worker = Hostile::new(&server, move |asked, answer| {
        if asked.head.to_lowercase().contains("sec-fetch-dest: worker") {
            flip(answer);
        }
    });
    expect_one(&worker.client().run(&["verify"]), "/static/solver.", "the content differs");
    let words = Hostile::new(&server, move |asked, answer| {
        if asked.is_file("zh-Hans") {
            flip(answer);
        }
    });
    expect_one(&words.client().run(&["verify"]), "/static/zh-Hans.", "the content differs");
}

#[test]
fn a_different_file_under_a_known_name_is_detected() {
    let server = Server::start(&[]);
    let hostile = Hostile::new(&server, |asked, answer| {
        if asked.is_file("seal") {
            answer.body = b"export const seal = fetch;\n".to_vec();
        }
        if asked.is_file("icon") {
            answer.replace_header("Content-Type", "Content-Type: text/html\r\n");
        }
        if asked.is_file("qr") {
            answer.head = answer.head.replacen("200 OK", "404 Not Found", 1);
        }
    });
    let found = differences(&hostile.client().run(&["verify"])).join("\n");
    for said in ["/static/seal.", "the content differs", "the header content-type differs", "status 404"] {
        assert!(found.contains(said), "{said}: {found}");
    }
}

/// Expects that a change of the create page for one browser is detected in that page and nowhere else.
#[track_caller]
fn expect_found(server: &Server, what: &str, change: impl Fn(&mut Answer) + Send + Sync + 'static) {
    let hostile = Hostile::new(server, move |asked, answer| {
        if asked.path == "/" && asked.head.contains("Chrome/") {
            change(answer);
        }
    });
    expect_one(&hostile.client().run(&["verify"]), "/:", what);
}

const OTHERS: &str = "the text or markup differs";

#[test]
fn an_added_script_is_detected() {
    let server = Server::start(&[("FLASKPASTE_CONTACT", "abuse@example.org")]);
    let script = "<script src=\"/static/evil.js\"></script>";
    for from in ["</head>", "</main>", "</body>", "<body data-view=", "<title>", "</title>", "</footer>"] {
        expect_found(&server, OTHERS, move |answer| answer.replace(from, &format!("{script}{from}")));
    }
    expect_found(&server, OTHERS, |answer| answer.body.extend(b"<script>alert(1)</script>"));
    expect_found(&server, OTHERS, |answer| answer.replace("<html ", "<html manifest=x "));
}

#[test]
fn markup_in_variable_fields_is_detected() {
    let server = Server::start(&[("FLASKPASTE_CONTACT", "abuse@example.org")]);
    expect_found(&server, OTHERS, |answer| answer.replace(">abuse@example.org<", "><b>abuse@example.org</b><"));
    expect_found(&server, OTHERS, |answer| {
        answer.replace("href=\"mailto:abuse@example.org\"", "href=\"//evil.example\"");
    });
    expect_found(&server, OTHERS, |answer| {
        answer.replace("href=\"mailto:abuse@example.org\"", "href=\"javascript:x\"");
    });
    expect_found(&server, OTHERS, |answer| answer.replace("}\">\n<header", "}\" onload=\"x\">\n<header"));
    expect_found(&server, "a different contact", |answer| {
        answer.replace(" data-answer=\"{", " data-answer=\"{}\" onload=\"{");
    });
    expect_found(&server, OTHERS, |answer| answer.replace(" data-answer=\"{", " data-answer=\"<b>{"));
    expect_found(&server, OTHERS, |answer| answer.replace("data-prefix=\"\"", "data-prefix=\"//evil.example\""));
    expect_found(&server, OTHERS, |answer| answer.replace("src=\"/static/", "src=\"//evil.example/static/"));
    expect_found(&server, "names a different server address: http://evil", |answer| {
        answer.replace("data-url=\"http://127", "data-url=\"http://evil127");
    });
}

#[test]
fn an_invalid_contact_is_detected_even_if_the_whole_page_agrees() {
    let server = Server::start(&[("FLASKPASTE_CONTACT", "abuse@example.org")]);
    let hostile = Hostile::new(&server, |asked, answer| {
        if !asked.path.contains("/static/") {
            let text = String::from_utf8(answer.body.clone()).unwrap();
            answer.body = text.replace("mailto:abuse@example.org", "javascript:abuse@example.org").into_bytes();
        }
    });
    let found = differences(&hostile.client().run(&["verify"]));
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found.iter().any(|line| line.contains("or an invalid one: javascript:abuse")), "{found:#?}");
}

#[test]
fn a_different_contact_or_id_in_the_response_is_detected() {
    let server = Server::start(&[("FLASKPASTE_CONTACT", "abuse@example.org")]);
    let hostile = Hostile::new(&server, |asked, answer| {
        if asked.path == "/ask" {
            answer.replace("mailto:abuse@example.org&quot;", "mailto:evil@example.org&quot;");
        }
    });
    expect_one(
        &hostile.client().run(&["verify"]),
        "/ask:",
        "names a different contact than the first page, or an invalid one: mailto:evil@",
    );
    let id = server.paste("text").id;
    let own = id.clone();
    let hostile = Hostile::new(&server, move |asked, answer| {
        if asked.path == format!("/{own}") {
            answer.replace(&format!("&quot;id&quot;:&quot;{own}"), "&quot;id&quot;:&quot;../evil");
        }
    });
    let run = hostile.client().run(&["verify", &format!("{}/{id}", hostile.url)]);
    expect_one(&run, &format!("/{id}:"), "the answer is for a different ID: ../evil");
}

#[test]
fn a_weaker_content_security_policy_is_detected() {
    let server = Server::start(&[]);
    let policy = "Content-Security-Policy";
    expect_found(&server, "content-security-policy is missing", move |answer| answer.replace_header(policy, ""));
    expect_found(&server, "content-security-policy differs", move |answer| {
        answer.replace_header(policy, "Content-Security-Policy: script-src 'self' https:\r\n");
    });
    expect_found(&server, "content-security-policy appears more than once", move |answer| {
        answer.add_header("Content-Security-Policy: default-src *");
    });
    expect_found(&server, "x-content-type-options is missing", |answer| {
        answer.replace_header("X-Content-Type-Options", "");
    });
    expect_found(&server, "cross-origin-opener-policy differs", |answer| {
        answer.replace_header("Cross-Origin-Opener-Policy", "Cross-Origin-Opener-Policy: unsafe-none\r\n");
    });
    expect_found(&server, "content-type differs", |answer| {
        answer.replace_header("Content-Type", "Content-Type: text/html; charset=utf-7\r\n");
    });
}

#[test]
fn extra_headers_that_browsers_obey_are_detected() {
    let server = Server::start(&[]);
    let headers =
        ["Refresh: 0; url=//evil.example", "Link: </evil.js>; rel=preload", "Set-Cookie: a=b", "Content-Encoding: br"];
    for line in headers {
        let name = line.split(':').next().unwrap().to_lowercase();
        expect_found(&server, &format!("the header {name} should not be there"), move |answer| answer.add_header(line));
    }
    let hostile = Hostile::new(&server, |asked, answer| {
        if asked.is_file("solver") {
            answer.add_header("Service-Worker-Allowed: /");
        }
    });
    expect_one(&hostile.client().run(&["verify"]), "/static/solver.", "service-worker-allowed should not be there");
}

#[test]
fn content_hidden_between_chunks_is_detected() {
    let server = Server::start(&[]);
    let found = "the headers leave open where the content ends";
    // Whoever believes the length takes the extension of the chunk for markup.
    expect_found(&server, found, |answer| {
        let (first, rest) = answer.body.split_at(1);
        let size = format!("\r\n{:x}\r\n", rest.len());
        let chunks = [b"1;<script src=/e>\r\n", first, size.as_bytes(), rest, b"\r\n0\r\n\r\n"];
        answer.body = chunks.concat();
        answer.add_header("Transfer-Encoding: chunked");
    });
}

#[test]
fn a_redirect_is_detected() {
    let server = Server::start(&[]);
    let hostile = Hostile::new(&server, |asked, answer| {
        if asked.path == "/ask" && asked.head.contains("Firefox/") {
            answer.head = "HTTP/1.1 302 Found\r\nLocation: https://evil.example/ask#key\r\n".into();
        }
    });
    expect_one(&hostile.client().run(&["verify"]), "/ask:", "redirects to https://evil.example/ask (status 302) (");
}

#[test]
fn an_endless_response_is_detected() {
    let server = Server::start(&[]);
    let hostile = Hostile::new(&server, |asked, answer| {
        if asked.is_file("zip") {
            answer.is_endless = true;
        }
    });
    expect_one(&hostile.client().run(&["verify"]), "/static/zip.", "larger than any page");
    let hostile = Hostile::new(&server, |_, answer| answer.is_endless = true);
    hostile.client().run(&["verify"]).failed(1);
}

#[test]
fn a_page_changed_for_one_link_is_detected_only_with_that_link() {
    let server = Server::start(&[]);
    let id = server.paste("text").id;
    let changed = id.clone();
    let hostile = Hostile::new(&server, move |asked, answer| {
        if asked.path == format!("/{changed}") {
            answer.replace("</main>", "<script src=\"/evil.js\"></script></main>");
        }
    });
    // Without the link it is not found, as docs/trust.md says.
    expect_same(hostile.client().run(&["verify"]));
    expect_one(&hostile.client().run(&["verify", &format!("{}/{id}#key", hostile.url)]), &format!("/{id}:"), OTHERS);
}

#[test]
fn a_page_of_another_kind_or_language_is_detected() {
    let server = Server::start(&[]);
    let (peer, id) = (server.authority(), server.paste("text").id);
    let hostile = Hostile::new(&server, move |asked, answer| {
        if asked.path == "/ask" {
            *answer = Answer::fetch(&peer, &asked.head.replacen("/ask", "/", 1));
        }
    });
    expect_one(&hostile.client().run(&["verify"]), "/ask:", OTHERS);
    let peer = server.authority();
    let hostile = Hostile::new(&server, move |asked, answer| {
        if asked.path == "/" && asked.head.contains("language=fr") {
            *answer = Answer::fetch(&peer, &asked.head.replace("language=fr", "language=de"));
        }
    });
    let found = expect_one(&hostile.client().run(&["verify", &format!("{}/{id}", hostile.url)]), "/:", OTHERS);
    assert!(found.contains("flaskpaste_language=fr"), "{found}");
}

#[test]
fn an_unknown_version_is_reported() {
    let server = Server::start(&[]);
    let hostile = Hostile::new(&server, |asked, answer| {
        if asked.path == "/" {
            let version = env!("CARGO_PKG_VERSION");
            answer.replace(&format!("&quot;version&quot;:&quot;{version}"), "&quot;version&quot;:&quot;99.0.0");
            answer.replace(&format!("flaskpaste {version}"), "flaskpaste 99.0.0");
        }
    });
    let stderr = hostile.client().run(&["verify"]).failed(1);
    assert!(stderr.contains("the server claims to be flaskpaste 99.0.0"), "{stderr}");
}
