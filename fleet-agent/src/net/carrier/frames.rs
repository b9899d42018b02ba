//! Frames over one stream: the control stream of a connection, or that of a transfer.

use std::{mem, time::Duration};

use bytes::{Buf, Bytes};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use super::{
    CarrierError, CloseCode, Connection, Link, Renewal,
    streams::{Receiving, Sending, Streams},
};
use crate::net::codec::{self, CodecError, Decoder, Kind, Received, RequestId};

/// Memory that a sender keeps between frames; a rare large one gives back what it took.
const PENDING_KEPT_BYTES: usize = 256 << 10;
/// On a transfer: every frame of one fits, and a node that may have many open holds no more of our memory with each.
const TRANSFER_FRAME_BYTES_MAX: u32 = 1 << 20;

/// A stream of its own for one transfer.
#[derive(Debug)]
pub struct Transfer {
    pub tx: FrameSender,
    pub rx: FrameReceiver,
}

/// Sends frames in order. Dropped before [`FrameSender::finish`], it ends the stream as if finished.
#[derive(Debug)]
pub struct FrameSender {
    stream: Sending,
    pending: Vec<u8>,
    /// How much of `pending` the stream has taken.
    sent: usize,
}

/// Receives frames in order.
#[derive(Debug)]
pub struct FrameReceiver {
    stream: Receiving,
    decoder: Decoder,
    chunk: Bytes,
    /// When the frame in progress began.
    begun: Option<Instant>,
    frame_max: Duration,
}

impl Connection {
    /// A link and the stream on which the two sides talk.
    pub(crate) fn new(link: Link, control: Streams) -> Connection {
        let (tx, rx) = halves(control, Decoder::default(), link.frame_max);
        Connection { link, tx, rx }
    }
}

impl Renewal {
    /// A link and its first stream, for which nothing but a renewal is expected.
    pub(crate) fn new(link: Link, stream: impl Into<Streams>) -> Renewal {
        Renewal { peer: link.peer(), transfer: Transfer::over(stream, link.frame_max), link }
    }
}

impl Transfer {
    pub(crate) fn over(streams: impl Into<Streams>, frame_max: Duration) -> Transfer {
        let (tx, rx) = halves(streams.into(), Decoder::bounded(TRANSFER_FRAME_BYTES_MAX), frame_max);
        Transfer { tx, rx }
    }

    /// With somebody who was not let in yet, and may send small frames only.
    pub(crate) fn with_stranger(streams: impl Into<Streams>, frame_max: Duration, bytes_max: u32) -> Transfer {
        let (tx, rx) = halves(streams.into(), Decoder::bounded(bytes_max), frame_max);
        Transfer { tx, rx }
    }
}

fn halves(Streams { tx, rx }: Streams, decoder: Decoder, frame_max: Duration) -> (FrameSender, FrameReceiver) {
    let sender = FrameSender { stream: tx, pending: Vec::new(), sent: 0 };
    (sender, FrameReceiver { stream: rx, decoder, chunk: Bytes::new(), begun: None, frame_max })
}

impl FrameSender {
    /// Before all transfers, as what is said on the control stream.
    pub fn go_first(&self) -> Result<(), CarrierError> {
        self.stream.go_first()
    }

    /// Sends a frame, behind those that are queued.
    pub async fn send<T: Serialize + ?Sized>(&mut self, kind: Kind, request: RequestId, body: &T) -> Result<(), CarrierError> {
        self.queue(kind, request, body)?;
        self.flush().await
    }

    /// Encodes a frame and keeps it for [`FrameSender::flush`]: many small frames then share packets and wake-ups.
    pub fn queue<T: Serialize + ?Sized>(&mut self, kind: Kind, request: RequestId, body: &T) -> Result<(), CodecError> {
        codec::encode(kind, request, body, &mut self.pending)
    }

    /// Bytes as no honest peer sends them.
    #[cfg(test)]
    pub(super) fn queue_bytes(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// Bytes that wait for a flush; who queues looks at it to stay within bounds.
    pub fn pending_bytes(&self) -> usize {
        self.pending.len() - self.sent
    }

    /// Hands what is queued to the connection, as fast as the peer takes it. Cancel-safe: what is left stays queued.
    pub async fn flush(&mut self) -> Result<(), CarrierError> {
        while self.sent < self.pending.len() {
            self.sent += self.stream.write(&self.pending[self.sent..]).await?;
        }
        self.sent = 0;
        self.pending.clear();
        self.pending.shrink_to(PENDING_KEPT_BYTES);
        Ok(())
    }

    /// Sends bytes as they are. Not cancel-safe: dropped half-way, the stream is of no more use.
    pub async fn send_raw(&mut self, kind: Kind, request: RequestId, payload: Bytes) -> Result<(), CarrierError> {
        let header = codec::header(kind, request, payload.len())?;
        self.pending.extend_from_slice(&header);
        self.flush().await?;
        self.stream.write_chunk(payload).await
    }

    /// Sends what is queued and ends the stream; the peer reads to its end.
    pub async fn finish(mut self) -> Result<(), CarrierError> {
        self.flush().await?;
        self.stream.finish()
    }

    /// Gives up the stream; what was not delivered is dropped.
    pub fn abandon(mut self, code: CloseCode) {
        self.stream.abandon(code);
    }
}

impl FrameReceiver {
    /// The next frame; `None` when the peer ended the stream between two. Cancel-safe.
    pub async fn receive(&mut self) -> Result<Option<Received>, CarrierError> {
        loop {
            if let Some(received) = self.decode()? {
                return Ok(Some(received));
            }
            let read = self.stream.read();
            let chunk = match self.begun {
                None => read.await?,
                Some(begun) => timeout_at(begun + self.frame_max, read).await.map_err(|_| CarrierError::Slow)??,
            };
            match chunk {
                Some(chunk) => self.chunk = chunk,
                None if self.decoder.is_between_frames() => return Ok(None),
                None => return Err(CodecError::Cut.into()),
            }
        }
    }

    /// The next frame if it has arrived as a whole already: what came in one piece can be taken without waiting in between.
    pub fn arrived(&mut self) -> Result<Option<Received>, CodecError> {
        self.decode()
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
