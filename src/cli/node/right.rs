//! `bitacora node right`.

use clap::Args;

use super::{Context, command_operator, find_operator, operators, token::RightKind};
use crate::{control::OperatorWish, exit::Exit};

/// Says what a person's device may do from now on, up to what its certificate permits
#[derive(Args)]
pub(in crate::cli) struct Right {
    /// Its name or id
    device: String,
    /// What it may do
    right: RightKind,
}

impl Right {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Some(operators) = operators(context)? else { return Ok(Exit::Unreachable) };
        let Some(operator) = find_operator(&operators, &self.device) else {
            context.streams.note(&format!("no device is called {}; `bitacora node ls --operators` lists them", self.device));
            return Ok(Exit::NoMatch);
        };
        command_operator(context, operator, OperatorWish::SetRight(self.right.into()))
    }
}
