//! The tests that take long, because what they look at is that time has passed. `make test-quick` leaves this module out.

use crate::guard::{CROWD, SetOnDrop};
use crate::harness::{SOON, Server, unix_now, wait_until};
use crate::http_client::Connection;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[test]
fn reading_keeps_a_paste_alive_and_head_does_not() {
    let server = Server::start(&[("FLASKPASTE_EXPIRY", "2")]);
    let kept = server.paste("kept");
    let described = server.paste("described");
    let headed = server.paste("headed");
    let started = Instant::now();
    let mut headed_gone = false;
    wait_until("six seconds of reading have passed", SOON, || {
        server.get(&kept.raw()).expect_status(200).expect_body("kept");
        server.get(&described.path()).expect_status(200);
        headed_gone |= server.head(&headed.raw()).status == 404 || server.head(&headed.path()).status == 404;
        started.elapsed() > Duration::from_secs(6)
    });
    assert!(headed_gone, "HEAD must not move the clock");
    let expires_at = server.get(&described.path()).json()["expires_at"].as_u64().unwrap();
    assert!(expires_at > unix_now(), "the metadata tells the moved expiry");
    wait_until("the paste nobody reads has expired", SOON, || server.head(&kept.raw()).status == 404);
    server.get(&kept.raw()).expect_code(404, "not_found");
}

#[test]
fn a_moved_clock_survives_an_orderly_restart() {
    // With a watchdog's thread, which still holds the store at the end.
    let mut server = Server::start(&[("FLASKPASTE_EXPIRY", "20"), ("WATCHDOG_USEC", "60000000")]);
    let paste = server.paste("kept");
    let first = server.get(&paste.path()).json()["expires_at"].as_u64().unwrap();
    wait_until("the clock has moved", SOON, || {
        server.get(&paste.path()).json()["expires_at"].as_u64().unwrap() >= first + 2
    });
    server.stop();
    server.restart();
    let response = server.head(&paste.path()).expect_status(200);
    assert_eq!(response.status, 200);
    wait_until("the first expiry has passed", SOON, || unix_now() > first);
    server.get(&paste.path()).expect_status(200);
}

/// A line to the server on which every piece takes 200 ms.
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

/// Five pieces a second is slow, but it comes on: it is not the reader's fault that it is far away.
#[test]
fn a_distant_reader_is_not_cut_off_while_others_wait() {
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
                    // Silent or unfinished, and again as soon as it is thrown out.
                    let mut connection = server.connect();
                    connection.send("GET / HTTP/1.1\r\nX: ");
                    connection.is_ended();
                }
            });
        }
        let mut answer = Vec::new();
        reader.read_to_end(&mut answer).map(|_| answer)
    });
    assert!(answer.unwrap().ends_with(&content), "the reader was cut off");
    drop(crowd);
}
