//! Chooses the language of a page: from the cookie, else from `Accept-Language` (RFC 9110 section 12.5.4, with the
//! lookup of RFC 4647 section 3.4).
//!
//! Invariant: the result is one of the pages' languages, whatever the headers contain. Must never parse more than the
//! first entries of a header.

use crate::http::{Request, parse_weight};

/// A language of the pages.
#[derive(Debug, PartialEq, Eq)]
pub struct Language {
    /// Its tag (RFC 5646).
    pub tag: &'static str,
    /// Its native name.
    pub name: &'static str,
    /// Its texts, as JSON.
    pub words: &'static str,
}

/// All languages. The first one, English, is the fallback.
pub static LANGUAGES: [Language; 6] = [
    Language { tag: "en", name: "English", words: include_str!("web/words/en.json") },
    Language { tag: "de", name: "Deutsch", words: include_str!("web/words/de.json") },
    Language { tag: "fr", name: "Français", words: include_str!("web/words/fr.json") },
    Language { tag: "es", name: "Español", words: include_str!("web/words/es.json") },
    Language { tag: "pl", name: "Polski", words: include_str!("web/words/pl.json") },
    Language { tag: "zh-Hans", name: "简体中文", words: include_str!("web/words/zh-Hans.json") },
];

/// The cookie with the user's choice.
const COOKIE: &str = "flaskpaste_language=";

/// How many entries of a header are parsed: no browser sends more.
const MOST_ENTRIES: usize = 64;

/// The language for a request.
pub fn of(request: &Request<'_>) -> &'static Language {
    choose(request.header("Cookie"), request.header("Accept-Language"))
}

fn choose(cookies: Option<&str>, accepted: Option<&str>) -> &'static Language {
    chosen(cookies.unwrap_or_default()).or_else(|| asked_for(accepted.unwrap_or_default())).unwrap_or(&LANGUAGES[0])
}

/// The language in the cookie.
fn chosen(cookies: &str) -> Option<&'static Language> {
    let mut tags = cookies.split(';').take(MOST_ENTRIES).filter_map(|cookie| cookie.trim().strip_prefix(COOKIE));
    tags.find_map(|tag| LANGUAGES.iter().find(|language| language.tag == tag))
}

/// The language with the highest weight; of equal weights, the first one.
fn asked_for(accepted: &str) -> Option<&'static Language> {
    let mut best: Option<(&Language, u16)> = None;
    for entry in accepted.split(',').take(MOST_ENTRIES) {
        let mut parts = entry.split(';').map(str::trim);
        let found = parts.next().and_then(look_up);
        let parameter = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let weight = parameter.map_or(1000, |text| parse_weight(text).unwrap_or(0));
        if let Some(language) = found.filter(|_| weight > best.map_or(0, |(_, most)| most)) {
            best = Some((language, weight));
        }
    }
    best.map(|(language, _)| language)
}

/// The language for a language range: by its primary subtag, except that traditional Chinese does not match simplified.
fn look_up(range: &str) -> Option<&'static Language> {
    let primary = |tag: &'static str| tag.split('-').next().unwrap_or_default();
    let mut subtags = range.split('-');
    let first = subtags.next()?;
    let language = LANGUAGES.iter().find(|language| first.eq_ignore_ascii_case(primary(language.tag)))?;
    // The script decides; without one, the region does.
    let names =
        |known: &[&str]| range.split('-').skip(1).any(|tag| known.iter().any(|name| tag.eq_ignore_ascii_case(name)));
    let is_traditional = names(&["Hant"]) || !names(&["Hans"]) && names(&["TW", "HK", "MO"]);
    (language.tag != "zh-Hans" || !is_traditional).then_some(language)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn expect(cookies: &str, accepted: &str, tag: &str) {
        assert_eq!(choose(Some(cookies), Some(accepted)).tag, tag, "{cookies:?} {accepted:?}");
    }

    #[test]
    fn the_highest_weight_is_chosen() {
        for (accepted, tag) in [
            ("", "en"),
            ("de", "de"),
            ("DE-ch", "de"),
            ("de-CH-1996", "de"),
            ("ja, fr;q=0.5", "fr"),
            ("en;q=0.5, pl", "pl"),
            ("es;q=0.8, fr;q=0.9, de;q=0.85", "fr"),
            ("es, fr", "es"),
            ("pl;Q=0.4 , de ; q=0.5", "de"),
            ("de;q=0, fr;q=0.001", "fr"),
            ("de;q=0", "en"),
            ("de;q=2, de;q=x, de;q=-1, de;q=0.0001", "en"),
            ("*", "en"),
            ("*, pl;q=0.1", "pl"),
            ("deu, germany, d, -de, de_CH", "en"),
            ("ja", "en"),
            (",;,;;q=1,-", "en"),
            ("zh", "zh-Hans"),
            ("zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"),
            ("zh-SG", "zh-Hans"),
            ("zh-hans-TW", "zh-Hans"),
            ("zh-TW, fr;q=0.3", "fr"),
            ("zh-TW", "en"),
            ("zh-Hant-CN, pl;q=0.2", "pl"),
            ("zh-HK, zh;q=0.5", "zh-Hans"),
        ] {
            expect("", accepted, tag);
        }
    }

    #[test]
    fn the_cookie_takes_precedence() {
        for (cookies, tag) in [
            ("flaskpaste_language=de", "de"),
            ("a=b; flaskpaste_language=zh-Hans;c=d", "zh-Hans"),
            ("flaskpaste_language=xx; flaskpaste_language=pl", "pl"),
            ("flaskpaste_language=", "fr"),
            ("flaskpaste_language=DE", "fr"),
            ("flaskpaste_language=\"de\"", "fr"),
            ("xflaskpaste_language=de", "fr"),
            ("login=flaskpaste_language=de", "fr"),
        ] {
            expect(cookies, "fr", tag);
        }
        assert_eq!(choose(None, None).tag, "en");
    }

    #[test]
    fn only_the_start_of_a_long_header_is_parsed() {
        expect(&"a=b;".repeat(MOST_ENTRIES), &("ja,".repeat(MOST_ENTRIES - 1) + "de,fr"), "de");
        expect(&("a=b;".repeat(MOST_ENTRIES) + "flaskpaste_language=de"), &("ja,".repeat(MOST_ENTRIES) + "de"), "en");
    }
}
