//! `bitacora node token`.

use std::{io::Write, net::SocketAddr};

use clap::Args;

use super::{Context, ask, check_name};
use crate::{
    cli::output::Sink,
    control::{Answer, Request},
    exit::Exit,
};

/// Prints a token with which one node can join, once, within fifteen minutes
#[derive(Args)]
pub(in crate::cli) struct Token {
    /// What the node will be called
    name: String,
}

impl Token {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let name = self.name;
        check_name(&name)?;
        match ask(context, &Request::Token { name })? {
            None => Ok(Exit::Unreachable),
            Some(Answer::Token { token, seconds, address }) => {
                let mut out = Sink::open(None)?;
                writeln!(out, "{token}")?;
                out.close()?;
                context.streams.note(&format!("good once, for {} minutes: `fleet-agent --peer {} --join-file FILE`", seconds / 60, reachable(&address)));
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
