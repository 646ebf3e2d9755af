//! The TLS configuration: trusted CAs and the client certificate.
//!
//! Invariant: an unusable certificate, key or CA file is a usage failure that names it, before anything is sent. Must
//! never disable verification, nor print any part of a key.

use super::config::{Identity, Settings};
use super::failure::{Exit, Failure};
use super::pinned::{SelfSigned, Verifier};
use super::ui::Ui;
use super::x509;
use crate::clock::{UnixSeconds, rfc3339, unix_now};
use crate::crypto;
use aws_lc_rs::{agreement, rand};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{ActiveKeyExchange, CryptoProvider, SharedSecret, SupportedKxGroup, aws_lc_rs as provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, NamedGroup, RootCertStore};
use sha1::{Digest, Sha1};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A certificate that expires sooner causes a note.
const SOON_SECONDS: u64 = 7 * 86_400;
/// The size limit of certificate, key and CA files; a bundle of all public CAs has 250 kB.
const MAX_PEM_BYTES: u64 = 4 << 20;

/// The TLS configuration: with the client certificate for our server, without it for others.
///
/// # Errors
/// A usage failure that names the unusable file.
pub fn config(settings: &Settings, is_ours: bool, ui: &Ui) -> Result<Arc<ClientConfig>, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Other, format!("cannot set up TLS: {error}"));
    let crypto = Arc::new(crypto_provider());
    // Our server must match the configured CA file; other servers may have public certificates.
    let own = settings.ca_cert.as_deref().map(authorities).transpose()?.unwrap_or_default();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(own.iter().cloned());
    if own.is_empty() || !is_ours {
        let system = rustls_native_certs::load_native_certs();
        ui.trace(|| format!("{} CA certificates from the system", system.certs.len()));
        roots.add_parsable_certificates(system.certs);
    }
    if roots.is_empty() {
        // A machine or container without any uses the bundled ones.
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&crypto)).build();
    let authorities = authorities.map_err(|error| failed(&error))?;
    let builder = ClientConfig::builder_with_provider(crypto).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| failed(&error))?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Verifier { pinned: own, authorities }));
    Ok(Arc::new(match &settings.identity {
        Some(identity) if is_ours => {
            let chain = client_chain(&identity.cert, ui)?;
            let key = private_key(&identity.key, ui)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| unusable_key(identity, &error))?
        }
        _ => builder.with_no_client_auth(),
    }))
}

/// Checks that the configured files are readable, for requests that do not use them.
///
/// # Errors
/// A usage failure that names the unreadable file.
pub fn check_files(settings: &Settings) -> Result<(), Failure> {
    if let Some(identity) = &settings.identity {
        read_pem(&identity.cert, "the client certificate")?;
        read_pem(&identity.key, "the client key")?;
    }
    settings.ca_cert.as_deref().map_or(Ok(()), |path| read_pem(path, "the CA file").map(drop))
}

/// The key exchange groups of aws-lc, and P-521.
fn crypto_provider() -> CryptoProvider {
    let mut crypto = provider::default_provider();
    crypto.kx_groups.push(&P521);
    crypto
}

/// The certificates in a PEM file.
fn certificates(path: &Path, what: &str) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let unusable = |why: &str| Failure::usage(format!("{what} {}: {why}", path.display()));
    let pem = read_pem(path, what)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|_| unusable("invalid PEM"))?;
    if found.is_empty() { Err(unusable("no certificate found; expected PEM")) } else { Ok(found) }
}

fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let found = certificates(path, "the CA file")?;
    for (number, der) in (1..).zip(&found) {
        // rustls silently drops certificates that it cannot parse.
        RootCertStore::empty().add(der.clone()).map_err(|error| {
            Failure::usage(format!("the CA file {}: invalid certificate {number}: {error}", path.display()))
        })?;
    }
    Ok(found)
}

fn read_pem(path: &Path, what: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let unreadable = |error: io::Error| Failure::usage(format!("cannot read {what} {}: {error}", path.display()));
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() || metadata.len() > MAX_PEM_BYTES {
        return Err(Failure::usage(format!("{what} {}: not a PEM file", path.display())));
    }
    fs::read(path).map(Zeroizing::new).map_err(unreadable)
}

/// The certificate chain to present. Its first certificate is ours and must be valid now.
fn client_chain(path: &Path, ui: &Ui) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let chain = certificates(path, "the client certificate")?;
    let (now, shown) = (unix_now(), path.display());
    match chain.first().and_then(|own| x509::validity(own)) {
        Some(dates) if now > dates.until => {
            Err(Failure::usage(format!("the client certificate {shown} expired on {}", day(dates.until)))
                .hint("create a new one with fpaste cert --force; the server will treat it as a new identity"))
        }
        Some(dates) if now < dates.from => {
            Err(Failure::usage(format!("the client certificate {shown} is not valid before {}", day(dates.from)))
                .hint("check this machine's clock"))
        }
        Some(dates) if dates.until - now < SOON_SECONDS => {
            ui.note(&format!("the client certificate {shown} expires on {}", day(dates.until)));
            Ok(chain)
        }
        // A certificate we cannot parse is left to the server.
        _ => Ok(chain),
    }
}

