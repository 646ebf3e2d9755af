//! The pages for people: the same answers as everyone's, dressed for a browser.
//!
//! Invariant: a page holds nothing its JSON answer does not hold, escaped; all that runs in it comes from the files in
//! src/web/, which are compiled in. Must never put a stranger's text into a page otherwise than escaped, nor name a
//! resource of another origin.

use crate::http::{Body, Policy, Reply};
use serde_json::Value;

/// A file of the pages: its name under `/static/`, its type, its content.
type Asset = (&'static str, &'static str, &'static str);

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// What the pages are made of.
const ASSETS: &[Asset] = &[
    ("style.css", "text/css; charset=utf-8", include_str!("web/style.css")),
    ("icon.svg", "image/svg+xml", include_str!("web/icon.svg")),
    ("create.js", SCRIPT, include_str!("web/create.js")),
    ("paste.js", SCRIPT, include_str!("web/paste.js")),
    ("api.js", SCRIPT, include_str!("web/api.js")),
    ("page.js", SCRIPT, include_str!("web/page.js")),
    ("seal.js", SCRIPT, include_str!("web/seal.js")),
    ("content.js", SCRIPT, include_str!("web/content.js")),
    ("lines.js", SCRIPT, include_str!("web/lines.js")),
    ("tokens.js", SCRIPT, include_str!("web/tokens.js")),
    ("solve.js", SCRIPT, include_str!("web/solve.js")),
    ("solver.js", SCRIPT, include_str!("web/solver.js")),
    ("qr.js", SCRIPT, include_str!("web/qr.js")),
];

/// A file of the pages.
pub fn asset(name: &str) -> Option<Reply> {
    let (_, kind, text) = ASSETS.iter().find(|(known, _, _)| *known == name)?;
    Some(Reply::typed(200, kind, *text))
}

/// An answer in JSON as a page, with the same status and headers.
///
/// `prefix` is the path the routes live under, `url` the address of the server as the visitor knows it.
pub fn page(answer: Reply, prefix: &str, url: &str) -> Reply {
    let Body::Bytes(json) = &answer.body else { return answer };
    let fields: Value = serde_json::from_slice(json).unwrap_or_default();
    let json = String::from_utf8_lossy(json);
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let (view, title, main) = match (answer.status, fields.get("id")) {
        (400.., _) => ("refusal", text("error"), include_str!("web/refusal.html")),
        (_, Some(_)) => ("paste", "A paste", include_str!("web/paste.html")),
        (_, None) => ("create", "New paste", include_str!("web/create.html")),
    };
    let values = [
        ("prefix", prefix),
        ("url", url),
        ("view", view),
        ("title", title),
        ("answer", &json),
        ("id", text("id")),
        ("error", text("error")),
        ("hint", text("hint")),
        ("request_id", text("request_id")),
    ];
    let frame = include_str!("web/frame.html");
    let (before, after) = frame.split_once("{{main}}").unwrap_or((frame, ""));
    let mut page = String::new();
    for template in [before, main, after] {
        fill(&mut page, template, &values);
    }
    let mut reply = Reply { policy: Policy::Page, ..Reply::typed(answer.status, "text/html; charset=utf-8", page) };
    reply.headers.extend(answer.headers.into_iter().filter(|(name, _)| *name != "Content-Type"));
    reply
}

/// Writes a template with each `{{name}}` replaced by its value, escaped. In one pass: what a value holds is text.
fn fill(page: &mut String, template: &str, values: &[(&str, &str)]) {
    let mut pieces = template.split("{{");
    page.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").unwrap_or(("", piece));
        let value = values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
        for c in value.chars() {
            match c {
                '&' => page.push_str("&amp;"),
                '<' => page.push_str("&lt;"),
                '>' => page.push_str("&gt;"),
                '"' => page.push_str("&quot;"),
                '\'' => page.push_str("&#39;"),
                c => page.push(c),
            }
        }
        page.push_str(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_text_whatever_they_hold() {
        let mut page = String::new();
        fill(&mut page, "<p title=\"{{a}}\">{{b}} }} {{c}}", &[("a", "\"'<>&"), ("b", "{{a}}")]);
        assert_eq!(page, "<p title=\"&quot;&#39;&lt;&gt;&amp;\">{{a}} }} ");
    }

    #[test]
    fn each_answer_has_its_page() {
        let body = |reply: Reply| match page(reply, "/p", "http://host/p").body {
            Body::Bytes(bytes) => String::from_utf8(bytes).unwrap(),
            _ => panic!("a page is made for its reply"),
        };
        let refusal = body(Reply::json(404, &json!({ "error": "No <such>", "hint": "h", "request_id": "r" })));
        assert!(refusal.contains("data-view=\"refusal\"") && refusal.contains("<h1>No &lt;such&gt;</h1>"));
        assert!(body(Reply::json(200, &json!({ "id": "abcd" }))).contains("data-view=\"paste\""));
        let create = body(Reply::json(200, &json!({ "name": "x" })));
        assert!(create.contains("data-view=\"create\"") && create.contains("src=\"/p/static/create.js\""));
    }
}
