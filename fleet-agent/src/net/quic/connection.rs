//! A connection: its control stream in two halves, and the link on which transfers run.

use std::{mem, net::SocketAddr, time::Duration};

use bytes::{Buf, Bytes};
use quinn::{RecvStream, SendStream, VarInt};
use rustls::pki_types::CertificateDer;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use super::QuicError;
use crate::net::{
    codec::{self, CodecError, Decoder, Kind, Received, RequestId},
    tls::{ALPN, Peer, peer},
};

/// Taken from a stream at once; a frame may span many.
const CHUNK_BYTES_MAX: usize = 64 << 10;
/// Memory that a sender keeps between frames; a rare large one gives back what it took.
const PENDING_KEPT_BYTES: usize = 256 << 10;
/// On a transfer: every frame of one fits, and a node that may have many open holds no more of our memory with each.
const TRANSFER_FRAME_BYTES_MAX: u32 = 1 << 20;
/// Above the transfers, whose priority is 0.
const CONTROL_PRIORITY: i32 = 1;

/// A verified peer with its control stream, whose halves may live in different tasks.
#[derive(Debug)]
pub struct Connection {
    pub link: Link,
    pub tx: FrameSender,
    pub rx: FrameReceiver,
}

/// The connection as a whole. Clones are the same one; it ends when the last clone and stream are gone.
#[derive(Clone, Debug)]
pub struct Link {
    quinn: quinn::Connection,
    peer: Peer,
    frame_max: Duration,
}

/// A stream of its own for one transfer.
#[derive(Debug)]
pub struct Transfer {
    pub tx: FrameSender,
    pub rx: FrameReceiver,
}

/// Sends frames in order. Dropped before [`FrameSender::finish`], it ends the stream as if finished.
#[derive(Debug)]
pub struct FrameSender {
    stream: SendStream,
    pending: Vec<u8>,
    /// How much of `pending` the stream has taken.
    sent: usize,
}

/// Receives frames in order.
#[derive(Debug)]
pub struct FrameReceiver {
    stream: RecvStream,
    decoder: Decoder,
    chunk: Bytes,
    /// When the frame in progress began.
    begun: Option<Instant>,
    frame_max: Duration,
}

/// Why a connection was closed, told to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CloseCode {
    /// The process ends.
    Stopping = 0,
    /// The peer broke the protocol.
    Protocol = 1,
    /// The peer is no longer, or not yet, one of the fleet.
    NotPermitted = 2,
    /// A newer connection with the same peer took over.
    Replaced = 3,
    /// The peer was not heard for too long; it may dial again.
    Silent = 4,
}

impl From<CloseCode> for VarInt {
    fn from(code: CloseCode) -> VarInt {
        VarInt::from_u32(code as u32)
    }
}

impl Connection {
    /// Reads who the verified peer is.
    pub(super) fn new(quinn: quinn::Connection, control: (SendStream, RecvStream), frame_max: Duration) -> Result<Connection, QuicError> {
        check_protocol(&quinn, ALPN)?;
        let chain = quinn.peer_identity().and_then(|chain| chain.downcast::<Vec<CertificateDer<'static>>>().ok());
        let peer = peer(chain.as_deref().and_then(|chain| chain.first()).ok_or(QuicError::NoCertificate)?)?;
        control.0.set_priority(CONTROL_PRIORITY).map_err(|_| QuicError::StreamClosed)?;
        let Transfer { tx, mut rx } = Transfer::over(control, frame_max);
        rx.decoder = Decoder::default();
        Ok(Connection { link: Link { quinn, peer, frame_max }, tx, rx })
    }
}

/// QUIC requires the protocol to be agreed on, so this only fails when a library changes its mind.
pub(crate) fn check_protocol(quinn: &quinn::Connection, expected: &[u8]) -> Result<(), QuicError> {
    let agreed = quinn.handshake_data().and_then(|data| data.downcast::<quinn::crypto::rustls::HandshakeData>().ok());
    match agreed.and_then(|data| data.protocol) {
        Some(protocol) if protocol == expected => Ok(()),
        Some(_) | None => Err(QuicError::Protocol),
    }
}

impl Link {
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Where the peer is now; the side that dialled may move.
    pub fn remote_address(&self) -> SocketAddr {
        self.quinn.remote_address()
    }

    pub fn round_trip(&self) -> Duration {
        self.quinn.rtt()
    }

