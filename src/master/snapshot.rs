//! Everything that a dashboard lists, in one answer.

use super::{Master, now};
use crate::control::{JOBS_MAX, JobState, ProjectState, Snapshot};

impl Master {
    pub(super) fn snapshot(&self) -> Snapshot {
        let (ledger, at) = (self.ledger(), now());
        let newest = ledger.jobs.keys().rev().take(JOBS_MAX).filter_map(|id| self.fleet.job_view(at, *id));
        let project = |view: &bitacora_core::fleet::JobView| view.spec.project.and_then(|id| ledger.projects.get(&id));
        Snapshot {
            at,
            listens: self.serving.as_ref().map(|serving| serving.links.address().to_string()),
            nodes: self.nodes(),
            jobs: newest.map(|view| JobState::of(&view, project(&view))).collect(),
            jobs_all: ledger.jobs.len() as u64,
            projects: ledger.projects.iter().map(|(id, project)| ProjectState::of(*id, project)).collect(),
        }
    }
}
