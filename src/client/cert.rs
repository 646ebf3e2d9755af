//! `fpaste cert`: creates a self-signed client certificate.
//!
//! Invariant: the key file has mode 0600 from the start, nothing is overwritten without `--force`, and certificate and
//! key match even after a failure. Must never print the key.

use super::command::{Cert, KeyKind};
use super::config::{self, Folders, Identity, create_private_folder};
use super::failure::{Exit, Failure};
use super::ui::{Ui, write_stdout};
use super::{files, tls};
use crate::crypto;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, RsaKeySize,
};
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_RSA_SHA256, SerialNumber};
use sha1::{Digest, Sha1};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

/// The certificate is valid from a little earlier: the server's clock may be behind.
const CLOCK_SLACK: Duration = Duration::from_secs(3600);

/// Creates a certificate and its key.
///
/// # Errors
/// When a file exists already or cannot be written.
pub fn run(options: &Cert, folders: &Folders, ui: &Ui) -> Result<(), Failure> {
    if options.configure && folders.config.is_none() {
        return Err(config::no_place());
    }
    let folder = options
        .folder
        .clone()
        .or_else(|| folders.config.clone())
        .ok_or_else(|| Failure::usage("no folder for the certificate: HOME is not set").hint("use -o DIR"))?;
    let (cert_path, key_path) = (folder.join("client.crt"), folder.join("client.key"));
    let pair = Pair { cert: &cert_path, key: &key_path };
    if options.configure && !options.force && !options.is_described && pair.is_there() {
        return configure_old(&pair, folders, ui);
    }
    pair.check(options.force)?;
    let failed =
        |what: &str, error: &dyn std::fmt::Display| Failure::new(Exit::Other, format!("cannot {what}: {error}"));
    let key = generate(options.kind).map_err(|error| failed("generate a key", &error))?;
    let name = match &options.name {
        Some(name) => name.clone(),
        None => default_name().map_err(|error| failed("generate a name", &error))?,
    };
    let serial = crypto::random::<16>().map_err(|error| failed("generate a serial number", &error))?;
    let cert = params(&name, options.days, &serial)
        .self_signed(&key)
        .map_err(|error| failed("sign the certificate", &error))?;
    let pem = Zeroizing::new(key.serialize_pem());
    // Locked: two runs at once could leave the key of one and the certificate of the other.
    let lock = create_private_folder(&folder).and_then(|()| File::open(&folder));
    let lock = lock.and_then(|lock| files::lock(&lock).map(|()| lock));
    let _lock = lock.map_err(|error| failed(&format!("write to {}", folder.display()), &error))?;
    pair.check(options.force)?;
    pair.write(&folder, cert.pem().as_bytes(), pem.as_bytes())
        .map_err(|error| failed(&format!("write to {}", folder.display()), &error))?;
    let fingerprint = crypto::hex(&Sha1::digest(cert.der()));
    if options.configure {
        pair.configure(&fingerprint, folders)?;
    }
    write_stdout(format!("{fingerprint}\n").as_bytes())?;
    ui.print(&format!("certificate  {}\nkey          {}\n", cert_path.display(), key_path.display()));
    ui.print(&format!("name         {name}\nvalid for    {} days\n", options.days));
    if let Some(file) = folders.config_file().filter(|_| options.configure) {
        ui.print(&format!("configured   {}\n", file.display()));
    } else {
        let place = options.folder.as_ref().map_or(String::new(), |folder| format!(" -o {}", folder.display()));
        ui.note(&format!("to use it, run fpaste cert --configure{place}"));
    }
    Ok(())
}

/// Configures an existing, valid pair.
fn configure_old(pair: &Pair<'_>, folders: &Folders, ui: &Ui) -> Result<(), Failure> {
    let identity = Identity { cert: pair.cert.to_path_buf(), key: pair.key.to_path_buf() };
    let fingerprint = tls::fingerprint(&identity, ui)?;
    pair.configure(&fingerprint, folders)?;
    write_stdout(format!("{fingerprint}\n").as_bytes())?;
    ui.print(&format!("certificate  {} (existing)\nkey          {}\n", pair.cert.display(), pair.key.display()));
    if let Some(file) = folders.config_file() {
        ui.print(&format!("configured   {}\n", file.display()));
    }
    Ok(())
}