    /// Opens a stream, which the peer sees with the first frame on it. Waits while the peer's limit is reached.
    pub async fn open_transfer(&self) -> Result<Transfer, QuicError> {
        Ok(Transfer::over(self.quinn.open_bi().await?, self.frame_max))
    }

    /// The next stream that the peer opened. Cancel-safe.
    pub async fn accept_transfer(&self) -> Result<Transfer, QuicError> {
        Ok(Transfer::over(self.quinn.accept_bi().await?, self.frame_max))
    }

    /// Ends the connection at once; frames under way may be lost. `reason` is for people.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.quinn.close(code.into(), reason.as_bytes());
    }

    /// Waits for the end, whoever brings it about.
    pub async fn closed(&self) -> quinn::ConnectionError {
        self.quinn.closed().await
    }
}

impl Transfer {
    pub(crate) fn over((tx, rx): (SendStream, RecvStream), frame_max: Duration) -> Transfer {
        Transfer {
            tx: FrameSender { stream: tx, pending: Vec::new(), sent: 0 },
            rx: FrameReceiver { stream: rx, decoder: Decoder::bounded(TRANSFER_FRAME_BYTES_MAX), chunk: Bytes::new(), begun: None, frame_max },
        }
    }
}

impl FrameSender {
    /// Sends a frame, behind those that are queued.
    pub async fn send<T: Serialize + ?Sized>(&mut self, kind: Kind, request: RequestId, body: &T) -> Result<(), QuicError> {
        self.queue(kind, request, body)?;
        self.flush().await
    }

    /// Encodes a frame and keeps it for [`FrameSender::flush`]: many small frames then share packets and wake-ups.
    pub fn queue<T: Serialize + ?Sized>(&mut self, kind: Kind, request: RequestId, body: &T) -> Result<(), CodecError> {
        codec::encode(kind, request, body, &mut self.pending)
    }

    /// Bytes that wait for a flush; who queues looks at it to stay within bounds.
    pub fn pending_bytes(&self) -> usize {
        self.pending.len() - self.sent
    }

    /// Hands what is queued to the connection, as fast as the peer takes it. Cancel-safe: what is left stays queued.
    pub async fn flush(&mut self) -> Result<(), QuicError> {
        while self.sent < self.pending.len() {
            self.sent += self.stream.write(&self.pending[self.sent..]).await?;
        }
        self.sent = 0;
        self.pending.clear();
        self.pending.shrink_to(PENDING_KEPT_BYTES);
        Ok(())
    }

    /// Sends bytes as they are, without a copy. Not cancel-safe: dropped half-way, the stream is of no more use.
    pub async fn send_raw(&mut self, kind: Kind, request: RequestId, payload: Bytes) -> Result<(), QuicError> {
        let header = codec::header(kind, request, payload.len())?;
        self.pending.extend_from_slice(&header);
        self.flush().await?;
        Ok(self.stream.write_chunk(payload).await?)
    }

    /// Sends what is queued and ends the stream; the peer reads to its end.
    pub async fn finish(mut self) -> Result<(), QuicError> {
        self.flush().await?;
        self.stream.finish().map_err(|_| QuicError::StreamClosed)
    }

    /// Gives up the stream; what was not delivered is dropped.
    pub fn abandon(mut self, code: CloseCode) {
        // Fails when it ended before, which is as well.
        let _ = self.stream.reset(code.into());
    }
}

impl FrameReceiver {
    /// The next frame; `None` when the peer ended the stream between two. Cancel-safe.
    pub async fn receive(&mut self) -> Result<Option<Received>, QuicError> {
        loop {
            if let Some(received) = self.decode()? {
                return Ok(Some(received));
            }
            let read = self.stream.read_chunk(CHUNK_BYTES_MAX, true);
            let chunk = match self.begun {
                None => read.await?,
                Some(begun) => timeout_at(begun + self.frame_max, read).await.map_err(|_| QuicError::Slow)??,
            };
            match chunk {
                Some(chunk) => self.chunk = chunk.bytes,
                None if self.decoder.is_between_frames() => return Ok(None),
                None => return Err(CodecError::Cut.into()),
            }
        }
    }

    fn decode(&mut self) -> Result<Option<Received>, CodecError> {
        let chunk = mem::take(&mut self.chunk);
        let mut rest = &*chunk;
        let received = self.decoder.push(&mut rest)?;
        let taken = chunk.len() - rest.len();
        self.chunk = chunk;
        self.chunk.advance(taken);
        self.begun = if self.decoder.is_between_frames() { None } else { self.begun.or_else(|| Some(Instant::now())) };
        Ok(received)
    }
}
