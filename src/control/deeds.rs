//! What each request asks for, by the core's table of rights. Whoever adds a request decides here.

use bitacora_core::fleet::{About, Deed, Ledger};

use super::{NodeWish, ProjectWish, Request, report::Report};

impl Request {
    /// For an analysis of a project that is known; of any other folder it is [`Deed::AddProject`].
    pub fn deed(&self) -> Deed {
        match self {
            Request::Explain { .. }
            | Request::Waits { .. }
            | Request::Examine { .. }
            | Request::ReportPart { .. }
            | Request::EndReport { .. }
            | Request::Progress { .. }
            | Request::Spark { .. }
            | Request::Sparks { .. }
            | Request::Log { .. }
            | Request::Events { .. }
            | Request::Audit { .. }
            | Request::Snapshot
            | Request::Watch(_)
            | Request::Nodes
            | Request::NodeDetail { .. }
            | Request::Operators
            | Request::Configuration { .. }
            | Request::Projects
            | Request::Search(_)
            | Request::Discovered => Deed::Look,
            Request::Command { .. } => Deed::CommandJob,
            Request::Report(wish) if !wish.reads_records() => Deed::Look,
            // What is brought takes room on the master's disk.
            Request::Report(_) | Request::Analyse(_) | Request::Warm(_) | Request::Bring { .. } => Deed::Analyse,
            Request::Run(_) => Deed::RunCommand,
            Request::CancelSpark { .. } => Deed::CancelSpark,
            Request::Project { command: ProjectWish::Assign(_), .. } => Deed::ChangeProject,
            Request::Project { command: ProjectWish::Rename(_), .. } => Deed::RenameProject,
            Request::Project { command: ProjectWish::Remove, .. } | Request::Sweep => Deed::RemoveProject,
            Request::Node { command, .. } => match command {
                NodeWish::Cordon | NodeWish::Uncordon | NodeWish::Drain { .. } | NodeWish::Relabel { .. } => Deed::ScheduleNode,
                NodeWish::Stop { .. } => Deed::StopNode,
                NodeWish::Remove => Deed::RemoveNode,
                // As for pairing: the master dials where it is told to.
                NodeWish::Call { .. } => Deed::LetJoin,
            },
            Request::AddProject { .. } => Deed::AddProject,
            Request::Role { .. } => Deed::ChooseRole,
            Request::Configure { .. } => Deed::ConfigureNode,
            // Whoever has the authority lets in whomever he likes.
            Request::Token { .. } | Request::Pair { .. } | Request::ExportAuthority => Deed::LetJoin,
            Request::Operator { .. } => Deed::ChangeOperator,
        }
    }

    /// A project that is named, by its id: what was looked at is what is read, whatever it is called by then.
    pub fn pinned(mut self, ledger: &Ledger) -> Request {
        if let Request::Report(wish) = &mut self
            && let Report::Project { project } | Report::Symbols { project, .. } | Report::Metrics { project, .. } | Report::Deps { project, .. } =
                &mut wish.report
            && let Some(id) = project.as_deref().and_then(|wanted| ledger.project_called(wanted))
        {
            *project = Some(id.to_string());
        }
        self
    }

    /// What it is about, for rights that are given for some projects only.
    pub fn about(&self, ledger: &Ledger) -> About {
        let at = |root: &[u8]| ledger.projects.iter().find(|(_, project)| project.root == root).map_or(About::Fleet, |(id, _)| About::Project(*id));
        match self {
            Request::Command { job, .. } | Request::Explain { job } | Request::Waits { job } | Request::Progress { job } => About::Job(*job),
            Request::Sparks { job } => job.map_or(About::Lists, About::Job),
            Request::Spark { spark } | Request::CancelSpark { spark } | Request::Log { spark, .. } => About::Job(spark.job),
            // By its name a node's owner says that it works for it.
            Request::Project { command: ProjectWish::Rename(_), .. } => About::Fleet,
            Request::Project { project, .. } => About::Project(*project),
            Request::Warm(warmth) => About::Project(warmth.project),
            Request::Analyse(wish) => at(&wish.root),
            Request::Run(commission) => commission.command.as_ref().and_then(|command| command.project).map_or(About::Fleet, About::Project),
            Request::Report(wish) => match &wish.report {
                Report::Job { job } => About::Job(*job),
                Report::Project { project } | Report::Symbols { project, .. } | Report::Metrics { project, .. } | Report::Deps { project, .. } => named(project.as_deref(), ledger),
            },
            Request::Events { .. }
            | Request::Audit { .. }
            | Request::Snapshot
            | Request::Watch(_)
            | Request::Nodes
            | Request::NodeDetail { .. }
            | Request::Examine { .. }
            | Request::Operators
            | Request::Configuration { .. }
            | Request::Projects
            | Request::Discovered
            // Of a report that whoever asks was allowed to ask for.
            | Request::ReportPart { .. }
            | Request::EndReport { .. } => About::Lists,
            Request::Search(_)
            | Request::Bring { .. }
            | Request::Sweep
            | Request::Node { .. }
            | Request::AddProject { .. }
            | Request::Role { .. }
            | Request::Configure { .. }
            | Request::Token { .. }
            | Request::Pair { .. }
            | Request::ExportAuthority
            | Request::Operator { .. } => About::Fleet,
        }
    }
}

/// A project as people name it; whoever names none means all.
fn named(wanted: Option<&str>, ledger: &Ledger) -> About {
    wanted.and_then(|wanted| ledger.project_called(wanted)).map_or(About::Fleet, About::Project)
}
