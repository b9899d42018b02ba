//! One carrier of frames between two nodes that trust one another: QUIC.
//!
//! An [`Endpoint`] dials, a [`Listener`] is dialled; both share one UDP socket. A [`Connection`] is one ordered control
//! stream and a [`Link`], on which every transfer has a stream of its own, so that a large or stalled one delays nobody.
//!
//! "Connected" is not decided here: in TLS 1.3 a refused dialler only learns so at its first read, so it means that the
//! peer's Hello was answered. Neither does this module know what frames say, nor try again what failed.

mod connection;
mod endpoint;
mod gate;
mod settings;
mod socket;

use std::{io, net::SocketAddr};

pub(crate) use self::{connection::check_protocol, gate::Gate, socket::bind};
pub use self::{
    connection::{CloseCode, Connection, FrameReceiver, FrameSender, Link, Transfer},
    endpoint::{Endpoint, Listener},
    gate::FailedHandshake,
    settings::{ListenerKeys, Settings},
    socket::{Shortage, UdpBuffers},
};
use bitacora_core::ids::NodeId;

use crate::net::{codec::CodecError, tls::TlsError};

/// What can go wrong between opening a socket and reading a frame.
#[derive(Debug, thiserror::Error)]
pub enum QuicError {
    #[error("cannot open UDP socket {address}")]
    Bind { address: SocketAddr, source: io::Error },
    #[error("cannot prepare TLS")]
    Tls(#[from] TlsError),
    #[error("the TLS configuration lacks the cipher that QUIC starts with")]
    Cipher(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
    #[error("the setting {0} is too large for QUIC")]
    Setting(&'static str),
    #[error("cannot begin to connect")]
    Connect(#[from] quinn::ConnectError),
    #[error("the handshake took too long")]
    HandshakeTime,
    #[error("the peer did not agree on the application protocol")]
    Protocol,
    #[error("the peer presented no certificate")]
    NoCertificate,
    #[error("node {found:?} answered where {expected:?} was expected")]
    AnotherNode { expected: NodeId, found: NodeId },
    #[error("the connection is lost")]
    Lost(#[from] quinn::ConnectionError),
    #[error("the peer abandoned the stream with code {0}")]
    Abandoned(quinn::VarInt),
    #[error("the stream was closed here before")]
    StreamClosed,
    #[error("a frame was begun and not ended in time")]
    Slow,
    #[error("the peer sent no proper frame")]
    Codec(#[from] CodecError),
}

impl From<quinn::ReadError> for QuicError {
    fn from(error: quinn::ReadError) -> QuicError {
        match error {
            quinn::ReadError::Reset(code) => QuicError::Abandoned(code),
            quinn::ReadError::ConnectionLost(error) => QuicError::Lost(error),
            quinn::ReadError::ClosedStream => QuicError::StreamClosed,
            quinn::ReadError::IllegalOrderedRead | quinn::ReadError::ZeroRttRejected => unreachable!("neither unordered reads nor early data are used"),
        }
    }
}

impl From<quinn::WriteError> for QuicError {
    fn from(error: quinn::WriteError) -> QuicError {
        match error {
            quinn::WriteError::Stopped(code) => QuicError::Abandoned(code),
            quinn::WriteError::ConnectionLost(error) => QuicError::Lost(error),
            quinn::WriteError::ClosedStream => QuicError::StreamClosed,
            quinn::WriteError::ZeroRttRejected => unreachable!("early data is not used"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
