//! The texts of the pages in one language, by key, from a file in src/web/words/.
//!
//! Invariant: every language has the same keys and placeholders as English, and texts for the same error codes, whose
//! English texts are the server's own; the tests here check that. Must never be used as markup.

use crate::language::Language;
use std::collections::{BTreeMap, BTreeSet};

/// The texts of one language.
pub struct Words(BTreeMap<&'static str, &'static str>);

impl Words {
    /// The texts of a language. Its file has no escapes, so they are borrowed from the program.
    pub fn of(language: &'static Language) -> Self {
        Self(serde_json::from_str(language.words).unwrap_or_default())
    }

    /// The text under a key.
    pub fn get(&self, key: &str) -> Option<&'static str> {
        self.0.get(key).copied()
    }

    /// The message and hint for an error code; `None` in English, where the server's own are used.
    pub fn refusal(&self, code: &str) -> Option<(&'static str, &'static str)> {
        self.get(&format!("error.{code}"))?.split_once('|')
    }
}

/// The suffixes of plural forms (Unicode CLDR).
const CATEGORIES: [&str; 6] = ["zero", "one", "two", "few", "many", "other"];

/// A script with the texts of a language that scripts use or that belong to error codes; the others are already in the
/// pages. `named` has all literals of the scripts.
pub fn module(language: &Language, named: &BTreeSet<&str>) -> String {
    let is_named = |line: &&str| {
        let Some((key, _)) = line.trim_start_matches('"').split_once('"') else { return false };
        let stem = key.rsplit_once('.').filter(|(_, category)| CATEGORIES.contains(category)).map(|(stem, _)| stem);
        key.starts_with("error.") || named.contains(key) || stem.is_some_and(|stem| named.contains(stem))
    };
    let lines = language.words.lines().filter(is_named).map(|line| line.replacen("\": \"", "\":\"", 1));
    format!("export default {{{}}};\n", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::LANGUAGES;
    use std::fs;
    use std::path::Path;

    /// The plural forms of each language (Unicode CLDR), except "other".
    const PLURALS: &[(&str, &[&str])] = &[
        ("en", &["one"]),
        ("de", &["one"]),
        ("fr", &["one", "many"]),
        ("es", &["one", "many"]),
        ("pl", &["one", "few", "many"]),
        ("zh-Hans", &[]),
    ];
    /// The common key of all plural forms.
    fn base(key: &str) -> String {
        match key.rsplit_once('.') {
            Some((stem, category)) if CATEGORIES.contains(&category) => format!("{stem}.other"),
            _ => key.to_owned(),
        }
    }

    /// The placeholders in a text.
    fn places(sentence: &str) -> BTreeSet<&str> {
        sentence.split('{').skip(1).map(|rest| rest.split_once('}').expect("a place ends").0).collect()
    }

    fn words(language: &'static Language) -> BTreeMap<&'static str, &'static str> {
        serde_json::from_str(language.words).unwrap_or_else(|error| panic!("{}: {error}", language.tag))
    }

    #[test]
    fn every_language_has_the_texts_of_english() {
        let english = words(&LANGUAGES[0]);
        let keys = |words: &BTreeMap<&str, &str>, is_error| -> BTreeSet<String> {
            words.keys().filter(|key| key.starts_with("error.") == is_error).map(|key| base(key)).collect()
        };
        assert!(keys(&english, true).is_empty(), "the server has these sentences in English");
        let errors = keys(&words(&LANGUAGES[LANGUAGES.len() - 1]), true);
        for language in &LANGUAGES {
            let (tag, own) = (language.tag, words(language));
            assert_eq!(keys(&own, false), keys(&english, false), "{tag}");
            assert!(tag == "en" || keys(&own, true) == errors, "{tag} has other refusals: {errors:?}");
            let categories = PLURALS.iter().find(|(known, _)| *known == tag).expect("its plurals are known").1;
            for (key, sentence) in &own {
                let category = key.rsplit('.').next().unwrap();
                assert!(
                    !CATEGORIES.contains(&category) || category == "other" || categories.contains(&category),
                    "{tag}: {key} is never used"
                );
                let wanted = english.get(base(key).as_str()).map_or_else(BTreeSet::new, |sentence| places(sentence));
                // A sentence for exactly one says the number in words.
                let may_lack = if base(key) == *key { None } else { Some("n") };
                let given = places(sentence);
                assert!(given.is_subset(&wanted), "{tag}: {key} has places that English has not");
                assert!(
                    wanted.difference(&given).all(|place| Some(*place) == may_lack),
                    "{tag}: {key} lacks {wanted:?}"
                );
                assert!(*key == "page.space" || !sentence.is_empty() && sentence.trim() == *sentence, "{tag}: {key}");
                let halves = sentence.split('|').filter(|half| !half.is_empty()).count();
                assert!(if key.starts_with("error.") { halves == 2 } else { halves < 2 }, "{tag}: {key}");
            }
        }
    }

    #[test]
    fn scripts_get_the_texts_they_use() {
        let [english, .., chinese] = &LANGUAGES;
        let named = BTreeSet::from(["page.copy", "receipt.reads", "page"]);
        let module = module(english, &named);
        let words = module.strip_prefix("export default ").and_then(|words| words.strip_suffix(",};\n")).unwrap();
        let words: BTreeMap<String, String> = serde_json::from_str(&format!("{words}}}")).unwrap();
        assert_eq!(words.into_keys().collect::<Vec<_>>(), ["page.copy", "receipt.reads.other"]);
        assert!(super::module(chinese, &named).contains("\"error.not_found\":\""));
    }

    #[test]
    fn no_text_is_duplicated() {
        for language in &LANGUAGES {
            let lines: Vec<&str> = language.words.lines().filter(|line| line.contains("\": \"")).collect();
            let own = words(language);
            assert_eq!(lines.len(), own.len(), "{}: one key a line, and none twice", language.tag);
            if language.tag == "en" {
                assert_eq!(own.values().collect::<BTreeSet<_>>().len(), own.len(), "a sentence is there twice");
            }
        }
    }

    /// The templates and scripts of the pages, and what fills them.
    fn sources() -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let files = fs::read_dir(root.join("web")).unwrap().map(|file| file.unwrap().path());
        let is_source = |path: &std::path::PathBuf| path.extension().is_some_and(|kind| kind == "html" || kind == "js");
        files.filter(is_source).chain([root.join("web.rs")]).map(|path| fs::read_to_string(path).unwrap()).collect()
    }

    #[test]
    fn used_keys_and_existing_keys_are_the_same() {
        let (sources, english) = (sources(), words(&LANGUAGES[0]));
        let exist: BTreeSet<String> =
            english.keys().map(|key| base(key).trim_end_matches(".other").to_owned()).collect();
        let groups: BTreeSet<&str> = exist.iter().map(|key| key.split('.').next().unwrap()).collect();
        let is_key = |text: &&str| {
            let is_plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'.');
            let (group, rest) = text.split_once('.').unwrap_or_default();
            is_plain && groups.contains(group) && !["js", "html"].contains(&rest)
        };
        let templates = sources.split("{{w.").skip(1).map(|rest| rest.split_once("}}").unwrap().0);
        let literals = sources.split('"').filter(is_key);
        let named: BTreeSet<String> = templates.chain(literals).map(str::to_owned).collect();
        assert_eq!(named, exist);
    }
}
