//! A fleet to look at: the real cores in virtual time, machines that are made up, and people who ask for work now and then.
//!
//! Unlike [`super::run`] it has no end and looks for no contradiction: somebody drives it at whatever pace they like, asks it
//! what a master is asked, and draws what it says. The same seed and the same requests at the same times play the same.

mod machine;
mod names;

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    vec::Vec,
};

use self::machine::Machine;
use super::{
    dice::Dice,
    node::{ENGINE, PROGRAM},
    trees,
};
use crate::{
    aggregate::Totals,
    fleet::{
        AuditRecord, CommandSpec, Effect, Event, Fact, Fleet, Job, JobSpec, JobType, Ledger, ListedFile, Needs, Notice, OwnRole, Partitioning, Placement,
        Priority, Requester, ResultSummary, Settings, Submission,
    },
    ids::{Epoch, NodeId, ProjectId},
    paths::RelativePath,
    time::{Span, Time},
    wire::{
        Envelope, FromAgent,
        command::{CommandLine, OUTPUT_BYTES},
        message::Output,
        task::{FileLimits, FileResult},
    },
};

/// Machines of one demo: a fleet larger than anybody's.
pub const NODES_MAX: u32 = 10_000;
/// Everything that is due in so long is one turn of the master.
const STEP: Span = Span::from_millis(100);
/// How old a fleet is when it is first looked at: jobs have begun, and in a small one some are over.
const YOUTH_MIN: Span = Span::from_secs(2);
const YOUTH_MAX: Span = Span::from_secs(60);
/// Heartbeats that are played before the first frame: nobody is kept waiting for it.
const YOUTH_BEATS_MAX: u64 = 4_000;
/// Between two troubles, and how long one lasts, in milliseconds.
const TROUBLE_MILLIS: (u64, u64) = (18_000, 45_000);
const TROUBLED_MILLIS: (u64, u64) = (9_000, 30_000);
/// Until the master's side of a broken link notices.
const LINK_LOST_AFTER: Span = Span::from_secs(2);
/// Between two wishes of people, in milliseconds.
const WISH_MILLIS: (u64, u64) = (3_000, 9_000);
/// Jobs that people have open at the same time.
const OPEN_JOBS: usize = 3;
/// Files of a tree: enough for every machine to get some of them.
const FILES: (u32, u32) = (150, 2_000);
/// How long merging and writing a result takes.
const STORE_AFTER: Span = Span::from_millis(700);
/// Effects of effects in one turn: telling of the audit leads to no more of it.
const ROUNDS_MAX: usize = 4;

/// What a driver would journal, keep or show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Recorded(Box<Fact>),
    Audited(Box<AuditRecord>),
    /// A part of what a command writes.
    Written(Output),
    Noticed(Notice),
}

pub struct Demo {
    now: Time,
    dice: Dice,
    fleet: Fleet,
    machines: BTreeMap<NodeId, Machine>,
    /// What the master hears with the next step, and later.
    letters: Vec<(NodeId, Envelope<FromAgent>)>,
    due: BTreeMap<(Time, u64), Event>,
    sequence: u64,
    trouble_at: Time,
    wish_at: Time,
    /// States of trees that were analysed.
    versions: u32,
    told: Vec<Told>,
}

impl Demo {
    /// How long to play before somebody looks at a fleet of so many, so that there is something to see.
    pub fn youth(nodes: u32) -> Span {
        let beats = u64::from(nodes.clamp(1, NODES_MAX)) * 2;
        Span((YOUTH_BEATS_MAX * 1_000_000 / beats).clamp(YOUTH_MIN.0, YOUTH_MAX.0))
    }

