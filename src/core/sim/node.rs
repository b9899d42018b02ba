//! A simulated node: a real [`Agent`] in a process that runs make-believe work, dies, and starts again.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec,
    vec::Vec,
};

use super::{
    Count, Happening, Origin, Plant, Scenario, Simulation, held,
    master::OWN_NODE,
    network::{Cut, Way},
    trees,
};
use crate::{
    agent::{Agent, Effect, Event},
    ids::{Digest, Epoch, Incarnation, NodeId},
    time::{Span, Time},
    wire::{
        Envelope, ToAgent,
        command::{CommandEnd, ExitStatus},
        message::{Held, Progress},
        node::NodeProfile,
        task::{AttemptError, SparkOutput, Task, Work},
    },
};

/// The engine that every job is begun with.
pub(super) const ENGINE: Digest = Digest([0xe; 32]);
/// One that says other things of the same bytes.
const OTHER_ENGINE: Digest = Digest([0xf; 32]);
/// Where some have another engine, it is one in so many.
const OTHER_EVERY: u64 = 5;

/// Of each node, for each slot that it has.
pub(super) const SLOT_MEMORY_BYTES: u64 = 1 << 30;
/// What every node here may be asked to run.
pub(super) const PROGRAM: &str = "make";

pub(super) struct Node {
    slots: u32,
    engine: Digest,
    /// The true number of its process's life.
    life: u64,
    incarnation: Incarnation,
    /// `None` while its process is down.
    agent: Option<Agent>,
    cut: Cut,
    /// It died for good.
    retired: bool,
    /// The highest that it heard, in whatever life: kept on its disk.
    epoch: Epoch,
    wake_at: Option<Time>,
    /// What its worker threads and children do, by the token of what will come of it.
    work: BTreeMap<Held, Running>,
    /// Done well in this life, and nobody said that the answer may be forgotten.
    answered: BTreeSet<Held>,
    /// The packs on its disk.
    kept: BTreeSet<Digest>,
}

struct Running {
    token: u64,
    slots: u32,
    /// It never ends by itself.
    hung: bool,
    /// Nobody wants its answer any more.
    cancelled: bool,
}

impl Node {
    /// The one of this number.
    pub(super) fn new(number: u64, scenario: &Scenario) -> Node {
        Node {
            slots: 1 + (number % 3) as u32,
            engine: if scenario.skewed && number.is_multiple_of(OTHER_EVERY) { OTHER_ENGINE } else { ENGINE },
            life: 0,
            incarnation: Incarnation(0),
            agent: None,
            cut: Cut::Nothing,
            retired: false,
            epoch: Epoch(0),
            wake_at: None,
            work: BTreeMap::new(),
            answered: BTreeSet::new(),
            kept: BTreeSet::new(),
        }
    }

    pub(super) fn is_cut(&self, way: Way) -> bool {
        self.cut.cuts(way)
    }

    /// Does anything get through?
    fn is_whole(&self) -> bool {
        self.cut == Cut::Nothing
    }

    pub(super) fn is_alive(&self) -> bool {
        self.agent.is_some()
    }

    pub(super) fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Has it all of them?
    pub(super) fn keeps(&self, packs: &[Digest]) -> bool {
        packs.iter().all(|pack| self.kept.contains(pack))
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired
    }

    /// Alive, reachable, and holding nothing; or dead for good.
    pub(super) fn is_idle(&self) -> bool {
        self.retired || self.is_whole() && self.work.is_empty() && self.agent.as_ref().is_some_and(Agent::is_idle)
    }

    fn refused(&self) -> u64 {
        self.agent.as_ref().map_or(0, Agent::refused)
    }

    fn does(&self, held: Held, token: u64) -> bool {
        self.work.get(&held).is_some_and(|work| work.token == token)
    }
}

