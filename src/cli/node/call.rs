//! `bitacora node call`.

use std::{
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;

use super::{Context, UsageError, ask, find, manner, nodes, plan};
use crate::{
    cli::manner::Trial,
    control::{NodeState, NodeWish, Request},
    exit::Exit,
};

/// For the link, once the node was called.
const LINK_MAX: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Where a node answers unless it was started with another port.
const PORT: u16 = 7413;

/// Dials a node that has no link, at the addresses that are known or at another one, which is kept
///
/// A master does so by itself, ever more rarely, up to once a minute. A node whose address has changed, and that is not
/// announced on the local network, can be found again by saying where it is.
#[derive(Args)]
pub(in crate::cli) struct Call {
    /// Its name or id
    node: String,
    /// Where it is, HOST or HOST:PORT
    #[arg(value_name = "HOST[:PORT]")]
    address: Option<String>,
    #[command(flatten)]
    trial: Trial,
}

fn look_up(address: &str) -> anyhow::Result<Vec<SocketAddr>> {
    if let Ok(alone) = address.parse::<IpAddr>() {
        return Ok(vec![(alone, PORT).into()]);
    }
    let looked_up = match address.rsplit_once(':') {
        None => (address, PORT).to_socket_addrs(),
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) => address.to_socket_addrs(),
        Some(_) => return Err(UsageError(format!("{address:?} is no address: write HOST or HOST:PORT, as in 192.0.2.7:{PORT}")).into()),
    };
    Ok(looked_up.with_context(|| format!("cannot look up {address}"))?.collect())
}

impl Call {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let addresses: Vec<SocketAddr> = match &self.address {
            Some(address) => look_up(address)?,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port_of_its_own_or_the_usual_one() {
        for (text, expected) in [("192.0.2.7", "192.0.2.7:7413"), ("192.0.2.7:80", "192.0.2.7:80"), ("::1", "[::1]:7413"), ("[::1]:80", "[::1]:80")] {
            assert_eq!(look_up(text).unwrap(), [expected.parse().unwrap()], "{text}");
        }
        for text in ["host:", ":80", "host:much", "host:0", "host:70000"] {
            assert!(look_up(text).unwrap_err().is::<UsageError>(), "{text}");
        }
    }
}
