//! The manifest of a sealed paste: its files, and the limits its sender requested.
//!
//! Invariant: a parsed manifest obeys every rule of the format, so its names are safe relative paths below the target
//! folder. Must never repair a malformed manifest.

use super::fields::{Fields, List, Written, flag, text, whole_number};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// The maximum number of files in a paste.
pub const MAX_FILES: usize = 10_000;
/// The maximum size of a manifest.
pub const MAX_MANIFEST_BYTES: usize = 1 << 20;
/// The largest number in a manifest: every reader can represent it exactly.
pub const MAX_NUMBER: u64 = (1 << 53) - 1;
/// The maximum length of a name, and of each component.
const MAX_NAME_BYTES: usize = 1024;
const MAX_COMPONENT_BYTES: usize = 255;

/// The manifest breaks a rule of the format.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// The manifest of a sealed paste.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// One to [`MAX_FILES`].
    pub files: Vec<FileEntry>,
    /// The read limit its sender requested.
    pub reads: Option<u64>,
    /// The expiry its sender requested, in unix seconds.
    pub expires_at: Option<u64>,
}

/// A file in a paste.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileEntry {
    /// A relative path with `/`; `None` for a text or a stream, which is then the only file.
    pub name: Option<String>,
    /// Its MIME type according to the sender.
    pub mime_type: Option<String>,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it is executable.
    pub executable: bool,
}

impl Manifest {
    /// Parses a manifest.
    ///
    /// # Errors
    /// When it breaks a rule of the format.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(Malformed);
        }
        let json = std::str::from_utf8(bytes).map_err(|_| Malformed)?;
        let [files, reads, expires_at] = Fields(["files", "reads", "expires_at"]).of(json).ok_or(Malformed)?;
        let read = |file: &Written<'_, 4>| FileEntry::read(file).ok();
        let list = List { fields: Fields(FileEntry::FIELDS), read, most: MAX_FILES };
        let manifest = Self {
            files: files.and_then(|files| list.of(files.get())).ok_or(Malformed)?,
            reads: optional(reads, whole_number)?,
            expires_at: optional(expires_at, whole_number)?,
        };
        manifest.check()?;
        Ok(manifest)
    }

    /// Renders it as JSON.
    ///
    /// # Errors
    /// When it breaks a rule of the format or is too long.
    pub fn render(&self) -> Result<Vec<u8>, Malformed> {
        self.check()?;
        let files: Vec<Value> = self.files.iter().map(FileEntry::json).collect();
        let mut json = Map::from_iter([("files".to_owned(), files.into())]);
        json.extend(self.reads.map(|reads| ("reads".to_owned(), reads.into())));
        json.extend(self.expires_at.map(|at| ("expires_at".to_owned(), at.into())));
        let bytes = Value::from(json).to_string().into_bytes();
        if bytes.len() > MAX_MANIFEST_BYTES { Err(Malformed) } else { Ok(bytes) }
    }

    /// The total size of all files.
    ///
    /// # Errors
    /// When the total exceeds [`MAX_NUMBER`].
    pub fn content_bytes(&self) -> Result<u64, Malformed> {
        self.files.iter().try_fold(0u64, |sum, file| sum.checked_add(file.size)).ok_or(Malformed)
    }

    fn check(&self) -> Result<(), Malformed> {
        let is_count = (1..=MAX_FILES).contains(&self.files.len());
        let are_sizes = self.files.iter().all(|file| file.size <= MAX_NUMBER) && self.content_bytes().is_ok();
        let are_wishes = self.reads != Some(0) && self.reads.max(self.expires_at) <= Some(MAX_NUMBER);
        let names: Vec<&str> = self.files.iter().filter_map(|file| file.name.as_deref()).collect();
        let are_named = names.len() == self.files.len() || self.files.len() == 1;
        let is_good = is_count
            && are_sizes
            && are_wishes
            && are_named
            && names.iter().all(|name| check_name(name).is_ok())
            && are_apart(&names);
        if is_good { Ok(()) } else { Err(Malformed) }
    }
}

impl FileEntry {
    const FIELDS: [&str; 4] = ["name", "type", "size", "executable"];

    fn read(&[name, mime_type, size, executable]: &Written<'_, 4>) -> Result<Self, Malformed> {
        Ok(Self {
            name: optional(name, text)?,
            mime_type: optional(mime_type, text)?,
            size: size.and_then(whole_number).ok_or(Malformed)?,
            executable: optional(executable, flag)?.unwrap_or(false),
        })
    }

