//! The agent's side: dial, prove, check the answer, be one of the fleet.

use std::{io, net::SocketAddr, sync::Arc};

use rustls::{ClientConfig, client::Resumption, version::TLS13};
use tokio::time::timeout;

use super::{ALPN, Answer, EXCHANGE_MAX, JoinError, JoinToken, Request, address_beside, pinned::PinnedAuthority, proof, terms};
use crate::net::{
    carrier::{Carrier, CarrierError, CloseCode, Stranger, Transfer},
    codec::{Kind, Octets, Received, RequestId},
    strangers::{self, Dialled},
    tls::{Identity, NodeKey, TlsError, fingerprint, provider},
};

/// For SNI; no certificate carries it and nobody compares it.
pub(super) const SERVER_NAME: &str = "join.bitacora.internal";

/// Joins the fleet whose master's nodes link at one of these addresses: over the first carrier, and at the first address, where
/// somebody listens. Whoever has seen the token is the last to be asked. The caller saves the identity.
///
/// The token is spent once the master has answered. When the answer is lost on its way, a new token is needed.
pub async fn join(masters: &[SocketAddr], carriers: &[Carrier], token: &JoinToken) -> Result<Identity, JoinError> {
    let mut failed = JoinError::NoPort;
    for carrier in carriers {
        for address in masters.iter().filter_map(|master| address_beside(*master)) {
            match dial(address, *carrier, token).await {
                Ok(dialled) => return over(dialled, token).await,
                // That somebody was there and is not our master says more than that elsewhere is nobody.
                Err(error) if failed.is_unreached() => failed = error,
                Err(_) => {}
            }
        }
    }
    Err(failed)
}

async fn over(mut dialled: Dialled, token: &JoinToken) -> Result<Identity, JoinError> {
    let joined = exchange(&mut dialled.stranger, token, NodeKey::generate()?).await;
    dialled.close(EXCHANGE_MAX).await;
    joined
}

pub(super) async fn dial(address: SocketAddr, carrier: Carrier, token: &JoinToken) -> Result<Dialled, JoinError> {
    Ok(strangers::dial(address, carrier, tls(token)?, SERVER_NAME, &terms()).await?)
}

fn tls(token: &JoinToken) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]).map_err(TlsError::Config)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(PinnedAuthority::new(token.authority())));
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

async fn exchange(stranger: &mut Stranger, token: &JoinToken, key: NodeKey) -> Result<Identity, JoinError> {
    let request = key.request()?;
    let body = Request {
        token: Octets(token.id().0.to_vec()),
        request: Octets(request.to_vec()),
        proof: Octets(proof::agent(&token.key(), &stranger.material, token.id(), &request).as_bytes().to_vec()),
    };
    stranger.stream.tx.send(Kind::JoinRequest, RequestId(1), &body).await?;

    let answer = answer(&mut stranger.stream).await?;
    let (certificate, authority) = (answer.certificate.0.into(), answer.authority.0.into());
    let expected = proof::master(&token.key(), &stranger.material, &request, &certificate, &authority);
    if !proof::fits(expected, &answer.proof.0) || fingerprint(&authority) != token.authority() {
        return Err(JoinError::MasterProof);
    }
    Ok(Identity::new(key, certificate, authority)?)
}

async fn answer(stream: &mut Transfer) -> Result<Answer, JoinError> {
    let received = timeout(EXCHANGE_MAX, stream.rx.receive()).await.map_err(|_| JoinError::Time)?;
    match received {
        Ok(Some(Received::Frame(frame))) if frame.kind == Kind::JoinAnswer => Ok(frame.body().map_err(CarrierError::Codec)?),
        Ok(Some(Received::Frame(frame))) if frame.kind == Kind::Refused => Err(JoinError::Refused),
        // A master that has refused enough closes, and the closing may overtake the last refusal.
        Err(error) if error.close_code() == Some(CloseCode::NotPermitted as u64) => Err(JoinError::Refused),
        Ok(Some(Received::Frame(_) | Received::Unsupported(_))) => Err(JoinError::Unexpected),
        Ok(None) => Err(JoinError::Left),
        Err(error) => Err(error.into()),
    }
}

impl JoinError {
    /// Was nobody there, as far as one can tell from outside? A port that lets nobody in looks like one that nobody listens on.
    pub fn is_unreached(&self) -> bool {
        match self {
            JoinError::NoPort => true,
            JoinError::Carrier(CarrierError::Handshake(error)) => error.kind() != io::ErrorKind::InvalidData,
            JoinError::Carrier(error) => matches!(
                error,
                CarrierError::Connect(_) | CarrierError::Lost(_) | CarrierError::Reach { .. } | CarrierError::HandshakeTime | CarrierError::Upgrade(_)
            ),
            _ => false,
        }
    }
}
