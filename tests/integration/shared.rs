//! Several servers on one PostgreSQL database: what they count and decide together.
//!
//! Invariant: each test has its own database in a shared cluster; tests that stop or break a cluster are in
//! failures.rs. Must never depend on which of the servers was first.

use crate::asks;
use crate::cluster::Cluster;
use crate::harness::{Folder, Paste, SOON, Server, refusal, run, unix_now, wait_until};
use crate::response::Response;
use crate::system::programs::has_postgres;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Barrier};

/// Servers on one database.
pub struct Group {
    pub folder: Arc<Folder>,
    url: String,
    pepper: PathBuf,
    pub servers: Vec<Server>,
}

impl Group {
    /// This many servers on a new database of the cluster; `None`, with a message, without PostgreSQL.
    #[track_caller]
    pub fn start(test: &str, servers: usize, variables: &[(&str, &str)]) -> Option<Self> {
        has_postgres(test).then(|| Self::on(Cluster::shared(), servers, variables))
    }

    /// The same on a separate cluster.
    #[track_caller]
    pub fn on(cluster: &Cluster, servers: usize, variables: &[(&str, &str)]) -> Self {
        let folder = Arc::new(Folder::new());
        let name = folder.path().file_name().unwrap().to_str().unwrap().replace('-', "_");
        let (url, pepper) = (cluster.database(&name), folder.join("pepper"));
        let mut group = Self { folder, url, pepper, servers: Vec::new() };
        for _ in 0..servers {
            group.add(variables);
        }
        group
    }

    /// The name of the database.
    pub fn database(&self) -> &str {
        self.url.rsplit_once('/').unwrap().1
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Starts another server.
    #[track_caller]
    pub fn add(&mut self, variables: &[(&str, &str)]) {
        let all = [&self.variables()[..], variables].concat();
        let server = Server::start_in(Arc::clone(&self.folder), &all);
        self.servers.push(server);
    }

    /// The settings of the database and its pepper.
    pub fn variables(&self) -> [(&str, &str); 2] {
        [("FLASKPASTE_DB", &self.url), ("FLASKPASTE_PEPPER_FILE", self.pepper.to_str().unwrap())]
    }

    pub fn pair(&self) -> (&Server, &Server) {
        (&self.servers[0], &self.servers[1])
    }
}

fn burn(server: &Server, content: &str) -> Paste {
    server.post(content).header("X-Burn-After-Read", "true").created()
}

/// Runs threads on each server concurrently; their results.
fn race<T: Send>(group: &Group, threads: usize, work: impl Fn(&Server, usize) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(threads);
    std::thread::scope(|scope| {
        let runners: Vec<_> = (0..threads)
            .map(|number| {
                let (barrier, work) = (&barrier, &work);
                let server = &group.servers[number % group.servers.len()];
                scope.spawn(move || {
                    barrier.wait();
                    work(server, number)
                })
            })
            .collect();
        runners.into_iter().map(|runner| runner.join().unwrap()).collect()
    })
}

#[test]
fn writes_on_one_server_are_visible_on_the_others_immediately() {
    let Some(group) = Group::start("pastes on two servers", 2, &[]) else { return };
    let (one, other) = group.pair();
    for size in [0, 1, 65_536, 65_537, 3_000_000] {
        let content: Vec<u8> = (0..=size).map(|number| u8::try_from(number % 251).unwrap()).collect();
        let paste = one.paste(content.clone());
        assert_eq!(paste.id.len(), 32, "ids are long by default");
        other.get(&paste.raw()).expect_status(200).expect_body(&content);
        let end = content.len() - 1;
        let part = other.request("GET", &paste.raw()).header("Range", format!("bytes={end}-")).send();
        part.expect_status(206).expect_body(&content[end..]);
    }
}

#[test]
fn a_burn_paste_has_one_reader_across_servers() {
    let Some(group) = Group::start("burns on two servers", 2, &[]) else { return };
    for content in ["small".to_owned(), "x".repeat(300_000), "y".repeat(2_000_000)] {
        for _ in 0..4 {
            let paste = burn(&group.servers[0], &content);
            let answers = race(&group, 8, |server, _| server.get(&paste.raw()));
            let winners: Vec<&Response> = answers.iter().filter(|answer| answer.status == 200).collect();
            assert_eq!(winners.len(), 1);
            assert!(winners[0].body == content.as_bytes());
            assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 404)));
        }
    }
}

