//! Parses the command line into a command.
//!
//! Invariant: the result is complete and consistent; anything else is a usage error before any work is done.
//! Must never read the configuration, the environment or a file, nor quote a link in an error: it contains a key.

use super::command::{
    Ask, Cert, Command, Create, Form, Format, Get, Input, Invocation, KeyKind, Link, Output, PasswordSource,
};
use super::failure::Failure;
use super::flags::{self, COMMANDS, FLAGS, Flag, Name};
use super::link;
use crate::sealed::{MAX_LABEL_BYTES, name_fault};
use crate::text::without_fragment;
use lexopt::prelude::{Long, Short, Value};
use std::ffi::OsString;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The options and operands as given, not yet interpreted.
#[derive(Clone)]
struct Given {
    flags: Vec<(&'static str, OsString)>,
    operands: Vec<OsString>,
}

impl Given {
    fn has(&self, long: &str) -> bool {
        self.flags.iter().any(|(given, _)| *given == long)
    }

    /// The last value given.
    fn value(&self, long: &str) -> Option<&OsString> {
        self.flags.iter().rev().find(|(given, _)| *given == long).map(|(_, value)| value)
    }

    fn text(&self, long: &str) -> Result<Option<String>, Failure> {
        let text = |value: &OsString| {
            value.to_str().map(str::to_owned).ok_or_else(|| Failure::usage(format!("--{long} is not UTF-8")))
        };
        self.value(long).map(text).transpose()
    }

    /// One of a fixed set of values.
    fn choice(&self, long: &str, choices: &[&str], default: &str) -> Result<String, Failure> {
        let value = self.text(long)?.unwrap_or_else(|| default.to_owned());
        if choices.contains(&value.as_str()) {
            return Ok(value);
        }
        let value = without_fragment(&value);
        Err(Failure::usage(format!("invalid --{long} value {value:?}: expected one of {}", choices.join(", "))))
    }

    /// Refuses options that exclude each other.
    fn exclusive(&self, longs: &[&str]) -> Result<(), Failure> {
        let given: Vec<String> = longs.iter().filter(|long| self.has(long)).map(|long| format!("--{long}")).collect();
        if given.len() > 1 {
            Err(Failure::usage(format!("{} cannot be used together", given.join(" and "))))
        } else {
            Ok(())
        }
    }

    fn password(&self) -> Result<PasswordSource, Failure> {
        self.exclusive(&["password", "password-file"])?;
        Ok(match self.value("password-file") {
            Some(path) if path == "-" => PasswordSource::Stdin,
            Some(path) => PasswordSource::File(path.into()),
            None if self.has("password") => PasswordSource::Ask,
            None => PasswordSource::None,
        })
    }

    /// The password source; standard input is refused if `stdin_is_taken` by something else.
    fn password_beside(&self, stdin_is_taken: bool, what: &str) -> Result<PasswordSource, Failure> {
        let password = self.password()?;
        if password == PasswordSource::Stdin && stdin_is_taken {
            return Err(Failure::usage(format!("standard input cannot be both {what} and the password"))
                .hint("use a file for one of them, or set FPASTE_PASSWORD and use -p"));
        }
        Ok(password)
    }

