//! Content negotiation with the `Accept` header (RFC 9110 section 12.5.1).
//!
//! Invariant: only clients that name HTML get a page; programs that name nothing get JSON. Must never fail: malformed
//! ranges are ignored.

use super::Request;

impl Request<'_> {
    /// Whether the sender prefers `text/plain` to JSON: it names it and does not prefer JSON. At equal weights, the one
    /// named first wins.
    pub fn prefers_text(&self) -> bool {
        let (text, json) = (self.accepted("text/plain"), self.accepted("application/json"));
        text.is_named && text.weight > 0 && (text.weight, json.at) > (json.weight, text.at)
    }

    /// Whether the sender prefers JSON to `text/plain`: the converse.
    pub fn prefers_json(&self) -> bool {
        let (text, json) = (self.accepted("text/plain"), self.accepted("application/json"));
        json.is_named && json.weight > 0 && (json.weight, text.at) > (text.weight, json.at)
    }

    /// Whether the sender wants a page: it names `text/html`, as browsers do when the user opens an address, and does
    /// not prefer JSON.
    pub fn accepts_html(&self) -> bool {
        let (html, json) = (self.accepted("text/html"), self.accepted("application/json"));
        html.is_named && html.weight > 0 && html.weight >= json.weight
    }

    /// The weight of a media type in the most specific range of `Accept` that covers it (RFC 9110 section 12.5.1).
    /// Parameters other than the weight are ignored; an invalid weight counts as 0.
    fn accepted(&self, media_type: &str) -> Accepted {
        let any_subtype = media_type.split_once('/').map_or("", |(group, _)| group);
        let mut best = (0, Accepted { is_named: false, weight: 0, at: usize::MAX });
        for (at, range) in self.header("Accept").unwrap_or_default().split(',').enumerate() {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let specificity = match name.split_once('/') {
                _ if name.eq_ignore_ascii_case(media_type) => 3,
                Some((group, "*")) if group.eq_ignore_ascii_case(any_subtype) => 2,
                Some(("*", "*")) => 1,
                _ => continue,
            };
            if specificity > best.0 {
                let parameter = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
                let weight = parameter.map_or(1000, |text| parse_weight(text).unwrap_or(0));
                best = (specificity, Accepted { is_named: specificity == 3, weight, at });
            }
        }
        best.1
    }
}

/// The preference for a media type.
struct Accepted {
    /// Whether it was named explicitly, not by a wildcard.
    is_named: bool,
    /// In thousandths; 0 means not acceptable.
    weight: u16,
    /// Its position among the ranges.
    at: usize,
}

/// Parses a weight into thousandths: 0 to 1 with at most three decimals (RFC 9110 section 12.4.2).
pub fn parse_weight(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_weight = matches!(whole, "0" | "1") && fraction.len() <= 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    let thousandths = format!("{whole}{fraction:0<3}").parse().ok().filter(|_| is_weight);
    thousandths.filter(|weight| *weight <= 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Framing, Method, Peer};

    /// Whether this `Accept` asks for HTML, and whether for text.
    fn wants(accept: &str) -> (bool, bool) {
        let fields = |name: &str| (name == "Accept").then_some(accept);
        let (method, peer, framing) = (Method::Get, Peer::Unix, Framing::None);
        let body = &mut std::io::empty();
        let request = Request { method, path: "/", query: "", fields: &fields, peer, owner: None, framing, body };
        (request.accepts_html(), request.prefers_text())
    }

    #[test]
    fn html_needs_to_be_named_and_not_less_preferred_than_json() {
        for accept in [
            "text/html",
            "TEXT/HTML;charset=utf-8",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/json, text/html",
            "application/json;q=0.5, text/html;q=0.6",
            "application/json;q=0, */*, text/html",
            "text/html;q=0.001",
        ] {
            assert!(wants(accept).0, "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/*",
            "text/html;q=0",
            "text/html; Q=0.0",
            "text/htmlx",
            "application/json, text/html;q=0.9",
            "text/html;q=0.9, */*",
            "text/html;q=1.5",
            "text/html;q=x",
            "text/html;q=-1",
            "text/html;q=0.0001",
        ] {
            assert!(!wants(accept).0, "{accept}");
        }
    }

    #[test]
    fn text_needs_to_be_named_and_not_less_preferred_than_json() {
        for accept in
            ["text/plain", "text/plain, */*", "text/plain, application/json", "application/json;q=0.1, text/plain"]
        {
            assert!(wants(accept).1, "{accept}");
        }
        for accept in
            ["", "*/*", "text/*", "application/json, text/plain, */*", "text/plain;q=0", "text/plain;q=0.5, */*"]
        {
            assert!(!wants(accept).1, "{accept}");
        }
    }
}
