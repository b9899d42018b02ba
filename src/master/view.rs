//! What is told of a fleet, to whoever asks and whoever watches: read off the core, by a master and by a demo alike. It changes nothing.

use bitacora_core::{
    fleet::{Fleet, FlightView, Operator, Spark, SparkState},
    ids::{JobId, NodeId, SparkId},
    time::Time,
};

use fleet_agent::net::discovery::{Found, State};

use crate::{
    control::{
        self, Answer, JOBS_MAX, JobState, NodeSeen, OperatorState, Progress, ProjectState, Request, SPARKS_MAX, Snapshot, SparkItem, node_of, place_name,
        watch::{Focus, Focused, JobDetail, Nearby, SPARKS_TOLD_MAX, SparkRow},
    },
    links::Links,
    pairing::Pairing,
    timeline::Timeline,
};

/// A fleet as it is at one moment.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) timeline: &'a Timeline,
    pub(super) at: Time,
    /// Nobody links with one that runs a single command.
    pub(super) links: Option<&'a Links>,
    /// Who knows which nodes announce themselves; or why nobody does.
    pub(super) pairing: Result<&'a Pairing, &'static str>,
}

/// Where no master listens to the local network.
pub(super) const UNSEEN: &str = "discovery is off or does not work here; nodes can be paired by their address";

