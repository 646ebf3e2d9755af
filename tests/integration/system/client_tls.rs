//! fpaste over TLS, through a real nginx that checks client certificates.

use super::nginx::{self, Nginx, PROXY_SECRET, make_authority, make_server_certificate, openssl};
use crate::client_harness::Client;
use crate::harness::{Folder, Server};
use std::os::unix::fs::PermissionsExt;

/// The key types of `fpaste cert`.
const KINDS: &[(&str, &[&str])] = &[
    ("p256", &["-c", "secp256r1"]),
    ("p384", &[]),
    ("p521", &["-c", "secp521r1"]),
    ("rsa2048", &["-a", "rsa", "-b", "2048"]),
    ("rsa4096", &["-a", "rsa"]),
];

/// Accepts any certificate and passes on its fingerprint.
const OPTIONAL: &str = "ssl_verify_client optional_no_ca;";

fn server() -> Server {
    Server::start(&[("FLASKPASTE_PROXY_SECRET", PROXY_SECRET)])
}

/// A folder with a CA and a server certificate.
fn authority() -> Folder {
    let folder = Folder::new();
    make_authority(folder.path());
    make_server_certificate(folder.path(), "server", "IP:127.0.0.1,DNS:localhost", 2);
    folder
}

/// A client that trusts the CA.
fn client(url: &str, ca: &str) -> Client {
    let client = Client::with_url(url);
    client.file("ca.crt", ca);
    client.with("FLASKPASTE_CA_CERT", "ca.crt")
}

#[test]
fn every_kind_of_certificate_proves_ownership() {
    if !nginx::is_available() {
        return;
    }
    let (server, folder) = (server(), authority());
    let ca = std::fs::read_to_string(folder.join("ca.crt")).unwrap();
    // Created first, because the verifying nginx must know them all.
    let maker = Client::with_url("http://localhost:1");
    let mut all = String::new();
    for (kind, options) in KINDS {
        let arguments = [&["cert", "-o", kind], *options].concat();
        let run = maker.run(&arguments).succeeded();
        let home = maker.home.join(kind);
        let printed = openssl(&home, "x509 -in client.crt -noout -fingerprint -sha1");
        let expected = printed.trim().split_once('=').unwrap().1.replace(':', "").to_lowercase();
        assert_eq!(run.line(), expected, "{kind}");
        assert_eq!(std::fs::metadata(home.join("client.key")).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!run.text().contains("PRIVATE") && !run.stderr.contains("PRIVATE"));
        let text = openssl(&home, "x509 -in client.crt -noout -text");
        assert!(text.contains("TLS Web Client Authentication") && text.contains("CA:FALSE"), "{text}");
        all.push_str(&std::fs::read_to_string(home.join("client.crt")).unwrap());
    }
    std::fs::write(folder.join("clients.crt"), all).unwrap();
    let verify = "ssl_verify_client on; ssl_client_certificate clients.crt;";
    let blocks: Vec<String> = [OPTIONAL, verify]
        .iter()
        .flat_map(|verify| ["TLSv1.2", "TLSv1.3"].map(|version| format!("{verify} ssl_protocols {version};")))
        .collect();
    let nginx =
        Nginx::start(folder, &server, &blocks.iter().map(|block| ("server", block.as_str())).collect::<Vec<_>>());
    for (kind, _) in KINDS {
        for block in 0..blocks.len() {
            let certified = || {
                let folder = maker.home.join(kind);
                client(&nginx.url(block), &ca)
                    .with("FLASKPASTE_CLIENT_CERT", folder.join("client.crt").to_str().unwrap())
                    .with("FLASKPASTE_CLIENT_KEY", folder.join("client.key").to_str().unwrap())
            };
            let (first, second) = (certified(), certified());
            assert!(first.run(&["info"]).succeeded().text().contains("authenticated"), "{kind} {block}");
            let link = first.create(format!("{kind} {block}"), &[]);
            assert_eq!(second.run(&["get", &link]).succeeded().text(), format!("{kind} {block}"));
            // Another home, no history: the certificate alone is enough.
            second.run(&["delete", &link]).succeeded();
        }
    }
    // Without a certificate, nginx refuses the request.
    let stderr = client(&nginx.url(2), &ca).run(&["info"]).failed(4);
    assert!(stderr.contains("asks for a client certificate") && stderr.contains("hint: set client_cert"), "{stderr}");
    let stranger = client(&nginx.url(2), &ca);
    stranger.run(&["cert", "--configure", "-c", "secp256r1"]).succeeded();
    assert!(stranger.run(&["info"]).failed(4).contains("rejected the client certificate"));
    let plain = nginx.url(2).replace("https://", "http://");
    for arguments in [&["info"][..], &["get", "abcd1234"], &["create", "-"]] {
        let stderr = client(&plain, &ca).pipe("x", arguments).failed(7);
        assert!(stderr.contains("expects https://") && stderr.contains("hint: use https://"), "{stderr}");
    }
}

