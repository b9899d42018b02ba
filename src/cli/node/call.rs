//! `bitacora node call`.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;

use super::{Context, ask, find, manner, nodes, plan};
use crate::{
    cli::manner::Trial,
    control::{NodeState, NodeWish, Request},
    exit::Exit,
};

/// For the link, once the node was called.
const LINK_MAX: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Dials a node that has no link, at the addresses that are known or at another one, which is kept
///
/// A master does so by itself, ever more rarely, up to once a minute. A node whose address has changed, and that is not
/// announced on the local network, can be found again by saying where it is.
#[derive(Args)]
pub(in crate::cli) struct Call {
    /// Its name or id
    node: String,
    /// Where it is, HOST:PORT; its port is 7413 unless it was started with another one
    address: Option<String>,
    #[command(flatten)]
    trial: Trial,
}

impl Call {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let addresses: Vec<SocketAddr> = match &self.address {
            Some(address) => address.to_socket_addrs().with_context(|| format!("{address} cannot be looked up; it takes HOST:PORT"))?.collect(),
            None => Vec::new(),
        };
        let Some(known) = nodes(context)? else { return Ok(Exit::Unreachable) };
        let Some(node) = find(context, &known, &self.node) else { return Ok(Exit::NoMatch) };
        let is_it = |state: &&NodeState| state.id == node.to_string();
        let wish = NodeWish::Call { addresses };
        if self.trial.dry_run {
            return Ok(manner::tell(context, known.iter().find(is_it).and_then(|state| plan(state, &wish)).as_deref()));
        }
        let Some(answer) = ask(context, &Request::Node { node, command: wish })? else { return Ok(Exit::Unreachable) };
        let exit = context.streams.conclude(&answer);
        if exit != Exit::Ok {
            return Ok(exit);
        }
        let asked = Instant::now();
        while asked.elapsed() < LINK_MAX {
            let Some(now) = nodes(context)? else { return Ok(Exit::Unreachable) };
            if now.iter().find(is_it).is_some_and(|state| state.linked) {
                context.streams.note(&format!("{} is linked", self.node));
                return Ok(Exit::Ok);
            }
            thread::sleep(LOOK_EVERY);
        }
        context.streams.note(&format!(
            "{} has not answered in {} seconds; `bitacora node show {}` says where it is called, and the master goes on",
            self.node,
            LINK_MAX.as_secs(),
            self.node
        ));
        Ok(Exit::Unreachable)
    }
}