    /// A fleet of so many machines, of which the first is the master's own.
    pub fn new(seed: u64, nodes: u32, begin: Time) -> Demo {
        let nodes = nodes.clamp(1, NODES_MAX);
        let mut dice = Dice::new(seed);
        let machines: BTreeMap<NodeId, Machine> = (1..=nodes).map(|number| (id_of(number), Machine::new(number - 1, &mut dice))).collect();
        let mut told: Vec<Told> = facts(nodes, begin).into_iter().map(|fact| Told::Recorded(Box::new(fact))).collect();
        let mut ledger = Ledger::default();
        facts(nodes, begin).iter().for_each(|fact| ledger.apply(fact));
        let mut effects = Vec::new();
        let settings = Settings { seed, jobs_kept: 60, ..Settings::default() };
        let fleet = Fleet::recover(settings, ledger, begin, &mut effects);
        told.extend(effects.into_iter().filter_map(record));
        let (trouble_at, wish_at) = (begin + dice.millis(TROUBLE_MILLIS.0 / 2, TROUBLE_MILLIS.0), begin + STEP + STEP);
        let mut demo =
            Demo { now: begin, dice, fleet, machines, letters: Vec::new(), due: BTreeMap::new(), sequence: 0, trouble_at, wish_at, versions: 0, told };
        demo.add_projects();
        demo
    }

    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Everything up to this moment has happened.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Plays on.
    pub fn advance(&mut self, until: Time) {
        while self.now + STEP <= until {
            self.step();
        }
    }

    /// When there is something to play again.
    pub fn next_step(&self) -> Time {
        self.now + STEP
    }

    /// A person wants something.
    pub fn ask(&mut self, by: Requester, event: Event) -> Vec<Notice> {
        self.turn(by, [event])
    }

    /// What a master would have journalled, kept and shown since this was asked last.
    pub fn take_told(&mut self) -> Vec<Told> {
        core::mem::take(&mut self.told)
    }

    fn add_projects(&mut self) {
        for name in names::PROJECTS {
            self.turn(Requester::Fleet, [Event::ProjectAdded { name: name.into(), root: format!("/demo/{name}").into_bytes() }]);
        }
    }

    fn step(&mut self) {
        self.now += STEP;
        let mut events = self.due_events();
        events.extend(self.make_trouble());
        events.extend(self.wish());
        let mut said = core::mem::take(&mut self.letters);
        for (id, machine) in &mut self.machines {
            let mut out = Vec::new();
            machine.step(self.now, &mut self.dice, &mut out);
            said.extend(out.into_iter().map(|message| (*id, message)));
        }
        events.extend(said.into_iter().map(|(node, message)| Event::Received { node, message }));
        events.push(Event::Woken);
        self.turn(Requester::Fleet, events);
    }

    fn due_events(&mut self) -> Vec<Event> {
        let later = self.due.split_off(&(self.now + Span(1), 0));
        core::mem::replace(&mut self.due, later).into_values().collect()
    }

    fn later(&mut self, wait: Span, event: Event) {
        self.sequence += 1;
        self.due.insert((self.now + wait, self.sequence), event);
    }

    /// The driver: what is decided is told, and what is sent arrives.
    fn turn(&mut self, by: Requester, events: impl IntoIterator<Item = Event>) -> Vec<Notice> {
        let (mut effects, mut notices) = (Vec::new(), Vec::new());
        self.fleet.handle_turn(self.now, by, events, &mut effects);
        for _ in 0..ROUNDS_MAX {
            let follow: Vec<Event> = effects.drain(..).filter_map(|effect| self.perform(effect, &mut notices)).collect();
            if follow.is_empty() {
                break;
            }
            self.fleet.handle_turn(self.now, Requester::Fleet, follow, &mut effects);
        }
        self.told.extend(notices.iter().cloned().map(Told::Noticed));
        notices
    }

