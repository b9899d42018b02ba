//! The carrier for where UDP does not get through: a WebSocket over TLS 1.3 over TCP, with streams in it.
//!
//! ```text
//! 0        4    5
//! | stream | op | payload …        one binary message of the WebSocket
//!   u32 LE   u8
//! ```
//!
//! Stream 0 is the control stream; the dialler opens the even ones after it, the other side the odd ones. A stream's bytes
//! are cut into chunks, and chunks of several streams take turns, those of the control stream first: a command waits for
//! chunks and never for a transfer. Each stream has a window that its reader grants, so that one that nobody reads holds
//! little memory and stops nobody else.
//!
//! What breaks these rules ends the connection. There is no second way to do anything here: no compression, no text.

mod endpoint;
mod gate;
mod lives;
mod message;
mod reader;
pub(crate) mod stranger;
mod stream;
mod trunk;
mod writer;

use std::sync::Arc;

use tokio::sync::watch;

pub use self::endpoint::{Endpoint, Listener};
pub(crate) use self::{
    gate::Gate,
    lives::Lives,
    stream::{StreamReceiver, StreamSender},
    trunk::Trunk,
};
use crate::net::carrier::CloseCode;

/// Of a stream in one message: what a command may have to wait for while a transfer is on its way.
const CHUNK_BYTES_MAX: usize = 32 << 10;
/// What a chunk costs of its stream's window beyond its bytes, so that many small ones hold no more memory than few large.
const CHUNK_COST_BYTES: usize = 256;
/// Sent and not yet read, on one stream: 100 Mbit/s over 80 ms.
const WINDOW_BYTES: usize = 1 << 20;

/// Why a connection is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    #[error("closed here: {reason}")]
    Here { code: CloseCode, reason: String },
    #[error("closed by the peer with code {code}: {reason}")]
    Peer { code: u16, reason: String },
    #[error("nothing came from the peer for too long")]
    Silent,
    #[error("the peer took nothing for too long")]
    Stalled,
    #[error("the peer broke the rules of streams: {0}")]
    Misuse(&'static str),
    #[error("the connection broke: {0}")]
    Broken(String),
}

/// The end of a connection, told once, by whoever notices it first.
#[derive(Clone, Debug)]
struct End(Arc<watch::Sender<Option<Ended>>>);

impl End {
    fn new() -> End {
        End(Arc::new(watch::channel(None).0))
    }

    fn tell(&self, ended: Ended) {
        self.0.send_if_modified(|known| {
            let is_first = known.is_none();
            known.get_or_insert(ended);
            is_first
        });
    }

    fn known(&self) -> Option<Ended> {
        self.0.borrow().clone()
    }

    /// Waits for it.
    async fn come(&self) -> Ended {
        let mut seen = self.0.subscribe();
        let ended = seen.wait_for(Option::is_some).await.expect("its sender is here");
        ended.clone().expect("it was waited for")
    }
}

/// What a chunk takes of its stream's window.
const fn cost(chunk_bytes: usize) -> usize {
    chunk_bytes + CHUNK_COST_BYTES
}

#[cfg(test)]
mod tests;
