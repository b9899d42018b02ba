//! `bitacora node …`: by the master that serves. One file per subcommand; what they share is here.

mod call;
mod cordon;
mod discover;
mod doctor;
mod drain;
mod label;
mod ls;
mod pair;
mod right;
mod rm;
mod role;
mod show;
mod shutdown;
mod token;

use bitacora_core::ids::NodeId;
use clap::Subcommand;
use fleet_agent::net::discovery::clean_name;

use super::{
    Context, duration,
    manner::{self, Trial},
    output::{UsageError, write_items},
};
use crate::{
    control::{Answer, NodeState, NodeWish, OperatorState, OperatorWish, Request, blast_radius},
    exit::Exit,
};

/// The nodes of the fleet
#[derive(Subcommand)]
pub(super) enum NodeCommand {
    Ls(ls::Ls),
    Show(show::Show),
    Doctor(doctor::Doctor),
    Discover(discover::Discover),
    Pair(pair::Pair),
    Token(token::Token),
    Call(call::Call),
    Cordon(cordon::Cordon),
    Uncordon(cordon::Uncordon),
    Drain(drain::Drain),
    Label(label::Label),
    Role(role::ChangeRole),
    Shutdown(shutdown::Shutdown),
    Right(right::Right),
    Rm(rm::Rm),
}

impl NodeCommand {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            NodeCommand::Ls(command) => command.run(context),
            NodeCommand::Show(command) => command.run(context),
            NodeCommand::Doctor(command) => command.run(context),
            NodeCommand::Discover(command) => command.run(context),
            NodeCommand::Pair(command) => command.run(context),
            NodeCommand::Token(command) => command.run(context),
            NodeCommand::Call(command) => command.run(context),
            NodeCommand::Cordon(command) => command.run(context),
            NodeCommand::Uncordon(command) => command.run(context),
            NodeCommand::Drain(command) => command.run(context),
            NodeCommand::Label(command) => command.run(context),
            NodeCommand::Role(command) => command.run(context),
            NodeCommand::Shutdown(command) => command.run(context),
            NodeCommand::Right(command) => command.run(context),
            NodeCommand::Rm(command) => command.run(context),
        }
    }
}

/// Asks the master that serves this data directory.
pub(super) fn ask(context: &Context, request: &Request) -> anyhow::Result<Option<Answer>> {
    let answer = context.ask(request)?;
    if answer.is_none() {
        let place = context.data.root().display();
        context.streams.note(&format!("no bitacora serves {place}; start one with `bitacora serve`"));
    }
    Ok(answer)
}

/// What the fleet may call a node.
fn check_name(name: &str) -> Result<(), UsageError> {
    match clean_name(name) {
        Some(clean) if clean == name => Ok(()),
        _ => Err(UsageError(format!("{name:?} is no name for a node: empty, too long, or with white space or control characters"))),
    }
}

/// `None` when nobody serves.
pub(super) fn nodes(context: &Context) -> anyhow::Result<Option<Vec<NodeState>>> {
    Ok(match ask(context, &Request::Nodes)? {
        Some(Answer::Nodes(nodes)) => Some(nodes),
        Some(answer) => {
            context.streams.conclude(&answer);
            None
        }
        None => None,
    })
}

/// A node by its name or id; whoever named none is told.
pub(super) fn find(context: &Context, nodes: &[NodeState], wanted: &str) -> Option<NodeId> {
    let found = nodes.iter().find(|node| node.name == wanted || node.id == wanted).and_then(|node| node.id.parse().ok());
    if found.is_none() {
        context.streams.note(&format!("no node is called {wanted}; `bitacora node ls` lists them"));
    }
    found
}

/// What would become of a node; `None` where it is so already.
fn plan(node: &NodeState, wish: &NodeWish) -> Option<String> {
    let name = &node.name;
    let held = blast_radius([(node.sparks, node.projects.as_slice())]);
    match wish {
        NodeWish::Cordon => (node.availability != "cordoned").then(|| format!("give {name} no more work")),
        NodeWish::Uncordon => (node.availability != "active").then(|| format!("give {name} work again")),
        NodeWish::Drain { .. } => Some(format!("empty {name}, which holds {held}")),
        NodeWish::Stop { .. } => Some(format!("stop all work on {name}, which holds {held}")),
        NodeWish::Remove => Some(format!("remove {name} from the fleet, which holds {held}; it must be joined again to come back")),
        NodeWish::Call { addresses } => match addresses.first() {
            Some(address) => Some(format!("keep {address} for {name}, and dial it if it has no link")),
            None => (!node.linked).then(|| format!("dial {name}")),
        },
        NodeWish::Relabel { set, unset } => {
            let is_new = set.iter().any(|(key, value)| node.labels.get(key) != Some(value)) || unset.iter().any(|key| node.labels.contains_key(key));
            let given: Vec<String> = set.iter().map(|(key, value)| format!("{key}={value}")).chain(unset.iter().map(|key| format!("{key}-"))).collect();
            is_new.then(|| format!("label {name} {}", given.join(" ")))
        }
    }
}

/// The devices of people; `None` when nobody serves.
fn operators(context: &Context) -> anyhow::Result<Option<Vec<OperatorState>>> {
    Ok(match ask(context, &Request::Operators)? {
        Some(Answer::Operators(operators)) => Some(operators),
        _ => None,
    })
}

/// A device by its name or id.
fn find_operator(operators: &[OperatorState], wanted: &str) -> Option<NodeId> {
    operators.iter().find(|operator| operator.name == wanted || operator.id.to_string() == wanted).map(|operator| operator.id)
}

/// Has the master do it to a device.
fn command_operator(context: &Context, operator: NodeId, command: OperatorWish) -> anyhow::Result<Exit> {
    let answer = ask(context, &Request::Operator { operator, command })?;
    Ok(answer.map_or(Exit::Unreachable, |answer| context.streams.conclude(&answer)))
}

/// Has the master do it, or says what it would do.
fn command(context: &Context, wanted: &str, command: NodeWish, trial: &Trial) -> anyhow::Result<Exit> {
    let Some(nodes) = nodes(context)? else { return Ok(Exit::Unreachable) };
    let Some(node) = find(context, &nodes, wanted) else { return Ok(Exit::NoMatch) };
    if trial.dry_run {
        let plan = nodes.iter().find(|known| known.id == node.to_string()).and_then(|known| plan(known, &command));
        return Ok(manner::tell(context, plan.as_deref()));
    }
    let answer = ask(context, &Request::Node { node, command })?;
    Ok(answer.map_or(Exit::Unreachable, |answer| context.streams.conclude(&answer)))
}
