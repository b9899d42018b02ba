//! One connection that carries many streams: who holds it opens, accepts and closes.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicUsize},
};

use futures_util::StreamExt;
use tokio::{
    net::TcpStream,
    sync::{
        Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore,
        mpsc::{self, Receiver, UnboundedSender},
    },
};
use tokio_rustls::TlsStream;
use tokio_tungstenite::WebSocketStream;

use super::{
    End, Ended, WINDOW_BYTES,
    message::Message,
    reader::{Entry, Reader},
    stream::{Outflow, Queue, StreamReceiver, StreamSender},
    writer::{Order, Writer},
};
use crate::net::{
    carrier::{CarrierError, CloseCode},
    quic::Settings,
};

pub(super) type Socket = WebSocketStream<TlsStream<TcpStream>>;
pub(super) type Halves = (StreamSender, StreamReceiver);

/// Chunks of all transfers that wait for the writer; what a command waits for at most, beside what the system holds.
const BULK_CHUNKS_MAX: usize = 4;
/// Chunks of the control stream that wait likewise.
const CONTROL_CHUNKS_MAX: usize = 16;
const CONTROL: u32 = 0;

/// Which side of a connection this is; it decides who opens which streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Dialler,
    Listener,
}

/// A connection. Clones are the same one; it ends when the last clone and the last half of a stream are gone.
#[derive(Clone, Debug)]
pub(crate) struct Trunk(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    urgent: UnboundedSender<Order>,
    bulk: Queue,
    /// The number of the next stream that is opened here.
    next_ours: Mutex<u32>,
    opened: UnboundedSender<(u32, Entry)>,
    /// Streams that may be open at the same time.
    places: Arc<Semaphore>,
    accepted: AsyncMutex<Receiver<Halves>>,
    address: SocketAddr,
    side: Side,
    end: End,
}

impl Trunk {
    /// Takes over a socket. Answers with the trunk, its control stream, and what must be run for both to live.
    pub(super) fn start(socket: Socket, address: SocketAddr, side: Side, settings: &Settings) -> (Trunk, Halves, impl Future<Output = ()> + Send + use<>) {
        let end = End::new();
        let (urgent, urgent_orders) = mpsc::unbounded_channel();
        let (bulk, bulk_orders) = mpsc::unbounded_channel();
        let streams_max = settings.transfers_max as usize;
        let (opened_tx, opened) = mpsc::unbounded_channel();
        let (accepted_tx, accepted) = mpsc::channel(streams_max.max(1));
        let (control_slots, bulk_slots) = (Arc::new(Semaphore::new(CONTROL_CHUNKS_MAX)), Arc::new(Semaphore::new(BULK_CHUNKS_MAX)));
        let control_queue = Queue { orders: urgent.clone(), slots: control_slots.clone() };
        let (control, entry) = halves(CONTROL, control_queue, urgent.clone(), &end, None);
        let (sink, source) = socket.split();
        let places = Arc::new(Semaphore::new(0));
        // The first message; what reads the queue is made below.
        let _ = urgent.send(Order::note(CONTROL, &Message::Places(settings.transfers_max)));
        let (next_ours, next_theirs) = match side {
            Side::Dialler => (2, 1),
            Side::Listener => (1, 2),
        };
        let reader = Reader {
            socket: source,
            entries: HashMap::from([(CONTROL, entry)]),
            opened,
            next_theirs,
            theirs_max: streams_max,
            places: places.clone(),
            has_places: false,
            accepted: accepted_tx,
            urgent: urgent.downgrade(),
            bulk: bulk.downgrade(),
            bulk_slots: bulk_slots.clone(),
            idle_max: settings.idle_max,
            end: end.clone(),
        };
        let slots = [control_slots, bulk_slots.clone()];
        let writer = Writer { socket: sink, urgent: urgent_orders, bulk: bulk_orders, slots, keep_alive: settings.keep_alive, end: end.clone() };
        let shared = Shared {
            urgent,
            bulk: Queue { orders: bulk, slots: bulk_slots },
            next_ours: Mutex::new(next_ours),
            opened: opened_tx,
            places,
            accepted: AsyncMutex::new(accepted),
            address,
            side,
            end,
        };
        let life = async move {
            tokio::join!(reader.run(), writer.run());
        };
        (Trunk(Arc::new(shared)), control, life)
    }

    pub(super) fn end(&self) -> End {
        self.0.end.clone()
    }

    pub(crate) fn was_dialled_here(&self) -> bool {
        self.0.side == Side::Dialler
    }

    pub(crate) fn remote_address(&self) -> SocketAddr {
        self.0.address
    }

    /// Opens a stream, once there is a place for it.
    pub(crate) async fn open(&self) -> Result<Halves, CarrierError> {
        let place = tokio::select! {
            ended = self.0.end.come() => return Err(ended.into()),
            place = self.0.places.clone().acquire_owned() => place.expect("nobody closes it"),
        };
        match self.begin(place)? {
            Some(halves) => Ok(halves),
            None => Err(self.closed().await.into()),
        }
    }

    /// None when nobody reads or writes any more. Numbers go out in their order, which is what the lock is for.
    fn begin(&self, place: OwnedSemaphorePermit) -> Result<Option<Halves>, CarrierError> {
        let Shared { next_ours, opened, urgent, bulk, end, .. } = &*self.0;
        let mut next = next_ours.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = *next;
        *next = stream.checked_add(2).ok_or(CarrierError::StreamClosed)?;
        let (halves, entry) = halves(stream, bulk.clone(), urgent.clone(), end, Some(Arc::new(place)));
        let is_known = opened.send((stream, entry)).is_ok() && bulk.orders.send(Order::note(stream, &Message::Open)).is_ok();
        Ok(is_known.then_some(halves))
    }

    /// The next stream that the peer opened. Cancel-safe.
    pub(crate) async fn accept(&self) -> Result<Halves, CarrierError> {
        let mut accepted = self.0.accepted.lock().await;
        match accepted.recv().await {
            Some(halves) => Ok(halves),
            None => Err(self.0.end.come().await.into()),
        }
    }

    pub(crate) fn close(&self, code: CloseCode, reason: &str) {
        self.0.end.tell(Ended::Here { code, reason: reason.to_owned() });
    }

    pub(crate) async fn closed(&self) -> Ended {
        self.0.end.come().await
    }
}

/// A stream: its halves, and what the reader must know of it.
pub(super) fn halves(stream: u32, queue: Queue, urgent: UnboundedSender<Order>, end: &End, place: Option<Arc<OwnedSemaphorePermit>>) -> (Halves, Entry) {
    let (pieces_tx, pieces) = mpsc::unbounded_channel();
    let (inflow, outflow) = (Arc::new(AtomicUsize::new(WINDOW_BYTES)), Outflow::new());
    let entry = Entry { pieces: Some(pieces_tx), inflow: inflow.clone(), outflow: Arc::downgrade(&outflow), place: place.clone() };
    let sender = StreamSender { stream, queue, outflow: Some(outflow), end: end.clone(), _urgent: urgent.clone(), _place: place };
    let receiver = StreamReceiver { stream, pieces, inflow, owed: 0, urgent, is_over: false, end: end.clone() };
    ((sender, receiver), entry)
}
