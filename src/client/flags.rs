//! The tables of commands and options: the parser, `--help`, the man page and the shell completions are generated from
//! them.
//!
//! Invariant: an option exists if and only if it has a row here. Must never implement an option.

use std::fmt::Write;

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// Encrypt and upload.
    Create,
    /// Ask for a secret.
    Ask,
    /// Answer an ask.
    Answer,
    /// Retry a failed upload.
    Resume,
    /// Download and decrypt.
    Get,
    /// Delete pastes.
    Delete,
    /// Change the expiry of a paste.
    Extend,
    /// Replace the content of a paste.
    Update,
    /// List this machine's pastes.
    List,
    /// Show whether a paste was read.
    Status,
    /// Show the server's version and limits.
    Info,
    /// Save a server in the configuration.
    Server,
    /// Compare the pages of a server with those of its release.
    Verify,
    /// Create a client certificate.
    Cert,
    /// Print a completion script.
    Completions,
    /// Show help.
    Help,
}

/// A row of the command table.
pub struct CommandRow {
    /// The command.
    pub name: Name,
    /// Its word on the command line.
    pub word: &'static str,
    /// Its operands.
    pub operands: &'static str,
    /// What it does, in half a line.
    pub summary: &'static str,
    /// Examples for its help.
    pub examples: &'static [&'static str],
}

/// A row of the option table.
pub struct Flag {
    /// The commands that have it; empty for all.
    pub commands: &'static [Name],
    /// After one dash.
    pub short: Option<char>,
    /// After two dashes.
    pub long: &'static str,
    /// The placeholder of its value, if it takes one.
    pub value: Option<&'static str>,
    /// The allowed values, for the completions; empty if free.
    pub choices: &'static [&'static str],
    /// What it does, in half a line.
    pub help: &'static str,
    /// What the manual adds: sentences, with options, variables, paths and literals in backquotes.
    pub manual: &'static str,
}

impl Flag {
    /// Whether a command has this option.
    pub fn is_for(&self, command: Name) -> bool {
        self.commands.is_empty() || self.commands.contains(&command)
    }

    const fn new(commands: &'static [Name], short: char, long: &'static str, help: &'static str) -> Self {
        let short = if short == '-' { None } else { Some(short) };
        Self { commands, short, long, value: None, choices: &[], help, manual: "" }
    }

    const fn takes(mut self, value: &'static str) -> Self {
        self.value = Some(value);
        self
    }

    const fn manual(mut self, sentences: &'static str) -> Self {
        self.manual = sentences;
        self
    }

    const fn one_of(mut self, choices: &'static [&'static str]) -> Self {
        self.choices = choices;
        self
    }
}

/// The curves of `cert`.
pub const CURVES: &[&str] = &["secp256r1", "secp384r1", "secp521r1"];
/// The algorithms of `cert`.
pub const ALGORITHMS: &[&str] = &["ec", "rsa"];
/// The formats of `create`.
pub const FORMATS: &[&str] = &["1", "2"];
/// The RSA key sizes of `cert`.
pub const RSA_BITS: &[&str] = &["2048", "3072", "4096"];
/// The argument with which completion scripts ask `completions` for the IDs in the history.
pub const IDS: &str = "ids";
/// The shells with completions.
pub const SHELLS: &[&str] = &["bash", "zsh", "fish"];

