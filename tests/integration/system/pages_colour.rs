//! Syntax highlighting on the page of a paste: what is highlighted, which language is detected, and that the text
//! itself is never changed.

use super::browser::Browser;
use super::pages::{SHOWN, pasted, url};
use crate::client_harness::Client;
use crate::harness::{SOON, Server};
use crate::sealed_format::Secret;
use serde_json::{Value, json};
use std::time::Instant;

/// The highlighted parts: one line per kind, with the texts in order.
const COLOURS: &str = "Array.from(CSS.highlights, ([kind, ranges]) => [kind, Array.from(ranges, (found) => {
        const range = document.createRange();
        range.setStart(found.startContainer, found.startOffset);
        range.setEnd(found.endContainer, found.endOffset);
        return range.toString().replace('\\n', '');
    })]).filter(([, texts]) => texts.length > 0).map(([kind, texts]) => `${kind}: ${texts.join('¦')}`).join('\\n')";

const LANGUAGE: &str = "document.querySelector('#syntax').value";

/// Waits until exactly this is highlighted.
#[track_caller]
fn expect_colours(browser: &Browser, expected: &str) {
    let deadline = Instant::now() + SOON;
    loop {
        let shown = browser.string(COLOURS);
        if shown == expected {
            return;
        }
        let language = browser.string(LANGUAGE);
        assert!(Instant::now() < deadline, "as {language:?} this is highlighted:\n{shown}\ninstead of:\n{expected}");
    }
}

#[track_caller]
fn choose(browser: &Browser, language: &str) {
    let script = "const choice = document.querySelector('#syntax');
        choice.value = arguments[0];
        choice.dispatchEvent(new Event('change'))";
    browser.run(script, &[json!(language)]);
}

/// Runs a script with the exports of languages.js.
#[track_caller]
fn with_languages(browser: &Browser, body: &str, arguments: &[Value]) -> Value {
    let script = format!(
        "const given = arguments;
        return import(document.querySelector('link[href*=\"/languages.\"]').href)
            .then(({{ NAMES, guess, parts }}) => {{ {body} }})"
    );
    browser.run(&script, arguments)
}

