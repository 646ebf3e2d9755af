//! Failures of a shared database: the primary, its standby, a server, the network between them.
//!
//! Invariant: acknowledged writes survive, nothing given out or deleted reappears, no content is given out twice, and
//! every request is answered within ten seconds. Each test breaks its own cluster.

use crate::cluster::Cluster;
use crate::harness::{Folder, Paste, SOON, Server, refusal, run, wait_until};
use crate::shared::Group;
use crate::system::programs::{has, has_postgres};
use std::fs::Permissions;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The longest a request may wait, with a margin for a busy machine.
const MOST_WAITING: Duration = Duration::from_secs(12);
/// The limit for requests that wait for no deadline, on a busy machine.
const SOONER: Duration = Duration::from_secs(7);

/// A response over a socket that may break at any moment; `None` if it did.
fn exchange(authority: &str, head: &str, body: &str) -> Option<(u16, Vec<u8>)> {
    let mut socket = TcpStream::connect(authority).ok()?;
    socket.set_read_timeout(Some(SOON)).ok()?;
    let length = body.len();
    let request = format!("{head}Host: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    socket.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length: usize = head.lines().find_map(|line| line.strip_prefix("Content-Length: "))?.parse().ok()?;
    let body = answer.split_off(end + 4);
    // A truncated response does not count.
    (body.len() == length).then_some((status, body))
}

/// The operations of a load, and the state they must leave.
#[derive(Default)]
struct Ledger {
    /// Acknowledged, with their contents.
    kept: Mutex<Vec<(Paste, String)>>,
    /// Deleted, or given out for the last time.
    gone: Mutex<Vec<Paste>>,
    given_out_twice: AtomicUsize,
    acknowledged: AtomicUsize,
    refused: AtomicUsize,
    slowest: Mutex<Duration>,
    is_over: AtomicBool,
}

impl Ledger {
    fn ask(&self, authority: &str, head: &str, body: &str) -> Option<(u16, Vec<u8>)> {
        let started = Instant::now();
        let answer = exchange(authority, head, body);
        let mut slowest = self.slowest.lock().unwrap();
        *slowest = started.elapsed().max(*slowest);
        match &answer {
            Some((status, _)) if *status < 500 => self.acknowledged.fetch_add(1, Ordering::SeqCst),
            _ => self.refused.fetch_add(1, Ordering::SeqCst),
        };
        answer
    }

    fn create(&self, authority: &str, headers: &str, content: &str) -> Option<Paste> {
        let (status, body) = self.ask(authority, &format!("POST / HTTP/1.1\r\n{headers}"), content)?;
        assert!(matches!(status, 201 | 503), "{status} {}", String::from_utf8_lossy(&body));
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let field = |name: &str| body[name].as_str().map(str::to_owned);
        Some(Paste { id: field("id")?, delete_token: field("delete_token")? })
    }

    /// One paste after the other, alternating between servers: kept, deleted, or read once by two at a time.
    fn work(&self, authorities: &[String], worker: usize) {
        for number in 0.. {
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            let server = |at: usize| authorities[(number + at) % authorities.len()].as_str();
            let content = format!("worker {worker} paste {number} ").repeat(1 + (number * 37) % 5000);
            match number % 3 {
                0 => {
                    let Some(paste) = self.create(server(0), "", &content) else { continue };
                    self.kept.lock().unwrap().push((paste, content));
                }
                1 => {
                    let Some(paste) = self.create(server(0), "", &content) else { continue };
                    let head = format!("DELETE /{} HTTP/1.1\r\nX-Delete-Token: {}\r\n", paste.id, paste.delete_token);
                    if matches!(self.ask(server(1), &head, ""), Some((200, _))) {
                        self.gone.lock().unwrap().push(paste);
                    }
                }
                _ => {
                    let burn = "X-Burn-After-Read: true\r\n";
                    let Some(paste) = self.create(server(0), burn, &content) else { continue };
                    self.burn(&paste, &content, [server(0), server(1)]);
                }
            }
        }
    }

    /// Two concurrent readers.
    fn burn(&self, paste: &Paste, content: &str, servers: [&str; 2]) {
        let head = format!("GET /{}/raw HTTP/1.1\r\n", paste.id);
        let answers = std::thread::scope(|scope| {
            let readers = servers.map(|server| scope.spawn(|| self.ask(server, &head, "")));
            readers.map(|reader| reader.join().unwrap())
        });
        let given =
            |answer: &&Option<(u16, Vec<u8>)>| matches!(answer, Some((200, body)) if body == content.as_bytes());
        match answers.iter().filter(given).count() {
            0 => {}
            1 => self.gone.lock().unwrap().push(paste.clone()),
            _ => {
                self.given_out_twice.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    /// Puts servers under load during an event. More writes must be acknowledged after it than before.
    fn under_load(&self, servers: &[&Server], what_happens: impl FnOnce()) {
        let authorities: Vec<String> = servers.iter().map(|server| server.authority()).collect();
        let count = || self.acknowledged.load(Ordering::SeqCst);
        let wait_for_more = |what: &str| {
            let before = count();
            wait_until(what, 2 * SOON, || count() > before + 100);
        };
        std::thread::scope(|scope| {
            for worker in 0..8 {
                let authorities = &authorities;
                scope.spawn(move || self.work(authorities, worker));
            }
            wait_for_more("the load has begun");
            what_happens();
            wait_for_more("the load goes on");
            self.is_over.store(true, Ordering::SeqCst);
        });
    }

    /// Checks everything once more.
    #[track_caller]
    fn check(&self, server: &Server) {
        let (kept, gone) = (self.kept.lock().unwrap(), self.gone.lock().unwrap());
        assert!(kept.len() > 20 && gone.len() > 20, "{} kept, {} gone", kept.len(), gone.len());
        for (paste, content) in kept.iter() {
            server.get(&paste.raw()).expect_status(200).expect_body(content.as_str());
        }
        for paste in gone.iter() {
            server.get(&paste.raw()).expect_code(404, "not_found");
        }
        assert_eq!(self.given_out_twice.load(Ordering::SeqCst), 0);
        let slowest = *self.slowest.lock().unwrap();
        assert!(slowest < MOST_WAITING, "the slowest response took {slowest:?}");
    }
}

#[test]
fn a_killed_and_restarted_primary_has_every_acknowledged_write() {
    if !has_postgres("a killed primary") {
        return;
    }
    let cluster = Cluster::start();
    let group = Group::on(&cluster, 2, &[]);
    let (one, other) = group.pair();
    let ledger = Ledger::default();
    ledger.under_load(&[one, other], || {
        cluster.kill_primary();
        one.get("/health").expect_status(503);
        cluster.restart_primary();
    });
    ledger.check(other);
    assert!(ledger.refused.load(Ordering::SeqCst) > 0);
    one.get("/health").expect_status(200);
}

#[test]
fn a_promoted_standby_has_every_acknowledged_write() {
    if !has_postgres("a promoted standby") {
        return;
    }
    let cluster = Cluster::start_with_standby();
    let group = Group::on(&cluster, 2, &[]);
    let (one, other) = group.pair();
    let ledger = Ledger::default();
    ledger.under_load(&[one, other], || {
        cluster.kill_primary();
        cluster.promote_standby();
    });
    // No server was restarted.
    ledger.check(one);
}

#[test]
fn a_killed_server_loses_no_acknowledged_write() {
    if !has_postgres("a killed server") {
        return;
    }
    let cluster = Cluster::start();
    let mut group = Group::on(&cluster, 3, &[]);
    let mut victim = group.servers.pop().unwrap();
    let survivors = group.pair();
    let ledger = Ledger::default();
    let authorities = [survivors.0.authority(), survivors.1.authority(), victim.authority()];
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let (ledger, authorities) = (&ledger, &authorities);
            scope.spawn(move || ledger.work(authorities, worker));
        }
        let count = || ledger.acknowledged.load(Ordering::SeqCst);
        wait_until("the load has begun", SOON, || count() > 200);
        victim.kill();
        let before = count();
        wait_until("the other servers continue", SOON, || count() > before + 200);
        ledger.is_over.store(true, Ordering::SeqCst);
    });
    ledger.check(survivors.0);
}

#[test]
fn writes_the_standby_has_not_confirmed_are_not_acknowledged() {
    if !has_postgres("a lost standby") {
        return;
    }
    let cluster = Cluster::start_with_standby();
    let group = Group::on(&cluster, 1, &[]);
    let server = &group.servers[0];
    let (kept, once) = (server.paste("kept"), server.post("once").header("X-Burn-After-Read", "1").created());
    cluster.stop_standby();
    let started = Instant::now();
    let (creates, burn) = std::thread::scope(|scope| {
        let creates: Vec<_> =
            (0..30).map(|number| scope.spawn(move || server.post(format!("not confirmed {number}")).send())).collect();
        let burn = scope.spawn(|| server.get(&once.raw()));
        wait_until("commits wait for the standby", SOON, || {
            cluster.sql("postgres", "select count(*) > 10 from pg_stat_activity where wait_event = 'SyncRep'") == "t"
        });
        // Reads do not wait for the standby.
        for _ in 0..20 {
            let asked = Instant::now();
            server.get(&kept.raw()).expect_status(200).expect_body("kept");
            server.get("/health").expect_status(200);
            assert!(asked.elapsed() < SOONER, "{:?}", asked.elapsed());
        }
        (creates.into_iter().map(|create| create.join().unwrap()).collect::<Vec<_>>(), burn.join().unwrap())
    });
    assert!(started.elapsed() < MOST_WAITING, "{:?}", started.elapsed());
    for create in creates {
        assert!(create.expect_code(503, "busy").retry_after() > 0);
    }
    burn.expect_code(503, "busy");
    // Later requests fail immediately.
    let asked = Instant::now();
    server.post("not confirmed either").send().expect_code(503, "busy");
    server.get(&once.raw()).expect_code(503, "busy");
    assert!(asked.elapsed() < SOONER, "{:?}", asked.elapsed());
    wait_until("the log has the cause", SOON, || server.log().contains("no synchronous standby is connected"));
    cluster.start_standby();
    server.post("confirmed").created();
    // Nothing could confirm it, so the read was not used.
    server.get(&once.raw()).expect_status(200).expect_body("once");
    server.get(&once.raw()).expect_code(404, "not_found");
}

#[test]
fn a_commit_with_a_replication_warning_is_not_acknowledged() {
    if !has_postgres("a cancelled wait for the standby") {
        return;
    }
    let cluster = Cluster::start_with_standby();
    let group = Group::on(&cluster, 1, &[]);
    let server = &group.servers[0];
    let once = server.post("once").header("X-Burn-After-Read", "1").created();
    cluster.stop_standby();
    let is_over = AtomicBool::new(false);
    let answers = std::thread::scope(|scope| {
        let create = scope.spawn(|| server.post("warned about").send());
        let burn = scope.spawn(|| server.get(&once.raw()));
        // The operator cancels the wait: PostgreSQL says that it committed, and warns that the standby has not.
        scope.spawn(|| {
            wait_until("both have a response", SOON, || {
                let waiting = "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'";
                cluster.sql("postgres", waiting);
                is_over.load(Ordering::SeqCst)
            });
        });
        let answers = [create.join().unwrap(), burn.join().unwrap()];
        is_over.store(true, Ordering::SeqCst);
        answers
    });
    for answer in answers {
        answer.expect_code(503, "busy");
    }
    wait_until("the log has the cause", SOON, || server.log().contains("returned a warning"));
}

#[test]
fn requests_fail_quickly_when_the_primary_freezes() {
    if !has_postgres("a frozen primary") {
        return;
    }
    let cluster = Cluster::start();
    let group = Group::on(&cluster, 1, &[]);
    let server = &group.servers[0];
    let paste = server.paste("there");
    cluster.freeze_primary();
    let started = Instant::now();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask = |number: usize| {
            if number.is_multiple_of(2) { server.get(&paste.raw()) } else { server.post(format!("{number}")).send() }
        };
        let askers: Vec<_> = (0..40).map(|number| scope.spawn(move || ask(number))).collect();
        askers.into_iter().map(|asker| asker.join().unwrap()).collect()
    });
    assert!(started.elapsed() < MOST_WAITING, "{:?}", started.elapsed());
    for answer in answers {
        answer.expect_code(503, "busy");
    }
    cluster.thaw_primary();
    wait_until("it is served again", SOON, || server.get(&paste.raw()).status == 200);
    server.post("and creates").created();
}

