//! A node's life as a process: its folder, its agent and its link, until it is told to end or its master refuses it for good.
//!
//! How it came to belong to a fleet, and what its owner configured it by, is not known here.

use std::{
    collections::BTreeSet,
    fs, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use bitacora_core::ids::{Epoch, Incarnation};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    analysis,
    cache::{Cache, CacheError},
    callers::Calls,
    children, clock,
    command::Commands,
    configuration::{Configuration, ConfigurationError},
    confine::CommandLimits,
    driver::{AgentThread, Config},
    isolation::ChildCommand,
    link::{self, Choice, Dialler, LinkError, News, Session, Uplink},
    neighbours::Neighbourhood,
    net::{
        carrier::{CarrierError, Endpoint, Listener},
        discovery::{Announcement, DiscoveryError, KeyId, Member, State},
        quic::{ListenerKeys, Settings},
        renewal::Credentials,
        tls::{Identity, TlsError},
    },
    sight::Sight,
    work::{Supply, with_cause},
};

/// In a node's folder.
pub(crate) const EPOCH_FILE: &str = "epoch";

/// What a node lives by. The program is started again to parse, and for commands, as `run-parser` and `run-command`.
pub struct Life {
    /// Its own folder: the number of its life, its certificate, folders of its sparks. One process at a time lives there.
    pub home: PathBuf,
    /// Where its packs lie: at home, or with the master on the same machine.
    pub data: PathBuf,
    pub identity: Identity,
    /// Where the master may be, HOST:PORT.
    pub masters: Vec<String>,
    pub carrier: Choice,
    /// That commands may run.
    pub programs: BTreeSet<String>,
    pub command_limits: CommandLimits,
    pub sight: Sight,
    /// What its owner made of it, and what a master may change of that.
    pub configuration: Configuration,
    /// What its packs may take of the disk; as much as there is if not given.
    pub pack_bytes_max: Option<u64>,
    /// Where its master can call it, the first address that can be had; where there is none it only dials.
    pub listen: Vec<SocketAddr>,
    /// Does it give neighbours contents, and ask them for some?
    pub lends: bool,
    /// What it is known by on the local network.
    pub announcement: Option<Announcement>,
    /// Takes what people are told.
    pub tell: fn(&str),
}

