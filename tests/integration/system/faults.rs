//! Faults outside the server: clock changes, missing threads and descriptors; and the order in which a paste reaches
//! the disk.

use super::programs::{skip, works};
use crate::harness::{Folder, Launcher, SOON, Server, refusal, wait_until};
use crate::http_client::Connection;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The events of a server under strace, in order: writes to the log of the database, syncs of it, and 201 responses.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    LogWritten,
    LogSynced,
    Acknowledged,
}

fn steps(trace: &str) -> Vec<Step> {
    let mut syncing: Vec<&str> = Vec::new();
    let mut steps = Vec::new();
    for line in trace.lines() {
        let thread = line.split_whitespace().next().unwrap_or_default();
        let is_log = line.contains("pastes.db-wal>");
        let is_sync = line.contains("fdatasync(") || line.contains("fsync(");
        if is_log && line.contains("pwrite64(") {
            steps.push(Step::LogWritten);
        } else if is_log && is_sync && line.contains("unfinished") {
            syncing.push(thread);
        } else if (is_log && is_sync || line.contains("sync resumed>") && syncing.contains(&thread))
            && line.ends_with("= 0")
        {
            syncing.retain(|waiting| *waiting != thread);
            steps.push(Step::LogSynced);
        } else if line.contains("\"HTTP/1.1 201 ") {
            steps.push(Step::Acknowledged);
        }
    }
    steps
}

/// Pastes whose path to the disk is traced.
const PASTES: usize = 20;

#[test]
fn a_paste_is_synced_to_the_disk_before_it_is_acknowledged() {
    if !works("strace -D true") {
        return skip("the order of sync and response", "strace");
    }
    let folder = Arc::new(Folder::new());
    let trace = folder.join("trace");
    let calls = "trace=fsync,fdatasync,pwrite64,write,sendto";
    let words = ["strace", "-D", "-f", "-y", "-e", calls, "-o", trace.to_str().unwrap()].map(str::to_owned).to_vec();
    let mut server = Server::embedded_by(Launcher { words, ..Launcher::default() }, Arc::clone(&folder), &[]);
    for n in 0..PASTES {
        server.paste(format!("paste {n}").repeat(1 + n * 1000));
    }
    server.stop();
    let mut steps = steps(&fs::read_to_string(&trace).unwrap()).into_iter();
    for n in 0..PASTES {
        // After the previous response: a write to the log, then its sync, then the response.
        let before: Vec<Step> = steps.by_ref().take_while(|step| *step != Step::Acknowledged).collect();
        let written = before.iter().position(|step| *step == Step::LogWritten);
        let synced = before.iter().rposition(|step| *step == Step::LogSynced);
        assert!(written.is_some() && written < synced, "paste {n}: {before:?}");
    }
}

/// The library that fakes the time of a program.
fn faketime() -> Option<PathBuf> {
    let library = format!("/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1", std::env::consts::ARCH);
    Some(PathBuf::from(library)).filter(|library| library.is_file())
}

