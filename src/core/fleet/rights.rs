//! Who may have what done: one table, the devices that people command the fleet with, and what becomes of those that ask for
//! more than they may.
//!
//! A user of the master's machine may do everything: whoever can write to its data directory owns the fleet.

use alloc::{format, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use super::{Action, Effect, Fact, Fleet, Notice, Refusal, Requester};
use crate::{
    ids::{JobId, NodeId, ProjectId},
    time::Time,
};

/// What a person's device may do, each with what the one before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    View,
    Operate,
    Admin,
}

impl Right {
    pub const ALL: [Right; 3] = [Right::View, Right::Operate, Right::Admin];

    pub const fn name(self) -> &'static str {
        match self {
            Right::View => "view",
            Right::Operate => "operate",
            Right::Admin => "admin",
        }
    }
}

/// Everything that can be asked of a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    Look,
    /// Of a project that is known.
    Analyse,
    /// Of a folder on the master that nobody has named before.
    AddProject,
    RunCommand,
    CommandJob,
    CancelSpark,
    /// Where it runs.
    ChangeProject,
    /// Nodes' owners know it by its name.
    RenameProject,
    RemoveProject,
    /// Whether and what it is given.
    ScheduleNode,
    /// Whether the master's own machine runs work.
    ChooseRole,
    StopNode,
    RemoveNode,
    ConfigureNode,
    /// A node or a device, by token or code.
    LetJoin,
    ChangeOperator,
}

impl Deed {
    pub const ALL: [Deed; 16] = [
        Deed::Look,
        Deed::Analyse,
        Deed::AddProject,
        Deed::RunCommand,
        Deed::CommandJob,
        Deed::CancelSpark,
        Deed::ChangeProject,
        Deed::RenameProject,
        Deed::RemoveProject,
        Deed::ScheduleNode,
        Deed::ChooseRole,
        Deed::StopNode,
        Deed::RemoveNode,
        Deed::ConfigureNode,
        Deed::LetJoin,
        Deed::ChangeOperator,
    ];

    /// The table: what it takes, and its name.
    const fn row(self) -> (Right, &'static str) {
        match self {
            Deed::Look => (Right::View, "look"),
            Deed::Analyse => (Right::Operate, "analyse"),
            Deed::RunCommand => (Right::Operate, "run-command"),
            Deed::CommandJob => (Right::Operate, "command-job"),
            Deed::CancelSpark => (Right::Operate, "cancel-spark"),
            Deed::ChangeProject => (Right::Operate, "change-project"),
            Deed::RenameProject => (Right::Admin, "rename-project"),
            Deed::ScheduleNode => (Right::Operate, "schedule-node"),
            Deed::ChooseRole => (Right::Admin, "choose-role"),
            Deed::StopNode => (Right::Operate, "stop-node"),
            Deed::AddProject => (Right::Admin, "add-project"),
            Deed::RemoveProject => (Right::Admin, "remove-project"),
            Deed::RemoveNode => (Right::Admin, "remove-node"),
            Deed::ConfigureNode => (Right::Admin, "configure-node"),
            Deed::LetJoin => (Right::Admin, "let-join"),
            Deed::ChangeOperator => (Right::Admin, "change-operator"),
        }
    }

    pub const fn needs(self) -> Right {
        self.row().0
    }

    pub const fn name(self) -> &'static str {
        self.row().1
    }
}

/// What somebody asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// What is listed for everybody who may look: names, and how things stand.
    Lists,
    Project(ProjectId),
    Job(JobId),
    /// The fleet itself, or what belongs to no project.
    Fleet,
}

/// A person's device that belongs to the fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    pub name: String,
    /// In its certificate: more it never has.
    pub permitted: Right,
    pub right: Right,
    /// The only ones that its right is about; empty for all of them, and for the fleet. One that is gone stays: the last one to go
    /// must not open the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub projects: Vec<ProjectId>,
    pub paired_at: Time,
}

/// What a person can do to somebody's device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorCommand {
    /// It belongs to the fleet no longer: its connections are closed and its certificate is worth nothing.
    Remove,
    SetRight {
        right: Right,
        /// For these alone, or for everything if there are none; `None` leaves that as it is.
        projects: Option<Vec<ProjectId>>,
    },
}

