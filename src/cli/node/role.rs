//! `bitacora node role`.

use bitacora_core::fleet::OwnRole;
use clap::Args;

use super::{Context, ask};
use crate::{
    cli::{
        manner::{self, Trial},
        serve::Role,
    },
    control::Request,
    exit::Exit,
};

/// Changes what the machine that serves does: commands only, or runs work besides
///
/// A hybrid that becomes a master hands back the work that it has not done. It stays what it became when it is started again
/// without --role.
#[derive(Args)]
pub(in crate::cli) struct ChangeRole {
    /// The machine's name, as a node or as a machine
    node: String,
    /// What it is to do
    role: Role,
    #[command(flatten)]
    trial: Trial,
}

impl ChangeRole {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let role = OwnRole::from(self.role);
        if self.trial.dry_run {
            let is_served = ask(context, &Request::Nodes)?.is_some();
            return Ok(if is_served { manner::tell(context, Some(&format!("make {} a {}", self.node, role.name()))) } else { Exit::Unreachable });
        }
        let answer = ask(context, &Request::Role { name: self.node, role })?;
        Ok(answer.map_or(Exit::Unreachable, |answer| context.streams.conclude(&answer)))
    }
}
