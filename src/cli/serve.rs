//! `bitacora serve`.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context as _;
use bitacora_core::fleet::Settings;
use clap::{Args, ValueEnum};
use fleet_agent::net::quic::UdpBuffers;

use super::Context;
use crate::{exit::Exit, master::Master};

/// Stays and commands the fleet: nodes link with it, and `analyze` hands its work over to it.
#[derive(Args)]
pub(super) struct Serve {
    /// Where nodes link; those that join use the port after it
    #[arg(long, default_value = "0.0.0.0:7411", value_name = "ADDR")]
    listen: SocketAddr,
    /// What this process does
    #[arg(long, default_value = "master", value_name = "ROLE")]
    role: Role,
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    /// Commands only; nodes run the work
    Master,
}

impl Serve {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Role::Master = self.role;
        let mut master = Master::open(&context.data, Settings::for_serving(), |holder| {
            context.streams.note(&format!("waiting for another bitacora (process {holder}) on {} to end", context.data.root().display()));
        })?;
        // Only from here on is there anything to end in good order.
        let stop = Arc::new(AtomicBool::new(false));
        for number in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register_conditional_default(number, Arc::clone(&stop)).context("cannot watch for signals")?;
            signal_hook::flag::register(number, Arc::clone(&stop)).context("cannot watch for signals")?;
        }
        let address = master.open_links(self.listen)?;
        context.streams.note(&format!("listening on {address} for nodes; `bitacora node token NAME` lets one join"));
        if let Some(shortage) = master.udp_buffers().and_then(UdpBuffers::shortage) {
            let advice = "raise net.core.rmem_max and net.core.wmem_max, or large transfers lose packets";
            context.streams.note(&format!("{shortage}; {advice}"));
        }
        master.serve(|| stop.load(Ordering::Relaxed))?;
        Ok(Exit::Ok)
    }
}
