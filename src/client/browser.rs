//! The request headers of browsers, which `fpaste verify` sends.
//!
//! Invariant: nothing in a request reveals this program, its version or its user. It cannot imitate what a browser does
//! below HTTP; docs/trust.md says so.

/// A visitor of the pages.
#[derive(Clone, Copy)]
pub struct Visitor {
    /// The browser.
    pub browser: Browser,
    /// The tag of the preferred language.
    pub language: &'static str,
    /// Whether it was chosen on a page, and is sent in a cookie; otherwise in Accept-Language.
    pub has_cookie: bool,
}

/// The most common browsers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Browser {
    /// Mozilla's.
    Firefox,
    /// Google's, and those based on it.
    Chrome,
}

/// The kind of resource requested.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// A page.
    Page,
    /// A script.
    Script,
    /// A script that runs beside a page.
    Worker,
    /// A style sheet.
    Style,
    /// A picture.
    Picture,
}

/// The file that pages run as a worker, without the digest in its name.
const WORKER: &str = "solver.";

impl Opened {
    /// The kind of a file with this name and media type.
    pub fn of(name: &str, media_type: &str) -> Self {
        match media_type.split(['/', ';']).next() {
            Some("image") => Self::Picture,
            _ if media_type.starts_with("text/css") => Self::Style,
            _ if name.starts_with(WORKER) => Self::Worker,
            _ => Self::Script,
        }
    }
}

impl Visitor {
    /// The visitors for these languages: each browser, with and without a cookie.
    pub fn all(languages: impl IntoIterator<Item = &'static str>) -> Vec<Self> {
        let kinds =
            [(Browser::Firefox, false), (Browser::Chrome, false), (Browser::Firefox, true), (Browser::Chrome, true)];
        let of = |language| kinds.map(|(browser, has_cookie)| Self { browser, language, has_cookie });
        languages.into_iter().flat_map(of).collect()
    }

    /// A description for the report.
    pub fn describe(&self) -> String {
        let browser = if self.browser == Browser::Firefox { "Firefox" } else { "Chrome" };
        if self.has_cookie {
            format!("{browser} with Cookie: {}", self.cookie())
        } else {
            format!("{browser} with Accept-Language: {}", self.accept_language())
        }
    }

    fn cookie(&self) -> String {
        format!("flaskpaste_language={}", self.language)
    }

    fn accept_language(&self) -> String {
        let tag = match self.language {
            _ if self.has_cookie => "en",
            "zh-Hans" => "zh-CN",
            tag => tag,
        };
        match (self.browser, tag) {
            (Browser::Firefox, "en") => "en-US,en;q=0.5".to_owned(),
            (Browser::Firefox, tag) => format!("{tag},en-US;q=0.7,en;q=0.3"),
            (Browser::Chrome, "en") => "en-US,en;q=0.9".to_owned(),
            (Browser::Chrome, tag) => format!("{tag},en-US;q=0.9,en;q=0.8"),
        }
    }

    /// The headers of a request. Browsers omit the Sec-Fetch headers over plain HTTP, except to this machine.
    pub fn headers(&self, opened: Opened, is_secure: bool) -> Vec<(&'static str, String)> {
        use Browser::{Chrome, Firefox};
        use Opened::{Page, Picture, Script, Style, Worker};
        let (mode, destination) = match opened {
            Page => ("navigate", "document"),
            Script => ("cors", "script"),
            Worker => ("same-origin", "worker"),
            Style => ("no-cors", "style"),
            Picture => ("no-cors", "image"),
        };
        let agent = match self.browser {
            Firefox => "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
            Chrome => {
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 \
                 Safari/537.36"
            }
        };
        let accept = match (opened, self.browser) {
            (Page, Firefox) => "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            (Page, Chrome) => {
                "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,\
                 application/signed-exchange;v=b3;q=0.7"
            }
            (Script | Worker, _) => "*/*",
            (Style, _) => "text/css,*/*;q=0.1",
            (Picture, Firefox) => "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
            (Picture, Chrome) => "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
        };
        let mut headers = vec![("User-Agent", agent), ("Accept", accept)].into_iter().map(owned).collect::<Vec<_>>();
        headers.push(("Accept-Language", self.accept_language()));
        if self.has_cookie {
            headers.push(("Cookie", self.cookie()));
        }
        if opened == Page {
            headers.push(owned(("Upgrade-Insecure-Requests", "1")));
        }
        if is_secure {
            let site = if opened == Page { "none" } else { "same-origin" };
            let places = [("Sec-Fetch-Dest", destination), ("Sec-Fetch-Mode", mode), ("Sec-Fetch-Site", site)];
            headers.extend(places.map(owned));
            if opened == Page {
                headers.push(owned(("Sec-Fetch-User", "?1")));
            }
            if self.browser == Chrome {
                let brands = r#""Chromium";v="140", "Not=A?Brand";v="24", "Google Chrome";v="140""#;
                let hints = [("sec-ch-ua", brands), ("sec-ch-ua-mobile", "?0"), ("sec-ch-ua-platform", "\"Windows\"")];
                headers.extend(hints.map(owned));
            }
        }
        headers
    }
}

fn owned((name, value): (&'static str, &str)) -> (&'static str, String) {
    (name, value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_tells_this_program() {
        for visitor in Visitor::all(["en", "zh-Hans"]) {
            for opened in [Opened::Page, Opened::Script, Opened::Worker, Opened::Style, Opened::Picture] {
                for (name, value) in visitor.headers(opened, true) {
                    assert!(!value.to_ascii_lowercase().contains("fpaste") || name == "Cookie", "{name}: {value}");
                    assert!(!["Authorization", "X-Requested-With", "X-SSL-Client-SHA1"].contains(&name));
                }
            }
        }
    }

    #[test]
    fn every_language_is_asked_for_in_both_ways() {
        let visitors = Visitor::all(["de", "zh-Hans"]);
        assert_eq!(visitors.len(), 8);
        let said = |has_cookie: bool| -> Vec<String> {
            visitors.iter().filter(|visitor| visitor.has_cookie == has_cookie).map(Visitor::describe).collect()
        };
        assert!(said(false).iter().any(|said| said == "Firefox with Accept-Language: zh-CN,en-US;q=0.7,en;q=0.3"));
        assert!(said(true).iter().any(|said| said == "Chrome with Cookie: flaskpaste_language=de"));
    }
}