    /// Answers with what follows at once.
    fn perform(&mut self, effect: Effect, notices: &mut Vec<Notice>) -> Option<Event> {
        match effect {
            Effect::Record(fact) => {
                if let Fact::RoleTaken { role, .. } = &fact {
                    self.take_role(*role);
                }
                self.told.push(Told::Recorded(Box::new(fact)));
            }
            Effect::Audit(record) => self.told.push(Told::Audited(Box::new(record))),
            Effect::Send { to, message } => self.deliver(to, |machine, now, dice, out| machine.hear(now, message, dice, out)),
            // One that is only silent dials again by itself.
            Effect::Disconnect { node } if self.fleet.ledger().nodes.contains_key(&node) => {}
            Effect::Disconnect { node } => drop(self.machines.remove(&node)),
            Effect::StoreResult { job, round, .. } => {
                let known = &self.fleet.ledger().jobs[&job];
                let result = ResultSummary { job, at: self.now, manifest: trees::digest(&[format!("{job}").as_bytes()]), totals: totals(known) };
                self.later(STORE_AFTER, Event::ResultStored { job, round, result });
            }
            Effect::KeepOutput(output) => self.told.push(Told::Written(output)),
            // There is no disk, and nobody who keeps the end of an audit.
            Effect::ListTree { job } => return Some(Event::TreeNotListed { job, error: "a demo has no trees".into() }),
            // Its machines come back by themselves.
            Effect::LookUpHead { .. } | Effect::Call { .. } => {}
            Effect::Publish(notice) => notices.push(notice),
        }
        None
    }

    fn deliver(&mut self, to: NodeId, what: impl FnOnce(&mut Machine, Time, &mut Dice, &mut Vec<Envelope<FromAgent>>)) {
        let mut out = Vec::new();
        if let Some(machine) = self.machines.get_mut(&to) {
            what(machine, self.now, &mut self.dice, &mut out);
        }
        self.letters.extend(out.into_iter().map(|message| (to, message)));
    }

    /// The master's own machine runs work, or none any more.
    fn take_role(&mut self, role: OwnRole) {
        let is_hybrid = role == OwnRole::Hybrid;
        self.deliver(id_of(1), |machine, now, dice, out| {
            machine.be_wanted(now, is_hybrid);
            if !is_hybrid {
                machine.leave(now, Span::from_secs(5), dice, out);
            }
        });
    }

    /// Now and then one machine fails: most of them always work.
    fn make_trouble(&mut self) -> Option<Event> {
        if self.now < self.trouble_at {
            return None;
        }
        self.trouble_at = self.now + self.dice.millis(TROUBLE_MILLIS.0, TROUBLE_MILLIS.1);
        let well: Vec<NodeId> = self.machines.iter().filter(|(id, machine)| **id != id_of(1) && machine.is_well()).map(|(id, _)| *id).collect();
        if well.len() * 4 < self.machines.len() * 3 {
            return None;
        }
        let node = self.dice.pick(&well)?;
        let back_at = self.now + self.dice.millis(TROUBLED_MILLIS.0, TROUBLED_MILLIS.1);
        match self.dice.below(10) {
            0..5 => self.deliver(node, |machine, _, _, _| machine.cut_off(back_at)),
            5..8 => self.deliver(node, |machine, _, _, _| machine.kill(back_at)),
            _ => {
                self.deliver(node, |machine, now, dice, out| machine.leave(now, Span::from_secs(10), dice, out));
                return None;
            }
        }
        self.later(LINK_LOST_AFTER, Event::LinkLost { node });
        None
    }

    /// People ask for something while little is open.
    fn wish(&mut self) -> Option<Event> {
        if self.now < self.wish_at {
            return None;
        }
        self.wish_at = self.now + self.dice.millis(WISH_MILLIS.0, WISH_MILLIS.1);
        let ledger = self.fleet.ledger();
        if ledger.jobs.values().filter(|job| !job.status.is_over()).count() >= OPEN_JOBS {
            return None;
        }
        let projects: Vec<ProjectId> = ledger.projects.keys().copied().collect();
        match self.dice.pick(&projects).filter(|_| self.dice.below(4) > 0) {
            Some(project) => Some(Event::JobSubmitted(self.submission(project))),
            None => Some(self.commands()),
        }
    }

