//! The master's side: what the fleet is, and what to do next.
//!
//! [`Fleet`] has one door, [`Fleet::handle`]. Its durable part is the [`Ledger`], which changes only by
//! [`Ledger::apply`]; recovery is `apply` over the journal. Everything else here (who is connected, what is in
//! flight, what is due) is rebuilt from what the agents say. It never looks at a clock and never fails for outside reasons.

mod attempts;
mod audit;
mod calling;
mod configuration;
mod copies;
mod dependencies;
mod disputes;
mod effect;
mod event;
mod fact;
mod flights;
mod holdings;
mod invariants;
mod jobs;
mod joining;
mod ledger;
mod membership;
mod needs;
mod neighbours;
pub mod partition;
mod placement;
mod records;
mod resting;
mod retreat;
mod rights;
mod roles;
mod scheduler;
mod selector;
mod settings;
mod spec;
mod stalls;
mod view;
mod warming;

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

pub use audit::{Action, AuditRecord, Intruder, Outcome, Requester};
pub use configuration::{Push, PushState};
pub use dependencies::AFTER_MAX;
pub use effect::{Effect, Notice};
pub use event::{Event, JobCommand, NodeCommand, Refusal, Submission, Warming};
pub use fact::Fact;
use flights::{Flight, Flights};
pub use ledger::{
    Availability, CordonCause, Dispute, Job, JobFailure, JobStatus, Ledger, ListedFile, OwnRole, PairedNode, Project, ResultSummary, Spark, SparkState,
};
pub use membership::{Health, Node};
pub use needs::Needs;
pub use partition::Partitioning;
pub use placement::Placement;
use records::Pace;
pub use records::{HEARTBEATS_PER_SECOND_MAX, IDLE_HEARTBEATS_PER_SECOND_MAX, NodeRecord, NodeTally};
pub use rights::{About, Deed, Operator, OperatorCommand, Right};
pub use selector::{NoSelector, NodeSelector};
pub use settings::{Listings, Results, Settings};
pub use spec::{Awaited, CommandSpec, JobSpec, JobType, Priority};
pub use view::{FleetView, FlightView, JobView, NodeView, Pending, Stage};

use crate::{
    ids::{Epoch, JobId, NodeId, SparkId, TokenId},
    time::{Span, Time},
    wire::{Envelope, FromAgent, ToAgent, message::Held},
};

/// Programs of one node that count.
const PROGRAMS_MAX: usize = 4096;
/// Slots of one node that count; a node that says more has as many.
const SLOTS_MAX: u32 = 4096;

/// The state of a master.
pub struct Fleet {
    settings: Settings,
    ledger: Ledger,
    nodes: BTreeMap<NodeId, Node>,
    /// Of nodes that are or were connected to this master.
    records: BTreeMap<NodeId, NodeRecord>,
    /// Between the heartbeats of one node, as this fleet's size allows.
    pace: Pace,
    /// Nodes that are being emptied.
    draining: BTreeSet<NodeId>,
    flights: Flights,
    /// Jobs that are not over, with what can be dispatched of them now.
    active: BTreeMap<JobId, Runnable>,
    /// Before this nobody can have been silent for too long: a bound, so that a message costs no look at everybody.
    quiet_until: Time,
    /// With which nodes may join.
    tokens: BTreeMap<TokenId, joining::OpenToken>,
    watch: audit::Watch,
    stale_messages: u64,
    /// Late answers that said the same as those that count.
    duplicates: u64,
    /// Requests of people's devices that they had no right to.
    deeds_refused: u64,
    /// The last change of each node's configuration.
    pushes: BTreeMap<NodeId, Push>,
    /// What was learned of how fast each node is.
    speeds: placement::Speeds,
    /// The node that was given something last.
    placed_last: NodeId,
    /// The last number given to a request to store a result.
    rounds: u64,
    keeping: holdings::Keeping,
    vicinity: neighbours::Vicinity,
    calling: calling::Calling,
    /// Has something failed in this turn that others may wait for?
    something_failed: bool,
}

