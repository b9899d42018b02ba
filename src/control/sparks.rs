//! Sparks as they stand in a list, on this machine's screen or another's.

use bitacora_core::{
    fleet::{Dispute, Ledger, Needs, Spark, SparkState},
    ids::{JobId, NodeId, SparkId},
    wire::command::CommandLine,
};
use serde::{Deserialize, Serialize};

/// A spark in lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SparkItem {
    pub id: String,
    pub status: String,
    /// The command, or nothing for a batch of files.
    pub command: Option<String>,
    pub files: usize,
    /// Where it runs, or whose answer it has.
    pub node: Option<String>,
    pub attempts: u32,
    pub failures: u32,
    pub isolated: bool,
    /// What is reserved of its node for it while it runs.
    #[serde(default)]
    pub needs: Needs,
    /// Over which file two nodes gave different answers for it.
    #[serde(default)]
    pub disputed: Option<String>,
    /// How its command ended.
    pub ended: Option<String>,
    pub output_bytes: Option<u64>,
    pub dropped_bytes: Option<u64>,
}

/// Where a spark runs, or whose answer it has.
pub fn node_of(spark: &Spark) -> Option<NodeId> {
    match &spark.state {
        SparkState::Running { node, .. } => Some(*node),
        SparkState::Completed => spark.answered_by,
        SparkState::Queued { .. } | SparkState::Quarantined | SparkState::Failed(_) | SparkState::Split => None,
    }
}

/// What a node is called; one command's own agent is no node of the fleet.
pub fn place_name(ledger: &Ledger, node: NodeId) -> String {
    if node == NodeId::HERE { "this machine".to_owned() } else { ledger.node_name(node) }
}

impl SparkItem {
    /// A spark that was split is none any more: its halves stand for it.
    pub fn of(ledger: &Ledger, id: SparkId, spark: &Spark) -> Option<SparkItem> {
        let job = &ledger.jobs[&id.job];
        let command = job.spec.command.as_ref();
        let disputed = |dispute: &Dispute| {
            let [first, second] = ledger.names_of(dispute.first, dispute.second);
            format!("{first} and {second} differ over {}", dispute.path.to_text())
        };
        let ended = spark.command_end();
        Some(SparkItem {
            id: id.to_string(),
            status: spark.status()?.to_owned(),
            command: command.map(|command| in_words(&command.line)),
            files: spark.file_count() as usize,
            node: node_of(spark).map(|node| place_name(ledger, node)),
            attempts: spark.attempts,
            needs: job.spec.needs(),
            failures: spark.failures,
            isolated: spark.isolated,
            disputed: job.disputes.iter().find(|dispute| dispute.spark == id.number).map(disputed),
            ended: ended.map(|ended| ended.status.to_string()),
            output_bytes: ended.map(|ended| ended.log_bytes),
            dropped_bytes: ended.map(|ended| ended.dropped_bytes),
        })
    }

    /// As it is where nobody serves: nothing runs, whatever the journal's last word was.
    #[must_use]
    pub fn at_rest(self) -> SparkItem {
        if self.status == "running" { SparkItem { status: "queued".to_owned(), node: None, ..self } } else { self }
    }

    /// Those of one job, or of every job that is not over.
    pub fn all(ledger: &Ledger, wanted: Option<JobId>) -> impl Iterator<Item = SparkItem> {
        let jobs = ledger.jobs.iter().filter(move |(id, job)| wanted.map_or(!job.status.is_over(), |wanted| wanted == **id));
        let sparks = jobs.flat_map(|(id, job)| (0..).zip(&job.sparks).map(|(number, spark)| (SparkId { job: *id, number }, spark)));
        sparks.filter_map(|(id, spark)| SparkItem::of(ledger, id, spark))
    }
}

/// A command for people: it cannot be pasted back where an argument holds a space.
/// For people: its words.
pub(super) fn in_words(line: &CommandLine) -> String {
    std::iter::once(&line.program).chain(&line.arguments).map(String::as_str).collect::<Vec<_>>().join(" ")
}
