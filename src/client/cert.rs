//! `fpaste cert`: a self-signed client certificate.
//!
//! Invariant: the key file is for its owner alone (0600) from its first byte, and nothing is overwritten without
//! `--force`. Must never print the key.

use super::command::{Cert, KeyKind};
use super::config::{self, Folders, create_private_folder};
use super::failure::{Exit, Failure};
use super::ui::{Ui, write_stdout};
use crate::crypto;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, RsaKeySize,
};
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_RSA_SHA256, SerialNumber};
use sha1::{Digest, Sha1};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

/// The certificate is valid a little earlier: the server's clock may be behind.
const CLOCK_SLACK: Duration = Duration::from_secs(3600);

/// Makes a certificate and its key.
///
/// # Errors
/// When a file is in the way or cannot be written.
pub fn run(options: &Cert, folders: &Folders, ui: &Ui) -> Result<(), Failure> {
    let folder = options.folder.clone().unwrap_or_else(|| folders.config.clone());
    let (cert_path, key_path) = (folder.join("client.crt"), folder.join("client.key"));
    for path in [&cert_path, &key_path] {
        if path.exists() && !options.force {
            return Err(Failure::usage(format!("{} is there already", path.display()))
                .hint("--force overwrites it; pastes of the old certificate can then no longer be deleted with it"));
        }
    }
    let failed =
        |what: &str, error: &dyn std::fmt::Display| Failure::new(Exit::Other, format!("cannot {what}: {error}"));
    let key = generate(options.kind).map_err(|error| failed("make a key", &error))?;
    let name = match &options.name {
        Some(name) => name.clone(),
        None => default_name().map_err(|error| failed("make a name", &error))?,
    };
    let serial = crypto::random::<16>().map_err(|error| failed("make a serial number", &error))?;
    let cert = params(&name, options.days, &serial).self_signed(&key).map_err(|error| failed("sign", &error))?;
    let pem = Zeroizing::new(key.serialize_pem());
    create_private_folder(&folder)
        .and_then(|()| write_file(&key_path, pem.as_bytes(), 0o600, options.force))
        .and_then(|()| write_file(&cert_path, cert.pem().as_bytes(), 0o644, options.force))
        .map_err(|error| failed(&format!("write into {}", folder.display()), &error))?;
    let fingerprint = crypto::hex(&Sha1::digest(cert.der()));
    if options.configure {
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let (cert, key) = (absolute(&cert_path), absolute(&key_path));
        let values = [
            ("client_cert", &*cert.to_string_lossy()),
            ("client_key", &*key.to_string_lossy()),
            ("cert_sha1", &fingerprint),
        ];
        config::set(folders, &values)?;
    }
    write_stdout(format!("{fingerprint}\n").as_bytes())?;
    ui.print(&format!("certificate  {}\nkey          {}\n", cert_path.display(), key_path.display()));
    ui.print(&format!("name         {name}\nvalid for    {} days\n", options.days));
    if options.configure {
        ui.print(&format!("configured   {}\n", folders.config_file().display()));
    } else {
        ui.note("fpaste cert --configure enters it in the configuration; or set client_cert and client_key there");
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

/// Unique: nginx refuses a self-signed certificate whose name another trusted one has.
fn default_name() -> io::Result<String> {
    let user = std::env::var("USER").unwrap_or_else(|_| "user".into());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let short = |text: &str| text.chars().filter(|c| !c.is_control()).take(20).collect::<String>();
    let random = crypto::hex(&crypto::random::<4>()?);
    Ok(format!("fpaste-{}@{}-{random}", short(&user), short(&host)))
}

/// An end entity's certificate for client authentication (RFC 5280 sections 4.2.1.3 and 4.2.1.12).
fn params(name: &str, days: u32, serial: &[u8; 16]) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    params.subject_alt_names = Vec::new();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.is_ca = rcgen::IsCa::ExplicitNoCa;
    // Positive, as RFC 5280 asks: the first bit is clear.
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

/// Writes a file that appears whole or not at all.
fn write_file(path: &Path, content: &[u8], mode: u32, overwrite: bool) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(mode)).tempfile_in(folder)?;
    file.write_all(content)?;
    let written = if overwrite { file.persist(path) } else { file.persist_noclobber(path) };
    written.map(drop).map_err(|error| error.error)
}
