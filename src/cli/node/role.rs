//! `bitacora node role`.

use clap::Args;

use super::{Context, ask};
use crate::{cli::serve::Role, control::Request, exit::Exit};

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
}

impl ChangeRole {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let answer = ask(context, &Request::Role { name: self.node, role: self.role.into() })?;
        Ok(answer.map_or(Exit::Unreachable, |answer| context.streams.conclude(&answer)))
    }
}
