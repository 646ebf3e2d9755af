//! The routes and the protocol around them: methods, prefixes, request ids, persistent connections.

use crate::harness::{Folder, SOON, Server, wait_until};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::net::TcpStream;

#[test]
fn the_index_describes_the_server() {
    let server = Server::start(&[("FLASKPASTE_MAX_ANON", "1234")]);
    let response = server.get("/").expect_status(200).expect_header("Content-Type", "application/json");
    let response = response.expect_field("name", "FlaskPaste").expect_field("authenticated", false);
    let json = response.json();
    assert_eq!(
        json["limits"],
        json!({
            "max_anon": 1234, "max_auth": 52_428_800, "expiry": 432_000, "max_expiry": 2_592_000,
            "min_entropy": 0.0, "min_entropy_size": 256, "dedup_max": 3, "dedup_window": 3600,
            "rate": 0,
        })
    );
    response.expect(json["version"].as_str().is_some_and(|version| version.contains('.')), "a version");
    let endpoints = json["endpoints"].as_object().unwrap();
    for route in ["GET /", "GET /health", "GET /challenge", "GET /client", "POST /", "GET /<id>", "GET /<id>/raw"] {
        response.expect(endpoints.get(route).is_some_and(serde_json::Value::is_string), route);
    }
    let usage = json["usage"].as_object().unwrap();
    let url = format!("http://{}/", server.authority());
    let is_example = |value: &serde_json::Value| value.as_str().is_some_and(|text| text.starts_with("curl "));
    response.expect(!usage.is_empty() && usage.values().all(is_example), "curl examples");
    response.expect(usage.values().any(|value| value.as_str().unwrap().contains(&url)), "examples with this URL");
}

#[test]
fn health_reports_the_status() {
    let server = Server::start(&[]);
    let response = server.get("/health").expect_status(200);
    assert_eq!(response.json(), json!({"status": "healthy", "database": "ok"}));
}

#[test]
fn robots_txt_disallows_everything() {
    let robots = Server::start(&[]).get("/robots.txt").expect_status(200);
    robots.expect(robots.text().lines().any(|line| line == "Disallow: /"), "disallow everything");
}