#[test]
fn reads_and_leases_across_servers_never_exceed_the_limit() {
    let Some(group) = Group::start("leases on two servers", 2, &[]) else { return };
    for reads in [1, 2, 5] {
        let paste = group.servers[0].post("counted").header("X-Reads", reads.to_string()).created();
        let answers = race(&group, 12, |server, number| {
            if number % 4 < 2 {
                server.get(&paste.raw())
            } else {
                server.request("POST", &format!("/{}/lease", paste.id)).send()
            }
        });
        assert_eq!(answers.iter().filter(|answer| matches!(answer.status, 200 | 201)).count(), reads, "of {reads}");
        // A lease of one server is valid on the others.
        for answer in answers.iter().filter(|answer| answer.status == 201) {
            let lease = answer.json()["lease"].as_str().unwrap().to_owned();
            for server in &group.servers {
                let read = server.request("GET", &paste.raw()).header("X-Lease", &lease).send();
                read.expect_status(200).expect_body("counted");
            }
            let confirm =
                |server: &Server| server.request("DELETE", &paste.path()).header("X-Lease", &lease).send().status;
            assert_eq!((confirm(&group.servers[1]), confirm(&group.servers[0])), (200, 404));
        }
        group.servers[0].get(&paste.path()).expect_code(404, "not_found");
    }
}

#[test]
fn a_proof_of_work_token_buys_one_paste_across_servers() {
    let production = [("FLASK_ENV", "production"), ("FLASKPASTE_POW_DIFFICULTY", "4")];
    let Some(group) = Group::start("proof of work on two servers", 2, &production) else { return };
    for round in 0..5 {
        let challenge = group.servers[0].get("/challenge").expect_status(200).json();
        let (token, solution) = (challenge["token"].as_str().unwrap(), solution(&challenge));
        let answers = race(&group, 8, |server, number| {
            let request = server.post(format!("round {round}, paste {number}")).header("X-PoW-Token", token);
            request.header("X-PoW-Solution", &solution).send()
        });
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(made, 1);
        for answer in answers.into_iter().filter(|answer| answer.status != 201) {
            answer.expect_code(400, "pow_reused");
        }
    }
}

/// The first number that solves a challenge of four bits.
fn solution(challenge: &Value) -> String {
    let nonce = challenge["nonce"].as_str().unwrap();
    let solves = |number: &String| Sha256::digest(format!("{nonce}:{number}").as_bytes())[0] < 16;
    (0..=u32::MAX).map(|number| number.to_string()).find(solves).unwrap()
}

#[test]
fn duplicates_are_counted_across_servers() {
    let Some(group) = Group::start("duplicates on two servers", 2, &[]) else { return };
    let answers = race(&group, 12, |server, _| server.post("the same").send());
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 3);
    for answer in answers.into_iter().filter(|answer| answer.status != 201) {
        answer.expect_code(429, "duplicate").expect_field("count", 4);
    }
    // Pastes with restricted reads are not counted.
    assert!(
        race(&group, 8, |server, _| server.post("the same").header("X-Burn-After-Read", "true").send().status)
            .iter()
            .all(|status| *status == 201)
    );
}

#[test]
fn guesses_are_counted_across_servers() {
    let Some(group) = Group::start("guesses on two servers", 2, &[]) else { return };
    let paste = group.servers[0].post("protected").header("X-Paste-Password", "right").created();
    let guess = |server: &Server, password: &str| {
        server.request("GET", &paste.raw()).header("X-Paste-Password", password).send()
    };
    let mut made = 0;
    for number in 0..20 {
        let answer = guess(&group.servers[number % 2], &format!("wrong {number}"));
        made += usize::from(answer.status == 403);
        assert!(matches!(answer.status, 403 | 429), "{}", answer.status);
        if answer.status == 429 {
            break;
        }
    }
    assert!((5..9).contains(&made), "{made} guesses on two servers, as on one");
    // The right one is accepted after the throttle's wait.
    wait_until("the password is accepted", SOON, || guess(&group.servers[1], "right").status == 200);
}