/// File names, their languages and texts, and the expected highlighting.
const SNIPPETS: &[(&str, &str, &str, &str)] = &[
    (
        "a.sh",
        "Shell",
        "if [ $x -gt 1 ]; then echo it\\'s '#1\n2' # no\nfi\ncat <<'EOF'\nif\nEOF\necho ${HOME} $x\n",
        "comment: # no\nkey: $x¦${HOME}¦$x\nstring: '#1¦2'¦<<'EOF'¦if¦EOF\nkeyword: if¦then¦fi",
    ),
    (
        "a.py",
        "Python",
        "\"\"\"a\nb\"\"\"\n@x.y\ndef f(): # c\n  return 'it\\'s' + 0x1F + 1.5\nobject.in_ = ''\n",
        "comment: # c\nkey: @x.y\nstring: \"\"\"a¦b\"\"\"¦'it\\'s'¦''\nnumber: 0x1F¦1.5\nkeyword: def¦return",
    ),
    (
        "a.ts",
        "JavaScript / TypeScript",
        "/* a\nb */ const x = /[\"/]'/g; // c\nlet y = `d\n${e}`, z = 1_0 / 2, w = q.default;\n",
        "comment: /* a¦b */¦// c\nstring: /[\"/]'/g¦`d¦${e}`\nnumber: 1_0¦2\nkeyword: const¦let",
    ),
    (
        "A.java",
        "Java",
        "@Override public int f() { return \"\"\"\n if\n \"\"\" + 'x'; }\n",
        "key: @Override\nstring: \"\"\"¦ if¦ \"\"\"¦'x'\nkeyword: public¦int¦return",
    ),
    (
        "a.c",
        "C / C++",
        "#include <a.h>\nint main(void) { return \"\\\"//\"[0]; } // end\n",
        "comment: // end\nstring: \"\\\"//\"\nnumber: 0\nkeyword: #include¦int¦void¦return",
    ),
    ("a.cs", "C#", "#region a\nusing X;\nvar b = \"\\\"\";\n", "string: \"\\\"\"\nkeyword: #region¦using¦var"),
    ("a.go", "Go", "package main\nvar a = `x\ny` // z\n", "comment: // z\nstring: `x¦y`\nkeyword: package¦var"),
    (
        "a.rs",
        "Rust",
        "#[test]\nfn f<'a>(x: &'a str) -> char { r#\"a\"b\"#; '\\n' }\n",
        "string: r#\"a\"b\"#¦'\\n'\nkeyword: #[test]¦fn",
    ),
    (
        "a.rb",
        "Ruby",
        "# a\ndef f\n  x = 'b' unless c.end :if\nend\n",
        "comment: # a\nstring: 'b'\nkeyword: def¦unless¦end",
    ),
    ("a.php", "PHP", "<?php\necho $if . 'a'; # b\n", "comment: # b\nstring: 'a'\nkeyword: echo"),
    ("a.pl", "Perl", "my $x = 1; # b\nprint \"a\";\n", "comment: # b\nstring: \"a\"\nnumber: 1\nkeyword: my¦print"),
    (
        "a.lua",
        "Lua",
        "local x = [[a\nb]] --[[ c\nd ]] -- e\n",
        "comment: --[[ c¦d ]]¦-- e\nstring: [[a¦b]]\nkeyword: local",
    ),
    (
        "a.sql",
        "SQL",
        "select 'it''s', 1 from t -- c\nWHERE x IS NULL;\n",
        "comment: -- c\nstring: 'it'¦'s'\nnumber: 1\nkeyword: select¦from¦WHERE¦IS¦NULL",
    ),
    (
        "a.html",
        "HTML / XML",
        "<!-- a\nb --><p class=\"c\">don't</p>\n",
        "comment: <!-- a¦b -->\nkey: class\nstring: \"c\"\nkeyword: <p¦>¦</p¦>",
    ),
    (
        "a.css",
        "CSS",
        "@media x { a:hover { color: #fff; top: -1.5em; } } /* c */\n",
        "comment: /* c */\nkey: @media¦color¦top\nnumber: #fff¦1.5em",
    ),
    (
        "a.yaml",
        "YAML",
        "a: don't # c\nb:\n  - d.e: \"f\"\n    g: 3\n    h: true\n    i: http://x/1\n",
        "comment: # c\nkey: a¦b¦  - d.e¦    g¦    h¦    i\nstring: \"f\"\nnumber: 3¦1\nkeyword: true",
    ),
    (
        ".env",
        "INI / TOML",
        "; a\n[b.c]\nd = 1\nE=\"f\" # g\n",
        "comment: ; a¦# g\nkey: d ¦E\nstring: \"f\"\nnumber: 1\nkeyword: [b.c]",
    ),
    (
        "x/Dockerfile",
        "Dockerfile",
        "FROM a:1 AS b\n# c\nRUN echo \"d\" ${E}\n",
        "comment: # c\nkey: ${E}\nstring: \"d\"\nkeyword: FROM¦RUN",
    ),
    (
        "Makefile",
        "Makefile",
        "include x\nall: $(B) # c\n\techo $@\nD := e\n",
        "comment: # c\nkey: all¦$(B)¦$@¦D \nkeyword: include",
    ),
    (
        "a.kt",
        "Kotlin / Swift",
        "fun f(): Int { val x = \"\"\"a\nb\"\"\"; return 1 }\n",
        "string: \"\"\"a¦b\"\"\"\nnumber: 1\nkeyword: fun¦val¦return",
    ),
    (
        "a.ps1",
        "PowerShell",
        "<# a\nb #>\nForEach ($x in 1) { \"C:\\\" } # d\n",
        "comment: <# a¦b #>¦# d\nkey: $x\nstring: \"C:\\\"\nnumber: 1\nkeyword: ForEach¦in",
    ),
    (
        "a.patch",
        "Diff",
        "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new\n same\n",
        "error: -old\nstring: +new\nnumber: @@ -1 +1 @@\nkeyword: diff --git a/x b/x¦--- a/x¦+++ b/x",
    ),
    (
        "a.json",
        "JSON",
        "{ \"a\\\"\": [\"b\", -1.5e3, true], \"c\" : null }\n",
        "key: \"a\\\"\"¦\"c\"\nstring: \"b\"\nnumber: 1.5e3\nkeyword: true¦null",
    ),
    (
        "a.log",
        "Log",
        "2024-05-01T10:00:00.5Z ERROR no error here\n[10:00:01] [warn] x\nMay  1 10:00:02 h a: info: level=debug\n",
        "error: ERROR\nwarning: warn\ncomment: 2024-05-01T10:00:00.5Z¦10:00:01¦May  1 10:00:02\nkey: info¦debug",
    ),
];

