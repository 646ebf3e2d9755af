//! Verifies server certificates: signed by a trusted CA, or pinned by being in the CA file itself.
//!
//! Invariant: validity and name are checked in both cases; a certificate without any name, as openssl creates by
//! default, must be pinned. Must never accept any other certificate.

use super::x509;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use std::fmt;
use std::sync::Arc;

/// The verifier of server certificates.
#[derive(Debug)]
pub struct Verifier {
    /// Certificates that are trusted themselves.
    pub pinned: Vec<CertificateDer<'static>>,
    /// Verifies all others.
    pub authorities: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !self.pinned.iter().any(|pinned| pinned == certificate) {
            let outcome = self.authorities.verify_server_cert(certificate, intermediates, name, ocsp, now);
            return outcome.map_err(|error| if x509::is_self_signed(certificate) { of_itself(error) } else { error });
        }
        check_dates(certificate, now)?;
        match verify_server_name(&ParsedCertificate::try_from(certificate)?, name) {
            Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }))
                if presented.is_empty() => {}
            outcome => outcome?,
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// The certificate is self-signed and not pinned.
#[derive(Debug)]
pub struct SelfSigned;

impl fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the certificate is self-signed")
    }
}

impl std::error::Error for SelfSigned {}

/// Replaces the errors that a self-signed certificate causes: an unknown issuer, or, as openssl creates them, a CA
/// certificate used by a server.
fn of_itself(error: Error) -> Error {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_)) => {
            CertificateError::Other(OtherError(Arc::new(SelfSigned))).into()
        }
        error => error,
    }
}

fn check_dates(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let validity = x509::validity(certificate).ok_or(CertificateError::BadEncoding)?;
    match now.as_secs() {
        now if now < validity.from => Err(CertificateError::NotValidYet.into()),
        now if now > validity.until => Err(CertificateError::Expired.into()),
        _ => Ok(()),
    }
}
