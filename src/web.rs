//! Renders JSON replies as HTML pages for browsers.
//!
//! Invariant: a page contains only data of its JSON reply, escaped; all its scripts and styles are files in src/web/,
//! compiled in and served under content-hashed names. Must never put user text into a page unescaped, nor refer to a
//! resource of another origin.

use crate::crypto;
use crate::http::{Body, Policy, Reply};
use crate::language::{LANGUAGES, Language};
use crate::page_values::{address, curl, escape, report};
use crate::words::{self, Words};
use serde_json::Value;
use std::sync::Arc;

const SCRIPT: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// The assets of the pages: name, type and content. Each refers only to those above it, as `"./NAME"`.
const SOURCES: &[(&str, &str, &str)] = &[
    ("icon.svg", PICTURE, include_str!("web/icon.svg")),
    ("icon-dark.svg", PICTURE, include_str!("web/icon-dark.svg")),
    ("style.css", "text/css; charset=utf-8", include_str!("web/style.css")),
    ("language.js", SCRIPT, include_str!("web/language.js")),
    ("words.js", SCRIPT, include_str!("web/words.js")),
    ("page.js", SCRIPT, include_str!("web/page.js")),
    ("api.js", SCRIPT, include_str!("web/api.js")),
    ("keys.js", SCRIPT, include_str!("web/keys.js")),
    ("seal.js", SCRIPT, include_str!("web/seal.js")),
    ("manifest.js", SCRIPT, include_str!("web/manifest.js")),
    ("sealed.js", SCRIPT, include_str!("web/sealed.js")),
    ("leases.js", SCRIPT, include_str!("web/leases.js")),
    ("asks.js", SCRIPT, include_str!("web/asks.js")),
    ("turn.js", SCRIPT, include_str!("web/turn.js")),
    ("resume.js", SCRIPT, include_str!("web/resume.js")),
    ("reading.js", SCRIPT, include_str!("web/reading.js")),
    ("tokens.js", SCRIPT, include_str!("web/tokens.js")),
    ("access.js", SCRIPT, include_str!("web/access.js")),
    ("receipts.js", SCRIPT, include_str!("web/receipts.js")),
    ("draft.js", SCRIPT, include_str!("web/draft.js")),
    ("content.js", SCRIPT, include_str!("web/content.js")),
    ("lines.js", SCRIPT, include_str!("web/lines.js")),
    ("yours.js", SCRIPT, include_str!("web/yours.js")),
    ("languages.js", SCRIPT, include_str!("web/languages.js")),
    ("colour.js", SCRIPT, include_str!("web/colour.js")),
    ("text.js", SCRIPT, include_str!("web/text.js")),
    ("zip.js", SCRIPT, include_str!("web/zip.js")),
    ("files.js", SCRIPT, include_str!("web/files.js")),
    ("qr.js", SCRIPT, include_str!("web/qr.js")),
    ("solver.js", SCRIPT, include_str!("web/solver.js")),
    ("solve.js", SCRIPT, include_str!("web/solve.js")),
    ("sending.js", SCRIPT, include_str!("web/sending.js")),
    ("choice.js", SCRIPT, include_str!("web/choice.js")),
    ("link.js", SCRIPT, include_str!("web/link.js")),
    ("create.js", SCRIPT, include_str!("web/create.js")),
    ("ask.js", SCRIPT, include_str!("web/ask.js")),
    ("asked.js", SCRIPT, include_str!("web/asked.js")),
    ("paste.js", SCRIPT, include_str!("web/paste.js")),
];

/// Parts shared by several pages.
const PARTS: [(&str, &str); 4] = [
    ("{{choice}}", include_str!("web/choice.html")),
    ("{{token}}", include_str!("web/token.html")),
    ("{{sending}}", include_str!("web/sending.html")),
    ("{{link}}", include_str!("web/link.html")),
];

/// The footer's contact, and its report link on the page of a paste.
const CONTACT: &str = " · <a href=\"{{contact}}\">{{address}}</a>";
const REPORT: &str = " · <a href=\"{{report}}\">{{w.page.report}}</a>";

/// The not-found page, which becomes the paste's page in a tab that has leased its last read.
const GONE: &str = concat!(
    include_str!("web/refusal.html"),
    include_str!("web/resume.html"),
    include_str!("web/paste.html"),
    "</template>\n"
);

