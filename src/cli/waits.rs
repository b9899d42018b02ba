//! What is said to somebody who waits for a job of which nothing goes on.

use std::time::Duration;

use bitacora_core::ids::JobId;

use super::Context;
use crate::control::{Answer, Request};

/// How often somebody who waits looks how far a job is.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Two seconds.
const LOOKS_BEFORE_REASONS: u32 = 40;

/// Whoever forgot to start an agent would look at nothing for ever.
pub(super) struct Waits {
    job: JobId,
    looks: u32,
}

impl Waits {
    pub(super) fn new(job: JobId) -> Waits {
        Waits { job, looks: 0 }
    }

    /// Says once, after a while, why the job waits, if it does.
    pub(super) fn look(&mut self, context: &Context) {
        self.looks += 1;
        if self.looks == LOOKS_BEFORE_REASONS
            && let Ok(Some(Answer::Reasons(reasons))) = context.ask(&Request::Waits { job: self.job })
        {
            reasons.iter().for_each(|reason| context.streams.note(&format!("job {} waits: {reason}", self.job)));
        }
    }
}