    fn json(&self) -> Value {
        let mut json = json!({ "size": self.size });
        if let Some(fields) = json.as_object_mut() {
            fields.extend(self.name.clone().map(|name| ("name".to_owned(), name.into())));
            fields.extend(self.mime_type.clone().map(|text| ("type".to_owned(), text.into())));
            fields.extend(self.executable.then(|| ("executable".to_owned(), true.into())));
        }
        json
    }
}

/// An optional field; an error if it has the wrong type.
fn optional<T>(written: Option<&RawValue>, read: impl Fn(&RawValue) -> Option<T>) -> Result<Option<T>, Malformed> {
    written.map(|written| read(written).ok_or(Malformed)).transpose()
}

/// Checks whether a name is allowed in a paste.
///
/// # Errors
/// When it is not.
pub fn check_name(name: &str) -> Result<(), Malformed> {
    name_fault(name).map_or(Ok(()), |_| Err(Malformed))
}

/// What is wrong with a name, as the end of a sentence; `None` if it is allowed in a paste.
pub fn name_fault(name: &str) -> Option<&'static str> {
    let mut letters = name.chars();
    let is_drive = letters.next().is_some_and(|c| c.is_ascii_alphabetic()) && letters.next() == Some(':');
    let has_part = |is: fn(&str) -> bool| name.split('/').any(is);
    Some(match () {
        () if name.is_empty() => "is empty",
        () if name.chars().any(char::is_control) => "has control characters",
        () if name.contains('\\') => "has a backslash",
        () if is_drive => "begins with a drive letter",
        () if name.starts_with('/') => "begins with a slash",
        () if name.ends_with('/') => "ends in a slash",
        () if has_part(str::is_empty) => "has two slashes in a row",
        () if has_part(|part| matches!(part, "." | "..")) => "has a part that is . or ..",
        () if name.len() > MAX_NAME_BYTES || has_part(|part| part.len() > MAX_COMPONENT_BYTES) => "is too long",
        () => return None,
    })
}

/// Whether no name equals another or is a folder of another, even on a case-insensitive file system.
fn are_apart(names: &[&str]) -> bool {
    let lower: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let known: HashSet<&str> = lower.iter().map(String::as_str).collect();
    let is_below_a_file = |name: &String| name.match_indices('/').any(|(at, _)| known.contains(&name[..at]));
    known.len() == names.len() && !lower.iter().any(is_below_a_file)
}

#[cfg(test)]
mod tests {
    use super::super::keys::tests::{text, vectors};
    use super::*;

    fn files(names: &[&str]) -> Manifest {
        let file = |name: &&str| FileEntry { name: Some((*name).to_owned()), size: 1, ..FileEntry::default() };
        Manifest { files: names.iter().map(file).collect(), reads: None, expires_at: None }
    }

    #[test]
    fn manifests_match_an_independent_implementation() {
        for case in vectors() {
            let manifest = Manifest::parse(text(&case, "manifest").unwrap().as_bytes()).unwrap();
            assert_eq!(Manifest::parse(&manifest.render().unwrap()).unwrap(), manifest);
        }
    }