/// The page of an ask, which becomes that of a paste once it is answered.
const ASKED: &str = concat!(include_str!("web/asked.html"), include_str!("web/paste.html"), "</template>\n");

/// The kinds of pages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Create,
    Paste,
    Ask,
    Asked,
    Refusal,
    Gone,
}

impl Kind {
    const ALL: [Self; 6] = [Self::Create, Self::Paste, Self::Ask, Self::Asked, Self::Refusal, Self::Gone];

    /// The page for a reply.
    fn of(status: u16, fields: &Value) -> Self {
        let has = |name: &str| fields.get(name).is_some();
        match status {
            404 => Self::Gone,
            400.. => Self::Refusal,
            _ if has("id") && has("state") => Self::Asked,
            _ if has("id") => Self::Paste,
            _ if has("ask") => Self::Ask,
            _ => Self::Create,
        }
    }

    /// Its name in the scripts.
    fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Paste => "paste",
            Self::Ask => "ask",
            Self::Asked => "asked",
            Self::Refusal | Self::Gone => "refusal",
        }
    }

    /// Its main part.
    fn main(self) -> &'static str {
        match self {
            Self::Create => include_str!("web/create.html"),
            Self::Paste => include_str!("web/paste.html"),
            Self::Ask => include_str!("web/ask.html"),
            Self::Asked => ASKED,
            Self::Refusal => include_str!("web/refusal.html"),
            Self::Gone => GONE,
        }
    }
}

/// The hex digits of a digest in a file name.
const DIGEST_DIGITS: usize = 8;

/// A served file of the pages.
struct Asset {
    /// Its name in src/web/, as used in the templates; for texts, the language tag.
    source: &'static str,
    /// Its name under `/static/`: the source's name with a digest of the content before the extension.
    name: String,
    kind: &'static str,
    content: Arc<[u8]>,
    /// The sources of its imports.
    imports: Vec<&'static str>,
}

/// The pages and their assets.
pub struct Pages {
    /// The URL prefix of the routes.
    prefix: String,
    /// The contact for reports as a URI, or empty.
    contact: String,
    assets: Vec<Asset>,
    words: Vec<(&'static Language, Words)>,
    /// The page templates, with everything filled in that is the same for all visitors.
    templates: Vec<(Kind, String)>,
}

impl Pages {
    /// Builds the pages for a URL prefix and a contact URI.
    pub fn new(prefix: &str, contact: &str) -> Self {
        let mut assets: Vec<Asset> = Vec::new();
        let sources: Vec<_> =
            SOURCES.iter().map(|(source, kind, text)| (*source, *kind, without_comments(text))).collect();
        let literals = sources.iter().flat_map(|(_, _, text)| text.split('"')).collect();
        let modules: Vec<_> =
            LANGUAGES.iter().map(|language| (language.tag, SCRIPT, words::module(language, &literals))).collect();
        for (source, kind, text) in sources.into_iter().chain(modules) {
            // Imports use the hashed names, so that a change also changes the names of all dependants.
            let naming = |text: String, named: &Asset| {
                text.replace(&format!("\"./{}\"", named.source), &format!("\"./{}\"", named.name))
            };
            let text = assets.iter().fold(text, naming);
            let (stem, extension) = source.split_once('.').unwrap_or((source, "js"));
            let digest = crypto::hex(&crypto::sha256(text.as_bytes()));
            let digest = digest.get(..DIGEST_DIGITS).unwrap_or_default();
            let name = format!("{stem}.{digest}.{extension}");
            let names = |named: &&Asset| text.contains(&format!("from \"./{}\"", named.name));
            let imports = assets.iter().filter(names).map(|named| named.source).collect();
            assets.push(Asset { source, name, kind, content: text.into_bytes().into(), imports });
        }
        let words = LANGUAGES.iter().map(|language| (language, Words::of(language))).collect();
        let mut pages =
            Self { prefix: prefix.to_owned(), contact: contact.to_owned(), assets, words, templates: Vec::new() };
        pages.templates = Kind::ALL.iter().map(|kind| (*kind, pages.template(*kind))).collect();
        pages
    }

    /// The URL path of an asset.
    fn address(&self, asset: &Asset) -> String {
        format!("{}/static/{}", self.prefix, asset.name)
    }

