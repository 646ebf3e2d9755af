//! A hostile vocabulary, composed with a fixed seed into thousands of requests: the server stays up, answers everything
//! with well-formed HTTP and a documented status, and never with an internal error.

use crate::harness::Server;
use std::fmt::Write as _;

/// Statuses a client can cause; none of them is the server's fault.
const DOCUMENTED: &[u16] = &[100, 200, 201, 204, 206, 400, 401, 403, 404, 405, 413, 416, 417, 429];

const METHODS: &[&str] = &[
    "GET",
    "GET",
    "GET",
    "POST",
    "POST",
    "POST",
    "DELETE",
    "OPTIONS",
    "PUT",
    "PATCH",
    "TRACE",
    "CONNECT",
    "get",
    "G\u{e4}T",
    "",
    "GET\t",
    "PRI",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
];

/// `ID` and `BURN` stand for existing pastes.
const TARGETS: &[&str] = &[
    "/",
    "/ID",
    "/ID/raw",
    "/BURN",
    "/health",
    "/challenge",
    "/client",
    "/client?target=../../etc/passwd",
    "/metrics",
    "/openapi.json",
    "/robots.txt",
    "/static/",
    "/static/../../x",
    "*",
    "//",
    "/..",
    "/%2e%2e/%2e%2e",
    "/ID/raw/",
    "/ID//raw",
    "/ID?x=%00",
    "/ID/RAW",
    "/ffffffffffff",
    "/ffffffffffff/raw",
    "/x",
    "/0",
    "/%",
    "/%00",
    "/%ff",
    "/\u{fc}",
    "/\u{1f4a9}",
    "http://x/ID",
    "http://",
    "https://x:y@z/",
    "x://y",
    "example.com:443",
    "",
    "?",
    "#",
    "/#",
    "/;a=b",
    "/ID;/raw",
    "/\\..\\",
    "/<script>",
    "/'\"",
    "/{}",
    "/ID/raw?a=b&c=d#e",
    "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

const VERSIONS: &[&str] = &[
    "HTTP/1.1",
    "HTTP/1.1",
    "HTTP/1.1",
    "HTTP/1.1",
    "HTTP/1.1",
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/2.0",
    "HTTP/3.0",
    "HTTP/1.9",
    "HTTP/",
    "http/1.1",
    "",
    "HTTP/1.1 ",
    "HTTP/-1.1",
];

const HEADERS: &[&str] = &[
    "Accept: text/plain",
    "Accept: */*;q=0,,;",
    "Accept: application/json, text/plain",
    "Content-Type: application/json",
    "Content-Type: application/json; charset=\"",
    "Content-Type: text/html",
    "Content-Type: ;;;",
    "Content-Type: a/b/c",
    "Content-Type: multipart/form-data; boundary=x",
    "X-Expiry: 1",
    "X-Expiry: -1",
    "X-Expiry: 99999999999999999999999",
    "X-Expiry: NaN",
    "X-Burn-After-Read: true",
    "X-Burn-After-Read: \u{0}",
    "X-Paste-Password:",
    "X-Paste-Password-Base64: ////",
    "X-Paste-Password-Base64: =",
    "Authorization: Basic",
    "Authorization: Basic Og==",
    "Authorization: Basic \u{ff}",
    "X-PoW-Token: ....",
    "X-PoW-Token: a.b.c.d",
    "X-PoW-Solution: 1",
    "X-PoW-Solution: 99999999999999999999999",
    "X-Delete-Token: x",
    "X-SSL-Client-SHA1: zz",
    "X-Proxy-Secret: x",
    "X-SSL-Client-SHA1: 0123456789abcdef0123456789abcdef01234567",
    "X-Forwarded-For: \"<>",
    "X-Forwarded-Proto: javascript",
    "X-Request-ID: ok",
    "X-Request-ID: a\u{b}b",
    "X-Request-ID: ../../x",
    "Range: bytes=0-0",
    "Range: bytes=-0",
    "Range: bytes=9-",
    "Range: bytes=18446744073709551615-18446744073709551616",
    "Range: bytes=0-,-1",
    "Range: bytes=--1",
    "If-Range: x",
    "Expect: 100-continue",
    "Expect: x",
    "Connection: close",
    "Connection: upgrade",
    "Connection: ,",
    "Upgrade: h2c",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip",
    "Transfer-Encoding: chunked, chunked",
    "TE: trailers",
    "Trailer: X-Expiry",
    "Content-Length: 0",
    "Content-Length: 5",
    "Content-Length: 1024",
    "Content-Length: 100000000000",
    "Content-Length: 18446744073709551616",
    "Content-Length: -1",
    "Content-Length: 5, 5",
    "Content-Encoding: gzip",
    "Host: y",
    "Host:",
    "Host: a b",
    "Host: [::1]:80",
    "Cookie: a=b",
    ": x",
    "x",
    " folded: x",
    "X: y\r\n folded",
    "X: \rb",
    "X: \nb",
    "X-\u{e9}: y",
    "Accept-Encoding: gzip, br",
    "If-None-Match: *",
    "Max-Forwards: 0",
];

const BODIES: &[&str] = &[
    "",
    "hello",
    "5\r\nhello\r\n0\r\n\r\n",
    "0\r\n\r\n",
    "5\r\nhel",
    "ffffffffffffffff\r\nx",
    "5;ext=\"\r\n\"\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\r\n0\r\nX-Trailer: y\r\n\r\n",
    "-1\r\n\r\n",
    "{\"content\": \"hello\"}",
    "{\"content\": 1}",
    "{\"content\": \"\\ud800\"}",
    "{\"content\": \"x\", \"expiry\": -1}",
    "{",
    "[[[[[[[[",
    "\"\\",
    "\u{0}\u{0}\u{0}\u{0}",
    "GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
    "\r\n\r\n\r\n",
    "\u{feff}",
];

/// Xorshift (Marsaglia 2003): the same sequence every time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }

    /// Half of the time one of the first words, which are harmless: two hostile words hide each other.
    fn pick_tamed<'a>(&mut self, words: &[&'a str], harmless: usize) -> &'a str {
        if self.below(2) == 0 { self.pick(&words[..harmless]) } else { self.pick(words) }
    }
}

