//! The master's side: dial the node whose code was typed, prove it, sign what the node asks for.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use quinn::TokioRuntime;
use rustls::pki_types::CertificateSigningRequestDer;
use tokio::time::timeout;

use super::{
    ALPN, EXCHANGE_MAX, Message, NAME_BYTES_MAX, PairError, PairingCode,
    proof::{self, Keys, Session, Side},
    receive, send, stranger,
};
use crate::net::{
    carrier::{CarrierError, CloseCode, Transfer},
    codec::Octets,
    discovery::clean_name,
    join::{Grant, STRANGER_BYTES_MAX, settings},
    quic::{ListenerKeys, bind, check_protocol},
    tls::{Authority, check_request},
};
use bitacora_core::ids::NodeId;

/// For one of the addresses; there may be several that lead nowhere.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// For SNI; no certificate carries it and nobody compares it.
const SERVER_NAME: &str = "pair.bitacora.internal";
/// Of a node that calls itself nothing that can be shown.
const NAMELESS: &str = "node";

/// Who decides who belongs to the fleet.
pub trait Admissions {
    /// The node that calls itself so has proved that it knows the code. It is durable before this returns.
    fn admit(&self, name: String) -> impl Future<Output = Option<Grant>> + Send;

    /// Where the node finds its master from now on.
    fn addresses(&self) -> Vec<SocketAddr>;
}

/// A node that is one of the fleet now, and knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paired {
    pub node: NodeId,
    pub address: SocketAddr,
}

/// Pairs with the node that shows this code, at the first of the addresses that answers.
pub async fn pair(addresses: &[SocketAddr], code: &PairingCode, authority: &Authority, admissions: &impl Admissions) -> Result<Paired, PairError> {
    let mut trouble = None;
    for &address in addresses {
        match connect(address).await {
            Ok((endpoint, connection)) => {
                let paired = exchange(&connection, code, authority, admissions).await;
                endpoint.close(CloseCode::Stopping.into(), b"done");
                // The node need not hear it: its own limit ends the connection too.
                let _ = timeout(CONNECT_MAX, endpoint.wait_idle()).await;
                return paired.map(|node| Paired { node, address });
            }
            Err(PairError::Carrier(error)) => trouble = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(PairError::Unreachable(trouble))
}

async fn connect(address: SocketAddr) -> Result<(quinn::Endpoint, quinn::Connection), PairError> {
    let settings = settings();
    let local: SocketAddr = if address.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let (socket, _) = bind(local, settings.udp_buffer_bytes)?;
    let keys = ListenerKeys::fresh()?;
    let endpoint = quinn::Endpoint::new(keys.endpoint_config(), None, socket, Arc::new(TokioRuntime));
    let endpoint = endpoint.map_err(|source| CarrierError::Bind { address: local, source })?;
    let connecting = endpoint.connect_with(settings.client(stranger::client()?)?, address, SERVER_NAME).map_err(CarrierError::Connect)?;
    let connection = timeout(CONNECT_MAX, connecting).await.map_err(|_| CarrierError::HandshakeTime)?.map_err(CarrierError::Lost)?;
    check_protocol(&connection, ALPN)?;
    Ok((endpoint, connection))
}

async fn exchange(connection: &quinn::Connection, code: &PairingCode, authority: &Authority, admissions: &impl Admissions) -> Result<NodeId, PairError> {
    let session = Session::of(connection);
    let streams = connection.open_bi().await.map_err(CarrierError::Lost)?;
    let mut stream = Transfer::with_stranger(streams, EXCHANGE_MAX, STRANGER_BYTES_MAX);
    let keys = confirm(&mut stream, code, session).await?;

    let Message::Ask { name, request, proof } = receive(&mut stream).await? else { return Err(PairError::Unexpected) };
    let request = CertificateSigningRequestDer::from(request.0);
    if name.len() > NAME_BYTES_MAX || !proof::fits(keys.asks(&name, &request), &proof.0) {
        return Err(PairError::Stranger);
    }
    // Everything that can fail for the node's fault fails before the node belongs to the fleet.
    check_request(&request)?;
    let grant = admissions.admit(clean_name(&name).unwrap_or_else(|| NAMELESS.into())).await.ok_or(PairError::NotAdmitted)?;

    let unconfirmed = |_| PairError::Unconfirmed { node: grant.node };
    let certificate = authority.sign(&request, grant.node, grant.roles, grant.validity)?;
    let addresses: Vec<String> = admissions.addresses().iter().map(ToString::to_string).collect();
    let proof = keys.gives(&request, &certificate, authority.certificate(), &addresses);
    let give = Message::Give {
        certificate: Octets(certificate.to_vec()),
        authority: Octets(authority.certificate().to_vec()),
        addresses,
        proof: Octets(proof.as_bytes().to_vec()),
    };
    send(&mut stream, &give).await.map_err(unconfirmed)?;
    match receive(&mut stream).await.map_err(unconfirmed)? {
        Message::Kept => Ok(grant.node),
        _ => Err(PairError::Unconfirmed { node: grant.node }),
    }
}

async fn confirm(stream: &mut Transfer, code: &PairingCode, session: Session) -> Result<Keys, PairError> {
    let (half, point) = proof::begin(Side::Master, code, session);
    send(stream, &Message::Begin { point: Octets(point) }).await?;
    let Message::Point { point } = receive(stream).await? else { return Err(PairError::Unexpected) };
    let keys = half.finish(&point.0).ok_or(PairError::Unexpected)?;
    send(stream, &Message::Confirm { proof: Octets(keys.knows().as_bytes().to_vec()) }).await?;
    Ok(keys)
}
