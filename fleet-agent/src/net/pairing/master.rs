//! The master's side: dial the node whose code was typed, prove it, sign what the node asks for.

use std::{net::SocketAddr, time::Duration};

use rustls::pki_types::CertificateSigningRequestDer;

use super::{
    Message, NAME_BYTES_MAX, PairError, PairingCode,
    proof::{self, Keys, Side},
    receive, send, stranger, terms,
};
use crate::net::{
    carrier::{Carrier, Stranger},
    codec::Octets,
    discovery::clean_name,
    join::Grant,
    strangers,
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
    /// The node that calls itself so, and answers there, has proved that it knows the code. It is durable before this returns.
    fn admit(&self, name: String, address: SocketAddr) -> impl Future<Output = Option<Grant>> + Send;

    /// Where the node finds its master from now on.
    fn addresses(&self) -> Vec<SocketAddr>;
}

/// A node that is one of the fleet now, and knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paired {
    pub node: NodeId,
    pub address: SocketAddr,
}

/// Pairs with the node that shows this code: over the first carrier, and at the first of the addresses, that answers.
pub async fn pair(addresses: &[SocketAddr], code: &PairingCode, authority: &Authority, admissions: &impl Admissions) -> Result<Paired, PairError> {
    pair_over(&Carrier::ALL, addresses, code, authority, admissions).await
}

pub(super) async fn pair_over(
    carriers: &[Carrier],
    addresses: &[SocketAddr],
    code: &PairingCode,
    authority: &Authority,
    admissions: &impl Admissions,
) -> Result<Paired, PairError> {
    let mut terms = terms();
    terms.settings.handshake_max = CONNECT_MAX;
    let mut trouble = None;
    for &carrier in carriers {
        for &address in addresses {
            match strangers::dial(address, carrier, stranger::client()?, SERVER_NAME, &terms).await {
                Ok(mut dialled) => {
                    let paired = exchange(&mut dialled.stranger, address, code, authority, admissions).await;
                    dialled.close(CONNECT_MAX).await;
                    return paired.map(|node| Paired { node, address });
                }
                Err(error) => trouble = Some(error),
            }
        }
    }
    Err(PairError::Unreachable(trouble))
}

async fn exchange(
    stranger: &mut Stranger,
    address: SocketAddr,
    code: &PairingCode,
    authority: &Authority,
    admissions: &impl Admissions,
) -> Result<NodeId, PairError> {
    let keys = confirm(stranger, code).await?;
    let stream = &mut stranger.stream;

    let Message::Ask { name, request, proof } = receive(stream).await? else { return Err(PairError::Unexpected) };
    let request = CertificateSigningRequestDer::from(request.0);
    if name.len() > NAME_BYTES_MAX || !proof::fits(keys.asks(&name, &request), &proof.0) {
        return Err(PairError::Stranger);
    }
    // Everything that can fail for the node's fault fails before the node belongs to the fleet.
    check_request(&request)?;
    let grant = admissions.admit(clean_name(&name).unwrap_or_else(|| NAMELESS.into()), address).await.ok_or(PairError::NotAdmitted)?;

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
    send(stream, &give).await.map_err(unconfirmed)?;
    match receive(stream).await.map_err(unconfirmed)? {
        Message::Kept => Ok(grant.node),
        _ => Err(PairError::Unconfirmed { node: grant.node }),
    }
}

async fn confirm(Stranger { stream, material, .. }: &mut Stranger, code: &PairingCode) -> Result<Keys, PairError> {
    let (half, point) = proof::begin(Side::Master, code, material);
    send(stream, &Message::Begin { point: Octets(point) }).await?;
    let Message::Point { point } = receive(stream).await? else { return Err(PairError::Unexpected) };
    let keys = half.finish(&point.0).ok_or(PairError::Unexpected)?;
    send(stream, &Message::Confirm { proof: Octets(keys.knows().as_bytes().to_vec()) }).await?;
    Ok(keys)
}