/// Why a life did not begin, or ended.
#[derive(Debug, thiserror::Error)]
pub enum LifeError {
    #[error("the cache cannot be opened")]
    Cache(#[from] CacheError),
    #[error("what a master has changed of this node's configuration cannot be used")]
    Configuration(#[from] ConfigurationError),
    #[error("cannot {operation} {path}")]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot find this program's own file")]
    Program(#[source] io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot prepare to dial")]
    Carrier(#[from] CarrierError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("the agent's threads did not end well")]
    Threads(#[from] tokio::task::JoinError),
}

impl Life {
    /// Until it was told to end and has handed over what it had.
    pub async fn run(self, stop: &mut Stop) -> Result<(), LifeError> {
        let Ends { endpoint, listener } = self.open(&ListenerKeys::load_or_create(&self.home)?)?;
        let port = listener.as_ref().and_then(|_| Some(endpoint.local_address().ok()?.port()));
        let (uplink, session, config) = self.prepare(&endpoint, port)?;
        let neighbours = config.neighbours.clone();
        let calls = listener.map_or_else(Calls::none, |listener| Calls::taken_by(listener, neighbours.clone(), &self.home));
        let say = uplink.clone();
        let mut agent = AgentThread::start(config, clock::now, move |message| say.say(message))?;
        let over = agent.ended();
        let agent = Arc::new(agent);
        let Life { identity, masters, home, carrier, mut announcement, tell, .. } = self;
        let called = port.map(|port| format!(" and can be called on port {port}, UDP and TCP")).unwrap_or_default();
        tell(&format!("node {} dials {}{called}", identity.peer().node, masters.join(" ")));
        let member = port.map(|_| Member { fleet: KeyId::of(identity.authority()), node: identity.peer().node });
        announce(announcement.as_mut(), State::Paired(member), port.unwrap_or(0), tell);
        let surroundings = announcement.as_ref().map(|announcement| announcement.surroundings(KeyId::of(identity.authority())));
        let dialler = Dialler::new(endpoint.clone(), masters, carrier).beside(neighbours.clone()).comparing_clocks(&home).looking_around(surroundings);
        let ended = tokio::select! {
            error = session.run(dialler, calls, Credentials::new(identity, &home), |heard| heard.pass_to(&agent), |news| say_news(tell, news)) => Err(error.into()),
            () = leave(stop, &agent, &uplink, over) => Ok(()),
        };
        endpoint.close_cleanly().await;
        // Joins the threads: what runs is cancelled, and the master gives it to others.
        tokio::task::spawn_blocking(move || drop(agent)).await?;
        ended
    }

    /// `port` is where it answers.
    fn prepare(&self, endpoint: &Endpoint, port: Option<u16>) -> Result<(Uplink, Session, Config), LifeError> {
        let cache = Cache::open(&self.data, analysis::fingerprint())?;
        let (child, supervisor) = self.children()?;
        let sparks = self.home.join("sparks");
        children::adopt().map_err(error("become the parent of what is left of commands in", &self.home))?;
        let commands = Commands::open(self.programs.clone(), sparks.clone(), supervisor)
            .map_err(error("prepare", &sparks))?
            .limited(self.command_limits.clone())
            .seeing(self.sight.clone());
        let (uplink, session) = link::uplink(cache.packs().clone(), commands.clone(), &self.home);
        // Who cannot be asked asks nobody either; everything can be had from the master.
        let lends = self.lends && port.is_some();
        let neighbours = lends.then(|| Neighbourhood::new(endpoint.clone(), &self.home, cache.packs().clone()));
        let fetch = neighbours.as_ref().map_or_else(|| uplink.fetch(), |neighbours| neighbours.fetch(uplink.fetch()));
        let configuration = self.configuration.clone().answering_on(port, lends).seeing(&self.sight);
        let epoch = self.home.join(EPOCH_FILE);
        let config = Config {
            settings: configuration.begin()?,
            configuration,
            incarnation: self.incarnation()?,
            data: self.data.clone(),
            child,
            parses_apart: true,
            supply: Some(Supply { fetch, sight: self.sight.clone() }),
            epoch: (epoch_in(&self.home), Some(epoch)),
            audit_head: Some(self.home.join("audit-head")),
            commands,
            pack_bytes_max: self.pack_bytes_max,
            gives_way: true,
            neighbours,
            tell: self.tell,
        };
        Ok((uplink, session, config))
    }

    /// How files are parsed in a process of their own, and how a command is run.
    fn children(&self) -> Result<(ChildCommand, ChildCommand), LifeError> {
        let program = std::env::current_exe().map_err(LifeError::Program)?;
        let child = ChildCommand::of_this_program(vec!["run-parser".into()]).map_err(LifeError::Program)?;
        Ok((child, ChildCommand { program, arguments: vec!["run-command".into()] }))
    }

    /// This life's number: higher than every earlier one's, whatever became of the clock.
    fn incarnation(&self) -> Result<Incarnation, LifeError> {
        let place = self.home.join("incarnation");
        let number = clock::now().0.max(number_in(&place).unwrap_or(0) + 1);
        fs::write(&place, number.to_string()).map_err(error("write", &place))?;
        Ok(Incarnation(number))
    }

    /// On the first address that can be had; where there is none, ends that only dial, for both families of addresses or for the
    /// older one where the system has no other.
    fn open(&self, keys: &ListenerKeys) -> Result<Ends, LifeError> {
        let mut failed = None;
        let listening = self.listen.iter().find_map(|address| {
            let opened = Endpoint::listening(*address, &self.identity, keys, Settings::default());
            opened.map_err(|error| failed = Some(error)).ok()
        });
        let ends = match listening {
            Some((endpoint, listener)) => Ends { endpoint, listener: Some(listener) },
            None => {
                if let Some(error) = failed {
                    (self.tell)(&format!("no master can call this node: {}", with_cause(&error)));
                }
                let open = |any: SocketAddr| Endpoint::dialling(any, &self.identity, keys, Settings::default());
                let endpoint = open((Ipv6Addr::UNSPECIFIED, 0).into()).or_else(|_| open((Ipv4Addr::UNSPECIFIED, 0).into()))?;
                Ends { endpoint, listener: None }
            }
        };
        if let Some(shortage) = ends.endpoint.udp_buffers().shortage() {
            (self.tell)(&format!("{shortage}; raise net.core.rmem_max and net.core.wmem_max, or large transfers lose packets"));
        }
        Ok(ends)
    }
}

/// What a node reaches others by, and is reached by.
struct Ends {
    endpoint: Endpoint,
    listener: Option<Listener>,
}

/// On the local network, if it is to be known there; everything goes on where that does not work.
pub fn announce(announcement: Option<&mut Announcement>, state: State, port: u16, tell: impl Fn(&str)) {
    if let Some(Err(error)) = announcement.map(|announcement| announcement.say(state, port)) {
        tell(&unannounced(&error));
    }
}

pub fn unannounced(error: &DiscoveryError) -> String {
    format!("this node is not announced on the local network: {}", with_cause(error))
}

fn error(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LifeError {
    move |source| LifeError::Io { operation, path: path.to_owned(), source }
}

/// The highest that the node of this folder has seen.
pub fn epoch_in(home: &Path) -> Epoch {
    Epoch(number_in(&home.join(EPOCH_FILE)).unwrap_or(0) as u32)
}

fn number_in(place: &Path) -> Option<u64> {
    fs::read_to_string(place).ok()?.trim().parse().ok()
}

fn say_news(tell: fn(&str), news: News<'_>) {
    match news {
        News::Linked(carrier) => tell(&format!("linked with the master over {}", carrier.name())),
        News::Unlinked(error) => tell(&format!("no link to the master: {}; dialling again", with_cause(error))),
    }
}

/// At a signal: hands back what waits, finishes what runs if it can, and tells the master. A second signal ends it at once.
async fn leave(stop: &mut Stop, agent: &AgentThread, uplink: &Uplink, over: impl Future<Output = ()>) {
    stop.came().await;
    if !uplink.is_linked() {
        return;
    }
    agent.leave();
    tokio::select! {
        () = over => {}
        () = stop.came() => {}
    }
}

/// Being told to end. Watched from the start: what comes before it is waited for is not lost.
pub struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// To be called inside a tokio runtime.
    pub fn watch() -> io::Result<Stop> {
        Ok(Stop { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub async fn came(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