#[test]
fn a_database_that_may_lose_acknowledged_writes_is_refused() {
    if !has_postgres("unsafe settings") {
        return;
    }
    let home = Folder::new();
    let pepper = home.join("pepper");
    let refused = |url: &str| {
        let variables = [("FLASKPASTE_DB", url), ("FLASKPASTE_PEPPER_FILE", pepper.to_str().unwrap())];
        let line = refusal(home.path(), &variables, &[], 1);
        let (_, rest) = url.split_once("flaskpaste:").unwrap();
        let (password, _) = rest.split_once('@').unwrap();
        assert!(!line.contains(password), "{line}");
        line
    };
    let standby = Cluster::start_with_standby();
    let url = standby.database("refused");
    let (_, hosts) = url.rsplit_once('@').unwrap();
    let only_standby = url.replace(hosts, &format!("127.0.0.1:{}/refused", standby.standby_port()));
    let line = refused(&only_standby);
    assert!(line.contains("standby"), "{line}");
    for (setting, named) in [
        ("synchronous_commit = local", "synchronous_commit is local"),
        ("synchronous_commit = off", "synchronous_commit is off"),
        ("synchronous_commit = remote_write", "synchronous_commit is remote_write"),
        ("synchronous_commit = on", ""),
        ("full_page_writes = off", "full_page_writes is off"),
    ] {
        standby.set(setting);
        if !named.is_empty() {
            let line = refused(&url);
            assert!(line.contains(named), "{setting}: {line}");
        }
    }
    drop(standby);
    let unsafe_cluster = Cluster::start_with(&["fsync = off"]);
    let line = refused(&unsafe_cluster.database("refused"));
    assert!(line.contains("fsync is off"), "{line}");
    assert!(!pepper.exists(), "nothing was created");
    let nobody = refused("postgres://flaskpaste:secret-of-nobody@127.0.0.1:1/refused");
    assert!(nobody.contains("onnection refused"), "{nobody}");
}

