//! The server and a service manager: socket activation and notifications.

use crate::harness::{Folder, Launcher, SOON, Server, wait_until};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Requests the health on a new connection; the whole response.
fn ask(mut connection: impl Read + Write) -> std::io::Result<String> {
    connection.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).map(|_| answer)
}

#[track_caller]
fn expect_healthy(connection: impl Read + Write) {
    let answer = ask(connection).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("healthy"), "{answer}");
}

#[test]
fn inherited_sockets_are_served_and_survive_the_server() {
    let folder = Arc::new(Folder::new());
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, path) = (tcp.local_addr().unwrap(), folder.join("socket"));
    let unix = UnixListener::bind(&path).unwrap();
    let launcher = Launcher::with_sockets([tcp.into(), unix.into()]);
    // The setting names an unavailable port: it is ignored.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = taken.local_addr().unwrap().to_string();
    let mut server = Server::start_by(launcher, folder, &[("FLASKPASTE_BIND", &bind)]);
    assert_eq!(server.authority(), address.to_string());
    expect_healthy(TcpStream::connect(address).unwrap());
    expect_healthy(UnixStream::connect(&path).unwrap());
    wait_until("both sockets are in the log", SOON, || server.log().contains(path.to_str().unwrap()));
    server.stop();
    // Connections made in between wait for the next server.
    let waiting = (TcpStream::connect(address).unwrap(), UnixStream::connect(&path).unwrap());
    server.restart();
    expect_healthy(waiting.0);
    expect_healthy(waiting.1);
}

#[test]
fn no_connection_is_refused_during_a_restart() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = Server::start_by(Launcher::with_sockets([listener.into()]), Arc::new(Folder::new()), &[]);
    let (over, answered) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let askers: Vec<_> = (0..4).map(|_| scope.spawn(|| ask_until(&over, address, &answered))).collect();
        for _ in 0..5 {
            let before = answered.load(Ordering::SeqCst);
            wait_until("the server is busy", SOON, || answered.load(Ordering::SeqCst) > before + 100);
            server.stop();
            server.restart();
        }
        over.store(true, Ordering::SeqCst);
        for asker in askers {
            asker.join().unwrap();
        }
    });
}

/// Sends requests on one new connection after the other; panics unless each is answered.
fn ask_until(over: &AtomicBool, address: SocketAddr, answered: &AtomicU32) {
    while !over.load(Ordering::SeqCst) {
        let answer = TcpStream::connect(address).and_then(ask);
        assert!(answer.as_ref().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 ")), "{answer:?}");
        answered.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn sockets_passed_to_another_process_are_ignored() {
    let server = Server::start(&[("LISTEN_PID", "1"), ("LISTEN_FDS", "1")]);
    server.expect_alive();
    assert!(!server.log().contains("manager"), "{}", server.log());
}

#[test]
fn descriptors_that_are_not_listening_sockets_are_refused() {
    let folder = Folder::new();
    let script = "exec 3</dev/null; export LISTEN_PID=$$; exec \"$0\"";
    for (count, named) in [("1", "Accept=no"), ("65", "at most 64"), ("-1", "at most 64")] {
        let mut command = Command::new("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_flaskpaste")]).env("LISTEN_FDS", count);
        let database = folder.join("pastes.db");
        let output = command.env("FLASKPASTE_DB", database).stdin(Stdio::null()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(named) && stderr.lines().count() == 1, "{count}: {stderr}");
    }
}

#[test]
fn a_server_that_cannot_open_its_database_leaves_connections_to_the_next() {
    let folder = Folder::new();
    let path = folder.join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let mut waiting = UnixStream::connect(&path).unwrap();
    let database = folder.join("garbage.db");
    std::fs::write(&database, "garbage").unwrap();
    let script = "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_flaskpaste")]).stdin(OwnedFd::from(listener.try_clone().unwrap()));
    let output = command.env("FLASKPASTE_DB", &database).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(path.exists(), "the file belongs to the service manager");
    // Nobody has accepted the connection: the next server will.
    listener.set_nonblocking(true).unwrap();
    let (mut accepted, _) = listener.accept().expect("the connection is still waiting");
    accepted.write_all(b"the next server").unwrap();
    drop(accepted);
    let mut told = String::new();
    waiting.read_to_string(&mut told).unwrap();
    assert_eq!(told, "the next server");
}

/// The next notification.
#[track_caller]
fn news(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 1000];
    let length = socket.recv(&mut buffer).expect("no notification");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[track_caller]
fn expect_the_news(socket: &UnixDatagram, name: &str) {
    socket.set_read_timeout(Some(SOON)).unwrap();
    let variables = [("NOTIFY_SOCKET", name), ("WATCHDOG_USEC", "100000")];
    let mut server = Server::start(&variables);
    let ready = news(socket);
    assert_eq!(ready, format!("READY=1\nSTATUS=listening on http://{}", server.authority()));
    server.expect_alive();
    for _ in 0..3 {
        assert_eq!(news(socket), "WATCHDOG=1");
    }
    server.stop();
    let rest: Vec<String> = std::iter::from_fn(|| {
        socket.set_nonblocking(true).unwrap();
        let mut buffer = [0; 1000];
        socket.recv(&mut buffer).ok().map(|length| String::from_utf8_lossy(&buffer[..length]).into_owned())
    })
    .collect();
    assert!(rest.contains(&"STOPPING=1".to_owned()), "{rest:?}");
}

#[test]
fn the_server_notifies_systemd_when_ready_alive_and_stopping() {
    let folder = Folder::new();
    let path = folder.join("notify");
    expect_the_news(&UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap());
    // An abstract socket has no file.
    let name = format!("flaskpaste-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    expect_the_news(&UnixDatagram::bind_addr(&address).unwrap(), &format!("@{name}"));
}

#[test]
fn a_missing_notify_socket_does_not_stop_the_server() {
    let mut server = Server::start(&[("NOTIFY_SOCKET", "/nonexistent/notify"), ("WATCHDOG_PID", "1")]);
    server.expect_alive();
    wait_until("the log has the error", SOON, || server.log().contains("cannot notify the service manager"));
    server.stop();
}
