//! The commands and their options, as one table each: parsing, `--help`, the man page and the shell completions are
//! made from them.
//!
//! Invariant: an option exists if and only if it has a row here. Must never know what an option does.

use std::fmt::Write;

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// Encrypt and upload.
    Create,
    /// Ask for a secret.
    Ask,
    /// Answer who asks for one.
    Answer,
    /// Upload what was kept.
    Resume,
    /// Download and decrypt.
    Get,
    /// Delete pastes.
    Delete,
    /// Move the end of a paste.
    Extend,
    /// Replace the content of a paste.
    Update,
    /// What this machine created.
    List,
    /// Whether a paste was read.
    Status,
    /// What the server is and allows.
    Info,
    /// Enter a server in the configuration.
    Server,
    /// Compare the pages of a server with those of its version.
    Verify,
    /// Make a client certificate.
    Cert,
    /// Print a completion script.
    Completions,
}

/// A row of the command table.
pub struct CommandRow {
    /// Which it is.
    pub name: Name,
    /// Its word on the command line.
    pub word: &'static str,
    /// What follows the word.
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
    /// What its value is called, if it takes one.
    pub value: Option<&'static str>,
    /// The values there are, for the completions; empty when any will do.
    pub choices: &'static [&'static str],
    /// What it does, in half a line; its default is in brackets at the end.
    pub help: &'static str,
    /// What the manual says beyond that: sentences, with options, variables, paths and literals in backquotes.
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

/// The curves `cert` knows.
pub const CURVES: &[&str] = &["secp256r1", "secp384r1", "secp521r1"];
/// The algorithms `cert` knows.
pub const ALGORITHMS: &[&str] = &["ec", "rsa"];
/// The formats `create` writes.
pub const FORMATS: &[&str] = &["1", "2"];
/// The RSA key sizes `cert` knows.
pub const RSA_BITS: &[&str] = &["2048", "3072", "4096"];
/// What the completion scripts call `completions` with, to be told the IDs there are.
pub const IDS: &str = "ids";
/// The shells there are completions for.
pub const SHELLS: &[&str] = &["bash", "zsh", "fish"];