#[test]
fn cert_configure_is_enough_to_use_a_certificate() {
    if !nginx::is_available() {
        return;
    }
    let (server, folder) = (server(), authority());
    let ca = std::fs::read_to_string(folder.join("ca.crt")).unwrap();
    let nginx = Nginx::start(folder, &server, &[("server", OPTIONAL)]);
    let person = client(&nginx.url(0), &ca);
    person.configure("# mine\n");
    let fingerprint = person.run(&["cert", "--configure", "-c", "secp256r1"]).succeeded().line();
    let config = std::fs::read_to_string(person.home.join(".config/fpaste/config")).unwrap();
    assert!(config.starts_with("# mine\n") && config.contains(&format!("cert_sha1 = {fingerprint}")), "{config}");
    assert!(person.run(&["info"]).succeeded().text().contains("authenticated"));
    // A second one would lock the owner out of existing pastes.
    assert!(person.run(&["cert"]).failed(2).contains("--force"));
    person.run(&["cert", "--force", "-c", "secp256r1"]).succeeded();
    // More than an anonymous client may upload.
    let large = vec![7; 10_000_000];
    let link = person.create(&large, &[]);
    assert_eq!(person.run(&["get", &link]).succeeded().stdout, large);
}

#[test]
fn untrusted_server_certificates_are_refused() {
    if !nginx::is_available() {
        return;
    }
    let (server, folder) = (server(), authority());
    let ca = std::fs::read_to_string(folder.join("ca.crt")).unwrap();
    let plain_url = format!("https://{}", server.authority());
    make_server_certificate(folder.path(), "expired", "IP:127.0.0.1", -1);
    make_server_certificate(folder.path(), "other", "DNS:other.example", 2);
    let config = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout self.key -out self.crt -subj /CN=x -days 2 -addext subjectAltName=IP:127.0.0.1";
    openssl(folder.path(), config);
    let own = std::fs::read_to_string(folder.join("self.crt")).unwrap();
    let certificates = ["server", "expired", "other", "self"].map(|name| (name, ""));
    let nginx = Nginx::start(folder, &server, &certificates);
    let strange = Client::with_url(&nginx.url(0)).run(&["info"]).failed(7);
    assert!(strange.contains("signed by an unknown CA") && strange.contains("ca_cert"), "{strange}");
    client(&nginx.url(0), &ca).run(&["info"]).succeeded();
    assert!(client(&nginx.url(1), &ca).run(&["info"]).failed(7).contains("expired"));
    assert!(client(&nginx.url(2), &ca).run(&["info"]).failed(7).contains("a different host name"));
    for stranger in [Client::with_url(&nginx.url(3)), client(&nginx.url(3), &ca)] {
        let stderr = stranger.run(&["info"]).failed(7);
        let place = nginx.url(3).replace("https://", "");
        assert!(stderr.contains("certificate is self-signed") && stderr.contains("ca_cert ="), "{stderr}");
        assert!(stderr.contains(&format!("openssl s_client -connect {place} </dev/null")), "{stderr}");
    }
    client(&nginx.url(3), &own).run(&["info"]).succeeded();
    assert!(client(&plain_url, &ca).run(&["info"]).failed(7).contains("does not speak TLS"));
}

