//! The process around the agent: its folder, what it was configured by, its exit code. It says little, on stderr.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use bitacora_core::{
    time::Span,
    wire::{
        node::{LABELS_MAX, Labels, NodeProfile, SOURCES_MAX},
        warrant::{Acceptance, NAMES_MAX},
    },
};
use etcetera::BaseStrategy;
use fleet_agent::{
    command,
    configuration::{CHANGEABLE, Configuration, Settings},
    confine::{self, CommandLimits},
    isolation,
    life::{Life, LifeError, Stop},
    link::LinkError,
    logging::{self, tell},
    net::{
        join::JoinError,
        renewal::RenewalError,
        tls::{Identity, TlsError},
    },
    sense,
    sight::Sight,
};

use super::{
    Arguments, Command, LogFormat,
    joining::{Membership, joined_again, membership},
};

/// Where a node waits to be paired, and is called later on, if nobody else does there. The two before it are the master's.
const PORT: u16 = 7413;

/// 4 for what has to do with trust, 7 for a master that cannot be reached, 1 for the rest.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    let refused = LinkError::is_final;
    if error.downcast_ref().is_some_and(|error: &JoinError| error.is_unreached() || matches!(error, JoinError::Time | JoinError::Left)) {
        return 7;
    }
    if error.downcast_ref().is_some_and(|error| matches!(error, LinkError::Lookup { .. } | LinkError::NoAddress(_))) {
        return 7;
    }
    if error.is::<JoinError>() || error.is::<TlsError>() || error.downcast_ref().is_some_and(refused) { 4 } else { 1 }
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    if let Some(Command::Supervise) = arguments.command {
        return Ok(command::supervise()?);
    }
    if let Some(Command::Become { memory, confined, writable, line }) = arguments.command {
        let limits = CommandLimits { memory_bytes: memory, writable: confined.then_some(writable) };
        let (program, rest) = line.split_first().context("there is no command to become")?;
        return Err(confine::become_command(&limits, Path::new(program), rest)).with_context(|| format!("cannot run {}", Path::new(program).display()));
    }
    if let Some(Command::RunParser) = arguments.command {
        return Ok(isolation::serve()?);
    }
    logging::follow_signals().context("cannot watch for signals")?;
    logging::start(arguments.log, arguments.log_format == LogFormat::Json);
    let data = data_folder(arguments.data_dir.as_deref())?;
    let _lock = lock(&data)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().context("cannot start the network's threads")?;
    runtime.block_on(serve(&arguments, &data))
}

async fn serve(arguments: &Arguments, data: &Path) -> anyhow::Result<()> {
    let mut stop = Stop::watch().context("cannot watch for signals")?;
    look_for_sources(arguments);
    // Otherwise the token, if there is one, is spent below.
    let unspent = arguments.join_file.as_ref().filter(|_| Identity::load(data).is_ok());
    let first = tokio::select! {
        membership = membership(arguments, data) => membership?,
        () = stop.came() => return Ok(()),
    };
    let lived = live(arguments, data, first, configuration(arguments, data)?, &mut stop).await;
    let (Err(LifeError::Link(refused @ LinkError::Refused(_))), Some(token)) = (&lived, unspent) else { return lived.map_err(explained) };
    // Whoever was removed and has a new token is to come back.
    tell(&format!("{refused}; now the token is tried"));
    let second = tokio::select! {
        membership = joined_again(arguments, token, data) => membership,
        () = stop.came() => return Ok(()),
    };
    match second {
        Ok(second) => live(arguments, data, second, configuration(arguments, data)?, &mut stop).await.map_err(explained),
        Err(error) => {
            tell(&format!("{error:#}"));
            lived.map_err(explained)
        }
    }
}

/// Whoever names a folder that is not here has mistyped it, or not mounted it yet.
fn look_for_sources(arguments: &Arguments) {
    for folder in arguments.sources.iter().filter(|folder| !folder.here().is_dir()) {
        tell(&format!("--sources: there is no folder {} now; what the master has there is brought", folder.here().display()));
    }
}

