//! The one task half that writes: the control stream and what keeps streams flowing first, then the transfers in turn.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt, stream::SplitSink};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc::UnboundedReceiver},
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite::{
    self, Message as Frame,
    protocol::{CloseFrame, frame::coding::CloseCode as FrameCode},
};

use super::{
    End, Ended,
    message::{self, Message},
    trunk::Socket,
};
use crate::net::carrier::CloseCode;

/// For one chunk to leave; a peer always reads, whatever becomes of its streams, so that one that does not is lost.
const STALL_MAX: Duration = Duration::from_secs(30);
/// For the goodbye to leave.
const GOODBYE_MAX: Duration = Duration::from_secs(1);
/// The codes from here on are free for applications: RFC 6455, 7.4.2.
pub(super) const CODE_BASE: u16 = 4000;
/// A close frame holds 125 bytes, two of them for the code.
const REASON_BYTES_MAX: usize = 123;

/// A message to be written.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) bytes: Bytes,
    /// Of a chunk; notes are as many as there are streams, and need none.
    pub(super) _slot: Option<OwnedSemaphorePermit>,
}

impl Order {
    pub(super) fn note(stream: u32, message: &Message) -> Order {
        Order { bytes: message::encode(stream, message), _slot: None }
    }
}

pub(super) struct Writer {
    pub(super) socket: SplitSink<Socket, Frame>,
    pub(super) urgent: UnboundedReceiver<Order>,
    pub(super) bulk: UnboundedReceiver<Order>,
    /// Closed at the end, for those who wait for room.
    pub(super) slots: [Arc<Semaphore>; 2],
    pub(super) keep_alive: Duration,
    pub(super) end: End,
}

impl Writer {
    pub(super) async fn run(mut self) {
        let end = self.end.clone();
        tokio::select! {
            _ = end.come() => {}
            ended = self.carry() => end.tell(ended),
        }
        self.slots.iter().for_each(|slots| slots.close());
        let goodbye = match end.come().await {
            Ended::Here { code, reason } => Some((code, reason)),
            Ended::Misuse(rule) => Some((CloseCode::Protocol, rule.to_owned())),
            Ended::Peer { .. } | Ended::Silent | Ended::Stalled | Ended::Broken(_) => None,
        };
        if let Some((code, reason)) = goodbye {
            let frame = CloseFrame { code: FrameCode::from(CODE_BASE + code as u16), reason: shortened(reason).into() };
            // A peer that does not hear it notices the silence.
            let _ = timeout(GOODBYE_MAX, self.socket.send(Frame::Close(Some(frame)))).await;
        }
    }

    /// Writes what comes until nobody has anything to write any more, or nothing goes.
    async fn carry(&mut self) -> Ended {
        let mut quiet_until = Instant::now() + self.keep_alive;
        loop {
            let next = tokio::select! {
                biased;
                order = self.urgent.recv() => match order {
                    Some(order) => Some(order),
                    // All handles are gone, and what they left is in the other queue.
                    None => match self.bulk.recv().await {
                        Some(order) => Some(order),
                        None => return Ended::Here { code: CloseCode::Stopping, reason: "nobody needs it any more".to_owned() },
                    },
                },
                Some(order) = self.bulk.recv() => Some(order),
                () = sleep_until(quiet_until) => None,
            };
            let is_last = self.urgent.is_empty() && self.bulk.is_empty();
            match timeout(STALL_MAX, self.write(next, is_last)).await {
                Ok(Ok(())) => quiet_until = Instant::now() + self.keep_alive,
                Ok(Err(error)) => return Ended::Broken(error.to_string()),
                Err(_) => return Ended::Stalled,
            }
        }
    }

    async fn write(&mut self, order: Option<Order>, is_last: bool) -> Result<(), tungstenite::Error> {
        let frame = order.map_or_else(|| Frame::Ping(Bytes::new()), |order| Frame::Binary(order.bytes));
        self.socket.feed(frame).await?;
        if is_last { self.socket.flush().await } else { Ok(()) }
    }
}

fn shortened(mut reason: String) -> String {
    let end = (0..=REASON_BYTES_MAX.min(reason.len())).rev().find(|&end| reason.is_char_boundary(end)).unwrap_or(0);
    reason.truncate(end);
    reason
}
