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
    let whom: Vec<NodeSelector> = targets(words).iter().filter_map(|word| word.parse().ok()).collect();
    let is_meant = |selector: &NodeSelector, node: &NodeState| selector.matches(node.id.parse().unwrap_or_default(), &node.name, &node.labels);
    let mut hit = nodes.into_iter().filter(|node| is_meant(spared, node) && whom.iter().any(|selector| is_meant(selector, node)));
    hit.next().map(|node| format!("{} is read-only here: it is one of read-only-nodes", node.name))
}

/// The words by which nodes may be named: of commands about nodes all that are no flags.
fn targets(words: &[String]) -> &[String] {
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["node", _, ..] | ["config", "push", ..] => &words[2..],
        _ => &[],
    }
}

/// Is a node one that nothing is done to from here?
pub fn is_spared(options: &Options, node: &NodeState) -> bool {
    let spared = &options.read_only_nodes;
    !spared.is_empty() && spared.matches(node.id.parse().unwrap_or_default(), &node.name, &node.labels)
}