/// The commands.
pub const COMMANDS: &[CommandRow] = &[
    CommandRow {
        name: Name::Create,
        word: "create",
        operands: "[FILE...|DIR...|-]",
        summary: "encrypt and upload (the default command)",
        examples: &[
            "fpaste notes.txt",
            "fpaste photo.png notes/         several files and a folder",
            "journalctl -b | fpaste",
            "fpaste -b -x 1h secret.key      one reader, one hour",
            "fpaste -p --qr notes.txt        with a password, and a QR code",
        ],
    },
    CommandRow {
        name: Name::Resume,
        word: "resume",
        operands: "",
        summary: "retry a failed upload from a pipe",
        examples: &["fpaste resume", "fpaste resume -p                with the password, which is not saved"],
    },
    CommandRow {
        name: Name::Get,
        word: "get",
        operands: "URL|ID|-",
        summary: "download and decrypt",
        examples: &[
            "fpaste get 'https://paste.example.org/4f2a91c07d3e#KEY'",
            "fpaste get -o photo.png URL",
            "fpaste get -O URL               under the names in the paste",
            "fpaste get -m URL               show the metadata only",
            "fpaste get --from FILE '#KEY'   decrypt a saved file",
            "fpaste get - < link.txt         read the link from stdin, to hide its key from ps",
        ],
    },
    CommandRow {
        name: Name::Ask,
        word: "ask",
        operands: "[LABEL]",
        summary: "make a link that asks for a secret; wait for the answer",
        examples: &[
            "fpaste ask 'staging database password'",
            "fpaste ask --no-wait -x 7d      print the link and exit; later: fpaste get ID",
            "fpaste ask -O 'the VPN files'   save under the names in the answer",
        ],
    },
    CommandRow {
        name: Name::Answer,
        word: "answer",
        operands: "URL [FILE...|DIR...|-]",
        summary: "send the secret that a link asks for",
        examples: &[
            "fpaste answer 'https://paste.example.org/4f2a91c07d3e#ask:…' client.key",
            "pass show staging | fpaste answer URL",
        ],
    },
    CommandRow {
        name: Name::Delete,
        word: "delete",
        operands: "URL|ID...",
        summary: "delete your pastes",
        examples: &["fpaste delete 4f2a91c07d3e", "fpaste delete URL URL"],
    },
    CommandRow {
        name: Name::Extend,
        word: "extend",
        operands: "URL|ID TIME",
        summary: "change the expiry of your paste to TIME from now",
        examples: &["fpaste extend 4f2a91c07d3e 7d", "fpaste extend URL 1h30m"],
    },
    CommandRow {
        name: Name::Update,
        word: "update",
        operands: "URL [FILE...|DIR...|-]",
        summary: "replace the content of your paste, keeping its link",
        examples: &[
            "fpaste update 'https://paste.example.org/4f2a91c07d3e#KEY' notes.txt",
            "journalctl -b | fpaste update URL",
        ],
    },
    CommandRow {
        name: Name::List,
        word: "list",
        operands: "",
        summary: "list the pastes of this machine",
        examples: &[
            "fpaste list",
            "fpaste list --status            with the status of each",
            "fpaste list --remote            the pastes of your token or certificate",
            "fpaste list --json | jq -r .[].id",
        ],
    },
    CommandRow {
        name: Name::Status,
        word: "status",
        operands: "URL|ID",
        summary: "show whether your paste was read, and how it ended",
        examples: &["fpaste status 4f2a91c07d3e", "fpaste status --json URL | jq -r .state"],
    },
    CommandRow {
        name: Name::Info,
        word: "info",
        operands: "",
        summary: "show the server's version and limits",
        examples: &["fpaste info", "fpaste info -s https://paste.example.org"],
    },
    CommandRow {
        name: Name::Server,
        word: "server",
        operands: "URL",
        summary: "set the default server, if it responds",
        examples: &["fpaste server https://paste.example.org"],
    },
    CommandRow {
        name: Name::Verify,
        word: "verify",
        operands: "[URL]",
        summary: "compare a server's pages with those of its release",
        examples: &[
            "fpaste verify",
            "fpaste verify https://paste.example.org",
            "fpaste verify https://paste.example.org/4f2a91c07d3e    with the page of that paste",
        ],
    },
    CommandRow {
        name: Name::Cert,
        word: "cert",
        operands: "",
        summary: "create a client certificate",
        examples: &["fpaste cert --configure", "fpaste cert -a rsa -o ./keys", "fpaste cert -c secp521r1 -d 90"],
    },
    CommandRow {
        name: Name::Completions,
        word: "completions",
        operands: "bash|zsh|fish",
        summary: "print a completion script",
        examples: &["source <(fpaste completions bash)         in ~/.bashrc", "fpaste completions fish | source"],
    },
    CommandRow {
        name: Name::Help,
        word: "help",
        operands: "[COMMAND]",
        summary: "show help, or the help of a command",
        examples: &["fpaste help", "fpaste help get"],
    },
];

