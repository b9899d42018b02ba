//! A master's links and the sessions of many agents, as they are, over quinn and TLS on a simulated network that delays, loses and
//! cuts, and on machines that die: every spark is done, and counts once. Time is virtual: minutes of it are a second.

use std::{
    fmt,
    io::{self, IoSliceMut},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::SystemTime,
};

use bitacora_core::{
    agent,
    fleet::{self, Fact, Fleet, JobSpec, JobStatus, Ledger, Priority, Settings},
    ids::Incarnation,
    time::Time,
    wire::{message::Held, task::SparkOutput},
};
use fleet_agent::{
    callers::Calls,
    command::Commands,
    link::{self, Choice, Dialler, Heard, News},
    net::{quic, renewal::Credentials, tls::NodeKey},
};
use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use tokio::time::{Instant, sleep, sleep_until};

use crate::links::*;

const AGENTS: u64 = 20;
const SPARKS: u32 = 2000;
const ENGINE: Digest = Digest([7; 32]);
const PORT: u16 = 7411;
/// Of virtual time, for all of it.
const PATIENCE: Duration = Duration::from_secs(600);
/// What a spark takes.
const WORK: Duration = Duration::from_millis(300);
const MESSAGES_MAX: usize = 4096;
/// Of certificates, either way from now.
const DAY: Duration = Duration::from_secs(24 * 3600);

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
    let socket = Arc::new(Socket { udp, readable: Mutex::new(None) });
    Endpoint::over(socket, identity, &ListenerKeys::fresh().unwrap(), quic::Settings::default()).unwrap()
}

fn authority() -> Authority {
    Authority::create("of a test", validity()).unwrap()
}

fn identity(authority: &Authority, node: NodeId, role: Role) -> Identity {
    let key = NodeKey::generate().unwrap();
    let certificate = authority.sign(&key.request().unwrap(), node, role.into(), validity()).unwrap();
    Identity::new(key, certificate, authority.certificate().clone()).unwrap()
}

