//! `bitacora node right`.

use clap::Args;

use super::{Context, command_operator, find_operator, operators, token::RightKind};
use crate::{
    cli::manner::{self, Trial},
    control::OperatorWish,
    exit::Exit,
};

/// Says what a person's device may do from now on, up to what its certificate permits
#[derive(Args)]
pub(in crate::cli) struct Right {
    /// Its name or id
    device: String,
    /// What it may do
    right: RightKind,
    #[command(flatten)]
    trial: Trial,
}

impl Right {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Some(operators) = operators(context)? else { return Ok(Exit::Unreachable) };
        let Some(operator) = find_operator(&operators, &self.device) else {
            context.streams.note(&format!("no device is called {}; `bitacora node ls --operators` lists them", self.device));
            return Ok(Exit::NoMatch);
        };
        let (right, now) = (self.right.into(), operators.iter().find(|known| known.id == operator).map(|known| known.right));
        if self.trial.dry_run {
            let plan = (now != Some(right)).then(|| format!("let {} {}", self.device, right.name()));
            return Ok(manner::tell(context, plan.as_deref()));
        }
        command_operator(context, operator, OperatorWish::SetRight(right))
    }
}