async fn live(arguments: &Arguments, data: &Path, membership: Membership, configuration: Configuration, stop: &mut Stop) -> Result<(), LifeError> {
    let Membership { identity, masters, announcement } = membership;
    let life = Life {
        home: data.to_owned(),
        data: data.to_owned(),
        identity,
        masters,
        carrier: arguments.carrier.into(),
        programs: arguments.programs.iter().cloned().collect(),
        command_limits: command_limits(arguments),
        sight: Sight::Folders(arguments.sources.clone()),
        configuration,
        pack_bytes_max: arguments.disk.map(|megabytes| megabytes * 1_000_000),
        listen: if arguments.no_listen { Vec::new() } else { places(arguments) },
        lends: !arguments.no_lending,
        announcement,
        tell,
    };
    life.run(stop).await
}

fn command_limits(arguments: &Arguments) -> CommandLimits {
    let writable = (!arguments.writable.is_empty()).then(|| arguments.writable.clone());
    CommandLimits { memory_bytes: arguments.memory.map(|megabytes| megabytes * 1_000_000), writable }
}

/// On the address given, or else on the port that people expect if it is free. Some machines have no IPv6.
pub fn places(arguments: &Arguments) -> Vec<SocketAddr> {
    match arguments.listen {
        Some(address) => vec![address],
        None => [PORT, 0].into_iter().flat_map(|port| [(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()]).collect(),
    }
}

fn configuration(arguments: &Arguments, data: &Path) -> anyhow::Result<Configuration> {
    let changeable = arguments.changeable.iter().filter(|key| CHANGEABLE.contains(&key.as_str())).cloned().collect();
    let slots = arguments.cores.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32));
    let own = Settings { profile: profile(arguments)?, slots, log: arguments.log, leave_max: Span::from_secs(arguments.leave_max.into()) };
    Ok(Configuration::kept_in(data, changeable, own))
}

fn profile(arguments: &Arguments) -> anyhow::Result<NodeProfile> {
    let labels: Labels = arguments.label.iter().cloned().collect();
    if labels.len() > LABELS_MAX {
        bail!("a node has at most {LABELS_MAX} labels, these are {}", labels.len());
    }
    let accepts = Acceptance { projects: arguments.only_projects.clone(), devices: arguments.only_devices.clone() };
    if arguments.sources.len() > SOURCES_MAX {
        bail!("a node names at most {SOURCES_MAX} folders of its master's, these are {}", arguments.sources.len());
    }
    if let Some(names) = [&accepts.projects, &accepts.devices].into_iter().find(|names| names.len() > NAMES_MAX) {
        bail!("a node names at most {NAMES_MAX} that it works for, these are {}", names.len());
    }
    Ok(NodeProfile { labels, specialisations: arguments.specialise.clone(), accepts, ..sense::profile() })
}

/// What to do where trying again changes nothing.
fn explained(error: LifeError) -> anyhow::Error {
    match error {
        LifeError::Link(error @ LinkError::Renewal(RenewalError::TooLate)) => anyhow::Error::from(error)
            .context("this node was off for too long: remove it at the master (`bitacora node rm`) and join again with --join-file and a new token"),
        LifeError::Link(error @ LinkError::Refused(_)) => anyhow::Error::from(error).context(
            "if it was removed, --join-file and a new token (`bitacora node token`) bring it back; if its folder was copied, each machine is to join by itself",
        ),
        LifeError::Link(error) => error.into(),
        LifeError::Tls(error) => error.into(),
        error => error.into(),
    }
}

pub fn data_folder(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let folder = match given {
        Some(folder) => folder.to_owned(),
        None => etcetera::choose_base_strategy().context("there is no home folder; name one with --data-dir")?.data_dir().join("fleet-agent"),
    };
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// Does an agent have this data directory now?
pub fn runs_on(data: &Path) -> bool {
    File::open(data.join("lock")).is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
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