impl OperatorCommand {
    /// In the words of the command line.
    pub fn describe(&self) -> String {
        match self {
            OperatorCommand::Remove => "rm".into(),
            OperatorCommand::SetRight { right, projects: None } => format!("right {}", right.name()),
            OperatorCommand::SetRight { right, projects: Some(projects) } if projects.is_empty() => format!("right {} --all-projects", right.name()),
            OperatorCommand::SetRight { right, projects: Some(projects) } => {
                let projects: Vec<String> = projects.iter().map(|project| format!(" --only-project {project}")).collect();
                format!("right {}{}", right.name(), projects.concat())
            }
        }
    }
}

impl Fleet {
    pub(super) fn on_operator_joined(&mut self, now: Time, name: String, right: Right, out: &mut Vec<Effect>) {
        let name = self.free_name(name);
        let operator = NodeId::counted(self.ledger.epoch, self.ledger.counter + 1);
        self.record(Fact::OperatorPaired { operator, name, right, at: now }, out);
        out.push(Effect::Publish(Notice::OperatorPaired { operator, right }));
    }

    pub(super) fn on_operator_commanded(&mut self, now: Time, operator: NodeId, command: OperatorCommand, out: &mut Vec<Effect>) {
        let Some(known) = self.ledger.operators.get(&operator) else {
            return out.push(Effect::Publish(Notice::Refused(Refusal::UnknownNode(operator))));
        };
        match command {
            OperatorCommand::Remove => {
                self.record(Fact::OperatorRemoved { operator, at: now }, out);
                self.watch.deeds.retain(|(id, _), _| *id != operator);
                out.push(Effect::Disconnect { node: operator });
            }
            OperatorCommand::SetRight { right, .. } if right > known.permitted => {
                out.push(Effect::Publish(Notice::Refused(Refusal::NotPermitted { operator, permitted: known.permitted })));
            }
            OperatorCommand::SetRight { right, mut projects } => {
                // No more than there are.
                projects.iter_mut().for_each(|projects| {
                    projects.sort_unstable();
                    projects.dedup();
                });
                let unknown = projects.iter().flatten().find(|project| !self.ledger.projects.contains_key(project));
                let is_so = right == known.right && projects.as_ref().is_none_or(|projects| *projects == known.projects);
                match unknown {
                    Some(project) => out.push(Effect::Publish(Notice::Refused(Refusal::UnknownProject(*project)))),
                    None if is_so => {}
                    None => self.record(Fact::OperatorRight { operator, right, projects, at: now }, out),
                }
            }
        }
    }

    /// May a device's right be about this?
    pub fn may_concern(&self, operator: NodeId, about: About) -> bool {
        self.ledger.operators.get(&operator).is_some_and(|known| self.is_within(&known.projects, about))
    }

    /// Is it about one of these projects, if there are any?
    fn is_within(&self, projects: &[ProjectId], about: About) -> bool {
        let is_one = |project: Option<ProjectId>| project.is_some_and(|project| projects.contains(&project));
        match about {
            _ if projects.is_empty() => true,
            About::Lists => true,
            About::Project(project) => is_one(Some(project)),
            About::Job(job) => is_one(self.ledger.jobs.get(&job).and_then(|job| job.spec.about())),
            About::Fleet => false,
        }
    }

    /// Somebody's device asks for something. Nothing comes of it here but a refusal, if it may not; `certified` is what its
    /// certificate permits.
    pub(super) fn on_deed_asked(&mut self, now: Time, operator: NodeId, certified: Right, (deed, about): (Deed, About), out: &mut Vec<Effect>) {
        let refusal = match self.ledger.operators.get(&operator) {
            None => Refusal::UnknownNode(operator),
            Some(known) if known.right.min(certified) < deed.needs() => Refusal::RightMissing { deed, right: known.right.min(certified) },
            Some(known) if !self.is_within(&known.projects, about) => Refusal::OtherProject { projects: self.ledger.project_names(&known.projects) },
            Some(_) => return,
        };
        self.deeds_refused += 1;
        // Counted each time and recorded now and then: whoever may look must not fill the disk.
        let repeat = self.settings.audit_repeat;
        let (times, recorded) = self.watch.deeds.entry((operator, deed)).or_insert((0, None));
        *times += 1;
        if recorded.is_none_or(|at| now - at >= repeat) {
            let times = core::mem::take(times);
            *recorded = Some(now);
            self.audit_refusal(now, Requester::Operator(operator), Action::DeedRefused { deed: deed.name().into(), times }, &refusal, out);
        }
        out.push(Effect::Publish(Notice::Refused(refusal)));
    }

