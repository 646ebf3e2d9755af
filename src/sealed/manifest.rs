//! What a sealed paste holds: its files, and what its sender asked for.
//!
//! Invariant: a manifest that exists keeps every rule of the format, so that its names can be trusted to lie below the
//! folder they are written to. Must never repair what is malformed, nor build what it does not use: a megabyte of JSON can
//! stand for a hundred of values.

use serde_core::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// Most files in a paste.
pub const MAX_FILES: usize = 10_000;
/// Most bytes of a manifest.
pub const MAX_MANIFEST_BYTES: usize = 1 << 20;
/// Sizes are below this, so that every reader counts them exactly.
const MAX_SIZE: u64 = 1 << 53;
/// Most bytes of a name, and of what stands between its slashes.
const MAX_NAME_BYTES: usize = 1024;
const MAX_COMPONENT_BYTES: usize = 255;

/// A rule of the format is broken.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// What a sealed paste holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// One to [`MAX_FILES`].
    pub files: Vec<FileEntry>,
    /// How often its sender asked for it to be readable.
    pub reads: Option<u64>,
    /// When its sender asked for it to go, in unix seconds.
    pub expires_at: Option<u64>,
}

/// A file in a paste.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileEntry {
    /// A relative path with `/`; none for a text or a stream, which is the only file then.
    pub name: Option<String>,
    /// Its MIME type, as the sender said.
    pub mime_type: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Whether it is a program.
    pub executable: bool,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// When it breaks a rule.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(Malformed);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed)?;
        let Fields([files, reads, expires_at, _]) = Fields::parse(text, ["files", "reads", "expires_at", ""])?;
        let Entries(files) = read(files.ok_or(Malformed)?)?;
        let manifest =
            Self { files, reads: reads.map(read).transpose()?, expires_at: expires_at.map(read).transpose()? };
        manifest.check()?;
        Ok(manifest)
    }

    /// The JSON of it.
    ///
    /// # Errors
    /// When it breaks a rule, or is too long.
    pub fn render(&self) -> Result<Vec<u8>, Malformed> {
        self.check()?;
        let files: Vec<Value> = self.files.iter().map(FileEntry::json).collect();
        let mut json = Map::from_iter([("files".to_owned(), files.into())]);
        json.extend(self.reads.map(|reads| ("reads".to_owned(), reads.into())));
        json.extend(self.expires_at.map(|at| ("expires_at".to_owned(), at.into())));
        let bytes = Value::from(json).to_string().into_bytes();
        if bytes.len() > MAX_MANIFEST_BYTES { Err(Malformed) } else { Ok(bytes) }
    }

    /// Bytes of all files together.
    ///
    /// # Errors
    /// When there are more than can be.
    pub fn content_bytes(&self) -> Result<u64, Malformed> {
        self.files.iter().try_fold(0u64, |sum, file| sum.checked_add(file.size)).ok_or(Malformed)
    }

    fn check(&self) -> Result<(), Malformed> {
        let is_count = (1..=MAX_FILES).contains(&self.files.len());
        let are_sizes = self.files.iter().all(|file| file.size < MAX_SIZE) && self.content_bytes().is_ok();
        let names: Vec<&str> = self.files.iter().filter_map(|file| file.name.as_deref()).collect();
        let are_named = names.len() == self.files.len() || self.files.len() == 1;
        let is_good = is_count
            && are_sizes
            && are_named
            && names.iter().all(|name| check_name(name).is_ok())
            && are_apart(&names);
        if is_good { Ok(()) } else { Err(Malformed) }
    }
}

impl FileEntry {
    fn parse(text: &str) -> Result<Self, Malformed> {
        let Fields([name, mime_type, size, executable]) = Fields::parse(text, ["name", "type", "size", "executable"])?;
        Ok(Self {
            name: name.map(read).transpose()?,
            mime_type: mime_type.map(read).transpose()?,
            size: read(size.ok_or(Malformed)?)?,
            executable: executable.map(read).transpose()?.unwrap_or(false),
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

/// A value of its type; null is none.
fn read<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Result<T, Malformed> {
    serde_json::from_str(value.get()).map_err(|_| Malformed)
}

/// The fields of an object that have these names, as they are written there; the last one counts where there are several.
struct Fields<'a>([Option<&'a RawValue>; 4]);

impl<'a> Fields<'a> {
    fn parse(text: &'a str, names: [&'static str; 4]) -> Result<Self, Malformed> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let fields = deserializer.deserialize_map(FieldsVisitor(names)).map_err(|_| Malformed)?;
        deserializer.end().map_err(|_| Malformed)?;
        Ok(fields)
    }
}

