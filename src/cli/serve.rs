//! `bitacora serve`.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use bitacora_core::{
    fleet::{Notice, OwnRole, Results, Settings},
    time::Span,
};
use clap::{Args, ValueEnum};
use fleet_agent::{
    logging::{self, Verbosity},
    net::quic::UdpBuffers,
    work::with_cause,
};

use super::{Context, duration, passphrase::PassphraseSource};
use crate::{
    control::MASTER_PORT,
    exit::Exit,
    links::LinksError,
    master::{Lodging, Master, MasterError, Served},
    trust::{Passphrase, Protection},
};

/// The port after one that is free may be taken.
const LOOPBACK_TRIES: usize = 3;

/// Stays and commands the fleet: nodes link with it, and `analyze` hands its work over to it.
#[derive(Args)]
pub(super) struct Serve {
    /// Where nodes link, instead of port 7411 of every address; those that join use the port after it
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// What this machine does; as it was the last time if not given, and master at first. `bitacora node role` changes it
    #[arg(long, value_name = "ROLE")]
    role: Option<Role>,
    /// Of a hybrid: sparks that run at the same time; as many as there are cores if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    cores: Option<u32>,
    /// Of a hybrid: a program that commands may run here, by its name or absolute path; none if not given. May be repeated
    #[arg(long = "program", value_name = "PROGRAM")]
    programs: Vec<String>,
    /// Ends when for so long no job ran, no other node was linked or awaited, and nobody asked for anything; as 10m
    #[arg(long, value_name = "DURATION", value_parser = duration::span)]
    idle_exit: Option<Span>,
    #[command(flatten)]
    passphrase: PassphraseSource,
    /// Where the records of results are kept
    #[arg(long, default_value = "master", value_name = "WHERE")]
    results: ResultsKind,
    /// Nodes that are to have each record, where records stay on the nodes
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16))]
    copies: u32,
    /// Does not listen to nodes that announce themselves on the local network
    #[arg(long)]
    no_discovery: bool,
    /// How much it says of its work on stderr: off, error, warn, info, debug or trace. SIGUSR1 says more while it runs, SIGUSR2 less
    #[arg(long, value_name = "LEVEL", default_value_t = Verbosity::Warn)]
    log: Verbosity,
    /// Lines to be read, or one JSON object for each word, with job, spark and attempt
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// Leaves the terminal that it was started on
    #[arg(long, hide = true)]
    detached: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Role {
    /// Commands only; nodes run the work
    Master,
    /// Commands, and runs work as one of the nodes
    Hybrid,
}

impl From<Role> for OwnRole {
    fn from(role: Role) -> OwnRole {
        match role {
            Role::Master => OwnRole::Master,
            Role::Hybrid => OwnRole::Hybrid,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
enum ResultsKind {
    /// All of them here
    Master,
    /// On the nodes that made them, with copies on others; here is what was looked at
    Nodes,
}

impl Serve {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        if self.detached {
            // Whoever leads a session already has left.
            let _ = rustix::process::setsid();
        }
        logging::follow_signals().context("cannot watch for signals")?;
        logging::start(self.log, self.log_format == LogFormat::Json);
        let passphrase = match (context.data.safe()?.protection()?, self.passphrase.is_given()) {
            (Some(Protection::Key), true) => {
                context.streams.note("refused: the fleet's authority is sealed without a passphrase; `bitacora authority protect` seals it with one");
                return Ok(Exit::Refused);
            }
            (Some(Protection::Passphrase), _) => Some(self.passphrase.known()?),
            (None, true) => Some(self.passphrase.chosen()?),
            (Some(Protection::Key) | None, false) => None,
        };
        let results = match self.results {
            ResultsKind::Master => Results::Master,
            ResultsKind::Nodes => Results::Nodes,
        };
        let settings = Settings { results, copies: self.copies, ..Settings::for_serving() };
        let mut master = Master::open(&context.data, settings, |holder| {
            context.streams.note(&format!("waiting for another bitacora (process {holder}) on {} to end", context.data.root().display()));
        })?;
        // Only from here on is there anything to end in good order.
        let stop = Arc::new(AtomicBool::new(false));
        for number in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register_conditional_default(number, Arc::clone(&stop)).context("cannot watch for signals")?;
            signal_hook::flag::register(number, Arc::clone(&stop)).context("cannot watch for signals")?;
        }
        self.open(context, &mut master, passphrase.as_ref())?;
        let hear = |notice: &Notice| {
            if let Notice::AuditCut { node, head } = notice {
                let number = head.number;
                context.streams.note(&format!("WARNING: node {node} knows of a record {number} that the audit does not have; see `bitacora audit verify`"));
            }
        };
        let rest_max = self.idle_exit.map(|span| Duration::from_micros(span.0));
        if master.serve(rest_max, || stop.load(Ordering::Relaxed), hear)? == Served::AtRest {
            context.streams.note("ends: there was nothing to stay for");
        }
        Ok(Exit::Ok)
    }

    /// One that a dashboard has started listens for this machine alone where its port is taken: nobody is there to name another.
    fn listen(&self, master: &mut Master, passphrase: Option<&Passphrase>) -> Result<SocketAddr, MasterError> {
        let anywhere = |ip: IpAddr| SocketAddr::new(ip, MASTER_PORT);
        let mut listening = master.open_links(self.listen.unwrap_or(anywhere(Ipv6Addr::UNSPECIFIED.into())), passphrase);
        // Some machines have no IPv6; where there is, its socket takes IPv4 as well.
        if self.listen.is_none() && matches!(listening, Err(MasterError::Links(LinksError::Listen(_)))) {
            listening = master.open_links(anywhere(Ipv4Addr::UNSPECIFIED.into()), passphrase);
        }
        for _ in 0..LOOPBACK_TRIES {
            match listening {
                Err(MasterError::Links(LinksError::Listen(_) | LinksError::Join { .. })) if self.detached => {
                    listening = master.open_links(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), passphrase);
                }
                _ => break,
            }
        }
        listening
    }

    fn open(&self, context: &Context, master: &mut Master, passphrase: Option<&Passphrase>) -> anyhow::Result<()> {
        let address = self.listen(master, passphrase)?;
        context.streams.note(&format!("listening on {address} for nodes; `bitacora node discover` and `bitacora node token NAME` let more join"));
        if let Some(shortage) = master.udp_buffers().and_then(UdpBuffers::shortage) {
            let advice = "raise net.core.rmem_max and net.core.wmem_max, or large transfers lose packets";
            context.streams.note(&format!("{shortage}; {advice}"));
        }
        master.lodge(Lodging {
            program: std::env::current_exe().context("cannot find this program's own file")?,
            slots: self.cores.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32)),
            programs: self.programs.iter().cloned().collect(),
        });
        if let Some(role) = self.role {
            master.take_role(role.into())?;
        }
        if !self.no_discovery
            && let Err(error) = master.watch_network()
        {
            context.streams.note(&format!("nodes are not discovered: {}; they can be paired by their address", with_cause(&error)));
        }
        Ok(())
    }
}
