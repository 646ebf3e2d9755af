//! A full disk: creates are refused, everything else works, and deleting frees room.

use super::programs::skip;
use crate::harness::{Folder, SOON, Server, wait_until};
use crate::http_client::Connection;
use crate::quota::{content, delete, fill};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// A small file system, unmounted on drop.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(path: &'a Path, mebibytes: u32) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"]).arg(path);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self(path))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

/// Endless uploads take spool files on a disk of 48 MiB.
#[test]
fn unfinished_uploads_do_not_fill_the_disk() {
    let folder = Arc::new(Folder::new());
    let path = folder.join("disk");
    let Some(_disk) = SmallDisk::mount(&path, 48) else {
        return skip("a disk full of uploads", "the right to mount a tmpfs");
    };
    let database = path.join("pastes.db");
    let server = Server::start_in(Arc::clone(&folder), &[("FLASKPASTE_DB", database.to_str().unwrap())]);
    let kept = server.paste("kept");
    let deleted = server.paste(content(1, 1_000_000));
    let burning = server.post(content(2, 1_000_000)).header("X-Burn-After-Read", "1").created();
    let uploads: Vec<Connection> = (0..80)
        .map(|n| {
            let mut upload = server.connect();
            let head = &b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n"[..];
            // The server may respond and close while this is still being sent.
            upload.send([head, &content(n, 1_500_000)].concat());
            upload
        })
        .collect();
    // Twice a paste and 16 MiB are kept free, whatever is in progress.
    let df = Command::new("df").args(["--output=avail", "-B1"]).arg(&path).output().unwrap();
    let free: u64 = String::from_utf8(df.stdout).unwrap().lines().last().unwrap().trim().parse().unwrap();
    assert!(free > 10_000_000, "{free} bytes are free");
    server.post(content(3, 2_000_000)).send().expect_code(507, "storage_full");
    server.get(&kept.raw()).expect_body("kept");
    delete(&server, &deleted);
    server.get(&burning.raw()).expect_body(content(2, 1_000_000));
    drop(uploads);
    wait_until("their space is freed", SOON, || server.post(content(4, 2_000_000)).send().status == 201);
}

/// Also on a disk where the WAL, before a checkpoint, is longer than the space kept free on a small one.
#[test]
fn a_full_disk_refuses_creates_while_reads_and_deletes_work() {
    for mebibytes in [48, 300] {
        let folder = Arc::new(Folder::new());
        let path = folder.join("disk");
        let Some(_disk) = SmallDisk::mount(&path, mebibytes) else {
            return skip("a full disk", "the right to mount a tmpfs");
        };
        fill_and_empty(&folder, &path);
    }
}

fn fill_and_empty(folder: &Arc<Folder>, path: &Path) {
    let database = path.join("pastes.db");
    let mut server = Server::start_in(Arc::clone(folder), &[("FLASKPASTE_DB", database.to_str().unwrap())]);
    let burning = server.post("burning").header("X-Burn-After-Read", "1").created();
    let mut pastes = fill(&server, 1_000_000);
    // Large ones fail while being spooled.
    server.post(content(2000, 3_000_000)).send().expect_code(507, "storage_full");
    for (n, paste) in pastes.iter().enumerate() {
        server.get(&paste.path()).expect_status(200);
        server.get(&paste.raw()).expect_status(200).expect_body(content(n, 1_000_000));
    }
    server.get(&burning.raw()).expect_status(200).expect_body("burning");
    let deleted = pastes.split_off(pastes.len() / 2);
    for paste in &deleted {
        delete(&server, paste);
    }
    wait_until("deleting has freed space", SOON, || server.post(content(3000, 1_000_000)).send().status == 201);
    // And nothing was damaged meanwhile.
    server.crash_and_restart();
    for (n, paste) in pastes.iter().enumerate() {
        server.get(&paste.raw()).expect_status(200).expect_body(content(n, 1_000_000));
    }
    for paste in &deleted {
        server.get(&paste.raw()).expect_code(404, "not_found");
    }
}
