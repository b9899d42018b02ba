//! Who may speak: TLS 1.3 with both certificates checked against the fleet's one authority.
//!
//! There is no plaintext mode, no flag that skips a check and no resumption: a resumed session would carry yesterday's
//! certificate past today's expiry. A certificate says which node it is and which roles that node is *permitted*; what
//! a node may do right now, and whether it was revoked, is not decided here.

mod authority;
mod grace;
mod identity;
mod peer;
pub mod private_file;

use std::{path::PathBuf, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    version::TLS13,
};

pub use self::{
    authority::{Authority, Fingerprint, Validity, check_request, fingerprint},
    identity::{Identity, NodeKey},
    peer::{Peer, Role, Roles, RolesError, peer},
};
use bitacora_core::ids::NodeId;

/// The application protocol of everything that nodes say to one another. Its version stands in the first bytes of each frame, so that
/// two who cannot talk can still tell one another which ones they speak.
pub const ALPN: &[u8] = b"bitacora";
/// Of nodes that ask for another certificate in place of one that has expired, and of nothing else.
pub const RENEWAL_ALPN: &[u8] = b"bitacora-renew/1";
/// How long after it has expired a certificate is still good for asking for another: a machine may be off over a holiday.
pub const RENEWAL_GRACE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Under it lie the DNS names of all nodes; `.internal` is reserved for private use and never resolves.
const NODE_DOMAIN: &str = "node.bitacora.internal";

/// Why a key, a certificate or a configuration could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("the validity of a certificate does not fit into its dates")]
    Validity,
    #[error("cannot make a key pair")]
    Key(#[source] rcgen::Error),
    #[error("the certificate signing request is not sound")]
    Request(#[source] rcgen::Error),
    #[error("the certificate signing request is not for an ECDSA key on P-256")]
    KeyKind,
    #[error("cannot sign a certificate")]
    Sign(#[source] rcgen::Error),
    #[error("a certificate without a role permits nothing")]
    NoRoles,
    #[error("the system gave no random bytes")]
    Random,
    #[error("a certificate does not parse")]
    Certificate,
    #[error("the certificate does not name exactly one node of a fleet")]
    Names,
    #[error("the certificate's roles are not known")]
    Roles(#[from] RolesError),
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    #[error("the certificate was not signed by the authority beside it")]
    ForeignAuthority,
    #[error("the certificate is no authority's")]
    NotAnAuthority,
    #[error("{0} is not in PEM, or not the key and certificates expected there")]
    Pem(PathBuf),
    #[error("the text is not in PEM, or not the key and certificate of an authority")]
    AuthorityPem,
    #[error("the text is not in PEM, or not the key and certificates of a node")]
    IdentityPem,
    #[error("{path} can be read by others: its mode is {mode:o} and not 600")]
    Exposed { path: PathBuf, mode: u32 },
    #[error("cannot {operation} {path}")]
    Io { operation: &'static str, path: PathBuf, source: std::io::Error },
    #[error("the authority's certificate cannot be a root of trust")]
    Root(#[source] rustls::Error),
    #[error("cannot check the certificates of clients")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    #[error("cannot configure TLS")]
    Config(#[source] rustls::Error),
}

/// For the side that was dialled: asks for a certificate and takes none but the authority's.
pub fn server_config(identity: &Identity) -> Result<ServerConfig, TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(identity.authority())?), provider()).build()?;
    server_config_with(identity, verifier)
}

/// The same for a listener that renews certificates: it also takes one that has expired within [`RENEWAL_GRACE`].
///
/// TLS cannot tell here for which of the two protocols a certificate is shown. So whoever accepts connections by this
/// configuration has to refuse an expired certificate under [`ALPN`]; both carriers do so where they make a `Connection`, and
/// hand over what came under [`RENEWAL_ALPN`] as a type that can do nothing else.
pub(crate) fn listener_config(identity: &Identity) -> Result<ServerConfig, TlsError> {
    let strict = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(identity.authority())?), provider()).build()?;
    let mut config = server_config_with(identity, Arc::new(grace::WithGrace(strict)))?;
    config.alpn_protocols.push(RENEWAL_ALPN.to_vec());
    Ok(config)
}

fn server_config_with(identity: &Identity, verifier: Arc<dyn ClientCertVerifier>) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]).map_err(TlsError::Config)?;
    let builder = builder.with_client_cert_verifier(verifier);
    let config = builder.with_single_cert(vec![identity.certificate().clone()], identity.private_key()).map_err(TlsError::Config)?;
    Ok(without_resumption(config, ALPN))
}

/// For the side that dials. It takes none but the authority's certificates; which node it wants to reach it says with
/// [`node_name`] when it connects, and another node's certificate is refused.
pub fn client_config(identity: &Identity) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]).map_err(TlsError::Config)?;
    let builder = builder.with_root_certificates(roots(identity.authority())?);
    let mut config = builder.with_client_auth_cert(vec![identity.certificate().clone()], identity.private_key()).map_err(TlsError::Config)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// For a node that asks for another certificate, its own having expired.
pub(crate) fn renewal_client_config(identity: &Identity) -> Result<ClientConfig, TlsError> {
    let mut config = client_config(identity)?;
    config.alpn_protocols = vec![RENEWAL_ALPN.to_vec()];
    Ok(config)
}

/// The DNS name in a node's certificate. TLS checks names of hosts and addresses only, so each node has one.
pub fn node_name(node: NodeId) -> String {
    format!("{:016x}.{NODE_DOMAIN}", node.0)
}

/// The same, as TLS wants it.
pub fn server_name(node: NodeId) -> ServerName<'static> {
    ServerName::try_from(node_name(node)).expect("16 digits and a fixed domain are a DNS name")
}

/// A server's configuration without tickets, which skip the check of the client's certificate when they are used.
pub(crate) fn without_resumption(mut config: ServerConfig, alpn: &[u8]) -> ServerConfig {
    config.alpn_protocols = vec![alpn.to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config
}

/// One authority, and no other.
pub(crate) fn roots(authority: &CertificateDer<'static>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).map_err(TlsError::Root)?;
    Ok(roots)
}

/// Named each time, so that no process-wide default decides which cryptography a connection gets.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Random bytes from the system.
pub fn random<const N: usize>() -> Result<[u8; N], TlsError> {
    let mut bytes = [0; N];
    provider().secure_random.fill(&mut bytes).map_err(|_| TlsError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
pub(crate) mod tests;