    fn no_operands(&self) -> Result<(), Failure> {
        if self.operands.is_empty() { Ok(()) } else { Err(Failure::usage("this command takes no arguments")) }
    }
}

/// Parses the command line. With a terminal as stdin and no file there is nothing to create a paste from.
///
/// # Errors
/// A usage failure.
pub fn parse(arguments: impl IntoIterator<Item = OsString>, stdin_is_terminal: bool) -> Result<Invocation, Failure> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut name = None;
    let mut given = Given { flags: Vec::new(), operands: Vec::new() };
    while let Some(argument) = parser.next().map_err(|error| usage(&error))? {
        let (flag, shown) = match argument {
            Value(word) => {
                match COMMANDS.iter().find(|row| word == row.word) {
                    Some(row) if name.is_none() => name = Some(row.name),
                    _ => {
                        let is_link = word.to_str().is_some_and(link::names_a_paste);
                        name.get_or_insert(if is_link { Name::Get } else { Name::Create });
                        given.operands.push(word);
                    }
                }
                continue;
            }
            Short(short) => (find(&mut name, |flag| flag.short == Some(short)), format!("-{short}")),
            Long(long) => {
                let shown = format!("--{}", without_fragment(long));
                let long = long.to_owned();
                (find(&mut name, |flag| flag.long == long), shown)
            }
        };
        let flag = flag.ok_or_else(|| {
            let word = name.and_then(flags::row).map_or("create", |row| row.word);
            let failure = Failure::usage(format!("{word}: unknown option {shown}"));
            let list = format!("see fpaste {word} --help");
            match name {
                None | Some(Name::Create) => {
                    failure.hint(format!("{list}; for a file whose name begins with a dash use ./-NAME"))
                }
                _ => failure.hint(list),
            }
        })?;
        let value = if flag.value.is_some() { parser.value().map_err(|error| usage(&error))? } else { OsString::new() };
        given.flags.push((flag.long, value));
    }
    let command = if given.has("help") {
        Command::Help(name.map_or_else(flags::help, flags::command_help))
    } else if given.has("version") {
        Command::Version
    } else {
        command(name, &given, stdin_is_terminal)?
    };
    let server = match (&command, given.operands.as_slice()) {
        (Command::Server, [url]) => url.to_str().map(str::to_owned),
        _ => given.text("server")?,
    };
    Ok(Invocation { command, server, verbose: given.has("verbose") })
}

/// Finds the command's option. Without a command yet, an option that only `create` or only `get` has selects it.
fn find(name: &mut Option<Name>, wanted: impl Fn(&Flag) -> bool) -> Option<&'static Flag> {
    let of = |command: Name| FLAGS.iter().find(|flag| flag.is_for(command) && wanted(flag));
    if let Some(command) = *name {
        return of(command);
    }
    let (flag, command) = match (of(Name::Create), of(Name::Get)) {
        (Some(flag), _) => (flag, Name::Create),
        (None, flag) => (flag?, Name::Get),
    };
    if !(flag.is_for(Name::Create) && flag.is_for(Name::Get)) {
        *name = Some(command);
    }
    Some(flag)
}

/// Converts a lexopt error. Its message may quote an argument, in which only a link's fragment is secret.
fn usage(error: &lexopt::Error) -> Failure {
    let text = error.to_string();
    Failure::usage(without_fragment(&text)).hint("see fpaste --help")
}

fn command(name: Option<Name>, given: &Given, stdin_is_terminal: bool) -> Result<Command, Failure> {
    Ok(match name {
        None if stdin_is_terminal => {
            return Err(Failure::usage("nothing to upload")
                .hint("use fpaste FILE or COMMAND | fpaste, or fpaste - to type the content"));
        }
        None | Some(Name::Create) => Command::Create(create(given)?),
        Some(Name::Resume) => given.no_operands().and_then(|()| given.password()).map(Command::Resume)?,
        Some(Name::Get) => Command::Get(get(given)?),
        Some(Name::Ask) => Command::Ask(ask(given)?),
        Some(Name::Answer) => answer(given)?,
        Some(Name::Delete) => {
            let targets: Result<Vec<Link>, Failure> = given.operands.iter().map(target).collect();
            let targets = targets?;
            if targets.is_empty() {
                return Err(Failure::usage("delete needs a URL or ID").hint("fpaste list shows your pastes"));
            }
            Command::Delete(targets)
        }
        Some(Name::Extend) => match given.operands.as_slice() {
            [operand, time] => {
                let time = time.to_str().ok_or_else(|| Failure::usage("the time is not UTF-8"))?;
                Command::Extend { target: target(operand)?, seconds: parse_expiry(time, "extend")? }
            }
            _ => return Err(Failure::usage("extend needs a URL or ID, and a time such as 7d")),
        },
        Some(Name::Update) => update(given)?,
        Some(Name::List) => {
            given.exclusive(&["remote", "status"])?;
            given.no_operands()?;
            let json = given.has("json");
            if given.has("remote") {
                Command::ListRemote { json }
            } else {
                Command::List { json, status: given.has("status") }
            }
        }
        Some(Name::Status) => match given.operands.as_slice() {
            [operand] => Command::Status { target: target(operand)?, json: given.has("json") },
            _ => {
                return Err(
                    Failure::usage("status needs one URL or ID").hint("for all pastes use fpaste list --status")
                );
            }
        },
        Some(Name::Info) => given.no_operands().map(|()| Command::Info { json: given.has("json") })?,
        Some(Name::Server) => match given.operands.as_slice() {
            [url] if url.to_str().is_some() && !given.has("server") => Command::Server,
            _ => return Err(Failure::usage("server needs one URL").hint("fpaste info shows the current server")),
        },
        Some(Name::Verify) => match given.operands.as_slice() {
            [] => Command::Verify(None),
            [_] if given.has("server") => {
                return Err(Failure::usage("verify takes a URL or --server").hint("leave one of them out"));
            }
            [operand] => Command::Verify(Some(target(operand)?)),
            _ => return Err(Failure::usage("verify takes one URL, of a server or of a paste")),
        },
        Some(Name::Cert) => given.no_operands().and_then(|()| cert(given)).map(Command::Cert)?,
        Some(Name::Completions) => match given.operands.as_slice() {
            [what] if what == flags::IDS => Command::CompletionIds,
            [shell] if flags::SHELLS.iter().any(|known| shell == known) => {
                Command::Completions(shell.to_string_lossy().into_owned())
            }
            _ => return Err(Failure::usage(format!("completions needs one shell: {}", flags::SHELLS.join(", ")))),
        },
        Some(Name::Help) => Command::Help(help(given)?),
    })
}

