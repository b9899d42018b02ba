//! The links to the nodes of the fleet: lets in who belongs to it, carries messages both ways, serves contents and takes packs.
//!
//! Runs on threads of its own. One task owns all links; the master's loop sends it commands and hears of it by events.
//! Nothing about the fleet is decided here: who belongs to it, and which contents may be asked for, the loop publishes. Of two links
//! of one node the one that answers stays (`rivals`).

mod asking;
mod borrowing;
mod calling;
mod greeting;
mod inbox;
mod joining;
mod refused;
mod renewal;
mod rivals;
mod transfers;
mod visits;

use std::{
    collections::{BTreeSet, HashMap},
    io::Read,
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::Arc,
    time::Duration,
};

use bitacora_core::{
    ids::{Digest, Epoch, NodeId, TokenId},
    paths::RelativePath,
    wire::{Envelope, FromAgent, ToAgent},
};
use crossbeam_channel::Sender;
use fleet_agent::{
    blobs::{self, Blobs},
    doctor::Finding,
    net::{
        carrier::{CarrierError, CloseCode, Connection, Endpoint, FrameReceiver, FrameSender, Link, Listener, Transfer},
        codec::{CodecError, Frame, Kind, Received, RequestId, Spoken},
        join::{self, Grant, JoinError, TokenKey},
        quic::{ListenerKeys, Settings, UdpBuffers},
        tls::{Authority, Identity, Peer, Role, Roles, Validity},
        transfer::{self, TransferError},
    },
    root::Root,
    search::{FoundNames, NamesWanted},
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    task::JoinSet,
};

/// Commands of the loop that wait for the links; the loop waits beyond that.
const COMMANDS_MAX: usize = 16_384;
/// Messages that wait for one node; more are lost on the way, and sent again when its heartbeat does not list them.
const LINE_MAX: usize = 4096;
/// Messages to one node that are written, or of one node that are read, in one go.
const BATCH_MAX: usize = 256;
/// Bytes of such messages in memory.
const PENDING_BYTES_MAX: usize = 256 << 10;
/// Nodes that are connected and have not said their first message; more are sent away.
const GREETINGS_MAX: usize = 256;
/// Searches and examinations at the same time: of one node they and packs ask less at once than it takes.
const ASKING_MAX: usize = 8;
/// Packs that are received at the same time, from all nodes: times the above, what they may take of memory.
const PACKS_AT_ONCE: usize = 8;
/// For the last words to those who are connected.
const SHUTDOWN_MAX: Duration = Duration::from_secs(4);

pub use self::{asking::Asked, inbox::Room, refused::Refused};
use self::{
    greeting::{Greeted, Guest, greet},
    inbox::{Inbox, NodeInbox},
    joining::JoinPort,
    refused::Counters,
    renewal::Renewer,
    rivals::{Outcome, Refusal, Rival, Rivals},
    visits::Visits,
};
use crate::control::{Answer, Request};

