//! Faults outside the server: files that vanish, a stderr that nobody reads. Faults that need system programs are in
//! system/faults.rs.

use crate::harness::{Folder, Launcher, SOON, Server, signal, wait_until};
use std::fs;
use std::sync::Arc;

#[test]
fn nothing_is_acknowledged_after_the_database_is_removed_or_replaced() {
    for name in ["pastes.db", "pastes.db-wal"] {
        let server = Server::embedded(&[]);
        let paste = server.paste("from before");
        let (file, aside) = (server.folder().join(name), server.folder().join("aside"));
        fs::rename(&file, &aside).unwrap();
        for replacement in [None, Some("something else")] {
            if let Some(content) = replacement {
                fs::write(&file, content).unwrap();
            }
            server.get("/health").expect_status(503).expect_field("status", "unhealthy");
            server.post("new").send().expect_code(500, "internal");
            let delete = server.request("DELETE", &paste.path()).header("X-Delete-Token", &paste.delete_token);
            delete.send().expect_code(500, "internal");
            // Existing pastes are still served, and nothing else.
            server.get(&paste.raw()).expect_status(200).expect_body("from before");
            wait_until("the log names the file", SOON, || {
                server.log().contains(&format!("{name} was removed or replaced while the server was running"))
            });
        }
        fs::rename(&aside, &file).unwrap();
        server.get("/health").expect_status(200);
        let new = server.paste("new");
        server.get(&new.raw()).expect_body("new");
    }
}

/// Forwards a server's stderr; stopped until dropped.
struct Stopped(u32);

impl Stopped {
    fn new(pid: u32) -> Self {
        signal("STOP", pid);
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal("CONT", self.0);
    }
}

#[test]
fn a_stderr_that_nobody_reads_blocks_no_request_and_no_stop() {
    let script = "mkfifo stderr && { cat stderr >&2 & } && echo $! >cat.pid && exec \"$0\" 2>stderr";
    let words = ["sh", "-c", script].map(str::to_owned).to_vec();
    let launcher = Launcher { words, ..Launcher::default() };
    let variables = [("FLASKPASTE_THREADS", "4"), ("FLASKPASTE_LOG", "off")];
    let mut server = Server::embedded_by(launcher, Arc::new(Folder::new()), &variables);
    let paste = server.paste("from before");
    let pid = fs::read_to_string(server.folder().join("cat.pid")).unwrap();
    let stopped = Stopped::new(pid.trim().parse().unwrap());
    // Each create now logs a failure: in all, more than a pipe holds.
    fs::remove_file(server.database()).unwrap();
    let mut connection = server.connect();
    for _ in 0..1000 {
        server.post("new").send_on(&mut connection).expect_code(500, "internal");
    }
    server.get(&paste.raw()).expect_status(200).expect_body("from before");
    server.signal("TERM");
    assert!(server.wait().success());
    drop(stopped);
}