/// The volatile side of a job that is not over.
#[derive(Clone, Debug, Default)]
struct Runnable {
    ready: BTreeSet<u32>,
    /// Waiting for their backoff to end.
    waiting: BTreeSet<(Time, u32)>,
    /// Set while the result is being stored.
    storing: Option<Storing>,
    /// Is the listing of its tree at hand? Without it the job neither runs nor ends.
    listed: bool,
    /// It has had nothing begun since then.
    waits_since: Time,
    /// This master works on it since then, and so much was done before: what a rate is made of.
    started_at: Time,
    bytes_before: u64,
    /// How long it ran without being paused, up to `runs_since`, after it was asked for the last time; not across masters.
    ran: Span,
    runs_since: Option<Time>,
    /// Sparks of it that this master had run a second time.
    copies: u32,
}

/// A request to store a result, by a number that no other request has, and when to give up on it.
#[derive(Clone, Copy, Debug)]
struct Storing {
    round: u64,
    until: Time,
}

impl Runnable {
    fn new(now: Time, job: &Job, listed: bool) -> Runnable {
        let runs_since = (job.status != JobStatus::Paused).then_some(now);
        let bytes_before = job.bytes_done();
        Runnable { listed, waits_since: now, started_at: now, bytes_before, runs_since, ..Runnable::default() }
    }

    fn pause(&mut self, now: Time) {
        self.ran.0 += self.runs_since.take().map_or(0, |since| (now - since).0);
    }

    fn resume(&mut self, now: Time) {
        self.runs_since.get_or_insert(now);
        self.waits_since = now;
    }

    /// Whoever asks again gives it its whole time again.
    fn begin_time(&mut self, now: Time) {
        (self.ran, self.runs_since) = (Span(0), Some(now));
    }
}

impl Fleet {
    /// A master on a recovered ledger, as the next epoch.
    pub fn recover(settings: Settings, ledger: Ledger, now: Time, out: &mut Vec<Effect>) -> Fleet {
        let mut fleet = Fleet {
            settings,
            ledger,
            nodes: BTreeMap::new(),
            records: BTreeMap::new(),
            pace: Pace::FASTEST,
            draining: BTreeSet::new(),
            flights: Flights::default(),
            active: BTreeMap::new(),
            quiet_until: Time::NEVER,
            tokens: BTreeMap::new(),
            watch: audit::Watch::default(),
            stale_messages: 0,
            duplicates: 0,
            deeds_refused: 0,
            pushes: BTreeMap::new(),
            speeds: placement::Speeds::default(),
            placed_last: NodeId::HERE,
            rounds: 0,
            keeping: holdings::Keeping::new(now),
            vicinity: neighbours::Vicinity::default(),
            calling: calling::Calling::default(),
            something_failed: false,
        };
        let epoch = Epoch(fleet.ledger.epoch.0 + 1);
        fleet.record(Fact::EpochBegan { epoch, at: now }, out);
        fleet.rebuild(now);
        fleet.miss_everybody(now);
        if !fleet.settings.resume_recovered {
            fleet.pause_all(out);
        }
        // An earlier master may have ended between a failure and what follows from it.
        fleet.fail_dependants(now, out);
        for job in fleet.active.keys().copied().collect::<Vec<_>>() {
            fleet.ask_for_listing(job, out);
            fleet.settle(now, job, out);
        }
        fleet
    }

    /// Decides. State changes only through [`Ledger::apply`] and in what is volatile.
    pub fn handle(&mut self, now: Time, event: Event, out: &mut Vec<Effect>) {
        let before = out.len();
        self.catch_up(now, out);
        self.react(now, Requester::Fleet, event, out);
        self.follow_up(now, out);
        put_in_order(out, before);
    }

