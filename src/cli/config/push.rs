//! `bitacora config push`: what a node of the fleet is to live by.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use bitacora_core::fleet::{self, PushState};
use clap::Args;
use fleet_agent::configuration::Pushed;

use crate::{
    cli::{
        Context,
        manner::Trial,
        node::{ask, find, nodes},
        output::UsageError,
    },
    control::{Answer, Request},
    exit::Exit,
};

/// How often the master is asked what came of it.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Has a node live by a TOML file with any of the keys label, specialise, leave-max, cores and log
///
/// The file takes the place of the one pushed before, and its keys that of the node's own. The node's owner says which keys can
/// be changed (`fleet-agent --changeable`). A change is taken back unless the node is heard living by it within 15 seconds.
#[derive(Args)]
pub(in crate::cli) struct Push {
    /// Its name or id
    node: String,
    /// A TOML file
    file: PathBuf,
    #[command(flatten)]
    trial: Trial,
}

impl Push {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let text = std::fs::read_to_string(&self.file).with_context(|| format!("cannot read {}", self.file.display()))?;
        let pushed = Pushed::parse(&text).map_err(|error| UsageError(format!("{}: {error}", self.file.display())))?;
        let Some(nodes) = nodes(context)? else { return Ok(Exit::Unreachable) };
        let Some(node) = find(context, &nodes, &self.node) else { return Ok(Exit::NoMatch) };
        if self.trial.dry_run {
            context.streams.note(&format!("would have {} live by: {}", self.node, pushed.keys().join(", ")));
            return Ok(Exit::WouldChange);
        }
        match ask(context, &Request::Configure { node, text })? {
            Some(Answer::Done) => {}
            answer => return Ok(answer.map_or(Exit::Unreachable, |answer| context.streams.conclude(&answer))),
        }
        loop {
            match ask(context, &Request::Configuration { node })? {
                None => return Ok(Exit::Unreachable),
                Some(Answer::Configuration(Some(fleet::Push { state: PushState::Pending, .. })) | Answer::Busy) => std::thread::sleep(LOOK_EVERY),
                Some(Answer::Configuration(Some(push))) => return Ok(conclude(context, &self.node, push.state)),
                Some(Answer::Configuration(None)) => return Ok(conclude(context, &self.node, PushState::Silent)),
                Some(answer) => return Ok(context.streams.conclude(&answer)),
            }
        }
    }
}

fn conclude(context: &Context, node: &str, state: PushState) -> Exit {
    let (said, exit) = match state {
        PushState::Kept => return Exit::Ok,
        PushState::Refused { reason } => (format!("{node} refused: {reason}"), Exit::Refused),
        PushState::RolledBack => (format!("{node} could not be heard living by it and went back"), Exit::RemoteFailed),
        PushState::Silent | PushState::Pending => (format!("{node} is not heard; it goes back by itself"), Exit::Unreachable),
    };
    context.streams.note(&said);
    exit
}