#[test]
fn deletes_and_changes_are_visible_on_all_servers_immediately() {
    let Some(group) = Group::start("changes on two servers", 2, &[]) else { return };
    let (one, other) = group.pair();
    let paste = one.paste("first");
    let change = |server: &Server, method: &str, path: &str, body: &str| {
        let request = server.request(method, path).header("X-Delete-Token", &paste.delete_token);
        request.body(body).send().expect_status(200)
    };
    for _ in 0..3 {
        other.get(&paste.raw()).expect_body("first");
    }
    change(one, "PUT", &paste.raw(), "second");
    other.get(&paste.raw()).expect_body("second");
    change(other, "PUT", &paste.raw(), &"z".repeat(200_000));
    one.get(&paste.raw()).expect_body("z".repeat(200_000));
    let before = unix_now();
    let patch = one.request("PATCH", &paste.path()).header("X-Delete-Token", &paste.delete_token);
    patch.header("X-Expiry", "3").body("").send().expect_status(200);
    let told = other.get(&paste.path()).json()["expires_at"].as_u64().unwrap();
    assert!((before + 3..=unix_now() + 3).contains(&told));
    let deleted = one.paste("deleted");
    other.get(&deleted.raw()).expect_status(200);
    let delete = other.request("DELETE", &deleted.path()).header("X-Delete-Token", &deleted.delete_token);
    delete.send().expect_status(200);
    one.get(&deleted.raw()).expect_code(404, "not_found");
    // An operator's block applies to all.
    let bad = one.paste("refused content");
    assert!(other.run(&["block", &bad.id]).status.success());
    one.get(&bad.raw()).expect_code(404, "not_found");
    one.post("refused content").send().expect_code(403, "blocked");
}

#[test]
fn a_read_on_one_server_extends_the_paste_on_all() {
    let expiry = [("FLASKPASTE_EXPIRY", "4")];
    let Some(group) = Group::start("expiry on two servers", 2, &expiry) else { return };
    let (one, other) = group.pair();
    let (kept, left) = (one.paste("kept"), one.paste("left"));
    let started = unix_now();
    wait_until("three lifetimes have passed", SOON, || {
        one.get(&kept.raw()).expect_status(200);
        unix_now() > started + 12
    });
    other.get(&kept.raw()).expect_status(200).expect_body("kept");
    other.get(&left.raw()).expect_code(404, "not_found");
}

#[test]
fn receipts_count_reads_across_servers() {
    let expiry = [("FLASKPASTE_EXPIRY", "8")];
    let Some(group) = Group::start("receipts on two servers", 2, &expiry) else { return };
    let (one, other) = group.pair();
    let paste = one.paste("read on both");
    one.get(&paste.raw()).expect_status(200);
    other.get(&paste.raw()).expect_status(200);
    let status = |server: &Server| {
        let request = server.request("GET", &format!("/{}/status", paste.id));
        request.header("X-Delete-Token", &paste.delete_token).send().expect_status(200).json()
    };
    wait_until("each server sees the other's read", SOON, || {
        [one, other].iter().all(|server| status(server)["reads"] == 2)
    });
    other.get(&paste.raw()).expect_status(200);
    let delete = one.request("DELETE", &paste.path()).header("X-Delete-Token", &paste.delete_token);
    delete.send().expect_status(200);
    // The last read was in the other server's memory when the paste ended.
    wait_until("the receipt has all three", SOON, || status(one)["reads"] == 3);
    assert_eq!(status(other)["state"], "deleted");
}

