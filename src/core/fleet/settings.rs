//! Every limit and deadline of the master's decisions, by name.

use super::{JobSpec, stalls::STALLED_AFTER};
use crate::time::Span;

/// How a master decides. The defaults are for a fleet on a local network.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Seeds the jitter of retries.
    pub seed: u64,
    /// An attempt that takes longer is given up.
    pub spark_timeout: Span,
    /// What the master waits beyond that, for the answer of a node that gave up on its own.
    pub spark_grace: Span,
    /// Failures of a spark before it is given up; interruptions and silence do not count, see `attempts_max`.
    pub failures_max: u32,
    pub backoff_first: Span,
    pub backoff_max: Span,
    /// How long storing a result may take.
    pub aggregation_timeout: Span,
    /// A waiting job gains one level of priority each time it has waited this long.
    pub ageing_step: Span,
    /// Attempts a node holds beyond its slots, per slot, so that a slot never waits for the journal.
    pub queued_per_slot: u32,
    /// A dispatched attempt that a heartbeat does not list by then is sent again.
    pub resend_after: Span,
    /// After a restart of the master: how long a node may take to come back before its attempts are given to others.
    pub reattach_max: Span,
    pub degraded_after: Span,
    pub unhealthy_after: Span,
    pub offline_after: Span,
    /// Heartbeats that a node may miss before the same, where the fleet is so large that this is later.
    pub beats_missed: BeatsMissed,
    /// A node that runs analyses and says nothing new of any for so long has stalled.
    pub stalled_after: Span,
    /// How long a node that drains may finish what it has, where nobody says how long.
    pub drain_max: Span,
    /// Do unfinished jobs of an earlier master go on by themselves? Otherwise they are paused until they are asked for again.
    pub resume_recovered: bool,
    /// Of each hundred sparks of a large job, so many may be run a second time when they are late: what a copy spares is time,
    /// what it costs is the work of another node. None at zero.
    pub copies_per_hundred: u32,
    /// Where the listing of a recovered job's tree comes from.
    pub listings: Listings,
    /// Where the records of results are kept.
    pub results: Results,
    /// Nodes that are to have each pack, where it stays on them.
    pub copies: u32,
    /// A node that is not heard for so long is taken for lost, with what it has, until it is back.
    pub lost_after: Span,
    /// Results a project remembers.
    pub history_max: usize,
    /// Jobs that are over and stay remembered.
    pub jobs_kept: u32,
    /// A master that wakes this much after it should have gives everybody as much more time.
    pub late_max: Span,
    /// Sparks of one job of commands.
    pub sparks_max: u32,
    /// Tokens that are open at the same time: each is one node that somebody is about to set up.
    pub tokens_max: usize,
    /// How long a token may be open: until a server that was ordered today is there.
    pub token_span_max: Span,
    /// How often connections that were refused, and nodes that know of a longer audit, are recorded: 150 records a day, whoever
    /// knocks.
    pub audit_repeat: Span,
    /// Attempts after which a spark whose nodes keep vanishing is cut like one that crashes.
    pub attempts_max: u32,
}

/// Silence by heartbeats instead of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeatsMissed {
    pub degraded: u64,
    pub unhealthy: u64,
    pub offline: u64,
}

/// Where the records of results are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Results {
    /// Every pack is brought to the master before its result counts.
    Master,
    /// On the node that made it, and on others.
    Nodes,
}

/// A job neither runs nor ends without the listing that its result is merged with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listings {
    /// The driver keeps them over restarts.
    Kept,
    /// The driver is asked to list the tree again: [`super::Effect::ListTree`].
    Anew,
    /// It comes with the same analysis when that is asked for again.
    Asked,
}

impl Settings {
    /// What an attempt may take on its node.
    pub(super) fn timeout_of(&self, spec: &JobSpec) -> Span {
        spec.command.as_ref().map_or(self.spark_timeout, |command| command.timeout)
    }

    /// From sending an attempt to giving it up: it may stand behind others in its node's queue, each for its own time-out.
    pub(super) fn attempt_max(&self, spec: &JobSpec) -> Span {
        let timeout = self.timeout_of(spec).0.saturating_mul(1 + u64::from(self.queued_per_slot));
        Span(timeout.saturating_add(self.spark_grace.0))
    }

    /// For a master that ends with its command: what others began waits until it is asked for again.
    pub fn for_one_command() -> Settings {
        Settings { resume_recovered: false, listings: Listings::Asked, ..Settings::default() }
    }

    /// For a master that stays: what an earlier one began goes on once its tree is listed again.
    pub fn for_serving() -> Settings {
        Settings { listings: Listings::Anew, ..Settings::default() }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            seed: 0,
            spark_timeout: Span::from_secs(600),
            spark_grace: Span::from_secs(10),
            failures_max: 4,
            backoff_first: Span::from_millis(200),
            backoff_max: Span::from_secs(30),
            aggregation_timeout: Span::from_secs(300),
            ageing_step: Span::from_secs(60),
            queued_per_slot: 1,
            resend_after: Span::from_secs(3),
            reattach_max: Span::from_secs(15),
            // Beats come twice a second in a small fleet. Work of a node that was killed is to run elsewhere within five seconds.
            degraded_after: Span::from_secs(2),
            unhealthy_after: Span::from_secs(3),
            offline_after: Span::from_secs(4),
            beats_missed: BeatsMissed { degraded: 3, unhealthy: 4, offline: 6 },
            stalled_after: STALLED_AFTER,
            drain_max: Span::from_secs(600),
            resume_recovered: true,
            copies_per_hundred: 10,
            listings: Listings::Kept,
            results: Results::Master,
            copies: 2,
            lost_after: Span::from_secs(300),
            history_max: 50,
            jobs_kept: 200,
            late_max: Span::from_secs(1),
            sparks_max: 1_000_000,
            tokens_max: 64,
            token_span_max: Span::from_secs(7 * 24 * 3600),
            audit_repeat: Span::from_secs(600),
            attempts_max: 16,
        }
    }
}
