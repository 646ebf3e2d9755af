//! Rates: pastes per minute and client address, and in total.

use crate::harness::Server;
use crate::response::Response;
use serde_json::Value;

fn create(server: &Server, address: &str) -> Response {
    server.post("x").header("X-Forwarded-For", address).send()
}

fn metric(server: &Server, name: &str) -> u64 {
    let text = String::from_utf8(server.get("/metrics").body).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("flaskpaste_{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

const MANY: (&str, &str) = ("FLASKPASTE_DEDUP_MAX", "0");

#[test]
fn creates_are_rate_limited_per_address() {
    let server = Server::start(&[MANY, ("FLASKPASTE_RATE", "3"), ("FLASKPASTE_METRICS", "1")]);
    assert_eq!(server.get("/").json()["limits"]["rate"], 3);
    for _ in 0..3 {
        create(&server, "192.0.2.1").expect_status(201);
    }
    let refused = create(&server, "192.0.2.1").expect_code(429, "rate_limited");
    let wait: u64 = refused.get("Retry-After").unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    // The proxy's last entry counts, IPv4 addresses are normalised, and a /64 is one client.
    create(&server, "198.51.100.7, 192.0.2.1").expect_code(429, "rate_limited");
    create(&server, "::ffff:192.0.2.1").expect_code(429, "rate_limited");
    create(&server, "192.0.2.1, 198.51.100.7").expect_status(201);
    for host in 1..=3 {
        create(&server, &format!("2001:db8:1:2::{host}")).expect_status(201);
    }
    create(&server, "2001:db8:1:2:ffff::9").expect_code(429, "rate_limited");
    create(&server, "2001:db8:1:3::9").expect_status(201);
    // Every way to create counts, and reads do not.
    server
        .request("PUT", "/a.txt")
        .header("X-Forwarded-For", "192.0.2.1")
        .body("x")
        .send()
        .expect_code(429, "rate_limited");
    server.request("GET", "/").header("X-Forwarded-For", "192.0.2.1").send().expect_status(200);
    assert_eq!(metric(&server, "rate_addresses"), 4);
    assert_eq!(metric(&server, "refusals_total{code=\"rate_limited\"}"), 5);
}

#[test]
fn requests_refused_for_other_reasons_are_not_counted() {
    let server = Server::start(&[MANY, ("FLASKPASTE_RATE", "2"), ("FLASKPASTE_MAX_ANON", "100")]);
    for _ in 0..10 {
        let large = server.post("x".repeat(101)).header("X-Forwarded-For", "192.0.2.1").send();
        large.expect_code(413, "too_large");
    }
    create(&server, "192.0.2.1").expect_status(201);
    create(&server, "192.0.2.1").expect_status(201);
    create(&server, "192.0.2.1").expect_code(429, "rate_limited");
}

#[test]
fn only_a_trusted_proxy_sets_the_client_address() {
    let secret = "0123456789abcdef";
    let server = Server::start(&[MANY, ("FLASKPASTE_RATE", "1"), ("FLASKPASTE_PROXY_SECRET", secret)]);
    create(&server, "192.0.2.1").expect_status(201);
    create(&server, "192.0.2.2").expect_code(429, "rate_limited");
    let trusted = server.post("x").header("X-Forwarded-For", "192.0.2.2").header("X-Proxy-Secret", secret);
    trusted.send().expect_status(201);
}

#[test]
fn thousands_of_addresses_take_bounded_memory() {
    let server = Server::start(&[MANY, ("FLASKPASTE_RATE", "1"), ("FLASKPASTE_METRICS", "1")]);
    let mut connection = server.connect();
    for number in 0..5000u32 {
        let address = std::net::Ipv4Addr::from(0x0a00_0000 + number).to_string();
        let request = server.post("x").header("X-Forwarded-For", &address);
        request.send_on(&mut connection).expect_status(201);
        if number % 1000 == 0 {
            create(&server, &address).expect_code(429, "rate_limited");
        }
    }
    assert_eq!(metric(&server, "rate_addresses"), 5000);
}

#[test]
fn a_flood_raises_the_difficulty_and_old_challenges_stay_valid() {
    let server = Server::start(&[
        MANY,
        ("FLASKPASTE_POW_DIFFICULTY", "1"),
        ("FLASKPASTE_POW_FLOOD", "4"),
        ("FLASKPASTE_METRICS", "1"),
    ]);
    let told = |path: &str| -> Value { server.get(path).json() };
    let before = told("/challenge");
    assert_eq!((&before["difficulty"], &before["elevated"]), (&1.into(), &0.into()));
    for (creates, elevated) in [(4, 0), (8, 1), (16, 2), (32, 3)] {
        while metric(&server, "creates_last_minute") < creates {
            server.post("x").send().expect_status(201);
        }
        let challenge = told("/challenge");
        assert_eq!((&challenge["elevated"], &challenge["difficulty"]), (&elevated.into(), &(1 + elevated).into()));
        let pow = told("/")["pow"].clone();
        assert_eq!((&pow["elevated"], &pow["difficulty"]), (&elevated.into(), &(1 + elevated).into()));
        assert_eq!(metric(&server, "pow_elevated_bits"), elevated);
    }
    let required = server.post("x").header("X-Forwarded-For", "192.0.2.1").send().expect_code(400, "pow_required");
    assert_eq!(required.json()["difficulty"], 4);
    let nonce = before["nonce"].as_str().unwrap();
    let solution = (0u64..1000).map(|n| n.to_string()).find(|n| {
        use sha2::Digest;
        sha2::Sha256::digest(format!("{nonce}:{n}"))[0] & 0x80 == 0
    });
    let paid = server.post("x").header("X-Forwarded-For", "192.0.2.1");
    let paid =
        paid.header("X-PoW-Token", before["token"].as_str().unwrap()).header("X-PoW-Solution", solution.unwrap());
    paid.send().expect_status(201);
}

#[test]
fn the_difficulty_stays_constant_when_disabled() {
    for settings in [
        [("FLASKPASTE_POW_DIFFICULTY", "0"), ("FLASKPASTE_POW_FLOOD", "1")],
        [("FLASKPASTE_POW_DIFFICULTY", "1"), ("FLASKPASTE_POW_FLOOD", "0")],
    ] {
        let server = Server::start(&[&settings[..], &[MANY]].concat());
        for _ in 0..8 {
            server.post("x").send().expect_status(201);
        }
        assert_eq!(server.get("/").json()["pow"]["elevated"], 0);
    }
}