#[test]
fn data_in_the_cluster_is_unreadable_without_the_link() {
    if !has_postgres("a cluster's data at rest") {
        return;
    }
    let cluster = Cluster::start();
    let group = Group::on(&cluster, 1, &[]);
    let server = &group.servers[0];
    let secret = "what nobody else may read ".repeat(40);
    let live = server.post(secret.clone()).header("X-Filename", "a-telling-name.txt").created();
    let burnt = server.post(secret.clone()).header("X-Burn-After-Read", "1").created();
    server.get(&burnt.raw()).expect_status(200);
    let large = server.paste(secret.repeat(300));
    let protected = server.post(secret.clone()).header("X-Paste-Password", "swordfish-swordfish").created();
    server.request("GET", &protected.raw()).header("X-Paste-Password", "wrong-guess-wrong").send().expect_status(403);
    // A row of the same name: PostgreSQL's log contains the key of a rejected row.
    let database = group.database().to_owned();
    for sql in ["insert into paste select * from paste limit 1", "select 1/0"] {
        let refused = std::panic::catch_unwind(|| cluster.sql(&database, sql));
        assert!(refused.is_err());
    }
    cluster.sql("postgres", "checkpoint");
    let needles = [
        "what nobody else may read",
        "a-telling-name",
        "swordfish",
        "wrong-guess",
        &live.id,
        &burnt.id,
        &large.id,
        &protected.id,
        &live.delete_token,
    ];
    let (mut folders, mut files) = (vec![cluster.folder().to_owned()], 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let Ok(bytes) = std::fs::read(entry.path()) else { continue };
            files += 1;
            let text = String::from_utf8_lossy(&bytes);
            for needle in needles {
                assert!(!text.contains(needle), "{needle:?} is in {}", entry.path().display());
            }
        }
    }
    assert!(files > 100, "{files} files were looked at");
}

