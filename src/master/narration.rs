//! What a master says of its work to whoever operates it: what is in the journal by now, as events of `tracing`.

use bitacora_core::fleet::{Fact, Ledger};
use tracing::{debug, info, warn};

use crate::timeline;

/// Every fact has its kind, and job, spark and attempt as fields as far as it knows them. What each spark leaves is said to who asks
/// for much.
pub(super) fn narrate(fact: &Fact, ledger: &Ledger) {
    match fact {
        Fact::SparkStarted { spark, attempt, node } => {
            debug!(kind = "spark-started", job = %spark.job, %spark, attempt = attempt.0, %node);
        }
        Fact::SparkFinished { spark, node, .. } => debug!(kind = "spark-finished", job = %spark.job, %spark, node = node.map(display)),
        Fact::AttemptFailed { spark, error, .. } => warn!(kind = "attempt-failed", job = %spark.job, %spark, error = error.describe()),
        Fact::CopyDropped { spark, attempt, error, .. } => {
            warn!(kind = "copy-dropped", job = %spark.job, %spark, attempt = attempt.0, error = error.describe());
        }
        Fact::SparkDisputed { spark, path, .. } => warn!(kind = "spark-disputed", job = %spark.job, %spark, path = path.to_text()),
        Fact::SparkFailed { spark, error } => warn!(kind = "spark-failed", job = %spark.job, %spark, error = error.describe()),
        other => {
            let Some((kind, subject, text)) = timeline::in_words(other, ledger) else { return };
            match kind {
                "job-failed" => warn!(kind, job = subject, text),
                _ if kind.starts_with("job-") => info!(kind, job = subject, text),
                _ if kind.starts_with("node-") => info!(kind, node = subject, text),
                _ => info!(kind, subject, text),
            }
        }
    }
}
