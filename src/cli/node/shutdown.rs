//! `bitacora node shutdown`.

use std::io::{BufRead, IsTerminal};

use bitacora_core::wire::node::TEXT_CHARS_MAX;
use clap::Args;

use super::{Context, UsageError, ask, find, nodes};
use crate::{
    cli::manner::Trial,
    control::{NodeWish, Request, blast_radius},
    exit::Exit,
};

/// Stops all work on nodes at once, for an emergency
///
/// What they run is ended and given to others; they say why on their stderr. Their programs stay and stay linked, so
/// that they can be asked what is the matter, but they are given nothing, also after a restart, until `bitacora node
/// uncordon`. `bitacora node drain` is the gentle way.
#[derive(Args)]
pub(in crate::cli) struct Shutdown {
    /// Their names or ids
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    node: Vec<String>,
    /// Every node of the fleet
    #[arg(long)]
    all: bool,
    /// Why; shown on the node and in lists
    #[arg(long, value_name = "TEXT", default_value = "an emergency")]
    reason: String,
    #[command(flatten)]
    trial: Trial,
}

impl Shutdown {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        if self.reason.is_empty() || self.reason.chars().count() > TEXT_CHARS_MAX || self.reason.chars().any(char::is_control) {
            return Err(UsageError(format!("a reason is one line of at most {TEXT_CHARS_MAX} characters")).into());
        }
        let Some(known) = nodes(context)? else { return Ok(Exit::Unreachable) };
        let names: Vec<String> = if self.all { known.iter().map(|node| node.name.clone()).collect() } else { self.node.clone() };
        let mut targets = Vec::new();
        for name in &names {
            let Some(node) = find(context, &known, name) else { return Ok(Exit::NoMatch) };
            targets.push((name, node));
        }
        let held = known.iter().filter(|node| targets.iter().any(|(_, id)| node.id == id.to_string())).map(|node| (node.sparks, node.projects.as_slice()));
        let plan = format!("all work on {}: {}", names.join(", "), blast_radius(held));
        if self.trial.dry_run {
            context.streams.note(&format!("would stop {plan}"));
            return Ok(Exit::WouldChange);
        }
        if !self.trial.yes && !self.is_typed(context, &plan, &names) {
            return Ok(Exit::Refused);
        }
        let mut worst = Exit::Ok;
        for (name, node) in targets {
            let command = NodeWish::Stop { reason: self.reason.clone() };
            let exit = ask(context, &Request::Node { node, command })?.map_or(Exit::Unreachable, |answer| context.streams.conclude(&answer));
            match exit {
                Exit::Ok => context.streams.note(&format!("node {name} is stopped until `bitacora node uncordon {name}`")),
                exit => worst = exit,
            }
        }
        Ok(worst)
    }

    /// Is a person there, and do they type what they mean?
    fn is_typed(&self, context: &Context, plan: &str, names: &[String]) -> bool {
        context.streams.note(&format!("this stops {plan} at once"));
        if !std::io::stdin().is_terminal() || !context.streams.stderr_is_terminal {
            context.streams.note("say --yes to do it");
            return false;
        }
        let expected = if self.all { "all".to_owned() } else { names.join(" ") };
        context.streams.note(&format!("type {expected:?} to do it:"));
        let mut typed = String::new();
        // A terminal that cannot be read is nobody who agrees.
        let read = std::io::stdin().lock().read_line(&mut typed).is_ok();
        read && typed.trim() == expected
    }
}
