//! `bitacora node right`.

use bitacora_core::{
    fleet::{self, Ledger},
    ids::{NodeId, ProjectId},
};
use clap::Args;

use super::{Context, command_operator, find_operator, operators, token::RightKind};
use crate::{
    cli::{
        manner::{self, Trial},
        project,
    },
    control::{OperatorState, OperatorWish},
    exit::Exit,
};

/// Says what a person's device may do from now on, up to what its certificate permits
#[derive(Args)]
pub(in crate::cli) struct Right {
    /// Its name or id
    device: String,
    /// What it may do
    right: RightKind,
    /// A project that its right is about, by its name or id: of others, and of the fleet, it may see the lists and no more, but for what a
    /// program that a node allows may see on that node. Without this flag and the next one that stays as it is. May be repeated
    #[arg(long = "only-project", value_name = "PROJECT", conflicts_with = "all_projects")]
    only_projects: Vec<String>,
    /// Its right is about all projects again, and about the fleet
    #[arg(long)]
    all_projects: bool,
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
        let ledger = project::ledger(context)?;
        let projects = self.projects_among(context, &ledger)?;
        let right = self.right.into();
        if self.trial.dry_run {
            let names = projects.as_ref().map(|projects| projects.iter().map(|id| ledger.projects[id].name.clone()).collect::<Vec<_>>());
            let is_so = operator_is(&operators, operator, right, names.as_deref());
            let about = match names {
                None => String::new(),
                Some(names) if names.is_empty() => " in all projects and the fleet".to_owned(),
                Some(names) => format!(" in {} alone", names.join(", ")),
            };
            let plan = (!is_so).then(|| format!("let {} {}{about}", self.device, right.name()));
            return Ok(manner::tell(context, plan.as_deref()));
        }
        command_operator(context, operator, OperatorWish::SetRight { right, projects })
    }

    /// What is said of them, if anything is.
    fn projects_among(&self, context: &Context, ledger: &Ledger) -> anyhow::Result<Option<Vec<ProjectId>>> {
        if self.only_projects.is_empty() {
            return Ok(self.all_projects.then(Vec::new));
        }
        let found = self.only_projects.iter().map(|wanted| Ok(project::meant(context, ledger, wanted)?.0));
        found.collect::<anyhow::Result<_>>().map(Some)
    }
}

fn operator_is(operators: &[OperatorState], operator: NodeId, right: fleet::Right, projects: Option<&[String]>) -> bool {
    let known = operators.iter().find(|known| known.id == operator);
    known.is_some_and(|known| known.right == right && projects.is_none_or(|projects| projects == known.projects))
}
