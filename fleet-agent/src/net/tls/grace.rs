//! Lets a certificate through that expired a short while ago, so that its node can ask for another.
//!
//! Nothing else is looser: such a certificate must have been good in its last second, signature, chain and usage. What its
//! node may do with the connection is not decided here: [`super::listener_config`] says who has to look.

use std::{sync::Arc, time::UNIX_EPOCH};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};

use super::{RENEWAL_GRACE, peer};

#[derive(Debug)]
pub(super) struct WithGrace(pub(super) Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for WithGrace {
    fn verify_client_cert(&self, end_entity: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>], now: UnixTime) -> Result<ClientCertVerified, Error> {
        let expired = match self.0.verify_client_cert(end_entity, intermediates, now) {
            Err(error @ Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => error,
            verified => return verified,
        };
        let last = peer(end_entity).ok().and_then(|peer| peer.expires.duration_since(UNIX_EPOCH).ok()).ok_or(CertificateError::BadEncoding)?;
        if now.as_secs() > last.as_secs() + RENEWAL_GRACE.as_secs() {
            return Err(expired);
        }
        self.0.verify_client_cert(end_entity, intermediates, UnixTime::since_unix_epoch(last))
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
