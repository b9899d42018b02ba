//! A link between two nodes that trust one another, whatever carries it.
//!
//! An [`Endpoint`] dials, a [`Listener`] is dialled; over UDP by QUIC, over TCP by a WebSocket. A [`Connection`] is one
//! ordered control stream and a [`Link`], on which every transfer has a stream of its own, so that a large or stalled one
//! delays nobody. Limits and certificates are the same on both carriers.
//!
//! "Connected" is not decided here: in TLS 1.3 a refused dialler only learns so at its first read, so it means that the
//! peer's Hello was answered. Neither does this module know what frames say, nor try again what failed.

mod endpoint;
mod frames;
mod stranger;
mod streams;

use std::{io, net::SocketAddr, time::Duration};

use bitacora_core::ids::NodeId;
use quinn::VarInt;

pub(crate) use self::stranger::{Material, Stranger, Terms};
pub use self::{
    endpoint::{Endpoint, Listener},
    frames::{FrameReceiver, FrameSender, Transfer},
};
use crate::net::{
    codec::CodecError,
    tls::{Peer, TlsError},
    websocket::{Ended, Trunk},
};

/// What carries a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    Quic,
    WebSocket,
}

/// A verified peer with its control stream, whose halves may live in different tasks.
#[derive(Debug)]
pub struct Connection {
    pub link: Link,
    pub tx: FrameSender,
    pub rx: FrameReceiver,
}

/// One end of a connection on which a certificate can be renewed, and nothing else done.
#[derive(Debug)]
pub struct Renewal {
    /// As an expired certificate may name it.
    pub peer: Peer,
    pub transfer: Transfer,
    pub link: Link,
}

/// The connection as a whole. Clones are the same one; it ends when the last clone and stream are gone.
#[derive(Clone, Debug)]
pub struct Link {
    way: Way,
    peer: Peer,
    frame_max: Duration,
}

#[derive(Clone, Debug)]
enum Way {
    Quic(quinn::Connection),
    WebSocket(Trunk),
}

/// Why a connection was closed, told to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CloseCode {
    /// The process ends, or nobody needs the connection any more.
    Stopping = 0,
    /// The peer broke the protocol.
    Protocol = 1,
    /// The peer is no longer, or not yet, one of the fleet.
    NotPermitted = 2,
    /// A newer connection with the same peer took over.
    Replaced = 3,
    /// The peer was not heard for too long; it may dial again.
    Silent = 4,
    /// The dialler's certificate has expired; it can be renewed for some time.
    Expired = 5,
}

/// Somebody who was not let in.
#[derive(Debug, thiserror::Error)]
#[error("handshake with {address} failed")]
pub struct FailedHandshake {
    pub address: SocketAddr,
    #[source]
    pub error: CarrierError,
}