/// Ends the connections of all servers to a database, as a restart of a pooler would.
fn end_connections(cluster: &Cluster, group: &Group) {
    let database = group.database();
    let sql = format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}'");
    cluster.sql("postgres", &sql);
}

#[test]
fn lost_database_connections_are_replaced_quickly() {
    if !has_postgres("lost connections") {
        return;
    }
    let cluster = Cluster::start();
    let group = Group::on(&cluster, 1, &[]);
    let server = &group.servers[0];
    let paste = server.paste("there");
    for _ in 0..5 {
        server.get(&paste.raw()).expect_status(200);
        end_connections(&cluster, &group);
        let asked = Instant::now();
        server.get(&paste.raw()).expect_status(200).expect_body("there");
        assert!(asked.elapsed() < SOONER, "{:?}", asked.elapsed());
    }
    // Creates check whether they were committed.
    let ledger = Ledger::default();
    ledger.under_load(&[server], || {
        for _ in 0..10 {
            end_connections(&cluster, &group);
        }
    });
    ledger.check(server);
    assert!(*ledger.slowest.lock().unwrap() < SOONER, "{:?}", ledger.slowest);
}

#[test]
fn servers_switch_from_a_hanging_primary_to_the_promoted_standby() {
    if !has_postgres("a hanging primary") {
        return;
    }
    let cluster = Cluster::start_with_standby();
    let group = Group::on(&cluster, 1, &[]);
    let server = &group.servers[0];
    let paste = server.paste("there");
    cluster.freeze_primary();
    cluster.promote_standby();
    wait_until("the server uses the new primary", SOON, || server.get(&paste.raw()).status == 200);
    server.post("and creates").created();
    // The old primary still has its connections, and they are no longer used.
    cluster.thaw_primary();
    server.get(&paste.raw()).expect_status(200);
}

