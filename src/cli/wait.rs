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

    /// Words that are true of it sooner or later.
    fn knows(&self, state: &str) -> bool {
        match self {
            Subject::Job(_) => state == "over" || JobStatus::ALL.iter().any(|status| status.name() == state),
            Subject::Spark(_) => state == "over" || SPARK_STATES.contains(&state),
            Subject::Nodes(_) => NODE_STATES.contains(&state),
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
                if meant.is_empty() { Err(Exit::NoMatch) } else { Ok(NODE_STATES.iter().filter(holds).map(|state| (*state).to_owned()).collect()) }
            }
            (Some(Answer::Busy), _) => Ok(vec![]),
            (Some(answer), _) => Err(context.streams.conclude(&answer)),
            (None, _) => Err(Exit::Unreachable),
        })
    }
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
    if !subject.knows(wanted) {
        return Err(UsageError(format!("{what} is never {wanted:?}")).into());
    }
    loop {
        let states = match subject.states(context)? {
            Ok(states) => states,
            Err(exit) => {
                let why = if exit == Exit::Unreachable { "no bitacora serves; start one with `bitacora serve`" } else { "there is no such thing" };
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