    /// As [`Fleet::handle`], for all that a turn of the driver has, and on somebody's behalf: what concerns the fleet's safety is
    /// written into the audit. What follows from all of it, above all which spark goes where, is decided once.
    pub fn handle_turn(&mut self, now: Time, by: Requester, events: impl IntoIterator<Item = Event>, out: &mut Vec<Effect>) {
        let before = out.len();
        self.catch_up(now, out);
        for event in events {
            self.react_for(now, by, event, out);
            // What waits for a failure must know of it before the next event lets the failure be forgotten.
            self.follow_failures(now, out);
        }
        self.follow_up(now, out);
        put_in_order(out, before);
    }

    /// What is due by now, whatever happens besides.
    fn catch_up(&mut self, now: Time, out: &mut Vec<Effect>) {
        if now >= self.quiet_until {
            self.forgive_lateness(now);
            self.on_stalls(now, out);
            self.on_silence(now, out);
            self.on_overdue_attempts(now, out);
            self.quiet_until = self.silence_deadline();
        }
        self.on_expired_tokens(now, out);
        self.on_refusals_due(now, out);
        self.on_losses_due(now);
        self.on_pushes_due(now);
        self.on_rests_due(now);
        self.on_calls_due(now, out);
    }

    fn react(&mut self, now: Time, by: Requester, event: Event, out: &mut Vec<Effect>) {
        match event {
            Event::Woken => {}
            Event::NodeJoined { name, address } => self.on_node_joined(now, name, address, out),
            Event::RoleChosen { role, name } => self.on_role_chosen(now, role, name, out),
            Event::TokenMade { token, name, span, operator } => self.on_token_made(now, token, name, (span, operator), out),
            Event::TokenProved { token } => self.on_token_proved(now, token, out),
            Event::ConfigurationPushed { node, keys, text } => self.on_configuration_pushed(now, by, node, (&keys, text), out),
            Event::NodeCommanded { node, command } => self.on_node_commanded(now, node, command, out),
            Event::OperatorCommanded { operator, command } => self.on_operator_commanded(now, operator, command, out),
            Event::DeedAsked { operator, certified, deed, about } => self.on_deed_asked(now, operator, certified, (deed, about), out),
            Event::LinkSeen { node, address, called } => self.on_link_seen(node, address, called, out),
            Event::LinkLost { node } => self.on_link_lost(now, node, out),
            Event::ProjectAdded { name, root } => self.on_project_added(name, root, out),
            Event::ProjectRenamed { project, name } => self.on_project_renamed(project, name, out),
            Event::ProjectAssigned { project, nodes } => self.on_project_assigned(project, nodes, out),
            Event::ProjectRemoved { project } => self.on_project_removed(now, project, out),
            Event::JobSubmitted(submission) => self.on_job_submitted(now, by, submission, out),
            Event::WorkSubmitted { spec, sparks } => self.on_work_submitted(now, by, spec, sparks, out),
            Event::WarmingAsked(warming) => self.on_warming_asked(now, by, warming, out),
            Event::PacksMissed { node, packs } => self.on_packs_missed(node, packs, out),
            Event::SparkCancelled { spark } => self.on_spark_cancelled(now, spark, out),
            Event::JobCommanded { job, command } => self.on_job_commanded(now, job, command, out),
            Event::TreeNotListed { job, error } => self.on_tree_not_listed(now, job, error, out),
            Event::ResultStored { job, round, result } => self.on_result_stored(now, job, round, result, out),
            Event::ResultNotStored { job, round, error } => self.on_result_not_stored(now, job, round, error, out),
            Event::Stopping => self.on_stopping(now, out),
            Event::AuthorityMade { .. } | Event::AuthorityExported => {}
            Event::RenewalAsked { node } => self.on_renewal_asked(now, node, out),
            Event::ConnectionsRefused { counts } => self.on_connections_refused(now, counts, out),
            Event::AuditAdvanced { head } => self.on_audit_advanced(head, out),
            Event::HeadUnknown { node, head } => self.on_head_unknown(now, node, head, out),
            Event::NodeDisconnected { node } => self.on_node_disconnected(now, node, out),
            Event::Received { node, message } => self.on_received(now, node, message, out),
        }
    }

