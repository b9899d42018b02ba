//! The process around the agent: its folder, its threads, its signals. It says little, on stderr.

use std::{
    fs::{self, File},
    io::Write,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use bitacora_core::{
    ids::{Epoch, Incarnation},
    time::Span,
    wire::node::{LABELS_MAX, Labels, NodeProfile},
};
use etcetera::BaseStrategy;
use fleet_agent::{
    analysis,
    cache::Cache,
    clock,
    command::{self, Commands},
    driver::{self, AgentThread, Config},
    isolation::ChildCommand,
    link::{self, Dialler, LinkError, News, Uplink},
    net::{
        carrier::Endpoint,
        join::JoinError,
        quic::{ListenerKeys, Settings},
        renewal::{Credentials, RenewalError},
        tls::{Identity, TlsError},
    },
    sense,
    work::with_cause,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    Arguments, Command,
    joining::{Membership, membership},
};

/// For people; nobody listening is no trouble.
pub fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// 4 for what has to do with trust, 7 for a master that cannot be reached, 1 for the rest.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    let refused = LinkError::is_final;
    if error.downcast_ref().is_some_and(|error| matches!(error, JoinError::Time | JoinError::Left)) {
        return 7;
    }
    if error.is::<JoinError>() || error.is::<TlsError>() || error.downcast_ref().is_some_and(refused) { 4 } else { 1 }
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    if let Some(Command::Supervise) = arguments.command {
        return Ok(command::supervise()?);
    }
    let data = data_folder(arguments.data_dir.as_deref())?;
    if let Some(Command::RunSpark) = arguments.command {
        return Ok(driver::child_main(&data)?);
    }
    let _lock = lock(&data)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().context("cannot start the network's threads")?;
    runtime.block_on(serve(&arguments, &data))
}

async fn serve(arguments: &Arguments, data: &Path) -> anyhow::Result<()> {
    let mut stop = Stop::watch()?;
    let Membership { identity, masters, announcement } = tokio::select! {
        membership = membership(arguments, data) => membership?,
        () = stop.came() => return Ok(()),
    };
    let cache = Cache::open(data, analysis::fingerprint())?;
    let programs = arguments.programs.iter().cloned().collect();
    let supervisor = ChildCommand { arguments: vec!["run-command".into()], ..child(data)? };
    let commands = Commands::open(programs, data.join("sparks"), supervisor).context("cannot make the folder of commands")?;
    let (uplink, session) = link::uplink(cache.packs().clone(), commands.clone());
    let config = Config {
        slots: arguments.cores.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32)),
        incarnation: incarnation(data)?,
        data: data.to_owned(),
        child: child(data)?,
        fetch: Some(uplink.fetch()),
        epoch: (Epoch(number_in(&data.join("epoch")).unwrap_or(0) as u32), Some(data.join("epoch"))),
        audit_head: Some(data.join("audit-head")),
        commands,
        profile: profile(arguments)?,
        tell: |reason| tell(&format!("the master stopped all work here: {}", without_controls(reason))),
    };
    let say = uplink.clone();
    let mut agent = AgentThread::start(config, clock::now, move |message| say.say(message))?;
    let over = agent.ended();
    let agent = Arc::new(agent);
    let endpoint = open(&identity, &ListenerKeys::load_or_create(data)?)?;
    tell(&format!("node {} dials {}", identity.peer().node, masters.join(" ")));
    let dialler = Dialler::new(endpoint.clone(), masters, arguments.carrier.into());
    let ended = tokio::select! {
        error = session.run(dialler, Credentials::new(identity, data), &agent, say_news) => Err(explained(error)),
        () = leave(&mut stop, &agent, &uplink, over, Span::from_secs(arguments.leave_max.into())) => Ok(()),
    };
    endpoint.close_cleanly().await;
    drop(announcement);
    // Joins the threads: what runs is cancelled, and the master gives it to others.
    tokio::task::spawn_blocking(move || drop(agent)).await.context("the agent's threads did not end well")?;
    ended
}

