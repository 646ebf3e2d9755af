//! Reading pastes: metadata, content, ranges, and the expiry that reading extends.

use crate::harness::{SOON, Server, unix_now, wait_until};

#[test]
fn metadata_describes_the_paste() {
    let server = Server::start(&[]);
    let paste = server.paste("hello");
    let response = server.get(&paste.path()).expect_status(200).expect_header("Content-Type", "application/json");
    let json = response.json();
    assert!(json["created_at"].as_u64().unwrap() <= unix_now());
    assert!(json["expires_at"].as_u64().unwrap() >= json["created_at"].as_u64().unwrap() + 432_000);
    response
        .expect_field("id", paste.id.as_str())
        .expect_field("mime_type", "text/plain; charset=utf-8")
        .expect_field("size", 5)
        .expect_field("raw", paste.raw())
        .expect_no_fields(&["burn_after_read", "password_protected", "owner", "delete_token", "password"]);
    let burning = server.post("x").header("X-Burn-After-Read", "1").header("X-Paste-Password", "p").created();
    for _ in 0..2 {
        let response = server.get(&burning.path()).expect_status(200).expect_field("burn_after_read", true);
        response.expect_field("password_protected", true);
    }
}

#[test]
fn raw_content_is_served_in_a_sandbox() {
    let server = Server::start(&[]);
    let paste = server.paste("hello");
    let response =
        server.get(&paste.raw()).expect_status(200).expect_body("hello").expect_header("Content-Length", "5");
    let policy = response.get("Content-Security-Policy").unwrap().to_owned();
    response.expect(policy.contains("sandbox"), "raw content needs the sandbox");
    let disposition = format!("inline; filename=\"{}.txt\"", paste.id);
    response.expect_header("Content-Disposition", &disposition).expect_header("Accept-Ranges", "bytes");
}

#[test]
fn head_responds_like_get_without_the_body() {
    let server = Server::start(&[]);
    let paste = server.paste("hello");
    for target in [paste.path(), paste.raw()] {
        let (get, head) = (server.get(&target), server.head(&target));
        let comparable = |headers: &[(String, String)]| -> Vec<(String, String)> {
            headers.iter().filter(|(name, _)| name != "X-Request-ID" && name != "Date").cloned().collect()
        };
        assert_eq!(head.status, 200);
        head.expect(comparable(&head.headers) == comparable(&get.headers), "the headers of GET");
    }
}

#[test]
fn ids_are_case_insensitive() {
    let server = Server::start(&[]);
    let paste = server.paste("hello");
    let upper = paste.id.to_uppercase();
    server.get(&format!("/{upper}/raw")).expect_status(200).expect_body("hello");
    server.get(&format!("/{upper}")).expect_status(200).expect_field("id", paste.id.as_str());
    let delete = server.request("DELETE", &format!("/{upper}")).header("X-Delete-Token", &paste.delete_token);
    delete.send().expect_status(200);
}

#[test]
fn malformed_ids_get_invalid_id() {
    let server = Server::start(&[]);
    let long = "a".repeat(65);
    for bad in ["x", "abc", "abcg", "%61bcd", "ab-cd", "..", "abcd.txt", long.as_str()] {
        server.get(&format!("/{bad}")).expect_code(400, "invalid_id");
        server.get(&format!("/{bad}/raw")).expect_code(400, "invalid_id");
        server.request("DELETE", &format!("/{bad}")).send().expect_code(400, "invalid_id");
    }
    for unknown in ["abcd", &"a".repeat(64)] {
        server.get(&format!("/{unknown}")).expect_code(404, "not_found");
        server.get(&format!("/{unknown}/raw")).expect_code(404, "not_found");
    }
}

