//! `bitacora node rm`.

use clap::Args;

use super::{Context, command, command_operator, find, find_operator, nodes, operators, plan};
use crate::{
    cli::manner::{self, Trial},
    control::{NodeWish, OperatorWish},
    exit::Exit,
};

/// Removes a node from the fleet, or a person's device; its link is closed at once
#[derive(Args)]
pub(in crate::cli) struct Rm {
    /// Its name or id
    node: String,
    #[command(flatten)]
    trial: Trial,
}

impl Rm {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Some(operators) = operators(context)? else { return Ok(Exit::Unreachable) };
        let operator = find_operator(&operators, &self.node);
        match operator {
            Some(operator) if self.trial.yes && !self.trial.dry_run => return command_operator(context, operator, OperatorWish::Remove),
            None if self.trial.yes || self.trial.dry_run => return command(context, &self.node, NodeWish::Remove, &self.trial),
            _ => {}
        }
        let Some(nodes) = nodes(context)? else { return Ok(Exit::Unreachable) };
        let plan = match operator {
            Some(_) => format!("remove {} from the fleet; it must be joined again to come back", self.node),
            None => {
                let Some(node) = find(context, &nodes, &self.node) else { return Ok(Exit::NoMatch) };
                nodes.iter().find(|known| known.id == node.to_string()).and_then(|known| plan(known, &NodeWish::Remove)).unwrap_or_default()
            }
        };
        if self.trial.dry_run {
            return Ok(manner::tell(context, Some(&plan)));
        }
        context.streams.note(&format!("this would {plan}; say --yes to do it"));
        Ok(Exit::Refused)
    }
}
