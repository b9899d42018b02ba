//! What a node is: its private key, its certificate, and the authority it trusts, kept in one file.
//!
//! One file, because a key and a certificate that were renewed must change together or not at all. The key is made here
//! and never leaves the machine.

use std::path::Path;

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::{Fingerprint, Peer, TlsError, fingerprint, peer, private_file};

const FILE_NAME: &str = "identity.pem";
/// The key of a node that has no certificate yet.
const KEY_FILE: &str = "node-key.pem";

const CERTIFICATE_TAG: &str = "CERTIFICATE";
const KEY_TAG: &str = "PRIVATE KEY";

/// A private key that has no certificate yet.
pub struct NodeKey(KeyPair);

impl NodeKey {
    pub fn generate() -> Result<NodeKey, TlsError> {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map(NodeKey).map_err(TlsError::Key)
    }

    /// The folder's, made at first use: a node that waits to be paired stays the same over restarts.
    pub fn load_or_create(folder: &Path) -> Result<NodeKey, TlsError> {
        match private_file::read(folder, KEY_FILE) {
            Err(TlsError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                let key = NodeKey::generate()?;
                let text = pem::encode(&pem::Pem::new(KEY_TAG, key.0.serialized_der()));
                private_file::write(folder, KEY_FILE, text.as_bytes())?;
                Ok(key)
            }
            read => {
                let key = pem::parse(read?).map_err(|_| TlsError::Pem(folder.join(KEY_FILE)))?;
                KeyPair::from_pkcs8_der_and_sign_algo(&key.contents().into(), &PKCS_ECDSA_P256_SHA256).map(NodeKey).map_err(TlsError::Key)
            }
        }
    }

    /// Removes the folder's, once an identity holds it.
    pub fn forget(folder: &Path) {
        // One that is left is the identity's own, and read by nobody.
        let _ = std::fs::remove_file(folder.join(KEY_FILE));
    }

    /// What can be told to everybody.
    pub fn public(&self) -> &[u8] {
        self.0.public_key_raw()
    }

    /// For TLS with somebody who knows us by nothing yet.
    pub(crate) fn self_signed(&self) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), TlsError> {
        let certificate = CertificateParams::default().self_signed(&self.0).map_err(TlsError::Sign)?;
        Ok((certificate.into(), PrivateKeyDer::Pkcs8(self.0.serialized_der().to_vec().into())))
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
        Identity::of(&key, certificate, authority)
    }

    /// The same, where the key is still needed if they do not belong together.
    pub fn of(key: &NodeKey, certificate: CertificateDer<'static>, authority: CertificateDer<'static>) -> Result<Identity, TlsError> {
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

    /// The public key, as [`NodeKey::public`].
    pub fn public(&self) -> Result<Vec<u8>, TlsError> {
        Ok(parse_certificate(&self.certificate)?.public_key().subject_public_key.data.to_vec())
    }

    pub fn authority_fingerprint(&self) -> Fingerprint {
        fingerprint(&self.authority)
    }

    /// A stranger that knows whom to dial.
    #[cfg(test)]
    pub(crate) fn trusting(self, authority: &CertificateDer<'static>) -> Identity {
        Identity { authority: authority.clone(), ..self }
    }

    pub(crate) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.private_key.clone_key())
    }

    /// Writes the file as a whole: after a power cut it is the old one or the new one.
    pub fn save(&self, folder: &Path) -> Result<(), TlsError> {
        private_file::write(folder, FILE_NAME, self.to_pem().as_bytes())
    }

    /// With the key in the clear: whoever is given it is this node.
    pub fn to_pem(&self) -> String {
        let parts = [
            pem::Pem::new(KEY_TAG, self.private_key.secret_pkcs8_der()),
            pem::Pem::new(CERTIFICATE_TAG, self.certificate.as_ref()),
            pem::Pem::new(CERTIFICATE_TAG, self.authority.as_ref()),
        ];
        pem::encode_many(&parts)
    }

    /// Reads what [`Identity::save`] wrote. A file that others can read is refused: its key may be known.
    pub fn load(folder: &Path) -> Result<Identity, TlsError> {
        Identity::read(&private_file::read(folder, FILE_NAME)?, || TlsError::Pem(folder.join(FILE_NAME)))
    }

    /// Reads what [`Identity::to_pem`] wrote.
    pub fn from_pem(text: &[u8]) -> Result<Identity, TlsError> {
        Identity::read(text, || TlsError::IdentityPem)
    }

    fn read(text: &[u8], unsound: impl Fn() -> TlsError) -> Result<Identity, TlsError> {
        let parts = pem::parse_many(text).map_err(|_| unsound())?;
        let [key, certificate, authority] = <[pem::Pem; 3]>::try_from(parts).map_err(|_| unsound())?;
        if [key.tag(), certificate.tag(), authority.tag()] != [KEY_TAG, CERTIFICATE_TAG, CERTIFICATE_TAG] {
            return Err(unsound());
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
