//! TLS for connections to the database.
//!
//! Invariant: handshake signatures are verified in every mode; otherwise each mode verifies what PostgreSQL's
//! documentation says. Must never be weaker than what the address requires.

use super::address::Tls;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::Arc;

/// The configuration for a mode, with the system's authorities or those in a file.
///
/// # Errors
/// Why there are no authorities, in a mode that needs some.
pub(super) fn config(mode: Tls, root_certificates: Option<&Path>) -> Result<ClientConfig, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| format!("cannot set up TLS: {error}"))?;
    // Like libpq, which verifies the authority if one is given.
    let mode = if mode == Tls::Unverified && root_certificates.is_some() { Tls::Authority } else { mode };
    let authorities = || {
        let roots = Arc::new(roots(root_certificates)?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
        verifier.map_err(|error| format!("no usable certificate authorities: {error}"))
    };
    let any_name = |authorities| Arc::new(AnyName { authorities, provider: Arc::clone(&provider) });
    let verifier: Arc<dyn ServerCertVerifier> = match mode {
        Tls::Off | Tls::Unverified => any_name(None),
        Tls::Authority => any_name(Some(authorities()?)),
        Tls::Name => authorities()?,
    };
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// The authorities of a file, or the system's.
///
/// # Errors
/// Why there are none.
pub(super) fn roots(file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(path) = file else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if roots.is_empty() {
            Err("no certificate authorities are installed; install ca-certificates, or set sslrootcert to a file"
                .into())
        } else {
            Ok(roots)
        };
    };
    let refuse = |what: String| format!("sslrootcert {}: {what}", path.display());
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| refuse(format!("cannot read it: {error}")))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| refuse(format!("is not a PEM file ({error})")))?;
        roots
            .add(certificate)
            .map_err(|error| refuse(format!("contains a certificate that is not an authority's: {error}")))?;
    }
    if roots.is_empty() { Err(refuse("contains no certificate".into())) } else { Ok(roots) }
}

/// `sslmode=verify-ca`: a certificate of a known authority for any name; or `sslmode=require`: any certificate.
#[derive(Debug)]
struct AnyName {
    /// `None` for any authority.
    authorities: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(verifier) = &self.authorities else { return Ok(ServerCertVerified::assertion()) };
        // The chain is checked first, so this is the only thing wrong with it.
        match verifier.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
