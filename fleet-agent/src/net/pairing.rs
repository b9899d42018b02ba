//! A node becomes one of the fleet because a person typed, at the master, the code that the node shows.
//!
//! ```text
//! agent                                                    master
//!   | <--- TLS 1.3, nobody known to anybody, bitacora-pair/1 - |   the person has typed the code
//!   | <- Begin: a point of SPAKE2 ---------------------------- |
//!   | -- Point: the other one -------------------------------> |
//!   | <- Confirm: the master knows the code ------------------ |   counted by the agent if wrong: three tries, five minutes
//!   | -- Ask: name, certificate request, confirmation -------> |   the agent knows it too; the journal has the node from here on
//!   | <- Give: certificate, authority, addresses, confirmation |
//!   | -- Kept -----------------------------------------------> |   on the agent's disk
//! ```
//!
//! The code is never sent, nor anything by which it could be found out but by trying it here. The TLS session is one between
//! strangers; both confirmations cover keying material exported from it, so that nobody sits in the middle of it. It is the
//! master who confirms first: an agent that is none gets one guess for each time that a person types a code, and a master that
//! is none gets three for each code. Both carriers do: UDP and TCP of the same number.

mod agent;
mod code;
mod door;
mod master;
mod proof;
mod stranger;

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

pub use self::{
    agent::{Admission, PairListener, Trouble},
    code::{CodeError, PairingCode},
    door::Rules,
    master::{Admissions, Paired, pair},
};
use crate::net::{
    carrier::{CarrierError, Terms, Transfer},
    codec::{Kind, Octets, Received, RequestId},
    strangers,
    tls::TlsError,
};
use bitacora_core::ids::NodeId;

/// The application protocol of pairing, and of nothing else.
pub const ALPN: &[u8] = b"bitacora-pair/1";
/// Registered with nobody.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-bitacora-pair/1";
/// Addresses of its master that a node is told.
pub const MASTERS_MAX: usize = 8;
/// For everything that one side waits for from the other after the handshake.
const EXCHANGE_MAX: Duration = Duration::from_secs(10);
/// A name with its characters of up to four bytes; cut down once it is known whose it is.
const NAME_BYTES_MAX: usize = 256;

/// Why a node was not paired.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    #[error("no address of the node answers")]
    Unreachable(#[source] Option<CarrierError>),
    #[error("the connection for pairing failed")]
    Carrier(#[from] CarrierError),
    #[error("a certificate for pairing cannot be used")]
    Tls(#[from] TlsError),
    #[error("the other side took too long")]
    Time,
    #[error("the other side left before the end")]
    Left,
    #[error("the other side sent something else than the pairing asks for")]
    Unexpected,
    #[error("{0}")]
    Refused(Refusal),
    #[error("the other side does not know the code")]
    Stranger,
    #[error("the node was not taken into the fleet")]
    NotAdmitted,
    #[error("{node} was taken into the fleet and did not say that it knows")]
    Unconfirmed { node: NodeId },
}

/// Why an agent does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    #[error("the code is wrong; {tries_left} tries are left with this one")]
    Wrong { tries_left: u32 },
    #[error("the node takes no code for another {seconds} s, after wrong ones")]
    NotNow { seconds: u32 },
    #[error("the node shows another code by now")]
    Over,
    #[error("the node is being paired, or belongs to a fleet already")]
    Taken,
}

/// All that is said on the one stream.
#[derive(Debug, Serialize, Deserialize)]
enum Message {
    Begin { point: Octets },
    Point { point: Octets },
    Confirm { proof: Octets },
    Refused(Refusal),
    Ask { name: String, request: Octets, proof: Octets },
    Give { certificate: Octets, authority: Octets, addresses: Vec<String>, proof: Octets },
    Kept,
}

/// Where a node looks for its master, the likeliest first: from where it dialled, and as it told.
pub fn masters(from: SocketAddr, told: &[SocketAddr]) -> Vec<SocketAddr> {
    let dialled = told.first().map(|told| {
        let mut dialled = from;
        // It dialled from another port than the one on which it listens.
        dialled.set_port(told.port());
        dialled
    });
    let mut masters: Vec<SocketAddr> = Vec::new();
    // What the master calls itself on its own machine is somebody else here, unless it is this one.
    let is_elsewhere = |address: &SocketAddr| address.ip().is_loopback() && !from.ip().is_loopback();
    for address in dialled.into_iter().chain(told.iter().copied()) {
        if !is_elsewhere(&address) && !masters.contains(&address) && masters.len() < MASTERS_MAX {
            masters.push(address);
        }
    }
    masters
}

fn terms() -> Terms {
    strangers::terms(ALPN, EXPORTER_LABEL)
}

async fn send(stream: &mut Transfer, message: &Message) -> Result<(), PairError> {
    timeout(EXCHANGE_MAX, stream.tx.send(Kind::Pairing, RequestId(0), message)).await.map_err(|_| PairError::Time)??;
    Ok(())
}

async fn receive(stream: &mut Transfer) -> Result<Message, PairError> {
    match timeout(EXCHANGE_MAX, stream.rx.receive()).await.map_err(|_| PairError::Time)?? {
        Some(Received::Frame(frame)) if frame.kind == Kind::Pairing => match frame.body().map_err(CarrierError::Codec)? {
            Message::Refused(refusal) => Err(PairError::Refused(refusal)),
            message => Ok(message),
        },
        Some(Received::Frame(_) | Received::Unsupported(_)) => Err(PairError::Unexpected),
        None => Err(PairError::Left),
    }
}

#[cfg(test)]
mod tests;
