//! The pages of each version: the digests of everything a browser loads, and the headers that block foreign scripts.
//!
//! Invariant: a version is a file in versions/, rendered from the running server by `make docs`, and a line here; a test
//! compares the newest with what the server sends. The table of a released version must never change.

use std::collections::BTreeSet;

/// The versions still in use, newest first. To add one, create an empty file, list it first, and run `make docs`.
pub const TABLES: &[&str] = &[include_str!("versions/1.0.0")];

/// The contents of a table.
pub struct Version {
    /// Its number.
    pub number: &'static str,
    /// Its pages.
    pub pages: Vec<PageRow>,
    /// Its files below `/static/`.
    pub files: Vec<FileRow>,
    /// The headers of a page, with names in lower case.
    pub page_headers: Vec<(&'static str, &'static str)>,
    /// The headers of a file, except Content-Type.
    pub file_headers: Vec<(&'static str, &'static str)>,
}

/// A page in a language.
pub struct PageRow {
    /// Its kind: create, ask, paste, asked or gone; with `+contact` if the server names one.
    pub kind: &'static str,
    /// The tag of the language.
    pub language: &'static str,
    /// SHA-256 of its template, in hex.
    pub digest: &'static str,
}

/// A file of the pages.
pub struct FileRow {
    /// Its name below `/static/`.
    pub name: &'static str,
    /// SHA-256 of its content, in hex.
    pub digest: &'static str,
    /// Its media type.
    pub media_type: &'static str,
}

impl Version {
    /// Parses a table; malformed lines are skipped, which the tests detect.
    pub fn read(table: &'static str) -> Self {
        let mut version = Self {
            number: "",
            pages: Vec::new(),
            files: Vec::new(),
            page_headers: Vec::new(),
            file_headers: Vec::new(),
        };
        for line in table.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.splitn(4, ' ');
            let mut word = || words.next().unwrap_or_default();
            match word() {
                "version" => version.number = word(),
                "page" => version.pages.push(PageRow { digest: word(), kind: word(), language: word() }),
                "file" => version.files.push(FileRow { digest: word(), name: word(), media_type: word() }),
                "page-header" => version.page_headers.extend(header(line)),
                "file-header" => version.file_headers.extend(header(line)),
                _ => {}
            }
        }
        version
    }

    /// Whether a page of this kind and language has this digest.
    pub fn has_page(&self, kind: &str, language: &str, digest: &str) -> bool {
        self.pages.iter().any(|row| (row.kind, row.language, row.digest) == (kind, language, digest))
    }

    /// The languages of its pages.
    pub fn languages(&self) -> BTreeSet<&'static str> {
        self.pages.iter().map(|row| row.language).collect()
    }
}

/// Name and value of a line `page-header NAME: VALUE`.
fn header(line: &'static str) -> Option<(&'static str, &'static str)> {
    line.split_once(' ')?.1.split_once(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_read_whole() {
        assert!(Version::read(TABLES[0]).number == env!("CARGO_PKG_VERSION"), "run `make docs`");
        let mut numbers = BTreeSet::new();
        for table in TABLES {
            let version = Version::read(table);
            assert!(numbers.insert(version.number), "{} is listed twice", version.number);
            let rows = version.pages.len() + version.files.len();
            let rows = rows + version.page_headers.len() + version.file_headers.len();
            assert_eq!(table.lines().filter(|line| !line.starts_with('#')).count(), 1 + rows, "{}", version.number);
            let digests = version.pages.iter().map(|row| row.digest).chain(version.files.iter().map(|row| row.digest));
            for digest in digests {
                assert!(digest.len() == 64 && crate::crypto::unhex(digest).is_some(), "{digest}");
            }
            for language in version.languages() {
                for kind in ["create", "ask", "paste", "asked", "gone"] {
                    for contact in ["", "+contact"] {
                        let kind = format!("{kind}{contact}");
                        let found = version.pages.iter().filter(|row| (row.kind, row.language) == (&kind, language));
                        assert_eq!(found.count(), 1, "{} {kind} {language}", version.number);
                    }
                }
            }
            assert!(!version.files.is_empty() && version.page_headers.len() > 5 && version.file_headers.len() > 5);
        }
    }
}
