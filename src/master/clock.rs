//! The clock: the only place where the master reads one.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use bitacora_core::time::Time;

/// Microseconds since the Unix epoch, never less than what was said before.
pub fn now() -> Time {
    static LATEST: AtomicU64 = AtomicU64::new(0);
    let micros = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64);
    Time(LATEST.fetch_max(micros, Ordering::Relaxed).max(micros))
}
