//! Which nodes a job may run on, as a person says it: `zone=eu,gpu` or `ada,grace`.
//!
//! It is compared with what the nodes are called and labelled at the moment: a node that is given the label later is
//! meant too.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    ids::NodeId,
    wire::node::{LABELS_MAX, Labels, TEXT_CHARS_MAX, label},
};

/// Nothing asked means every node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSelector {
    /// All of these labels, with these values.
    labels: Vec<(String, String)>,
    /// Any of these names or ids; or all of them as keys of labels.
    words: Vec<String>,
}

/// Why a text is no selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoSelector {
    /// A part of it is neither `key=value` nor a word.
    Part(String),
    TooMany,
}

impl fmt::Display for NoSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoSelector::Part(part) => write!(f, "{part:?} is neither KEY=VALUE nor a label's key, nor the name of a node"),
            NoSelector::TooMany => write!(f, "a selector has at most {LABELS_MAX} parts"),
        }
    }
}

impl core::error::Error for NoSelector {}

impl FromStr for NodeSelector {
    type Err = NoSelector;

    fn from_str(text: &str) -> Result<NodeSelector, NoSelector> {
        let mut selector = NodeSelector::default();
        for part in text.split(',') {
            let no_part = || NoSelector::Part(part.to_string());
            if selector.labels.len() + selector.words.len() >= LABELS_MAX {
                return Err(NoSelector::TooMany);
            }
            if part.contains('=') {
                selector.labels.push(label(part).map_err(|_| no_part())?);
            } else if part.is_empty() || part.len() > TEXT_CHARS_MAX || part.chars().any(|c| c.is_whitespace() || c.is_control()) {
                return Err(no_part());
            } else {
                selector.words.push(part.to_string());
            }
        }
        Ok(selector)
    }
}

impl fmt::Display for NodeSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = self.labels.iter().map(|(key, value)| alloc::format!("{key}={value}"));
        f.write_str(&labels.chain(self.words.iter().cloned()).collect::<Vec<_>>().join(","))
    }
}

impl NodeSelector {
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.words.is_empty()
    }

    /// Words that are names, ids or keys of labels.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(String::as_str)
    }

    /// This one node, whatever it is called.
    pub(super) fn of_node(id: NodeId) -> NodeSelector {
        NodeSelector { labels: Vec::new(), words: [id.to_string()].into() }
    }

    /// The node, where it is just one by its id.
    pub fn one_node(&self) -> Option<NodeId> {
        match self.words.as_slice() {
            [word] if self.labels.is_empty() => word.parse().ok(),
            _ => None,
        }
    }

    /// Is a node of this name, with all these labels, meant?
    pub fn matches(&self, id: NodeId, name: &str, labels: &Labels) -> bool {
        let is_called = |word: &String| *word == name || word.parse() == Ok(id);
        let labelled = self.labels.iter().all(|(key, value)| labels.get(key) == Some(value));
        labelled && (self.words.is_empty() || self.words.iter().any(is_called) || self.words.iter().all(|word| labels.contains_key(word)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, name: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let selector: NodeSelector = selector.parse().unwrap();
        assert_eq!(selector.to_string().parse(), Ok(selector.clone()), "it survives its text form");
        selector.matches(NodeId(1 << 32 | 2), name, &labels)
    }

    #[test]
    fn labels_are_all_meant_and_names_are_alternatives() {
        let eu = [("zone", "eu"), ("gpu", "")];
        assert!(matches("zone=eu,gpu=", "a", &eu) && matches("zone=eu,gpu", "a", &eu) && matches("gpu,zone", "a", &eu));
        assert!(!matches("zone=us", "a", &eu) && !matches("zone=eu,ssd", "a", &eu) && !matches("gpu,ssd", "a", &eu));
        assert!(matches("a,b", "a", &[]) && matches("n1.2", "a", &[]) && !matches("a,b", "c", &[]));
        assert!(matches("zone=eu,a,b", "b", &eu) && !matches("zone=us,a,b", "b", &eu));
    }

    #[test]
    fn what_is_no_selector_is_named() {
        for text in ["", "a,,b", "zone=\u{1b}", "a b", "=x"] {
            assert!(matches!(text.parse::<NodeSelector>(), Err(NoSelector::Part(_))), "{text:?}");
        }
        assert_eq!("a,".repeat(LABELS_MAX + 1).parse::<NodeSelector>(), Err(NoSelector::TooMany));
        assert!(NodeSelector::default().matches(NodeId(1), "x", &Labels::new()));
    }
}
