//! `bitacora node token`.

use std::{io::Write, net::SocketAddr};

use bitacora_core::time::Span;
use clap::Args;

use super::{Context, ask, check_name, duration};
use crate::{
    cli::output::Sink,
    control::{Answer, Request},
    exit::Exit,
};

/// How long a token is good: a person goes from one machine to another.
const TTL: &str = "1h";

/// Prints a token with which one node can join, once
#[derive(Args)]
pub(in crate::cli) struct Token {
    /// What the node will be called
    name: String,
    /// How long it can be used; the port for joining is open as long
    #[arg(long, value_name = "TIME", default_value = TTL, value_parser = duration::span)]
    ttl: Span,
}

impl Token {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let name = self.name;
        check_name(&name)?;
        match ask(context, &Request::Token { name, span: self.ttl })? {
            None => Ok(Exit::Unreachable),
            Some(Answer::Token { token, seconds, address }) => {
                let mut out = Sink::open(None)?;
                writeln!(out, "{token}")?;
                out.close()?;
                context.streams.note(&format!(
                    "good once, for {}: `fleet-agent --peer {} --join-file FILE`",
                    duration::words(Span::from_secs(seconds)),
                    reachable(&address)
                ));
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
