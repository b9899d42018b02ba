//! A node joins a fleet with a one-time token, and nobody has to type anything at the master.
//!
//! ```text
//! agent                                                    master
//!   | -- TLS 1.3, no client certificate, bitacora-join/1 ---> |   the chain must end in the authority whose
//!   |                                                         |   fingerprint is in the token, at a node that may be master
//!   | -- JoinRequest: token id, request, proof -------------> |   proof: the agent knows the secret, in this TLS session
//!   |                                                         |   token consumed, certificate signed
//!   | <- JoinAnswer: certificate, authority, proof ---------- |   proof: the master knew it too, and gave exactly these
//! ```
//!
//! Both proofs cover keying material exported from the session, so one that is relayed into another session is worth
//! nothing. The secret itself is never sent. What listens here can do nothing but this: an ordinary connection of the
//! fleet speaks another application protocol and needs a certificate. Both carriers do: UDP and TCP of the same number.

mod agent;
mod master;
mod pinned;
mod proof;
mod token;

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

pub use self::{
    agent::join,
    master::{Candidate, Grant, JoinListener, Joined, Tokens},
    token::{Holder, JoinToken, TokenError, TokenKey},
};
use crate::net::{
    carrier::{CarrierError, Terms},
    codec::Octets,
    strangers,
    tls::TlsError,
};

/// The application protocol of joining, and of nothing else.
pub const ALPN: &[u8] = b"bitacora-join/1";
/// Registered with nobody.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-bitacora-join/1";

/// The port for joining is the one after that for nodes.
const PORT_AFTER: u16 = 1;

/// Where nodes join, of a master whose nodes link at `address`. None where no port follows.
pub fn address_beside(address: SocketAddr) -> Option<SocketAddr> {
    Some(SocketAddr::new(address.ip(), address.port().checked_add(PORT_AFTER)?))
}

/// Requests on one connection; the last one refused closes it.
pub const TRIES_MAX: u32 = 3;
/// For everything that one side waits for from the other after the handshake.
const EXCHANGE_MAX: Duration = Duration::from_secs(10);

/// Why a node did not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error("the connection for joining failed")]
    Carrier(#[from] CarrierError),
    #[error("no address of the master has a port after it, which is the one for joining")]
    NoPort,
    #[error("a certificate for joining cannot be used")]
    Tls(#[from] TlsError),
    #[error("the other side took too long")]
    Time,
    #[error("the other side left before the end")]
    Left,
    #[error("the other side sent something else than the joining asks for")]
    Unexpected,
    #[error("the master refused the token")]
    Refused,
    #[error("the answer does not come from a master that knows the token")]
    MasterProof,
    #[error("no request on the connection was permitted; the last one because {0}")]
    NotPermitted(Refusal),
}

/// Why a request was refused. For the audit at the master: the agent is told no more than that it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("no such token is open")]
    UnknownToken,
    #[error("the proof does not fit")]
    Proof,
    #[error("the certificate signing request is not sound")]
    Request,
    #[error("the token was used or expired meanwhile")]
    Consumed,
    #[error("the certificate could not be signed")]
    Sign,
}

/// A token's proof and a certificate signing request.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    token: Octets,
    request: Octets,
    proof: Octets,
}

/// What makes the agent one of the fleet.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    certificate: Octets,
    authority: Octets,
    proof: Octets,
}

fn terms() -> Terms {
    strangers::terms(ALPN, EXPORTER_LABEL)
}

#[cfg(test)]
mod tests;