#[test]
fn each_language_is_highlighted() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let secret = Secret::random(None);
    let files: Vec<Value> =
        SNIPPETS.iter().map(|(name, _, text, _)| json!({ "name": name, "size": text.len() })).collect();
    let contents: Vec<&[u8]> = SNIPPETS.iter().map(|(_, _, text, _)| text.as_bytes()).collect();
    let (_, link) = secret.post(&server, secret.pack(&json!({ "files": files }), &contents), &[]);
    browser.open(&link);
    browser.wait_to_see("#files");
    assert_eq!(with_languages(&browser, "return NAMES.length", &[]), SNIPPETS.len(), "each language has a snippet");
    for (at, (name, language, text, colours)) in SNIPPETS.iter().enumerate() {
        browser.click(&format!("#files li:nth-child({}) button", at + 1));
        browser.wait_for(&format!("{SHOWN} === {}", json!(text)));
        assert_eq!(browser.string(LANGUAGE), *language, "{name}");
        expect_colours(&browser, colours);
    }
    browser.expect_clean(&url(&server), &[]);
}

/// Texts without a name, and the language detected; none for prose, keys and tables.
const GUESSES: &[(&str, &str)] = &[
    ("#!/usr/bin/env -S python3 -u\nx", "Python"),
    ("#!/bin/bash\nx", "Shell"),
    ("#!/usr/bin/awk -f\nimport os\n\n", ""),
    ("\u{feff}<?php\n", "PHP"),
    ("<!DOCTYPE html>\n<p>", "HTML / XML"),
    ("<?xml version=\"1.0\"?>", "HTML / XML"),
    ("{\n  \"a\": 1\n}", "JSON"),
    ("[{\"a\": 1}]", "JSON"),
    ("diff --git a/x b/x\n", "Diff"),
    ("--- a/x\n+++ b/x\n", "Diff"),
    ("# about\n[section]\na = 1\n", "INI / TOML"),
    ("A=1\nB_C=2\n", "INI / TOML"),
    ("2024-05-01 10:00:00,123 INFO a\n2024-05-01 10:00:01,123 INFO b\n", "Log"),
    ("May  1 10:00:00 host a\nMay  1 10:00:01 host b\n", "Log"),
    ("-- all\nSELECT a\nFROM b;", "SQL"),
    ("use std::io;\n\nfn main() {}\n", "Rust"),
    ("package main\n\nimport \"fmt\"\n", "Go"),
    ("package a.b;\n", "Java"),
    ("using System;\n", "C#"),
    ("#include <stdio.h>\n", "C / C++"),
    ("import os\nimport sys\n", "Python"),
    ("def f(x):\n    pass\n", "Python"),
    ("import x from \"y\";\n", "JavaScript / TypeScript"),
    ("const x = 1;\n", "JavaScript / TypeScript"),
    ("class A\n  def b\n  end\nend\n", "Ruby"),
    ("use strict;\n", "Perl"),
    ("local x = 1\n", "Lua"),
    ("fun main() {}\n", "Kotlin / Swift"),
    ("$x = Get-Item -Path a\n", "PowerShell"),
    ("a {\n  color: red;\n}\n", "CSS"),
    ("services:\n  web:\n    image: x\n", "YAML"),
    ("FROM alpine\nRUN true\n", "Dockerfile"),
    (".PHONY: all\nall: a.o\n\tcc a.o\n", "Makefile"),
    ("set -eu\n", "Shell"),
    ("", ""),
    ("Dear Ann,\n\nselect one from the list, and import it: if you can, let me know.\nUse the class I gave you.\n", ""),
    ("Cars come from Japan;\nimport duties\nare due. Let us = wait.\nlocal rules (see below) apply\n", ""),
    ("# A letter\n\nHello:\n\n- one\n- two: three\n\n```\nimport os\nimport sys\n```\n\n---\n\nInfo: bye\n", ""),
    ("Agenda:\n\tmoney\n\nNotes:\n  see you. INFO: one INFO: two\n", ""),
    ("From: a@example.org\nTo: b@example.org\nSubject: c\n\nHello\n-- \nA.\n", ""),
    ("bWFueSBoYW5kcyBtYWtlIGxpZ2h0IHdvcmsu\nbWFueSBoYW5kcyBtYWtlIGxpZ2h0IHdvcmsu==\n", ""),
    ("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----\n", ""),
    ("time,level\n2024-05-01 10:00:00,5\n2024-05-01 10:00:01,6\n", ""),
    ("a;b;c\n1;2;3\n", ""),
    ("The total is 12 (twelve), it's \"done\".\n", ""),
];

