//! `bitacora node cordon` and `bitacora node uncordon`.

use clap::Args;

use super::{Context, command};
use crate::{cli::manner::Trial, control::NodeWish, exit::Exit};

/// Gives a node no more work; it finishes what it has
#[derive(Args)]
pub(in crate::cli) struct Cordon {
    /// Its name or id
    node: String,
    #[command(flatten)]
    trial: Trial,
}

/// Gives a node work again
#[derive(Args)]
pub(in crate::cli) struct Uncordon {
    /// Its name or id
    node: String,
    #[command(flatten)]
    trial: Trial,
}

impl Cordon {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        command(context, &self.node, NodeWish::Cordon, &self.trial)
    }
}

impl Uncordon {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        command(context, &self.node, NodeWish::Uncordon, &self.trial)
    }
}
