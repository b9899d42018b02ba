//! Certificates are short-lived; a node asks for its next one in time, for a new key, and its master signs.
//!
//! A node that is linked asks over its link. One that was off until after its certificate had expired dials with an
//! application protocol on which nothing else can be asked for, within [`RENEWAL_GRACE`]; after that it has to join again.
//! Either way the old certificate names the node and its roles, and whether the node belongs to the fleet the loop is
//! asked. The new certificate never names more than the old one.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use bitacora_core::ids::NodeId;
use quinn::{ConnectionError, TransportErrorCode};
use rustls::{AlertDescription, pki_types::CertificateSigningRequestDer};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;

use super::{
    carrier::{Carrier, CarrierError, CloseCode, Endpoint, Link, Transfer},
    codec::{CodecError, Frame, Kind, Octets, Received, RequestId},
    tls::{Authority, Identity, NodeKey, Peer, RENEWAL_GRACE, TlsError, Validity, check_request},
};

/// For the whole of it; the master asks its loop and signs.
pub const EXCHANGE_MAX: Duration = Duration::from_secs(10);
/// Of rustls, when it is shown a certificate that has expired: RFC 8446, alert 45.
const ALERT_EXPIRED: u8 = 45;

/// Why a certificate was not renewed.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    #[error("the connection failed")]
    Carrier(#[from] CarrierError),
    #[error("the master sent what cannot be read")]
    Codec(#[from] CodecError),
    #[error("the certificate or its place cannot be used")]
    Tls(#[from] TlsError),
    #[error("the master did not answer in time")]
    Time,
    #[error("the master refused: {0}")]
    Refused(String),
    #[error("the certificate expired more than {} days ago", RENEWAL_GRACE.as_secs() / 86_400)]
    TooLate,
    #[error("the master sent something else than a later certificate for this node and its roles")]
    Unexpected,
}

#[derive(Debug, Serialize, Deserialize)]
struct Request {
    request: Octets,
}

#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    certificate: Octets,
}

/// A node's identity as it is now, and where it is kept.
#[derive(Debug)]
pub struct Credentials {
    identity: Identity,
    folder: PathBuf,
}

impl Credentials {
    pub fn new(identity: Identity, folder: &Path) -> Credentials {
        Credentials { identity, folder: folder.to_owned() }
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub fn is_due(&self, now: SystemTime) -> bool {
        self.identity.peer().is_due(now)
    }

    pub fn has_expired(&self, now: SystemTime) -> bool {
        self.identity.peer().expires <= now
    }

    /// On the disk first: a key that is lost after it was used would leave a node that nobody knows.
    pub fn replace(&mut self, identity: Identity, endpoint: &mut Endpoint) -> Result<(), RenewalError> {
        identity.save(&self.folder)?;
        endpoint.renew(&identity)?;
        self.identity = identity;
        Ok(())
    }
}

/// Over the link of a node whose certificate still holds.
pub async fn renew(link: &Link, identity: &Identity) -> Result<Identity, RenewalError> {
    let transfer = timeout(EXCHANGE_MAX, link.open_transfer()).await.map_err(|_| RenewalError::Time)??;
    ask(transfer, identity).await
}

/// By a dial of its own, for a node whose certificate has expired.
pub async fn renew_expired(endpoint: &Endpoint, carrier: Carrier, master: SocketAddr, identity: &Identity) -> Result<Identity, RenewalError> {
    match endpoint.dial_for_renewal(carrier, master, NodeId::HERE).await {
        // By QUIC the handshake is over here, and who refuses the certificate is the master.
        Ok(dialled) => {
            let renewed = ask(dialled.transfer, identity).await.map_err(|error| too_late(error, is_refused_by_quic));
            dialled.link.close(CloseCode::Stopping, "done");
            renewed
        }
        Err(error) => Err(too_late(error.into(), is_refused_by_tcp)),
    }
}

/// The master's TLS took the certificate no more. Nobody else is believed that: it ends the node.
fn too_late(error: RenewalError, is_refused: impl Fn(&CarrierError) -> bool) -> RenewalError {
    match &error {
        RenewalError::Carrier(failed) if is_refused(failed) => RenewalError::TooLate,
        _ => error,
    }
}

fn is_refused_by_quic(failed: &CarrierError) -> bool {
    matches!(failed, CarrierError::Lost(ConnectionError::ConnectionClosed(close)) if close.error_code == TransportErrorCode::crypto(ALERT_EXPIRED))
}

/// After TLS: an alert before its end could be anybody's.
fn is_refused_by_tcp(failed: &CarrierError) -> bool {
    let CarrierError::Upgrade(failed) = failed else { return false };
    let tungstenite::Error::Io(failed) = &**failed else { return false };
    let alert = failed.get_ref().and_then(|source| source.downcast_ref::<rustls::Error>());
    matches!(alert, Some(rustls::Error::AlertReceived(AlertDescription::CertificateExpired)))
}

async fn ask(mut transfer: Transfer, identity: &Identity) -> Result<Identity, RenewalError> {
    let key = NodeKey::generate()?;
    let body = Request { request: Octets(key.request()?.to_vec()) };
    transfer.tx.send(Kind::RenewalRequest, RequestId(1), &body).await?;
    let frame = match timeout(EXCHANGE_MAX, transfer.rx.receive()).await.map_err(|_| RenewalError::Time)?? {
        Some(Received::Frame(frame)) => frame,
        Some(Received::Unsupported(_)) | None => return Err(RenewalError::Unexpected),
    };
    match frame.kind {
        Kind::RenewalAnswer => {}
        Kind::Refused => return Err(RenewalError::Refused(frame.body()?)),
        _ => return Err(RenewalError::Unexpected),
    }
    let answer: Answer = frame.body()?;
    let renewed = Identity::new(key, answer.certificate.0.into(), identity.authority().clone())?;
    let (before, after) = (identity.peer(), renewed.peer());
    let fits = (before.node, before.roles) == (after.node, after.roles) && after.expires > before.expires;
    fits.then_some(renewed).ok_or(RenewalError::Unexpected)
}

/// The master's answer to a request. `permit` asks whether the node belongs to the fleet.
pub async fn answer(
    transfer: &mut Transfer,
    frame: &Frame,
    peer: Peer,
    authority: &Authority,
    permit: impl Future<Output = Option<Validity>>,
) -> Result<(), CarrierError> {
    let body: Request = frame.body()?;
    let request = CertificateSigningRequestDer::from(body.request.0);
    // Before anybody is asked: a request that is not sound is nobody's renewal.
    let signed = match check_request(&request) {
        Err(_) => Err("the certificate signing request is not sound"),
        Ok(()) => match permit.await {
            None => Err("this node does not belong to the fleet, or not any more"),
            Some(validity) => authority.sign(&request, peer.node, peer.roles, validity).map_err(|_| "the certificate could not be signed"),
        },
    };
    match signed {
        Ok(certificate) => transfer.tx.send(Kind::RenewalAnswer, frame.request, &Answer { certificate: Octets(certificate.to_vec()) }).await,
        Err(reason) => transfer.tx.send(Kind::Refused, frame.request, reason).await,
    }
}

#[cfg(test)]
mod tests;
