//! Which servers fpaste sends its credentials to, and that no message shows a key.

use crate::client_harness::Client;
use crate::client_network::{CREATED, Stub, accepting, reply};
use crate::harness::{Server, unix_now};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

const KEY: &str = "qBlAjOUBDKLgnvWaw9ifX_hZXQK1JOYb-K-olKldWU8";

#[test]
fn a_delete_token_goes_only_to_the_server_that_issued_it() {
    let foreign = Stub::new(accepting);
    let created = CREATED.replace("/abcd1234\"", &format!("{}/abcd1234\"", foreign.url));
    let ours = Stub::new(move |line| match line {
        line if line.starts_with("POST") => reply("201 Created", "", &created),
        line => accepting(line),
    });
    let client = Client::with_url(&ours.url).with("FLASKPASTE_CERT_SHA1", &"ab".repeat(20));
    let link = client.create("x", &[]);
    assert!(link.starts_with(&foreign.url), "{link}");
    client.run(&["delete", &link]).succeeded();
    assert!(!foreign.heads().contains("token") && !foreign.heads().contains("abab"), "{}", foreign.heads());
    assert!(ours.heads().contains("x-delete-token: the-token"), "{}", ours.heads());
}

#[test]
fn a_token_received_over_https_is_never_sent_over_http() {
    let plain = Stub::new(accepting);
    let client = Client::with_url("http://localhost:1");
    let link = format!("{}/abcd1234", plain.url);
    let entry = serde_json::json!({
        "id": "abcd1234", "server": "https://127.0.0.1:1", "url": link, "delete_token": "the-token",
        "created_at": unix_now(), "expires_at": unix_now() + 1000,
    });
    std::fs::create_dir_all(client.state()).unwrap();
    std::fs::write(client.history(), format!("{entry}\n")).unwrap();
    for configured in ["http://localhost:1", &plain.url] {
        for target in [&*link, "abcd1234"] {
            let stderr = client.with("FLASKPASTE_SERVER", configured).run(&["delete", target]).failed(7);
            assert!(stderr.contains("127.0.0.1:1: connection refused"), "{stderr}");
        }
    }
    assert_eq!(plain.heads(), "");
}

#[test]
fn equivalent_spellings_of_an_address_are_one_server() {
    let ours = Stub::new(accepting);
    let client = Client::with_url(&ours.url).with("FLASKPASTE_CERT_SHA1", &"ab".repeat(20));
    let port = ours.url.rsplit(':').next().unwrap();
    for host in ["[::ffff:127.0.0.1]", "[0:0:0:0:0:FFFF:7f00:0001]"] {
        client.run(&["get", &format!("http://{host}:{port}/abcd1234")]).succeeded();
    }
    let heads = ours.heads();
    assert!(heads.matches("get /abcd1234/raw").count() == 2, "{heads}");
    assert_eq!(heads.matches("x-ssl-client-sha1: abab").count(), heads.matches("user-agent").count(), "{heads}");
}

/// As the man page says: with a client certificate, fpaste uses plain HTTP only to this machine.
#[test]
fn with_a_client_certificate_plain_http_to_a_remote_host_is_refused() {
    let here = Stub::new(|line| match line {
        line if line.contains("ffff") => reply("302 Found", "Location: http://paste.invalid/ffff0000/raw\r\n", ""),
        line => accepting(line),
    });
    let client = Client::with_url("https://127.0.0.1:1");
    client.run(&["cert", "--configure", "-c", "secp256r1"]).succeeded();
    client.run(&["get", &format!("{}/abcd1234", here.url)]).succeeded();
    for link in ["http://paste.invalid/abcd1234".to_owned(), format!("{}/ffff0000", here.url)] {
        let stderr = client.run(&["get", &link]).failed(2);
        assert!(stderr.contains("refusing http://paste.invalid: a client certificate"), "{link}: {stderr}");
    }
}

#[test]
fn messages_never_show_a_key() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let damaged = &KEY[1..];
    for fragment in [KEY, damaged] {
        let link = format!("http://x.invalid/abcd1234#{fragment}");
        let link = link.as_str();
        for arguments in [
            &["-x", link][..],
            &["-E", "-t", link],
            &["-s", link, "info"],
            &["-p", "--password-file", link, "x"],
            &["--password-file", link],
            &[link],
            &[link, link],
            &["get", "--password-file", link, "abcd1234"],
            &["get", "-o", link, "abcd1234"],
            &["get", "--from", link, "abcd1234"],
            &["get", "--from", "/dev/null", link],
            &["get", "-m", link],
            &["get", "--output"],
            &["get", link, link],
            &["get", "--meta", "--json", "--burn", link],
            &["delete", link],
            &["list", link],
            &["info", link],
            &["resume", link],
            &["completions", link],
            &["cert", "-a", link],
            &["cert", "-d", link],
            &["cert", "-o", link, "-c", link],
            &["cert", link],
            &[&format!("--{link}")],
            &[&format!("--burn={link}")],
            &["-v", "get", link],
        ] {
            let run = client.pipe("x", arguments);
            assert_ne!(run.code, Some(0), "{arguments:?}");
            assert!(!run.stderr.contains(&damaged[..12]), "{arguments:?}: {}", run.stderr);
            assert!(run.stdout.is_empty(), "{arguments:?}");
        }
    }
    // A key file alone, where a certificate is expected.
    for arguments in [&[KEY][..], &["get", "--from", KEY, KEY], &["--password-file", KEY]] {
        let run = client.pipe("x", arguments);
        assert!(run.code != Some(0) && !run.stderr.contains(KEY), "{arguments:?}: {}", run.stderr);
    }
    client.configure(&format!("http://x.invalid/abcd1234#{KEY} = x\n"));
    assert!(!client.run(&["info"]).failed(2).contains(KEY));
    client.configure(&format!("server = http://x.invalid/abcd1234#{KEY}\n"));
    assert!(!client.with("FLASKPASTE_SERVER", "").run(&["info"]).failed(2).contains(KEY));
}

