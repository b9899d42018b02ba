//! `bitacora node role`.

use bitacora_core::fleet::OwnRole;
use clap::{Args, ValueEnum};

use super::{Context, UsageError, ask};
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
    /// The machine's name, as a node or as a machine; not needed, as there is only one whose role changes
    #[arg(value_name = "NODE")]
    first: String,
    /// What it is to do
    role: Option<Role>,
    #[command(flatten)]
    trial: Trial,
}

impl ChangeRole {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (name, role) = match self.role {
            Some(role) => (self.first, role),
            None => (String::new(), Role::from_str(&self.first, true).map_err(|_| UsageError(format!("{:?} is no role: master or hybrid", self.first)))?),
        };
        let role = OwnRole::from(role);
        if self.trial.dry_run {
            let is_served = ask(context, &Request::Nodes)?.is_some();
            return Ok(if is_served { manner::tell(context, Some(&format!("make this machine a {}", role.name()))) } else { Exit::Unreachable });
        }
        let answer = ask(context, &Request::Role { name, role })?;
        Ok(answer.map_or(Exit::Unreachable, |answer| context.streams.conclude(&answer)))
    }
}