/// What the links tell the loop.
pub enum LinkEvent {
    Received {
        node: NodeId,
        message: Envelope<FromAgent>,
        /// To be dropped when the message was handled.
        room: Room,
    },
    Lost {
        node: NodeId,
    },
    /// A node wants its certificate renewed; the answer is the next one's dates.
    RenewalAsked {
        node: NodeId,
        answer: oneshot::Sender<Option<Validity>>,
    },
    /// Who has a pack? Those that can be asked now first.
    PackWanted {
        pack: Digest,
        answer: oneshot::Sender<Vec<NodeId>>,
    },
    /// A node that was believed to have it has it not.
    PackMissed {
        node: NodeId,
        pack: Digest,
    },
    /// A person's device asks for something; who may is not decided by its having been let in.
    Asked {
        operator: NodeId,
        /// In its certificate.
        roles: Roles,
        request: Request,
        answer: Sender<Answer>,
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
    /// A node has proved that it shows the code that a person typed.
    CodeProved {
        name: String,
        address: SocketAddr,
        /// The device from which that person typed it; the master's own machine if none.
        operator: Option<NodeId>,
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
    operators: Arc<BTreeSet<NodeId>>,
    shelves: Arc<Vec<Arc<Shelf>>>,
}

enum Command {
    Send {
        to: NodeId,
        messages: Vec<Envelope<ToAgent>>,
    },
    Disconnect {
        node: NodeId,
    },
    /// A node has answered a call; it is about to say Hello.
    Answered(Box<Connection>),
}

#[derive(Debug, thiserror::Error)]
pub enum LinksError {
    #[error("cannot start the network's threads")]
    Threads(#[source] std::io::Error),
    #[error("cannot listen for nodes")]
    Listen(#[from] CarrierError),
    #[error("nodes could not join on {address}, the port after the one they link with")]
    Join { address: SocketAddr, source: std::io::Error },
    #[error("the port {0} has none after it for nodes that join")]
    Port(u16),
}

/// The running links. Dropping them says goodbye to every node.
pub struct Links {
    commands: mpsc::Sender<Command>,
    published: watch::Sender<Published>,
    address: SocketAddr,
    endpoint: Endpoint,
    identity: Identity,
    joining: JoinPort,
    calling: calling::Turns,
    refused: Arc<Counters>,
    shared: Shared,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Links {
    /// Listens on `address` for nodes. The next port, for those that join, stays closed until it is opened.
    pub fn open(
        address: SocketAddr,
        identity: &Identity,
        authority: Arc<Authority>,
        keys: &ListenerKeys,
        stores: Stores,
        deliver: Deliver,
    ) -> Result<Links, LinksError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(LinksError::Threads)?;
        let entered = runtime.enter();
        let (endpoint, mut listener) = Endpoint::listening(address, identity, keys, Settings::default())?;
        let address = endpoint.local_address().map_err(LinksError::Threads)?;
        let beside = join::address_beside(address).ok_or(LinksError::Port(address.port()))?;
        let refused = Arc::new(Counters::default());
        // Better known now than when somebody stands at the server with a token.
        UdpSocket::bind(beside).and_then(|_| TcpListener::bind(beside)).map_err(|source| LinksError::Join { address: beside, source })?;
        let joining = JoinPort::new(beside, authority.clone(), refused.clone(), deliver.clone());
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let (published, seen) = watch::channel(Published::default());
        drop(entered);
        let renewer = Renewer { authority, deliver: deliver.clone() };
        listener.renewals().map(|expired| runtime.spawn(renewer.clone().run(expired)));
        let shared = Shared::new(seen, stores, renewer, refused.clone(), deliver);
        runtime.spawn(switch(listener, inbox, shared.clone()));
        Ok(Links {
            commands,
            published,
            address,
            endpoint,
            identity: identity.clone(),
            joining,
            calling: calling::Turns::default(),
            refused,
            shared,
            runtime: Some(runtime),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The link that a node has.
    pub fn link_to(&self, node: NodeId) -> Option<Link> {
        self.shared.linked.get(node)
    }

    /// What the system grants of the buffers that were asked for.
    pub fn udp_buffers(&self) -> UdpBuffers {
        self.endpoint.udp_buffers()
    }

    /// Dials a node that has no link, and lets it introduce itself. What comes of it shows by its link, or by its having none.
    pub fn call(&self, node: NodeId, epoch: Epoch, addresses: Vec<SocketAddr>) {
        let Some(turn) = self.calling.turn(node).filter(|_| self.link_to(node).is_none()) else { return };
        let (endpoint, commands, linked) = (self.endpoint.clone(), self.commands.clone(), self.shared.linked.clone());
        self.runtime().spawn(async move {
            if let Some(connection) = calling::call(endpoint, (node, epoch), addresses, || linked.get(node).is_some()).await {
                let _ = commands.send(Command::Answered(Box::new(connection))).await;
            }
            drop(turn);
        });
    }

    /// For what else is done over the network.
    pub fn runtime(&self) -> &tokio::runtime::Handle {
        self.runtime.as_ref().expect("it is taken when the links are dropped").handle()
    }

    /// From now on nodes can join; whether one may, the loop is asked.
    pub fn open_joining(&mut self) -> Result<(), JoinError> {
        self.joining.open(&self.identity)
    }

    /// Who was not let in since this was asked last.
    pub fn take_refused(&self) -> Refused {
        self.refused.take()
    }

    pub fn close_joining(&mut self) {
        self.joining.close();
    }

    /// From now on this is what the master is. Links that are there keep what they saw.
    pub fn renew(&mut self, identity: Identity) -> Result<(), CarrierError> {
        self.endpoint.renew(&identity)?;
        self.identity = identity;
        Ok(())
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub fn send(&self, to: NodeId, messages: Vec<Envelope<ToAgent>>) {
        // Links that have ended are noticed by everybody's silence.
        let _ = self.commands.blocking_send(Command::Send { to, messages });
    }

    pub fn disconnect(&self, node: NodeId) {
        let _ = self.commands.blocking_send(Command::Disconnect { node });
    }

    /// Brings packs that stay on the nodes to this disk; `done` hears which ones could not be had.
    pub fn bring(&self, packs: Vec<Digest>, done: impl FnOnce(Vec<Digest>) + Send + 'static) {
        let shared = self.shared.clone();
        self.runtime().spawn(async move { done(borrowing::bring(&shared, &packs).await) });
    }

    /// Has a node look at its own machine; `done` hears what it found, or why it could not be asked.
    pub fn examine(&self, node: NodeId, done: impl FnOnce(Result<Vec<Finding>, String>) + Send + 'static) {
        let (link, turns) = (self.link_to(node), self.shared.asking.clone());
        self.runtime().spawn(async move {
            let _turn = turns.acquire().await;
            done(match link {
                Some(link) => asking::examine(&link).await,
                None => Err("it has no link now".to_owned()),
            });
        });
    }

    /// Looks for names in packs that stay on the nodes; `done` hears what was found, and which packs nobody could look through.
    pub fn search(&self, wanted: NamesWanted, packs: Vec<Asked>, done: impl FnOnce(Vec<FoundNames>, Vec<Digest>) + Send + 'static) {
        let shared = self.shared.clone();
        self.runtime().spawn(async move {
            let _turn = shared.asking.acquire().await;
            let (found, lacking) = asking::search(&shared, &wanted, packs).await;
            done(found, lacking);
        });
    }

    /// From now on these nodes and devices are let in, and no others.
    pub fn admit(&self, nodes: impl Iterator<Item = NodeId>, operators: impl Iterator<Item = NodeId>) {
        let (admitted, operators): (BTreeSet<NodeId>, BTreeSet<NodeId>) = (nodes.collect(), operators.collect());
        self.published.send_if_modified(|published| {
            let changed = *published.admitted != admitted || *published.operators != operators;
            (published.admitted, published.operators) = (Arc::new(admitted), Arc::new(operators));
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
    /// Are packs to be delivered here? Otherwise they stay where they were made.
    pub takes_packs: bool,
}

/// What every session has.
#[derive(Clone)]
struct Shared {
    published: watch::Receiver<Published>,
    stores: Stores,
    receiving: Arc<Semaphore>,
    asking: Arc<Semaphore>,
    linked: Arc<borrowing::Linked>,
    refused: Arc<Counters>,
    renewer: Renewer,
    deliver: Deliver,
}

impl Shared {
    fn new(published: watch::Receiver<Published>, stores: Stores, renewer: Renewer, refused: Arc<Counters>, deliver: Deliver) -> Shared {
        let [receiving, asking] = [PACKS_AT_ONCE, ASKING_MAX].map(|turns| Arc::new(Semaphore::new(turns)));
        Shared { published, stores, receiving, asking, linked: Arc::default(), refused, renewer, deliver }
    }

    fn admits(&self, node: NodeId) -> bool {
        self.published.borrow().admitted.contains(&node)
    }

    /// May the peer speak as a node, or as a person's device?
    fn welcomes(&self, peer: Peer) -> bool {
        match peer.roles.contains(Role::Worker) {
            true => self.admits(peer.node),
            false => self.published.borrow().operators.contains(&peer.node),
        }
    }

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

/// All links.
struct Switchboard {
    shared: Shared,
    lines: HashMap<NodeId, Line>,
    inbox: Inbox,
    inboxes: HashMap<NodeId, NodeInbox>,
    greetings: JoinSet<Option<Guest>>,
    rivals: Rivals,
    sessions: JoinSet<(NodeId, u64)>,
    visits: Visits,
    /// The last number given to a link.
    number: u64,
}

/// Owns all links.
async fn switch(mut listener: Listener, mut commands: mpsc::Receiver<Command>, shared: Shared) {
    let mut board = Switchboard::new(shared);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                None => return,
                Some(Ok(connection)) if board.greetings.len() < GREETINGS_MAX => {
                    board.greetings.spawn(greet(connection, board.shared.clone()));
                }
                // Whoever is not taken is disconnected by being dropped.
                Some(Ok(_)) => {}
                // Whoever could not shake hands is nobody.
                Some(Err(_)) => board.shared.refused.one(|refused| &refused.handshake),
            },
            command = commands.recv() => match command {
                None => return,
                Some(command) => board.obey(command),
            },
            Some(greeted) = board.greetings.join_next() => {
                match greeted.expect("a greeting neither panics nor is ended while the links live") {
                    Some(Guest::Node(greeted)) => board.receive(greeted),
                    Some(Guest::Visitor(connection)) => board.visits.receive(connection, &board.shared),
                    None => {}
                }
            },
            outcome = board.rivals.next() => match outcome {
                Outcome::Asked(rival) => board.settle(*rival),
                Outcome::Refused(Refusal { node, from, was_heard: true }) => {
                    tracing::warn!(%node, %from, "another process with this node's identity was sent away");
                    board.shared.refused.one(|refused| &refused.second_life);
                }
                Outcome::Refused(_) => {}
            },
            Some(()) = board.visits.ended() => {}
            Some(ended) = board.sessions.join_next() => {
                let (node, number) = ended.expect("a session neither panics nor is ended while the links live");
                board.end(node, number);
            }
        }
    }
}

impl Switchboard {
    fn new(shared: Shared) -> Switchboard {
        Switchboard {
            shared,
            lines: HashMap::new(),
            inbox: Inbox::new(),
            inboxes: HashMap::new(),
            greetings: JoinSet::new(),
            rivals: Rivals::default(),
            sessions: JoinSet::new(),
            visits: Visits::default(),
            number: 0,
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Send { to, messages } => {
                if let Some(line) = self.lines.get(&to) {
                    messages.into_iter().for_each(|message| drop(line.messages.try_send(Outgoing::Message(message))));
                }
            }
            Command::Answered(connection) => {
                if self.greetings.len() < GREETINGS_MAX {
                    self.greetings.spawn(greet(*connection, self.shared.clone()));
                }
            }
            Command::Disconnect { node } => {
                self.visits.disconnect(node);
                let Some(line) = self.lines.remove(&node) else { return };
                self.shared.linked.remove(node);
                match self.shared.admits(node) {
                    true => line.link.close(CloseCode::Silent, "not heard for too long"),
                    false => line.link.close(CloseCode::NotPermitted, "removed from the fleet"),
                }
            }
        }
    }

    /// A node that is connected. Where one of its name is linked, that one is asked whether it lives.
    fn receive(&mut self, greeted: Greeted) {
        match self.lines.get(&greeted.connection.link.peer().node) {
            Some(line) => self.rivals.receive(greeted, line.link.clone(), line.number),
            None => self.begin(greeted),
        }
    }

    fn settle(&mut self, Rival { greeted, asked, is_refused }: Rival) {
        match self.lines.get(&greeted.connection.link.peer().node) {
            // Another link came before it meanwhile.
            Some(line) if line.number != asked => self.receive(greeted),
            Some(_) if is_refused => self.rivals.refuse(greeted),
            Some(_) | None => self.begin(greeted),
        }
    }

    fn begin(&mut self, Greeted { connection, first }: Greeted) {
        let (link, node) = (connection.link.clone(), connection.link.peer().node);
        // It may have been removed since its Hello was answered.
        if !self.shared.admits(node) {
            return link.close(CloseCode::NotPermitted, "removed from the fleet");
        }
        self.number += 1;
        let number = self.number;
        self.inboxes.retain(|node, _| self.shared.admits(*node));
        let inbox = self.inboxes.entry(node).or_insert_with(|| self.inbox.of_node()).clone();
        let (messages, outgoing) = mpsc::channel(LINE_MAX);
        let (shared, answers) = (self.shared.clone(), messages.clone());
        self.sessions.spawn(async move {
            let session = Session { shared, inbox, node };
            // Why a link ended makes no difference: the node dials again, or is missed.
            let _ = session.run(connection, first, (answers, outgoing)).await;
            (node, number)
        });
        self.shared.linked.insert(node, link.clone());
        if let Some(earlier) = self.lines.insert(node, Line { messages, link, number }) {
            earlier.link.close(CloseCode::Replaced, "a newer link took over");
        }
    }

    fn end(&mut self, node: NodeId, number: u64) {
        if self.lines.get(&node).is_some_and(|line| line.number == number) {
            self.lines.remove(&node);
            self.shared.linked.remove(node);
            self.shared.tell(LinkEvent::Lost { node });
        }
    }
}

/// What is read from one node.
#[derive(Clone)]
struct Session {
    shared: Shared,
    inbox: NodeInbox,
    node: NodeId,
}

impl Session {
    async fn run(
        &self,
        connection: Connection,
        first: Frame,
        (answers, outgoing): (mpsc::Sender<Outgoing>, mpsc::Receiver<Outgoing>),
    ) -> Result<(), TransferError> {
        let Connection { link, tx, mut rx } = connection;
        self.hear(&first, &answers).await?;
        let mut transfers = JoinSet::new();
        let mut writer = JoinSet::new();
        writer.spawn(write(tx, outgoing));
        let ended = async {
            loop {
                tokio::select! {
                    Some(_) = writer.join_next() => return Ok(()),
                    received = rx.receive() => match received? {
                        None => return Ok(()),
                        Some(first) => self.receive(first, &mut rx, &answers).await?,
                    },
                    transfer = link.accept_transfer() => {
                        let (transfer, peer, session, answers) = (transfer?, link.peer(), self.clone(), answers.clone());
                        transfers.spawn(async move { session.serve_transfer(transfer, peer, &answers).await });
                    }
                    // A transfer that failed is the node's to begin again.
                    Some(_) = transfers.join_next() => {}
                }
            }
        };
        let ended = ended.await;
        // After the word that the link is lost nothing is heard over it.
        transfers.shutdown().await;
        ended
    }

    /// Takes a frame, and those that have arrived with it.
    async fn receive(&self, first: Received, rx: &mut FrameReceiver, answers: &mpsc::Sender<Outgoing>) -> Result<(), TransferError> {
        let mut next = Some(first);
        for _ in 0..BATCH_MAX {
            match next {
                Some(Received::Frame(frame)) if frame.kind == Kind::FromAgent => self.hear(&frame, answers).await?,
                Some(Received::Frame(frame)) => return Err(TransferError::Unexpected(frame.kind)),
                // Where there is no room for the answer the node hears nothing, as of a lost one.
                Some(Received::Unsupported(what)) => drop(answers.try_send(Outgoing::Unsupported(what.request))),
                None => break,
            }
            next = rx.arrived()?;
        }
        Ok(())
    }

    /// A stream that the node has opened: for heartbeats, or for one transfer.
    async fn serve_transfer(&self, mut transfer: Transfer, peer: Peer, answers: &mpsc::Sender<Outgoing>) -> Result<(), TransferError> {
        match transfer.rx.receive().await? {
            Some(Received::Frame(first)) if first.kind == Kind::FromAgent => {
                self.hear(&first, answers).await?;
                while let Some(next) = transfer.rx.receive().await? {
                    self.receive(next, &mut transfer.rx, answers).await?;
                }
                Ok(())
            }
            Some(Received::Frame(first)) => transfers::serve(transfer, first, peer, &self.shared).await,
            Some(Received::Unsupported(_)) | None => Err(TransferError::Ended),
        }
    }

    /// Nothing more is read from the node until there is room for what it has said.
    async fn hear(&self, frame: &Frame, answers: &mpsc::Sender<Outgoing>) -> Result<(), TransferError> {
        let room = self.inbox.room(frame.payload.len()).await;
        match frame.envelope()? {
            Spoken::Known(message) => self.shared.tell(LinkEvent::Received { node: self.node, message, room }),
            Spoken::Unknown(_) => drop(answers.try_send(Outgoing::Unsupported(frame.request))),
        }
        Ok(())
    }
}

/// What is there to be written goes out together.
async fn write(mut tx: FrameSender, mut outgoing: mpsc::Receiver<Outgoing>) -> Result<(), CarrierError> {
    let mut batch = Vec::new();
    while outgoing.recv_many(&mut batch, BATCH_MAX).await > 0 {
        for next in batch.drain(..) {
            match next {
                Outgoing::Message(message) => match tx.queue(Kind::ToAgent, RequestId(0), &message) {
                    // The node would refuse it each time; as it is, the attempt runs out of time and the link stays.
                    Err(CodecError::Oversized { .. }) => {}
                    queued => queued?,
                },
                Outgoing::Unsupported(request) => tx.queue(Kind::Unsupported, request, "")?,
            }
            if tx.pending_bytes() > PENDING_BYTES_MAX {
                tx.flush().await?;
            }
        }
        tx.flush().await?;
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("what it does neither panics nor is cancelled")
}

#[cfg(test)]
mod tests;
