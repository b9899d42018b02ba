//! `bitacora node label`.

use bitacora_core::wire::node::{Labels, is_label, label};
use clap::Args;

use super::{Context, UsageError, command};
use crate::{cli::manner::Trial, control::NodeWish, exit::Exit};

/// Gives a node labels, or takes them off again
///
/// They are kept here and win over those that the node says itself with `fleet-agent --label`; one that is taken off
/// leaves the node's own in force. `bitacora analyze --nodes` chooses by them.
#[derive(Args)]
pub(in crate::cli) struct Label {
    /// Its name or id
    node: String,
    /// KEY=VALUE to give it one, KEY- to take it off
    #[arg(required = true, value_name = "CHANGE")]
    changes: Vec<String>,
    #[command(flatten)]
    trial: Trial,
}

impl Label {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (mut set, mut unset) = (Labels::new(), Vec::new());
        for change in &self.changes {
            match change.strip_suffix('-') {
                Some(key) if !change.contains('=') && is_label(key, "") => unset.push(key.to_owned()),
                Some(_) if !change.contains('=') => return Err(UsageError(format!("{change:?} takes no label off: that looks like KEY-")).into()),
                _ => {
                    let (key, value) = label(change).map_err(|error| UsageError(error.to_string()))?;
                    set.insert(key, value);
                }
            }
        }
        command(context, &self.node, NodeWish::Relabel { set, unset }, &self.trial)
    }
}
