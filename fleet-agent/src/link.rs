//! An agent's life with its master over the network: dial, say Hello, work, and dial again when the link is lost.
//!
//! The loop of [`crate::driver`] does not know of any of this: what it says while there is no link is dropped, and said
//! again after the next Hello. Before a result is sent, the packs that it names are delivered.

mod dial;
mod lending;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bitacora_core::{
    ids::Digest,
    time::Time,
    wire::{
        Envelope, FromAgent, ToAgent,
        message::Held,
        task::{AttemptError, FileResult, SparkOutput},
    },
};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

pub use self::dial::{CLOCK_FILE, Choice, Dialler, addresses};
use self::{dial::Reached, lending::Lender};
use crate::{
    blobs::Blobs,
    callers::Calls,
    clock,
    command::Commands,
    driver::AgentThread,
    net::{
        carrier::{Carrier, CarrierError, CloseCode, Connection, FrameSender, Link, Transfer},
        codec::{CodecError, Kind, Received, RequestId, Spoken},
        renewal::{self, Credentials, RenewalError},
        tls::Identity,
        transfer::{self, Blob, BlobKind, Offered, TransferError},
    },
    work::Fetch,
};

/// Messages to the master that wait for the link; more are dropped, and said again with the next heartbeat.
const OUTBOX_MAX: usize = 4096;
/// Messages that are written in one go, and their bytes in memory.
const BATCH_MAX: usize = 256;
const PENDING_BYTES_MAX: usize = 256 << 10;
/// Between two attempts to reach the master: doubled each time, from the first to the second.
const REDIAL_FIRST: Duration = Duration::from_millis(100);
const REDIAL_MAX: Duration = Duration::from_secs(5);
/// How long a spark waits for the link before it is given up: the master notices a lost node in less.
const LINK_MAX: Duration = Duration::from_secs(30);
/// Links over which one request may be fulfilled.
const LINKS_MAX: usize = 8;
/// From a transfer that fails to the notice that its link is lost.
const LOSS_MAX: Duration = Duration::from_secs(1);

/// How often a linked node looks whether its certificate is to be renewed; it has days for it.
const RENEWAL_EVERY: Duration = Duration::from_secs(3600);

/// What a node says of itself when it has dialled.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Greeting {
    /// Of the program.
    pub version: String,
    /// By the clock of whoever says it; not known of programs of before.
    #[serde(default)]
    pub at: Option<Time>,
    /// Does it read heartbeats from a stream of their own?
    #[serde(default)]
    pub hears_beats_apart: bool,
}