/// The options.
pub const FLAGS: &[Flag] = &[
    Flag::new(&[Name::Create], 'E', "no-encrypt", "upload unencrypted; the server can read it"),
    Flag::new(&[Name::Create], 'b', "burn", "delete after the first read"),
    Flag::new(&[Name::Create], 'n', "reads", "delete after N reads").takes("N").manual("From 1 to 1000."),
    Flag::new(&[Name::Create, Name::Ask], 'x', "expiry", "lifetime, e.g. 90s, 1h30m, 7d").takes("TIME").manual(
        "The units `m`, `h`, `d` and `w` can be combined. At most 36500 days; a server shortens what is longer than it allows, and a \
         warning says so. Without this option a paste expires some days after it was last read.",
    ),
    Flag::new(
        &[Name::Create, Name::Resume, Name::Get, Name::Update],
        'p',
        "password",
        "use a password: $FPASTE_PASSWORD, else a prompt",
    ).manual(
        "A new one is asked for twice; an empty answer generates one and shows it on standard error, and Ctrl-D \
         cancels. `get` uses `$FPASTE_PASSWORD` without this option when the configured server, or the one that the \
         paste was made on, asks for a password; of another server's paste, it asks on the terminal. A server gets a \
         proof of the password and never the password itself, unless the link has no key or `--format 1` is given.",
    ),
    Flag::new(
        &[Name::Create, Name::Resume, Name::Get, Name::Update],
        '-',
        "password-file",
        "read the password from the first line of FILE (- for stdin)",
    )
    .takes("FILE"),
    Flag::new(&[Name::Create, Name::Answer, Name::Update], '-', "name", "name of the file, or of stdin, in the paste")
        .takes("NAME").manual("A name, or a path below a folder. Possible with one file, and not with `-E` or `--format 1`, which keep no names."),
    Flag::new(&[Name::Create, Name::Answer, Name::Update], '-', "no-name", "leave out file names").manual("Types are left out with them. Possible with one file."),
    Flag::new(&[Name::Create, Name::Get], '-', "format", "1: for older programs; 2: sealed [2]")
        .takes("N")
        .one_of(FORMATS).manual(
            "Format 1 is the encrypted content alone: the server gives it to whoever has the ID, a password is the \
             server's, and it takes memory of the content's size. With `get`, `1` allows sending a password to a server \
             that asks for it although the link has a key; nothing else does.",
        ),
    Flag::new(&[Name::Create], 't', "type", "MIME type, with -E").takes("MIME"),
    Flag::new(&[Name::Create], 'r', "raw", "print the URL of the raw content").manual(
        "The server gives a sealed paste to `fpaste get` only; with `--format 1` that URL serves the ciphertext.",
    ),
    Flag::new(&[Name::Create], 'q', "quiet", "print only ID#KEY, and no notes"),
    Flag::new(&[Name::Create], 'j', "json", "print the server's JSON response, with the link"),
    Flag::new(&[Name::Ask], '-', "no-wait", "print the link and exit; later: fpaste get ID").manual("`get` exits with 3 while there is no answer."),
    Flag::new(&[Name::Ask], 'q', "quiet", "with --no-wait: print only ID#ask:…, and no notes"),
    Flag::new(&[Name::Ask], 'j', "json", "with --no-wait: print the server's JSON response, with the link").manual("The delete token is left out."),
    Flag::new(&[Name::Create], 'c', "clipboard", "copy the output to the clipboard").manual(CLIPBOARD),
    Flag::new(&[Name::Ask], 'c', "clipboard", "copy the link to the clipboard").manual(CLIPBOARD),
    Flag::new(&[Name::Create, Name::Ask], '-', "qr", "print a QR code of the link").manual("On standard error: black on white where colours are shown, else for a dark terminal."),
    Flag::new(&[Name::Get], 'm', "meta", "show the metadata only; not counted as a read").manual("It burns nothing."),
    Flag::new(&[Name::Get, Name::Ask], 'o', "output", "write to FILE, atomically, or into DIR/; - forces stdout")
        .takes("FILE").manual(
        "An existing file is replaced, with or without `--force`, and is executable if it is so in the paste. A \
         symbolic link stays one. Devices, pipes and descriptors such as `/dev/stdout` are written to, not replaced. \
         `-` writes to standard output even what a terminal should not see. If the name ends in a slash or is that of \
         an existing folder, the files of a sealed paste are written below it, by their names.",
    ),
    Flag::new(&[Name::Get, Name::Ask], 'O', "remote-name", "write here, under the names in the paste").manual(
        "All files appear or none does, also when interrupted. Existing files are kept without `--force`, and nothing \
         is written outside the working folder.",
    ),
    Flag::new(&[Name::Get], '-', "list", "list the files in the paste").manual(
        "Names, types and sizes, without fetching the files. Refused where reads are counted, because it would use \
         one, unless an earlier `get` has taken one that is not confirmed.",
    ),
    Flag::new(&[Name::Get], 'j', "json", "with -m: print JSON"),
    Flag::new(&[Name::Get], '-', "from", "decrypt a saved FILE; the operand is the link or '#KEY'").takes("FILE").manual("An earlier read has kept it. No server is asked; `-p` gives the password of a sealed paste."),
    Flag::new(&[Name::Get], '-', "force", "overwrite files; read a limited paste even without its key").manual(
        "With `-O` or `-o DIR/` all files are replaced or none: if one cannot be, the others stay as they were.",
    ),
    Flag::new(&[Name::Ask], '-', "force", "overwrite files"),
    Flag::new(&[Name::List], '-', "remote", "list the pastes of your token or certificate").manual("They may have been made on any machine. IDs are known only for the pastes of a token."),
    Flag::new(&[Name::List], '-', "status", "ask the servers for the status of each").manual("This includes pastes that ended within a month, also by a read or a deletion on this machine. The states are those of `status`, and `gone` if the server knows nothing of the paste, or `unknown` if it could not be asked; then a warning says why."),
    Flag::new(&[Name::List, Name::Status, Name::Info], 'j', "json", "print JSON"),
    Flag::new(&[Name::Cert], 'a', "algorithm", "algorithm: ec or rsa [ec]").takes("NAME").one_of(ALGORITHMS),
    Flag::new(&[Name::Cert], 'c', "curve", "curve: secp256r1, secp384r1 or secp521r1 [secp384r1]")
        .takes("NAME")
        .one_of(CURVES),
    Flag::new(&[Name::Cert], 'b', "bits", "size of an RSA key: 2048, 3072 or 4096 [4096]").takes("N").one_of(RSA_BITS),
    Flag::new(&[Name::Cert], 'd', "days", "validity in days [365]").takes("N").manual("From 1 to 36500."),
    Flag::new(&[Name::Cert], 'n', "name", "common name [fpaste-USER@HOST-RANDOM]").takes("NAME"),
    Flag::new(&[Name::Cert], 'o', "output", "folder for client.crt and client.key [~/.config/fpaste]").takes("DIR"),
    Flag::new(&[Name::Cert], '-', "configure", "save it in the configuration file").manual(
        "The keys are `client_cert`, `client_key` and `cert_sha1`. If both files exist and no option says what the \
         certificate should be like, they are entered as they are.",
    ),
    Flag::new(&[Name::Cert], '-', "force", "overwrite existing files").manual("If one of them cannot be written, both stay as they were."),
    Flag::new(&[], 's', "server", "server URL [http://localhost:5000]").takes("URL"),
    Flag::new(&[], 'v', "verbose", "show requests and other details on stderr"),
    Flag::new(&[], 'h', "help", "show help, or the help of the command"),
    Flag::new(&[], 'V', "version", "show the version"),
];

