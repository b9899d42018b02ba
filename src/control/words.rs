//! What the core has published, as an answer and in words.

use bitacora_core::{
    fleet::{AFTER_MAX, Notice, Pending, Refusal},
    wire::node::LABELS_MAX,
};

use super::Answer;
use crate::report::text::{counted, timestamp};

/// What came of a request, by what was published of it.
pub fn outcome(notices: &[Notice]) -> Answer {
    let refusal = notices.iter().find_map(|notice| match notice {
        Notice::Refused(refusal) => Some(refusal),
        _ => None,
    });
    match refusal {
        None => Answer::Done,
        Some(Refusal::UnknownProject(project)) => Answer::Unknown(format!("there is no project {project}; `bitacora project ls` lists them")),
        Some(Refusal::UnknownNode(node)) => Answer::Unknown(format!("there is no node {node}; `bitacora node ls` lists them")),
        Some(Refusal::OwnMachine(_)) => {
            Answer::Refused("the master's own machine cannot be removed; `bitacora node role master` has it run no more work".into())
        }
        Some(Refusal::OtherProject { projects }) => Answer::Refused(format!(
            "this device may see the fleet's lists and act on {} alone, which this is not about; some commands take --project",
            projects.join(", ")
        )),
        Some(Refusal::RightMissing { deed, right }) => {
            Answer::Refused(format!("this device may {} and not {}, for which it takes {}", right.name(), deed.name(), deed.needs().name()))
        }
        Some(Refusal::NotPermitted { operator, permitted }) => {
            Answer::Refused(format!("the certificate of {operator} permits {} and no more; remove it and let it join again", permitted.name()))
        }
        Some(Refusal::UnknownSpark(spark)) => Answer::Unknown(format!("there is no spark {spark}; `bitacora spark ls` lists them")),
        Some(Refusal::UnknownAwaited(awaited)) => Answer::Unknown(format!("there is no {awaited} to wait for, or not any more")),
        Some(Refusal::TooMuchAwaited) => Answer::Refused(format!("a job waits for {AFTER_MAX} others at most")),
        Some(Refusal::NoSuchWork(error)) => Answer::Refused(error.to_string()),
        Some(Refusal::TooManySparks { sparks, sparks_max }) => Answer::Refused(format!("{sparks} sparks are more than the {sparks_max} of one job")),
        Some(Refusal::NoSuchNode) => Answer::Unknown("no node is one of those that were asked for; `bitacora node ls` lists them".into()),
        Some(Refusal::TooManyPacks { packs, packs_max }) => Answer::Refused(format!("{packs} packs are more than the {packs_max} that can be brought at once")),
        Some(Refusal::SparkOver(spark)) => Answer::Refused(format!("spark {spark} is over")),
        Some(Refusal::NodeAway(node)) => Answer::Refused(format!("node {node} cannot be reached now")),
        Some(Refusal::NotAccepted { node, objection }) => Answer::Refused(format!("node {node} refuses it: {}", objection.describe())),
        Some(Refusal::NotChangeable { node, key }) => Answer::Refused(format!("the owner of node {node} does not let {key} be changed (its --changeable)")),
        Some(Refusal::OnTrial(node)) => Answer::Refused(format!("an earlier change of node {node} is not decided yet")),
        Some(Refusal::ConfigurationTooLong { bytes_max }) => Answer::Refused(format!("a configuration has at most {bytes_max} bytes")),
        Some(Refusal::TooManyLabels(node)) => Answer::Refused(format!("node {node} would have more than {LABELS_MAX} labels")),
        Some(Refusal::UnknownToken(_)) => Answer::Unknown("there is no such token, or not any more".into()),
        Some(Refusal::TooManyTokens { max }) => Answer::Refused(format!("{max} tokens are open; use or wait for one of them")),
        Some(Refusal::TokenSpan { max }) => Answer::Refused(format!("a token is open for at least a second and at most {} hours", max.0 / 3_600_000_000)),
        Some(Refusal::UnknownJob(job)) => Answer::Unknown(format!("there is no job {job}; `bitacora job ls` lists them")),
        Some(Refusal::Superseded { job, by }) => Answer::Refused(format!("job {by} has taken the place of {job}")),
        Some(Refusal::NameTaken(name)) => Answer::Refused(format!("another project is called {name}")),
        Some(Refusal::NameIsId(name)) => Answer::Refused(format!("{name} has the form of a project's id, and would be taken for one")),
        Some(Refusal::UnderAnalysis { job, status }) => {
            Answer::Refused(format!("job {job} of it is {}; cancel it first: `bitacora job cancel {job}`", status.name()))
        }
        Some(Refusal::NotNow { job, status }) => Answer::Refused(format!("job {job} is {}", status.name())),
    }
}

/// Why a job waits, for people.
pub fn describe(pending: &Pending) -> String {
    match pending {
        Pending::Paused => "paused; `bitacora job resume`, or the same analysis again, goes on".to_owned(),
        Pending::NotListed => "its tree is to be listed again; `bitacora analyze` of the project goes on with it".to_owned(),
        Pending::NodesSilent => "no node with the engine that the job was begun with is heard from".to_owned(),
        Pending::Awaits(awaited) => format!("it waits for {awaited}"),
        Pending::NoNodeRuns(program) => format!("no connected node is configured to run {program}: `fleet-agent --program {program}`"),
        Pending::NoNodes => "no node is connected".to_owned(),
        Pending::NoMatchingNode => "no connected node has the engine that the job was begun with".to_owned(),
        Pending::NoSelectedNode { nodes } => format!("none of the connected nodes that could do it is one of {nodes:?}, which it was asked for"),
        Pending::NoSpecialisedNode { kind } => format!("every connected node that it may run on is specialised in something else than {kind}"),
        Pending::NoFolder => "no connected node that it may run on has the project's folder on its disk: `fleet-agent --sources DIR`".to_owned(),
        Pending::NotAccepted { objection } => format!("every connected node that it may run on refuses it: {objection}"),
        Pending::NodesClosed => "every node that it may run on is cordoned, drains or leaves; `bitacora node uncordon` opens one".to_owned(),
        Pending::NoneLargeEnough { needs } => format!("no node that it may run on has {needs}; `bitacora node show NAME` says what one has"),
        Pending::NoFreeSlot { held } => format!("all slots are taken; with their nodes: {}", counted((*held).into(), "spark")),
        Pending::Backoff { spark, until, failures } => {
            format!("spark {spark} failed {} and is tried again at {}", counted((*failures).into(), "time"), timestamp(*until))
        }
        Pending::Storing => "every spark is over; the result is being stored".to_owned(),
        Pending::Running { sparks } => format!("running: {}", counted((*sparks).into(), "spark")),
        Pending::Over { status, reason } if reason.is_empty() => format!("the job is {}", status.name()),
        Pending::Over { status, reason } => format!("the job is {}: {reason}", status.name()),
        Pending::Disputed { spark, nodes: [first, second], path, files } => {
            let others = if *files > 1 { format!(" and {} more files", files - 1) } else { String::new() };
            format!("spark {spark} is disputed: {first} and {second} differ over {path}{others}; `bitacora analyze --no-cache` analyses everything anew")
        }
        Pending::Failed { spark, why } => format!("spark {spark} failed: {why}"),
    }
}
