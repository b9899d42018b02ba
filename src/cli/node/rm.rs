//! `bitacora node rm`.

use clap::Args;

use super::{Context, command, command_operator, find, find_operator, nodes, operators};
use crate::{
    control::{NodeWish, OperatorWish},
    exit::Exit,
};

/// Removes a node from the fleet, or a person's device; its link is closed at once
#[derive(Args)]
pub(in crate::cli) struct Rm {
    /// Its name or id
    node: String,
    /// Does it without asking
    #[arg(long)]
    yes: bool,
    /// Says what would be done
    #[arg(long)]
    dry_run: bool,
}

impl Rm {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Some(operators) = operators(context)? else { return Ok(Exit::Unreachable) };
        let operator = find_operator(&operators, &self.node);
        if let (Some(operator), true) = (operator, self.yes && !self.dry_run) {
            return command_operator(context, operator, OperatorWish::Remove);
        }
        if self.yes && !self.dry_run {
            return command(context, &self.node, NodeWish::Remove);
        }
        let Some(nodes) = nodes(context)? else { return Ok(Exit::Unreachable) };
        if operator.is_none() && find(context, &nodes, &self.node).is_none() {
            return Ok(Exit::NoMatch);
        }
        let does = if self.dry_run { "would remove" } else { "this removes" };
        context.streams.note(&format!("{does} {} from the fleet; it must be joined again to come back", self.node));
        if !self.dry_run {
            context.streams.note("say --yes to do it");
        }
        Ok(if self.dry_run { Exit::WouldChange } else { Exit::Refused })
    }
}