#[test]
fn languages_are_detected_and_prose_is_not_highlighted() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&Client::new(&server).create("x", &[]));
    browser.wait_to_see("#text");
    let texts: Vec<&str> = GUESSES.iter().map(|(text, _)| *text).collect();
    let guessed = with_languages(&browser, "return given[0].map((text) => guess(undefined, text))", &[json!(texts)]);
    for ((text, language), guessed) in GUESSES.iter().zip(guessed.as_array().unwrap()) {
        assert_eq!(guessed, language, "{text}");
    }
    // The name takes precedence over the text.
    for (name, language) in [
        ("a/b.c/notes.txt", ""),
        ("README.md", ""),
        ("Dockerfile.dev", "Dockerfile"),
        (".env.local", "INI / TOML"),
        (".bashrc", "Shell"),
        ("A.RS", "Rust"),
        ("unknown.xyz", "Python"),
        ("constructor", "Python"),
    ] {
        let script = "return guess(given[0], 'import os\\nimport sys\\n')";
        assert_eq!(with_languages(&browser, script, &[json!(name)]), language, "{name}");
    }
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn highlighting_does_not_change_the_text() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let Some(browser) = Browser::start() else { return };
    let text = "#!/usr/bin/python\r\nx = 'a\u{200b}b' # c\u{202e}\r\n\r\nif x:\r\n\t'<b>'";
    let link = client.create(text, &[]);
    let colours = "comment: #!/usr/bin/python¦# c\u{202e}\nstring: 'a\u{200b}b'¦'<b>'\nkeyword: if";
    browser.open(&format!("{link}:L4"));
    browser.wait_to_see("#text");
    let look = "[document.querySelector('#text').innerHTML, document.querySelector('#text').innerText,
        document.querySelector('#text').offsetHeight, (getSelection().selectAllChildren(document.querySelector('#text')), String(getSelection()))]";
    expect_colours(&browser, colours);
    let coloured = browser.value(look);
    assert_eq!(browser.value("document.querySelectorAll('#text *:not(.block, .line, .odd)').length"), 0);
    assert_eq!(browser.string(SHOWN), format!("{text}\n"));
    choose(&browser, "");
    expect_colours(&browser, "");
    assert_eq!(browser.value(look), coloured, "neither the text nor the selection changes");
    // The choice holds while the file is shown, also when lines are marked.
    choose(&browser, "SQL");
    expect_colours(&browser, "string: 'a\u{200b}b'¦'<b>'\nkeyword: if");
    browser.run("document.querySelector('#lines').value = ''", &[]);
    browser.type_into("#lines", &format!("2{}", super::pages::ENTER));
    browser.wait_for("document.querySelector('.marked').textContent.startsWith('x')");
    assert_eq!(browser.string(LANGUAGE), "SQL");
    expect_colours(&browser, "string: 'a\u{200b}b'¦'<b>'\nkeyword: if");
    browser.click("#copy");
    assert_eq!(pasted(&browser, &server), text.replace('\r', ""));
    // Nothing is kept of a text that is gone.
    browser.open(&client.create("if\n", &[]));
    browser.wait_to_see("#text");
    choose(&browser, "Shell");
    expect_colours(&browser, "keyword: if");
    browser.run("location.hash = 'A'.repeat(43)", &[]);
    browser.wait_for("!document.querySelector('#content').checkVisibility()");
    expect_colours(&browser, "");
    browser.expect_clean(&url(&server), &[]);
}

#[test]
fn long_texts_are_highlighted_where_visible_and_very_long_ones_nowhere() {
    let server = Server::start(&[]);
    let client = Client::new(&server);
    let Some(browser) = Browser::start() else { return };
    let text = "/*\nif\n*/\nif (x) return 1;\n".repeat(500_000 / 27) + "\n";
    let text = &text[..500_000.min(text.len())];
    browser.open(&client.create(text, &[]));
    browser.wait_to_see("#text");
    choose(&browser, "Go");
    let count = "CSS.highlights.get('keyword').size";
    browser.wait_for(count);
    assert!(browser.value(count).as_u64().unwrap() < 2000, "text out of view is not highlighted");
    // Lines that scroll into view are highlighted, and the first ones lose their highlighting.
    browser.run("document.querySelector('#text').lastChild.scrollIntoView()", &[]);
    let among = |place: &str| {
        format!(
            "[...CSS.highlights.get('keyword')].some(({{ startContainer: node }}) => document.querySelector('#text').{place}.contains(node))"
        )
    };
    browser.wait_for(&format!("{} && !{}", among("lastChild"), among("firstChild")));
    // A very long line stays plain; its neighbours do not.
    let long = "{\"a\":1},".repeat(62_000);
    browser.open(&client.create(format!("{{\"b\":2}}\n{long}\n{{\"c\":3}}"), &[]));
    browser.wait_to_see("#text");
    choose(&browser, "JSON");
    expect_colours(&browser, "key: \"b\"¦\"c\"\nnumber: 2¦3");
    browser.open(&client.create("set -eu\n".repeat(62_500) + "\n", &[]));
    browser.wait_to_see("#text");
    assert!(!browser.sees("#syntax"));
    expect_colours(&browser, "");
    browser.expect_clean(&url(&server), &[]);
}

