//! `bitacora wait`.

use std::time::{Duration, Instant};

use bitacora_core::{
    fleet::{JobStatus, NodeSelector},
    ids::{JobId, SparkId},
};
use clap::Args;

use super::{Context, output::UsageError};
use crate::{
    control::{Answer, NodeState, Request},
    exit::Exit,
    journal::Journal,
};

/// How often the master is asked.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// States of jobs and sparks after which nothing else comes by itself.
const FINAL: [&str; 4] = ["completed", "failed", "cancelled", "quarantined"];
const SPARK_STATES: [&str; 7] = ["queued", "running", "completed", "failed", "cancelled", "retrying", "quarantined"];
const NODE_STATES: [&str; 8] = ["healthy", "degraded", "unhealthy", "offline", "active", "cordoned", "draining", "idle"];

/// Waits until a job, a spark or some nodes are in a state: all of them, where several are meant.
///
/// Ends with 8 when a job or spark has ended otherwise, and with 6 when the time is over.
#[derive(Args)]
pub(super) struct Wait {
    /// A job, a spark, or nodes: labels KEY=VALUE or KEY, all of them, or names, any of them; parted by commas
    #[arg(value_name = "JOB|SPARK|SEL")]
    what: String,
    /// The state: over, or any word that `job ls`, `spark ls` and `node ls` print; idle for a node that runs nothing
    #[arg(long = "for", value_name = "STATE")]
    state: String,
    /// Gives up after so many seconds
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

/// What is waited for.
enum Subject {
    Job(JobId),
    Spark(SparkId),
    Nodes(NodeSelector),
}

impl Subject {
    fn of(text: &str) -> Result<Subject, UsageError> {
        let job = |_| text.parse().map(Subject::Job);
        let nodes = |_| text.parse().map(Subject::Nodes);
        text.parse().map(Subject::Spark).or_else(job).or_else(nodes).map_err(|error| UsageError(error.to_string()))
    }

    fn kind(&self) -> &'static str {
        match self {
            Subject::Job(_) => "a job",
            Subject::Spark(_) => "a spark",
            Subject::Nodes(_) => "no id of a job (j1.2) or spark (j1.2/0), so it means nodes,",
        }
    }

    /// Words that are true of it sooner or later.
    fn words(&self) -> Vec<&'static str> {
        match self {
            Subject::Job(_) => JobStatus::ALL.iter().map(|status| status.name()).chain(["over"]).collect(),
            Subject::Spark(_) => SPARK_STATES.into_iter().chain(["over"]).collect(),
            Subject::Nodes(_) => NODE_STATES.into(),
        }
    }

    /// The words that are true of it now; `None` when there is no such thing.
    fn states(&self, context: &Context) -> anyhow::Result<Result<Vec<String>, Exit>> {
        let request = match self {
            Subject::Job(job) => Request::Progress { job: *job },
            Subject::Spark(spark) => Request::Spark { spark: *spark },
            Subject::Nodes(_) => Request::Nodes,
        };
        let answer = context.ask(&request)?;
        Ok(match (answer, self) {
            (Some(Answer::Progress(progress)), _) => Ok(vec![progress.status]),
            (Some(Answer::Spark(spark)), _) => Ok(spark.status().map(str::to_owned).into_iter().collect()),
            (Some(Answer::Nodes(nodes)), Subject::Nodes(selector)) => {
                let is_meant = |node: &&NodeState| node.id.parse().is_ok_and(|id| selector.matches(id, &node.name, &node.labels));
                let meant: Vec<&NodeState> = nodes.iter().filter(is_meant).collect();
                let holds = |state: &&&str| meant.iter().all(|node| is_in(node, state));
                let unknown = selector.names().any(|name| !nodes.iter().any(|node| node.name == name || node.id == name || node.labels.contains_key(name)));
                if meant.is_empty() || unknown { Err(Exit::NoMatch) } else { Ok(NODE_STATES.iter().filter(holds).map(|state| (*state).to_owned()).collect()) }
            }
            (Some(Answer::Busy), _) => Ok(vec![]),
            (Some(answer), _) => Err(context.streams.conclude(&answer)),
            (None, Subject::Job(job)) if context.remote.is_none() => at_rest(context, *job)?,
            (None, _) => Err(Exit::Unreachable),
        })
    }
}

/// As the journal has it, where nobody serves: what is over stays so.
fn at_rest(context: &Context, job: JobId) -> anyhow::Result<Result<Vec<String>, Exit>> {
    let ledger = Journal::read(&context.data.journal())?.unwrap_or_default();
    Ok(match ledger.jobs.get(&job).map(|known| known.status) {
        None => Err(Exit::NoMatch),
        Some(status) if status.is_over() => Ok(vec![status.name().to_owned()]),
        Some(_) => Err(Exit::Unreachable),
    })
}

fn is_in(node: &NodeState, state: &str) -> bool {
    node.health == state || node.availability == state || (state == "idle" && node.sparks == 0)
}

impl Wait {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        until(context, &self.what, &self.state, self.timeout)
    }
}

/// Waits, and says why it ended if that is not what was waited for.
pub(super) fn until(context: &Context, what: &str, wanted: &str, timeout: Option<u64>) -> anyhow::Result<Exit> {
    let (subject, begun) = (Subject::of(what)?, Instant::now());
    if !subject.words().contains(&wanted) {
        return Err(UsageError(format!("{what} is {} and never {wanted:?}; that is {}", subject.kind(), subject.words().join(", "))).into());
    }
    loop {
        let states = match subject.states(context)? {
            Ok(states) => states,
            Err(exit) => {
                let why = match (exit, &subject) {
                    (Exit::Unreachable, _) => "no bitacora serves; start one with `bitacora serve`",
                    (_, Subject::Nodes(_)) => "no node has that name or label, or not each of them; `bitacora node ls` lists them",
                    _ => "there is none; `bitacora job ls` lists jobs",
                };
                context.streams.note(&format!("{what}: {why}"));
                return Ok(exit);
            }
        };
        let over = states.iter().find(|state| FINAL.contains(&state.as_str()));
        if states.iter().any(|state| state == wanted) || (wanted == "over" && over.is_some()) {
            return Ok(Exit::Ok);
        }
        if let Some(state) = over {
            context.streams.note(&format!("{what} is {state}"));
            return Ok(Exit::RemoteFailed);
        }
        if timeout.is_some_and(|seconds| begun.elapsed().as_secs() >= seconds) {
            let states = if states.is_empty() { "in no state that all share".to_owned() } else { states.join(", ") };
            context.streams.note(&format!("{what} is {states} and not {wanted}"));
            return Ok(Exit::TimedOut);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