#[test]
fn ten_servers_start_concurrently_on_an_empty_database() {
    let Some(mut group) = Group::start("ten concurrent servers", 0, &[]) else { return };
    let servers: Vec<Server> = std::thread::scope(|scope| {
        let start = || Server::start_in(Arc::clone(&group.folder), &group.variables());
        let starters: Vec<_> = (0..10).map(|_| scope.spawn(start)).collect();
        starters.into_iter().map(|starter| starter.join().unwrap()).collect()
    });
    group.servers = servers;
    let paste = group.servers[0].paste("for all");
    for server in &group.servers {
        server.get(&paste.raw()).expect_body("for all");
    }
}

#[test]
fn a_database_opens_only_with_its_own_pepper() {
    let Some(group) = Group::start("peppers", 1, &[]) else { return };
    let home = Folder::new();
    let other = home.join("other");
    std::fs::write(&other, "ab".repeat(32)).unwrap();
    std::fs::set_permissions(&other, Permissions::from_mode(0o600)).unwrap();
    let refused = |pepper: &str| {
        let variables = [("FLASKPASTE_DB", group.url()), ("FLASKPASTE_PEPPER_FILE", pepper)];
        refusal(home.path(), &variables, &[], 1)
    };
    assert!(refused(other.to_str().unwrap()).contains("different pepper"));
    let missing = home.join("missing");
    assert!(refused(missing.to_str().unwrap()).contains("there is no"));
    assert!(!missing.exists(), "no other pepper is created");
}

#[test]
fn an_ask_has_one_answer_and_one_reader_across_servers() {
    let Some(group) = Group::start("asks across servers", 2, &[]) else { return };
    for large in [0, 200_000] {
        let ask = asks::ask(&group.servers[0]);
        let statuses = std::thread::scope(|scope| {
            let answer = |number: usize| {
                let server = &group.servers[number % 2];
                asks::answering(server, &ask, &format!("{number:02}{}", "x".repeat(large))).send().status
            };
            let answers: Vec<_> = (0..16).map(|number| scope.spawn(move || answer(number))).collect();
            answers.into_iter().map(|answer| answer.join().unwrap()).collect::<Vec<_>>()
        });
        let winner = statuses.iter().position(|status| *status == 201).unwrap();
        assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 15, "{statuses:?}");
        let read = asks::read(&group.servers[1], &ask).expect_status(200);
        read.expect_body(format!("{winner:02}{}", "x".repeat(large)));
        asks::read(&group.servers[0], &ask).expect_code(404, "not_found");
    }
}

