//! A master and many agents over the carrier itself, quinn and TLS with it, on a simulated network that delays, loses and
//! cuts, and on machines that die: every spark is done, and counts once. Time is virtual: minutes of it are a second.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, IoSliceMut},
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bitacora_core::{
    agent,
    fleet::{self, Fact, Fleet, JobSpec, JobStatus, Ledger, Priority, Settings},
    ids::{Digest, Epoch, Incarnation, NodeId},
    time::Time,
    wire::{Envelope, FromAgent, ToAgent, message::Held, task::SparkOutput},
};
use fleet_agent::{
    link::Greeting,
    net::{
        carrier::Connection,
        codec::{Kind, Received, RequestId},
        quic::{self, Endpoint, Listener, ListenerKeys, UdpBuffers},
        tls::{Identity, Role},
    },
};
use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::puppet::{authority, identity};

const AGENTS: u64 = 20;
const SPARKS: u32 = 2000;
const ENGINE: Digest = Digest([7; 32]);
const PORT: u16 = 7411;
/// Of virtual time, for all of it.
const PATIENCE: Duration = Duration::from_secs(600);
/// What a spark takes.
const WORK: Duration = Duration::from_millis(300);
/// For the other side's first words.
const GREETING_MAX: Duration = Duration::from_secs(5);
const MESSAGES_MAX: usize = 4096;

/// A socket of the simulated network, as quinn wants it.
struct Socket {
    udp: Arc<turmoil::net::UdpSocket>,
    /// The wait for something to read; it holds the socket's lock for as long.
    readable: Mutex<Option<Readable>>,
}

type Readable = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.udp.fmt(f)
    }
}