fn generate(kind: KeyKind) -> Result<KeyPair, rcgen::Error> {
    let rsa = |size| KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size);
    match kind {
        KeyKind::P256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
        KeyKind::P384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
        KeyKind::P521 => KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512),
        KeyKind::Rsa(2048) => rsa(RsaKeySize::_2048),
        KeyKind::Rsa(3072) => rsa(RsaKeySize::_3072),
        KeyKind::Rsa(_) => rsa(RsaKeySize::_4096),
    }
}

/// Unique: nginx refuses a self-signed certificate that shares its name with another trusted one.
fn default_name() -> io::Result<String> {
    let user = std::env::var("USER").unwrap_or_else(|_| "user".into());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let short = |text: &str| text.chars().filter(|c| !c.is_control()).take(20).collect::<String>();
    let random = crypto::hex(&crypto::random::<4>()?);
    Ok(format!("fpaste-{}@{}-{random}", short(&user), short(&host)))
}

/// An end-entity certificate for client authentication (RFC 5280 sections 4.2.1.3 and 4.2.1.12).
fn params(name: &str, days: u32, serial: &[u8; 16]) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    params.subject_alt_names = Vec::new();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.is_ca = rcgen::IsCa::ExplicitNoCa;
    // Positive, as RFC 5280 requires: the first bit is clear.
    let mut serial = serial.to_vec();
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    let now = SystemTime::now();
    params.not_before = (now - CLOCK_SLACK).into();
    params.not_after = (now + Duration::from_secs(u64::from(days) * 86_400)).into();
    params
}

/// The paths of a certificate and its key.
struct Pair<'a> {
    cert: &'a Path,
    key: &'a Path,
}

impl Pair<'_> {
    fn is_there(&self) -> bool {
        [self.cert, self.key].iter().all(|path| path.is_file())
    }

    fn configure(&self, fingerprint: &str, folders: &Folders) -> Result<(), Failure> {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let (cert, key) = (absolute(self.cert), absolute(self.key));
        let values = [
            ("client_cert", &*cert.to_string_lossy()),
            ("client_key", &*key.to_string_lossy()),
            ("cert_sha1", fingerprint),
        ];
        config::set(folders, &values)
    }

    /// Refuses to overwrite files without `--force`, and directories at all.
    fn check(&self, overwrite: bool) -> Result<(), Failure> {
        for path in [self.cert, self.key] {
            if path.is_dir() {
                return Err(Failure::usage(format!("{} is a directory", path.display())));
            }
            if path.symlink_metadata().is_ok() && !overwrite {
                return Err(Failure::usage(format!("{} already exists", path.display()))
                    .hint("use --configure to use it, or --force to overwrite it and lose ownership of its pastes"));
            }
        }
        Ok(())
    }

    /// Writes both or changes neither: everything that can fail comes before the first rename.
    fn write(&self, folder: &Path, cert: &[u8], key: &[u8]) -> io::Result<()> {
        let (cert, key) = (unfinished(folder, cert, 0o644)?, unfinished(folder, key, 0o600)?);
        let old_key = tempfile::Builder::new().make_in(folder, |path| fs::hard_link(self.key, path));
        key.persist(self.key).map_err(|error| error.error)?;
        let Err(error) = cert.persist(self.cert) else { return Ok(()) };
        match old_key {
            Ok(old_key) => drop(old_key.into_temp_path().persist(self.key)),
            Err(_) => drop(fs::remove_file(self.key)),
        }
        Err(error.error)
    }
}

/// A synced file under a temporary name.
fn unfinished(folder: &Path, content: &[u8], mode: u32) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new().permissions(fs::Permissions::from_mode(mode)).tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    Ok(file)
}
