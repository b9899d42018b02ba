//! The two halves of a stream inside the WebSocket, as whoever uses them has them.

use std::{
    mem,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::{
    OwnedSemaphorePermit, Semaphore,
    mpsc::{UnboundedReceiver, UnboundedSender},
};

use super::{
    CHUNK_BYTES_MAX, End, Ended, WINDOW_BYTES, cost,
    message::{self, Message},
    writer::Order,
};
use crate::net::carrier::{CarrierError, CloseCode};

/// Bytes that were read before room for more is granted; granting it one by one would double the messages.
const CREDIT_BYTES: usize = WINDOW_BYTES / 4;

/// Sends bytes in order. Dropped, it ends the stream as if finished.
#[derive(Debug)]
pub(crate) struct StreamSender {
    pub(super) stream: u32,
    pub(super) queue: Queue,
    /// None once the stream was ended here.
    pub(super) outflow: Option<Arc<Outflow>>,
    pub(super) end: End,
    /// While anybody has one the connection is needed.
    pub(super) _urgent: UnboundedSender<Order>,
    /// One of the streams that may be open at the same time.
    pub(super) _place: Option<Arc<OwnedSemaphorePermit>>,
}

/// Receives bytes in order. Dropped, it asks the peer to stop.
#[derive(Debug)]
pub(crate) struct StreamReceiver {
    pub(super) stream: u32,
    pub(super) pieces: UnboundedReceiver<Piece>,
    pub(super) inflow: Arc<AtomicUsize>,
    /// Read, and not yet granted again.
    pub(super) owed: usize,
    pub(super) urgent: UnboundedSender<Order>,
    pub(super) is_over: bool,
    pub(super) end: End,
}

/// The way to the writer for the chunks of one stream.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub(super) orders: UnboundedSender<Order>,
    /// Chunks that may wait there; this is what bounds the queue.
    pub(super) slots: Arc<Semaphore>,
}

/// What the peer has said of a stream that we send on.
#[derive(Debug)]
pub(super) struct Outflow {
    /// Bytes that it has room for; closed when there is no use in sending more.
    pub(super) credit: Semaphore,
    pub(super) stopped: OnceLock<u32>,
}

/// What arrives on a stream. Its queue is bounded by the stream's window.
#[derive(Debug)]
pub(super) enum Piece {
    Data(Bytes),
    Finished,
    Reset(u32),
}

impl Outflow {
    pub(super) fn new() -> Arc<Outflow> {
        Arc::new(Outflow { credit: Semaphore::new(WINDOW_BYTES), stopped: OnceLock::new() })
    }
}

impl StreamSender {
    /// Takes a chunk from the front, once the peer and the writer have room for it. Cancel-safe: dropped, it has taken none.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<usize, CarrierError> {
        let outflow = self.outflow.as_ref().ok_or(CarrierError::StreamClosed)?;
        let over = || match outflow.stopped.get() {
            Some(code) => CarrierError::Abandoned(u64::from(*code)),
            None => over(&self.end),
        };
        let chunk = &bytes[..bytes.len().min(CHUNK_BYTES_MAX)];
        let credit = outflow.credit.acquire_many(cost(chunk.len()) as u32).await.map_err(|_| over())?;
        // Whoever waits longest is next: that is what makes streams take turns.
        let slot = self.queue.slots.clone().acquire_owned().await.map_err(|_| over())?;
        self.queue.orders.send(Order { bytes: message::data(self.stream, chunk), _slot: Some(slot) }).map_err(|_| over())?;
        credit.forget();
        Ok(chunk.len())
    }

    pub(crate) fn finish(&mut self) -> Result<(), CarrierError> {
        if self.close(&Message::Finish) { Ok(()) } else { Err(CarrierError::StreamClosed) }
    }

    pub(crate) fn abandon(&mut self, code: CloseCode) {
        self.close(&Message::Reset(code as u32));
    }

    /// Ends the stream, once.
    fn close(&mut self, how: &Message) -> bool {
        // Gone before the peer hears of it: it may open another stream in this one's place at once.
        let was_open = self.outflow.take().is_some();
        if was_open {
            // Behind the stream's data. When the writer is gone the peer hears of more than this.
            let _ = self.queue.orders.send(Order::note(self.stream, how));
        }
        was_open
    }
}

impl Drop for StreamSender {
    fn drop(&mut self) {
        self.close(&Message::Finish);
    }
}

impl StreamReceiver {
    /// The next bytes; `None` at the end. Cancel-safe.
    pub(crate) async fn read(&mut self) -> Result<Option<Bytes>, CarrierError> {
        if self.is_over {
            return Ok(None);
        }
        self.grant();
        match self.pieces.recv().await {
            Some(Piece::Data(bytes)) => {
                self.owed += cost(bytes.len());
                Ok(Some(bytes))
            }
            Some(Piece::Finished) => {
                self.is_over = true;
                Ok(None)
            }
            Some(Piece::Reset(code)) => {
                self.is_over = true;
                Err(CarrierError::Abandoned(u64::from(code)))
            }
            None => Err(over(&self.end)),
        }
    }

    fn grant(&mut self) {
        if self.owed >= CREDIT_BYTES {
            let bytes = mem::take(&mut self.owed);
            self.inflow.fetch_add(bytes, Ordering::Relaxed);
            let _ = self.urgent.send(Order::note(self.stream, &Message::Credit(bytes as u32)));
        }
    }
}

impl Drop for StreamReceiver {
    fn drop(&mut self) {
        if !self.is_over {
            let _ = self.urgent.send(Order::note(self.stream, &Message::Stop(CloseCode::Stopping as u32)));
        }
    }
}

/// Why nothing goes any more.
fn over(end: &End) -> CarrierError {
    end.known().unwrap_or(Ended::Broken("its task is gone".to_owned())).into()
}
