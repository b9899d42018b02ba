//! The agent's side: dial, prove, check the answer, be one of the fleet.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use quinn::TokioRuntime;
use rustls::{ClientConfig, client::Resumption, version::TLS13};
use tokio::time::timeout;

use super::{ALPN, Answer, EXCHANGE_MAX, JoinError, JoinToken, Request, pinned::PinnedAuthority, proof, proof::Session, settings};
use crate::net::{
    carrier::{CarrierError, CloseCode, Transfer},
    codec::{Kind, Octets, Received, RequestId},
    quic::{ListenerKeys, bind, check_protocol},
    tls::{Identity, NodeKey, TlsError, fingerprint, provider},
};

/// For SNI; no certificate carries it and nobody compares it.
const SERVER_NAME: &str = "join.bitacora.internal";

/// Joins the fleet whose master listens at `address`. The key stays here; the caller saves the identity.
///
/// The token is spent once the master has answered. When the answer is lost on its way, a new token is needed.
pub async fn join(address: SocketAddr, token: &JoinToken, key: NodeKey) -> Result<Identity, JoinError> {
    let endpoint = open(address, token)?;
    let joined = exchange(&endpoint, address, token, key).await;
    endpoint.close(CloseCode::Stopping.into(), b"done");
    // The master need not hear it: its own limit ends the connection too.
    let _ = timeout(EXCHANGE_MAX, endpoint.wait_idle()).await;
    joined
}

pub(super) fn open(address: SocketAddr, token: &JoinToken) -> Result<quinn::Endpoint, JoinError> {
    let settings = settings();
    let local: SocketAddr = if address.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let (socket, _) = bind(local, settings.udp_buffer_bytes)?;
    let keys = ListenerKeys::fresh()?;
    let endpoint = quinn::Endpoint::new(keys.endpoint_config(), None, socket, Arc::new(TokioRuntime));
    let mut endpoint = endpoint.map_err(|source| CarrierError::Bind { address: local, source })?;
    endpoint.set_default_client_config(settings.client(tls(token)?)?);
    Ok(endpoint)
}

fn tls(token: &JoinToken) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]).map_err(TlsError::Config)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(PinnedAuthority::new(token.authority())));
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

async fn exchange(endpoint: &quinn::Endpoint, address: SocketAddr, token: &JoinToken, key: NodeKey) -> Result<Identity, JoinError> {
    let connecting = endpoint.connect(address, SERVER_NAME).map_err(CarrierError::Connect)?;
    let connection = timeout(EXCHANGE_MAX, connecting).await.map_err(|_| JoinError::Time)?.map_err(CarrierError::Lost)?;
    check_protocol(&connection, ALPN)?;
    let session = Session::of(&connection);
    let mut stream = Transfer::over(connection.open_bi().await.map_err(CarrierError::Lost)?, EXCHANGE_MAX);

    let request = key.request()?;
    let body = Request {
        token: Octets(token.id().0.to_vec()),
        request: Octets(request.to_vec()),
        proof: Octets(proof::agent(&token.key(), session, token.id(), &request).as_bytes().to_vec()),
    };
    stream.tx.send(Kind::JoinRequest, RequestId(1), &body).await?;

    let answer = answer(&mut stream).await?;
    let (certificate, authority) = (answer.certificate.0.into(), answer.authority.0.into());
    let expected = proof::master(&token.key(), session, &request, &certificate, &authority);
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