    fn follow_failures(&mut self, now: Time, out: &mut Vec<Effect>) {
        if core::mem::take(&mut self.something_failed) {
            self.fail_dependants(now, out);
        }
    }

    fn follow_up(&mut self, now: Time, out: &mut Vec<Effect>) {
        // Only now: a result that took long to store has come all the same.
        self.on_job_deadlines(now, out);
        self.follow_failures(now, out);
        self.settle_drains(now, out);
        self.make_copies(now, out);
        self.tell_neighbours(out);
        self.dispatch(now, out);
        self.copy_late_sparks(now, out);
    }

    /// When [`Event::Woken`] is due if nothing else happens.
    pub fn next_deadline(&self) -> Option<Time> {
        let jobs = self.active.iter().filter_map(|(id, runnable)| self.job_deadline(*id, runnable));
        let silence = (self.quiet_until < Time::NEVER).then_some(self.quiet_until);
        jobs.chain(silence)
            .chain(self.drain_deadline())
            .chain(self.token_deadline())
            .chain(self.refusals_deadline())
            .chain(self.loss_deadline())
            .chain(self.push_deadline())
            .chain(self.rest_deadline())
            .chain(self.call_deadline())
            .min()
    }

    /// When somebody will have said nothing for too long.
    fn silence_deadline(&self) -> Time {
        let flights = self.flights.iter().map(|(_, flight)| flight.deadline);
        let nodes = self.nodes.values().filter_map(|node| node.next_deadline(&self.settings, self.pace.busy));
        let stalls = self.nodes.values().filter_map(|node| self.stall_deadline(node));
        flights.chain(nodes).chain(stalls).min().unwrap_or(Time::NEVER)
    }

