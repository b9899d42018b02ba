//! What each request asks for, by the core's table of rights. Whoever adds a request decides here.

use bitacora_core::fleet::Deed;

use super::{NodeWish, ProjectWish, Request};

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
            Request::Project { command: ProjectWish::Rename(_) | ProjectWish::Assign(_), .. } => Deed::ChangeProject,
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
}
