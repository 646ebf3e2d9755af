//! A full quota: creates are refused, everything else works, and deleting frees room. For a full disk, see
//! `system/full_disk.rs`.

use crate::harness::{Paste, SOON, Server, wait_until};

/// Creates pastes of this size until the quota is full; those that were stored.
#[track_caller]
pub fn fill(server: &Server, size: usize) -> Vec<Paste> {
    let mut pastes = Vec::new();
    for n in 0..1000 {
        let response = server.post(content(n, size)).send();
        if response.status != 201 {
            response.expect_code(507, "storage_full");
            assert!(!pastes.is_empty(), "not even one paste fits");
            return pastes;
        }
        let field = |name: &str| response.json()[name].as_str().unwrap().to_owned();
        pastes.push(Paste { id: field("id"), delete_token: field("delete_token") });
    }
    panic!("a thousand pastes of {size} bytes fit");
}

pub fn content(n: usize, size: usize) -> Vec<u8> {
    format!("{n:09} ").into_bytes().into_iter().cycle().take(size).collect()
}

#[track_caller]
pub fn delete(server: &Server, paste: &Paste) {
    let request = server.request("DELETE", &paste.path()).header("X-Delete-Token", paste.delete_token.as_str());
    request.send().expect_status(200);
}

#[test]
fn the_quota_refuses_only_creates() {
    let mut server = Server::embedded(&[("FLASKPASTE_MAX_DB_SIZE", "2000000")]);
    let burning = server.post("burning").header("X-Burn-After-Read", "1").created();
    let pastes = fill(&server, 100_000);
    assert!((10..=20).contains(&pastes.len()), "{} pastes of 100,000 bytes in 2,000,000", pastes.len());
    for (n, paste) in pastes.iter().enumerate() {
        server.get(&paste.path()).expect_status(200);
        server.get(&paste.raw()).expect_status(200).expect_body(content(n, 100_000));
    }
    server.get(&burning.raw()).expect_status(200).expect_body("burning");
    server.expect_alive();
    // It counts what is stored, not what was written since startup.
    server.stop();
    server.restart();
    server.post(content(5000, 100_000)).send().expect_code(507, "storage_full");
    pastes.iter().take(3).for_each(|paste| delete(&server, paste));
    for n in 6000..6002 {
        wait_until("deleting has freed space", SOON, || server.post(content(n, 100_000)).send().status == 201);
    }
    assert!(std::fs::metadata(server.database()).unwrap().len() < 4_000_000);
}

#[test]
fn a_paste_larger_than_the_quota_is_refused_at_once() {
    let server = Server::start(&[("FLASKPASTE_MAX_DB_SIZE", "1000000")]);
    server.post(content(1, 2_000_000)).send().expect_code(507, "storage_full");
    server.paste("small");
}