struct FieldsVisitor([&'static str; 4]);

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut values = [None; 4];
        while let Some(name) = map.next_key::<Cow<'_, str>>()? {
            match self.0.iter().zip(&mut values).find(|(known, _)| **known == name && !known.is_empty()) {
                Some((_, value)) => *value = Some(map.next_value()?),
                None => {
                    map.next_value::<Skipped>()?;
                }
            }
        }
        Ok(Fields(values))
    }
}

/// The files, each read as it comes.
struct Entries(Vec<FileEntry>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("files")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Entries, A::Error> {
        let mut files = Vec::new();
        while let Some(file) = seq.next_element::<&RawValue>()? {
            if files.len() == MAX_FILES {
                return Err(A::Error::custom("too many files"));
            }
            files.push(FileEntry::parse(file.get()).map_err(|Malformed| A::Error::custom("no file"))?);
        }
        Ok(Entries(files))
    }
}

/// A value that is checked to be JSON, as deep as a reader that builds it would go, and not kept.
struct Skipped;

impl<'de> Deserialize<'de> for Skipped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Skipped)
    }
}

impl<'de> Visitor<'de> for Skipped {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

/// Whether a name may be in a paste.
///
/// # Errors
/// When it may not.
pub fn check_name(name: &str) -> Result<(), Malformed> {
    let mut letters = name.chars();
    let is_drive = letters.next().is_some_and(|c| c.is_ascii_alphabetic()) && letters.next() == Some(':');
    let is_component = |part: &str| !matches!(part, "" | "." | "..") && part.len() <= MAX_COMPONENT_BYTES;
    let is_good = name.len() <= MAX_NAME_BYTES
        && !is_drive
        && !name.contains(|c: char| c == '\\' || c.is_control())
        && name.split('/').all(is_component);
    if is_good { Ok(()) } else { Err(Malformed) }
}

/// Whether no two names are the same and none is a folder of another, also where the file system does not tell capitals.
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
    fn manifests_of_an_independent_implementation() {
        for case in vectors() {
            let manifest = Manifest::parse(text(&case, "manifest").unwrap().as_bytes()).unwrap();
            assert_eq!(Manifest::parse(&manifest.render().unwrap()).unwrap(), manifest);
        }
    }

    #[test]
    fn what_no_manifest_is() {
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
            "{\"files\":[{\"size\":1}]} x",
        ] {
            assert_eq!(Manifest::parse(bad.as_bytes()), Err(Malformed), "{bad}");
        }
        assert_eq!(Manifest::parse(b"{\"files\":[{\"size\":1}],\"x\":1e999}"), Err(Malformed));
        assert_eq!(Manifest::parse(b"{\"files\":[{\"size\":1}],\"x\":\"\\ud800\"}"), Err(Malformed));
        let deep = format!("{{\"files\":[{{\"size\":1}}],\"x\":{}{}}}", "[".repeat(200), "]".repeat(200));
        assert_eq!(Manifest::parse(deep.as_bytes()), Err(Malformed));
        let twice = "{\"files\":5,\"\":{\"\":[null,1.5,-1,true,\"x\"]},\"files\":[{\"size\":2,\"size\":1}]}";
        assert_eq!(Manifest::parse(twice.as_bytes()).unwrap().files[0].size, 1);
        let unknown = "{\"files\":[{\"size\":9007199254740991,\"mode\":\"x\"}],\"later\":[1]}   ";
        assert_eq!(Manifest::parse(unknown.as_bytes()).unwrap().files[0].size, MAX_SIZE - 1);
        let many = ["{\"size\":9007199254740991}"; 2].join(",");
        assert!(Manifest::parse(one(&many).as_bytes()).is_err());
    }

    #[test]
    fn names_that_may_be_written_below_a_folder() {
        for good in ["a", "a/b", "Zażółć.txt", ".hidden", "..a", "a..", "...", "ab:c", "a b", &"x".repeat(255)] {
            assert_eq!(check_name(good), Ok(()), "{good}");
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
    }

    #[test]
    fn names_are_apart_whatever_the_file_system_makes_of_capitals() {
        for good in [&["a", "b"][..], &["a/b", "a/c"], &["a", "ab/c"], &["straße", "strasse"]] {
            assert_eq!(files(good).check(), Ok(()), "{good:?}");
        }
        for bad in [&["a", "a"][..], &["a", "A"], &["Ä", "ä"], &["a", "a/b"], &["A/b/c", "a/B"], &["x/y", "X/Y/z"]] {
            assert_eq!(files(bad).check(), Err(Malformed), "{bad:?}");
        }
    }

    #[test]
    fn as_many_files_as_there_may_be() {
        let names: Vec<String> = (0..=MAX_FILES).map(|number| format!("folder/{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let most = files(&names[..MAX_FILES]);
        assert_eq!(Manifest::parse(&most.render().unwrap()).unwrap(), most);
        assert_eq!(files(&names).render(), Err(Malformed));
    }
}
