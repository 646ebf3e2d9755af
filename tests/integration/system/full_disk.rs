//! No room left on the disk: creates are refused, everything else goes on, and deleting makes room again.

use super::programs::skip;
use crate::harness::{Folder, SOON, Server, wait_until};
use crate::quota::{content, delete, fill};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// A small file system of its own, unmounted on drop.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(path: &'a Path) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=48m", "tmpfs"]).arg(path);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self(path))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_refuses_creates_while_reads_and_deletes_go_on() {
    let folder = Arc::new(Folder::new());
    let path = folder.join("disk");
    let Some(_disk) = SmallDisk::mount(&path) else {
        return skip("a full disk", "the right to mount a tmpfs");
    };
    let database = path.join("pastes.db");
    let mut server = Server::start_in(Arc::clone(&folder), &[("FLASKPASTE_DB", database.to_str().unwrap())]);
    let burning = server.post("burning").header("X-Burn-After-Read", "1").created();
    let mut pastes = fill(&server, 1_000_000);
    // Large ones fail while they are spooled.
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
    wait_until("deleting has made room", SOON, || server.post(content(3000, 1_000_000)).send().status == 201);
    // And nothing was damaged on the way.
    server.crash_and_restart();
    for (n, paste) in pastes.iter().enumerate() {
        server.get(&paste.raw()).expect_status(200).expect_body(content(n, 1_000_000));
    }
    for paste in &deleted {
        server.get(&paste.raw()).expect_code(404, "not_found");
    }
}