    /// Something begins that may be missed from this time on.
    fn watch_from(&mut self, deadline: Time) {
        self.quiet_until = self.quiet_until.min(deadline);
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub fn epoch(&self) -> Epoch {
        self.ledger.epoch
    }

    /// Messages that were ignored because their epoch, incarnation or attempt is over.
    pub fn stale_messages(&self) -> u64 {
        self.stale_messages
    }

    /// Answers that came after another one for the same spark, and said the same.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Commands that were answered with "not supported".
    pub fn unsupported(&self) -> u64 {
        self.records.values().map(|record| record.tally.unsupported).sum()
    }

    fn on_received(&mut self, now: Time, node: NodeId, message: Envelope<FromAgent>, out: &mut Vec<Effect>) {
        if !self.admits(node) {
            self.stale_messages += 1;
            return;
        }
        if let FromAgent::Hello { slots, fingerprint, held, programs, profile } = message.body {
            let slots = slots.min(SLOTS_MAX);
            let programs = programs.into_iter().take(PROGRAMS_MAX).collect();
            let hello = Node::new(message.incarnation, slots, fingerprint, programs, now);
            return self.on_hello(now, node, hello, (held, *profile), out);
        }
        let known = self.nodes.get_mut(&node).filter(|known| known.incarnation == message.incarnation);
        let Some(known) = known else {
            self.stale_messages += 1;
            return self.send_unknown(node, message.incarnation, out);
        };
        if !known.linked {
            self.calling.end(node);
        }
        known.heard(now);
        let health = known.health;
        self.watch_from(now + self.settings.degraded_after);
        self.note_health(now, node, health, out);
        match message.body {
            FromAgent::Hello { .. } => unreachable!("answered above"),
            FromAgent::Heartbeat { held, load, pace } => {
                self.on_paced(node, held.is_empty(), load, pace, out);
                self.on_heartbeat(now, node, &held, out);
            }
            FromAgent::Leaving { held } => self.on_leaving(now, node, &held, out),
            FromAgent::Unsupported { .. } => self.records.entry(node).or_default().tally.unsupported += 1,
            FromAgent::Configuration(report) => self.on_configuration_report(now, node, report, out),
            FromAgent::PacksDropped { packs } => self.on_packs_dropped(node, packs, out),
            FromAgent::AuditHead(head) => self.on_audit_head(node, head, out),
            FromAgent::Progress(progress) => self.on_progress(now, node, &progress, out),
            FromAgent::Output(output) => self.on_output(node, output, out),
            FromAgent::Finished { spark, attempt, output, took } => self.on_finished(now, node, Held { spark, attempt }, (output, took), out),
            FromAgent::Failed { spark, attempt, error } => self.on_failed(now, node, Held { spark, attempt }, error, out),
        }
    }

    /// A master that comes late, because the machine slept or a result took long to store, has heard nobody in that time:
    /// what waits for a word is given as much longer.
    fn forgive_lateness(&mut self, now: Time) {
        let late = now - self.quiet_until;
        if late >= self.settings.late_max {
            self.nodes.values_mut().for_each(|node| {
                node.last_heard += late;
                node.progressed_at += late;
            });
            self.flights.values_mut().for_each(|flight| flight.deadline += late);
        }
    }

    /// The only way to a durable change: applied here, journalled by the driver before anything that follows it in `out`.
    fn record(&mut self, fact: Fact, out: &mut Vec<Effect>) {
        self.ledger.apply(&fact);
        self.something_failed |= Fleet::ends_badly(&fact);
        out.push(Effect::Record(fact));
    }

    fn send(&self, to: NodeId, body: ToAgent, out: &mut Vec<Effect>) {
        if let Some(node) = self.nodes.get(&to) {
            out.push(Effect::Send { to, message: Envelope { epoch: self.ledger.epoch, incarnation: node.incarnation, body } });
        }
    }

    /// Is the listing at hand before anybody brought it? Work about no tree has none.
    fn is_listed_at_first(&self, spec: &JobSpec) -> bool {
        spec.project.is_none() || self.settings.listings == Listings::Kept
    }

    /// The volatile side of a recovered ledger. What was running is believed to run still, until its node says otherwise
    /// or stays silent past its deadline.
    fn rebuild(&mut self, now: Time) {
        self.draining = self.ledger.nodes.iter().filter(|(_, node)| node.availability == Availability::Draining).map(|(id, _)| *id).collect();
        for (&id, job) in self.ledger.jobs.iter().filter(|(_, job)| !job.status.is_over()) {
            let mut runnable = Runnable::new(now, job, self.is_listed_at_first(&job.spec));
            for (number, spark) in (0..).zip(&job.sparks) {
                match spark.state {
                    SparkState::Queued { not_before } => {
                        runnable.waiting.insert((not_before.max(now), number));
                    }
                    SparkState::Running { attempt, node } => {
                        let deadline = now + self.settings.reattach_max;
                        self.quiet_until = self.quiet_until.min(deadline);
                        let size = placement::size_of(job, number);
                        let flight = Flight {
                            node,
                            attempt,
                            begun_at: now,
                            runs_since: None,
                            sent_at: now,
                            deadline,
                            estimate: Span(0),
                            size,
                            needs: job.spec.needs(),
                            parses: job.spec.project.is_some(),
                            files: 0,
                            bytes: 0,
                        };
                        self.flights.begin(SparkId { job: id, number }, flight);
                    }
                    SparkState::Completed | SparkState::Failed(_) | SparkState::Split | SparkState::Quarantined => {}
                }
            }
            self.active.insert(id, runnable);
        }
    }
}

/// The order is a promise: recorded, then sent, then told.
fn put_in_order(out: &mut Vec<Effect>, from: usize) {
    let mut ranks: [Vec<Effect>; Effect::RANKS] = core::array::from_fn(|_| Vec::with_capacity(out.len() - from));
    for effect in out.drain(from..) {
        ranks[effect.rank()].push(effect);
    }
    out.extend(ranks.into_iter().flatten());
}
