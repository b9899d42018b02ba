//! The clock: the only place where a driver reads one.

use std::{
    sync::Mutex,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use bitacora_core::time::Time;

/// What was said last, and when.
static LATEST: Mutex<Option<(Time, Instant)>> = Mutex::new(None);

/// Microseconds since the Unix epoch, never less than what was said before. A wall clock that is set back goes on from
/// there at its own pace, so that deadlines come.
pub fn now() -> Time {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64);
    advance(Time(wall))
}

/// Goes on from a time that an earlier life of this process has seen.
pub fn resume(latest: Time) {
    advance(latest);
}

fn advance(to: Time) -> Time {
    let at = Instant::now();
    let mut latest = LATEST.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let passed = latest.map_or(Time(0), |(said, then)| Time(said.0 + at.duration_since(then).as_micros() as u64));
    let now = to.max(passed);
    *latest = Some((now, at));
    now
}
