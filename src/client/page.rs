//! Turns a server's page into a template: what every server of its version sends, without the values that may differ.
//!
//! Invariant: the digest of a template determines every byte of the page: the template with exactly the values the caller
//! expects, escaped, and one attribute, the server's answer, which is escaped text. Must never drop, skip or normalise a
//! byte that is not put back and compared.

use crate::page_values::{address, curl, escape, report, unescape};
use serde_json::Value;

/// Start of the attribute with the answer.
const ANSWER: &str = " data-answer=\"";
/// Start of the attribute with the server's address.
const URL: &str = " data-url=\"";

/// The values a page of this server should have.
pub struct Expected<'a> {
    /// The server's address.
    pub url: &'a str,
    /// The path prefix of its routes.
    pub prefix: &'a str,
    /// The contact for reports; empty if none.
    pub contact: &'a str,
    /// The paste or ask of the page; empty if none.
    pub id: &'a str,
}

/// The value of an attribute, if it is escaped as the server does.
fn attribute(page: &str, start: &str) -> Option<String> {
    unescape(page.split_once(start)?.1.split_once('"')?.0)
}

/// The server's answer in a page: a JSON object in an attribute.
pub fn answer(page: &str) -> Option<Value> {
    serde_json::from_str(&attribute(page, ANSWER)?).ok().filter(Value::is_object)
}

/// The server address a page names.
pub fn url(page: &str) -> Option<String> {
    attribute(page, URL)
}