/// `help`: of all commands, or of one.
fn help(given: &Given) -> Result<String, Failure> {
    let bad = |why: &str| Failure::usage(why).hint("fpaste help lists the commands");
    match given.operands.as_slice() {
        [] => Ok(flags::help()),
        [word] => match COMMANDS.iter().find(|row| word == row.word) {
            Some(row) => Ok(flags::command_help(row.name)),
            None => Err(bad(&format!("{}: no such command", without_fragment(&word.to_string_lossy())))),
        },
        _ => Err(bad("help needs one command, or none")),
    }
}

/// `update`: the first operand is the link, the rest is as in a sealed `create`.
fn update(given: &Given) -> Result<Command, Failure> {
    let Some((link, files)) = given.operands.split_first() else {
        return Err(Failure::usage("update needs the link of a paste, and files").hint("quote the link: '…#key'"));
    };
    Ok(Command::Update { target: target(link)?, with: sealed_content(given, files)? })
}

/// `answer`: the first operand is the link, the rest is as in a sealed `create`.
fn answer(given: &Given) -> Result<Command, Failure> {
    let Some((link, files)) = given.operands.split_first() else {
        return Err(
            Failure::usage("answer needs a link that asks for a secret, and files").hint("quote the link: '…#ask:…'")
        );
    };
    Ok(Command::Answer { target: target(link)?, with: sealed_content(given, files)? })
}

fn ask(given: &Given) -> Result<Ask, Failure> {
    given.exclusive(&["quiet", "json"])?;
    given.exclusive(&["output", "remote-name", "no-wait"])?;
    let label = match given.operands.as_slice() {
        [] => None,
        [label] => Some(label.to_str().ok_or_else(|| Failure::usage("the label is not UTF-8"))?.to_owned()),
        _ => return Err(Failure::usage("ask takes one label").hint("quote it: fpaste ask 'staging password'")),
    };
    if label.as_ref().is_some_and(|label| label.len() > MAX_LABEL_BYTES) {
        return Err(
            Failure::usage(format!("the label is longer than {MAX_LABEL_BYTES} bytes")).hint("use a word or two")
        );
    }
    let waits = !given.has("no-wait");
    if waits && (given.has("quiet") || given.has("json")) {
        return Err(Failure::usage("--quiet and --json need --no-wait").hint("without it, only the answer is printed"));
    }
    Ok(Ask {
        label: label.filter(|label| !label.is_empty()),
        expiry_seconds: given.text("expiry")?.map(|text| parse_expiry(&text, "--expiry")).transpose()?,
        waits,
        form: match () {
            () if given.has("quiet") => Form::Id,
            () if given.has("json") => Form::Json,
            () => Form::Link,
        },
        clipboard: given.has("clipboard"),
        qr: given.has("qr"),
        output: output(given)?,
        force: given.has("force"),
    })
}

