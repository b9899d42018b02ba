//! What a master says of its work to whoever operates it: what is in the journal by now, as events of `tracing`.

use bitacora_core::fleet::{Fact, Ledger};
use tracing::{debug, info, warn};

use crate::timeline;

/// Every fact has its kind; job, spark and attempt are fields of their own. What each spark leaves is said to who asks for much.
pub(super) fn narrate(fact: &Fact, ledger: &Ledger) {
    match fact {
        Fact::SparkStarted { spark, attempt, node } => {
            debug!(kind = "spark-started", job = %spark.job, %spark, attempt = attempt.0, %node);
        }
        Fact::SparkFinished { spark, .. } => debug!(kind = "spark-finished", job = %spark.job, %spark),
        Fact::AttemptFailed { spark, error, .. } => warn!(kind = "attempt-failed", job = %spark.job, %spark, error = error.describe()),
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