/// The page with each value replaced by its name in double braces. `None` if it has no answer, other values, or values in
/// other places.
///
/// Which occurrences of a value are replaced is a guess, and a wrong one is harmless: the template with the values put back
/// must equal the page byte for byte, so a wrong guess gives an unknown template.
pub fn template(page: &str, expected: &Expected<'_>) -> Option<String> {
    let answer = answer(page)?;
    let (before, rest) = page.split_once(ANSWER)?;
    let (escaped, after) = rest.split_once('"')?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    let request_id = text("request_id");
    if !request_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
        return None;
    }
    let (report, curl) = (report(expected.contact, expected.id), curl(&answer, expected.url));
    let values = [
        ("answer", escaped.to_owned()),
        ("report", escape(&report)),
        ("contact", escape(expected.contact)),
        ("address", escape(address(expected.contact))),
        ("request_id", escape(request_id)),
        ("curl", escape(&curl)),
        ("url", escape(expected.url)),
        ("prefix", escape(expected.prefix)),
        ("id", escape(expected.id)),
    ];
    let value = |name: &str| values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
    // Each with its surroundings; those that contain others come first.
    let mut places = Vec::new();
    if !expected.contact.is_empty() {
        places.extend([r#" href="{{report}}""#, r#" href="{{contact}}">{{address}}<"#]);
    }
    if !request_id.is_empty() {
        places.push(" {{request_id}}</p>");
    }
    places.extend(["\n{{curl}}</code></pre>", "{{url}}"]);
    if !expected.id.is_empty() {
        places.extend([" {{id}} · flaskpaste</title>", "<code>{{id}}</code>", "/{{id}}#"]);
    }
    places.extend([r#" data-prefix="{{prefix}}""#, r#"="{{prefix}}/"#]);
    let start = format!("{before}{ANSWER}{{{{answer}}}}\"{after}");
    let template = places.iter().fold(start, |text, place| text.replace(&fill(place, value), place));
    (fill(&template, value) == page).then_some(template)
}

/// Fills in a template in one pass; a name without a value stays.
fn fill<'a>(template: &str, value: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut pieces = template.split("{{");
    let mut filled = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.split_once("}}").and_then(|(name, rest)| Some((value(name)?, rest))) {
            Some((value, rest)) => filled.extend([value, rest]),
            None => filled.extend(["{{", piece]),
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: Expected<'static> = Expected {
        url: "https://x.example/p",
        prefix: "/p",
        contact: "https://y.example/?a=1&b=2",
        id: "4f2a91c07d3e",
    };

    const PAGE: &str = "<title>Paste 4f2a91c07d3e · flaskpaste</title><script src=\"/p/static/a.js\"></script>\
        <body data-prefix=\"/p\" data-url=\"https://x.example/p\" data-answer=\"{&quot;id&quot;:&quot;4f2a91c07d3e&quot;}\">\
        <code>4f2a91c07d3e</code><pre><code>get 'https://x.example/p/4f2a91c07d3e#…'\n\
        curl https://x.example/p/4f2a91c07d3e/raw</code></pre>\
        <a href=\"https://y.example/?a=1&amp;b=2\">https://y.example/?a=1&amp;b=2</a>\
        <a href=\"https://y.example/?a=1&amp;b=2&amp;paste=4f2a91c07d3e\">R</a>";

    const TEMPLATE: &str = "<title>Paste {{id}} · flaskpaste</title><script src=\"{{prefix}}/static/a.js\"></script>\
        <body data-prefix=\"{{prefix}}\" data-url=\"{{url}}\" data-answer=\"{{answer}}\">\
        <code>{{id}}</code><pre><code>get '{{url}}/{{id}}#…'\n{{curl}}</code></pre>\
        <a href=\"{{contact}}\">{{address}}</a><a href=\"{{report}}\">R</a>";

    #[test]
    fn what_may_differ_gets_a_name() {
        assert_eq!(template(PAGE, &EXPECTED).unwrap(), TEMPLATE);
        assert_eq!(answer(PAGE).unwrap()["id"], "4f2a91c07d3e");
        // Another answer changes nothing else.
        let other = PAGE.replace("7d3e&quot;}", "7d3e&quot;,&quot;x&quot;:&quot;&lt;b&gt; https://x.example/p&quot;}");
        assert_ne!(other, PAGE);
        assert_eq!(template(&other, &EXPECTED).unwrap(), TEMPLATE);
    }

    #[test]
    fn no_change_of_a_page_gives_the_same_template() {
        let same = |page: &str| template(page, &EXPECTED).is_some_and(|template| template == TEMPLATE);
        assert!(same(PAGE));
        for (from, to) in [
            // Names instead of values, and the wrong values.
            ("\"/p/static", "\"/static"),
            ("\"/p/static", "\"{{prefix}}/static"),
            ("data-prefix=\"/p\"", "data-prefix=\"{{prefix}}\""),
            ("data-prefix=\"/p\"", "data-prefix=\"\""),
            ("https://x.example/p/4f", "{{url}}/4f"),
            ("<code>4f2a91c07d3e", "<code>{{id}}"),
            ("<code>4f2a91c07d3e", "<code>{{answer}}"),
            ("7d3e/raw", "7d3e/raw "),
            ("data-url=\"https://x.example/p\"", "data-url=\"https://z.example/p\""),
            ("data-url=\"https://x.example/p\"", "data-url=\"http://x.example/p\""),
            // Markup in the values and around them.
            ("7d3e&quot;}", "7d3e\"}\" onload=\""),
            ("7d3e&quot;}", "<b>&quot;}"),
            ("data-answer=\"", "data-answer=\"{}\" data-answer=\""),
            ("Paste 4f2a91c07d3e", "Paste <b>4f2a91c07d3e</b>"),
            ("paste=4f2a", "paste=5f2a"),
            (">https://y.example/?a=1&amp;b=2<", ">https://y.example/?a=1&b=2<"),
            ("href=\"https://y.example/?a=1&amp;b=2\"", "href=\"https://z.example/\""),
            ("href=\"https://y.example/?a=1&amp;b=2\"", "href=\"https://y.example/?a=1&amp;b=2\" x"),
        ] {
            let changed = PAGE.replace(from, to);
            assert_ne!(changed, PAGE, "{from}");
            assert!(!same(&changed), "{from} -> {to}");
        }
    }

    #[test]
    fn the_id_of_a_request_is_no_sentence() {
        let page =
            |id: &str| format!("<p data-answer=\"{{&quot;request_id&quot;:&quot;{id}&quot;}}\">Request {id}</p>");
        let expected = Expected { id: "", ..EXPECTED };
        let found = template(&page("5f0e-1.a_B"), &expected);
        assert_eq!(found.as_deref(), Some("<p data-answer=\"{{answer}}\">Request {{request_id}}</p>"));
        assert_eq!(template(&page("write your link to evil.example"), &expected), None);
    }

    #[test]
    fn every_byte_counts() {
        let (start, end) = (PAGE.find(ANSWER).unwrap() + ANSWER.len(), PAGE.find("&quot;}").unwrap());
        for at in (0..PAGE.len()).filter(|at| !(start..end).contains(at) && PAGE.as_bytes()[*at].is_ascii()) {
            let mut bytes = PAGE.as_bytes().to_vec();
            bytes[at] ^= 1;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(template(&changed, &EXPECTED).is_none_or(|template| template != TEMPLATE), "{changed}");
        }
    }
}