/// At a signal: hands back what waits, finishes what runs if it can, and tells the master. A second signal ends it at once.
async fn leave(stop: &mut Stop, agent: &AgentThread, uplink: &Uplink, over: impl Future<Output = ()>, within: Span) {
    stop.came().await;
    if !uplink.is_linked() {
        return;
    }
    agent.leave(clock::now() + within);
    tokio::select! {
        () = over => {}
        () = stop.came() => {}
    }
}

fn profile(arguments: &Arguments) -> anyhow::Result<NodeProfile> {
    let labels: Labels = arguments.label.iter().cloned().collect();
    if labels.len() > LABELS_MAX {
        bail!("a node has at most {LABELS_MAX} labels, these are {}", labels.len());
    }
    Ok(NodeProfile { labels, specialisations: arguments.specialise.clone(), ..sense::profile() })
}

/// What came over the network must not steer a terminal.
fn without_controls(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// For both families of addresses, or for the older one where the system has no other.
fn open(identity: &Identity, keys: &ListenerKeys) -> anyhow::Result<Endpoint> {
    let open = |any: SocketAddr| Endpoint::dialling(any, identity, keys, Settings::default());
    let endpoint = open((Ipv6Addr::UNSPECIFIED, 0).into()).or_else(|_| open((Ipv4Addr::UNSPECIFIED, 0).into()))?;
    if let Some(shortage) = endpoint.udp_buffers().shortage() {
        tell(&format!("{shortage}; raise net.core.rmem_max and net.core.wmem_max, or large transfers lose packets"));
    }
    Ok(endpoint)
}

/// What to do where trying again changes nothing.
fn explained(error: LinkError) -> anyhow::Error {
    let too_late = matches!(error, LinkError::Renewal(RenewalError::TooLate));
    let error = anyhow::Error::from(error);
    if too_late {
        error.context("this node was off for too long: remove it at the master (`bitacora node rm`) and join again with --join-file and a new token")
    } else {
        error
    }
}

fn say_news(news: News<'_>) {
    match news {
        News::Linked(carrier) => tell(&format!("linked with the master over {}", carrier.name())),
        News::Unlinked(error) => tell(&format!("no link to the master: {}; dialling again", with_cause(error))),
    }
}

/// Being told to end. Watched from the start: what comes before it is waited for is not lost.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn watch() -> anyhow::Result<Stop> {
        let watch = |kind| signal(kind).context("cannot watch for signals");
        Ok(Stop { terminate: watch(SignalKind::terminate())?, interrupt: watch(SignalKind::interrupt())? })
    }

    async fn came(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// This life's number: higher than every earlier one's, whatever became of the clock.
fn incarnation(data: &Path) -> anyhow::Result<Incarnation> {
    let place = data.join("incarnation");
    let number = clock::now().0.max(number_in(&place).unwrap_or(0) + 1);
    fs::write(&place, number.to_string()).with_context(|| format!("cannot write {}", place.display()))?;
    Ok(Incarnation(number))
}

fn number_in(place: &Path) -> Option<u64> {
    fs::read_to_string(place).ok()?.trim().parse().ok()
}

fn child(data: &Path) -> anyhow::Result<ChildCommand> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    Ok(ChildCommand { program, arguments: vec!["--data-dir".into(), data.into(), "run-spark".into()] })
}

pub fn data_folder(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let folder = match given {
        Some(folder) => folder.to_owned(),
        None => etcetera::choose_base_strategy().context("there is no home folder; name one with --data-dir")?.data_dir().join("fleet-agent"),
    };
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// One agent a folder.
fn lock(data: &Path) -> anyhow::Result<File> {
    let path = data.join("lock");
    let file = File::options().write(true).create(true).truncate(false).open(&path).with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => bail!("another fleet-agent runs on {}; give this one its own --data-dir", data.display()),
        Err(fs::TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}