    /// Requests of people's devices that were refused since this master began.
    pub fn deeds_refused(&self) -> u64 {
        self.deeds_refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fleet::{AuditRecord, Event, Ledger, NodeCommand, Outcome, Settings},
        ids::TokenId,
        time::Span,
    };

    const NOW: Time = Time(1_000_000);
    const HOUR: Span = Span::from_secs(3600);

    fn handle(fleet: &mut Fleet, now: Time, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        fleet.handle_turn(now, Requester::User(1000), [event], &mut out);
        fleet.check();
        out
    }

    /// A fleet with one device of this right.
    fn with(right: Right) -> (Fleet, NodeId) {
        let mut fleet = Fleet::recover(Settings::default(), Ledger::default(), NOW, &mut Vec::new());
        let token = TokenId([1; 16]);
        handle(&mut fleet, NOW, Event::TokenMade { token, name: "phone".into(), span: HOUR, operator: Some(right) });
        handle(&mut fleet, NOW, Event::TokenProved { token });
        let operator = *fleet.ledger().operators.keys().next().unwrap();
        (fleet, operator)
    }

    fn refusals(effects: &[Effect]) -> Vec<&Refusal> {
        effects.iter().filter_map(|effect| if let Effect::Publish(Notice::Refused(refusal)) = effect { Some(refusal) } else { None }).collect()
    }

    fn records(effects: &[Effect]) -> Vec<&AuditRecord> {
        effects.iter().filter_map(|effect| if let Effect::Audit(record) = effect { Some(record) } else { None }).collect()
    }

    #[test]
    fn each_right_does_what_the_table_says_and_no_more() {
        for right in Right::ALL {
            let (mut fleet, operator) = with(right);
            for deed in Deed::ALL {
                let out = handle(&mut fleet, NOW, Event::DeedAsked { operator, certified: right, deed, about: About::Fleet });
                match deed.needs() <= right {
                    true => assert_eq!(out, [], "{right:?} {deed:?}"),
                    false => assert_eq!(refusals(&out), [&Refusal::RightMissing { deed, right }], "{right:?} {deed:?}"),
                }
            }
        }
        let mut names: Vec<&str> = Deed::ALL.iter().map(|deed| deed.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Deed::ALL.len(), "each has its name");
    }

    #[test]
    fn a_certificate_never_gives_more_than_the_ledger_nor_the_ledger_more_than_the_certificate() {
        let (mut fleet, operator) = with(Right::Operate);
        let ask = |certified| Event::DeedAsked { operator, certified, deed: Deed::RunCommand, about: About::Fleet };
        assert_eq!(handle(&mut fleet, NOW, ask(Right::Operate)), []);
        assert_eq!(refusals(&handle(&mut fleet, NOW, ask(Right::View))).len(), 1);
        let set = |right| Event::OperatorCommanded { operator, command: OperatorCommand::SetRight { right, projects: None } };
        let out = handle(&mut fleet, NOW, set(Right::Admin));
        assert_eq!(refusals(&out), [&Refusal::NotPermitted { operator, permitted: Right::Operate }]);
        handle(&mut fleet, NOW, set(Right::View));
        assert_eq!(refusals(&handle(&mut fleet, NOW, ask(Right::Admin))), [&Refusal::RightMissing { deed: Deed::RunCommand, right: Right::View }]);
        handle(&mut fleet, NOW, set(Right::Operate));
        assert_eq!(handle(&mut fleet, NOW, ask(Right::Operate)), []);
    }