impl View<'_> {
    /// To a request that reads what the core knows and no more; `None` for every other.
    pub(super) fn answer(&self, request: &Request) -> Option<Answer> {
        let ledger = self.fleet.ledger();
        Some(match request {
            Request::Explain { job } => Answer::Reasons(self.fleet.explain(*job).iter().map(control::describe).collect()),
            Request::Waits { job } => Answer::Reasons(self.fleet.waits(*job).iter().map(control::describe).collect()),
            Request::Progress { job } => self.progress(*job),
            Request::Spark { spark } => {
                let known = ledger.spark(*spark).map(|spark| Answer::Spark(Spark { files: Vec::new(), ..spark.clone() }));
                known.unwrap_or_else(|| Answer::Unknown(format!("there is no spark {spark}")))
            }
            Request::Events { after } => Answer::Events(self.timeline.after(*after)),
            Request::Snapshot => Answer::Snapshot(Box::new(self.snapshot())),
            Request::Nodes => Answer::Nodes(self.nodes()),
            Request::NodeDetail { node } => self.node_detail(*node),
            Request::Projects => Answer::Projects(ledger.projects.clone()),
            Request::Operators => self.operators(),
            Request::Sparks { job } => self.sparks(*job),
            Request::Discovered => self.discovered(),
            _ => return None,
        })
    }

    fn progress(&self, job: JobId) -> Answer {
        let view = self.fleet.job_view(self.at, job);
        view.map_or_else(|| Answer::Unknown(format!("there is no job {job}")), |view| Answer::Progress(Progress::of(&view)))
    }

    fn snapshot(&self) -> Snapshot {
        let ledger = self.fleet.ledger();
        let newest = ledger.jobs.keys().rev().take(JOBS_MAX).filter_map(|id| self.fleet.job_view(self.at, *id));
        Snapshot {
            at: self.at,
            listens: self.listens(),
            nodes: self.nodes(),
            jobs: newest.map(|view| JobState::of(&view, ledger)).collect(),
            jobs_all: ledger.jobs.len() as u64,
            projects: ledger.projects.iter().map(|(id, project)| ProjectState::of(*id, project)).collect(),
        }
    }

    /// Where nodes link.
    pub(super) fn listens(&self) -> Option<String> {
        self.links.map(|links| links.address().to_string())
    }

    fn sparks(&self, job: Option<JobId>) -> Answer {
        let ledger = self.fleet.ledger();
        match job.filter(|job| !ledger.jobs.contains_key(job)) {
            Some(job) => Answer::Unknown(format!("there is no job {job}; `bitacora job ls` lists them")),
            None => Answer::Sparks(SparkItem::all(ledger, job).take(SPARKS_MAX).collect()),
        }
    }

    fn operators(&self) -> Answer {
        let ledger = self.fleet.ledger();
        let state = |(id, operator): (&NodeId, &Operator)| OperatorState {
            id: *id,
            name: operator.name.clone(),
            right: operator.right,
            permitted: operator.permitted,
            projects: ledger.project_names(&operator.projects),
            paired_at: operator.paired_at,
        };
        Answer::Operators(ledger.operators.iter().map(state).collect())
    }

    fn discovered(&self) -> Answer {
        let seen = |found: Found| NodeSeen {
            name: found.name,
            key: found.key.to_string(),
            paired: found.state != State::Unpaired,
            protocol: format!("{}.{}", found.protocol.0, found.protocol.1),
            addresses: found.addresses.iter().map(ToString::to_string).collect(),
        };
        match self.pairing.map(|pairing| pairing.found()) {
            Ok(Some(found)) => Answer::Discovered(found.into_iter().map(seen).collect()),
            Ok(None) => Answer::Refused(UNSEEN.into()),
            Err(reason) => Answer::Refused(reason.into()),
        }
    }

    /// What was asked for besides the lists.
    pub(super) fn focused(&self, focus: &Focus) -> Focused {
        let node = focus.node.and_then(|node| match self.node_detail(node) {
            Answer::Node(detail) => Some(detail),
            _ => None,
        });
        let nearby = focus.nearby.then(|| match self.discovered() {
            Answer::Discovered(seen) => Nearby::Seen(seen),
            Answer::Refused(reason) => Nearby::Unknown(reason),
            _ => Nearby::Unknown("the master cannot say".into()),
        });
        Focused { node, job: focus.job.and_then(|job| self.job_detail(job)).map(Box::new), nearby }
    }

    fn job_detail(&self, id: JobId) -> Option<JobDetail> {
        let job = self.fleet.ledger().jobs.get(&id)?;
        let mut counts: Vec<(String, u32)> = Vec::new();
        let mut places: Vec<(u8, u32)> = Vec::new();
        for (number, spark) in (0..).zip(&job.sparks) {
            let Some(status) = spark.status() else { continue };
            match counts.iter_mut().find(|(known, _)| known == status) {
                Some((_, count)) => *count += 1,
                None => counts.push((status.to_owned(), 1)),
            }
            places.push((rank(spark), number));
        }
        places.sort_unstable();
        let flights: std::collections::BTreeMap<u32, FlightView> = self.fleet.flights_of(id).map(|(spark, flight)| (spark.number, flight)).collect();
        let command = job.spec.command.as_ref().map(|command| command.line.program.clone()).unwrap_or_default();
        let row = |(_, number): (u8, u32)| self.spark_row(SparkId { job: id, number }, &job.sparks[number as usize], flights.get(&number), &command);
        let sparks = places.into_iter().take(SPARKS_TOLD_MAX).map(row).collect();
        Some(JobDetail { id, reasons: self.fleet.explain(id).iter().map(control::describe).collect(), counts, sparks })
    }

    fn spark_row(&self, id: SparkId, spark: &Spark, flight: Option<&FlightView>, command: &str) -> SparkRow {
        let files = spark.file_count();
        // Of one that is lost nobody knows where it runs.
        let node = flight.map(|flight| flight.node).or_else(|| node_of(spark).filter(|_| spark.state.is_over()));
        let node = node.map(|node| place_name(self.fleet.ledger(), node));
        SparkRow {
            id,
            status: spark.status().unwrap_or_default().to_owned(),
            node,
            since: flight.map(|flight| flight.begun_at),
            files,
            files_done: if spark.state.has_outcomes() { files } else { flight.map_or(0, |flight| flight.files) },
            bytes_done: flight.map_or(0, |flight| flight.bytes),
            attempts: spark.attempts,
            failures: spark.failures,
            what: match &spark.state {
                SparkState::Failed(error) => error.describe(),
                _ => command.to_owned(),
            },
        }
    }
}

/// What runs, what failed, what waits, what is done.
fn rank(spark: &Spark) -> u8 {
    match &spark.state {
        SparkState::Running { .. } => 0,
        SparkState::Failed(_) | SparkState::Quarantined => 1,
        SparkState::Queued { .. } => 2,
        SparkState::Completed | SparkState::Split => 3,
    }
}
