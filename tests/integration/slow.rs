//! The tests that take long because time must pass, or because they make thousands of requests. `make test-quick`
//! leaves this module out.

#[cfg(feature = "client")]
mod client_verify;

use crate::at_rest::{ERASED_WITHIN, contains, files, sealed_keys};
use crate::guard::{CROWD, SetOnDrop};
use crate::harness::{Paste, SOON, Server, unix_now, wait_until};
use crate::http_client::Connection;
use flaskpaste::crypto::{hex, unhex};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[test]
fn reading_extends_a_paste_and_head_does_not() {
    let server = Server::start(&[("FLASKPASTE_EXPIRY", "4")]);
    let kept = server.paste("kept");
    let described = server.paste("described");
    let headed = server.paste("headed");
    let started = Instant::now();
    let mut headed_gone = false;
    wait_until("nine seconds of reading have passed", SOON, || {
        server.get(&kept.raw()).expect_status(200).expect_body("kept");
        server.get(&described.path()).expect_status(200);
        headed_gone |= server.head(&headed.raw()).status == 404 || server.head(&headed.path()).status == 404;
        started.elapsed() > Duration::from_secs(9)
    });
    assert!(headed_gone, "HEAD must not extend the expiry");
    let expires_at = server.get(&described.path()).json()["expires_at"].as_u64().unwrap();
    assert!(expires_at > unix_now(), "the metadata has the extended expiry");
    wait_until("the unread paste has expired", SOON, || server.head(&kept.raw()).status == 404);
    server.get(&kept.raw()).expect_code(404, "not_found");
}

#[test]
fn an_extended_expiry_survives_a_restart() {
    // With a watchdog thread, which still holds the store at shutdown.
    let mut server = Server::start(&[("FLASKPASTE_EXPIRY", "20"), ("WATCHDOG_USEC", "60000000")]);
    let paste = server.paste("kept");
    let first = server.get(&paste.path()).json()["expires_at"].as_u64().unwrap();
    wait_until("the expiry has moved", SOON, || {
        server.get(&paste.path()).json()["expires_at"].as_u64().unwrap() >= first + 2
    });
    server.stop();
    server.restart();
    let response = server.head(&paste.path()).expect_status(200);
    assert_eq!(response.status, 200);
    wait_until("the first expiry has passed", SOON, || unix_now() > first);
    server.get(&paste.path()).expect_status(200);
}

/// A connection to the server on which every segment takes 200 ms.
fn distant(server: &Server) -> TcpStream {
    const WAY: Duration = Duration::from_millis(200);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (here, there) = (listener.accept().unwrap().0, TcpStream::connect(server.authority()).unwrap());
    let carry = |mut from: TcpStream, mut to: TcpStream| {
        std::thread::spawn(move || {
            let mut piece = vec![0; 256 << 10];
            while let Ok(read @ 1..) = from.read(&mut piece) {
                std::thread::sleep(WAY);
                if to.write_all(&piece[..read]).is_err() {
                    return;
                }
            }
            let _ = to.shutdown(Shutdown::Write);
        });
    };
    carry(here.try_clone().unwrap(), there.try_clone().unwrap());
    carry(there, here);
    near
}

/// Five segments a second is slow, but steady: a distant reader is not a stalled one.
#[test]
fn slow_readers_are_not_cut_off_while_others_wait() {
    let server = Server::start(&[("FLASKPASTE_THREADS", "8"), ("FLASKPASTE_MAX_ANON", "20000000")]);
    // More than the buffers on the way hold.
    let content = vec![b'x'; 12 << 20];
    let paste = server.post(content.clone()).header("X-Burn-After-Read", "true").created();
    let crowd: Vec<Connection> = (0..CROWD).map(|_| server.connect()).collect();
    let mut reader = distant(&server);
    reader.set_read_timeout(Some(SOON)).unwrap();
    let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", paste.raw());
    reader.write_all(request.as_bytes()).unwrap();
    let over = AtomicBool::new(false);
    let answer = std::thread::scope(|scope| {
        let _end = SetOnDrop(&over);
        for _ in 0..8 {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    // Silent or unfinished, and reconnecting when closed.
                    let mut connection = server.connect();
                    connection.send("GET / HTTP/1.1\r\nX: ");
                    connection.is_ended();
                }
            });
        }
        let mut answer = Vec::new();
        reader.read_to_end(&mut answer).map(|_| answer)
    });
    assert!(answer.unwrap().ends_with(&content), "the reader was disconnected");
    drop(crowd);
}