/// How `--clipboard` copies.
const CLIPBOARD: &str = "This uses wl-copy(1), xclip(1), xsel(1) or tmux(1). Over ssh(1), if none of these works, the terminal \
                         is asked to copy (OSC 52); not every terminal does.";

/// The row of a command.
pub fn row(name: Name) -> Option<&'static CommandRow> {
    COMMANDS.iter().find(|row| row.name == name)
}

/// `fpaste --help`.
pub fn help() -> String {
    let mut text = String::from("fpaste - share text and files through a server that cannot read them\n\n");
    let mut line = |start: &str, words: &str, summary: &str| {
        let _ = writeln!(text, "{start:<7}fpaste {words:<30}{summary}");
    };
    line("usage:", "[create] [FILE...] [options]", "encrypt, upload, print the link");
    line("", "'LINK'", "download and decrypt; options: see get");
    // Who reads this knows how to get help.
    for row in COMMANDS.iter().filter(|row| !matches!(row.name, Name::Create | Name::Help)) {
        line("", &usage(row), row.summary);
    }
    text.push_str("\noptions of create:\n");
    text.push_str(&options(|flag| flag.commands.contains(&Name::Create)));
    text.push_str("\nglobal options:\n");
    text.push_str(&options(|flag| flag.commands.is_empty()));
    text.push_str("\nexamples:\n  journalctl -b | fpaste -x 12h\n  fpaste -b -p secret.key\n");
    text
}