#[test]
fn the_api_description_is_served() {
    let server = Server::start(&[]);
    let response = server.get("/openapi.json").expect_status(200).expect_header("Content-Type", "application/json");
    response
        .expect(response.json()["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "OpenAPI 3.1");
}

#[test]
fn metrics_are_served_only_when_enabled() {
    let without = Server::start(&[]);
    for method in ["GET", "OPTIONS", "POST"] {
        without.request(method, "/metrics").send().expect_code(404, "not_found");
    }
    let server = Server::start(&[("FLASKPASTE_METRICS", "1")]);
    let (read, burned) = (server.paste("x"), server.post("y").header("X-Burn-After-Read", "1").created());
    server.get(&read.raw()).expect_status(200);
    server.get(&burned.raw()).expect_status(200);
    server.get(&burned.raw()).expect_code(404, "not_found");
    server.raw("no request\r\n\r\n");
    let response = server.get("/metrics").expect_status(200);
    response.expect(response.get("Content-Type").unwrap().starts_with("text/plain"), "Prometheus text");
    let is_sample = |line: &str| line.split(' ').next_back().is_some_and(|value| value.parse::<f64>().is_ok());
    response.expect(response.text().lines().all(|line| line.starts_with('#') || is_sample(line)), "samples");
    let text = response.text();
    for sample in [
        concat!("build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        "creates_total 2",
        "reads_total 2",
        "burns_total 1",
        "deletes_total 0",
        "pastes 1",
        "refusals_total{code=\"not_found\"} 1",
        "refusals_total{code=\"bad_request\"} 1",
        "workers 256",
    ] {
        response.expect(text.lines().any(|line| line == format!("flaskpaste_{sample}")), sample);
    }
    for name in ["busy_workers", "disk_free_bytes", "spool_bytes", "request_seconds_sum", "request_seconds_count"] {
        response.expect(text.contains(&format!("\nflaskpaste_{name} ")), name);
    }
    // Sampled periodically, and possibly while one of our connections was counted.
    wait_until("no connection waits for a worker", SOON, || {
        server.get("/metrics").text().contains("\nflaskpaste_queued_connections 0\n")
    });
}

#[test]
fn the_client_binary_is_served_if_installed() {
    let folder = Folder::new();
    let empty = Server::start(&[("FLASKPASTE_CLIENT_DIR", folder.path().to_str().unwrap())]);
    empty.get("/client").expect_code(404, "not_found");
    for name in ["fpaste", "fpaste-aarch64-unknown-linux-musl"] {
        std::fs::write(folder.join(name), format!("\x7fELF {name}").repeat(10_000)).unwrap();
    }
    std::fs::write(folder.join("secret"), "secret").unwrap();
    for (target, name) in
        [("/client", "fpaste"), ("/client?target=aarch64-unknown-linux-musl", "fpaste-aarch64-unknown-linux-musl")]
    {
        let content = format!("\x7fELF {name}").repeat(10_000);
        let checksum =
            Sha256::digest(content.as_bytes()).iter().fold(String::new(), |hex, b| hex + &format!("{b:02x}"));
        for method in ["GET", "HEAD"] {
            let response = empty.request(method, target).send().expect_status(200);
            let response = response.expect_header("Content-Disposition", "attachment; filename=fpaste");
            response.expect_header("X-Checksum-SHA256", &checksum);
        }
        empty.get(target).expect_body(content);
    }
    for target in ["mips-unknown-linux-gnu", "../secret", "x/../../secret", "%2e%2e%2fsecret", "", ".", "x%00"] {
        empty.get(&format!("/client?target={target}")).expect_code(404, "not_found");
    }
}

#[test]
fn unknown_paths_and_wrong_methods_are_refused() {
    let server = Server::start(&[]);
    for path in ["/abcd/nothing", "/abcd/raw/", "/abcd/", "//", "/a/b/c", "/health/", "/static/../health"] {
        server.get(path).expect_code(404, "not_found");
        server.request("POST", path).body("x").send().expect_code(404, "not_found");
        server.request("OPTIONS", path).send().expect_code(404, "not_found");
    }
    let allowed = [
        ("/", &["GET", "HEAD", "POST", "PUT", "OPTIONS"][..]),
        ("/health", &["GET", "HEAD", "OPTIONS"]),
        ("/challenge", &["GET", "HEAD", "OPTIONS"]),
        ("/client", &["GET", "HEAD", "OPTIONS"]),
        ("/openapi.json", &["GET", "HEAD", "OPTIONS"]),
        ("/robots.txt", &["GET", "HEAD", "OPTIONS"]),
        ("/pastes", &["GET", "HEAD", "OPTIONS"]),
        ("/.well-known/security.txt", &["GET", "HEAD", "OPTIONS"]),
        ("/abcd", &["GET", "HEAD", "DELETE", "PATCH", "PUT", "OPTIONS"]),
        ("/abcd/raw", &["GET", "HEAD", "PUT", "OPTIONS"]),
    ];
    for (path, methods) in allowed {
        let options = server.request("OPTIONS", path).send().expect_status(204).expect_body("");
        let mut allow: Vec<&str> = options.get("Allow").unwrap_or_default().split(", ").collect();
        allow.sort_unstable();
        let mut expected = methods.to_vec();
        expected.sort_unstable();
        options.expect(allow == expected, &format!("expected Allow: {methods:?}"));
        for method in ["GET", "POST", "DELETE", "PUT", "PATCH", "TRACE", "BREW", "get"] {
            if !methods.contains(&method) {
                let response = server.request(method, path).send().expect_code(405, "method_not_allowed");
                response.expect_header("Allow", options.get("Allow").unwrap());
            }
        }
    }
}

#[test]
fn head_works_wherever_get_does() {
    let server = Server::start(&[("FLASKPASTE_METRICS", "1")]);
    let paste = server.paste("x");
    for path in ["/", "/health", "/challenge", "/openapi.json", "/metrics", "/robots.txt", &paste.path(), &paste.raw()]
    {
        let head = server.head(path).expect_status(200);
        head.expect(head.get("Content-Length").is_some_and(|length| length != "0"), "the length of GET");
    }
    for path in ["/client?target=none", "/0123456789ab", "/0123456789ab/raw", "/a/b/c"] {
        assert_eq!(server.head(path).status, 404);
    }
}

#[test]
fn query_strings_are_ignored() {
    let server = Server::start(&[]);
    let paste = server.paste("x");
    server.get("/health?x=/y").expect_status(200);
    server.get(&format!("{}?download=1", paste.raw())).expect_status(200).expect_body("x");
    assert!(!server.log().contains("download=1"), "the log has no queries");
}

#[test]
fn valid_request_ids_are_kept_and_others_replaced() {
    let server = Server::start(&[]);
    for id in ["a", "A-b_c.9", &"x".repeat(128)] {
        server.request("GET", "/health").header("X-Request-ID", id).send().expect_header("X-Request-ID", id);
    }
    let mut ids: Vec<String> = Vec::new();
    for bad in ["", "a b", "a/b", "\"x\"", "<script>", &"x".repeat(129)] {
        let response = server.request("GET", "/nothing/here").header("X-Request-ID", bad).send();
        let id = response.get("X-Request-ID").unwrap().to_owned();
        let groups: Vec<usize> = id.split('-').map(str::len).collect();
        response.expect(groups == [8, 4, 4, 4, 12] && !ids.contains(&id), "a new UUID");
        ids.push(id);
    }
}

#[test]
fn every_route_is_under_the_prefix() {
    let server = Server::start(&[("FLASKPASTE_URL_PREFIX", "/p/q")]);
    for path in ["/p/q/", "/p/q/health", "/p/q/challenge", "/p/q/robots.txt", "/p/q/openapi.json"] {
        server.get(path).expect_status(200);
    }
    for path in ["/", "/health", "/p/health", "/p/qhealth", "/p/q/q/health", "/abcd", "/abcd/raw"] {
        server.get(path).expect_code(404, "not_found");
    }
    server.post("x").send().expect_code(404, "not_found");
    server.get("/p/q/xyz").expect_code(400, "invalid_id");
    let index = server.get("/p/q/");
    let url = format!("http://{}/p/q/", server.authority());
    index.expect(index.text().contains(&url), "examples with the prefix");
}

#[test]
fn one_connection_serves_many_requests() {
    let server = Server::start(&[("FLASKPASTE_DEDUP_MAX", "0")]);
    let mut connection = server.connect();
    for round in 0..100 {
        server.request("GET", "/health").send_on(&mut connection).expect_status(200);
        let content = vec![b'x'; round * 37];
        let response = server.request("POST", "/").body([&b"!"[..], &content].concat()).send_on(&mut connection);
        let raw = response.expect_status(201).json()["raw"].as_str().unwrap().to_owned();
        let response = server.request("GET", &raw).send_on(&mut connection).expect_status(200);
        response.expect(response.body.len() == content.len() + 1, "the content of this round");
        server.request("HEAD", &raw).send_on(&mut connection).expect_status(200);
        server.request("GET", "/xyz").send_on(&mut connection).expect_code(400, "invalid_id");
        server.request("OPTIONS", "/").send_on(&mut connection).expect_status(204);
    }
}

#[test]
fn connection_close_is_honoured() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    let request = server.request("GET", "/health").header("Connection", "close");
    request.send_on(&mut connection).expect_status(200).expect_header("Connection", "close");
    assert!(connection.is_ended());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start(&[]);
    let request = |id: u32| format!("GET /health HTTP/1.1\r\nHost: x\r\nX-Request-ID: {id}\r\n\r\n");
    let responses = server.raw((0..10).map(request).collect::<String>());
    // A server may close early, and then says so; its responses come in order.
    assert!(!responses.is_empty());
    for (n, response) in responses.iter().enumerate() {
        response.clone().expect_status(200).expect_header("X-Request-ID", &n.to_string());
    }
    if responses.len() < 10 {
        responses.last().unwrap().clone().expect_header("Connection", "close");
    }
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.send("GET /health HTTP/1.0\r\n\r\n");
    connection.read_response("HTTP/1.0", false).unwrap().expect_status(200);
    assert!(connection.is_ended());
    let responses = server.raw("POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello");
    responses[0].clone().expect_status(201);
}

#[test]
fn absolute_request_targets_are_accepted() {
    let server = Server::start(&[]);
    let target = format!("http://{}/health?x", server.authority());
    server.get(&target).expect_status(200).expect_field("status", "healthy");
    server.get("http://other.example").expect_status(200).expect_field("name", "FlaskPaste");
}

#[test]
fn the_log_has_one_line_per_request_without_secrets() {
    let mut server = Server::start(&[("FLASKPASTE_LOG", "json")]);
    let paste = server.post("x").header("X-Paste-Password", "pa55word").created();
    let request = server.request("GET", &format!("{}?query=1", paste.raw())).header("X-Request-ID", "one");
    request.header("X-Paste-Password", "pa55word").send().expect_status(200);
    let delete = server.request("DELETE", &paste.path()).header("X-Delete-Token", paste.delete_token.as_str());
    delete.header("X-Request-ID", "two").send().expect_status(200);
    server.stop();
    let log = server.log();
    // The messages at startup and shutdown are objects, too.
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(lines.iter().filter(|line| line["status"].is_number()).count(), 3, "{log}");
    assert!(lines.iter().any(|line| line["message"].as_str().is_some_and(|text| text.contains("listening on"))));
    let read = lines.iter().find(|line| line["request_id"] == "one").expect("a line with the request id");
    let fields = (&read["method"], &read["path"], &read["status"]);
    assert_eq!(fields, (&json!("GET"), &json!(format!("/{}…/raw", &paste.id[..6])), &json!(200)), "{log}");
    for secret in ["pa55word", "query=1", &paste.delete_token, &paste.id] {
        assert!(!log.contains(secret), "the log contains {secret}:\n{log}");
    }
    let quiet = Server::start(&[("FLASKPASTE_LOG", "off")]);
    quiet.get("/health");
    assert!(!quiet.log().contains("/health"));
}

#[test]
fn strict_transport_security_follows_the_configuration() {
    for (setting, value) in
        [("", Some("max-age=31536000; includeSubDomains")), ("host", Some("max-age=31536000")), ("off", None)]
    {
        let server = Server::start(&[("FLASKPASTE_HSTS", setting)]);
        // Bypasses the harness, which expects the default in every response.
        let mut socket = TcpStream::connect(server.authority()).unwrap();
        socket.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut response = String::new();
        socket.read_to_string(&mut response).unwrap();
        let sent = response.lines().find_map(|line| line.strip_prefix("Strict-Transport-Security: "));
        assert_eq!(sent, value, "{setting}");
    }
}