#[test]
fn import_from_sqlite_keeps_ids() {
    let Some(mut group) = Group::start("an import", 0, &[]) else { return };
    let mut old = Server::embedded(&[("FLASKPASTE_LEASE_TTL", "3600")]);
    let (plain, large) = (old.paste("plain"), old.paste("x".repeat(300_000)));
    let protected = old.post("protected").header("X-Paste-Password", "right").created();
    let counted = old.post("three times").header("X-Reads", "3").created();
    let replaced = old.paste("before");
    let replace = old.request("PUT", &replaced.raw()).header("X-Delete-Token", &replaced.delete_token);
    replace.body("y".repeat(100_000)).send().expect_status(200);
    let ended = old.paste("ended");
    let delete = old.request("DELETE", &ended.path()).header("X-Delete-Token", &ended.delete_token);
    delete.send().expect_status(200);
    let bad = old.paste("refused content");
    assert!(old.run(&["block", &bad.id]).status.success());
    let token = old.run(&["token", "add", "ci"]).stdout;
    let token = String::from_utf8(token).unwrap().trim().to_owned();
    let owned = old.post("owned").header("Authorization", format!("Bearer {token}")).created();
    let lease = old.request("POST", &format!("/{}/lease", counted.id)).send().expect_status(201).json();
    let (open, answered) = (asks::ask(&old), asks::ask(&old));
    asks::answering(&old, &answered, &"z".repeat(100_000)).send().expect_status(201);
    old.get(&plain.raw()).expect_status(200);
    let source = old.database();

    // Both use the same pepper.
    std::fs::copy(old.pepper(), group.folder.join("pepper")).unwrap();
    let source = source.to_str().unwrap();
    let import = |group: &Group| run(group.folder.path(), &group.variables(), &["import", source]);
    let refused = import(&group);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && said.contains("another process has it open"), "{said}");
    old.stop();
    let imported = import(&group);
    let said = String::from_utf8([imported.stdout, imported.stderr].concat()).unwrap();
    assert!(imported.status.success() && said.contains("pastes              8 ("), "{said}");
    // Only once: pastes that end from now on would come back.
    let again = import(&group);
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(again.status.code() == Some(1) && said.contains("was completed before"), "{said}");
    // After an interruption, imported pastes stay, and pastes that have ended since stay ended.
    let database = group.database().to_owned();
    let sql = |statement: &str| Cluster::shared().sql(&database, statement);
    sql("delete from setting where name in ('import_completed', 'import_last_key')");
    sql("with gone as (delete from paste where size = 300000 returning token_hash) insert into receipt \
         (token, state, reads, expires_at, ended_at) select token_hash, 2, 0, 9999999999, 9999999999 from gone");
    let again = String::from_utf8(import(&group).stdout).unwrap();
    assert!(again.contains("pastes              0 (0 bytes), 8 of them already present"), "{again}");
    assert!(again.contains("receipts            0") && again.contains("lines in the log    0"), "{again}");

    group.add(&[("FLASKPASTE_LEASE_TTL", "3600")]);
    let server = &group.servers[0];
    server.get(&plain.raw()).expect_status(200).expect_body("plain");
    server.get(&large.raw()).expect_code(404, "not_found");
    server.get(&replaced.raw()).expect_status(200).expect_body("y".repeat(100_000));
    server.get(&protected.raw()).expect_code(401, "password_required");
    let right = server.request("GET", &protected.raw()).header("X-Paste-Password", "right").send();
    right.expect_status(200).expect_body("protected");
    let leased = server.request("GET", &counted.raw()).header("X-Lease", lease["lease"].as_str().unwrap()).send();
    leased.expect_status(200).expect_body("three times");
    for _ in 0..2 {
        server.get(&counted.raw()).expect_status(200);
    }
    server.get(&counted.raw()).expect_code(404, "not_found");
    asks::read(server, &open).expect_code(404, "not_answered");
    asks::answering(server, &open, "answered here").send().expect_status(201);
    asks::read(server, &open).expect_status(200).expect_body("answered here");
    asks::read(server, &answered).expect_status(200).expect_body("z".repeat(100_000));
    let status = |paste: &Paste| {
        let request = server.request("GET", &format!("/{}/status", paste.id));
        request.header("X-Delete-Token", &paste.delete_token).send().expect_status(200).json()
    };
    assert_eq!((&status(&ended)["state"], &status(&plain)["reads"]), (&"deleted".into(), &2.into()));
    server.post("refused content").send().expect_code(403, "blocked");
    let own = server.request("GET", "/pastes").header("Authorization", format!("Bearer {token}")).send();
    assert_eq!(own.expect_status(200).json()["pastes"][0]["id"], owned.id);
    let log = String::from_utf8(server.run(&["log"]).stdout).unwrap();
    assert!(log.contains("token add ci") && log.contains("block "), "{log}");
    assert_eq!(server.paste("new").id.len(), 32);
}

