//! Schemathesis tests the running server from its own OpenAPI description: no undocumented status, no response that
//! violates its schema, no 5xx. `SCHEMATHESIS` names it; without it the test is skipped, and with `CI` set that is a
//! failure.

use super::programs::schemathesis;
use crate::harness::Server;
use std::process::Command;

#[test]
fn the_server_conforms_to_its_api_description() {
    let Some(program) = schemathesis("the API description") else { return };
    let server = Server::start(&[("FLASKPASTE_METRICS", "1"), ("FLASKPASTE_DEDUP_MAX", "1000000")]);
    let url = format!("http://{}", server.authority());
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
                  response_headers_conformance";
    let output = Command::new(program)
        .args(["run", &format!("{url}/openapi.json"), "--url", &url, "--checks", checks])
        .args(["--max-examples", "20", "--seed", "1", "--no-color", "--workers", "1"])
        .current_dir(server.folder().path())
        .output()
        .expect("cannot start schemathesis");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}\n{}", String::from_utf8_lossy(&output.stderr), server.log());
    server.expect_alive();
}