/// `fpaste COMMAND --help`.
pub fn command_help(name: Name) -> String {
    let Some(row) = row(name) else { return help() };
    let mut text = format!("fpaste {} - {}\n\nusage: fpaste {}\n", row.word, row.summary, usage(row));
    let own = options(|flag| flag.commands.contains(&name));
    if !own.is_empty() {
        text.push_str("\noptions:\n");
        text.push_str(&own);
    }
    text.push_str("\nglobal options:\n");
    text.push_str(&options(|flag| flag.commands.is_empty()));
    text.push_str("\nexamples:\n");
    for example in row.examples {
        let _ = writeln!(text, "  {example}");
    }
    text
}

/// A command's word and operands.
fn usage(row: &CommandRow) -> String {
    [row.word, row.operands].join(" ").trim_end().to_owned()
}

fn options(wanted: impl Fn(&Flag) -> bool) -> String {
    let line = |flag: &Flag| {
        let short = flag.short.map_or("    ".into(), |short| format!("-{short}, "));
        let value = flag.value.map_or(String::new(), |value| format!(" {value}"));
        format!("  {short}{:<22}{}\n", format!("--{}{value}", flag.long), flag.help)
    };
    FLAGS.iter().filter(|flag| wanted(flag)).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_fits_a_screen() {
        for text in COMMANDS.iter().map(|row| command_help(row.name)).chain([help()]) {
            assert!(text.lines().count() <= 45, "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= 100 && line == line.trim_end()), "{text}");
        }
    }

    #[test]
    fn option_names_are_unique_per_command() {
        for row in COMMANDS {
            let flags: Vec<&Flag> = FLAGS.iter().filter(|flag| flag.is_for(row.name)).collect();
            for (at, flag) in flags.iter().enumerate() {
                let rest = &flags[at + 1..];
                assert!(rest.iter().all(|other| other.long != flag.long), "{} --{}", row.word, flag.long);
                let same_short = |other: &&&Flag| flag.short.is_some() && other.short == flag.short;
                assert!(rest.iter().find(same_short).is_none(), "{} -{:?}", row.word, flag.short);
            }
        }
    }
}
