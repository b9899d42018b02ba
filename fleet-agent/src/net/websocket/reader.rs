//! The one task half that reads: gives every message to its stream and ends the connection of a peer that breaks a rule.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream::SplitStream};
use tokio::{
    sync::{
        OwnedSemaphorePermit, Semaphore,
        mpsc::{Sender, UnboundedReceiver, UnboundedSender, WeakUnboundedSender},
    },
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message as Frame;

use super::{
    End, Ended, WINDOW_BYTES, cost,
    message::{self, Message},
    stream::{Outflow, Piece, Queue},
    trunk::{Halves, Socket, halves},
    writer::{CODE_BASE, Order},
};

/// Streams that are opened here at the same time, however many the peer would take.
const PLACES_MAX: usize = 1024;
/// For the peer's own end after ours: a socket that is closed with something unread takes our last words with it.
const DRAIN_MAX: Duration = Duration::from_secs(3);

/// A stream, as the one who reads for all of them knows it.
#[derive(Debug)]
pub(super) struct Entry {
    /// None once the peer has ended its half.
    pub(super) pieces: Option<UnboundedSender<Piece>>,
    /// What the peer may still send.
    pub(super) inflow: Arc<AtomicUsize>,
    /// Gone once our half was ended.
    pub(super) outflow: Weak<Outflow>,
    pub(super) place: Option<Arc<OwnedSemaphorePermit>>,
}

pub(super) struct Reader {
    pub(super) socket: SplitStream<Socket>,
    pub(super) entries: HashMap<u32, Entry>,
    /// Streams that are opened here.
    pub(super) opened: UnboundedReceiver<(u32, Entry)>,
    /// The number of the next stream that the peer opens.
    pub(super) next_theirs: u32,
    pub(super) theirs_max: usize,
    /// For the streams that are opened here; filled once the peer has said how many it takes.
    pub(super) places: Arc<Semaphore>,
    pub(super) has_places: bool,
    pub(super) accepted: Sender<Halves>,
    /// Weak, or the writer would never see that all others are gone.
    pub(super) urgent: WeakUnboundedSender<Order>,
    pub(super) bulk: WeakUnboundedSender<Order>,
    pub(super) bulk_slots: Arc<Semaphore>,
    pub(super) idle_max: Duration,
    pub(super) end: End,
}

impl Reader {
    pub(super) async fn run(mut self) {
        let end = self.end.clone();
        tokio::select! {
            _ = end.come() => {}
            ended = self.read() => end.tell(ended),
        }
        self.entries.values().filter_map(|entry| entry.outflow.upgrade()).for_each(|outflow| outflow.credit.close());
        self.opened.close();
        while let Ok((_, entry)) = self.opened.try_recv() {
            entry.outflow.upgrade().into_iter().for_each(|outflow| outflow.credit.close());
        }
        self.entries.clear();
        let _ = timeout(DRAIN_MAX, async { while let Some(Ok(_)) = self.socket.next().await {} }).await;
    }

    async fn read(&mut self) -> Ended {
        loop {
            let frame = match timeout(self.idle_max, self.socket.next()).await {
                Err(_) => return Ended::Silent,
                Ok(None) => return Ended::Broken("the peer left without a word".to_owned()),
                Ok(Some(Err(error))) => return Ended::Broken(error.to_string()),
                Ok(Some(Ok(frame))) => frame,
            };
            let done = match frame {
                Frame::Binary(bytes) => message::parse(bytes).and_then(|(stream, message)| self.take(stream, message)),
                Frame::Ping(_) | Frame::Pong(_) => Ok(()),
                Frame::Close(frame) => return closed(frame),
                Frame::Text(_) | Frame::Frame(_) => Err(Ended::Misuse("something else than a binary message")),
            };
            if let Err(ended) = done {
                return ended;
            }
        }
    }

    fn take(&mut self, stream: u32, message: Message) -> Result<(), Ended> {
        // What the peer says of a stream comes after the stream was opened here.
        while let Ok((number, entry)) = self.opened.try_recv() {
            self.sweep();
            self.entries.insert(number, entry);
        }
        match message {
            Message::Open => self.open(stream),
            Message::Data(chunk) => {
                let entry = self.entries.get(&stream).ok_or(Ended::Misuse("bytes of a stream that is not open"))?;
                let pieces = entry.pieces.as_ref().ok_or(Ended::Misuse("bytes behind the end of a stream"))?;
                let cost = cost(chunk.len());
                if entry.inflow.load(Ordering::Relaxed) < cost {
                    return Err(Ended::Misuse("more than a stream's window"));
                }
                entry.inflow.fetch_sub(cost, Ordering::Relaxed);
                // Whoever should read it may have gone; the peer was told to stop.
                let _ = pieces.send(Piece::Data(chunk));
                Ok(())
            }
            Message::Finish => self.finish(stream, Piece::Finished),
            Message::Reset(code) => self.finish(stream, Piece::Reset(code)),
            Message::Stop(code) => {
                // It may have been ended here meanwhile.
                if let Some(outflow) = self.outflow(stream) {
                    let _ = outflow.stopped.set(code);
                    outflow.credit.close();
                }
                Ok(())
            }
            Message::Places(streams) => self.take_places(streams),
            Message::Credit(bytes) => self.outflow(stream).map_or(Ok(()), |outflow| credit(&outflow, bytes as usize)),
        }
    }

    fn take_places(&mut self, streams: u32) -> Result<(), Ended> {
        if std::mem::replace(&mut self.has_places, true) {
            return Err(Ended::Misuse("places that were given before"));
        }
        self.places.add_permits((streams as usize).min(PLACES_MAX));
        Ok(())
    }

    fn outflow(&self, stream: u32) -> Option<Arc<Outflow>> {
        self.entries.get(&stream)?.outflow.upgrade()
    }

    fn open(&mut self, stream: u32) -> Result<(), Ended> {
        if stream != self.next_theirs {
            return Err(Ended::Misuse("a stream out of its turn"));
        }
        self.sweep();
        if self.entries.keys().filter(|number| *number % 2 == stream % 2 && **number != 0).count() >= self.theirs_max {
            return Err(Ended::Misuse("more streams than may be open"));
        }
        self.next_theirs = stream.checked_add(2).ok_or(Ended::Misuse("more streams than there are numbers"))?;
        let (Some(urgent), Some(orders)) = (self.urgent.upgrade(), self.bulk.upgrade()) else { return Ok(()) };
        let queue = Queue { orders, slots: self.bulk_slots.clone() };
        let (halves, entry) = halves(stream, queue, urgent, &self.end, None);
        self.entries.insert(stream, entry);
        // Nobody accepts any more when the link itself is gone; dropped, the stream is ended.
        let _ = self.accepted.try_send(halves);
        Ok(())
    }

    fn finish(&mut self, stream: u32, piece: Piece) -> Result<(), Ended> {
        let entry = self.entries.get_mut(&stream).ok_or(Ended::Misuse("the end of a stream that is not open"))?;
        let pieces = entry.pieces.take().ok_or(Ended::Misuse("a second end of a stream"))?;
        let _ = pieces.send(piece);
        entry.place = None;
        if entry.outflow.strong_count() == 0 {
            self.entries.remove(&stream);
        }
        Ok(())
    }

    /// Forgets the streams whose halves have both ended.
    fn sweep(&mut self) {
        self.entries.retain(|_, entry| entry.pieces.is_some() || entry.outflow.strong_count() > 0);
    }
}

/// Nobody is granted more than was sent, so that no sum exceeds the window.
fn credit(outflow: &Outflow, bytes: usize) -> Result<(), Ended> {
    if outflow.credit.available_permits() + bytes > WINDOW_BYTES {
        return Err(Ended::Misuse("more room than there was"));
    }
    outflow.credit.add_permits(bytes);
    Ok(())
}

fn closed(frame: Option<tokio_tungstenite::tungstenite::protocol::CloseFrame>) -> Ended {
    let (code, reason) = frame.map_or((0, String::new()), |frame| (u16::from(frame.code), frame.reason.to_string()));
    Ended::Peer { code: code.saturating_sub(CODE_BASE), reason }
}