    #[test]
    fn malformed_manifests_are_rejected() {
        let one = |file: &str| format!("{{\"files\":[{file}]}}");
        for bad in [
            "",
            "[]",
            "{}",
            "{\"files\":[]}",
            "{\"files\":{}}",
            &one("{}"),
            &one("5"),
            &one("{\"size\":-1}"),
            &one("{\"size\":1.5}"),
            &one("{\"size\":\"1\"}"),
            &one("{\"size\":9007199254740992}"),
            &one("{\"size\":1,\"name\":5}"),
            &one("{\"size\":1,\"name\":null}"),
            &one("{\"size\":1,\"type\":[]}"),
            &one("{\"size\":1,\"executable\":1}"),
            &one("{\"size\":1},{\"size\":1}"),
            &one("{\"size\":1,\"name\":\"a\"},{\"size\":1}"),
            "{\"files\":[{\"size\":1}],\"reads\":-1}",
            "{\"files\":[{\"size\":1}],\"expires_at\":\"soon\"}",
            "{\"files\":[{\"size\":1}],\"expires_at\":9007199254740992}",
            "{\"files\":[{\"size\":1}],\"reads\":0}",
            "{\"files\":[{\"size\":1}],\"reads\":-0.0}",
            "{\"files\":[{\"size\":1}],\"reads\":null}",
            "{\"files\":[{\"size\":1}],\"x\":01}",
            "{\"files\":[{\"size\":1}],\"x\ty\":1}",
            "{\"files\":[{\"size\":1}],\"x\":\"\n\"}",
            &one("{\"size\":1,\"type\":\"\\ud800\"}"),
            &one("{\"size\":1,\"name\":\"\\udc00\"}"),
            &one("{\"size\":1e16}"),
            &one("[1]"),
            "{\"files\":[{\"size\":1}]} x",
        ] {
            assert_eq!(Manifest::parse(bad.as_bytes()), Err(Malformed), "{bad}");
        }
        let unknown = "{\"files\":[{\"size\":9007199254740991,\"mode\":\"x\"}],\"later\":[1]}   ";
        assert_eq!(Manifest::parse(unknown.as_bytes()).unwrap().files[0].size, MAX_NUMBER);
        let many = ["{\"size\":9007199254740991}"; 2].join(",");
        assert!(Manifest::parse(one(&many).as_bytes()).is_err());
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for unknown in [&deep, "1e999", "-0.0e-99", "\"\\ud800\"", "{\"\\udfff\":{\"files\":1}}", "null"] {
            for json in [
                format!("{{\"x\":{unknown},\"files\":[{{\"size\":1}}]}}"),
                format!("{{\"files\":[{{\"x\":{unknown},\"size\":1}}],\"\\ud800\":{unknown}}}"),
                format!(
                    "{{\"files\":{unknown},\"reads\":{unknown},\"files\":[{{\"size\":{unknown},\"size\":1}}],\"reads\":2}}"
                ),
            ] {
                let short = &json[..json.len().min(100)];
                assert_eq!(Manifest::parse(json.as_bytes()).unwrap().files[0].size, 1, "{short}");
            }
        }
        assert!(Manifest::parse(b"{\"files\":[{\"size\":1}],\"x\":\"\xff\"}").is_err());
    }

    #[test]
    fn numbers_are_accepted_in_any_notation() {
        for (written, number) in [
            ("1.0", 1),
            ("1e2", 100),
            ("0.5E+1", 5),
            ("1200e-2", 12),
            ("-0", 0),
            ("1e-400", 0),
            ("9007199254740991.0", MAX_NUMBER),
        ] {
            let json = format!("{{\"files\":[{{\"size\":{written}}}],\"expires_at\":{written}}}");
            let manifest = Manifest::parse(json.as_bytes()).unwrap();
            assert_eq!((manifest.files[0].size, manifest.expires_at), (number, Some(number)), "{written}");
        }
    }

    #[test]
    fn only_safe_names_are_accepted() {
        for good in ["a", "a/b", "Zażółć.txt", ".hidden", "..a", "a..", "...", "ab:c", "a b", &"x".repeat(255)] {
            assert_eq!(name_fault(good), None, "{good}");
        }
        let long = vec!["x".repeat(255); 5].join("/");
        for bad in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "./a",
            "a/..",
            "../a",
            "a/./b",
            "C:",
            "c:/x",
            "C:x",
            "a\\b",
            "a\nb",
            "a\u{7f}",
            "a\u{85}b",
            &"x".repeat(256),
            &long,
        ] {
            assert_eq!(check_name(bad), Err(Malformed), "{bad:?}");
        }
        for (bad, fault) in [
            ("", "is empty"),
            ("..", "has a part that is . or .."),
            ("a//b", "has two slashes in a row"),
            ("/a", "begins with a slash"),
            ("a/", "ends in a slash"),
            ("a\u{1b}b", "has control characters"),
            (long.as_str(), "is too long"),
        ] {
            assert_eq!(name_fault(bad), Some(fault), "{bad:?}");
        }
    }

    #[test]
    fn names_must_differ_in_more_than_case() {
        for good in [&["a", "b"][..], &["a/b", "a/c"], &["a", "ab/c"], &["straße", "strasse"]] {
            assert_eq!(files(good).check(), Ok(()), "{good:?}");
        }
        for bad in [&["a", "a"][..], &["a", "A"], &["Ä", "ä"], &["a", "a/b"], &["A/b/c", "a/B"], &["x/y", "X/Y/z"]] {
            assert_eq!(files(bad).check(), Err(Malformed), "{bad:?}");
        }
    }

    #[test]
    fn the_maximum_number_of_files_is_accepted() {
        let names: Vec<String> = (0..=MAX_FILES).map(|number| format!("folder/{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let most = files(&names[..MAX_FILES]);
        assert_eq!(Manifest::parse(&most.render().unwrap()).unwrap(), most);
        assert_eq!(files(&names).render(), Err(Malformed));
    }
}
