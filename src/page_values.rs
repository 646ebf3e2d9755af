//! The values in the pages that depend on the server or the paste: how they are escaped, and how some are derived from
//! others.
//!
//! Invariant: the server fills its pages with them, and `fpaste verify` computes the same from its requests; nothing
//! else in a page varies within a language. Must never let a value become markup.

use serde_json::Value;

/// Escapes a value for HTML text or a double-quoted attribute.
pub fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Reverses [`escape`]; `None` for text it does not produce.
pub fn unescape(escaped: &str) -> Option<String> {
    let mut value = escaped.to_owned();
    for (written, c) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")] {
        value = value.replace(written, c);
    }
    (escape(&value) == escaped).then_some(value)
}

/// The address for reporting a paste: a mail or a page that names it.
pub fn report(contact: &str, id: &str) -> String {
    if contact.starts_with("mailto:") {
        return format!("{contact}?subject=Report%20of%20paste%20{id}");
    }
    let (page, fragment) =
        contact.split_once('#').map_or((contact, String::new()), |(page, at)| (page, format!("#{at}")));
    let mark = if page.contains('?') { '&' } else { '?' };
    format!("{page}{mark}paste={id}{fragment}")
}

/// Whether a contact is visible ASCII that cannot break out of a line, header or attribute.
pub fn is_plain(contact: &str) -> bool {
    contact.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'<>\\^`{|}".contains(&byte))
}

/// A contact as it is shown.
pub fn address(contact: &str) -> &str {
    contact.trim_start_matches("mailto:")
}

/// A curl command line: reads the paste on the page of a paste, creates one on the create page; empty if that takes
/// more than curl can do.
pub fn curl(fields: &Value, url: &str) -> String {
    let holds = |pointer: &str| fields.pointer(pointer).and_then(Value::as_bool) == Some(true);
    if let Some(id) = fields.get("id").and_then(Value::as_str) {
        if holds("/proof_required") {
            return String::new();
        }
        let login = if holds("/password_protected") { "-u :PASSWORD " } else { "" };
        return format!("curl {login}{url}/{id}/raw");
    }
    let asks_for_encryption =
        fields.pointer("/limits/min_entropy").and_then(Value::as_f64).is_some_and(|bits| bits > 0.0);
    if holds("/pow/required") || asks_for_encryption {
        return String::new();
    }
    format!("curl --data-binary @notes.txt {url}/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_escaped_one_way_only() {
        let value = "\"'<>& &amp; ü";
        assert_eq!(escape(value), "&quot;&#39;&lt;&gt;&amp; &amp;amp; ü");
        assert_eq!(unescape(&escape(value)).as_deref(), Some(value));
        for wrong in ["<", ">", "'", "\"", "&", "&#34;", "&AMP;", "&lt", "&#x3c;", "&apos;"] {
            assert_eq!(unescape(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_report_names_the_paste() {
        assert_eq!(report("mailto:a@x.example", "abcd"), "mailto:a@x.example?subject=Report%20of%20paste%20abcd");
        assert_eq!(report("https://x.example/y", "abcd"), "https://x.example/y?paste=abcd");
        assert_eq!(report("https://x.example/y?a#d", "abcd"), "https://x.example/y?a&paste=abcd#d");
    }

    #[test]
    fn only_commands_that_work_are_shown() {
        let reading = |answer: Value| curl(&answer, "http://host");
        assert_eq!(reading(json!({ "id": "abcd" })), "curl http://host/abcd/raw");
        assert_eq!(
            reading(json!({ "id": "abcd", "password_protected": true })),
            "curl -u :PASSWORD http://host/abcd/raw"
        );
        assert_eq!(reading(json!({ "id": "abcd", "password_protected": true, "proof_required": true })), "");
        assert_eq!(
            reading(json!({ "pow": { "required": false }, "limits": { "min_entropy": 0.0 } })),
            "curl --data-binary @notes.txt http://host/"
        );
        assert_eq!(reading(json!({ "pow": { "required": true } })), "");
        assert_eq!(reading(json!({ "limits": { "min_entropy": 6.0 } })), "");
    }
}