/// As openssl creates it by default: a CA certificate, often without the host name in use.
#[test]
fn a_self_signed_server_certificate_can_be_trusted() {
    if !nginx::is_available() {
        return;
    }
    let (server, folder) = (server(), authority());
    let ca = std::fs::read_to_string(folder.join("ca.crt")).unwrap();
    make_server_certificate(folder.path(), "expired", "IP:127.0.0.1", -1);
    let kinds = [
        ("plain", "/CN=127.0.0.1", ""),
        ("named", "/CN=x", " -addext subjectAltName=IP:127.0.0.1"),
        ("other", "/CN=127.0.0.1", " -addext subjectAltName=DNS:other.example"),
        ("stranger", "/CN=x", ""),
    ];
    for (name, subject, more) in kinds {
        openssl(
            folder.path(),
            &format!("req -x509 -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.crt -subj {subject}{more}"),
        );
    }
    let text = |name: &str| std::fs::read_to_string(folder.join(&format!("{name}.crt"))).unwrap();
    let (plain, named, other, expired, stranger) =
        (text("plain"), text("named"), text("other"), text("expired"), text("stranger"));
    let nginx = Nginx::start(folder, &server, &["plain", "named", "other", "expired"].map(|name| (name, "")));
    client(&nginx.url(0), &plain).run(&["info"]).succeeded();
    client(&nginx.url(1), &(stranger.clone() + &named)).run(&["info"]).succeeded();
    assert!(client(&nginx.url(2), &other).run(&["info"]).failed(7).contains("a different host name"));
    assert!(client(&nginx.url(3), &expired).run(&["info"]).failed(7).contains("expired"));
    // The default certificate of openssl, a CA's, gets a name here too.
    assert!(client(&nginx.url(0), &ca).run(&["info"]).failed(7).contains("certificate is self-signed"));
    // Another certificate of the same kind, even with the same name, is not the one in the file.
    for own in [&stranger, &ca, &plain] {
        client(&nginx.url(1), own).run(&["info"]).failed(7);
    }
    client(&nginx.url(0), &named).run(&["info"]).failed(7);
}

#[test]
fn unusable_certificate_files_are_named() {
    if !nginx::is_available() {
        return;
    }
    let maker = Client::with_url("https://127.0.0.1:1");
    maker.run(&["cert", "-o", "a", "-c", "secp256r1"]).succeeded();
    maker.run(&["cert", "-o", "b", "-c", "secp256r1"]).succeeded();
    openssl(maker.home.path(), "pkcs8 -topk8 -in a/client.key -out encrypted.key -passout pass:x");
    maker.file("empty", "");
    maker.file("garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    for (cert, key, named) in [
        ("a/client.crt", "b/client.key", "b/client.key does not match a/client.crt"),
        ("a/client.crt", "encrypted.key", "encrypted.key is encrypted"),
        ("a/client.crt", "missing", "missing"),
        ("a/client.crt", "a/client.crt", "no private key"),
        ("empty", "a/client.key", "no certificate found"),
        ("a", "a/client.key", "not a PEM file"),
    ] {
        let run = maker.with("FLASKPASTE_CLIENT_CERT", cert).with("FLASKPASTE_CLIENT_KEY", key).run(&["info"]);
        let stderr = run.failed(2);
        assert!(stderr.contains(named), "{cert} {key}: {stderr}");
    }
    for (ca, named) in [("empty", "no certificate found"), ("garbage", "invalid certificate 1"), ("gone", "gone")] {
        let stderr = maker.with("FLASKPASTE_CA_CERT", ca).run(&["info"]).failed(2);
        assert!(stderr.contains(named), "{ca}: {stderr}");
    }
    // A key readable by others gets a warning. The connection is refused.
    std::fs::set_permissions(maker.home.join("a/client.key"), PermissionsExt::from_mode(0o644)).unwrap();
    let certified = maker.with("FLASKPASTE_CLIENT_CERT", "a/client.crt").with("FLASKPASTE_CLIENT_KEY", "a/client.key");
    assert!(certified.run(&["info"]).failed(7).contains("warning: other users can read"));
    // Plain HTTP to another host: refused before connecting.
    let stderr = certified.with("FLASKPASTE_SERVER", "http://192.0.2.1").run(&["info"]).failed(2);
    assert!(stderr.contains("refusing http://192.0.2.1") && stderr.contains("hint: use https://"), "{stderr}");
    certified.with("FLASKPASTE_SERVER", "http://127.0.0.1:1").run(&["info"]).failed(7);
}