    /// The reply for an asset, which is immutable.
    pub fn asset(&self, name: &str) -> Option<Reply> {
        let asset = self.assets.iter().find(|asset| asset.name == name)?;
        let reply = Reply { body: Body::Shared(asset.content.clone()), is_immutable: true, ..Reply::empty(200) };
        Some(reply.with("Content-Type", asset.kind))
    }

    /// Renders a JSON reply as a page in a language, with the same status and headers; `url` is the server's URL as the
    /// visitor sees it.
    pub fn page(&self, answer: Reply, url: &str, language: &Language) -> Reply {
        let Body::Bytes(json) = &answer.body else { return answer };
        let fields: Value = serde_json::from_slice(json).unwrap_or_default();
        let json = String::from_utf8_lossy(json);
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        let words = self.words.iter().find(|(known, _)| known.tag == language.tag).map(|(_, words)| words);
        let word = |key: &str| words.and_then(|words| words.get(key)).unwrap_or_default();
        let refusal = words.and_then(|words| words.refusal(text("code")));
        let (error, hint) = refusal.unwrap_or_else(|| (text("error"), text("hint")));
        let kind = Kind::of(answer.status, &fields);
        let title = match kind {
            Kind::Create => word("page.new").to_owned(),
            Kind::Paste => format!("{} {}", word("paste.heading"), text("id")),
            Kind::Ask => word("ask.heading").to_owned(),
            Kind::Asked => word("asked.heading").to_owned(),
            Kind::Refusal | Kind::Gone => error.to_owned(),
        };
        let curl = curl(&fields, url);
        let report = report(&self.contact, text("id"));
        let script = self.assets.iter().find(|asset| asset.source == language.tag);
        let script = script.map(|asset| self.address(asset)).unwrap_or_default();
        let template = self.templates.iter().find(|(known, _)| *known == kind).map(|(_, template)| template.as_str());
        let value = |name: &str| match name {
            "version" => env!("CARGO_PKG_VERSION"),
            "contact" => &self.contact,
            "address" => address(&self.contact),
            "report" => &report,
            "prefix" => &self.prefix,
            "url" => url,
            "language" => language.tag,
            "words" => &script,
            "title" => &title,
            "answer" => &json,
            "id" | "request_id" => text(name),
            "curl" => &curl,
            "error" => error,
            "hint" => hint,
            name if name.strip_prefix("selected.") == Some(language.tag) => " selected",
            name => name.strip_prefix("w.").map(word).unwrap_or_default(),
        };
        let mut page = String::new();
        fill(&mut page, template.unwrap_or_default(), value);
        let mut reply = Reply { policy: Policy::Page, ..Reply::typed(answer.status, "text/html; charset=utf-8", page) };
        reply.headers.extend(answer.headers.into_iter().filter(|(name, _)| *name != "Content-Type"));
        reply
    }

    /// Links that make the browser load all imports of a page's script in parallel.
    fn preloads(&self, main: &str) -> String {
        let script = main.split_once("<script type=\"module\" src=\"{{").and_then(|(_, rest)| rest.split_once("}}"));
        let mut wanted: Vec<&str> = script.map(|(script, _)| script).into_iter().collect();
        // Each asset imports only those above it.
        for asset in self.assets.iter().rev() {
            if wanted.contains(&asset.source) {
                wanted.extend(&asset.imports);
            }
        }
        let assets = self.assets.iter().filter(|asset| wanted.contains(&asset.source));
        let links: Vec<String> =
            assets.map(|asset| format!("<link rel=\"modulepreload\" href=\"{{{{{}}}}}\">", asset.source)).collect();
        links.join("\n")
    }