/// What can go wrong between opening a socket and reading a frame.
#[derive(Debug, thiserror::Error)]
pub enum CarrierError {
    #[error("cannot open UDP socket {address}")]
    Bind { address: SocketAddr, source: io::Error },
    #[error("cannot listen on TCP socket {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot prepare TLS")]
    Tls(#[from] TlsError),
    #[error("the TLS configuration lacks the cipher that QUIC starts with")]
    Cipher(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
    #[error("the setting {0} is too large for QUIC")]
    Setting(&'static str),
    #[error("cannot begin to connect")]
    Connect(#[from] quinn::ConnectError),
    #[error("cannot connect to {address}")]
    Reach { address: SocketAddr, source: io::Error },
    #[error("the TLS handshake failed")]
    Handshake(#[source] io::Error),
    #[error("the peer does not open a WebSocket")]
    Upgrade(#[source] Box<tokio_tungstenite::tungstenite::Error>),
    #[error("the handshake took too long")]
    HandshakeTime,
    #[error("the peer did not agree on the application protocol")]
    Protocol,
    #[error("the peer presented no certificate")]
    NoCertificate,
    #[error("node {found:?} answered where {expected:?} was expected")]
    AnotherNode { expected: NodeId, found: NodeId },
    #[error("the peer's certificate has expired")]
    Expired,
    #[error("the connection is lost")]
    Lost(#[from] quinn::ConnectionError),
    #[error("the connection is over")]
    Over(#[from] Ended),
    #[error("the peer abandoned the stream with code {0}")]
    Abandoned(u64),
    #[error("the stream was closed here before")]
    StreamClosed,
    #[error("a frame was begun and not ended in time")]
    Slow,
    #[error("the peer sent no proper frame")]
    Codec(#[from] CodecError),
}

impl Carrier {
    pub const ALL: [Carrier; 2] = [Carrier::Quic, Carrier::WebSocket];

    pub const fn name(self) -> &'static str {
        match self {
            Carrier::Quic => "quic",
            Carrier::WebSocket => "websocket",
        }
    }
}

impl Link {
    /// Over a connection whose peer was verified and found to be this one.
    pub(crate) fn over_quic(connection: quinn::Connection, peer: Peer, frame_max: Duration) -> Link {
        Link { way: Way::Quic(connection), peer, frame_max }
    }

    pub(crate) fn over_websocket(trunk: Trunk, peer: Peer, frame_max: Duration) -> Link {
        Link { way: Way::WebSocket(trunk), peer, frame_max }
    }

    pub fn carrier(&self) -> Carrier {
        match &self.way {
            Way::Quic(_) => Carrier::Quic,
            Way::WebSocket(_) => Carrier::WebSocket,
        }
    }

    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Was it this side that dialled?
    pub fn was_dialled_here(&self) -> bool {
        match &self.way {
            Way::Quic(connection) => connection.side().is_client(),
            Way::WebSocket(trunk) => trunk.was_dialled_here(),
        }
    }

    /// Where the peer is now; over QUIC the side that dialled may move.
    pub fn remote_address(&self) -> SocketAddr {
        self.way.remote_address()
    }

    /// There and back, as QUIC estimates it (RFC 9002, 5.3); what lies below a WebSocket does not say.
    pub fn round_trip(&self) -> Option<Duration> {
        match &self.way {
            Way::Quic(connection) => Some(connection.rtt()),
            Way::WebSocket(_) => None,
        }
    }

    /// Opens a stream. Waits while the peer's limit is reached.
    pub async fn open_transfer(&self) -> Result<Transfer, CarrierError> {
        let streams: streams::Streams = match &self.way {
            Way::Quic(connection) => connection.open_bi().await?.into(),
            Way::WebSocket(trunk) => trunk.open().await?.into(),
        };
        Ok(Transfer::over(streams, self.frame_max))
    }

    /// The next stream that the peer opened. Cancel-safe.
    pub async fn accept_transfer(&self) -> Result<Transfer, CarrierError> {
        let streams: streams::Streams = match &self.way {
            Way::Quic(connection) => connection.accept_bi().await?.into(),
            Way::WebSocket(trunk) => trunk.accept().await?.into(),
        };
        Ok(Transfer::over(streams, self.frame_max))
    }

    /// Ends the connection at once; frames under way may be lost. `reason` is for people.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.way.close(code, reason);
    }

    /// Waits for the end, whoever brings it about.
    pub async fn closed(&self) -> CarrierError {
        self.way.closed().await
    }
}

impl Way {
    fn remote_address(&self) -> SocketAddr {
        let mut address = match self {
            Way::Quic(connection) => connection.remote_address(),
            Way::WebSocket(trunk) => trunk.remote_address(),
        };
        // A socket of both families tells an address of the older one in the form of the newer.
        address.set_ip(address.ip().to_canonical());
        address
    }

    fn close(&self, code: CloseCode, reason: &str) {
        match self {
            Way::Quic(connection) => connection.close(code.into(), reason.as_bytes()),
            Way::WebSocket(trunk) => trunk.close(code, reason),
        }
    }

    async fn closed(&self) -> CarrierError {
        match self {
            Way::Quic(connection) => connection.closed().await.into(),
            Way::WebSocket(trunk) => trunk.closed().await.into(),
        }
    }
}

impl CarrierError {
    /// The code with which the peer closed the connection, if that is how it ended.
    pub fn close_code(&self) -> Option<u64> {
        match self {
            CarrierError::Lost(quinn::ConnectionError::ApplicationClosed(close)) => Some(close.error_code.into_inner()),
            CarrierError::Over(Ended::Peer { code, .. }) => Some(u64::from(*code)),
            _ => None,
        }
    }

    /// Does one end not take the other for what its certificate says? By TLS's alerts about certificates (RFC 8446, 6.2), which QUIC counts from 256
    /// on (RFC 9001, 4.8).
    pub fn is_distrust(&self) -> bool {
        let is_alert = |code: u64| matches!(code, 298..=305 | 372);
        match self {
            CarrierError::Lost(quinn::ConnectionError::TransportError(error)) => is_alert(error.code.into()),
            CarrierError::Lost(quinn::ConnectionError::ConnectionClosed(close)) => is_alert(close.error_code.into()),
            CarrierError::Handshake(error) => {
                let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
                matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
            }
            CarrierError::NoCertificate | CarrierError::AnotherNode { .. } | CarrierError::Expired => true,
            _ => false,
        }
    }
}

impl From<CloseCode> for VarInt {
    fn from(code: CloseCode) -> VarInt {
        VarInt::from_u32(code as u32)
    }
}

impl From<quinn::ReadError> for CarrierError {
    fn from(error: quinn::ReadError) -> CarrierError {
        match error {
            quinn::ReadError::Reset(code) => CarrierError::Abandoned(code.into_inner()),
            quinn::ReadError::ConnectionLost(error) => CarrierError::Lost(error),
            quinn::ReadError::ClosedStream => CarrierError::StreamClosed,
            quinn::ReadError::IllegalOrderedRead | quinn::ReadError::ZeroRttRejected => unreachable!("neither unordered reads nor early data are used"),
        }
    }
}

impl From<quinn::WriteError> for CarrierError {
    fn from(error: quinn::WriteError) -> CarrierError {
        match error {
            quinn::WriteError::Stopped(code) => CarrierError::Abandoned(code.into_inner()),
            quinn::WriteError::ConnectionLost(error) => CarrierError::Lost(error),
            quinn::WriteError::ClosedStream => CarrierError::StreamClosed,
            quinn::WriteError::ZeroRttRejected => unreachable!("early data is not used"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