#[test]
fn commands_work_and_backup_points_to_pg_dump() {
    let Some(group) = Group::start("commands on PostgreSQL", 1, &[]) else { return };
    let server = &group.servers[0];
    let paste = server.paste("told of");
    let said = |arguments: &[&str]| {
        let output = server.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(said(&["stats"]).contains("pastes              1"));
    assert_eq!(said(&["health"]), "healthy\n");
    assert_eq!(said(&["purge"]), "0 expired pastes deleted\n");
    let handle = server.get(&paste.path()).json()["handle"].clone();
    assert!(said(&["list"]).contains(handle.as_str().unwrap_or(&paste.id[..0])));
    said(&["delete", &paste.id]);
    server.get(&paste.raw()).expect_code(404, "not_found");
    let backup = server.run(&["backup", "copy.db"]);
    let refusal = String::from_utf8(backup.stderr).unwrap();
    assert_eq!(backup.status.code(), Some(1));
    assert!(refusal.contains("pg_dump") && refusal.contains("pgBackRest"), "{refusal}");
    assert!(!server.folder().join("copy.db").exists());
}

#[test]
fn expired_leases_end_their_pastes_on_every_server() {
    let Some(group) = Group::start("expired leases", 2, &[("FLASKPASTE_LEASE_TTL", "1")]) else { return };
    let pastes: Vec<Paste> = race(&group, 8, |server, worker| {
        let lease = |number| {
            let paste = burn(server, &format!("worker {worker} paste {number}"));
            server.request("POST", &format!("/{}/lease", paste.id)).send().expect_status(201);
            paste
        };
        (0..25).map(lease).collect::<Vec<_>>()
    })
    .concat();
    let status = |paste: &Paste| {
        let request = group.servers[0].request("GET", &format!("/{}/status", paste.id));
        request.header("X-Delete-Token", &paste.delete_token).send().expect_status(200).json()
    };
    let left = |table: &str| Cluster::shared().sql(group.database(), &format!("select count(*) from {table}"));
    wait_until("all of them have ended", SOON, || left("paste") == "0");
    assert_eq!((left("lease"), left("seen")), ("0".into(), "0".into()));
    for paste in &pastes {
        let status = status(paste);
        assert_eq!((&status["state"], &status["reads"]), (&"read".into(), &1.into()), "{status}");
    }
}

#[test]
fn deleting_during_a_replacement_leaves_nothing_behind() {
    let limits = [("FLASKPASTE_DEDUP_MAX", "0")];
    let Some(group) = Group::start("deletes during replacements", 2, &limits) else { return };
    let content = "z".repeat(200_000);
    for _ in 0..15 {
        let pastes: Vec<Paste> = (0..4).map(|number| group.servers[0].paste(format!("first {number}"))).collect();
        race(&group, 8, |server, number| {
            let paste = &pastes[number / 2];
            let method = if number % 2 == 0 { "PUT" } else { "DELETE" };
            let target = if number % 2 == 0 { paste.raw() } else { paste.path() };
            let request = server.request(method, &target).header("X-Delete-Token", &paste.delete_token);
            let status = request.body(if number % 2 == 0 { content.as_str() } else { "" }).send().status;
            assert!(matches!(status, 200 | 404), "{method} {status}");
        });
    }
    let left = || {
        Cluster::shared().sql(group.database(), "select (select count(*) from piece) + (select count(*) from paste)")
    };
    wait_until("nothing is left", SOON, || left() == "0");
}

#[test]
fn a_refused_database_url_is_reported_without_its_password() {
    let home = Folder::new();
    for (url, code) in [
        ("postgres://u:hunter2@127.0.0.1:1/d?sslmode=prefer", 2),
        ("postgres://u:hunter2@127.0.0.1:1/d?options=-cfsync%3Doff", 2),
        ("Postgres://u:hunter2@127.0.0.1:1/d", 2),
        ("postgres://u:hunter2@127.0.0.1:1/d", 1),
    ] {
        let variables = [("FLASKPASTE_DB", url), ("FLASKPASTE_PEPPER_FILE", "/nonexistent/pepper")];
        let line = refusal(home.path(), &variables, &[], code);
        assert!(!line.contains("hunter2"), "{line}");
        let checked = run(home.path(), &variables, &["--check-config"]);
        let said = String::from_utf8([checked.stdout, checked.stderr].concat()).unwrap();
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_newer_compatible_schema_is_accepted() {
    let Some(mut group) = Group::start("a newer schema", 1, &[]) else { return };
    let paste = group.servers[0].paste("from before");
    let database = group.database().to_owned();
    let note = |oldest: u32| {
        let sql = format!("update flaskpaste_schema set version = 99, oldest = {oldest}");
        Cluster::shared().sql(&database, &sql);
    };
    note(1);
    group.add(&[]);
    group.servers[1].get(&paste.raw()).expect_status(200);
    note(99);
    let line = refusal(group.folder.path(), &group.variables(), &[], 1);
    assert!(line.contains("version 99") && line.contains("Use a newer one"), "{line}");
    // Running servers continue.
    group.servers[1].get(&paste.raw()).expect_status(200);
}