/// The content to seal: these files, or standard input if there are none.
fn sealed_content(given: &Given, files: &[OsString]) -> Result<Create, Failure> {
    let rest = Given { flags: given.flags.clone(), operands: files.to_vec() };
    let input = input(&rest, Format::Sealed)?;
    let password = given.password_beside(input == Input::Stdin, "the content")?;
    given.exclusive(&["name", "no-name"])?;
    let name = paste_name(given, &input, Format::Sealed)?;
    Ok(Create {
        input,
        format: Format::Sealed,
        reads: None,
        name,
        with_names: !given.has("no-name"),
        expiry_seconds: None,
        password,
        mime_type: None,
        form: Form::Link,
        clipboard: false,
        qr: false,
    })
}

fn create(given: &Given) -> Result<Create, Failure> {
    given.exclusive(&["raw", "quiet", "json"])?;
    given.exclusive(&["burn", "reads"])?;
    given.exclusive(&["name", "no-name"])?;
    given.exclusive(&["no-encrypt", "format"])?;
    let format = match given.choice("format", flags::FORMATS, "2")?.as_str() {
        _ if given.has("no-encrypt") => Format::Plain,
        "1" => Format::First,
        _ => Format::Sealed,
    };
    let input = input(given, format)?;
    let name = paste_name(given, &input, format)?;
    let password = given.password_beside(input == Input::Stdin, "the content")?;
    let mime_type = given.text("type")?;
    if mime_type.is_some() && format != Format::Plain {
        return Err(Failure::usage("--type needs --no-encrypt: the server learns nothing of encrypted content"));
    }
    if let Some(mime_type) = &mime_type {
        check_mime_type(mime_type)?;
    }
    let expiry_seconds = given.text("expiry")?.map(|text| parse_expiry(&text, "--expiry")).transpose()?;
    let reads = given.text("reads")?.map(|text| parse_reads(&text)).transpose()?;
    Ok(Create {
        input,
        format,
        reads: if given.has("burn") { Some(1) } else { reads },
        name,
        with_names: !given.has("no-name"),
        expiry_seconds,
        password,
        mime_type,
        form: match () {
            () if given.has("raw") => Form::Raw,
            () if given.has("quiet") => Form::Id,
            () if given.has("json") => Form::Json,
            () => Form::Link,
        },
        clipboard: given.has("clipboard"),
        qr: given.has("qr"),
    })
}

/// The input of an upload; formats without names take one file.
fn input(given: &Given, format: Format) -> Result<Input, Failure> {
    let input = match given.operands.as_slice() {
        files if files.iter().any(|file| file.is_empty()) => {
            return Err(Failure::usage("a file name is empty").hint("see fpaste --help"));
        }
        [] => Input::Stdin,
        [dash] if dash == "-" => Input::Stdin,
        files if files.iter().any(|file| file == "-") => {
            return Err(
                Failure::usage("- cannot be combined with files").hint("standard input makes a paste of its own")
            );
        }
        [_, ..] if format == Format::Sealed || given.operands.len() == 1 => {
            Input::Files(given.operands.iter().map(PathBuf::from).collect())
        }
        [first, ..] => {
            let (option, first) = (option_of(format), first.to_string_lossy());
            let (count, first) = (given.operands.len(), without_fragment(&first));
            return Err(Failure::usage(format!("{option} takes one file, got {count}"))
                .hint(format!("if {first:?} was meant as a command, see fpaste --help")));
        }
    };
    Ok(input)
}

/// The option that selects a format for one file without a name.
fn option_of(format: Format) -> &'static str {
    if format == Format::Plain { "-E" } else { "--format 1" }
}

/// The name of the content in the paste.
fn paste_name(given: &Given, input: &Input, format: Format) -> Result<Option<String>, Failure> {
    let Some(name) = given.text("name")? else { return Ok(None) };
    if format != Format::Sealed {
        let option = option_of(format);
        return Err(
            Failure::usage(format!("--name cannot be used with {option}")).hint("only sealed pastes hold names")
        );
    }
    if matches!(input, Input::Files(paths) if paths.len() > 1) {
        return Err(
            Failure::usage("--name needs a single file or standard input").hint("several files keep their own names")
        );
    }
    if let Some(fault) = name_fault(&name) {
        let name = without_fragment(&name);
        return Err(Failure::usage(format!("invalid --name value {name:?}: it {fault}"))
            .hint("use a file name or a relative path such as notes/a.txt"));
    }
    Ok(Some(name))
}

