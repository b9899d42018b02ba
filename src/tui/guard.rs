//! What is not done from this dashboard: nothing that changes anything, or nothing to some nodes.

use bitacora_core::fleet::NodeSelector;

use super::{actions::only_reads, state::Options};
use crate::control::NodeState;

/// Said of a dashboard that only shows.
pub const READ_ONLY: &str = "this dashboard is read-only";

/// Why a command line is not run from here; `None` for one that may be.
pub fn refusal<'n>(options: &Options, words: &[String], nodes: impl IntoIterator<Item = &'n NodeState>) -> Option<String> {
    if only_reads(words) {
        return None;
    }
    if options.read_only {
        return Some(READ_ONLY.to_owned());
    }
    let spared = &options.read_only_nodes;
    if spared.is_empty() {
        return None;
    }
    let whom = match meant(words) {
        Meant::Nodes(selectors) => selectors,
        Meant::Unknown => return Some("some nodes are read-only here (read-only-nodes), and whom this is about cannot be told".to_owned()),
    };
    let mut hit = nodes.into_iter().filter(|node| matches(spared, node) && whom.iter().any(|selector| matches(selector, node)));
    hit.next().map(|node| format!("{} is read-only here: it is one of read-only-nodes", node.name))
}

/// Is a node one that nothing is done to from here?
pub fn is_spared(options: &Options, node: &NodeState) -> bool {
    !options.read_only_nodes.is_empty() && matches(&options.read_only_nodes, node)
}

fn matches(selector: &NodeSelector, node: &NodeState) -> bool {
    selector.matches(node.id.parse().unwrap_or_default(), &node.name, &node.labels)
}

/// Which nodes a command line names, to do something to them.
enum Meant {
    Nodes(Vec<NodeSelector>),
    Unknown,
}

/// The nodes that it acts on, is placed on by name, or assigns a project to. Where nothing is named the fleet chooses, which does
/// nothing to a node that it does not do anyhow.
fn meant(words: &[String]) -> Meant {
    let all: Vec<&str> = words.iter().map(String::as_str).collect();
    let plain = |from: usize| all[from.min(all.len())..].iter().copied().filter(|word| !word.starts_with('-')).collect::<Vec<_>>();
    let named = match all[..] {
        // What stands before the command may be anything.
        [first, ..] if first.starts_with('-') => return Meant::Unknown,
        ["script", ..] => return Meant::Unknown,
        ["node", ..] if all.contains(&"--all") => return Meant::Unknown,
        // Labels follow.
        ["node", "label", ..] => plain(2).into_iter().take(1).collect(),
        ["node", ..] | ["config", "push", ..] => plain(2),
        ["project", "assign", ..] => plain(3),
        _ => Vec::new(),
    };
    let placed = all.iter().enumerate().take_while(|(_, word)| **word != "--").filter_map(|(at, word)| match word.strip_prefix("--nodes") {
        Some("") => all.get(at + 1).copied(),
        Some(rest) => rest.strip_prefix('='),
        None => None,
    });
    Meant::Nodes(named.into_iter().chain(placed).filter_map(|word| word.parse().ok()).collect())
}
