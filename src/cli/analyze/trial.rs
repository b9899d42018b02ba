//! `bitacora analyze --dry-run`: lists the tree as the analysis would, and says what there is to do. Nothing is submitted.

use bitacora_core::fleet::{JobType, NodeSelector, Project};

use super::{Analyze, Context, UsageError};
use crate::{
    cli::manner,
    exit::Exit,
    journal::Journal,
    master,
    preparation::{self, PreparationError},
    report::text::{bytes, counted},
};

impl Analyze {
    pub(super) fn tell(&self, context: &Context, job_type: JobType) -> anyhow::Result<Exit> {
        if context.remote.is_some() {
            return Err(UsageError("what there is to do is seen on the master's machine: run --dry-run there".to_owned()).into());
        }
        let ledger = Journal::read(&context.data.journal())?.unwrap_or_default();
        let root = self.root(&ledger)?;
        let wish = self.wish(&root, job_type);
        let unknown = Project { name: root.display().to_string(), root: wish.root.clone(), history: Vec::new(), nodes: NodeSelector::default() };
        let project = ledger.projects.values().find(|project| project.root == wish.root).unwrap_or(&unknown);
        let prepared = match preparation::prepare(&context.data, &wish, project, None, self.threads() as usize, master::now()) {
            Err(nothing @ PreparationError::NothingSelected) => {
                context.streams.note(&nothing.to_string());
                return Ok(Exit::NoMatch);
            }
            prepared => prepared?,
        };
        let (files, size) = (prepared.files.len() as u64, prepared.files.iter().map(|file| file.size).sum());
        let plan = format!("analyse {} of {}, {}", counted(files, "file"), project.name, bytes(size));
        Ok(manner::tell(context, (files > 0).then_some(plan.as_str())))
    }
}
