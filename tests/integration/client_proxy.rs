//! fpaste behind proxies that work and proxies that do not.

use crate::client_harness::Client;
use crate::client_network::{Stub, reply};
use crate::harness::Server;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A SOCKS5 proxy (RFC 1928, 1929) that connects to its one server whatever the requested address, and records the
/// requests; or one that always responds with this refusal.
struct Socks {
    address: String,
    targets: Arc<Mutex<Vec<String>>>,
}

impl Socks {
    fn new(server: String, refusal: u8) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let targets = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&targets);
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let Some(target) = greet(&mut client) else { continue };
                noted.lock().unwrap().push(target);
                client.write_all(&[5, refusal, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
                if refusal == 0 {
                    let server = TcpStream::connect(&server).unwrap();
                    copy(client.try_clone().unwrap(), server.try_clone().unwrap());
                    copy(server, client);
                }
            }
        });
        Self { address, targets }
    }

    fn targets(&self) -> Vec<String> {
        std::mem::take(&mut self.targets.lock().unwrap())
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
}

fn bytes(client: &mut TcpStream, count: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; count];
    client.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

/// Length-prefixed bytes.
fn counted(client: &mut TcpStream) -> Option<Vec<u8>> {
    let count = usize::from(bytes(client, 1)?[0]);
    bytes(client, count)
}

/// The requested address, after a name and password if the client has them.
fn greet(client: &mut TcpStream) -> Option<String> {
    bytes(client, 1)?;
    let has_password = counted(client)?.contains(&2);
    client.write_all(&[5, if has_password { 2 } else { 0 }]).ok()?;
    let mut target = String::new();
    if has_password {
        bytes(client, 1)?;
        for separator in [':', '@'] {
            target.push_str(&String::from_utf8(counted(client)?).unwrap());
            target.push(separator);
        }
        client.write_all(&[1, 0]).ok()?;
    }
    match bytes(client, 4)?[3] {
        1 => target.push_str(&bytes(client, 4)?.iter().map(u8::to_string).collect::<Vec<_>>().join(".")),
        _ => target.push_str(&String::from_utf8(counted(client)?).unwrap()),
    }
    let port = bytes(client, 2)?;
    Some(format!("{target}:{}", u16::from_be_bytes([port[0], port[1]])))
}

#[test]
fn a_socks_proxy_carries_every_request() {
    let server = Server::start(&[]);
    let socks = Socks::new(server.authority(), 0);
    for (scheme, userinfo, host, target) in [
        ("socks5h", "", "paste.invalid", "paste.invalid:80"),
        ("socks5h", "me:p%40ss@", "paste.invalid:81", "me:p@ss@paste.invalid:81"),
        ("socks5", "", "192.0.2.1:82", "192.0.2.1:82"),
        ("SOCKS5", "me:secret@", "192.0.2.1:82", "me:secret@192.0.2.1:82"),
    ] {
        let proxy = format!("{scheme}://{userinfo}{}", socks.address);
        let client = Client::with_url(&format!("http://{host}")).with("all_proxy", &proxy);
        let link = client.create("through socks", &[]);
        assert_eq!(client.run(&["get", &link]).succeeded().text(), "through socks");
        let targets = socks.targets();
        assert!(targets.len() >= 2 && targets.iter().all(|known| known == target), "{proxy}: {targets:?}");
    }
    // A name the proxy should not resolve is resolved here.
    let client = Client::with_url("http://paste.invalid").with("all_proxy", &format!("socks5://{}", socks.address));
    assert!(client.run(&["info"]).failed(7).contains("paste.invalid: cannot resolve the host name"));
    assert!(socks.targets().is_empty());
}

#[test]
fn a_failing_proxy_is_named_without_its_password() {
    let asks = Stub::new(|_| reply("407 Proxy Authentication Required", "Connection: close\r\n", ""));
    let asks = asks.url.trim_start_matches("http://").to_owned();
    let closes = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = closes.local_addr().unwrap().to_string();
    std::thread::spawn(move || closes.incoming().flatten().for_each(drop));
    let refuses = Socks::new(String::new(), 5).address;
    for (scheme, place, said) in [
        ("http", "127.0.0.1:1", ": connection refused"),
        ("socks5h", "127.0.0.1:1", ": connection refused"),
        ("http", "localhost:1", ": connection refused"),
        ("http", "proxy.invalid:3128", ": cannot resolve the host name"),
        ("socks5h", "proxy.invalid:1080", ": cannot resolve the host name"),
        ("http", &asks, " cannot connect to paste.invalid:81: status 407"),
        ("socks5h", &refuses, " cannot connect to paste.invalid:81: connection refused"),
        ("http", &silent, ""),
        ("socks5h", &silent, ""),
    ] {
        for url in ["http://paste.invalid:81", "https://paste.invalid:81"] {
            let client = Client::with_url(url).with("all_proxy", &format!("{scheme}://me:secret@{place}"));
            let stderr = client.run(&["info"]).failed(7);
            assert!(stderr.contains(&format!("error: the proxy {place}{said}")), "{scheme} {place} {url}: {stderr}");
            assert!(!stderr.contains("secret"), "{stderr}");
        }
    }
}

#[test]
fn unsupported_proxy_schemes_are_refused() {
    for (address, said) in [
        ("https://me:secret@p:1", "https_proxy: HTTPS proxies are not supported"),
        ("socks4://me:secret@p:1", "https_proxy: unsupported proxy scheme"),
        ("ftp://me:secret@p:1", "https_proxy: unsupported proxy scheme"),
        ("http://me:secret@p:x", "https_proxy: invalid proxy URL"),
    ] {
        let stderr = Client::with_url("https://paste.invalid").with("https_proxy", address).run(&["info"]).failed(2);
        assert!(stderr.contains(said) && stderr.contains("hint: use http://"), "{address}: {stderr}");
        assert!(!stderr.contains("secret") && !stderr.contains(".rs"), "{address}: {stderr}");
    }
}

/// For the kernel, 0.0.0.0 is this machine; fpaste does not treat it so.
#[test]
fn no_proxy_accepts_networks() {
    let server = Server::start(&[]);
    let (_, port) = server.authority().rsplit_once(':').map(|(host, port)| (host.to_owned(), port.to_owned())).unwrap();
    let client = Client::with_url(&format!("http://0.0.0.0:{port}")).with("http_proxy", "http://127.0.0.1:1");
    assert!(client.run(&["info"]).failed(7).contains("the proxy 127.0.0.1:1"));
    for exceptions in ["0.0.0.0", "192.0.2.0/24, 0.0.0.0/8", "2001:db8::/32 0.0.0.0/32", "*"] {
        client.with("no_proxy", exceptions).run(&["info"]).succeeded();
    }
    for exceptions in ["1.0.0.0/8", "0.0.0.1/32", "::/0", "0.0.0.0/x", "0.0.0"] {
        client.with("no_proxy", exceptions).run(&["info"]).failed(7);
    }
}
