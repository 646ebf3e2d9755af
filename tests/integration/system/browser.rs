//! A real headless Chromium, driven through chromedriver (W3C `WebDriver`). If they are missing, tests are skipped with
//! a message; with `CI` set that is a failure.
//!
//! Invariant: each browser has its own profile, shares nothing with others, and ends with its test. Must never hide an
//! error in the console: [`Browser::expect_clean`] ends every test.

use super::programs::{find, has};
use crate::harness::{Folder, SOON};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A browser, and its current window.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    profile: Folder,
}

impl Browser {
    /// A browser with a fresh profile; `None` without Chromium.
    #[track_caller]
    pub fn start() -> Option<Self> {
        Self::start_with(&[], &json!({}))
    }

    /// The same with additional command-line arguments and preferences.
    #[track_caller]
    pub fn start_with(arguments: &[&str], preferences: &Value) -> Option<Self> {
        if !has("a test in a browser", &["chromium", "chromedriver"]) {
            return None;
        }
        let profile = Folder::new();
        let (driver, port) = start_driver(profile.path());
        let mut browser = Self { driver, port, session: String::new(), profile };
        let mut all = vec![format!("--user-data-dir={}", browser.profile.path().display())];
        let fixed = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic --no-first-run \
                     --disable-background-networking --disable-component-update --disable-sync \
                     --window-size=1000,800";
        all.extend(fixed.split(' ').chain(arguments.iter().copied()).map(str::to_owned));
        let options = json!({ "binary": find("chromium").unwrap(), "args": all, "prefs": preferences });
        let capabilities =
            json!({ "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" }, "goog:chromeOptions": options });
        let session = browser.send("POST", "/session", &json!({ "capabilities": { "alwaysMatch": capabilities } }));
        session["sessionId"].as_str().unwrap_or_else(|| panic!("{session}")).clone_into(&mut browser.session);
        Some(browser)
    }

    /// Opens an address, also if it differs from the current one only in its fragment.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.command("POST", "/url", &json!({ "url": "about:blank" }));
        self.command("POST", "/url", &json!({ "url": url }));
    }

    /// Runs a function body in the page; its return value.
    #[track_caller]
    pub fn run(&self, script: &str, arguments: &[Value]) -> Value {
        self.command("POST", "/execute/sync", &json!({ "script": script, "args": arguments }))
    }

    /// The value of an expression in the page.
    #[track_caller]
    pub fn value(&self, expression: &str) -> Value {
        self.run(&format!("return {expression}"), &[])
    }

    /// The same, as a string.
    #[track_caller]
    pub fn string(&self, expression: &str) -> String {
        self.value(expression).as_str().unwrap_or_else(|| panic!("{expression} is not a string")).to_owned()
    }

    /// Waits until an expression holds.
    #[track_caller]
    pub fn wait_for(&self, expression: &str) {
        let deadline = Instant::now() + SOON;
        while self.value(&format!("Boolean({expression})")) != true {
            if Instant::now() > deadline {
                let (page, console) = (self.value("document.body?.innerText"), self.log("browser"));
                panic!("timed out waiting for {expression}; the page:\n{page}\nits console:\n{console:#?}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until an element is visible.
    #[track_caller]
    pub fn wait_to_see(&self, selector: &str) {
        self.wait_for(&format!("document.querySelector('{selector}')?.checkVisibility()"));
    }

    /// Whether an element is visible.
    #[track_caller]
    pub fn sees(&self, selector: &str) -> bool {
        self.value(&format!("Boolean(document.querySelector('{selector}')?.checkVisibility())")) == true
    }

    /// The visible text of an element.
    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        let text = self.command("GET", &format!("/element/{}/text", self.element(selector)), &Value::Null);
        text.as_str().unwrap().to_owned()
    }

    /// Clicks an element as a person does, scrolled to the middle of the window: it must exist and not be covered.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        self.run("document.querySelector(arguments[0])?.scrollIntoView({ block: 'center' })", &[json!(selector)]);
        self.command("POST", &format!("/element/{}/click", self.element(selector)), &json!({}));
    }

    /// Types into an element; for a file input, the path of the file.
    #[track_caller]
    pub fn type_into(&self, selector: &str, text: &str) {
        let path = format!("/element/{}/value", self.element(selector));
        self.command("POST", &path, &json!({ "text": text }));
    }

    /// Presses and releases keys wherever the focus is; `WebDriver` has codes for special keys.
    #[track_caller]
    pub fn press(&self, keys: &str) {
        let press = |key: char| [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })];
        self.act(&keys.chars().flat_map(press).collect::<Vec<_>>());
    }

    /// Presses a key while Control is held.
    #[track_caller]
    pub fn press_with_control(&self, key: char) {
        self.press_with('\u{e009}', key);
    }

    /// Presses a key while another is held.
    #[track_caller]
    pub fn press_with(&self, held: char, key: char) {
        let actions = [("keyDown", held), ("keyDown", key), ("keyUp", key), ("keyUp", held)]
            .map(|(action, key)| json!({ "type": action, "value": key }));
        self.act(&actions);
    }

    /// Presses and releases keys in this order.
    #[track_caller]
    fn act(&self, actions: &[Value]) {
        self.command("POST", "/actions", &json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] }));
    }

    /// A screenshot of an element, as PNG.
    #[track_caller]
    pub fn picture(&self, selector: &str) -> Vec<u8> {
        let picture = self.command("GET", &format!("/element/{}/screenshot", self.element(selector)), &Value::Null);
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, picture.as_str().unwrap()).unwrap()
    }

    /// Switches to the window opened last, once it exists.
    #[track_caller]
    pub fn enter_new_window(&self) {
        let deadline = Instant::now() + SOON;
        let windows = loop {
            let windows = self.command("GET", "/window/handles", &Value::Null);
            let windows = windows.as_array().unwrap().clone();
            if windows.len() > 1 {
                break windows;
            }
            assert!(Instant::now() < deadline, "no new window opened");
            std::thread::sleep(Duration::from_millis(10));
        };
        self.command("POST", "/window", &json!({ "handle": windows.last().unwrap() }));
    }

    /// Closes this window and switches to the first one.
    #[track_caller]
    pub fn leave_window(&self) {
        let left = self.command("DELETE", "/window", &Value::Null);
        self.command("POST", "/window", &json!({ "handle": left[0] }));
    }

    /// The printed page, as PDF.
    #[track_caller]
    pub fn printed(&self) -> Vec<u8> {
        let printed = self.devtools("Page.printToPDF", &json!({ "printBackground": true }));
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, printed["data"].as_str().unwrap()).unwrap()
    }

    /// Sends a command of the `DevTools` protocol.
    #[track_caller]
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.command("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// Sets the download folder, and allows downloads.
    #[track_caller]
    pub fn accept_downloads(&self, folder: &Path) {
        self.devtools("Browser.setDownloadBehavior", &json!({ "behavior": "allow", "downloadPath": folder }));
    }

    /// The requests since the last call, as "METHOD address".
    #[track_caller]
    pub fn requests(&self) -> Vec<String> {
        let events = self.log("performance");
        let request = |message: &String| {
            let event: Value = serde_json::from_str(message).unwrap();
            let (event, request) = (&event["message"]["method"], &event["message"]["params"]["request"]);
            let sent = event == "Network.requestWillBeSent";
            sent.then(|| format!("{} {}", request["method"].as_str().unwrap(), request["url"].as_str().unwrap()))
        };
        events.iter().filter_map(request).collect()
    }

    /// Ends a test: the console has no warning or error and no policy violation, except lines with one of these texts;
    /// and no request since the last call has left this server.
    #[track_caller]
    pub fn expect_clean(&self, server_url: &str, expected: &[&str]) {
        let console = self.log("browser");
        let unexpected: Vec<&String> =
            console.iter().filter(|line| !expected.iter().any(|text| line.contains(text))).collect();
        assert!(unexpected.is_empty(), "unexpected console messages: {unexpected:#?}");
        let own = |request: &&String| {
            let address = request.split_once(' ').unwrap().1;
            address.starts_with(server_url)
                || ["about:", "blob:", "data:", "chrome:"].iter().any(|own| address.starts_with(own))
        };
        let requests = self.requests();
        let foreign: Vec<&String> = requests.iter().filter(|request| !own(request)).collect();
        assert!(foreign.is_empty(), "requests to other servers: {foreign:#?}");
    }

    /// Messages of a log since the last call; of the console, those above info level.
    #[track_caller]
    fn log(&self, kind: &str) -> Vec<String> {
        let entries = self.command("POST", "/se/log", &json!({ "type": kind }));
        let is_heard = |entry: &&Value| kind != "browser" || entry["level"] != "DEBUG";
        let entries = entries.as_array().unwrap().iter().filter(is_heard);
        entries.map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    #[track_caller]
    fn element(&self, selector: &str) -> String {
        let found = self.command("POST", "/element", &json!({ "using": "css selector", "value": selector }));
        let id = found.as_object().and_then(|found| found.values().next()).and_then(Value::as_str);
        id.unwrap_or_else(|| panic!("{selector}: {found}")).to_owned()
    }

    /// A command in the session; its value.
    #[track_caller]
    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        self.send(method, &format!("/session/{}{path}", self.session), body)
    }

    #[track_caller]
    fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(2 * SOON)).unwrap();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: {}\r\n\r\n",
            self.port,
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        // chromedriver never closes a connection by itself.
        let mut reader = BufReader::new(stream);
        let head: Vec<String> =
            reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        let length = head.iter().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
        });
        let mut answer = vec![0; length.unwrap_or_else(|| panic!("{path}: {head:?}"))];
        reader.read_exact(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(head[0].starts_with("HTTP/1.1 200"), "{method} {path} {body}: {answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
        answer["value"].clone()
    }
}

/// A running chromedriver and its port. It wants the same port of IPv4 and IPv6, and exits if one is taken.
fn start_driver(home: &Path) -> (Child, u16) {
    let deadline = Instant::now() + SOON;
    loop {
        let mut driver = Command::new(find("chromedriver").unwrap())
            .arg("--port=0")
            .env("HOME", home)
            .env("TMPDIR", home)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port =
            lines.find_map(|line| line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok());
        // Drained, so that a full pipe does not block it.
        std::thread::spawn(move || lines.for_each(drop));
        if let Some(port) = port {
            return (driver, port);
        }
        let status = driver.wait();
        assert!(Instant::now() < deadline, "chromedriver did not start: {status:?}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Quits the browser, which killing the driver would leave running.
        if !self.session.is_empty() && !std::thread::panicking() {
            self.command("DELETE", "", &Value::Null);
        } else {
            let profile = self.profile.path().display().to_string();
            let _ = Command::new("pkill").args(["-KILL", "-f", &profile]).status();
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
