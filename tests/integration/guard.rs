//! Clients that only occupy the server's slots do not block others. Each crowd is large enough to occupy the pool
//! for longer than a test waits if the guard did not act.

use crate::harness::{Folder, SOON, Server, wait_until};
use crate::http_client::Connection;
use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Connections in a crowd: five per slot, each with a timeout of fifteen seconds.
pub const CROWD: usize = 40;

fn server() -> Server {
    Server::start(&[("FLASKPASTE_THREADS", "8")])
}

/// A crowd that sends this and then nothing.
fn crowd(server: &Server, bytes: &[u8]) -> Vec<Connection> {
    let one = |_| {
        let mut connection = server.connect();
        connection.send(bytes);
        connection
    };
    (0..CROWD).map(one).collect()
}

#[test]
fn idle_connections_are_closed_when_others_wait() {
    // On TCP, the kernel keeps a connection until its first byte (`TCP_DEFER_ACCEPT`).
    let folder = Arc::new(Folder::new());
    let bind = format!("unix:{}", folder.join("socket").display());
    let server = Server::start_in(folder, &[("FLASKPASTE_BIND", &bind), ("FLASKPASTE_THREADS", "8")]);
    let crowd = crowd(&server, b"");
    server.expect_alive();
    drop(crowd);
}

#[test]
fn kept_alive_connections_are_closed_when_others_wait() {
    let server = server();
    let one = |_| {
        let mut connection = server.connect();
        server.request("GET", "/health").send_on(&mut connection).expect_status(200);
        connection
    };
    let crowd: Vec<Connection> = (0..CROWD).map(one).collect();
    server.expect_alive();
    drop(crowd);
}

#[test]
fn busy_connections_are_closed_when_others_wait() {
    let server = server();
    let over = AtomicBool::new(false);
    let restless = || {
        while !over.load(Ordering::SeqCst) {
            let mut connection = server.connect();
            // Until it is closed, which only a pool under pressure does.
            while !over.load(Ordering::SeqCst) {
                let response = server.request("GET", "/robots.txt").send_on(&mut connection).expect_status(200);
                if response.get("Connection") == Some("close") {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    };
    std::thread::scope(|scope| {
        let _end = SetOnDrop(&over);
        for _ in 0..16 {
            scope.spawn(restless);
        }
        for _ in 0..20 {
            server.expect_alive();
        }
    });
}

/// More of them than threads that may run without blocking.
#[test]
fn clients_that_pipeline_without_a_pause_do_not_keep_others_waiting() {
    let server = Server::start(&[]);
    let requests = server.request("GET", "/robots.txt").head_bytes().repeat(1000);
    let threads = 2 * std::thread::available_parallelism().unwrap().get();
    let sockets: Vec<TcpStream> = (0..threads).map(|_| TcpStream::connect(server.authority()).unwrap()).collect();
    std::thread::scope(|scope| {
        for socket in &sockets {
            // Until the socket is shut down.
            scope.spawn(|| while (&*socket).write_all(&requests).is_ok() {});
            scope.spawn(|| io::copy(&mut &*socket, &mut io::sink()));
        }
        let answered = catch_unwind(AssertUnwindSafe(|| (0..20).for_each(|_| server.expect_alive())));
        for socket in &sockets {
            socket.shutdown(Shutdown::Both).unwrap();
        }
        answered.unwrap_or_else(|panic| resume_unwind(panic));
    });
}

/// Ends the crowd also if the test fails.
pub struct SetOnDrop<'a>(pub &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn connections_with_unfinished_heads_are_closed_when_others_wait() {
    let server = server();
    let crowd = crowd(&server, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ");
    server.expect_alive();
    drop(crowd);
}

#[test]
fn connections_with_unfinished_bodies_get_503_when_others_wait() {
    let server = server();
    let mut crowd = crowd(&server, b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nabc");
    server.expect_alive();
    // A faster sender gets the place of one of them.
    let large = vec![b'x'; 3 << 20];
    wait_until("a large upload gets a place", SOON, || server.post(large.clone()).send().status == 201);
    let mut answer = |connection: &mut Connection| {
        connection.end();
        connection.read_response("an unfinished body", false).expect("no response")
    };
    let responses: Vec<_> = crowd.iter_mut().map(&mut answer).collect();
    let busy: Vec<_> = responses.into_iter().filter(|response| response.status == 503).collect();
    // Half of the places are for those that are waited for.
    assert!(busy.len() >= CROWD - 4, "{}", busy.len());
    for response in busy {
        response.expect_code(503, "busy").expect_header("Retry-After", "1");
    }
}

/// A fully received request, even if it came slowly, is never displaced.
#[test]
fn new_connections_do_not_end_fully_received_requests() {
    let folder = Arc::new(Folder::new());
    let bind = format!("unix:{}", folder.join("socket").display());
    let server = Server::start_in(folder, &[("FLASKPASTE_BIND", &bind), ("FLASKPASTE_THREADS", "4")]);
    // Hashing a password takes a while, in which new connections arrive.
    let head = "POST / HTTP/1.1\r\nHost: x\r\nX-Paste-Password: abc\r\nContent-Length: 5\r\n\r\n";
    let mut slow: Vec<Connection> = (0..2).map(|_| server.connect()).collect();
    for (number, connection) in slow.iter_mut().enumerate() {
        connection.send(format!("{head}{number}el"));
    }
    let sent_at = Instant::now();
    wait_until("they are old enough to count as slow", SOON, || sent_at.elapsed() > Duration::from_millis(1500));
    for connection in &mut slow {
        connection.send("lo");
    }
    let newcomers: Vec<Connection> = (0..6)
        .map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            let mut newcomer = server.connect();
            newcomer.send("GE");
            newcomer
        })
        .collect();
    for connection in &mut slow {
        connection.read_response("a slow create", false).expect("it was disconnected").expect_status(201);
    }
    drop(newcomers);
}

#[test]
fn stalled_readers_are_disconnected_when_others_wait() {
    let server = server();
    let paste = server.paste(vec![b'x'; 3 << 20]);
    let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", paste.raw());
    let crowd = crowd(&server, request.as_bytes());
    server.expect_alive();
    drop(crowd);
}