fn parse_reads(text: &str) -> Result<u32, Failure> {
    let reads = text.parse().ok().filter(|reads| (1..=1000).contains(reads));
    reads.ok_or_else(|| {
        Failure::usage(format!("invalid --reads value {:?}: expected a number from 1 to 1000", without_fragment(text)))
    })
}

fn check_mime_type(text: &str) -> Result<(), Failure> {
    let essence = text.split(';').next().unwrap_or_default().trim();
    let is_token =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b));
    let well_formed = essence.split_once('/').is_some_and(|(kind, sub)| is_token(kind) && is_token(sub));
    if !well_formed || !text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        let shown = without_fragment(text);
        return Err(Failure::usage(format!("invalid MIME type {shown:?}; expected e.g. text/plain")));
    }
    if essence.eq_ignore_ascii_case("application/json") {
        return Err(Failure::usage("--type application/json is not supported: the server reads it as a request")
            .hint("leave out --type; JSON is stored as text"));
    }
    Ok(())
}

/// The longest lifetime, a hundred years. Servers shorten it to their own maximum.
const MAX_EXPIRY_SECONDS: u64 = 36_500 * 86_400;

/// Parses a lifetime of at most [`MAX_EXPIRY_SECONDS`].
fn parse_expiry(text: &str, what: &str) -> Result<u64, Failure> {
    let seconds = parse_seconds(text, what)?;
    if seconds > MAX_EXPIRY_SECONDS {
        let text = without_fragment(text);
        return Err(Failure::usage(format!("invalid {what} value {text:?}: the maximum is 36500d")));
    }
    Ok(seconds)
}

/// Parses seconds, or a sum of numbers with the units s, m, h, d or w.
fn parse_seconds(text: &str, what: &str) -> Result<u64, Failure> {
    let bad =
        || Failure::usage(format!("invalid {what} value {:?}: expected e.g. 90s, 1h30m, 7d", without_fragment(text)));
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return crate::paste::parse_expiry_seconds(text).ok_or_else(bad);
    }
    let mut seconds: u64 = 0;
    for part in text.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let (digits, unit) = part.split_at_checked(part.len() - 1).ok_or_else(bad)?;
        let unit_seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            "w" => 604_800,
            _ => return Err(bad()),
        };
        if digits.is_empty() {
            return Err(bad());
        }
        // A number that overflows is refused as too large.
        let number: u64 = digits.parse().unwrap_or(u64::MAX);
        seconds = seconds.saturating_add(number.saturating_mul(unit_seconds));
    }
    if seconds == 0 { Err(bad()) } else { Ok(seconds) }
}

fn get(given: &Given) -> Result<Get, Failure> {
    let [operand] = given.operands.as_slice() else {
        return Err(Failure::usage("get needs one URL or ID").hint("quote the link: '…#key'"));
    };
    let meta = given.has("meta");
    if given.has("json") && !meta {
        return Err(Failure::usage("--json needs --meta"));
    }
    if meta && given.has("output") {
        return Err(Failure::usage("--output cannot be used with --meta, which prints to stdout"));
    }
    given.exclusive(&["from", "meta"])?;
    given.exclusive(&["output", "remote-name", "list", "meta"])?;
    let password = given.password_beside(operand == "-", "the link")?;
    Ok(Get {
        target: target(operand)?,
        from: given.value("from").map(PathBuf::from),
        force: given.has("force"),
        meta,
        json: given.has("json"),
        list: given.has("list"),
        first_format: given.choice("format", flags::FORMATS, "2")? == "1",
        output: output(given)?,
        password,
    })
}

/// Where the content is written.
fn output(given: &Given) -> Result<Output, Failure> {
    Ok(match given.value("output") {
        None if given.has("remote-name") => Output::Folder(".".into()),
        None => Output::Default,
        Some(path) if path.is_empty() => return Err(Failure::usage("--output needs a file name")),
        Some(path) if path == "-" => Output::Stdout,
        Some(path) if path.as_encoded_bytes().ends_with(b"/") => Output::Folder(path.into()),
        Some(path) => Output::File(path.into()),
    })
}

