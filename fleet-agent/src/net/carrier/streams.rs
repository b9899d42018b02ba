//! The two halves of a stream on either carrier: bytes in order, an end, and a flow that the reader controls.

use bytes::Bytes;
use quinn::{RecvStream, SendStream};

use super::{CarrierError, CloseCode};
use crate::net::{
    quic::CONTROL_PRIORITY,
    websocket::{StreamReceiver, StreamSender},
};

/// Taken from a stream at once; a frame may span many.
const CHUNK_BYTES_MAX: usize = 64 << 10;

/// Both halves of one stream.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(super) tx: Sending,
    pub(super) rx: Receiving,
}

#[derive(Debug)]
pub(super) enum Sending {
    Quic(SendStream),
    WebSocket(StreamSender),
}

#[derive(Debug)]
pub(super) enum Receiving {
    Quic(RecvStream),
    WebSocket(StreamReceiver),
}

impl From<(SendStream, RecvStream)> for Streams {
    fn from((tx, rx): (SendStream, RecvStream)) -> Streams {
        Streams { tx: Sending::Quic(tx), rx: Receiving::Quic(rx) }
    }
}

impl From<(StreamSender, StreamReceiver)> for Streams {
    fn from((tx, rx): (StreamSender, StreamReceiver)) -> Streams {
        Streams { tx: Sending::WebSocket(tx), rx: Receiving::WebSocket(rx) }
    }
}

impl Sending {
    /// Takes bytes from the front, as many as there is room for. Cancel-safe: dropped, it has taken none.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<usize, CarrierError> {
        match self {
            Sending::Quic(stream) => Ok(stream.write(bytes).await?),
            Sending::WebSocket(stream) => stream.write(bytes).await,
        }
    }

    /// Takes all of them; without a copy where the carrier needs none.
    pub(super) async fn write_chunk(&mut self, bytes: Bytes) -> Result<(), CarrierError> {
        match self {
            Sending::Quic(stream) => Ok(stream.write_chunk(bytes).await?),
            Sending::WebSocket(stream) => {
                let mut rest = &*bytes;
                while !rest.is_empty() {
                    rest = &rest[stream.write(rest).await?..];
                }
                Ok(())
            }
        }
    }

    /// Nothing of a transfer is sent before what is here. A WebSocket takes turns.
    pub(super) fn go_first(&self) -> Result<(), CarrierError> {
        match self {
            Sending::Quic(stream) => stream.set_priority(CONTROL_PRIORITY).map_err(|_| CarrierError::StreamClosed),
            Sending::WebSocket(_) => Ok(()),
        }
    }

    pub(super) fn finish(&mut self) -> Result<(), CarrierError> {
        match self {
            Sending::Quic(stream) => stream.finish().map_err(|_| CarrierError::StreamClosed),
            Sending::WebSocket(stream) => stream.finish(),
        }
    }

    pub(super) fn abandon(&mut self, code: CloseCode) {
        match self {
            // Fails when it ended before, which is as well.
            Sending::Quic(stream) => drop(stream.reset(code.into())),
            Sending::WebSocket(stream) => stream.abandon(code),
        }
    }
}

impl Receiving {
    /// The next bytes; `None` at the end. Cancel-safe.
    pub(super) async fn read(&mut self) -> Result<Option<Bytes>, CarrierError> {
        match self {
            Receiving::Quic(stream) => Ok(stream.read_chunk(CHUNK_BYTES_MAX, true).await?.map(|chunk| chunk.bytes)),
            Receiving::WebSocket(stream) => stream.read().await,
        }
    }
}