    /// The tree has changed since the last time.
    fn submission(&mut self, project: ProjectId) -> Submission {
        self.versions += 1;
        let root = &self.fleet.ledger().projects[&project].root;
        let listing = trees::digest(&[root, &self.versions.to_le_bytes()]);
        let count = (self.machines.len() as u32 * 8).clamp(FILES.0, FILES.1);
        let job_type = [JobType::FullAnalysis, JobType::IncrementalAnalysis, JobType::MetricsCalculation][self.dice.below(3) as usize];
        let priority = [Priority::High, Priority::Normal, Priority::Normal, Priority::Low][self.dice.below(4) as usize];
        let spec = JobSpec {
            project: Some(project),
            job_type,
            priority,
            partitioning: Partitioning::default(),
            placement: Placement::default(),
            fingerprint: ENGINE,
            limits: FileLimits::default(),
            use_cache: true,
            listing,
            ..JobSpec::without_tree(None, priority, Vec::new())
        };
        let files = (0..count).map(|number| file(number, &mut self.dice)).collect();
        Submission { spec, files }
    }

    fn commands(&mut self) -> Event {
        let target: String = names::TARGETS[self.dice.below(names::TARGETS.len() as u64) as usize].into();
        let line = CommandLine { program: PROGRAM.into(), arguments: [target].into(), output_bytes_max: OUTPUT_BYTES, ..CommandLine::default() };
        let command = CommandSpec { line, tries: 2, timeout: Span::from_secs(120), needs: Needs::default(), project: None };
        Event::WorkSubmitted { spec: JobSpec::without_tree(Some(command), Priority::Normal, Vec::new()), sparks: 1 + self.dice.below(6) as u32 }
    }
}

fn id_of(number: u32) -> NodeId {
    NodeId::counted(Epoch(1), number)
}

/// An earlier master paired them all.
fn facts(nodes: u32, at: Time) -> Vec<Fact> {
    let paired = |number| Fact::NodePaired { node: id_of(number), name: names::of(number - 1), at };
    let role = Fact::RoleTaken { role: OwnRole::Hybrid, node: Some(id_of(1)), at };
    core::iter::once(Fact::EpochBegan { epoch: Epoch(1), at }).chain((1..=nodes).map(paired)).chain([role]).collect()
}

fn record(effect: Effect) -> Option<Told> {
    if let Effect::Record(fact) = effect { Some(Told::Recorded(Box::new(fact))) } else { None }
}

fn file(number: u32, dice: &mut Dice) -> ListedFile {
    let (language, end) = names::LANGUAGES[dice.below(names::LANGUAGES.len() as u64) as usize];
    let folder = names::FOLDERS[number as usize % names::FOLDERS.len()];
    let path = RelativePath::new(format!("{folder}/part_{number}.{end}").into()).expect("it is relative and has no odd part");
    ListedFile { path, size: 60_000 + dice.below(420_000), language: language.into(), complexity: 0, cluster: 0, content: None, is_disputed: false }
}