    /// The complete template of a page. Asset paths need no escaping.
    fn template(&self, kind: Kind) -> String {
        let contact = if self.contact.is_empty() { "" } else { CONTACT };
        let is_reported = !self.contact.is_empty() && matches!(kind, Kind::Paste | Kind::Asked);
        let report = if is_reported { REPORT } else { "" };
        let option = |Language { tag, name, .. }: &Language| {
            format!("<option value=\"{tag}\" lang=\"{tag}\"{{{{selected.{tag}}}}}>{name}</option>")
        };
        let main = PARTS.iter().fold(kind.main().to_owned(), |main, (name, part)| main.replace(name, part));
        let whole = include_str!("web/frame.html")
            .replace("{{view}}", kind.name())
            .replace("{{languages}}", &LANGUAGES.iter().map(option).collect::<Vec<_>>().concat())
            .replace("{{preloads}}", &self.preloads(&main))
            .replace("{{main}}", &main)
            .replace("{{footer}}", &format!("{contact}{report}"));
        let place = |asset: &Asset| (format!("{{{{{}}}}}", asset.source), self.address(asset));
        self.assets.iter().map(place).fold(whole, |whole, (name, address)| whole.replace(&name, &address))
    }
}

/// Strips comments, empty lines and indentation, a quarter of the size. No literal spans several lines, so none is
/// changed.
fn without_comments(text: &str) -> String {
    let mut in_comment = false;
    let mut kept = String::new();
    for line in text.lines() {
        let code = line.trim_start();
        in_comment |= code.starts_with("/*");
        if !in_comment && !code.starts_with("//") && !code.is_empty() {
            kept.push_str(code);
            kept.push('\n');
        }
        in_comment &= !code.ends_with("*/");
    }
    kept
}

/// Fills in a template: each `{{name}}` becomes its escaped value. In one pass, so values are never expanded again.
fn fill<'a>(page: &mut String, template: &str, value: impl Fn(&str) -> &'a str) {
    let mut pieces = template.split("{{");
    page.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").unwrap_or(("", piece));
        page.push_str(&escape(value(name)));
        page.push_str(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    #[test]
    fn values_are_escaped_and_not_expanded() {
        let mut page = String::new();
        fill(&mut page, "<p title=\"{{a}}\">{{b}} }} {{c}}", |name| match name {
            "a" => "\"'<>&",
            "b" => "{{a}}",
            _ => "",
        });
        assert_eq!(page, "<p title=\"&quot;&#39;&lt;&gt;&amp;\">{{a}} }} ");
    }

    fn body(pages: &Pages, reply: Reply) -> String {
        match pages.page(reply, "http://host/p", &LANGUAGES[0]).body {
            Body::Bytes(bytes) => String::from_utf8(bytes).unwrap(),
            _ => panic!("a page is made for its reply"),
        }
    }

    #[test]
    fn each_reply_has_its_page() {
        let pages = Pages::new("/p", "");
        let body = |reply| body(&pages, reply);
        let refusal = body(Reply::json(404, &json!({ "error": "No <such>", "hint": "h", "request_id": "r" })));
        assert!(refusal.contains("data-view=\"refusal\"") && refusal.contains("<h1>No &lt;such&gt;</h1>"));
        let paste = body(Reply::json(200, &json!({ "id": "abcd" })));
        assert!(paste.contains("data-view=\"paste\"") && paste.contains("<title>Paste abcd"));
        let create = body(Reply::json(200, &json!({ "name": "x" })));
        assert!(create.contains("data-view=\"create\"") && create.contains("src=\"/p/static/create."));
    }

    #[test]
    fn the_footer_names_the_contact_and_the_paste() {
        let shown = |contact: &str, answer: Value| body(&Pages::new("", contact), Reply::json(200, &answer));
        let nobody = shown("", json!({ "id": "abcd" }));
        assert!(nobody.contains(concat!("<footer><p>flaskpaste ", env!("CARGO_PKG_VERSION"), "</p>")));
        let paste = shown("mailto:a@example.org", json!({ "id": "abcd" }));
        assert!(paste.contains("<a href=\"mailto:a@example.org\">a@example.org</a>"));
        assert!(paste.contains("<a href=\"mailto:a@example.org?subject=Report%20of%20paste%20abcd\">"));
        let create = shown("https://x.example/y?a=b&c#d", json!({ "name": "x" }));
        assert!(create.contains("href=\"https://x.example/y?a=b&amp;c#d\"") && !create.contains("Report"));
    }

    #[test]
    fn asset_names_contain_the_digest_of_their_content() {
        let pages = Pages::new("", "");
        for asset in &pages.assets {
            let digest = crypto::hex(&crypto::sha256(&asset.content));
            assert!(asset.name.contains(&format!(".{}.", &digest[..DIGEST_DIGITS])), "{}", asset.name);
            let text = std::str::from_utf8(&asset.content).unwrap();
            for named in text.split("\"./").skip(1).map(|rest| rest.split('"').next().unwrap()) {
                assert!(pages.asset(named).is_some(), "{} names {named}", asset.source);
            }
        }
        let names = |pages: &Pages| pages.assets.iter().map(|asset| asset.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&pages), names(&Pages::new("/p", "")), "every server has the same names");
    }

    /// The files of src/web/ and their sizes in bytes, by their paths in it.
    fn files() -> BTreeMap<String, u64> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web");
        let folders = ["", "words/"].map(|name| (name, fs::read_dir(root.join(name)).unwrap()));
        let files = folders.into_iter().flat_map(|(name, folder)| folder.map(move |file| (name, file.unwrap())));
        let files = files.filter(|(_, file)| file.path().is_file());
        let named = |(name, file): (&str, fs::DirEntry)| {
            (format!("{name}{}", file.file_name().into_string().unwrap()), file.metadata().unwrap().len())
        };
        files.map(named).collect()
    }

    #[test]
    fn the_readme_lists_exactly_the_existing_files() {
        let rows = include_str!("web/README.md").lines().filter_map(|line| line.strip_prefix("| `"));
        let named: Vec<&str> = rows.map(|row| row.split('`').next().unwrap()).collect();
        let mut sorted = named.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, files().keys().collect::<Vec<_>>());
    }

    #[test]
    fn only_comments_and_whitespace_are_stripped() {
        let text = "// a\n\nlet x = 1; // b\n  /** c */\n/*\n * d\n */\nx(\"/* e\");\n";
        assert_eq!(without_comments(text), "let x = 1; // b\nx(\"/* e\");\n");
        // The patterns of languages have such quotes in them.
        for (name, _, text) in SOURCES.iter().filter(|(name, ..)| *name != "languages.js") {
            let served = without_comments(text);
            let opened = served.lines().find(|line| !line.matches('`').count().is_multiple_of(2));
            assert_eq!(opened, None, "{name} has a literal of several lines");
        }
    }

    #[test]
    fn the_size_of_all_pages_and_assets_is_limited() {
        let pages = Pages::new("", "");
        let is_words = |asset: &&Asset| LANGUAGES.iter().any(|language| language.tag == asset.source);
        let shared: usize = pages.assets.iter().filter(|asset| !is_words(asset)).map(|asset| asset.content.len()).sum();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web");
        let templates = files().into_keys().filter(|name| name.split('.').next_back() == Some("html"));
        let templates: String = templates.map(|name| fs::read_to_string(folder.join(name)).unwrap()).collect();
        for (language, words) in &pages.words {
            let mut filled = String::new();
            let word = |name: &str| name.strip_prefix("w.").and_then(|key| words.get(key)).unwrap_or_default();
            fill(&mut filled, &templates, word);
            let module = pages.assets.iter().find(|asset| asset.source == language.tag).unwrap().content.len();
            let bytes = shared + module + filled.len();
            // Other languages say the same in more letters, and have the refusals of the server besides.
            let most = (150 << 10) + if language.tag == "en" { 0 } else { 3 << 10 };
            assert!(bytes <= most, "{}: {bytes} bytes of {most}", language.tag);
        }
    }

    #[test]
    fn a_page_is_in_its_language() {
        let pages = Pages::new("", "mailto:a@example.org");
        for language in &LANGUAGES {
            let words = Words::of(language);
            let answers = [
                (200, json!({ "name": "x" }), words.get("create.heading").unwrap()),
                (200, json!({ "id": "abcd" }), words.get("page.report").unwrap()),
                (
                    404,
                    json!({ "code": "not_found", "error": "No" }),
                    words.refusal("not_found").map_or("No", |(no, _)| no),
                ),
                (400, json!({ "code": "unheard_of", "error": "Never" }), "Never"),
            ];
            for (status, answer, said) in answers {
                let Body::Bytes(page) = pages.page(Reply::json(status, &answer), "http://host", language).body else {
                    panic!("a page is made for its reply")
                };
                let page = String::from_utf8(page).unwrap();
                assert!(page.contains(&format!("<html lang=\"{}\">", language.tag)) && page.contains(said), "{page}");
                let chosen = format!("<option value=\"{0}\" lang=\"{0}\" selected>{1}<", language.tag, language.name);
                assert!(page.contains(&chosen) && page.matches("<option").count() == LANGUAGES.len(), "{page}");
                let address = page.split("data-words=\"/static/").nth(1).unwrap().split('"').next().unwrap();
                assert!(address.starts_with(&format!("{}.", language.tag)) && pages.asset(address).is_some());
            }
        }
    }
}