/// Composes one request, and sometimes breaks it.
fn compose(random: &mut Random, id: &str, burning: &str) -> Vec<u8> {
    let target = random.pick_tamed(TARGETS, 3).replace("ID", id).replace("BURN", burning);
    let mut text = format!("{} {target} {}\r\n", random.pick_tamed(METHODS, 6), random.pick_tamed(VERSIONS, 1));
    if random.below(10) > 0 {
        text.push_str("Host: x\r\n");
    }
    for _ in 0..random.below(4) {
        text.push_str(random.pick(HEADERS));
        text.push_str("\r\n");
    }
    let body = random.pick(BODIES);
    if random.below(3) > 0 && !text.contains("Content-Length") && !text.contains("Transfer-Encoding") {
        let _ = write!(text, "Content-Length: {}\r\n", body.len());
    }
    text.push_str("\r\n");
    text.push_str(body);
    let mut bytes = text.into_bytes();
    match random.below(12) {
        0 => bytes.truncate(random.below(bytes.len())),
        1 => {
            let at = random.below(bytes.len());
            bytes[at] = u8::try_from(random.below(256)).unwrap();
        }
        2 => {
            let at = random.below(bytes.len());
            bytes.insert(at, b"\r\n\0 :,;%\xff"[random.below(9)]);
        }
        _ => {}
    }
    bytes
}

#[test]
fn requests_from_a_hostile_vocabulary_find_no_defect() {
    let server = Server::start(&[("FLASKPASTE_DEDUP_MAX", "0"), ("FLASKPASTE_MAX_ANON", "2000")]);
    let target = server.paste("0123456789");
    let burning = server.post("burning").header("X-Burn-After-Read", "1").created();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut seen: Vec<u16> = Vec::new();
    for n in 0..4000 {
        let bytes = compose(&mut random, &target.id, &burning.id);
        for response in server.raw(&bytes) {
            response.expect(DOCUMENTED.contains(&response.status), &format!("request {n}: an undocumented status"));
            seen.push(response.status);
        }
        if n % 500 == 0 {
            server.expect_alive();
        }
    }
    server.expect_alive();
    server.get(&target.path()).expect_status(200);
    server.get(&burning.path()).expect_status(200);
    assert!(!server.log().contains("panic"), "{}", server.log());
    // The vocabulary must reach every status.
    for status in [200, 201, 204, 206, 400, 401, 404, 405, 413, 416] {
        assert!(seen.contains(&status), "none of {} requests got {status}", seen.len());
    }
}