/// Writes a certificate and key valid only in these years.
fn write_pair(client: &Client, name: &str, from: i32, until: i32) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
    client.file(&format!("{name}.crt"), params.self_signed(&key).unwrap().pem());
    client.file(&format!("{name}.key"), key.serialize_pem());
}

#[test]
fn an_expired_or_not_yet_valid_certificate_is_not_presented() {
    let client = Client::with_url("https://127.0.0.1:1");
    write_pair(&client, "old", 1999, 2020);
    write_pair(&client, "new", 2060, 2090);
    let with = |name: &str| {
        client
            .with("FLASKPASTE_CLIENT_CERT", &format!("{name}.crt"))
            .with("FLASKPASTE_CLIENT_KEY", &format!("{name}.key"))
    };
    let stderr = with("old").run(&["info"]).failed(2);
    assert!(stderr.contains("the client certificate old.crt expired on 2020-01-01"), "{stderr}");
    let stderr = with("new").run(&["info"]).failed(2);
    assert!(stderr.contains("the client certificate new.crt is not valid before 2060-01-01"), "{stderr}");
    for (days, is_noted) in [("6", true), ("8", false)] {
        client.run(&["cert", "-o", "made", "--force", "-c", "secp256r1", "-d", days]).succeeded();
        // Connection refused there: the note is printed before.
        let stderr = with("made/client").run(&["-v", "info"]).failed(7);
        assert_eq!(stderr.contains("note: the client certificate made/client.crt expires on "), is_noted, "{stderr}");
    }
}

#[test]
fn configure_uses_the_existing_certificate_and_key() {
    let client = Client::with_url("https://127.0.0.1:1");
    let config = client.home.join(".config/fpaste/config");
    for folder in [&[][..], &["-o", "elsewhere"]] {
        let cert = |options: &[&str]| client.run(&[&["cert"], options, folder].concat());
        let made = cert(&["-c", "secp256r1", "-v"]).succeeded();
        let advice = format!("to use it, run {}", [&["fpaste cert --configure"], folder].concat().join(" "));
        assert!(made.stderr.contains(&advice), "{}", made.stderr);
        let pair = if folder.is_empty() { client.home.join(".config/fpaste") } else { client.home.join("elsewhere") };
        let key = std::fs::read(pair.join("client.key")).unwrap();
        let entered = cert(&["--configure"]).succeeded();
        assert_eq!(entered.line(), made.line());
        assert_eq!(std::fs::read(pair.join("client.key")).unwrap(), key);
        let expected = format!(
            "client_cert = {0}/client.crt\nclient_key = {0}/client.key\ncert_sha1 = {1}\n",
            pair.display(),
            made.line()
        );
        assert_eq!(std::fs::read_to_string(&config).unwrap(), expected);
        // The recorded fingerprint is not that of the file, and half a pair is unusable.
        assert!(cert(&["--configure", "-n", "other"]).failed(2).contains("already exists"));
        std::fs::remove_file(pair.join("client.crt")).unwrap();
        assert!(cert(&["--configure"]).failed(2).contains("client.key already exists"));
        client.file("alien", "");
        std::fs::rename(client.home.join("alien"), pair.join("client.crt")).unwrap();
        assert!(cert(&["--configure"]).failed(2).contains("no certificate found"));
    }
}

/// Even where they are not used: an invalid setting is never ignored.
#[test]
fn a_missing_certificate_is_an_error_before_anything_is_sent() {
    let here = Stub::new(accepting);
    let client = Client::with_url(&here.url);
    client.run(&["cert", "-o", ".", "-c", "secp256r1"]).succeeded();
    client.file("x", "x");
    for (cert, key, named) in [
        ("gone.crt", "client.key", "cannot read the client certificate gone.crt"),
        ("client.crt", "gone.key", "cannot read the client key gone.key"),
    ] {
        let client = client.with("FLASKPASTE_CLIENT_CERT", cert).with("FLASKPASTE_CLIENT_KEY", key);
        for arguments in [&["info"][..], &["x"], &["get", "abcd1234"], &["delete", "abcd1234"]] {
            let stderr = client.run(arguments).failed(2);
            assert!(stderr.contains(named), "{arguments:?}: {stderr}");
        }
    }
    assert_eq!(here.heads(), "");
}
