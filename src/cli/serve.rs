//! `bitacora serve`.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context as _;
use bitacora_core::fleet::{Notice, Settings};
use clap::{Args, ValueEnum};
use fleet_agent::{net::quic::UdpBuffers, work::with_cause};

use super::{Context, passphrase::PassphraseSource};
use crate::{exit::Exit, master::Master, trust::Protection};

/// Stays and commands the fleet: nodes link with it, and `analyze` hands its work over to it.
#[derive(Args)]
pub(super) struct Serve {
    /// Where nodes link; those that join use the port after it
    #[arg(long, default_value = "0.0.0.0:7411", value_name = "ADDR")]
    listen: SocketAddr,
    /// What this process does
    #[arg(long, default_value = "master", value_name = "ROLE")]
    role: Role,
    #[command(flatten)]
    passphrase: PassphraseSource,
    /// Does not listen to nodes that announce themselves on the local network
    #[arg(long)]
    no_discovery: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    /// Commands only; nodes run the work
    Master,
}

impl Serve {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Role::Master = self.role;
        let passphrase = match (context.data.safe()?.protection()?, self.passphrase.is_given()) {
            (Some(Protection::Key), true) => {
                context.streams.note("refused: the fleet's authority is sealed without a passphrase; `bitacora authority protect` seals it with one");
                return Ok(Exit::Refused);
            }
            (Some(Protection::Passphrase), _) => Some(self.passphrase.known()?),
            (None, true) => Some(self.passphrase.chosen()?),
            (Some(Protection::Key) | None, false) => None,
        };
        let mut master = Master::open(&context.data, Settings::for_serving(), |holder| {
            context.streams.note(&format!("waiting for another bitacora (process {holder}) on {} to end", context.data.root().display()));
        })?;
        // Only from here on is there anything to end in good order.
        let stop = Arc::new(AtomicBool::new(false));
        for number in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register_conditional_default(number, Arc::clone(&stop)).context("cannot watch for signals")?;
            signal_hook::flag::register(number, Arc::clone(&stop)).context("cannot watch for signals")?;
        }
        let address = master.open_links(self.listen, passphrase.as_ref())?;
        context.streams.note(&format!("listening on {address} for nodes; `bitacora node discover` and `bitacora node token NAME` let more join"));
        if let Some(shortage) = master.udp_buffers().and_then(UdpBuffers::shortage) {
            let advice = "raise net.core.rmem_max and net.core.wmem_max, or large transfers lose packets";
            context.streams.note(&format!("{shortage}; {advice}"));
        }
        if !self.no_discovery
            && let Err(error) = master.watch_network()
        {
            context.streams.note(&format!("nodes are not discovered: {}; they can be paired by their address", with_cause(&error)));
        }
        let hear = |notice: &Notice| {
            if let Notice::AuditCut { node, head } = notice {
                let number = head.number;
                context.streams.note(&format!("WARNING: node {node} knows of a record {number} that the audit does not have; see `bitacora audit verify`"));
            }
        };
        master.serve(|| stop.load(Ordering::Relaxed), hear)?;
        Ok(Exit::Ok)
    }
}