impl Greeting {
    pub fn of_this_program() -> Greeting {
        Greeting { version: env!("CARGO_PKG_VERSION").to_owned(), at: Some(clock::now()), hears_beats_apart: true }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("cannot find out where {master:?} is")]
    Lookup { master: String, source: std::io::Error },
    #[error("{0:?} has no address")]
    NoAddress(String),
    #[error("the link to the master failed")]
    Carrier(#[from] CarrierError),
    #[error("the master sent what cannot be read")]
    Codec(#[from] CodecError),
    #[error("the master did not answer")]
    Silent,
    #[error("the master refused this node: {0}")]
    Refused(String),
    #[error("the master ended the link")]
    Ended,
    #[error("cannot renew this node's certificate")]
    Renewal(#[from] RenewalError),
}

/// What becomes of the link, for people.
#[derive(Clone, Copy, Debug)]
pub enum News<'n> {
    Linked(Carrier),
    /// Told once for each time that a link is lost or cannot be made.
    Unlinked(&'n LinkError),
}

/// What a link brings to the agent's loop.
pub enum Heard {
    /// There is a new one: the agent is to introduce itself.
    Linked,
    Said(Envelope<ToAgent>),
}

impl Heard {
    pub fn pass_to(self, agent: &AgentThread) {
        match self {
            Heard::Linked => agent.connected(),
            Heard::Said(message) => agent.send(message),
        }
    }
}

/// The agent's way to whatever master it is linked with now.
#[derive(Clone)]
pub struct Uplink {
    messages: mpsc::Sender<Envelope<FromAgent>>,
    link: watch::Receiver<Option<Link>>,
    runtime: tokio::runtime::Handle,
}

/// The other end of an [`Uplink`].
pub struct Session {
    messages: mpsc::Receiver<Envelope<FromAgent>>,
    link: watch::Sender<Option<Link>>,
    packs: Blobs,
    commands: Commands,
    /// The node's own folder.
    home: PathBuf,
}

/// The two ends, of a node that keeps what is its own in `home`. To be called inside a tokio runtime.
pub fn uplink(packs: Blobs, commands: Commands, home: &Path) -> (Uplink, Session) {
    let (messages_tx, messages) = mpsc::channel(OUTBOX_MAX);
    let (link_tx, link) = watch::channel(None);
    let uplink = Uplink { messages: messages_tx, link, runtime: tokio::runtime::Handle::current() };
    (uplink, Session { messages, link: link_tx, packs, commands, home: home.to_owned() })
}

impl Uplink {
    /// Never blocks: heartbeats are made by the one who calls this.
    pub fn say(&self, message: Envelope<FromAgent>) {
        // Without a link, or behind a full one, it is as good as lost on the way.
        let _ = self.messages.try_send(message);
    }

    /// Is there a master to speak to?
    pub fn is_linked(&self) -> bool {
        self.link.borrow().is_some()
    }

    /// How a worker thread gets contents from the master.
    pub fn fetch(&self) -> Fetch {
        let (link, runtime) = (self.link.clone(), self.runtime.clone());
        Arc::new(move |names: &[Digest]| runtime.block_on(fetch(link.clone(), names)))
    }
}

/// Over the link that is there, or the next one. What came before a link was lost is not asked for again.
async fn fetch(mut link: watch::Receiver<Option<Link>>, names: &[Digest]) -> Result<Vec<Option<Vec<u8>>>, TransferError> {
    let mut contents = Vec::with_capacity(names.len());
    for _ in 1..LINKS_MAX {
        match fetch_rest(&mut link, names, &mut contents).await {
            Err(TransferError::Link(_) | TransferError::Ended) if matches!(timeout(LOSS_MAX, link.changed()).await, Ok(Ok(()))) => {}
            fetched => return fetched.map(|()| contents),
        }
    }
    fetch_rest(&mut link, names, &mut contents).await.map(|()| contents)
}

async fn fetch_rest(link: &mut watch::Receiver<Option<Link>>, names: &[Digest], contents: &mut Vec<Option<Vec<u8>>>) -> Result<(), TransferError> {
    let linked = timeout(LINK_MAX, link.wait_for(Option::is_some)).await;
    let current = linked.ok().and_then(Result::ok).and_then(|link| link.clone()).ok_or(TransferError::Ended)?;
    transfer::fetch(&current, &names[contents.len()..], |_, blob| contents.push(blob)).await
}

impl Session {
    /// Stays linked with the master, whichever of the two dials, its certificate renewed in time, until the master refuses this node
    /// for good. `hear` takes what a link brings to the agent's loop.
    pub async fn run(
        mut self,
        mut dialler: Dialler,
        mut calls: Calls,
        mut credentials: Credentials,
        hear: impl Fn(Heard),
        tell: impl Fn(News<'_>),
    ) -> LinkError {
        let (mut wait, mut told) = (REDIAL_FIRST, false);
        let mut called = None;
        loop {
            let reached = match called.take() {
                Some(connection) => dialler.answer(connection).await,
                None => tokio::select! {
                    dialled = dialler.dial_as(&mut credentials) => dialled,
                    connection = calls.next() => dialler.answer(connection).await,
                },
            };
            let error = match reached {
                Ok(reached) => {
                    (wait, told) = (REDIAL_FIRST, false);
                    dialler.found();
                    tell(News::Linked(reached.connection.link.carrier()));
                    let error = tokio::select! {
                        error = self.serve(reached, &hear, &mut dialler, &mut credentials) => error,
                        // It would not call if this link reached it.
                        connection = calls.next() => {
                            called = Some(connection);
                            LinkError::Ended
                        }
                    };
                    self.link.send_replace(None);
                    dialler.lost();
                    error
                }
                Err(error) => error,
            };
            if error.is_final() {
                return error;
            }
            if called.is_some() {
                continue;
            }
            if !std::mem::replace(&mut told, true) {
                tell(News::Unlinked(&error));
            }
            dialler.look_around();
            tokio::select! {
                () = sleep(wait) => wait = (wait * 2).min(REDIAL_MAX),
                connection = calls.next() => called = Some(connection),
            }
        }
    }

    /// Carries messages both ways until the link is lost.
    async fn serve(&mut self, reached: Reached, hear: &impl Fn(Heard), dialler: &mut Dialler, credentials: &mut Credentials) -> LinkError {
        let Reached { connection: Connection { link, tx, mut rx }, hears_beats_apart } = reached;
        // In a WebSocket there is one order of bytes, and the control stream goes first: a stream of its own would stand behind it.
        let hears_beats_apart = hears_beats_apart && link.carrier() == Carrier::Quic;
        let node = credentials.identity().peer().node;
        // What was said before is of a link that is gone; the Hello that follows says it again.
        while self.messages.try_recv().is_ok() {}
        self.link.send_replace(Some(link.clone()));
        hear(Heard::Linked);
        let mut renewals = JoinSet::new();
        let mut lending = JoinSet::new();
        let lender = Lender::new(node, self.home.clone(), self.packs.clone());
        let mut look = interval(RENEWAL_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut deliveries = Deliveries::new(link.clone(), self.packs.clone(), self.commands.clone());
        // Written by a task of its own: a master that does not read must not keep us from reading.
        let (out, outgoing) = mpsc::channel(OUTBOX_MAX);
        let mut writers = JoinSet::new();
        writers.spawn(write(tx, outgoing));
        // Behind one that is not written yet another one waits for the next: an old list of what is held is looked at again.
        let (pulse, beats) = mpsc::channel(1);
        if hears_beats_apart {
            writers.spawn(write_beats(link.clone(), beats));
        }
        // What finds no room is said again with a later heartbeat.
        let send = |message: Envelope<FromAgent>| match message.body {
            FromAgent::Heartbeat { .. } if hears_beats_apart => drop(pulse.try_send(message)),
            _ => drop(out.try_send(message)),
        };
        loop {
            let event = tokio::select! {
                Some(_) = writers.join_next() => return LinkError::Ended,
                message = self.messages.recv() => Happened::Said(message),
                message = deliveries.next() => Happened::Delivered(message),
                _ = look.tick(), if renewals.is_empty() => Happened::Looked,
                Some(renewed) = renewals.join_next() => Happened::Renewed(renewed.expect("a renewal neither panics nor is ended while its link is served")),
                asked = link.accept_transfer(), if lending.len() < lending::REQUESTS_MAX => Happened::Asked(asked),
                Some(_) = lending.join_next() => Happened::Lent,
                received = rx.receive() => Happened::Received(received),
            };
            let done = match event {
                Happened::Said(None) => Err(LinkError::Ended),
                Happened::Said(Some(message)) => {
                    deliveries.take(message).map(send);
                    Ok(())
                }
                Happened::Delivered(message) => {
                    send(message);
                    Ok(())
                }
                Happened::Asked(asked) => asked.map_err(LinkError::from).map(|transfer| drop(lending.spawn(lender.clone().lend(transfer)))),
                // What was not lent is asked for again.
                Happened::Lent => Ok(()),
                Happened::Looked => {
                    if credentials.is_due(SystemTime::now()) {
                        let (link, identity) = (link.clone(), credentials.identity().clone());
                        renewals.spawn(async move { renewal::renew(&link, &identity).await });
                    }
                    Ok(())
                }
                // What did not succeed is tried again in an hour; until it has to, there are days.
                Happened::Renewed(Err(_)) => Ok(()),
                Happened::Renewed(Ok(identity)) => dialler.adopt(credentials, identity).map_err(LinkError::from),
                Happened::Received(received) => received.map_err(LinkError::from).and_then(|received| take(received, hear)).map(|answer| {
                    answer.map(send);
                }),
            };
            if let Err(error) = done {
                return error;
            }
        }
    }
}

enum Happened {
    Said(Option<Envelope<FromAgent>>),
    Delivered(Envelope<FromAgent>),
    Received(Result<Option<Received>, CarrierError>),
    /// The master asks something of this node.
    Asked(Result<Transfer, CarrierError>),
    Lent,
    /// Time to see how old the certificate is.
    Looked,
    Renewed(Result<Identity, RenewalError>),
}

impl LinkError {
    /// Is there nothing that trying again could change?
    pub fn is_final(&self) -> bool {
        matches!(self, LinkError::Refused(_) | LinkError::Renewal(RenewalError::Refused(_) | RenewalError::TooLate))
    }

    /// By the master's clock, whatever ours says.
    fn says_expired(&self) -> bool {
        matches!(self, LinkError::Carrier(error) if error.close_code() == Some(CloseCode::Expired as u64))
    }
}

/// What is there to be written goes out together.
async fn write(mut tx: FrameSender, mut outgoing: mpsc::Receiver<Envelope<FromAgent>>) -> Result<(), CarrierError> {
    let mut batch = Vec::new();
    while outgoing.recv_many(&mut batch, BATCH_MAX).await > 0 {
        for message in batch.drain(..) {
            match tx.queue(Kind::FromAgent, RequestId(0), &message) {
                Err(error @ CodecError::Oversized { .. }) => tx.queue(Kind::FromAgent, RequestId(0), &without_output(message, &error))?,
                queued => queued?,
            }
            if tx.pending_bytes() > PENDING_BYTES_MAX {
                tx.flush().await?;
            }
        }
        tx.flush().await?;
    }
    Ok(())
}

/// On a stream of their own, so that no large message and no lost packet of one keeps a heartbeat from being heard in time.
async fn write_beats(link: Link, mut beats: mpsc::Receiver<Envelope<FromAgent>>) -> Result<(), CarrierError> {
    let mut stream = link.open_transfer().await?;
    stream.tx.go_first()?;
    while let Some(beat) = beats.recv().await {
        stream.tx.send(Kind::FromAgent, RequestId(0), &beat).await?;
    }
    Ok(())
}

/// A result that no frame holds would be refused each time it is sent: the master hears why there is none, and decides.
fn without_output(message: Envelope<FromAgent>, error: &CodecError) -> Envelope<FromAgent> {
    let body = match message.body {
        FromAgent::Finished { spark, attempt, .. } => FromAgent::Failed { spark, attempt, error: AttemptError::Invalid(error.to_string()) },
        FromAgent::Failed { spark, attempt, .. } => FromAgent::Failed { spark, attempt, error: AttemptError::Invalid(error.to_string()) },
        other @ (FromAgent::Hello { .. }
        | FromAgent::Heartbeat { .. }
        | FromAgent::Leaving { .. }
        | FromAgent::Unsupported { .. }
        | FromAgent::Configuration(_)
        | FromAgent::PacksDropped { .. }
        | FromAgent::AuditHead(_)
        | FromAgent::Progress(_)
        | FromAgent::Output(_)) => other,
    };
    Envelope { body, ..message }
}

/// Passes on what the master says; answers what this agent does not know.
fn take(received: Option<Received>, hear: impl Fn(Heard)) -> Result<Option<Envelope<FromAgent>>, LinkError> {
    match received {
        Some(Received::Frame(frame)) if frame.kind == Kind::ToAgent => match frame.envelope::<ToAgent>()? {
            Spoken::Known(message) => {
                hear(Heard::Said(message));
                Ok(None)
            }
            Spoken::Unknown(Envelope { epoch, incarnation, body: command }) => {
                Ok(Some(Envelope { epoch, incarnation, body: FromAgent::Unsupported { command } }))
            }
        },
        Some(Received::Frame(frame)) if frame.kind == Kind::Refused => Err(LinkError::Refused(frame.body()?)),
        // A newer master may say more than this agent knows; what it needs an answer to it asks again.
        Some(Received::Frame(_) | Received::Unsupported(_)) => Ok(None),
        None => Err(LinkError::Ended),
    }
}

/// Results whose packs and logs are on their way: each result follows what it names.
struct Deliveries {
    link: Link,
    packs: Blobs,
    commands: Commands,
    /// Kept by the master, as far as this connection knows.
    kept: HashSet<Digest>,
    under_way: HashSet<Held>,
    tasks: JoinSet<Delivery>,
}

/// A result, what it waited for, and whether they are there now.
type Delivery = (Envelope<FromAgent>, Vec<Offered>, Result<(), TransferError>);

impl Deliveries {
    fn new(link: Link, packs: Blobs, commands: Commands) -> Deliveries {
        Deliveries { link, packs, commands, kept: HashSet::new(), under_way: HashSet::new(), tasks: JoinSet::new() }
    }

    /// Gives a message back that can go at once; keeps a result until its packs are there.
    fn take(&mut self, message: Envelope<FromAgent>) -> Option<Envelope<FromAgent>> {
        let FromAgent::Finished { spark, attempt, output, .. } = &message.body else { return Some(message) };
        let missing: Vec<Offered> = named_by(output).into_iter().filter(|blob| !self.kept.contains(&blob.name)).collect();
        if missing.is_empty() {
            return Some(message);
        }
        // A heartbeat repeats what was not acknowledged; once on its way is enough.
        let held = Held { spark: *spark, attempt: *attempt };
        if self.under_way.insert(held) {
            let (link, packs, log) = (self.link.clone(), self.packs.clone(), self.commands.log(held));
            self.tasks.spawn(async move {
                let delivered = deliver_all(&link, &packs, &log, &missing).await;
                (message, missing, delivered)
            });
        }
        None
    }

    /// The next result whose packs are there. Pending while there is none. Cancel-safe.
    async fn next(&mut self) -> Envelope<FromAgent> {
        loop {
            let Some(done) = self.tasks.join_next().await else { std::future::pending().await };
            let (message, blobs, delivered) = done.expect("a delivery neither panics nor is ended while its link is served");
            let FromAgent::Finished { spark, attempt, .. } = message.body else { return message };
            self.under_way.remove(&Held { spark, attempt });
            match delivered {
                Ok(()) => {
                    self.kept.extend(blobs.into_iter().map(|blob| blob.name));
                    return message;
                }
                // The master cannot keep it, its disk may be full: the attempt came to nothing, and the master decides.
                Err(TransferError::Refused(reason)) => {
                    let body = FromAgent::Failed { spark, attempt, error: AttemptError::NotTaken(reason) };
                    return Envelope { body, ..message };
                }
                // Tried again when the agent repeats the result: with its next heartbeat, or over the next link.
                Err(_) => {}
            }
        }
    }
}

async fn deliver_all(link: &Link, packs: &Blobs, log: &Path, blobs: &[Offered]) -> Result<(), TransferError> {
    for &blob in blobs {
        let (packs, log) = (packs.clone(), log.to_owned());
        let read = move || match blob.kind {
            BlobKind::Pack => packs.read(blob.name).ok(),
            BlobKind::Log => std::fs::read(log).ok(),
        };
        let read = async move { tokio::task::spawn_blocking(read).await.ok().flatten().map_or(Blob::Gone, Blob::Here) };
        transfer::deliver(link, blob, read).await?;
    }
    Ok(())
}

/// What a result refers to.
fn named_by(output: &SparkOutput) -> HashSet<Offered> {
    let pack = |result: &FileResult| match result {
        FileResult::Analysed { record, .. } => Some(Offered { name: record.pack, kind: BlobKind::Pack }),
        FileResult::Skipped(_) | FileResult::Failed(_) => None,
    };
    let log = output.ended.as_ref().map(|ended| Offered { name: ended.log, kind: BlobKind::Log });
    output.files.iter().filter_map(|outcome| pack(&outcome.result)).chain(log).collect()
}

#[cfg(test)]
mod tests {
    use bitacora_core::{
        ids::{Epoch, Incarnation},
        time::Span,
        wire::node::Load,
    };

    use super::*;
    use crate::{
        blobs,
        net::{
            carrier::{
                Carrier,
                tests::{Pair, pair},
            },
            transfer::{Blob, Wanted, expect},
        },
    };

    /// Answers with so many of the blobs that are asked for; with what was asked for.
    async fn answer(master: &Link, blobs: &[Vec<u8>]) -> Vec<Digest> {
        let mut transfer = master.accept_transfer().await.unwrap();
        let wanted: Wanted = expect(&mut transfer, Kind::BlobWanted).await.unwrap().body().unwrap();
        for blob in blobs {
            transfer::send(&mut transfer, &Blob::Here(blob.clone())).await.unwrap();
        }
        transfer.tx.finish().await.unwrap();
        // As long as it takes to be read.
        let _ = transfer.rx.receive().await;
        wanted.names
    }

    #[tokio::test]
    async fn what_came_before_a_link_was_lost_is_not_asked_for_again() {
        let blobs: Vec<Vec<u8>> = (0..3).map(|number| vec![number; 100_000]).collect();
        let names: Vec<Digest> = blobs.iter().map(|blob| blobs::digest(blob)).collect();
        for carrier in Carrier::ALL {
            let (first, second) = (pair(carrier).await, pair(carrier).await);
            let (links, link) = watch::channel(Some(first.agent.link.clone()));
            let master = async {
                let asked = answer(&first.master.link, &blobs[..2]).await;
                first.master.link.close(CloseCode::Stopping, "");
                links.send_replace(None);
                links.send_replace(Some(second.agent.link.clone()));
                [asked, answer(&second.master.link, &blobs[2..]).await]
            };
            let (fetched, asked) = tokio::join!(fetch(link, &names), master);
            assert_eq!(fetched.unwrap(), blobs.iter().cloned().map(Some).collect::<Vec<_>>());
            assert_eq!(asked, [names.clone(), names[2..].to_vec()]);
            let Pair { _endpoints, .. } = first;
        }
    }

    #[tokio::test]
    async fn a_heartbeat_is_heard_while_nothing_else_is_read() {
        let Pair { master, agent, _endpoints } = pair(Carrier::Quic).await;
        let (mut tx, link) = (agent.tx, agent.link);
        let said = |body| Envelope { epoch: Epoch(1), incarnation: Incarnation(1), body };
        // More than any window has room for; the master never reads it.
        let flood = async {
            loop {
                let dropped = FromAgent::PacksDropped { packs: vec![Digest([7; 32]); 10_000] };
                tx.send(Kind::FromAgent, RequestId(0), &said(dropped)).await.unwrap();
            }
        };
        let (pulse, beats) = mpsc::channel(1);
        let heard = async {
            sleep(Duration::from_millis(200)).await;
            pulse.send(said(FromAgent::Heartbeat { held: vec![], load: Load::default(), pace: Span::from_secs(1) })).await.unwrap();
            let mut stream = master.link.accept_transfer().await.unwrap();
            stream.rx.receive().await.unwrap()
        };
        let heard = tokio::select! {
            () = flood => None,
            _ = write_beats(link, beats) => None,
            heard = heard => heard,
        };
        let Some(Received::Frame(frame)) = heard else { panic!("{heard:?}") };
        let Spoken::Known(message) = frame.envelope::<FromAgent>().unwrap() else { panic!("it is known") };
        assert!(matches!(message.body, FromAgent::Heartbeat { .. }));
    }

    #[tokio::test]
    async fn what_a_master_does_not_give_is_not_asked_for_for_ever() {
        let Pair { master, agent, _endpoints } = pair(Carrier::Quic).await;
        let (_links, link) = watch::channel(Some(agent.link.clone()));
        let names = [blobs::digest(b"one")];
        let (fetched, asked) = tokio::join!(fetch(link, &names), answer(&master.link, &[]));
        assert!(matches!(fetched, Err(TransferError::Ended)), "{fetched:?}");
        assert_eq!(asked, names);
    }
}