    #[test]
    fn a_right_for_some_projects_is_none_for_others_or_the_fleet() {
        let (mut fleet, operator) = with(Right::Operate);
        for name in ["ours", "theirs"] {
            handle(&mut fleet, NOW, Event::ProjectAdded { name: name.into(), root: name.as_bytes().to_vec() });
        }
        let projects: Vec<ProjectId> = fleet.ledger().projects.keys().copied().collect();
        let set = |projects: &[ProjectId]| OperatorCommand::SetRight { right: Right::Operate, projects: Some(projects.to_vec()) };
        handle(&mut fleet, NOW, Event::OperatorCommanded { operator, command: set(&projects[..1]) });
        let may = |fleet: &mut Fleet, deed, about| {
            let out = handle(fleet, NOW, Event::DeedAsked { operator, certified: Right::Operate, deed, about });
            let others = |refusal: &&Refusal| matches!(refusal, Refusal::OtherProject { projects } if projects.len() == 1);
            assert!(refusals(&out).iter().all(others), "{out:?}");
            out.is_empty()
        };
        assert!(may(&mut fleet, Deed::Analyse, About::Project(projects[0])));
        assert!(may(&mut fleet, Deed::Look, About::Lists));
        assert!(!may(&mut fleet, Deed::Look, About::Project(projects[1])), "its sources are in what is read of it");
        assert!(!may(&mut fleet, Deed::ScheduleNode, About::Fleet));
        assert!(!may(&mut fleet, Deed::CommandJob, About::Job(JobId::default())), "a job that nobody knows is of no project");
        handle(&mut fleet, NOW, Event::ProjectRemoved { project: projects[0] });
        assert!(!may(&mut fleet, Deed::Analyse, About::Project(projects[1])), "the last one that goes opens no other");
        handle(&mut fleet, NOW, Event::OperatorCommanded { operator, command: set(&[]) });
        assert!(may(&mut fleet, Deed::Analyse, About::Project(projects[1])) && may(&mut fleet, Deed::ScheduleNode, About::Fleet));
        let unknown = handle(&mut fleet, NOW, Event::OperatorCommanded { operator, command: set(&projects[..1]) });
        assert_eq!(refusals(&unknown), [&Refusal::UnknownProject(projects[0])]);
    }

    #[test]
    fn a_removed_device_is_disconnected_and_may_nothing() {
        let (mut fleet, operator) = with(Right::Admin);
        let out = handle(&mut fleet, NOW, Event::OperatorCommanded { operator, command: OperatorCommand::Remove });
        assert!(out.contains(&Effect::Disconnect { node: operator }), "{out:?}");
        let out = handle(&mut fleet, NOW, Event::DeedAsked { operator, certified: Right::Admin, deed: Deed::Look, about: About::Lists });
        assert_eq!(refusals(&out), [&Refusal::UnknownNode(operator)]);
        assert_eq!(refusals(&handle(&mut fleet, NOW, Event::RenewalAsked { node: operator })), [&Refusal::UnknownNode(operator)]);
    }

    #[test]
    fn what_was_refused_is_recorded_once_in_a_while_with_its_number() {
        let (mut fleet, operator) = with(Right::View);
        let ask = || Event::DeedAsked { operator, certified: Right::View, deed: Deed::LetJoin, about: About::Fleet };
        let refused = |times| Action::DeedRefused { deed: "let-join".into(), times };
        let out = handle(&mut fleet, NOW, ask());
        let [first] = records(&out)[..] else { panic!("{out:?}") };
        assert_eq!((first.by, &first.action, &first.outcome), (Requester::Operator(operator), &refused(1), &Outcome::Refused("right-missing".into())));
        for _ in 0..10 {
            assert_eq!(records(&handle(&mut fleet, NOW, ask())), Vec::<&AuditRecord>::new());
        }
        let out = handle(&mut fleet, NOW + Settings::default().audit_repeat, ask());
        assert_eq!(records(&out)[0].action, refused(11));
        assert_eq!(fleet.deeds_refused(), 12);
    }

    #[test]
    fn devices_are_no_nodes_and_share_no_name_with_one() {
        let (mut fleet, operator) = with(Right::Admin);
        assert!(fleet.ledger().nodes.is_empty() && !fleet.admits(operator), "it is given no work and its word as a node is not heard");
        handle(&mut fleet, NOW, Event::NodeJoined { name: "phone".into(), address: None });
        assert_eq!(fleet.ledger().nodes.values().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["phone-2"]);
        let out = handle(&mut fleet, NOW, Event::NodeCommanded { node: operator, command: NodeCommand::Cordon });
        assert_eq!(refusals(&out), [&Refusal::UnknownNode(operator)]);
        assert_eq!(handle(&mut fleet, NOW, Event::RenewalAsked { node: operator }).len(), 1, "its certificate is renewed, and that is recorded");
    }
}