#[test]
fn a_read_only_database_is_unhealthy_and_fails_fast() {
    if !has_postgres("a read-only database") {
        return;
    }
    let cluster = Cluster::start();
    let group = Group::on(&cluster, 1, &[]);
    let server = &group.servers[0];
    let paste = server.paste("there");
    cluster.sql("postgres", "alter role flaskpaste set default_transaction_read_only = on");
    end_connections(&cluster, &group);
    server.get("/health").expect_status(503);
    let asked = Instant::now();
    server.post("not now").send().expect_code(503, "busy");
    server.get(&paste.raw()).expect_code(503, "busy");
    assert!(asked.elapsed() < MOST_WAITING, "{:?}", asked.elapsed());
    cluster.sql("postgres", "alter role flaskpaste reset default_transaction_read_only");
    wait_until("it is served again", SOON, || server.get("/health").status == 200);
    server.post("now").created();
}

#[test]
fn a_server_works_with_fewer_database_connections_than_configured() {
    if !has_postgres("few connections") {
        return;
    }
    let cluster = Cluster::start();
    cluster.sql("postgres", "alter role flaskpaste connection limit 4");
    let group = Group::on(&cluster, 1, &[("FLASKPASTE_DEDUP_MAX", "0")]);
    let server = &group.servers[0];
    std::thread::scope(|scope| {
        for worker in 0..30 {
            scope.spawn(move || {
                for number in 0..10 {
                    let paste = server.paste(format!("worker {worker} paste {number}"));
                    server.get(&paste.raw()).expect_status(200);
                }
            });
        }
    });
}

#[test]
fn a_server_stops_on_time_while_the_database_hangs() {
    if !has_postgres("a shutdown with a frozen primary") {
        return;
    }
    let cluster = Cluster::start();
    let mut group = Group::on(&cluster, 1, &[]);
    let mut server = group.servers.pop().unwrap();
    let paste = server.paste("there");
    server.get(&paste.raw()).expect_status(200);
    cluster.freeze_primary();
    let started = Instant::now();
    server.signal("TERM");
    assert!(server.wait().success(), "{}", server.log());
    assert!(started.elapsed() < MOST_WAITING, "{:?}", started.elapsed());
}