/// Twenty thousand pastes are created, half are deleted, then the rest: whatever SQLite has done to its pages, no file
/// reveals their contents or ids. A few sealed keys of deleted pastes, useless without the id, may stay where a page
/// was rebuilt: SQLite does not clear what it leaves behind there.
#[test]
fn no_file_reveals_anything_after_twenty_thousand_pastes() {
    const PASTES: usize = 20_000;
    const THREADS: usize = 4;
    let server =
        Server::embedded(&[("FLASKPASTE_DEDUP_MAX", "0"), ("FLASKPASTE_ID_LENGTH", "32"), ("FLASKPASTE_LOG", "off")]);
    let marker = format!("needle-{}-", std::process::id());
    let work = |thread: usize| {
        let mut connection = server.connect();
        let mut pastes = Vec::new();
        for number in 0..PASTES / THREADS {
            let digest = Sha256::digest(format!("{thread} {number}"));
            let random = usize::from(digest[0]) << 8 | usize::from(digest[1]);
            let content = format!("{marker}{thread}-{number} ") + &hex(&digest).repeat(7)[..random % 400];
            let burn = if random.is_multiple_of(3) { "1" } else { "0" };
            let request = server.post(content).header("X-Burn-After-Read", burn);
            let answer = request.send_on(&mut connection).expect_status(201).json();
            let text = |name: &str| answer[name].as_str().unwrap().to_owned();
            pastes.push((Paste { id: text("id"), delete_token: text("delete_token") }, burn == "1"));
            if random % 7 < 4 {
                let (paste, burn) = &pastes[random % pastes.len()];
                let request = match burn {
                    true => server.request("GET", &paste.raw()),
                    false => server.request("DELETE", &paste.path()).header("X-Delete-Token", &paste.delete_token),
                };
                let status = request.send_on(&mut connection).status;
                assert!([200, 404].contains(&status), "{status}");
            }
        }
        pastes
    };
    let pastes: Vec<Paste> = std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || work(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).map(|(paste, _)| paste).collect()
    });
    let ids: HashSet<Vec<u8>> = pastes.iter().map(|paste| paste.id.clone().into_bytes()).collect();
    let live: HashSet<Vec<u8>> = sealed_keys(&server).into_iter().collect();
    assert!((5000..15_000).contains(&live.len()), "{} pastes are left", live.len());
    assert_eq!(ids.len(), PASTES);
    let wal = server.folder().join("pastes.db-wal");
    wait_until("the log is emptied", ERASED_WITHIN, || fs::metadata(&wal).unwrap().len() == 0);
    let raw_ids: HashSet<Vec<u8>> = ids.iter().map(|id| unhex(std::str::from_utf8(id).unwrap()).unwrap()).collect();
    for (name, bytes) in files(server.folder().path()) {
        assert!(!contains(&bytes, marker.as_bytes()), "{name} has content");
        assert!(!contains(&bytes, b"text/plain"), "{name} has a type");
        assert!(!bytes.windows(32).any(|window| ids.contains(window)), "{name} has an id");
        // Shorter ids would equal some bytes of ciphertext by chance: six bytes, once in a thousand runs.
        assert!(!bytes.windows(16).any(|window| raw_ids.contains(window)), "{name} has the bytes of an id");
    }
    let mut connection = server.connect();
    for paste in &pastes {
        let request = server.request("DELETE", &paste.path()).header("X-Delete-Token", &paste.delete_token);
        request.send_on(&mut connection);
    }
    assert!(sealed_keys(&server).is_empty());
    wait_until("the log is emptied", ERASED_WITHIN, || fs::metadata(&wal).unwrap().len() == 0);
    let left: HashSet<Vec<u8>> = files(server.folder().path())
        .iter()
        .flat_map(|(_, bytes)| bytes.windows(60).filter(|window| live.contains(*window)).map(<[u8]>::to_vec))
        .collect();
    assert!(left.len() * 100 <= live.len(), "{} keys of {} are left", left.len(), live.len());
    eprintln!("{} sealed keys of {} stayed behind in rebuilt pages", left.len(), live.len());
}