fn totals(job: &Job) -> Totals {
    let mut totals = Totals::default();
    for outcome in job.aggregate.iter() {
        match &outcome.result {
            FileResult::Analysed { summary, .. } => totals.add_file(summary),
            FileResult::Skipped(_) => totals.skipped += 1,
            FileResult::Failed(_) => totals.failed += 1,
        }
    }
    // A file without an outcome is one of a spark that was given up.
    let known: BTreeSet<u32> = job.aggregate.iter().map(|outcome| outcome.index).collect();
    totals.failed += (job.files.len() - known.len()) as u64;
    totals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Health, JobStatus, NodeCommand};

    const NOW: Time = Time(1_800_000_000_000_000);

    /// What is told in so many seconds, with everything that is asserted asserted once a second.
    fn played(seed: u64, nodes: u32, seconds: u64) -> (Demo, Vec<Told>) {
        let mut demo = Demo::new(seed, nodes, NOW);
        for second in 1..=seconds {
            demo.advance(NOW + Span::from_secs(second));
            demo.fleet.check();
        }
        let told = demo.take_told();
        (demo, told)
    }

    #[test]
    fn the_same_seed_plays_the_same_and_another_does_not() {
        let (one, told) = played(3, 12, 30);
        let (_, again) = played(3, 12, 30);
        let (_, other) = played(4, 12, 30);
        assert!(told == again && told != other);
        let mut apace = Demo::new(3, 12, NOW);
        (1..=30_000_u64).step_by(37).for_each(|millis| apace.advance(NOW + Span::from_millis(millis)));
        apace.advance(NOW + Span::from_secs(30));
        assert!(apace.take_told() == told && apace.now() == one.now(), "whoever drives it in smaller steps sees the same");
    }

    #[test]
    fn there_is_something_to_see_at_once() {
        for nodes in [1, 2, 12, 200] {
            let mut demo = Demo::new(1, nodes, NOW);
            demo.advance(NOW + Demo::youth(nodes));
            let view = demo.fleet().view(demo.now());
            assert!(view.nodes.len() as u32 >= nodes - 1, "one may be away");
            assert!(view.nodes.iter().any(|node| node.held > 0), "{nodes} machines and none works");
            assert!(view.jobs.iter().any(|job| !job.status.is_over()));
        }
    }

    #[test]
    fn jobs_end_well_and_machines_fail_and_recover() {
        let (demo, told) = played(7, 12, 240);
        let completed = |told: &&Told| matches!(told, Told::Recorded(fact) if matches!(**fact, Fact::JobCompleted { .. } | Fact::JobDone { .. }));
        assert!(told.iter().filter(completed).count() >= 5);
        assert!(told.iter().any(|told| matches!(told, Told::Written(_))), "commands say something");
        let changes = told.iter().filter(|told| matches!(told, Told::Noticed(Notice::NodeChanged(_)))).count();
        assert!(changes > 12 * 2 + 4, "machines fail and come back: {changes}");
        let view = demo.fleet().view(demo.now());
        let well = view.nodes.iter().filter(|node| node.health == Health::Healthy).count();
        assert!(well >= 9, "most of them always work: {well}");
        let projects = &demo.fleet().ledger().projects;
        assert!(projects.values().any(|project| project.history.iter().any(|result| result.totals.files > 100 && result.totals.lines > 10_000)));
    }

    #[test]
    fn what_a_person_asks_for_is_done() {
        let (mut demo, _) = played(5, 6, 5);
        let node = id_of(3);
        let by = Requester::User(1000);
        demo.ask(by, Event::NodeCommanded { node, command: NodeCommand::Stop { reason: "smoke".into() } });
        demo.ask(by, Event::NodeCommanded { node: id_of(2), command: NodeCommand::Remove });
        demo.ask(by, Event::RoleChosen { role: OwnRole::Master, name: "anvil".into() });
        demo.advance(NOW + Span::from_secs(30));
        demo.fleet.check();
        assert_eq!(demo.fleet().held_by(node).count(), 0, "it was stopped");
        assert!(!demo.fleet().ledger().nodes.contains_key(&id_of(2)));
        assert_eq!(demo.fleet().held_by(id_of(1)).count(), 0, "the master's own machine only commands");
        demo.ask(by, Event::RoleChosen { role: OwnRole::Hybrid, name: "anvil".into() });
        demo.advance(NOW + Span::from_secs(60));
        assert!(demo.fleet().node_view(id_of(1)).is_some_and(|own| own.linked), "and runs work again");
        assert!(demo.take_told().iter().any(|told| matches!(told, Told::Audited(_))));
    }

    #[test]
    fn a_long_demo_stays_small() {
        let (demo, _) = played(2, 6, 1_200);
        let over = demo.fleet().ledger().jobs.values().filter(|job| job.status != JobStatus::Running).count();
        assert!(over <= 60 + OPEN_JOBS, "{over} jobs are remembered");
        assert!(demo.due.len() < 100 && demo.letters.len() < 100);
    }
}
