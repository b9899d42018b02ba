//! `bitacora node token`.

use std::{io::Write, net::SocketAddr};

use bitacora_core::{fleet::Right, time::Span};
use clap::{Args, ValueEnum};

use super::{Context, ask, check_name, duration};
use crate::{
    cli::{
        attach,
        manner::{self, Trial},
        output::Sink,
    },
    control::{Answer, Request},
    exit::Exit,
};

/// How long a token is good: a person goes from one machine to another.
const TTL: &str = "1h";

/// Prints a token with which one node can join, once; or a person's device
///
/// Where nobody serves, a master is started in the background, which stays for as long as a token is open or a node is linked.
#[derive(Args)]
pub(in crate::cli) struct Token {
    /// What the node or device will be called
    name: String,
    /// How long it can be used; the port for joining is open as long
    #[arg(long, value_name = "TIME", default_value = TTL, value_parser = duration::span)]
    ttl: Span,
    /// For a person's device instead of a node, which may then view, operate or admin
    #[arg(long, value_name = "RIGHT", value_enum)]
    operator: Option<RightKind>,
    #[command(flatten)]
    trial: Trial,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum RightKind {
    /// Looks and touches nothing
    View,
    /// Has work done, and schedules nodes
    Operate,
    /// Lets in and removes, too
    Admin,
}

impl From<RightKind> for Right {
    fn from(kind: RightKind) -> Right {
        match kind {
            RightKind::View => Right::View,
            RightKind::Operate => Right::Operate,
            RightKind::Admin => Right::Admin,
        }
    }
}

impl Token {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let name = self.name;
        check_name(&name)?;
        if self.trial.dry_run {
            let whom = self.operator.map_or_else(|| "node".to_owned(), |right| format!("device, which may {},", Right::from(right).name()));
            let plan = format!("print a token with which one {whom} can join as {name}, for {}", duration::words(self.ttl));
            return Ok(manner::tell(context, Some(&attach::with_master(context, plan))));
        }
        attach::have_master_here(context)?;
        match ask(context, &Request::Token { name, span: self.ttl, operator: self.operator.map(Right::from) })? {
            None => Ok(Exit::Unreachable),
            Some(Answer::Token { token, seconds, address }) => {
                let mut out = Sink::open(None)?;
                writeln!(out, "{token}")?;
                out.close()?;
                let (span, address) = (duration::words(Span::from_secs(seconds)), reachable(&address));
                let command = match self.operator {
                    None => format!("fleet-agent --peer {address} --join-file FILE"),
                    Some(_) => format!("bitacora join {address} --join-file FILE"),
                };
                context.streams.note(&format!("good once, for {span}: `{command}`"));
                Ok(Exit::Ok)
            }
            Some(answer) => Ok(context.streams.conclude(&answer)),
        }
    }
}

/// A master that listens on every address is reached by the one that the server knows it by.
fn reachable(address: &str) -> String {
    match address.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_unspecified() => format!("MASTER:{}", address.port()),
        _ => address.to_owned(),
    }
}