fn target(operand: &OsString) -> Result<Link, Failure> {
    let text = operand.to_str().ok_or_else(|| Failure::usage("the URL or ID is not UTF-8"))?;
    Ok(Link(Zeroizing::new(text.to_owned())))
}

fn cert(given: &Given) -> Result<Cert, Failure> {
    let rsa = given.choice("algorithm", flags::ALGORITHMS, "ec")? == "rsa";
    if rsa && given.has("curve") || !rsa && given.has("bits") {
        return Err(Failure::usage("--curve needs --algorithm ec, --bits needs --algorithm rsa"));
    }
    let bits = given.choice("bits", flags::RSA_BITS, "4096")?;
    let kind = match given.choice("curve", flags::CURVES, "secp384r1")?.as_str() {
        _ if rsa => KeyKind::Rsa(bits.parse().unwrap_or(4096)),
        "secp256r1" => KeyKind::P256,
        "secp521r1" => KeyKind::P521,
        _ => KeyKind::P384,
    };
    let Ok(days @ 1..=36_500) = given.text("days")?.as_deref().unwrap_or("365").parse() else {
        return Err(Failure::usage("invalid --days value: expected a number from 1 to 36500"));
    };
    let name = given.text("name")?;
    // X.520 allows 64 characters for a common name.
    if name.as_ref().is_some_and(|name| !(1..=64).contains(&name.chars().count()) || name.chars().any(char::is_control))
    {
        return Err(Failure::usage(
            "invalid --name value: expected 1 to 64 characters, none of them a control character",
        ));
    }
    let is_described = ["algorithm", "curve", "bits", "days", "name"].iter().any(|option| given.has(option));
    Ok(Cert {
        kind,
        is_described,
        days,
        name,
        folder: given.value("output").map(PathBuf::from),
        configure: given.has("configure"),
        force: given.has("force"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, Failure> {
        parse(line.split_whitespace().map(OsString::from), false).map(|invocation| invocation.command)
    }

    fn created(line: &str) -> Create {
        match parsed(line).unwrap() {
            Command::Create(create) => create,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn create_is_the_default_command() {
        assert_eq!(created("").input, Input::Stdin);
        assert_eq!(created("-").input, Input::Stdin);
        assert_eq!(created("-b Cargo.toml -x 12h").expiry_seconds, Some(43_200));
        assert_eq!(created("Cargo.toml").input, Input::Files(vec!["Cargo.toml".into()]));
        assert_eq!(created("create -- -").input, Input::Stdin);
        assert!(created("-bqE").reads == Some(1));
        assert_eq!(created("--name notes/b.txt a.txt").name.as_deref(), Some("notes/b.txt"));
        assert_eq!(created("-- -dash.txt").input, Input::Files(vec!["-dash.txt".into()]));
    }

    #[test]
    fn a_link_alone_means_get() {
        for line in [
            "http://x/abcd",
            "https://x/p/abcd/raw#KEY",
            "-v HTTPS://x/ABCD -m",
            "-s http://y http://x/abcd",
            "-o out http://x/abcd",
            "-p http://x/abcd",
            "-m --password-file f http://x/abcd",
            "http://x/",
        ] {
            assert!(matches!(parsed(line), Ok(Command::Get(_))), "{line}");
        }
        for line in
            ["abcd", "ftp://x/abcd", "http://x/abc", "http:/abcd", "create http://x/abcd", "-p x", "-b http://x/abcd"]
        {
            assert!(matches!(parsed(line), Ok(Command::Create(_))), "{line}");
        }
    }

    #[test]
    fn short_options_belong_to_their_command() {
        let Command::Cert(cert) = parsed("cert -a rsa -b 2048").unwrap() else { panic!() };
        assert_eq!(cert.kind, KeyKind::Rsa(2048));
        let Command::Cert(cert) = parsed("-v cert -c secp521r1 -d 9").unwrap() else { panic!() };
        assert_eq!((cert.kind, cert.days), (KeyKind::P521, 9));
        assert!(matches!(parsed("-s http://x list --json").unwrap(), Command::List { json: true, status: false }));
    }

    #[test]
    fn inconsistent_command_lines_are_refused() {
        for line in [
            "-E gte abcd",
            "-b -n 3 x",
            "-n 0 x",
            "-n 1001 x",
            "--name x y z",
            "--name x -E y",
            "--name x --format 1",
            "--name .. y",
            "--name /x",
            "-dash.txt",
            "--format 3 x",
            "--format 1 -E x",
            "x -",
            "-x",
            "-x 0",
            "-x -5",
            "-x 1y",
            "-x 1.5h",
            "-x 1h30",
            "-x 30m1",
            "-x 1hm",
            "-x 0h0m",
            "-x h30m",
            "--password-file -",
            "- --password-file -",
            "get - --password-file -",
            "http://x/abcd http://x/abcd",
            "ask a b",
            "ask -q",
            "ask -j",
            "ask -qj --no-wait",
            "ask -o x --no-wait",
            "ask -O --no-wait",
            "ask -b x",
            "ask -x 0",
            "answer",
            "answer -p x",
            "answer x - y",
            "answer --name x y a b",
            "answer --name x --no-name y",
            "http://x/abcd -b",
            "-x h",
            "-t text/html",
            "-E -t nonsense",
            "-E -t application/json",
            "-rq",
            "-jr",
            "-p --password-file f",
            "help nonsense",
            "help get list",
            "get",
            "get a b",
            "get abcd --json",
            "get abcd -m -o f",
            "get --from f",
            "get --from f -m abcd",
            "get -b abcd",
            "delete",
            "list x",
            "resume x",
            "info x",
            "server",
            "server http://x http://y",
            "server http://x -s http://y",
            "cert x",
            "cert -a dsa",
            "cert -c p256",
            "cert -a rsa -c secp256r1",
            "cert -b 2048",
            "cert -a rsa -b 1024",
            "cert -d 0",
            "cert -d x",
            "completions",
            "completions tcsh",
            "--nonsense",
            "-Z",
            "--burn=1",
            "-s",
        ] {
            let failure = parsed(line).map(|command| panic!("{line}: {command:?}")).unwrap_err();
            assert_eq!(failure.exit, super::super::failure::Exit::Usage, "{line}");
        }
        assert!(parse([], true).unwrap_err().hint.unwrap().contains("fpaste - "));
        for line in [&[""][..], &["x", ""]] {
            let failure = parse(line.iter().map(OsString::from), false).unwrap_err();
            assert_eq!(failure.exit, super::super::failure::Exit::Usage, "{line:?}");
        }
    }

    #[test]
    fn errors_never_quote_a_key() {
        for line in [
            "http://x/abcd#SECRET b",
            "list --json=http://x/abcd#SECRET",
            "get --abcd#SECRET x",
            "-x http://x/abcd#SECRET",
            "--name http://x/abcd#SECRET",
            "-E -t http://x/abcd#SECRET",
            "cert -a http://x/abcd#SECRET",
            "cert -c http://x/abcd#SECRET",
            "cert -a rsa -b http://x/abcd#SECRET",
            "cert -d http://x/abcd#SECRET",
            "completions http://x/abcd#SECRET",
            "resume http://x/abcd#SECRET",
        ] {
            let failure = parsed(line).unwrap_err();
            assert!(!format!("{failure:?}").contains("SECRET"), "{failure:?}");
        }
        let command = parsed("get http://x/abcd#SECRET").unwrap();
        assert!(!format!("{command:?}").contains("SECRET"), "{command:?}");
    }

    #[test]
    fn lifetimes() {
        let cases = [("90", 90), ("30m", 1800), ("12h", 43_200), ("7d", 604_800), ("2w", 1_209_600), ("5s", 5)];
        let sums = [("1h30m", 5400), ("1w2d3h4m5s", 788_645), ("0h1m", 60), ("1m1h", 3660)];
        for (text, seconds) in cases.into_iter().chain(sums) {
            assert_eq!(parse_expiry(text, "--expiry").unwrap(), seconds, "{text}");
        }
        assert_eq!(parse_expiry("36500d", "--expiry").unwrap(), MAX_EXPIRY_SECONDS);
        for text in ["36501d", "99999999999999999999d1s", "99999999999999999999d", "99999999999999999999999"] {
            assert!(parse_expiry(text, "--expiry").unwrap_err().message.contains("the maximum is 36500d"), "{text}");
        }
    }
}
