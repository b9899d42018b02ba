//! The fleet's authority: one self-signed certificate, and the key that signs its nodes' certificates.
//!
//! It takes from a request the public key and nothing else: names, roles and dates come from the caller.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKey, PublicKeyData, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivatePkcs8KeyDer};

use super::{Roles, TlsError, identity::parse_certificate, node_name, peer::node_uri, random};
use bitacora_core::ids::NodeId;

/// 9999-12-31, after which a certificate has no way to write a date.
const UNIX_SECONDS_MAX: u64 = 253_402_300_799;
/// Of a point on P-256, uncompressed: the name of the signature's algorithm does not tell the curve.
const PUBLIC_KEY_BYTES: usize = 65;
/// Of serial numbers; 20 are allowed.
const SERIAL_BYTES: usize = 16;

const CERTIFICATE_TAG: &str = "CERTIFICATE";
const KEY_TAG: &str = "PRIVATE KEY";

/// From when and for how long a certificate holds. Begin a few minutes early: clocks of nodes differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub not_before: SystemTime,
    pub span: Duration,
}

/// The BLAKE3 hash of a certificate, by which an authority is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

/// Signs the certificates of a fleet's nodes.
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// Never shows the key.
impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("fingerprint", &self.fingerprint()).finish_non_exhaustive()
    }
}

impl Authority {
    /// A new one, whose certificate carries `name` for people.
    pub fn create(name: &str, validity: Validity) -> Result<Authority, TlsError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(TlsError::Key)?;
        let mut params = dated(validity)?;
        params.distinguished_name.push(DnType::CommonName, DnValue::Utf8String(name.to_owned()));
        // Signs nodes and never another authority.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).map_err(TlsError::Sign)?.into();
        Ok(Authority { certificate, issuer: Issuer::new(params, key) })
    }

    /// From what [`Authority::to_pem`] wrote.
    pub fn from_pem(text: &str) -> Result<Authority, TlsError> {
        let parts = pem::parse_many(text).map_err(|_| TlsError::AuthorityPem)?;
        match parts.as_slice() {
            [key, certificate] if key.tag() == KEY_TAG && certificate.tag() == CERTIFICATE_TAG => Authority::from_der(certificate.contents(), key.contents()),
            _ => Err(TlsError::AuthorityPem),
        }
    }

    /// From a certificate and its key in PKCS #8.
    pub fn from_der(certificate: &[u8], private_key: &[u8]) -> Result<Authority, TlsError> {
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(private_key), &PKCS_ECDSA_P256_SHA256).map_err(TlsError::Key)?;
        let parsed = parse_certificate(certificate)?;
        if !parsed.is_ca() {
            return Err(TlsError::NotAnAuthority);
        }
        if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(TlsError::KeyMismatch);
        }
        let certificate = CertificateDer::from(certificate.to_vec());
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|_| TlsError::Certificate)?;
        Ok(Authority { certificate, issuer })
    }

    /// The key and the certificate, in the clear: whoever stores it encrypts it.
    pub fn to_pem(&self) -> String {
        pem::encode_many(&[pem::Pem::new(KEY_TAG, self.issuer.key().serialized_der()), pem::Pem::new(CERTIFICATE_TAG, self.certificate.as_ref())])
    }

    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.certificate)
    }

    /// Signs for `node` the key in `request`, which the node proves to have by signing the request with it.
    pub fn sign(
        &self,
        request: &CertificateSigningRequestDer<'_>,
        node: NodeId,
        roles: Roles,
        validity: Validity,
    ) -> Result<CertificateDer<'static>, TlsError> {
        if roles.is_empty() {
            return Err(TlsError::NoRoles);
        }
        let key = requested_key(request)?;
        let mut params = dated(validity)?;
        let name = |text: String| text.try_into().expect("hexadecimal digits and fixed words are ASCII");
        params.distinguished_name.push(DnType::CommonName, DnValue::Utf8String(node_name(node)));
        params.subject_alt_names = vec![SanType::DnsName(name(node_name(node))), SanType::URI(name(node_uri(node, roles)))];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // Either side may dial.
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        Ok(params.signed_by(&key, &self.issuer).map_err(TlsError::Sign)?.into())
    }
}

/// Would an authority sign this?
pub fn check_request(request: &CertificateSigningRequestDer<'_>) -> Result<(), TlsError> {
    requested_key(request).map(drop)
}

/// The key in a request that was signed with it. Everything else in the request is left there.
fn requested_key(request: &CertificateSigningRequestDer<'_>) -> Result<PublicKey, TlsError> {
    let key = CertificateSigningRequestParams::from_der(request).map_err(TlsError::Request)?.public_key;
    if PublicKeyData::algorithm(&key) != &PKCS_ECDSA_P256_SHA256 || key.der_bytes().len() != PUBLIC_KEY_BYTES {
        return Err(TlsError::KeyKind);
    }
    Ok(key)
}

/// Of an authority's certificate in DER.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> Fingerprint {
    Fingerprint(*blake3::hash(certificate).as_bytes())
}

/// A certificate with its dates and a serial number of its own. The library's default number is a hash of the public
/// key, which a renewal would repeat.
fn dated(validity: Validity) -> Result<CertificateParams, TlsError> {
    let start = validity.not_before.duration_since(UNIX_EPOCH).map_err(|_| TlsError::Validity)?;
    let end = start.checked_add(validity.span).filter(|end| end.as_secs() <= UNIX_SECONDS_MAX).ok_or(TlsError::Validity)?;
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let mut serial: [u8; SERIAL_BYTES] = random()?;
    // Positive and not zero in DER.
    serial[0] = (serial[0] & 0x7f) | 0x40;
    let mut params = CertificateParams::default();
    params.not_before = epoch + Duration::from_secs(start.as_secs());
    params.not_after = epoch + Duration::from_secs(end.as_secs());
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = rcgen::DistinguishedName::new();
    Ok(params)
}
