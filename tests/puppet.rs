//! Masters and nodes in the test's own hands, which say what no honest one would: to a real agent, and to a real master.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use bitacora_core::{
    ids::{Attempt, Epoch, Incarnation, JobId, NodeId, SparkId},
    time::Span,
    wire::{
        Envelope, FromAgent, ToAgent,
        node::NodeProfile,
        task::{Task, Work},
        warrant::Warrant,
    },
};
use fleet_agent::{
    analysis,
    link::Greeting,
    net::{
        carrier::{Carrier, CarrierError, Connection, Endpoint, Listener},
        codec::{Frame, Kind, Received, RequestId},
        quic::{ListenerKeys, Settings},
        tls::{Authority, Identity, NodeKey, Role, Roles, Validity},
    },
};
use tempfile::TempDir;
use tokio::{runtime::Runtime, time::timeout};

use super::fleet::{Fleet, Process, agent_program};

/// Ends a test that hangs; nothing is asserted about it.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Pairs of a UDP and a TCP port that are tried.
const TRIES_MAX: usize = 20;
/// Later than any life of a real agent.
const LAST_LIFE: Incarnation = Incarnation(1 << 62);

pub(super) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn today() -> Validity {
    let hour = Duration::from_secs(3600);
    Validity { not_before: SystemTime::now() - hour, span: 24 * hour }
}

pub(super) fn authority() -> Authority {
    Authority::create("of a test", today()).unwrap()
}

/// The authority of a real fleet.
pub(super) fn authority_of(fleet: &Fleet) -> Authority {
    fleet.safe().open(None).unwrap().unwrap()
}

pub(super) fn identity(authority: &Authority, node: NodeId, roles: impl Into<Roles>) -> Identity {
    let key = NodeKey::generate().unwrap();
    let certificate = authority.sign(&key.request().unwrap(), node, roles.into(), today()).unwrap();
    Identity::new(key, certificate, authority.certificate().clone()).unwrap()
}

/// Both ends of somebody on loopback. To be called inside a runtime.
pub(super) fn listen(identity: &Identity) -> (Endpoint, Listener) {
    let keys = ListenerKeys::fresh().unwrap();
    let tried = (0..TRIES_MAX).find_map(|_| Endpoint::listening(LOOPBACK, identity, &keys, Settings::default()).ok());
    tried.expect("some port is free for both carriers")
}

pub(super) async fn patiently<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it does not come")
}

/// The next frame of a peer that keeps to the protocol.
pub(super) async fn frame(connection: &mut Connection) -> Frame {
    match patiently(connection.rx.receive()).await.unwrap() {
        Some(Received::Frame(frame)) => frame,
        other => panic!("{other:?}"),
    }
}

pub(super) fn spark(number: u32) -> SparkId {
    SparkId { job: JobId { epoch: Epoch(1), counter: 1 }, number }
}

pub(super) fn execute(number: u32, work: Work) -> ToAgent {
    ToAgent::ExecuteTask(Task { spark: spark(number), attempt: Attempt(1), work, timeout: Span::from_secs(60), slots: 1, warrant: Warrant::default() })
}

/// A master that does as the test says, and a real agent that has linked with it.
pub(super) struct Master {
    pub(super) runtime: Runtime,
    pub(super) folder: TempDir,
    arguments: Vec<String>,
    endpoint: Endpoint,
    listener: Listener,
    pub(super) agent: Option<Process>,
    pub(super) connection: Connection,
    incarnation: Incarnation,
}

impl Master {
    pub(super) fn new(arguments: &[&str]) -> Master {
        let (runtime, folder, authority) = (runtime(), tempfile::tempdir().unwrap(), authority());
        let entered = runtime.enter();
        let (endpoint, mut listener) = listen(&identity(&authority, NodeId::HERE, Role::Master));
        drop(entered);
        identity(&authority, NodeId(7), Role::Worker).save(&folder.path().join("agent")).unwrap();
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let agent = start(&folder, &endpoint, &arguments);
        let (connection, incarnation) = runtime.block_on(welcome(&mut listener));
        Master { runtime, folder, arguments, endpoint, listener, agent: Some(agent), connection, incarnation }
    }

    /// Kills the agent; another life of it links.
    pub(super) fn restart_agent(&mut self) {
        self.agent.take().unwrap().kill();
        self.agent = Some(start(&self.folder, &self.endpoint, &self.arguments));
        self.linked_again();
    }

