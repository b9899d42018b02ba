//! `bitacora wait`.

use std::time::{Duration, Instant};

use bitacora_core::{
    fleet::JobStatus,
    ids::{JobId, SparkId},
};
use clap::Args;

use super::{Context, output::UsageError};
use crate::{
    control::{Answer, Request},
    exit::Exit,
};

/// How often the master is asked.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// States of jobs and sparks after which nothing else comes by itself.
const FINAL: [&str; 4] = ["completed", "failed", "cancelled", "quarantined"];
const SPARK_STATES: [&str; 7] = ["queued", "running", "completed", "failed", "cancelled", "retrying", "quarantined"];
const NODE_STATES: [&str; 8] = ["healthy", "degraded", "unhealthy", "offline", "active", "cordoned", "draining", "idle"];

/// Waits until a job, a spark or a node is in a state.
///
/// Ends with 8 when a job or spark has ended otherwise, and with 6 when the time is over.
#[derive(Args)]
pub(super) struct Wait {
    /// A job, a spark, or the name of a node
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
    Node(String),
}

impl Subject {
    fn of(text: &str) -> Subject {
        let job = |_| text.parse().map(Subject::Job);
        text.parse().map(Subject::Spark).or_else(job).unwrap_or_else(|_| Subject::Node(text.to_owned()))
    }

    /// Words that are true of it sooner or later.
    fn knows(&self, state: &str) -> bool {
        match self {
            Subject::Job(_) => state == "over" || JobStatus::ALL.iter().any(|status| status.name() == state),
            Subject::Spark(_) => state == "over" || SPARK_STATES.contains(&state),
            Subject::Node(_) => NODE_STATES.contains(&state),
        }
    }

    /// The words that are true of it now; `None` when there is no such thing.
    fn states(&self, context: &Context) -> anyhow::Result<Result<Vec<String>, Exit>> {
        let request = match self {
            Subject::Job(job) => Request::Progress { job: *job },
            Subject::Spark(spark) => Request::Spark { spark: *spark },
            Subject::Node(_) => Request::Nodes,
        };
        let answer = context.ask(&request)?;
        Ok(match (answer, self) {
            (Some(Answer::Progress(progress)), _) => Ok(vec![progress.status]),
            (Some(Answer::Spark(spark)), _) => Ok(spark.status().map(str::to_owned).into_iter().collect()),
            (Some(Answer::Nodes(nodes)), Subject::Node(name)) => match nodes.into_iter().find(|node| node.name == *name || node.id == *name) {
                Some(node) => Ok([vec![node.health, node.availability], if node.sparks == 0 { vec!["idle".to_owned()] } else { vec![] }].concat()),
                None => Err(Exit::NoMatch),
            },
            (Some(Answer::Busy), _) => Ok(vec![]),
            (Some(answer), _) => Err(context.streams.conclude(&answer)),
            (None, _) => Err(Exit::Unreachable),
        })
    }
}

impl Wait {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        until(context, &self.what, &self.state, self.timeout)
    }
}

/// Waits, and says why it ended if that is not what was waited for.
pub(super) fn until(context: &Context, what: &str, wanted: &str, timeout: Option<u64>) -> anyhow::Result<Exit> {
    let (subject, begun) = (Subject::of(what), Instant::now());
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
            context.streams.note(&format!("{what} is {} and not {wanted}", states.join(", ")));
            return Ok(Exit::TimedOut);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
