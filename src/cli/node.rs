//! `bitacora node …`: by the master that serves.

use std::{io::Write, net::SocketAddr};

use anyhow::Context as _;
use bitacora_core::ids::NodeId;
use clap::Subcommand;
use serde::Serialize;

use super::{
    Context,
    output::{Sink, UsageError, write_items},
};
use crate::{
    control::{self, Answer, NodeState, NodeWish, Request},
    exit::Exit,
    report::{Format, table::Column, text::timestamp},
};

/// The nodes of the fleet
#[derive(Subcommand)]
pub(super) enum NodeCommand {
    /// Lists the nodes that belong to the fleet
    Ls {
        #[arg(short, long, value_name = "FORMAT")]
        output: Option<Format>,
    },
    /// Prints a token with which one node can join, once, within fifteen minutes
    Token {
        /// What the node will be called
        name: String,
    },
    /// Gives a node no more work; it finishes what it has
    Cordon { node: String },
    /// Gives a node work again
    Uncordon { node: String },
    /// Removes a node from the fleet; its link is closed at once
    Rm {
        node: String,
        /// Does it without asking
        #[arg(long)]
        yes: bool,
        /// Says what would be done
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Serialize)]
struct NodeItem {
    id: String,
    name: String,
    availability: String,
    health: String,
    slots: u32,
    sparks: u32,
    paired_at: String,
}

impl NodeCommand {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            NodeCommand::Ls { output } => list(context, output),
            NodeCommand::Token { name } => token(context, name),
            NodeCommand::Cordon { node } => command(context, &node, NodeWish::Cordon),
            NodeCommand::Uncordon { node } => command(context, &node, NodeWish::Uncordon),
            NodeCommand::Rm { node, yes, dry_run } => remove(context, &node, yes, dry_run),
        }
    }
}

/// Asks the master that serves this data directory.
fn ask(context: &Context, request: &Request) -> anyhow::Result<Option<Answer>> {
    let place = context.data.root().display();
    let answer = control::ask(&context.data.control(), request).with_context(|| format!("cannot ask the bitacora that runs on {place}"))?;
    if answer.is_none() {
        context.streams.note(&format!("no bitacora serves {place}; start one with `bitacora serve`"));
    }
    Ok(answer)
}

fn nodes(context: &Context) -> anyhow::Result<Option<Vec<NodeState>>> {
    Ok(match ask(context, &Request::Nodes)? {
        Some(Answer::Nodes(nodes)) => Some(nodes),
        _ => None,
    })
}

fn list(context: &Context, output: Option<Format>) -> anyhow::Result<Exit> {
    let Some(nodes) = nodes(context)? else { return Ok(Exit::Unreachable) };
    let item = |node: NodeState| NodeItem {
        id: node.id,
        name: node.name,
        availability: node.availability,
        health: node.health,
        slots: node.slots,
        sparks: node.sparks,
        paired_at: timestamp(node.paired_at),
    };
    let items: Vec<NodeItem> = nodes.into_iter().map(item).collect();
    let columns = [
        Column::Text("Name"),
        Column::Text("Id"),
        Column::Text("Health"),
        Column::Text("Availability"),
        Column::Number("Slots"),
        Column::Number("Sparks"),
        Column::Text("Paired"),
    ];
    let rows = items.iter().map(|item| {
        let words = [&item.name, &item.id, &item.health, &item.availability].map(Clone::clone);
        words.into_iter().chain([item.slots.to_string(), item.sparks.to_string(), item.paired_at.clone()]).collect()
    });
    write_items(context, output, "nodes", &items, &columns, rows.collect(), |item| &item.name)
}

fn token(context: &Context, name: String) -> anyhow::Result<Exit> {
    if name.is_empty() || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(UsageError(format!("{name:?} is no name for a node: empty, or with white space")).into());
    }
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

/// A master that listens on every address is reached by the one that the server knows it by.
fn reachable(address: &str) -> String {
    match address.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_unspecified() => format!("MASTER:{}", address.port()),
        _ => address.to_owned(),
    }
}

/// A node by its name or id.
fn find(nodes: &[NodeState], wanted: &str) -> Option<NodeId> {
    nodes.iter().find(|node| node.name == wanted || node.id == wanted).and_then(|node| node.id.parse().ok())
}

fn command(context: &Context, wanted: &str, command: NodeWish) -> anyhow::Result<Exit> {
    let Some(nodes) = nodes(context)? else { return Ok(Exit::Unreachable) };
    let Some(node) = find(&nodes, wanted) else {
        context.streams.note(&format!("no node is called {wanted}; `bitacora node ls` lists them"));
        return Ok(Exit::NoMatch);
    };
    let answer = ask(context, &Request::Node { node, command })?;
    Ok(answer.map_or(Exit::Unreachable, |answer| context.streams.conclude(&answer)))
}

fn remove(context: &Context, wanted: &str, yes: bool, dry_run: bool) -> anyhow::Result<Exit> {
    if yes && !dry_run {
        return command(context, wanted, NodeWish::Remove);
    }
    let Some(nodes) = nodes(context)? else { return Ok(Exit::Unreachable) };
    if find(&nodes, wanted).is_none() {
        context.streams.note(&format!("no node is called {wanted}; `bitacora node ls` lists them"));
        return Ok(Exit::NoMatch);
    }
    context
        .streams
        .note(&format!("{} node {wanted} from the fleet; it must be joined again to come back", if dry_run { "would remove" } else { "this removes" }));
    if !dry_run {
        context.streams.note("say --yes to do it");
    }
    Ok(if dry_run { Exit::WouldChange } else { Exit::Refused })
}
