//! The two proofs: BLAKE3 with a key from the token, over this TLS session and what is exchanged in it.
//!
//! Each side has a key of its own, so that neither proof can be sent back as the other.

use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer};

use bitacora_core::ids::TokenId;

use super::TokenKey;
use crate::net::carrier::Material;

/// The agent knows the token and asks for this, here.
pub(super) fn agent(key: &TokenKey, session: &Material, token: TokenId, request: &CertificateSigningRequestDer<'_>) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_keyed(&key.agent);
    hasher.update(session).update(&token.0).update(blake3::hash(request).as_bytes()).finalize()
}

/// The master knew the token and answers that request with these.
pub(super) fn master(
    key: &TokenKey,
    session: &Material,
    request: &CertificateSigningRequestDer<'_>,
    certificate: &CertificateDer<'_>,
    authority: &CertificateDer<'_>,
) -> blake3::Hash {
    // Each part has a fixed length, so no two lists of parts make the same bytes.
    let mut hasher = blake3::Hasher::new_keyed(&key.master);
    hasher.update(session);
    for part in [request.as_ref(), certificate.as_ref(), authority.as_ref()] {
        hasher.update(blake3::hash(part).as_bytes());
    }
    hasher.finalize()
}

/// Compares in a time that does not depend on where they differ, as [`blake3::Hash`] does.
pub(super) fn fits(expected: blake3::Hash, presented: &[u8]) -> bool {
    <[u8; 32]>::try_from(presented).is_ok_and(|presented| expected == presented)
}