fn validity() -> Validity {
    Validity { not_before: SystemTime::now() - DAY, span: 2 * DAY }
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

/// What all lives have in common, and what the test wants to know.
struct World {
    authority: Arc<Authority>,
    folder: PathBuf,
    journal: Mutex<Vec<Fact>>,
    links: AtomicU64,
    lives: AtomicU64,
    is_done: AtomicBool,
}

/// One life of a master's process: its links, and a loop around its core.
async fn master(identity: Identity, world: Arc<World>) {
    let (_endpoint, listener) = open(PORT, &identity).await;
    let (tell, mut heard) = mpsc::channel(MESSAGES_MAX);
    let deliver: Deliver = Arc::new(move |event| tell.try_send(event).is_ok());
    let (_published, seen) = watch::channel(Published { admitted: Arc::new((1..=AGENTS).map(NodeId).collect()), ..Published::default() });
    let packs = Blobs::open(&world.folder.join("packs")).unwrap();
    let stores = Stores { logs: packs.clone(), packs, takes_packs: true };
    let shared = Shared::new(seen, stores, Renewer { authority: world.authority.clone(), deliver: deliver.clone() }, Arc::default(), deliver);
    let (commands, obeyed) = mpsc::channel(COMMANDS_MAX);
    let refused = shared.refused.clone();
    let _switch = JoinSet::from_iter([switch(listener, obeyed, shared)]);
    let mut effects = Vec::new();
    let ledger = recovered(&world.journal.lock().unwrap());
    let mut fleet = Fleet::recover(Settings::default(), ledger, now(), &mut effects);
    if fleet.ledger().jobs.is_empty() {
        fleet.handle(now(), fleet::Event::WorkSubmitted { spec: JobSpec::without_tree(None, Priority::Normal, Vec::new()), sparks: SPARKS }, &mut effects);
    }
    loop {
        for effect in effects.drain(..) {
            match effect {
                fleet::Effect::Record(fact) => world.journal.lock().unwrap().push(fact),
                fleet::Effect::Send { to, message } => drop(commands.send(Command::Send { to, messages: vec![message] }).await),
                fleet::Effect::Disconnect { node } => drop(commands.send(Command::Disconnect { node }).await),
                _ => {}
            }
        }
        fleet.check();
        world.is_done.store(fleet.ledger().jobs.values().all(|job| job.status.is_over()), Ordering::Relaxed);
        let event = tokio::select! {
            () = wait_until(fleet.next_deadline()) => fleet::Event::Woken,
            Some(heard) = heard.recv() => match heard {
                LinkEvent::Received { node, message, room: _ } => fleet::Event::Received { node, message },
                LinkEvent::Lost { node } => fleet::Event::LinkLost { node },
                _ => panic!("nobody asks for anything else"),
            },
        };
        fleet.handle(now(), event, &mut effects);
        assert_eq!(refused.take().second_life, 0, "there is one of each");
    }
}

fn recovered(journal: &[Fact]) -> Ledger {
    let mut ledger = Ledger::default();
    (1..=AGENTS).for_each(|node| ledger.apply(&Fact::NodePaired { node: NodeId(node), name: format!("agent-{node}"), at: Time(0) }));
    journal.iter().for_each(|fact| ledger.apply(fact));
    ledger
}

/// One life of an agent's process: its session over as many links as it takes, and a loop around its core.
async fn agent(identity: Identity, home: &Path, world: Arc<World>) {
    let life = world.lives.fetch_add(1, Ordering::Relaxed);
    let mut agent = agent::Agent::new(Incarnation(now().0 << 8 | life & 0xff), 2, ENGINE, Epoch(0));
    let (endpoint, _listener) = open(0, &identity).await;
    let (uplink, session) = link::uplink(Blobs::open(&home.join("packs")).unwrap(), Commands::none(), home);
    let master = SocketAddr::new(turmoil::lookup("master"), PORT);
    let dialler = Dialler::new(endpoint, vec![master.to_string()], Choice::Quic);
    let (tell, mut events) = mpsc::channel(MESSAGES_MAX);
    let hear = |heard| {
        let event = match heard {
            Heard::Linked => agent::Event::Connected,
            Heard::Said(message) => agent::Event::Received(message),
        };
        tell.try_send(event).unwrap();
    };
    let links = |news: News<'_>| {
        if matches!(news, News::Linked(_)) {
            world.links.fetch_add(1, Ordering::Relaxed);
        }
    };
    let works = async {
        loop {
            let event = tokio::select! {
                () = wait_until(Some(agent.next_deadline())) => agent::Event::Woken,
                Some(event) = events.recv() => event,
            };
            let mut effects = Vec::new();
            agent.handle(now(), event, &mut effects);
            agent.check();
            for effect in effects {
                match effect {
                    agent::Effect::Send(message) => uplink.say(message),
                    agent::Effect::Start(task) => {
                        let tell = tell.clone();
                        tokio::spawn(async move {
                            sleep(WORK).await;
                            let held = Held { spark: task.spark, attempt: task.attempt };
                            tell.send(agent::Event::Ended { held, result: Ok(SparkOutput::default()) }).await
                        });
                    }
                    _ => {}
                }
            }
        }
    };
    tokio::select! {
        error = session.run(dialler, Calls::none(), Credentials::new(identity, home), hear, links) => panic!("it was sent away: {error}"),
        () = works => {}
    }
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
    let authority = Arc::new(authority());
    let folder = tempfile::tempdir().unwrap();
    let world = Arc::new(World {
        authority: authority.clone(),
        folder: folder.path().to_owned(),
        journal: Mutex::default(),
        links: AtomicU64::default(),
        lives: AtomicU64::default(),
        is_done: AtomicBool::default(),
    });
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
            let (own, shared) = (own.clone(), shared.clone());
            async move {
                let home = shared.folder.join(format!("agent-{node}"));
                agent(own, &home, shared).await;
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
