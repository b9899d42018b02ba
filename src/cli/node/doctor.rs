//! `bitacora node doctor`.

use clap::Args;

use super::{Context, ask, find, nodes};
use crate::{
    cli::doctor,
    control::{Answer, Request},
    exit::Exit,
    report::Format,
};

/// Has a node look whether its machine lets it do its work, and says how to mend what does not
///
/// The same as `fleet-agent doctor` there. Ends with 1 when something is bad.
#[derive(Args)]
pub(in crate::cli) struct Doctor {
    /// Its name or id
    node: String,
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

impl Doctor {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Some(nodes) = nodes(context)? else { return Ok(Exit::Unreachable) };
        let Some(node) = find(context, &nodes, &self.node) else { return Ok(Exit::NoMatch) };
        match ask(context, &Request::Examine { node })? {
            None => Ok(Exit::Unreachable),
            Some(Answer::Findings(findings)) => doctor::tell(context.streams, &findings, self.output),
            Some(answer) => Ok(context.streams.conclude(&answer)),
        }
    }
}