/// The simulated network takes whatever it is given.
#[derive(Debug)]
struct Writable;

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        // To a machine that is down: as good as lost.
        let _ = self.udp.try_send_to(transmit.contents, transmit.destination);
        Ok(())
    }

    fn poll_recv(&self, context: &mut Context<'_>, buffers: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> Poll<io::Result<usize>> {
        let mut readable = self.readable.lock().unwrap();
        loop {
            if let Some(wait) = readable.as_mut() {
                ready!(wait.as_mut().poll(context))?;
                *readable = None;
            }
            match self.udp.try_recv_from(&mut buffers[0]) {
                Ok((len, addr)) => {
                    meta[0] = RecvMeta { addr, len, stride: len, ..RecvMeta::default() };
                    return Poll::Ready(Ok(1));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let udp = self.udp.clone();
                    *readable = Some(Box::pin(async move { udp.readable().await }));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

async fn open(port: u16, identity: &Identity) -> (Endpoint, Listener) {
    let udp = Arc::new(turmoil::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).await.unwrap());
    let buffers = UdpBuffers { asked_bytes: 0, receive_bytes: 0, send_bytes: 0 };
    let socket = Arc::new(Socket { udp, readable: Mutex::new(None) });
    Endpoint::over(socket, buffers, identity, &ListenerKeys::fresh().unwrap(), quic::Settings::default()).unwrap()
}

/// Virtual time, the same for everybody.
fn now() -> Time {
    Time(1 + turmoil::sim_elapsed().unwrap().as_micros() as u64)
}

async fn wait_until(time: Option<Time>) {
    match time {
        Some(time) => sleep_until(Instant::now() + Duration::from_micros((time - now()).0)).await,
        None => std::future::pending().await,
    }
}

/// What all lives of a master have in common, and what the test wants to know.
#[derive(Default)]
struct World {
    journal: Mutex<Vec<Fact>>,
    links: AtomicU64,
    lives: AtomicU64,
    is_done: AtomicBool,
}

/// What a master's loop hears of its links.
enum Heard {
    Linked(NodeId, mpsc::Sender<Envelope<ToAgent>>),
    Said(NodeId, Envelope<FromAgent>),
    Lost(NodeId),
}

async fn master(identity: Identity, world: Arc<World>) {
    let (_endpoint, mut listener) = open(PORT, &identity).await;
    let (tell, mut heard) = mpsc::channel(MESSAGES_MAX);
    let mut effects = Vec::new();
    let ledger = recovered(&world.journal.lock().unwrap());
    let mut fleet = Fleet::recover(Settings::default(), ledger, now(), &mut effects);
    if fleet.ledger().jobs.is_empty() {
        fleet.handle(now(), fleet::Event::WorkSubmitted { spec: JobSpec::without_tree(None, Priority::Normal, Vec::new()), sparks: SPARKS }, &mut effects);
    }
    let (mut lines, mut sessions) = (BTreeMap::<NodeId, mpsc::Sender<Envelope<ToAgent>>>::new(), JoinSet::new());
    loop {
        for effect in effects.drain(..) {
            match effect {
                fleet::Effect::Record(fact) => world.journal.lock().unwrap().push(fact),
                // Where there is no room it is lost, and said again.
                fleet::Effect::Send { to, message } => {
                    if let Some(line) = lines.get(&to) {
                        let _ = line.try_send(message);
                    }
                }
                fleet::Effect::Disconnect { node } => drop(lines.remove(&node)),
                _ => {}
            }
        }
        fleet.check();
        world.is_done.store(fleet.ledger().jobs.values().all(|job| job.status.is_over()), Ordering::Relaxed);
        let event = tokio::select! {
            () = wait_until(fleet.next_deadline()) => fleet::Event::Woken,
            Some(Ok(connection)) = listener.accept() => {
                sessions.spawn(serve(connection, tell.clone(), world.clone()));
                continue;
            }
            Some(heard) = heard.recv() => match heard {
                Heard::Linked(node, line) => {
                    lines.insert(node, line);
                    continue;
                }
                Heard::Said(node, message) => fleet::Event::Received { node, message },
                Heard::Lost(node) => fleet::Event::LinkLost { node },
            },
        };
        fleet.handle(now(), event, &mut effects);
    }
}

fn recovered(journal: &[Fact]) -> Ledger {
    let mut ledger = Ledger::default();
    (1..=AGENTS).for_each(|node| ledger.apply(&Fact::NodePaired { node: NodeId(node), name: format!("agent-{node}"), at: Time(0) }));
    journal.iter().for_each(|fact| ledger.apply(fact));
    ledger
}

/// One link, as the master has it.
async fn serve(mut connection: Connection, tell: mpsc::Sender<Heard>, world: Arc<World>) {
    let node = connection.link.peer().node;
    let Ok(Ok(Some(Received::Frame(hello)))) = timeout(GREETING_MAX, connection.rx.receive()).await else { return };
    if connection.tx.send(Kind::Welcome, hello.request, &Greeting::default()).await.is_err() {
        return;
    }
    world.links.fetch_add(1, Ordering::Relaxed);
    let (line, mut outgoing) = mpsc::channel(MESSAGES_MAX);
    let Connection { link: _link, mut tx, mut rx } = connection;
    let mut said = None;
    loop {
        let heard = tokio::select! {
            received = rx.receive() => match received {
                Ok(Some(Received::Frame(frame))) => frame.body::<Envelope<FromAgent>>().unwrap(),
                _ => break,
            },
            Some(message) = outgoing.recv() => match tx.send(Kind::ToAgent, RequestId(0), &message).await {
                Ok(()) => continue,
                Err(_) => break,
            },
            else => break,
        };
        // Of several links the one on which something was said last is the node's.
        if said.replace(()).is_none() {
            let _ = tell.send(Heard::Linked(node, line.clone())).await;
        }
        let _ = tell.send(Heard::Said(node, heard)).await;
    }
    let _ = tell.send(Heard::Lost(node)).await;
}

/// One life of an agent's process, over as many links as it takes.
async fn agent(node: u64, identity: Identity, world: Arc<World>) {
    let life = world.lives.fetch_add(1, Ordering::Relaxed);
    let mut agent = agent::Agent::new(Incarnation(now().0 << 8 | life & 0xff), 2, ENGINE, Epoch(0));
    let (endpoint, _listener) = open(0, &identity).await;
    let (done, mut ended) = mpsc::channel(MESSAGES_MAX);
    loop {
        let Some(connection) = dial(&endpoint).await else {
            sleep(Duration::from_millis(100 + 7 * node)).await;
            continue;
        };
        let Connection { link: _link, mut tx, mut rx } = connection;
        let mut event = agent::Event::Connected;
        'link: loop {
            let mut effects = Vec::new();
            agent.handle(now(), event, &mut effects);
            agent.check();
            for effect in effects {
                match effect {
                    agent::Effect::Send(message) => match tx.send(Kind::FromAgent, RequestId(0), &message).await {
                        Ok(()) => {}
                        Err(_) => break 'link,
                    },
                    agent::Effect::Start(task) => {
                        let done = done.clone();
                        tokio::spawn(async move {
                            sleep(WORK).await;
                            done.send(Held { spark: task.spark, attempt: task.attempt }).await
                        });
                    }
                    _ => {}
                }
            }
            event = tokio::select! {
                () = wait_until(Some(agent.next_deadline())) => agent::Event::Woken,
                Some(held) = ended.recv() => agent::Event::Ended { held, result: Ok(SparkOutput::default()) },
                received = rx.receive() => match received {
                    Ok(Some(Received::Frame(frame))) => agent::Event::Received(frame.body().unwrap()),
                    _ => break,
                },
            };
        }
    }
}

async fn dial(endpoint: &Endpoint) -> Option<Connection> {
    let master = SocketAddr::new(turmoil::lookup("master"), PORT);
    let mut connection = endpoint.dial(master, NodeId::HERE).await.ok()?;
    connection.tx.send(Kind::Hello, RequestId(1), &Greeting::default()).await.ok()?;
    let welcome = timeout(GREETING_MAX, connection.rx.receive()).await;
    matches!(welcome, Ok(Ok(Some(Received::Frame(frame)))) if frame.kind == Kind::Welcome).then_some(connection)
}

/// What the weather does at a step, of a tick each: machines are cut off, come back, and die.
fn weather(simulation: &mut turmoil::Sim<'_>, step: u64) {
    let name = |number: u64| format!("agent-{}", 1 + number % AGENTS);
    match step % 4000 {
        500 => simulation.partition(name(step / 500), "master"),
        1500 => (0..5).for_each(|more| simulation.bounce(name(step / 500 + more))),
        2500 => simulation.repair(name((step - 2000) / 500), "master"),
        3000 if step < 4000 => simulation.bounce("master"),
        _ => {}
    }
}

#[test]
fn through_storms_every_spark_is_done_and_counts_once() {
    let authority = authority();
    let world = Arc::new(World::default());
    let mut builder = turmoil::Builder::new();
    builder.simulation_duration(PATIENCE).tick_duration(Duration::from_millis(2)).rng_seed(7).udp_capacity(MESSAGES_MAX);
    builder.min_message_latency(Duration::from_millis(1)).max_message_latency(Duration::from_millis(40)).fail_rate(0.01).repair_rate(0.5);
    let mut simulation = builder.build();
    let own = identity(&authority, NodeId::HERE, Role::Master);
    let shared = world.clone();
    simulation.host("master", move || {
        let life = master(own.clone(), shared.clone());
        async move {
            life.await;
            Ok(())
        }
    });
    for node in 1..=AGENTS {
        let (own, shared) = (identity(&authority, NodeId(node), Role::Worker), world.clone());
        simulation.host(format!("agent-{node}"), move || {
            let life = agent(node, own.clone(), shared.clone());
            async move {
                life.await;
                Ok(())
            }
        });
    }
    let mut step = 0;
    while !world.is_done.load(Ordering::Relaxed) || step < 8000 {
        simulation.step().unwrap();
        weather(&mut simulation, step);
        step += 1;
    }
    let ledger = recovered(&world.journal.lock().unwrap());
    let job = ledger.jobs.values().next().unwrap();
    assert_eq!((ledger.jobs.len(), job.status, job.sparks.len()), (1, JobStatus::Completed, SPARKS as usize));
    assert!(world.lives.load(Ordering::Relaxed) > AGENTS, "agents died");
    assert!(world.links.load(Ordering::Relaxed) > 2 * AGENTS, "links were lost: {:?}", world.links);
}
