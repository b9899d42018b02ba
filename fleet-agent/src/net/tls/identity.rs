//! What a node is: its private key, its certificate, and the authority it trusts, kept in one file.
//!
//! One file, because a key and a certificate that were renewed must change together or not at all. The key is made here
//! and never leaves the node.

use std::path::Path;

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::{Fingerprint, Peer, TlsError, fingerprint, peer, private_file};

const FILE_NAME: &str = "identity.pem";

const CERTIFICATE_TAG: &str = "CERTIFICATE";
const KEY_TAG: &str = "PRIVATE KEY";

/// A private key that has no certificate yet.
pub struct NodeKey(KeyPair);

impl NodeKey {
    pub fn generate() -> Result<NodeKey, TlsError> {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map(NodeKey).map_err(TlsError::Key)
    }

    /// Asks an authority for a certificate. Carries the public key and no names: those are the authority's to give.
    pub fn request(&self) -> Result<CertificateSigningRequestDer<'static>, TlsError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.serialize_request(&self.0).map(Into::into).map_err(TlsError::Request)
    }
}

/// A node's key and certificate, and the certificate of its authority. They belong together; that was checked.
pub struct Identity {
    private_key: PrivatePkcs8KeyDer<'static>,
    certificate: CertificateDer<'static>,
    authority: CertificateDer<'static>,
    peer: Peer,
}

impl Clone for Identity {
    fn clone(&self) -> Identity {
        let Identity { private_key, certificate, authority, peer } = self;
        Identity { private_key: private_key.clone_key(), certificate: certificate.clone(), authority: authority.clone(), peer: *peer }
    }
}

/// Never shows the key.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Identity {
    /// Puts together what belongs together. An expired certificate is taken: its node may still ask for another.
    pub fn new(key: NodeKey, certificate: CertificateDer<'static>, authority: CertificateDer<'static>) -> Result<Identity, TlsError> {
        Identity::checked(&key.0, certificate, authority)
    }

    fn checked(key: &KeyPair, certificate: CertificateDer<'static>, authority: CertificateDer<'static>) -> Result<Identity, TlsError> {
        let (own, signer) = (parse_certificate(&certificate)?, parse_certificate(&authority)?);
        if own.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(TlsError::KeyMismatch);
        }
        if !signer.is_ca() {
            return Err(TlsError::NotAnAuthority);
        }
        own.verify_signature(Some(signer.public_key())).map_err(|_| TlsError::ForeignAuthority)?;
        let peer = peer(&certificate)?;
        Ok(Identity { private_key: key.serialize_der().into(), certificate, authority, peer })
    }

    /// What its certificate says of this node.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    pub fn authority(&self) -> &CertificateDer<'static> {
        &self.authority
    }

    pub fn authority_fingerprint(&self) -> Fingerprint {
        fingerprint(&self.authority)
    }

    pub(crate) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.private_key.clone_key())
    }

    /// Writes the file as a whole: after a power cut it is the old one or the new one.
    pub fn save(&self, folder: &Path) -> Result<(), TlsError> {
        let parts = [
            pem::Pem::new(KEY_TAG, self.private_key.secret_pkcs8_der()),
            pem::Pem::new(CERTIFICATE_TAG, self.certificate.as_ref()),
            pem::Pem::new(CERTIFICATE_TAG, self.authority.as_ref()),
        ];
        private_file::write(folder, FILE_NAME, pem::encode_many(&parts).as_bytes())
    }

    /// Reads what [`Identity::save`] wrote. A file that others can read is refused: its key may be known.
    pub fn load(folder: &Path) -> Result<Identity, TlsError> {
        let path = folder.join(FILE_NAME);
        let text = private_file::read(folder, FILE_NAME)?;
        let parts = pem::parse_many(&text).map_err(|_| TlsError::Pem(path.clone()))?;
        let [key, certificate, authority] = <[pem::Pem; 3]>::try_from(parts).map_err(|_| TlsError::Pem(path.clone()))?;
        if [key.tag(), certificate.tag(), authority.tag()] != [KEY_TAG, CERTIFICATE_TAG, CERTIFICATE_TAG] {
            return Err(TlsError::Pem(path));
        }
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&key.contents().into(), &PKCS_ECDSA_P256_SHA256).map_err(TlsError::Key)?;
        Identity::checked(&key, certificate.into_contents().into(), authority.into_contents().into())
    }
}

/// A certificate and nothing behind it.
pub(super) fn parse_certificate(der: &[u8]) -> Result<X509Certificate<'_>, TlsError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) | Err(_) => Err(TlsError::Certificate),
    }
}