impl Simulation {
    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).expect("nodes stay in the scenario")
    }

    /// The node's driver: one event in, all effects performed in order.
    fn tell_node(&mut self, id: NodeId, event: Event) {
        let now = self.now;
        let node = self.node_mut(id);
        let Some(agent) = &mut node.agent else { return };
        let mut effects = Vec::new();
        agent.handle(now, event, &mut effects);
        agent.check();
        let (due, life) = (agent.next_deadline(), node.life);
        if node.wake_at.is_none_or(|wake_at| due < wake_at) {
            node.wake_at = Some(due);
            self.at(due, Happening::NodeWakes { node: id, life });
        }
        effects.into_iter().for_each(|effect| self.perform_for_node(Origin { node: id, life }, effect));
    }

    fn perform_for_node(&mut self, origin: Origin, effect: Effect) {
        match effect {
            // Kept by `hears_what_is_over`, before the agent decides.
            Effect::KeepEpoch(_) | Effect::KeepAuditHead(_) | Effect::Forget(_) => {}
            Effect::Send(message) => self.post_to_master(origin, &message),
            Effect::Start(task) => self.start_work(origin.node, &task),
            Effect::Stop(held) => self.stop_work(origin.node, held),
            // People change nothing of the nodes here, and no node lends.
            Effect::Meet(_) | Effect::TryConfiguration { .. } | Effect::KeepConfiguration | Effect::TakeBackConfiguration { .. } => {}
            Effect::Tell(_) => self.tally.one(Count::NodeStopped),
            Effect::End => self.end_node(origin.node),
        }
    }

    pub(super) fn on_node_hears(&mut self, id: NodeId, message: Envelope<ToAgent>) {
        if self.nodes[&id].is_cut(Way::ToNode) {
            self.tally.one(Count::MessageCutOff);
            return;
        }
        if !self.nodes[&id].is_alive() {
            return;
        }
        if let ToAgent::Acknowledge { spark, attempt } = &message.body {
            self.oracle.on_acknowledged(held(*spark, *attempt), self.master.durable());
        }
        let refuses = self.hears_what_is_over(id, &message);
        let before = self.nodes[&id].refused();
        self.tell_node(id, Event::Received(message));
        if !self.nodes[&id].is_alive() {
            // It was the last word that it waited for.
            return;
        }
        let refused = self.nodes[&id].refused() - before;
        assert_eq!(refused, u64::from(refuses), "node {} refuses what an earlier master says, or says to an earlier life of it, and nothing else", id.0);
    }

    /// Is this from a master before the newest it heard, or meant for a life before this one? Otherwise, what it allows is noted.
    fn hears_what_is_over(&mut self, id: NodeId, message: &Envelope<ToAgent>) -> bool {
        let node = self.node_mut(id);
        if message.epoch < node.epoch || message.incarnation != node.incarnation {
            return true;
        }
        node.epoch = message.epoch;
        if let ToAgent::Acknowledge { spark, attempt } | ToAgent::CancelTask { spark, attempt } = message.body {
            node.answered.remove(&held(spark, attempt));
        }
        if let ToAgent::CancelTask { spark, attempt } = message.body
            && let Some(work) = node.work.get_mut(&held(spark, attempt))
        {
            work.cancelled = true;
        }
        if let ToAgent::EmergencyShutdown { .. } = message.body {
            node.answered.clear();
            node.work.values_mut().for_each(|work| work.cancelled = true);
        }
        false
    }

    pub(super) fn on_node_wakes(&mut self, id: NodeId, life: u64) {
        let now = self.now;
        let node = self.node_mut(id);
        if node.life == life && node.wake_at == Some(now) {
            node.wake_at = None;
            self.tell_node(id, Event::Woken);
        }
    }

    /// Dials until it succeeds.
    pub(super) fn on_node_connects(&mut self, id: NodeId) {
        if !self.nodes[&id].is_whole() {
            let wait = self.dice.millis(200, 400);
            return self.after(wait, Happening::NodeConnects { node: id });
        }
        self.tell_node(id, Event::Connected);
    }

    /// Called by its master; it answers if that comes through.
    pub(super) fn on_node_called(&mut self, id: NodeId) {
        if self.nodes[&id].is_alive() && self.nodes[&id].is_whole() {
            self.tally.one(Count::NodeCalled);
            self.tell_node(id, Event::Connected);
        }
    }

    /// Of the largest node that there is.
    pub(super) fn slots_max(&self) -> u32 {
        self.nodes.values().map(|node| node.slots).max().unwrap_or(1)
    }

    /// The node on the master's own machine always can; the others not where nobody is let in to the master.
    pub(super) fn dials(&self, id: NodeId) -> bool {
        !self.scenario.secluded || id == OWN_NODE
    }

    pub(super) fn on_node_starts(&mut self, id: NodeId) {
        let forgets = self.has_plant(Plant::ForgetIncarnation);
        let node = self.node_mut(id);
        node.life += 1;
        node.incarnation = Incarnation(if forgets { 1 } else { node.life });
        let profile = NodeProfile { memory_bytes: u64::from(node.slots) * SLOT_MEMORY_BYTES, ..NodeProfile::default() };
        let agent = Agent::new(node.incarnation, node.slots, node.engine, node.epoch);
        node.agent = Some(agent.with_programs(vec![PROGRAM.into()]).described(profile));
        node.wake_at = None;
        let wait = self.dice.millis(1, 100);
        if self.dials(id) {
            self.after(wait, Happening::NodeConnects { node: id });
        }
    }

    /// The process ends without a word and loses all it had; mostly it is soon started again.
    pub(super) fn kill_node(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        if node.agent.take().is_none() {
            return;
        }
        node.work.clear();
        node.answered.clear();
        self.report_disconnect(id, 5_000);
        if self.retires() {
            self.tally.one(Count::NodeRetired);
            self.node_mut(id).retired = true;
            return;
        }
        let wait = if self.scenario.faults.killed > 0 && self.trouble(2_000) {
            self.tally.one(Count::NodeStartedLate);
            self.dice.millis(4_000, 12_000)
        } else {
            self.dice.millis(2, 200)
        };
        self.after(wait, Happening::NodeStarts { node: id });
    }

    /// Its process is told to end in good order, and given a while for it.
    pub(super) fn ask_to_leave(&mut self, id: NodeId) {
        let within = self.dice.millis(0, 2_000);
        self.tell_node(id, Event::Leave { until: self.now + within });
    }

    fn end_node(&mut self, id: NodeId) {
        self.tally.one(Count::NodeLeft);
        let node = self.node_mut(id);
        node.agent = None;
        node.work.clear();
        node.answered.clear();
        let wait = self.dice.millis(2, 2_000);
        self.after(wait, Happening::NodeStarts { node: id });
    }

    /// Few die for good, so that enough are left for the work.
    fn retires(&mut self) -> bool {
        let retired = self.nodes.values().filter(|node| node.retired).count();
        self.scenario.faults.killed > 0 && retired * 4 + 4 <= self.nodes.len() && self.trouble(1_000)
    }

    pub(super) fn partition(&mut self, id: NodeId) {
        if !self.nodes[&id].is_whole() {
            return;
        }
        let cut = self.dice.pick(&[Cut::Both, Cut::Both, Cut::One(Way::ToMaster), Cut::One(Way::ToNode)]).unwrap_or_default();
        self.tally.one(if cut == Cut::Both { Count::NodePartitioned } else { Count::LinkHalfOpen });
        self.node_mut(id).cut = cut;
        let wait = self.dice.millis(50, 8_000);
        let reconnects = self.dice.chance(5_000);
        self.after(wait, Happening::NodeHeals { node: id, reconnects });
        if reconnects {
            self.report_disconnect(id, 10_000);
        }
    }

    /// The master's side of a broken connection may notice, perhaps when the node is long back.
    fn report_disconnect(&mut self, id: NodeId, per_myriad: u32) {
        if self.dice.chance(per_myriad) {
            let wait = self.dice.millis(1, 1_500);
            self.after(wait, Happening::DisconnectSeen { node: id });
        }
    }

    pub(super) fn on_node_heals(&mut self, id: NodeId, reconnects: bool) {
        self.node_mut(id).cut = Cut::Nothing;
        if reconnects && self.dials(id) {
            self.on_node_connects(id);
        }
    }

    fn start_work(&mut self, id: NodeId, task: &Task) {
        let held = held(task.spark, task.attempt);
        assert!(!self.nodes[&id].answered.contains(&held), "node {} does {} again and has its answer", id.0, held.spark);
        if self.nodes[&id].engine != ENGINE {
            assert!(matches!(task.work, Work::Run(_) | Work::Nothing), "node {} has another engine than {} was begun with", id.0, held.spark);
            self.tally.one(Count::OtherEngineUsed);
        }
        let token = self.token();
        let (files, isolated) = match &task.work {
            Work::Analyse(analysis) => (analysis.files.as_slice(), analysis.isolated),
            Work::Run(_) | Work::Keep(_) | Work::Nothing => (&[][..], false),
        };
        let deadly = files.iter().find(|file| trees::is_deadly(file));
        let hung = deadly.is_none() && self.trouble(self.scenario.faults.hung);
        let started = Running { token, slots: task.slots, hung, cancelled: false };
        assert!(self.node_mut(id).work.insert(held, started).is_none(), "an attempt is started once until it ended");
        let taken: u32 = self.nodes[&id].work.values().map(|running| running.slots).sum();
        assert!(taken <= self.nodes[&id].slots, "node {} runs what takes {taken} slots", id.0);
        self.tally.more(Count::NeedyStarted, u64::from(task.slots > 1));
        let wait = self.dice.millis(10, 60 + 40 * files.len() as u64);
        match deadly {
            Some(file) if !isolated => self.after(wait, Happening::ProcessDies { node: id, token, victim: (held, file.index) }),
            Some(_) => {
                self.tally.one(Count::ChildPoisoned);
                self.end_work_after(wait, id, token, held, Err(AttemptError::Crashed("signal 11".into())));
            }
            None if hung => self.tally.one(Count::WorkHung),
            None => self.finish_work_after(wait, id, token, task),
        }
    }

    fn finish_work_after(&mut self, wait: Span, node: NodeId, token: u64, task: &Task) {
        let held = held(task.spark, task.attempt);
        let result = if self.trouble(self.scenario.faults.not_stored) {
            self.tally.one(Count::WorkNotStored);
            Err(AttemptError::Storage("no space left on device".into()))
        } else {
            self.done(node, &task.work)
        };
        let progress = Progress { spark: task.spark, attempt: task.attempt, files: 1, bytes: 1_000 };
        self.after(Span(wait.0 / 2), Happening::WorkProgressed { node, token, progress });
        self.end_work_after(wait, node, token, held, result);
    }

    fn done(&mut self, node: NodeId, work: &Work) -> Result<SparkOutput, AttemptError> {
        match work {
            Work::Analyse(analysis) if analysis.isolated && self.has_plant(Plant::BlameNeighbour) && self.dice.chance(1_000) => {
                Err(AttemptError::Crashed("signal 11".into()))
            }
            Work::Analyse(analysis) => {
                let output = trees::output(&analysis.root, &analysis.files);
                self.node_mut(node).kept.extend(trees::packs_of(&output));
                Ok(output)
            }
            Work::Keep(packs) => {
                let kept = if self.has_plant(Plant::KeepNothing) { &[] } else { packs.as_slice() };
                self.node_mut(node).kept.extend(kept);
                Ok(SparkOutput::default())
            }
            Work::Nothing => Ok(SparkOutput::default()),
            Work::Run(_) => {
                let failed = self.trouble(self.scenario.faults.command_failed);
                self.tally.more(Count::CommandFailed, u64::from(failed));
                let ended = CommandEnd { status: ExitStatus::Code(i32::from(failed)), log: Digest::default(), log_bytes: 0, dropped_bytes: 0 };
                Ok(SparkOutput { ended: Some(ended), ..SparkOutput::default() })
            }
        }
    }

    fn end_work_after(&mut self, wait: Span, node: NodeId, token: u64, held: Held, result: Result<SparkOutput, AttemptError>) {
        self.after(wait, Happening::WorkEnded { node, token, held, result });
    }

    /// A worker notices soon, unless it is done before it looks.
    fn stop_work(&mut self, id: NodeId, held: Held) {
        let token = self.token();
        let in_time = self.dice.chance(5_000);
        let Some(work) = self.node_mut(id).work.get_mut(&held).filter(|work| work.hung || in_time) else { return };
        work.token = token;
        self.tally.one(Count::WorkStopped);
        let wait = self.dice.millis(1, 400);
        self.end_work_after(wait, id, token, held, Err(AttemptError::Cancelled));
    }

    pub(super) fn on_work_progressed(&mut self, node: NodeId, token: u64, progress: Progress) {
        if self.nodes[&node].does(held(progress.spark, progress.attempt), token) {
            self.tell_node(node, Event::Progressed(progress));
        }
    }

    pub(super) fn on_work_ended(&mut self, node: NodeId, token: u64, held: Held, result: Result<SparkOutput, AttemptError>) {
        if self.nodes[&node].does(held, token) {
            let is_wanted = self.node_mut(node).work.remove(&held).is_some_and(|work| !work.cancelled);
            if is_wanted && result.is_ok() {
                self.node_mut(node).answered.insert(held);
            }
            self.tell_node(node, Event::Ended { held, result });
        }
    }

    pub(super) fn on_process_dies(&mut self, node: NodeId, token: u64, (held, file): (Held, u32)) {
        if self.nodes[&node].does(held, token) {
            self.tally.one(Count::ProcessPoisoned);
            self.oracle.on_process_poisoned(held.spark.job, file);
            self.kill_node(node);
        }
    }
}