fn day(at: UnixSeconds) -> String {
    rfc3339(at).chars().take_while(|c| *c != 'T').collect()
}

/// Checks a certificate and its key. Returns the SHA-1 fingerprint in hex digits, as nginx and openssl show it.
///
/// # Errors
/// A usage failure that names the unusable file.
pub fn fingerprint(identity: &Identity, ui: &Ui) -> Result<String, Failure> {
    let chain = client_chain(&identity.cert, ui)?;
    let sha1 = chain.first().map(|own| crypto::hex(&Sha1::digest(own))).unwrap_or_default();
    let key = private_key(&identity.key, ui)?;
    CertifiedKey::from_der(chain, key, &crypto_provider()).map_err(|error| unusable_key(identity, &error))?;
    Ok(sha1)
}

fn unusable_key(identity: &Identity, error: &rustls::Error) -> Failure {
    let (cert, key) = (identity.cert.display(), identity.key.display());
    Failure::usage(match error {
        rustls::Error::InconsistentKeys(_) => format!("the client key {key} does not match {cert}"),
        error => format!("cannot use the client key {key}: {error}"),
    })
}

fn private_key(path: &Path, ui: &Ui) -> Result<PrivateKeyDer<'static>, Failure> {
    let pem = read_pem(path, "the client key")?;
    if fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0) {
        ui.warning(&format!("other users can read the client key; run chmod 600 {}", path.display()));
    }
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        let text = String::from_utf8_lossy(&pem);
        if text.contains("ENCRYPTED") {
            return Failure::usage(format!("the client key {} is encrypted", path.display()))
                .hint("remove its passphrase with openssl pkey -in KEY -out PLAIN_KEY");
        }
        Failure::usage(format!("the client key {}: no private key found; expected PEM", path.display()))
    })
}

/// The failure for a self-signed certificate, with a hint how to trust it.
fn self_signed(place: &str) -> Failure {
    let has_port = place.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let port = if has_port { "" } else { ":443" };
    Failure::new(Exit::Network, "the server's certificate is self-signed and not in ca_cert").hint(format!(
        "if you trust it: openssl s_client -connect {place}{port} </dev/null | openssl x509 > server.crt, then \
         ca_cert = /path/to/server.crt in ~/.config/fpaste/config"
    ))
}

/// Explains a TLS failure at a host, given with or without a port.
pub fn explain(error: &rustls::Error, place: &str) -> Failure {
    let failed = |message: String| Failure::new(Exit::Network, message);
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(other)) if other.0.is::<SelfSigned>() => {
            self_signed(place)
        }
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            failed("the server's certificate is signed by an unknown CA".into())
                .hint("if it is your own, set ca_cert to its CA certificate or to this one")
        }
        rustls::Error::InvalidCertificate(CertificateError::Other(other))
            if format!("{other:?}").contains("CaUsedAsEndEntity") =>
        {
            failed("the server uses a CA certificate as its own".into())
                .hint("if it is your own, set ca_cert to this certificate, or use it to sign one for the server")
        }
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            failed("the server's certificate has expired".into()).hint("check this machine's clock as well")
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => failed("the server's certificate is not valid yet".into()).hint("check this machine's clock"),
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => failed("the server's certificate is for a different host name".into()),
        rustls::Error::AlertReceived(alert) => failed(format!("the server rejected the TLS connection ({alert:?})"))
            .hint("if it requires a client certificate, check client_cert and client_key"),
        rustls::Error::InvalidMessage(_) => {
            failed("the server does not speak TLS on this port".into()).hint("does it need http://?")
        }
        error => failed(format!("TLS failed: {error}")),
    }
}

/// ECDH over P-521 (RFC 8422 section 5.4).
#[derive(Debug)]
struct P521;

struct P521Exchange {
    ours: agreement::EphemeralPrivateKey,
    public: agreement::PublicKey,
}

impl SupportedKxGroup for P521 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, rustls::Error> {
        let failed = |_| rustls::Error::FailedToGetRandomBytes;
        let ours = agreement::EphemeralPrivateKey::generate(&agreement::ECDH_P521, &rand::SystemRandom::new());
        let ours = ours.map_err(failed)?;
        let public = ours.compute_public_key().map_err(failed)?;
        Ok(Box::new(P521Exchange { ours, public }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

impl ActiveKeyExchange for P521Exchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, rustls::Error> {
        let invalid = rustls::Error::PeerMisbehaved(rustls::PeerMisbehaved::InvalidKeyShare);
        let peer = agreement::UnparsedPublicKey::new(&agreement::ECDH_P521, peer);
        agreement::agree_ephemeral(self.ours, peer, invalid, |secret| Ok(SharedSecret::from(secret)))
    }

    fn pub_key(&self) -> &[u8] {
        self.public.as_ref()
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}
