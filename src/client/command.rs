//! The commands, as the command line gives them: what the other modules work from.
//!
//! Invariant: a value makes sense as it stands; [`super::args`] refuses what does not. Must never hold a password.

use std::fmt;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// A link as it was typed. It may hold a key: it is wiped, and shown without what follows the `#`.
pub struct Link(pub Zeroizing<String>);

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.split('#').next().unwrap_or_default())
    }
}

/// What to do, and the options every command has.
#[derive(Debug)]
pub struct Invocation {
    /// What to do.
    pub command: Command,
    /// `--server`, or the operand of `server`
    pub server: Option<String>,
    /// `--verbose`
    pub verbose: bool,
}

/// A command with its options.
#[derive(Debug)]
pub enum Command {
    /// Show this text.
    Help(String),
    /// Show the version.
    Version,
    /// Upload.
    Create(Create),
    /// Ask for a secret.
    Ask(Ask),
    /// Answer who asks for one.
    Answer {
        /// The link.
        target: Link,
        /// The answer.
        with: Create,
    },
    /// Upload what could not be uploaded before.
    Resume(PasswordSource),
    /// Download.
    Get(Get),
    /// Delete these.
    Delete(Vec<Link>),
    /// Move the end of a paste.
    Extend {
        /// Which.
        target: Link,
        /// Seconds from now.
        seconds: u64,
    },
    /// Replace the content of a paste.
    Update {
        /// Which, with its key.
        target: Link,
        /// What comes in its place.
        with: Create,
    },
    /// List the history.
    List {
        /// As JSON.
        json: bool,
        /// With what the servers say of each.
        status: bool,
    },
    /// List what the server says a token or a certificate has made.
    ListRemote {
        /// As JSON.
        json: bool,
    },
    /// Ask whether a paste was read.
    Status {
        /// Which.
        target: Link,
        /// As JSON.
        json: bool,
    },
    /// Describe the server.
    Info {
        /// As JSON.
        json: bool,
    },
    /// Enter the server, which [`Invocation::server`] names, in the configuration.
    Server,
    /// Compare the pages of this server, or of the one this link is of, with those of its version.
    Verify(Option<Link>),
    /// Make a certificate.
    Cert(Cert),
    /// Print a completion script.
    Completions(String),
    /// Print the IDs in the history, for the completion scripts.
    CompletionIds,
}

/// Where content comes from.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    /// Standard input.
    Stdin,
    /// Files and folders: at least one, and one alone where they are not sealed.
    Files(Vec<PathBuf>),
}

/// How content is uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As it is.
    Plain,
    /// Encrypted as older programs read it.
    First,
    /// Sealed.
    Sealed,
}

/// Where a password comes from.
#[derive(Debug, PartialEq, Eq)]
pub enum PasswordSource {
    /// There is none.
    None,
    /// The environment, else a prompt.
    Ask,
    /// A file's first line.
    File(PathBuf),
    /// The first line of standard input.
    Stdin,
}

/// What is printed of a new paste.
#[derive(Debug, PartialEq, Eq)]
pub enum Form {
    /// The link.
    Link,
    /// The link to the content.
    Raw,
    /// `ID#KEY`.
    Id,
    /// The server's answer with the link.
    Json,
}

/// `create`
#[derive(Debug)]
pub struct Create {
    /// What to upload.
    pub input: Input,
    /// How.
    pub format: Format,
    /// How often it can be read; 1 for `--burn`.
    pub reads: Option<u32>,
    /// What the one file, or the content of standard input, is called; a name that a paste takes.
    pub name: Option<String>,
    /// Whether names are sealed, too.
    pub with_names: bool,
    /// Lifetime.
    pub expiry_seconds: Option<u64>,
    /// Password.
    pub password: PasswordSource,
    /// MIME type of plain content.
    pub mime_type: Option<String>,
    /// What to print.
    pub form: Form,
    /// Copy the link.
    pub clipboard: bool,
    /// Draw the link.
    pub qr: bool,
}

/// `ask`
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct Ask {
    /// What is asked for, in words for who answers.
    pub label: Option<String>,
    /// How long an answer is taken.
    pub expiry_seconds: Option<u64>,
    /// Whether the answer is waited for.
    pub waits: bool,
    /// What to print of the link, where the answer is not waited for.
    pub form: Form,
    /// Copy the link.
    pub clipboard: bool,
    /// Draw the link.
    pub qr: bool,
    /// Where the answer goes.
    pub output: Output,
    /// Overwrite files.
    pub force: bool,
}

/// Where content goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Stdout, unless it is binary and stdout a terminal.
    Default,
    /// Stdout, whatever it is.
    Stdout,
    /// A file.
    File(PathBuf),
    /// Files below this folder, by the names they have in the paste.
    Folder(PathBuf),
}

/// `get`
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own; none excludes another")]
pub struct Get {
    /// URL or ID, or `-` for a link on stdin; with `from`, a key.
    pub target: Link,
    /// A file to decrypt instead of asking a server.
    pub from: Option<PathBuf>,
    /// Take a paste with counted reads though there is no key for it, and overwrite files.
    pub force: bool,
    /// Show the names alone.
    pub list: bool,
    /// Metadata alone.
    pub meta: bool,
    /// As JSON.
    pub json: bool,
    /// Whether the paste is said to be of the first format, whose password is the server's.
    pub first_format: bool,
    /// Where to.
    pub output: Output,
    /// Password.
    pub password: PasswordSource,
}

/// The kind of key of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
    /// RSA of this many bits.
    Rsa(u32),
}

/// `cert`
#[derive(Debug)]
pub struct Cert {
    /// Algorithm and size.
    pub kind: KeyKind,
    /// Whether an option says what it shall be like: then one that is there already is not meant.
    pub is_described: bool,
    /// Validity.
    pub days: u32,
    /// Common name.
    pub name: Option<String>,
    /// Folder.
    pub folder: Option<PathBuf>,
    /// Enter it in the configuration.
    pub configure: bool,
    /// Overwrite.
    pub force: bool,
}