/// Inputs that slow a pattern down when repeated.
const HOSTILE: &[&str] = &[
    "\"", "'", "`", "\\", "/*", "<!--", "- ", "\"\"\"", "x", " ", "\n", "<<A", "<<A\n", "--[=", "=", "(/[", "$(", "a:",
    "\"\": ", "r#\"", "1.", "[[", "\t\n", "\\\"", "x-", "x:", "a b ", "- x", "#[", "<<A\n ", "10:00:00",
];

/// A pattern with quadratic time would exceed the script timeout on this text.
#[test]
fn highlighting_hostile_text_takes_linear_time() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    browser.open(&Client::new(&server).create("x", &[]));
    browser.wait_to_see("#text");
    let opened = ["<<A\n", "\"", "'", "`", "/*", "<!--", "'''", "--[["];
    let opened = opened.iter().flat_map(|start| ["\n", " \n", "\\\n"].map(|piece| (*start, piece)));
    for (start, piece) in HOSTILE.iter().map(|piece| ("", *piece)).chain(opened) {
        let script = "const text = given[0] + given[1].repeat(500000 / given[1].length);
            guess(undefined, text);
            return NAMES.filter((language) => {
                let end = 0;
                for (const [, from, to] of parts(text, language)) {
                    if (from < end || to <= from) return true;
                    end = to;
                }
                return end > text.length;
            })";
        assert_eq!(with_languages(&browser, script, &[json!(start), json!(piece)]), json!([]), "{start:?} {piece:?}");
    }
    browser.expect_clean(&url(&server), &[]);
}

/// The contrast of each colour on the text and on a marked line, if below 4.5, for colours that differ from plain text.
const CONTRAST: &str = "
    const luminance = (color) => color.match(/[\\d.]+/g).slice(0, 3).map((c) => c / 255)
        .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const [text, line] = ['.text', '.marked'].map((selector) => document.querySelector(selector));
    const backs = [text, line].map((element) => getComputedStyle(element).backgroundColor);
    const plain = getComputedStyle(text).color;
    const colours = [...CSS.highlights.keys()].map((kind) => [kind, getComputedStyle(line, `::highlight(${kind})`).color]);
    const own = colours.filter(([, colour]) => colour !== plain && colour !== getComputedStyle(line).color);
    const low = own.filter(([, colour]) => backs.some((back) => {
        const [a, b] = [colour, back].map(luminance).sort((x, y) => y - x);
        return (a + 0.05) / (b + 0.05) < 4.5;
    }));
    return [own.length, low];";

#[test]
fn highlighting_is_readable_everywhere_and_yields_to_forced_colours() {
    let server = Server::start(&[]);
    let Some(browser) = Browser::start() else { return };
    let link = Client::new(&server).create("#!/bin/sh\nif true\n", &[]);
    let kinds = 7;
    for (feature, value, own) in [
        ("prefers-color-scheme", "light", kinds),
        ("prefers-color-scheme", "dark", kinds),
        ("forced-colors", "active", 0),
    ] {
        let media = json!({ "features": [{ "name": feature, "value": value }] });
        browser.devtools("Emulation.setEmulatedMedia", &media);
        browser.open(&format!("{link}:L2"));
        browser.wait_to_see(".marked");
        if own > 0 {
            expect_colours(&browser, "comment: #!/bin/sh\nkeyword: if");
        }
        // With forced colours, Chromium paints any highlight like selected text, so there must be none.
        assert_eq!(
            browser.value("[CSS.highlights.size > 0, document.querySelector('#colours').hidden]"),
            json!([own > 0, own == 0])
        );
        assert_eq!(browser.run(CONTRAST, &[]), json!([own, []]), "{value}");
    }
    browser.expect_clean(&url(&server), &[]);
}
