//! Concurrency: one reader of a burn paste, nothing lost among parallel creates, and clients that disconnect early.

use crate::harness::{Paste, SOON, Server, wait_until};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn one_of_many_concurrent_readers_gets_a_burn_paste() {
    const READERS: usize = 64;
    let server = Server::start(&[]);
    for round in 0..20 {
        let content = format!("burns {round}");
        let paste = server.post(content.as_str()).header("X-Burn-After-Read", "1").created();
        let barrier = Barrier::new(READERS);
        let winners: usize = std::thread::scope(|scope| {
            let read = || {
                let mut connection = server.connect();
                barrier.wait();
                let response = server.request("GET", &paste.raw()).send_on(&mut connection);
                if response.status == 200 {
                    response.expect_body(content.as_str());
                    return 1;
                }
                response.expect_code(404, "not_found");
                0
            };
            let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(read)).collect();
            readers.into_iter().map(|reader| reader.join().unwrap()).sum()
        });
        assert_eq!(winners, 1, "round {round}");
    }
}

#[test]
fn a_concurrent_read_and_delete_of_a_burn_paste_never_both_succeed() {
    let server = Server::start(&[]);
    for round in 0..20 {
        let paste = server.post(format!("{round}")).header("X-Burn-After-Read", "1").created();
        let barrier = Barrier::new(2);
        let (read, deleted) = std::thread::scope(|scope| {
            let read = scope.spawn(|| {
                barrier.wait();
                server.get(&paste.raw()).status
            });
            barrier.wait();
            let delete = server.request("DELETE", &paste.path()).header("X-Delete-Token", paste.delete_token.as_str());
            let deleted = delete.send().status;
            (read.join().unwrap(), deleted)
        });
        assert!(matches!((read, deleted), (200, 404) | (404, 200)), "read {read}, deleted {deleted}");
    }
}

/// However often it was read before, and even during reads.
#[test]
fn deleted_pastes_are_never_served_again() {
    let server = Server::start(&[("FLASKPASTE_DEDUP_MAX", "0")]);
    for round in 0..30 {
        let paste = server.paste(format!("hot {round}"));
        let deleted = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let read = || {
                let mut connection = server.connect();
                loop {
                    let was_deleted = deleted.load(Ordering::SeqCst);
                    let raw = server.request("GET", &paste.raw()).send_on(&mut connection).status;
                    let metadata = server.request("GET", &paste.path()).send_on(&mut connection).status;
                    if was_deleted {
                        return assert_eq!((raw, metadata), (404, 404), "read after it was deleted, round {round}");
                    }
                }
            };
            (0..4).for_each(|_| drop(scope.spawn(read)));
            let delete = server.request("DELETE", &paste.path()).header("X-Delete-Token", paste.delete_token.as_str());
            delete.send().expect_status(200);
            deleted.store(true, Ordering::SeqCst);
        });
    }
}

/// Commands also write to the server's database.
#[test]
fn pastes_deleted_by_another_process_disappear_within_seconds() {
    let server = Server::start(&[]);
    let other = Server::start_in(server.shared_folder(), &[]);
    let paste = server.paste("hot");
    other.get(&paste.raw()).expect_status(200);
    let delete = server.request("DELETE", &paste.path()).header("X-Delete-Token", paste.delete_token.as_str());
    delete.send().expect_status(200);
    wait_until("the other server has noticed", SOON, || other.get(&paste.raw()).status == 404);
}

#[test]
fn parallel_creates_are_all_readable() {
    let server = Server::start(&[]);
    let content = |writer: usize, n: usize| {
        // Sometimes a large one, which takes another path through the server.
        format!("writer {writer} paste {n} ").repeat(if n % 10 == 9 { 80_000 } else { n + 1 })
    };
    let pastes: Vec<(String, Paste)> = std::thread::scope(|scope| {
        let write = |writer: usize| -> Vec<(String, Paste)> {
            let mut connection = server.connect();
            let create = |n| {
                let response = server.post(content(writer, n)).send_on(&mut connection).expect_status(201);
                let field = |name: &str| response.json()[name].as_str().unwrap().to_owned();
                (content(writer, n), Paste { id: field("id"), delete_token: field("delete_token") })
            };
            (0..20).map(create).collect()
        };
        let writers: Vec<_> = (0..16).map(|writer| scope.spawn(move || write(writer))).collect();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    for (content, paste) in &pastes {
        server.get(&paste.raw()).expect_status(200).expect_body(content.as_str());
    }
    let mut ids: Vec<&str> = pastes.iter().map(|(_, paste)| paste.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), pastes.len(), "ids are unique");
}

#[test]
fn concurrent_duplicates_are_counted_exactly() {
    let server = Server::start(&[("FLASKPASTE_DEDUP_MAX", "5")]);
    let barrier = Barrier::new(24);
    let accepted = std::thread::scope(|scope| {
        let create = || {
            barrier.wait();
            let response = server.post("the same").send();
            if response.status == 201 { 1 } else { response.expect_code(429, "duplicate").status / 1000 }
        };
        let writers: Vec<_> = (0..24).map(|_| scope.spawn(create)).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).sum::<u16>()
    });
    assert_eq!(accepted, 5);
}

#[test]
fn early_disconnects_do_not_affect_other_clients() {
    let server = Server::start(&[]);
    let paste = server.paste(vec![b'x'; 3 << 20]);
    let openings = [
        String::new(),
        "GET / HT".to_owned(),
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc".to_owned(),
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe".to_owned(),
        format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", paste.raw()),
    ];
    for n in 0..200 {
        server.connect().send(&openings[n % openings.len()]);
    }
    server.expect_alive();
    server.get(&paste.raw()).expect_status(200).expect_body(vec![b'x'; 3 << 20]);
    assert!(!server.log().contains("panic"), "{}", server.log());
}

#[test]
fn large_downloads_do_not_block_small_requests() {
    let server = Server::start(&[]);
    let paste = server.paste(vec![b'x'; 3 << 20]);
    // Sixteen clients send requests and do not read.
    let slow: Vec<_> = (0..16)
        .map(|_| {
            let mut connection = server.connect();
            connection.send(format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", paste.raw()));
            connection
        })
        .collect();
    for n in 0..20 {
        server.paste(format!("{n}"));
        server.expect_alive();
    }
    for mut connection in slow {
        let response = connection.read_response("a slow download", false).unwrap().expect_status(200);
        response.expect(response.body.len() == 3 << 20, "the whole paste");
    }
}
