//! The commands and their options, as parsed from the command line.
//!
//! Invariant: every value is valid and consistent; [`super::args`] refuses the rest. Must never hold a password.

use std::fmt;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// A link as typed. It may contain a key: it is wiped on drop, and `Debug` leaves out the fragment.
pub struct Link(pub Zeroizing<String>);

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.split('#').next().unwrap_or_default())
    }
}

/// A command and the global options.
#[derive(Debug)]
pub struct Invocation {
    /// The command.
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
    /// Answer an ask.
    Answer {
        /// The link.
        target: Link,
        /// The answer.
        with: Create,
    },
    /// Retry a failed upload.
    Resume(PasswordSource),
    /// Download.
    Get(Get),
    /// Delete these.
    Delete(Vec<Link>),
    /// Change the expiry of a paste.
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
        /// The new content.
        with: Create,
    },
    /// List the history.
    List {
        /// As JSON.
        json: bool,
        /// With the status of each from its server.
        status: bool,
    },
    /// List the pastes that the server knows for our token or certificate.
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
    /// Save [`Invocation::server`] in the configuration.
    Server,
    /// Compare the pages of this server, or of the one this link is of, with those of its version.
    Verify(Option<Link>),
    /// Create a certificate.
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
    /// Files and folders: at least one; exactly one if not sealed.
    Files(Vec<PathBuf>),
}

/// How content is uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Unencrypted.
    Plain,
    /// Encrypted in format 1, for older programs.
    First,
    /// Sealed.
    Sealed,
}

/// Where a password comes from.
#[derive(Debug, PartialEq, Eq)]
pub enum PasswordSource {
    /// No password.
    None,
    /// The environment variable, else a prompt.
    Ask,
    /// A file's first line.
    File(PathBuf),
    /// The first line of standard input.
    Stdin,
}

/// What is printed for a new paste.
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
    /// The number of reads; 1 for `--burn`.
    pub reads: Option<u32>,
    /// The name of the single file or of standard input; valid in a manifest.
    pub name: Option<String>,
    /// Whether file names are included.
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
    /// What is asked for, shown to the person who answers.
    pub label: Option<String>,
    /// How long the ask is open.
    pub expiry_seconds: Option<u64>,
    /// Whether to wait for the answer.
    pub waits: bool,
    /// How to print the link, with `--no-wait`.
    pub form: Form,
    /// Copy the link.
    pub clipboard: bool,
    /// Print a QR code.
    pub qr: bool,
    /// Where the answer goes.
    pub output: Output,
    /// Overwrite files.
    pub force: bool,
}

/// Where content goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Stdout, but no binary content to a terminal.
    Default,
    /// Stdout, whatever the content.
    Stdout,
    /// A file.
    File(PathBuf),
    /// Files below this folder, under their names in the paste.
    Folder(PathBuf),
}

/// `get`
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own; none excludes another")]
pub struct Get {
    /// URL or ID, or `-` for a link on stdin; with `from`, a key.
    pub target: Link,
    /// A local file to decrypt.
    pub from: Option<PathBuf>,
    /// Read a limited paste even without its key, and overwrite files.
    pub force: bool,
    /// Only list the files.
    pub list: bool,
    /// Only show the metadata.
    pub meta: bool,
    /// As JSON.
    pub json: bool,
    /// Whether `--format 1` was given: its password is checked by the server.
    pub first_format: bool,
    /// Where the content is written.
    pub output: Output,
    /// Password.
    pub password: PasswordSource,
}

/// The key type of a certificate.
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
    /// Whether an option describes a new certificate: then an existing one is not reused.
    pub is_described: bool,
    /// Validity.
    pub days: u32,
    /// Common name.
    pub name: Option<String>,
    /// Folder.
    pub folder: Option<PathBuf>,
    /// Save it in the configuration.
    pub configure: bool,
    /// Overwrite.
    pub force: bool,
}
