//! What fpaste takes from the file system and from pipes.

use crate::client_harness::Client;
use crate::harness::Server;
use flaskpaste::sealed::{FileEntry, Manifest, max_plaintext, sealed_bytes};

/// The most bytes of a nameless content whose upload is not larger than this.
fn most(limit: u64) -> u64 {
    let fits = |size: &u64| {
        let file = FileEntry { size: *size, ..FileEntry::default() };
        let manifest = Manifest { files: vec![file], reads: None, expires_at: None };
        4 + manifest.render().unwrap().len() as u64 + size <= max_plaintext(limit)
    };
    (0..max_plaintext(limit)).rev().find(fits).unwrap()
}

#[test]
fn whatever_fits_as_a_file_fits_when_it_is_piped_in() {
    // Around where a size has a digit more.
    let limits = (0..3).map(|more| sealed_bytes(100_000 + 33 + more)).chain([70_000, 65_608 + 56, 200_001]);
    for limit in limits {
        let server = Server::start(&[("FLASKPASTE_MAX_ANON", &limit.to_string())]);
        let client = Client::new(&server);
        let most = usize::try_from(most(limit)).unwrap();
        for size in [most - 1, most] {
            let content = vec![b'x'; size];
            client.file("content", &content);
            let links = [client.run(&["content", "--no-name"]).succeeded().line(), client.create(&content, &[])];
            assert_eq!(client.run(&["get", &links[1]]).succeeded().stdout, content, "{size} of {limit}");
        }
        client.file("content", vec![b'x'; most + 1]);
        let from_file = client.run(&["content", "--no-name"]).failed(5);
        let piped = client.pipe(vec![b'x'; most + 1], &[]).failed(5);
        // In the same words, and nothing is kept: it could not be sent.
        assert_eq!(from_file, piped);
        assert!(piped.contains("with what encryption adds") && !piped.contains("resume"), "{piped}");
        assert!(!server.log().contains(" 413 "), "{limit}");
    }
}