    /// The agent dials again.
    pub(super) fn linked_again(&mut self) {
        (self.connection, self.incarnation) = self.runtime.block_on(welcome(&mut self.listener));
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    pub(super) fn envelope<Body>(&self, epoch: u32, body: Body) -> Envelope<Body> {
        Envelope { epoch: Epoch(epoch), incarnation: self.incarnation, body }
    }

    pub(super) fn say(&mut self, message: &Envelope<ToAgent>) {
        self.runtime.block_on(self.connection.tx.send(Kind::ToAgent, RequestId(0), message)).unwrap();
    }

    /// Waits for the first of the agent's messages that is of interest.
    pub(super) fn hear<T>(&mut self, of_interest: impl Fn(FromAgent) -> Option<T>) -> T {
        let Master { runtime, connection, .. } = self;
        runtime.block_on(async {
            loop {
                let message: Envelope<FromAgent> = frame(connection).await.body().unwrap();
                if let Some(heard) = of_interest(message.body) {
                    return heard;
                }
            }
        })
    }

    /// Waits until the agent has ended the link.
    pub(super) fn is_left(&mut self) {
        let Master { runtime, connection, .. } = self;
        runtime.block_on(patiently(async { while let Ok(Some(_)) = connection.rx.receive().await {} }));
    }
}

fn start(folder: &TempDir, master: &Endpoint, arguments: &[String]) -> Process {
    let mut command = Command::new(agent_program());
    command.arg("--data-dir").arg(folder.path().join("agent")).args(["--no-discovery", "--cores", "1", "--peer"]);
    command.arg(master.local_address().unwrap().to_string()).args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    Process(command.stderr(fs::File::create(folder.path().join("log")).unwrap()).spawn().unwrap())
}

/// The next agent that says both its Hellos. Of two carriers that it tries at once one may be given up.
async fn welcome(listener: &mut Listener) -> (Connection, Incarnation) {
    loop {
        let Some(Ok(mut connection)) = patiently(listener.accept()).await else { continue };
        let Ok(Some(Received::Frame(hello))) = patiently(connection.rx.receive()).await else { continue };
        let greeting = Greeting::default();
        if hello.kind != Kind::Hello || connection.tx.send(Kind::Welcome, hello.request, &greeting).await.is_err() {
            continue;
        }
        let Ok(Some(Received::Frame(first))) = patiently(connection.rx.receive()).await else { continue };
        let message: Envelope<FromAgent> = first.body().unwrap();
        assert!(matches!(message.body, FromAgent::Hello { .. }), "{message:?}");
        return (connection, message.incarnation);
    }
}

/// A node of a real fleet that does as the test says.
pub(super) struct Node {
    _endpoint: Endpoint,
    pub(super) connection: Connection,
    life: Incarnation,
}

impl Node {
    /// Takes the place of a node that has joined and is gone.
    pub(super) async fn link(fleet: &Fleet, identity: &Identity) -> Node {
        let (endpoint, connection) = dial(fleet, identity).await;
        let mut node = Node { _endpoint: endpoint, connection: connection.unwrap(), life: LAST_LIFE };
        let welcome = frame(&mut node.connection).await;
        assert_eq!(welcome.kind, Kind::Welcome, "{welcome:?}");
        node
    }

    pub(super) async fn say(&mut self, body: FromAgent) {
        let message = Envelope { epoch: Epoch(1), incarnation: self.life, body };
        self.connection.tx.send(Kind::FromAgent, RequestId(0), &message).await.unwrap();
    }

    pub(super) async fn say_hello(&mut self, programs: &[&str], profile: NodeProfile) {
        let programs = programs.iter().map(ToString::to_string).collect();
        self.say(FromAgent::Hello { slots: 1, fingerprint: analysis::fingerprint(), held: Vec::new(), programs, profile: Box::new(profile) }).await;
    }

    /// What it says from now on is of a later process.
    pub(super) fn begin_another_life(&mut self) {
        self.life.0 += 1;
    }

    /// The next configuration that it is given, by its number.
    pub(super) async fn update(&mut self) -> u64 {
        loop {
            let message: Envelope<ToAgent> = frame(&mut self.connection).await.body().unwrap();
            if let ToAgent::UpdateConfiguration { revision, .. } = message.body {
                return revision;
            }
        }
    }

    /// The next task that it is given.
    pub(super) async fn task(&mut self) -> Task {
        loop {
            let message: Envelope<ToAgent> = frame(&mut self.connection).await.body().unwrap();
            if let ToAgent::ExecuteTask(task) = message.body {
                return task;
            }
        }
    }
}

/// As far as an honest node gets before it hears an answer.
pub(super) async fn dial(fleet: &Fleet, identity: &Identity) -> (Endpoint, Result<Connection, CarrierError>) {
    let endpoint = Endpoint::dialling(LOOPBACK, identity, &ListenerKeys::fresh().unwrap(), Settings::default()).unwrap();
    let dialled = async {
        let mut connection = endpoint.dial(Carrier::Quic, fleet.address.parse().unwrap(), NodeId::HERE).await?;
        connection.tx.send(Kind::Hello, RequestId(1), &Greeting::default()).await?;
        Ok(connection)
    };
    let dialled = patiently(dialled).await;
    (endpoint, dialled)
}