#[test]
fn missing_expired_burned_and_deleted_pastes_get_the_same_404() {
    let server = Server::start(&[]);
    let expired = server.post("expired").header("X-Expiry", "1").created();
    let burned = server.post("burned").header("X-Burn-After-Read", "1").created();
    let deleted = server.post("deleted").header("X-Paste-Password", "p").created();
    server.get(&burned.raw()).expect_status(200).expect_body("burned");
    let delete = server.request("DELETE", &deleted.path()).header("X-Delete-Token", &deleted.delete_token);
    delete.send().expect_status(200);
    wait_until("the paste has expired", SOON, || server.get(&expired.path()).status == 404);
    let ids = [expired.id.as_str(), &burned.id, &deleted.id, "0123456789ab"];
    for target in ["/ID", "/ID/raw"] {
        let answers = ids.map(|id| {
            let request = server.request("GET", &target.replace("ID", id)).header("X-Request-ID", "same");
            let response = request.send().expect_code(404, "not_found");
            let headers: Vec<_> = response.headers.iter().filter(|(name, _)| name != "Date").cloned().collect();
            (headers, response.body)
        });
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    }
}

#[test]
fn single_ranges_are_served() {
    let server = Server::start(&[]);
    let paste = server.paste("0123456789");
    let get = |range: &str| server.request("GET", &paste.raw()).header("Range", range).send();
    for (range, body, content_range) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=0-3", "0123", "bytes 0-3/10"),
        ("bytes=9-9", "9", "bytes 9-9/10"),
        ("bytes=4-", "456789", "bytes 4-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=-100", "0123456789", "bytes 0-9/10"),
        ("bytes=8-99", "89", "bytes 8-9/10"),
        ("bytes=8-99999999999999999999999999", "89", "bytes 8-9/10"),
    ] {
        get(range).expect_status(206).expect_body(body).expect_header("Content-Range", content_range);
    }
    for range in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999999999-"] {
        get(range).expect_code(416, "range_not_satisfiable").expect_header("Content-Range", "bytes */10");
    }
    for ignored in ["bytes=5-4", "bytes=", "bytes=-", "bytes=a-b", "bytes=+1-2", "items=0-1", "0-1", "bytes=0-1,3-4"] {
        let response = get(ignored).expect_status(200).expect_body("0123456789");
        response.expect(response.get("Content-Range").is_none(), "no Content-Range");
    }
}

#[test]
fn ranges_cross_the_chunks_of_the_store() {
    let server = Server::start(&[]);
    let content: Vec<u8> = (0..3_000_000u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let paste = server.paste(content.clone());
    for (first, last) in [(0, 0), (65_535, 65_536), (65_536, 131_071), (100, 2_999_998), (2_999_999, 2_999_999)] {
        let range = format!("bytes={first}-{last}");
        let response = server.request("GET", &paste.raw()).header("Range", range.as_str()).send().expect_status(206);
        response.expect(response.body == content[first..=last], "the bytes of the range");
    }
}

#[test]
fn burn_pastes_ignore_ranges() {
    let server = Server::start(&[]);
    let paste = server.post("0123456789").header("X-Burn-After-Read", "1").created();
    let head = server.head(&paste.raw()).expect_status(200).expect_header("Content-Length", "10");
    head.expect(head.get("Accept-Ranges").is_none_or(|ranges| ranges == "none"), "no ranges");
    let response = server.request("GET", &paste.raw()).header("Range", "bytes=0-0").send().expect_status(200);
    response.expect_body("0123456789").expect_header("X-Burn-After-Read", "true");
}

#[test]
fn reading_does_not_extend_a_custom_expiry() {
    let server = Server::start(&[]);
    let created = server.post("fixed").header("X-Expiry", "2").send().expect_status(201).json();
    let (path, expires_at) = (format!("/{}", created["id"].as_str().unwrap()), created["expires_at"].as_u64().unwrap());
    wait_until("the paste has expired although it was read", SOON, || {
        let response = server.get(&path);
        server.get(&format!("{path}/raw"));
        if response.status == 200 {
            response.clone().expect_field("expires_at", expires_at);
        }
        response.status == 404
    });
    assert!(unix_now() >= expires_at, "it must not expire early");
}