/// A CA, a certificate and key for a server named `localhost`, readable by PostgreSQL's user.
fn make_certificates(folder: &Folder) {
    let script = "set -e
        key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
        for ca in ca other; do openssl req -x509 $key -keyout $ca.key -out $ca.crt -days 2 -subj /CN=$ca; done
        openssl req $key -keyout server.key -out server.csr -subj /CN=server
        echo subjectAltName=DNS:localhost >names
        openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt
        chmod 600 server.key
        if [ \"$(id -u)\" = 0 ]; then chown nobody server.key; fi";
    let output = Command::new("sh").args(["-c", script]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn database_tls_is_verified_as_the_url_requires() {
    if !has_postgres("TLS to PostgreSQL") || !has("TLS to PostgreSQL", &["openssl"]) {
        return;
    }
    let folder = Folder::new();
    make_certificates(&folder);
    let path = |name: &str| folder.join(name).display().to_string();
    let lines = [
        "ssl = on".to_owned(),
        format!("ssl_cert_file = '{}'", path("server.crt")),
        format!("ssl_key_file = '{}'", path("server.key")),
    ];
    let cluster = Cluster::start_with(&lines.each_ref().map(String::as_str));
    let plain = Cluster::start();
    let pepper = path("pepper");
    let variables =
        |url: &str| [("FLASKPASTE_DB".to_owned(), url.to_owned()), ("FLASKPASTE_PEPPER_FILE".into(), pepper.clone())];
    let connect = |url: &str| {
        let variables = variables(url);
        let variables = variables.each_ref().map(|(name, value)| (name.as_str(), value.as_str()));
        // A command connects as the server does. That it finds the database empty tells that it reached it.
        let output = run(folder.path(), &variables, &["stats"]);
        String::from_utf8(output.stderr).unwrap()
    };
    let (url, plain_url) = (cluster.database("tls"), plain.database("tls"));
    let named = url.replace("127.0.0.1", "localhost");
    let (ca, other) = (path("ca.crt"), path("other.crt"));
    for (url, parameters, refused) in [
        (&named, format!("sslmode=verify-full&sslrootcert={ca}"), None),
        (&url, format!("sslmode=verify-full&sslrootcert={ca}"), Some("certificate")),
        (&named, format!("sslmode=verify-full&sslrootcert={other}"), Some("certificate")),
        (&url, format!("sslmode=verify-ca&sslrootcert={ca}"), None),
        (&url, format!("sslmode=verify-ca&sslrootcert={other}"), Some("certificate")),
        (&url, "sslmode=require".to_owned(), None),
        (&url, format!("sslmode=require&sslrootcert={other}"), Some("certificate")),
        (&url, "sslmode=disable".to_owned(), None),
        (&plain_url, "sslmode=require".to_owned(), Some("does not support TLS")),
        (&url, format!("sslmode=verify-ca&sslrootcert={}", path("missing")), Some("cannot read it")),
    ] {
        let said = connect(&format!("{url}?{parameters}"));
        match refused {
            None => assert!(said.contains("is empty"), "{parameters}: {said}"),
            Some(reason) => assert!(said.contains(reason), "{parameters}: {said}"),
        }
    }
    let encrypted = variables(&format!("{named}?sslmode=verify-full&sslrootcert={ca}"));
    let encrypted = encrypted.each_ref().map(|(name, value)| (name.as_str(), value.as_str()));
    let server = Server::start(&encrypted);
    let paste = server.paste("on its way");
    server.get(&paste.raw()).expect_status(200).expect_body("on its way");
    let ways = "select bool_and(s.ssl) from pg_stat_ssl s join pg_stat_activity a using (pid) where a.datname = 'tls'";
    assert_eq!(cluster.sql("postgres", ways), "t");
}