/// The commands.
pub const COMMANDS: &[CommandRow] = &[
    CommandRow {
        name: Name::Create,
        word: "create",
        operands: "[FILE...|DIR...|-]",
        summary: "encrypt and upload; the word may be left out",
        examples: &[
            "fpaste notes.txt",
            "fpaste photo.png notes/         several files, and what is in a folder",
            "journalctl -b | fpaste",
            "fpaste -b -x 1h secret.key      one reader, one hour",
            "fpaste -p --qr notes.txt        with a password, and a QR code",
        ],
    },
    CommandRow {
        name: Name::Resume,
        word: "resume",
        operands: "",
        summary: "upload what was piped in and could not be sent",
        examples: &["fpaste resume", "fpaste resume -p                with the password again, which is not kept"],
    },
    CommandRow {
        name: Name::Get,
        word: "get",
        operands: "URL|ID|-",
        summary: "download and decrypt",
        examples: &[
            "fpaste get 'https://paste.example.org/4f2a91c07d3e#KEY'",
            "fpaste get -o photo.png URL",
            "fpaste get -O URL               by the names in the paste",
            "fpaste get -m URL               look without reading",
            "fpaste get --from FILE '#KEY'   decrypt what an earlier read has kept",
            "fpaste get - < link.txt         the link from stdin, so that no process list shows its key",
        ],
    },
    CommandRow {
        name: Name::Ask,
        word: "ask",
        operands: "[LABEL]",
        summary: "ask somebody for a secret by a link, and wait for it",
        examples: &[
            "fpaste ask 'staging database password'",
            "fpaste ask --no-wait -x 7d      the link alone; fpaste get ID reads the answer",
            "fpaste ask -O 'the VPN files'   by the names they have",
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
        summary: "delete pastes made here, or of your certificate or token",
        examples: &["fpaste delete 4f2a91c07d3e", "fpaste delete URL URL"],
    },
    CommandRow {
        name: Name::Extend,
        word: "extend",
        operands: "URL|ID TIME",
        summary: "have a paste you made end so much later than now",
        examples: &["fpaste extend 4f2a91c07d3e 7d", "fpaste extend URL 1h30m"],
    },
    CommandRow {
        name: Name::Update,
        word: "update",
        operands: "URL [FILE...|DIR...|-]",
        summary: "replace the content of a paste you made; the link stays",
        examples: &[
            "fpaste update 'https://paste.example.org/4f2a91c07d3e#KEY' notes.txt",
            "journalctl -b | fpaste update URL",
        ],
    },
    CommandRow {
        name: Name::List,
        word: "list",
        operands: "",
        summary: "what this machine created and may still be there",
        examples: &[
            "fpaste list",
            "fpaste list --status            with what became of each",
            "fpaste list --remote            what the server knows to be your token's",
            "fpaste list --json | jq -r .[].id",
        ],
    },
    CommandRow {
        name: Name::Status,
        word: "status",
        operands: "URL|ID",
        summary: "whether a paste you made was read, and how it ended",
        examples: &["fpaste status 4f2a91c07d3e", "fpaste status --json URL | jq -r .state"],
    },
    CommandRow {
        name: Name::Info,
        word: "info",
        operands: "",
        summary: "what the server is and allows",
        examples: &["fpaste info", "fpaste info -s https://paste.example.org"],
    },
    CommandRow {
        name: Name::Server,
        word: "server",
        operands: "URL",
        summary: "make this your server, if one answers there",
        examples: &["fpaste server https://paste.example.org"],
    },
    CommandRow {
        name: Name::Verify,
        word: "verify",
        operands: "[URL]",
        summary: "compare the pages of a server with those of its version",
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
        summary: "make a client certificate; prints its SHA-1 fingerprint",
        examples: &["fpaste cert --configure", "fpaste cert -a rsa -o ./keys", "fpaste cert -c secp521r1 -d 90"],
    },
    CommandRow {
        name: Name::Completions,
        word: "completions",
        operands: "bash|zsh|fish",
        summary: "print a completion script",
        examples: &["fpaste completions bash > ~/.local/share/bash-completion/completions/fpaste"],
    },
];

/// The options.
pub const FLAGS: &[Flag] = &[
    Flag::new(&[Name::Create], 'E', "no-encrypt", "upload unencrypted; the server can read it"),
    Flag::new(&[Name::Create], 'b', "burn", "delete after the first read"),
    Flag::new(&[Name::Create], 'n', "reads", "delete after N reads").takes("N").manual("From 1 to 1000."),
    Flag::new(&[Name::Create, Name::Ask], 'x', "expiry", "lifetime: seconds, or 30m, 1h30m, 7d").takes("TIME").manual(
        "The units `m`, `h`, `d` and `w` can be combined. A server shortens what is longer than it allows, and a \
         warning says so. Without this option a paste expires some days after it was last read.",
    ),
    Flag::new(
        &[Name::Create, Name::Resume, Name::Get, Name::Update],
        'p',
        "password",
        "protect or open with a password: $FPASTE_PASSWORD, else asked for",
    )
    .manual(
        "A new one is asked for twice; an empty answer generates one and shows it on standard error, and Ctrl-D \
         cancels. `get` uses `$FPASTE_PASSWORD` without this option when the configured server, or the one that the \
         paste was made on, asks for a password; of another server's paste, it asks on the terminal. A server gets a \
         proof of the password and never the password itself, unless the link has no key or `--format 1` is given.",
    ),
    Flag::new(
        &[Name::Create, Name::Resume, Name::Get, Name::Update],
        '-',
        "password-file",
        "read the password from the first line of FILE; - is stdin",
    )
    .takes("FILE"),
    Flag::new(
        &[Name::Create, Name::Answer, Name::Update],
        '-',
        "name",
        "name of the file, or of standard input, in the paste",
    )
    .takes("NAME")
    .manual("A name, or a path below a folder. Possible with one file."),
    Flag::new(&[Name::Create, Name::Answer, Name::Update], '-', "no-name", "leave file names out")
        .manual("Types are left out with them. Possible with one file."),
    Flag::new(&[Name::Create, Name::Get], '-', "format", "1: as older programs read it; 2: sealed [2]")
        .takes("N")
        .one_of(FORMATS)
        .manual(
            "Format 1 is the encrypted content alone: the server gives it to whoever has the ID, a password is the \
             server's, and it takes memory of the content's size. With `get`, `1` allows sending a password to a server \
             that asks for it although the link has a key; nothing else does.",
        ),
    Flag::new(&[Name::Create], 't', "type", "MIME type, with -E").takes("MIME"),
    Flag::new(&[Name::Create], 'r', "raw", "print the URL of the content").manual(
        "The server gives a sealed paste to `fpaste get` only; with `--format 1` that URL serves the ciphertext.",
    ),
    Flag::new(&[Name::Create], 'q', "quiet", "print only ID#KEY, and no notes"),
    Flag::new(&[Name::Create], 'j', "json", "print the server's answer, with the link"),
    Flag::new(&[Name::Ask], '-', "no-wait", "print the link and exit; fpaste get ID reads the answer")
        .manual("`get` exits with 3 while there is no answer."),
    Flag::new(&[Name::Ask], 'q', "quiet", "with --no-wait: print only ID#ask:…, and no notes"),
    Flag::new(&[Name::Ask], 'j', "json", "with --no-wait: print the server's answer, with the link")
        .manual("The delete token is left out."),
    Flag::new(&[Name::Create], 'c', "clipboard", "copy what is printed").manual(CLIPBOARD),
    Flag::new(&[Name::Ask], 'c', "clipboard", "copy the link").manual(CLIPBOARD),
    Flag::new(&[Name::Create, Name::Ask], '-', "qr", "draw the link as a QR code")
        .manual("On standard error: black on white where colours are shown, else for a dark terminal."),
    Flag::new(&[Name::Get], 'm', "meta", "show metadata without reading the paste").manual("It burns nothing."),
    Flag::new(
        &[Name::Get, Name::Ask],
        'o',
        "output",
        "write to FILE, whole or not at all, or below DIR/; - forces stdout",
    )
    .takes("FILE")
    .manual(
        "An existing file is replaced, with or without `--force`, and is executable if it is so in the paste. A \
         symbolic link stays one. Devices, pipes and descriptors such as `/dev/stdout` are written to, not replaced. \
         `-` writes to standard output even what a terminal should not see. If the name ends in a slash or is that of \
         an existing folder, the files of a sealed paste are written below it, by their names.",
    ),
    Flag::new(&[Name::Get, Name::Ask], 'O', "remote-name", "write here, by the names in the paste").manual(
        "All files appear or none does, also when interrupted. Existing files are kept without `--force`, and nothing \
         is written outside the working folder.",
    ),
    Flag::new(&[Name::Get], '-', "list", "show the names in the paste").manual(
        "Names, types and sizes, without fetching the files. Refused where reads are counted, because it would use \
         one, unless an earlier `get` has taken one that is not confirmed.",
    ),
    Flag::new(&[Name::Get], 'j', "json", "with -m: as JSON"),
    Flag::new(&[Name::Get], '-', "from", "decrypt a kept FILE; the operand is the link, or '#KEY'")
        .takes("FILE")
        .manual("An earlier read has kept it. No server is asked; `-p` gives the password of a sealed paste."),
    Flag::new(&[Name::Get], '-', "force", "overwrite files; read a burn paste without its key").manual(
        "With `-O` or `-o DIR/` all files are replaced or none: if one cannot be, the others stay as they were.",
    ),
    Flag::new(&[Name::Ask], '-', "force", "overwrite files"),
    Flag::new(&[Name::List], '-', "remote", "ask the server for your token's or certificate's pastes")
        .manual("From whichever machine they were made. IDs are known only for the pastes of a token."),
    Flag::new(&[Name::List], '-', "status", "ask the servers for the state of each")
        .manual("Also of what has ended within a month, by a read or a deletion on this machine included."),
    Flag::new(&[Name::List, Name::Status, Name::Info], 'j', "json", "as JSON"),
    Flag::new(&[Name::Cert], 'a', "algorithm", "ec or rsa [ec]").takes("NAME").one_of(ALGORITHMS),
    Flag::new(&[Name::Cert], 'c', "curve", "secp256r1, secp384r1 or secp521r1 [secp384r1]")
        .takes("NAME")
        .one_of(CURVES),
    Flag::new(&[Name::Cert], 'b', "bits", "size of an RSA key: 2048, 3072 or 4096 [4096]").takes("N").one_of(RSA_BITS),
    Flag::new(&[Name::Cert], 'd', "days", "days it is valid [365]").takes("N"),
    Flag::new(&[Name::Cert], 'n', "name", "common name [fpaste-USER@HOST-RANDOM]").takes("NAME"),
    Flag::new(&[Name::Cert], 'o', "output", "folder for client.crt and client.key [that of the configuration]")
        .takes("DIR"),
    Flag::new(&[Name::Cert], '-', "configure", "enter it in the configuration file").manual(
        "The keys are `client_cert`, `client_key` and `cert_sha1`. If both files exist and no option says what the \
         certificate should be like, they are entered as they are.",
    ),
    Flag::new(&[Name::Cert], '-', "force", "overwrite existing files")
        .manual("Both, or none if one of them cannot be written."),
    Flag::new(&[], 's', "server", "the server [http://localhost:5000]").takes("URL"),
    Flag::new(&[], 'v', "verbose", "say on stderr what is being done"),
    Flag::new(&[], 'h', "help", "show help; after a command, its own"),
    Flag::new(&[], 'V', "version", "show the version"),
];

/// How `--clipboard` copies.
const CLIPBOARD: &str = "By wl-copy(1), xclip(1), xsel(1) or tmux(1). Over ssh(1), if none of these works, the terminal \
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
    line("", "'LINK'", "download and decrypt; get has options");
    for row in COMMANDS.iter().filter(|row| row.name != Name::Create) {
        line("", &format!("{} {}", row.word, row.operands), row.summary);
    }
    text.push_str("\noptions of create:\n");
    text.push_str(&options(|flag| flag.commands.contains(&Name::Create)));
    text.push_str("\noptions everywhere:\n");
    text.push_str(&options(|flag| flag.commands.is_empty()));
    text.push_str("\nexamples:\n  journalctl -b | fpaste -x 12h\n  fpaste -b -p secret.key\n");
    text
}

/// `fpaste COMMAND --help`.
pub fn command_help(name: Name) -> String {
    let Some(row) = row(name) else { return help() };
    let mut text = format!("fpaste {} - {}\n\nusage: fpaste {} {}\n", row.word, row.summary, row.word, row.operands);
    let own = options(|flag| flag.commands.contains(&name));
    if !own.is_empty() {
        text.push_str("\noptions:\n");
        text.push_str(&own);
    }
    text.push_str("\noptions everywhere:\n");
    text.push_str(&options(|flag| flag.commands.is_empty()));
    text.push_str("\nexamples:\n");
    for example in row.examples {
        let _ = writeln!(text, "  {example}");
    }
    text
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
            assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        }
    }

    #[test]
    fn no_command_has_two_options_of_one_name() {
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