#[test]
fn clock_changes_expire_nothing_early_and_stop_nothing() {
    let Some(library) = faketime() else { return skip("a changed clock", "faketime") };
    let folder = Arc::new(Folder::new());
    let offset = folder.join("offset");
    let set_clock = |text: &str| {
        // Atomically: the server must not read half a file.
        fs::write(folder.join("offset.new"), text).unwrap();
        fs::rename(folder.join("offset.new"), &offset).unwrap();
    };
    set_clock("+0");
    let words: Vec<String> = [
        "env".to_owned(),
        format!("LD_PRELOAD={}", library.display()),
        format!("FAKETIME_TIMESTAMP_FILE={}", offset.display()),
        "FAKETIME_NO_CACHE=1".to_owned(),
        "DONT_FAKE_MONOTONIC=1".to_owned(),
    ]
    .to_vec();
    let launcher = Launcher { words, ..Launcher::default() };
    // With the embedded engine: with PostgreSQL, a server whose clock differs is unhealthy.
    let server = Server::embedded_by(launcher, Arc::clone(&folder), &[("FLASKPASTE_EXPIRY", "1000")]);
    let (read, fixed) =
        (server.paste("read now and then"), server.post("for an hour").header("X-Expiry", "3600").created());
    let expires_at = |path: &str| server.get(path).expect_status(200).json()["expires_at"].as_u64().unwrap();
    let before = expires_at(&fixed.path());

    set_clock("-1d");
    server.get("/health").expect_status(200);
    assert_eq!(expires_at(&fixed.path()), before);
    server.get(&read.raw()).expect_body("read now and then");
    let past = server.paste("made in the past");
    server.get(&past.raw()).expect_body("made in the past");

    set_clock("+0");
    server.get("/health").expect_status(200);
    server.get(&fixed.raw()).expect_body("for an hour");
    // Reading it with the clock a day back did not shorten its life.
    server.get(&read.raw()).expect_body("read now and then");
    server.get(&past.raw()).expect_code(404, "not_found");

    set_clock("+2000");
    server.get(&read.raw()).expect_code(404, "not_found");
    server.get(&fixed.raw()).expect_body("for an hour");
    set_clock("+4000");
    server.get(&fixed.raw()).expect_code(404, "not_found");
    let new = server.paste("new");
    server.get(&new.raw()).expect_body("new");
}

#[test]
fn too_few_threads_are_reported_in_one_line() {
    if !works("test \"$(id -u)\" = 0 && setpriv --version && prlimit --version") {
        return skip("a server without threads", "root, setpriv and prlimit");
    }
    let folder = Folder::new();
    let data = folder.join("data");
    fs::create_dir(&data).unwrap();
    // A separate user, so that no other threads count.
    let user = 61_234;
    std::os::unix::fs::chown(&data, Some(user), Some(user)).unwrap();
    let server = folder.join("flaskpaste");
    fs::copy(env!("CARGO_BIN_EXE_flaskpaste"), &server).unwrap();
    let line = refusal_by(&folder, &server, &data, user);
    assert!(line.contains("cannot start") && line.contains("FLASKPASTE_THREADS"), "{line}");
    // An invalid setting is another error.
    refusal(folder.path(), &[("FLASKPASTE_THREADS", "0")], &[], 2);
}

/// Runs the server as a user limited to twenty threads; its only line.
fn refusal_by(folder: &Folder, server: &Path, data: &Path, user: u32) -> String {
    let script = format!(
        "exec setpriv --reuid {user} --regid {user} --clear-groups prlimit --nproc=20 env FLASKPASTE_DB={}/pastes.db \
         FLASKPASTE_BIND=127.0.0.1:0 timeout 20 {}",
        data.display(),
        server.display()
    );
    let output = std::process::Command::new("sh").args(["-c", &script]).current_dir(folder.path()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
    stderr
}

#[test]
fn few_descriptors_shrink_the_pool_and_lose_no_connection() {
    if !works("command -v prlimit") {
        return skip("a server with few descriptors", "prlimit");
    }
    let words = ["prlimit", "--nofile=160:160"].map(str::to_owned).to_vec();
    let launcher = Launcher { words, ..Launcher::default() };
    let server = Server::start_by(launcher, Arc::new(Folder::new()), &[]);
    wait_until("the log shows the pool size", SOON, || {
        server.log().contains("the limit of file descriptors is too low")
    });
    let connect = |_| {
        let mut connection = server.connect();
        connection.send("GET /");
        connection
    };
    let crowd: Vec<Connection> = (0..100).map(connect).collect();
    server.expect_alive();
    let large = vec![b'x'; 2 << 20];
    wait_until("a large upload gets a place", SOON, || server.post(large.clone()).send().status == 201);
    assert!(!server.log().contains("cannot accept"), "{}", server.log());
    drop(crowd);
}
