//! `bitacora node pair`.

use std::{
    io::{self, BufRead, IsTerminal, Read, Write},
    net::ToSocketAddrs,
};

use anyhow::{Context as _, bail};
use clap::Args;
use fleet_agent::net::pairing::PairingCode;

use super::{Context, ask, check_name, discover::hear};
use crate::{
    cli::{
        attach,
        manner::{self, Trial},
    },
    control::{Answer, NodeSeen, Request},
    exit::Exit,
};

/// A code is nine characters.
const LINE_BYTES_MAX: u64 = 256;

/// Takes a node into the fleet by the code that it shows, which is asked for or read from stdin
///
/// Where nobody serves, a master is started in the background, which stays for as long as nodes are linked.
#[derive(Args)]
pub(in crate::cli) struct Pair {
    /// As `bitacora node discover` lists it, by name or key; or ADDR:PORT
    node: String,
    /// What the fleet calls it, instead of what it calls itself
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    trial: Trial,
}

/// What a person may mean by a name.
#[derive(Debug, PartialEq, Eq)]
enum Meant<'a> {
    One(&'a NodeSeen),
    Paired,
    Several,
    Nobody,
}

impl Pair {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        self.name.as_deref().map_or(Ok(()), check_name)?;
        if self.trial.dry_run && !attach::has_master(context) {
            return Ok(manner::tell(context, Some(&format!("start a master, listen for {}, and take it into the fleet once its code is typed", self.node))));
        }
        // Before the code is typed, which is good for a few tries only.
        attach::have_master_here(context)?;
        let addresses = match self.addresses(context)? {
            Ok(addresses) => addresses,
            Err(exit) => return Ok(exit),
        };
        if self.trial.dry_run {
            let called = self.name.as_ref().map_or_else(String::new, |name| format!(" as {name}"));
            let plan = format!("take {} at {} into the fleet{called}, once its code is typed", self.node, addresses.join(" or "));
            return Ok(manner::tell(context, Some(&plan)));
        }
        let Some(code) = read_code(context, &self.node)? else {
            context.streams.note("that is no pairing code: the node shows eight letters and digits, in its log and in its file pairing-code");
            return Ok(Exit::Authentication);
        };
        match ask(context, &Request::Pair { addresses, code, name: self.name })? {
            None => Ok(Exit::Unreachable),
            Some(Answer::Paired { node }) => {
                let known = super::nodes(context)?.unwrap_or_default().into_iter().find(|known| known.id == node.to_string());
                let name = known.map_or_else(|| node.to_string(), |known| known.name);
                context.streams.note(&format!("paired: {name} ({node}) belongs to the fleet"));
                Ok(Exit::Ok)
            }
            Some(answer) => {
                let exit = context.streams.conclude(&answer);
                advise(context, exit);
                Ok(exit)
            }
        }
    }

    /// Where the node is.
    fn addresses(&self, context: &Context) -> anyhow::Result<Result<Vec<String>, Exit>> {
        if self.node.contains(':') {
            let found = self.node.to_socket_addrs().with_context(|| format!("{} cannot be looked up", self.node))?;
            return Ok(Ok(found.map(|address| address.to_string()).collect()));
        }
        let seen = match hear(context, |seen| matches!(meant(seen, &self.node), Meant::One(_) | Meant::Several))? {
            Ok(seen) => seen,
            Err(exit) => return Ok(Err(exit)),
        };
        let (word, exit) = match meant(&seen, &self.node) {
            Meant::One(node) => return Ok(Ok(node.addresses.clone())),
            Meant::Paired => ("belongs to a fleet already; start it with an empty data directory to pair it again", Exit::Refused),
            Meant::Several => ("is what several nodes call themselves; say which by its key, from `bitacora node discover`", Exit::NoMatch),
            Meant::Nobody => ("is no node that announces itself; `bitacora node discover` lists them, and ADDR:PORT works for any", Exit::NoMatch),
        };
        context.streams.note(&format!("{} {word}", self.node));
        Ok(Err(exit))
    }
}

fn meant<'a>(seen: &'a [NodeSeen], wanted: &str) -> Meant<'a> {
    let fitting = || seen.iter().filter(|node| node.name == wanted || node.key == wanted);
    let unpaired: Vec<&NodeSeen> = fitting().filter(|node| !node.paired).collect();
    match unpaired.as_slice() {
        [node] => Meant::One(node),
        [] if fitting().next().is_some() => Meant::Paired,
        [] => Meant::Nobody,
        _ => Meant::Several,
    }
}

/// From the terminal or a pipe, never from the arguments, which other users see. `None` for what is no code.
fn read_code(context: &Context, node: &str) -> anyhow::Result<Option<PairingCode>> {
    let stdin = io::stdin();
    if stdin.is_terminal() && context.streams.stderr_is_terminal {
        // A closed stderr is nobody listening.
        let _ = write!(io::stderr(), "Code that {} shows: ", crate::report::text::harmless(node));
    }
    let mut line = String::new();
    if stdin.lock().take(LINE_BYTES_MAX).read_line(&mut line).context("cannot read the code from stdin")? == 0 {
        bail!("no code was given: type it, or write it to stdin");
    }
    Ok(line.parse().ok())
}

fn advise(context: &Context, exit: Exit) {
    let advice = match exit {
        Exit::Authentication => "a code is good for five minutes and three tries; the node shows the one that is good now",
        Exit::Unreachable => "is the node running, unpaired, and its port open, over UDP or TCP?",
        Exit::TimedOut => "`bitacora node ls` shows whether it belongs to the fleet; `bitacora node rm` removes one that does not come",
        _ => return,
    };
    context.streams.note(advice);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(name: &str, key: &str, paired: bool) -> NodeSeen {
        NodeSeen { name: name.into(), key: key.into(), paired, protocol: "1.0".into(), addresses: Vec::new() }
    }

    #[test]
    fn a_name_means_the_one_node_that_waits() {
        let all = [seen("a", "01", false), seen("a", "02", true), seen("b", "03", false), seen("b", "04", false), seen("c", "05", true)];
        assert_eq!(meant(&all, "a"), Meant::One(&all[0]));
        assert_eq!(meant(&all, "b"), Meant::Several);
        assert_eq!(meant(&all, "04"), Meant::One(&all[3]));
        assert_eq!([meant(&all, "c"), meant(&all, "02")], [Meant::Paired, Meant::Paired]);
        assert_eq!(meant(&all, "d"), Meant::Nobody);
    }
}
