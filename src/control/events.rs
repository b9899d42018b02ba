//! What a request is to the core, where an event is all there is to it.

use bitacora_core::fleet::{Event, JobSpec, Notice};

use super::{Answer, Commission, Request, outcome};

impl Request {
    /// `None` for what is only read, and for what takes more than the core.
    pub fn event(&self) -> Option<Event> {
        Some(match self.clone() {
            Request::Run(commission) => {
                let Commission { sparks, priority, after, command, placement, nodes } = *commission;
                Event::WorkSubmitted { spec: JobSpec { placement, nodes, ..JobSpec::without_tree(command, priority, after) }, sparks }
            }
            Request::CancelSpark { spark } => Event::SparkCancelled { spark },
            Request::Project { project, command } => command.event(project),
            Request::Operator { operator, command } => Event::OperatorCommanded { operator, command: command.into() },
            Request::Node { node, command } => Event::NodeCommanded { node, command: command.into() },
            Request::Command { job, command } => Event::JobCommanded { job, command: command.into() },
            Request::ExportAuthority => Event::AuthorityExported,
            Request::Explain { .. }
            | Request::Waits { .. }
            | Request::Report(_)
            | Request::Examine { .. }
            | Request::ReportPart { .. }
            | Request::EndReport { .. }
            | Request::Analyse(_)
            | Request::Progress { .. }
            | Request::Bring { .. }
            | Request::Search(_)
            | Request::Warm(_)
            | Request::Sweep
            | Request::Spark { .. }
            | Request::Events { .. }
            | Request::Snapshot
            | Request::Watch(_)
            | Request::Nodes
            | Request::NodeDetail { .. }
            | Request::Role { .. }
            | Request::AddProject { .. }
            | Request::Token { .. }
            | Request::Configure { .. }
            | Request::Configuration { .. }
            | Request::Projects
            | Request::Operators
            | Request::Sparks { .. }
            | Request::Log { .. }
            | Request::Audit { .. }
            | Request::Discovered
            | Request::Pair { .. } => return None,
        })
    }

    /// The answer, by what the event has led to.
    pub fn answered(&self, notices: &[Notice]) -> Answer {
        let accepted = notices.iter().find_map(|notice| match notice {
            Notice::JobAccepted(job) => Some(*job),
            _ => None,
        });
        match (self, accepted) {
            (Request::Run(commission), Some(job)) => Answer::Accepted { job, sparks: commission.sparks },
            _ => outcome(notices),
        }
    }
}
