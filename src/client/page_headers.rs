//! The headers of pages and their files: those that block foreign scripts are required, those that change a browser's
//! behaviour are forbidden.
//!
//! Invariant: a header not known to be harmless is reported, and so is an ambiguous content length. Must never accept a
//! duplicate header.

/// A header's name in lower case, and its value; `None` if it is not text.
pub type Header = (String, Option<String>);

/// Headers that do not affect what a browser shows, runs or sends: of connections, proxies and caches. `Alt-Svc`, which
/// Caddy sends, makes browsers use HTTP/3; docs/trust.md says that the server may answer differently there.
const HARMLESS: &[&str] = &[
    "accept-ranges",
    "age",
    "alt-svc",
    "connection",
    "content-length",
    "date",
    "etag",
    "expires",
    "keep-alive",
    "last-modified",
    "pragma",
    "server",
    "server-timing",
    "strict-transport-security",
    "transfer-encoding",
    "vary",
    "via",
];

/// `X-` headers that some browsers obey; the others are ignored.
const MEANT: &[&str] = &[
    "x-content-security-policy",
    "x-dns-prefetch-control",
    "x-permitted-cross-domain-policies",
    "x-sourcemap",
    "x-ua-compatible",
    "x-webkit-csp",
    "x-xss-protection",
];

/// How these headers differ from `wanted`.
pub fn faults(wanted: &[(&str, &str)], headers: &[Header]) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, value) in wanted {
        match values(headers, name).as_slice() {
            [] => faults.push(format!("the header {name} is missing")),
            [Some(one)] if one == value => {}
            [_] => faults.push(format!("the header {name} differs")),
            _ => faults.push(format!("the header {name} appears more than once")),
        }
    }
    for (name, _) in headers.iter().filter(|(name, _)| !wanted.iter().any(|(known, _)| known == name)) {
        if !is_harmless(name) {
            faults.push(format!("the header {name} should not be there"));
        }
    }
    if !is_framed_one_way(headers) {
        faults.push("the headers leave open where the content ends".to_owned());
    }
    faults.dedup();
    faults
}

/// Whether every reader takes the same bytes for the content: of two lengths, or of a length and chunks, a browser may
/// believe the other one, and what stands between chunks would be markup to it.
fn is_framed_one_way(headers: &[Header]) -> bool {
    match (values(headers, "content-length").as_slice(), values(headers, "transfer-encoding").as_slice()) {
        ([] | [_], []) => true,
        ([], [coding]) => coding.is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")),
        _ => false,
    }
}

/// The values of a header.
fn values<'a>(headers: &'a [Header], name: &str) -> Vec<Option<&'a str>> {
    headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_deref()).collect()
}

fn is_harmless(name: &str) -> bool {
    HARMLESS.contains(&name) || name.starts_with("x-") && !MEANT.contains(&name) || name.starts_with("cf-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(headers: &[(&str, &str)]) -> Vec<String> {
        let headers: Vec<Header> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))).collect();
        faults(&[("content-security-policy", "default-src 'none'")], &headers)
    }

    #[test]
    fn a_policy_is_there_once_and_is_the_one() {
        let policy = ("content-security-policy", "default-src 'none'");
        assert!(found(&[policy, ("date", "x"), ("x-request-id", "y"), ("cf-ray", "z")]).is_empty());
        assert_eq!(found(&[]), ["the header content-security-policy is missing"]);
        let other = ("content-security-policy", "default-src 'none'; script-src *");
        assert_eq!(found(&[other]), ["the header content-security-policy differs"]);
        assert_eq!(found(&[policy, policy]), ["the header content-security-policy appears more than once"]);
    }

    #[test]
    fn where_the_content_ends_is_said_once() {
        let policy = ("content-security-policy", "default-src 'none'");
        let (length, chunks) = (("content-length", "5"), ("transfer-encoding", "Chunked"));
        for framing in [&[][..], &[length], &[chunks]] {
            assert!(found(&[&[policy], framing].concat()).is_empty(), "{framing:?}");
        }
        let gzip = ("transfer-encoding", "gzip, chunked");
        for framing in [&[length, chunks][..], &[length, length], &[chunks, chunks], &[gzip]] {
            let faults = found(&[&[policy], framing].concat());
            assert_eq!(faults, ["the headers leave open where the content ends"], "{framing:?}");
        }
    }

    #[test]
    fn what_a_browser_obeys_is_told() {
        let policy = ("content-security-policy", "default-src 'none'");
        for name in [
            "refresh",
            "link",
            "location",
            "set-cookie",
            "clear-site-data",
            "service-worker-allowed",
            "content-encoding",
            "content-disposition",
            "content-security-policy-report-only",
            "reporting-endpoints",
            "report-to",
            "nel",
            "origin-trial",
            "speculation-rules",
            "use-as-dictionary",
            "sourcemap",
            "x-sourcemap",
            "access-control-allow-origin",
            "cross-origin-opener-policy",
            "unheard-of",
        ] {
            assert_eq!(found(&[policy, (name, "x")]), [format!("the header {name} should not be there")]);
        }
    }
}
