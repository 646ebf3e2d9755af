//! Faults outside the server: files that vanish. Faults that need system programs are in system/faults.rs.

use crate::harness::{SOON, Server, wait_until};
use std::fs;

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
