//! The links to the nodes of the fleet: lets in who belongs to it, carries messages both ways, serves contents and takes packs.
//!
//! Runs on threads of its own. One task owns all links; the master's loop sends it commands and hears of it by events.
//! Nothing is decided here: who belongs to the fleet, and which contents may be asked for, the loop publishes.

use std::{
    collections::{BTreeSet, HashMap},
    io::Read,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use bitacora_core::{
    ids::{Digest, NodeId},
    paths::RelativePath,
    wire::{Envelope, FromAgent, ToAgent, command::OUTPUT_BYTES_MAX},
};
use fleet_agent::{
    blobs::{self, Blobs},
    link::Greeting,
    net::{
        codec::{Kind, Received, RequestId},
        join::{Grant, JoinListener, TokenId, TokenKey, Tokens},
        quic::{CloseCode, Connection, Endpoint, FrameSender, Link, ListenerKeys, QuicError, Settings, Transfer},
        tls::{Authority, Identity, Role},
        transfer::{self, Blob, BlobKind, Offered, TransferError, Wanted},
    },
    pack::Pack,
    root::Root,
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    task::JoinSet,
    time::timeout,
};

/// Commands of the loop that wait for the links; the loop waits beyond that.
const COMMANDS_MAX: usize = 16_384;
/// Messages that wait for one node; more are lost on the way, and sent again when its heartbeat does not list them.
const LINE_MAX: usize = 4096;
/// For a node's Hello, once it is connected.
const HELLO_MAX: Duration = Duration::from_secs(5);
/// The port for joining is the one after that for nodes.
const JOIN_PORT_AFTER: u16 = 1;
/// What a pack of one spark's records may weigh: its files have four megabytes, or are one file.
const PACK_BYTES_MAX: u64 = 64 << 20;
/// Packs that are received at the same time, from all nodes: times the above, what they may take of memory.
const PACKS_AT_ONCE: usize = 8;
/// Who wants to join and has not proved anything yet; more are sent away.
const CANDIDATES_MAX: usize = 32;
/// For the last words to those who are connected.
const SHUTDOWN_MAX: Duration = Duration::from_secs(4);

/// What the links tell the loop.
pub enum LinkEvent {
    Received {
        node: NodeId,
        message: Envelope<FromAgent>,
    },
    Lost {
        node: NodeId,
    },
    /// Somebody who wants to join names a token.
    TokenNamed {
        token: TokenId,
        answer: oneshot::Sender<Option<TokenKey>>,
    },
    /// And has proved that it knows it.
    TokenProved {
        token: TokenId,
        answer: oneshot::Sender<Option<Grant>>,
    },
}

/// Takes events; answers whether there was room.
pub type Deliver = Arc<dyn Fn(LinkEvent) -> bool + Send + Sync>;

/// The contents that nodes may ask for: those of the trees that are being analysed.
#[derive(Debug)]
pub struct Shelf {
    root: Root,
    /// The same content may lie at several places.
    paths: HashMap<Digest, Vec<RelativePath>>,
}

impl Shelf {
    pub fn new(root: Root, paths: HashMap<Digest, Vec<RelativePath>>) -> Shelf {
        Shelf { root, paths }
    }

    fn knows(&self, name: Digest) -> bool {
        self.paths.contains_key(&name)
    }

    /// The bytes of that name, if one of its files still has them.
    fn read(&self, name: Digest) -> Option<Vec<u8>> {
        self.paths.get(&name)?.iter().find_map(|path| {
            let mut bytes = Vec::new();
            self.root.file(path).ok()?.take(transfer::BLOB_BYTES_MAX).read_to_end(&mut bytes).ok()?;
            (blobs::digest(&bytes) == name).then_some(bytes)
        })
    }
}

/// What the loop publishes.
#[derive(Clone, Default)]
struct Published {
    admitted: Arc<BTreeSet<NodeId>>,
    shelves: Arc<Vec<Arc<Shelf>>>,
}

enum Command {
    Send { to: NodeId, message: Envelope<ToAgent> },
    Disconnect { node: NodeId },
}

#[derive(Debug, thiserror::Error)]
pub enum LinksError {
    #[error("cannot start the network's threads")]
    Threads(#[source] std::io::Error),
    #[error("cannot listen for nodes")]
    Listen(#[from] QuicError),
    #[error("cannot listen for nodes that join")]
    Join(#[from] fleet_agent::net::join::JoinError),
    #[error("the port {0} has none after it for nodes that join")]
    Port(u16),
}

/// The running links. Dropping them says goodbye to every node.
pub struct Links {
    commands: mpsc::Sender<Command>,
    published: watch::Sender<Published>,
    address: SocketAddr,
    endpoint: Endpoint,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Links {
    /// Listens on `address` for nodes, and on the next port for those that join.
    pub fn open(
        address: SocketAddr,
        identity: &Identity,
        authority: Authority,
        keys: &ListenerKeys,
        stores: Stores,
        deliver: Deliver,
    ) -> Result<Links, LinksError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(LinksError::Threads)?;
        let entered = runtime.enter();
        let (endpoint, listener) = Endpoint::open(address, identity, keys, Settings::default())?;
        let address = endpoint.local_address().map_err(LinksError::Threads)?;
        let port = address.port().checked_add(JOIN_PORT_AFTER).ok_or(LinksError::Port(address.port()))?;
        let joining = JoinListener::open(SocketAddr::new(address.ip(), port), identity)?;
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let (published, seen) = watch::channel(Published::default());
        drop(entered);
        runtime.spawn(let_join(joining, Arc::new(authority), deliver.clone()));
        runtime.spawn(switch(listener, inbox, Shared { published: seen, stores, receiving: Arc::new(Semaphore::new(PACKS_AT_ONCE)), deliver }));
        Ok(Links { commands, published, address, endpoint, runtime: Some(runtime) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn send(&self, to: NodeId, message: Envelope<ToAgent>) {
        // Links that have ended are noticed by everybody's silence.
        let _ = self.commands.blocking_send(Command::Send { to, message });
    }

    pub fn disconnect(&self, node: NodeId) {
        let _ = self.commands.blocking_send(Command::Disconnect { node });
    }

    /// From now on these nodes are let in, and no others.
    pub fn admit(&self, nodes: impl Iterator<Item = NodeId>) {
        let admitted: BTreeSet<NodeId> = nodes.collect();
        self.published.send_if_modified(|published| {
            let changed = *published.admitted != admitted;
            published.admitted = Arc::new(admitted);
            changed
        });
    }

    /// From now on contents come from these shelves.
    pub fn shelve(&self, shelves: Vec<Arc<Shelf>>) {
        self.published.send_modify(|published| published.shelves = Arc::new(shelves));
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.block_on(self.endpoint.close_cleanly());
            runtime.shutdown_timeout(SHUTDOWN_MAX);
        }
    }
}

/// Where what nodes deliver is kept.
#[derive(Clone, Debug)]
pub struct Stores {
    pub packs: Blobs,
    pub logs: Blobs,
}

/// What every session has.
#[derive(Clone)]
struct Shared {
    published: watch::Receiver<Published>,
    stores: Stores,
    receiving: Arc<Semaphore>,
    deliver: Deliver,
}

impl Shared {
    fn tell(&self, event: LinkEvent) {
        // A loop that is behind loses messages, as a network does; they are said again.
        let _ = (self.deliver)(event);
    }
}

/// What is written to a node, by a task of its own: a node that does not read must not keep us from reading.
enum Outgoing {
    Message(Envelope<ToAgent>),
    /// A frame of this request was of a kind that is not known here.
    Unsupported(RequestId),
}

/// A node that is linked.
struct Line {
    messages: mpsc::Sender<Outgoing>,
    link: Link,
    /// Tells this link from an earlier one of the same node.
    number: u64,
}

/// Owns all links.
async fn switch(mut listener: fleet_agent::net::quic::Listener, mut commands: mpsc::Receiver<Command>, shared: Shared) {
    let (mut lines, mut sessions, mut number) = (HashMap::<NodeId, Line>::new(), JoinSet::new(), 0);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                None => return,
                // Whoever could not shake hands is nobody.
                Some(Err(_)) => {}
                Some(Ok(connection)) => {
                    number += 1;
                    if let Some(line) = begin(connection, number, &shared, &mut sessions) {
                        let node = line.link.peer().node;
                        if let Some(earlier) = lines.insert(node, line) {
                            earlier.link.close(CloseCode::Replaced, "a newer link took over");
                        }
                    }
                }
            },
            command = commands.recv() => match command {
                None => return,
                Some(Command::Send { to, message }) => {
                    if let Some(line) = lines.get(&to) {
                        let _ = line.messages.try_send(Outgoing::Message(message));
                    }
                }
                Some(Command::Disconnect { node }) => {
                    if let Some(line) = lines.remove(&node) {
                        line.link.close(CloseCode::NotPermitted, "removed from the fleet");
                    }
                }
            },
            Some(ended) = sessions.join_next() => {
                let (node, ended) = ended.expect("a session neither panics nor is ended while the links live");
                if lines.get(&node).is_some_and(|line| line.number == ended) {
                    lines.remove(&node);
                    shared.tell(LinkEvent::Lost { node });
                }
            }
        }
    }
}

/// Begins a session with a node that belongs to the fleet; shows the door to others.
fn begin(connection: Connection, number: u64, shared: &Shared, sessions: &mut JoinSet<(NodeId, u64)>) -> Option<Line> {
    let (link, peer) = (connection.link.clone(), connection.link.peer());
    let belongs = peer.roles.contains(Role::Worker) && shared.published.borrow().admitted.contains(&peer.node);
    if !belongs {
        tokio::spawn(refuse(connection));
        return None;
    }
    let (messages, outgoing) = mpsc::channel(LINE_MAX);
    let (shared, answers) = (shared.clone(), messages.clone());
    sessions.spawn(async move {
        // Why a link ended makes no difference: the node dials again, or is missed.
        let _ = session(connection, (answers, outgoing), &shared).await;
        (peer.node, number)
    });
    Some(Line { messages, link, number })
}

async fn refuse(mut connection: Connection) {
    let reason = "this node does not belong to the fleet, or not any more";
    if connection.tx.send(Kind::Refused, RequestId(1), reason).await.is_ok() {
        // It is the node that ends the link, once it has read the reason.
        let _ = timeout(HELLO_MAX, connection.link.closed()).await;
    }
    connection.link.close(CloseCode::NotPermitted, reason);
}

async fn session(
    connection: Connection,
    (answers, outgoing): (mpsc::Sender<Outgoing>, mpsc::Receiver<Outgoing>),
    shared: &Shared,
) -> Result<(), TransferError> {
    let Connection { link, mut tx, mut rx } = connection;
    let node = link.peer().node;
    let hello = timeout(HELLO_MAX, rx.receive()).await.map_err(|_| TransferError::Ended)??;
    let Some(Received::Frame(hello)) = hello.filter(|hello| matches!(hello, Received::Frame(frame) if frame.kind == Kind::Hello)) else {
        return Err(TransferError::Ended);
    };
    let _: Greeting = hello.body()?;
    tx.send(Kind::Welcome, hello.request, &Greeting { version: env!("CARGO_PKG_VERSION").to_owned() }).await?;
    let mut transfers = JoinSet::new();
    let mut writer = JoinSet::new();
    writer.spawn(write(tx, outgoing));
    loop {
        tokio::select! {
            Some(_) = writer.join_next() => return Ok(()),
            received = rx.receive() => match received? {
                None => return Ok(()),
                Some(Received::Frame(frame)) if frame.kind == Kind::FromAgent => shared.tell(LinkEvent::Received { node, message: frame.body()? }),
                Some(Received::Frame(frame)) => return Err(TransferError::Unexpected(frame.kind)),
                // Where there is no room for the answer the node hears nothing, as of a lost one.
                Some(Received::Unsupported(what)) => drop(answers.try_send(Outgoing::Unsupported(what.request))),
            },
            transfer = link.accept_transfer() => {
                let (transfer, shared) = (transfer?, shared.clone());
                transfers.spawn(async move { serve_transfer(transfer, &shared).await });
            }
            // A transfer that failed is the node's to begin again.
            Some(_) = transfers.join_next() => {}
        }
    }
}

async fn write(mut tx: FrameSender, mut outgoing: mpsc::Receiver<Outgoing>) -> Result<(), QuicError> {
    while let Some(next) = outgoing.recv().await {
        match next {
            Outgoing::Message(message) => tx.send(Kind::ToAgent, RequestId(0), &message).await?,
            Outgoing::Unsupported(request) => tx.send(Kind::Unsupported, request, "").await?,
        }
    }
    Ok(())
}

async fn serve_transfer(mut transfer: Transfer, shared: &Shared) -> Result<(), TransferError> {
    match transfer.rx.receive().await? {
        Some(Received::Frame(frame)) if frame.kind == Kind::BlobWanted => {
            let wanted: Wanted = frame.body()?;
            for name in wanted.names.into_iter().take(transfer::WANTED_MAX) {
                let shelves = shared.published.borrow().shelves.clone();
                let absent = if shelves.iter().any(|shelf| shelf.knows(name)) { Blob::Gone } else { Blob::Unknown };
                let blob = blocking(move || shelves.iter().find_map(|shelf| shelf.read(name))).await;
                transfer::send(&mut transfer, &blob.map_or(absent, Blob::Here)).await?;
            }
            Ok(transfer.tx.finish().await?)
        }
        Some(Received::Frame(frame)) if frame.kind == Kind::BlobOffered => {
            let _turn = shared.receiving.acquire().await.expect("nobody closes it");
            take(&mut transfer, frame.body()?, &shared.stores).await
        }
        Some(Received::Frame(frame)) => Err(TransferError::Unexpected(frame.kind)),
        Some(Received::Unsupported(_)) | None => Err(TransferError::Ended),
    }
}

async fn take(transfer: &mut Transfer, Offered { name, kind }: Offered, stores: &Stores) -> Result<(), TransferError> {
    let (store, bytes_max) = match kind {
        BlobKind::Pack => (stores.packs.clone(), PACK_BYTES_MAX),
        BlobKind::Log => (stores.logs.clone(), OUTPUT_BYTES_MAX),
    };
    let here = store.path(name).exists();
    let names = if here { Vec::new() } else { vec![name] };
    transfer.tx.send(Kind::BlobWanted, RequestId(1), &Wanted { names }).await?;
    if here {
        return Ok(());
    }
    let blob = transfer::receive(transfer, name, bytes_max).await?.ok_or(TransferError::Ended)?;
    let kept = blocking(move || {
        if kind == BlobKind::Pack {
            Pack::open(blob.as_slice()).map_err(|error| error.to_string())?;
        }
        store.write(&blob).map_err(|error| fleet_agent::work::with_cause(&error))
    });
    match kept.await {
        Ok(_) => Ok(transfer.tx.send(Kind::BlobKept, RequestId(1), "").await?),
        Err(reason) => Ok(transfer.tx.send(Kind::Refused, RequestId(1), &reason).await?),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("what it does neither panics nor is cancelled")
}

/// Lets nodes join that hold a token. The loop keeps the tokens.
async fn let_join(mut listener: JoinListener, authority: Arc<Authority>, deliver: Deliver) {
    let mut candidates = JoinSet::new();
    loop {
        tokio::select! {
            candidate = listener.accept() => match candidate {
                None => return,
                Some(Err(_)) => {}
                // Dropped, it is disconnected.
                Some(Ok(_)) if candidates.len() >= CANDIDATES_MAX => {}
                Some(Ok(candidate)) => {
                    let (authority, tokens) = (authority.clone(), AskLoop(deliver.clone()));
                    candidates.spawn(async move { candidate.answer(&authority, &tokens).await.is_ok() });
                }
            },
            Some(_) = candidates.join_next() => {}
        }
    }
}

struct AskLoop(Deliver);

impl Tokens for AskLoop {
    async fn key(&self, token: TokenId) -> Option<TokenKey> {
        let (answer, answered) = oneshot::channel();
        (self.0)(LinkEvent::TokenNamed { token, answer });
        answered.await.ok().flatten()
    }

    async fn consume(&self, token: TokenId) -> Option<Grant> {
        let (answer, answered) = oneshot::channel();
        (self.0)(LinkEvent::TokenProved { token, answer });
        answered.await.ok().flatten()
    }
}
